"""What crosses the wire: shapes of messages, and the strict reading and writing of entries and items.

A shape looks at a decoded value and refuses what is not of its type, range and number.
Spec: protocol/spec/01-types.md [CBOR-4], [CBOR-5], [TYPE-4..6], "Wire forms", "Frames and topics", "Limits".
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from protocol.reference.cbor import RefusedError, decode

Shape = Callable[[Any], None]

ENTRY_BYTES_MAX = 16 * 1024
ORDER_ITEM_BYTES_MAX = 1024
PRESENCE_BYTES_MAX = 2 * 1024
EVIDENCE_BYTES_MAX = 8 * 1024
GOSSIP_BYTES_MAX = 64 * 1024
TICKET_FRAME_BYTES_MAX = 16 * 1024
SYNC_FRAME_BYTES_MAX = 256 * 1024
DIRECT_FRAME_BYTES_MAX = 2 * 1024
BOX_BYTES_MIN, BOX_BYTES_MAX = 78, 1103
VERSION_MAX = 16
RANGES_MAX = 1024
IDS_MAX = 4096
TOLD_HEADS_MAX = 2048
RUN_ENTRIES_MAX = 4096
PROOFS_MAX = 16
PROOF_BYTES_MAX = 8 * 1024


def unsigned(bits: int, *, at_least: int = 0) -> Shape:
    """An unsigned integer of so many bits."""

    def check(value: Any) -> None:
        if type(value) is not int or not at_least <= value < 2**bits:
            raise RefusedError("CBOR-4", f"expected a u{bits} of at least {at_least}, was {value!r}")

    return check


def one_of(*allowed: int) -> Shape:
    """A member of an enumeration, as its integer."""

    def check(value: Any) -> None:
        if type(value) is not int or value not in allowed:
            raise RefusedError("CBOR-4", f"expected one of {allowed}, was {value!r}")

    return check


def octets(length: int) -> Shape:
    """A byte string of exactly this length."""

    def check(value: Any) -> None:
        if type(value) is not bytes or len(value) != length:
            raise RefusedError("CBOR-4", f"expected {length} bytes, was {value!r}")

    return check


def octets_between(least: int, most: int) -> Shape:
    """A byte string of a length within bounds."""

    def check(value: Any) -> None:
        if type(value) is not bytes or not least <= len(value) <= most:
            raise RefusedError("CBOR-4", f"expected {least} to {most} bytes, was {value!r}")

    return check


def boolean(value: Any) -> None:
    """`true` or `false`."""
    if type(value) is not bool:
        raise RefusedError("CBOR-4", f"expected a boolean, was {value!r}")


def record(*fields: Shape) -> Shape:
    """An array with one value a field: first each value's type and range, then their number. Spec: [CBOR-4]."""

    def check(value: Any) -> None:
        if type(value) is not list:
            raise RefusedError("CBOR-4", f"expected an array, was {value!r}")
        for field, element in zip(fields, value, strict=False):
            field(element)
        if len(value) != len(fields):
            raise RefusedError("CBOR-4", f"expected {len(fields)} fields, was {len(value)}")

    return check


def preferences(element: Shape) -> Shape:
    """A list by preference: at most 8, none twice. Spec: [CBOR-5], "Wire forms"."""

    def check(value: Any) -> None:
        sequence(element, at_least=0, at_most=8)(value)
        if len(set(value)) != len(value):
            raise RefusedError("CBOR-5", "expected no duplicates in a list by preference")

    return check


def sequence(element: Shape, *, at_least: int = 0, at_most: int | None = None) -> Shape:
    """A list whose order means something."""

    def check(value: Any) -> None:
        if type(value) is not list:
            raise RefusedError("CBOR-4", f"expected an array, was {value!r}")
        for each in value:
            element(each)
        if len(value) < at_least or (at_most is not None and len(value) > at_most):
            raise RefusedError("CBOR-4", f"expected {at_least} to {at_most} elements, was {len(value)}")

    return check


def ascending(element: Shape, *, at_most: int | None = None) -> Shape:
    """A list sorted by its elements, or by the first field of its rows, without duplicates. Spec: [CBOR-5]."""

    def check(value: Any) -> None:
        sequence(element, at_most=at_most)(value)
        keys = [each[0] if type(each) is list else each for each in value]
        if any(left >= right for left, right in pairwise(keys)):
            raise RefusedError("CBOR-5", "expected a list sorted ascending without duplicates")

    return check


