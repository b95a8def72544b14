"""The program's book is the reference's, byte for byte, however the entries came. Spec: 02-feeds to 04-matching."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from orrange_p2p.core import matching as fast
from orrange_p2p.core.book import Book, BookKeeper
from orrange_p2p.core.feeds import Feeds
from protocol.reference import book as reference_book
from protocol.reference import matching as reference
from protocol.reference.period import first_period
from tests.core.adapters import (
    as_tuples,
    fast_assignment,
    fast_book,
    fast_feeds,
    fast_ledger,
    fast_rules,
    fast_skips,
    kept_book,
    verified,
)
from tests.core.pens import FIRST_EPOCH, MARKET_ID
from tests.core.small_worlds import reference_book_at, reference_book_of
from tests.core.strategies import SIGNED_WORLDS, throw_assignment, throw_skips, worlds
from tests.core.worlds import CLOCK, World, build_world, throw_steps

PERIOD = first_period(MARKET_ID)


def asked_epochs(world: World) -> list[int]:
    """Epochs around a world's end, when tickets live and when they are over, and one nobody knows the block of."""
    return [world.epoch - 4, world.epoch, world.epoch + 2, world.epoch + 16, world.epoch + 200]


def assert_book_equal(said: Book | None, expected: reference_book.Book | None) -> None:
    """Hold a book of the program to the reference's bytes."""
    if expected is None or said is None:
        assert (said is None) == (expected is None)
        return
    rows = {row.order_id: (row.free, row.is_matchable) for row in said.orders}
    assert rows == {row.order_id: (row.free, row.is_matchable) for row in expected.orders}
    assert said.encode() == reference_book.encode_book(expected)
    assert said.digest() == reference_book.book_digest(expected)


@settings(max_examples=SIGNED_WORLDS)
@given(world=worlds(), seed=st.integers(0, 2**32))
def test_books_equal_the_reference_in_any_order_of_arrival(world: World, seed: int) -> None:
    """Late, twice and in another order: the book is a join of entries. Spec: [FEED-8], [BOOK-1..3]."""
    dice = Random(seed)
    arrived = verified(world.entries) + verified(dice.sample(world.entries, len(world.entries) // 2))
    dice.shuffle(arrived)
    feeds, ledger = fast_feeds(arrived, fast_rules(world.clock)), fast_ledger(world.blocks)
    for epoch in asked_epochs(world):
        expected = reference_book_of(world, epoch)
        said = fast_book(feeds, ledger, epoch)
        assert_book_equal(said, expected)
        if said is None or expected is None:
            continue
        assignment, skips = throw_assignment(expected, dice), throw_skips(dice)
        fast_late = fast_assignment(assignment)
        said_of = reference.Assignment(effective=assignment)
        pieces = reference.entitlements(expected, said_of, PERIOD, skips, parked_after=CLOCK.constants.w)
        assert as_tuples(
            fast.entitlements(said, fast_late, fast_skips(skips), parked_before=epoch - CLOCK.constants.w)
        ) == as_tuples(pieces)
        assert fast.window_digest(said, fast_late) == reference.window_digest(expected, said_of, PERIOD)


@settings(max_examples=SIGNED_WORLDS)
@given(world=worlds(), seed=st.integers(0, 2**32))
def test_a_book_kept_up_step_by_step_equals_the_reference(world: World, seed: int) -> None:
    """Entries trickle in while epochs pass; the keeper's book is what the reference says of those here so far."""
    dice = Random(seed)
    here: list[bytes] = []
    coming = list(world.entries)
    ledger, feeds = fast_ledger(world.blocks), Feeds(fast_rules(world.clock))
    keeper = BookKeeper(feeds, ledger)
    for epoch in range(FIRST_EPOCH, world.epoch + 14, 1 + dice.randrange(4)):
        count = dice.randrange(len(coming) + 1)
        for entry in verified(coming[:count]):
            keeper.touch(feeds.add(entry)[2])
        here, coming = here + coming[:count], coming[count:]
        expected = reference_book_at(world, here, epoch)
        assert_book_equal(kept_book(keeper, ledger, epoch), expected)


def test_one_node_given_the_same_entries_late_twice_and_in_another_order_has_an_equal_book_and_entitlements() -> None:
    """One node is given the same entries late, twice and in another order: its book digest is equal, and with the same
    assignment so are its entitlements."""
    world = build_world(3, throw_steps(20, 160))
    ledger = fast_ledger(world.blocks)
    in_time, dice = verified(world.entries), Random(1)
    shuffled = dice.sample(in_time + in_time, 2 * len(in_time))
    punctual, tardy = fast_feeds(in_time), fast_feeds(shuffled)
    pieces = 0
    for epoch in range(FIRST_EPOCH, world.epoch + 8):
        first, second = fast_book(punctual, ledger, epoch), fast_book(tardy, ledger, epoch)
        assert first is not None
        assert second is not None
        assert first.digest() == second.digest()
        expected = reference_book_of(world, epoch)
        assert expected is not None
        assignment = fast_assignment(throw_assignment(expected, dice))
        assert fast.entitlements(first, assignment) == fast.entitlements(second, assignment)
        assert fast.window_digest(first, assignment) == fast.window_digest(second, assignment)
        pieces += len(fast.entitlements(first, assignment))
    assert pieces > 10


def test_worlds_are_worth_comparing() -> None:
    """Thrown worlds cross, hold, cut, void and die, or the equalities above would say little."""
    live = matchable = cut = dead = pieces = 0
    for seed in range(40):
        world = build_world(seed % 4, throw_steps(seed, 60))
        book = reference_book_of(world, world.epoch)
        assert book is not None
        live += len(book.orders)
        matchable += sum(row.is_matchable for row in book.orders)
        cut += sum(row.free != ((0, row.order.quantity_lots),) for row in book.orders)
        dead += len(book.dead_sessions)
        claimed = {row.order_id: row.placed_epoch for row in book.orders}
        said_of = reference.Assignment(effective=claimed)
        pieces += len(reference.entitlements(book, said_of, PERIOD, parked_after=CLOCK.constants.w))
    assert live > 200
    assert 100 < matchable < live
    assert cut > 25
    assert dead > 3
    assert pieces > 30
