"""Frames of the direct stream to bytes and back, strictly; and what a box of instructions holds.

Spec: protocol/spec/01-types.md [NET-2], 08-peers.md [DM-1..3].
"""

from orrange_p2p.core import cbor
from orrange_p2p.core.cbor import Fields
from orrange_p2p.core.messages import DirectMessage, Instructions, Receipt
from orrange_p2p.core.types import TicketDigest
from orrange_p2p.errors import RemoteProtocolError

MAX_DIRECT_FRAME_BYTES = 2 * 1024
MAX_VERSION = 16
MAX_TEXT_BYTES = 1024
MIN_BOX_BYTES, MAX_BOX_BYTES = 78, 1103
_LINE_FEED = 0x0A


def encode_direct_message(message: DirectMessage) -> bytes:
    """Encode a frame of `/orrange/dm/1`."""
    if isinstance(message, Instructions):
        return cbor.encode([1, message.ticket_digest, message.version, message.box])
    return cbor.encode([2, message.ticket_digest, message.version])


def decode_direct_message(encoded: bytes) -> DirectMessage:
    """Decode a frame of `/orrange/dm/1`.

    Raises:
        RemoteProtocolError: not such a frame; the sender is to blame.
    """
    fields = Fields(cbor.decode(encoded), "frame")
    kind = fields.uint("type", least=1, most=2)
    ticket = TicketDigest(fields.fixed("ticket_digest", 32))
    version = fields.uint("version", least=1, most=MAX_VERSION)
    if kind == 1:
        box = fields.bounded("box", most=MAX_BOX_BYTES)
        if len(box) < MIN_BOX_BYTES:
            raise RemoteProtocolError("CBOR-4", f"box: expected at least {MIN_BOX_BYTES} bytes, was {len(box)}")
        message: DirectMessage = Instructions(ticket_digest=ticket, version=version, box=box)
    else:
        message = Receipt(ticket_digest=ticket, version=version)
    fields.end()
    return message


def encode_boxed(ticket: TicketDigest, version: int, text: str) -> bytes:
    """What the box of a text holds. Spec: [DM-1]."""
    return cbor.encode([ticket, version, text.encode()])


def decode_boxed(plain: bytes, ticket: TicketDigest, version: int) -> str:
    """The text in an opened box that came for a ticket and version.

    Raises:
        RemoteProtocolError: the box holds another ticket or version, or no text of instructions. Spec: [DM-1].
    """
    try:
        fields = Fields(cbor.decode(plain), "box", length=3)
        held = TicketDigest(fields.fixed("ticket_digest", 32)), fields.uint("version")
        text = fields.bounded("text", most=MAX_TEXT_BYTES)
    except RemoteProtocolError as error:
        raise RemoteProtocolError("DM-1", f"expected ticket, version and text in the box: {error}") from error
    if held != (ticket, version):
        raise RemoteProtocolError("DM-1", "box: expected the ticket and version of its frame, was another")
    return _decode_text(text)


def _decode_text(text: bytes) -> str:
    """The bytes themselves are in no message: they may be what was meant for the other party alone."""
    try:
        shown = text.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("DM-1", "text: expected UTF-8, was something else") from None
    fault = find_fault(shown)
    if fault is not None:
        raise RemoteProtocolError("DM-1", f"text: {fault}")
    return shown


def find_fault(text: str) -> str | None:
    """What keeps a text from being one of instructions, without showing it; None if nothing does. Spec: [DM-1]."""
    size = len(text.encode(errors="surrogatepass"))
    if not 1 <= size <= MAX_TEXT_BYTES:
        return f"expected 1 to {MAX_TEXT_BYTES} bytes of UTF-8, was {size}"
    for number, one in enumerate(text):
        point = ord(one)
        if (point < 0x20 and point != _LINE_FEED) or 0x7F <= point <= 0x9F:
            return f"expected no control characters but line feeds, was U+{point:04X} as character {number + 1}"
        if 0xD800 <= point <= 0xDFFF:
            return f"expected UTF-8, was half a surrogate pair as character {number + 1}"
    return None
