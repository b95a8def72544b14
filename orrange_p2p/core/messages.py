"""Feed entries, their items and the frames of the two streams, as values.

Spec: protocol/spec/01-types.md, "Wire forms" and "Frames and topics".
"""

from dataclasses import dataclass
from enum import IntEnum

from orrange_p2p.core.types import (
    ZERO_DIGEST,
    Address,
    Digest,
    Epoch,
    MarketId,
    OrderId,
    PeerId,
    Signature,
    SignedOrder,
    Ticket,
    TicketDigest,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """The first item of a feed: which peer and encryption key act for this session."""

    owner: Address
    session: Address
    peer_id: PeerId
    encryption_key: bytes
    session_signature: Signature
    peer_signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderItem:
    """An order enters the feed."""

    signed: SignedOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """An order of this feed is withdrawn."""

    order_id: OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The taker's half of a ticket, with the maker's signed Ready inside."""

    ticket: Ticket
    taker_signature: Signature
    ready_epoch: Epoch
    ready_signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketItem:
    """A doubly signed ticket, in the maker's feed."""

    ticket: Ticket
    taker_signature: Signature
    maker_signature: Signature


class DeclineReason(IntEnum):
    """Why a maker does not answer Ready, or does not countersign an Offer."""

    VIEW = 1
    BUSY = 2
    NOT_READY = 3
    UNKNOWN = 4
    LIMITS = 5
    LATE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclineItem:
    """In the maker's feed: the Offer of this pair and ticket epoch gets no Ticket. Spec: [TICK-17]."""

    maker_order: OrderId
    taker_order: OrderId
    epoch: Epoch
    reason: DeclineReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a feed alone implies where this stands, as hashes of items; each list ascending. Spec: [FEED-13]."""

    next_nonce: int
    delegation: Digest
    live_orders: tuple[Digest, ...]
    ended_orders: tuple[Digest, ...]
    offers: tuple[Digest, ...]
    tickets: tuple[Digest, ...]

    def listed(self) -> tuple[Digest, ...]:
        """Every hash but the Delegation's, in the order in which bodies come. Spec: [SYNC-21]."""
        return self.live_orders + self.ended_orders + self.offers + self.tickets


Item = Delegation | OrderItem | Cancel | Offer | TicketItem | DeclineItem | Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryHeader:
    """The signed part of a feed entry."""

    session: Address
    owner: Address
    market: MarketId
    seq: int
    prev_hash: Digest
    epoch: Epoch
    items_root: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A feed entry as it crosses the wire; `items` are the decoded `item_bytes`, in order."""

    header: EntryHeader
    signature: Signature
    item_bytes: tuple[bytes, ...]
    items: tuple[Item, ...]


LateOrders = tuple[tuple[OrderId, Epoch], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Taker to maker: is this ticket what your view entitles us to? Unsigned."""

    exchange: int
    ticket: Ticket
    window_digest: Digest
    skips: tuple[Address, ...] = ()
    is_fallback: bool = False
    late: LateOrders = ()
    absent: tuple[Address, ...] = ()


NO_EXCHANGE = 0  # of a View that answers no Prepare


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Maker to taker: my window differs; these orders came late to me, these sessions I take for absent."""

    exchange: int
    window_digest: Digest
    late: LateOrders
    absent: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Maker to taker: I keep these lots for you."""

    exchange: int
    ticket_digest: TicketDigest
    ready_epoch: Epoch
    ready_signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferFrame:
    """Taker to maker: the Offer that also stands in the taker's feed."""

    exchange: int
    offer: Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketFrame:
    """Maker to taker: the ticket, signed by both."""

    exchange: int
    item: TicketItem


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclineFrame:
    """Maker to taker: no."""

    exchange: int
    reason: DeclineReason


TicketMessage = Prepare | View | Ready | OfferFrame | TicketFrame | DeclineFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """First on a sync stream: the deployment and the markets that the sender follows."""

    chain_id: int
    settlement: Address
    markets: tuple[MarketId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a feed stands: the next seq and the hash of the entry before it."""

    session: Address
    next_seq: int
    head_hash: Digest

    @property
    def is_dead(self) -> bool:
        """Whether it is that of a forked session. Spec: [SYNC-1]."""
        return self.head_hash == ZERO_DIGEST and self.next_seq > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GetRun:
    """Ask for entries `[from_seq, to_seq)` of a feed."""

    request: int
    market: MarketId
    session: Address
    from_seq: int
    to_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Entries of a feed in ascending seq; `has_more` if the page was full.

    With `bodies` it begins at the answerer's base: they are those of the first entry's Checkpoint. Spec: [SYNC-21].
    """

    request: int
    has_more: bool
    entries: tuple[bytes, ...]
    bodies: tuple[bytes, ...] = ()


LAST_PLACE = 2**160  # behind every session; a place is a session as a number, ranges of them are half open


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Ranges side by side: `bounds` are their places, ascending, one more than `fingerprints`. Spec: [SYNC-11]."""

    bounds: tuple[int, ...]
    fingerprints: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A range `[low, high)` and the ids of all heads in it that the sender holds. Spec: [SYNC-11]."""

    low: int
    high: int
    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """Ask where the other's heads differ: ranges of ours by fingerprint, and by ids. Spec: [SYNC-12]."""

    request: int
    market: MarketId
    salt: bytes
    spans: tuple[Span, ...]
    listings: tuple[Listing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Answer to Compare, whole up to `reached`; a range of equal fingerprints is not in it. Spec: [SYNC-13].

    `spans` split ranges that differ; of those `told`, and of listings, `heads` has what the asker lacks; `lacks` are
    the listed ids that the sender lacks.
    """

    request: int
    reached: int
    spans: tuple[Span, ...]
    told: tuple[tuple[int, int], ...]
    heads: tuple[Head, ...]
    lacks: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GetProofs:
    """Ask for what convicts a session. Spec: [SYNC-18]."""

    request: int
    market: MarketId
    session: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """Answer to GetProofs: pieces of evidence, each read by itself. Spec: [SYNC-18]."""

    request: int
    proofs: tuple[bytes, ...]


SyncMessage = Hello | GetRun | Run | Compare | Differences | GetProofs | Proofs


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """How to pay for a ticket, sealed by the seller's peer key to the buyer's. Spec: [DM-1]."""

    ticket_digest: TicketDigest
    version: int
    box: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The buyer's node holds this version of a ticket's instructions on disk. Spec: [DM-3]."""

    ticket_digest: TicketDigest
    version: int


DirectMessage = Instructions | Receipt
