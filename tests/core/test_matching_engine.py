"""The matching engine by example: who meets whom, at what price, in which lots. Spec: 04-matching [MATCH-1..8]."""

from dataclasses import replace
from itertools import permutations
from random import Random

import pytest

from orrange_p2p.core import cbor
from orrange_p2p.core.book import Book, BookOrder
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.ledger import BlockRef
from orrange_p2p.core.matching import (
    Engine,
    Piece,
    build_engine,
    entitlements,
    first_period,
    window_digest,
)
from orrange_p2p.core.ranges import Ranges, total
from orrange_p2p.core.types import (
    U64_MAX,
    Address,
    Digest,
    Epoch,
    MarketId,
    Order,
    OrderId,
    OrderKind,
    Side,
    TimeInForce,
)

MARKET = MarketId(b"\x4d" * 32)
PERIOD = first_period(MARKET)
BEACON = PERIOD.beacon
BLOCK = BlockRef(number=7, hash=Digest(b"\xb1" * 32), time_s=1_700_000_000)
ALICE, BOB, CAROL, DAVE = (Address(bytes([number]) * 20) for number in (0xA1, 0xB0, 0xCA, 0xDA))
BUY, SELL = Side.BUY, Side.SELL
IOC = TimeInForce.IOC


def session_of(owner: Address) -> Address:
    """The one session of an owner here."""
    return Address(owner[::-1][:19] + b"\x01")


class Pad:
    """Writes orders with ids that can be told apart and nonces that rise."""

    def __init__(self) -> None:
        self.count = 0

    def order(
        self,
        owner: Address,
        side: Side,
        price_ticks: int,
        lots: int = 10,
        *,
        epoch: int = 1,
        tif: TimeInForce = TimeInForce.GTC,
        free: Ranges | None = None,
    ) -> BookOrder:
        self.count += 1
        order = Order(
            market=MARKET,
            owner=owner,
            session=session_of(owner),
            nonce=self.count,
            side=side,
            kind=OrderKind.LIMIT,
            price_ticks=price_ticks,
            quantity_lots=lots,
            tif=tif,
            expiry_s=0,
        )
        return BookOrder(
            order_id=OrderId(self.count.to_bytes(32, "big")),
            order=order,
            placed=Epoch(epoch),
            free=((0, lots),) if free is None else free,
            is_matchable=True,
        )


@pytest.fixture
def pad() -> Pad:
    return Pad()


def engine_of(*rows: BookOrder) -> Engine:
    """An engine that was told these orders at once."""
    engine = Engine(MARKET, PERIOD)
    engine.apply((), [(row, row.placed) for row in rows])
    return engine


def met(engine: Engine) -> list[tuple[OrderId, OrderId, int, int]]:
    """Maker, taker, price and lots of each piece."""
    return [(piece.maker_order, piece.taker_order, piece.price_ticks, piece.lots) for piece in engine.entitlements()]


def first_by_rank(*owners: Address, epoch: int = 1) -> list[Address]:
    """Owners in the order in which the beacon ranks them."""
    return sorted(owners, key=lambda owner: PERIOD.rank(Epoch(epoch), owner, MARKET))


def test_nothing_meets_in_an_empty_or_one_sided_book(pad: Pad) -> None:
    assert engine_of().entitlements() == ()
    assert engine_of(pad.order(ALICE, BUY, U64_MAX), pad.order(BOB, BUY, 1)).entitlements() == ()
    assert engine_of(pad.order(ALICE, SELL, 1), pad.order(BOB, SELL, U64_MAX)).entitlements() == ()


def test_prices_that_do_not_cross_do_not_meet(pad: Pad) -> None:
    assert engine_of(pad.order(ALICE, BUY, 99), pad.order(BOB, SELL, 100)).entitlements() == ()


@pytest.mark.parametrize("price_ticks", [1, U64_MAX])
def test_equal_prices_meet_at_both_ends_of_the_range(pad: Pad, price_ticks: int) -> None:
    buy, sell = pad.order(ALICE, BUY, price_ticks), pad.order(BOB, SELL, price_ticks, epoch=2)
    assert met(engine_of(buy, sell)) == [(buy.order_id, sell.order_id, price_ticks, 10)]


