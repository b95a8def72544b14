"""Gossip messages, tamed: what arrives is checked, judged, counted, delivered and forwarded, and never raises.

A message's way in: size, form and author; then the seen cache; then the signature; then the judge; then, if accepted,
to the reader and to the mesh. An ignored message is not marked as seen: what was ignored from one peer (its quota was
spent, say) may still come from another, so no peer can make us deaf to the rest by sending their messages first.
"""

import time
from collections.abc import Callable, KeysView
from dataclasses import dataclass

import structlog
import trio
from google.protobuf.message import DecodeError
from libp2p.abc import INetStream
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from nacl.signing import SigningKey

from orrange_p2p.core.types import PeerId
from orrange_p2p.core.verdicts import Ignore, Reject, Verdict
from orrange_p2p.net import signing
from orrange_p2p.net.counters import Counters, count_rule
from orrange_p2p.net.framing import STREAM_ERRORS, BufferedReader
from orrange_p2p.net.gossip_links import GossipLinks
from orrange_p2p.net.host import GuardedHost, Misbehaviour
from orrange_p2p.net.mesh import MeshRouter
from orrange_p2p.net.messages import GossipMessage, Judge
from orrange_p2p.net.pace import Pace
from orrange_p2p.net.queues import encode_rpc
from orrange_p2p.net.settings import NetSettings

MAX_SUBSCRIPTIONS_PER_PEER = 64
MAX_TOPIC_CHARS = 256
MAX_VARINT_BYTES = 10

_log = structlog.get_logger(__name__)


