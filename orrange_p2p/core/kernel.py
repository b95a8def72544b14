"""The one way in: `Kernel.step(event)` decides, and returns the actions that shells carry out in order.

Deterministic: the same events give the same actions. No clock, no I/O, no randomness; signatures come from the two
deterministic functions of the node's `Identity`.
Spec: protocol/spec/02..06.
"""

from collections import Counter
from collections.abc import Sequence

from orrange_p2p.core.digests import Digests
from orrange_p2p.core.events import (
    Action,
    AddressesChanged,
    BlockAdded,
    BlocksUnwound,
    CancelAllRequested,
    CancelRequested,
    ChainReachChanged,
    DoubtRaised,
    EntriesLoaded,
    EntriesReceived,
    Event,
    EvidenceHeard,
    Identity,
    ModifyRequested,
    Note,
    OrderRequested,
    PeerLost,
    PersistBlock,
    PresencesHeard,
    StartReceived,
    StartsLoaded,
    SyncRoundEnded,
    Ticked,
    TicketMessageReceived,
    TicketsLoaded,
)
from orrange_p2p.core.evidence import VerifiedEvidence
from orrange_p2p.core.facts import EscrowMoved
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.market_kernel import MarketKernel
from orrange_p2p.core.messages import OfferFrame, Prepare, TicketFrame
from orrange_p2p.core.peer_watch import PeerWatch
from orrange_p2p.core.presence import PresenceBook
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.requests import Requests
from orrange_p2p.core.tickets import Numbers
from orrange_p2p.core.types import Domain, MarketId
from orrange_p2p.core.verify import VerifiedOffer, VerifiedOrder
from orrange_p2p.errors import LocalProtocolError

_CONVICTED = (
    "evidence shows that this node's session signed what no honest one signs: its key is in use elsewhere, or the "
    "store is old; start with a new session"
)


