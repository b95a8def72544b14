"""Owner feeds as a join: a set of sound entries in, standing orders and holds out.

What a feed means depends only on which entries are in it. `Feeds.add` may be called in any order and with repeats; it
keeps contiguous runs, holds a few entries ahead of a gap, and notices forks.
Spec: protocol/spec/02-feeds.md, 03-orders.md [ORD-1..5, HOLD-1..3].
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from orrange_p2p.core.messages import Head, Offer
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import (
    U64_MAX,
    ZERO_DIGEST,
    Address,
    Digest,
    EntryHash,
    Epoch,
    MarketId,
    Order,
    OrderId,
    OrderKind,
    PeerId,
    SignedOrder,
    Ticket,
    TicketDigest,
    TimeInForce,
)
from orrange_p2p.core.verify import (
    VerifiedDelegation,
    VerifiedEntry,
    VerifiedOffer,
    VerifiedOrder,
    VerifiedTicket,
)

MAX_HELD = 16
MAX_ENTRIES_PER_EPOCH = 4
_NEVER = U64_MAX + 1


class Outcome(Enum):
    """What adding an entry did."""

    APPENDED = "appended"
    HELD = "held"
    DUPLICATE = "duplicate"
    FORKED = "forked"
    IGNORED = "ignored"


@dataclass(slots=True, kw_only=True, eq=False)
class OrderRecord:
    """An order that stands in its feed, with where it stands and from which epoch it is cancelled."""

    order_id: OrderId
    signed: SignedOrder
    signer: Address
    claimed: Epoch
    seq: int
    index: int
    cancelled_from: int = _NEVER

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


class Feed:
    """One session's feed in one market.

    What is void for ever is not kept, or anybody with a key could fill memory: nothing follows the entry that ended
    the feed or the lowest fork, and of further versions of one seq only those that put the fork lower. Tickets stand
    wherever they are, so a few entries with tickets are kept aside. Spec: [FEED-4..6].
    """

    __slots__ = (
        "_aside",
        "_held",
        "_rivals",
        "entries",
        "forked_from",
        "holds",
        "is_ended",
        "orders",
        "owner",
        "peer_id",
    )

    def __init__(self) -> None:
        self.entries: list[VerifiedEntry] = []
        self.forked_from: int = _NEVER
        self.is_ended = False
        self.owner: Address | None = None
        self.peer_id: PeerId | None = None
        self.orders: dict[OrderId, OrderRecord] = {}
        self.holds: list[HoldRecord] = []
        self._held: dict[int, VerifiedEntry] = {}
        self._rivals: list[VerifiedEntry] = []
        self._aside: dict[EntryHash, VerifiedEntry] = {}

    @property
    def is_dead(self) -> bool:
        """Whether the session signed two entries with one seq. Spec: [FEED-6]."""
        return self.forked_from != _NEVER

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
        """Encoded size of all entries kept, in whatever way."""
        return sum(len(entry.encoded) for entry in self.versions())

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
        """Entries `[from_seq, to_seq)` for a peer: the contiguous ones, and both sides of the lowest fork."""
        found = self.entries[from_seq:to_seq]
        if self.is_dead and from_seq <= self.forked_from < to_seq:
            sides = [entry for entry in self.versions() if entry.entry.header.seq == self.forked_from]
            found = [entry for entry in found if entry.entry.header.seq < self.forked_from] + sides
        return found

    def add(self, entry: VerifiedEntry) -> Outcome:
        """Take in an entry; if it is appended, `follow` says which held ones come next."""
        seq = entry.entry.header.seq
        known = self.entries[seq] if seq < len(self.entries) else self._held.get(seq)
        if known is not None:
            return self._compare(known, entry)
        if seq == len(self.entries) and self._is_open_at(seq):
            self.entries.append(entry)
            return Outcome.APPENDED
        if len(self._held) < MAX_HELD and seq <= len(self.entries) + MAX_HELD:
            self._held[seq] = entry
            return Outcome.HELD
        return self._put_aside(entry)

    def follow(self) -> VerifiedEntry | None:
        """Append the held entry that comes next, if there is one."""
        seq = len(self.entries)
        if seq not in self._held or not self._is_open_at(seq):
            return None
        self.entries.append(self._held.pop(seq))
        return self.entries[-1]

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


class FeedReader:
    """Applies a feed's entries in order and says what stands. Spec: [FEED-2..4], [ORD-1..5]."""

    def __init__(self, feed: Feed, session: Address, rules: MarketRules) -> None:
        self._feed = feed
        self._session = session
        self._rules = rules
        self._last_nonce = -1
        self._epoch = -1
        self._in_epoch = 0
        self._is_ended = False
        self._read = 0

    def advance(self) -> tuple[list[OrderRecord], list[HoldRecord]]:
        """Read the entries that came since the last call; returns orders and holds touched by them.

        The first one that breaks a rule ends the feed.
        """
        feed = self._feed
        orders: list[OrderRecord] = []
        holds: list[HoldRecord] = []
        while self._read < min(len(feed.entries), feed.forked_from) and not self._is_ended:
            entry = feed.entries[self._read]
            if not self._follows(entry):
                self._is_ended = feed.is_ended = True
                break
            self._read += 1
            self._apply(entry, orders, holds)
        return orders, holds

    def _follows(self, entry: VerifiedEntry) -> bool:
        header = entry.entry.header
        feed = self._feed
        if header.market != self._rules.market_id or header.session != self._session:
            return False
        expected = Digest(feed.entries[self._read - 1].entry_hash) if self._read else ZERO_DIGEST
        if header.prev_hash != expected or header.epoch < self._epoch:
            return False
        in_epoch = self._in_epoch + 1 if header.epoch == self._epoch else 1
        if in_epoch > MAX_ENTRIES_PER_EPOCH or not self._is_delegated(entry):
            return False
        self._epoch, self._in_epoch = header.epoch, in_epoch
        return True

    def _is_delegated(self, entry: VerifiedEntry) -> bool:
        header = entry.entry.header
        delegations = [item for item in entry.items if isinstance(item, VerifiedDelegation)]
        if self._read:
            return not delegations and header.owner == self._feed.owner
        if len(delegations) != 1 or entry.items[0] is not delegations[0] or not delegations[0].is_valid:
            return False
        item = delegations[0].item
        if item.owner != header.owner or item.session != header.session:
            return False
        self._feed.owner, self._feed.peer_id = item.owner, item.peer_id
        return True

    def _apply(self, entry: VerifiedEntry, orders: list[OrderRecord], holds: list[HoldRecord]) -> None:
        header = entry.entry.header
        feed = self._feed
        for index, item in enumerate(entry.items):
            if isinstance(item, VerifiedOrder):
                record = self._standing(item, header.epoch, header.seq, index)
                if record is not None:
                    feed.orders[record.order_id] = record
                    orders.append(record)
            elif isinstance(item, VerifiedOffer | VerifiedTicket):
                hold = read_hold(item, self._session, header.epoch, self._rules)
                own_order = feed.orders.get(own_side(hold.ticket, is_offer=hold.is_offer)) if hold else None
                if hold is not None and own_order is not None:
                    feed.holds.append(hold)
                    holds.append(hold)
            elif not isinstance(item, VerifiedDelegation):
                cancelled = feed.orders.get(item.order_id)
                if cancelled is not None and cancelled.cancelled_from == _NEVER:
                    cancelled.cancelled_from = header.epoch
                    orders.append(cancelled)

    def _standing(self, item: VerifiedOrder, claimed: Epoch, seq: int, index: int) -> OrderRecord | None:
        order = item.item.signed.order
        is_newer = order.nonce > self._last_nonce
        self._last_nonce = max(self._last_nonce, order.nonce)
        signer = item.signer
        if not is_newer or signer is None or signer not in (order.owner, order.session):
            return None
        if (order.market, order.owner, order.session) != (self._rules.market_id, self._feed.owner, self._session):
            return None
        if order.quantity_lots < self._rules.market.min_fill_lots or not is_tradable(order):
            return None
        return OrderRecord(
            order_id=item.order_id, signed=item.item.signed, signer=signer, claimed=claimed, seq=seq, index=index
        )


