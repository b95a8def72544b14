"""Feed entries and their items to bytes and back, strictly.

Spec: protocol/spec/01-types.md "Wire forms", "Limits"; protocol/orrange.cddl.
"""

from collections.abc import Sequence
from itertools import pairwise

from orrange_p2p.core import cbor
from orrange_p2p.core.cbor import Fields
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.messages import (
    Cancel,
    Checkpoint,
    DeclineItem,
    DeclineReason,
    Delegation,
    Entry,
    EntryHeader,
    Item,
    Offer,
    OrderItem,
    TicketItem,
)
from orrange_p2p.core.types import (
    U8_MAX,
    U32_MAX,
    Address,
    Digest,
    Epoch,
    MarketId,
    Order,
    OrderId,
    OrderKind,
    PeerId,
    Side,
    Signature,
    SignedOrder,
    Ticket,
    TicketKind,
    TimeInForce,
)
from orrange_p2p.errors import LocalProtocolError, RemoteProtocolError

MAX_ENTRY_BYTES = 16 * 1024
MAX_ORDER_ITEM_BYTES = 1024
MAX_ITEMS = 64
_MAX_LIST = 8
_MAX_SIDE, _MAX_KIND, _MAX_TIF, _MAX_TICKET_KIND = max(Side), max(OrderKind), max(TimeInForce), max(TicketKind)
MAX_LISTED = 256  # hashes in a Checkpoint, all lists together
_TAG_DELEGATION, _TAG_ORDER, _TAG_CANCEL, _TAG_OFFER, _TAG_TICKET, _TAG_DECLINE, _TAG_CHECKPOINT = 1, 2, 3, 4, 5, 6, 7


def compute_items_root(item_bytes: Sequence[bytes]) -> Digest:
    """The root over an entry's items. Spec: [TYPE-4]."""
    return keccak256(b"".join(keccak256(item) for item in item_bytes))


def order_list(order: Order) -> list[object]:
    """The Order array of an order."""
    return [
        order.market,
        order.owner,
        order.session,
        order.nonce,
        int(order.side),
        int(order.kind),
        order.price_ticks,
        order.quantity_lots,
        int(order.tif),
        order.expiry_s,
        order.post_only,
        order.min_tier,
        list(order.payment_methods),
        list(order.arbitrators),
        order.security,
    ]


def order_from(fields: Fields) -> Order:
    """Read an Order array to its end."""
    order = Order(
        market=MarketId(fields.fixed("market", 32)),
        owner=Address(fields.fixed("owner", 20)),
        session=Address(fields.fixed("session", 20)),
        nonce=fields.uint("nonce"),
        side=Side(fields.uint("side", most=_MAX_SIDE)),
        kind=OrderKind(fields.uint("kind", most=_MAX_KIND)),
        price_ticks=fields.uint("price_ticks", least=1),
        quantity_lots=fields.uint("quantity_lots", least=1),
        tif=TimeInForce(fields.uint("tif", most=_MAX_TIF)),
        expiry_s=fields.uint("expiry"),
        post_only=fields.boolean("post_only"),
        min_tier=fields.uint("min_tier", most=U8_MAX),
        payment_methods=fields.flat("payment_methods", lambda one: one.uint("method", most=U32_MAX), most=_MAX_LIST),
        arbitrators=fields.flat("arbitrators", lambda one: Address(one.fixed("arbitrator", 20)), most=_MAX_LIST),
        security=fields.uint("security", most=U8_MAX),
    )
    fields.end()
    for name, values in (("payment_methods", order.payment_methods), ("arbitrators", order.arbitrators)):
        if len(frozenset(values)) != len(values):
            raise RemoteProtocolError("CBOR-5", f"order.{name}: expected no duplicates")
    return order


def ticket_list(ticket: Ticket) -> list[object]:
    """The TicketBody array of a ticket."""
    return [
        ticket.maker_order,
        ticket.taker_order,
        ticket.price_ticks,
        ticket.maker_from,
        ticket.maker_to,
        ticket.taker_from,
        ticket.taker_to,
        ticket.epoch,
        ticket.deadline_s,
        ticket.ticket_nonce,
        int(ticket.kind),
        ticket.payment_method,
        ticket.arbitrator,
        ticket.security,
        ticket.group,
    ]