class Kernel:
    """All decisions of one node for one owner and session, over one or more markets."""

    def __init__(self, domain: Domain, markets: Sequence[MarketRules], identity: Identity) -> None:
        self.identity = identity
        self.digests = Digests(domain)
        self.ledger = Ledger({rules.market_id: rules.market for rules in markets})
        self._numbers = Numbers()
        self.presences = PresenceBook(dead_ms=max((rules.preset.dead_s * 1000 for rules in markets), default=0))
        self.markets: dict[MarketId, MarketKernel] = {
            rules.market_id: MarketKernel(rules, self.digests, identity, self.ledger, self._numbers, self.presences)
            for rules in markets
        }
        self._requests = Requests(identity, self.digests, self.ledger, self._numbers, self.markets, self.why_not_sign)
        self.watch = PeerWatch(self.digests, identity, self.ledger, self.markets, self.presences)
        self.doubt: str | None = None
        self.why_chain_lost: str | None = None
        self.counters: Counter[str] = Counter()

    def settle_for_others(self) -> None:
        """From now on submit what both parties of a ticket leave lying, at this node's own cost. Spec: [TICK-13]."""
        for market in self.markets.values():
            market.settling.settles_for_others = True

    def step(self, event: Event) -> list[Action]:
        """Take in one event; carry out what comes back in this order, persisting before sending."""
        actions = self._dispatch(event)
        if self.why_not_sign() is None:
            for market in self.markets.values():
                actions.extend(market.flush(event.now_ms))
        for action in actions:
            if isinstance(action, Note):
                self.counters[action.name] += 1
        return actions

    def _dispatch(self, event: Event) -> list[Action]:
        if isinstance(event, EntriesReceived):
            return self._receive(event)
        if isinstance(event, Ticked):
            return self._tick(event.now_ms)
        if isinstance(event, BlockAdded):
            return self._add_block(event)
        if isinstance(event, BlocksUnwound):
            return self._unwind(event)
        if isinstance(event, TicketMessageReceived):
            return self._on_ticket_message(event)
        if isinstance(event, ChainReachChanged):
            return self._change_reach(event)
        if isinstance(event, OrderRequested | ModifyRequested | CancelRequested | CancelAllRequested):
            return self._requests.answer(event)
        if isinstance(event, PresencesHeard | EvidenceHeard | AddressesChanged):
            return self.watch.take(event) + self._doubt_if(self._why_convicted(event), event.now_ms)
        return self._dispatch_rare(event)

    def _dispatch_rare(
        self,
        event: SyncRoundEnded | EntriesLoaded | StartsLoaded | StartReceived | TicketsLoaded | PeerLost | DoubtRaised,
    ) -> list[Action]:
        if isinstance(event, SyncRoundEnded):
            return self._on_sync(event)
        if isinstance(event, EntriesLoaded | TicketsLoaded | StartsLoaded):
            return self._load(event)
        if isinstance(event, StartReceived):
            return self._begin(event)
        if isinstance(event, PeerLost):
            return self._forget_peer(event)
        return self._raise_doubt(event)

    def _forget_peer(self, event: PeerLost) -> list[Action]:
        for market in self.markets.values():
            market.forget_peer(event.peer)
        return []

    def why_not_sign(self) -> str | None:
        """Why this node signs nothing now, in one sentence; None if it may. Spec: [TICK-12]."""
        if self.doubt is not None:
            return self.doubt
        if self.why_chain_lost is not None:
            return self.why_chain_lost
        if self.ledger.last_block is None:
            return "no block of the chain has been seen yet"
        if self.ledger.is_capped(self.identity.session):
            return "its session has a cap on the chain, which this node does not count: authorise one without"
        waiting = [market for market in self.markets.values() if not market.is_synced]
        if waiting:
            quorum = waiting[0].rules.preset.quorum
            return f"not yet synced with {quorum} peer{'s' if quorum > 1 else ''}"
        return None

    def _may_sign(self) -> bool:
        return self.why_not_sign() is None

    def _tick(self, now_ms: int) -> list[Action]:
        may_sign = self._may_sign()
        actions: list[Action] = []
        for market in self.markets.values():
            actions.extend(market.tick(now_ms, may_sign=may_sign))
        actions.extend(self.watch.on_tick(now_ms, may_sign=may_sign))
        return actions

    def _add_block(self, event: BlockAdded) -> list[Action]:
        try:
            self.ledger.add(event.block)
        except LocalProtocolError as error:
            return self._raise_doubt(DoubtRaised(now_ms=event.now_ms, reason=f"the chain contradicts itself: {error}"))
        actions: list[Action] = [] if event.is_stored else [PersistBlock(block=event.block), *self._own_moves(event)]
        return actions + self._tick(event.now_ms)

    def _own_moves(self, event: BlockAdded) -> list[Action]:
        """What a block says of this owner's trades by escrow."""
        moves: list[Action] = []
        for fact in event.block.facts:
            if not isinstance(fact, EscrowMoved):
                continue
            trade = self.ledger.settled_trade(fact.ticket)
            if trade is not None and self.identity.owner in (trade.maker_owner, trade.taker_owner):
                details = (("ticket", fact.ticket.hex()), ("state", fact.state.name.lower()))
                moves.append(Note(name="escrow_moved", details=details))
        return moves

    def _unwind(self, event: BlocksUnwound) -> list[Action]:
        """Everything that blocks after `to_block` made is as if they had never come; what is signed stays signed.

        Spec: [BOOK-1].
        """
        last = self.ledger.last_block
        if last is None or event.to_block >= last.number:
            return []
        self.ledger.unwind(event.to_block)
        for market in self.markets.values():
            market.unwind(event.to_block, last, event.now_ms)
        depth = last.number - event.to_block
        return [Note(name="blocks_unwound", details=(("to_block", event.to_block), ("depth", depth)))]

    def _raise_doubt(self, event: DoubtRaised) -> list[Action]:
        if self.doubt is None:
            self.doubt = event.reason
        return [Note(name="doubt", details=(("reason", event.reason),))]

    def _change_reach(self, event: ChainReachChanged) -> list[Action]:
        """Signing stops with the chain and goes on with it: what was missed meanwhile is answered. Spec: [TICK-12]."""
        was_lost = self.why_chain_lost is not None
        self.why_chain_lost = event.why_lost
        notes: list[Action] = []
        if event.why_lost is not None and not was_lost:
            notes.append(Note(name="chain_lost", details=(("reason", event.why_lost),)))
        elif event.why_lost is None and was_lost:
            notes.append(Note(name="chain_found"))
        return notes + self._tick(event.now_ms)

    def _on_ticket_message(self, event: TicketMessageReceived) -> list[Action]:
        message = event.message
        may_sign = self._may_sign()
        if isinstance(message, Prepare | OfferFrame | TicketFrame):
            if isinstance(message, Prepare):
                ticket = message.ticket
            else:
                ticket = message.offer.ticket if isinstance(message, OfferFrame) else message.item.ticket
            wanted = [
                market for market in self.markets.values() if market.feeds.order(ticket.maker_order) is not None
            ] or list(self.markets.values())[:1]
        else:
            wanted = list(self.markets.values())
        actions: list[Action] = []
        for market in wanted:
            actions.extend(market.on_message(event.peer, message, event.now_ms, may_sign=may_sign))
        return actions

    def _receive(self, event: EntriesReceived) -> list[Action]:
        market = self.markets.get(event.market)
        if market is None:
            return []
        actions, doubt = market.receive(event, may_sign=self._may_sign())
        return actions + self._doubt_if(doubt, event.now_ms)

    def _doubt_if(self, doubt: str | None, now_ms: int) -> list[Action]:
        return [] if doubt is None else self._raise_doubt(DoubtRaised(now_ms=now_ms, reason=doubt))

    def _why_convicted(self, event: Event) -> str | None:
        """Why to doubt the own session: somebody else signs with it, or its store is old. Spec: [SYNC-5]."""
        pieces = event.pieces if isinstance(event, EvidenceHeard) else ()
        is_own = any(isinstance(one, VerifiedEvidence) and one.session == self.identity.session for one in pieces)
        return _CONVICTED if is_own else None

    def _on_sync(self, event: SyncRoundEnded) -> list[Action]:
        market = self.markets.get(event.market)
        if market is None:
            return []
        return market.on_sync(event, may_sign=self._may_sign())

    def _begin(self, event: StartReceived) -> list[Action]:
        market = self.markets.get(event.market)
        if market is None:
            return []
        actions, doubt = market.begin(event)
        return actions + self._doubt_if(doubt, event.now_ms)

    def _note_numbers(self, event: StartsLoaded) -> None:
        """Numbers of the own session that entries used which are gone. Spec: [FEED-16]."""
        for cut in event.cuts:
            if cut.start.entry.entry.header.session == self.identity.session:
                numbers = self._numbers
                numbers.order_nonce = max(numbers.order_nonce, cut.start.checkpoint.next_nonce)
                numbers.ticket_nonce = max(numbers.ticket_nonce, cut.ticket_nonce)

    def _load(self, event: EntriesLoaded | TicketsLoaded | StartsLoaded) -> list[Action]:
        market = self.markets.get(event.market)
        if market is None:
            return []
        if isinstance(event, StartsLoaded):
            self._note_numbers(event)
            return market.load_starts(event)
        if isinstance(event, TicketsLoaded):
            return market.completion.load(event)
        for entry, _ in event.entries:
            if entry.entry.header.session != self.identity.session:
                continue
            for item in entry.items:
                if isinstance(item, VerifiedOrder):
                    self._numbers.order_nonce = max(self._numbers.order_nonce, item.item.signed.order.nonce + 1)
                elif isinstance(item, VerifiedOffer):
                    self._numbers.ticket_nonce = max(self._numbers.ticket_nonce, item.item.ticket.ticket_nonce + 1)
        return market.load(event)
