"""Concurrent commits share transactions, and an answer is given only for what is on disk."""

import threading
from collections.abc import Callable, Sequence

import pytest
import trio
import trio.testing
from store_samples import MARKET, make_entry

from orrange_p2p.errors import InternalError, StoreError
from orrange_p2p.store.group import GROUP_MAX_ROWS, WAITING_MAX, GroupCommit
from orrange_p2p.store.interface import Store, StoreBatch
from orrange_p2p.store.records import Row, Table, make_row

ROW = make_row(Table.MARKS, b"epoch", b"1")


class _Gate:
    """A `write` that waits until it is let through, and remembers what it was given."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.begun = threading.Event()
        self._open = threading.Event()
        self.error: Exception | None = None

    def __call__(self, rows: Sequence[Row]) -> None:
        self.groups.append(len(rows))
        self.begun.set()
        assert self._open.wait(timeout=10)
        if self.error is not None:
            raise self.error

    async def wait_begun(self) -> None:
        await trio.to_thread.run_sync(self.begun.wait, 10)

    def let_through(self) -> None:
        self._open.set()


async def test_each_caller_returns_with_its_data_stored(store: Store) -> None:
    async def commit(seq: int) -> None:
        await store.commit_async(StoreBatch(entries=(make_entry(seq),)))
        stored = [entry.seq for entry in store.entries(MARKET)]
        assert seq in stored

    before = store.statistics().transactions
    async with trio.open_nursery() as nursery:
        for seq in range(200):
            nursery.start_soon(commit, seq)
    assert store.counts().entries == 200
    assert store.statistics().commits == 200
    assert store.statistics().transactions - before < 20


async def test_commits_that_come_during_a_write_share_the_next() -> None:
    gate = _Gate()
    group = GroupCommit(gate)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.commit, [ROW])
        await gate.wait_begun()
        for _ in range(50):
            nursery.start_soon(group.commit, [ROW])
        await trio.testing.wait_all_tasks_blocked()
        assert group.waiting == 50
        gate.let_through()
    assert gate.groups == [1, 50]
    assert group.waiting == 0


async def test_a_group_is_bounded_and_a_large_batch_goes_alone() -> None:
    gate = _Gate()
    group = GroupCommit(gate)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.commit, [ROW])
        await gate.wait_begun()
        for count in (GROUP_MAX_ROWS - 1, 1, 1, GROUP_MAX_ROWS + 5):
            nursery.start_soon(group.commit, [ROW] * count)
            await trio.testing.wait_all_tasks_blocked()
        gate.let_through()
    assert gate.groups == [1, GROUP_MAX_ROWS, 1, GROUP_MAX_ROWS + 5]


async def test_the_queue_is_bounded_and_waiting_for_a_place_can_be_cancelled() -> None:
    gate = _Gate()
    group = GroupCommit(gate)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.commit, [ROW])
        await gate.wait_begun()
        for _ in range(WAITING_MAX - 1):
            nursery.start_soon(group.commit, [ROW])
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.05) as scope:
            await group.commit([ROW])
        assert scope.cancelled_caught
        gate.let_through()
    assert sum(gate.groups) == WAITING_MAX


async def test_a_cancelled_commit_finishes_first() -> None:
    gate = _Gate()
    group = GroupCommit(gate)
    finished = []

    async def commit() -> None:
        await group.commit([ROW])
        finished.append(True)
        await trio.lowlevel.checkpoint()
        finished.append(False)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commit)
        await gate.wait_begun()
        nursery.start_soon(commit)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        gate.let_through()
    assert gate.groups == [1, 1]
    assert finished == [True, True]


async def test_a_commit_begun_after_cancellation_writes_nothing(store: Store) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.commit_async(StoreBatch(entries=(make_entry(0),)))
    assert scope.cancelled_caught
    assert store.counts().entries == 0


async def test_a_failed_write_is_told_to_everyone_who_shared_it() -> None:
    gate = _Gate()
    gate.error = StoreError("the disk is full")
    group = GroupCommit(gate)
    told = []

    async def commit() -> None:
        with pytest.raises(StoreError, match="the disk is full"):
            await group.commit([ROW])
        told.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commit)
        await gate.wait_begun()
        for _ in range(3):
            nursery.start_soon(commit)
        await trio.testing.wait_all_tasks_blocked()
        gate.let_through()
    assert told == [True] * 4


async def test_a_bug_in_the_writer_leaves_nobody_waiting() -> None:
    gate = _Gate()
    gate.error = ZeroDivisionError("bug")
    gate.let_through()
    group = GroupCommit(gate)
    raised: list[type[Exception]] = []

    async def commit() -> None:
        try:
            await group.commit([ROW])
        except (ZeroDivisionError, InternalError) as error:
            raised.append(type(error))

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(commit)
    assert len(raised) == 3


async def test_a_bad_batch_does_not_touch_its_neighbours(store: Store) -> None:
    async def commit_bad() -> None:
        with pytest.raises(InternalError):
            await store.commit_async(StoreBatch(entries=(make_entry(-1),)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.commit_async, StoreBatch(entries=(make_entry(1),)))
        nursery.start_soon(commit_bad)
        nursery.start_soon(store.commit_async, StoreBatch(entries=(make_entry(2),)))
    assert [entry.seq for entry in store.entries(MARKET)] == [1, 2]


async def test_a_store_may_serve_one_event_loop_after_another(open_store: Callable[..., Store]) -> None:
    def run() -> None:
        with open_store() as store:
            for seq in (0, 1):
                trio.run(store.commit_async, StoreBatch(entries=(make_entry(seq),)))
            assert store.counts().entries == 2

    await trio.to_thread.run_sync(run)
