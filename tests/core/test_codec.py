"""Entries, items, batches and frames: what is written reads back, and nothing else is read. Spec: 01-types."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orrange_p2p.core.codec import (
    MAX_ENTRY_BYTES,
    MAX_ITEMS,
    compute_items_root,
    decode_entry,
    decode_item,
    encode_entry,
    encode_item,
)
from orrange_p2p.core.frames import (
    MAX_SYNC_FRAME_BYTES,
    decode_sync_message,
    decode_ticket_message,
    encode_sync_message,
    encode_ticket_message,
)
from orrange_p2p.core.gossip_codec import (
    MAX_BATCH_ENTRIES,
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
from orrange_p2p.core.messages import (
    LAST_PLACE,
    Cancel,
    Checkpoint,
    Compare,
    DeclineFrame,
    DeclineItem,
    DeclineReason,
    Delegation,
    Differences,
    Entry,
    EntryHeader,
    GetProofs,
    GetRun,
    Head,
    Hello,
    Item,
    Listing,
    Offer,
    OfferFrame,
    OrderItem,
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
from orrange_p2p.core.peer_messages import (
    DefaultPointer,
    Entries,
    Evidence,
    Evidences,
    Fork,
    MarketHead,
    OverSigned,
    Presence,
    Presences,
    SignedHeader,
    SignedTicket,
)
from orrange_p2p.core.types import (
    U32_MAX,
    U64_MAX,
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
    TicketDigest,
    TicketKind,
    TimeInForce,
)
from orrange_p2p.errors import LocalProtocolError, RemoteProtocolError

MARKET = MarketId(b"\x4d" * 32)
SESSION, OWNER = Address(b"\x5e" * 20), Address(b"\x0f" * 20)
MAKER_ORDER, TAKER_ORDER = OrderId(b"\xaa" * 32), OrderId(b"\xbb" * 32)
SIGNATURE = Signature(b"\x51" * 64 + b"\x1b")
ORDER = Order(
    market=MARKET,
    owner=OWNER,
    session=SESSION,
    nonce=U64_MAX,
    side=Side.SELL,
    kind=OrderKind.PROTECTED_MARKET,
    price_ticks=1,
    quantity_lots=U64_MAX,
    tif=TimeInForce.GTD,
    expiry_s=1_900_000_000,
    post_only=True,
    min_tier=255,
    payment_methods=(U32_MAX, 0, 7, 1, 2, 3, 4, 5),
    arbitrators=(SESSION, OWNER),
    security=255,
)
TICKET = Ticket(
    maker_order=MAKER_ORDER,
    taker_order=TAKER_ORDER,
    price_ticks=300,
    maker_from=0,
    maker_to=23,
    taker_from=24,
    taker_to=47,
    epoch=Epoch(65536),
    deadline_s=1_900_000_000,
    ticket_nonce=0,
    kind=TicketKind.ESCROW,
    payment_method=U32_MAX,
    arbitrator=OWNER,
    security=3,
    group=Digest(b"\x67" * 32),
)
OFFER = Offer(ticket=TICKET, taker_signature=SIGNATURE, ready_epoch=Epoch(65536), ready_signature=SIGNATURE)
TICKET_ITEM = TicketItem(ticket=TICKET, taker_signature=SIGNATURE, maker_signature=SIGNATURE)
ITEMS: list[Item] = [
    Delegation(
        owner=OWNER,
        session=SESSION,
        peer_id=PeerId(b"\x00\x24\x08\x01\x12\x20" + b"\x70" * 32),
        encryption_key=b"\x65" * 32,
        session_signature=SIGNATURE,
        peer_signature=b"\x70" * 64,
    ),
    OrderItem(signed=SignedOrder(order=ORDER, signature=SIGNATURE)),
    Cancel(order_id=MAKER_ORDER),
    DeclineItem(maker_order=MAKER_ORDER, taker_order=TAKER_ORDER, epoch=Epoch(7), reason=DeclineReason.LATE),
    Checkpoint(
        next_nonce=U64_MAX,
        delegation=Digest(b"\x64" * 32),
        live_orders=(Digest(b"\x01" * 32), Digest(b"\x02" * 32)),
        ended_orders=(Digest(b"\x03" * 32),),
        offers=(),
        tickets=(Digest(bytes(32)),),
    ),
    OFFER,
    TICKET_ITEM,
]
LATE = ((OrderId(b"\x01" * 32), Epoch(7)), (OrderId(b"\x02" * 32), Epoch(6)))
TICKET_MESSAGES: list[TicketMessage] = [
    Prepare(exchange=0, ticket=TICKET, window_digest=Digest(b"\x77" * 32)),
    Prepare(
        exchange=U64_MAX,
        ticket=TICKET,
        window_digest=Digest(b"\x77" * 32),
        skips=(OWNER, SESSION),
        is_fallback=True,
        late=LATE,
    ),
    View(exchange=5, window_digest=Digest(b"\x77" * 32), late=LATE),
    Ready(exchange=5, ticket_digest=TicketDigest(b"\x7d" * 32), ready_epoch=Epoch(9), ready_signature=SIGNATURE),
    OfferFrame(exchange=5, offer=OFFER),
    TicketFrame(exchange=5, item=TICKET_ITEM),
    *(DeclineFrame(exchange=5, reason=reason) for reason in DeclineReason),
]
SYNC_MESSAGES: list[SyncMessage] = [
    Hello(chain_id=31337, settlement=SESSION, markets=()),
    Hello(chain_id=U64_MAX, settlement=SESSION, markets=(MARKET, MarketId(b"\x4e" * 32))),
    GetRun(request=1, market=MARKET, session=SESSION, from_seq=3, to_seq=9),
    Run(request=1, has_more=True, entries=(b"\x80", b"")),
    Compare(
        request=1,
        market=MARKET,
        salt=b"\x73" * 16,
        spans=(Span(bounds=(0, 2**152, 3 * 2**152), fingerprints=(b"\x01" * 8, b"\x02" * 8)),),
        listings=(
            Listing(low=3 * 2**152, high=3 * 2**152 + 1, ids=()),
            Listing(low=LAST_PLACE - 1, high=LAST_PLACE, ids=(b"\x03" * 8,)),
        ),
    ),
    Differences(
        request=1,
        reached=LAST_PLACE,
        spans=(Span(bounds=(0, 2**152), fingerprints=(b"\x01" * 8,)),),
        told=((2**152, LAST_PLACE - 1),),
        heads=(Head(session=SESSION, next_seq=9, head_hash=Digest(b"\x68" * 32)),),
        lacks=(b"\x03" * 8,),
    ),
    GetProofs(request=1, market=MARKET, session=SESSION),
    Proofs(request=1, proofs=(b"", b"\x01" * 8192)),
]


def make_entry(items: list[Item]) -> Entry:
    """An entry of these items with the right root."""
    item_bytes = tuple(encode_item(item) for item in items)
    header = EntryHeader(
        session=SESSION,
        owner=OWNER,
        market=MARKET,
        seq=U64_MAX,
        prev_hash=Digest(b"\x99" * 32),
        epoch=Epoch(255),
        items_root=compute_items_root(item_bytes),
    )
    return Entry(header=header, signature=SIGNATURE, item_bytes=item_bytes, items=tuple(items))


ENTRY = make_entry(ITEMS)
PRESENCE = Presence(
    session=SESSION,
    epoch=Epoch(9),
    heads=(MarketHead(market=MARKET, next_seq=3, head_hash=Digest(b"\x68" * 32)),),
    addresses=(b"\x04\x7f\x00\x00\x01",),
    signature=SIGNATURE,
)
EVIDENCE: list[Evidence] = [
    Fork(
        first=SignedHeader(header=ENTRY.header, signature=SIGNATURE),
        second=SignedHeader(header=replace(ENTRY.header, epoch=Epoch(256)), signature=SIGNATURE),
    ),
    OverSigned(
        session=SESSION,
        first=SignedTicket(ticket=TICKET_ITEM.ticket, signature=SIGNATURE, maker=ORDER, taker=ORDER),
        second=SignedTicket(ticket=TICKET_ITEM.ticket, signature=SIGNATURE, maker=ORDER, taker=ORDER),
    ),
    DefaultPointer(owner=OWNER, ticket=TicketDigest(b"\x77" * 32), block_number=5, block_hash=Digest(b"\x68" * 32)),
]
Decode = Callable[[bytes], object]
READ: list[tuple[Decode, bytes]] = [
    (decode_entry, encode_entry(ENTRY)),
    (decode_gossip, encode_gossip(Entries(entries=(encode_entry(ENTRY),) * 2))),
    (decode_gossip, encode_gossip(Presences(presences=(encode_presence(PRESENCE),)))),
    (decode_gossip, encode_gossip(Evidences(pieces=tuple(map(encode_evidence, EVIDENCE))))),
    (decode_presence, encode_presence(PRESENCE)),
    *((decode_evidence, encode_evidence(piece)) for piece in EVIDENCE),
    *((decode_item, encode_item(item)) for item in ITEMS),
    *((decode_ticket_message, encode_ticket_message(message)) for message in TICKET_MESSAGES),
    *((decode_sync_message, encode_sync_message(message)) for message in SYNC_MESSAGES),
]
WRITE: dict[Decode, Callable[[Any], bytes]] = {
    decode_entry: encode_entry,
    decode_gossip: encode_gossip,
    decode_presence: encode_presence,
    decode_evidence: encode_evidence,
    decode_item: encode_item,
    decode_ticket_message: encode_ticket_message,
    decode_sync_message: encode_sync_message,
}


def _rule(decode: Decode, encoded: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(encoded)
    return caught.value.rule


def _plain(item: Item) -> list[Any]:
    """The plain list that encodes to the same bytes."""
    listed: list[Any] = cbor2.loads(encode_item(item))
    return listed


@pytest.mark.parametrize(("decode", "encoded"), READ)
def test_every_field_that_is_missing_or_too_much_is_refused(decode: Decode, encoded: bytes) -> None:
    fields = cbor2.loads(encoded)
    for wrong in (fields[:-1], [*fields, 0], []):
        assert _rule(decode, cbor2.dumps(wrong)) == "CBOR-4"


@pytest.mark.parametrize(("decode", "encoded"), READ)
def test_every_field_of_another_type_or_size_is_refused(decode: Decode, encoded: bytes) -> None:
    fields = cbor2.loads(encoded)
    for at, field in enumerate(fields):
        for wrong in _misfits(field):
            changed = [*fields[:at], wrong, *fields[at + 1 :]]
            assert _rule(decode, cbor2.dumps(changed)) in ("CBOR-2", "CBOR-4", "TYPE-4")


def _misfits(field: object) -> list[object]:
    """Values that stand for no field like this one."""
    if isinstance(field, bool):
        return [0, b"", []]
    if isinstance(field, int):
        return [b"\x01", [field], True]
    if isinstance(field, bytes):
        return [0, field + b"\x00", field[:-1], [field], False] if field else [0, False]
    return [0, b"\x80", True]


@pytest.mark.parametrize(("decode", "encoded"), READ)
@pytest.mark.parametrize("junk", [b"", b"\x00", b"\xf4", b"\x40", b"\xa0", b"\xf6", b"\xff" * 8, b"\x9f\xff"])
def test_junk_and_trailing_bytes_are_refused(decode: Decode, encoded: bytes, junk: bytes) -> None:
    _rule(decode, junk)
    if junk:
        assert _rule(decode, encoded + junk) in ("CBOR-2", "FEED-1")


@pytest.mark.parametrize(("decode", "encoded"), READ)
def test_what_is_written_reads_back(decode: Decode, encoded: bytes) -> None:
    assert WRITE[decode](decode(encoded)) == encoded


@pytest.mark.parametrize(("decode", "encoded"), READ)
@given(changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=3))
@example(changes=[(0, 0x80)])
def test_changed_bytes_are_refused_or_mean_something_else(
    decode: Decode, encoded: bytes, changes: list[tuple[int, int]]
) -> None:
    changed = bytearray(encoded)
    for at, byte in changes:
        changed[at % len(changed)] = byte
    try:
        value = decode(bytes(changed))
    except RemoteProtocolError:
        return
    assert WRITE[decode](value) == bytes(changed)


@pytest.mark.parametrize(
    ("at", "wrong"),
    [
        (0, b"\x00" * 31),  # market
        (3, -1),  # nonce
        (4, 2),  # side
        (5, 2),  # kind
        (6, 0),  # price_ticks
        (7, 0),  # quantity_lots
        (8, 5),  # tif
        (9, 2**64),  # expiry
        (10, 1),  # post_only
        (11, 256),  # min_tier
        (12, [2**32]),  # payment_methods
        (12, [1, 2, 1]),
        (12, list(range(9))),
        (13, [bytes(19)]),  # arbitrators
        (13, [bytes(20), bytes(20)]),
        (13, [bytes([number]) * 20 for number in range(9)]),
        (14, 256),  # security
    ],
)
def test_an_order_field_out_of_range_is_refused(at: int, wrong: object) -> None:
    tag, order, signature = _plain(ITEMS[1])
    order[at] = wrong
    assert _rule(decode_item, cbor2.dumps([tag, order, signature])).startswith("CBOR-")


@pytest.mark.parametrize(("at", "wrong"), [(2, -1), (10, 2), (11, 2**32), (12, b""), (13, 256), (14, bytes(31))])
def test_a_ticket_field_out_of_range_is_refused(at: int, wrong: object) -> None:
    tag, ticket, *signatures = _plain(TICKET_ITEM)
    ticket[at] = wrong
    assert _rule(decode_item, cbor2.dumps([tag, ticket, *signatures])).startswith("CBOR-")


@pytest.mark.parametrize("tag", [0, 6, 7, 8, 255])
def test_an_item_tag_without_rules_yet_is_refused(tag: int) -> None:
    assert _rule(decode_item, cbor2.dumps([tag, MAKER_ORDER])) == "CBOR-4"


@pytest.mark.parametrize(("decode", "kinds"), [(decode_ticket_message, 6), (decode_sync_message, 4)])
def test_a_frame_type_that_does_not_exist_is_refused(decode: Decode, kinds: int) -> None:
    for kind in (0, kinds + 1):
        assert _rule(decode, cbor2.dumps([kind, 1, 2])) == "CBOR-4"


@pytest.mark.parametrize("reason", [0, 7])
def test_a_decline_without_a_reason_is_refused(reason: int) -> None:
    assert _rule(decode_ticket_message, cbor2.dumps([6, 1, reason])) == "CBOR-4"


def test_an_offer_frame_carries_an_offer_and_a_ticket_frame_a_ticket() -> None:
    assert _rule(decode_ticket_message, cbor2.dumps([4, 1, encode_item(TICKET_ITEM)])) == "CBOR-4"
    assert _rule(decode_ticket_message, cbor2.dumps([5, 1, encode_item(OFFER)])) == "CBOR-4"


UNSORTED: list[tuple[Decode, list[Any]]] = [
    (decode_ticket_message, [1, 1, _plain(OFFER)[1], bytes(32), [SESSION, OWNER], False, []]),
    (decode_ticket_message, [1, 1, _plain(OFFER)[1], bytes(32), [OWNER, OWNER], False, []]),
    (decode_ticket_message, [2, 1, bytes(32), [[TAKER_ORDER, 1], [MAKER_ORDER, 1]]]),
    (decode_ticket_message, [2, 1, bytes(32), [[MAKER_ORDER, 1], [MAKER_ORDER, 2]]]),
    (decode_sync_message, [1, 1, SESSION, [MARKET, MARKET]]),
    (decode_sync_message, [6, 1, b"", [], [], [[SESSION, 1, bytes(32)], [OWNER, 1, bytes(32)]], []]),
    (decode_sync_message, [6, 1, b"", [], [], [[OWNER, 1, bytes(32)], [OWNER, 2, bytes(32)]], []]),
]


@pytest.mark.parametrize(("decode", "fields"), UNSORTED)
def test_a_list_that_is_not_sorted_or_says_something_twice_is_refused(decode: Decode, fields: list[Any]) -> None:
    assert _rule(decode, cbor2.dumps(fields)) == "CBOR-5"


def test_an_entry_whose_root_is_not_that_of_its_items_is_refused() -> None:
    other = replace(ENTRY, item_bytes=ENTRY.item_bytes[::-1])
    assert _rule(decode_entry, encode_entry(other)) == "TYPE-4"


def test_an_entry_with_an_unknown_item_is_refused_whole() -> None:
    unknown = cbor2.dumps([7, [], [], []])
    item_bytes = (*ENTRY.item_bytes, unknown)
    header = replace(ENTRY.header, items_root=compute_items_root(item_bytes))
    assert _rule(decode_entry, encode_entry(replace(ENTRY, header=header, item_bytes=item_bytes))) == "CBOR-4"


@pytest.mark.parametrize("count", [0, MAX_ITEMS + 1])
def test_an_entry_of_no_items_or_too_many_is_neither_written_nor_read(count: int) -> None:
    entry = make_entry([Cancel(order_id=MAKER_ORDER)] * count)
    with pytest.raises(LocalProtocolError, match=f"expected 1 to {MAX_ITEMS} items, was {count}"):
        encode_entry(entry)
    *head, _ = cbor2.loads(encode_entry(ENTRY))
    head[6] = entry.header.items_root
    assert _rule(decode_entry, cbor2.dumps([*head, list(entry.item_bytes)])) == "CBOR-4"


def test_an_entry_of_most_items_is_written_and_read() -> None:
    entry = make_entry([Cancel(order_id=MAKER_ORDER)] * MAX_ITEMS)
    assert decode_entry(encode_entry(entry)) == entry


def test_an_entry_beyond_16_kib_is_neither_written_nor_read() -> None:
    entry = make_entry([TICKET_ITEM] * 60)
    with pytest.raises(LocalProtocolError, match=f"at most {MAX_ENTRY_BYTES} bytes"):
        encode_entry(entry)
    assert _rule(decode_entry, bytes(MAX_ENTRY_BYTES + 1)) == "FEED-1"


def test_a_batch_of_no_entries_too_many_or_too_large_is_neither_written_nor_read() -> None:
    for entries in ((), (b"\x00",) * (MAX_BATCH_ENTRIES + 1), (bytes(MAX_ENTRY_BYTES),) * 4):
        with pytest.raises(LocalProtocolError, match="NET-1"):
            encode_gossip(Entries(entries=entries))
        _rule(decode_gossip, cbor2.dumps([1, list(entries)]))
    assert _rule(decode_gossip, bytes(MAX_GOSSIP_BYTES + 1)) == "NET-1"


def test_a_gossip_message_of_another_kind_is_refused() -> None:
    for kind in (0, 4):
        assert _rule(decode_gossip, cbor2.dumps([kind, [b"\x00"]])) == "CBOR-4"


def test_a_batch_keeps_the_order_of_its_entries_and_does_not_look_inside() -> None:
    message = Entries(entries=(b"\x02", b"\x01", b"\x02"))
    assert decode_gossip(encode_gossip(message)) == message


@pytest.mark.parametrize("kind", [2, 3])
def test_presences_and_evidence_have_their_own_sizes(kind: int) -> None:
    most = {2: MAX_PRESENCE_BYTES, 3: MAX_EVIDENCE_BYTES}[kind]
    assert _rule(decode_gossip, cbor2.dumps([kind, [bytes(most + 1)]])) == "CBOR-4"
    assert _rule(decode_gossip, cbor2.dumps([kind, [b"\x00"] * 65])) == "CBOR-4"
    decode = {2: decode_presence, 3: decode_evidence}[kind]
    assert _rule(decode, bytes(most + 1)) in ("PEER-1", "EVID-5")


def test_a_presence_with_heads_falling_or_an_empty_address_is_refused() -> None:
    fields = cbor2.loads(encode_presence(PRESENCE))
    assert _rule(decode_presence, cbor2.dumps([*fields[:2], fields[2] * 2, *fields[3:]])) == "CBOR-5"
    assert _rule(decode_presence, cbor2.dumps([*fields[:3], [b""], fields[4]])) == "CBOR-4"


def test_a_checkpoint_with_a_list_that_falls_is_refused() -> None:
    low, high = bytes(32), b"\x01" * 32
    for at in range(4):
        lists: list[list[bytes]] = [[], [], [], []]
        lists[at] = [high, low]
        assert _rule(decode_item, cbor2.dumps([7, 0, low, *lists])) == "CBOR-5"


def test_a_checkpoint_lists_256_hashes_and_no_more() -> None:
    hashes = [number.to_bytes(32, "big") for number in range(257)]
    decode_item(cbor2.dumps([7, 0, bytes(32), hashes[:256], [], [], []]))
    assert _rule(decode_item, cbor2.dumps([7, 0, bytes(32), hashes, [], [], []])) == "CBOR-4"


def test_a_run_has_257_bodies_and_no_more() -> None:
    run = [4, 1, False, [b"entry"], [b"body"] * 257]
    message = decode_sync_message(cbor2.dumps(run))
    assert isinstance(message, Run)
    assert len(message.bodies) == 257
    assert _rule(decode_sync_message, cbor2.dumps([*run[:4], [b"body"] * 258])) == "CBOR-4"


WORST_FINGERPRINTS = tuple(number.to_bytes(8, "big") for number in range(1024))
WORST_PLACES = tuple(2**160 - 4096 + number for number in range(1025))
WORST_RANGES = tuple(pairwise(WORST_PLACES))


def worst_spans(count: int) -> tuple[Span, ...]:
    """As many ranges in the longest form there is: each in its own Span."""
    return tuple(
        Span(bounds=bounds, fingerprints=(fingerprint,))
        for bounds, fingerprint in zip(WORST_RANGES[:count], WORST_FINGERPRINTS, strict=False)
    )


@pytest.mark.parametrize("spans", [0, 512, 1024])
def test_the_longest_frames_of_reconciliation_fit(spans: int) -> None:
    """Spec: [SYNC-12], [SYNC-13], [SYNC-15]."""
    rest, ids = WORST_RANGES[spans:], tuple(WORST_FINGERPRINTS) * 4
    listings = tuple(
        Listing(low=low, high=high, ids=ids if number == 0 else ()) for number, (low, high) in enumerate(rest)
    )
    asked = Compare(request=U64_MAX, market=MARKET, salt=b"\1" * 16, spans=worst_spans(spans), listings=listings)
    heads = tuple(
        Head(session=Address((2**159 + number).to_bytes(20, "big")), next_seq=U64_MAX, head_hash=Digest(b"\1" * 32))
        for number in range(2048)
    )
    answer = Differences(
        request=U64_MAX, reached=LAST_PLACE - 1, spans=worst_spans(spans), told=rest, heads=heads, lacks=ids
    )
    for message in (asked, answer):
        encoded = encode_sync_message(message)
        assert len(encoded) <= MAX_SYNC_FRAME_BYTES
        assert decode_sync_message(encoded) == message


def test_proofs_are_never_too_long() -> None:
    """Spec: [SYNC-18]."""
    message = Proofs(request=U64_MAX, proofs=(b"\xff" * 8192,) * 16)
    assert len(encode_sync_message(message)) <= MAX_SYNC_FRAME_BYTES
