"""Frames of the direct protocol: a stream for each Instructions, and its Receipt back on it.

Spec: protocol/spec/01-types.md [NET-2], 08-peers.md [DM-3].
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from orrange_p2p.core.direct_frames import MAX_DIRECT_FRAME_BYTES, decode_direct_message, encode_direct_message
from orrange_p2p.core.messages import Instructions, Receipt
from orrange_p2p.core.types import PeerId
from orrange_p2p.errors import NetworkError, RemoteProtocolError
from orrange_p2p.net.framing import FramedStream
from orrange_p2p.net.network import Network
from orrange_p2p.net.pace import Pace

PROTOCOL = "/orrange/dm/1"
FRAME_TIMEOUT_S = 10.0
RATE_PER_S = 4
BURST = 64
MAX_PACED = 256

InstructionSink = Callable[[PeerId, Instructions], Awaitable[Receipt | None]]
"""Takes what a peer sent; the Receipt to answer with, or None for no answer. `RemoteProtocolError` blames the peer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectStreamStatistics:
    """Streams opened and answered, those that failed, frames received, and those whose sender was too slow."""

    opened: int
    answered: int
    failed: int
    received: int
    timed_out: int


class DirectStreams:
    """Sends and receives payment instructions.

    A peer that sends more than `BURST` at once and `RATE_PER_S` after that waits for its turn, on its own streams.
    """

    def __init__(
        self, network: Network, sink: InstructionSink, *, rate_per_s: int = RATE_PER_S, burst: int = BURST
    ) -> None:
        self._network = network
        self._sink = sink
        self._rate_per_s, self._burst = rate_per_s, burst
        self._paces: dict[PeerId, Pace] = {}
        self._opened = self._answered = self._failed = self._received = self._timed_out = 0
        network.set_stream_handler(PROTOCOL, self._serve, max_frame_bytes=MAX_DIRECT_FRAME_BYTES)

    def statistics(self) -> DirectStreamStatistics:
        """Counters since the start."""
        return DirectStreamStatistics(
            opened=self._opened,
            answered=self._answered,
            failed=self._failed,
            received=self._received,
            timed_out=self._timed_out,
        )

    async def deliver(self, peer: PeerId, message: Instructions) -> Receipt | None:
        """Send Instructions to a connected peer and wait for its answer; None if it gives none.

        Raises:
            NetworkError: the peer is not connected, does not speak the protocol, or was silent for too long.
            RemoteProtocolError: its answer is no Receipt.
        """
        self._opened += 1
        try:
            with trio.fail_after(FRAME_TIMEOUT_S):
                stream = await self._network.open_stream(peer, PROTOCOL, max_frame_bytes=MAX_DIRECT_FRAME_BYTES)
                async with stream:
                    await stream.send(encode_direct_message(message))
                    frame = await stream.receive()
        except trio.TooSlowError as error:
            self._failed += 1
            raise NetworkError(f"expected an answer within {FRAME_TIMEOUT_S:g} s, was silence") from error
        except NetworkError:
            self._failed += 1
            raise
        if frame is None:
            return None
        answer = decode_direct_message(frame)
        if not isinstance(answer, Receipt):
            raise RemoteProtocolError("DM-3", f"expected a Receipt, was {type(answer).__name__}")
        self._answered += 1
        return answer

    async def _serve(self, stream: FramedStream) -> None:
        """One frame, and its answer. Spec: [DM-3]."""
        with trio.move_on_after(FRAME_TIMEOUT_S) as patience:
            frame = await stream.receive()
        if patience.cancelled_caught:
            self._timed_out += 1
            await stream.reset()
            return
        if frame is None:
            return
        await self._pace_of(stream.peer).step()
        self._received += 1
        message = decode_direct_message(frame)
        if not isinstance(message, Instructions):
            raise RemoteProtocolError("DM-3", f"expected Instructions first, was {type(message).__name__}")
        receipt = await self._sink(stream.peer, message)
        if receipt is not None:
            await stream.send(encode_direct_message(receipt))

    def _pace_of(self, peer: PeerId) -> Pace:
        """A peer's pace over all its streams; of the peers beyond `MAX_PACED` the one known for longest begins anew."""
        pace = self._paces.get(peer)
        if pace is None:
            if len(self._paces) >= MAX_PACED:
                del self._paces[next(iter(self._paces))]
            pace = self._paces[peer] = Pace(self._rate_per_s, self._burst)
        return pace
