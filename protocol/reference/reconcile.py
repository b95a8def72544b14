"""Where the heads of two nodes differ: what ranges look like, how to ask and how to answer.

Everything is computed anew from plain lists of heads each time. `answer` and `differences` are one way among many to
cut ranges: the spec leaves to each node how fine it cuts. Messages are fields as in `wire`.
Spec: protocol/spec/06-sync.md [SYNC-8..15].
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from protocol.reference.cbor import RefusedError
from protocol.reference.signing import keccak
from protocol.reference.wire import RANGES_MAX, TOLD_HEADS_MAX, high_of, low_of

END = 2**160
NO_CHECKPOINT = bytes(32)
FEW_ALONE, FEW = 16, 4

Ask = Callable[[list[Any]], list[Any]]


@dataclass(frozen=True, kw_only=True)
class Head:
    """Where a session's feed stands. Spec: [SYNC-1]."""

    session: bytes
    next_seq: int
    head_hash: bytes

    @property
    def number(self) -> int:
        """The session's place."""
        return int.from_bytes(self.session, "big")


def element(head: Head) -> bytes:
    """What stands for a head. Spec: [SYNC-8]."""
    is_dead = head.head_hash == bytes(32) and head.next_seq > 0
    return keccak(
        head.session
        + head.next_seq.to_bytes(8, "big")
        + head.head_hash
        + NO_CHECKPOINT
        + (b"\x01" if is_dead else b"\x00")
    )


def root(heads: list[Head]) -> bytes:
    """What stands for any number of heads: parted at the first bit in which their sessions differ. Spec: [SYNC-9]."""
    if not heads:
        return bytes(32)
    if len(heads) == 1:
        return element(heads[0])
    for bit in reversed(range(160)):
        zeros = [head for head in heads if not head.number >> bit & 1]
        ones = [head for head in heads if head.number >> bit & 1]
        if zeros and ones:
            return keccak(root(zeros) + root(ones))
    raise ValueError("expected one head a session, were two")


def salted(salt: bytes, digest: bytes) -> bytes:
    """The fingerprint of a root, or the id of an element. Spec: [SYNC-10]."""
    return keccak(salt + digest)[:8]


def within(heads: list[Head], low: int, high: int) -> list[Head]:
    """The heads of a range, by session. Spec: [SYNC-11]."""
    return sorted((head for head in heads if low <= head.number < high), key=lambda head: head.number)


def place(number: int) -> bytes:
    """A place as the wire has it. Spec: [SYNC-11]."""
    return b"" if number == END else number.to_bytes(20, "big").rstrip(b"\x00")


def fields_of(head: Head) -> list[Any]:
    """A head as the wire has it."""
    return [head.session, head.next_seq, head.head_hash]


def asked_ranges(compare: list[Any]) -> list[tuple[int, int, Any]]:
    """The ranges of a Compare, ascending, each with its fingerprint or its list of ids. Spec: [SYNC-12]."""
    spans, listings = compare[4:]
    ranges: list[tuple[int, int, Any]] = []
    for bounds, fingerprints in spans:
        for (low, high), fingerprint in zip(pairwise(bounds), fingerprints, strict=True):
            ranges.append((low_of(low), high_of(high), fingerprint))
    ranges += [(low_of(low), high_of(high), ids) for low, high, ids in listings]
    return sorted(ranges, key=lambda one: one[0])


