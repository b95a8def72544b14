"""Who is entitled to trade with whom, from the book, the assignment and nothing remembered.

The engine keeps the matchable orders of both sides sorted; what an epoch changes costs a merge, and the replay sees
only orders that cross.
Spec: protocol/spec/04-matching.md.
"""

from collections.abc import Iterable, Iterator, Mapping

from orrange_p2p.core import cbor
from orrange_p2p.core.book import Book, BookOrder
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.lanes import agree_on_escrow
from orrange_p2p.core.period import Period, first_period
from orrange_p2p.core.replay import NO_SKIPS, Piece, Replay, Skips
from orrange_p2p.core.slots import LANES, HalfBook, Slot
from orrange_p2p.core.types import Address, Digest, Epoch, MarketId, Order, OrderId, Side

__all__ = [
    "NO_SKIPS",
    "Engine",
    "Piece",
    "Skips",
    "build_engine",
    "entitlements",
    "first_period",
    "is_compatible",
    "window_digest",
]

_LAST = b"\xff"  # before an entry key: after every other
Lane = tuple[HalfBook, HalfBook]


class Engine:
    """The matchable orders of one market, sorted, changed epoch by epoch within one period.

    `parked_before` is the epoch before which two orders that are entitled to each other have stood for too long
    without trading; 0 parks nobody. Spec: [MATCH-11].
    """

    def __init__(self, market_id: MarketId, period: Period) -> None:
        self._market_id = market_id
        self._period = period
        self._slots: dict[OrderId, Slot] = {}
        self._lanes: tuple[Lane, ...] = tuple((HalfBook(Side.BUY), HalfBook(Side.SELL)) for _ in range(LANES))
        self._ranks: dict[tuple[Epoch, Address], bytes] = {}
        self.parked_before = 0

    def __len__(self) -> int:
        """Orders in the engine."""
        return len(self._slots)

    def apply(self, removed: Iterable[OrderId], changed: Iterable[tuple[BookOrder, Epoch]]) -> None:
        """Take orders out, then put orders in or update them; each changed order comes with its effective epoch.

        A changed order that is not matchable is taken out.
        """
        for order_id in removed:
            self._take_out(order_id)
        for book_order, effective in changed:
            slot = self._slots.get(book_order.order_id)
            if not book_order.is_matchable:
                self._take_out(book_order.order_id)
            elif slot is not None and slot.effective == effective:
                slot.set_free(book_order.free)
            else:
                self._take_out(book_order.order_id)
                self._put_in(book_order, effective)
        for lane in self._lanes:
            for half in lane:
                half.merge()

    def _take_out(self, order_id: OrderId) -> None:
        slot = self._slots.pop(order_id, None)
        if slot is not None:
            self._lanes[slot.lane][slot.side].take_out(slot)

    def _put_in(self, book_order: BookOrder, effective: Epoch) -> None:
        owner = book_order.order.owner
        who = (effective, owner)
        rank = self._ranks.get(who)
        if rank is None:
            rank = self._ranks[who] = self._period.rank(effective, owner, self._market_id)
            if len(self._ranks) > 4 * len(self._slots) + 1024:
                self._ranks = {who: rank}
        slot = Slot(book_order, effective, rank, self._period.tier(owner))
        self._slots[slot.order_id] = slot
        self._lanes[slot.lane][slot.side].put_in(slot)

    def side(self, side: Side, lane: int = 0) -> Iterator[Slot]:
        """All orders of a side of a lane, best first."""
        half = self._lanes[lane][side]
        return (half[at] for at in range(len(half)))

    def crossing(self) -> tuple[list[Slot], list[Slot]]:
        """Bids at or above the best ask of their lane, asks at or below the best bid. Spec: [MATCH-7]."""
        bids: list[Slot] = []
        asks: list[Slot] = []
        for lane in self._lanes:
            bid_count, ask_count = _crossing_counts(lane)
            bids += lane[Side.BUY].best(bid_count)
            asks += lane[Side.SELL].best(ask_count)
        return bids, asks

    def entitlements(self, skips: Skips = NO_SKIPS) -> tuple[Piece, ...]:
        """The pairs that may sign a ticket, lane by lane, in the order in which they arise.

        Spec: [MATCH-3..6, MATCH-9..11].
        """
        pieces: list[Piece] = []
        for lane in self._lanes:
            found = _replay(lane, skips)
            parked = self._parked_takers(found)
            if parked:
                found = _replay_with_last(lane, skips, parked)
            pieces += found
        return tuple(pieces)

    def _parked_takers(self, pieces: Iterable[Piece]) -> list[Slot]:
        """Takers that have stood entitled to as old a maker for too long. Spec: [MATCH-11]."""
        if not self.parked_before:
            return []
        parked: dict[OrderId, Slot] = {}
        for piece in pieces:
            taker, maker = self._slots[piece.taker_order], self._slots[piece.maker_order]
            if taker.effective < self.parked_before and maker.effective < self.parked_before:
                parked[taker.order_id] = taker
        return list(parked.values())

    def window_digest(self, epoch: Epoch, block_hash: Digest) -> Digest:
        """What two nodes compare before they sign. Spec: [MATCH-8]."""
        bids, asks = self.crossing()
        rows = cbor.encode_array(sorted([slot.row() for slot in bids] + [slot.row() for slot in asks]))
        head = [cbor.encode(part) for part in (self._market_id, epoch, block_hash, self._period.beacon)]
        return keccak256(cbor.encode_array([*head, rows]))


