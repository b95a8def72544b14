"""Real networks on loopback sockets."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from orrange_p2p.net.network import Network
from orrange_p2p.net.settings import NetSettings

QUICK = NetSettings(degree=4, heartbeat_s=0.2)


class Running:
    """Networks that run in a nursery of their own until the test ends or stops them."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._stops: dict[Network, tuple[trio.Event, trio.Event]] = {}

    async def __call__(self, settings: NetSettings = QUICK, *, seed: bytes | None = None, **more: Any) -> Network:
        """Start one more, with a peer key of its own."""
        network = Network(seed or bytes([len(self._stops) + 1]) * 32, settings=settings, **more)
        self._stops[network] = trio.Event(), trio.Event()
        await self._nursery.start(self._run, network)
        return network

    async def _run(self, network: Network, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        stop, stopped = self._stops[network]
        async with network.running():
            task_status.started()
            await stop.wait()
        stopped.set()

    async def stop(self, network: Network) -> None:
        """Close one, and wait for it."""
        stop, stopped = self._stops[network]
        stop.set()
        await stopped.wait()

    def stop_all(self) -> None:
        """Tell all to close."""
        for stop, _ in self._stops.values():
            stop.set()


@pytest.fixture
async def start() -> AsyncIterator[Running]:
    """Starts networks and closes them after the test."""
    with trio.fail_after(40):
        async with trio.open_nursery() as nursery:
            running = Running(nursery)
            yield running
            running.stop_all()
