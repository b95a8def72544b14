"""Gossip messages, Presences and evidence to bytes and back, strictly.

A gossip message is only split here; each piece inside is decoded by itself.
Spec: protocol/spec/01-types.md "Wire forms", "Limits"; protocol/orrange.cddl.
"""

from collections.abc import Sequence
from itertools import pairwise

from orrange_p2p.core import cbor
from orrange_p2p.core.cbor import Fields
from orrange_p2p.core.codec import (
    MAX_ENTRY_BYTES,
    entry_head,
    entry_head_from,
    order_from,
    order_list,
    ticket_from,
    ticket_list,
)
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.peer_messages import (
    DefaultPointer,
    Entries,
    Evidence,
    Evidences,
    Fork,
    GossipMessage,
    MarketHead,
    OverSigned,
    Presence,
    Presences,
    SignedHeader,
    SignedTicket,
)
from orrange_p2p.core.types import U8_MAX, Address, Digest, Epoch, MarketId, Signature, TicketDigest
from orrange_p2p.errors import LocalProtocolError, RemoteProtocolError

MAX_GOSSIP_BYTES = 64 * 1024
MAX_BATCH_ENTRIES = 64
MAX_BATCH_PIECES = 7
MAX_PRESENCE_BYTES = 2 * 1024
MAX_EVIDENCE_BYTES = 8 * 1024
MAX_PRESENCE_MARKETS = 16
MAX_ADDRESSES = 4
MAX_ADDRESS_BYTES = 128
_ENTRIES, _PRESENCES, _EVIDENCES = 1, 2, 3
_FORK, _OVER_SIGNED, _DEFAULT = 1, 2, 3


def encode_gossip(message: GossipMessage) -> bytes:
    """Encode parts of one kind into one gossip message.

    Raises:
        LocalProtocolError: no part, more than the kind allows, or more than 64 KiB in all.
    """
    if isinstance(message, Entries):
        kind, parts, most = _ENTRIES, message.entries, MAX_BATCH_ENTRIES
    elif isinstance(message, Presences):
        kind, parts, most = _PRESENCES, message.presences, MAX_BATCH_ENTRIES
    else:
        kind, parts, most = _EVIDENCES, message.pieces, MAX_BATCH_PIECES
    if not 1 <= len(parts) <= most:
        raise LocalProtocolError("NET-1", f"expected 1 to {most} parts, was {len(parts)}")
    encoded = cbor.encode([kind, list(parts)])
    if len(encoded) > MAX_GOSSIP_BYTES:
        raise LocalProtocolError("NET-1", f"expected a batch of at most {MAX_GOSSIP_BYTES} bytes, was {len(encoded)}")
    return encoded


def decode_gossip(encoded: bytes) -> GossipMessage:
    """Split one gossip message into its parts, still undecoded.

    Raises:
        RemoteProtocolError: not a gossip message; the sender is to blame.
    """
    if len(encoded) > MAX_GOSSIP_BYTES:
        raise RemoteProtocolError("NET-1", f"expected a batch of at most {MAX_GOSSIP_BYTES} bytes, was {len(encoded)}")
    fields = Fields(cbor.decode(encoded), "batch", length=2)
    kind = fields.uint("kind", least=_ENTRIES, most=_EVIDENCES)
    if kind == _ENTRIES:
        return Entries(entries=_parts(fields, MAX_BATCH_ENTRIES, MAX_ENTRY_BYTES))
    if kind == _PRESENCES:
        return Presences(presences=_parts(fields, MAX_BATCH_ENTRIES, MAX_PRESENCE_BYTES))
    return Evidences(pieces=_parts(fields, MAX_BATCH_PIECES, MAX_EVIDENCE_BYTES))


def _parts(fields: Fields, most: int, bytes_most: int) -> tuple[bytes, ...]:
    parts = fields.array("parts", most=most, least=1)
    reader = Fields(parts, "batch.parts")
    return tuple(reader.bounded("part", most=bytes_most) for _ in parts)


def _heads_list(heads: Sequence[MarketHead]) -> list[object]:
    return [[head.market, head.next_seq, head.head_hash] for head in heads]


def compute_content_root(heads: Sequence[MarketHead], addresses: Sequence[bytes]) -> Digest:
    """What a Presence's signature says of its heads and addresses. Spec: [TYPE-7]."""
    return keccak256(cbor.encode([_heads_list(heads), list(addresses)]))


