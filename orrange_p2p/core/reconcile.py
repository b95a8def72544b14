"""Where two nodes' heads differ: one asks, the other answers from what it holds and remembers nothing.

`answer_compare` is the whole of the answering side. `Asker` is the other: `next_compare` says what to send,
`take` reads the answer, until nothing is left to ask. No input can make either loop, or hold or hash more than the
limits say; what no honest partner sends is a RemoteProtocolError.
Spec: protocol/spec/06-sync.md [SYNC-10..17].
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from orrange_p2p.core.frames import FINGERPRINT_BYTES, MAX_IDS, MAX_RANGES, MAX_TOLD_HEADS
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.head_tree import HeadTree, place_of
from orrange_p2p.core.messages import LAST_PLACE, Compare, Differences, Head, Listing, Span
from orrange_p2p.core.types import Digest, MarketId
from orrange_p2p.errors import RemoteProtocolError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one frame and one comparison may be, and when ranges are cut no further. Spec: [SYNC-15..17]."""

    ranges: int = MAX_RANGES
    ids: int = MAX_IDS
    heads: int = MAX_TOLD_HEADS
    first_few: int = 16
    few: int = 4
    few_ids: int = 32
    first_parts: int = 256
    parts: int = 8
    compares: int = 64
    ranges_in_all: int = 16_384
    found: int = 16_384


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class _Range:
    """`[low, high)`, asked about by fingerprint or by ids."""

    low: int
    high: int
    is_listing: bool


def compute_fingerprint(salt: bytes, digest: Digest) -> bytes:
    """What a range's digest, or one head's, looks like under a salt. Spec: [SYNC-10]."""
    return keccak256(salt + digest)[:FINGERPRINT_BYTES]


def _parts(span: Span) -> Iterable[tuple[int, int, bytes]]:
    return (
        (low, high, fingerprint)
        for (low, high), fingerprint in zip(pairwise(span.bounds), span.fingerprints, strict=True)
    )


def _cut(tree: HeadTree, low: int, high: int, *, is_alone: bool, limits: Limits) -> tuple[int, ...]:
    if is_alone:
        return tree.split(low, high, most=limits.first_parts, enough=limits.first_few)
    return tree.split(low, high, most=limits.parts, enough=limits.few)


# Answering


def answer_compare(tree: HeadTree, asked: Compare, limits: Limits = LIMITS) -> Differences:
    """Answer from the heads held now.

    Raises:
        RemoteProtocolError: the ranges overlap; the asker is to blame. Spec: [SYNC-12].
    """
    ranges: list[tuple[int, int, bytes | tuple[bytes, ...]]] = [
        (low, high, fingerprint) for span in asked.spans for low, high, fingerprint in _parts(span)
    ]
    ranges += [(one.low, one.high, one.ids) for one in asked.listings]
    ranges.sort(key=lambda one: one[0])
    answer = _Answer(tree, asked.salt, limits, is_alone=len(ranges) == 1)
    end = 0
    for low, high, content in ranges:
        if low < end:
            raise RemoteProtocolError("SYNC-12", "expected ranges that do not overlap")
        end = high
        answer.add(low, high, content)
    return answer.as_message(asked.request)


