"""Half-open ranges of lots: unions, what is left, and cutting two range lists into matching pieces."""

from collections.abc import Iterable

Range = tuple[int, int]
Ranges = tuple[Range, ...]


def union(ranges: Iterable[Range]) -> Ranges:
    """Merge ranges into ascending, disjoint, maximal ones; empty ranges vanish."""
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if low >= high:
            continue
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(taken: Ranges, quantity: int) -> Ranges:
    """What `[0, quantity)` has besides `taken`, which must be a `union`."""
    free: list[Range] = []
    at = 0
    for low, high in taken:
        if low >= quantity:
            break
        if low > at:
            free.append((at, low))
        at = max(at, high)
    if at < quantity:
        free.append((at, quantity))
    return tuple(free)


def total(ranges: Iterable[Range]) -> int:
    """Lots in disjoint ranges."""
    return sum(high - low for low, high in ranges)


def overlaps(one: Range, other: Range) -> bool:
    """Whether two half-open ranges share a lot."""
    return one[0] < other[1] and other[0] < one[1]


def contains(ranges: Ranges, wanted: Range) -> bool:
    """Whether one of the maximal `ranges` covers `wanted`."""
    return any(low <= wanted[0] and wanted[1] <= high for low, high in ranges)
