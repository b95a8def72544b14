"""Which orders are paid for, and which may be matched.

Spec: protocol/spec/03-orders.md [FUND-1..4].
"""

from collections.abc import Iterable, Mapping, Sequence

from protocol.reference.chain import ChainView, allocation, session_record
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
    base_amount,
    epoch_start_s,
    quote_amount,
)


def funding_token(market: Market, placed: Placed) -> Address:
    """The token an order gives: a buy gives quote, a sell gives base."""
    return market.quote if placed.order.side == BUY else market.base


def amount_needed(market: Market, placed: Placed, price_ticks: int, lots: int) -> int:
    """What an order gives for so many lots at a price, in its funding token."""
    return quote_amount(market, price_ticks, lots) if placed.order.side == BUY else base_amount(market, lots)


def reserved_for_tickets(
    market: Market,
    view: ChainView,
    placed: Mapping[Digest, Placed],
    live_holds: Iterable[Hold],
    owner: Address,
    token: Address,
) -> int:
    """What an owner's tickets under way may still take; a ticket once as buyer, once as seller. Spec: [FUND-2]."""
    settled = {trade.ticket for trade in view.trades}
    sides = {
        (hold.ticket_digest, placed[hold.order_id].order.side): hold
        for hold in live_holds
        if hold.ticket_digest not in settled
        and placed[hold.order_id].order.owner == owner
        and not placed[hold.order_id].is_void
    }
    return sum(
        amount_needed(
            market, placed[hold.order_id], hold.ticket.price_ticks, hold.ticket.maker_to - hold.ticket.maker_from
        )
        for hold in sides.values()
        if funding_token(market, placed[hold.order_id]) == token
    )


def may_session_match(view: ChainView, clock: Clock, placed: Placed, epoch: int) -> bool:
    """Say whether an order's session may sign tickets for it, and may have signed it. Spec: [FUND-4], [BOOK-3]."""
    record = session_record(view, placed.order.session)
    if placed.is_session_dead or record is None or record.owner != placed.order.owner:
        return False
    scope_needed = SCOPE_TICKET | (SCOPE_TRADE if needs_trade_scope(placed.order, placed.signer) else 0)
    return record.scope & scope_needed == scope_needed and record.expiry > epoch_start_s(clock, epoch)


def funded_orders(
    market_id: Digest,
    market: Market,
    view: ChainView,
    placed: Mapping[Digest, Placed],
    live_holds: Sequence[Hold],
    candidates: Mapping[Digest, list[LotRange]],
) -> set[Digest]:
    """Which orders their owners' allocations pay for. Spec: [FUND-1..3].

    Args:
        market_id: The market's id.
        market: The market.
        view: The chain up to the fund block.
        placed: Every order of the market, by id.
        live_holds: The holds that are live at the fund block.
        candidates: The free lots of the live orders whose sessions may match; no other order reserves anything.
    """
    funded: set[Digest] = set()
    left: dict[tuple[Address, Address], int] = {}
    by_place = sorted(
        candidates,
        key=lambda order_id: (placed[order_id].claimed_epoch, placed[order_id].order.session, placed[order_id].place),
    )
    for order_id in by_place:
        order = placed[order_id].order
        token = funding_token(market, placed[order_id])
        purse = (order.owner, token)
        if purse not in left:
            allocated = allocation(view, market_id, market, order.owner, token)
            left[purse] = allocated - reserved_for_tickets(market, view, placed, live_holds, order.owner, token)
        need = amount_needed(market, placed[order_id], order.price_ticks, count_lots(candidates[order_id]))
        if need <= left[purse]:
            left[purse] -= need
            funded.add(order_id)
    return funded
