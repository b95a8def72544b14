"""What sync may show of a node's feeds: of its own only what is on disk.

Spec: protocol/spec/02-feeds.md [FEED-9], 06-sync.md [SYNC-1].
"""

from collections.abc import Iterator, Sequence

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

    def heads(self, market: MarketId) -> tuple[Head, ...]:
        """Heads of what may be fetched here."""
        state = self._kernel.markets.get(market)
        return tuple(self._durable(market, state.heads())) if state is not None else ()

    def _durable(self, market: MarketId, heads: Sequence[Head]) -> Iterator[Head]:
        limit = self._own.get(market, 0)
        for head in heads:
            if head.session != self._kernel.identity.session or head.next_seq <= limit:
                yield head
            elif limit:
                last = entries_of_own(self._kernel, market)[limit - 1]
                yield Head(session=head.session, next_seq=limit, head_hash=Digest(last.entry_hash))

    def run(self, market: MarketId, session: Address, from_seq: int, to_seq: int) -> Sequence[bytes]:
        """Encoded entries of a feed."""
        state = self._kernel.markets.get(market)
        feed = state.feeds.feed(session) if state is not None else None
        if session == self._kernel.identity.session:
            to_seq = min(to_seq, self._own.get(market, 0))
        return [entry.encoded for entry in feed.run(from_seq, to_seq)] if feed is not None else []

    def is_dead(self, market: MarketId, session: Address) -> bool:
        """Whether a session's fork is known."""
        state = self._kernel.markets.get(market)
        feed = state.feeds.feed(session) if state is not None else None
        return feed is not None and feed.is_dead
