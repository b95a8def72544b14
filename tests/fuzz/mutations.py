"""Changes that make a message wrong, or right in another way: some know the structure, some only bytes.

Everything is drawn from the dice that are given, so that an input can be found again from its seed.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from orrange_p2p.core.hashing import keccak256
from tests.fuzz.corpus import Nested, Raw, Seed, write

EDGES = (0, 1, 2, 7, 8, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63, 2**64 - 2, 2**64 - 1)
LENGTHS = (0, 1, 19, 20, 21, 31, 32, 33, 37, 38, 39, 63, 64, 65, 66, 128, 129, 255, 256, 1024)
COPIES = (2, 3, 4, 5, 8, 9, 16, 17, 64, 65, 128, 129, 256, 257, 1025, 2049, 4097)
_GARBAGE = """
20 3bffffffffffffffff 60 6161 7bffffffffffffffff a0 a10000 bbffffffffffffffff c100 c24101 c11a00000000 d9d9f740
c4821a3b9aca00 c4821a3b9aca0001 f6 f7 e0 f814 f8ff f90000 f93c00 f97e00 fa7fc00000 fb3ff0000000000000 fb7ff8000000000000
9fff 9f00ff bfff 5fff 5f4100ff 7fff ff 1800 1817 190000 1900ff 1a00000000 1a0000ffff 1b0000000000000000
1b00000000ffffffff 5800 5817 590000 5a00000000 5b0000000000000000 9800 980100 990000 9a00000000 9b0000000000000000
9bffffffffffffffff 9affffffff 99ffff 5bffffffffffffffff 5affffffff 59ffff 1c 1d 1e 5c 5d 9c 9e fc fd fe
"""
GARBAGE = tuple(Raw(bytes.fromhex(one)) for one in _GARBAGE.split())
_DEEP = 7


class Mutator:
    """Draws mutated messages."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice

    def mutate(self, seed: Seed, other: Seed) -> bytes:
        """A message that differs from `seed` in one to a few ways; `other` lends it parts."""
        roll = self._dice.random()
        if seed.tree is None or roll < 0.3:
            return self._change_bytes(seed.encoded, other.encoded)
        tree = [_copy(seed.tree)]
        for _ in range(1 + int(self._dice.expovariate(1))):
            self._change_tree(tree, other)
        if roll < 0.9:
            mend_roots(tree[0])
        encoded = write(tree[0])
        return self._change_bytes(encoded, other.encoded) if roll > 0.97 else encoded

    def _below(self, count: int) -> int:
        return int(self._dice.random() * count)

    def _copies(self) -> int:
        """Mostly few: the more an input has of anything, the fewer inputs there is time for."""
        return COPIES[min(self._below(len(COPIES)) for _ in range(4))]

    def _change_tree(self, tree: list[Any], other: Seed) -> None:
        holder, at = self._pick(tree)
        TREE_CHANGES[self._below(len(TREE_CHANGES))](self, holder, at, other)

    def _pick(self, tree: list[Any]) -> tuple[list[Any], int]:
        """A place in the tree: a walk down that may stop at any list."""
        holder, at = tree, 0
        while isinstance(holder[at], list) and holder[at] and self._below(8):
            holder = holder[at]
            at = self._below(len(holder))
        return holder, at

    def _put_edge(self, holder: list[Any], at: int, other: Seed) -> None:
        was = holder[at]
        if type(was) is int and self._below(2):
            holder[at] = min(max(0, was + self._dice.choice((-1, 1))), 2**64 - 1)
        else:
            holder[at] = EDGES[self._below(len(EDGES))]

    def _put_bytes(self, holder: list[Any], at: int, other: Seed) -> None:
        was = holder[at]
        if type(was) is bytes and was and self._below(4):
            content = bytearray(was)
            content[self._below(len(content))] ^= 1 << self._below(8)
            holder[at] = bytes(content)
        elif type(was) is bytes and self._below(2):
            holder[at] = self._dice.randbytes(len(was))
        else:
            holder[at] = bytes(LENGTHS[self._below(len(LENGTHS))])

    def _put_boolean(self, holder: list[Any], at: int, other: Seed) -> None:
        holder[at] = holder[at] is not True

    def _put_garbage(self, holder: list[Any], at: int, other: Seed) -> None:
        holder[at] = GARBAGE[self._below(len(GARBAGE))]

    def _widen(self, holder: list[Any], at: int, other: Seed) -> None:
        holder[at] = Raw(widen_head(write(holder[at]), self._below(4)))

    def _wrap(self, holder: list[Any], at: int, other: Seed) -> None:
        for _ in range(1 + self._below(_DEEP)):
            holder[at] = [holder[at]]

    def _unwrap(self, holder: list[Any], at: int, other: Seed) -> None:
        if isinstance(holder[at], list):
            holder[at : at + 1] = holder[at]
        holder or holder.append(0)

    def _delete(self, holder: list[Any], at: int, other: Seed) -> None:
        if len(holder) > 1:
            del holder[at]

    def _insert(self, holder: list[Any], at: int, other: Seed) -> None:
        holder.insert(at, EDGES[self._below(len(EDGES))] if self._below(2) else bytes(32))

    def _repeat(self, holder: list[Any], at: int, other: Seed) -> None:
        copies = self._copies()
        holder[at : at + 1] = [holder[at]] * copies

    def _repeat_rising(self, holder: list[Any], at: int, other: Seed) -> None:
        """More rows of a sorted list: like this one, each with a first byte string one higher."""
        row = holder[at]
        copies = self._copies()
        holder[at : at + 1] = [_raised(row, step) for step in range(copies)]

    def _swap(self, holder: list[Any], at: int, other: Seed) -> None:
        to = self._below(len(holder))
        holder[at], holder[to] = holder[to], holder[at]

    def _reverse(self, holder: list[Any], at: int, other: Seed) -> None:
        (holder[at] if isinstance(holder[at], list) else holder).reverse()

    def _sort(self, holder: list[Any], at: int, other: Seed) -> None:
        (holder[at] if isinstance(holder[at], list) else holder).sort(key=write)

    def _borrow(self, holder: list[Any], at: int, other: Seed) -> None:
        if other.tree is not None:
            lender, where = self._pick([other.tree])
            holder[at] = _copy(lender[where])

    def _empty(self, holder: list[Any], at: int, other: Seed) -> None:
        holder[at] = []

    def _nest(self, holder: list[Any], at: int, other: Seed) -> None:
        """A list becomes bytes, bytes that hold a list become one."""
        if isinstance(holder[at], list):
            holder[at] = list(holder[at]) if type(holder[at]) is Nested else Nested(holder[at])

    def _change_bytes(self, encoded: bytes, lent: bytes) -> bytes:
        content = bytearray(encoded)
        for _ in range(1 + int(self._dice.expovariate(1))):
            if not content:
                return bytes(lent)
            BYTE_CHANGES[self._below(len(BYTE_CHANGES))](self, content, lent)
        return bytes(content)

    def _flip(self, content: bytearray, lent: bytes) -> None:
        content[self._below(len(content))] ^= 1 << self._below(8)

    def _set(self, content: bytearray, lent: bytes) -> None:
        content[self._below(len(content))] = self._below(256)

    def _step(self, content: bytearray, lent: bytes) -> None:
        """One more or one less, which in a head is a length; mostly near the start, where heads are."""
        at = self._below(min(len(content), 1 + self._below(len(content))))
        content[at] = (content[at] + self._dice.choice((-1, 1))) % 256

    def _cut(self, content: bytearray, lent: bytes) -> None:
        del content[self._below(len(content)) :]

    def _drop(self, content: bytearray, lent: bytes) -> None:
        at = self._below(len(content))
        del content[at : at + 1 + self._below(16)]

    def _double(self, content: bytearray, lent: bytes) -> None:
        at = self._below(len(content))
        content[at:at] = content[at : at + 1 + self._below(64)]

    def _trail(self, content: bytearray, lent: bytes) -> None:
        content += lent[: 1 + self._below(8)]

    def _splice(self, content: bytearray, lent: bytes) -> None:
        at = self._below(len(content))
        content[at:] = lent[self._below(len(lent) + 1) :]

    def _plant(self, content: bytearray, lent: bytes) -> None:
        at = self._below(len(content))
        content[at : at + self._below(3)] = GARBAGE[self._below(len(GARBAGE))].encoded