def halves(heads: list[Head], low: int, high: int, salt: bytes) -> list[Any]:
    """A range as a Span of two: cut where the second half of the heads begins."""
    middle = heads[len(heads) // 2].number
    bounds = [low, middle, high]
    roots = [root(within(heads, start, end)) for start, end in pairwise(bounds)]
    return [[place(bound) for bound in bounds], [salted(salt, one) for one in roots]]


def answer(held: list[Head], compare: list[Any]) -> list[Any]:
    """The Differences that answers a Compare. Spec: [SYNC-13], [SYNC-15]."""
    request, salt = compare[1], compare[3]
    spans: list[Any] = []
    told: list[Any] = []
    heads: list[Any] = []
    lacks: list[Any] = []
    ranges = asked_ranges(compare)
    few = FEW_ALONE if len(ranges) == 1 else FEW
    for low, high, said in ranges:
        if 2 * len(spans) + len(told) + 2 > RANGES_MAX or len(heads) + TOLD_HEADS_MAX // 2 > TOLD_HEADS_MAX:
            return [6, request, place(low), spans, told, heads, lacks]
        here = within(held, low, high)
        ids = {salted(salt, element(head)): head for head in here}
        is_listing = isinstance(said, list)
        missing = [head for one, head in ids.items() if not is_listing or one not in said]
        if is_listing and len(missing) <= TOLD_HEADS_MAX // 2:
            heads += [fields_of(head) for head in missing]
            lacks += [one for one in said if one not in ids]
        elif not is_listing and salted(salt, root(here)) == said:
            continue
        elif not is_listing and len(here) <= few:
            told.append([place(low), place(high)])
            heads += [fields_of(head) for head in here]
        else:
            spans.append(halves(here, low, high, salt))
    return [6, request, b"", spans, told, heads, lacks]


def differences(
    mine: list[Head], ask: Ask, market: bytes, salt: bytes, low: int = 0, high: int = END
) -> tuple[list[Head], list[Head]]:
    """Ask about one range until it is equal or told: the other's heads that are not mine, and mine that it lacks."""
    here = within(mine, low, high)
    said = salted(salt, root(here))
    found = ask([5, 1, market, salt, [[[place(low), place(high)], [said]]], []])
    _, _, _, spans, told, heads, _ = found
    if spans:
        theirs: list[Head] = []
        lacking: list[Head] = []
        for start, end in pairwise(spans[0][0]):
            more, less = differences(mine, ask, market, salt, low_of(start), high_of(end))
            theirs, lacking = theirs + more, lacking + less
        return theirs, lacking
    if not told:
        return [], []
    others = [Head(session=session, next_seq=seq, head_hash=head_hash) for session, seq, head_hash in heads]
    return [head for head in others if head not in here], [head for head in here if head not in others]


def read_answer(
    mine: list[Head], compare: list[Any], said: list[Any]
) -> tuple[list[Head], list[Head], list[tuple[int, int]]]:
    """What a Differences teaches who asked: the other's heads, mine that it lacks, ranges to ask again or finer.

    Whatever in it answers nothing that was asked is a refusal. Spec: [SYNC-13], [SYNC-14].
    """
    salt, ranges = compare[3], asked_ranges(compare)
    _, _, reached, spans, told, heads, lacks = said
    others = [Head(session=session, next_seq=seq, head_hash=head_hash) for session, seq, head_hash in heads]
    split = {(low_of(bounds[0]), high_of(bounds[-1])): (bounds, fingerprints) for bounds, fingerprints in spans}
    told_ranges = [("told", low_of(low), high_of(high)) for low, high in told]
    left: set[Any] = {*split, *told_ranges, *others, *lacks}
    theirs: list[Head] = []
    ours: list[Head] = []
    further: list[tuple[int, int]] = []
    if any(low < high_of(reached) < high for low, high, _ in ranges) or ranges[0][1] > high_of(reached):
        raise RefusedError("SYNC-14", "expected whole ranges answered, the first of them at least")
    for low, high, asked in ranges:
        here, there = within(mine, low, high), within(others, low, high)
        if high > high_of(reached):
            further.append((low, high))
        elif (low, high) in split:
            further += differing_parts(mine, salt, *split[(low, high)])
            left.remove((low, high))
        elif isinstance(asked, list):
            if any(head in here for head in there):
                raise RefusedError("SYNC-14", "expected heads that were not listed, was one that was")
            lacking = {salted(salt, element(head)): head for head in here if salted(salt, element(head)) in lacks}
            theirs, ours, left = theirs + there, ours + list(lacking.values()), left - {*there, *lacking}
        elif ("told", low, high) in left:
            theirs += [head for head in there if head not in here]
            ours += [head for head in here if head not in there]
            left -= {("told", low, high), *there}
    if left:
        raise RefusedError("SYNC-14", f"expected answers to what was asked alone, was {len(left)} more")
    return theirs, ours, further


def differing_parts(
    mine: list[Head], salt: bytes, bounds: list[bytes], fingerprints: list[bytes]
) -> list[tuple[int, int]]:
    """The parts of a range that was split whose fingerprints are not mine. Spec: [SYNC-13]."""
    if len(fingerprints) == 1:
        raise RefusedError("SYNC-14", "expected a range that differs split or told, was given back whole")
    parts = [(low_of(low), high_of(high)) for low, high in pairwise(bounds)]
    return [
        (low, high)
        for (low, high), fingerprint in zip(parts, fingerprints, strict=True)
        if salted(salt, root(within(mine, low, high))) != fingerprint
    ]
