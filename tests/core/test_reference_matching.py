"""The matching engine entitles exactly whom the slow replay entitles. Spec: 04-matching [MATCH-1..8]."""

from random import Random

from hypothesis import given, settings

from orrange_p2p.core import matching as fast
from orrange_p2p.core.matching import Engine, first_period
from orrange_p2p.core.types import Digest, Epoch, OrderId
from protocol.reference import matching as reference
from protocol.reference.book import encode_book
from tests.core.adapters import (
    RULES,
    as_fast_book,
    as_tuples,
    fast_assignment,
    fast_period,
    fast_skips,
    present_book,
)
from tests.core.bare import Bare, throw_bare
from tests.core.strategies import bare_books, crowded_books


def assert_equal(bare: Bare) -> list[reference.Piece]:
    """Hold the program to the reference for one bare book; answers the pieces."""
    book, assignment = as_fast_book(bare.book), fast_assignment(bare.effective)
    assert book.encode() == encode_book(bare.book)
    pieces = reference_pieces(bare)
    assert as_tuples(fast_pieces(bare)) == as_tuples(pieces)
    digest = fast.window_digest(present_book(book, bare.absent), assignment, fast_period(bare.period))
    assert digest == reference.window_digest(bare.book, bare.assignment, bare.period)
    return pieces


def reference_pieces(bare: Bare) -> list[reference.Piece]:
    """What the reference says."""
    return reference.entitlements(bare.book, bare.assignment, bare.period, bare.skips, parked_after=bare.parked_after)


def fast_pieces(bare: Bare) -> tuple[fast.Piece, ...]:
    """What the program says."""
    return fast.entitlements(
        present_book(as_fast_book(bare.book), bare.absent),
        fast_assignment(bare.effective),
        fast_skips(bare.skips),
        fast_period(bare.period),
        parked_before=bare.book.epoch - bare.parked_after,
    )


@given(bare=bare_books())
def test_entitlements_and_window_digests_equal_the_reference(bare: Bare) -> None:
    assert_equal(bare)


@settings(max_examples=max(1, settings().max_examples // 16))
@given(bare=crowded_books())
def test_hundreds_of_orders_are_matched_as_the_reference_does(bare: Bare) -> None:
    assert_equal(bare)


def test_one_lot_that_crosses_a_deep_book_takes_only_the_best() -> None:
    """A far-crossing order is entitled to the front of the book and not to more. Spec: [MATCH-4]."""
    bare = throw_bare(7, 300)
    pieces = assert_equal(bare)
    assert any(piece.maker_to - piece.maker_from == 1 for piece in pieces)


def test_an_engine_that_changes_step_by_step_equals_a_fresh_one() -> None:
    """Orders come, change and leave by the hundred; what is left in the engine says the same. Spec: [MATCH-3..8]."""
    dice = Random(5)
    engine = Engine(RULES.market_id, first_period(RULES.market_id))
    bare = throw_bare(5, 300)
    rows = {row.order_id: row for row in as_fast_book(bare.book).orders}
    claimed = fast_assignment(bare.effective)
    block_hash = Digest(bare.book.block.hash)
    standing: dict[OrderId, Epoch] = {}
    for _ in range(40):
        leaving = [order_id for order_id in standing if dice.random() < 0.2]
        coming = [order_id for order_id in rows if dice.random() < 0.15 and order_id not in leaving]
        engine.apply(leaving, [(rows[order_id], claimed[order_id]) for order_id in coming])
        for order_id in leaving:
            del standing[order_id]
        standing |= {order_id: claimed[order_id] for order_id in coming if rows[order_id].is_matchable}
        fresh = Engine(RULES.market_id, first_period(RULES.market_id))
        fresh.apply((), [(rows[order_id], epoch) for order_id, epoch in standing.items()])
        assert engine.entitlements() == fresh.entitlements()
        assert engine.window_digest(Epoch(3), block_hash) == fresh.window_digest(Epoch(3), block_hash)
