"""Frames of the ticket and sync streams to bytes and back, strictly.

Spec: protocol/spec/01-types.md [NET-2].
"""

from itertools import pairwise

from orrange_p2p.core import cbor
from orrange_p2p.core.cbor import Fields, Value
from orrange_p2p.core.codec import (
    MAX_ENTRY_BYTES,
    decode_item,
    encode_item,
    ticket_from,
    ticket_list,
)
from orrange_p2p.core.messages import (
    DeclineFrame,
    DeclineReason,
    GetRun,
    Head,
    Heads,
    Hello,
    LateOrders,
    Offer,
    OfferFrame,
    Prepare,
    Ready,
    Run,
    SyncMessage,
    TicketFrame,
    TicketItem,
    TicketMessage,
    View,
)
from orrange_p2p.core.types import (
    U8_MAX,
    Address,
    Digest,
    Epoch,
    MarketId,
    OrderId,
    Signature,
    TicketDigest,
)
from orrange_p2p.errors import RemoteProtocolError

MAX_TICKET_FRAME_BYTES = 16 * 1024
MAX_SYNC_FRAME_BYTES = 256 * 1024
MAX_SKIPS = 64
MAX_LATE = 256
MAX_ABSENT = 128
_MAX_MARKETS = 256
_MAX_HEADS = 4096
_MAX_RUN = 4096


def _late_list(late: LateOrders) -> list[object]:
    return [[order_id, epoch] for order_id, epoch in late]


def _late_from(fields: Fields) -> LateOrders:
    def pair(one: Fields) -> tuple[OrderId, Epoch]:
        found = (OrderId(one.fixed("order_id", 32)), Epoch(one.uint("effective_epoch")))
        one.end()
        return found

    late = fields.each("late", pair, most=MAX_LATE)
    _check_ascending([order_id for order_id, _ in late], "late")
    return late


def _absent_from(fields: Fields) -> tuple[Address, ...]:
    absent = fields.flat("absent", lambda one: Address(one.fixed("session", 20)), most=MAX_ABSENT)
    _check_ascending(list(absent), "absent")
    return absent


def _check_ascending(keys: list[OrderId] | list[Address] | list[MarketId], name: str) -> None:
    if any(low >= high for low, high in pairwise(keys)):
        raise RemoteProtocolError("CBOR-5", f"{name}: expected ascending order without duplicates")


def encode_ticket_message(message: TicketMessage) -> bytes:
    """Encode a frame of `/orrange/ticket/1`."""
    if isinstance(message, Prepare):
        return cbor.encode(
            [
                1,
                message.exchange,
                ticket_list(message.ticket),
                message.window_digest,
                list(message.skips),
                message.is_fallback,
                _late_list(message.late),
                list(message.absent),
            ]
        )
    if isinstance(message, View):
        late, absent = _late_list(message.late), list(message.absent)
        return cbor.encode([2, message.exchange, message.window_digest, late, absent])
    if isinstance(message, Ready):
        return cbor.encode([3, message.exchange, message.ticket_digest, message.ready_epoch, message.ready_signature])
    if isinstance(message, OfferFrame):
        return cbor.encode([4, message.exchange, encode_item(message.offer)])
    if isinstance(message, TicketFrame):
        return cbor.encode([5, message.exchange, encode_item(message.item)])
    return cbor.encode([6, message.exchange, int(message.reason)])


def decode_ticket_message(encoded: bytes) -> TicketMessage:
    """Decode a frame of `/orrange/ticket/1`.

    Raises:
        RemoteProtocolError: not such a frame; the sender is to blame.
    """
    fields = Fields(cbor.decode(encoded), "frame")
    kind = fields.uint("type", least=1, most=6)
    exchange = fields.uint("exchange")
    if kind == 1:
        message: TicketMessage = _prepare_from(fields, exchange)
    elif kind == 2:
        window_digest = Digest(fields.fixed("window_digest", 32))
        late = _late_from(fields)
        message = View(exchange=exchange, window_digest=window_digest, late=late, absent=_absent_from(fields))
    elif kind == 3:
        message = Ready(
            exchange=exchange,
            ticket_digest=TicketDigest(fields.fixed("ticket_digest", 32)),
            ready_epoch=Epoch(fields.uint("ready_epoch")),
            ready_signature=Signature(fields.fixed("ready_signature", 65)),
        )
    elif kind == 4:
        offer = decode_item(fields.bounded("offer", most=MAX_ENTRY_BYTES))
        if not isinstance(offer, Offer):
            raise RemoteProtocolError("CBOR-4", "frame.offer: expected an Offer item")
        message = OfferFrame(exchange=exchange, offer=offer)
    elif kind == 5:
        item = decode_item(fields.bounded("ticket", most=MAX_ENTRY_BYTES))
        if not isinstance(item, TicketItem):
            raise RemoteProtocolError("CBOR-4", "frame.ticket: expected a Ticket item")
        message = TicketFrame(exchange=exchange, item=item)
    else:
        reason = fields.uint("reason", least=min(DeclineReason), most=max(DeclineReason))
        message = DeclineFrame(exchange=exchange, reason=DeclineReason(reason))
    fields.end()
    return message


