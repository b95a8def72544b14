"""The continuous book by example, against a list that is searched anew each time, and against the epochs' matching."""

import gc
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orrange_p2p.core.book import BookOrder
from orrange_p2p.core.continuous import ContinuousBook, Fill
from orrange_p2p.core.matching import Engine, first_period
from orrange_p2p.core.types import (
    U64_MAX,
    ZERO_DIGEST,
    Address,
    Epoch,
    MarketId,
    Order,
    OrderId,
    OrderKind,
    Side,
    TimeInForce,
)
from orrange_p2p.errors import OrderError

BUY, SELL = Side.BUY, Side.SELL
MARKET = MarketId(b"\x4d" * 32)
Placed = tuple[Side, int, int, bool]
"""Side, price in ticks, lots, IOC or not."""


def name(number: int) -> OrderId:
    return OrderId(number.to_bytes(32, "big"))


A, B, C, D = (name(number) for number in range(1, 5))


def placed() -> st.SearchStrategy[Placed]:
    return st.tuples(st.sampled_from(Side), st.integers(1, 8), st.integers(1, 9), st.booleans())


@pytest.fixture
def book() -> ContinuousBook:
    return ContinuousBook()


@pytest.mark.parametrize(
    ("price_ticks", "lots", "field"), [(0, 1, "price_ticks"), (-1, 1, "price_ticks"), (1, 0, "quantity_lots")]
)
def test_less_than_one_tick_or_lot_is_refused(book: ContinuousBook, price_ticks: int, lots: int, field: str) -> None:
    with pytest.raises(OrderError) as refused:
        book.add(A, BUY, price_ticks, lots)
    assert (refused.value.field, refused.value.rule) == (field, "CBOR-4")
    assert len(book) == 0


def test_an_order_that_rests_is_refused_a_second_time_and_may_come_back_once_it_left(book: ContinuousBook) -> None:
    book.add(A, BUY, 5, 1)
    with pytest.raises(OrderError, match="does not rest yet"):
        book.add(A, SELL, 5, 1)
    assert book.cancel(A) == 1
    assert book.add(A, SELL, 5, 1) == []


def test_a_cancel_of_what_does_not_rest_does_nothing(book: ContinuousBook) -> None:
    book.add(A, BUY, 5, 1)
    assert book.cancel(B) == 0
    assert book.add(B, SELL, 5, 1) == [(A, B, 5, 1)]
    assert (book.cancel(A), book.cancel(B), len(book)) == (0, 0, 0)


def test_prices_that_do_not_cross_rest(book: ContinuousBook) -> None:
    assert book.add(A, BUY, 99, 1) == book.add(B, SELL, 100, 1) == []
    assert (book.best_price_ticks(BUY), book.best_price_ticks(SELL)) == (99, 100)


@pytest.mark.parametrize("price_ticks", [1, U64_MAX])
def test_equal_prices_meet_at_both_ends_of_the_range(book: ContinuousBook, price_ticks: int) -> None:
    book.add(A, SELL, price_ticks, 3)
    assert book.add(B, BUY, price_ticks, 3) == [(A, B, price_ticks, 3)]


def test_the_best_price_goes_first_then_the_earlier_order_each_at_its_own_price(book: ContinuousBook) -> None:
    book.add(A, SELL, 12, 2)
    book.add(B, SELL, 10, 2)
    book.add(C, SELL, 10, 2)
    assert book.add(D, BUY, 12, 5) == [(B, D, 10, 2), (C, D, 10, 2), (A, D, 12, 1)]
    assert (book.lots_left(A), book.lots_left(D), len(book)) == (1, 0, 1)


def test_a_part_filled_order_keeps_its_place(book: ContinuousBook) -> None:
    book.add(A, BUY, 10, 5)
    book.add(B, BUY, 10, 5)
    assert book.add(C, SELL, 10, 2) == [(A, C, 10, 2)]
    assert book.add(D, SELL, 9, 4) == [(A, D, 10, 3), (B, D, 10, 1)]


def test_the_remainder_rests_but_that_of_an_ioc_does_not(book: ContinuousBook) -> None:
    book.add(A, BUY, 10, 1)
    assert book.add(B, SELL, 10, 3, is_ioc=True) == [(A, B, 10, 1)]
    assert len(book) == 0
    book.add(A, BUY, 10, 1)
    book.add(B, SELL, 10, 3)
    assert book.depth(SELL, 5) == [(10, 2)]


def test_depth_adds_up_levels_best_first(book: ContinuousBook) -> None:
    for number, (price_ticks, lots) in enumerate([(7, 1), (9, 2), (9, 3), (8, 4)]):
        book.add(name(number), BUY, price_ticks, lots)
    assert book.depth(BUY, 2) == [(9, 5), (8, 4)]
    assert book.depth(BUY, 9) == [(9, 5), (8, 4), (7, 1)]
    assert book.depth(BUY, 0) == book.depth(SELL, 9) == []


def test_a_preview_says_what_an_order_would_get_and_changes_nothing(book: ContinuousBook) -> None:
    book.add(A, SELL, 10, 2)
    book.add(B, SELL, 11, 2)
    expected = [(A, ZERO_DIGEST, 10, 2), (B, ZERO_DIGEST, 11, 1)]
    assert book.preview(BUY, 11, 3) == book.preview(BUY, 11, 3) == expected
    assert book.preview(BUY, 10, 3) == expected[:1]
    assert book.preview(BUY, 9, 3) == book.preview(SELL, 1, 3) == []
    assert book.depth(SELL, 5) == [(10, 2), (11, 2)]


