"""`protocol/orrange.cddl` says for machines what 01-types.md says, and no more. Spec: [CBOR-1..4].

The schema is read, and CBOR is held to it, by cddl-verifier, which knows nothing of ours.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cddl_verifier import SchemaError, Validator, schema_diagnostics

from protocol.reference import wire
from protocol.reference.cbor import RefusedError, encode

PROTOCOL = Path(__file__).resolve().parents[2] / "protocol"
TEXT = (PROTOCOL / "orrange.cddl").read_text("utf-8")
SCHEMA = Validator(TEXT)
VECTORS: list[dict[str, Any]] = json.loads((PROTOCOL / "vectors/codec/messages.json").read_text("utf-8"))["cases"]


def read_batch_and_entries(encoded: bytes) -> None:
    """A batch with everything in it."""
    kind, parts = wire.read_batch(encoded)
    for part in parts:
        {1: wire.read_entry, 2: wire.read_presence, 3: wire.read_evidence}[kind](part)


def read_sync_frame_and_entries(encoded: bytes) -> None:
    """A sync frame with every entry and body in it, if it is a Run."""
    fields = wire.read_sync_frame(encoded)
    for entry in fields[3] if fields[0] == 4 else ():
        wire.read_entry(entry)
    for body in fields[4] if fields[0] == 4 else ():
        wire.read_item(body)


READERS: dict[str, Callable[[bytes], object]] = {
    "entry": wire.read_entry,
    "item": wire.read_item,
    "batch": read_batch_and_entries,
    "presence": wire.read_presence,
    "evidence": wire.read_evidence,
    "ticket-frame": wire.read_ticket_frame,
    "sync-frame": read_sync_frame_and_entries,
    "direct-frame": wire.read_direct_frame,
}
DIGEST, ADDRESS, SIGNATURE = bytes(32), bytes(20), bytes(65)
ORDER: list[Any] = [DIGEST, ADDRESS, ADDRESS, 0, 1, 0, 5, 6, 1, 0, False, 0, [3, 1], [ADDRESS], 0]
BODY: list[Any] = [DIGEST, DIGEST, 5, 0, 1, 0, 1, 9, 10, 0, 0, 0, ADDRESS, 0, DIGEST]
ITEMS: list[list[Any]] = [
    [1, ADDRESS, ADDRESS, bytes(38), DIGEST, SIGNATURE, bytes(64)],
    [2, ORDER, SIGNATURE],
    [3, DIGEST],
    [4, BODY, SIGNATURE, 9, SIGNATURE],
    [5, BODY, SIGNATURE, SIGNATURE],
    [6, DIGEST, DIGEST, 9, 6],
    [7, 8, DIGEST, [DIGEST], [], [], [DIGEST]],
]
ENTRY: list[Any] = [ADDRESS, ADDRESS, DIGEST, 0, DIGEST, 7, DIGEST, SIGNATURE, [encode(item) for item in ITEMS]]
PRESENCE: list[Any] = [ADDRESS, 9, [[DIGEST, 3, DIGEST]], [b"\x04"], SIGNATURE]
SIGNED: list[Any] = [BODY, SIGNATURE, ORDER, ORDER]
EVIDENCE: list[list[Any]] = [[1, ENTRY[:8], ENTRY[:8]], [2, ADDRESS, SIGNED, SIGNED], [3, ADDRESS, DIGEST, 8, DIGEST]]
MESSAGES: list[tuple[str, list[Any]]] = [
    *(("item", item) for item in ITEMS),
    ("entry", ENTRY),
    ("presence", PRESENCE),
    *(("evidence", piece) for piece in EVIDENCE),
    ("batch", [1, [encode(ENTRY), encode(ENTRY)]]),
    ("batch", [2, [encode(PRESENCE)]]),
    ("batch", [3, [encode(piece) for piece in EVIDENCE]]),
    ("ticket-frame", [1, 4, BODY, DIGEST, [ADDRESS], True, [[DIGEST, 8]], [ADDRESS]]),
    ("ticket-frame", [2, 4, DIGEST, [[DIGEST, 8]], []]),
    ("ticket-frame", [3, 4, DIGEST, 8, SIGNATURE]),
    ("ticket-frame", [4, 4, encode(ITEMS[3])]),
    ("ticket-frame", [5, 4, encode(ITEMS[4])]),
    ("ticket-frame", [6, 4, 5]),
    ("sync-frame", [1, 31337, ADDRESS, [DIGEST]]),
    ("sync-frame", [3, 4, DIGEST, ADDRESS, 0, 9]),
    ("sync-frame", [4, 4, False, [encode(ENTRY)], [encode(ITEMS[3])]]),
    ("sync-frame", [5, 4, DIGEST, bytes(16), [[[b"", b"\x80"], [bytes(8)]]], [[b"\x80", b"", [bytes(8)]]]]),
    (
        "sync-frame",
        [6, 4, b"", [[[b"", b"\x40", b"\x80"], [bytes(8)] * 2]], [[b"\xa0", b""]], [[ADDRESS, 3, DIGEST]], [bytes(8)]],
    ),
    ("sync-frame", [7, 4, DIGEST, ADDRESS]),
    ("sync-frame", [8, 4, [b"proof"]]),
    ("direct-frame", [1, DIGEST, 9, bytes(90)]),
    ("direct-frame", [2, DIGEST, 9]),
]
NAMES = [f"{rule} {message[0] if type(message[0]) is int else ''}" for rule, message in MESSAGES]


def matches(rule: str, encoded: bytes) -> bool:
    """Whether the schema takes bytes for that message."""
    return bool(SCHEMA.validate(encoded, root_type=rule).valid)


def refusal(rule: str, encoded: bytes) -> RefusedError | None:
    """Why the reference does not read bytes as that message; None if it does."""
    try:
        READERS[rule](encoded)
    except RefusedError as refused:
        return refused
    return None


def variants(message: list[Any]) -> list[list[Any]]:
    """A message with each field, at any depth, in turn of another type, one too long, one too far, or gone."""
    found = [message[:-1], [*message, 0], [*message, b""]]
    for at, field in enumerate(message):
        spoilt: list[Any] = [True, b"", [], 2**64 - 1]
        if type(field) is bytes:
            spoilt = [field + b"\x00", field[:-1], 0, False]
        elif type(field) is int:
            spoilt = [field + 1, 2**64 - 1, 256, b"", 0, []]
        elif type(field) is list:
            spoilt = [*variants(field), field * 40, field * 100]
        found += [[*message[:at], other, *message[at + 1 :]] for other in spoilt]
    return found


def is_beyond_cddl(refused: RefusedError | None) -> bool:
    """Order, repetition and sizes in bytes are not for CDDL to say."""
    return refused is not None and (refused.rule in ("CBOR-5", "SYNC-11") or "at most" in str(refused))


@pytest.mark.parametrize(("rule", "message"), MESSAGES, ids=NAMES)
def test_schema_and_reference_read_the_same_messages(rule: str, message: list[Any]) -> None:
    """Spoilt in any field, both refuse it."""
    assert refusal(rule, encode(message)) is None
    assert matches(rule, encode(message))
    for variant in variants(message):
        encoded = encode(variant)
        refused = refusal(rule, encoded)
        if not is_beyond_cddl(refused):
            assert matches(rule, encoded) == (refused is None), variant


@pytest.mark.parametrize("case", VECTORS, ids=[case["name"] for case in VECTORS])
def test_schema_takes_every_vector_that_is_read_and_refuses_what_it_can(case: dict[str, Any]) -> None:
    rule, encoded = case["message"].replace("_", "-"), bytes.fromhex(case["encoded"][2:])
    refused = refusal(rule, encoded)
    assert (refused is None) == (case["refused"] is None)
    if not is_beyond_cddl(refused):
        assert matches(rule, encoded) == (refused is None)


def test_schema_is_sound_and_every_message_is_in_it() -> None:
    assert schema_diagnostics(TEXT) == ()
    for rule in (*READERS, "message"):
        assert f"\n{rule} = " in TEXT


@pytest.mark.parametrize("text", ["a = [", "a = b", "a = uint .odd 5", "a = [uint", "= uint"])
def test_library_refuses_a_schema_that_is_none(text: str) -> None:
    with pytest.raises(SchemaError):
        Validator(text)
