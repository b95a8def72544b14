"""Frames of the ticket and sync streams to bytes and back, strictly.

Spec: protocol/spec/01-types.md [NET-2].
"""

from collections.abc import Callable
from itertools import pairwise

from orrange_p2p.core import cbor
from orrange_p2p.core.cbor import Fields, Value
from orrange_p2p.core.codec import (
    MAX_ENTRY_BYTES,
    MAX_LISTED,
    decode_item,
    encode_item,
    ticket_from,
    ticket_list,
)
from orrange_p2p.core.messages import (
    LAST_PLACE,
    Compare,
    DeclineFrame,
    DeclineReason,
    Differences,
    GetProofs,
    GetRun,
    Head,
    Hello,
    LateOrders,
    Listing,
    Offer,
    OfferFrame,
    Prepare,
    Proofs,
    Ready,
    Run,
    Span,
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
MAX_RANGES = 1024
MAX_IDS = 4096
MAX_TOLD_HEADS = 2048
MAX_PROOFS = 16
MAX_PROOF_BYTES = 8 * 1024
SALT_BYTES = 16
FINGERPRINT_BYTES = 8
_MAX_MARKETS = 256
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
    if isinstance(message, GetRun):
        return cbor.encode([3, message.request, message.market, message.session, message.from_seq, message.to_seq])
    if isinstance(message, Run):
        return cbor.encode([4, message.request, message.has_more, list(message.entries), list(message.bodies)])
    if isinstance(message, Compare):
        listings = [[_place(one.low), _place(one.high), list(one.ids)] for one in message.listings]
        return cbor.encode([5, message.request, message.market, message.salt, _span_list(message.spans), listings])
    if isinstance(message, Differences):
        return cbor.encode(
            [
                6,
                message.request,
                _place(message.reached),
                _span_list(message.spans),
                [[_place(low), _place(high)] for low, high in message.told],
                [[head.session, head.next_seq, head.head_hash] for head in message.heads],
                list(message.lacks),
            ]
        )
    if isinstance(message, GetProofs):
        return cbor.encode([7, message.request, message.market, message.session])
    return cbor.encode([8, message.request, list(message.proofs)])


def _place(place: int) -> bytes:
    """A place in its shortest form; the first and the one behind all are both empty. Spec: [SYNC-11]."""
    return place.to_bytes(21, "big")[1:].rstrip(b"\x00")


def _span_list(spans: tuple[Span, ...]) -> list[object]:
    return [[[_place(place) for place in span.bounds], list(span.fingerprints)] for span in spans]


def decode_sync_message(encoded: bytes) -> SyncMessage:
    """Decode a frame of `/orrange/sync/1`.

    Raises:
        RemoteProtocolError: not such a frame; the sender is to blame.
    """
    fields = Fields(cbor.decode(encoded), "frame")
    read = _SYNC_READERS.get(fields.uint("type"))
    if read is None:
        raise RemoteProtocolError("CBOR-4", "frame: expected a sync frame of a known type")
    message = read(fields)
    fields.end()
    return message


def _hello_from(fields: Fields) -> Hello:
    chain_id = fields.uint("chain_id")
    settlement = Address(fields.fixed("settlement", 20))
    markets = fields.flat("markets", lambda one: MarketId(one.fixed("market", 32)), most=_MAX_MARKETS)
    _check_ascending(list(markets), "markets")
    return Hello(chain_id=chain_id, settlement=settlement, markets=markets)


def _get_run_from(fields: Fields) -> GetRun:
    return GetRun(
        request=fields.uint("request"),
        market=MarketId(fields.fixed("market", 32)),
        session=Address(fields.fixed("session", 20)),
        from_seq=fields.uint("from_seq"),
        to_seq=fields.uint("to_seq"),
    )


def _run_from(fields: Fields) -> Run:
    request = fields.uint("request")
    has_more = fields.boolean("more")
    parts: list[Value] = fields.array("entries", most=_MAX_RUN)
    reader = Fields(parts, "run.entries")
    entries = tuple(reader.bounded("entry", most=MAX_ENTRY_BYTES) for _ in parts)
    listed: list[Value] = fields.array("bodies", most=1 + MAX_LISTED)
    reader = Fields(listed, "run.bodies")
    bodies = tuple(reader.bounded("body", most=MAX_ENTRY_BYTES) for _ in listed)
    return Run(request=request, has_more=has_more, entries=entries, bodies=bodies)


def _compare_from(fields: Fields) -> Compare:
    request = fields.uint("request")
    market = MarketId(fields.fixed("market", 32))
    salt = fields.fixed("salt", SALT_BYTES)
    spans = _spans_from(fields)
    listings = fields.each("listings", _listing_from, most=MAX_RANGES)
    _check_apart([(one.low, one.high) for one in listings], "listings")
    _check_most(sum(len(one.fingerprints) for one in spans) + len(listings), MAX_RANGES, "ranges")
    _check_most(sum(len(one.ids) for one in listings), MAX_IDS, "ids")
    return Compare(request=request, market=market, salt=salt, spans=spans, listings=listings)


def _differences_from(fields: Fields) -> Differences:
    request = fields.uint("request")
    reached = _high_from(fields, "reached")
    spans = _spans_from(fields)
    told = fields.each("told", _range_from, most=MAX_RANGES)
    _check_apart(list(told), "told")
    _check_most(sum(len(one.fingerprints) for one in spans) + len(told), MAX_RANGES, "ranges")
    heads = fields.each("heads", _told_head_from, most=MAX_TOLD_HEADS)
    _check_ascending([one.session for one in heads], "heads")
    lacks = fields.flat("lacks", lambda one: one.fixed("id", FINGERPRINT_BYTES), most=MAX_IDS)
    return Differences(request=request, reached=reached, spans=spans, told=told, heads=heads, lacks=lacks)


def _told_head_from(fields: Fields) -> Head:
    head = Head(
        session=Address(fields.fixed("session", 20)),
        next_seq=fields.uint("next_seq", least=1),
        head_hash=Digest(fields.fixed("head_hash", 32)),
    )
    fields.end()
    return head


def _spans_from(fields: Fields) -> tuple[Span, ...]:
    spans = fields.each("spans", _span_from, most=MAX_RANGES)
    _check_apart([(span.bounds[0], span.bounds[-1]) for span in spans], "spans")
    return spans


def _span_from(fields: Fields) -> Span:
    values = fields.array("bounds", least=2, most=MAX_RANGES + 1)
    reader = Fields(values, "span.bounds")
    inner = [_low_from(reader, "bound") for _ in values[1:]]
    bounds = (*inner, _high_from(reader, "bound"))
    fingerprints = fields.flat("fingerprints", lambda one: one.fixed("fingerprint", FINGERPRINT_BYTES), most=MAX_RANGES)
    fields.end()
    if len(bounds) != len(fingerprints) + 1 or any(low >= high for low, high in pairwise(bounds)):
        raise RemoteProtocolError("SYNC-11", "span: expected ascending bounds, one more than fingerprints")
    return Span(bounds=bounds, fingerprints=fingerprints)


def _listing_from(fields: Fields) -> Listing:
    low, high = _low_from(fields, "low"), _high_from(fields, "high")
    ids = fields.flat("ids", lambda one: one.fixed("id", FINGERPRINT_BYTES), most=MAX_IDS)
    fields.end()
    return Listing(low=low, high=high, ids=ids)


def _range_from(fields: Fields) -> tuple[int, int]:
    low, high = _low_from(fields, "low"), _high_from(fields, "high")
    fields.end()
    return low, high


def _low_from(fields: Fields, name: str) -> int:
    encoded = fields.bounded(name, most=20)
    if encoded.endswith(b"\x00"):
        raise RemoteProtocolError("SYNC-11", f"{name}: expected the shortest form, was zeros at the end")
    return int.from_bytes(encoded.ljust(20, b"\x00"), "big")


def _high_from(fields: Fields, name: str) -> int:
    """The end of a range: empty stands for the place behind every session."""
    return _low_from(fields, name) or LAST_PLACE


def _check_apart(ranges: list[tuple[int, int]], name: str) -> None:
    ends = [place for low, high in ranges for place in (low, high)]
    if any(low >= high for low, high in ranges) or any(left > right for left, right in pairwise(ends)):
        raise RemoteProtocolError("SYNC-11", f"{name}: expected ranges that ascend and do not overlap")


def _check_most(count: int, most: int, name: str) -> None:
    if count > most:
        raise RemoteProtocolError("SYNC-15", f"expected at most {most} {name} in a frame, was {count}")


def _get_proofs_from(fields: Fields) -> GetProofs:
    return GetProofs(
        request=fields.uint("request"),
        market=MarketId(fields.fixed("market", 32)),
        session=Address(fields.fixed("session", 20)),
    )


def _proofs_from(fields: Fields) -> Proofs:
    request = fields.uint("request")
    proofs = fields.flat("proofs", lambda one: one.bounded("proof", most=MAX_PROOF_BYTES), most=MAX_PROOFS)
    return Proofs(request=request, proofs=proofs)


_SYNC_READERS: dict[int, Callable[[Fields], SyncMessage]] = {
    1: _hello_from,
    3: _get_run_from,
    4: _run_from,
    5: _compare_from,
    6: _differences_from,
    7: _get_proofs_from,
    8: _proofs_from,
}
