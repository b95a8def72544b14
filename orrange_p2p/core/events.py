"""What goes into the kernel and what comes out: events in the past tense, actions in the imperative.

Every event carries `now_ms`, the node's clock in unix milliseconds; the core has no clock of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from orrange_p2p.core.evidence import VerifiedEvidence
from orrange_p2p.core.facts import BlockFacts
from orrange_p2p.core.messages import Head, TicketItem, TicketMessage
from orrange_p2p.core.peer_messages import DefaultPointer, Presence
from orrange_p2p.core.starts import Start
from orrange_p2p.core.types import (
    Address,
    Digest,
    Epoch,
    MarketId,
    OrderId,
    OrderKind,
    PeerId,
    Side,
    Signature,
    SignedTrade,
    TicketDigest,
    TimeInForce,
)
from orrange_p2p.core.verify import VerifiedEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this node acts for. The two sign functions are deterministic; the keys behind them stay in the keys room."""

    owner: Address
    session: Address
    peer_id: PeerId
    encryption_key: bytes
    sign: Callable[[Digest], Signature]
    peer_sign: Callable[[bytes], bytes]


class Path(Enum):
    """How two nodes came to agree on a ticket. Spec: [TICK-3..5]."""

    EQUAL = "equal"
    RECONCILED = "reconciled"
    FALLBACK = "fallback"


# Events