class _Answer:
    """An answer that grows by one range at a time while there is room. Spec: [SYNC-13]."""

    def __init__(self, tree: HeadTree, salt: bytes, limits: Limits, *, is_alone: bool) -> None:
        self._tree, self._salt, self._limits, self._is_alone = tree, salt, limits, is_alone
        self._spans: list[Span] = []
        self._told: list[tuple[int, int]] = []
        self._heads: list[Head] = []
        self._lacks: list[bytes] = []
        self._ranges = 0
        self._reached: int | None = None

    def add(self, low: int, high: int, content: bytes | tuple[bytes, ...]) -> None:
        """Answer one range; if there is no room for it, neither it nor any after it is answered."""
        if self._reached is None and not self._add_if_room(low, high, content):
            self._reached = low

    def _add_if_room(self, low: int, high: int, content: bytes | tuple[bytes, ...]) -> bool:
        if isinstance(content, tuple):
            return self._add_listing(low, high, content)
        if compute_fingerprint(self._salt, self._tree.root(low, high)) == content:
            return True
        if self._tree.count(low, high) > (self._limits.first_few if self._is_alone else self._limits.few):
            return self._add_span(low, high)
        heads = [leaf.head for leaf in self._tree.leaves(low, high)]
        if not self._has_room(1, heads):
            return False
        self._told.append((low, high))
        self._heads += heads
        self._ranges += 1
        return True

    def _add_listing(self, low: int, high: int, ids: tuple[bytes, ...]) -> bool:
        if self._tree.count(low, high) > self._limits.heads:
            return self._add_span(low, high)
        left, heads = dict.fromkeys(ids), []
        for leaf in self._tree.leaves(low, high):
            identifier = compute_fingerprint(self._salt, leaf.digest)
            if identifier in left:
                del left[identifier]
            else:
                heads.append(leaf.head)
        if not self._has_room(0, heads):
            return False
        self._heads += heads
        self._lacks += left
        return True

    def _add_span(self, low: int, high: int) -> bool:
        bounds = _cut(self._tree, low, high, is_alone=self._is_alone, limits=self._limits)
        if not self._has_room(len(bounds) - 1, ()):
            return False
        self._spans.append(_span_of(self._tree, self._salt, bounds))
        self._ranges += len(bounds) - 1
        return True

    def _has_room(self, ranges: int, heads: Sequence[Head]) -> bool:
        limits = self._limits
        return self._ranges + ranges <= limits.ranges and len(self._heads) + len(heads) <= limits.heads

    def as_message(self, request: int) -> Differences:
        """What was answered so far."""
        return Differences(
            request=request,
            reached=LAST_PLACE if self._reached is None else self._reached,
            spans=tuple(self._spans),
            told=tuple(self._told),
            heads=tuple(self._heads),
            lacks=tuple(self._lacks),
        )


def _span_of(tree: HeadTree, salt: bytes, bounds: tuple[int, ...]) -> Span:
    roots = (tree.root(low, high) for low, high in pairwise(bounds))
    return Span(bounds=bounds, fingerprints=tuple(compute_fingerprint(salt, root) for root in roots))


