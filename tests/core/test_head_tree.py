"""The tree of heads is what the reference computes anew, after any changes, on any range. Spec: [SYNC-8], [SYNC-9]."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orrange_p2p.core.head_tree import HeadTree, compute_element, tree_of
from orrange_p2p.core.messages import LAST_PLACE, Head
from orrange_p2p.core.types import ZERO_DIGEST, Digest
from protocol.reference import reconcile as reference
from tests.core.head_worlds import EDGES, head_maps, head_of, places, plain

BOUNDS = st.tuples(places(), st.one_of(places(), st.just(LAST_PLACE)))


def test_a_dead_session_has_another_element_than_any_living_one() -> None:
    dead = Head(session=head_of(5, 0).session, next_seq=3, head_hash=ZERO_DIGEST)
    (plain_dead,) = plain([dead])
    assert compute_element(dead) == reference.element(plain_dead)
    alive = [Head(session=dead.session, next_seq=3, head_hash=Digest(bytes([mark]) * 32)) for mark in (1, 2)]
    assert len({compute_element(one) for one in (dead, *alive, head_of(6, 0), head_of(5, 0))}) == 5


def test_an_empty_tree_has_a_root_of_zeros_and_nothing_else() -> None:
    assert HeadTree().root(0, LAST_PLACE) == ZERO_DIGEST == reference.root([])
    assert (len(HeadTree()), list(HeadTree().heads()), HeadTree().count(0, LAST_PLACE)) == (0, [], 0)
    assert len(HeadTree().drop(head_of(1, 1).session)) == 0


@given(heads=head_maps(), order=st.randoms(use_true_random=False), ranges=st.lists(BOUNDS, max_size=5))
def test_roots_counts_and_heads_of_ranges_are_those_of_the_reference(heads, order, ranges) -> None:
    tree = tree_of(order.sample(heads, len(heads)))
    assert len(tree) == len(heads)
    for low, high in [*ranges, (0, LAST_PLACE)]:
        here = reference.within(plain(heads), low, high)
        assert tree.root(low, high) == reference.root(here)
        assert tree.count(low, high) == len(here)
        assert plain([leaf.head for leaf in tree.leaves(low, high)]) == here


CHANGES = st.lists(st.tuples(st.booleans(), st.sampled_from([*EDGES, *range(60, 70)]), st.integers(0, 3)), max_size=40)


@given(changes=CHANGES)
def test_after_any_changes_the_tree_is_the_one_built_anew_and_no_older_tree_has_changed(changes) -> None:
    tree, held, before = HeadTree(), {}, []
    for is_put, place, mark in changes:
        head = head_of(place, mark)
        tree = tree.put(head) if is_put else tree.drop(head.session)
        if is_put:
            held[head.session] = head
        else:
            held.pop(head.session, None)
        assert tree.root(0, LAST_PLACE) == tree_of(held.values()).root(0, LAST_PLACE)
        assert tree.get(head.session) == held.get(head.session)
        before.append((tree, tree.root(0, LAST_PLACE), sorted(held)))
    for older, root, sessions in before:
        assert older.root(0, LAST_PLACE) == root
        assert [head.session for head in older.heads()] == sessions


@given(heads=head_maps(), bounds=BOUNDS, most=st.integers(2, 9), enough=st.integers(1, 5))
def test_a_split_covers_its_range_with_parts_none_of_which_is_empty(heads, bounds, most, enough) -> None:
    (low, high), tree = bounds, tree_of(heads)
    if tree.count(low, high) <= enough:
        return
    cuts = tree.split(low, high, most=most, enough=enough)
    assert (cuts[0], cuts[-1]) == (low, high)
    counts = [tree.count(start, end) for start, end in pairwise(cuts)]
    assert all(counts)
    assert sum(counts) == tree.count(low, high)
    assert len(counts) >= 2


@pytest.mark.parametrize("count", [1, 100, 1000])
def test_a_change_makes_one_path_anew_and_shares_the_rest(count: int) -> None:
    """What `put` costs, and what a round that keeps an old tree does: about log2 n nodes."""
    heads = [
        Head(session=reference.keccak(bytes([n % 256, n // 256]))[:20], next_seq=1, head_hash=Digest(bytes(32)))
        for n in range(count)
    ]
    tree = tree_of(heads)
    changed = tree.put(Head(session=heads[0].session, next_seq=2, head_hash=Digest(bytes(32))))
    assert len(_nodes(changed._root) - _nodes(tree._root)) <= 2 * count.bit_length() + 2


def _nodes(node) -> set[int]:
    below = _nodes(node.left) | _nodes(node.right) if hasattr(node, "left") else set()
    return below | {id(node)}