@pytest.mark.parametrize("resting_side", [BUY, SELL])
def test_the_resting_order_names_the_price(pad: Pad, resting_side: Side) -> None:
    prices = {BUY: 120, SELL: 90}
    maker = pad.order(ALICE, resting_side, prices[resting_side])
    taker = pad.order(BOB, Side(1 - resting_side), prices[Side(1 - resting_side)], epoch=2)
    assert met(engine_of(taker, maker)) == [(maker.order_id, taker.order_id, prices[resting_side], 10)]


def test_within_an_epoch_the_rank_says_who_rests(pad: Pad) -> None:
    early, late = first_by_rank(ALICE, BOB)
    buy, sell = pad.order(late, BUY, 100), pad.order(early, SELL, 90)
    assert met(engine_of(buy, sell)) == [(sell.order_id, buy.order_id, 90, 10)]


def test_better_prices_are_taken_first_then_earlier_epochs(pad: Pad) -> None:
    worse, old, new = (
        pad.order(ALICE, SELL, 100, 5),
        pad.order(ALICE, SELL, 90, 5, epoch=1),
        pad.order(BOB, SELL, 90, 5, epoch=2),
    )
    taker = pad.order(CAROL, BUY, 100, 12, epoch=3)
    expected = [(old.order_id, 90, 5), (new.order_id, 90, 5), (worse.order_id, 100, 2)]
    assert [(maker, price, lots) for maker, _, price, lots in met(engine_of(worse, new, old, taker))] == expected


def test_at_equal_price_and_epoch_rank_decides_then_nonce(pad: Pad) -> None:
    one, two = first_by_rank(ALICE, BOB)
    rows = [pad.order(owner, SELL, 90, 1) for owner in (two, one, two, one)]
    taker = pad.order(CAROL, BUY, 90, 4, epoch=2)
    makers = [maker for maker, *_ in met(engine_of(taker, *rows))]
    assert makers == [rows[at].order_id for at in (1, 3, 0, 2)]


def test_the_effective_epoch_counts_and_not_the_claimed_one(pad: Pad) -> None:
    late, prompt = pad.order(ALICE, SELL, 90, 5, epoch=1), pad.order(BOB, SELL, 90, 5, epoch=2)
    taker = pad.order(CAROL, BUY, 90, 5, epoch=4)
    engine = Engine(MARKET, PERIOD)
    engine.apply((), [(late, Epoch(3)), (prompt, Epoch(2)), (taker, Epoch(4))])
    assert met(engine) == [(prompt.order_id, taker.order_id, 90, 5)]


def test_an_owner_never_meets_itself_and_is_passed_over(pad: Pad) -> None:
    own, other = pad.order(ALICE, SELL, 80), pad.order(BOB, SELL, 90)
    taker = pad.order(ALICE, BUY, 100, epoch=2)
    assert met(engine_of(own, other, taker)) == [(other.order_id, taker.order_id, 90, 10)]
    assert engine_of(own, taker).entitlements() == ()


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_skipped_pair_is_passed_over_either_way_round(pad: Pad, *, is_mirrored: bool) -> None:
    silent, other = pad.order(ALICE, SELL, 80), pad.order(BOB, SELL, 90)
    taker = pad.order(CAROL, BUY, 100, epoch=2)
    pair = (session_of(CAROL), session_of(ALICE))
    found = engine_of(silent, other, taker).entitlements(frozenset((pair[::-1] if is_mirrored else pair,)))
    assert [(piece.maker_order, piece.price_ticks) for piece in found] == [(other.order_id, 90)]


def test_a_skip_of_others_changes_nothing(pad: Pad) -> None:
    engine = engine_of(pad.order(ALICE, SELL, 80), pad.order(CAROL, BUY, 100, epoch=2))
    assert engine.entitlements(frozenset(((session_of(CAROL), session_of(BOB)),))) == engine.entitlements() != ()


def test_an_ioc_takes_but_its_remainder_is_cancelled_not_rested(pad: Pad) -> None:
    maker, ioc = pad.order(ALICE, SELL, 90, 4), pad.order(BOB, BUY, 100, 10, epoch=2, tif=IOC)
    later = pad.order(CAROL, SELL, 95, 10, epoch=3)
    assert met(engine_of(maker, ioc, later)) == [(maker.order_id, ioc.order_id, 90, 4)]


