"""One session's feed in one market: which of its entries are kept, and what stands in it.

Spec: protocol/spec/02-feeds.md [FEED-4..8].
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from orrange_p2p.core.starts import Start
from orrange_p2p.core.types import (
    U64_MAX,
    ZERO_DIGEST,
    Address,
    Digest,
    EntryHash,
    Epoch,
    Order,
    OrderId,
    PeerId,
    SignedOrder,
    Ticket,
    TicketDigest,
)
from orrange_p2p.core.verify import VerifiedEntry, VerifiedOffer, VerifiedTicket

MAX_HELD = 16
NEVER = U64_MAX + 1


class Outcome(Enum):
    """What adding an entry did."""

    APPENDED = "appended"
    HELD = "held"
    DUPLICATE = "duplicate"
    FORKED = "forked"
    FALSE = "false_checkpoint"
    IGNORED = "ignored"


@dataclass(slots=True, kw_only=True, eq=False)
class OrderRecord:
    """An order that stands in its feed, with where it stands and from which epoch it is cancelled.

    One that a base lists stands where the base stands; `is_ended` if it is there for its tickets alone. Spec: [FUND-8].
    """

    order_id: OrderId
    signed: SignedOrder
    signer: Address
    claimed: Epoch
    seq: int
    index: int
    cancelled_from: int = NEVER
    is_ended: bool = False

    @property
    def is_cancelled(self) -> bool:
        """Whether a Cancel that stands names it."""
        return self.cancelled_from != NEVER

    @property
    def order(self) -> Order:
        """The order itself."""
        return self.signed.order


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRecord:
    """An Offer or TicketItem that counts, with the feed it stands in and both signers."""

    ticket: Ticket
    digest: TicketDigest
    source: Address
    entry_epoch: Epoch
    is_offer: bool
    maker_signer: Address | None
    taker_signer: Address | None
    verified: VerifiedOffer | VerifiedTicket


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """An item that changes what its owner has promised, and where it stands: an order, its Cancel, a ticket of it."""

    claimed: Epoch
    seq: int
    index: int
    order: OrderRecord
    is_cancel: bool = False
    hold: HoldRecord | None = None


Answer = TicketDigest | tuple[OrderId, OrderId, Epoch]  # a TicketItem's ticket; a Decline's pair and ticket epoch


class Feed:
    """One session's feed in one market, from its start on: seq 0, or a base that it was cut at. Spec: [FEED-16].

    What is void for ever is not kept, or anybody with a key could fill memory: nothing follows the entry that ended
    the feed or the lowest fork, and of further versions of one seq only those that put the fork lower. Tickets stand
    wherever they are, so a few entries with tickets are kept aside. Spec: [FEED-4..6].
    """

    __slots__ = (
        "_aside",
        "_held",
        "_rivals",
        "acts",
        "answers",
        "encryption_key",
        "entries",
        "first_seq",
        "forked_from",
        "holds",
        "is_ended",
        "orders",
        "owner",
        "peer_id",
        "start",
    )

    def __init__(self) -> None:
        self.entries: list[VerifiedEntry] = []
        self.first_seq = 0
        self.start: Start | None = None
        self.forked_from: int = NEVER
        self.is_ended = False
        self.owner: Address | None = None
        self.peer_id: PeerId | None = None
        self.encryption_key = b""
        self.orders: dict[OrderId, OrderRecord] = {}
        self.holds: list[HoldRecord] = []
        self.acts: list[Act] = []
        self.answers: dict[Answer, Epoch] = {}
        self._held: dict[int, VerifiedEntry] = {}
        self._rivals: list[VerifiedEntry] = []
        self._aside: dict[EntryHash, VerifiedEntry] = {}

    @property
    def is_dead(self) -> bool:
        """Whether the session signed two entries with one seq, or a false Checkpoint. Spec: [FEED-6], [FEED-14]."""
        return self.forked_from != NEVER

    @property
    def forks_seen(self) -> int:
        """Rival entries kept; each but the first put the fork lower."""
        return len(self._rivals)

    @property
    def held(self) -> tuple[int, ...]:
        """Seqs held ahead of a gap, ascending."""
        return tuple(sorted(self._held))

    @property
    def kept_bytes(self) -> int:
        """Encoded size of all entries kept, in whatever way, and of what the start lists."""
        listed = self.start.size_bytes if self.start is not None else 0
        return listed + sum(len(entry.encoded) for entry in self.versions())

    @property
    def next_seq(self) -> int:
        """The seq of the next contiguous entry."""
        return self.first_seq + len(self.entries)

    def head_hash(self) -> Digest:
        """The hash that the next entry must name."""
        return Digest(self.entries[-1].entry_hash) if self.entries else ZERO_DIGEST

    def versions(self) -> Iterator[VerifiedEntry]:
        """Every entry kept: the contiguous run, rivals of a fork, those held ahead of a gap or kept for tickets."""
        yield from self.entries
        yield from self._rivals
        yield from self._held.values()
        yield from self._aside.values()

    def run(self, from_seq: int, to_seq: int) -> list[VerifiedEntry]:
        """Entries `[from_seq, to_seq)` for a peer: the contiguous ones, and both sides of the lowest fork.

        What lies below the start is not there to be given: then they begin at the start. Spec: [SYNC-21].
        """
        found = self.entries[max(0, from_seq - self.first_seq) : max(0, to_seq - self.first_seq)]
        if self.is_dead and from_seq <= self.forked_from < to_seq:
            sides = [entry for entry in self.versions() if entry.entry.header.seq == self.forked_from]
            found = [entry for entry in found if entry.entry.header.seq < self.forked_from] + sides
        return found

    def add(self, entry: VerifiedEntry) -> Outcome:
        """Take in an entry; if it is appended, `follow` says which held ones come next."""
        seq = entry.entry.header.seq
        if seq < self.first_seq:
            return self._put_aside(entry)
        known = self.entries[seq - self.first_seq] if seq < self.next_seq else self._held.get(seq)
        if known is not None:
            return self._compare(known, entry)
        if seq == self.next_seq and self._is_open_at(seq):
            self.entries.append(entry)
            return Outcome.APPENDED
        if len(self._held) < MAX_HELD and seq <= self.next_seq + MAX_HELD:
            self._held[seq] = entry
            return Outcome.HELD
        return self._put_aside(entry)

    def follow(self) -> VerifiedEntry | None:
        """Append the held entry that comes next, if there is one."""
        seq = self.next_seq
        if seq not in self._held or not self._is_open_at(seq):
            return None
        self.entries.append(self._held.pop(seq))
        return self.entries[-1]

    def cut(self, start: Start) -> None:
        """Begin at a start: what lies below it goes, and what was read is to be read again. Spec: [FEED-16]."""
        seq = start.entry.entry.header.seq
        at = seq - self.first_seq
        known = self.entries[at] if 0 <= at < len(self.entries) else None
        is_held = known is not None and known.entry_hash == start.entry.entry_hash
        self.entries = self.entries[at:] if is_held else [start.entry]
        self.first_seq, self.start = seq, start
        self._held = {above: entry for above, entry in self._held.items() if above >= self.next_seq}

    def holds_other(self, entry: VerifiedEntry) -> bool:
        """Whether another entry of the same seq waits ahead of a gap: one of them proves a fork."""
        known = self._held.get(entry.entry.header.seq)
        return known is not None and known.entry_hash != entry.entry_hash

    def _is_open_at(self, seq: int) -> bool:
        return not self.is_ended and seq <= self.forked_from

    def _put_aside(self, entry: VerifiedEntry) -> Outcome:
        is_kept = self.is_dead or self.is_ended
        if not is_kept or len(self._aside) >= MAX_HELD or entry.entry_hash in self._aside:
            return Outcome.IGNORED
        if not any(isinstance(item, VerifiedTicket) for item in entry.items):
            return Outcome.IGNORED
        self._aside[entry.entry_hash] = entry
        return Outcome.HELD

    def _compare(self, known: VerifiedEntry, entry: VerifiedEntry) -> Outcome:
        if known.entry_hash == entry.entry_hash:
            return Outcome.DUPLICATE
        if any(rival.entry_hash == entry.entry_hash for rival in self._rivals):
            return Outcome.DUPLICATE
        if entry.entry.header.seq >= self.forked_from:
            return self._put_aside(entry)
        self._rivals.append(entry)
        self.forked_from = entry.entry.header.seq
        return Outcome.FORKED
