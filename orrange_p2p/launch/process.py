"""What a program has from its process: the machine's clock, and the signals that end it cleanly."""

import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from trio_typing import TaskStatus  # the stubs that libp2p brings along hide trio's own


def wall_clock_ms() -> int:
    """Unix milliseconds of this machine."""
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def stopping_on_signals() -> AsyncIterator[trio.CancelScope]:
    """Cancel the block on SIGINT or SIGTERM; a second signal then does what it does by default.

    Yields the scope that is cancelled, so that the caller can tell why the block ended. Only in the main thread.
    """
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            await nursery.start(_cancel_on_signal, scope)
            yield scope
        nursery.cancel_scope.cancel()


async def _cancel_on_signal(
    scope: trio.CancelScope, *, task_status: "TaskStatus[None]" = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            break
    scope.cancel()
