"""Cases for `protocol/vectors/codec`: CBOR, messages and signatures, each rule broken once."""

from typing import Any

from protocol.reference import wire
from protocol.reference.cbor import RefusedError, decode, encode
from protocol.reference.feeds import items_root
from protocol.reference.signing import CURVE_ORDER, digest, keccak, recover
from protocol.reference.types import Ready
from tests.core.pens import DOMAIN, with_high_s
from tests.core.signers import Signer

Case = dict[str, Any]

READERS = {
    "entry": wire.read_entry,
    "item": wire.read_item,
    "batch": wire.read_batch,
    "presence": wire.read_presence,
    "evidence": wire.read_evidence,
    "ticket_frame": wire.read_ticket_frame,
    "sync_frame": wire.read_sync_frame,
    "direct_frame": wire.read_direct_frame,
}
DIGEST, LOW, HIGH = bytes(range(32)), bytes(20), b"\xff" * 20
SIGNATURE = b"\x01" * 64 + b"\x1b"
ORDER: list[Any] = [DIGEST, LOW, HIGH, 7, 1, 0, 2500, 40, 0, 1893456000, False, 0, [], [], 0]
BODY: list[Any] = [DIGEST, bytes(32), 2500, 3, 13, 0, 10, 23, 24, 255, 0, 256, LOW, 0, bytes(32)]
ID = bytes(range(8))
COMPARE: list[Any] = [
    5, 1, DIGEST, bytes(range(16)), [[[b"", b"\x20", b"\x7f\xff"], [ID, ID]]],
    [[b"\x7f\xff", b"\x80", []], [b"\xff", b"", [ID, ID]]],
]  # fmt: skip
DIFFERENCES: list[Any] = [
    6, 1, HIGH, [[[b"\x10", b"\x18", b"\x20"], [ID, ID]]], [[b"", b"\x10"], [b"\x20", b"\x7f\xff"]],
    [[LOW, 1, bytes(32)], [HIGH, 2**64 - 1, DIGEST]], [ID],
]  # fmt: skip
ITEMS: dict[str, list[Any]] = {
    "delegation": [1, LOW, HIGH, bytes.fromhex("002408011220") + DIGEST, DIGEST, SIGNATURE, bytes(64)],
    "order": [2, ORDER, SIGNATURE],
    "cancel": [3, DIGEST],
    "offer": [4, BODY, SIGNATURE, 23, SIGNATURE],
    "ticket": [5, BODY, SIGNATURE, SIGNATURE],
    "decline": [6, DIGEST, bytes(32), 23, 6],
    "checkpoint": [7, 8, DIGEST, [bytes(32), DIGEST], [DIGEST], [], [DIGEST]],
}


def entry_with(items: list[Any]) -> list[Any]:
    """An entry of these items, whatever they are, with their root and a signature of nobody."""
    root = items_root(item for item in items if isinstance(item, bytes))
    return [HIGH, LOW, DIGEST, 0, bytes(32), 65535, root, SIGNATURE, items]


ENTRY = entry_with([encode(ITEMS["cancel"])])
PRESENCE: list[Any] = [HIGH, 24, [[DIGEST, 5, bytes(32)]], [bytes.fromhex("047f000001060fa1")], SIGNATURE]
SIGNED: list[Any] = [BODY, SIGNATURE, ORDER, ORDER]
EVIDENCE: dict[str, list[Any]] = {
    "fork": [1, ENTRY[:8], ENTRY[:8]],
    "over_signing": [2, HIGH, SIGNED, SIGNED],
    "default": [3, LOW, DIGEST, 24, bytes(32)],
}

CBOR_CASES = {
    "zero": "00",
    "twenty_three": "17",
    "twenty_four": "1818",
    "two_to_the_sixteen": "1a00010000",
    "largest_u64": "1bffffffffffffffff",
    "empty_bytes": "40",
    "four_arrays_deep": "8181818100",
    "booleans": "82f4f5",
    "nothing": "",
    "head_of_two_bytes_for_23": "1817",
    "head_of_three_bytes_for_255": "1900ff",
    "head_of_five_bytes_for_65535": "1a0000ffff",
    "head_of_nine_bytes_for_u32": "1b00000000ffffffff",
    "long_length_of_bytes": "580100",
    "long_length_of_an_array": "980100",
    "reserved_head": "1c",
    "cut_head": "19ff",
    "cut_bytes": "42ff",
    "cut_array": "820100"[:4],
    "huge_array": "9bffffffffffffffff",
    "trailing_byte": "0000",
    "negative": "20",
    "text": "6161",
    "map": "a10000",
    "tag": "c100",
    "bignum": "c24101",
    "half_float": "f93c00",
    "double": "fb3ff0000000000000",
    "null": "f6",
    "undefined": "f7",
    "simple_value": "e0",
    "two_byte_simple_value": "f814",
    "indefinite_array": "9f00ff",
    "indefinite_bytes": "5f4100ff",
    "indefinite_text": "7f6161ff",
    "break": "ff",
    "five_arrays_deep": "818181818100",
}


