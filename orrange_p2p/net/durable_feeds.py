"""What sync may show of a node's feeds: of its own only what is on disk.

Spec: protocol/spec/02-feeds.md [FEED-9], 06-sync.md [SYNC-1].
"""

from collections.abc import Sequence

from orrange_p2p.core.feed import Feed
from orrange_p2p.core.head_tree import HeadTree
from orrange_p2p.core.kernel import Kernel
from orrange_p2p.core.messages import Head
from orrange_p2p.core.types import Address, Digest, MarketId
from orrange_p2p.net.sync import HeldRun


def next_own_seq(kernel: Kernel, market: MarketId) -> int:
    """The seq of the next entry of this node's own feed in a market, be the others on disk or not."""
    feed = kernel.markets[market].feeds.feed(kernel.identity.session)
    return feed.next_seq if feed is not None else 0


def held_run(feed: Feed | None, from_seq: int, to_seq: int) -> HeldRun:
    """What a feed has of a run; from its start on if what was asked for first is gone. Spec: [SYNC-21]."""
    entries = feed.run(from_seq, to_seq) if feed is not None else []
    if feed is None or not entries:
        return HeldRun()
    is_cut = from_seq < feed.first_seq == entries[0].entry.header.seq
    bodies = feed.start.bodies if feed.start is not None and is_cut else ()
    return HeldRun(entries=tuple(one.encoded for one in entries), bodies=tuple(body.encoded for body in bodies))


class DurableFeeds:
    """What sync may see of the kernel: of the own feed only what is on disk.

    An entry that a peer got from memory, and that a crash then took from us, would be signed again otherwise: a fork.
    Spec: [FEED-9].
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._own: dict[MarketId, int] = {}

    def note(self, market: MarketId, next_seq: int) -> None:
        """The own feed is on disk up to here."""
        self._own[market] = max(next_seq, self._own.get(market, 0))

    @property
    def own(self) -> Address:
        """This node's own session."""
        return self._kernel.identity.session

    def tree(self, market: MarketId) -> HeadTree:
        """Heads of what may be fetched here."""
        state = self._kernel.markets.get(market)
        if state is None:
            return HeadTree()
        tree, limit = state.shown.tree(), self._own.get(market, 0)
        head = tree.get(self.own)
        if head is None or head.next_seq <= limit:
            return tree
        feed = state.feeds.feed(self.own)
        last = feed.run(limit - 1, limit) if feed is not None else []
        if not last:
            return tree.drop(self.own)
        return tree.put(Head(session=self.own, next_seq=limit, head_hash=Digest(last[0].entry_hash)))

    def run(self, market: MarketId, session: Address, from_seq: int, to_seq: int) -> HeldRun:
        """Encoded entries of a feed, from its start on if what was asked for first is gone. Spec: [SYNC-21]."""
        state = self._kernel.markets.get(market)
        feed = state.feeds.feed(session) if state is not None else None
        if session == self.own:
            to_seq = min(to_seq, self._own.get(market, 0))
        return held_run(feed, from_seq, to_seq)

    def proofs(self, market: MarketId, session: Address) -> Sequence[bytes]:
        """What convicts sessions above one, a page of it. Spec: [SYNC-18]."""
        state = self._kernel.markets.get(market)
        return state.evidence.pieces_after(session) if state is not None else ()