def nested(read: Callable[[bytes], object]) -> Shape:
    """A byte string that holds an encoded message. Spec: [CBOR-3]."""

    def check(value: Any) -> None:
        if type(value) is not bytes:
            raise RefusedError("CBOR-4", f"expected a nested message as bytes, was {value!r}")
        read(value)

    return check


def read_as(shape: Shape, encoded: bytes, *, bytes_max: int) -> list[Any]:
    """Decode bytes strictly and hold them to a shape and a size; the shape is that of an array."""
    if len(encoded) > bytes_max:
        raise RefusedError("CBOR-4", f"expected at most {bytes_max} bytes, was {len(encoded)}")
    value: Any = decode(encoded)
    shape(value)
    return value  # type: ignore[no-any-return]


U8, U32, U64, POSITIVE = unsigned(8), unsigned(32), unsigned(64), unsigned(64, at_least=1)
ADDRESS, DIGEST, SIGNATURE, PEER_ID = octets(20), octets(32), octets(65), octets(38)

ORDER = record(
    DIGEST, ADDRESS, ADDRESS, U64, one_of(0, 1), one_of(0, 1), POSITIVE, POSITIVE, one_of(0, 1, 2, 3, 4), U64,
    boolean, U8, preferences(U32), preferences(ADDRESS), U8,
)  # fmt: skip
TICKET_BODY = record(
    DIGEST, DIGEST, U64, U64, U64, U64, U64, U64, U64, U64, one_of(0, 1), U32, ADDRESS, U8, DIGEST
)  # fmt: skip
DECLINE_REASON = one_of(1, 2, 3, 4, 5, 6)
HASHES_MAX = 256
LISTED = ascending(DIGEST, at_most=HASHES_MAX)

ITEMS: dict[int, Shape] = {
    1: record(one_of(1), ADDRESS, ADDRESS, PEER_ID, octets(32), SIGNATURE, octets(64)),
    2: record(one_of(2), ORDER, SIGNATURE),
    3: record(one_of(3), DIGEST),
    4: record(one_of(4), TICKET_BODY, SIGNATURE, U64, SIGNATURE),
    5: record(one_of(5), TICKET_BODY, SIGNATURE, SIGNATURE),
    6: record(one_of(6), DIGEST, DIGEST, U64, DECLINE_REASON),
    7: record(one_of(7), U64, DIGEST, LISTED, LISTED, LISTED, LISTED),
}


def tagged(shapes: dict[int, Shape]) -> Shape:
    """An array whose first field says which of the shapes it has."""

    def check(value: Any) -> None:
        if type(value) is not list or not value or type(value[0]) is not int or value[0] not in shapes:
            raise RefusedError("CBOR-4", f"expected an array that starts with one of the tags {sorted(shapes)}")
        shapes[value[0]](value)

    return check


def read_item(encoded: bytes) -> list[Any]:
    """Decode one item of an entry into its fields, the tag first."""
    fields = read_as(tagged(ITEMS), encoded, bytes_max=ENTRY_BYTES_MAX)
    if fields[0] == 2 and len(encoded) > ORDER_ITEM_BYTES_MAX:
        raise RefusedError(
            "CBOR-4", f"expected an order item of at most {ORDER_ITEM_BYTES_MAX} bytes, was {len(encoded)}"
        )
    return fields


ENTRY = record(
    ADDRESS, ADDRESS, DIGEST, U64, DIGEST, U64, DIGEST, SIGNATURE, sequence(nested(read_item), at_least=1, at_most=64)
)  # fmt: skip


def read_entry(encoded: bytes) -> list[Any]:
    """Decode one entry with all its items into its fields; the items stay encoded."""
    return read_as(ENTRY, encoded, bytes_max=ENTRY_BYTES_MAX)


def encoded_within(bytes_max: int) -> Shape:
    """A message inside a batch or a run, still encoded: a byte string of at most so many bytes."""

    def check(value: Any) -> None:
        if type(value) is not bytes or len(value) > bytes_max:
            raise RefusedError("CBOR-4", f"expected an encoded message of at most {bytes_max} bytes, was another value")

    return check


encoded_entry = encoded_within(ENTRY_BYTES_MAX)


PRESENCE = record(
    ADDRESS,
    U64,
    ascending(record(DIGEST, U64, DIGEST), at_most=16),
    sequence(octets_between(1, 128), at_most=4),
    SIGNATURE,
)


def read_presence(encoded: bytes) -> list[Any]:
    """Decode one Presence. Spec: [TYPE-7], [PEER-1]."""
    return read_as(PRESENCE, encoded, bytes_max=PRESENCE_BYTES_MAX)


