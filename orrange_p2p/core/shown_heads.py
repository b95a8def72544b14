"""The heads that a node shows to its peers, as a tree that follows its feeds and its chain.

Spec: protocol/spec/06-sync.md [SYNC-1], [SYNC-9].
"""

from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.head_tree import HeadTree
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.types import Address


class ShownHeads:
    """Heads of sessions that the chain has authorised: the few places of others differ from node to node."""

    def __init__(self, feeds: Feeds, ledger: Ledger) -> None:
        self._feeds = feeds
        self._ledger = ledger
        self._tree = HeadTree()
        self._strangers: tuple[Address, ...] = ()

    def unwind(self) -> None:
        """Show no more of sessions that the chain knew only by blocks that it took back."""
        unknown = [head.session for head in self._tree.heads() if not self._ledger.has_session(head.session)]
        for session in unknown:
            self._tree = self._tree.drop(session)
        self._strangers = (*self._strangers, *unknown)

    def tree(self) -> HeadTree:
        """The tree of now; costs O(log n) hashes for each head that changed since it was last asked for."""
        strangers: list[Address] = []
        for session in (*self._strangers, *self._feeds.take_moved()):
            head = self._feeds.head(session)
            if not self._ledger.has_session(session):
                strangers.append(session)
            elif head is not None:
                self._tree = self._tree.put(head)
        self._strangers = tuple(dict.fromkeys(strangers))
        return self._tree
