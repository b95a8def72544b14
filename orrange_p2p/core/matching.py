"""Who is entitled to trade with whom, from the book, the assignment and nothing remembered.

Orders are kept in two lists sorted by packed priority keys, so that an epoch's changes cost a merge and the replay
sees only orders that cross. The replay walks the smaller of the two crossing sides in order of entry and looks into
the other, however deep, only as far as lots are taken.
Spec: protocol/spec/04-matching.md.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

from orrange_p2p.core import cbor
from orrange_p2p.core.book import Book, BookOrder
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.ranges import Ranges, total
from orrange_p2p.core.types import U8_MAX, U64_MAX, Address, Digest, Epoch, MarketId, OrderId, Side, TimeInForce

TIER = 0
_TIER_BYTES = cbor.encode_uint(TIER)
Skips = frozenset[tuple[Address, Address]]
NO_SKIPS: Skips = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """An entitlement: contiguous lots of one order against contiguous lots of another. Spec: [MATCH-6]."""

    maker_order: OrderId
    taker_order: OrderId
    price_ticks: int
    maker_from: int
    maker_to: int
    taker_from: int
    taker_to: int

    @property
    def lots(self) -> int:
        """Lots of the piece."""
        return self.maker_to - self.maker_from


class Slot:
    """A matchable order inside the engine with its packed keys."""

    __slots__ = (
        "_row",
        "effective",
        "entry_key",
        "free",
        "is_ioc",
        "key",
        "order_id",
        "owner",
        "price_ticks",
        "session",
        "side",
    )

    def __init__(self, book_order: BookOrder, effective: Epoch, rank: bytes) -> None:
        order = book_order.order
        self.order_id = book_order.order_id
        self.owner = order.owner
        self.session = order.session
        self.side = order.side
        self.price_ticks = order.price_ticks
        self.is_ioc = order.tif is TimeInForce.IOC
        self.effective = effective
        self.free = book_order.free
        self._row: bytes | None = None
        tier = bytes((U8_MAX - TIER,))
        entered = effective.to_bytes(8, "big")
        who = rank + order.session + order.nonce.to_bytes(8, "big")
        self.key = _worseness(order.side, order.price_ticks).to_bytes(8, "big") + tier + entered + who
        self.entry_key = entered + tier + who

    def set_free(self, free: Ranges) -> None:
        """Other lots are free now."""
        self.free = free
        self._row = None

    def row(self) -> bytes:
        """What the order adds to the window digest, encoded; rows sort as their order ids do. Spec: [MATCH-8]."""
        if self._row is None:
            free = [cbor.encode_array((cbor.encode_uint(low), cbor.encode_uint(high))) for low, high in self.free]
            order_id, effective = cbor.encode_bytes(self.order_id), cbor.encode_uint(self.effective)
            self._row = cbor.encode_array((order_id, cbor.encode_array(free), effective, _TIER_BYTES))
        return self._row


def _worseness(side: Side, price_ticks: int) -> int:
    """A price so that the best of a side is the least."""
    return price_ticks if side is Side.SELL else U64_MAX - price_ticks


def compute_rank(beacon: Digest, effective: Epoch, owner: Address, market_id: MarketId) -> Digest:
    """The tie-break of an owner in an epoch. Spec: [MATCH-2]."""
    return keccak256(beacon + effective.to_bytes(8, "big") + owner + market_id)


def compute_beacon(market_id: MarketId) -> Digest:
    """The beacon of a period without a block of its own. Spec: [MATCH-2]."""
    return keccak256(market_id)


class _Half:
    """One side's orders, best first; changes are collected and merged in at once."""

    __slots__ = ("_coming", "_keys", "_leaving", "_side", "_slots")

    def __init__(self, side: Side) -> None:
        self._side = side
        self._slots: dict[bytes, Slot] = {}
        self._keys: list[bytes] = []
        self._leaving: list[bytes] = []
        self._coming: list[bytes] = []

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, at: int) -> Slot:
        return self._slots[self._keys[at]]

    def best(self, count: int) -> list[Slot]:
        """The best `count` orders."""
        return [self._slots[key] for key in self._keys[:count]]

    def reach(self, price_ticks: int) -> int:
        """How many of the best orders an order of the other side with this limit crosses."""
        worseness = _worseness(self._side, price_ticks)
        if worseness == U64_MAX:
            return len(self._keys)
        return bisect_left(self._keys, (worseness + 1).to_bytes(8, "big"))

    def put_in(self, slot: Slot) -> None:
        """Add an order at the next merge."""
        self._slots[slot.key] = slot
        self._coming.append(slot.key)

    def take_out(self, slot: Slot) -> None:
        """Drop an order at the next merge."""
        del self._slots[slot.key]
        self._leaving.append(slot.key)

    def merge(self) -> None:
        """Carry out what was collected, in passes of block moves over the keys.

        What comes is merged first, so that an order may come and go, or go and come, in one change.
        """
        if self._coming:
            grown: list[bytes] = []
            at = 0
            for key in sorted(self._coming):
                found = bisect_left(self._keys, key, at)
                grown += self._keys[at:found]
                grown.append(key)
                at = found
            self._keys = grown + self._keys[at:]
            self._coming = []
        if self._leaving:
            kept: list[bytes] = []
            at = 0
            for key in sorted(self._leaving):
                found = bisect_left(self._keys, key, at)
                kept += self._keys[at:found]
                at = found + 1
            self._keys = kept + self._keys[at:]
            self._leaving = []


