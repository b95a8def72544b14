"""A market's heads in a tree of digests, which a changed head changes along one path only.

The tree branches where the sessions below differ first, so its shape and every digest in it depend on the heads alone
and not on how they came. Nodes never change: a changed tree shares all but one path with the old one, so a round of
sync keeps the tree it began with for nothing.
Spec: protocol/spec/06-sync.md [SYNC-8], [SYNC-9].
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.messages import LAST_PLACE, Head
from orrange_p2p.core.types import ZERO_DIGEST, Address, Digest

_NO_CHECKPOINT = bytes(32)


def place_of(session: Address) -> int:
    """A session as a number. Spec: [SYNC-11]."""
    return int.from_bytes(session, "big")


def compute_element(head: Head) -> Digest:
    """What stands for one head in digests. Spec: [SYNC-8]."""
    return keccak256(
        head.session + head.next_seq.to_bytes(8, "big") + head.head_hash + _NO_CHECKPOINT + bytes((head.is_dead,))
    )


class Leaf:
    """One head."""

    __slots__ = ("digest", "head", "least", "most")
    count = 1
    digest: Digest
    least: int
    most: int

    def __init__(self, head: Head) -> None:
        self.head = head
        self.digest = compute_element(head)
        self.least = self.most = place_of(head.session)


class Branch:
    """All heads below the first bit in which their sessions differ; those with a 0 there are left."""

    __slots__ = ("count", "digest", "least", "left", "most", "right")
    count: int
    digest: Digest
    least: int
    most: int

    def __init__(self, left: "Node", right: "Node") -> None:
        self.left = left
        self.right = right
        self.least = left.least
        self.most = right.most
        self.count = left.count + right.count
        self.digest = keccak256(left.digest + right.digest)


Node = Leaf | Branch


class HeadTree:
    """Heads by session. A value: `put` and `drop` give another tree."""

    __slots__ = ("_root",)

    def __init__(self, root: Node | None = None) -> None:
        self._root = root

    def __len__(self) -> int:
        return self._root.count if self._root is not None else 0

    def put(self, head: Head) -> "HeadTree":
        """The tree with a head in place of that of its session, if there was one; O(log n) hashes."""
        leaf = Leaf(head)
        return HeadTree(leaf if self._root is None else _put(self._root, leaf))

    def drop(self, session: Address) -> "HeadTree":
        """The tree without a session; O(log n) hashes."""
        return HeadTree(None if self._root is None else _drop(self._root, place_of(session)))

    def get(self, session: Address) -> Head | None:
        """A session's head."""
        place = place_of(session)
        found = next(self.leaves(place, place + 1), None)
        return found.head if found is not None else None

    def heads(self) -> Iterator[Head]:
        """All heads, by session."""
        return (leaf.head for leaf in self.leaves(0, LAST_PLACE))

    def root(self, low: int, high: int) -> Digest:
        """The digest of all heads in `[low, high)`. Spec: [SYNC-9]."""
        node = self._reach(low, high)
        return ZERO_DIGEST if node is None else _root(node, low, high)

    def count(self, low: int, high: int) -> int:
        """How many heads are in `[low, high)`."""
        return sum(node.count for node in self._whole(low, high))

    def leaves(self, low: int, high: int) -> Iterator[Leaf]:
        """The heads in `[low, high)` with their elements, by session."""
        waiting = list(self._whole(low, high))[::-1]
        while waiting:
            node = waiting.pop()
            if isinstance(node, Leaf):
                yield node
            else:
                waiting += (node.right, node.left)

    def split(self, low: int, high: int, *, most: int, enough: int) -> tuple[int, ...]:
        """Places that cut `[low, high)` into about `most` parts, none empty, fewer if `enough` heads are in each.

        The parts are whole branches wherever the range is one, so the other side finds their digests ready-made.
        """
        nodes = list(self._whole(low, high))
        enough = max(enough, -(-sum(node.count for node in nodes) // most))
        while len(nodes) < most:
            grown: list[Node] = []
            room = most - len(nodes)
            for node in nodes:
                if room and isinstance(node, Branch) and node.count > enough:
                    grown += (node.left, node.right)
                    room -= 1
                else:
                    grown.append(node)
            if len(grown) == len(nodes):
                break
            nodes = grown
        return (low, *(_between(left, right) for left, right in pairwise(nodes)), high)

    def _reach(self, low: int, high: int) -> Node | None:
        """The smallest node with everything that lies in `[low, high)`."""
        node = self._root
        while isinstance(node, Branch):
            if high <= node.right.least:
                node = node.left
            elif low > node.left.most:
                node = node.right
            else:
                break
        return node

    def _whole(self, low: int, high: int) -> Iterator[Node]:
        """The largest nodes that lie in `[low, high)` as a whole, by session."""
        node = self._reach(low, high)
        waiting = [node] if node is not None else []
        while waiting:
            node = waiting.pop()
            if low <= node.least and node.most < high:
                yield node
            elif isinstance(node, Branch) and low <= node.most and node.least < high:
                waiting += (node.right, node.left)


def tree_of(heads: Iterable[Head]) -> HeadTree:
    """A tree of heads, one a session."""
    tree = HeadTree()
    for head in heads:
        tree = tree.put(head)
    return tree


def _is_outside(node: Node, place: int) -> bool:
    """Whether a session differs from all of a node earlier than they do among themselves."""
    return (place ^ node.least) >> (node.least ^ node.most).bit_length() != 0


def _is_right(node: Branch, place: int) -> bool:
    """Whether a session that is not outside of a branch has a 1 where it branches."""
    return (place ^ node.most) >> ((node.least ^ node.most).bit_length() - 1) == 0


def _put(node: Node, leaf: Leaf) -> Node:
    if _is_outside(node, leaf.least):
        return Branch(leaf, node) if leaf.least < node.least else Branch(node, leaf)
    if isinstance(node, Leaf):
        return leaf
    if _is_right(node, leaf.least):
        return Branch(node.left, _put(node.right, leaf))
    return Branch(_put(node.left, leaf), node.right)


def _drop(node: Node, place: int) -> Node | None:
    if _is_outside(node, place):
        return node
    if isinstance(node, Leaf):
        return None
    if _is_right(node, place):
        left, right = node.left, _drop(node.right, place)
        return left if right is None else node if right is node.right else Branch(left, right)
    kept = _drop(node.left, place)
    return node.right if kept is None else node if kept is node.left else Branch(kept, node.right)


def _root(node: Node, low: int, high: int) -> Digest:
    if low <= node.least and node.most < high:
        return node.digest
    if isinstance(node, Leaf):
        return ZERO_DIGEST
    if high <= node.right.least:
        return _root(node.left, low, high)
    if low > node.left.most:
        return _root(node.right, low, high)
    return keccak256(_root(node.left, low, high) + _root(node.right, low, high))


def _between(left: Node, right: Node) -> int:
    """The place between two neighbours with the fewest bytes."""
    bit = (left.most ^ right.least).bit_length() - 1
    return right.least >> bit << bit
