"""The continuous book, event by event: how fast, and how much it keeps in memory.

Baselines: a hand-written book of the same kind that checks nothing, and two packages of the index that are pure Python
and report fills; of these the faster one counts, once with and once without the making of the order objects that they
ask for. Memory is that of the book alone: ids and numbers of lots are their owner's.
"""

import gc
import logging
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from random import Random

from orrange_p2p.core.continuous import ContinuousBook
from orrange_p2p.core.types import OrderId, Side
from tests.benchmarks.event_flow import MIDDLE_TICKS, RECORDED, Event, recorded_events, throw_events
from tests.benchmarks.figures import Figure, compared
from tests.benchmarks.plain_book import PlainBook

Fills = list[tuple[int, int, int, int]]
"""Maker's and taker's number, price in ticks, lots."""
Run = Callable[[list[Event]], tuple[float, Fills]]
"""Plays events to a new book; answers the CPU seconds and the fills."""

ROUNDS = 3
LEVELS = 2000
_LAG = 1000


def run(events: int = 200_000, resting: int = 100_000, churn: int = 500_000) -> Iterator[Figure]:
    """Measure and report; takes about a minute."""
    yield from _report(f"{events} thrown events", throw_events(1, events))
    if RECORDED.exists():
        recorded = recorded_events()[:events]
        yield from _report(f"{len(recorded)} recorded events", recorded)
    ours, plain = measure_memory(ContinuousBook(), resting, churn), measure_memory(PlainBook(), resting, churn)
    for when, at in (("", 0), (f" after {churn} came and went", 1)):
        name = f"memory of {resting} resting orders{when}"
        yield compared("engine", name, ours[at] / resting, "bytes an order", baseline=plain[at] / resting)
    yield compared("engine", f"memory after {churn} more, beside before them", ours[2], "bytes", baseline=ours[1])


def _report(name: str, events: list[Event]) -> Iterator[Figure]:
    rates = measure(events)
    baselines = {
        "hand-written": rates["hand-written"],
        "the faster package": max(rates["akhil4n-orderbook"], rates["pyorderbook"]),
        "the faster package, its orders made before": max(
            rates["akhil4n-orderbook, objects at hand"], rates["pyorderbook, objects at hand"]
        ),
    }
    for other, baseline in baselines.items():
        yield compared("engine", f"{name}, beside {other}", rates["ours"], "events/s CPU", baseline=baseline)