def is_tradable(order: Order) -> bool:
    """Whether this version has rules for an order of that form. Spec: [ORD-3, ORD-4]."""
    if order.kind is not OrderKind.LIMIT or order.tif not in (TimeInForce.GTC, TimeInForce.IOC):
        return False
    if order.tif is TimeInForce.IOC and order.expiry_s == 0:
        return False
    extras = (order.post_only, order.min_tier, order.payment_methods, order.arbitrators, order.security)
    return not any(extras)


def own_side(ticket: Ticket, *, is_offer: bool) -> OrderId:
    """The order of a ticket that must stand in the feed of the Offer or TicketItem."""
    return ticket.taker_order if is_offer else ticket.maker_order


def read_hold(
    verified: VerifiedOffer | VerifiedTicket, session: Address, entry_epoch: Epoch, rules: MarketRules
) -> HoldRecord | None:
    """The hold of an item in `session`'s feed, or None if it does not count. Spec: [HOLD-1..3].

    Whether the ticket's own-side order stands in the feed is left to the caller.
    """
    item = verified.item
    ticket = item.ticket
    start_s = rules.epoch_start_s(ticket.epoch)
    if ticket.lots < 1 or ticket.taker_to - ticket.taker_from != ticket.lots or ticket.price_ticks < 1:
        return None
    if not start_s <= ticket.deadline_s <= start_s + rules.preset.ticket_life_s:
        return None
    if isinstance(verified, VerifiedOffer) and isinstance(item, Offer):
        if verified.taker_signer != session or verified.ready_signer is None or ticket.epoch != item.ready_epoch:
            return None
        if not item.ready_epoch <= entry_epoch <= item.ready_epoch + 2:
            return None
        maker_signer = verified.ready_signer
    elif isinstance(verified, VerifiedTicket):
        if verified.maker_signer != session or ticket.epoch > entry_epoch:
            return None
        maker_signer = verified.maker_signer
    return HoldRecord(
        ticket=ticket,
        digest=verified.ticket_digest,
        source=session,
        entry_epoch=entry_epoch,
        is_offer=isinstance(verified, VerifiedOffer),
        maker_signer=maker_signer,
        taker_signer=verified.taker_signer,
        verified=verified,
    )