# Asking


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a finished comparison found.

    `theirs` are the heads of the other that are not ours, `ours` those of ours that the other does not hold, both by
    session; a session whose heads differ is in both. If not `is_whole`, a limit came first and there may be more.
    """

    theirs: tuple[Head, ...]
    ours: tuple[Head, ...]
    is_whole: bool


class Asker:
    """Compares the heads of one moment with a peer's, frame by frame. Spec: [SYNC-14..17]."""

    def __init__(self, tree: HeadTree, market: MarketId, salt: bytes, limits: Limits = LIMITS) -> None:
        """Begin.

        Args:
            tree: this node's heads.
            market: what the frames name.
            salt: 16 bytes that nobody could foresee, drawn for this comparison alone. Spec: [SYNC-10].
            limits: how far to go.
        """
        self._tree, self._market, self._salt, self._limits = tree, market, salt, limits
        self._waiting = [_Range(0, LAST_PLACE, is_listing=len(tree) == 0)]
        self._asked: list[_Range] = []
        self._compares = self._ranges = 0
        self._theirs: list[Head] = []
        self._ours: list[Head] = []

    @property
    def compares(self) -> int:
        """Frames asked."""
        return self._compares

    def comparison(self) -> Comparison:
        """What was found, once `next_compare` gives nothing more."""
        by_session = sorted(self._theirs, key=lambda head: head.session)
        ours = sorted(self._ours, key=lambda head: head.session)
        return Comparison(theirs=tuple(by_session), ours=tuple(ours), is_whole=not self._waiting)

    def next_compare(self, request: int) -> Compare | None:
        """The next frame to send, or None if everything is compared or a limit is reached. Spec: [SYNC-15, SYNC-17]."""
        limits = self._limits
        is_spent = (
            self._compares >= limits.compares
            or self._ranges >= limits.ranges_in_all
            or len(self._theirs) > limits.found
        )
        if is_spent or not self._waiting:
            return None
        spans: list[Span] = []
        listings: list[Listing] = []
        room = limits.ids
        for one in self._waiting[: limits.ranges]:
            ids = self._ids(one) if one.is_listing else ()
            room -= len(ids)
            if room < 0:
                break
            self._asked.append(one)
            if one.is_listing:
                listings.append(Listing(low=one.low, high=one.high, ids=ids))
            else:
                _extend(spans, one, compute_fingerprint(self._salt, self._tree.root(one.low, one.high)))
        del self._waiting[: len(self._asked)]
        self._compares += 1
        self._ranges += len(self._asked)
        return Compare(
            request=request, market=self._market, salt=self._salt, spans=tuple(spans), listings=tuple(listings)
        )

    def _ids(self, one: _Range) -> tuple[bytes, ...]:
        leaves = self._tree.leaves(one.low, one.high)
        return tuple(compute_fingerprint(self._salt, leaf.digest) for leaf in leaves)

    def take(self, answer: Differences) -> None:
        """Read the answer to the frame asked last.

        Raises:
            RemoteProtocolError: it answers what was not asked, or does not answer what was. Spec: [SYNC-14].
        """
        answered = [one for one in self._asked if one.high <= answer.reached]
        rest = self._asked[len(answered) :]
        if not answered or any(one.low < answer.reached for one in rest):
            raise RemoteProtocolError("SYNC-14", "expected whole ranges answered, the first of them at least")
        self._asked = []
        reading = _Reading(answer)
        further: list[_Range] = []
        for one in answered:
            span = reading.spans.pop((one.low, one.high), None)
            if span is not None:
                further += self._parts_that_differ(span)
            elif one.is_listing:
                self._read_listing(one, reading)
            elif (one.low, one.high) in reading.told:
                del reading.told[(one.low, one.high)]
                self._read_told(one, reading)
        reading.end()
        self._waiting = further + rest + self._waiting

    def _parts_that_differ(self, span: Span) -> list[_Range]:
        """What to ask next about a range that the other has split; cut again where we hold much. Spec: [SYNC-16]."""
        if len(span.fingerprints) == 1:
            raise RemoteProtocolError("SYNC-14", "expected a range that differs split or told, was given back whole")
        self._ranges += len(span.fingerprints)
        found: list[_Range] = []
        for low, high, fingerprint in _parts(span):
            if compute_fingerprint(self._salt, self._tree.root(low, high)) == fingerprint:
                continue
            if self._tree.count(low, high) <= self._limits.few_ids:
                found.append(_Range(low, high, is_listing=True))
                continue
            bounds = _cut(self._tree, low, high, is_alone=False, limits=self._limits)
            found += (_Range(low, high, is_listing=False) for low, high in pairwise(bounds))
        return found

    def _read_listing(self, one: _Range, reading: "_Reading") -> None:
        for head in reading.heads_in(one):
            if self._tree.get(head.session) == head:
                raise RemoteProtocolError("SYNC-14", "expected heads that were not listed, was one that was")
            self._theirs.append(head)
        for leaf in self._tree.leaves(one.low, one.high) if reading.lacks else ():
            identifier = compute_fingerprint(self._salt, leaf.digest)
            if identifier in reading.lacks:
                del reading.lacks[identifier]
                self._ours.append(leaf.head)

    def _read_told(self, one: _Range, reading: "_Reading") -> None:
        theirs = {head.session: head for head in reading.heads_in(one)}
        for leaf in self._tree.leaves(one.low, one.high):
            if theirs.get(leaf.head.session) == leaf.head:
                del theirs[leaf.head.session]
            else:
                self._ours.append(leaf.head)
        self._theirs += theirs.values()


class _Reading:
    """What of an answer has not been read yet; nothing may be left."""

    def __init__(self, answer: Differences) -> None:
        self.spans = {(span.bounds[0], span.bounds[-1]): span for span in answer.spans}
        self.told = dict.fromkeys(answer.told)
        self.lacks = dict.fromkeys(answer.lacks)
        self._heads = answer.heads
        self._places = [place_of(head.session) for head in answer.heads]
        self._read = 0

    def heads_in(self, one: _Range) -> tuple[Head, ...]:
        """The heads of a range."""
        found = self._heads[bisect_left(self._places, one.low) : bisect_left(self._places, one.high)]
        self._read += len(found)
        return found

    def end(self) -> None:
        """Whatever is left answers nothing that was asked. Spec: [SYNC-14]."""
        left = len(self.spans) + len(self.told) + len(self.lacks) + len(self._heads) - self._read
        if left:
            raise RemoteProtocolError("SYNC-14", f"expected answers to what was asked alone, was {left} more")


def _extend(spans: list[Span], one: _Range, fingerprint: bytes) -> None:
    """Add a range behind the last span, or to it if they touch."""
    if spans and spans[-1].bounds[-1] == one.low:
        last = spans.pop()
        spans.append(Span(bounds=(*last.bounds, one.high), fingerprints=(*last.fingerprints, fingerprint)))
    else:
        spans.append(Span(bounds=(one.low, one.high), fingerprints=(fingerprint,)))
