"""Feed entries over gossip: batches out, sound entries in.

A batch is judged before it is forwarded: decoded, its unknown entries' signatures checked. What was checked there is
handed on, so that no signature is recovered twice.
Spec: protocol/spec/01-types.md [NET-1], 02-feeds.md [FEED-1].
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from orrange_p2p.core.digests import Digests
from orrange_p2p.core.gossip_codec import decode_gossip, encode_gossip
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.peer_messages import Entries, GossipMessage
from orrange_p2p.core.types import Digest, MarketId, PeerId
from orrange_p2p.core.verdicts import Accept, Ignore, Reject, Verdict
from orrange_p2p.core.verify import VerifiedEntry, verify_entry
from orrange_p2p.errors import RemoteProtocolError
from orrange_p2p.net.network import Network
from orrange_p2p.net.peer_words import PeerWords

MAX_SEEN = 200_000
MAX_JUDGED = 1024

EntrySink = Callable[[tuple[VerifiedEntry, ...], PeerId], Awaitable[None]]


def market_topic(market: MarketId) -> str:
    """The gossip topic of a market. Spec: [NET-1]."""
    return f"/orrange/1/{market.hex()}"


class EntryGossip:
    """One market's topic."""

    def __init__(
        self, network: Network, market: MarketId, digests: Digests, sink: EntrySink, words: PeerWords | None = None
    ) -> None:
        """Prepare to follow a market's topic.

        Args:
            network: where the topic is.
            market: whose entries to take.
            digests: of the deployment.
            sink: takes sound entries with the peer they came from.
            words: judges what else is said on the topic; without it that is ignored.
        """
        self._network = network
        self._market = market
        self._digests = digests
        self._sink = sink
        self._words = words
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._judged: OrderedDict[bytes, tuple[VerifiedEntry, ...]] = OrderedDict()
        self.topic = market_topic(market)

    def judge(self, payload: bytes, source: PeerId) -> Verdict:
        """Accept a batch of sound entries of this market; reject what no honest peer sends."""
        verified: dict[Digest, VerifiedEntry] = {}
        try:
            message = decode_gossip(payload)
            if not isinstance(message, Entries):
                return self._words.judge(message) if self._words is not None else Ignore("NET-1")
            for encoded in message.entries:
                key = keccak256(encoded)
                if key in self._seen or key in verified:
                    continue
                entry = verify_entry(self._digests, encoded)
                if entry.entry.header.market != self._market:
                    return Reject("NET-1")
                verified[key] = entry
        except RemoteProtocolError as error:
            return Reject(error.rule)
        for accepted in verified:  # not of a batch that was refused: its good entries must come through from others
            self._note_seen(accepted)
        if verified:  # a repeated payload, with nothing new in it, must not hide what waits to be read of the first
            self._judged[payload] = tuple(verified.values())
        if len(self._judged) > MAX_JUDGED:
            self._judged.popitem(last=False)
        return Accept()

    def _note_seen(self, key: bytes) -> None:
        self._seen[key] = None
        if len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)

    async def run(self) -> None:
        """Follow the topic and hand sound entries on, until cancelled."""
        messages = await self._network.subscribe(self.topic, self.judge)
        async for message in messages:
            entries = self._judged.pop(message.payload, ())
            if entries:
                await self._sink(entries, message.source)

    async def publish(self, encoded: bytes) -> None:
        """Gossip one own entry."""
        self._note_seen(keccak256(encoded))
        await self.publish_message(Entries(entries=(encoded,)))

    async def publish_message(self, message: GossipMessage) -> None:
        """Gossip a message on the market's topic."""
        await self._network.publish(self.topic, encode_gossip(message))
