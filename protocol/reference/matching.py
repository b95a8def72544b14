"""Who is entitled to trade with whom: a replay of the matchable orders into an empty book.

Spec: protocol/spec/04-matching.md [MATCH-1..11].
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from protocol.reference.book import Book, BookOrder, encode_ranges
from protocol.reference.cbor import Value, encode
from protocol.reference.holds import count_lots
from protocol.reference.period import Period
from protocol.reference.signing import keccak
from protocol.reference.types import (
    BUY,
    FOK,
    IOC,
    ZERO_ADDRESS,
    Address,
    Clock,
    Digest,
    LotRange,
    Order,
    epoch_start_ms,
)

LANES = (0, 1, 2, 3)
PIECES_OF_A_FOK_MAX = 16

Skips = AbstractSet[tuple[Address, Address]]
EntryKey = tuple[int, int, bytes, Address, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a node cannot share with everyone. Spec: [MATCH-1].

    Attributes:
        effective: The effective epoch of each matchable order.
        absent: Sessions that gave no sign of life lately.
    """

    effective: Mapping[Digest, int]
    absent: AbstractSet[Address] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Lots of a maker's order that are entitled to as many lots of a taker's, at the maker's price."""

    maker_order: Digest
    taker_order: Digest
    price_ticks: int
    maker_from: int
    maker_to: int
    taker_from: int
    taker_to: int


@dataclass(slots=True, kw_only=True)
class Standing:
    """An order during the replay: what it has left of its free lots, lowest first."""

    row: BookOrder
    key: EntryKey
    left: list[LotRange]

    @property
    def order(self) -> Order:
        """The order itself."""
        return self.row.order

    @property
    def effective(self) -> int:
        """Its effective epoch."""
        return self.key[0]


def effective_epoch(clock: Clock, claimed: int, contiguous_at_ms: int, *, was_before_synced: bool) -> int:
    """The epoch in which an order counts as come, on one node. Spec: [MATCH-1].

    Args:
        clock: When epochs start.
        claimed: The epoch of the order's entry.
        contiguous_at_ms: When the entry and all before it were here.
        was_before_synced: Whether that was before this node was synced.
    """
    if was_before_synced or contiguous_at_ms <= epoch_start_ms(clock, claimed + 1) + clock.constants.grace_ms:
        return claimed
    return (contiguous_at_ms - clock.genesis_ms) // clock.constants.epoch_ms


def rank(period: Period, market: Digest, effective: int, owner: Address) -> bytes:
    """An owner's turn in an epoch, in which no one can stand twice. Spec: [MATCH-2]."""
    turn = keccak(period.beacon + effective.to_bytes(8, "big") + owner + market)
    return bytes([period.is_last(owner)]) + turn


def entering_orders(book: Book, assignment: Assignment, period: Period) -> list[Standing]:
    """The matchable orders that have come by the book's epoch, as they enter. Spec: [MATCH-1], [MATCH-3]."""
    entering = []
    for row in book.orders:
        effective, owner = assignment.effective[row.order_id], row.order.owner
        if not row.is_matchable or effective > book.epoch or row.order.session in assignment.absent:
            continue
        turn = rank(period, book.market, effective, owner)
        key = (effective, -period.tier(owner), turn, row.order.session, row.order.nonce)
        entering.append(Standing(row=row, key=key, left=list(row.free)))
    return sorted(entering, key=lambda standing: standing.key)


def in_lane(standings: Iterable[Standing], lane: int) -> list[Standing]:
    """Those of one lane, as they were. Spec: [ORD-4], [MATCH-3]."""
    return [standing for standing in standings if standing.order.security == lane]


def entitlements(
    book: Book, assignment: Assignment, period: Period, skips: Skips = frozenset(), *, parked_after: int
) -> list[Piece]:
    """Replay the orders of each lane into an empty book; nothing is remembered from earlier epochs.

    A taker of a pair that has been entitled for long without trading enters last in a second replay.
    Spec: [MATCH-3], [MATCH-11].

    Args:
        book: The book of the epoch.
        assignment: Effective epochs and absent sessions.
        period: Beacon, tiers and bonds.
        skips: Pairs of sessions, (taker, maker) or the mirror, that are not to meet.
        parked_after: The preset's `w`, in epochs.

    Returns:
        The pieces, in the order in which they arose.
    """
    pieces: list[Piece] = []
    for lane in LANES:
        entering = in_lane(entering_orders(book, assignment, period), lane)
        found = replay(entering, period, skips)
        parked = parked_takers(found, assignment, book.epoch - parked_after)
        if parked:
            fresh = in_lane(entering_orders(book, assignment, period), lane)
            last = [standing for standing in fresh if standing.row.order_id in parked]
            found = replay([standing for standing in fresh if standing not in last] + last, period, skips)
        pieces += found
    return pieces


def parked_takers(pieces: Iterable[Piece], assignment: Assignment, since: int) -> set[Digest]:
    """The takers of pieces that join two orders both older than an epoch. Spec: [MATCH-11]."""
    effective = assignment.effective
    return {
        piece.taker_order
        for piece in pieces
        if effective[piece.taker_order] < since and effective[piece.maker_order] < since
    }


