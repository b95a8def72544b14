"""What a base saves of a long feed: memory, bytes for a newcomer, CPU to begin there; and what cutting costs.

A session places and cancels orders for most of a day, with a Checkpoint after every 256 entries; then the last one but
three is old enough. The baseline is the feed kept whole: its memory, all its entries sent, all of them taken in. Both
start from verified entries, so that what is measured is what the feed costs and not the signatures. Spec: [FEED-16].
"""

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace

from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.messages import Cancel
from orrange_p2p.core.presets import PRESETS
from orrange_p2p.core.starts import Start, base_from, verify_start
from orrange_p2p.core.types import Epoch, OrderId, Side
from orrange_p2p.core.verify import VerifiedEntry, verify_entry
from tests.benchmarks.figures import Figure, compared
from tests.core.hostile import next_entry, signed_order
from tests.core.kernel_world import DIGESTS, RULES, Peer

MAIN = replace(RULES, preset=PRESETS["main"])
WRITER = Peer("writer")
SESSION = WRITER.identity.session
EPOCHS_APART = 32  # eight seconds


def run(entries: int = 10_000, between: int = 256) -> Iterator[Figure]:
    """Measure and report; takes about half a minute."""
    whole, base_epoch = write_feed(entries, between)
    at = Epoch(base_from(MAIN, base_epoch))
    encoded = [entry.encoded for entry in whole]
    start, rest = cut(feeds_of(whole), at)
    name = f"a feed of {len(whole)} entries"
    kept = _bytes_of(lambda: feeds_of([verify_entry(DIGESTS, one) for one in encoded]))
    tail = [entry.encoded for entry in rest]
    left = _bytes_of(lambda: begun(_again(start), at, [verify_entry(DIGESTS, one) for one in tail]))
    yield compared("prune", f"{name}, memory", left / 1024, "KiB", baseline=kept / 1024)
    sent = sum(map(len, tail)) + sum(len(body.encoded) for body in start.bodies)
    yield compared("prune", f"{name}, bytes for a newcomer", sent, "B", baseline=sum(map(len, encoded)))
    whole_ms, begin_ms = _cpu_ms(lambda: feeds_of(whole)), _cpu_ms(lambda: begun(start, at, rest))
    yield compared("prune", f"{name}, taken in by a newcomer", begin_ms, "ms CPU", baseline=whole_ms)
    cuts_ms = sorted(_cut_ms(feeds_of(whole), at) for _ in range(5))
    yield compared("prune", f"{name}, cut", cuts_ms[2], "ms CPU", baseline=whole_ms)


def write_feed(count: int, between: int) -> tuple[list[VerifiedEntry], Epoch]:
    """A feed's entries, and the epoch that its last Checkpoint but three claims."""
    feeds, claims = Feeds(MAIN), [Epoch(0)]
    live: list[OrderId] = []
    for number in range(count):
        epoch = number * EPOCHS_APART
        order = signed_order(WRITER, Side.SELL, 100 + number % 50, 1 + number % 9, number)
        feed = feeds.feed(SESSION)
        if number and number % between == 0:
            said = feeds.next_checkpoint(SESSION, Epoch(epoch))
            if said is None:
                raise RuntimeError("expected a Checkpoint that is true here")
            claims.append(Epoch(epoch))
            feeds.add(next_entry(WRITER, feed, [said], epoch))
            continue
        gone = [Cancel(order_id=live.pop(0))] if len(live) > 20 else []
        live.append(OrderId(DIGESTS.order(order.signed.order)))
        feeds.add(next_entry(WRITER, feed, [*gone, order], epoch))
    feed = feeds.feed(SESSION)
    if feed is None or feed.is_dead or len(feed.entries) != count:
        raise RuntimeError("expected a feed that stands")
    return feed.entries, claims[max(0, len(claims) - 4)]


def feeds_of(entries: list[VerifiedEntry]) -> Feeds:
    """Feeds that hold these entries."""
    feeds = Feeds(MAIN)
    for entry in entries:
        feeds.add(entry)
    return feeds


def cut(feeds: Feeds, at: Epoch) -> tuple[Start, list[VerifiedEntry]]:
    """Cut the feed; where it begins then, and what follows."""
    feeds.advance_bases(at)
    feed = feeds.feed(SESSION)
    if feed is None or feed.start is None:
        raise RuntimeError("expected a base")
    return feed.start, feed.entries[1:]


def begun(start: Start, at: Epoch, rest: list[VerifiedEntry]) -> Feeds:
    """A newcomer's feeds."""
    feeds = Feeds(MAIN)
    if feeds.begin(start, at) is None:
        raise RuntimeError("expected a start that may be taken")
    for entry in rest:
        feeds.add(entry)
    return feeds


def _again(start: Start) -> Start:
    """The start read anew from its bytes, so that nothing is shared."""
    entry = verify_entry(DIGESTS, start.entry.encoded)
    return verify_start(DIGESTS, entry, [bytes(bytearray(body.encoded)) for body in start.bodies])


def _bytes_of(make: Callable[[], object]) -> int:
    gc.collect()
    tracemalloc.start()
    made = make()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del made
    return size


def _cpu_ms(work: Callable[[], object], repeats: int = 5) -> float:
    taken: list[float] = []
    for _ in range(repeats):
        before = time.process_time()
        work()
        taken.append((time.process_time() - before) * 1000)
    return sorted(taken)[repeats // 2]


def _cut_ms(feeds: Feeds, at: Epoch) -> float:
    return _cpu_ms(lambda: feeds.advance_bases(at), repeats=1)
