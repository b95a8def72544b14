"""Pens: the hands of sessions, which write items, entries and their signatures with the reference alone."""

from dataclasses import dataclass, field, replace
from typing import Any

from protocol.reference import cbor, feeds
from protocol.reference.signing import digest, keccak, market_id
from protocol.reference.types import ZERO_DIGEST, Digest, Domain, Market, Order, Signature, Ticket
from tests.core.signers import Peer, Signer

DOMAIN = Domain(chain_id=31337, settlement=bytes.fromhex("5e771e3e" * 5))
MARKET = Market(base=b"\xba" * 20, quote=b"\xc0" * 20, lot_size=10**15, tick_size=10**3, min_fill_lots=2)
OTHER_MARKET = replace(MARKET, min_fill_lots=1)
MARKET_ID = market_id(DOMAIN, MARKET)
OTHER_MARKET_ID = market_id(DOMAIN, OTHER_MARKET)
FIRST_EPOCH = 20


@dataclass
class Pen:
    """One session's hand: what it has written and what it will write next."""

    session: Signer
    owner: Signer
    peer: Peer
    market: Digest = MARKET_ID
    seq: int = 0
    prev_hash: Digest = ZERO_DIGEST
    nonce: int = 0
    items: list[list[Any]] = field(default_factory=list)
    last: feeds.Entry | None = None


def order_item(order: Order, signer: Signer) -> list[Any]:
    """An Order item."""
    fields = [getattr(order, name) for name in Order.__dataclass_fields__]
    plain = [list(value) if isinstance(value, tuple) else value for value in fields]
    return [feeds.ORDER, plain, signer.sign_struct(DOMAIN, "Order", order)]


def idle_item(pen: Pen) -> list[Any]:
    """An item that may stand anywhere and says nothing."""
    return [feeds.CANCEL, keccak(pen.session.address)]


def ticket_list(ticket: Ticket) -> list[Any]:
    """The TicketBody array of a ticket."""
    return [getattr(ticket, name) for name in Ticket.__dataclass_fields__]


def delegation_item(pen: Pen) -> list[Any]:
    """The Delegation that a feed opens with."""
    delegation = feeds.Delegation(
        owner=pen.owner.address,
        session=pen.session.address,
        peer_id=pen.peer.peer_id,
        encryption_key=keccak(pen.peer.peer_id),
    )
    signed = digest(DOMAIN, "Delegation", delegation)
    signatures = [pen.session.sign(signed), pen.peer.sign(signed)]
    said = [delegation.owner, delegation.session, delegation.peer_id, delegation.encryption_key]
    return [feeds.DELEGATION, *said, *signatures]


def make_entry(pen: Pen, items: list[list[Any]], **changes: Any) -> feeds.Entry:
    """The next entry of a pen, with changes to its header, hashed."""
    head: dict[str, Any] = {
        "session": pen.session.address,
        "owner": pen.owner.address,
        "market": pen.market,
        "seq": pen.seq,
        "prev_hash": pen.prev_hash,
        "epoch": FIRST_EPOCH,
    } | changes
    root = feeds.items_root(cbor.encode(item) for item in items)
    entry = feeds.Entry(**head, items_root=root, items=tuple(items))
    return replace(entry, entry_hash=digest(DOMAIN, "FeedEntry", entry))


def sign_entry(pen: Pen, entry: feeds.Entry) -> bytes:
    """The bytes of an entry under its session's signature."""
    return feeds.encode_entry(entry, pen.session.sign(digest(DOMAIN, "FeedEntry", entry)))


def with_high_s(signature: Signature) -> Signature:
    """The other signature of the same key over the same digest, the one that is refused."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high = order - int.from_bytes(signature[32:64], "big")
    return signature[:32] + high.to_bytes(32, "big") + bytes([55 - signature[64]])