def encode_presence(presence: Presence) -> bytes:
    """Encode a signed Presence."""
    heads, addresses = _heads_list(presence.heads), list(presence.addresses)
    return cbor.encode([presence.session, presence.epoch, heads, addresses, presence.signature])


def decode_presence(encoded: bytes) -> Presence:
    """Decode a Presence; its signature is not looked at.

    Raises:
        RemoteProtocolError: not a Presence; the sender is to blame.
    """
    if len(encoded) > MAX_PRESENCE_BYTES:
        raise RemoteProtocolError("PEER-1", f"expected at most {MAX_PRESENCE_BYTES} bytes, was {len(encoded)}")
    fields = Fields(cbor.decode(encoded), "presence", length=5)
    presence = Presence(
        session=Address(fields.fixed("session", 20)),
        epoch=Epoch(fields.uint("epoch")),
        heads=fields.each("heads", _market_head_from, most=MAX_PRESENCE_MARKETS),
        addresses=fields.flat("addresses", _address_from, most=MAX_ADDRESSES),
        signature=Signature(fields.fixed("signature", 65)),
    )
    if any(low.market >= high.market for low, high in pairwise(presence.heads)):
        raise RemoteProtocolError("CBOR-5", "presence.heads: expected ascending order without duplicates")
    return presence


def _market_head_from(fields: Fields) -> MarketHead:
    head = MarketHead(
        market=MarketId(fields.fixed("market", 32)),
        next_seq=fields.uint("next_seq"),
        head_hash=Digest(fields.fixed("head_hash", 32)),
    )
    fields.end()
    return head


def _address_from(fields: Fields) -> bytes:
    address = fields.bounded("address", most=MAX_ADDRESS_BYTES)
    if not address:
        raise RemoteProtocolError("CBOR-4", f"presence.address: expected 1 to {MAX_ADDRESS_BYTES} bytes, was none")
    return address


def encode_evidence(evidence: Evidence) -> bytes:
    """Encode a piece of evidence."""
    if isinstance(evidence, Fork):
        sides = [entry_head(side.header, side.signature) for side in (evidence.first, evidence.second)]
        return cbor.encode([_FORK, *sides])
    if isinstance(evidence, OverSigned):
        tickets = [
            [ticket_list(side.ticket), side.signature, order_list(side.maker), order_list(side.taker)]
            for side in (evidence.first, evidence.second)
        ]
        return cbor.encode([_OVER_SIGNED, evidence.session, *tickets])
    return cbor.encode([_DEFAULT, evidence.owner, evidence.ticket, evidence.block_number, evidence.block_hash])


def decode_evidence(encoded: bytes) -> Evidence:
    """Decode a piece of evidence; whether it proves anything is another matter.

    Raises:
        RemoteProtocolError: not a piece of evidence; the sender is to blame.
    """
    if len(encoded) > MAX_EVIDENCE_BYTES:
        raise RemoteProtocolError("EVID-5", f"expected at most {MAX_EVIDENCE_BYTES} bytes, was {len(encoded)}")
    fields = Fields(cbor.decode(encoded), "evidence")
    kind = fields.uint("kind", least=_FORK, most=_DEFAULT)
    if kind == _FORK:
        evidence: Evidence = Fork(first=_signed_header_from(fields), second=_signed_header_from(fields))
    elif kind == _OVER_SIGNED:
        session = Address(fields.fixed("session", 20))
        evidence = OverSigned(session=session, first=_signed_ticket_from(fields), second=_signed_ticket_from(fields))
    else:
        evidence = DefaultPointer(
            owner=Address(fields.fixed("owner", 20)),
            ticket=TicketDigest(fields.fixed("ticket", 32)),
            block_number=fields.uint("block_number"),
            block_hash=Digest(fields.fixed("block_hash", 32)),
        )
    fields.end()
    return evidence


def _signed_header_from(fields: Fields) -> SignedHeader:
    inner = Fields(fields.array("header", most=U8_MAX), "header")
    header, signature = entry_head_from(inner)
    inner.end()
    return SignedHeader(header=header, signature=signature)


def _signed_ticket_from(fields: Fields) -> SignedTicket:
    inner = Fields(fields.array("signed", most=U8_MAX), "signed")
    found = SignedTicket(
        ticket=ticket_from(Fields(inner.array("ticket", most=U8_MAX), "ticket")),
        signature=Signature(inner.fixed("signature", 65)),
        maker=order_from(Fields(inner.array("maker", most=U8_MAX), "order")),
        taker=order_from(Fields(inner.array("taker", most=U8_MAX), "order")),
    )
    inner.end()
    return found
