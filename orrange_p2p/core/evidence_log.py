"""The evidence that one market's node has: what it does to the feeds, and who is told.

One piece of each kind is kept a session, but for a fork that lies lower than the one known.
Spec: protocol/spec/08-peers.md [EVID-1..5], 06-sync.md [SYNC-18].
"""

from orrange_p2p.core.book import BookKeeper
from orrange_p2p.core.events import Action, Note, PersistEvidence, PublishEvidence
from orrange_p2p.core.evidence import EvidenceKind, VerifiedEvidence, prove_fork, prove_over_signing
from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.frames import MAX_PROOFS
from orrange_p2p.core.types import Address
from orrange_p2p.core.verify import VerifiedEntry


class EvidenceLog:
    """Evidence by session and kind."""

    def __init__(self, feeds: Feeds, keeper: BookKeeper) -> None:
        self._feeds = feeds
        self._keeper = keeper
        self._pieces: dict[tuple[Address, EvidenceKind], VerifiedEvidence] = {}

    def take(self, piece: VerifiedEvidence) -> bool:
        """Act on what a piece proves; whether it is new here. Spec: [EVID-1], [EVID-4], [EVID-5]."""
        key = (piece.session, piece.kind)
        known = self._pieces.get(key)
        if known is not None and known.forked_seq <= piece.forked_seq:
            return False
        self._pieces[key] = piece
        if piece.kind is EvidenceKind.FORK:
            owners = self._feeds.mark_forked(piece.session, piece.forked_seq)
        else:
            owners = self._feeds.convict(piece.session)
        self._keeper.touch(owners)
        return True

    def pieces_after(self, session: Address) -> tuple[bytes, ...]:
        """A page of what convicts the sessions above one, by session ascending. Spec: [SYNC-18]."""
        keys = sorted(key for key in self._pieces if key[0] > session)[: MAX_PROOFS + 1]
        if len(keys) > MAX_PROOFS and keys[-1][0] == keys[-2][0]:
            keys = keys[:-2]  # all pieces of a session go together
        return tuple(self._pieces[key].encoded for key in keys[:MAX_PROOFS])

    def write_down_convictions(self) -> list[Action]:
        """Sessions that their own feeds have just convicted: prove it to everybody. Spec: [EVID-2]."""
        actions: list[Action] = []
        for session in self._feeds.take_convicted():
            actions.append(Note(name="over_signing_seen", details=(("session", session.hex()),)))
            found = self._feeds.convictions.contradiction(session)
            if found is None:
                continue
            named = [order_id for hold in found for order_id in (hold.ticket.maker_order, hold.ticket.taker_order)]
            records = [(order_id, self._feeds.order(order_id)) for order_id in named]
            orders = {order_id: record.order for order_id, record in records if record is not None}
            encoded = prove_over_signing(session, *found, orders)
            if encoded is not None:
                actions.extend(self._tell_of(session, EvidenceKind.OVER_SIGNING, -1, encoded))
        return actions

    def tell_of_fork(self, first: VerifiedEntry, second: VerifiedEntry) -> list[Action]:
        """Two entries of one seq are here: prove it to everybody. Spec: [EVID-1]."""
        header = first.entry.header
        return self._tell_of(header.session, EvidenceKind.FORK, header.seq, prove_fork(first, second))

    def _tell_of(self, session: Address, kind: EvidenceKind, forked_seq: int, encoded: bytes) -> list[Action]:
        market = self._feeds.market_id
        piece = VerifiedEvidence(market=market, session=session, kind=kind, forked_seq=forked_seq, encoded=encoded)
        if not self.take(piece):
            return []
        return [PersistEvidence(evidence=piece), PublishEvidence(market=market, encoded=encoded)]
