"""A peer that opens bare streams and says on them whatever a test wants, which no honest peer would."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio
from libp2p.abc import IHost, INetStream
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.stream_muxer.yamux.yamux import Yamux, YamuxStream
from libp2p.tools.anyio_service import background_trio_service
from libp2p.utils.varint import encode_uvarint
from multiaddr import Multiaddr
from nacl.signing import SigningKey

from orrange_p2p.core.types import PeerId
from orrange_p2p.net.counters import Counters
from orrange_p2p.net.network import Network
from orrange_p2p.net.scores import PeerScores
from orrange_p2p.net.settings import NetSettings
from orrange_p2p.net.swarm import GuardedSwarm

MESHSUB = "/meshsub/1.1.0"
SEED = b"m" * 32


class RawPeer:
    """One raw peer, connected to one network of ours."""

    def __init__(self, host: IHost, target: Network) -> None:
        self._host = host
        self._target = ID(target.peer_id)
        self._address = target.addresses()[0]
        self.key = SigningKey(SEED)
        self.peer_id = PeerId(host.get_id().to_bytes())

    async def open(self, protocol: str) -> INetStream:
        """Open a stream and leave it bare."""
        return await self._host.new_stream(self._target, [TProtocol(protocol)])

    async def dial_again(self) -> None:
        """Open one more connection to the same target."""
        swarm = self._host.get_network()
        assert isinstance(swarm, GuardedSwarm)
        await swarm.dial_addr(Multiaddr(self._address), self._target)

    async def spoil_connection(self, words: bytes) -> None:
        """Send bytes below the streams, where only Yamux frames belong."""
        for connection in self._host.get_network().get_connections(self._target):
            muxed = connection.muxed_conn
            assert isinstance(muxed, Yamux)
            await muxed.secured_conn.write(words)

    async def open_silent(self) -> INetStream:
        """Open a stream and do not even say which protocol it is for."""
        return await self._host.get_network().new_stream(self._target)

    @staticmethod
    def ignore_window(stream: INetStream) -> None:
        """From now on send on it as if the peer had granted everything."""
        muxed = getattr(stream, "muxed_stream", None)
        assert isinstance(muxed, YamuxStream)
        muxed.send_window = 2**40

    async def say(self, frame: bytes) -> INetStream:
        """Send bytes on a new gossip stream."""
        stream = await self.open(MESHSUB)
        await stream.write(frame)
        return stream

    async def say_rpc(self, rpc: rpc_pb2.RPC) -> INetStream:
        """Send a well-formed frame with whatever is in it."""
        return await self.say(framed(rpc.SerializeToString()))

    def serve_gossip(self) -> None:
        """Accept gossip streams and never read them."""

        async def hold(stream: INetStream) -> None:
            await trio.sleep_forever()

        self._host.set_stream_handler(TProtocol(MESHSUB), hold)


def framed(body: bytes) -> bytes:
    """A gossipsub frame."""
    return encode_uvarint(len(body)) + body


@asynccontextmanager
async def raw_peer(target: Network, *, reads_gossip: bool = True) -> AsyncIterator[RawPeer]:
    """A raw peer connected to `target` until the block ends."""
    settings, counters = NetSettings(), Counters()
    swarm = GuardedSwarm(SEED, settings, PeerScores(settings, lambda: 0), counters)
    host = BasicHost(swarm)
    with leaving_quietly():
        async with background_trio_service(swarm):
            peer = RawPeer(host, target)
            if not reads_gossip:
                peer.serve_gossip()
            try:
                await swarm.dial_addr(Multiaddr(target.addresses()[0]), ID(target.peer_id))
                yield peer
            finally:
                with trio.CancelScope(shield=True):
                    await swarm.close_all(0.5)


@contextmanager
def leaving_quietly() -> Iterator[None]:
    """The library buries what the test raised in groups of its own; take it out."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None