HEADER = record(ADDRESS, ADDRESS, DIGEST, U64, DIGEST, U64, DIGEST, SIGNATURE)
SIGNED = record(TICKET_BODY, SIGNATURE, ORDER, ORDER)
EVIDENCE = tagged(
    {
        1: record(one_of(1), HEADER, HEADER),
        2: record(one_of(2), ADDRESS, SIGNED, SIGNED),
        3: record(one_of(3), ADDRESS, DIGEST, U64, DIGEST),
    }
)


def read_evidence(encoded: bytes) -> list[Any]:
    """Decode one piece of evidence; whether it proves anything is another matter. Spec: [EVID-1..3]."""
    return read_as(EVIDENCE, encoded, bytes_max=EVIDENCE_BYTES_MAX)


BATCH = tagged(
    {
        1: record(one_of(1), sequence(encoded_entry, at_least=1, at_most=64)),
        2: record(one_of(2), sequence(encoded_within(PRESENCE_BYTES_MAX), at_least=1, at_most=64)),
        3: record(one_of(3), sequence(encoded_within(EVIDENCE_BYTES_MAX), at_least=1, at_most=7)),
    }
)


def read_batch(encoded: bytes) -> list[Any]:
    """Decode one gossip message; what it carries is read piece by piece, so that a bad one spoils no other."""
    return read_as(BATCH, encoded, bytes_max=GOSSIP_BYTES_MAX)


def item_of(tag: int) -> Callable[[bytes], object]:
    """A reader for items of one kind only."""

    def read(encoded: bytes) -> object:
        fields = read_item(encoded)
        if fields[0] != tag:
            raise RefusedError("CBOR-4", f"expected an item with tag {tag}, was {fields[0]}")
        return fields

    return read


LATE_ORDERS = ascending(record(DIGEST, U64), at_most=256)
ABSENT = ascending(ADDRESS, at_most=128)
SKIPS = ascending(ADDRESS, at_most=64)
TICKET_FRAMES = tagged(
    {
        1: record(one_of(1), U64, TICKET_BODY, DIGEST, SKIPS, boolean, LATE_ORDERS, ABSENT),
        2: record(one_of(2), U64, DIGEST, LATE_ORDERS, ABSENT),
        3: record(one_of(3), U64, DIGEST, U64, SIGNATURE),
        4: record(one_of(4), U64, nested(item_of(4))),
        5: record(one_of(5), U64, nested(item_of(5))),
        6: record(one_of(6), U64, DECLINE_REASON),
    }
)


def place(value: Any) -> None:
    """Where among the sessions: at most 20 bytes, filled up with zeros behind, and so without any at its end."""
    if type(value) is not bytes or len(value) > 20:
        raise RefusedError("CBOR-4", f"expected a place of at most 20 bytes, was {value!r}")
    if value.endswith(b"\x00"):
        raise RefusedError("SYNC-11", "expected the shortest form of a place, was zeros at its end")


def low_of(encoded: bytes) -> int:
    """The number of a place where something begins. Spec: [SYNC-11]."""
    return int.from_bytes(encoded.ljust(20, b"\x00"), "big")


def high_of(encoded: bytes) -> int:
    """The number of a place where something ends: the empty one is behind every session. Spec: [SYNC-11]."""
    return low_of(encoded) or 2**160


def check_apart(ranges: list[tuple[bytes, bytes]]) -> None:
    """Ranges ascend, none is empty and none overlaps another. Spec: [SYNC-11]."""
    reached = 0
    for low, high in ranges:
        if not reached <= low_of(low) < high_of(high):
            raise RefusedError("SYNC-11", "expected ranges that ascend, none empty and none over another")
        reached = high_of(high)


def span(value: Any) -> None:
    """Ranges side by side: their places, and between each two the fingerprint. Spec: [SYNC-11]."""
    record(sequence(place, at_least=2), sequence(octets(8), at_least=1))(value)
    bounds, fingerprints = value
    if len(bounds) != len(fingerprints) + 1:
        raise RefusedError("SYNC-11", "expected one place more than fingerprints")
    check_apart(list(pairwise(bounds)))


def check_most(count: int, at_most: int) -> None:
    """Spec: [SYNC-15]."""
    if count > at_most:
        raise RefusedError("SYNC-15", f"expected at most {at_most} in a frame, was {count}")


