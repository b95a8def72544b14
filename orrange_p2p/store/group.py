"""Group commit: while one transaction is being written, the commits that tasks ask for gather and share the next.

There is no task of its own. Every caller queues its rows and waits for its turn; whoever has the turn and is not yet
served writes the front of the queue for everyone in it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio

from orrange_p2p.errors import InternalError, OrrangeError, StoreError
from orrange_p2p.store.records import Row

WAITING_MAX = 1024  # commits in the queue; a caller beyond that waits for its place
GROUP_MAX_ROWS = 8192  # rows a transaction; a single larger batch goes alone


@dataclass(slots=True, kw_only=True)
class _Waiting:
    """One caller's rows and what became of them."""

    rows: Sequence[Row] = field(repr=False)
    is_done: bool = False
    error: OrrangeError | None = None


class GroupCommit:
    """Joins the commits of concurrent tasks; `write` blocks until its rows are on disk, as one transaction."""

    def __init__(self, write: Callable[[Sequence[Row]], None]) -> None:
        self._write = write
        self._queue: deque[_Waiting] = deque()
        self._places = trio.Semaphore(WAITING_MAX)
        self._turn = trio.Lock()
        self._limiter = trio.CapacityLimiter(1)

    @property
    def waiting(self) -> int:
        """Commits that are queued and not yet being written."""
        return len(self._queue)

    async def commit(self, rows: Sequence[Row]) -> None:
        """Write `rows`; see `Store.commit_async` for what a cancellation means.

        Raises:
            StoreError: The transaction failed; the same goes to everyone who shared it.
        """
        async with self._places:
            waiting = _Waiting(rows=rows)
            self._queue.append(waiting)
            with trio.CancelScope(shield=True):
                async with self._turn:
                    while not waiting.is_done:
                        await self._write_group()
        if isinstance(waiting.error, StoreError):
            raise StoreError(str(waiting.error)) from waiting.error
        if waiting.error is not None:
            raise waiting.error

    async def _write_group(self) -> None:
        group = [self._queue.popleft()]
        count = len(group[0].rows)
        while self._queue and count + len(self._queue[0].rows) <= GROUP_MAX_ROWS:
            count += len(self._queue[0].rows)
            group.append(self._queue.popleft())
        error: OrrangeError | None = InternalError("a commit ended without an answer")
        try:
            rows = [row for waiting in group for row in waiting.rows]
            await trio.to_thread.run_sync(self._write, rows, limiter=self._limiter)
            error = None
        except StoreError as failure:
            error = failure
        finally:
            for waiting in group:
                waiting.is_done = True
                waiting.error = error
