"""Finding 100 differing heads among 100,000: bytes both ways, frames asked, CPU of both sides together.

The frames cross as bytes, encoded and decoded strictly; both sides hold their trees from before, as nodes do. The
baseline is what a node did before there were ranges: the other sends all its heads, here cut into as many frames as
that takes, encoded and decoded in the same way, and compared with ours one by one. Two more figures tell what keeping
the tree costs: one changed head, beside the hash of its element alone, and the bytes a head takes in it, beside those
it takes in a dict.
"""

import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import TypeVar

from orrange_p2p.core.frames import MAX_TOLD_HEADS, decode_sync_message, encode_sync_message
from orrange_p2p.core.head_tree import HeadTree, compute_element, tree_of
from orrange_p2p.core.messages import LAST_PLACE, Compare, Differences, Head
from orrange_p2p.core.reconcile import Asker, answer_compare
from orrange_p2p.core.types import Address, Digest
from tests.benchmarks.figures import Figure, compared
from tests.benchmarks.pace import per_call_us
from tests.benchmarks.street import MARKET_ID

T = TypeVar("T")


def run(heads: int = 100_000, differences: int = 100, repeats: int = 9) -> Iterator[Figure]:
    """Measure and report; takes about half a minute."""
    dice = random.Random(heads)
    held = [_head(dice) for _ in range(heads)]
    mine = tree_of(held)
    moved = [Head(session=one.session, next_seq=one.next_seq + 1, head_hash=_hash(dice)) for one in held[:differences]]
    theirs = mine
    for head in moved:
        theirs = theirs.put(head)
    wanted = sorted(moved, key=lambda head: head.session)
    for name, asked, expected in (
        (f"{differences} of {heads} heads differ", theirs, wanted),
        (f"none of {heads} heads differs", mine, []),
    ):
        cpu_ms, (found, size, frames) = _fastest(repeats, lambda asked=asked: _compare(mine, asked, dice))
        base_ms, (base_found, base_size, base_frames) = _fastest(3, lambda asked=asked: _send_all(held, asked))
        if list(found) != expected or list(base_found) != expected:
            raise RuntimeError("expected exactly the heads that differ")
        yield compared("rbsr", f"{name}, bytes", size, "B", baseline=base_size)
        yield compared("rbsr", f"{name}, frames asked", frames, "frames", baseline=base_frames)
        yield compared("rbsr", f"{name}, both sides", cpu_ms, "ms CPU", baseline=base_ms)
    some = held[:2000]
    baseline = per_call_us(compute_element, some)
    yield compared("rbsr", "change one head", per_call_us(mine.put, some), "us CPU", baseline=baseline)
    sample = held[: heads // 5]
    baseline = _bytes_each(sample, lambda: {head.session: head for head in sample})
    yield compared("rbsr", "memory a head", _bytes_each(sample, lambda: tree_of(sample)), "B", baseline=baseline)


def _head(dice: random.Random) -> Head:
    return Head(session=Address(dice.randbytes(20)), next_seq=dice.randrange(1, 2**16), head_hash=_hash(dice))


def _hash(dice: random.Random) -> Digest:
    return Digest(dice.randbytes(32))


def _fastest(repeats: int, call: Callable[[], T]) -> tuple[float, T]:
    """The least CPU milliseconds of several calls, and what the last one answered."""
    least = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        answer = call()
        least = min(least, (time.process_time() - started) * 1000)
    return least, answer


def _bytes_each(heads: list[Head], make: Callable[[], object]) -> float:
    """What something made of heads takes for each of them, besides the heads."""
    tracemalloc.start()
    made = make()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del made
    return taken / len(heads)


def _compare(mine: HeadTree, theirs: HeadTree, dice: random.Random) -> tuple[tuple[Head, ...], int, int]:
    asker = Asker(mine, MARKET_ID, dice.randbytes(16))
    size = 0
    while (asked := asker.next_compare(asker.compares)) is not None:
        question = encode_sync_message(asked)
        heard = decode_sync_message(question)
        if not isinstance(heard, Compare):
            raise TypeError(f"expected a Compare, was {type(heard).__name__}")
        reply = encode_sync_message(answer_compare(theirs, heard))
        told = decode_sync_message(reply)
        if not isinstance(told, Differences):
            raise TypeError(f"expected Differences, was {type(told).__name__}")
        asker.take(told)
        size += len(question) + len(reply)
    return asker.comparison().theirs, size, asker.compares


def _send_all(held: list[Head], theirs: HeadTree) -> tuple[list[Head], int, int]:
    """All heads in frames of as many as one takes."""
    known = {head.session: head for head in held}
    everything = list(theirs.heads())
    found: list[Head] = []
    size = frames = 0
    for first in range(0, len(everything), MAX_TOLD_HEADS):
        part = tuple(everything[first : first + MAX_TOLD_HEADS])
        frame = Differences(request=frames, reached=LAST_PLACE, spans=(), told=(), heads=part, lacks=())
        encoded = encode_sync_message(frame)
        told = decode_sync_message(encoded)
        if not isinstance(told, Differences):
            raise TypeError(f"expected Differences, was {type(told).__name__}")
        found += [head for head in told.heads if known.get(head.session) != head]
        size += len(encoded)
        frames += 1
    return found, size, frames
