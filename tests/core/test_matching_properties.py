"""What matching promises of every book, whichever code computes it. Spec: 04-matching [MATCH-1..11].

The program's pieces are put to the test; that they are the reference's is held in test_reference_matching.
"""

from collections import Counter
from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from orrange_p2p.core import matching as fast
from orrange_p2p.core.types import Epoch
from protocol.reference import matching as reference
from protocol.reference.book import BookOrder
from protocol.reference.holds import count_lots
from protocol.reference.matching import PIECES_OF_A_FOK_MAX, Piece
from protocol.reference.types import BUY, FOK, IOC
from tests.core.adapters import as_fast_book, as_tuples, fast_assignment, fast_period, fast_skips, present_book
from tests.core.bare import Bare, throw_bare
from tests.core.strategies import bare_books
from tests.core.turns import Turn, can_meet, turns, without_parking

EXAMPLES = settings(max_examples=max(1, settings().max_examples // 4))


def books() -> st.SearchStrategy[Bare]:
    """Books that shrink, and crowds in which what is rare happens."""
    return st.one_of(bare_books(), st.builds(throw_bare, st.integers(0, 2**32), st.integers(12, 48)))


def entitled(bare: Bare) -> list[Piece]:
    """What the program says of a book, in the reference's words."""
    pieces = fast.entitlements(
        present_book(as_fast_book(bare.book), bare.absent),
        fast_assignment(bare.effective),
        fast_skips(bare.skips),
        fast_period(bare.period),
        parked_before=bare.book.epoch - bare.parked_after,
    )
    return [Piece(**{name: getattr(piece, name) for name in Piece.__dataclass_fields__}) for piece in pieces]


def rows_of(bare: Bare) -> dict[bytes, BookOrder]:
    """A book's rows by id."""
    return {row.order_id: row for row in bare.book.orders}


def with_rows(bare: Bare, rows: list[BookOrder]) -> Bare:
    """The same book with these rows only."""
    return replace(bare, book=replace(bare.book, orders=tuple(rows)))


def orders_of(piece: Piece) -> set[bytes]:
    """Both orders of a piece."""
    return {piece.maker_order, piece.taker_order}


# each piece


@EXAMPLES
@given(bare=books())
def test_nobody_trades_beyond_a_limit_and_the_maker_names_the_price(bare: Bare) -> None:
    """S2 of matching, also after a second replay. Spec: [MATCH-4], [MATCH-9]."""
    rows = rows_of(bare)
    for piece in entitled(bare):
        maker, taker = rows[piece.maker_order].order, rows[piece.taker_order].order
        assert maker.side != taker.side
        buy, sell = (maker, taker) if maker.side == BUY else (taker, maker)
        assert sell.price_ticks <= piece.price_ticks == maker.price_ticks <= buy.price_ticks


@EXAMPLES
@given(bare=books())
def test_nobody_meets_itself_nor_whom_it_may_not_meet(bare: Bare) -> None:
    """S5 of matching: owners, skips, tiers, lanes and terms of escrow. Spec: [MATCH-5]."""
    rows = rows_of(bare)
    for piece in entitled(bare):
        maker, taker = rows[piece.maker_order].order, rows[piece.taker_order].order
        assert maker.owner != taker.owner
        assert {(maker.session, taker.session), (taker.session, maker.session)} & bare.skips == set()
        assert bare.period.tier(maker.owner) >= taker.min_tier
        assert bare.period.tier(taker.owner) >= maker.min_tier
        assert maker.security == taker.security
        if maker.security:
            assert set(maker.payment_methods) & set(taker.payment_methods)
            assert set(maker.arbitrators) & set(taker.arbitrators)


@EXAMPLES
@given(bare=books())
def test_no_lot_is_promised_twice_and_only_free_ones_are(bare: Bare) -> None:
    """S1 of matching. Spec: [MATCH-6], [MATCH-11]."""
    rows = rows_of(bare)
    promised: Counter[tuple[bytes, int]] = Counter()
    for piece in entitled(bare):
        assert piece.maker_to - piece.maker_from == piece.taker_to - piece.taker_from >= 1
        promised.update((piece.maker_order, lot) for lot in range(piece.maker_from, piece.maker_to))
        promised.update((piece.taker_order, lot) for lot in range(piece.taker_from, piece.taker_to))
    assert set(promised.values()) <= {1}
    for order_id, lot in promised:
        assert any(first <= lot < second for first, second in rows[order_id].free)


@EXAMPLES
@given(bare=books())
def test_who_is_left_out_meets_nobody(bare: Bare) -> None:
    """Absent sessions, orders that have not come yet, orders that are not matchable. Spec: [MATCH-1], [MATCH-3]."""
    rows = rows_of(bare)
    for order_id in set().union(*map(orders_of, entitled(bare))):
        row = rows[order_id]
        assert row.is_matchable
        assert row.order.session not in bare.absent
        assert bare.effective[order_id] <= bare.book.epoch


@EXAMPLES
@given(bare=books())
def test_a_fok_order_is_filled_to_its_last_lot_in_few_pieces_or_not_at_all(bare: Bare) -> None:
    """S10 of matching. Spec: [MATCH-10]."""
    lots: Counter[bytes] = Counter()
    pieces: Counter[bytes] = Counter()
    for piece in entitled(bare):
        lots.update(dict.fromkeys(orders_of(piece), piece.maker_to - piece.maker_from))
        pieces.update(orders_of(piece))
    for order_id, row in rows_of(bare).items():
        if row.order.tif == FOK and lots[order_id]:
            assert lots[order_id] == row.order.quantity_lots
            assert pieces[order_id] <= PIECES_OF_A_FOK_MAX


@EXAMPLES
@given(bare=books())
def test_orders_that_never_rest_are_no_makers_and_post_only_orders_no_takers(bare: Bare) -> None:
    """Spec: [MATCH-4], [MATCH-5], [MATCH-9]."""
    rows = rows_of(bare)
    for piece in entitled(bare):
        maker, taker = rows[piece.maker_order].order, rows[piece.taker_order].order
        assert maker.tif not in (IOC, FOK)
        assert not taker.post_only


# each turn


def is_kept_out(turn: Turn) -> bool:
    """Whether an order does not enter: a post-only one that would take, a FOK one that is not filled whole."""
    return turn.is_refused or (turn.entrant.order.tif == FOK and not turn.pieces)


@EXAMPLES
@given(bare=books())
def test_in_its_turn_an_order_passes_over_no_better_resting_one(bare: Bare) -> None:
    """It meets the best compatible ones, each to its last lot before the next. Spec: [MATCH-4]."""
    bare = without_parking(bare)
    for turn in turns(bare, entitled(bare)):
        best = [one.row.order_id for one in turn.resting]
        assert [met for met, _ in turn.fills] == best[: len(turn.fills)]
        for met, lots in turn.fills[:-1]:
            assert lots == turn.before[met]


@EXAMPLES
@given(bare=books())
def test_an_order_meets_all_it_can_unless_it_is_kept_out(bare: Bare) -> None:
    """It goes on until it or what it crosses has nothing left; the exceptions are two. Spec: [MATCH-4, MATCH-9..10]."""
    bare = without_parking(bare)
    for turn in turns(bare, entitled(bare)):
        on_offer = sum(turn.before[one.row.order_id] for one in turn.resting)
        wanted = turn.before[turn.entrant.row.order_id]
        if not is_kept_out(turn):
            assert sum(lots for _, lots in turn.fills) == min(wanted, on_offer)
        else:
            assert turn.pieces == []


@EXAMPLES
@given(bare=books())
def test_a_fok_order_that_could_be_filled_whole_is(bare: Bare) -> None:
    """It stays out only for want of lots, its own or others', or for the pieces it would be in. Spec: [MATCH-10]."""
    bare = without_parking(bare)
    for turn in turns(bare, entitled(bare)):
        if turn.entrant.order.tif != FOK or turn.pieces:
            continue
        on_offer = sum(turn.before[one.row.order_id] for one in turn.resting)
        ranges = sum(len(one.row.free) for one in turn.resting)
        lots = turn.entrant.order.quantity_lots
        is_whole = turn.entrant.row.free == ((0, lots),)
        assert not is_whole or on_offer < lots or ranges > PIECES_OF_A_FOK_MAX


# the end


@EXAMPLES
@given(bare=books())
def test_no_crossing_compatible_pair_is_left(bare: Bare) -> None:
    """Of two orders that may meet and both have lots left, the older one never rested or the younger stayed out.

    Spec: [MATCH-4], [MATCH-9], [MATCH-10].
    """
    bare = without_parking(bare)
    told = list(turns(bare, entitled(bare)))
    lots: Counter[bytes] = Counter()
    for turn in told:
        for piece in turn.pieces:
            lots.update(dict.fromkeys(orders_of(piece), piece.maker_to - piece.maker_from))
    over = [turn for turn in told if lots[turn.entrant.row.order_id] < count_lots(list(turn.entrant.row.free))]
    for at, younger in enumerate(over):
        for older in over[:at]:
            if can_meet(bare, older.entrant, younger.entrant):
                never_rested = older.entrant.order.tif in (IOC, FOK) or older.is_refused
                assert never_rested or is_kept_out(younger)


@EXAMPLES
@given(bare=books(), share=st.integers(0, 8))
def test_who_enters_later_changes_no_earlier_pair(bare: Bare, share: int) -> None:
    """While no pair is parked, the first to enter meet each other as if nobody came after. Spec: [MATCH-3]."""
    bare = without_parking(bare)
    entering = reference.entering_orders(bare.book, bare.assignment, bare.period)
    first = {standing.row.order_id for standing in entering[: len(entering) * share // 8]}
    early = with_rows(bare, [row for row in bare.book.orders if row.order_id in first])
    assert entitled(early) == [piece for piece in entitled(bare) if orders_of(piece) <= first]


@EXAMPLES
@given(bare=books(), seed=st.integers(0, 2**32))
def test_the_order_in_which_a_book_is_told_changes_nothing(bare: Bare, seed: int) -> None:
    """Spec: [MATCH-3..8], [MATCH-11]."""
    book, period, effective = as_fast_book(bare.book), fast_period(bare.period), fast_assignment(bare.effective)
    shuffled = replace(book, orders=tuple(Random(seed).sample(book.orders, len(book.orders))))
    parked_before = book.epoch - bare.parked_after
    one, other = (fast.build_engine(told, effective, period, parked_before=parked_before) for told in (book, shuffled))
    assert one.entitlements(fast_skips(bare.skips)) == other.entitlements(fast_skips(bare.skips))
    assert one.window_digest(book.epoch, book.block.hash) == other.window_digest(book.epoch, book.block.hash)


@EXAMPLES
@given(bare=books(), seed=st.integers(0, 2**32))
def test_an_engine_that_was_changed_again_and_again_says_what_a_fresh_one_says(bare: Bare, seed: int) -> None:
    """With tiers, lanes, skips and parked pairs; what has left leaves nothing behind. Spec: [MATCH-3..11]."""
    dice, book, period = Random(seed), as_fast_book(bare.book), fast_period(bare.period)
    effective, parked_before = fast_assignment(bare.effective), book.epoch - bare.parked_after
    engine = fast.Engine(book.market_id, period)
    engine.parked_before = max(0, parked_before)
    for _ in range(4):
        gone = [row.order_id for row in book.orders if dice.randrange(3) == 0]
        come = [(row, Epoch(effective[row.order_id] - dice.randrange(2))) for row in book.orders if dice.randrange(3)]
        engine.apply(gone, come)
        engine.entitlements(fast_skips(bare.skips))
    present = [(row, effective[row.order_id]) for row in book.orders if effective[row.order_id] <= book.epoch]
    early = [row.order_id for row in book.orders if effective[row.order_id] > book.epoch]
    engine.apply(early, present)
    fresh = fast.build_engine(book, effective, period, parked_before=parked_before)
    assert len(engine) == len(fresh)
    assert engine.entitlements(fast_skips(bare.skips)) == fresh.entitlements(fast_skips(bare.skips))
    assert engine.window_digest(book.epoch, book.block.hash) == fresh.window_digest(book.epoch, book.block.hash)


# parked pairs


def assert_parked_hinder_nobody(bare: Bare) -> int:
    """All others meet as if the parked takers were not there; answers how many of those there are."""
    first = reference.entitlements(
        bare.book, bare.assignment, bare.period, bare.skips, parked_after=without_parking(bare).parked_after
    )
    parked = reference.parked_takers(first, bare.assignment, bare.book.epoch - bare.parked_after)
    others = without_parking(with_rows(bare, [row for row in bare.book.orders if row.order_id not in parked]))
    untouched = [piece for piece in entitled(bare) if not orders_of(piece) & parked]
    assert as_tuples(untouched) == as_tuples(entitled(others))
    return len(parked)


@EXAMPLES
@given(bare=books(), parked_after=st.integers(0, 4))
def test_takers_of_parked_pairs_hinder_nobody(bare: Bare, parked_after: int) -> None:
    """Spec: [MATCH-11]."""
    assert_parked_hinder_nobody(replace(bare, parked_after=parked_after))


def test_the_books_of_these_tests_have_what_the_tests_are_about() -> None:
    """Refused post-only orders, FOK orders of both ends, parked pairs: a property of nothing would be no property."""
    seen: Counter[str] = Counter()
    for seed in range(60):
        bare = throw_bare(seed, 40)
        seen["parked"] += assert_parked_hinder_nobody(replace(bare, parked_after=1))
        bare = without_parking(bare)
        for turn in turns(bare, entitled(bare)):
            order = turn.entrant.order
            seen["refused"] += turn.is_refused
            seen["older takers"] += order.post_only and bool(turn.pieces)
            seen["filled FOK"] += order.tif == FOK and bool(turn.pieces)
            seen["unfilled FOK"] += order.tif == FOK and bool(turn.resting) and not turn.pieces
            seen["escrow"] += bool(order.security and turn.pieces)
    assert min(seen[what] for what in ("parked", "refused", "older takers", "filled FOK", "unfilled FOK", "escrow")) > 5
