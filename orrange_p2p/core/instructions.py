"""Payment instructions of own tickets: who may send them, which version is held, what is still to be delivered.

A pure room: whoever opens boxes, writes to disk and talks to peers tells it what came and when, and does what it says.

Spec: protocol/spec/08-peers.md [DM-1..3].
"""

from collections import Counter
from dataclasses import dataclass, replace

from orrange_p2p.core.direct_frames import MAX_VERSION, find_fault
from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.messages import Receipt
from orrange_p2p.core.types import Address, PeerId, Side, SignedTrade, TicketDigest, TicketKind
from orrange_p2p.core.verdicts import Accept, Ignore, Reject, Verdict
from orrange_p2p.errors import OrderError, RemoteProtocolError

MAX_TICKETS = 1024
DELIVERY_MS = 30 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A session with the peer and encryption key that its Delegation names."""

    session: Address
    peer: PeerId
    encryption_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Both sides of a complete ticket of kind 1: whose order buys base, whose sells it."""

    buyer: Party
    seller: Party


def find_parties(feeds: Feeds, trade: SignedTrade) -> Parties | None:
    """The parties of a complete ticket, as their feeds' Delegations have them; None of one that needs no instructions.

    Also None while the feed of a party is not known here. Spec: [DM-1], [DM-2].
    """
    if trade.ticket.kind is not TicketKind.ESCROW:
        return None
    found: dict[Side, Party] = {}
    for order in (trade.maker.order, trade.taker.order):
        feed = feeds.feed(order.session)
        if feed is None or feed.peer_id is None:
            return None
        found[order.side] = Party(session=order.session, peer=feed.peer_id, encryption_key=feed.encryption_key)
    return Parties(buyer=found[Side.BUY], seller=found[Side.SELL])


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionRecord:
    """The newest instructions of a ticket, written here or received.

    `slot` is its place among those of its way, 0 to 1,023; `since_ms` when this version was written or came, unix
    milliseconds on this node's clock; `receipt` the highest version that the buyer's node said it holds, 0 for none
    (of received ones, the version itself).
    """

    ticket: TicketDigest
    slot: int
    version: int
    text: str
    since_ms: int
    receipt: int

    @property
    def is_delivered(self) -> bool:
        """Whether the buyer's node holds this version or one above it."""
        return self.receipt >= self.version

    def is_due(self, now_ms: int) -> bool:
        """Whether it is still to be delivered; after 30 days that is given up. Spec: [DM-3]."""
        return not self.is_delivered and now_ms - self.since_ms <= DELIVERY_MS


class _Shelf:
    """The newest instructions of at most `MAX_TICKETS` tickets; the oldest makes room for a further ticket."""

    def __init__(self) -> None:
        self.records: dict[TicketDigest, InstructionRecord] = {}

    def slot(self, ticket: TicketDigest) -> int:
        known = self.records.get(ticket)
        if known is not None:
            return known.slot
        if len(self.records) < MAX_TICKETS:
            taken = {record.slot for record in self.records.values()}
            return next(slot for slot in range(MAX_TICKETS) if slot not in taken)
        return min(self.records.values(), key=lambda record: (record.since_ms, record.ticket)).slot

    def keep(self, record: InstructionRecord) -> None:
        for other in [one for one in self.records.values() if one.slot == record.slot]:
            del self.records[other.ticket]
        self.records[record.ticket] = record


