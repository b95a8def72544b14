"""The host, tamed: a stream that goes wrong ends alone."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import structlog
from libp2p.abc import INetConn, INetStream
from libp2p.host.basic_host import BasicHost
from libp2p.identity.identify_push.identify_push import ID_PUSH
from libp2p.peer.id import ID

from orrange_p2p.core.types import PeerId
from orrange_p2p.errors import NetworkError, RemoteProtocolError
from orrange_p2p.net.counters import Counters
from orrange_p2p.net.framing import RESET_TIMEOUT_S, STREAM_ERRORS, FramedStream
from orrange_p2p.net.scopes import shielded
from orrange_p2p.net.settings import NetSettings
from orrange_p2p.net.swarm import GuardedSwarm

StreamHandler = Callable[[FramedStream], Awaitable[None]]
Misbehaviour = Callable[[PeerId, str], None]
"""Called with a peer and the rule it broke."""

MAX_STREAM_RECORDS_PER_PLACE = 16

_log = structlog.get_logger(__name__)


class GuardedHost(BasicHost):
    """Streams over the swarm. In the library an exception in any stream handler takes the whole node down."""

    def __init__(
        self, swarm: GuardedSwarm, settings: NetSettings, counters: Counters, on_misbehaviour: Misbehaviour
    ) -> None:
        super().__init__(
            swarm,
            negotiate_timeout=max(1, int(settings.negotiate_timeout_s)),
            disable_identify_address_discovery=True,
        )
        swarm.connection_config.inbound_stream_protocol_negotiation_timeout = settings.negotiate_timeout_s
        swarm.connection_config.outbound_stream_protocol_negotiation_timeout = settings.negotiate_timeout_s
        # A peer could rewrite what we know of it at any time, and nothing here reads it.
        self.remove_stream_handler(ID_PUSH)
        self._settings = settings
        self._counters = counters
        self._on_misbehaviour = on_misbehaviour
        self._inbound_streams: Counter[ID] = Counter()

    def _schedule_identify(self, peer_id: ID, *, reason: str) -> None:
        """Nothing: addresses travel in our own messages, and the library would run this outside every nursery."""

    async def _on_notifee_connected(self, conn: INetConn) -> None:
        """Nothing, as above."""

    async def _swarm_stream_handler(self, net_stream: INetStream) -> None:
        """Serve one inbound stream, within the peer's share, and let nothing out that it raises."""
        peer = net_stream.muxed_conn.peer_id
        records = len(getattr(net_stream.muxed_conn, "streams", ()))
        if records > self._settings.max_streams_per_peer * MAX_STREAM_RECORDS_PER_PLACE:
            # Streams that we have closed and the peer has not are remembered by Yamux for ever.
            self._on_misbehaviour(PeerId(peer.to_bytes()), "too many half-closed streams")
        if self._inbound_streams[peer] >= self._settings.max_streams_per_peer:
            self._counters.streams_refused += 1
            await self._reset(net_stream)
            return
        self._inbound_streams[peer] += 1
        try:
            await super()._swarm_stream_handler(net_stream)
            if net_stream.get_protocol() is None:
                self._counters.streams_failed += 1
        except Exception as error:  # noqa: BLE001 - border to the library: it ends this stream only
            self._counters.streams_failed += 1
            _log.info("stream failed", peer=str(peer), error=repr(error))
            await self._reset(net_stream)
        finally:
            self._inbound_streams[peer] -= 1
            if not self._inbound_streams[peer]:
                del self._inbound_streams[peer]

    async def _reset(self, stream: INetStream) -> None:
        with shielded(RESET_TIMEOUT_S):
            await stream.reset()

    def guard(
        self, protocol: str, handler: StreamHandler, max_frame_bytes: int
    ) -> Callable[[INetStream], Awaitable[None]]:
        """Wrap a handler of ours into one for the library.

        The stream closes when the handler returns and is reset when it raises. `RemoteProtocolError` costs the peer its
        score, `NetworkError` means the stream is gone, any other exception is a fault of the handler.
        """

        async def serve(net_stream: INetStream) -> None:
            stream = self.framed(net_stream, max_frame_bytes)
            try:
                async with stream:
                    await handler(stream)
            except Exception as error:  # noqa: BLE001 - border: a failing handler must not take the node with it
                self._note_failure(protocol, stream.peer, error)

        return serve

    def _note_failure(self, protocol: str, peer: PeerId, error: Exception) -> None:
        causes = list(_leaves(error))
        for cause in causes:
            if isinstance(cause, RemoteProtocolError):
                self._counters.stream_violations += 1
                _log.warning("peer broke the protocol", protocol=protocol, peer=peer.hex(), error=str(cause))
                self._on_misbehaviour(peer, cause.rule)
                return
        if all(isinstance(cause, (NetworkError, *STREAM_ERRORS)) for cause in causes):
            self._counters.streams_lost += 1
            return
        self._counters.handler_errors += 1
        _log.error("stream handler failed", protocol=protocol, peer=peer.hex(), exc_info=error)

    def framed(self, net_stream: INetStream, max_frame_bytes: int) -> FramedStream:
        """The stream as frames, with oversize ones counted."""

        def count() -> None:
            self._counters.frames_oversize += 1

        return FramedStream(net_stream, max_frame_bytes=max_frame_bytes, on_oversize=count)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions inside nested groups: a handler with a nursery raises groups."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error