@dataclass(frozen=True, slots=True, kw_only=True)
class EntriesReceived:
    """Sound entries of one market came from a peer."""

    now_ms: int
    market: MarketId
    entries: tuple[VerifiedEntry, ...]
    source: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class EntriesLoaded:
    """Entries came from this node's own store, each with its effective epoch."""

    now_ms: int
    market: MarketId
    entries: tuple[tuple[VerifiedEntry, Epoch], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartsLoaded:
    """Feeds that were cut came from this node's own store, with what was kept of them; before the entries."""

    now_ms: int
    market: MarketId
    cuts: tuple["CutFeed", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartReceived:
    """A peer that has cut a feed offers its start; the signatures in it are good. Spec: [SYNC-21]."""

    now_ms: int
    market: MarketId
    start: Start
    source: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketsLoaded:
    """Own completed tickets came from this node's own store; after the entries."""

    now_ms: int
    market: MarketId
    tickets: tuple[TicketItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockAdded:
    """The chain grew by a block."""

    now_ms: int
    block: BlockFacts
    is_stored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BlocksUnwound:
    """The chain took back every block after `to_block`; other ones follow. Below the first block: it took back all."""

    now_ms: int
    to_block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PresencesHeard:
    """Presences came from a peer, each with its encoded form; their sessions signed them."""

    now_ms: int
    presences: tuple[tuple[Presence, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceHeard:
    """Evidence came from a peer, or from this node's own store; it proves what it says, pointers only point."""

    now_ms: int
    pieces: tuple[VerifiedEvidence | DefaultPointer, ...]
    is_stored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressesChanged:
    """This node can be reached at these binary multiaddrs, the best first."""

    now_ms: int
    addresses: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """Time passed."""

    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequested:
    """The owner wants an order placed, to be signed by the session.

    `price_ticks` of a protected market order is the worst price that the owner accepts. `expiry_s` 0 leaves the expiry
    of an IOC, FOK or DAY order to the kernel.
    """

    now_ms: int
    request: int
    market: MarketId
    side: Side
    price_ticks: int
    quantity_lots: int
    tif: TimeInForce
    expiry_s: int = 0
    kind: OrderKind = OrderKind.LIMIT
    post_only: bool = False
    min_tier: int = 0
    payment_methods: tuple[int, ...] = ()
    arbitrators: tuple[Address, ...] = ()
    security: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyRequested:
    """The owner wants an order replaced by one with another price, quantity or expiry; None leaves what it was.

    The quantity is the new order's own; None: the lots of the old one that no ticket has taken or may still take.
    """

    now_ms: int
    request: int
    market: MarketId
    order_id: OrderId
    price_ticks: int | None = None
    quantity_lots: int | None = None
    expiry_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """The owner wants an order cancelled."""

    now_ms: int
    request: int
    market: MarketId
    order_id: OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAllRequested:
    """The owner wants every order of this node in a market cancelled."""

    now_ms: int
    request: int
    market: MarketId


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketMessageReceived:
    """A frame of the ticket stream came from a peer."""

    now_ms: int
    peer: PeerId
    message: TicketMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRoundEnded:
    """A round of sync with a peer is over.

    `heads` are those of the peer that were not ours when the round began, and the own session's if both held the same
    one; None if the round failed.
    """

    now_ms: int
    peer: PeerId
    market: MarketId
    heads: tuple[Head, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLost:
    """A peer disconnected."""

    now_ms: int
    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtRaised:
    """A shell found something that forbids signing: a store that fails, a chain that contradicts itself."""

    now_ms: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReachChanged:
    """The chain went out of reach, or answers again: `why_lost` says in one sentence what is wrong."""

    now_ms: int
    why_lost: str | None


Event = (
    EntriesReceived
    | EntriesLoaded
    | StartsLoaded
    | StartReceived
    | TicketsLoaded
    | BlockAdded
    | BlocksUnwound
    | Ticked
    | OrderRequested
    | ModifyRequested
    | CancelRequested
    | CancelAllRequested
    | TicketMessageReceived
    | SyncRoundEnded
    | PeerLost
    | PresencesHeard
    | EvidenceHeard
    | AddressesChanged
    | DoubtRaised
    | ChainReachChanged
)


# Actions


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistEntry:
    """Put an entry on disk before any later action of this or a later step."""

    entry: VerifiedEntry
    effective: Epoch
    is_own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CutFeed:
    """Put a feed's start on disk and drop its entries below, all at once; its entry is there or goes with it.

    `effective` is the start's entry's; `ticket_nonce` is the next one of the own session, in its own feed, else 0.
    Spec: [FEED-16].
    """

    market: MarketId
    start: Start
    effective: Epoch
    ticket_nonce: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistBlock:
    """Put a block's facts on disk."""

    block: BlockFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistTrade:
    """Put a completed ticket on disk."""

    trade: SignedTrade
    digest: TicketDigest
    path: Path | None
    completed_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistWindow:
    """Note the last window worked on: its epoch and its fund block."""

    market: MarketId
    epoch: Epoch
    block_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Gossip an own entry."""

    market: MarketId
    encoded: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishPresences:
    """Gossip Presences, the own one and others' not handed on yet."""

    market: MarketId
    presences: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistEvidence:
    """Put a piece of evidence on disk."""

    evidence: VerifiedEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishEvidence:
    """Gossip a piece of evidence, once."""

    market: MarketId
    encoded: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SendTicketMessage:
    """Send a frame on the ticket stream to a peer."""

    peer: PeerId
    message: TicketMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncWith:
    """Run a round of sync with a peer now."""

    peer: PeerId
    market: MarketId


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Submit a ticket to the chain."""

    trade: SignedTrade
    digest: TicketDigest


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleGroup:
    """Submit all legs of a FOK order to the chain, in one call that settles all or none."""

    group: Digest
    legs: tuple[Settle, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptRequest:
    """An owner's request is on disk and on its way: the order placed, or those cancelled, ascending."""

    request: int
    order_ids: tuple[OrderId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseRequest:
    """An owner's request is refused: which field, which value, by which rule, in one sentence."""

    request: int
    field: str
    value: str
    rule: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something an operator or a report wants to know; `name` is stable, `details` are plain values."""

    name: str
    details: tuple[tuple[str, str | int], ...] = ()


Action = (
    PersistEntry
    | CutFeed
    | PersistBlock
    | PersistTrade
    | PersistWindow
    | Publish
    | PublishPresences
    | PersistEvidence
    | PublishEvidence
    | SendTicketMessage
    | SyncWith
    | Settle
    | SettleGroup
    | AcceptRequest
    | RefuseRequest
    | Note
)