def refusal_of(read: Any, encoded: bytes) -> str | None:
    """The rule by which the reference refuses bytes, or None."""
    try:
        read(encoded)
    except RefusedError as refused:
        return refused.rule
    return None


def cbor_cases() -> list[Case]:
    """Single items, good and bad. Spec: [CBOR-1..3]."""
    return [
        {
            "name": name,
            "rules": ["CBOR-1", "CBOR-2", "CBOR-3"],
            "encoded": "0x" + encoded,
            "refused": refusal_of(decode, bytes.fromhex(encoded)),
        }
        for name, encoded in CBOR_CASES.items()
    ]


def replaced(message: list[Any], at: int, value: Any) -> list[Any]:
    """A message with one field replaced."""
    return [*message[:at], value, *message[at + 1 :]]


def good_messages() -> list[tuple[str, str, bytes]]:
    """One of each message."""
    late, entry = [[DIGEST, 2**64 - 1]], encode(ENTRY)
    frames: list[tuple[str, str, list[Any]]] = [
        ("prepare", "ticket_frame", [1, 2**64 - 1, BODY, DIGEST, [LOW, HIGH], True, late, [LOW]]),
        ("view", "ticket_frame", [2, 0, DIGEST, [], [LOW, HIGH]]),
        ("ready", "ticket_frame", [3, 24, DIGEST, 25, SIGNATURE]),
        ("offer_frame", "ticket_frame", [4, 1, encode(ITEMS["offer"])]),
        ("ticket_frame", "ticket_frame", [5, 1, encode(ITEMS["ticket"])]),
        ("decline", "ticket_frame", [6, 1, 2]),
        ("hello", "sync_frame", [1, 31337, HIGH, [DIGEST]]),
        ("get_run", "sync_frame", [3, 1, DIGEST, HIGH, 0, 16]),
        ("run", "sync_frame", [4, 1, True, [entry], []]),
        ("run_with_bodies", "sync_frame", [4, 1, True, [entry], [encode(ITEMS["delegation"]), encode(ITEMS["order"])]]),
        ("compare", "sync_frame", COMPARE),
        ("compare_of_nothing", "sync_frame", [5, 1, DIGEST, bytes(16), [], []]),
        ("compare_of_everything", "sync_frame", [5, 1, DIGEST, bytes(16), [[[b"", b""], [ID]]], []]),
        ("differences", "sync_frame", DIFFERENCES),
        ("differences_of_nothing", "sync_frame", [6, 1, b"", [], [], [], []]),
        ("get_proofs", "sync_frame", [7, 1, DIGEST, HIGH]),
        ("proofs", "sync_frame", [8, 1, [b"", bytes(8192)]]),
        ("instructions", "direct_frame", [1, DIGEST, 1, bytes(78)]),
        ("longest_instructions", "direct_frame", [1, DIGEST, 16, bytes(1103)]),
        ("receipt", "direct_frame", [2, DIGEST, 16]),
    ]
    named = [(f"item_{name}", "item", item) for name, item in ITEMS.items()]
    named += [(f"evidence_of_{name}", "evidence", piece) for name, piece in EVIDENCE.items()]
    gossip: list[tuple[str, str, list[Any]]] = [
        ("entry", "entry", ENTRY),
        ("presence", "presence", PRESENCE),
        ("presence_without_heads_and_addresses", "presence", [HIGH, 24, [], [], SIGNATURE]),
        ("batch", "batch", [1, [entry]]),
        ("batch_of_presences", "batch", [2, [encode(PRESENCE)] * 2]),
        ("batch_of_evidence", "batch", [3, [encode(piece) for piece in EVIDENCE.values()]]),
    ]
    return [(name, kind, encode(message)) for name, kind, message in [*named, *gossip, *frames]]


