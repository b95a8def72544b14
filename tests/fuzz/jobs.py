"""Chunks in processes of their own; what starts them has to be importable there, so it does not stand in `__main__`."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.campaign import Result, run_chunk

Task = tuple[int, int, int]
"""Seed, number of the chunk, inputs."""


@dataclass(frozen=True, slots=True)
class Done:
    """A chunk that was run: by which process, and how much memory that held afterwards."""

    number: int
    result: Result
    process: int
    rss_bytes: int


def run_tasks(tasks: list[Task], jobs: int) -> Iterator[Done]:
    """Run chunks in this process, or in so many of their own, and give them as they come in."""
    if jobs <= 1:
        yield from map(run_task, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, initializer=_leave_interrupts_to_the_parent) as pool:
        yield from pool.imap_unordered(run_task, tasks)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_task(task: Task) -> Done:
    """Run one chunk, here."""
    seed, number, count = task
    return Done(number, run_chunk(seed, number, count), os.getpid(), resident_bytes())


def resident_bytes() -> int:
    """Memory that this process holds now; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