@pytest.mark.parametrize("others", [0, 3])
def test_an_ioc_that_came_first_is_never_a_maker_on_either_side_of_the_walk(pad: Pad, others: int) -> None:
    ioc = pad.order(ALICE, BUY, 100, tif=IOC)
    company = [pad.order(BOB, BUY, 96) for _ in range(others)]  # which side is walked depends on which has fewer
    seller = pad.order(CAROL, SELL, 95, 10, epoch=2)
    assert [maker for maker, *_ in met(engine_of(ioc, *company, seller))] == [row.order_id for row in company[:1]]


def test_what_is_left_of_a_taker_rests_at_its_own_limit(pad: Pad) -> None:
    maker, taker = pad.order(ALICE, SELL, 90, 4), pad.order(BOB, BUY, 100, 10, epoch=2)
    later = pad.order(CAROL, SELL, 80, 10, epoch=3)
    assert met(engine_of(later, taker, maker)) == [
        (maker.order_id, taker.order_id, 90, 4),
        (taker.order_id, later.order_id, 100, 6),
    ]


def test_lots_are_the_lowest_free_first_and_cut_where_either_side_has_a_gap(pad: Pad) -> None:
    maker = pad.order(ALICE, SELL, 90, 20, free=((2, 5), (9, 14)))
    taker = pad.order(BOB, BUY, 90, 30, epoch=2, free=((4, 8), (20, 30)))
    pieces = engine_of(maker, taker).entitlements()
    lots = [(piece.maker_from, piece.maker_to, piece.taker_from, piece.taker_to) for piece in pieces]
    assert lots == [(2, 5, 4, 7), (9, 10, 7, 8), (10, 14, 20, 24)]


def test_a_maker_goes_on_where_the_taker_before_stopped(pad: Pad) -> None:
    maker = pad.order(ALICE, SELL, 90, 10)
    takers = [pad.order(BOB, BUY, 90, 4, epoch=epoch) for epoch in (2, 3, 4)]
    pieces = engine_of(maker, *takers).entitlements()
    assert [(piece.maker_from, piece.maker_to, piece.taker_from, piece.taker_to) for piece in pieces] == [
        (0, 4, 0, 4),
        (4, 8, 0, 4),
        (8, 10, 0, 2),
    ]


def test_no_lot_is_promised_twice_and_no_limit_is_broken() -> None:
    rows = crowd(3, 120)
    pieces = engine_of(*rows).entitlements()
    by_id = {row.order_id: row for row in rows}
    promised: set[tuple[OrderId, int]] = set()
    for piece in pieces:
        maker, taker = by_id[piece.maker_order].order, by_id[piece.taker_order].order
        buy, sell = (maker, taker) if maker.side is BUY else (taker, maker)
        assert sell.price_ticks <= piece.price_ticks <= buy.price_ticks
        assert piece.price_ticks == maker.price_ticks
        assert maker.owner != taker.owner
        assert piece.maker_to - piece.maker_from == piece.taker_to - piece.taker_from == piece.lots >= 1
        lots = {(piece.maker_order, lot) for lot in range(piece.maker_from, piece.maker_to)}
        lots |= {(piece.taker_order, lot) for lot in range(piece.taker_from, piece.taker_to)}
        assert not lots & promised
        promised |= lots
    for order_id, lot in promised:
        assert any(low <= lot < high for low, high in by_id[order_id].free)
    assert len(pieces) > 20


def crowd(seed: int, count: int) -> list[BookOrder]:
    """Orders of a few owners, most of which cross."""
    dice, pad = Random(seed), Pad()
    shapes: tuple[Ranges, ...] = (((0, 7),), ((2, 3), (5, 9)), ((0, 1), (4, 5), (8, 20)))
    return [
        pad.order(
            dice.choice((ALICE, BOB, CAROL, DAVE)),
            Side(dice.randrange(2)),
            dice.randrange(95, 106),
            20,
            epoch=dice.randrange(1, 5),
            tif=dice.choice((TimeInForce.GTC, TimeInForce.GTC, IOC)),
            free=dice.choice(shapes),
        )
        for _ in range(count)
    ]