class Engine:
    """The matchable orders of one market, sorted, changed epoch by epoch."""

    def __init__(self, market_id: MarketId, beacon: Digest) -> None:
        self._market_id = market_id
        self._beacon = beacon
        self._slots: dict[OrderId, Slot] = {}
        self._halves = (_Half(Side.BUY), _Half(Side.SELL))
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
            return tuple(_Replay(bids.best(bid_count), asks, skips).run())
        return tuple(_Replay(asks.best(ask_count), bids, skips).run())

    def window_digest(self, epoch: Epoch, block_hash: Digest) -> Digest:
        """What two nodes compare before they sign. Spec: [MATCH-8]."""
        bids, asks = self.crossing()
        rows = cbor.encode_array(sorted([slot.row() for slot in bids] + [slot.row() for slot in asks]))
        head = [cbor.encode(part) for part in (self._market_id, epoch, block_hash, self._beacon)]
        return keccak256(cbor.encode_array([*head, rows]))


class _Open:
    """An order during one replay: what is left of it and where its next free lot is."""

    __slots__ = ("entry_key", "key", "left", "lot_at", "range_at", "slot")

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.key = slot.key
        self.entry_key = slot.entry_key
        self.left = total(slot.free)
        self.range_at = 0
        self.lot_at = slot.free[0][0]

    def take(self, most: int) -> tuple[int, int]:
        """Take up to `most` lots of the lowest free range; returns them."""
        ranges: Ranges = self.slot.free
        low, end = self.lot_at, ranges[self.range_at][1]
        high = min(end, low + most)
        self.left -= high - low
        self.lot_at = high
        if high == end and self.left:
            self.range_at += 1
            self.lot_at = ranges[self.range_at][0]
        return low, high

    def ahead(self) -> int:
        """Lots until the end of the current range."""
        return self.slot.free[self.range_at][1] - self.lot_at


