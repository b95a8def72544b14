"""Frames of the ticket protocol: one outgoing stream per peer, opened once and kept.

Spec: protocol/spec/01-types.md [NET-2], 05-tickets.md.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from orrange_p2p.core.frames import MAX_TICKET_FRAME_BYTES, decode_ticket_message, encode_ticket_message
from orrange_p2p.core.messages import TicketMessage
from orrange_p2p.core.types import PeerId
from orrange_p2p.errors import NetworkError
from orrange_p2p.net.framing import FramedStream
from orrange_p2p.net.network import Network

PROTOCOL = "/orrange/ticket/1"
MAX_QUEUED = 256

MessageSink = Callable[[PeerId, TicketMessage], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketStreamStatistics:
    """Frames sent, received, and not sent because a peer's queue was full or its stream failed."""

    sent: int
    received: int
    dropped_full: int
    dropped_failed: int


class TicketStreams:
    """Sends and receives ticket frames. `send` never waits; a full queue drops the frame and counts it."""

    def __init__(self, network: Network, sink: MessageSink) -> None:
        self._network = network
        self._sink = sink
        self._queues: dict[PeerId, trio.MemorySendChannel[TicketMessage]] = {}
        self._nursery: trio.Nursery | None = None
        self._sent = self._received = self._dropped_full = self._dropped_failed = 0
        network.set_stream_handler(PROTOCOL, self._serve, max_frame_bytes=MAX_TICKET_FRAME_BYTES)

    def statistics(self) -> TicketStreamStatistics:
        """Counters since the start."""
        return TicketStreamStatistics(
            sent=self._sent,
            received=self._received,
            dropped_full=self._dropped_full,
            dropped_failed=self._dropped_failed,
        )

    async def run(self) -> None:
        """Keep the senders, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await trio.sleep_forever()

    def send(self, peer: PeerId, message: TicketMessage) -> None:
        """Queue a frame for a peer."""
        queue = self._queues.get(peer)
        if queue is None:
            if self._nursery is None:
                self._dropped_failed += 1
                return
            queue, source = trio.open_memory_channel[TicketMessage](MAX_QUEUED)
            self._queues[peer] = queue
            self._nursery.start_soon(self._send_all, peer, queue, source)
        try:
            queue.send_nowait(message)
        except trio.WouldBlock:
            self._dropped_full += 1

    def forget(self, peer: PeerId) -> None:
        """A peer has gone: what is queued for it is sent or fails, and its sender ends."""
        queue = self._queues.pop(peer, None)
        if queue is not None:
            queue.close()

    async def _send_all(
        self,
        peer: PeerId,
        queue: "trio.MemorySendChannel[TicketMessage]",
        source: "trio.MemoryReceiveChannel[TicketMessage]",
    ) -> None:
        """Send what is queued; ends, and is started anew by the next frame, once the stream fails."""
        taken = 0
        try:
            stream = await self._network.open_stream(peer, PROTOCOL, max_frame_bytes=MAX_TICKET_FRAME_BYTES)
            async with stream:
                async for message in source:
                    taken = 1
                    await stream.send(encode_ticket_message(message))
                    taken = 0
                    self._sent += 1
        except NetworkError:
            self._dropped_failed += taken + source.statistics().current_buffer_used
        finally:
            if self._queues.get(peer) is queue:
                del self._queues[peer]
            source.close()

    async def _serve(self, stream: FramedStream) -> None:
        while (frame := await stream.receive()) is not None:
            self._received += 1
            await self._sink(stream.peer, decode_ticket_message(frame))
