"""What is fuzzed: each way by which bytes of others become values, with its way back and its slow counterpart."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from orrange_p2p.core import cbor
from orrange_p2p.core.codec import (
    MAX_ENTRY_BYTES,
    compute_items_root,
    decode_entry,
    decode_item,
    encode_entry,
    encode_item,
)
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.direct_frames import MAX_DIRECT_FRAME_BYTES, decode_direct_message, encode_direct_message
from orrange_p2p.core.frames import (
    MAX_SYNC_FRAME_BYTES,
    MAX_TICKET_FRAME_BYTES,
    decode_sync_message,
    decode_ticket_message,
    encode_sync_message,
    encode_ticket_message,
)
from orrange_p2p.core.gossip_codec import (
    MAX_EVIDENCE_BYTES,
    MAX_GOSSIP_BYTES,
    MAX_PRESENCE_BYTES,
    decode_evidence,
    decode_gossip,
    decode_presence,
    encode_evidence,
    encode_gossip,
    encode_presence,
)
from orrange_p2p.core.messages import Entry
from orrange_p2p.core.types import Address, Domain, Signature
from orrange_p2p.core.verify import verify_entry
from orrange_p2p.errors import RemoteProtocolError
from protocol.reference import cbor as slow_cbor
from protocol.reference import wire
from protocol.reference.feeds import read_sound_entry
from tests.core.pens import DOMAIN
from tests.core.signers import Signer

DIGESTS = Digests(Domain(chain_id=DOMAIN.chain_id, settlement=Address(DOMAIN.settlement)))
KEY = Signer("fuzz")


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder: `corpus` names the vectors' kind, `bytes_most` is the most that a peer can hand to it."""

    name: str
    corpus: str
    bytes_most: int
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    reference: Callable[[bytes], object]
    dress: Callable[[bytes], bytes] | None = None
    """Makes an input pass a check that mutations rarely pass, where it can."""


def _encode_entry(entry: Entry) -> bytes:
    """Write an entry back from its values, items included."""
    if tuple(encode_item(item) for item in entry.items) != entry.item_bytes:
        return b"an item that is written in another way than it was read"
    return encode_entry(entry)


def _read_rooted_entry(encoded: bytes) -> object:
    """The reference reads shapes first and roots where it asks for soundness; both are wanted here. Spec: [TYPE-4]."""
    fields = wire.read_entry(encoded)
    if compute_items_root(fields[8]) != fields[6]:
        raise slow_cbor.RefusedError("TYPE-4", "expected the root of the items")
    return fields


def _sign_again(encoded: bytes) -> bytes:
    """An entry under a signature that holds, so that its items' signers are looked for; other bytes as they are."""
    try:
        entry = decode_entry(encoded)
    except RemoteProtocolError:
        return encoded
    header = replace(entry.header, session=Address(KEY.address))
    signature = Signature(KEY.sign(DIGESTS.entry(header)))
    again = encode_entry(replace(entry, header=header, signature=signature))
    return again if len(again) <= MAX_ENTRY_BYTES else encoded


def _read_sound_entry(encoded: bytes) -> object:
    return read_sound_entry(DOMAIN, encoded)


TARGETS = (
    Target("cbor", "cbor", MAX_SYNC_FRAME_BYTES, cbor.decode, cbor.encode, slow_cbor.decode),
    Target("item", "item", MAX_ENTRY_BYTES, decode_item, encode_item, wire.read_item),
    Target("entry", "entry", MAX_ENTRY_BYTES, decode_entry, _encode_entry, _read_rooted_entry),
    Target(
        "sound entry",
        "entry",
        MAX_ENTRY_BYTES,
        partial(verify_entry, DIGESTS),
        lambda verified: _encode_entry(verified.entry),
        _read_sound_entry,
        dress=_sign_again,
    ),
    Target("gossip", "batch", MAX_GOSSIP_BYTES, decode_gossip, encode_gossip, wire.read_batch),
    Target("presence", "presence", MAX_PRESENCE_BYTES, decode_presence, encode_presence, wire.read_presence),
    Target("evidence", "evidence", MAX_EVIDENCE_BYTES, decode_evidence, encode_evidence, wire.read_evidence),
    Target(
        "ticket frame",
        "ticket_frame",
        MAX_TICKET_FRAME_BYTES,
        decode_ticket_message,
        encode_ticket_message,
        wire.read_ticket_frame,
    ),
    Target(
        "sync frame",
        "sync_frame",
        MAX_SYNC_FRAME_BYTES,
        decode_sync_message,
        encode_sync_message,
        wire.read_sync_frame,
    ),
    Target(
        "direct frame",
        "direct_frame",
        MAX_DIRECT_FRAME_BYTES,
        decode_direct_message,
        encode_direct_message,
        wire.read_direct_frame,
    ),
)
