"""The knobs of the network shell and their limits."""

from dataclasses import dataclass

from orrange_p2p.errors import ConfigError

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class NetSettings:
    """Limits and timings of one `Network`; the defaults are those of a real node.

    Every queue has a length here. When one is full the newest message is dropped and counted, never waited for: a
    slow peer or a slow reader must not hold up the others.

    Attributes:
        degree: Neighbours per topic that messages are forwarded to.
        lazy_degree: Further neighbours that are told of recent messages every heartbeat.
        heartbeat_s: Seconds between upkeep rounds of the mesh.
        max_payload_bytes: Largest gossip payload.
        max_rpc_bytes: Largest gossipsub frame taken from a peer.
        outbound_frames: Frames that may wait for one peer.
        outbound_bytes: Bytes that may wait for one peer.
        subscription_messages: Messages that may wait for the reader of one topic.
        peer_events: Events that may wait for the reader of `peer_events`.
        peer_messages_per_s: Messages a second taken from one peer; then we read it no faster, and its own queue fills.
        peer_burst_messages: Messages that one peer may send at once before that.
        seen_messages: Message ids remembered to tell duplicates.
        max_connections: Connections in all.
        reserved_outbound: How many of them inbound connections may not take.
        max_inbound_per_ip: Inbound connections from one IP address.
        max_streams_per_peer: Streams that one peer may have open towards us at once.
        unread_bytes: Bytes that one connection may have sent and nobody read; more than its windows grant in all.
        dial_timeout_s: Seconds for one dial, handshakes included.
        negotiate_timeout_s: Seconds a peer has to say which protocol its new stream speaks.
        keepalive_s: Seconds between pings; a peer that leaves one unanswered that long is gone.
        write_timeout_s: Seconds one frame may take to leave; then the connection is closed.
        reject_penalty: Points a peer loses for each thing no honest peer sends.
        disconnect_score: Score at which a peer is disconnected.
        ban_score: Score at which a peer is banned for `ban_s`.
        score_half_life_s: Seconds in which a score halves.
        ban_s: Seconds that a ban lasts.
    """

    degree: int = 8
    lazy_degree: int = 6
    heartbeat_s: float = 1.0
    max_payload_bytes: int = 64 * KIB
    max_rpc_bytes: int = MIB
    outbound_frames: int = 1024
    outbound_bytes: int = 8 * MIB
    subscription_messages: int = 1024
    peer_events: int = 256
    peer_messages_per_s: int = 200
    peer_burst_messages: int = 500
    seen_messages: int = 200_000
    max_connections: int = 64
    reserved_outbound: int = 16
    max_inbound_per_ip: int = 48
    max_streams_per_peer: int = 32
    unread_bytes: int = 16 * MIB
    dial_timeout_s: float = 5.0
    negotiate_timeout_s: float = 5.0
    keepalive_s: float = 15.0
    write_timeout_s: float = 10.0
    reject_penalty: int = 10
    disconnect_score: int = -20
    ban_score: int = -50
    score_half_life_s: float = 600.0
    ban_s: float = 3600.0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work.

        Raises:
            ConfigError: A number is out of its range.
        """
        for name in self.__slots__:
            value = getattr(self, name)
            if name not in ("disconnect_score", "ban_score", "lazy_degree", "reserved_outbound") and value <= 0:
                raise ConfigError(f"{name}: expected a number above 0, was {value}")
        if not 0 <= self.reserved_outbound < self.max_connections:
            raise ConfigError(
                f"reserved_outbound: expected 0..{self.max_connections - 1} (below max_connections), "
                f"was {self.reserved_outbound}"
            )
        if not self.ban_score <= self.disconnect_score < 0:
            raise ConfigError(
                f"expected ban_score <= disconnect_score < 0, was {self.ban_score} and {self.disconnect_score}"
            )

    @property
    def degree_low(self) -> int:
        """Below this many mesh neighbours more are asked."""
        return max(1, self.degree * 3 // 4)

    @property
    def degree_high(self) -> int:
        """Above this many mesh neighbours some are let go."""
        return self.degree + max(2, self.degree // 2)
