"""The one way in: `Kernel.step(event)` decides, and returns the actions that shells carry out in order.

Deterministic: the same events give the same actions. No clock, no I/O, no randomness; signatures come from the two
deterministic functions of the node's `Identity`.
Spec: protocol/spec/02..06.
"""

from collections import Counter
from collections.abc import Sequence

from orrange_p2p.core.book import compute_owner_view
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.events import (
    AcceptRequest,
    Action,
    BlockAdded,
    CancelRequested,
    DoubtRaised,
    EntriesLoaded,
    EntriesReceived,
    Event,
    Identity,
    Note,
    OrderRequested,
    PeerLost,
    PersistBlock,
    RefuseRequest,
    SyncRoundEnded,
    Ticked,
    TicketMessageReceived,
    TicketsLoaded,
)
from orrange_p2p.core.feed_reader import is_tradable
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.market_kernel import MarketKernel
from orrange_p2p.core.messages import Cancel, OfferFrame, OrderItem, Prepare, TicketFrame
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.tickets import Numbers
from orrange_p2p.core.types import (
    U64_MAX,
    Digest,
    Domain,
    MarketId,
    Order,
    OrderKind,
    Scope,
    Side,
    SignedOrder,
    TimeInForce,
)
from orrange_p2p.core.verify import VerifiedOffer, VerifiedOrder
from orrange_p2p.errors import LocalProtocolError, OrderError