def replay(entering: Iterable[Standing], period: Period, skips: Skips) -> list[Piece]:
    """Let orders enter an empty book one by one. Spec: [MATCH-4], [MATCH-9], [MATCH-10]."""
    pieces: list[Piece] = []
    resting: list[Standing] = []
    for coming in entering:
        makers = [one for one in best_first(coming, resting) if is_compatible(coming.order, one.order, period, skips)]
        if coming.order.post_only:
            if any(maker.effective == coming.effective for maker in makers):
                continue
            for taker in makers:
                pieces += fill(taker, coming)
        elif coming.order.tif != FOK or can_fill_whole(coming, makers):
            for maker in makers:
                pieces += fill(coming, maker)
        if coming.order.tif not in (IOC, FOK) and coming.left:
            resting.append(coming)
        resting = [maker for maker in resting if maker.left]
    return pieces


def can_fill_whole(taker: Standing, makers: Iterable[Standing]) -> bool:
    """Whether a FOK order would be filled to its last lot, in few enough pieces. Spec: [MATCH-10]."""
    if taker.row.free != ((0, taker.order.quantity_lots),):
        return False
    trial = Standing(row=taker.row, key=taker.key, left=list(taker.left))
    pieces = []
    for maker in makers:
        pieces += fill(trial, Standing(row=maker.row, key=maker.key, left=list(maker.left)))
    return not trial.left and len(pieces) <= PIECES_OF_A_FOK_MAX


def best_first(coming: Standing, resting: Sequence[Standing]) -> list[Standing]:
    """The resting orders within an order's limit: best price, then as they entered. Spec: [MATCH-4]."""
    direction = 1 if coming.order.side == BUY else -1
    within = [
        maker
        for maker in resting
        if maker.order.side != coming.order.side
        and direction * maker.order.price_ticks <= direction * coming.order.price_ticks
    ]
    return sorted(within, key=lambda maker: (direction * maker.order.price_ticks, priority(maker)))


def priority(standing: Standing) -> tuple[int, int, bytes, Address, int]:
    """Who goes first at one price: tier, then effective epoch, then as they would enter. Spec: [MATCH-4]."""
    effective, tier, turn, session, nonce = standing.key
    return tier, effective, turn, session, nonce


def is_compatible(one: Order, other: Order, period: Period, skips: Skips = frozenset()) -> bool:
    """Say whether two orders of opposite sides may meet. Spec: [MATCH-5]."""
    pair = (one.session, other.session)
    return (
        one.security == other.security
        and one.owner != other.owner
        and not (one.post_only and other.post_only)
        and pair not in skips
        and pair[::-1] not in skips
        and period.tier(one.owner) >= other.min_tier
        and period.tier(other.owner) >= one.min_tier
        and (one.security == 0 or agree_on_escrow(one, other))
    )


def agree_on_escrow(one: Order, other: Order) -> bool:
    """Whether there is a payment method that both list, and an arbitrator who may judge. Spec: [MATCH-5]."""
    is_payable = any(method in other.payment_methods for method in one.payment_methods)
    return is_payable and common_arbitrators(one, other) != []


def common_arbitrators(one: Order, other: Order) -> list[Address]:
    """Whom both list, as `one` prefers: neither of the two owners, nor the zero address. Spec: [MATCH-5], [TICK-1]."""
    nobody = (one.owner, other.owner, ZERO_ADDRESS)
    return [judge for judge in one.arbitrators if judge in other.arbitrators and judge not in nobody]


def fill(taker: Standing, maker: Standing) -> list[Piece]:
    """Trade what both have left, lowest first, cut where either side is not contiguous. Spec: [MATCH-4], [MATCH-6]."""
    pieces: list[Piece] = []
    to_fill = min(count_lots(taker.left), count_lots(maker.left))
    while to_fill > 0:
        taker_from, taker_end = taker.left[0]
        maker_from, maker_end = maker.left[0]
        lots = min(to_fill, taker_end - taker_from, maker_end - maker_from)
        pieces.append(
            Piece(
                maker_order=maker.row.order_id,
                taker_order=taker.row.order_id,
                price_ticks=maker.row.order.price_ticks,
                maker_from=maker_from,
                maker_to=maker_from + lots,
                taker_from=taker_from,
                taker_to=taker_from + lots,
            )
        )
        use_lots(taker, lots)
        use_lots(maker, lots)
        to_fill -= lots
    return pieces


def use_lots(standing: Standing, lots: int) -> None:
    """Take lots from the front of an order's lowest range."""
    first, second = standing.left.pop(0)
    if first + lots < second:
        standing.left.insert(0, (first + lots, second))


def crossing_orders(book: Book, assignment: Assignment, period: Period) -> list[BookOrder]:
    """In each lane the bids at or above the best ask and the asks at or below the best bid, by id. Spec: [MATCH-7]."""
    crossing: list[BookOrder] = []
    for lane in LANES:
        rows = [standing.row for standing in in_lane(entering_orders(book, assignment, period), lane)]
        bids = [row.order.price_ticks for row in rows if row.order.side == BUY]
        asks = [row.order.price_ticks for row in rows if row.order.side != BUY]
        if bids and asks:
            crossing += [
                row
                for row in rows
                if (row.order.price_ticks >= min(asks) if row.order.side == BUY else row.order.price_ticks <= max(bids))
            ]
    return sorted(crossing, key=lambda row: row.order_id)


def window_digest(book: Book, assignment: Assignment, period: Period) -> Digest:
    """What two nodes compare before they sign. Spec: [MATCH-8]."""
    rows: list[Value] = [
        [row.order_id, encode_ranges(row.free), assignment.effective[row.order_id], period.tier(row.order.owner)]
        for row in crossing_orders(book, assignment, period)
    ]
    return keccak(encode([book.market, book.epoch, book.block.hash, period.beacon, rows]))
