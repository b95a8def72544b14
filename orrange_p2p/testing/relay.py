"""A TCP relay on loopback that can be cut and mended, to put between a node and what it depends on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio


@dataclass(slots=True)
class Relay:
    """Passes TCP connections on to another port, unless it is cut."""

    target_port: int
    port: int = 0
    is_cut: bool = False
    refused: int = 0
    _open: set[trio.CancelScope] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        self.is_cut = True
        for scope in list(self._open):
            scope.cancel()

    def mend(self) -> None:
        """Pass connections on again."""
        self.is_cut = False

    async def serve(self, near: trio.SocketStream) -> None:
        """One connection."""
        async with near:
            if self.is_cut:
                self.refused += 1
                return
            with trio.CancelScope() as scope:
                self._open.add(scope)
                try:
                    far = await trio.open_tcp_stream("127.0.0.1", self.target_port)
                    async with far, trio.open_nursery() as nursery:
                        nursery.start_soon(_copy, near, far, nursery.cancel_scope)
                        nursery.start_soon(_copy, far, near, nursery.cancel_scope)
                finally:
                    self._open.discard(scope)


async def _copy(source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
    try:
        async for piece in source:
            await sink.send_all(piece)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    scope.cancel()


@asynccontextmanager
async def run_relay(target_port: int) -> AsyncIterator[Relay]:
    """Relay a free loopback port to `target_port`."""
    relay = Relay(target_port=target_port)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            lambda task_status: trio.serve_tcp(relay.serve, 0, host="127.0.0.1", task_status=task_status)
        )
        relay.port = listeners[0].socket.getsockname()[1]
        yield relay
        nursery.cancel_scope.cancel()
