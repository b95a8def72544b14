"""Hypothesis strategies: signed worlds, bare books, assignments, skips.

Signed worlds are real: every entry decodes, every signature was made by a key. Bare books have no signatures, so that a
test can afford hundreds of orders at a few prices, most of which cross.
"""

from collections.abc import Sequence
from random import Random

from hypothesis import settings
from hypothesis import strategies as st

from protocol.reference.book import Book
from protocol.reference.types import Clock, Digest
from tests.core.bare import TERMS, Bare, Row, make_bare, throw_bare
from tests.core.worlds import BONDED, CLOCK, DICE, SESSIONS, WEIGHTED_VERBS, Step, World, build_world, throw_steps

CHECKPOINT_VERBS = (*WEIGHTED_VERBS, *("checkpoint",) * 8, *("offer", "ticket") * 5)
SIGNED_WORLDS = max(1, settings().max_examples // 8)


def steps() -> st.SearchStrategy[Step]:
    """One thing that happens in a world."""
    dice = st.tuples(*(st.integers(0, 240),) * DICE)
    return st.builds(Step, st.sampled_from(WEIGHTED_VERBS), dice)


def worlds() -> st.SearchStrategy[World]:
    """A signed world, with bonds or without: shrinkable steps, many from a seed, or with Checkpoints among them."""
    clocks = st.sampled_from([CLOCK, BONDED])
    told = st.builds(build_world, st.integers(0, 3), st.lists(steps(), min_size=4, max_size=30), clocks)
    thrown = st.builds(
        lambda purse, seed, count, clock: build_world(purse, throw_steps(seed, count), clock),
        st.integers(0, 3),
        st.integers(0, 2**32),
        st.integers(20, 90),
        clocks,
    )
    return st.one_of(told, thrown, checkpoint_worlds(clocks=(CLOCK, BONDED)))


def throw_checkpoints(seed: int, count: int, *, honest: bool) -> list[Step]:
    """Steps from a seed, a Checkpoint after every few; some of them false where nobody is honest."""
    dice = Random(seed)
    steps: list[Step] = []
    for _ in range(count):
        verb = dice.choice(CHECKPOINT_VERBS)
        values = [dice.randrange(2**16) for _ in range(DICE)]
        if verb in ("offer", "ticket") and dice.randrange(2):
            values = [0, *values[1:2], *[0] * 6]
        if verb == "checkpoint" and honest:
            values[1] = 0
        steps.append(Step(verb, tuple(values)))
    return steps


def checkpoint_worlds(*, honest: bool = False, clocks: Sequence[Clock] = (CLOCK,)) -> st.SearchStrategy[World]:
    """Worlds in which sessions write Checkpoints at any place, most of them true, or all."""
    return st.builds(
        lambda purse, seed, count, clock: build_world(purse, throw_checkpoints(seed, count, honest=honest), clock),
        st.integers(1, 3),
        st.integers(0, 2**32),
        st.integers(10, 70),
        st.sampled_from(clocks),
    )


def lateness() -> st.SearchStrategy[Random]:
    """Dice for an assignment."""
    return st.integers(0, 2**32).map(Random)


def throw_assignment(book: Book, dice: Random) -> dict[Digest, int]:
    """Effective epochs: most as claimed, some later, a few after the book's own epoch."""
    late = (0, 0, 0, 0, 0, 1, 2, 5, 30)
    return {row.order_id: row.placed_epoch + dice.choice(late) for row in book.orders}


def throw_skips(dice: Random) -> frozenset[tuple[bytes, bytes]]:
    """Pairs of sessions that are not to meet."""
    names = [session.address for session in SESSIONS]
    return frozenset((dice.choice(names), dice.choice(names)) for _ in range(dice.choice((0, 0, 1, 3))))


def rows() -> st.SearchStrategy[Row]:
    """Owner, second session or not, side, price, shape of free ranges, epoch, kind and lateness, matchable, terms."""
    return st.tuples(
        st.integers(0, 5),
        st.integers(0, 1),
        st.integers(0, 1),
        st.integers(1, 6),
        st.integers(0, 11),
        st.integers(0, 4),
        st.integers(0, 11),
        st.sampled_from([True, True, True, True, False]),
        st.integers(0, TERMS - 1),
    )


def bare_books() -> st.SearchStrategy[Bare]:
    """A few orders, each drawn by itself, so that a difference shrinks to the orders that matter."""
    return st.builds(make_bare, st.lists(rows(), max_size=24), st.integers(0, 2**32))


def crowded_books() -> st.SearchStrategy[Bare]:
    """Hundreds of orders thrown by a seed."""
    return st.builds(throw_bare, st.integers(0, 2**32), st.integers(100, 400))
