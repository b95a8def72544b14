"""Payment instructions over real sockets between two parties, and what a third can do to them. Spec: [DM-1..3]."""

import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
import trio

from orrange_p2p.core.direct_frames import encode_boxed, encode_direct_message
from orrange_p2p.core.instructions import Parties, Party
from orrange_p2p.core.messages import Instructions, Receipt
from orrange_p2p.core.types import Address, TicketDigest
from orrange_p2p.errors import NetworkError, OrderError, RemoteProtocolError
from orrange_p2p.keys.peer import PeerKey
from orrange_p2p.launch.instruction_post import InstructionPost, PostParts
from orrange_p2p.net.addresses import multiaddr_bytes
from orrange_p2p.net.direct_streams import PROTOCOL, DirectStreams
from orrange_p2p.net.framing import FramedStream
from orrange_p2p.net.network import Network
from orrange_p2p.testing.store import MemoryDisk
from tests.functional.conftest import Running

SELLER, BUYER, THIRD = (PeerKey.from_seed(bytes([number]) * 32) for number in (1, 2, 3))
TICKET, OTHER = TicketDigest(b"\1" * 32), TicketDigest(b"\2" * 32)
TEXT = "IBAN DE00 1234 5678\nreference 7"


def session_of(key: PeerKey) -> Address:
    """A session that a peer acts for."""
    return Address(key.public_key()[:20])


def party_of(key: PeerKey) -> Party:
    """As its Delegation would name it."""
    return Party(session=session_of(key), peer=key.peer_id(), encryption_key=key.encryption_key())


PARTIES = Parties(buyer=party_of(BUYER), seller=party_of(SELLER))


@dataclass
class Side:
    """One node's network and post, on a disk that outlives them."""

    network: Network
    post: InstructionPost
    tickets: dict[TicketDigest, Parties]


class Sides:
    """Starts sides, each with a store of its own."""

    def __init__(self, start: Running, nursery: trio.Nursery) -> None:
        self._start, self._nursery = start, nursery
        self._disk = MemoryDisk()
        self.now_ms = 1000
        self.addresses: dict[Address, tuple[bytes, ...]] = {}

    async def __call__(self, key: PeerKey, *tickets: TicketDigest, retry_s: float = 0.3) -> Side:
        network = await self._start(seed=key.seed())
        known = dict.fromkeys(tickets, PARTIES)
        store = self._disk.open(key.peer_id().hex(), create=True, network_id=bytes(32))
        parts = PostParts(
            network=network,
            store=store,
            session=session_of(key),
            box_key=key.box_key(),
            clock_ms=lambda: self.now_ms,
            find_parties=known.get,
            find_addresses=lambda session: self.addresses.get(session, ()),
        )
        post = InstructionPost(parts, retry_s=retry_s, look_s=0.02)
        self._nursery.start_soon(post.run)
        return Side(network=network, post=post, tickets=known)

    def read_again(self, key: PeerKey, side: Side) -> InstructionPost:
        """What a side would know after a restart."""
        side.post._parts.store.close()
        store = self._disk.open(key.peer_id().hex(), create=False)
        parts = side.post._parts
        return InstructionPost(
            PostParts(
                network=Network(THIRD.seed()),
                store=store,
                session=parts.session,
                box_key=parts.box_key,
                clock_ms=parts.clock_ms,
                find_parties=parts.find_parties,
                find_addresses=parts.find_addresses,
            )
        )


