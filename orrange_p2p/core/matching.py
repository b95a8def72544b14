"""Who is entitled to trade with whom, from the book, the assignment and nothing remembered.

The engine keeps the matchable orders of both sides sorted; what an epoch changes costs a merge, and the replay sees
only orders that cross.
Spec: protocol/spec/04-matching.md.
"""

from collections.abc import Iterable, Iterator, Mapping

from orrange_p2p.core import cbor
from orrange_p2p.core.book import Book, BookOrder
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.replay import NO_SKIPS, Piece, Replay, Skips
from orrange_p2p.core.slots import HalfBook, Slot
from orrange_p2p.core.types import Address, Digest, Epoch, MarketId, Order, OrderId, Side

__all__ = [
    "NO_SKIPS",
    "Engine",
    "Piece",
    "Skips",
    "build_engine",
    "compute_beacon",
    "compute_rank",
    "entitlements",
    "is_compatible",
    "window_digest",
]


def compute_rank(beacon: Digest, effective: Epoch, owner: Address, market_id: MarketId) -> Digest:
    """The tie-break of an owner in an epoch. Spec: [MATCH-2]."""
    return keccak256(beacon + effective.to_bytes(8, "big") + owner + market_id)


def compute_beacon(market_id: MarketId) -> Digest:
    """The beacon of a period without a block of its own. Spec: [MATCH-2]."""
    return keccak256(market_id)


class Engine:
    """The matchable orders of one market, sorted, changed epoch by epoch."""

    def __init__(self, market_id: MarketId, beacon: Digest) -> None:
        self._market_id = market_id
        self._beacon = beacon
        self._slots: dict[OrderId, Slot] = {}
        self._halves = (HalfBook(Side.BUY), HalfBook(Side.SELL))
        self._ranks: dict[tuple[Epoch, Address], Digest] = {}

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
        for half in self._halves:
            half.merge()

    def _take_out(self, order_id: OrderId) -> None:
        slot = self._slots.pop(order_id, None)
        if slot is not None:
            self._halves[slot.side].take_out(slot)

    def _put_in(self, book_order: BookOrder, effective: Epoch) -> None:
        who = (effective, book_order.order.owner)
        rank = self._ranks.get(who)
        if rank is None:
            rank = self._ranks[who] = compute_rank(self._beacon, effective, book_order.order.owner, self._market_id)
            if len(self._ranks) > 4 * len(self._slots) + 1024:
                self._ranks = {who: rank}
        slot = Slot(book_order, effective, rank)
        self._slots[slot.order_id] = slot
        self._halves[slot.side].put_in(slot)

    def side(self, side: Side) -> Iterator[Slot]:
        """All orders of a side, best first."""
        half = self._halves[side]
        return (half[at] for at in range(len(half)))

    def _crossing_counts(self) -> tuple[int, int]:
        """How many bids are at or above the best ask, how many asks at or below the best bid."""
        bids, asks = self._halves
        if not len(bids) or not len(asks):
            return 0, 0
        return bids.reach(asks[0].price_ticks), asks.reach(bids[0].price_ticks)

    def crossing(self) -> tuple[list[Slot], list[Slot]]:
        """Bids at or above the best ask, asks at or below the best bid, each best first. Spec: [MATCH-7]."""
        bids, asks = self._halves
        bid_count, ask_count = self._crossing_counts()
        return bids.best(bid_count), asks.best(ask_count)

    def entitlements(self, skips: Skips = NO_SKIPS) -> tuple[Piece, ...]:
        """The pairs that may sign a ticket, in the order in which they arise. Spec: [MATCH-3..6]."""
        bids, asks = self._halves
        bid_count, ask_count = self._crossing_counts()
        if not bid_count or not ask_count:
            return ()
        if bid_count <= ask_count:
            return tuple(Replay(bids.best(bid_count), asks, skips).run())
        return tuple(Replay(asks.best(ask_count), bids, skips).run())

    def window_digest(self, epoch: Epoch, block_hash: Digest) -> Digest:
        """What two nodes compare before they sign. Spec: [MATCH-8]."""
        bids, asks = self.crossing()
        rows = cbor.encode_array(sorted([slot.row() for slot in bids] + [slot.row() for slot in asks]))
        head = [cbor.encode(part) for part in (self._market_id, epoch, block_hash, self._beacon)]
        return keccak256(cbor.encode_array([*head, rows]))


def build_engine(book: Book, assignment: Mapping[OrderId, Epoch]) -> Engine:
    """An engine with the matchable orders of `book` that are effective by its epoch.

    Args:
        book: the book of the window's epoch.
        assignment: effective epochs of orders whose effective epoch is not the claimed one.
    """
    engine = Engine(book.market_id, compute_beacon(book.market_id))
    placed = [(order, assignment.get(order.order_id, order.claimed)) for order in book.orders]
    engine.apply((), [(order, effective) for order, effective in placed if effective <= book.epoch])
    return engine


def entitlements(book: Book, assignment: Mapping[OrderId, Epoch], skips: Skips = NO_SKIPS) -> tuple[Piece, ...]:
    """Entitlements of a whole book, from scratch. Spec: [MATCH-1..6]."""
    return build_engine(book, assignment).entitlements(skips)


def window_digest(book: Book, assignment: Mapping[OrderId, Epoch]) -> Digest:
    """Window digest of a whole book, from scratch. Spec: [MATCH-8]."""
    return build_engine(book, assignment).window_digest(book.epoch, book.block.hash)


def is_compatible(one: Order, other: Order, skips: Skips) -> bool:
    """Whether two orders of different sides may meet, whatever their prices. Spec: [MATCH-5]."""
    pair = (one.session, other.session)
    if one.owner == other.owner or one.security != other.security or pair in skips or pair[::-1] in skips:
        return False
    is_agreed = any(method in other.payment_methods for method in one.payment_methods)
    is_judged = any(arbitrator in other.arbitrators for arbitrator in one.arbitrators)
    return one.security == 0 or (is_agreed and is_judged)