def bad_messages() -> list[tuple[str, str, list[Any]]]:
    """Messages of the right CBOR and the wrong shape. Spec: [CBOR-4], [CBOR-5]."""
    order, offer, cancel = ITEMS["order"], ITEMS["offer"], encode(ITEMS["cancel"])
    heads = [[bytes([number]) * 32, 0, DIGEST] for number in range(17)]
    order_with = {
        "order_with_side_2": (4, 2),
        "order_with_kind_2": (5, 2),
        "order_with_price_0": (6, 0),
        "order_with_quantity_0": (7, 0),
        "order_with_tif_5": (8, 5),
        "order_with_number_for_boolean": (10, 0),
        "order_with_tier_256": (11, 256),
        "order_with_method_above_u32": (12, [2**32]),
        "order_with_method_twice": (12, [9, 9]),
        "order_with_nine_methods": (12, list(range(9))),
        "order_with_short_arbitrator": (13, [b"\x01"]),
        "order_with_bytes_for_nonce": (3, b""),
        "order_with_short_owner": (1, bytes(19)),
        "order_with_long_market": (0, bytes(33)),
    }
    found: list[tuple[str, str, list[Any]]] = [
        (name, "item", replaced(order, 1, replaced(ORDER, at, value))) for name, (at, value) in order_with.items()
    ]
    return [
        *found,
        ("order_with_a_field_missing", "item", replaced(order, 1, ORDER[:-1])),
        ("order_with_a_field_more", "item", replaced(order, 1, [*ORDER, 0])),
        ("item_without_signature", "item", order[:-1]),
        ("item_with_a_field_more", "item", [*order, 0]),
        ("item_with_tag_0", "item", [0, DIGEST]),
        ("decline_item_of_no_known_reason", "item", replaced(ITEMS["decline"], 4, 7)),
        ("checkpoint_with_orders_falling", "item", [7, 8, DIGEST, [DIGEST, bytes(32)], [], [], []]),
        ("checkpoint_with_an_offer_twice", "item", [7, 8, DIGEST, [], [], [DIGEST, DIGEST], []]),
        ("checkpoint_without_next_nonce", "item", [7, DIGEST, [], [], [], []]),
        ("checkpoint_without_delegation", "item", [7, 8, [], [], [], []]),
        ("checkpoint_of_257_orders", "item", [7, 8, DIGEST, [n.to_bytes(32, "big") for n in range(257)], [], [], []]),
        ("item_with_tag_8", "item", [8, DIGEST]),
        ("item_empty", "item", []),
        ("offer_with_short_signature", "item", replaced(offer, 2, SIGNATURE[:-1])),
        ("offer_with_ticket_kind_2", "item", replaced(offer, 1, replaced(BODY, 10, 2))),
        ("delegation_with_short_peer_id", "item", replaced(ITEMS["delegation"], 3, bytes(37))),
        ("entry_without_items", "entry", entry_with([])),
        ("entry_with_65_items", "entry", entry_with([cancel] * 65)),
        ("entry_with_an_item_not_nested", "entry", entry_with([ITEMS["cancel"]])),
        ("entry_with_an_item_and_a_byte", "entry", entry_with([cancel + b"\x00"])),
        ("entry_of_16_kib_and_more", "entry", entry_with([encode(ITEMS["ticket"])] * 60)),
        ("entry_with_a_field_missing", "entry", ENTRY[:-1]),
        ("batch_without_entries", "batch", [1, []]),
        ("batch_of_no_known_kind", "batch", [4, [encode(ENTRY)]]),
        ("batch_of_65_presences", "batch", [2, [encode(PRESENCE)] * 65]),
        ("batch_of_8_pieces_of_evidence", "batch", [3, [encode(EVIDENCE["default"])] * 8]),
        (
            "presence_of_17_markets",
            "presence",
            replaced(PRESENCE, 2, heads[:17]),
        ),
        (
            "presence_with_markets_falling",
            "presence",
            replaced(PRESENCE, 2, heads[1::-1]),
        ),
        ("presence_with_five_addresses", "presence", replaced(PRESENCE, 3, [b"\x04"] * 5)),
        ("presence_with_an_empty_address", "presence", replaced(PRESENCE, 3, [b""])),
        ("presence_with_a_long_address", "presence", replaced(PRESENCE, 3, [bytes(129)])),
        ("evidence_of_no_known_kind", "evidence", [4, LOW]),
        ("fork_of_one_header", "evidence", [1, ENTRY[:8]]),
        ("fork_with_items", "evidence", [1, ENTRY, ENTRY]),
        ("over_signing_without_a_session", "evidence", [2, SIGNED, SIGNED]),
        ("over_signing_without_an_order", "evidence", [2, HIGH, SIGNED[:3], SIGNED]),
        ("batch_of_65_entries", "batch", [1, [encode(ENTRY)] * 65]),
        ("prepare_with_skips_falling", "ticket_frame", [1, 1, BODY, DIGEST, [HIGH, LOW], True, [], []]),
        ("prepare_with_a_skip_twice", "ticket_frame", [1, 1, BODY, DIGEST, [LOW, LOW], True, [], []]),
        ("view_with_an_order_twice", "ticket_frame", [2, 1, DIGEST, [[DIGEST, 1], [DIGEST, 2]], []]),
        ("view_with_orders_falling", "ticket_frame", [2, 1, DIGEST, [[DIGEST, 1], [bytes(32), 2]], []]),
        ("view_with_absent_sessions_falling", "ticket_frame", [2, 1, DIGEST, [], [HIGH, LOW]]),
        ("view_without_absent_sessions", "ticket_frame", [2, 1, DIGEST, []]),
        ("offer_frame_with_a_ticket", "ticket_frame", [4, 1, encode(ITEMS["ticket"])]),
        ("decline_without_reason", "ticket_frame", [6, 1, 0]),
        ("decline_of_no_known_reason", "ticket_frame", [6, 1, 7]),
        ("ticket_frame_of_no_known_tag", "ticket_frame", [7, 1, 1]),
        ("hello_with_markets_falling", "sync_frame", [1, 1, LOW, [DIGEST, bytes(32)]]),
        ("run_with_number_for_boolean", "sync_frame", [4, 1, 1, [], []]),
        ("run_with_an_entry_not_nested", "sync_frame", [4, 1, True, [ENTRY], []]),
        ("run_without_bodies", "sync_frame", [4, 1, True, [encode(ENTRY)]]),
        ("run_with_258_bodies", "sync_frame", [4, 1, True, [encode(ENTRY)], [encode(ITEMS["cancel"])] * 258]),
        ("sync_frame_of_no_known_tag", "sync_frame", [9, 1]),
        ("sync_frame_of_the_tag_left_out", "sync_frame", [2, 1, DIGEST, []]),
        ("instructions_with_a_box_too_short", "direct_frame", [1, DIGEST, 1, bytes(77)]),
        ("instructions_with_a_box_too_long", "direct_frame", [1, DIGEST, 1, bytes(1104)]),
        ("instructions_of_version_0", "direct_frame", [1, DIGEST, 0, bytes(78)]),
        ("instructions_of_version_17", "direct_frame", [1, DIGEST, 17, bytes(78)]),
        ("instructions_of_no_ticket", "direct_frame", [1, b"", 1, bytes(78)]),
        ("instructions_with_a_field_more", "direct_frame", [1, DIGEST, 1, bytes(78), 0]),
        ("receipt_of_version_17", "direct_frame", [2, DIGEST, 17]),
        ("receipt_without_a_version", "direct_frame", [2, DIGEST]),
        ("direct_frame_of_no_known_tag", "direct_frame", [3, DIGEST, 1]),
        *bad_comparisons(),
    ]


