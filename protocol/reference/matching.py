"""Who is entitled to trade with whom: a replay of the matchable orders into an empty book.

Spec: protocol/spec/04-matching.md.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from protocol.reference.book import Book, BookOrder, encode_ranges
from protocol.reference.cbor import Value, encode
from protocol.reference.holds import count_lots
from protocol.reference.signing import keccak
from protocol.reference.types import BUY, GTC, Address, Clock, Digest, LotRange, epoch_start_ms

TIER = 0

Assignment = Mapping[Digest, int]
Skips = AbstractSet[tuple[Address, Address]]
EntryKey = tuple[int, int, Digest, Address, int]


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


def beacon(market: Digest) -> Digest:
    """The number that nobody chose, for now the keccak of the market's id. Spec: [MATCH-2]."""
    return keccak(market)


def rank(market: Digest, effective: int, owner: Address) -> Digest:
    """An owner's turn in an epoch, in which no one can stand twice. Spec: [MATCH-2]."""
    return keccak(beacon(market) + effective.to_bytes(8, "big") + owner + market)


def entry_key(book: Book, row: BookOrder, effective: int) -> EntryKey:
    """By what orders enter: effective epoch, tier descending, rank, session, nonce. Spec: [MATCH-3]."""
    return effective, -TIER, rank(book.market, effective, row.order.owner), row.order.session, row.order.nonce


def entering_orders(book: Book, assignment: Assignment) -> list[Standing]:
    """The matchable orders that have come by the book's epoch, as they enter. Spec: [MATCH-1], [MATCH-3]."""
    entering = [
        Standing(row=row, key=entry_key(book, row, assignment[row.order_id]), left=list(row.free))
        for row in book.orders
        if row.is_matchable and assignment[row.order_id] <= book.epoch
    ]
    return sorted(entering, key=lambda standing: standing.key)


def entitlements(book: Book, assignment: Assignment, skips: Skips = frozenset()) -> list[Piece]:
    """Replay the orders into an empty book; nothing is remembered from earlier epochs. Spec: [MATCH-3..6].

    Args:
        book: The book of the epoch.
        assignment: The effective epoch of each matchable order.
        skips: Pairs of sessions, (taker, maker) or the mirror, that are not to meet.

    Returns:
        The pieces, in the order in which they arose.
    """
    pieces: list[Piece] = []
    resting: list[Standing] = []
    for taker in entering_orders(book, assignment):
        for maker in best_first(taker, resting):
            if is_compatible(taker, maker, skips):
                pieces += fill(taker, maker)
        if taker.row.order.tif == GTC and taker.left:
            resting.append(taker)
        resting = [maker for maker in resting if maker.left]
    return pieces


def best_first(taker: Standing, resting: Sequence[Standing]) -> list[Standing]:
    """The resting orders within a taker's limit: best price, then as they would enter. Spec: [MATCH-4]."""
    is_buy = taker.row.order.side == BUY
    direction = 1 if is_buy else -1
    within = [
        maker
        for maker in resting
        if maker.row.order.side != taker.row.order.side
        and direction * maker.row.order.price_ticks <= direction * taker.row.order.price_ticks
    ]
    priced = [
        ((direction * maker.row.order.price_ticks, -TIER, maker.key[0], *maker.key[2:]), maker) for maker in within
    ]
    return [maker for _, maker in sorted(priced, key=lambda pair: pair[0])]


def is_compatible(taker: Standing, maker: Standing, skips: Skips) -> bool:
    """Say whether two orders may meet: other owners, no skip either way. Spec: [MATCH-5]."""
    pair = (taker.row.order.session, maker.row.order.session)
    return taker.row.order.owner != maker.row.order.owner and pair not in skips and pair[::-1] not in skips


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


def crossing_orders(book: Book, assignment: Assignment) -> list[BookOrder]:
    """The bids at or above the best ask and the asks at or below the best bid, by id. Spec: [MATCH-7]."""
    rows = [standing.row for standing in entering_orders(book, assignment)]
    bids = [row.order.price_ticks for row in rows if row.order.side == BUY]
    asks = [row.order.price_ticks for row in rows if row.order.side != BUY]
    if not bids or not asks:
        return []
    crossing = [
        row
        for row in rows
        if (row.order.price_ticks >= min(asks) if row.order.side == BUY else row.order.price_ticks <= max(bids))
    ]
    return sorted(crossing, key=lambda row: row.order_id)


def window_digest(book: Book, assignment: Assignment) -> Digest:
    """What two nodes compare before they sign. Spec: [MATCH-8]."""
    rows: list[Value] = [
        [row.order_id, encode_ranges(row.free), assignment[row.order_id], TIER]
        for row in crossing_orders(book, assignment)
    ]
    return keccak(encode([book.market, book.epoch, book.block.hash, beacon(book.market), rows]))
