"""Which orders stand: from feeds to orders that are void, cancelled, expired or live.

Spec: protocol/spec/03-orders.md [BOOK-2], [ORD-1..6].
"""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.reference.feeds import CANCEL, ORDER, Entry, Feed
from protocol.reference.signing import digest, recover
from protocol.reference.types import (
    GTC,
    IOC,
    LIMIT,
    Address,
    Clock,
    Digest,
    Domain,
    Market,
    Order,
    epoch_start_s,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An Order item that is an order of its feed, and where it stands.

    Attributes:
        claimed_epoch: The epoch of its entry.
        place: Its (seq, index).
        signer: Whom its signature recovers to.
        is_void: By [ORD-1..4]; a void order can still have lots held.
        is_cancelled: By a later Cancel of its feed.
        is_session_dead: Whether its session forked in this market.
    """

    order_id: Digest
    order: Order
    claimed_epoch: int
    place: tuple[int, int]
    signer: Address | None
    is_void: bool
    is_cancelled: bool
    is_session_dead: bool


def counted_entries(feed: Feed, epoch: int) -> list[Entry]:
    """The entries of a feed that count for an epoch: those that stand and do not claim a later one. Spec: [BOOK-2]."""
    return [entry for entry in feed.standing if entry.epoch <= epoch]


def orders_of(domain: Domain, market: Market, feed: Feed, epoch: int) -> list[Placed]:
    """The orders of a feed, void ones included; an id is its first item's. Spec: [ORD-1..5].

    An Order item whose market, owner or session is not its entry's is nobody's order: it is void and nothing can hold
    it, so that nobody can hold the lots of another's order by repeating it.
    """
    placed: list[Placed] = []
    highest_nonce = -1
    for entry in counted_entries(feed, epoch):
        for index, item in enumerate(entry.items):
            if item[0] != ORDER:
                continue
            order, signature = order_from(item[1]), item[2]
            is_next_nonce = order.nonce > highest_nonce
            highest_nonce = max(highest_nonce, order.nonce)
            if (order.market, order.owner, order.session) != (entry.market, entry.owner, entry.session):
                continue
            order_id = digest(domain, "Order", order)
            if any(order_id == earlier.order_id for earlier in placed):
                continue
            signer = recover(order_id, signature)
            is_good = is_next_nonce and is_tradable(market, order) and is_signed_well(order, signer)
            placed.append(
                Placed(
                    order_id=order_id,
                    order=order,
                    claimed_epoch=entry.epoch,
                    place=(entry.seq, index),
                    signer=signer,
                    is_void=not is_good,
                    is_cancelled=is_cancelled(feed, epoch, order_id, (entry.seq, index)),
                    is_session_dead=feed.is_dead,
                )
            )
    return placed


def order_from(fields: Sequence[object]) -> Order:
    """The Order that a nested array of the wire says."""
    named = dict(zip(Order.__dataclass_fields__, fields, strict=True))
    lists = {name: tuple(value) for name, value in named.items() if isinstance(value, list)}
    return Order(**(named | lists))  # type: ignore[arg-type]


def is_tradable(market: Market, order: Order) -> bool:
    """Say whether an order's terms are within the market's and this version's. Spec: [ORD-1], [ORD-3], [ORD-4]."""
    return (
        order.price_ticks >= 1
        and order.quantity_lots >= 1
        and order.quantity_lots >= market.min_fill_lots
        and order.kind == LIMIT
        and order.tif in (GTC, IOC)
        and not order.post_only
        and order.min_tier == 0
        and order.payment_methods == ()
        and order.arbitrators == ()
        and order.security == 0
        and not (order.tif == IOC and order.expiry == 0)
    )


def is_signed_well(order: Order, signer: Address | None) -> bool:
    """Say whether the owner or the session signed; whether the session may is [FUND-4]'s. Spec: [ORD-2]."""
    return signer is not None and signer in (order.owner, order.session)


def needs_trade_scope(order: Order, signer: Address | None) -> bool:
    """Say whether it was the session, and not the owner, who signed. Spec: [ORD-2]."""
    return signer != order.owner


def is_cancelled(feed: Feed, epoch: int, order_id: Digest, place: tuple[int, int]) -> bool:
    """Say whether a Cancel that stands after an order names it. Spec: [ORD-5]."""
    return any(
        item[0] == CANCEL and item[1] == order_id and (entry.seq, index) > place
        for entry in counted_entries(feed, epoch)
        for index, item in enumerate(entry.items)
    )


def is_live(clock: Clock, placed: Placed, epoch: int, *, has_free_lots: bool) -> bool:
    """Say whether an order is live in an epoch. Spec: [ORD-6]."""
    order = placed.order
    is_expired = order.expiry != 0 and epoch_start_s(clock, epoch) >= order.expiry
    is_spent_ioc = order.tif == IOC and epoch >= placed.claimed_epoch + clock.constants.k
    return not (placed.is_void or placed.is_cancelled or is_expired or is_spent_ioc) and has_free_lots
