"""Cases for `protocol/vectors/codec/limits.json`: the longest lists and the largest messages, and one more than that.

What comes over and over again is written once, with how many times it comes.
"""

from collections.abc import Sequence
from typing import Any

from protocol.reference import wire
from protocol.reference.cbor import encode
from tests.vectors.codec_cases import (
    BODY,
    COMPARE,
    DIFFERENCES,
    DIGEST,
    ENTRY,
    EVIDENCE,
    ID,
    ITEMS,
    LOW,
    ORDER,
    PRESENCE,
    READERS,
    Case,
    entry_with,
    refusal_of,
    replaced,
)

Message = tuple[str, list[Any]]  # its kind, and its fields
FIRST_NUMBER, LAST_NUMBER = 3, 9  # the fields of a ticket that may be any u64
WIDTHS = {1: 24, 2: 256, 4: 2**16, 8: 2**32}  # a number that takes so many bytes beyond its head
CANCEL = encode(ITEMS["cancel"])
REPEATED = tuple(encode(one) for one in (encode(PRESENCE), encode(EVIDENCE["default"]), encode(ENTRY), CANCEL, ID))
ENTRY_BYTES, BATCH_BYTES, FRAME_BYTES = wire.ENTRY_BYTES_MAX, wire.GOSSIP_BYTES_MAX, wire.SYNC_FRAME_BYTES_MAX


def addresses(count: int) -> list[bytes]:
    """So many, ascending."""
    return [number.to_bytes(20, "big") for number in range(count)]


def digests(count: int) -> list[bytes]:
    """So many, ascending."""
    return [number.to_bytes(32, "big") for number in range(count)]


def order_with(at: int, value: object) -> Message:
    """An Order item with one field of the order replaced."""
    return "item", replaced(ITEMS["order"], 1, replaced(ORDER, at, value))


def ranges(count: int) -> Message:
    """A Compare of so many ranges, one of them listed."""
    places = [place.to_bytes(3, "big") for place in range(1, 2000) if place % 256][:count]
    return "sync_frame", [*COMPARE[:4], [[places, [ID] * (count - 1)]], [[b"\xff", b"", []]]]


def late(count: int) -> list[Any]:
    """Late orders."""
    return [[one, 2**64 - 1] for one in digests(count)]


# How many elements each list may have, and a message with that many.
LISTS: dict[str, tuple[int, Any]] = {
    "payment_methods": (8, lambda count: order_with(12, list(range(count)))),
    "arbitrators": (8, lambda count: order_with(13, addresses(count))),
    "hashes": (256, lambda count: ("item", [7, 8, DIGEST, digests(count), [], [], []])),
    "items": (64, lambda count: ("entry", entry_with([CANCEL] * count))),
    "markets_of_a_presence": (
        16,
        lambda count: ("presence", replaced(PRESENCE, 2, [[market, 0, DIGEST] for market in digests(count)])),
    ),
    "addresses": (4, lambda count: ("presence", replaced(PRESENCE, 3, [b"\x04"] * count))),
    "bytes_of_an_address": (128, lambda count: ("presence", replaced(PRESENCE, 3, [bytes(count)]))),
    "entries": (64, lambda count: ("batch", [1, [encode(ENTRY)] * count])),
    "presences": (64, lambda count: ("batch", [2, [encode(PRESENCE)] * count])),
    "pieces_of_evidence": (7, lambda count: ("batch", [3, [encode(EVIDENCE["default"])] * count])),
    "skips": (64, lambda count: ("ticket_frame", [1, 1, BODY, DIGEST, addresses(count), True, [], []])),
    "late_orders": (256, lambda count: ("ticket_frame", [2, 1, DIGEST, late(count), []])),
    "absent_sessions": (128, lambda count: ("ticket_frame", [2, 1, DIGEST, [], addresses(count)])),
    "markets_of_a_hello": (256, lambda count: ("sync_frame", [1, 1, LOW, digests(count)])),
    "bodies": (257, lambda count: ("sync_frame", [4, 1, True, [encode(ENTRY)], [CANCEL] * count])),
    "ranges": (1024, ranges),
    "ids": (4096, lambda count: ("sync_frame", replaced(COMPARE, 5, [[b"", b"", [ID] * count]]))),
    "lacking_ids": (4096, lambda count: ("sync_frame", replaced(DIFFERENCES, 6, [ID] * count))),
    "pieces_of_proofs": (16, lambda count: ("sync_frame", [8, 1, [b""] * count])),
}


