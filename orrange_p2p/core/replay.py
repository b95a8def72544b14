"""One replay of crossing orders from an empty book: who takes from whom, in which lots.

The side with fewer crossing orders is *walked* in order of entry. The other, the *deep* side, may be as deep as it
likes: its orders are looked at only where a walked order looks for a maker, block by block and past the blocks that
hold none yet, or where they cross a walked order that rests.
Spec: protocol/spec/04-matching.md [MATCH-3..6].
"""

from bisect import insort
from dataclasses import dataclass
from heapq import heappop, heappush

from orrange_p2p.core.ranges import Ranges, total
from orrange_p2p.core.slots import HalfBook, Slot
from orrange_p2p.core.types import Address, OrderId, Side

Skips = frozenset[tuple[Address, Address]]
NO_SKIPS: Skips = frozenset()
_BLOCK = 64
_NEVER = b"\xff" * 128  # above every entry key


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


class _Block:
    """Some neighbours of the deep side: those that may still be makers, and when the first of them entered."""

    __slots__ = ("best", "earliest", "slots")

    def __init__(self, slots: list[Slot]) -> None:
        self.best = slots[0]
        self.keep([slot for slot in slots if not slot.is_ioc])

    def keep(self, slots: list[Slot]) -> None:
        """Go on with these."""
        self.slots = slots
        self.earliest = min((slot.entry_key for slot in slots), default=_NEVER)


class Replay:
    """The replay of one book; runs once."""

    def __init__(self, walked: list[Slot], deep: HalfBook, skips: Skips) -> None:
        """Prepare a replay.

        Args:
            walked: every crossing order of one side, at least one.
            deep: the other side.
            skips: pairs of sessions, taker and maker, that are not to meet.
        """
        self._walked = sorted(map(_Open, walked), key=_by_entry)
        self._deep = deep
        self._skips = skips
        self._is_bid_walked = walked[0].side is Side.BUY
        self._opened: dict[bytes, _Open] = {}
        self._blocks: list[_Block] = []
        self._resting: list[_Open] = []
        self._within = 0
        self._to_enter: list[tuple[bytes, int]] = []
        self._pieces: list[Piece] = []

    def run(self) -> list[Piece]:
        """The pieces, in the order in which they arise."""
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

    def _enter_walked(self, taker: _Open) -> None:
        """An order of the walked side enters: it takes from the deep side's orders that entered before it."""
        at = 0
        while taker.left and (at < len(self._blocks) or self._open_block()):
            block = self._blocks[at]
            if not self._crosses(taker.slot, block.best):
                break
            if block.earliest < taker.entry_key:
                self._take_from(block, taker)
            at += 1
        if taker.left and not taker.slot.is_ioc:
            self._rest(taker)

    def _open_block(self) -> bool:
        """Look at the next orders of the deep side; False if there are none."""
        start = len(self._blocks) * _BLOCK
        slots = [self._deep[at] for at in range(start, min(start + _BLOCK, len(self._deep)))]
        if slots:
            self._blocks.append(_Block(slots))
        return bool(slots)

    def _take_from(self, block: _Block, taker: _Open) -> None:
        used_up: list[Slot] = []
        for slot in block.slots:
            if not taker.left or not self._crosses(taker.slot, slot):
                break
            if slot.entry_key > taker.entry_key or not self._is_compatible(slot, taker.slot):
                continue
            maker = self._open(slot)
            if maker.left:
                self._fill(maker, taker)
            if not maker.left:
                used_up.append(slot)
        if used_up:
            block.keep([slot for slot in block.slots if slot not in used_up])

    def _rest(self, walked: _Open) -> None:
        """A walked order rests; deep orders that cross it and enter later will find it.

        The `_within` best deep orders cross an order that has rested: each of them waits its turn or entered before.
        """
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
        used_up: list[int] = []
        for at, maker in enumerate(self._resting):
            if not taker.left or not self._crosses(maker.slot, slot):
                break
            if self._is_compatible(maker.slot, slot):
                self._fill(maker, taker)
                if not maker.left:
                    used_up.append(at)
        for at in reversed(used_up):
            del self._resting[at]

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
