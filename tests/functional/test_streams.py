"""Streams carry whole frames; whatever goes wrong on one ends that one."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from raw_peer import raw_peer

from orrange_p2p.core.types import PeerId
from orrange_p2p.errors import LocalProtocolError, NetworkError, RemoteProtocolError
from orrange_p2p.net.framing import STREAM_ERRORS, FramedStream
from orrange_p2p.net.network import Network
from orrange_p2p.net.settings import NetSettings

Start = Callable[..., Awaitable[Network]]
ECHO = "/test/echo/1"
MAX_FRAME = 16 * 1024


async def echo(stream: FramedStream) -> None:
    while (frame := await stream.receive()) is not None:
        await stream.send(frame)


async def assert_served(client: Network, server: PeerId, protocol: str = ECHO) -> None:
    with trio.fail_after(5):
        async with await client.open_stream(server, protocol) as stream:
            await stream.send(b"honest")
            assert await stream.receive() == b"honest"


async def wait_until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(5):
        while not holds():
            await trio.sleep(0.005)


@pytest.fixture
async def server(start: Start) -> Network:
    network = await start()
    network.set_stream_handler(ECHO, echo, max_frame_bytes=MAX_FRAME)
    return network


@pytest.fixture
async def client(start: Start, server: Network) -> Network:
    network = await start()
    await network.connect(server.addresses()[0])
    return network


async def test_frames_of_every_size_come_back_whole(server: Network, client: Network) -> None:
    with trio.fail_after(10):
        async with await client.open_stream(server.peer_id, ECHO, max_frame_bytes=MAX_FRAME) as stream:
            assert stream.peer == server.peer_id
            for size in (0, 1, 3, 4, 5, 1000, MAX_FRAME - 1, MAX_FRAME):
                frame = bytes(size % 251 for _ in range(size))
                await stream.send(frame)
                assert await stream.receive() == frame


async def test_far_more_than_a_window_flows_both_ways(server: Network, client: Network) -> None:
    frame = bytes(MAX_FRAME)
    with trio.fail_after(15):
        async with await client.open_stream(server.peer_id, ECHO) as stream, trio.open_nursery() as nursery:

            async def send() -> None:
                for _ in range(128):
                    await stream.send(frame)

            nursery.start_soon(send)
            for _ in range(128):
                assert await stream.receive() == frame


async def test_closing_lets_sent_frames_arrive_and_then_ends(start: Start, server: Network, client: Network) -> None:
    received: list[bytes | None] = []
    ended = trio.Event()

    async def collect(stream: FramedStream) -> None:
        while (frame := await stream.receive()) is not None:
            received.append(frame)
        await stream.send(b"bye")
        ended.set()

    server.set_stream_handler("/test/collect/1", collect)
    with trio.fail_after(5):
        stream = await client.open_stream(server.peer_id, "/test/collect/1")
        for number in range(10):
            await stream.send(b"%d" % number)
        await stream.close()
        await stream.close()
        await ended.wait()
        assert await stream.receive() == b"bye"
        assert await stream.receive() is None
    assert received == [b"%d" % number for number in range(10)]


async def test_frames_that_arrive_in_pieces_are_put_together(server: Network, client: Network) -> None:
    async with raw_peer(server) as mallory:
        stream = await mallory.open(ECHO)
        frame = b"\x00\x00\x00\x05hello"
        with trio.fail_after(5):
            for index in range(len(frame)):
                await stream.write(frame[index : index + 1])
            answer = b""
            while len(answer) < len(frame):
                answer += await stream.read(len(frame))
        assert answer == frame
        await stream.write(frame * 3)  # and several that arrive in one piece
        with trio.fail_after(5):
            answer = b""
            while len(answer) < 3 * len(frame):
                answer += await stream.read(3 * len(frame))
        assert answer == frame * 3


async def test_an_oversize_frame_resets_the_stream_and_costs_the_peer(server: Network, client: Network) -> None:
    async with raw_peer(server) as mallory:
        for count in (1, 2):
            stream = await mallory.open(ECHO)
            await stream.write((MAX_FRAME + 1).to_bytes(4, "big"))
            await wait_until(lambda count=count: server.statistics().stream_violations == count)  # type: ignore[misc]
        assert server.statistics().frames_oversize == 2
        await wait_until(lambda: mallory.peer_id not in server.connected_peers())
        await assert_served(client, server.peer_id)


async def test_receiving_an_oversize_frame_raises_and_names_the_rule(server: Network, client: Network) -> None:
    async with await client.open_stream(server.peer_id, ECHO, max_frame_bytes=MAX_FRAME) as stream:
        narrow = FramedStream(stream._stream, max_frame_bytes=3)  # the same stream, read more strictly
        with trio.fail_after(5):
            await stream.send(b"four")
            with pytest.raises(RemoteProtocolError, match="expected a frame of at most 3 bytes, was 4") as caught:
                await narrow.receive()
        assert caught.value.rule == "NET-2"


async def test_sending_an_oversize_frame_is_refused_before_it_leaves(server: Network, client: Network) -> None:
    async with await client.open_stream(server.peer_id, ECHO, max_frame_bytes=8) as stream:
        with pytest.raises(LocalProtocolError, match="at most 8 bytes, was 9"):
            await stream.send(bytes(9))
        with trio.fail_after(5):
            await stream.send(bytes(8))
            assert await stream.receive() == bytes(8)


async def test_a_frame_cut_short_is_a_lost_stream_not_a_frame(server: Network, client: Network) -> None:
    async with raw_peer(server) as mallory:
        stream = await mallory.open(ECHO)
        await stream.write(b"\x00\x00\x00\x05hel")
        await stream.close()
        await wait_until(lambda: server.statistics().streams_lost == 1)
        await assert_served(client, server.peer_id)


@pytest.mark.parametrize(
    "error", [ValueError("a fault of ours"), ExceptionGroup("two", [KeyError("a"), ValueError("b")])], ids=type
)
async def test_a_raising_handler_ends_its_stream_only(server: Network, client: Network, error: Exception) -> None:
    async def fail(stream: FramedStream) -> None:
        await stream.receive()
        raise error

    server.set_stream_handler("/test/fail/1", fail)
    with trio.fail_after(5):
        stream = await client.open_stream(server.peer_id, "/test/fail/1")
        await stream.send(b"x")
        with pytest.raises(NetworkError):
            await stream.receive()
    assert server.statistics().handler_errors == 1
    assert client.is_connected(server.peer_id)
    await assert_served(client, server.peer_id)


async def test_a_handler_that_blames_the_peer_costs_it_score(server: Network, client: Network) -> None:
    async def blame(stream: FramedStream) -> None:
        await stream.receive()
        raise RemoteProtocolError("TEST-4", "expected better")

    server.set_stream_handler("/test/blame/1", blame)
    async with raw_peer(server) as mallory:
        for _ in range(2):
            stream = await mallory.open("/test/blame/1")
            await stream.write(b"\x00\x00\x00\x01x")
        await wait_until(lambda: server.statistics().score_disconnects == 1)
        assert server.statistics().stream_violations == 2
    await assert_served(client, server.peer_id)


async def test_abandoned_streams_are_bounded_per_peer(start: Start) -> None:
    few = NetSettings(max_streams_per_peer=4, negotiate_timeout_s=1)
    server, client = await start(few), await start()
    server.set_stream_handler(ECHO, echo)
    await client.connect(server.addresses()[0])
    async with raw_peer(server) as mallory:
        for _ in range(4):
            await mallory.open(ECHO)  # and never a word on it
        for _ in range(2):
            with pytest.raises(Exception, match="failed to open a stream"):
                await mallory.open(ECHO)
        assert server.statistics().streams_refused == 2
        await assert_served(client, server.peer_id)
    await wait_until(lambda: server.connected_peers() == (client.peer_id,))
    await assert_served(client, server.peer_id)


async def test_a_stream_that_never_says_its_protocol_is_dropped(start: Start) -> None:
    hasty = NetSettings(negotiate_timeout_s=1)
    server, client = await start(hasty), await start()
    server.set_stream_handler(ECHO, echo)
    await client.connect(server.addresses()[0])
    async with raw_peer(server) as mallory:
        await mallory.open_silent()
        await wait_until(lambda: server.statistics().streams_failed == 1)
    await assert_served(client, server.peer_id)


async def test_an_unknown_protocol_and_an_unknown_peer_are_said_so(server: Network, client: Network) -> None:
    with trio.fail_after(5):
        with pytest.raises(NetworkError, match="does not speak /test/nothing/1"):
            await client.open_stream(server.peer_id, "/test/nothing/1")
        stranger = Network(b"s" * 32)
        with pytest.raises(NetworkError, match="is not connected"):
            await client.open_stream(stranger.peer_id, ECHO)
        await assert_served(client, server.peer_id)


async def test_a_cancelled_receive_loses_nothing(server: Network, client: Network) -> None:
    with trio.fail_after(5):
        async with await client.open_stream(server.peer_id, ECHO) as stream:
            for _ in range(20):
                with trio.move_on_after(0.001):
                    await stream.receive()
            await stream.send(b"still here")
            assert await stream.receive() == b"still here"


async def test_cancelled_senders_leave_the_connection_whole(server: Network, client: Network) -> None:
    """The cipher counts frames: one encrypted and not sent would end the connection for everybody."""

    async def send_in_vain(delay_s: float) -> None:
        with trio.move_on_after(delay_s):
            async with await client.open_stream(server.peer_id, ECHO) as stream:
                while True:
                    await stream.send(bytes(8000))

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for step in range(12):
                nursery.start_soon(send_in_vain, 0.01 + step * 0.007)
        assert client.connected_peers() == (server.peer_id,)
        await assert_served(client, server.peer_id)
    assert client.statistics().connections_stalled == 0


async def test_a_stream_whose_peer_goes_away_says_so(start: Start, server: Network, client: Network) -> None:
    with trio.fail_after(5):
        stream = await client.open_stream(server.peer_id, ECHO)
        await client.disconnect(server.peer_id)
        with pytest.raises(NetworkError):
            await stream.send(b"anybody?")
        with pytest.raises(NetworkError):
            await stream.receive()
        await stream.reset()
        await stream.close()


async def test_a_peer_that_overruns_its_windows_is_cut_off(start: Start) -> None:
    server, client = await start(NetSettings(unread_bytes=1024 * 1024)), await start()
    server.set_stream_handler(ECHO, echo)

    async def lazy(stream: FramedStream) -> None:
        await trio.sleep_forever()

    server.set_stream_handler("/test/lazy/1", lazy)
    await client.connect(server.addresses()[0])
    async with raw_peer(server) as mallory:
        stream = await mallory.open("/test/lazy/1")
        mallory.ignore_window(stream)
        with pytest.raises(STREAM_ERRORS), trio.fail_after(5):
            while True:
                await stream.write(bytes(60_000))
        await wait_until(lambda: server.connected_peers() == (client.peer_id,))
    assert server.statistics().connections_flooded == 1
    await assert_served(client, server.peer_id)


async def test_a_slow_reader_holds_up_its_sender_and_nobody_else(server: Network, client: Network) -> None:
    go_on = trio.Event()

    async def lazy(stream: FramedStream) -> None:
        await go_on.wait()
        while await stream.receive() is not None:
            continue

    server.set_stream_handler("/test/lazy/1", lazy)
    sent = 0
    with trio.fail_after(10):
        async with await client.open_stream(server.peer_id, "/test/lazy/1") as stream:
            with trio.move_on_after(0.3):
                while True:
                    await stream.send(bytes(MAX_FRAME))
                    sent += 1
            assert sent * MAX_FRAME < 1024 * 1024, "flow control holds the sender"
            await assert_served(client, server.peer_id)
            go_on.set()
