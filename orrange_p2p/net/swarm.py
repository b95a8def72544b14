"""The swarm, tamed: who may connect, how many, and that closed connections give their place back."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable

import structlog
import trio
from libp2p.abc import IMuxedConn
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.trio import TrioTCPStream
from libp2p.network.auto_connector import AutoConnector
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.exceptions import SwarmException
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_PROTOCOL
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_PROTOCOL
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.transport.tcp.tcp import TCP
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr

from orrange_p2p.core.types import PeerId
from orrange_p2p.net.addresses import is_peer_id
from orrange_p2p.net.counters import Counters
from orrange_p2p.net.muxer import YamuxOnly
from orrange_p2p.net.scopes import shielded
from orrange_p2p.net.scores import PeerScores
from orrange_p2p.net.settings import NetSettings

MAX_CONNECTIONS_PER_PEER = 2  # two that dial each other at once have two

_log = structlog.get_logger(__name__)


class NoAutoConnector(AutoConnector):
    """Dials nobody: whom to dial is for the node above to say, and the library would dial all it has heard of."""

    async def run_background_task(self, nursery: trio.Nursery) -> None:
        """Nothing to run."""

    async def maybe_connect(self) -> None:
        """Connect to nobody."""


class GuardedSwarm(Swarm):
    """Connections over TCP, Noise and Yamux only (the library would also take them unencrypted)."""

    def __init__(self, seed: bytes, settings: NetSettings, scores: PeerScores, counters: Counters) -> None:
        keys = create_new_key_pair(seed)
        own_id = ID.from_pubkey(keys.public_key)
        peerstore = PeerStore()
        peerstore.add_key_pair(own_id, keys)
        noise = NoiseTransport(keys, noise_privkey=create_noise_key_pair().private_key)
        upgrader = TransportUpgrader(
            secure_transports_by_protocol={TProtocol(NOISE_PROTOCOL): noise},
            muxer_transports_by_protocol={TProtocol(YAMUX_PROTOCOL): Yamux},
        )
        upgrader.muxer_multistream = YamuxOnly(settings, counters)
        config = ConnectionConfig(
            max_connections=settings.max_connections,
            min_connections=0,
            low_watermark=0,
            high_watermark=settings.max_connections,
            inbound_upgrade_timeout=settings.dial_timeout_s,
            outbound_upgrade_timeout=settings.dial_timeout_s,
        )
        super().__init__(
            own_id,
            peerstore,
            upgrader,
            transports=[TCP()],
            retry_config=RetryConfig(max_retries=0),
            connection_config=config,
        )
        self.auto_connector = NoAutoConnector(swarm=self)
        self._settings = settings
        self._scores = scores
        self._counters = counters
        self._inbound: Counter[str] = Counter()  # by IP address

    async def accept(self, stream: trio.SocketStream) -> None:
        """Serve one inbound TCP connection until it closes. Never raises on the peer's account."""
        host = str(stream.socket.getpeername()[0]) if _is_open(stream) else ""
        inbound = self._inbound.total()
        allowed = self._settings.max_connections - self._settings.reserved_outbound
        if not host or inbound >= allowed or self._inbound[host] >= self._settings.max_inbound_per_ip:
            self._counters.connections_refused += 1
            await stream.aclose()
            return
        self._inbound[host] += 1
        try:
            await self._handle_inbound_connection(TrioTCPStream(stream), next(iter(self.own_addrs())))
        except Exception as error:  # noqa: BLE001 - border to the library
            self._counters.handshakes_failed += 1
            _log.info("inbound connection failed", error=repr(error))
        finally:
            self._inbound[host] -= 1
            if not self._inbound[host]:
                del self._inbound[host]
            with trio.CancelScope(shield=True):
                await stream.aclose()

    def own_addrs(self) -> list[Multiaddr]:
        """The addresses this node listens on, without its peer id."""
        return [addr for listener in self.listeners.values() for addr in listener.get_addrs()]

    async def _handle_inbound_connection(self, read_write_closer: ReadWriteCloser, maddr: Multiaddr) -> None:
        """Upgrade the connection and stay until it closes.

        The library stays until the *swarm* closes, so that each connection ever accepted keeps its place among the
        inbound ones, and a node that runs long enough accepts none.
        """
        muxed = await self.upgrade_inbound_raw_conn(RawConnection(read_write_closer, False), maddr)
        if isinstance(muxed, Yamux):
            await muxed.event_closed.wait()

    async def add_conn(self, muxed_conn: IMuxedConn, direction: str = "unknown") -> SwarmConn:
        """Admit a connection whose handshake is done, or refuse it.

        Raises:
            SwarmException: The peer is banned, its key is not Ed25519, it is ourselves or connected twice already, or
                there is no room.
        """
        peer = muxed_conn.peer_id
        if (
            not is_peer_id(peer.to_bytes())
            or self._scores.is_banned(PeerId(peer.to_bytes()))
            or peer == self.self_id
            or len(self.get_connections(peer)) >= MAX_CONNECTIONS_PER_PEER
        ):
            self._counters.connections_refused += 1
            with shielded(1.0):
                await muxed_conn.close()
            raise SwarmException(f"peer {peer} is not welcome")
        return await super().add_conn(muxed_conn, direction)

    async def close_all(self, grace_s: float) -> None:
        """Close every connection, politely for `grace_s` and then by closing the sockets."""
        connections = [one for many in self.connections.values() for one in many]
        async with trio.open_nursery() as nursery:
            for connection in connections:
                nursery.start_soon(_quietly, connection.close)
                nursery.start_soon(self._close_socket_after, connection.muxed_conn, grace_s)

    @staticmethod
    async def _close_socket_after(muxed: IMuxedConn, grace_s: float) -> None:
        if not isinstance(muxed, Yamux):
            return
        with trio.move_on_after(grace_s):
            await muxed.event_closed.wait()
        await _quietly(muxed.secured_conn.close)


def _is_open(stream: trio.SocketStream) -> bool:
    """Whether the peer is still there; one that left before we looked has no address any more."""
    try:
        stream.socket.getpeername()
    except OSError:
        return False
    return True


async def _quietly(act: Callable[[], Awaitable[None]]) -> None:
    try:
        await act()
    except Exception as error:  # noqa: BLE001 - border: it is being closed, how does not matter
        _log.debug("closing failed", error=repr(error))


def mute_library() -> None:
    """Keep the library's own log lines off the terminal: what matters in them is counted or logged here.

    Parts of it log through the root logger, which makes Python install a handler that writes to stderr; one that writes
    nowhere prevents that, and any that the program has installed stays.
    """
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())