def _prepare_from(fields: Fields, exchange: int) -> Prepare:
    ticket = ticket_from(Fields(fields.array("ticket", most=U8_MAX), "ticket"))
    window_digest = Digest(fields.fixed("window_digest", 32))
    skips = fields.flat("skips", lambda one: Address(one.fixed("session", 20)), most=MAX_SKIPS)
    _check_ascending(list(skips), "skips")
    is_fallback = fields.boolean("fallback")
    return Prepare(
        exchange=exchange,
        ticket=ticket,
        window_digest=window_digest,
        skips=skips,
        is_fallback=is_fallback,
        late=_late_from(fields),
        absent=_absent_from(fields),
    )


def encode_sync_message(message: SyncMessage) -> bytes:
    """Encode a frame of `/orrange/sync/1`."""
    if isinstance(message, Hello):
        return cbor.encode([1, message.chain_id, message.settlement, list(message.markets)])
    if isinstance(message, Heads):
        heads = [[head.session, head.next_seq, head.head_hash] for head in message.heads]
        return cbor.encode([2, message.request, message.market, heads])
    if isinstance(message, GetRun):
        return cbor.encode([3, message.request, message.market, message.session, message.from_seq, message.to_seq])
    return cbor.encode([4, message.request, message.has_more, list(message.entries)])


def decode_sync_message(encoded: bytes) -> SyncMessage:
    """Decode a frame of `/orrange/sync/1`.

    Raises:
        RemoteProtocolError: not such a frame; the sender is to blame.
    """
    fields = Fields(cbor.decode(encoded), "frame")
    kind = fields.uint("type", least=1, most=4)
    if kind == 1:
        message: SyncMessage = _hello_from(fields)
    elif kind == 2:
        message = _heads_from(fields)
    elif kind == 3:
        message = GetRun(
            request=fields.uint("request"),
            market=MarketId(fields.fixed("market", 32)),
            session=Address(fields.fixed("session", 20)),
            from_seq=fields.uint("from_seq"),
            to_seq=fields.uint("to_seq"),
        )
    else:
        message = _run_from(fields)
    fields.end()
    return message


def _hello_from(fields: Fields) -> Hello:
    chain_id = fields.uint("chain_id")
    settlement = Address(fields.fixed("settlement", 20))
    markets = fields.flat("markets", lambda one: MarketId(one.fixed("market", 32)), most=_MAX_MARKETS)
    _check_ascending(list(markets), "markets")
    return Hello(chain_id=chain_id, settlement=settlement, markets=markets)


def _heads_from(fields: Fields) -> Heads:
    def head(one: Fields) -> Head:
        found = Head(
            session=Address(one.fixed("session", 20)),
            next_seq=one.uint("next_seq"),
            head_hash=Digest(one.fixed("head_hash", 32)),
        )
        one.end()
        return found

    request = fields.uint("request")
    market = MarketId(fields.fixed("market", 32))
    heads = fields.each("heads", head, most=_MAX_HEADS)
    _check_ascending([one.session for one in heads], "heads")
    return Heads(request=request, market=market, heads=heads)


def _run_from(fields: Fields) -> Run:
    request = fields.uint("request")
    has_more = fields.boolean("more")
    parts: list[Value] = fields.array("entries", most=_MAX_RUN)
    reader = Fields(parts, "run.entries")
    entries = tuple(reader.bounded("entry", most=MAX_ENTRY_BYTES) for _ in parts)
    return Run(request=request, has_more=has_more, entries=entries)
