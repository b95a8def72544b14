"""Tells when a peer comes and when it goes, whatever number of connections it has."""

from collections.abc import Callable

from libp2p.abc import INetConn, INetStream, INetwork, INotifee
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from orrange_p2p.core.types import PeerId
from orrange_p2p.net.messages import PeerEvent


class PeerBook(INotifee):
    """Turns the library's notices about connections into events about peers; never blocks it."""

    def __init__(self, tell: Callable[[PeerEvent], None]) -> None:
        self._tell = tell
        self._connections: dict[ID, set[int]] = {}

    async def connected(self, network: INetwork, conn: INetConn) -> None:
        """Tell of a peer with its first connection."""
        peer = conn.muxed_conn.peer_id
        held = self._connections.setdefault(peer, set())
        held.add(id(conn))
        if len(held) == 1:
            self._tell(PeerEvent(peer=PeerId(peer.to_bytes()), is_connected=True))

    async def disconnected(self, network: INetwork, conn: INetConn) -> None:
        """Tell of a peer whose last connection is gone."""
        peer = conn.muxed_conn.peer_id
        held = self._connections.get(peer, set())
        held.discard(id(conn))
        if peer in self._connections and not held:
            del self._connections[peer]
            self._tell(PeerEvent(peer=PeerId(peer.to_bytes()), is_connected=False))

    async def opened_stream(self, network: INetwork, stream: INetStream) -> None:
        """Nothing to tell."""

    async def closed_stream(self, network: INetwork, stream: INetStream) -> None:
        """Nothing to tell."""

    async def listen(self, network: INetwork, multiaddr: Multiaddr) -> None:
        """Nothing to tell."""

    async def listen_close(self, network: INetwork, multiaddr: Multiaddr) -> None:
        """Nothing to tell."""
