"""What nodes know is a join: merging is commutative, associative and idempotent, and books follow from it alone.

Spec: protocol/spec/02-feeds.md [FEED-8], 03-orders.md "The book is a join".
"""

from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from orrange_p2p.core.verify import VerifiedEntry
from tests.core.adapters import fast_book, fast_feeds, fast_ledger, verified
from tests.core.strategies import SIGNED_WORLDS, worlds
from tests.core.worlds import World


def book_bytes(world: World, arrived: Sequence[VerifiedEntry]) -> bytes | None:
    """The book that a node with these entries has at the world's end."""
    book = fast_book(fast_feeds(arrived), fast_ledger(world.blocks), world.epoch)
    return None if book is None else book.encode()


def merge(*parts: Sequence[VerifiedEntry]) -> list[VerifiedEntry]:
    """All entries of some nodes, those of the first first."""
    return [entry for part in parts for entry in part]


@settings(max_examples=SIGNED_WORLDS)
@given(world=worlds(), seed=st.integers(0, 2**32))
def test_merging_is_commutative_associative_and_idempotent(world: World, seed: int) -> None:
    dice, entries = Random(seed), verified(world.entries)
    one, two, three = ([entry for entry in entries if dice.random() < 0.6] for _ in range(3))
    together = book_bytes(world, merge(one, two, three))
    assert book_bytes(world, merge(three, two, one)) == together
    assert book_bytes(world, merge(merge(one, two), three)) == book_bytes(world, merge(one, merge(two, three)))
    assert book_bytes(world, merge(one, one, two, three, two)) == together


@settings(max_examples=SIGNED_WORLDS)
@given(world=worlds(), seed=st.integers(0, 2**32))
def test_two_nodes_that_exchange_what_they_lack_have_one_book(world: World, seed: int) -> None:
    dice, entries = Random(seed), verified(world.entries)
    one = [entry for entry in entries if dice.random() < 0.5]
    other = [entry for entry in entries if dice.random() < 0.5]
    known, others = ({entry.entry_hash for entry in part} for part in (one, other))
    first = merge(one, [entry for entry in other if entry.entry_hash not in known])
    second = merge(other, [entry for entry in one if entry.entry_hash not in others])
    assert book_bytes(world, first) == book_bytes(world, second)