def bad_comparisons() -> list[tuple[str, str, list[Any]]]:
    """Frames of set reconciliation with one flaw each. Spec: [SYNC-11], [SYNC-15]."""
    places = [place.to_bytes(3, "big") for place in range(1, 1300) if place % 256][:1025]
    spans = {
        "place_with_a_zero_behind": [[[b"", b"\x20\x00"], [ID]]],
        "place_of_21_bytes": [[[b"", b"\x01" * 21], [ID]]],
        "bounds_falling": [[[b"\x20", b"\x10"], [ID]]],
        "bounds_equal": [[[b"\x20", b"\x20"], [ID]]],
        "end_in_the_middle": [[[b"\x20", b"", b"\x40"], [ID, ID]]],
        "one_bound": [[[b""], []]],
        "a_fingerprint_missing": [[[b"", b"\x20", b""], [ID]]],
        "a_fingerprint_more": [[[b"", b""], [ID, ID]]],
        "a_short_fingerprint": [[[b"", b""], [ID[1:]]]],
        "spans_falling": [[[b"\x20", b"\x30"], [ID]], [[b"", b"\x10"], [ID]]],
        "spans_one_over_another": [[[b"", b"\x30"], [ID]], [[b"\x20", b"\x40"], [ID]]],
        "something_behind_the_end": [[[b"\x20", b""], [ID]], [[b"\x20", b""], [ID]]],
    }
    found: list[tuple[str, str, list[Any]]] = []
    for name, value in spans.items():
        found.append((f"compare_with_{name}", "sync_frame", replaced(COMPARE, 4, value)))
        found.append((f"differences_with_{name}", "sync_frame", replaced(DIFFERENCES, 3, value)))
    return [
        *found,
        ("compare_with_a_short_salt", "sync_frame", replaced(COMPARE, 3, bytes(15))),
        ("compare_with_1025_ranges", "sync_frame", [*COMPARE[:4], [[places, [ID] * 1024]], [[b"\xff", b"", []]]]),
        (
            "differences_with_1025_ranges",
            "sync_frame",
            [*DIFFERENCES[:3], [[places, [ID] * 1024]], [[b"", b"\xff"]], [], []],
        ),
        (
            "compare_with_4097_ids",
            "sync_frame",
            replaced(COMPARE, 5, [[b"", b"\x20", [ID] * 4096], [b"\x20", b"", [ID]]]),
        ),
        ("compare_with_an_empty_listing_range", "sync_frame", replaced(COMPARE, 5, [[b"\x20", b"\x20", []]])),
        ("compare_with_listings_falling", "sync_frame", replaced(COMPARE, 5, [[b"\x20", b"", []], [b"", b"\x20", []]])),
        ("differences_with_told_falling", "sync_frame", replaced(DIFFERENCES, 4, [[b"\x20", b""], [b"", b"\x20"]])),
        ("differences_with_an_empty_told_range", "sync_frame", replaced(DIFFERENCES, 4, [[b"\x20", b"\x20"]])),
        ("differences_with_a_head_of_nothing", "sync_frame", replaced(DIFFERENCES, 5, [[LOW, 0, bytes(32)]])),
        (
            "differences_with_a_session_twice",
            "sync_frame",
            replaced(DIFFERENCES, 5, [[LOW, 1, DIGEST], [LOW, 2, DIGEST]]),
        ),
        (
            "differences_with_sessions_falling",
            "sync_frame",
            replaced(DIFFERENCES, 5, [[HIGH, 1, DIGEST], [LOW, 1, DIGEST]]),
        ),
        (
            "differences_with_2049_heads",
            "sync_frame",
            replaced(DIFFERENCES, 5, [[n.to_bytes(20, "big"), 1, DIGEST] for n in range(2049)]),
        ),
        ("differences_with_4097_lacking", "sync_frame", replaced(DIFFERENCES, 6, [ID] * 4097)),
        ("differences_reaching_21_bytes", "sync_frame", replaced(DIFFERENCES, 2, b"\x01" * 21)),
        ("proofs_of_17_pieces", "sync_frame", [8, 1, [b""] * 17]),
        ("proofs_of_8_kib_and_a_byte", "sync_frame", [8, 1, [bytes(8193)]]),
    ]


