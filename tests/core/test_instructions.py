"""Payment instructions: frames, boxes, who may send what, what replaces what. Spec: [DM-1..3]."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_world import RULES, Peer, World

from orrange_p2p.core.direct_frames import (
    MAX_TEXT_BYTES,
    decode_boxed,
    decode_direct_message,
    encode_boxed,
    encode_direct_message,
    find_fault,
)
from orrange_p2p.core.instructions import (
    DELIVERY_MS,
    MAX_TICKETS,
    InstructionBook,
    InstructionRecord,
    Parties,
    Party,
    find_parties,
)
from orrange_p2p.core.messages import Instructions, Receipt
from orrange_p2p.core.types import Address, PeerId, Side, SignedTrade, TicketDigest, TicketKind
from orrange_p2p.core.verdicts import Accept, Ignore, Reject
from orrange_p2p.errors import OrderError, RemoteProtocolError
from protocol.reference import direct
from protocol.reference.cbor import RefusedError

TICKET, OTHER = TicketDigest(b"\1" * 32), TicketDigest(b"\2" * 32)
BUYER = Party(session=Address(b"\1" * 20), peer=PeerId(b"\1" * 38), encryption_key=b"\1" * 32)
SELLER = Party(session=Address(b"\2" * 20), peer=PeerId(b"\2" * 38), encryption_key=b"\2" * 32)
THIRD = PeerId(b"\3" * 38)
PARTIES = Parties(buyer=BUYER, seller=SELLER)
TEXT = "IBAN DE00 1234\nreference 7"
GOOD = [
    encode_direct_message(Instructions(ticket_digest=TICKET, version=3, box=bytes(90))),
    encode_direct_message(Receipt(ticket_digest=TICKET, version=3)),
]


@pytest.mark.parametrize("encoded", GOOD)
def test_a_frame_short_long_or_of_another_type_is_refused(encoded: bytes) -> None:
    kinds = {1: b"\x00", 2: b"\x03", 3: b"\x18\x63", 4: b"\x41\x01", 5: b"\xf5"}
    spoilt = [encoded[:cut] for cut in range(len(encoded))] + [encoded + b"\x00", bytes([encoded[0] + 1]) + encoded[1:]]
    spoilt += [encoded[:1] + kind + encoded[2:] for kind in kinds.values()]
    for one in spoilt:
        with pytest.raises(RemoteProtocolError):
            decode_direct_message(one)


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_a_frame_that_is_written_the_same(encoded: bytes) -> None:
    try:
        message = decode_direct_message(encoded)
    except RemoteProtocolError:
        return
    assert encode_direct_message(message) == encoded


TEXTS = st.one_of(st.text(max_size=40), st.text(st.sampled_from("a\n\t\x00\x1b\x7f\x85\xa0€"), max_size=6))


@given(TEXTS, st.integers(0, 3), st.integers(0, 3))
def test_a_boxs_text_is_read_as_the_reference_reads_it(text: str, version: int, framed: int) -> None:
    plain = encode_boxed(TICKET, version, text.encode(errors="ignore").decode())
    writer, reader = direct.PrivateKey(b"\1" * 32), direct.PrivateKey(b"\2" * 32)
    box = bytes(direct.Box(writer, reader.public_key).encrypt(plain, bytes(24)))
    expected, found = None, None
    try:
        expected = direct.open_box(bytes(reader), bytes(writer.public_key), TICKET, framed, box)
    except RefusedError as error:
        assert error.rule == "DM-1"
    try:
        found = decode_boxed(plain, TICKET, framed)
    except RemoteProtocolError as error:
        assert error.rule == "DM-1"
    assert found == expected


@given(st.binary(max_size=80))
def test_garbage_in_a_box_is_refused_by_the_rule_of_boxes_and_not_shown(plain: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        decode_boxed(plain, TICKET, 1)
    assert raised.value.rule == "DM-1"


@pytest.mark.parametrize(
    "text", ["", "x" * (MAX_TEXT_BYTES + 1), "€" * 342, "\x00", "a\tb", "\x1b[2J", "\x7f", "\x9b1m"]
)
def test_a_text_with_a_fault_is_neither_written_nor_read_nor_shown(text: str) -> None:
    assert find_fault(text) is not None
    with pytest.raises(OrderError) as refused:
        InstructionBook(SELLER.session).write(PARTIES, TICKET, f"secret{text}" if text else "", 0)
    assert "secret" not in f"{refused.value} {refused.value.value}"
    with pytest.raises(RemoteProtocolError):
        decode_boxed(encode_boxed(TICKET, 1, text), TICKET, 1)


def test_half_a_surrogate_pair_is_no_text() -> None:
    assert find_fault("a\ud800b") == "expected UTF-8, was half a surrogate pair as character 2"


def test_the_longest_text_is_one() -> None:
    assert find_fault("x" * MAX_TEXT_BYTES) is None
    assert decode_boxed(encode_boxed(TICKET, 16, "x" * MAX_TEXT_BYTES), TICKET, 16) == "x" * MAX_TEXT_BYTES


@pytest.mark.parametrize(
    ("own", "parties", "source", "verdict"),
    [
        (BUYER.session, PARTIES, SELLER.peer, Accept()),
        (BUYER.session, PARTIES, THIRD, Reject("DM-2")),
        (BUYER.session, PARTIES, BUYER.peer, Reject("DM-2")),
        (SELLER.session, PARTIES, BUYER.peer, Reject("DM-2")),
        (SELLER.session, PARTIES, SELLER.peer, Reject("DM-2")),
        (BUYER.session, None, SELLER.peer, Ignore("DM-2")),
        (BUYER.session, None, THIRD, Ignore("DM-2")),
    ],
)
def test_only_the_sellers_peer_may_tell_the_buyer(
    own: Address, parties: Parties | None, source: PeerId, verdict: object
) -> None:
    assert InstructionBook(own).judge(parties, source) == verdict


def receive(book: InstructionBook, version: int, text: str, now_ms: int, ticket: TicketDigest = TICKET) -> bool:
    """Take and keep; whether it changed anything."""
    record = book.take(ticket, version, text, now_ms)
    if record is not None:
        book.keep_received(record)
    return record is not None


@given(st.lists(st.tuples(st.integers(1, 16), st.sampled_from("abc")), max_size=20))
def test_the_highest_version_is_held_and_of_one_version_the_first(told: list[tuple[int, str]]) -> None:
    book, held = InstructionBook(BUYER.session), 0
    first: dict[int, str] = {}
    for version, text in told:
        is_new = receive(book, version, text, 0)
        assert is_new == (version > held)
        if is_new:
            first[version] = text
        held = direct.answer("buyer", is_from_seller=True, held=held, version=version)
        record = book.received(TICKET)
        assert (record.version, record.text, record.receipt) == (held, first[held], held)


def test_nothing_is_held_before_it_is_said_to_be_on_disk() -> None:
    book = InstructionBook(BUYER.session)
    assert book.take(TICKET, 1, TEXT, 0) is not None
    assert book.received(TICKET) is None
    assert InstructionBook(SELLER.session).write(PARTIES, TICKET, TEXT, 0).version == 1
    assert book.written(TICKET) is None


def write(book: InstructionBook, text: str, now_ms: int = 0, ticket: TicketDigest = TICKET) -> InstructionRecord:
    """Write and keep."""
    record = book.write(PARTIES, ticket, text, now_ms)
    book.keep_written(record)
    return record


@pytest.mark.parametrize(("own", "parties"), [(BUYER.session, PARTIES), (SELLER.session, None)])
def test_nobody_but_the_seller_of_a_complete_ticket_writes(own: Address, parties: Parties | None) -> None:
    book = InstructionBook(own)
    with pytest.raises(OrderError) as refused:
        book.write(parties, TICKET, TEXT, 0)
    assert (refused.value.field, refused.value.rule) == ("ticket", "DM-2")
    assert book.due(0) == ()


def test_an_amendment_is_the_next_version_and_the_same_again_is_none() -> None:
    book = InstructionBook(SELLER.session)
    assert write(book, TEXT, 5).version == 1
    assert write(book, TEXT, 6) == book.written(TICKET)
    assert book.written(TICKET).since_ms == 5
    assert write(book, "other", 7).version == 2
    assert [record.version for record in book.due(8)] == [2]


def test_the_seventeenth_version_is_refused() -> None:
    book = InstructionBook(SELLER.session)
    for number in range(16):
        write(book, f"text {number}")
    with pytest.raises(OrderError) as refused:
        book.write(PARTIES, TICKET, "text 16", 0)
    assert refused.value.rule == "DM-3"
    assert write(book, "text 15").version == 16


@pytest.mark.parametrize("receipt", [Receipt(ticket_digest=OTHER, version=2), Receipt(ticket_digest=TICKET, version=1)])
def test_a_receipt_of_something_else_is_refused_and_delivers_nothing(receipt: Receipt) -> None:
    book = InstructionBook(SELLER.session)
    write(book, "first")
    sent = write(book, "second")
    with pytest.raises(RemoteProtocolError) as refused:
        book.confirm(sent, receipt)
    assert refused.value.rule == "DM-3"
    assert book.due(0) == (sent,)


def test_a_receipt_of_what_was_amended_meanwhile_leaves_the_amendment_due() -> None:
    book = InstructionBook(SELLER.session)
    sent = write(book, "first")
    write(book, "second")
    kept = book.confirm(sent, Receipt(ticket_digest=TICKET, version=1))
    book.keep_written(kept)
    assert (kept.text, kept.version, kept.receipt, kept.is_delivered) == ("second", 2, 1, False)
    assert book.due(0) == (kept,)
    assert book.confirm(sent, Receipt(ticket_digest=TICKET, version=1)) is None


def test_a_seller_that_lost_its_versions_writes_above_what_the_buyer_holds() -> None:
    book = InstructionBook(SELLER.session)
    sent = write(book, "after the loss")
    book.keep_written(book.confirm(sent, Receipt(ticket_digest=TICKET, version=4)))
    assert book.due(0) == ()
    assert write(book, "after the loss").version == 5
    assert [record.version for record in book.due(0)] == [5]


def test_delivery_is_given_up_after_thirty_days_and_the_longest_waiting_goes_first() -> None:
    book = InstructionBook(SELLER.session)
    late, early = write(book, "a", 9, OTHER), write(book, "b", 5)
    assert book.due(10) == (early, late)
    assert book.due(DELIVERY_MS + 5) == (early, late)
    assert book.due(DELIVERY_MS + 6) == (late,)
    assert write(book, "b", DELIVERY_MS + 5).version == 1
    assert write(book, "b", DELIVERY_MS + 6).version == 2
    assert [record.ticket for record in book.due(DELIVERY_MS + 9)] == [OTHER, TICKET]


def test_the_oldest_ticket_makes_room_and_its_place_is_taken() -> None:
    book = InstructionBook(BUYER.session)
    tickets = [TicketDigest(number.to_bytes(32, "big")) for number in range(MAX_TICKETS + 1)]
    for number, ticket in enumerate(tickets[:-1]):
        receive(book, 1, TEXT, number, ticket)
    slots = [book.received(ticket).slot for ticket in tickets[:-1]]
    assert sorted(slots) == list(range(MAX_TICKETS))
    receive(book, 2, TEXT, MAX_TICKETS, tickets[0])  # an amendment makes a ticket young again, in its own place
    receive(book, 1, TEXT, MAX_TICKETS + 1, tickets[-1])
    assert book.received(tickets[0]).slot == slots[0]
    assert book.received(tickets[1]) is None
    assert book.received(tickets[-1]).slot == slots[1]


# Of tickets that kernels agreed on

WITH_ESCROW = replace(RULES, has_escrow=True)


def agreed(kind: TicketKind) -> tuple[SignedTrade, Peer, Peer, World]:
    """A complete ticket, its maker, which sells, and its taker, which buys."""
    world = World(3, seed=2, rules=WITH_ESCROW)
    maker, taker, _ = world.peers
    escrow = {"security": 2, "payment_methods": (8, 7), "arbitrators": (Address(b"\1" * 20),)}
    terms = escrow if kind is TicketKind.ESCROW else {}
    world.place(maker, Side.SELL, 100, 5, **terms)
    world.run_ms(2500)
    world.place(taker, Side.BUY, 100, 5, **terms)
    world.run_ms(8000)
    (hold,) = taker.market.tickets.values()
    item = hold.verified.item
    return taker.market.desk.trade(hold.ticket, item.maker_signature, item.taker_signature), maker, taker, world


def test_parties_are_the_peers_and_keys_of_both_delegations() -> None:
    trade, maker, taker, world = agreed(TicketKind.ESCROW)
    for peer in world.peers:
        parties = find_parties(peer.market.feeds, trade)
        assert [(one.session, one.peer, one.encryption_key) for one in (parties.buyer, parties.seller)] == [
            (one.identity.session, one.peer_id, one.identity.encryption_key) for one in (taker, maker)
        ]


def test_there_are_no_parties_of_an_atomic_ticket_or_while_a_feed_is_not_known() -> None:
    trade, _, taker, _ = agreed(TicketKind.ATOMIC)
    assert find_parties(taker.market.feeds, trade) is None
    trade, _, _, _ = agreed(TicketKind.ESCROW)
    assert find_parties(Peer("alone").market.feeds, trade) is None
