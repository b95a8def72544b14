"""The outbound queue is bounded, counts what it refuses, and lets control go first."""

import pytest
import trio
import trio.testing
from libp2p.pubsub.pb import rpc_pb2

from orrange_p2p.net.counters import Counters
from orrange_p2p.net.queues import BATCH_BYTES, CONTROL_HEADROOM_FRAMES, FrameQueue, encode_rpc
from orrange_p2p.net.settings import NetSettings


def make(**limits: int) -> tuple[FrameQueue, Counters]:
    counters = Counters()
    return FrameQueue(NetSettings(**limits), counters), counters  # type: ignore[arg-type]


async def test_frames_leave_in_order_in_one_write() -> None:
    queue, _ = make()
    for frame in (b"a", b"b", b"c"):
        assert queue.push_message(frame)
    assert await queue.take() == (b"abc", 3)


async def test_control_goes_first() -> None:
    queue, _ = make()
    queue.push_message(b"message")
    queue.push_control(b"control")
    assert await queue.take() == (b"controlmessage", 1)


async def test_a_write_is_bounded_but_a_long_frame_still_leaves() -> None:
    queue, _ = make()
    long = bytes(BATCH_BYTES + 1)
    for frame in (b"a", long, b"b"):
        queue.push_message(frame)
    assert [await queue.take() for _ in range(3)] == [(b"a", 1), (long, 1), (b"b", 1)]


async def test_full_by_frames_refuses_the_newest_and_counts_it() -> None:
    queue, counters = make(outbound_frames=2)
    assert [queue.push_message(frame) for frame in (b"a", b"b", b"c")] == [True, True, False]
    assert counters.outbound_full == 1
    assert await queue.take() == (b"ab", 2)
    assert queue.push_message(b"d")


async def test_full_by_bytes_refuses_and_takes_again_once_emptied() -> None:
    queue, counters = make(outbound_bytes=10)
    assert queue.push_message(bytes(8))
    assert not queue.push_message(bytes(3))
    assert queue.push_message(bytes(2))
    assert await queue.take() == (bytes(10), 2)
    assert queue.push_message(bytes(10))
    assert counters.outbound_full == 1


async def test_control_has_room_of_its_own_and_a_bound() -> None:
    queue, counters = make(outbound_frames=1)
    assert queue.push_message(b"m")
    assert not queue.push_message(b"m")
    accepted = sum(queue.push_control(b"c") for _ in range(2 * CONTROL_HEADROOM_FRAMES))
    assert accepted == CONTROL_HEADROOM_FRAMES
    assert counters.control_full == CONTROL_HEADROOM_FRAMES


async def test_a_waiting_taker_wakes_for_a_frame_and_for_the_end() -> None:
    queue, counters = make()
    taken: list[object] = []

    async def take_all() -> None:
        while (batch := await queue.take()) is not None:
            taken.append(batch)

    with trio.fail_after(2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take_all)
            await trio.testing.wait_all_tasks_blocked()
            queue.push_message(b"one")
            await trio.testing.wait_all_tasks_blocked()
            queue.push_message(b"two")
            await trio.testing.wait_all_tasks_blocked()
            queue.close()
    assert taken == [(b"one", 1), (b"two", 1)]
    assert not queue.push_message(b"late")
    assert counters.outbound_full == 1


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 70_000])
def test_frames_carry_their_length_as_a_varint(size: int) -> None:
    rpc = rpc_pb2.RPC(publish=[rpc_pb2.Message(data=bytes(size))])
    frame = encode_rpc(rpc)
    length = shift = index = 0
    while True:
        length |= (frame[index] & 0x7F) << shift
        shift, index = shift + 7, index + 1
        if frame[index - 1] < 0x80:
            break
    assert len(frame) == index + length
    assert rpc_pb2.RPC.FromString(frame[index:]) == rpc