class _Replay:
    """One replay of the crossing orders from an empty book.

    The side with fewer of them is walked in order of entry. Of the deep side only those are ever looked at that a
    walked order looks for, or that cross one that rests: `_within` of its best, so far, are known to do so.
    """

    def __init__(self, walked: list[Slot], deep: _Half, skips: Skips) -> None:
        self._walked = sorted(map(_Open, walked), key=_by_entry)
        self._deep = deep
        self._skips = skips
        self._is_bid_walked = walked[0].side is Side.BUY
        self._opened: dict[bytes, _Open] = {}
        self._resting: list[_Open] = []
        self._front = 0
        self._within = 0
        self._to_enter: list[tuple[bytes, int]] = []
        self._pieces: list[Piece] = []

    def run(self) -> list[Piece]:
        for walked in self._walked:
            while self._to_enter and self._to_enter[0][0] < walked.entry_key:
                self._enter_deep(self._deep[heappop(self._to_enter)[1]])
            self._enter_walked(walked)
        while self._to_enter:
            self._enter_deep(self._deep[heappop(self._to_enter)[1]])
        return self._pieces

    def _open(self, slot: Slot) -> _Open:
        found = self._opened.get(slot.key)
        if found is None:
            found = self._opened[slot.key] = _Open(slot)
        return found

    def _crosses(self, walked: Slot, deep: Slot) -> bool:
        if self._is_bid_walked:
            return walked.price_ticks >= deep.price_ticks
        return walked.price_ticks <= deep.price_ticks

    def _rest(self, walked: _Open) -> None:
        """A walked order rests; deep orders that cross it and enter later will find it."""
        insort(self._resting, walked, key=_by_priority)
        within = self._deep.reach(walked.slot.price_ticks)
        for at in range(self._within, within):
            entry_key = self._deep[at].entry_key
            if entry_key > walked.entry_key:
                heappush(self._to_enter, (entry_key, at))
        self._within = max(self._within, within)

    def _enter_deep(self, slot: Slot) -> None:
        """An order of the deep side enters: it takes from resting orders of the walked side."""
        if not self._resting or not self._crosses(self._resting[0].slot, slot):
            return
        taker = self._open(slot)
        for maker in self._resting:
            if not taker.left or not self._crosses(maker.slot, slot):
                break
            if self._is_compatible(maker.slot, slot):
                self._fill(maker, taker)
        self._resting = [maker for maker in self._resting if maker.left]

    def _enter_walked(self, taker: _Open) -> None:
        """An order of the walked side enters: it takes from the deep side's orders that entered before it."""
        deep = self._deep
        while self._front < len(deep) and self._is_used_up(deep[self._front]):
            self._front += 1
        for at in range(self._front, len(deep)):
            slot = deep[at]
            if not taker.left or not self._crosses(taker.slot, slot):
                break
            if slot.is_ioc or slot.entry_key > taker.entry_key or not self._is_compatible(slot, taker.slot):
                continue
            maker = self._open(slot)
            if maker.left:
                self._fill(maker, taker)
        if taker.left and not taker.slot.is_ioc:
            self._rest(taker)

    def _is_used_up(self, slot: Slot) -> bool:
        found = self._opened.get(slot.key)
        return found is not None and not found.left

    def _is_compatible(self, one: Slot, other: Slot) -> bool:
        """Spec: [MATCH-5]."""
        if one.owner == other.owner:
            return False
        if not self._skips:
            return True
        pair = (one.session, other.session)
        return pair not in self._skips and pair[::-1] not in self._skips

    def _fill(self, maker: _Open, taker: _Open) -> None:
        """Lowest free lots first, cut where either side's range ends. Spec: [MATCH-6]."""
        while maker.left and taker.left:
            lots = min(maker.ahead(), taker.ahead())
            maker_from, maker_to = maker.take(lots)
            taker_from, taker_to = taker.take(lots)
            self._pieces.append(
                Piece(
                    maker_order=maker.slot.order_id,
                    taker_order=taker.slot.order_id,
                    price_ticks=maker.slot.price_ticks,
                    maker_from=maker_from,
                    maker_to=maker_to,
                    taker_from=taker_from,
                    taker_to=taker_to,
                )
            )


def _by_entry(one: _Open) -> bytes:
    return one.entry_key


def _by_priority(one: _Open) -> bytes:
    return one.key


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
