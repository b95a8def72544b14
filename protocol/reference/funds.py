"""Which orders are paid for, and which may be matched.

Spec: protocol/spec/03-orders.md [FUND-1..4], [FUND-6], [FUND-7].
"""

from collections.abc import Iterable, Mapping, Sequence

from protocol.reference.chain import ChainView, allocation, bond, is_in_default, session_record
from protocol.reference.holds import Hold, count_lots
from protocol.reference.orders import Placed, needs_trade_scope
from protocol.reference.types import (
    BUY,
    SCOPE_TICKET,
    SCOPE_TRADE,
    Address,
    Clock,
    Digest,
    LotRange,
    Market,
    Order,
    base_amount,
    epoch_start_s,
    escrow_bond,
    quote_amount,
)

Amounts = tuple[int, int]  # of base and of quote


def need(market: Market, order: Order, price_ticks: int, lots: int) -> Amounts:
    """What an order needs for so many lots at a price; a bond is rounded up, for whoever it protects."""
    base, quote = base_amount(market, lots), quote_amount(market, price_ticks, lots)
    if order.security == 0:
        return (0, quote) if order.side == BUY else (base, 0)
    put_up = escrow_bond(quote, order.security)
    return (0, put_up) if order.side == BUY else (base, put_up)


def less(left: Amounts, taken: Amounts) -> Amounts:
    """What is left of both tokens; below zero where more was promised than there is now."""
    return left[0] - taken[0], left[1] - taken[1]


def fits(needed: Amounts, left: Amounts) -> bool:
    """Say whether both tokens suffice; of one that is not needed any amount does."""
    return all(amount == 0 or amount <= there for amount, there in zip(needed, left, strict=True))


def token_allocations(view: ChainView, market_id: Digest, market: Market, owner: Address) -> Amounts:
    """An owner's allocations of base and quote. Spec: [FUND-1]."""
    base = allocation(view, market_id, market, owner, market.base)
    return base, allocation(view, market_id, market, owner, market.quote)


def reserved_holds(
    view: ChainView, placed: Mapping[Digest, Placed], live_holds: Iterable[Hold], owner: Address
) -> list[Hold]:
    """An owner's tickets under way, once for each ticket and order. Spec: [FUND-2]."""
    settled = {trade.ticket for trade in view.trades}
    sides = {
        (hold.ticket_digest, hold.order_id): hold
        for hold in live_holds
        if hold.ticket_digest not in settled
        and placed[hold.order_id].order.owner == owner
        and not placed[hold.order_id].is_void
    }
    return list(sides.values())


def may_session_match(view: ChainView, clock: Clock, placed: Placed, epoch: int) -> bool:
    """Say whether an order's session may sign tickets for it, and may have signed it. Spec: [FUND-4], [BOOK-3]."""
    record = session_record(view, placed.order.session)
    if placed.is_session_dead or record is None or record.owner != placed.order.owner:
        return False
    scope_needed = SCOPE_TICKET | (SCOPE_TRADE if needs_trade_scope(placed.order, placed.signer) else 0)
    return record.scope & scope_needed == scope_needed and record.expiry > epoch_start_s(clock, epoch)


def may_owner_match(view: ChainView, clock: Clock, owner: Address) -> bool:
    """Say whether an owner has defaulted on nobody lately. Spec: [FUND-7]."""
    return not is_in_default(view, clock, owner)


def funded_orders(
    market_id: Digest,
    market: Market,
    view: ChainView,
    placed: Mapping[Digest, Placed],
    live_holds: Sequence[Hold],
    candidates: Mapping[Digest, list[LotRange]],
    notional_per_bond: int,
) -> set[Digest]:
    """Which orders their owners' allocations, and where they are asked for bonds, pay for. Spec: [FUND-1..3], [FUND-6].

    Args:
        market_id: The market's id.
        market: The market.
        view: The chain up to the fund block.
        placed: Every order of the market, by id.
        live_holds: The holds that are live at the fund block.
        candidates: The free lots of the live orders that may match but for funds; no other order reserves anything.
        notional_per_bond: Quote units that a micro-unit of bond answers for; 0 where no bonds are needed.
    """
    funded: set[Digest] = set()
    for owner in sorted({placed[order_id].order.owner for order_id in candidates}):
        left = token_allocations(view, market_id, market, owner)
        notional = 0
        for hold in reserved_holds(view, placed, live_holds, owner):
            lots, price_ticks = count_lots([hold.lots]), hold.ticket.price_ticks
            left = less(left, need(market, placed[hold.order_id].order, price_ticks, lots))
            notional += quote_amount(market, price_ticks, lots)
        for order_id in in_funding_order(placed, candidates, owner):
            order, lots = placed[order_id].order, count_lots(candidates[order_id])
            needed = need(market, order, order.price_ticks, lots)
            with_it = notional + quote_amount(market, order.price_ticks, lots)
            is_bonded = notional_per_bond == 0 or with_it <= notional_per_bond * bond(view, owner)
            if is_bonded and fits(needed, left):
                left, notional = less(left, needed), with_it
                funded.add(order_id)
    return funded


def in_funding_order(placed: Mapping[Digest, Placed], order_ids: Iterable[Digest], owner: Address) -> list[Digest]:
    """An owner's orders, those first that are paid for first. Spec: [FUND-3]."""
    own = [placed[order_id] for order_id in order_ids if placed[order_id].order.owner == owner]
    own.sort(key=lambda order: (order.placed_epoch, order.order.session, order.place))
    return [order.order_id for order in own]
