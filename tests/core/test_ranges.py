"""Ranges of lots say what a set of lots would say."""

from hypothesis import given
from hypothesis import strategies as st

from orrange_p2p.core.ranges import Range, Ranges, complement, contains, overlaps, total, union

QUANTITY = 24


def _range() -> st.SearchStrategy[Range]:
    return st.tuples(st.integers(0, 30), st.integers(0, 30))


def _lots(ranges: list[Range] | Ranges) -> set[int]:
    return {lot for low, high in ranges for lot in range(low, high)}


def _assert_maximal(ranges: Ranges) -> None:
    ends = [end for one in ranges for end in one]
    assert ends == sorted(set(ends)), "expected ascending ranges that neither touch nor are empty"


def test_an_empty_or_inverted_range_vanishes() -> None:
    assert union([(3, 3), (5, 2)]) == ()
    assert total(()) == 0


def test_touching_ranges_become_one() -> None:
    assert union([(4, 6), (0, 4), (6, 7)]) == ((0, 7),)


@given(ranges=st.lists(_range(), max_size=6))
def test_a_union_holds_the_same_lots_in_the_fewest_ranges(ranges: list[Range]) -> None:
    merged = union(ranges)
    assert _lots(merged) == _lots(ranges)
    assert total(merged) == len(_lots(ranges))
    _assert_maximal(merged)


@given(ranges=st.lists(_range(), max_size=6))
def test_taken_and_free_lots_share_an_order_between_them(ranges: list[Range]) -> None:
    taken = union(ranges)
    free = complement(taken, QUANTITY)
    assert _lots(free) == set(range(QUANTITY)) - _lots(taken)
    _assert_maximal(free)


@given(one=_range(), other=_range())
def test_two_ranges_overlap_when_they_share_a_lot(one: Range, other: Range) -> None:
    if one[0] < one[1] and other[0] < other[1]:
        assert overlaps(one, other) == overlaps(other, one) == bool(_lots([one]) & _lots([other]))


@given(ranges=st.lists(_range(), max_size=6), wanted=_range())
def test_a_range_is_contained_when_all_its_lots_are(ranges: list[Range], wanted: Range) -> None:
    if wanted[0] < wanted[1]:
        assert contains(union(ranges), wanted) == (_lots([wanted]) <= _lots(ranges))
