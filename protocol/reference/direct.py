"""Payment instructions: what a box holds, and what a node does with a frame of the direct stream.

Spec: protocol/spec/08-peers.md [DM-1..3].
"""

from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey

from protocol.reference.cbor import RefusedError, decode, encode

TEXT_BYTES_MAX = 1024
NONCE_BYTES = 24
LINE_FEED = 0x0A


def seal(secret: bytes, reader_key: bytes, nonce: bytes, ticket: bytes, version: int, text: bytes) -> bytes:
    """The box of a text for the holder of `reader_key`. Spec: [DM-1]."""
    sealing = Box(PrivateKey(secret), PublicKey(reader_key))
    return bytes(sealing.encrypt(encode([ticket, version, text]), nonce))


def open_box(secret: bytes, writer_key: bytes, ticket: bytes, version: int, box: bytes) -> str:
    """The text in a box that came for a ticket and version. Spec: [DM-1]."""
    try:
        plain = Box(PrivateKey(secret), PublicKey(writer_key)).decrypt(box)
    except CryptoError as error:
        raise RefusedError("DM-1", "expected a box that opens, was another") from error
    try:
        fields = decode(plain)
    except RefusedError as error:
        raise RefusedError("DM-1", f"expected CBOR in the box: {error}") from error
    if type(fields) is not list or len(fields) != 3 or fields[:2] != [ticket, version] or type(fields[1]) is not int:
        raise RefusedError("DM-1", "expected the ticket and version of the frame, was another")
    return read_text(fields[2])


def read_text(text: object) -> str:
    """A text as people read it. Spec: [DM-1]."""
    if type(text) is not bytes or not 1 <= len(text) <= TEXT_BYTES_MAX:
        raise RefusedError("DM-1", f"expected a text of 1 to {TEXT_BYTES_MAX} bytes, was another value")
    try:
        shown = text.decode()
    except UnicodeDecodeError as error:
        raise RefusedError("DM-1", "expected UTF-8, was something else") from error
    if any(is_control(ord(one)) for one in shown):
        raise RefusedError("DM-1", "expected no control characters, was one")
    return shown


def is_control(point: int) -> bool:
    """Whether a terminal may take a code point for a command. Spec: [DM-1]."""
    return (point < 0x20 and point != LINE_FEED) or 0x7F <= point <= 0x9F


def answer(role: str | None, *, is_from_seller: bool, held: int, version: int) -> int | None:
    """The version that a Receipt names; None if there is no answer. Spec: [DM-2], [DM-3].

    `role` is the receiver's in the ticket, buyer or seller; None if it knows of no such ticket of kind 1 of its own.
    `held` is the version on disk, 0 for none.
    """
    if role is None:
        return None
    if role != "buyer" or not is_from_seller:
        raise RefusedError("DM-2", "expected Instructions from the seller's peer to the buyer's, was another way")
    return max(held, version)


def check_receipt(sent: tuple[bytes, int], receipt: tuple[bytes, int]) -> None:
    """See that a Receipt answers what was sent: a ticket and a version each. Spec: [DM-3]."""
    if receipt[0] != sent[0] or receipt[1] < sent[1]:
        raise RefusedError("DM-3", "expected a Receipt of what was sent, was of another ticket or a lower version")