def ticket_from(fields: Fields) -> Ticket:
    """Read a TicketBody array to its end."""
    ticket = Ticket(
        maker_order=OrderId(fields.fixed("maker_order", 32)),
        taker_order=OrderId(fields.fixed("taker_order", 32)),
        price_ticks=fields.uint("price_ticks"),
        maker_from=fields.uint("maker_from"),
        maker_to=fields.uint("maker_to"),
        taker_from=fields.uint("taker_from"),
        taker_to=fields.uint("taker_to"),
        epoch=Epoch(fields.uint("epoch")),
        deadline_s=fields.uint("deadline"),
        ticket_nonce=fields.uint("ticket_nonce"),
        kind=TicketKind(fields.uint("kind", most=_MAX_TICKET_KIND)),
        payment_method=fields.uint("payment_method", most=U32_MAX),
        arbitrator=Address(fields.fixed("arbitrator", 20)),
        security=fields.uint("security", most=U8_MAX),
        group=Digest(fields.fixed("group", 32)),
    )
    fields.end()
    return ticket


def encode_item(item: Item) -> bytes:
    """Encode one item of a feed entry."""
    if isinstance(item, OrderItem):
        return cbor.encode([_TAG_ORDER, order_list(item.signed.order), item.signed.signature])
    if isinstance(item, Cancel):
        return cbor.encode([_TAG_CANCEL, item.order_id])
    if isinstance(item, Offer):
        return cbor.encode(
            [_TAG_OFFER, ticket_list(item.ticket), item.taker_signature, item.ready_epoch, item.ready_signature]
        )
    if isinstance(item, TicketItem):
        return cbor.encode([_TAG_TICKET, ticket_list(item.ticket), item.taker_signature, item.maker_signature])
    if isinstance(item, DeclineItem):
        return cbor.encode([_TAG_DECLINE, item.maker_order, item.taker_order, item.epoch, int(item.reason)])
    if isinstance(item, Checkpoint):
        lists = [list(part) for part in (item.live_orders, item.ended_orders, item.offers, item.tickets)]
        return cbor.encode([_TAG_CHECKPOINT, item.next_nonce, item.delegation, *lists])
    return cbor.encode(
        [
            _TAG_DELEGATION,
            item.owner,
            item.session,
            item.peer_id,
            item.encryption_key,
            item.session_signature,
            item.peer_signature,
        ]
    )


def decode_item(encoded: bytes) -> Item:
    """Decode one item.

    Raises:
        RemoteProtocolError: not an item; the sender is to blame.
    """
    fields = Fields(cbor.decode(encoded), "item")
    tag = fields.uint("tag", least=_TAG_DELEGATION, most=_TAG_CHECKPOINT)
    if tag == _TAG_ORDER and len(encoded) > MAX_ORDER_ITEM_BYTES:
        message = f"order item: expected at most {MAX_ORDER_ITEM_BYTES} bytes, was {len(encoded)}"
        raise RemoteProtocolError("TYPE-4", message)
    item = _ITEM_READERS[tag](fields)
    fields.end()
    return item


def _signature(fields: Fields, name: str) -> Signature:
    return Signature(fields.fixed(name, 65))


def _delegation_from(fields: Fields) -> Item:
    return Delegation(
        owner=Address(fields.fixed("owner", 20)),
        session=Address(fields.fixed("session", 20)),
        peer_id=PeerId(fields.fixed("peer_id", 38)),
        encryption_key=fields.fixed("encryption_key", 32),
        session_signature=_signature(fields, "session_signature"),
        peer_signature=fields.fixed("peer_signature", 64),
    )


def _order_item_from(fields: Fields) -> Item:
    order = order_from(Fields(fields.array("order", most=U8_MAX), "order"))
    return OrderItem(signed=SignedOrder(order=order, signature=_signature(fields, "signature")))


def _cancel_from(fields: Fields) -> Item:
    return Cancel(order_id=OrderId(fields.fixed("order_id", 32)))


def _offer_from(fields: Fields) -> Item:
    return Offer(
        ticket=ticket_from(Fields(fields.array("ticket", most=U8_MAX), "ticket")),
        taker_signature=_signature(fields, "taker_signature"),
        ready_epoch=Epoch(fields.uint("ready_epoch")),
        ready_signature=_signature(fields, "ready_signature"),
    )


def _ticket_item_from(fields: Fields) -> Item:
    return TicketItem(
        ticket=ticket_from(Fields(fields.array("ticket", most=U8_MAX), "ticket")),
        taker_signature=_signature(fields, "taker_signature"),
        maker_signature=_signature(fields, "maker_signature"),
    )


