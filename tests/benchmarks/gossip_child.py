"""The receiving process of the gossip benchmark: `python -m tests.benchmarks.gossip_child KIND COUNT`.

KIND is `ours`, or `stock` for the library as it comes but for the settings without which it loses orders. It prints its
address, takes COUNT messages and prints one line of JSON about them. Each message starts with the sender's monotonic
clock in ns, which all processes of one machine share.
"""

import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

import trio
from libp2p import new_host
from libp2p.abc import ISubscriptionAPI
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from orrange_p2p.core.types import PeerId
from orrange_p2p.core.verdicts import Accept, Verdict
from orrange_p2p.net.network import Network
from orrange_p2p.net.settings import NetSettings

TOPIC = "orrange/benchmark"
CLOCK_BYTES = 8
WINDOW = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What the benchmark needs of either kind of peer."""

    address: str
    connect: Callable[[str], Awaitable[None]]
    publish: Callable[[bytes], Awaitable[None]]
    receive: Callable[[], Awaitable[bytes]]
    backlog: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What the receiver measured, from its first message to its last."""

    messages: int
    elapsed_s: float
    cpu_s: float
    latencies_ms: list[float]


@asynccontextmanager
async def open_peer(kind: str, seed: bytes) -> AsyncIterator[Peer]:
    """A running peer that follows the topic."""
    if kind == "ours":
        async with _ours(seed) as peer:
            yield peer
    else:
        async with _stock(seed) as peer:
            yield peer


@asynccontextmanager
async def _ours(seed: bytes) -> AsyncIterator[Peer]:
    def judge(payload: bytes, source: PeerId) -> Verdict:
        return Accept()

    settings = NetSettings(peer_messages_per_s=1_000_000, peer_burst_messages=1_000_000)
    async with Network(seed, settings=settings).running() as network:
        inbox = await network.subscribe(TOPIC, judge)

        async def connect(address: str) -> None:
            await network.connect(address)
            await network.wait_topic_peers(TOPIC, 1)

        async def publish(payload: bytes) -> None:
            await network.publish(TOPIC, payload)

        async def receive() -> bytes:
            return (await inbox.receive()).payload

        def backlog() -> int:
            counts = network.statistics()
            assert counts.gossip_drops == 0
            return counts.published - counts.messages_out

        yield Peer(address=network.addresses()[0], connect=connect, publish=publish, receive=receive, backlog=backlog)


class _Stock:
    """The library's own host and pubsub, behind the calls of `Peer`."""

    def __init__(self, seed: bytes) -> None:
        self.host = new_host(key_pair=create_new_key_pair(seed))
        self.router = GossipSub(
            protocols=[PROTOCOL_ID_V11],
            degree=8,
            degree_low=6,
            degree_high=12,
            heartbeat_interval=1,
            adaptive_gossip_enabled=False,
            spam_protection_enabled=False,
            eclipse_protection_enabled=False,
        )
        self.pubsub = Pubsub(self.host, self.router)

    async def connect(self, address: str) -> None:
        info = info_from_p2p_addr(Multiaddr(address))
        await self.host.connect(info)
        await self.pubsub.wait_for_peer(info.peer_id)
        await self.pubsub.wait_for_mesh(info.peer_id, TOPIC)

    async def publish(self, payload: bytes) -> None:
        await self.pubsub.publish(TOPIC, payload)

    def backlog(self) -> int:
        return sum(map(len, self.pubsub.peer_queues.values()))

    async def drain(self, subscription: ISubscriptionAPI) -> None:
        """Take away a publisher's own messages, which come back to it: at 32 the library would drop the rest."""
        while True:
            await subscription.get()


@asynccontextmanager
async def _stock(seed: bytes) -> AsyncIterator[Peer]:
    stock = _Stock(seed)
    async with (
        stock.host.run(listen_addrs=[Multiaddr("/ip4/127.0.0.1/tcp/0")]),
        background_trio_service(stock.router),
        background_trio_service(stock.pubsub),
        trio.open_nursery() as nursery,
    ):
        await stock.pubsub.wait_until_ready()
        subscription = await stock.pubsub.subscribe(TOPIC)
        if seed == PUBLISHER_SEED:
            nursery.start_soon(stock.drain, subscription)

        async def receive() -> bytes:
            return (await subscription.get()).data

        yield Peer(
            address=str(stock.host.get_addrs()[0]),
            connect=stock.connect,
            publish=stock.publish,
            receive=receive,
            backlog=stock.backlog,
        )
        nursery.cancel_scope.cancel()


PUBLISHER_SEED = b"p" * 32
RECEIVER_SEED = b"r" * 32


async def receive_all(kind: str, count: int) -> None:
    """Receive `count` messages and print what they cost."""
    async with open_peer(kind, RECEIVER_SEED) as peer:
        sys.stdout.write(peer.address + "\n")
        sys.stdout.flush()
        latencies_ms = []
        await peer.receive()
        began_s, cpu_began_s = time.monotonic(), time.process_time()
        for _ in range(count - 1):
            payload = await peer.receive()
            sent_ns = int.from_bytes(payload[:CLOCK_BYTES], "big")
            latencies_ms.append((time.monotonic_ns() - sent_ns) / 1e6)
        received = Received(
            messages=count - 1,
            elapsed_s=time.monotonic() - began_s,
            cpu_s=time.process_time() - cpu_began_s,
            latencies_ms=latencies_ms,
        )
        sys.stdout.write(json.dumps(asdict(received)) + "\n")
        sys.stdout.flush()
        sys.stdin.readline()  # stay until the publisher has read this


if __name__ == "__main__":
    trio.run(receive_all, sys.argv[1], int(sys.argv[2]))