TreeChange = Callable[[Mutator, list[Any], int, Seed], None]
ByteChange = Callable[[Mutator, bytearray, bytes], None]
TREE_CHANGES: tuple[TreeChange, ...] = (
    Mutator._put_edge,
    Mutator._put_edge,
    Mutator._put_bytes,
    Mutator._put_bytes,
    Mutator._put_boolean,
    Mutator._put_garbage,
    Mutator._widen,
    Mutator._wrap,
    Mutator._unwrap,
    Mutator._delete,
    Mutator._insert,
    Mutator._repeat,
    Mutator._repeat_rising,
    Mutator._swap,
    Mutator._reverse,
    Mutator._sort,
    Mutator._borrow,
    Mutator._empty,
    Mutator._nest,
)
BYTE_CHANGES: tuple[ByteChange, ...] = (
    Mutator._flip,
    Mutator._set,
    Mutator._step,
    Mutator._cut,
    Mutator._drop,
    Mutator._double,
    Mutator._trail,
    Mutator._splice,
    Mutator._plant,
)


def mend_roots(tree: Any) -> None:
    """Give an entry the root of the items that it has now, so that its items are looked at. Spec: [TYPE-4]."""
    if isinstance(tree, list) and len(tree) == 9 and isinstance(tree[8], list):
        items = [write(list(one) if type(one) is Nested else one) for one in tree[8]]
        contents = [item if type(one) is Nested else one for one, item in zip(tree[8], items, strict=True)]
        if all(type(one) is bytes for one in contents):
            tree[6] = bytes(keccak256(b"".join(keccak256(one) for one in contents)))


def widen_head(encoded: bytes, steps: int) -> bytes:
    """The same value with a head that is longer than it needs to be."""
    short = encoded[0] & 31
    used = {24: 1, 25: 2, 26: 4, 27: 8}.get(short, 0)
    argument = int.from_bytes(encoded[1 : 1 + used], "big") if used else short
    widths = [width for width in (1, 2, 4, 8) if width > used]
    if short > 27 or not widths:
        return encoded
    width = widths[min(steps, len(widths) - 1)]
    head = bytes([encoded[0] & 0xE0 | {1: 24, 2: 25, 4: 26, 8: 27}[width]])
    return head + argument.to_bytes(width, "big") + encoded[1 + used :]


def _copy(tree: Any) -> Any:
    return type(tree)(_copy(one) for one in tree) if isinstance(tree, list) else tree


def _raised(row: Any, step: int) -> Any:
    if type(row) is bytes and row:
        return ((int.from_bytes(row, "big") + step) % 256 ** len(row)).to_bytes(len(row), "big")
    if isinstance(row, list) and row:
        return type(row)([_raised(row[0], step), *row[1:]])
    return row