class Kernel:
    """All decisions of one node for one owner and session, over one or more markets."""

    def __init__(self, domain: Domain, markets: Sequence[MarketRules], identity: Identity) -> None:
        self.identity = identity
        self.digests = Digests(domain)
        self.ledger = Ledger({rules.market_id: rules.market for rules in markets})
        self._numbers = Numbers()
        self.markets: dict[MarketId, MarketKernel] = {
            rules.market_id: MarketKernel(rules, self.digests, identity, self.ledger, self._numbers)
            for rules in markets
        }
        self.doubt: str | None = None
        self.counters: Counter[str] = Counter()

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
        if isinstance(event, TicketMessageReceived):
            return self._on_ticket_message(event)
        if isinstance(event, OrderRequested):
            return self._on_order_request(event)
        if isinstance(event, CancelRequested):
            return self._on_cancel_request(event)
        if isinstance(event, SyncRoundEnded):
            return self._on_sync(event)
        if isinstance(event, EntriesLoaded | TicketsLoaded):
            return self._load(event)
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
        if self.ledger.last_block is None:
            return "no block of the chain has been seen yet"
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
        return actions

    def _add_block(self, event: BlockAdded) -> list[Action]:
        try:
            self.ledger.add(event.block)
        except LocalProtocolError as error:
            return self._raise_doubt(DoubtRaised(now_ms=event.now_ms, reason=f"the chain contradicts itself: {error}"))
        actions: list[Action] = [] if event.is_stored else [PersistBlock(block=event.block)]
        return actions + self._tick(event.now_ms)

    def _raise_doubt(self, event: DoubtRaised) -> list[Action]:
        if self.doubt is None:
            self.doubt = event.reason
        return [Note(name="doubt", details=(("reason", event.reason),))]

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

    def _on_sync(self, event: SyncRoundEnded) -> list[Action]:
        market = self.markets.get(event.market)
        if market is None:
            return []
        return market.on_sync(event, may_sign=self._may_sign())

    def _load(self, event: EntriesLoaded | TicketsLoaded) -> list[Action]:
        market = self.markets.get(event.market)
        if market is None:
            return []
        if isinstance(event, TicketsLoaded):
            return market.load_tickets(event)
        for entry, _ in event.entries:
            if entry.entry.header.session != self.identity.session:
                continue
            for item in entry.items:
                if isinstance(item, VerifiedOrder):
                    self._numbers.order_nonce = max(self._numbers.order_nonce, item.item.signed.order.nonce + 1)
                elif isinstance(item, VerifiedOffer):
                    self._numbers.ticket_nonce = max(self._numbers.ticket_nonce, item.item.ticket.ticket_nonce + 1)
        return market.load(event)

    # The owner's own requests

    def _on_order_request(self, event: OrderRequested) -> list[Action]:
        try:
            signed = self._sign_order(event)
        except OrderError as error:
            return [_refusal(event.request, error)]
        market = self.markets[event.market]
        order_id = self.digests.order(signed.order)
        market.desk.note_placed(order_id, event.now_ms)
        accept = AcceptRequest(request=event.request, order_id=order_id)
        market.desk.outbox.add(OrderItem(signed=signed), follow_ups=(accept,))
        return [Note(name="order_placed")]

    def _check_ready(self, market_id: MarketId) -> MarketKernel:
        market = self.markets.get(market_id)
        if market is None:
            raise OrderError("market", market_id.hex(), "ORD-1", "this node does not follow that market")
        reason = self.why_not_sign()
        if reason is not None:
            raise OrderError("node", "not ready", "TICK-12", f"the node signs nothing now: {reason}; try again later")
        if market.desk.outbox.is_full:
            raise OrderError("node", "busy", "FEED-11", "too many requests wait already; try again in a second")
        return market

    def _sign_order(self, event: OrderRequested) -> SignedOrder:
        market = self._check_ready(event.market)
        rules = market.rules
        for field, value in (("price_ticks", event.price_ticks), ("quantity_lots", event.quantity_lots)):
            if not 1 <= value <= U64_MAX:
                raise OrderError(field, value, "ORD-1", f"{field}: expected 1 to {U64_MAX}, was {value}")
        if event.quantity_lots < rules.market.min_fill_lots:
            least = rules.market.min_fill_lots
            message = f"quantity: expected at least {least} lots, was {event.quantity_lots}"
            raise OrderError("quantity_lots", event.quantity_lots, "ORD-1", message)
        self._check_session(event.now_ms, rules)
        expiry_s = event.expiry_s
        if not 0 <= expiry_s <= U64_MAX:
            raise OrderError("expiry", expiry_s, "ORD-1", f"expiry: expected 0 to {U64_MAX}, was {expiry_s}")
        if event.tif is TimeInForce.IOC and expiry_s == 0:
            end_ms = rules.epoch_start_ms(rules.epoch_at(event.now_ms) + rules.preset.k)
            expiry_s = -(-end_ms // 1000)
        if expiry_s and expiry_s * 1000 <= event.now_ms:
            raise OrderError("expiry", expiry_s, "ORD-6", f"expiry: expected a time to come, was {expiry_s}")
        order = Order(
            market=event.market,
            owner=self.identity.owner,
            session=self.identity.session,
            nonce=self._numbers.order_nonce,
            side=event.side,
            kind=OrderKind.LIMIT,
            price_ticks=event.price_ticks,
            quantity_lots=event.quantity_lots,
            tif=event.tif,
            expiry_s=expiry_s,
        )
        if not is_tradable(order):
            raise OrderError(
                "tif", event.tif.name, "ORD-3", f"time in force: expected GTC or IOC, was {event.tif.name}"
            )
        self._check_funds(market, order, event.now_ms)
        self._numbers.order_nonce += 1
        signature = self.identity.sign(Digest(self.digests.order(order)))
        return SignedOrder(order=order, signature=signature)

    def _check_session(self, now_ms: int, rules: MarketRules) -> None:
        last = self.ledger.last_block
        session = self.identity.session
        record = self.ledger.session(session, at_block=last.number) if last is not None else None
        shown = f"0x{session.hex()}"
        if record is None or record.owner != self.identity.owner:
            owner = f"0x{self.identity.owner.hex()}"
            message = f"session {shown} is not authorised on chain by owner {owner}: let the owner authorise it first"
            raise OrderError("session", shown, "FUND-4", message)
        if record.expiry_s * 1000 <= now_ms + rules.preset.epoch_ms:
            message = f"session {shown} expired at {record.expiry_s}: authorise a new one"
            raise OrderError("session", shown, "FUND-4", message)
        if Scope.TRADE not in record.scope or Scope.TICKET not in record.scope:
            message = f"session {shown} may not TRADE: authorise a session with that scope"
            raise OrderError("session", shown, "ORD-2", message)

    def _check_funds(self, market: MarketKernel, order: Order, now_ms: int) -> None:
        """Refuse what the market's allocation cannot pay for. Spec: [FUND-3], RISK-FUNDS."""
        rules = market.rules
        last = self.ledger.last_block
        if last is None:
            return
        view = compute_owner_view(market.feeds, self.ledger, order.owner, rules.epoch_at(now_ms), last)
        left = view.unreserved_quote if order.side is Side.BUY else view.unreserved_base
        for item in market.desk.outbox.waiting_items():
            if isinstance(item, OrderItem) and item.signed.order.side is order.side:
                left -= _worst_cost(rules, item.signed.order)
        need = _worst_cost(rules, order)
        if need > left:
            token = "quote" if order.side is Side.BUY else "base"
            message = (
                f"unfunded: the order needs {need} {token} units, {max(left, 0)} of the allocation to this market are "
                "free; allocate more in the vault or cancel an order"
            )
            raise OrderError("quantity_lots", order.quantity_lots, "FUND-3", message)

    def _on_cancel_request(self, event: CancelRequested) -> list[Action]:
        try:
            market = self._check_ready(event.market)
        except OrderError as error:
            return [_refusal(event.request, error)]
        record = market.desk.own_order(event.order_id)
        row = market.windows.keeper.order(event.order_id)
        is_new = record is not None and (
            market.windows.current is None or record.claimed > market.windows.current.epoch
        )
        waits = any(
            isinstance(item, OrderItem) and self.digests.order(item.signed.order) == event.order_id
            for item in market.desk.outbox.waiting_items()
        )
        if not waits and (record is None or (row is None and not is_new)):
            shown = f"0x{event.order_id.hex()}"
            unknown = OrderError("order_id", shown, "ORD-5", f"no live order {shown} of this node")
            return [_refusal(event.request, unknown)]
        accept = AcceptRequest(request=event.request, order_id=event.order_id)
        market.desk.outbox.add(Cancel(order_id=event.order_id), follow_ups=(accept,))
        return [Note(name="order_cancelled")]


def _worst_cost(rules: MarketRules, order: Order) -> int:
    if order.side is Side.BUY:
        return rules.market.quote_amount(order.price_ticks, order.quantity_lots)
    return rules.market.base_amount(order.quantity_lots)


def _refusal(request: int, error: OrderError) -> RefuseRequest:
    return RefuseRequest(
        request=request, field=error.field, value=str(error.value), rule=error.rule, message=str(error)
    )
