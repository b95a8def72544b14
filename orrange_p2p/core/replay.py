"""One replay of crossing orders from an empty book: who takes from whom, in which lots.

The side with fewer crossing orders is *walked* in order of entry. The other, the *deep* side, may be as deep as it
likes: its orders are looked at only where a walked order looks for a maker, block by block and past the blocks that
hold none yet or whose orders all want a higher tier or other terms, or where they cross a walked order that rests.
Spec: protocol/spec/04-matching.md [MATCH-3..6, MATCH-9, MATCH-10].
"""

from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

from orrange_p2p.core.lanes import agree_on_escrow
from orrange_p2p.core.ranges import Ranges, total
from orrange_p2p.core.slots import HalfBook, Slot
from orrange_p2p.core.types import Address, OrderId, Side

Skips = frozenset[tuple[Address, Address]]
NO_SKIPS: Skips = frozenset()
MAX_FOK_PIECES = 16
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

    def count_ranges(self, lots: int) -> int:
        """How many of its free ranges the next `lots` lots lie in."""
        ranges, at, low, count = self.slot.free, self.range_at, self.lot_at, 0
        while lots > 0:
            lots -= ranges[at][1] - low
            at, count = at + 1, count + 1
            low = ranges[at][0] if at < len(ranges) else 0
        return count

    def ahead(self) -> int:
        """Lots until the end of the current range."""
        return self.slot.free[self.range_at][1] - self.lot_at


class _Block:
    """Some neighbours of the deep side: those that may still be makers, when the first of them entered, their tiers.

    `least_wanted` is the lowest tier that one of them asks of a taker, `highest` the highest that one of them has,
    `all_methods` and `all_arbitrators` are what any of them lists; all are of one lane.
    """

    __slots__ = ("all_arbitrators", "all_methods", "best", "earliest", "highest", "least_wanted", "slots")

    def __init__(self, slots: list[Slot]) -> None:
        self.best = slots[0]
        self.keep([slot for slot in slots if not slot.is_ioc])

    def keep(self, slots: list[Slot]) -> None:
        """Go on with these."""
        self.slots = slots
        self.earliest = min((slot.entry_key for slot in slots), default=_NEVER)
        self.least_wanted = min((slot.min_tier for slot in slots), default=0)
        self.highest = max((slot.tier for slot in slots), default=0)
        listing = slots if self.best.lane else []
        self.all_methods = frozenset(method for slot in listing for method in slot.payment_methods)
        self.all_arbitrators = frozenset(arbitrator for slot in listing for arbitrator in slot.arbitrators)

    def may_serve(self, taker: "_Open") -> bool:
        """Whether one of them has entered before a taker and suits it, as far as the block can tell."""
        slot = taker.slot
        if self.earliest > taker.entry_key or self.least_wanted > slot.tier or slot.min_tier > self.highest:
            return False
        if not slot.lane:
            return True
        return not (
            self.all_methods.isdisjoint(slot.payment_methods) or self.all_arbitrators.isdisjoint(slot.arbitrators)
        )


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
        if taker.slot.is_fok or taker.slot.is_post_only:
            self._enter_carefully(taker, self._deep_makers_of(taker))
        else:
            self._take(taker)
        if taker.left and not taker.slot.is_ioc:
            self._rest(taker)

    def _take(self, taker: _Open) -> None:
        """Take from the deep side, best first, until nothing is left or nothing crosses."""
        at = 0
        while taker.left and (at < len(self._blocks) or self._open_block()):
            block = self._blocks[at]
            if not self._crosses(taker.slot, block.best):
                break
            if block.may_serve(taker):
                self._take_from(block, taker)
            at += 1

    def _deep_makers_of(self, coming: _Open) -> Iterator[_Open]:
        """The compatible deep orders within a walked order's limit that entered before it, best first."""
        at = 0
        while at < len(self._blocks) or self._open_block():
            block = self._blocks[at]
            at += 1
            if not self._crosses(coming.slot, block.best):
                return
            for slot in block.slots if block.may_serve(coming) else ():
                if not self._crosses(coming.slot, slot):
                    return
                if slot.entry_key < coming.entry_key and self._is_compatible(slot, coming.slot):
                    maker = self._open(slot)
                    if maker.left:
                        yield maker

    def _walked_makers_of(self, coming: Slot) -> Iterator[_Open]:
        """The compatible resting walked orders within a deep order's limit, best first."""
        for maker in self._resting:
            if not self._crosses(maker.slot, coming):
                return
            if maker.left and self._is_compatible(maker.slot, coming):
                yield maker

    def _enter_carefully(self, coming: _Open, makers: Iterable[_Open]) -> None:
        """A FOK order takes all or nothing; a post-only order takes nothing. Spec: [MATCH-9], [MATCH-10]."""
        if coming.slot.is_fok:
            for maker in _whole_fill(coming, makers):
                self._fill(maker, coming)
            return
        others = list(makers)
        if any(other.slot.effective == coming.slot.effective for other in others):
            coming.left = 0
        for taker in others:
            self._fill(coming, taker)

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
        if slot.is_fok or slot.is_post_only:
            self._enter_carefully(taker, self._walked_makers_of(slot))
            self._resting = [one for one in self._resting if one.left]
            return
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
        if one.owner == other.owner or one.min_tier > other.tier or other.min_tier > one.tier:
            return False
        if (one.is_post_only and other.is_post_only) or (one.lane and not agree_on_escrow(one, other)):
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


def _whole_fill(taker: _Open, makers: Iterable[_Open]) -> list[_Open]:
    """The makers that fill a FOK order to its last lot in few enough pieces, or none. Spec: [MATCH-10]."""
    slot, wanted, pieces = taker.slot, taker.left, 0
    chosen: list[_Open] = []
    if slot.free != ((0, slot.quantity_lots),):
        return []
    for maker in makers:
        lots = min(wanted, maker.left)
        pieces += maker.count_ranges(lots)
        if pieces > MAX_FOK_PIECES:
            return []
        chosen.append(maker)
        wanted -= lots
        if not wanted:
            return chosen
    return []


def _by_entry(one: _Open) -> bytes:
    return one.entry_key


def _by_priority(one: _Open) -> bytes:
    return one.key
