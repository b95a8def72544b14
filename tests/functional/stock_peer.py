"""A gossip peer of the library alone, as it comes, to show that we speak what others speak."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from libp2p import new_host
from libp2p.abc import IHost
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.network.config import ConnectionConfig
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr
from raw_peer import leaving_quietly

from orrange_p2p.core.types import PeerId
from orrange_p2p.net.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class StockPeer:
    """The library's own host and pubsub."""

    host: IHost
    pubsub: Pubsub
    peer_id: PeerId

    async def connect(self, network: Network) -> None:
        """Connect and wait until gossip may flow."""
        info = info_from_p2p_addr(Multiaddr(network.addresses()[0]))
        await self.host.connect(info)
        await self.pubsub.wait_for_peer(info.peer_id)


@asynccontextmanager
async def stock_gossip() -> AsyncIterator[StockPeer]:
    """A stock peer until the block ends."""
    config = ConnectionConfig(min_connections=0, low_watermark=0, high_watermark=0, max_connections=8)
    host = new_host(key_pair=create_new_key_pair(b"t" * 32), connection_config=config)
    router = GossipSub([PROTOCOL_ID_V11], degree=4, degree_low=3, degree_high=6, heartbeat_interval=1)
    pubsub = Pubsub(host, router)
    with leaving_quietly():
        async with (
            host.run(listen_addrs=[]),
            background_trio_service(router),
            background_trio_service(pubsub),
        ):
            await pubsub.wait_until_ready()
            yield StockPeer(host=host, pubsub=pubsub, peer_id=PeerId(host.get_id().to_bytes()))
            for peer in host.get_connected_peers():
                await host.disconnect(peer)
    pubsub.seen_messages.stop()
