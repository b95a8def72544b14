"""The committed vectors of set reconciliation, and what the program makes of them. Spec: [SYNC-8..15]."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from orrange_p2p.core.frames import decode_sync_message
from orrange_p2p.core.head_tree import HeadTree, compute_element, place_of, tree_of
from orrange_p2p.core.messages import LAST_PLACE, Compare, Differences, Head
from orrange_p2p.core.reconcile import Asker, Limits, answer_compare, compute_fingerprint
from orrange_p2p.core.types import Address, Digest
from orrange_p2p.errors import RemoteProtocolError

VECTORS = Path(__file__).resolve().parents[2] / "protocol" / "vectors" / "sync"
Case = dict[str, Any]


def cases(name: str) -> list[Any]:
    """The cases of a file as parameters."""
    return [pytest.param(case, id=case["name"]) for case in json.loads((VECTORS / name).read_text("utf-8"))["cases"]]


def octets(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def head_of(said: Case) -> Head:
    return Head(
        session=Address(octets(said["session"])),
        next_seq=int(said["next_seq"]),
        head_hash=Digest(octets(said["head_hash"])),
    )


def range_of(low: str, high: str) -> tuple[int, int]:
    ends = [place_of(Address(octets(one).ljust(20, b"\x00"))) for one in (low, high)]
    return ends[0], ends[1] or LAST_PLACE


@pytest.mark.parametrize("case", cases("roots.json"))
def test_heads_and_ranges_have_their_elements_roots_and_fingerprints(case: Case) -> None:
    heads, salt = [head_of(one) for one in case["heads"]], octets(case["salt"])
    assert [compute_element(head) for head in heads] == [octets(one) for one in case["elements"]]
    assert [compute_fingerprint(salt, compute_element(head)) for head in heads] == [octets(one) for one in case["ids"]]
    for tree in (tree_of(heads), tree_of(reversed(heads))):
        for said in case["ranges"]:
            root = tree.root(*range_of(said["from"], said["to"]))
            assert root == octets(said["root"])
            assert compute_fingerprint(salt, root) == octets(said["fingerprint"])


def asker_of(tree: HeadTree, asked: Compare) -> Asker:
    """An asker that has just asked this; it cuts no range further of its own accord."""
    asker = Asker(tree, asked.market, asked.salt, Limits(few_ids=10_000))
    assert asker.next_compare(asked.request) is not None
    ranges = [(low, high, False) for span in asked.spans for low, high in pairwise(span.bounds)]
    ranges += [(one.low, one.high, True) for one in asked.listings]
    kind = type(asker._asked[0])
    asker._asked = [kind(*one) for one in sorted(ranges)]
    return asker


@pytest.mark.parametrize("case", cases("answers.json"))
def test_an_answer_is_refused_or_teaches_what_it_should(case: Case) -> None:
    asked, answer = decode_sync_message(octets(case["asked"])), decode_sync_message(octets(case["answer"]))
    assert isinstance(asked, Compare)
    assert isinstance(answer, Differences)
    asker = asker_of(tree_of(map(head_of, case["mine"])), asked)
    if case["refused"] is not None:
        with pytest.raises(RemoteProtocolError) as caught:
            asker.take(answer)
        assert caught.value.rule == case["refused"]
        return
    asker.take(answer)
    found = asker.comparison()
    assert list(found.theirs) == [head_of(one) for one in case["theirs"]]
    assert list(found.ours) == [head_of(one) for one in case["ours"]]
    assert [(one.low, one.high) for one in asker._waiting] == [range_of(*one) for one in case["further"]]


@pytest.mark.parametrize("case", [one for one in cases("answers.json") if one.values[0]["held"] is not None])
def test_the_program_answers_as_the_reference_does_unless_it_cuts_otherwise(case: Case) -> None:
    asked, answer = decode_sync_message(octets(case["asked"])), decode_sync_message(octets(case["answer"]))
    assert isinstance(asked, Compare)
    assert isinstance(answer, Differences)
    ours = answer_compare(tree_of(map(head_of, case["held"])), asked)
    if not answer.spans:
        assert ours == answer
    assert [(span.bounds[0], span.bounds[-1]) for span in ours.spans] == [
        (span.bounds[0], span.bounds[-1]) for span in answer.spans
    ]
    assert (ours.told, ours.heads, {*ours.lacks}) == (answer.told, answer.heads, {*answer.lacks})