class Searched:
    """A book that searches a list for the best order, every time."""

    def __init__(self) -> None:
        self.resting: list[tuple[OrderId, Side, int, int]] = []

    def add(self, order_id: OrderId, side: Side, price_ticks: int, lots: int, *, is_ioc: bool) -> list[Fill]:
        fills = []
        sign = 1 if side is BUY else -1
        while lots:
            crossing = [row for row in self.resting if row[1] is not side and sign * (price_ticks - row[2]) >= 0]
            if not crossing:
                break
            best = min(crossing, key=lambda row: sign * row[2])  # of equals the first, which came first
            at, (maker, _, price, left) = self.resting.index(best), best
            taken = min(left, lots)
            fills.append((maker, order_id, price, taken))
            lots -= taken
            self.resting[at : at + 1] = [(maker, best[1], price, left - taken)] if left > taken else []
        if lots and not is_ioc:
            self.resting.append((order_id, side, price_ticks, lots))
        return fills

    def cancel(self, order_id: OrderId) -> int:
        gone = [row for row in self.resting if row[0] == order_id]
        self.resting = [row for row in self.resting if row[0] != order_id]
        return gone[0][3] if gone else 0


@given(steps=st.lists(st.one_of(placed(), st.integers(0, 60)), max_size=60))
def test_orders_and_cancels_come_to_what_a_searched_list_says(steps: list[Placed | int]) -> None:
    """Spec: [MATCH-4]."""
    book, searched = ContinuousBook(), Searched()
    for number, step in enumerate(steps):
        if isinstance(step, int):
            assert book.cancel(name(step)) == searched.cancel(name(step))
            continue
        side, price_ticks, lots, is_ioc = step
        foreseen = book.preview(side, price_ticks, lots)
        fills = book.add(name(number), side, price_ticks, lots, is_ioc=is_ioc)
        assert fills == searched.add(name(number), side, price_ticks, lots, is_ioc=is_ioc)
        assert [(maker, price, taken) for maker, _, price, taken in foreseen] == [
            (maker, price, taken) for maker, _, price, taken in fills
        ]
    assert {row[0]: row[3] for row in searched.resting} == {row[0]: book.lots_left(row[0]) for row in searched.resting}
    assert len(book) == len(searched.resting)
    for side in Side:
        by_price: dict[int, int] = {}
        for _, its_side, price_ticks, lots in searched.resting:
            if its_side is side:
                by_price[price_ticks] = by_price.get(price_ticks, 0) + lots
        assert book.depth(side, 99) == sorted(by_price.items(), reverse=side is BUY)


@given(orders=st.lists(placed(), max_size=40))
def test_orders_with_an_epoch_and_an_owner_each_fill_as_the_epochs_entitle(orders: list[Placed]) -> None:
    """Spec: [MATCH-3..6]."""
    engine, book = Engine(MARKET, first_period(MARKET)), ContinuousBook()
    fills: list[Fill] = []
    rows: list[BookOrder] = []
    for number, (side, price_ticks, lots, is_ioc) in enumerate(orders):
        fills += book.add(name(number), side, price_ticks, lots, is_ioc=is_ioc)
        order = Order(
            market=MARKET,
            owner=Address(number.to_bytes(20, "big")),
            session=Address((1000 + number).to_bytes(20, "big")),
            nonce=0,
            side=side,
            kind=OrderKind.LIMIT,
            price_ticks=price_ticks,
            quantity_lots=lots,
            tif=TimeInForce.IOC if is_ioc else TimeInForce.GTC,
            expiry_s=0,
        )
        row = BookOrder(order_id=name(number), order=order, placed=Epoch(0), free=((0, lots),), is_matchable=True)
        rows.append(replace(row, placed=Epoch(number)))
    engine.apply((), [(row, row.placed) for row in rows])
    pieces = engine.entitlements()
    assert [(piece.maker_order, piece.taker_order, piece.price_ticks, piece.lots) for piece in pieces] == fills


@pytest.mark.parametrize("leaves", ["by cancel", "by fill"])
def test_orders_that_left_leave_no_memory_behind_even_under_one_that_stays(book: ContinuousBook, leaves: str) -> None:
    """What a lazy delete would keep: here 20,000 orders pass at the level of one that rests."""
    ids = [name(number) for number in range(20_001)]
    book.add(ids[0], BUY, 10, 10**6)

    def pass_by(first: int, end: int) -> int:
        for at in range(first, end):
            order_id = ids[at]
            book.add(order_id, BUY, 10 if leaves == "by cancel" else 11, 1)
            if leaves == "by cancel":
                book.cancel(order_id)
            else:
                book.add(D, SELL, 11, 1)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    before = pass_by(10, 1000)
    after = pass_by(1000, 20_001)
    tracemalloc.stop()
    assert after - before < 4096
    assert len(book) == 1


def test_a_level_is_rid_of_the_places_of_orders_that_left_from_its_front(book: ContinuousBook) -> None:
    """Else each look at the front would walk over all of them."""
    for number in range(1000):
        book.add(name(number), SELL, 10, 1)
    for number in range(990):
        book.cancel(name(number))
    level = book._levels[-10]
    assert level.gone <= len(level.queue) + 16
    assert book.add(D, BUY, 10, 3) == [(name(number), D, 10, 1) for number in (990, 991, 992)]
