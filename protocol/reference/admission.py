"""First admission: an order that its owner could not pay for when it was placed is void.

An owner's items are read in one order, whatever feeds they stand in; what each order meets is what came before it.
Spec: protocol/spec/03-orders.md [FUND-5], [FUND-8], [ORD-7].
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from protocol.reference.chain import Block, ChainView, view_at_fund_block
from protocol.reference.checkpoints import base_epochs
from protocol.reference.feeds import CANCEL, OFFER, ORDER, TICKET, Entry, Feed
from protocol.reference.funds import Amounts, fits, less, need, token_allocations
from protocol.reference.holds import Hold, count_lots, free_lots, holds_of_offer, holds_of_ticket_item, is_live_hold
from protocol.reference.orders import Placed, counted_entries, has_ended
from protocol.reference.types import Address, Clock, Digest, Domain, Market

LIVE_ORDERS_MAX = 100


@dataclass(slots=True, kw_only=True)
class Told:
    """What an owner's items so far come to: its admitted orders, which of them are cancelled, and their tickets."""

    admitted: dict[Digest, Placed] = field(default_factory=dict)
    cancelled: list[Digest] = field(default_factory=list)
    tickets: dict[tuple[Digest, Digest], Hold] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a market's book is computed in."""

    domain: Domain
    market_id: Digest
    market: Market
    clock: Clock
    blocks: Sequence[Block]


def admit_orders(
    setting: Setting, feeds: Iterable[Feed], placed: Mapping[Digest, Placed], epoch: int
) -> dict[Digest, Placed]:
    """The same orders, with those void that are not admitted. Spec: [FUND-5]."""
    standing = [feed for feed in feeds if feed.standing]
    admitted: dict[Digest, Placed] = {}
    for owner in sorted({feed.standing[0].owner for feed in standing}):
        items = items_of_owner(standing, owner, epoch, base_epochs(standing).get(owner, 0))
        admitted |= admitted_orders(setting, items, placed)
    return {
        order_id: replace(order, is_void=order.is_void or order_id not in admitted)
        for order_id, order in placed.items()
    }


def items_of_owner(feeds: Iterable[Feed], owner: Address, epoch: int, base_epoch: int = 0) -> list[tuple[Entry, int]]:
    """Where an owner's items stand, in (placed epoch, session, seq, index) order. Spec: [FUND-8]."""
    items = [
        (entry, index)
        for feed in feeds
        if feed.standing[0].owner == owner
        for entry in counted_entries(feed, epoch)
        for index in range(len(entry.items))
    ]
    return sorted(items, key=lambda item: (max(base_epoch, item[0].epoch), item[0].session, item[0].seq, item[1]))


def admitted_orders(
    setting: Setting, items: Iterable[tuple[Entry, int]], placed: Mapping[Digest, Placed]
) -> dict[Digest, Placed]:
    """Which of an owner's orders are admitted; each is judged by the items before it. Spec: [FUND-5]."""
    by_place = {(order.order.session, order.place): order for order in placed.values()}
    told = Told()
    for entry, index in items:
        item = entry.items[index]
        if item[0] == ORDER:
            order = by_place.get((entry.session, (entry.seq, index)))
            is_good = order is not None and not order.is_void
            if order is not None and is_good and (order.is_ended or is_admitted(setting, told, order)):
                told.admitted[order.order_id] = order
        elif item[0] == CANCEL:
            named = told.admitted.get(item[1])
            if named is not None and named.order.session == entry.session:
                told.cancelled.append(named.order_id)
        elif item[0] in (OFFER, TICKET):
            for hold in own_hold(setting, entry, index, told):
                told.tickets[hold.order_id, hold.ticket_digest] = hold
    return told.admitted


def own_hold(setting: Setting, entry: Entry, index: int, told: Told) -> list[Hold]:
    """What an Offer or TicketItem holds of its own feed's order, if it counts. Spec: [HOLD-1], [HOLD-2]."""
    if entry.items[index][0] == OFFER:
        holds = holds_of_offer(setting.domain, setting.clock, entry, index, told.admitted)
    else:
        holds = holds_of_ticket_item(setting.domain, setting.clock, entry, index, told.admitted, is_session_dead=False)
    return holds[:1]


def is_admitted(setting: Setting, told: Told, order: Placed) -> bool:
    """Say whether an order's whole quantity is paid for besides what its owner had said before. Spec: [FUND-5]."""
    market, owner = setting.market, order.order.owner
    view = view_at_fund_block(setting.blocks, setting.clock, order.placed_epoch)
    if view is None:
        return False
    open_orders = {
        earlier.order_id: earlier
        for earlier in told.admitted.values()
        if is_open(setting.clock, view, told, earlier, order.placed_epoch)
    }
    if len(open_orders) >= LIVE_ORDERS_MAX:
        return False
    left = token_allocations(view, setting.market_id, market, owner)
    for earlier in open_orders.values():
        left = less(left, need(market, earlier.order, earlier.order.price_ticks, unsettled_lots(view, earlier)))
    for hold in told.tickets.values():
        if hold.order_id not in open_orders and is_ticket_under_way(view, hold):
            left = less(left, need_of_ticket(market, told.admitted[hold.order_id], hold))
    return fits(need(market, order.order, order.order.price_ticks, order.order.quantity_lots), left)


def is_open(clock: Clock, view: ChainView, told: Told, order: Placed, epoch: int) -> bool:
    """Say whether an earlier order could still trade by what was said and settled then. Spec: [FUND-5]."""
    is_over = order.is_ended or order.order_id in told.cancelled or has_ended(clock, order, epoch)
    return not is_over and unsettled_lots(view, order) > 0


def unsettled_lots(view: ChainView, order: Placed) -> int:
    """How many lots of an order no trade has settled; a lot counts once."""
    return count_lots(free_lots(view, order, ()))


def is_ticket_under_way(view: ChainView, hold: Hold) -> bool:
    """Say whether a ticket may still settle. Spec: [FUND-5]."""
    return is_live_hold(view, hold) and all(trade.ticket != hold.ticket_digest for trade in view.trades)


def need_of_ticket(market: Market, order: Placed, hold: Hold) -> Amounts:
    """What a ticket may still take from an order's owner. Spec: [FUND-2], [FUND-5]."""
    return need(market, order.order, hold.ticket.price_ticks, count_lots([hold.lots]))
