"""`Network`: peers, gossip topics and framed streams over libp2p.

It owns every task and socket of the library between entering and leaving `running()`. What a peer sends, however wrong,
ends at most that peer's connection; what this program's own handlers and judges raise ends at most one stream or one
message, counted in `statistics()`.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
import trio
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.peer.id import ID
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr
from nacl.signing import SigningKey

from orrange_p2p.core.types import PeerId
from orrange_p2p.errors import ConfigError, InternalError, LocalProtocolError, NetworkError
from orrange_p2p.net.addresses import ED25519_PREFIX, parse_address, peer_text
from orrange_p2p.net.counters import Counters, NetStatistics
from orrange_p2p.net.framing import STREAM_ERRORS, FramedStream
from orrange_p2p.net.gossip import Gossip
from orrange_p2p.net.host import GuardedHost, StreamHandler
from orrange_p2p.net.listening import BoundListener, open_sockets
from orrange_p2p.net.mesh import MeshRouter
from orrange_p2p.net.messages import GossipMessage, Judge, PeerEvent
from orrange_p2p.net.peers import PeerBook
from orrange_p2p.net.scopes import shielded
from orrange_p2p.net.scores import PeerScores, Standing
from orrange_p2p.net.settings import KIB, NetSettings
from orrange_p2p.net.swarm import GuardedSwarm, mute_library

DEFAULT_FRAME_BYTES = 16 * KIB
SEED_BYTES = 32
CLOSE_GRACE_S = 0.6
CLOSE_LIMIT_S = 1.8

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Handler:
    serve: StreamHandler
    max_frame_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What exists while the network runs."""

    swarm: GuardedSwarm
    host: GuardedHost
    router: MeshRouter
    gossip: Gossip
    nursery: trio.Nursery


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Network:
    """This node's place in the peer-to-peer network."""

    def __init__(
        self,
        seed: bytes,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        settings: NetSettings | None = None,
        clock_ms: Callable[[], int] = _now_ms,
    ) -> None:
        """Prepare a network that has not started.

        Args:
            seed: The 32-byte Ed25519 seed of the peer key.
            host: Address to listen on.
            port: TCP port to listen on; 0 for any free one.
            settings: Limits and timings.
            clock_ms: Unix time in ms, for receipt times, scores and bans.

        Raises:
            ConfigError: The seed or the port is no such thing.
        """
        if len(seed) != SEED_BYTES:
            raise ConfigError(f"expected a peer key seed of {SEED_BYTES} bytes, was {len(seed)}")
        if not 0 <= port < 2**16:
            raise ConfigError(f"expected a port in 0..65535, was {port}")
        self._key = SigningKey(seed)
        self._listen_host = host
        self._listen_port = port
        self._settings = settings or NetSettings()
        self._clock_ms = clock_ms
        self._counters = Counters()
        self._scores = PeerScores(self._settings, clock_ms)
        self._handlers: dict[str, _Handler] = {}
        self._parts: _Parts | None = None
        self._dialling: dict[PeerId, trio.Lock] = {}
        self._events, self.peer_events = trio.open_memory_channel[PeerEvent](self._settings.peer_events)
        self.peer_id = PeerId(ED25519_PREFIX + self._key.verify_key.encode())
        self.peer_id_text = peer_text(self.peer_id)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Network"]:
        """Listen and serve until the block ends; then close everything within two seconds, also when cancelled.

        Runs once. Raises:
            NetworkError: The port or address cannot be listened on.
        """
        if self._parts is not None:
            raise InternalError("the network is running already")
        mute_library()
        sockets = await open_sockets(self._listen_host, self._listen_port)
        try:
            swarm = GuardedSwarm(bytes(self._key), self._settings, self._scores, self._counters)
            swarm.listeners["tcp"] = BoundListener(sockets)
            swarm.register_notifee(PeerBook(self._tell))
            host = GuardedHost(swarm, self._settings, self._counters, self.report)
            router = MeshRouter(self._settings, self._counters)
            gossip = Gossip(host, router, self._key, self._settings, self._counters, self._clock_ms, self.report)
            failure: Exception | None = None
            async with (
                background_trio_service(swarm),
                background_trio_service(router),
                background_trio_service(gossip) as gossip_manager,
                trio.open_nursery() as nursery,
            ):
                await gossip.wait_until_ready()
                parts = _Parts(swarm=swarm, host=host, router=router, gossip=gossip, nursery=nursery)
                self._parts = parts
                for protocol in self._handlers:
                    self._install(parts, protocol)
                listening = trio.CancelScope()
                nursery.start_soon(_serve, listening, swarm, sockets, nursery)
                try:
                    yield self
                except Exception as error:  # noqa: BLE001 - held back: the nurseries would bury it in four groups
                    failure = error
                finally:
                    with shielded(CLOSE_LIMIT_S):
                        gossip_manager.cancel()
                        listening.cancel()
                        await swarm.close_all(CLOSE_GRACE_S)
                    nursery.cancel_scope.cancel()
            if failure is not None:
                raise failure
        finally:
            self._parts = None
            for one in sockets:
                one.socket.close()

    def _running(self) -> _Parts:
        if self._parts is None:
            raise InternalError("the network is not running: use it inside `async with network.running()`")
        return self._parts

    # Peers

    def addresses(self) -> list[str]:
        """The multiaddrs to reach this node at, each ending in its peer id."""
        return [f"{addr}/p2p/{self.peer_id_text}" for addr in self._running().swarm.own_addrs()]

    def connected_peers(self) -> tuple[PeerId, ...]:
        """The peers with a live connection, sorted."""
        swarm = self._running().swarm
        return tuple(sorted(PeerId(one.to_bytes()) for one in swarm.connections))

    def is_connected(self, peer: PeerId) -> bool:
        """Whether the peer has a live connection."""
        return bool(self._running().swarm.get_connections(ID(peer)))

    async def connect(self, address: str, *, timeout_s: float | None = None) -> PeerId:
        """Connect to the peer at a multiaddr with its peer id; at once if it is connected already.

        Args:
            address: Like `/ip4/127.0.0.1/tcp/4001/p2p/12D3Koo...`.
            timeout_s: Seconds to try, or None for the settings' own.

        Raises:
            ConfigError: The address is no such thing.
            NetworkError: The peer cannot be reached, is someone else, or is not welcome.
        """
        parts = self._running()
        target, peer = parse_address(address)
        if peer == self.peer_id:
            raise NetworkError(f"{address} is this node itself")
        lock = self._dialling.setdefault(peer, trio.Lock())
        try:
            async with lock:
                if not parts.swarm.get_connections(ID(peer)):
                    await self._dial(parts, target, peer, timeout_s or self._settings.dial_timeout_s)
        finally:
            if not lock.locked():
                self._dialling.pop(peer, None)
        return peer

    async def _dial(self, parts: _Parts, target: Multiaddr, peer: PeerId, timeout_s: float) -> None:
        try:
            with trio.fail_after(timeout_s):
                # Straight to this address. The library's own connect picks one of all it has ever heard of the
                # peer, waits a quarter of a second between them and refuses for a minute after a failure.
                await parts.swarm.dial_addr(target, ID(peer))
        except trio.TooSlowError as error:
            self._counters.dial_failures += 1
            raise NetworkError(f"cannot reach {target}: no answer within {timeout_s:g} s") from error
        except (BaseLibp2pError, OSError) as error:
            self._counters.dial_failures += 1
            raise NetworkError(f"cannot reach {target}: {_root(error)}") from error

    async def disconnect(self, peer: PeerId) -> None:
        """Close every connection to the peer, if there is one."""
        await self._running().swarm.close_peer(ID(peer))

    def report(self, peer: PeerId, rule: str) -> None:
        """Mark a peer that did what no honest peer does; enough marks disconnect it, more ban it for a while."""
        if peer == self.peer_id:
            return
        standing = self._scores.mark(peer, self._settings.reject_penalty)
        _log.info("peer marked", peer=peer_text(peer), rule=rule, standing=standing.value)
        if standing is Standing.TOLERATED:
            return
        if standing is Standing.BAN:
            self._counters.bans += 1
        parts = self._parts
        if parts is not None and parts.swarm.get_connections(ID(peer)):
            self._counters.score_disconnects += 1
            parts.nursery.start_soon(parts.swarm.close_peer, ID(peer))

    def _tell(self, event: PeerEvent) -> None:
        try:
            self._events.send_nowait(event)
        except (trio.WouldBlock, trio.BrokenResourceError):
            self._counters.peer_events_dropped += 1

    # Gossip

    async def subscribe(self, topic: str, judge: Judge) -> trio.MemoryReceiveChannel[GossipMessage]:
        """Follow a topic: each message of other peers that `judge` accepts arrives once, in no promised order.

        `judge` runs before a message is forwarded, after its signature is checked; if it raises, the message counts as
        ignored. Our own messages do not come back. The channel is bounded: when its reader is behind, the newest
        message is dropped and counted as `subscription_full`.

        Raises:
            LocalProtocolError: We follow this topic already.
        """
        gossip = self._running().gossip
        if topic in gossip.topic_ids:
            raise LocalProtocolError("NET-1", f"expected a topic not followed yet, was {topic}")
        return await gossip.follow(topic, judge)

    async def unsubscribe(self, topic: str) -> None:
        """Follow the topic no longer; its channel ends."""
        await self._running().gossip.unfollow(topic)

    async def publish(self, topic: str, payload: bytes) -> int:
        """Send a message to every connected peer that follows the topic, without waiting for any.

        Peers that join the topic within the next few seconds get it too.

        Returns:
            How many peers it was queued for; 0 if nobody we know follows the topic.

        Raises:
            LocalProtocolError: The payload is too long; nothing was sent.
        """
        gossip = self._running().gossip
        if len(payload) > self._settings.max_payload_bytes:
            raise LocalProtocolError(
                "NET-1", f"expected a payload of at most {self._settings.max_payload_bytes} bytes, was {len(payload)}"
            )
        count = gossip.publish_own(topic, payload)
        await trio.lowlevel.checkpoint()
        return count

    def topic_peers(self, topic: str) -> tuple[PeerId, ...]:
        """The connected peers that follow the topic, sorted."""
        return tuple(sorted(PeerId(one.to_bytes()) for one in self._running().gossip.topic_peers(topic)))

    async def wait_topic_peers(self, topic: str, count: int) -> None:
        """Wait until at least `count` connected peers follow the topic."""
        await self._running().gossip.wait_topic_peers(topic, count)

    # Streams

    def set_stream_handler(
        self, protocol: str, handler: StreamHandler, *, max_frame_bytes: int = DEFAULT_FRAME_BYTES
    ) -> None:
        """Serve inbound streams of a protocol, each in a task of its own; also before the network runs.

        The stream closes when the handler returns. If it raises, the stream is reset, the fault is counted, and a
        `RemoteProtocolError` costs the peer its score.
        """
        self._handlers[protocol] = _Handler(serve=handler, max_frame_bytes=max_frame_bytes)
        if self._parts is not None:
            self._install(self._parts, protocol)

    def _install(self, parts: _Parts, protocol: str) -> None:
        handler = self._handlers[protocol]
        parts.host.set_stream_handler(
            TProtocol(protocol), parts.host.guard(protocol, handler.serve, handler.max_frame_bytes)
        )

    async def open_stream(
        self, peer: PeerId, protocol: str, *, max_frame_bytes: int | None = None, timeout_s: float | None = None
    ) -> FramedStream:
        """Open a stream to a connected peer. Use it as `async with`, or close it.

        Args:
            peer: The peer.
            protocol: The protocol to speak.
            max_frame_bytes: Longest frame either way; None for that of our own handler of the protocol, or 16 KiB.
            timeout_s: Seconds to try, or None for the settings' own.

        Raises:
            NetworkError: The peer is not connected, does not speak the protocol, or did not answer in time.
        """
        parts = self._running()
        if not parts.swarm.get_connections(ID(peer)):
            raise NetworkError(f"peer {peer_text(peer)} is not connected")
        if max_frame_bytes is None:
            known = self._handlers.get(protocol)
            max_frame_bytes = known.max_frame_bytes if known else DEFAULT_FRAME_BYTES
        limit_s = timeout_s or self._settings.negotiate_timeout_s
        try:
            with trio.fail_after(limit_s):
                stream = await parts.host.new_stream(ID(peer), [TProtocol(protocol)])
        except trio.TooSlowError as error:
            raise NetworkError(f"peer {peer_text(peer)} did not open {protocol} within {limit_s:g} s") from error
        except (BaseLibp2pError, *STREAM_ERRORS) as error:
            raise NetworkError(f"peer {peer_text(peer)} does not speak {protocol}: {_root(error)}") from error
        return parts.host.framed(stream, max_frame_bytes)

    def statistics(self) -> NetStatistics:
        """What came, went and was dropped since this network was made."""
        return self._counters.snapshot()


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


async def _serve(
    listening: trio.CancelScope, swarm: GuardedSwarm, sockets: list[trio.SocketListener], nursery: trio.Nursery
) -> None:
    """Take in connections until `listening` is cancelled; those taken in live on in the nursery."""
    with listening:
        await trio.serve_listeners(swarm.accept, sockets, handler_nursery=nursery)
