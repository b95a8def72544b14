"""Replays order flow through peers: each order goes to one peer's owner, its cancel after it."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import trio

from orrange_p2p.api.control import NodeUnreachable
from orrange_p2p.core.types import OrderId, Side
from orrange_p2p.errors import OrderError
from orrange_p2p.launch.flow import Cancel, FlowEvent

MAX_IN_FLIGHT = 1024


class Trader(Protocol):
    """Whoever places and cancels orders for one owner."""

    async def place(self, side: Side, price_ticks: int, quantity_lots: int) -> OrderId:
        """Place a good-till-cancelled limit order.

        Raises OrderError if it is refused, NodeUnreachable if there is nobody to ask.
        """

    async def cancel(self, order_id: OrderId) -> None:
        """Cancel it; raises OrderError if it is live no more, NodeUnreachable if there is nobody to ask."""


@dataclass(slots=True, kw_only=True)
class _Placed:
    """An order under way or placed."""

    trader: Trader
    is_done: trio.Event
    order_id: OrderId | None = None


class Replay:
    """One run of flow events over traders."""

    def __init__(
        self, traders: tuple[Trader, ...], *, speed: float, on_progress: Callable[[int], None] | None = None
    ) -> None:
        """Prepare a replay.

        Args:
            traders: orders go to them in turn by order id.
            speed: flow time passes so many times faster than the clock.
            on_progress: hears how many events were sent so far.
        """
        self._traders = traders
        self._speed = speed
        self._on_progress = on_progress
        self._orders: dict[int, _Placed] = {}
        self._limit = trio.CapacityLimiter(MAX_IN_FLIGHT)
        self.counts: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()

    async def run(self, events: Iterable[FlowEvent]) -> None:
        """Send every event at its time; returns when all are answered."""
        started = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number, event in enumerate(events, 1):
                await trio.sleep_until(started + event.time_ms / 1000 / self._speed)
                if isinstance(event, Cancel):
                    placed = self._orders.get(event.order_id)
                    if placed is None:
                        self.counts["cancels_of_unknown"] += 1
                    else:
                        nursery.start_soon(self._cancel, placed)
                else:
                    trader = self._traders[event.order_id % len(self._traders)]
                    placed = self._orders[event.order_id] = _Placed(trader=trader, is_done=trio.Event())
                    side, price_ticks, quantity_lots = event.side, event.price_ticks, event.quantity_lots
                    nursery.start_soon(self._place, placed, side, price_ticks, quantity_lots)
                if self._on_progress is not None:
                    self._on_progress(number)

    async def _place(self, placed: _Placed, side: Side, price_ticks: int, quantity_lots: int) -> None:
        async with self._limit:
            try:
                placed.order_id = await placed.trader.place(side, price_ticks, quantity_lots)
                self.counts["placed"] += 1
            except OrderError as error:
                self.counts["refused"] += 1
                self.refusals[error.rule] += 1
            except NodeUnreachable as error:
                self._count_lost(error)
            finally:
                placed.is_done.set()

    async def _cancel(self, placed: _Placed) -> None:
        await placed.is_done.wait()
        if placed.order_id is None:
            return
        async with self._limit:
            try:
                await placed.trader.cancel(placed.order_id)
                self.counts["cancelled"] += 1
            except OrderError:
                self.counts["cancels_too_late"] += 1
            except NodeUnreachable as error:
                self._count_lost(error)

    def _count_lost(self, error: NodeUnreachable) -> None:
        self.counts["unanswered" if error.was_sent else "unsent"] += 1