@asynccontextmanager
async def sides_of(start: Running) -> AsyncIterator[Sides]:
    """Sides whose posts end with the block."""
    async with trio.open_nursery() as nursery:
        yield Sides(start, nursery)
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it, ten seconds at most."""
    with trio.fail_after(10):
        while not condition():
            await trio.sleep(0.01)


def boxed(text: str, *, writer: PeerKey = SELLER, version: int = 1, inside: TicketDigest = TICKET) -> Instructions:
    """Instructions as a hand-made client sends them."""
    box = writer.box_key().seal(BUYER.encryption_key(), encode_boxed(inside, version, text))
    return Instructions(ticket_digest=TICKET, version=version, box=box)


async def never(peer: object, message: Instructions) -> Receipt | None:
    raise AssertionError


async def test_the_buyer_reads_what_the_seller_wrote_and_the_seller_learns_of_it(
    start: Running, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with sides_of(start) as make:
        seller, buyer = await make(SELLER, TICKET), await make(BUYER, TICKET)
        await seller.network.connect(buyer.network.addresses()[0])
        written = await seller.post.instruct(TICKET, TEXT)
        await until(lambda: seller.post.book.written(TICKET).is_delivered)
        received = buyer.post.book.received(TICKET)
        assert (received.text, received.version, written.version) == (TEXT, 1, 1)
        assert (seller.post.role(TICKET), buyer.post.role(TICKET)) == ("written", "received")
        assert (seller.post.statistics()["delivered"], buyer.post.statistics()["taken"]) == (1, 1)
        for key, side in ((SELLER, seller), (BUYER, buyer)):
            book = make.read_again(key, side).book
            assert book.written(TICKET) == side.post.book.written(TICKET)
            assert book.received(TICKET) == side.post.book.received(TICKET)
    out, err = capfd.readouterr()
    assert "1234 5678" not in caplog.text + out + err


async def test_an_amendment_replaces_and_what_was_delivered_is_not_sent_again(start: Running) -> None:
    async with sides_of(start) as make:
        seller, buyer = await make(SELLER, TICKET), await make(BUYER, TICKET)
        await seller.network.connect(buyer.network.addresses()[0])
        await seller.post.instruct(TICKET, TEXT)
        await until(lambda: seller.post.book.written(TICKET).is_delivered)
        await seller.post.instruct(TICKET, "another account")
        await until(lambda: seller.post.book.written(TICKET).is_delivered)
        await seller.post.instruct(TICKET, "another account")
        assert seller.post.book.due(make.now_ms) == ()
        assert (buyer.post.book.received(TICKET).text, buyer.post.book.received(TICKET).version) == (
            "another account",
            2,
        )
        assert (buyer.post.statistics()["taken"], buyer.post.statistics()["received"]) == (2, 2)


async def test_instructions_wait_for_the_buyer_to_come_and_to_know_the_ticket(start: Running) -> None:
    async with sides_of(start) as make:
        seller = await make(SELLER, TICKET)
        await seller.post.instruct(TICKET, TEXT)
        buyer = await make(BUYER)
        await seller.network.connect(buyer.network.addresses()[0])
        await until(lambda: seller.post.statistics().get("unanswered", 0) > 0)
        assert buyer.post.statistics()["ignored_DM-2"] > 0
        assert buyer.post.book.received(TICKET) is None
        buyer.tickets[TICKET] = PARTIES
        await until(lambda: seller.post.book.written(TICKET).is_delivered)
        assert buyer.post.book.received(TICKET).text == TEXT


async def test_a_buyer_is_looked_for_where_its_presence_says_that_it_is(start: Running) -> None:
    async with sides_of(start) as make:
        seller, buyer = await make(SELLER, TICKET), await make(BUYER, TICKET)
        gone = b"\x04\x7f\x00\x00\x01\x06\x00\x01" + b"\xa5\x03\x26" + BUYER.peer_id()
        make.addresses[session_of(BUYER)] = (gone, multiaddr_bytes(buyer.network.addresses()[0]))
        await seller.post.instruct(TICKET, TEXT)
        await until(lambda: seller.post.book.written(TICKET).is_delivered)
        assert buyer.post.book.received(TICKET).text == TEXT


async def test_nobody_is_dialled_at_anothers_address_or_at_garbage(start: Running) -> None:
    async with sides_of(start) as make:
        seller = await make(SELLER, TICKET)
        third = await start(seed=THIRD.seed())
        strange = (b"", b"\xff" * 8, b"\x04\x7f", multiaddr_bytes(third.addresses()[0]))
        make.addresses[session_of(BUYER)] = strange
        await seller.post.instruct(TICKET, TEXT)
        await until(lambda: seller.post.statistics().get("undelivered", 0) > 1)
        assert seller.network.connected_peers() == ()
        assert seller.post.statistics()["opened"] == 0


async def test_nobody_writes_but_the_seller_of_a_complete_ticket(start: Running) -> None:
    async with sides_of(start) as make:
        seller, buyer = await make(SELLER, TICKET), await make(BUYER, TICKET)
        for side, ticket in ((seller, OTHER), (buyer, TICKET)):
            with pytest.raises(OrderError) as refused:
                await side.post.instruct(ticket, TEXT)
            assert (refused.value.field, refused.value.rule) == ("ticket", "DM-2")


async def test_nothing_is_written_for_a_buyer_that_nothing_can_be_sealed_to(start: Running) -> None:
    async with sides_of(start) as make:
        seller = await make(SELLER, TICKET)
        keyless = replace(PARTIES.buyer, encryption_key=bytes(32))
        seller.tickets[TICKET] = replace(PARTIES, buyer=keyless)
        with pytest.raises(OrderError) as refused:
            await seller.post.instruct(TICKET, TEXT)
        assert (refused.value.field, refused.value.rule) == ("ticket", "DM-1")
        assert seller.post.book.written(TICKET) is None


async def test_junk_of_any_length_ends_its_stream_and_the_honest_are_still_served(start: Running) -> None:
    draw = random.Random(7)
    async with sides_of(start) as make:
        buyer = await make(BUYER, TICKET)
        junk = [draw.randbytes(draw.randrange(200)) for _ in range(4)]
        junk += [bytes([0x84, 1]) + draw.randbytes(60), RECEIPT[:-1], RECEIPT + b"\x00"]
        for number, frame in enumerate(junk):
            liar = await start(seed=bytes([100 + number]) * 32)
            await liar.connect(buyer.network.addresses()[0])
            async with await liar.open_stream(buyer.network.peer_id, PROTOCOL) as stream:
                await stream.send(frame)
                with pytest.raises(NetworkError):
                    await stream.receive()
            await start.stop(liar)
        assert buyer.network.statistics().stream_violations == len(junk)
        seller = await make(SELLER, TICKET)
        await seller.network.connect(buyer.network.addresses()[0])
        await seller.post.instruct(TICKET, TEXT)
        await until(lambda: seller.post.book.written(TICKET).is_delivered)
        assert buyer.post.book.received(TICKET).text == TEXT


RECEIPT = encode_direct_message(Receipt(ticket_digest=TICKET, version=1))
STRANGE = {
    "of_a_third_peer": (THIRD, boxed(TEXT), "DM-2"),
    "of_a_third_peer_sealed_by_the_seller_for_it": (THIRD, boxed("pay the third", writer=THIRD), "DM-2"),
    "of_the_seller_sealed_by_a_third": (SELLER, boxed(TEXT, writer=THIRD), "DM-1"),
    "of_another_ticket_inside": (SELLER, boxed(TEXT, inside=OTHER), "DM-1"),
    "with_an_escape_sequence": (SELLER, boxed("\x1b[2Jpay"), "DM-1"),
    "with_garbage_for_a_box": (SELLER, Instructions(ticket_digest=TICKET, version=1, box=bytes(100)), "DM-1"),
}


@pytest.mark.parametrize("name", sorted(STRANGE))
async def test_strange_instructions_are_refused_and_counted_and_the_honest_are_still_served(
    start: Running, name: str
) -> None:
    sender, message, rule = STRANGE[name]
    async with sides_of(start) as make:
        buyer = await make(BUYER, TICKET)
        liar = await start(seed=sender.seed())
        await liar.connect(buyer.network.addresses()[0])
        with pytest.raises(NetworkError):
            await DirectStreams(liar, never).deliver(buyer.network.peer_id, message)
        assert buyer.post.statistics()[f"rejected_{rule}"] == 1
        assert buyer.network.statistics().stream_violations == 1
        assert buyer.post.book.received(TICKET) is None
        await start.stop(liar)
        seller = await make(SELLER, TICKET)
        await seller.network.connect(buyer.network.addresses()[0])
        await seller.post.instruct(TICKET, TEXT)
        await until(lambda: seller.post.book.written(TICKET).is_delivered)
        assert buyer.post.book.received(TICKET).text == TEXT


async def test_an_older_version_is_answered_with_the_newer_and_changes_nothing(start: Running) -> None:
    async with sides_of(start) as make:
        buyer = await make(BUYER, TICKET)
        seller = await start(seed=SELLER.seed())
        await seller.connect(buyer.network.addresses()[0])
        streams = DirectStreams(seller, never)
        told = ((2, "second"), (1, "first"), (2, "second, forged"), (2, "second"))
        for version, text in told:
            receipt = await streams.deliver(buyer.network.peer_id, boxed(text, version=version))
            assert receipt == Receipt(ticket_digest=TICKET, version=2)
        assert buyer.post.book.received(TICKET).text == "second"
        assert (buyer.post.statistics()["taken"], buyer.post.statistics()["again"]) == (1, 3)


@pytest.mark.parametrize("frame", [b"", b"\x00garbage", RECEIPT, bytes(2048)])
async def test_a_stream_that_opens_with_anything_else_costs_its_peer(start: Running, frame: bytes) -> None:
    async with sides_of(start) as make:
        buyer = await make(BUYER, TICKET)
        liar = await start(seed=THIRD.seed())
        await liar.connect(buyer.network.addresses()[0])
        async with await liar.open_stream(buyer.network.peer_id, PROTOCOL) as stream:
            await stream.send(frame)
            with pytest.raises(NetworkError):
                await stream.receive()
        assert buyer.network.statistics().stream_violations == 1


async def test_a_frame_too_long_is_refused(start: Running) -> None:
    """Spec: [NET-2]."""
    async with sides_of(start) as make:
        buyer = await make(BUYER, TICKET)
        liar = await start(seed=THIRD.seed())
        await liar.connect(buyer.network.addresses()[0])
        async with await liar.open_stream(buyer.network.peer_id, PROTOCOL, max_frame_bytes=4096) as stream:
            await stream.send(bytes(2049))
            with pytest.raises(NetworkError):
                await stream.receive()
        assert buyer.network.statistics().frames_oversize == 1


FALSE_RECEIPTS = {
    "another_ticket": encode_direct_message(Receipt(ticket_digest=OTHER, version=1)),
    "garbage": b"\xff",
    "instructions": encode_direct_message(boxed(TEXT)),
}


@pytest.mark.parametrize("name", sorted(FALSE_RECEIPTS))
async def test_a_false_receipt_delivers_nothing_and_costs_its_peer(start: Running, name: str) -> None:
    async with sides_of(start) as make:
        seller = await make(SELLER, TICKET)
        liar = await start(seed=BUYER.seed())

        async def lie(stream: FramedStream) -> None:
            await stream.receive()
            await stream.send(FALSE_RECEIPTS[name])

        liar.set_stream_handler(PROTOCOL, lie)
        await liar.connect(seller.network.addresses()[0])
        await seller.post.instruct(TICKET, TEXT)
        rule = "CBOR-1" if name == "garbage" else "DM-3"
        await until(lambda: seller.post.statistics().get(f"rejected_{rule}", 0) > 0)
        assert not seller.post.book.written(TICKET).is_delivered


async def test_a_silent_buyer_is_given_up_and_others_are_served_meanwhile(
    start: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orrange_p2p.net.direct_streams.FRAME_TIMEOUT_S", 1.0)
    async with sides_of(start) as make:
        seller, buyer = await make(SELLER, TICKET, OTHER, retry_s=60), await make(BUYER, TICKET)
        seller.tickets[OTHER] = Parties(buyer=party_of(THIRD), seller=party_of(SELLER))
        silent = await start(seed=THIRD.seed())

        async def hear(stream: FramedStream) -> None:
            await trio.sleep_forever()

        silent.set_stream_handler(PROTOCOL, hear)
        await seller.network.connect(silent.addresses()[0])
        await seller.network.connect(buyer.network.addresses()[0])
        await seller.post.instruct(OTHER, "for the silent one")
        await until(lambda: seller.post.statistics()["opened"] == 1)
        await seller.post.instruct(TICKET, TEXT)
        await until(lambda: seller.post.book.written(TICKET).is_delivered)
        await until(lambda: seller.post.statistics().get("undelivered", 0) == 1)
        assert not seller.post.book.written(OTHER).is_delivered


async def test_a_peer_that_opens_streams_and_says_nothing_is_cut_off(
    start: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orrange_p2p.net.direct_streams.FRAME_TIMEOUT_S", 0.3)
    async with sides_of(start) as make:
        buyer = await make(BUYER, TICKET)
        slow = await start(seed=THIRD.seed())
        await slow.connect(buyer.network.addresses()[0])
        async with await slow.open_stream(buyer.network.peer_id, PROTOCOL) as stream:
            with trio.fail_after(5), pytest.raises(NetworkError):
                await stream.receive()
        assert buyer.post.statistics()["timed_out"] == 1


async def test_a_peer_that_sends_too_much_waits_on_its_own_streams(start: Running) -> None:
    one, other = await start(), await start()
    await one.connect(other.addresses()[0])

    async def answer(peer: object, message: Instructions) -> Receipt | None:
        return Receipt(ticket_digest=message.ticket_digest, version=message.version)

    DirectStreams(other, answer, rate_per_s=2, burst=2)
    streams = DirectStreams(one, never)
    began_s = trio.current_time()
    for _ in range(2):
        await streams.deliver(other.peer_id, boxed(TEXT))
    assert trio.current_time() - began_s < 0.4
    for _ in range(2):
        await streams.deliver(other.peer_id, boxed(TEXT))
    assert trio.current_time() - began_s > 0.8


async def test_nobody_is_waited_for_who_is_not_connected(start: Running) -> None:
    one = await start()
    streams = DirectStreams(one, never)
    with pytest.raises(NetworkError):
        await streams.deliver(THIRD.peer_id(), boxed(TEXT))
    assert streams.statistics().failed == 1


async def test_an_answer_that_is_no_receipt_is_the_peers_fault(start: Running) -> None:
    one, other = await start(), await start()
    await one.connect(other.addresses()[0])

    async def echo(stream: FramedStream) -> None:
        await stream.send(await stream.receive() or b"")

    other.set_stream_handler(PROTOCOL, echo)
    with pytest.raises(RemoteProtocolError) as raised:
        await DirectStreams(one, never).deliver(other.peer_id, boxed(TEXT))
    assert raised.value.rule == "DM-3"