def compare(value: Any) -> None:
    """Spec: [SYNC-12], [SYNC-15]."""
    listing = record(place, place, sequence(octets(8)))
    record(one_of(5), U64, DIGEST, octets(16), sequence(span), sequence(listing))(value)
    spans, listings = value[4:]
    check_apart([(bounds[0], bounds[-1]) for bounds, _ in spans])
    check_apart([(low, high) for low, high, _ in listings])
    check_most(sum(len(fingerprints) for _, fingerprints in spans) + len(listings), RANGES_MAX)
    check_most(sum(len(ids) for _, _, ids in listings), IDS_MAX)


def differences(value: Any) -> None:
    """Spec: [SYNC-13], [SYNC-15]."""
    head = record(ADDRESS, unsigned(64, at_least=1), DIGEST)
    told_range = record(place, place)
    record(
        one_of(6), U64, place, sequence(span), sequence(told_range), ascending(head), sequence(octets(8))
    )(value)  # fmt: skip
    _, _, _, spans, told, heads, lacks = value
    check_apart([(bounds[0], bounds[-1]) for bounds, _ in spans])
    check_apart([(low, high) for low, high in told])
    check_most(sum(len(fingerprints) for _, fingerprints in spans) + len(told), RANGES_MAX)
    check_most(len(heads), TOLD_HEADS_MAX)
    check_most(len(lacks), IDS_MAX)


def evidence(value: Any) -> None:
    """One piece of evidence, which is read by itself. Spec: [SYNC-18]."""
    if type(value) is not bytes or len(value) > PROOF_BYTES_MAX:
        raise RefusedError("CBOR-4", f"expected evidence of at most {PROOF_BYTES_MAX} bytes, was another value")


SYNC_FRAMES = tagged(
    {
        1: record(one_of(1), U64, ADDRESS, ascending(DIGEST, at_most=256)),
        3: record(one_of(3), U64, DIGEST, ADDRESS, U64, U64),
        4: record(
            one_of(4),
            U64,
            boolean,
            sequence(encoded_entry, at_most=RUN_ENTRIES_MAX),
            sequence(encoded_entry, at_most=1 + HASHES_MAX),
        ),
        5: compare,
        6: differences,
        7: record(one_of(7), U64, DIGEST, ADDRESS),
        8: record(one_of(8), U64, sequence(evidence, at_most=PROOFS_MAX)),
    }
)


def box(value: Any) -> None:
    """Sealed bytes. Spec: [DM-1]."""
    if type(value) is not bytes or not BOX_BYTES_MIN <= len(value) <= BOX_BYTES_MAX:
        raise RefusedError("CBOR-4", f"expected a box of {BOX_BYTES_MIN} to {BOX_BYTES_MAX} bytes, was another value")


def version(value: Any) -> None:
    """Spec: [DM-3]."""
    if type(value) is not int or not 1 <= value <= VERSION_MAX:
        raise RefusedError("CBOR-4", f"expected a version of 1 to {VERSION_MAX}, was {value!r}")


DIRECT_FRAMES = tagged({1: record(one_of(1), DIGEST, version, box), 2: record(one_of(2), DIGEST, version)})


def read_ticket_frame(encoded: bytes) -> list[Any]:
    """Decode one frame of the ticket stream. Spec: [NET-2]."""
    return read_as(TICKET_FRAMES, encoded, bytes_max=TICKET_FRAME_BYTES_MAX)


def read_sync_frame(encoded: bytes) -> list[Any]:
    """Decode one frame of the sync stream. Spec: [NET-2]."""
    return read_as(SYNC_FRAMES, encoded, bytes_max=SYNC_FRAME_BYTES_MAX)


def read_direct_frame(encoded: bytes) -> list[Any]:
    """Decode one frame of the direct stream. Spec: [NET-2]."""
    return read_as(DIRECT_FRAMES, encoded, bytes_max=DIRECT_FRAME_BYTES_MAX)


FRAME_BYTES_MAX = {
    "/orrange/ticket/1": TICKET_FRAME_BYTES_MAX,
    "/orrange/sync/1": SYNC_FRAME_BYTES_MAX,
    "/orrange/dm/1": DIRECT_FRAME_BYTES_MAX,
}


def topic_of(market: bytes) -> str:
    """The gossip topic of a market. Spec: [NET-1]."""
    return f"/orrange/1/{market.hex()}"


def frame_of(protocol: str, message: bytes) -> bytes | None:
    """A message as it goes over a stream, its length first; None if it is too long to be sent. Spec: [NET-2]."""
    if len(message) > FRAME_BYTES_MAX[protocol]:
        return None
    return len(message).to_bytes(4, "big") + message
