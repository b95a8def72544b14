"""What sync may show of a node's feeds: of its own only what is on disk.

Spec: protocol/spec/02-feeds.md [FEED-9], 06-sync.md [SYNC-1].
"""

from collections.abc import Sequence

from orrange_p2p.core.head_tree import HeadTree
from orrange_p2p.core.kernel import Kernel
from orrange_p2p.core.messages import Head
from orrange_p2p.core.types import Address, Digest, MarketId
from orrange_p2p.core.verify import VerifiedEntry


def entries_of_own(kernel: Kernel, market: MarketId) -> Sequence[VerifiedEntry]:
    """The entries of this node's own feed in a market, on disk or not."""
    feed = kernel.markets[market].feeds.feed(kernel.identity.session)
    return feed.entries if feed is not None else ()


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
        if not limit:
            return tree.drop(self.own)
        last = entries_of_own(self._kernel, market)[limit - 1]
        return tree.put(Head(session=self.own, next_seq=limit, head_hash=Digest(last.entry_hash)))

    def run(self, market: MarketId, session: Address, from_seq: int, to_seq: int) -> Sequence[bytes]:
        """Encoded entries of a feed."""
        state = self._kernel.markets.get(market)
        feed = state.feeds.feed(session) if state is not None else None
        if session == self.own:
            to_seq = min(to_seq, self._own.get(market, 0))
        return [entry.encoded for entry in feed.run(from_seq, to_seq)] if feed is not None else []

    def proofs(self, market: MarketId, session: Address) -> Sequence[bytes]:
        """What convicts sessions above one, a page of it. Spec: [SYNC-18]."""
        state = self._kernel.markets.get(market)
        return state.evidence.pieces_after(session) if state is not None else ()