def _decline_from(fields: Fields) -> Item:
    return DeclineItem(
        maker_order=OrderId(fields.fixed("maker_order", 32)),
        taker_order=OrderId(fields.fixed("taker_order", 32)),
        epoch=Epoch(fields.uint("epoch")),
        reason=DeclineReason(fields.uint("reason", least=min(DeclineReason), most=max(DeclineReason))),
    )


def _checkpoint_from(fields: Fields) -> Item:
    def hashes(name: str) -> tuple[Digest, ...]:
        found = fields.flat(name, lambda one: Digest(one.fixed("hash", 32)), most=MAX_LISTED)
        if any(low >= high for low, high in pairwise(found)):
            raise RemoteProtocolError("CBOR-5", f"checkpoint.{name}: expected ascending order without duplicates")
        return found

    return Checkpoint(
        next_nonce=fields.uint("next_nonce"),
        delegation=Digest(fields.fixed("delegation", 32)),
        live_orders=hashes("live_orders"),
        ended_orders=hashes("ended_orders"),
        offers=hashes("offers"),
        tickets=hashes("tickets"),
    )


_ITEM_READERS = {
    _TAG_DELEGATION: _delegation_from,
    _TAG_ORDER: _order_item_from,
    _TAG_CANCEL: _cancel_from,
    _TAG_OFFER: _offer_from,
    _TAG_TICKET: _ticket_item_from,
    _TAG_DECLINE: _decline_from,
    _TAG_CHECKPOINT: _checkpoint_from,
}


def entry_head(header: EntryHeader, signature: Signature) -> list[object]:
    """The signed fields of an entry with their signature: all of it but its items."""
    return [
        header.session,
        header.owner,
        header.market,
        header.seq,
        header.prev_hash,
        header.epoch,
        header.items_root,
        signature,
    ]


def entry_head_from(fields: Fields) -> tuple[EntryHeader, Signature]:
    """Read what `entry_head` wrote, not to the array's end."""
    header = EntryHeader(
        session=Address(fields.fixed("session", 20)),
        owner=Address(fields.fixed("owner", 20)),
        market=MarketId(fields.fixed("market", 32)),
        seq=fields.uint("seq"),
        prev_hash=Digest(fields.fixed("prev_hash", 32)),
        epoch=Epoch(fields.uint("epoch")),
        items_root=Digest(fields.fixed("items_root", 32)),
    )
    return header, _signature(fields, "signature")


def encode_entry(entry: Entry) -> bytes:
    """Encode a signed entry.

    Raises:
        LocalProtocolError: it has no items, more than 64, or exceeds 16 KiB.
    """
    if not 1 <= len(entry.item_bytes) <= MAX_ITEMS:
        raise LocalProtocolError("FEED-1", f"expected 1 to {MAX_ITEMS} items, was {len(entry.item_bytes)}")
    encoded = cbor.encode([*entry_head(entry.header, entry.signature), list(entry.item_bytes)])
    if len(encoded) > MAX_ENTRY_BYTES:
        raise LocalProtocolError("FEED-1", f"expected an entry of at most {MAX_ENTRY_BYTES} bytes, was {len(encoded)}")
    return encoded


def decode_entry(encoded: bytes) -> Entry:
    """Decode an entry and all its items; checks `items_root` but no signature.

    Raises:
        RemoteProtocolError: not an entry; the sender is to blame.
    """
    if len(encoded) > MAX_ENTRY_BYTES:
        raise RemoteProtocolError("FEED-1", f"expected an entry of at most {MAX_ENTRY_BYTES} bytes, was {len(encoded)}")
    fields = Fields(cbor.decode(encoded), "entry", length=9)
    header, signature = entry_head_from(fields)
    parts = fields.array("items", most=MAX_ITEMS, least=1)
    item_reader = Fields(parts, "entry.items")
    item_bytes = tuple(item_reader.bounded("item", most=MAX_ENTRY_BYTES) for _ in parts)
    if compute_items_root(item_bytes) != header.items_root:
        raise RemoteProtocolError("TYPE-4", "entry.items_root: expected the root of its items")
    items = tuple(decode_item(item) for item in item_bytes)
    return Entry(header=header, signature=signature, item_bytes=item_bytes, items=items)
