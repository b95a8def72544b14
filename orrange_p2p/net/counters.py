"""Counts of everything that came, went or was dropped."""

from collections import Counter
from dataclasses import dataclass, field, fields

MAX_RULES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class NetStatistics:
    """A snapshot of the counts since the network was made.

    Attributes:
        messages_in: Gossip messages that arrived, duplicates included.
        bytes_in: Bytes of gossipsub frames that arrived.
        messages_out: Gossip messages written to peers, forwarded ones included.
        bytes_out: Bytes of gossipsub frames written.
        published: Messages published here.
        delivered: Messages handed to a reader.
        duplicates: Messages that had arrived before.
        unsubscribed: Messages on topics we do not follow.
        outbound_full: Messages not sent to a peer because its queue was full.
        outbound_lost: Messages left in the queue of a stream that broke, or that failed while being written.
        outbound_abandoned: Messages left in the queue of a peer that went away.
        subscription_full: Messages not delivered because the topic's reader was behind.
        control_full: Mesh control messages not sent because the queue was full; they are tried again.
        judge_errors: Messages ignored because the judge raised.
        rpc_oversize: Gossipsub frames over the limit.
        rpc_garbage: Gossipsub frames that are no protobuf.
        invalid_messages: Gossip messages malformed, too long or wrongly signed, by rule.
        ignored: Messages the judge ignored, by rule.
        rejected: Messages the judge rejected, by rule.
        control_excess: Control entries beyond what one frame may carry.
        handler_errors: Stream handlers that raised.
        streams_lost: Streams whose peer went away in the middle.
        stream_violations: Streams ended because the peer broke its protocol.
        frames_oversize: Stream frames over their protocol's limit.
        streams_refused: Streams beyond what one peer may open.
        streams_failed: Streams whose peer never said which protocol they speak, or one we do not speak.
        dial_failures: Dials that failed.
        handshakes_failed: Inbound connections that never became one: no handshake, a wrong one, or a peer refused.
        connections_refused: Connections refused: banned peer, unknown kind of key, or no room.
        connections_stalled: Connections closed because the peer stopped reading or answering.
        connections_flooded: Connections closed because the peer sent far more than its windows allow.
        score_disconnects: Peers disconnected for their score.
        bans: Bans pronounced.
        peer_events_dropped: Peer events not delivered because nobody read them.
        gossip_unopened: Peers that would not take a gossip stream, after several tries.
        upkeep_errors: Rounds of mesh upkeep that failed.
    """

    messages_in: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    bytes_out: int = 0
    published: int = 0
    delivered: int = 0
    duplicates: int = 0
    unsubscribed: int = 0
    outbound_full: int = 0
    outbound_lost: int = 0
    outbound_abandoned: int = 0
    subscription_full: int = 0
    control_full: int = 0
    judge_errors: int = 0
    rpc_oversize: int = 0
    rpc_garbage: int = 0
    invalid_messages: tuple[tuple[str, int], ...] = ()
    ignored: tuple[tuple[str, int], ...] = ()
    rejected: tuple[tuple[str, int], ...] = ()
    control_excess: int = 0
    handler_errors: int = 0
    streams_lost: int = 0
    stream_violations: int = 0
    frames_oversize: int = 0
    streams_refused: int = 0
    streams_failed: int = 0
    dial_failures: int = 0
    handshakes_failed: int = 0
    connections_refused: int = 0
    connections_stalled: int = 0
    connections_flooded: int = 0
    score_disconnects: int = 0
    bans: int = 0
    peer_events_dropped: int = 0
    gossip_unopened: int = 0
    upkeep_errors: int = 0

    @property
    def gossip_drops(self) -> int:
        """Messages of honest peers that this node lost: 0 on a healthy node."""
        return self.outbound_full + self.outbound_lost + self.subscription_full + self.judge_errors


@dataclass(slots=True)
class Counters:
    """The running counts behind `NetStatistics`; same names."""

    messages_in: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    bytes_out: int = 0
    published: int = 0
    delivered: int = 0
    duplicates: int = 0
    unsubscribed: int = 0
    outbound_full: int = 0
    outbound_lost: int = 0
    outbound_abandoned: int = 0
    subscription_full: int = 0
    control_full: int = 0
    judge_errors: int = 0
    rpc_oversize: int = 0
    rpc_garbage: int = 0
    invalid_messages: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    control_excess: int = 0
    handler_errors: int = 0
    streams_lost: int = 0
    stream_violations: int = 0
    frames_oversize: int = 0
    streams_refused: int = 0
    streams_failed: int = 0
    dial_failures: int = 0
    handshakes_failed: int = 0
    connections_refused: int = 0
    connections_stalled: int = 0
    connections_flooded: int = 0
    score_disconnects: int = 0
    bans: int = 0
    peer_events_dropped: int = 0
    gossip_unopened: int = 0
    upkeep_errors: int = 0

    def snapshot(self) -> NetStatistics:
        """The counts as they are now."""
        values: dict[str, object] = {one.name: getattr(self, one.name) for one in fields(self)}
        for name in ("invalid_messages", "ignored", "rejected"):
            values[name] = tuple(sorted(getattr(self, name).items()))
        return NetStatistics(**values)  # type: ignore[arg-type]  # same names and types, by test


def count_rule(counts: Counter[str], rule: str) -> None:
    """Count one under `rule`, or under "other" when there are too many rules to be real."""
    counts[rule if rule in counts or len(counts) < MAX_RULES else "other"] += 1