def measure(events: list[Event]) -> dict[str, float]:
    """Events a CPU second of each engine, the best of a few rounds, taken in turn; of more if there are few events."""
    rounds = ROUNDS * max(1, min(4, 200_000 // len(events)))
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, play in RUNS.items():
            gc.collect()
            seconds, _ = play(events)
            best[name] = min(seconds, best.get(name, seconds))
    return {name: len(events) / seconds for name, seconds in best.items()}


def play_ours(events: list[Event]) -> tuple[float, Fills]:
    plan = [(_id(one.number), Side.BUY if one.is_bid else Side.SELL, one.price_ticks, one.lots) for one in events]
    book = ContinuousBook()
    found = []
    started = time.process_time()
    for order_id, side, price_ticks, lots in plan:
        if lots:
            found += book.add(order_id, side, price_ticks, lots)
        else:
            book.cancel(order_id)
    return time.process_time() - started, _numbered(found)


def play_plain(events: list[Event]) -> tuple[float, Fills]:
    plan = [(_id(one.number), one.is_bid, one.price_ticks, one.lots) for one in events]
    book = PlainBook()
    found = []
    started = time.process_time()
    for order_id, is_bid, price_ticks, lots in plan:
        if lots:
            found += book.add(order_id, is_bid, price_ticks, lots)
        else:
            book.cancel(order_id)
    return time.process_time() - started, _numbered(found)


def play_akhil4n(events: list[Event], *, is_made_before: bool = False) -> tuple[float, Fills]:
    """akhil4n-orderbook: sorted dicts of levels, each an OrderedDict; fills go to a log."""
    import orderbook

    sides = {True: orderbook.OrderSide.BID, False: orderbook.OrderSide.ASK}
    started = time.process_time()
    made = {one.number: orderbook.Order(sides[one.is_bid], one.price_ticks, one.lots) for one in events if one.lots}
    making_s = time.process_time() - started
    plan = [(made[one.number], bool(one.lots)) for one in events]
    book = orderbook.OrderBook()
    started = time.process_time()
    for order, is_new in plan:
        if is_new:
            book.add_limit_order(order)
        else:
            book.cancel_order(order.order_id)
    seconds = time.process_time() - started + (0 if is_made_before else making_s)
    numbers = {order.order_id: number for number, order in made.items()}
    log = book.trade_log
    return seconds, [(numbers[one.filler_id], numbers[one.aggressor_id], one.price, one.quantity_filled) for one in log]


def play_pyorderbook(events: list[Event], *, is_made_before: bool = False) -> tuple[float, Fills]:
    """pyorderbook: a heap of levels, each a dict; it names the taker's price, so the maker's is put in here."""
    import pyorderbook

    logging.getLogger("pyorderbook.book").setLevel(logging.CRITICAL)
    kinds = {True: pyorderbook.bid, False: pyorderbook.ask}
    started = time.process_time()
    made = {one.number: kinds[one.is_bid]("X", one.price_ticks, one.lots) for one in events if one.lots}
    making_s = time.process_time() - started
    plan = [(made[one.number], bool(one.lots)) for one in events]
    book = pyorderbook.Book()
    found = []
    started = time.process_time()
    for order, is_new in plan:
        if is_new:
            found += book.match(order).trades
        elif order.id in book.order_map:
            book.cancel(order)
    seconds = time.process_time() - started + (0 if is_made_before else making_s)
    numbers = {order.id: number for number, order in made.items()}
    pairs = [(numbers[one.standing_order_id], numbers[one.incoming_order_id], one.fill_quantity) for one in found]
    return seconds, [(maker, taker, int(made[maker].price), lots) for maker, taker, lots in pairs]


RUNS: dict[str, Run] = {
    "ours": play_ours,
    "hand-written": play_plain,
    "akhil4n-orderbook": play_akhil4n,
    "pyorderbook": play_pyorderbook,
    "akhil4n-orderbook, objects at hand": partial(play_akhil4n, is_made_before=True),
    "pyorderbook, objects at hand": partial(play_pyorderbook, is_made_before=True),
}


def measure_memory(book: ContinuousBook | PlainBook, resting: int, churn: int) -> tuple[int, int, int]:
    """Bytes that a book holds with the same orders at rest: at first, after others came and went, after as many more.

    The first of them let dicts grow to the room that they work with; nothing may be gained by the others.
    """
    plan = _at_rest(resting)
    passing = [(_id(resting + at), *rest) for at, (_, *rest) in enumerate(_at_rest(churn))]
    gc.collect()
    tracemalloc.start()
    for row in plan:
        _add(book, *row)
    held = [_held()]
    for _ in range(2):
        for at, row in enumerate(passing):
            _add(book, *row)
            if at >= _LAG:
                book.cancel(passing[at - _LAG][0])
        for row in passing[-_LAG:]:
            book.cancel(row[0])
        held.append(_held())
    tracemalloc.stop()
    return held[0], held[1], held[2]


def _add(book: ContinuousBook | PlainBook, order_id: OrderId, side: Side, price_ticks: int, lots: int) -> None:
    if isinstance(book, ContinuousBook):
        book.add(order_id, side, price_ticks, lots)
    else:
        book.add(order_id, side is Side.BUY, price_ticks, lots)


def _held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _at_rest(count: int) -> list[tuple[OrderId, Side, int, int]]:
    dice = Random(2)
    rows = []
    for number in range(count):
        side, away = Side(dice.randrange(2)), 1 + dice.randrange(LEVELS)
        rows.append((_id(number), side, MIDDLE_TICKS + (away if side else -away), 1 + dice.randrange(1000)))
    return rows


def _id(number: int) -> OrderId:
    return OrderId(number.to_bytes(32, "big"))


def _numbered(found: list[tuple[OrderId, OrderId, int, int]]) -> Fills:
    return [(int.from_bytes(maker), int.from_bytes(taker), price, lots) for maker, taker, price, lots in found]