class _FrameError(Exception):
    """A peer sent a frame that no honest peer sends; `rule` says which rule it broke."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subscription:
    judge: Judge
    readers: trio.MemorySendChannel[GossipMessage]


class Gossip(GossipLinks):
    """Publish and subscribe over `MeshRouter`."""

    def __init__(
        self,
        host: GuardedHost,
        router: MeshRouter,
        key: SigningKey,
        settings: NetSettings,
        counters: Counters,
        clock_ms: Callable[[], int],
        on_misbehaviour: Misbehaviour,
    ) -> None:
        super().__init__(host, router, settings, counters)
        self._key = key
        self._clock_ms = clock_ms
        self._on_misbehaviour = on_misbehaviour
        self._subscriptions: dict[str, _Subscription] = {}
        self._last_seqno = 0

    # Topics

    @property
    def topic_ids(self) -> KeysView[str]:
        """The topics we follow."""
        return self._subscriptions.keys()

    async def follow(self, topic: str, judge: Judge) -> trio.MemoryReceiveChannel[GossipMessage]:
        """Follow a topic from now on; its accepted messages arrive on the channel."""
        send, receive = trio.open_memory_channel[GossipMessage](self._settings.subscription_messages)
        self._subscriptions[topic] = _Subscription(judge=judge, readers=send)
        self._announce(topic, is_followed=True)
        await self.router.join(topic)
        return receive

    async def unfollow(self, topic: str) -> None:
        """Follow a topic no longer; its channel ends."""
        subscription = self._subscriptions.pop(topic, None)
        if subscription is None:
            return
        subscription.readers.close()
        self._announce(topic, is_followed=False)
        await self.router.leave(topic)

    def _announce(self, topic: str, *, is_followed: bool) -> None:
        rpc = rpc_pb2.RPC()
        rpc.subscriptions.add(subscribe=is_followed, topicid=topic)
        frame = encode_rpc(rpc)
        for queue in self._queues.values():
            queue.push_control(frame)

    def handle_subscription(self, origin_id: ID, sub_message: rpc_pb2.RPC.SubOpts) -> None:
        """Note that a peer follows a topic, or no longer does; welcome it to a topic of ours."""
        topic = sub_message.topicid
        if not sub_message.subscribe:
            self._forget_subscription(origin_id, topic)
            if topic in self.router.mesh:
                self.router.mesh[topic].discard(origin_id)
            return
        peers = self.peer_topics.get(topic, set())
        held = self._peer_subscription_count.get(origin_id, 0)
        if origin_id in peers or held >= MAX_SUBSCRIPTIONS_PER_PEER or not 0 < len(topic) <= MAX_TOPIC_CHARS:
            return
        self.peer_topics.setdefault(topic, set()).add(origin_id)
        self._peer_subscription_count[origin_id] = held + 1
        self.router.welcome(origin_id, topic)
        self._tell_topics_changed()

    # Messages out

    def publish_own(self, topic: str, payload: bytes) -> int:
        """Sign a message and queue it for every peer of the topic; how many that is."""
        message = rpc_pb2.Message(
            data=payload, topicIDs=[topic], from_id=self.my_id.to_bytes(), seqno=self._next_seqno()
        )
        signing.sign(message, self._key)
        self._mark_msg_seen(message)
        self._counters.published += 1
        return self.router.forward(None, message)

    def _next_seqno(self) -> bytes:
        """A number above every one used before, by this run or an earlier one.

        The library counts from the time in seconds: a node that published faster than once a second and restarts
        would use numbers again, and its peers would take its messages for old ones.
        """
        self._last_seqno = max(self._last_seqno + 1, time.time_ns())
        return self._last_seqno.to_bytes(signing.SEQNO_BYTES, "big")

    # Messages in

    async def stream_handler(self, stream: INetStream) -> None:
        """Read a peer's frames until its stream ends; a frame no honest peer sends ends it and costs the peer."""
        peer = stream.muxed_conn.peer_id
        reader = BufferedReader(stream)
        pace = Pace(self._settings.peer_messages_per_s, self._settings.peer_burst_messages)
        try:
            while await reader.fill():
                for body in self._frames_in(reader.buffer):
                    await self._take_rpc(peer, body, pace)
            await stream.close()
        except _FrameError as violation:
            self._on_misbehaviour(PeerId(peer.to_bytes()), violation.rule)
            await stream.reset()
        except STREAM_ERRORS:
            return  # the connection's end is noticed where connections are kept

    def _frames_in(self, buffer: bytearray) -> list[bytes]:
        """Cut the whole frames off the front of the buffer."""
        bodies = []
        while (head := _decode_varint(buffer)) is not None:
            start, length = head
            if length > self._settings.max_rpc_bytes:
                self._counters.rpc_oversize += 1
                raise _FrameError("frame size")
            if len(buffer) < start + length:
                break
            bodies.append(bytes(buffer[start : start + length]))
            del buffer[: start + length]
        return bodies

    async def _take_rpc(self, peer: ID, body: bytes, pace: Pace) -> None:
        self._counters.bytes_in += len(body)
        rpc = rpc_pb2.RPC()
        try:
            rpc.ParseFromString(body)
        except (DecodeError, UnicodeDecodeError) as error:
            self._counters.rpc_garbage += 1
            raise _FrameError("frame") from error
        for subscription in rpc.subscriptions[: 2 * MAX_SUBSCRIPTIONS_PER_PEER]:
            self.handle_subscription(peer, subscription)
        for message in rpc.publish:
            await pace.step()
            self.take_message(peer, message)
        if rpc.HasField("control"):
            await self.router.handle_rpc(rpc, peer)

    def take_message(self, forwarder: ID, message: rpc_pb2.Message) -> None:
        """Check, judge, deliver and forward one message. Never raises on the message's account."""
        self._counters.messages_in += 1
        source = PeerId(forwarder.to_bytes())
        fault = self._fault_of_form(message)
        if fault is not None:
            self._refuse(source, fault)
            return
        topic = message.topicIDs[0]
        subscription = self._subscriptions.get(topic)
        if subscription is None:
            self._counters.unsubscribed += 1
            return
        if self._is_msg_seen(message) or message.from_id == self.my_id.to_bytes():
            self._counters.duplicates += 1
            return
        fault = signing.fault_of(message)
        if fault is not None:
            self._refuse(source, fault)
            return
        verdict = self._judged(subscription.judge, message.data, source)
        if isinstance(verdict, Ignore):
            count_rule(self._counters.ignored, verdict.rule)
            return
        self._mark_msg_seen(message)
        if isinstance(verdict, Reject):
            count_rule(self._counters.rejected, verdict.rule)
            self._on_misbehaviour(source, verdict.rule)
            return
        self._deliver(subscription, source, message)
        self.router.forward(forwarder, message)

    def _fault_of_form(self, message: rpc_pb2.Message) -> str | None:
        if len(message.topicIDs) != 1:
            return "topics"
        if len(message.data) > self._settings.max_payload_bytes:
            return "size"
        return None

    def _refuse(self, source: PeerId, fault: str) -> None:
        count_rule(self._counters.invalid_messages, fault)
        self._on_misbehaviour(source, f"gossip message: {fault}")

    def _judged(self, judge: Judge, payload: bytes, source: PeerId) -> Verdict:
        try:
            return judge(payload, source)
        except Exception:  # noqa: BLE001 - border: a failing judge is our fault, and must not take the node with it
            self._counters.judge_errors += 1
            _log.exception("judge failed", peer=source.hex())
            return Ignore("internal")

    def _deliver(self, subscription: _Subscription, source: PeerId, message: rpc_pb2.Message) -> None:
        delivered = GossipMessage(
            topic=message.topicIDs[0],
            payload=message.data,
            source=source,
            author=PeerId(message.from_id),
            received_ms=self._clock_ms(),
        )
        try:
            subscription.readers.send_nowait(delivered)
        except (trio.WouldBlock, trio.BrokenResourceError):
            self._counters.subscription_full += 1
            return
        self._counters.delivered += 1


def _decode_varint(buffer: bytearray) -> tuple[int, int] | None:
    """The varint at the buffer's start, as (bytes it takes, value); None if it has not all arrived.

    Raises:
        _FrameError: It is longer than any 64-bit number.
    """
    value = 0
    for index, byte in enumerate(buffer[:MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return index + 1, value
    if len(buffer) >= MAX_VARINT_BYTES:
        raise _FrameError("frame length")
    return None