def test_the_order_of_arrival_says_nothing(pad: Pad) -> None:
    rows = [
        pad.order(ALICE, SELL, 90, 5),
        pad.order(BOB, BUY, 95, 7),
        pad.order(CAROL, SELL, 90, 5, epoch=2),
        pad.order(DAVE, BUY, 90, 5, epoch=2, tif=IOC),
    ]
    engines = [engine_of(*arrived) for arrived in permutations(rows)]
    assert len({engine.entitlements() for engine in engines}) == 1
    assert len({engine.window_digest(Epoch(2), BLOCK.hash) for engine in engines}) == 1


@pytest.mark.parametrize("seed", range(8))
def test_one_change_after_another_comes_to_the_same_as_all_at_once(seed: int) -> None:
    dice, rows = Random(seed), crowd(seed, 60)
    engine = Engine(MARKET, PERIOD)
    for row in dice.sample(rows, len(rows)):
        engine.apply((), [(row, row.placed)])
    gone = {row.order_id for row in dice.sample(rows, 20)}
    for order_id in sorted(gone):
        engine.apply((order_id,), ())
    fresh = engine_of(*(row for row in rows if row.order_id not in gone))
    assert engine.entitlements() == fresh.entitlements()
    assert engine.window_digest(Epoch(4), BLOCK.hash) == fresh.window_digest(Epoch(4), BLOCK.hash)
    assert [slot.order_id for slot in engine.side(BUY)] == [slot.order_id for slot in fresh.side(BUY)]
    assert len(engine) == len(fresh) == 40


def test_an_order_that_is_removed_twice_or_was_never_there_does_no_harm(pad: Pad) -> None:
    row = pad.order(ALICE, BUY, 100)
    engine = engine_of(row)
    engine.apply((row.order_id, row.order_id, OrderId(bytes(32))), ())
    assert len(engine) == 0


def test_an_order_may_leave_and_come_back_or_come_and_leave_in_one_change(pad: Pad) -> None:
    others = [pad.order(BOB, BUY, price) for price in (80, 99, 101)]
    row = pad.order(ALICE, BUY, 100)
    engine = engine_of(row, *others)
    engine.apply((row.order_id,), [(row, row.placed)])
    assert [slot.price_ticks for slot in engine.side(BUY)] == [101, 100, 99, 80]
    new = pad.order(CAROL, BUY, 100)
    engine.apply((), [(new, new.placed), (replace(new, is_matchable=False), new.placed)])
    assert [slot.price_ticks for slot in engine.side(BUY)] == [101, 100, 99, 80]
    assert len(engine) == 4


def test_an_order_that_is_matchable_no_more_leaves(pad: Pad) -> None:
    buy, sell = pad.order(ALICE, BUY, 100), pad.order(BOB, SELL, 90)
    engine = engine_of(buy, sell)
    engine.apply((), [(replace(sell, is_matchable=False), sell.placed)])
    assert engine.entitlements() == ()
    assert len(engine) == 1


def test_fewer_free_lots_change_what_is_promised_and_the_digest(pad: Pad) -> None:
    buy, sell = pad.order(ALICE, BUY, 100), pad.order(BOB, SELL, 90, epoch=2)
    engine = engine_of(buy, sell)
    before = engine.window_digest(Epoch(2), BLOCK.hash)
    engine.apply((), [(replace(buy, free=((3, 5),)), buy.placed)])
    assert [(piece.maker_from, piece.maker_to) for piece in engine.entitlements()] == [(3, 5)]
    assert engine.window_digest(Epoch(2), BLOCK.hash) != before
    assert engine.window_digest(Epoch(2), BLOCK.hash) == engine_of(replace(buy, free=((3, 5),)), sell).window_digest(
        Epoch(2), BLOCK.hash
    )


def test_another_effective_epoch_moves_an_order_back(pad: Pad) -> None:
    one, two = pad.order(ALICE, SELL, 90), pad.order(BOB, SELL, 90, epoch=2)
    taker = pad.order(CAROL, BUY, 90, epoch=5)
    engine = engine_of(one, two, taker)
    assert met(engine) == [(one.order_id, taker.order_id, 90, 10)]
    engine.apply((), [(one, Epoch(3))])
    assert met(engine) == [(two.order_id, taker.order_id, 90, 10)]
    assert len(engine) == 3


