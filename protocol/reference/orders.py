"""Which orders stand: from feeds to orders that are void, cancelled, expired or live.

Spec: protocol/spec/03-orders.md [BOOK-2], [ORD-1..7].
"""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.reference.feeds import CANCEL, ORDER, Entry, Feed
from protocol.reference.signing import digest, recover
from protocol.reference.types import (
    DAY,
    FOK,
    GTC,
    GTD,
    IOC,
    LIMIT,
    PROTECTED_MARKET,
    Address,
    Clock,
    Digest,
    Domain,
    Market,
    Order,
    epoch_start_s,
)

SECONDS_A_DAY = 86_400
TIER_MAX = 3
LANE_MAX = 3
LISTED_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An Order item that is an order of its feed, and where it stands.

    Attributes:
        claimed_epoch: The epoch of its entry.
        placed_epoch: That, or the owner's newest base's if it is later. Spec: [FUND-8].
        place: Its (seq, index).
        signer: Whom its signature recovers to.
        is_void: By [ORD-1..4], and by [FUND-5] once admission has spoken.
        is_cancelled: By a later Cancel of its feed.
        is_session_dead: Whether its session forked in this market; then it is void.
        is_ended: Whether a base lists it for its tickets alone.
    """

    order_id: Digest
    order: Order
    claimed_epoch: int
    place: tuple[int, int]
    signer: Address | None
    is_void: bool
    is_cancelled: bool
    is_session_dead: bool
    placed_epoch: int = 0
    is_ended: bool = False


def counted_entries(feed: Feed, epoch: int) -> list[Entry]:
    """The entries of a feed that count for an epoch: those that stand and do not claim a later one. Spec: [BOOK-2]."""
    return [entry for entry in feed.standing if entry.epoch <= epoch]


def orders_of(domain: Domain, clock: Clock, market: Market, feed: Feed, epoch: int) -> list[Placed]:
    """The orders of a feed, void ones included; an id is its first item's. Spec: [ORD-1..5].

    An Order item whose market, owner or session is not its entry's is nobody's order: it is void and nothing can hold
    it, so that nobody can hold the lots of another's order by repeating it. What a base lists stood where it was said.
    """
    placed: list[Placed] = []
    highest_nonce = -1
    for entry in counted_entries(feed, epoch):
        highest_nonce = entry.listing.next_nonce - 1 if entry.listing is not None else highest_nonce
        for index, item in enumerate(entry.items):
            if item[0] != ORDER:
                continue
            order, signature = order_from(item[1]), item[2]
            is_ended = entry.listing is not None and index < entry.listing.ended
            is_next_nonce = order.nonce > highest_nonce
            highest_nonce = max(highest_nonce, order.nonce)
            if (order.market, order.owner, order.session) != (entry.market, entry.owner, entry.session):
                continue
            order_id = digest(domain, "Order", order)
            if any(order_id == earlier.order_id for earlier in placed):
                continue
            signer = recover(order_id, signature)
            stood = entry.listing is not None or (is_next_nonce and is_tradable(clock, market, order, entry.epoch))
            placed.append(
                Placed(
                    order_id=order_id,
                    order=order,
                    claimed_epoch=entry.epoch,
                    place=(entry.seq, index),
                    signer=signer,
                    is_void=not stood or not is_signed_well(order, signer) or feed.is_dead,
                    is_cancelled=is_ended or is_cancelled(feed, epoch, order_id, (entry.seq, index)),
                    is_session_dead=feed.is_dead,
                    placed_epoch=entry.epoch,
                    is_ended=is_ended,
                )
            )
    return placed


def order_from(fields: Sequence[object]) -> Order:
    """The Order that a nested array of the wire says."""
    named = dict(zip(Order.__dataclass_fields__, fields, strict=True))
    lists = {name: tuple(value) for name, value in named.items() if isinstance(value, list)}
    return Order(**(named | lists))  # type: ignore[arg-type]


def is_tradable(clock: Clock, market: Market, order: Order, claimed_epoch: int) -> bool:
    """Say whether an order's terms are ones that the rules know. Spec: [ORD-1], [ORD-3], [ORD-4]."""
    is_day_good = order.tif != DAY or ends_with_its_day(clock, order, claimed_epoch)
    return is_day_good and has_tradable_form(market, order)


def has_tradable_form(market: Market, order: Order) -> bool:
    """Say whether an order's terms are such in any claimed epoch. Spec: [ORD-1], [ORD-3], [ORD-4]."""
    return (
        order.price_ticks >= 1
        and order.quantity_lots >= 1
        and order.quantity_lots >= market.min_fill_lots
        and order.min_tier <= TIER_MAX
        and has_good_form(order)
        and has_good_lane(order)
    )


def has_good_form(order: Order) -> bool:
    """Say whether kind, time in force, post-only and expiry go together. Spec: [ORD-3]."""
    if order.kind == PROTECTED_MARKET:
        return order.tif in (IOC, FOK) and order.expiry != 0 and not order.post_only
    if order.kind != LIMIT or order.tif not in (GTC, IOC, FOK, DAY, GTD):
        return False
    if order.tif in (IOC, FOK) and order.post_only:
        return False
    return order.tif == GTC or order.expiry != 0


def ends_with_its_day(clock: Clock, order: Order, claimed_epoch: int) -> bool:
    """Say whether an order ends at the first 00:00 UTC after its epoch's start. Spec: [ORD-3]."""
    life_s = order.expiry - epoch_start_s(clock, claimed_epoch)
    return order.expiry % SECONDS_A_DAY == 0 and 0 < life_s <= SECONDS_A_DAY


def has_good_lane(order: Order) -> bool:
    """Say whether an order has all that its lane asks for, and nothing else. Spec: [ORD-4]."""
    listed = (len(order.payment_methods), len(order.arbitrators))
    if order.security == 0:
        return listed == (0, 0)
    return order.security <= LANE_MAX and order.tif != FOK and all(1 <= count <= LISTED_MAX for count in listed)


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


def has_ended(clock: Clock, placed: Placed, epoch: int) -> bool:
    """Say whether an order is expired, or an IOC or FOK past its time. Spec: [ORD-6]."""
    order = placed.order
    is_expired = order.expiry != 0 and epoch_start_s(clock, epoch) >= order.expiry
    return is_expired or (order.tif in (IOC, FOK) and epoch >= placed.claimed_epoch + clock.constants.k)


def is_live(clock: Clock, placed: Placed, epoch: int, *, has_free_lots: bool) -> bool:
    """Say whether an order is live in an epoch. Spec: [ORD-6]."""
    return not (placed.is_void or placed.is_cancelled or has_ended(clock, placed, epoch)) and has_free_lots
