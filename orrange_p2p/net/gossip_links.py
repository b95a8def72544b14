"""One gossip stream out to each peer: opened when the peer connects, opened again if it breaks, fed from a queue."""

import structlog
import trio
from libp2p.abc import INetStream
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.stream_muxer.yamux.yamux import Yamux

from orrange_p2p.net.counters import Counters
from orrange_p2p.net.host import GuardedHost
from orrange_p2p.net.mesh import MeshRouter
from orrange_p2p.net.queues import FrameQueue, encode_rpc
from orrange_p2p.net.seen import SeenIds
from orrange_p2p.net.settings import NetSettings

REGISTER_ATTEMPTS = 8
REGISTER_DELAY_S = 0.05

_log = structlog.get_logger(__name__)


class GossipLinks(Pubsub):
    """The sending half of gossip, and who follows what."""

    router: MeshRouter

    def __init__(self, host: GuardedHost, router: MeshRouter, settings: NetSettings, counters: Counters) -> None:
        super().__init__(host, router, strict_signing=True, max_inbound_rpc_size=settings.max_rpc_bytes)
        self.seen_messages.stop()
        self.seen_messages = SeenIds(settings.seen_messages)
        self._settings = settings
        self._counters = counters
        self._queues: dict[ID, FrameQueue] = {}
        self._registering: set[ID] = set()
        self._topics_changed = trio.Event()
        router.bind_queues(self._queues)

    async def wait_topic_peers(self, topic: str, count: int) -> None:
        """Wait until at least `count` peers that we can write to follow the topic."""
        while len(self.topic_peers(topic)) < count:
            await self._topics_changed.wait()

    def topic_peers(self, topic: str) -> set[ID]:
        """Peers that we can write to and that follow the topic."""
        return {peer for peer in self.peer_topics.get(topic, ()) if peer in self._queues}

    def _tell_topics_changed(self) -> None:
        self._topics_changed.set()
        self._topics_changed = trio.Event()

    async def _handle_new_peer_with_retry(self, peer_id: ID, timeout: float | None = None) -> None:
        """Open our stream to a peer, a few times if need be; at most one attempt at a time.

        The library may run several at once (two nodes that dial each other have two connections), which leaves a queue
        that nobody empties.
        """
        if peer_id in self._registering:
            return
        self._registering.add(peer_id)
        try:
            for attempt in range(REGISTER_ATTEMPTS):
                if peer_id in self.peers or not self._peer_is_connected(peer_id):
                    return
                try:
                    await self._register(peer_id)
                except Exception as error:  # noqa: BLE001 - border to the library
                    _log.debug("gossip stream failed", peer=str(peer_id), error=repr(error))
                else:
                    return
                await trio.sleep(REGISTER_DELAY_S * 2**attempt)
            self._counters.gossip_unopened += 1
        finally:
            self._registering.discard(peer_id)

    async def _register(self, peer_id: ID) -> None:
        stream = await self.host.new_stream(peer_id, self.protocols)
        hello = rpc_pb2.RPC()
        for topic in self.topic_ids:
            hello.subscriptions.add(subscribe=True, topicid=topic)
        # The hello is the queue's first frame, so that no later announcement can overtake it.
        queue = FrameQueue(self._settings, self._counters)
        queue.push_control(encode_rpc(hello))
        self.router.add_peer(peer_id, stream.get_protocol())
        self.peers[peer_id] = stream
        self._queues[peer_id] = queue
        self.manager.run_task(self._send_frames, peer_id, stream, queue)
        for topic in [one for one, peers in self.peer_topics.items() if peer_id in peers]:
            self.router.welcome(peer_id, topic)
        self._tell_topics_changed()

    async def _send_frames(self, peer_id: ID, stream: INetStream, queue: FrameQueue) -> None:
        in_flight = 0
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_close_with_connection, queue, stream)
                while (batch := await queue.take()) is not None:
                    frames, in_flight = batch
                    await stream.write(frames)
                    self._counters.messages_out += in_flight
                    self._counters.bytes_out += len(frames)
                    in_flight = 0
                nursery.cancel_scope.cancel()
        except Exception as error:  # noqa: BLE001 - border to the library: the stream broke
            _log.debug("gossip stream broke", peer=str(peer_id), error=repr(error))
        finally:
            self._end_stream(peer_id, queue, in_flight)

    def _end_stream(self, peer_id: ID, queue: FrameQueue, in_flight: int) -> None:
        queue.close()
        lost = queue.waiting_messages + in_flight
        if self._peer_is_connected(peer_id) and self._is_open:
            self._counters.outbound_lost += lost
        else:
            self._counters.outbound_abandoned += lost
        if self._queues.get(peer_id) is queue:
            self._handle_dead_peer(peer_id)

    @property
    def _is_open(self) -> bool:
        return self.manager.is_running and not self.manager.is_cancelled

    def _handle_dead_peer(self, peer_id: ID) -> None:
        """Forget our stream to a peer; open another one if the peer is still connected."""
        queue = self._queues.pop(peer_id, None)
        if queue is not None:
            queue.close()
        if self.peers.pop(peer_id, None) is not None:
            self.router.remove_peer(peer_id)
        if self._peer_is_connected(peer_id):
            # What it follows we know from its own stream, and it will not say it again.
            if self._is_open:
                self.manager.run_task(self._handle_new_peer_with_retry, peer_id)
        else:
            self._forget_all_subscriptions(peer_id)
        self._tell_topics_changed()


async def _close_with_connection(queue: FrameQueue, stream: INetStream) -> None:
    """Close the queue once the stream's connection has closed, which a stream at rest would not notice."""
    if isinstance(stream.muxed_conn, Yamux):
        await stream.muxed_conn.event_closed.wait()
        queue.close()
