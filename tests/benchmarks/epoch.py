"""One epoch's matching over a deep book: newcomers in, cancels out, entitlements and window digest computed.

What an epoch entitles is taken as settled before the next one starts, and the book is brought back to its depth, both
outside the measured time. The baseline sorts the same book again from nothing, by a tuple of what decides priority,
and does no more. A second scenario adds one lot that crosses the whole other side; a third lets as many asks as there
are bids cross all of them, so that everybody meets somebody.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from orrange_p2p.core.book import BookOrder
from orrange_p2p.core.matching import Engine, Piece, first_period
from orrange_p2p.core.ranges import complement, total, union
from orrange_p2p.core.types import Digest, Epoch, OrderId, Side
from tests.benchmarks.figures import Figure, compared
from tests.benchmarks.street import DEEP_TICKS, MARKET_ID, MIDDLE_TICKS, NEAR_TICKS, Street

PERIOD = first_period(MARKET_ID)
BLOCK_HASH = Digest(b"\xb1" * 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much one scenario does."""

    resting: int
    newcomers: int = 1000
    cancels: int = 300
    epochs: int = 40
    baseline_epochs: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """CPU milliseconds of each epoch, and how many pieces arose in all."""

    epoch_ms: list[float]
    baseline_ms: list[float]
    pieces: int


SIZES = (Size(resting=10_000), Size(resting=100_000))
CRUSH = 3000


def run(sizes: tuple[Size, ...] = SIZES, crush: int = CRUSH) -> Iterator[Figure]:
    """Measure and report; takes about half a minute."""
    yield from _report(f"{crush} asks meet {crush} bids", measure_crush(crush))
    for size in sizes:
        scenario = f"{size.newcomers} in, {size.cancels} out, {size.resting} resting"
        yield from _report(scenario, measure(size, is_reached_across=False))
        yield from _report(f"{scenario}, one lot across", measure(size, is_reached_across=True))


def _report(scenario: str, times: Times) -> Iterator[Figure]:
    for name, pick in (("median", statistics.median), ("max", max)):
        value, baseline = pick(times.epoch_ms), pick(times.baseline_ms)
        yield compared("epoch", f"{scenario}, {name}", value, "ms CPU", baseline=baseline)


def measure(size: Size, *, is_reached_across: bool) -> Times:
    """Run one scenario."""
    street = Street(size.resting)
    engine = Engine(MARKET_ID, PERIOD)
    live = {row.order_id: row for row in (street.rest(street.order(), 0) for _ in range(size.resting))}
    engine.apply((), [(row, row.placed) for row in live.values()])
    _settle(engine, live, engine.entitlements())
    epoch_ms: list[float] = []
    baseline_ms: list[float] = []
    pieces = 0
    for epoch in range(1, size.epochs + 1):
        gone = street.pick(list(live), size.cancels)
        come = [street.rest(street.order(), epoch) for _ in range(size.newcomers)]
        if is_reached_across:
            come.append(street.rest(street.order_at(Side.BUY, MIDDLE_TICKS + DEEP_TICKS, 1), epoch))
        placed = [(row, row.placed) for row in come]
        started = time.process_time()
        engine.apply(gone, placed)
        entitled = engine.entitlements()
        engine.window_digest(Epoch(epoch), BLOCK_HASH)
        epoch_ms.append((time.process_time() - started) * 1000)
        pieces += len(entitled)
        for order_id in gone:
            del live[order_id]
        live |= {row.order_id: row for row in come}
        if epoch <= size.baseline_epochs:
            baseline_ms.append(_sort_again(live))
        _settle(engine, live, entitled)
        _thin_out(engine, live, street.pick(list(live), max(0, len(live) - size.resting)))
    return Times(epoch_ms=epoch_ms, baseline_ms=baseline_ms, pieces=pieces)


def measure_crush(count: int, epochs: int = 5) -> Times:
    """Let `count` resting bids be met by as many asks, again and again from the same start."""
    street = Street(count)
    bids = [street.rest(street.order_at(Side.BUY, MIDDLE_TICKS + at % NEAR_TICKS, 10), 1) for at in range(count)]
    asks = [street.rest(street.order_at(Side.SELL, MIDDLE_TICKS - at % NEAR_TICKS, 10), 2) for at in range(count)]
    live = {row.order_id: row for row in (*bids, *asks)}
    epoch_ms: list[float] = []
    pieces = 0
    for _ in range(epochs):
        engine = Engine(MARKET_ID, PERIOD)
        engine.apply((), [(row, row.placed) for row in bids])
        placed = [(row, row.placed) for row in asks]
        started = time.process_time()
        engine.apply((), placed)
        pieces += len(engine.entitlements())
        engine.window_digest(Epoch(2), BLOCK_HASH)
        epoch_ms.append((time.process_time() - started) * 1000)
    return Times(epoch_ms=epoch_ms, baseline_ms=[_sort_again(live) for _ in range(epochs)], pieces=pieces)


def _settle(engine: Engine, live: dict[OrderId, BookOrder], entitled: tuple[Piece, ...]) -> None:
    """Take what was entitled out of the book, as its settlement would."""
    taken: dict[OrderId, list[tuple[int, int]]] = {}
    for piece in entitled:
        taken.setdefault(piece.maker_order, []).append((piece.maker_from, piece.maker_to))
        taken.setdefault(piece.taker_order, []).append((piece.taker_from, piece.taker_to))
    filled: list[OrderId] = []
    partly: list[tuple[BookOrder, Epoch]] = []
    for order_id, lots in taken.items():
        row = live[order_id]
        quantity_lots = row.order.quantity_lots
        free = complement(union([*complement(row.free, quantity_lots), *lots]), quantity_lots)
        if total(free):
            live[order_id] = replace(row, free=free)
            partly.append((live[order_id], row.placed))
        else:
            filled.append(order_id)
    engine.apply((), partly)
    _thin_out(engine, live, filled)


def _thin_out(engine: Engine, live: dict[OrderId, BookOrder], excess: list[OrderId]) -> None:
    engine.apply(excess, ())
    for order_id in excess:
        del live[order_id]


def _sort_again(live: dict[OrderId, BookOrder]) -> float:
    """Sort both sides from nothing, best first; returns the CPU milliseconds that took."""
    owners = {(row.placed, row.order.owner) for row in live.values()}
    ranks = {(claimed, owner): PERIOD.rank(claimed, owner, MARKET_ID) for claimed, owner in owners}

    def priority(row: BookOrder) -> tuple[int, int, bytes, bytes, int]:
        order = row.order
        price_ticks = order.price_ticks if order.side is Side.SELL else -order.price_ticks
        return (price_ticks, row.placed, ranks[row.placed, order.owner], order.session, order.nonce)

    started = time.process_time()
    for side in Side:
        sorted((row for row in live.values() if row.order.side is side), key=priority)
    return (time.process_time() - started) * 1000
