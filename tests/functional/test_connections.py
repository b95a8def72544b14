"""Connections: who gets one, how many there are, and that the dead are noticed."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
from libp2p.network.exceptions import SwarmException
from raw_peer import raw_peer

from orrange_p2p.core.types import PeerId
from orrange_p2p.core.verdicts import Accept, Verdict
from orrange_p2p.errors import ConfigError, NetworkError
from orrange_p2p.net.framing import FramedStream
from orrange_p2p.net.messages import PeerEvent
from orrange_p2p.net.network import Network
from orrange_p2p.net.settings import NetSettings

Start = Callable[..., Awaitable[Network]]
TOPIC = "orrange/test"
RSA_PEER = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
CHILD = Path(__file__).with_name("child_peer.py")


def accept_all(payload: bytes, source: PeerId) -> Verdict:
    return Accept()


async def wait_until(holds: Callable[[], bool], limit_s: float = 5) -> None:
    with trio.fail_after(limit_s):
        while not holds():
            await trio.sleep(0.005)


@asynccontextmanager
async def child() -> AsyncIterator[tuple[trio.Process, str]]:
    """A peer in another process, and its address; killed at the end."""
    process = await trio.lowlevel.open_process([sys.executable, str(CHILD)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        address = b""
        with trio.fail_after(30):
            while not address.endswith(b"\n"):
                piece = await process.stdout.receive_some()
                assert piece, "the child ended before it was ready"
                address += piece
        yield process, address.decode().strip()
    finally:
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
                process.send_signal(signal.SIGCONT)
            await process.wait()
            await process.stdout.aclose()


async def test_a_used_port_is_named(start: Start) -> None:
    alice = await start()
    port = int(alice.addresses()[0].split("/")[4])
    with pytest.raises(NetworkError, match=f"port {port} on 127.0.0.1 is in use: stop .* or choose another port"):
        async with Network(b"2" * 32, port=port).running():
            raise AssertionError("two nodes share a port")


async def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(NetworkError, match=r"cannot listen on 192\.0\.2\.1"):
        async with Network(b"2" * 32, host="192.0.2.1").running():
            raise AssertionError("it listens on another machine's address")


async def test_a_port_is_free_again_after_closing() -> None:
    async with Network(b"1" * 32).running() as first:
        port = int(first.addresses()[0].split("/")[4])
    async with Network(b"1" * 32, port=port).running() as second:
        assert second.addresses() == [f"/ip4/127.0.0.1/tcp/{port}/p2p/{second.peer_id_text}"]


@pytest.mark.parametrize(
    "address",
    ["", "nonsense", "/ip4/127.0.0.1/tcp/1", f"/ip4/127.0.0.1/tcp/1/p2p/{RSA_PEER}"],
    ids=["empty", "nonsense", "no-peer", "not-ed25519"],
)
async def test_an_address_that_is_none_is_refused(start: Start, address: str) -> None:
    alice = await start()
    with pytest.raises(ConfigError, match="expected an"):
        await alice.connect(address)


async def test_nobody_there_someone_else_there_and_oneself_are_told_apart(start: Start) -> None:
    alice, bob = await start(), await start()
    place = alice.addresses()[0].rsplit("/p2p/", 1)[0]
    stranger = Network(b"s" * 32)
    with trio.fail_after(10):
        with pytest.raises(NetworkError, match=r"cannot reach .*tcp/1/"):
            await bob.connect(f"/ip4/127.0.0.1/tcp/1/p2p/{stranger.peer_id_text}")
        with pytest.raises(NetworkError, match="cannot reach"):
            await bob.connect(f"{place}/p2p/{stranger.peer_id_text}")
        with pytest.raises(NetworkError, match="this node itself"):
            await bob.connect(bob.addresses()[0])
        assert bob.statistics().dial_failures == 2
        assert bob.connected_peers() == ()
        # and no failure stands in the way of the right address
        await bob.connect(alice.addresses()[0])
    assert bob.connected_peers() == (alice.peer_id,)


async def test_a_silent_listener_is_given_up_in_time(start: Start) -> None:
    alice = await start()
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        with trio.fail_after(3), pytest.raises(NetworkError, match=r"no answer within 0\.3 s"):
            await alice.connect(f"/ip4/127.0.0.1/tcp/{port}/p2p/{Network(b's' * 32).peer_id_text}", timeout_s=0.3)


async def test_many_connects_at_once_make_one_connection(start: Start) -> None:
    alice, bob = await start(), await start()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(bob.connect, alice.addresses()[0])
    await wait_until(lambda: alice.is_connected(bob.peer_id))
    assert alice.peer_events.statistics().current_buffer_used == 1


async def test_two_that_dial_each_other_at_once_end_up_connected_and_served(start: Start) -> None:
    alice, bob = await start(), await start()
    inbox_a, inbox_b = await alice.subscribe(TOPIC, accept_all), await bob.subscribe(TOPIC, accept_all)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alice.connect, bob.addresses()[0])
            nursery.start_soon(bob.connect, alice.addresses()[0])
        for one, other, inbox in ((alice, bob, inbox_b), (bob, alice, inbox_a)):
            await one.wait_topic_peers(TOPIC, 1)
            for number in range(20):
                await one.publish(TOPIC, b"%d" % number)
            assert [(await inbox.receive()).payload for _ in range(20)] == [b"%d" % number for number in range(20)]
            assert one.connected_peers() == (other.peer_id,)
            assert await one.peer_events.receive() == PeerEvent(peer=other.peer_id, is_connected=True)
        await alice.disconnect(bob.peer_id)
        for one, other in ((alice, bob), (bob, alice)):
            assert await one.peer_events.receive() == PeerEvent(peer=other.peer_id, is_connected=False)
    for one in (alice, bob):
        assert one.statistics().gossip_drops == 0


async def test_closed_inbound_connections_give_their_place_back(start: Start) -> None:
    """In the library each keeps it until the node stops."""
    alice = await start(NetSettings(max_connections=3, reserved_outbound=1))
    with trio.fail_after(20):
        for number in range(6):
            async with Network(bytes([100 + number]) * 32).running() as guest:
                await guest.connect(alice.addresses()[0])
                await wait_until(lambda guest=guest: alice.connected_peers() == (guest.peer_id,))  # type: ignore[misc]
            await wait_until(lambda: alice.connected_peers() == ())
    assert alice.statistics().connections_refused == 0


async def test_inbound_connections_are_bounded_and_outbound_ones_have_their_reserve(start: Start) -> None:
    alice = await start(NetSettings(max_connections=3, reserved_outbound=1))
    guests = [await start() for _ in range(2)]
    late, friend = await start(), await start()
    with trio.fail_after(10):
        for one in guests:
            await one.connect(alice.addresses()[0])
        await wait_until(lambda: len(alice.connected_peers()) == 2)
        with pytest.raises(NetworkError, match="cannot reach"):
            await late.connect(alice.addresses()[0])
        assert alice.statistics().connections_refused == 1
        await alice.connect(friend.addresses()[0])
        with pytest.raises(NetworkError, match="limit"):
            await alice.connect(late.addresses()[0])
    assert set(alice.connected_peers()) == {one.peer_id for one in (*guests, friend)}


async def test_one_ip_address_cannot_take_every_place(start: Start) -> None:
    alice = await start(NetSettings(max_inbound_per_ip=2))
    guests = [await start() for _ in range(3)]
    with trio.fail_after(10):
        for one in guests[:2]:
            await one.connect(alice.addresses()[0])
        with pytest.raises(NetworkError, match="cannot reach"):
            await guests[2].connect(alice.addresses()[0])
        await guests[0].disconnect(alice.peer_id)
        await wait_until(lambda: alice.connected_peers() == (guests[1].peer_id,))
        await guests[2].connect(alice.addresses()[0])


async def test_one_peer_cannot_take_every_place(start: Start) -> None:
    alice = await start()
    async with raw_peer(alice) as mallory:
        await mallory.dial_again()
        with trio.fail_after(5):
            for count in (1, 2, 3):
                with suppress(SwarmException):
                    await mallory.dial_again()
                await wait_until(lambda count=count: alice.statistics().connections_refused == count)  # type: ignore[misc]
        assert alice.connected_peers() == (mallory.peer_id,)


@pytest.mark.parametrize("words", [b"", b"GET / HTTP/1.1\r\n\r\n", bytes(5000), b"\x13/multistream/1.0.0\n"], ids=len)
async def test_strangers_that_speak_no_libp2p_give_their_place_back(start: Start, words: bytes) -> None:
    alice = await start(NetSettings(max_connections=3, reserved_outbound=1, dial_timeout_s=0.4))
    bob = await start()
    port = int(alice.addresses()[0].split("/")[4])
    with trio.fail_after(10):
        strangers = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(2)]
        try:
            for one in strangers:
                await one.send_all(words)
            await wait_until(lambda: alice.statistics().handshakes_failed == 2)
            await bob.connect(alice.addresses()[0])
        finally:
            for one in strangers:
                await one.aclose()
    assert alice.connected_peers() == (bob.peer_id,)


async def test_a_killed_peer_is_noticed_and_the_others_are_served(start: Start) -> None:
    alice, bob = await start(), await start()
    inbox_a, inbox_b = await alice.subscribe(TOPIC, accept_all), await bob.subscribe(TOPIC, accept_all)
    async with child() as (process, address):
        with trio.fail_after(20):
            child_id = await alice.connect(address)
            await bob.connect(address)
            await alice.connect(bob.addresses()[0])
            for one in (alice, bob):
                await one.wait_topic_peers(TOPIC, 2)
            await alice.publish(TOPIC, b"hear me")
            assert {(await inbox_b.receive()).payload for _ in range(2)} == {b"hear me", b"echo hear me"}
            assert (await inbox_a.receive()).payload == b"echo hear me"
            process.send_signal(signal.SIGKILL)
            died = trio.current_time()
            for one in (alice, bob):
                while await one.peer_events.receive() != PeerEvent(peer=child_id, is_connected=False):
                    continue
            assert trio.current_time() - died < 1
            assert alice.topic_peers(TOPIC) == (bob.peer_id,)
            await bob.publish(TOPIC, b"carry on")
            assert (await inbox_a.receive()).payload == b"carry on"


async def test_a_frozen_peer_is_given_up(start: Start) -> None:
    """Its sockets stay open and nothing answers, as when its machine loses power."""
    alice, bob = await start(NetSettings(keepalive_s=0.4)), await start()
    inbox = await bob.subscribe(TOPIC, accept_all)
    await alice.subscribe(TOPIC, accept_all)
    async with child() as (process, address):
        with trio.fail_after(20):
            child_id = await alice.connect(address)
            await bob.connect(alice.addresses()[0])
            process.send_signal(signal.SIGSTOP)
            while await alice.peer_events.receive() != PeerEvent(peer=child_id, is_connected=False):
                continue
            assert alice.statistics().connections_stalled == 1
            await alice.wait_topic_peers(TOPIC, 1)
            await alice.publish(TOPIC, b"without it")
            assert (await inbox.receive()).payload == b"without it"


async def test_a_peer_that_comes_back_is_served_again(start: Start) -> None:
    alice = await start()
    inbox = await alice.subscribe(TOPIC, accept_all)
    port = 0
    with trio.fail_after(20):
        for life in range(3):
            async with Network(b"b" * 32, port=port, settings=NetSettings(heartbeat_s=0.2)).running() as bob:
                port = int(bob.addresses()[0].split("/")[4])
                own_inbox = await bob.subscribe(TOPIC, accept_all)
                await alice.connect(bob.addresses()[0])
                await bob.wait_topic_peers(TOPIC, 1)
                for number in range(5):  # the numbers of its first life's messages must not be used again
                    await bob.publish(TOPIC, b"%d in life %d" % (number, life))
                assert [(await inbox.receive()).payload for _ in range(5)] == [
                    b"%d in life %d" % (number, life) for number in range(5)
                ]
                await alice.wait_topic_peers(TOPIC, 1)
                await alice.publish(TOPIC, b"to life %d" % life)
                while (await own_inbox.receive()).payload != b"to life %d" % life:
                    continue
            await wait_until(lambda: alice.connected_peers() == ())
    assert alice.statistics().gossip_drops == 0


async def test_closing_takes_less_than_two_seconds_with_streams_open(start: Start) -> None:
    alice = await start()

    async def never_done(stream: FramedStream) -> None:
        await trio.sleep_forever()

    alice.set_stream_handler("/test/never/1", never_done)
    began = 0.0
    async with Network(b"b" * 32).running() as bob:
        bob.set_stream_handler("/test/never/1", never_done)
        await bob.connect(alice.addresses()[0])
        await wait_until(lambda: alice.is_connected(bob.peer_id))
        for one, other in ((alice, bob), (bob, alice)):
            for _ in range(4):
                await one.open_stream(other.peer_id, "/test/never/1")
        began = trio.current_time()
    assert trio.current_time() - began < 2


async def test_cancelling_closes_cleanly_and_in_time(start: Start) -> None:
    alice = await start()
    began = 0.0
    with trio.CancelScope() as scope:
        async with Network(b"b" * 32).running() as bob:
            await bob.subscribe(TOPIC, accept_all)
            await bob.connect(alice.addresses()[0])
            began = trio.current_time()
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.current_time() - began < 2
    await wait_until(lambda: alice.connected_peers() == ())


async def test_closing_does_not_wait_for_a_peer_that_reads_nothing() -> None:
    async with child() as (process, address):
        async with Network(b"b" * 32).running() as bob:
            await bob.subscribe(TOPIC, accept_all)
            with trio.fail_after(5):
                await bob.connect(address)
                await bob.wait_topic_peers(TOPIC, 1)
            process.send_signal(signal.SIGSTOP)
            for _ in range(200):
                await bob.publish(TOPIC, bytes(60_000))
            await wait_until(lambda: bob.statistics().outbound_full > 0)
            began = trio.current_time()
        assert trio.current_time() - began < 2


async def test_an_exception_in_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with Network(b"b" * 32).running():
            raise KeyError("mine")
