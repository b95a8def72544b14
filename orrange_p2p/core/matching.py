"""Who is entitled to trade with whom, from the book, the assignment and nothing remembered.

Orders are kept in two lists sorted by packed priority keys, so that an epoch's changes cost a merge and the replay
sees only orders that cross. The replay walks the smaller of the two crossing sides in order of entry and looks into
the other, however deep, only as far as lots are taken.
Spec: protocol/spec/04-matching.md.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from orrange_p2p.core import cbor
from orrange_p2p.core.book import Book, BookOrder
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.ranges import Ranges, total
from orrange_p2p.core.types import U8_MAX, U64_MAX, Address, Digest, Epoch, MarketId, OrderId, Side, TimeInForce

TIER = 0
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
        tier = bytes((U8_MAX - TIER,))
        entered = effective.to_bytes(8, "big")
        who = rank + order.session + order.nonce.to_bytes(8, "big")
        worseness = order.price_ticks if order.side is Side.SELL else U64_MAX - order.price_ticks
        self.key = worseness.to_bytes(8, "big") + tier + entered + who
        self.entry_key = entered + tier + who


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
        self._by_key: tuple[dict[bytes, Slot], dict[bytes, Slot]] = ({}, {})
        self._keys: tuple[list[bytes], list[bytes]] = ([], [])
        self._ranks: dict[tuple[Epoch, Address], Digest] = {}

    def __len__(self) -> int:
        """Orders in the engine."""
        return len(self._slots)

    def apply(self, removed: Iterable[OrderId], changed: Iterable[tuple[BookOrder, Epoch]]) -> None:
        """Take orders out, then put orders in or update them; each changed order comes with its effective epoch.

        A changed order that is not matchable is taken out.
        """
        leaving: tuple[list[bytes], list[bytes]] = ([], [])
        coming: tuple[list[bytes], list[bytes]] = ([], [])
        for order_id in removed:
            self._take_out(order_id, leaving)
        for book_order, effective in changed:
            slot = self._slots.get(book_order.order_id)
            if not book_order.is_matchable:
                self._take_out(book_order.order_id, leaving)
            elif slot is not None and slot.effective == effective:
                slot.free = book_order.free
            else:
                self._take_out(book_order.order_id, leaving)
                self._put_in(book_order, effective, coming)
        for side in Side:
            _remove_sorted(self._keys[side], leaving[side])
            if coming[side]:
                self._keys[side].extend(coming[side])
                self._keys[side].sort()

    def _take_out(self, order_id: OrderId, leaving: tuple[list[bytes], list[bytes]]) -> None:
        slot = self._slots.pop(order_id, None)
        if slot is not None:
            del self._by_key[slot.side][slot.key]
            leaving[slot.side].append(slot.key)

    def _put_in(self, book_order: BookOrder, effective: Epoch, coming: tuple[list[bytes], list[bytes]]) -> None:
        who = (effective, book_order.order.owner)
        rank = self._ranks.get(who)
        if rank is None:
            rank = self._ranks[who] = compute_rank(self._beacon, effective, book_order.order.owner, self._market_id)
            if len(self._ranks) > 4 * len(self._slots) + 1024:
                self._ranks = {who: rank}
        slot = Slot(book_order, effective, rank)
        self._slots[slot.order_id] = slot
        self._by_key[slot.side][slot.key] = slot
        coming[slot.side].append(slot.key)

    def side(self, side: Side) -> Iterator[Slot]:
        """All orders of a side, best first."""
        by_key = self._by_key[side]
        return (by_key[key] for key in self._keys[side])

    def crossing(self) -> tuple[list[Slot], list[Slot]]:
        """Bids at or above the best ask, asks at or below the best bid, each best first. Spec: [MATCH-7]."""
        bid_keys, ask_keys = self._keys[Side.BUY], self._keys[Side.SELL]
        if not bid_keys or not ask_keys:
            return [], []
        bids, asks = self._by_key[Side.BUY], self._by_key[Side.SELL]
        best_bid = bids[bid_keys[0]].price_ticks
        best_ask = asks[ask_keys[0]].price_ticks
        bid_end = bisect_left(bid_keys, (U64_MAX - best_ask + 1).to_bytes(8, "big"))
        ask_end = bisect_left(ask_keys, (best_bid + 1).to_bytes(8, "big")) if best_bid < U64_MAX else len(ask_keys)
        return [bids[key] for key in bid_keys[:bid_end]], [asks[key] for key in ask_keys[:ask_end]]

    def entitlements(self, skips: Skips = NO_SKIPS) -> tuple[Piece, ...]:
        """The pairs that may sign a ticket, in the order in which they arise. Spec: [MATCH-3..6]."""
        bids, asks = self.crossing()
        if not bids or not asks:
            return ()
        walked, looked_into = (bids, asks) if len(bids) <= len(asks) else (asks, bids)
        return tuple(_Replay(walked, looked_into, skips).run())

    def window_digest(self, epoch: Epoch, block_hash: Digest) -> Digest:
        """What two nodes compare before they sign. Spec: [MATCH-8]."""
        bids, asks = self.crossing()
        slots = sorted(bids + asks, key=lambda slot: slot.order_id)
        rows = [[slot.order_id, [list(lots) for lots in slot.free], slot.effective, TIER] for slot in slots]
        return keccak256(cbor.encode([self._market_id, epoch, block_hash, self._beacon, rows]))


def _remove_sorted(keys: list[bytes], leaving: list[bytes]) -> None:
    """Delete `leaving` (all present, in any order) from sorted `keys` in one pass of block moves."""
    if not leaving:
        return
    kept: list[bytes] = []
    at = 0
    for key in sorted(leaving):
        found = bisect_left(keys, key, at)
        kept.extend(keys[at:found])
        at = found + 1
    kept.extend(keys[at:])
    keys[:] = kept


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
    """One replay of the crossing orders from an empty book."""

    def __init__(self, walked: list[Slot], looked_into: list[Slot], skips: Skips) -> None:
        self._walked = sorted(map(_Open, walked), key=_by_entry)
        self._deep = looked_into
        self._opened: dict[bytes, _Open] = {}
        self._skips = skips
        self._resting: list[_Open] = []
        self._front = 0
        self._pieces: list[Piece] = []
        is_bid_walked = walked[0].side is Side.BUY
        self._crosses: Callable[[Slot, Slot], bool] = _crosses_bid_first if is_bid_walked else _crosses_ask_first

    def run(self) -> list[Piece]:
        first = self._walked[0].entry_key
        later = sorted((slot for slot in self._deep if slot.entry_key > first), key=_slot_by_entry)
        at = 0
        for walked in self._walked:
            while at < len(later) and later[at].entry_key < walked.entry_key:
                self._enter_deep(later[at])
                at += 1
            self._enter_walked(walked)
        for slot in later[at:]:
            self._enter_deep(slot)
        return self._pieces

    def _open(self, slot: Slot) -> _Open:
        found = self._opened.get(slot.key)
        if found is None:
            found = self._opened[slot.key] = _Open(slot)
        return found

    def _enter_deep(self, slot: Slot) -> None:
        """An order of the deep side enters: it takes from resting orders of the walked side."""
        if not self._resting:
            return
        taker = self._open(slot)
        for maker in self._resting:
            if not taker.left or not self._crosses(maker.slot, slot):
                break
            if maker.left and self._is_compatible(maker.slot, slot):
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
            insort(self._resting, taker, key=_by_priority)

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


def _slot_by_entry(slot: Slot) -> bytes:
    return slot.entry_key


def _crosses_bid_first(bid: Slot, ask: Slot) -> bool:
    return bid.price_ticks >= ask.price_ticks


def _crosses_ask_first(ask: Slot, bid: Slot) -> bool:
    return bid.price_ticks >= ask.price_ticks


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