def message_cases() -> list[Case]:
    """Messages, good and bad."""
    named = [*good_messages(), *((name, kind, encode(message)) for name, kind, message in bad_messages())]
    return [
        {
            "name": name,
            "rules": ["CBOR-4", "CBOR-5"],
            "message": kind,
            "encoded": "0x" + encoded.hex(),
            "refused": refusal_of(READERS[kind], encoded),
        }
        for name, kind, encoded in named
    ]


def signature_cases() -> list[Case]:
    """Signatures over one digest and whom they recover to. Spec: [SIGN-3]."""
    signed = digest(DOMAIN, "Ready", Ready(ticket=keccak(b"a ticket"), epoch=23))
    good = Signer("session 0").sign(signed)
    r, s, v = good[:32], good[32:64], good[64:]
    order = CURVE_ORDER.to_bytes(32, "big")
    signatures = {
        "good": good,
        "high_s": with_high_s(good),
        "v_of_0": r + s + b"\x00",
        "v_of_1": r + s + b"\x01",
        "v_of_29": r + s + b"\x1d",
        "other_v_of_the_two": r + s + bytes([55 - good[64]]),
        "r_of_zero": bytes(32) + s + v,
        "s_of_zero": r + bytes(32) + v,
        "all_zero": bytes(65),
        "r_of_the_curve_order": order + s + v,
        "s_of_the_curve_order": r + order + v,
        "s_of_half_the_order": r + (CURVE_ORDER // 2).to_bytes(32, "big") + v,
        "s_above_half_the_order": r + (CURVE_ORDER // 2 + 1).to_bytes(32, "big") + v,
        "r_of_no_point": (5).to_bytes(32, "big") + s + v,
        "one_byte_short": good[:-1],
        "one_byte_more": good + b"\x00",
    }
    return [
        {
            "name": name,
            "rules": ["SIGN-3"],
            "digest": "0x" + signed.hex(),
            "signature": "0x" + signature.hex(),
            "signer": "0x" + signer.hex() if (signer := recover(signed, signature)) is not None else None,
        }
        for name, signature in signatures.items()
    ]