def limit_messages() -> list[tuple[str, str, list[Any]]]:
    """Messages at the limits and beyond, each a name, a kind and its fields."""
    found = []
    for name, (most, make) in LISTS.items():
        found += [(f"{count}_{name}", *make(count)) for count in (most, most + 1)]
    for name, kind in {"entries": 1, "presences": 2, "pieces_of_evidence": 3}.items():
        found.append((f"0_{name}", "batch", [kind, []]))
    found.append(("1_presences", "batch", [2, [encode(PRESENCE)]]))
    found.append(("1_pieces_of_evidence", "batch", [3, [encode(EVIDENCE["default"])]]))
    found.append(
        ("an_order_of_one_lot_at_one_tick", "item", replaced(ITEMS["order"], 1, [*ORDER[:6], 1, 1, *ORDER[8:]]))
    )
    found.append(("an_address_of_one_byte", "presence", replaced(PRESENCE, 3, [b"\x04"])))
    found.append(("a_run_of_4097_entries", "sync_frame", [4, 1, True, [b""] * 4097, []]))
    for name, more in {"as_large_as_may_be": 0, "a_byte_larger": 1}.items():
        found.append((f"an_entry_{name}", "entry", entry_of(ENTRY_BYTES + more)))
        large = encode(entry_of(ENTRY_BYTES + more))
        found.append((f"a_batch_of_an_entry_{name}", "batch", [1, [large]]))
        found.append((f"a_run_of_an_entry_{name}", "sync_frame", [4, 1, True, [large], []]))
        found.append((f"a_batch_{name}", "batch", filled([1], BATCH_BYTES + more)))
        found.append((f"a_sync_frame_{name}", "sync_frame", [*filled([4, 1, True], FRAME_BYTES + more - 1), []]))
    return found


def filled(fields: list[Any], size_bytes: int) -> list[Any]:
    """A message of exactly that size whose last field are entries, all but the last as large as may be."""
    full = encode(entry_of(ENTRY_BYTES))
    entries = [full] * ((size_bytes - 64) // len(encode(full)))
    rest = size_bytes - len(encode([*fields, [*entries, full]])) + ENTRY_BYTES
    return [*fields, [*entries, encode(entry_of(rest))]]


def entry_of(size_bytes: int) -> list[Any]:
    """An entry of exactly that size, of TicketItems; the first ones have wider numbers than the others."""
    narrow = ticket_item(0)
    count = next(count for count in range(64, 0, -1) if len(encode(entry_with([narrow] * count))) <= size_bytes)
    wide, rest = divmod(size_bytes - len(encode(entry_with([narrow] * count))), 32)
    return entry_with([ticket_item(32)] * wide + [ticket_item(rest)] + [narrow] * (count - wide - 1))


def ticket_item(wider_by: int) -> bytes:
    """A TicketItem that is so many bytes longer than the shortest, at most 39."""
    eights, rest = divmod(wider_by, 8)
    widths = [8] * eights + [width for width in (4, 2, 1) if rest & width]
    numbers = [WIDTHS[width] for width in widths]
    numbers += [0] * (LAST_NUMBER + 1 - FIRST_NUMBER - len(numbers))
    return encode(replaced(ITEMS["ticket"], 1, [*BODY[:FIRST_NUMBER], *numbers, *BODY[LAST_NUMBER + 1 :]]))


def limit_cases() -> list[Case]:
    """All of them. Spec: [CBOR-4], "Limits"."""
    full = encode(encode(entry_of(ENTRY_BYTES)))
    blocks = (full, *REPEATED, *(encode(ticket_item(width)) for width in (0, 32)))
    return [
        {
            "name": name,
            "rules": ["CBOR-4"],
            "message": kind,
            "pieces": packed(encode(message), blocks),
            "refused": refusal_of(READERS[kind], encode(message)),
        }
        for name, kind, message in limit_messages()
    ]


def packed(encoded: bytes, blocks: Sequence[bytes]) -> list[Any]:
    """Bytes as pieces, each with how many times it comes; what is a block and comes again is in pieces itself."""
    for number, block in enumerate(blocks):
        at = encoded.find(block * 2)
        if at >= 0:
            times = 2
            while encoded.startswith(block, at + times * len(block)):
                times += 1
            before, after = encoded[:at], encoded[at + times * len(block) :]
            piece = [packed(block, blocks[number + 1 :]), str(times)]
            return [*packed(before, blocks), piece, *packed(after, blocks)]
    return [["0x" + encoded.hex(), "1"]] if encoded else []
