"""Whether an own order would be paid for: now, and when every node asks at its first admission.

Spec: protocol/spec/03-orders.md [FUND-3, FUND-5].
"""

from collections.abc import Iterable

from orrange_p2p.core.admission import MAX_LIVE_ORDERS
from orrange_p2p.core.book import BookKeeper, compute_owner_view
from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.needs import Amounts, compute_need, escrow_bond
from orrange_p2p.core.ranges import total
from orrange_p2p.core.types import Address, Epoch, Market, Order, OrderId, Side
from orrange_p2p.errors import OrderError


def bond_beyond_limit(market: Market, order: Order, price_ticks: int, lots: int) -> int:
    """What a seller's bond by escrow costs more at a better price than its order's limit, for which it was reserved."""
    if order.side is Side.BUY or not order.security:
        return 0
    asked = escrow_bond(market.quote_amount(price_ticks, lots), order.security)
    reserved = escrow_bond(market.quote_amount(order.price_ticks, lots), order.security)
    return max(0, asked - reserved)


class OwnFunds:
    """What the own owner's allocation to a market has left."""

    def __init__(self, feeds: Feeds, ledger: Ledger, keeper: BookKeeper) -> None:
        self._feeds = feeds
        self._ledger = ledger
        self._keeper = keeper
        self._rules = feeds.rules

    def check(
        self, order: Order, now_ms: int, waiting: Iterable[Order] = (), cancelled: tuple[OrderId, ...] = ()
    ) -> None:
        """Refuse an order that could not trade, or that every node would find void. Spec: [FUND-3, FUND-5].

        Args:
            order: The order that would come next.
            now_ms: The time.
            waiting: Own orders that are signed and come before it.
            cancelled: Own orders whose Cancel comes before it.

        Raises:
            OrderError: it is not paid for, or too many orders are open; the owner can do something about it.
        """
        last = self._ledger.last_block
        if last is None:
            return
        epoch = self._rules.epoch_at(now_ms)
        before = list(waiting)
        needed = self._need(order, order.quantity_lots)
        view = compute_owner_view(
            self._feeds, self._ledger, order.owner, epoch, last, admissions=self._keeper.admissions
        )
        left = Amounts(view.unreserved_base, view.unreserved_quote)
        for row in view.orders:
            if row.is_matchable and row.order_id in cancelled:
                left = left.plus(self._need(row.order, total(row.free)))
        left = self._less(left, before)
        if not left.covers(needed):
            advice = "allocate more in the vault or cancel an order"
            raise _unfunded(order, needed, left, "FUND-3", f"of the allocation to this market are free; {advice}")
        room = self._keeper.admissions.compute_room(order.owner, epoch, cancelled)
        if room.open_count + len(before) >= MAX_LIVE_ORDERS:
            message = f"expected fewer than {MAX_LIVE_ORDERS} open orders in a market; cancel one first"
            raise OrderError("order", room.open_count + len(before), "FUND-5", message)
        left = self._less(room.left, before)
        if not left.covers(needed):
            said = f"count at its first admission; {self._advise(order, epoch)}"
            raise _unfunded(order, needed, left, "FUND-5", said)

    def covers_bond(self, owner: Address, epoch: Epoch, more: int) -> bool:
        """Whether quote that nothing reserves pays for so much more of a bond. Spec: [TICK-2]."""
        last = self._ledger.last_block
        if last is None:
            return False
        view = compute_owner_view(self._feeds, self._ledger, owner, epoch, last, admissions=self._keeper.admissions)
        return more <= view.unreserved_quote

    def _need(self, order: Order, lots: int) -> Amounts:
        return compute_need(self._rules.market, order, order.price_ticks, lots)

    def _less(self, left: Amounts, before: Iterable[Order]) -> Amounts:
        for other in before:
            left = left.less(self._need(other, other.quantity_lots))
        return left

    def _advise(self, order: Order, epoch: Epoch) -> str:
        """How long until what came last to the allocation counts, if that is what is amiss."""
        rules = self._rules
        changed = self._ledger.last_change(order.owner, rules.market_id)
        lag_s = rules.preset.fund_lag_s
        wait_s = (changed.time_s if changed is not None else 0) + lag_s - rules.epoch_start_s(epoch)
        if wait_s <= 0:
            return "allocate more in the vault or cancel an order"
        return f"what the vault allocated last counts after {lag_s} s: try again in {wait_s} s"


def _unfunded(order: Order, needed: Amounts, left: Amounts, rule: str, said: str) -> OrderError:
    token = "base" if needed.base and needed.base > left.base else "quote"
    amount, there = getattr(needed, token), max(getattr(left, token), 0)
    message = f"unfunded: the order needs {amount} {token} units, {there} {said}"
    return OrderError("quantity_lots", order.quantity_lots, rule, message)
