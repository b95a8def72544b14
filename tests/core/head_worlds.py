"""Maps of heads for tests of set reconciliation, and both sides of it talking through bytes."""

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from orrange_p2p.core.frames import decode_sync_message, encode_sync_message
from orrange_p2p.core.head_tree import HeadTree, tree_of
from orrange_p2p.core.messages import Compare, Differences, Head
from orrange_p2p.core.reconcile import LIMITS, Asker, Comparison, Limits, answer_compare
from orrange_p2p.core.types import ZERO_DIGEST, Address, Digest, MarketId
from protocol.reference import reconcile as reference

MARKET = MarketId(b"\x6d" * 32)
SALT = bytes(range(16))
NARROW = Limits(ranges=400, ids=12, heads=10, first_few=1, few=1, few_ids=2, first_parts=3, parts=2, compares=10_000)
EDGES = [0, 1, 2**80, 2**159 - 1, 2**159, 2**160 - 1]


def head_of(place: int, mark: int) -> Head:
    """A session's head; mark 0 is that of a dead session."""
    head_hash = Digest(bytes([mark]) * 32) if mark else ZERO_DIGEST
    return Head(session=Address(place.to_bytes(20, "big")), next_seq=mark % 7 + 1, head_hash=head_hash)


def places() -> st.SearchStrategy[int]:
    """Sessions: far apart, side by side, and along one path of the tree."""
    beside = st.integers(0, 40).map(lambda small: 2**90 + small)
    along = st.integers(0, 159).map(lambda bit: 2**bit)
    return st.one_of(st.integers(0, 2**160 - 1), beside, along, st.sampled_from(EDGES))


def head_maps(most: int = 60) -> st.SearchStrategy[list[Head]]:
    """One head a session, in any order."""
    heads = st.builds(head_of, places(), st.integers(0, 3))
    return st.lists(heads, max_size=most, unique_by=lambda head: head.session)


@st.composite
def head_pairs(draw: st.DrawFn, most: int = 60) -> tuple[list[Head], list[Head]]:
    """Two maps that have much in common: heads of one alone, of the other alone, of both, and other ones of both."""
    one, other = [], []
    for head in draw(head_maps(most)):
        where = draw(st.sampled_from("=====<>!"))
        if where != ">":
            one.append(head)
        if where in "=>":
            other.append(head)
        elif where == "!":
            other.append(Head(session=head.session, next_seq=head.next_seq + 1, head_hash=Digest(b"\xee" * 32)))
    return one, other


def plain(heads: list[Head]) -> list[reference.Head]:
    """The reference's form of heads."""
    return [reference.Head(session=head.session, next_seq=head.next_seq, head_hash=head.head_hash) for head in heads]


@dataclass
class Talk:
    """What a whole comparison was."""

    comparison: Comparison
    frames: list[tuple[int, int]]


Answering = Callable[[Compare], Differences]


def converse(tree: HeadTree, answering: Answering, limits: Limits = LIMITS, salt: bytes = SALT) -> Talk:
    """Ask until nothing is left to ask; every frame crosses as bytes."""
    asker = Asker(tree, MARKET, salt, limits)
    frames = []
    while (asked := asker.next_compare(len(frames))) is not None:
        encoded = encode_sync_message(asked)
        heard = decode_sync_message(encoded)
        assert isinstance(heard, Compare)
        answer = encode_sync_message(answering(heard))
        told = decode_sync_message(answer)
        assert isinstance(told, Differences)
        assert told.request == len(frames)
        asker.take(told)
        frames.append((len(encoded), len(answer)))
    assert len(frames) == asker.compares
    return Talk(comparison=asker.comparison(), frames=frames)


def compare_maps(one: list[Head], other: list[Head], limits: Limits = LIMITS) -> Talk:
    """One asks the other."""
    held = tree_of(other)
    return converse(tree_of(one), lambda asked: answer_compare(held, asked, limits), limits)
