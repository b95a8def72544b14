"""Random bytes at every depth: in frames, in streams of every protocol, and below the streams."""

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio
from libp2p.exceptions import BaseLibp2pError
from libp2p.pubsub.pb import rpc_pb2
from raw_peer import MESHSUB, RawPeer, framed, raw_peer

from orrange_p2p.core.types import PeerId
from orrange_p2p.core.verdicts import Accept, Verdict
from orrange_p2p.net.framing import STREAM_ERRORS, FramedStream
from orrange_p2p.net.network import Network
from orrange_p2p.net.settings import NetSettings

Start = Callable[..., Awaitable[Network]]
TOPIC = "orrange/test"
ECHO = "/test/echo/1"
PROTOCOLS = (MESHSUB, ECHO, "/ipfs/id/1.0.0", "/ipfs/ping/1.0.0")
PATIENT = NetSettings(
    degree=4, heartbeat_s=0.2, negotiate_timeout_s=1, keepalive_s=1, disconnect_score=-(10**6), ban_score=-(10**6)
)


def accept_all(payload: bytes, source: PeerId) -> Verdict:
    return Accept()


async def echo(stream: FramedStream) -> None:
    while (frame := await stream.receive()) is not None:
        await stream.send(frame)


def words(draw: random.Random) -> bytes:
    """Random bytes, or a well-formed RPC with some of its bytes changed."""
    if draw.random() < 0.4:
        return draw.randbytes(draw.randrange(1, 200))
    rpc = rpc_pb2.RPC()
    rpc.subscriptions.add(subscribe=True, topicid=TOPIC)
    rpc.publish.add(data=draw.randbytes(40), topicIDs=[TOPIC], from_id=draw.randbytes(38), seqno=draw.randbytes(8))
    rpc.control.ihave.add(topicID=TOPIC, messageIDs=[draw.randbytes(46)])
    rpc.control.iwant.add(messageIDs=[draw.randbytes(46), b"0g", b"\xff"])
    rpc.control.graft.add(topicID=TOPIC)
    rpc.control.prune.add(topicID=TOPIC, backoff=draw.randrange(2**63))
    body = bytearray(rpc.SerializeToString())
    for _ in range(draw.randrange(4)):
        body[draw.randrange(len(body))] = draw.randrange(256)
    return framed(bytes(body))


async def attack(mallory: RawPeer, draw: random.Random) -> None:
    """One random act."""
    with suppress(BaseLibp2pError, *STREAM_ERRORS):
        if draw.random() < 0.2:
            await mallory.spoil_connection(draw.randbytes(draw.randrange(1, 60)))
            return
        stream = await mallory.open(draw.choice(PROTOCOLS))
        await stream.write(words(draw))
        if draw.random() < 0.5:
            await stream.close()


@pytest.mark.parametrize("seed", range(4))
async def test_random_bytes_harm_nobody_else(start: Start, seed: int) -> None:
    draw = random.Random(seed)
    alice, bob = await start(PATIENT), await start(PATIENT)
    alice.set_stream_handler(ECHO, echo)
    inbox = await alice.subscribe(TOPIC, accept_all)
    await bob.subscribe(TOPIC, accept_all)
    with trio.fail_after(30):
        await bob.connect(alice.addresses()[0])
        await bob.wait_topic_peers(TOPIC, 1)
        for _ in range(3):
            async with raw_peer(alice) as mallory:
                for _ in range(6):
                    with trio.move_on_after(1):
                        await attack(mallory, draw)
        await bob.publish(TOPIC, b"honest")
        assert (await inbox.receive()).payload == b"honest"
        async with await bob.open_stream(alice.peer_id, ECHO) as stream:
            await stream.send(b"honest")
            assert await stream.receive() == b"honest"
    assert alice.statistics().delivered == 1
    assert alice.statistics().upkeep_errors == 0
    assert alice.statistics().handler_errors == 0
