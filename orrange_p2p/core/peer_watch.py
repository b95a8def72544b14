"""What a node hears about others and says about itself: presence and evidence, over all its markets.

Spec: protocol/spec/08-peers.md.
"""

from collections.abc import Mapping

from orrange_p2p.core.digests import Digests
from orrange_p2p.core.events import (
    Action,
    AddressesChanged,
    EvidenceHeard,
    Identity,
    Note,
    PersistEvidence,
    PresencesHeard,
    PublishEvidence,
    PublishPresences,
    SyncWith,
)
from orrange_p2p.core.evidence import EvidenceKind, VerifiedEvidence
from orrange_p2p.core.gossip_codec import MAX_BATCH_ENTRIES, MAX_GOSSIP_BYTES, MAX_PRESENCE_BYTES
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.market_kernel import MarketKernel
from orrange_p2p.core.messages import Head
from orrange_p2p.core.peer_messages import DefaultPointer, Presence
from orrange_p2p.core.presence import PresenceBook, make_presence
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import MarketId

MAX_FUTURE_EPOCHS = 2
MAX_PRESENCES_A_MESSAGE = min(MAX_BATCH_ENTRIES, MAX_GOSSIP_BYTES // (MAX_PRESENCE_BYTES + 8))
FORWARDS_A_PERIOD = 4


class PeerWatch:
    """Presence and evidence of all markets of one node; every market has the same preset and genesis."""

    def __init__(
        self,
        digests: Digests,
        identity: Identity,
        ledger: Ledger,
        markets: Mapping[MarketId, MarketKernel],
        presences: PresenceBook,
    ) -> None:
        self._digests = digests
        self._identity = identity
        self._ledger = ledger
        self._markets = markets
        self._presences = presences
        self._rules: MarketRules | None = next((market.rules for market in markets.values()), None)
        self._said_ms = self._forwarded_ms = -(2**62)
        self._addresses: tuple[bytes, ...] = ()

    def take(self, event: PresencesHeard | EvidenceHeard | AddressesChanged) -> list[Action]:
        """Something was heard, or this node can be reached elsewhere."""
        if isinstance(event, PresencesHeard):
            return self.on_presences(event)
        if isinstance(event, EvidenceHeard):
            return self.on_evidence(event)
        self._addresses = event.addresses
        return []

    def on_presences(self, event: PresencesHeard) -> list[Action]:
        """Others say that they are alive. Spec: [PEER-2], [PEER-4]."""
        rules = self._rules
        if rules is None:
            return []
        actions: list[Action] = []
        newest = rules.epoch_at(event.now_ms) + MAX_FUTURE_EPOCHS
        oldest = rules.epoch_at(event.now_ms - rules.preset.dead_s * 1000)
        for presence, encoded in event.presences:
            if not self._ledger.has_session(presence.session):
                actions.append(Note(name="presence_of_a_stranger"))
            elif not oldest <= presence.epoch <= newest or presence.session == self._identity.session:
                actions.append(Note(name="presence_out_of_time"))
            elif not self._presences.take(presence, encoded, event.now_ms):
                actions.append(Note(name="presence_known"))
            else:
                actions.append(Note(name="presence_taken"))
                actions.extend(self._look_behind(presence))
        return actions

    def _look_behind(self, presence: Presence) -> list[Action]:
        """Sync where a session is ahead of what is held here. Spec: [PEER-4]."""
        actions: list[Action] = []
        for head in presence.heads:
            market = self._markets.get(head.market)
            feed = market.feeds.feed(presence.session) if market is not None else None
            held = feed.next_seq if feed is not None else 0
            peer = feed.peer_id if feed is not None else None
            if market is not None and peer is not None and head.next_seq > held and not (feed and feed.is_dead):
                actions.append(SyncWith(peer=peer, market=head.market))
        return actions

    def on_evidence(self, event: EvidenceHeard) -> list[Action]:
        """Evidence speaks for itself: act on it, keep it, hand it on once. Spec: [EVID-1..4], [FEED-12]."""
        actions: list[Action] = []
        for piece in event.pieces:
            if isinstance(piece, DefaultPointer):
                actions.extend(self._on_pointer(piece))
                continue
            market = self._markets.get(piece.market)
            if market is None:
                continue
            if not market.may_convict(piece.session):
                actions.append(Note(name="evidence_of_a_stranger"))
                continue
            if not market.evidence.take(piece):
                actions.append(Note(name="evidence_known"))
                continue
            actions.append(_note_of(piece))
            if not event.is_stored:
                actions.append(PersistEvidence(evidence=piece))
                actions.append(PublishEvidence(market=piece.market, encoded=piece.encoded))
        return actions

    def _on_pointer(self, pointer: DefaultPointer) -> list[Action]:
        """A default is what the own chain says; the pointer adds nothing to it. Spec: [EVID-3]."""
        is_shown = self._ledger.has_default(
            pointer.owner, pointer.ticket, block_number=pointer.block_number, block_hash=pointer.block_hash
        )
        return [Note(name="default_confirmed" if is_shown else "default_not_shown")]

    def on_tick(self, now_ms: int, *, may_sign: bool) -> list[Action]:
        """Say that this node is alive, and hand on what others said. Spec: [PEER-1], [PEER-2]."""
        rules = self._rules
        if rules is None:
            return []
        period_ms = rules.preset.presence_s * 1000
        told: list[bytes] = []
        if may_sign and now_ms - self._said_ms >= period_ms:
            heads = self._own_heads()
            if heads:
                self._said_ms = now_ms
                epoch = rules.epoch_at(now_ms)
                told.append(make_presence(self._digests, self._identity, epoch, heads, self._addresses))
        if told or now_ms - self._forwarded_ms >= period_ms // FORWARDS_A_PERIOD:
            self._forwarded_ms = now_ms
            told.extend(self._presences.take_forwards(MAX_PRESENCES_A_MESSAGE - len(told)))
        if not told:
            return []
        return [PublishPresences(market=market, presences=tuple(told)) for market in self._markets]

    def _own_heads(self) -> dict[MarketId, Head]:
        session = self._identity.session
        heads: dict[MarketId, Head] = {}
        for market_id, market in self._markets.items():
            feed = market.feeds.feed(session)
            if feed is not None and feed.entries:
                heads[market_id] = Head(session=session, next_seq=feed.next_seq, head_hash=feed.head_hash())
        return heads


def _note_of(piece: VerifiedEvidence) -> Note:
    name = "fork_proven" if piece.kind is EvidenceKind.FORK else "over_signing_proven"
    return Note(name=name, details=(("session", piece.session.hex()),))