class Feeds:
    """All feeds of one market, with indexes of orders by id and by owner and of holds by order."""

    def __init__(self, rules: MarketRules) -> None:
        self.rules = rules
        self._feeds: dict[Address, Feed] = {}
        self._readers: dict[Address, FeedReader] = {}
        self._orders: dict[OrderId, OrderRecord] = {}
        self._owner_orders: dict[Address, dict[OrderId, OrderRecord]] = {}
        self._holds: dict[OrderId, list[HoldRecord]] = {}

    @property
    def market_id(self) -> MarketId:
        """The market."""
        return self.rules.market_id

    def __len__(self) -> int:
        """Sessions with a feed."""
        return len(self._feeds)

    def feed(self, session: Address) -> Feed | None:
        """A session's feed, if anything of it is known."""
        return self._feeds.get(session)

    def sessions(self) -> tuple[Address, ...]:
        """Sessions with a feed, ascending."""
        return tuple(sorted(self._feeds))

    def heads(self) -> tuple[Head, ...]:
        """Heads for sync, sorted by session; a dead session's head names its lowest fork. Spec: [SYNC-1]."""
        return tuple(
            Head(session=session, next_seq=feed.forked_from + 1, head_hash=ZERO_DIGEST)
            if feed.is_dead
            else Head(session=session, next_seq=len(feed.entries), head_hash=feed.head_hash())
            for session, feed in sorted(self._feeds.items())
            if feed.entries or feed.is_dead
        )

    def owners(self) -> tuple[Address, ...]:
        """Owners with an order that stands, ascending."""
        return tuple(sorted(self._owner_orders))

    def order(self, order_id: OrderId) -> OrderRecord | None:
        """A standing order by id."""
        return self._orders.get(order_id)

    def orders_of(self, owner: Address) -> tuple[OrderRecord, ...]:
        """Every order of an owner that stands, in no particular order."""
        return tuple(self._owner_orders.get(owner, {}).values())

    def holds_on(self, order_id: OrderId) -> tuple[HoldRecord, ...]:
        """Every hold that names an order, on either side, in arrival order."""
        return tuple(self._holds.get(order_id, ()))

    def dead_sessions(self) -> tuple[Address, ...]:
        """Forked sessions, ascending."""
        return tuple(session for session, feed in sorted(self._feeds.items()) if feed.is_dead)

    def add(self, entry: VerifiedEntry) -> tuple[Outcome, list[VerifiedEntry], list[Address]]:
        """Take in a sound entry.

        Returns:
            What happened; the entries that became contiguous; the owners whose orders, holds or sessions changed,
            ascending.
        """
        session = entry.entry.header.session
        feed = self._feeds.get(session)
        if feed is None:
            feed = self._feeds[session] = Feed()
            self._readers[session] = FeedReader(feed, session, self.rules)
        was_dead = feed.is_dead
        outcome = feed.add(entry)
        if feed.is_dead and outcome in (Outcome.FORKED, Outcome.APPENDED, Outcome.HELD):
            appended = [entry] if outcome is Outcome.APPENDED else []
            if was_dead:
                appended.extend(iter(feed.follow, None))
            return outcome, appended, self._reread(session, feed)
        if outcome is not Outcome.APPENDED:
            return outcome, [], []
        reader, appended, touched = self._readers[session], [], []
        following: VerifiedEntry | None = entry
        while following is not None:
            appended.append(following)
            touched.extend(self._index(*reader.advance()))
            following = feed.follow()
        return outcome, appended, sorted(dict.fromkeys(touched))

    def _index(self, orders: list[OrderRecord], holds: list[HoldRecord]) -> list[Address]:
        touched: list[Address] = []
        for record in orders:
            self._orders[record.order_id] = record
            self._owner_orders.setdefault(record.order.owner, {})[record.order_id] = record
            touched.append(record.order.owner)
        for hold in holds:
            for order_id in (hold.ticket.maker_order, hold.ticket.taker_order):
                self._holds.setdefault(order_id, []).append(hold)
                known = self._orders.get(order_id)
                if known is not None:
                    touched.append(known.order.owner)
        return sorted(dict.fromkeys(touched))

    def _reread(self, session: Address, feed: Feed) -> list[Address]:
        """A fork voids items: drop what the session had put into the indexes and read it again below the fork."""
        owners = [record.order.owner for record in feed.orders.values()]
        for hold in feed.holds:
            for order_id in (hold.ticket.maker_order, hold.ticket.taker_order):
                known = self._orders.get(order_id)
                if known is not None:
                    owners.append(known.order.owner)
                self._holds[order_id] = [other for other in self._holds[order_id] if other.source != session]
        for record in feed.orders.values():
            self._orders.pop(record.order_id, None)
            self._owner_orders[record.order.owner].pop(record.order_id, None)
        feed.orders, feed.holds, feed.owner = {}, [], None
        reader = self._readers[session] = FeedReader(feed, session, self.rules)
        orders, holds = reader.advance()
        holds += self._tickets_that_stand(session, feed)
        return sorted(dict.fromkeys(owners + self._index(orders, holds)))

    def _tickets_that_stand(self, session: Address, feed: Feed) -> list[HoldRecord]:
        """Tickets above the fork: they bind their counterparties' lots wherever they stand. Spec: [FEED-6]."""
        found: dict[tuple[TicketDigest, Epoch, Address | None], HoldRecord] = {}
        below = {(hold.digest, hold.entry_epoch, hold.taker_signer): hold for hold in feed.holds}
        for entry in feed.versions():
            header = entry.entry.header
            if header.market != self.rules.market_id:
                continue
            for item in entry.items:
                if not isinstance(item, VerifiedTicket):
                    continue
                hold = read_hold(item, session, header.epoch, self.rules)
                key = (item.ticket_digest, header.epoch, item.taker_signer)
                if hold is not None and key not in below:
                    found[key] = hold
        feed.holds.extend(found.values())
        return list(found.values())
