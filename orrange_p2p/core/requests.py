"""What the owner asks of its own node: place, modify and cancel orders.

A request is answered once its items are on disk and on their way, or refused with field, value, rule and limit.
Spec: protocol/spec/03-orders.md [ORD-1..7], 05-tickets.md [TICK-12].
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from orrange_p2p.core.digests import Digests
from orrange_p2p.core.events import (
    AcceptRequest,
    Action,
    CancelAllRequested,
    CancelRequested,
    Identity,
    ModifyRequested,
    Note,
    OrderRequested,
    RefuseRequest,
)
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.market_kernel import MarketKernel
from orrange_p2p.core.messages import Cancel, OrderItem
from orrange_p2p.core.order_forms import SHORT_LIVED, is_tradable
from orrange_p2p.core.own_forms import check_form, default_expiry_s, latest_claim
from orrange_p2p.core.own_funds import OwnFunds
from orrange_p2p.core.own_lots import Claim
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.ranges import complement, total, union
from orrange_p2p.core.tickets import Numbers
from orrange_p2p.core.types import (
    Digest,
    MarketId,
    Order,
    OrderId,
    Scope,
    SignedOrder,
    TimeInForce,
)
from orrange_p2p.errors import OrderError

OwnerRequest = OrderRequested | ModifyRequested | CancelRequested | CancelAllRequested


class Requests:
    """Answers the owner of this node."""

    def __init__(
        self,
        identity: Identity,
        digests: Digests,
        ledger: Ledger,
        numbers: Numbers,
        markets: Mapping[MarketId, MarketKernel],
        why_not_sign: Callable[[], str | None],
    ) -> None:
        self._identity = identity
        self._digests = digests
        self._ledger = ledger
        self._numbers = numbers
        self._markets = markets
        self._why_not_sign = why_not_sign

    def answer(self, event: OwnerRequest) -> list[Action]:
        """Put what is asked for into the outbox, or refuse."""
        try:
            market = self._check_ready(event.market)
            if isinstance(event, OrderRequested):
                return self._place(market, event)
            if isinstance(event, ModifyRequested):
                return self._modify(market, event)
            if isinstance(event, CancelRequested):
                return self._cancel(market, event)
            return self._cancel_all(market, event)
        except OrderError as error:
            return [_refusal(event.request, error)]

    def _check_ready(self, market_id: MarketId) -> MarketKernel:
        market = self._markets.get(market_id)
        if market is None:
            raise OrderError("market", market_id.hex(), "ORD-1", "this node does not follow that market")
        reason = self._why_not_sign()
        if reason is not None:
            raise OrderError("node", "not ready", "TICK-12", f"the node signs nothing now: {reason}; try again later")
        if market.desk.outbox.is_full:
            raise OrderError("node", "busy", "FEED-11", "too many requests wait already; try again in a second")
        return market

    def _place(self, market: MarketKernel, event: OrderRequested) -> list[Action]:
        rules = market.rules
        order = Order(
            market=event.market,
            owner=self._identity.owner,
            session=self._identity.session,
            nonce=self._numbers.order_nonce,
            side=event.side,
            kind=event.kind,
            price_ticks=event.price_ticks,
            quantity_lots=event.quantity_lots,
            tif=event.tif,
            expiry_s=event.expiry_s or default_expiry_s(event.tif, event.now_ms, rules),
            post_only=event.post_only,
            min_tier=event.min_tier,
            payment_methods=event.payment_methods,
            arbitrators=event.arbitrators,
            security=event.security,
        )
        check_form(order, event.now_ms, rules)
        self._check_session(event.now_ms, rules)
        self._check_funds(market, order, event.now_ms)
        self._say(market, event.request, event.now_ms, order, replaced=None)
        return [Note(name="order_placed")]

    def _modify(self, market: MarketKernel, event: ModifyRequested) -> list[Action]:
        """A Cancel and an Order in one entry: nobody sees one without the other. Spec: [ORD-7]."""
        rules = market.rules
        old = self._live_order(market, event.order_id)
        shown = f"0x{event.order_id.hex()}"
        if old is None or market.desk.is_cancelled(event.order_id):
            raise OrderError("order_id", shown, "ORD-5", f"no live order {shown} of this node")
        if old.tif in SHORT_LIVED:
            message = f"order {shown} is {old.tif.name} and ends by itself: expected GTC, DAY or GTD to modify"
            raise OrderError("order_id", shown, "ORD-7", message)
        quantity = event.quantity_lots
        if quantity is None:
            quantity = self._untraded_lots(market, event.order_id, old)
            if quantity < rules.market.min_fill_lots:
                least = rules.market.min_fill_lots
                message = f"quantity: expected at least {least} lots that no ticket has taken, was {quantity}"
                raise OrderError("quantity_lots", quantity, "ORD-1", message)
        expiry_s = event.expiry_s
        if expiry_s is None:
            is_day = old.tif is TimeInForce.DAY
            expiry_s = default_expiry_s(old.tif, event.now_ms, rules) if is_day else old.expiry_s
        order = replace(
            old,
            nonce=self._numbers.order_nonce,
            price_ticks=old.price_ticks if event.price_ticks is None else event.price_ticks,
            quantity_lots=quantity,
            expiry_s=expiry_s,
        )
        check_form(order, event.now_ms, rules)
        self._check_session(event.now_ms, rules)
        self._check_funds(market, order, event.now_ms, replaced=event.order_id)
        self._say(market, event.request, event.now_ms, order, replaced=event.order_id)
        return [Note(name="order_modified")]

    def _untraded_lots(self, market: MarketKernel, order_id: OrderId, order: Order) -> int:
        """Lots of an own order that are neither settled nor under a ticket that is signed or may still be."""
        desk = market.desk
        last = self._ledger.last_block
        if last is None:
            return 0
        settled = self._ledger.settled_lots(order_id, order, at_block=last.number)
        locked = desk.own_lots.locked(order_id, Claim.PROMISED, Claim.SIGNED)
        return total(complement(union([*settled, *locked]), order.quantity_lots))

    def _say(self, market: MarketKernel, request: int, now_ms: int, order: Order, *, replaced: OrderId | None) -> None:
        """Sign an order and queue it, after the Cancel of the one that it replaces."""
        if not is_tradable(order, market.rules.epoch_at(now_ms), market.rules):
            raise OrderError("tif", order.tif.name, "ORD-3", f"time in force: {order.tif.name} is not known here")
        self._numbers.order_nonce += 1
        order_id = self._digests.order(order)
        signed = SignedOrder(order=order, signature=self._identity.sign(Digest(order_id)))
        market.desk.note_placed(order_id, now_ms)
        missed = OrderError(
            "expiry", order.expiry_s, "ORD-6", f"expiry: {order.expiry_s} came before the order could be said"
        )
        cancels = () if replaced is None else (Cancel(order_id=replaced),)
        market.desk.outbox.add(
            *cancels,
            OrderItem(signed=signed),
            follow_ups=(AcceptRequest(request=request, order_ids=(order_id,)),),
            latest=latest_claim(order, market.rules),
            if_dropped=(_refusal(request, missed),),
        )

    def _check_session(self, now_ms: int, rules: MarketRules) -> None:
        last = self._ledger.last_block
        session = self._identity.session
        record = self._ledger.session(session, at_block=last.number) if last is not None else None
        shown = f"0x{session.hex()}"
        if record is None or record.owner != self._identity.owner:
            owner = f"0x{self._identity.owner.hex()}"
            message = f"session {shown} is not authorised on chain by owner {owner}: let the owner authorise it first"
            raise OrderError("session", shown, "FUND-4", message)
        if record.expiry_s * 1000 <= now_ms + rules.preset.epoch_ms:
            message = f"session {shown} expired at {record.expiry_s}: authorise a new one"
            raise OrderError("session", shown, "FUND-4", message)
        if Scope.TRADE not in record.scope or Scope.TICKET not in record.scope:
            message = f"session {shown} may not TRADE: authorise a session with that scope"
            raise OrderError("session", shown, "ORD-2", message)

    def _check_funds(self, market: MarketKernel, order: Order, now_ms: int, *, replaced: OrderId | None = None) -> None:
        """Refuse what the market's allocation cannot pay for. Spec: [FUND-3], [FUND-5], RISK-FUNDS.

        What an order that is replaced reserves is free for its successor. Spec: [ORD-7].
        """
        items = market.desk.outbox.waiting_items()
        waiting = [
            item.signed.order
            for item in items
            if isinstance(item, OrderItem) and self._digests.order(item.signed.order) != replaced
        ]
        cancelled = [item.order_id for item in items if isinstance(item, Cancel)]
        cancelled += [] if replaced is None else [replaced]
        funds = OwnFunds(market.feeds, self._ledger, market.windows.keeper)
        funds.check(order, now_ms, waiting=waiting, cancelled=tuple(dict.fromkeys(cancelled)))

    def _live_order(self, market: MarketKernel, order_id: OrderId) -> Order | None:
        """An own order that is live as of the last window, newer than it, or waits for its entry."""
        for item in market.desk.outbox.waiting_items():
            if isinstance(item, OrderItem) and self._digests.order(item.signed.order) == order_id:
                return item.signed.order
        record = market.desk.own_order(order_id)
        if record is None:
            return None
        current = market.windows.current
        is_new = current is None or record.claimed > current.epoch
        return record.order if is_new or market.windows.keeper.order(order_id) is not None else None

    def _cancel(self, market: MarketKernel, event: CancelRequested) -> list[Action]:
        if self._live_order(market, event.order_id) is None:
            shown = f"0x{event.order_id.hex()}"
            raise OrderError("order_id", shown, "ORD-5", f"no live order {shown} of this node")
        accept = AcceptRequest(request=event.request, order_ids=(event.order_id,))
        market.desk.outbox.add(Cancel(order_id=event.order_id), follow_ups=(accept,))
        return [Note(name="order_cancelled")]

    def _cancel_all(self, market: MarketKernel, event: CancelAllRequested) -> list[Action]:
        """One Cancel each; the answer comes with the last of them."""
        desk = market.desk
        own = desk.feeds.feed(self._identity.session)
        waiting = [
            self._digests.order(item.signed.order)
            for item in desk.outbox.waiting_items()
            if isinstance(item, OrderItem)
        ]
        known = [*(own.orders if own is not None else ()), *waiting]
        live = [
            order_id
            for order_id in sorted(known)
            if self._live_order(market, order_id) is not None and not desk.is_cancelled(order_id)
        ]
        accept = AcceptRequest(request=event.request, order_ids=tuple(live))
        if not live:
            return [accept]
        for order_id in live[:-1]:
            desk.outbox.add(Cancel(order_id=order_id))
        desk.outbox.add(Cancel(order_id=live[-1]), follow_ups=(accept,))
        return [Note(name="order_cancelled") for _ in live]


def _refusal(request: int, error: OrderError) -> RefuseRequest:
    return RefuseRequest(
        request=request, field=error.field, value=str(error.value), rule=error.rule, message=str(error)
    )
