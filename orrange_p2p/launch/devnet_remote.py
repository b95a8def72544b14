"""A devnet's peers as seen over their control sockets. A peer may be down at any time, and may come back."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import trio

from orrange_p2p.api.control import NodeUnreachable, ask_node
from orrange_p2p.core.types import OrderId, Side
from orrange_p2p.errors import OrderError

MAX_CONNECTIONS = 24
ANSWER_LIMIT_S = 20
GONE_LIMIT_S = 30
"""How long an order, and the end of a run, wait for a peer that is down."""
_PAUSE_S = 1
_LATER_RULES = ("TICK-12", "FEED-11")

Status = Mapping[str, Any]


class RemoteNode:
    """One peer's control socket."""

    def __init__(self, number: int, socket_path: Path) -> None:
        self.number = number
        self._path = socket_path
        self._limit = trio.CapacityLimiter(MAX_CONNECTIONS)

    async def ask(self, method: str, **params: object) -> Any:  # noqa: ANN401 - JSON
        """Ask; many may at once.

        Raises:
            NodeUnreachable: the peer is down, or went down before it answered.
            OrrangeError: it refused.
        """
        async with self._limit:
            return await ask_node(self._path, method, params, timeout_s=ANSWER_LIMIT_S)

    async def status(self) -> Status | None:
        """How it is; None while it is down."""
        try:
            status: Status = await self.ask("status")
        except NodeUnreachable:
            return None
        return status


class RemoteTrader:
    """Places and cancels on a peer; while it is down or not ready, waits for it up to GONE_LIMIT_S."""

    def __init__(self, node: RemoteNode) -> None:
        self._node = node

    async def place(self, side: Side, price_ticks: int, quantity_lots: int) -> OrderId:
        """See `replay.Trader`."""
        answer = await self._ask(
            "order.place",
            side=side.name.lower(),
            price_ticks=price_ticks,
            quantity_lots=quantity_lots,
        )
        return OrderId(bytes.fromhex(answer["order_id"].removeprefix("0x")))

    async def cancel(self, order_id: OrderId) -> None:
        """See `replay.Trader`."""
        await self._ask("order.cancel", order_id=f"0x{order_id.hex()}")

    async def _ask(self, method: str, **params: object) -> Any:  # noqa: ANN401 - JSON
        """Ask until it is answered. What may have been carried out is never asked twice."""
        give_up = trio.current_time() + GONE_LIMIT_S
        while True:
            try:
                return await self._node.ask(method, **params)
            except NodeUnreachable as error:
                if error.was_sent or trio.current_time() > give_up:
                    raise
            except OrderError as error:
                if error.rule not in _LATER_RULES or trio.current_time() > give_up:
                    raise
            await trio.sleep(_PAUSE_S)


async def ask_all(nodes: Sequence[RemoteNode]) -> list[Status | None]:
    """Every peer's status at about the same time; None for those that are down."""
    found: list[Status | None] = [None] * len(nodes)

    async def ask(place: int) -> None:
        found[place] = await nodes[place].status()

    async with trio.open_nursery() as nursery:
        for place in range(len(nodes)):
            nursery.start_soon(ask, place)
    return found
