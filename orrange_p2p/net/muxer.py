"""Yamux, tamed: whole frames or none, and no connection outlives its peer."""

import struct

import structlog
import trio
from libp2p.abc import IMuxedConn, ISecureConn
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.peer.id import ID
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import FLAG_SYN, PROTOCOL_ID, TYPE_PING, YAMUX_HEADER_FORMAT, Yamux

from orrange_p2p.net.counters import Counters
from orrange_p2p.net.settings import NetSettings

NO_GROWTH_RTT_S = 1e-9

_log = structlog.get_logger(__name__)


class GuardedYamux(Yamux):
    """A Yamux connection that fails alone.

    The library writes frames in whatever task sends them. If that task is cancelled between encrypting a frame and
    writing it, the cipher's counter has moved on and the peer can read nothing more: one impatient caller would kill
    the connection for all. Here a frame that has begun is finished, within a time limit.
    """

    def __init__(self, secured_conn: ISecureConn, peer_id: ID, settings: NetSettings, counters: Counters) -> None:
        super().__init__(secured_conn, peer_id)
        self._settings = settings
        self._counters = counters
        self._is_stalled = False

    async def start(self) -> None:
        """Run the connection until it closes; nothing that goes wrong in it reaches the swarm."""
        try:
            await super().start()
        except Exception as error:  # noqa: BLE001 - border to the library
            _log.warning("connection failed", peer=str(self.peer_id), error=repr(error))
            await self._cleanup_on_error()

    def rtt(self) -> float:
        """Nearly nothing, which keeps receive windows at 512 KiB.

        From a real value the library doubles a stream's window up to 16 MiB, while it still negotiates the protocol:
        that is what a peer could then make us hold for each stream that nobody reads.
        """
        return NO_GROWTH_RTT_S

    async def _read_data_body(self, length: int) -> bytes:
        """Read a frame's body, unless the peer has sent far more than was read already.

        The library only logs when a peer overruns its windows.
        """
        unread = length + sum(map(len, self.stream_buffers.values()))
        if unread > self._settings.unread_bytes:
            self._counters.connections_flooded += 1
            await self.secured_conn.close()
            raise ConnectionClosedError(f"expected at most {self._settings.unread_bytes} unread bytes, was {unread}")
        return await super()._read_data_body(length)

    async def _write_frame(self, data: bytes) -> None:
        async with self._write_lock:
            if self._is_stalled:
                raise ConnectionClosedError("connection closed: the peer stopped reading")
            with trio.CancelScope(shield=True) as scope:
                scope.deadline = trio.current_time() + self._settings.write_timeout_s
                await self.secured_conn.write(data)
            if scope.cancelled_caught:
                await self._stall()
                raise ConnectionClosedError("connection closed: the peer stopped reading")

    async def _stall(self) -> None:
        if self._is_stalled or self.event_shutting_down.is_set():
            return
        self._is_stalled = True
        self._counters.connections_stalled += 1
        # The reader notices the closed socket and takes the connection down in its own task.
        with trio.CancelScope(shield=True):
            await self.secured_conn.close()

    async def _measure_rtt_loop(self) -> None:
        """Ping the peer; if it answers none within `keepalive_s`, close the connection.

        Takes the place of the library's loop, which pings and never minds the answer, so that a peer whose machine
        lost power would stay connected for ever.
        """
        while True:
            with trio.move_on_after(self._settings.keepalive_s):
                await self.event_shutting_down.wait()
            if self.event_shutting_down.is_set():
                return
            self._ping_id = (self._ping_id + 1) % 2**32
            self._ping_event = trio.Event()
            self._ping_sent_time = trio.current_time()
            try:
                await self._write_frame(struct.pack(YAMUX_HEADER_FORMAT, 0, TYPE_PING, FLAG_SYN, 0, self._ping_id))
            except Exception:  # noqa: BLE001 - border: the connection is closing, and its reader says so
                return
            with trio.move_on_after(self._settings.keepalive_s) as answer:
                await self._ping_event.wait()
            if answer.cancelled_caught:
                await self._stall()
                return


class YamuxOnly(MuxerMultistream):
    """Negotiates Yamux and nothing else, and makes it ours (the library hard-codes its own class here)."""

    def __init__(self, settings: NetSettings, counters: Counters) -> None:
        super().__init__({TProtocol(PROTOCOL_ID): GuardedYamux})
        self._settings = settings
        self._counters = counters

    async def new_conn(self, conn: ISecureConn, peer_id: ID) -> IMuxedConn:
        """Agree on Yamux with the peer and wrap the connection in it."""
        protocol, _ = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        return self._annotate_connection(GuardedYamux(conn, peer_id, self._settings, self._counters), conn, protocol)