def test_orders_that_cross_nothing_are_in_no_digest(pad: Pad) -> None:
    rows = (pad.order(ALICE, BUY, 100), pad.order(BOB, SELL, 90))
    with_more = engine_of(*rows, pad.order(CAROL, BUY, 89), pad.order(CAROL, SELL, 101))
    assert with_more.window_digest(Epoch(1), BLOCK.hash) == engine_of(*rows).window_digest(Epoch(1), BLOCK.hash)


def test_the_window_digest_is_the_bytes_that_the_spec_says(pad: Pad) -> None:
    buy = pad.order(ALICE, BUY, 100, 300, epoch=70_000, free=((0, 23), (24, 300)))
    sell = pad.order(BOB, SELL, 90, 2**40, epoch=5)
    rows = [
        [buy.order_id, [[0, 23], [24, 300]], 70_000, 0],
        [sell.order_id, [[0, 2**40]], 5, 0],
    ]
    expected = keccak256(cbor.encode([MARKET, 70_001, BLOCK.hash, keccak256(MARKET), rows]))
    assert engine_of(sell, buy).window_digest(Epoch(70_001), BLOCK.hash) == expected


def test_the_window_digest_depends_on_epoch_block_and_market(pad: Pad) -> None:
    row = pad.order(ALICE, BUY, 100)
    engine = engine_of(row)
    other_market = Engine(MarketId(b"\x4e" * 32), PERIOD)
    other_market.apply((), [(row, row.placed)])
    digests = {
        engine.window_digest(Epoch(1), BLOCK.hash),
        engine.window_digest(Epoch(2), BLOCK.hash),
        engine.window_digest(Epoch(1), Digest(bytes(32))),
        other_market.window_digest(Epoch(1), BLOCK.hash),
    }
    assert len(digests) == 4


def test_orders_of_later_effective_epochs_are_left_out_of_a_book(pad: Pad) -> None:
    rows = (pad.order(ALICE, BUY, 100, epoch=1), pad.order(BOB, SELL, 90, epoch=1), pad.order(CAROL, SELL, 80, epoch=2))
    book = Book(market_id=MARKET, epoch=Epoch(2), block=BLOCK, orders=rows, dead_sessions=())
    late = {rows[2].order_id: Epoch(3)}
    assert len(build_engine(book, {})) == 3
    assert len(build_engine(book, late)) == 2
    assert entitlements(book, late) == engine_of(*rows[:2]).entitlements()
    assert window_digest(book, late) != window_digest(book, {})


def test_one_lot_far_across_a_deep_book_takes_one_lot_from_the_best(pad: Pad) -> None:
    deep = [pad.order(ALICE, SELL, 1000 + number) for number in range(2000)]
    far = pad.order(BOB, BUY, 10**6, 1, epoch=2)
    engine = engine_of(*deep, far)
    piece = Piece(
        maker_order=deep[0].order_id,
        taker_order=far.order_id,
        price_ticks=1000,
        maker_from=0,
        maker_to=1,
        taker_from=0,
        taker_to=1,
    )
    assert engine.entitlements() == (piece,)
    bids, asks = engine.crossing()
    assert (len(bids), len(asks)) == (1, 2000)


def test_a_large_order_sweeps_a_deep_book_and_rests_for_those_who_come_later(pad: Pad) -> None:
    deep = [pad.order(ALICE, SELL, 1000 + number, 3) for number in range(50)]
    sweep = pad.order(BOB, BUY, 2000, 200, epoch=2)
    later = [pad.order(CAROL, SELL, 1500 - number, 3, epoch=3 + number) for number in range(30)]
    found = met(engine_of(*later, sweep, *deep))
    assert found[:50] == [(row.order_id, sweep.order_id, row.order.price_ticks, 3) for row in deep]
    resting = [(sweep.order_id, row.order_id, 2000) for row in later[:17]]
    assert [(maker, taker, price) for maker, taker, price, _ in found[50:]] == resting
    assert sum(lots for *_, lots in found) == total(sweep.free)