def _crossing_counts(lane: Lane) -> tuple[int, int]:
    """How many bids are at or above the best ask, how many asks at or below the best bid."""
    bids, asks = lane
    if not len(bids) or not len(asks):
        return 0, 0
    return bids.reach(asks[0].price_ticks), asks.reach(bids[0].price_ticks)


def _replay(lane: Lane, skips: Skips) -> list[Piece]:
    """One replay of a lane from an empty book, walking the side with fewer crossing orders."""
    bids, asks = lane
    bid_count, ask_count = _crossing_counts(lane)
    if not bid_count or not ask_count:
        return []
    if bid_count <= ask_count:
        return Replay(bids.best(bid_count), asks, skips).run()
    return Replay(asks.best(ask_count), bids, skips).run()


def _replay_with_last(lane: Lane, skips: Skips, last: list[Slot]) -> list[Piece]:
    """A replay in which some orders enter after all others. Spec: [MATCH-11]."""
    for slot in last:
        slot.entry_key = _LAST + slot.entry_key
    pieces = _replay(lane, skips)
    for slot in last:
        slot.entry_key = slot.entry_key[len(_LAST) :]
    return pieces


def is_compatible(one: Order, other: Order, period: Period, skips: Skips = NO_SKIPS) -> bool:
    """Whether two orders of opposite sides may meet. Spec: [MATCH-5]."""
    pair = (one.session, other.session)
    if one.security != other.security or one.owner == other.owner or pair in skips or pair[::-1] in skips:
        return False
    if one.post_only and other.post_only:
        return False
    if period.tier(one.owner) < other.min_tier or period.tier(other.owner) < one.min_tier:
        return False
    return not one.security or agree_on_escrow(one, other)


def build_engine(
    book: Book, assignment: Mapping[OrderId, Epoch], period: Period | None = None, *, parked_before: int = 0
) -> Engine:
    """An engine with the matchable orders of `book` that are effective by its epoch.

    Args:
        book: the book of the window's epoch, without the orders of absent sessions.
        assignment: effective epochs of orders whose effective epoch is not the claimed one.
        period: beacon, tiers and bonds; without it that of a market before any block.
        parked_before: see `Engine`.
    """
    engine = Engine(book.market_id, period or first_period(book.market_id))
    engine.parked_before = max(0, parked_before)
    placed = [(order, assignment.get(order.order_id, order.placed)) for order in book.orders]
    engine.apply((), [(order, effective) for order, effective in placed if effective <= book.epoch])
    return engine


def entitlements(
    book: Book,
    assignment: Mapping[OrderId, Epoch],
    skips: Skips = NO_SKIPS,
    period: Period | None = None,
    *,
    parked_before: int = 0,
) -> tuple[Piece, ...]:
    """Entitlements of a whole book, from scratch. Spec: [MATCH-1..6]."""
    return build_engine(book, assignment, period, parked_before=parked_before).entitlements(skips)


def window_digest(book: Book, assignment: Mapping[OrderId, Epoch], period: Period | None = None) -> Digest:
    """Window digest of a whole book, from scratch. Spec: [MATCH-8]."""
    return build_engine(book, assignment, period).window_digest(book.epoch, book.block.hash)
