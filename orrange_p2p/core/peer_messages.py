"""Presence and evidence, as values.

Spec: protocol/spec/08-peers.md, protocol/spec/01-types.md "Wire forms".
"""

from dataclasses import dataclass

from orrange_p2p.core.messages import EntryHeader
from orrange_p2p.core.types import Address, Digest, Epoch, MarketId, Order, Signature, Ticket, TicketDigest


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketHead:
    """Where a session's feed in one market stands."""

    market: MarketId
    next_seq: int
    head_hash: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A session is alive: its heads by market, and binary multiaddrs to reach it at, by preference. Spec: [PEER-1]."""

    session: Address
    epoch: Epoch
    heads: tuple[MarketHead, ...]
    addresses: tuple[bytes, ...]
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHeader:
    """The signed part of an entry with its session's signature: all that a fork's proof needs of it."""

    header: EntryHeader
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """Two entries of one session with one seq. Spec: [EVID-1]."""

    first: SignedHeader
    second: SignedHeader


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTicket:
    """A ticket with the signature of the session that is accused, and both orders that it names."""

    ticket: Ticket
    signature: Signature
    maker: Order
    taker: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class OverSigned:
    """Two tickets that an honest session never signs both. Spec: [EVID-2]."""

    session: Address
    first: SignedTicket
    second: SignedTicket


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultPointer:
    """Where the chain says that an owner defaulted. Spec: [EVID-3]."""

    owner: Address
    ticket: TicketDigest
    block_number: int
    block_hash: Digest


Evidence = Fork | OverSigned | DefaultPointer


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """A gossip message of encoded feed entries, in the order in which they are to be taken."""

    entries: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Presences:
    """A gossip message of encoded Presences."""

    presences: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidences:
    """A gossip message of encoded pieces of evidence."""

    pieces: tuple[bytes, ...]


GossipMessage = Entries | Presences | Evidences
