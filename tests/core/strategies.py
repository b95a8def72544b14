"""Hypothesis strategies: signed worlds, bare books, assignments, skips.

Signed worlds are real: every entry decodes, every signature was made by a key. Bare books have no signatures, so that a
test can afford hundreds of orders at a few prices, most of which cross.
"""

from dataclasses import dataclass
from random import Random

from hypothesis import settings
from hypothesis import strategies as st

from protocol.reference.book import Book, BookOrder
from protocol.reference.chain import Block
from protocol.reference.signing import keccak
from protocol.reference.types import GTC, IOC, Digest, LotRange, Order
from tests.core.pens import MARKET_ID
from tests.core.worlds import DICE, SESSIONS, WEIGHTED_VERBS, Step, World, build_world, throw_steps

EPOCH = 100
SIGNED_WORLDS = max(1, settings().max_examples // 8)

Row = tuple[int, int, int, int, int, int, int, bool]


@dataclass(frozen=True)
class Bare:
    """A book without signatures, with an assignment and skips of sessions that stand in it."""

    book: Book
    assignment: dict[Digest, int]
    skips: frozenset[tuple[bytes, bytes]]


def steps() -> st.SearchStrategy[Step]:
    """One thing that happens in a world."""
    dice = st.tuples(*(st.integers(0, 240),) * DICE)
    return st.builds(Step, st.sampled_from(WEIGHTED_VERBS), dice)


def worlds() -> st.SearchStrategy[World]:
    """A signed world: shrinkable steps, or many that a seed threw."""
    told = st.builds(build_world, st.integers(0, 3), st.lists(steps(), min_size=4, max_size=30))
    thrown = st.builds(
        lambda purse, seed, count: build_world(purse, throw_steps(seed, count)),
        st.integers(0, 3),
        st.integers(0, 2**32),
        st.integers(20, 90),
    )
    return st.one_of(told, thrown)


def lateness() -> st.SearchStrategy[Random]:
    """Dice for an assignment."""
    return st.integers(0, 2**32).map(Random)


def throw_assignment(book: Book, dice: Random) -> dict[Digest, int]:
    """Effective epochs: most as claimed, some later, a few after the book's own epoch."""
    late = (0, 0, 0, 0, 0, 1, 2, 5, 30)
    return {row.order_id: row.claimed_epoch + dice.choice(late) for row in book.orders}


def throw_skips(dice: Random) -> frozenset[tuple[bytes, bytes]]:
    """Pairs of sessions that are not to meet."""
    names = [session.address for session in SESSIONS]
    return frozenset((dice.choice(names), dice.choice(names)) for _ in range(dice.choice((0, 0, 1, 3))))


def rows() -> st.SearchStrategy[Row]:
    """Owner, second session or not, side, price, shape of the free ranges, epoch, kind and lateness, matchable."""
    return st.tuples(
        st.integers(0, 5),
        st.integers(0, 1),
        st.integers(0, 1),
        st.integers(1, 6),
        st.integers(0, 11),
        st.integers(0, 4),
        st.integers(0, 11),
        st.sampled_from([True, True, True, True, False]),
    )


def bare_books() -> st.SearchStrategy[Bare]:
    """A few orders, each drawn by itself, so that a difference shrinks to the orders that matter."""
    return st.builds(make_bare, st.lists(rows(), max_size=24), st.integers(0, 2**32))


def crowded_books() -> st.SearchStrategy[Bare]:
    """Hundreds of orders thrown by a seed."""
    return st.builds(throw_bare, st.integers(0, 2**32), st.integers(100, 400))


def throw_bare(seed: int, count: int) -> Bare:
    """A bare book of so many orders, the same under every PYTHONHASHSEED."""
    dice = Random(seed)
    width = dice.choice((2, 6, 40))
    return make_bare(
        [
            (
                dice.randrange(6),
                dice.randrange(2),
                dice.randrange(2),
                1 + dice.randrange(width),
                dice.randrange(12),
                dice.randrange(5),
                dice.randrange(12),
                dice.randrange(8) != 0,
            )
            for _ in range(count)
        ],
        seed,
    )


def make_bare(drawn: list[Row], seed: int) -> Bare:
    """The book that rows say; ids, gaps and skips follow from the seed."""
    dice = Random(seed)
    orders: list[BookOrder] = []
    assignment: dict[Digest, int] = {}
    for number, (owner, second, side, price_ticks, shape, claimed, habit, is_matchable) in enumerate(drawn):
        free = make_free(shape, dice)
        order = Order(
            market=MARKET_ID,
            owner=bytes([owner]) * 20,
            session=bytes([16 * (1 + second) + owner]) * 20,
            nonce=number,
            side=side,
            kind=0,
            price_ticks=price_ticks,
            quantity_lots=free[-1][1],
            tif=IOC if habit % 4 == 1 else GTC,
            expiry=0,
            post_only=False,
            min_tier=0,
            payment_methods=(),
            arbitrators=(),
            security=0,
        )
        order_id = keccak(seed.to_bytes(8, "big") + number.to_bytes(4, "big"))
        orders.append(
            BookOrder(
                order_id=order_id, order=order, claimed_epoch=EPOCH - claimed, free=free, is_matchable=is_matchable
            )
        )
        assignment[order_id] = EPOCH - claimed + (habit - 8 if habit > 8 else 0)
    orders.sort(key=lambda row: row.order_id)
    sessions = [row.order.session for row in orders]
    skips = frozenset((dice.choice(sessions), dice.choice(sessions)) for _ in range(seed % 3) if sessions)
    block = Block(number=9, hash=keccak(b"the fund block"), time_s=0)
    book = Book(market=MARKET_ID, epoch=EPOCH, block=block, orders=tuple(orders), dead_sessions=())
    return Bare(book=book, assignment=assignment, skips=skips)


def make_free(shape: int, dice: Random) -> tuple[LotRange, ...]:
    """Free ranges: one, or a few with gaps between them; never none."""
    if shape < 6:
        return ((0, 1 + shape),)
    ranges: list[LotRange] = []
    cursor = dice.randrange(3)
    for _ in range(shape - 5):
        lots = 1 + dice.randrange(4)
        ranges.append((cursor, cursor + lots))
        cursor += lots + 1 + dice.randrange(3)
    return tuple(ranges)
