"""Cases for payment instructions in `protocol/vectors/peers`. Spec: [DM-1..3]."""

from itertools import product
from typing import Any

from nacl.public import PrivateKey

from protocol.reference import direct
from protocol.reference.cbor import RefusedError, Value, encode
from protocol.reference.signing import keccak

Case = dict[str, Any]
WRITER, READER, THIRD = (PrivateKey(keccak(label)) for label in (b"writer", b"reader", b"third"))
TICKET, OTHER = keccak(b"a ticket"), keccak(b"another ticket")
NONCE = bytes(range(24))


def shown(value: bytes) -> str:
    """Bytes as the files write them."""
    return "0x" + value.hex()


def box_of(plain: bytes, *, writer: PrivateKey = WRITER, reader: PrivateKey = READER) -> bytes:
    """A box of any bytes."""
    return bytes(direct.Box(writer, reader.public_key).encrypt(plain, NONCE))


def plain_of(*fields: Value) -> bytes:
    """What honest boxes hold, of any fields."""
    return encode(list(fields))


def instruction_cases() -> list[Case]:
    """Boxes, and the text in them or none. Spec: [DM-1]."""
    good = direct.seal(bytes(WRITER), bytes(READER.public_key), NONCE, TICKET, 3, "IBAN DE00 … 7".encode())
    boxes = {
        "good": good,
        "longest_text": box_of(plain_of(TICKET, 3, b"x" * 1024)),
        "text_too_long": box_of(plain_of(TICKET, 3, b"x" * 1025)),
        "text_empty": box_of(plain_of(TICKET, 3, b"")),
        "text_not_utf8": box_of(plain_of(TICKET, 3, b"\xff\xfe")),
        "shortest_text": box_of(plain_of(TICKET, 3, b"x")),
        "text_of_two_lines": box_of(plain_of(TICKET, 3, b"IBAN DE00\nreference 7")),
        "text_with_an_escape_sequence": box_of(plain_of(TICKET, 3, b"\x1b[2Jpay here")),
        "text_with_a_tab": box_of(plain_of(TICKET, 3, b"pay\there")),
        "text_with_delete": box_of(plain_of(TICKET, 3, b"pay here\x7f")),
        "text_with_a_control_of_latin_1": box_of(plain_of(TICKET, 3, "pay\x9bhere".encode())),
        "text_with_a_hard_space": box_of(plain_of(TICKET, 3, "pay\xa0here".encode())),
        "text_is_a_number": box_of(plain_of(TICKET, 3, 7)),
        "version_of_another": box_of(plain_of(TICKET, 2, b"pay here")),
        "version_is_a_boolean": box_of(plain_of(TICKET, True, b"pay here")),
        "ticket_of_another": box_of(plain_of(OTHER, 3, b"pay here")),
        "field_missing": box_of(plain_of(TICKET, 3)),
        "field_more": box_of(plain_of(TICKET, 3, b"pay here", 0)),
        "not_cbor": box_of(b"pay here"),
        "not_canonical": box_of(b"\x98\x03" + plain_of(TICKET, 3, b"pay here")[1:]),
        "written_by_a_third": box_of(plain_of(TICKET, 3, b"pay here"), writer=THIRD),
        "for_a_third": box_of(plain_of(TICKET, 3, b"pay here"), reader=THIRD),
        "a_flipped_bit": good[:-1] + bytes([good[-1] ^ 1]),
        "another_nonce": bytes([good[0] ^ 1]) + good[1:],
        "cut": good[:-1],
    }
    written = {name: bytes(WRITER.public_key) for name in boxes}
    boxes["from_a_key_of_low_order"], written["from_a_key_of_low_order"] = good, bytes(32)
    cases = []
    for name, box in boxes.items():
        text, refused = None, None
        try:
            text = direct.open_box(bytes(READER), written[name], TICKET, 3, box)
        except RefusedError as error:
            refused = error.rule
        cases.append(
            {
                "name": name,
                "rules": ["DM-1"],
                "reader_secret": shown(bytes(READER)),
                "writer_key": shown(written[name]),
                "ticket": shown(TICKET),
                "version": "3",
                "box": shown(box),
                "text": None if text is None else shown(text.encode()),
                "refused": refused,
            }
        )
    return cases


def answer_cases() -> list[Case]:
    """What a node answers to Instructions whose box is good. Spec: [DM-2], [DM-3]."""
    cases = []
    versions = ((0, 1), (3, 2), (3, 3), (3, 4), (15, 16))
    for role, is_from_seller, (held, version) in product((None, "buyer", "seller"), (True, False), versions):
        receipt, refused = None, None
        try:
            receipt = direct.answer(role, is_from_seller=is_from_seller, held=held, version=version)
        except RefusedError as error:
            refused = error.rule
        sender = "the_seller" if is_from_seller else "a_third"
        cases.append(
            {
                "name": f"to_{role or 'one_who_knows_no_such_ticket'}_from_{sender}_{held}_then_{version}",
                "rules": ["DM-2", "DM-3"],
                "role": role,
                "is_from_seller": is_from_seller,
                "held": str(held),
                "version": str(version),
                "receipt": None if receipt is None else str(receipt),
                "refused": refused,
            }
        )
    return cases


def receipt_cases() -> list[Case]:
    """Whether a Receipt answers what was sent. Spec: [DM-3]."""
    cases = []
    told = {
        "of_what_was_sent": (TICKET, 3),
        "of_a_higher_version": (TICKET, 4),
        "of_a_lower_version": (TICKET, 2),
        "of_another_ticket": (OTHER, 3),
    }
    for name, receipt in told.items():
        refused = None
        try:
            direct.check_receipt((TICKET, 3), receipt)
        except RefusedError as error:
            refused = error.rule
        cases.append(
            {
                "name": name,
                "rules": ["DM-3"],
                "ticket": shown(TICKET),
                "version": "3",
                "receipt_ticket": shown(receipt[0]),
                "receipt_version": str(receipt[1]),
                "refused": refused,
            }
        )
    return cases