class InstructionBook:
    """Instructions that this node wrote as seller and received as buyer.

    Nothing changes until `keep_written` or `keep_received` says that a record is on disk. Spec: [DM-3].
    """

    def __init__(self, own: Address) -> None:
        """`own` is this node's session."""
        self._own = own
        self._written, self._received = _Shelf(), _Shelf()
        self.counters: Counter[str] = Counter()

    def written(self, ticket: TicketDigest) -> InstructionRecord | None:
        """What this node wrote for a ticket as its seller."""
        return self._written.records.get(ticket)

    def received(self, ticket: TicketDigest) -> InstructionRecord | None:
        """What this node got for a ticket as its buyer."""
        return self._received.records.get(ticket)

    def judge(self, parties: Parties | None, source: PeerId) -> Verdict:
        """Whether Instructions are from whom they may be, before their box is opened. Spec: [DM-2].

        Args:
            parties: those of their ticket; None if this node knows of no such complete ticket of its own.
            source: the peer that sent them.
        """
        if parties is None:
            return Ignore("DM-2")
        if parties.buyer.session != self._own or source != parties.seller.peer:
            return Reject("DM-2")
        return Accept()

    def take(self, ticket: TicketDigest, version: int, text: str, now_ms: int) -> InstructionRecord | None:
        """The record to be kept of instructions that were accepted; None if they change nothing. Spec: [DM-3]."""
        known = self.received(ticket)
        if known is not None and version <= known.version:
            return None
        slot = self._received.slot(ticket)
        return InstructionRecord(ticket=ticket, slot=slot, version=version, text=text, since_ms=now_ms, receipt=version)

    def write(self, parties: Parties | None, ticket: TicketDigest, text: str, now_ms: int) -> InstructionRecord:
        """The record to be kept of what the owner wrote: the next version, or the last if it says the same.

        What says the same as a version whose delivery was given up is the next version: it is to be tried again.

        Raises:
            OrderError: no such ticket, not its seller, no such text, or all versions used up; the text is not in it.
        """
        name = f"0x{ticket.hex()}"
        if parties is None:
            raise OrderError("ticket", name, "DM-2", f"ticket: expected a complete escrow ticket of yours, was {name}")
        if parties.seller.session != self._own:
            raise OrderError("ticket", name, "DM-2", "ticket: expected one that you sell in, was one that you buy in")
        fault = find_fault(text)
        if fault is not None:
            raise OrderError("text", f"{len(text)} characters", "DM-1", f"text: {fault}")
        known = self.written(ticket)
        version = 1 if known is None else max(known.version, known.receipt) + 1
        is_same = known is not None and known.text == text and version == known.version + 1
        if known is not None and is_same and (known.is_delivered or known.is_due(now_ms)):
            return known
        if version > MAX_VERSION:
            message = f"version: expected at most {MAX_VERSION} versions of a ticket's instructions, was one more"
            raise OrderError("version", version, "DM-3", message)
        receipt = known.receipt if known is not None else 0
        slot = self._written.slot(ticket)
        return InstructionRecord(ticket=ticket, slot=slot, version=version, text=text, since_ms=now_ms, receipt=receipt)

    def confirm(self, sent: InstructionRecord, receipt: Receipt) -> InstructionRecord | None:
        """The record to be kept once the buyer's node has answered what was sent; None if nothing changes.

        Raises:
            RemoteProtocolError: the Receipt is of something else. Spec: [DM-3].
        """
        if receipt.ticket_digest != sent.ticket or receipt.version < sent.version:
            raise RemoteProtocolError(
                "DM-3", "expected a Receipt of what was sent, was of another ticket or a lower version"
            )
        known = self.written(sent.ticket)
        if known is None or receipt.version <= known.receipt:
            return None
        return replace(known, receipt=receipt.version)

    def keep_written(self, record: InstructionRecord) -> None:
        """A record of own instructions is on disk."""
        self._written.keep(record)

    def keep_received(self, record: InstructionRecord) -> None:
        """A record of received instructions is on disk."""
        self._received.keep(record)

    def due(self, now_ms: int) -> tuple[InstructionRecord, ...]:
        """What is still to be delivered, longest waiting first. Spec: [DM-3]."""
        waiting = (one for one in self._written.records.values() if one.is_due(now_ms))
        return tuple(sorted(waiting, key=lambda one: (one.since_ms, one.ticket)))
