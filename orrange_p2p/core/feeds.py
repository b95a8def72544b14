"""Owner feeds as a join: a set of sound entries in, standing orders and holds out.

What a feed means depends only on which entries are in it. `Feeds.add` may be called in any order and with repeats; it
keeps contiguous runs, holds a few entries ahead of a gap, and notices forks.
Spec: protocol/spec/02-feeds.md, 03-orders.md [ORD-1..5, HOLD-1..3].
"""

import heapq
from dataclasses import dataclass
from itertools import chain

from orrange_p2p.core.convictions import Convictions
from orrange_p2p.core.feed import Feed, HoldRecord, OrderRecord, Outcome
from orrange_p2p.core.feed_reader import FeedReader
from orrange_p2p.core.holds import may_be_true, read_hold
from orrange_p2p.core.messages import Checkpoint, Head
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.starts import Start, base_from, bodies_in, collect_start
from orrange_p2p.core.types import ZERO_DIGEST, Address, Epoch, MarketId, OrderId, PeerId, TicketDigest
from orrange_p2p.core.verify import VerifiedEntry, VerifiedTicket


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebased:
    """A feed was cut: where it begins now, whose orders moved, and those that it says no more."""

    start: Start
    owners: tuple[Address, ...]
    gone: tuple[OrderId, ...]


def _counts(feed: Feed, hold: HoldRecord) -> bool:
    """Whether a hold counts: of a dead session's items only TicketItems do. Spec: [HOLD-6]."""
    return not (feed.is_dead and hold.is_offer)


class Feeds:
    """All feeds of one market, with indexes of orders by id and by owner and of holds by order."""

    def __init__(self, rules: MarketRules) -> None:
        self.rules = rules
        self._feeds: dict[Address, Feed] = {}
        self._readers: dict[Address, FeedReader] = {}
        self._orders: dict[OrderId, OrderRecord] = {}
        self._owner_orders: dict[Address, dict[OrderId, OrderRecord]] = {}
        self._holds: dict[OrderId, list[HoldRecord]] = {}
        self._moved: dict[Address, None] = {}
        self.convictions = Convictions(rules)
        self._newly_convicted: dict[Address, None] = {}
        self._owner_sessions: dict[Address, dict[Address, None]] = {}
        self._versions: dict[Address, int] = {}
        self._fresh: dict[Address, dict[OrderId, None]] = {}  # orders that came or were named since they were taken
        self._anew: dict[Address, None] = {}  # owners whose orders were read again
        self._due: list[tuple[int, Address, int]] = []  # a heap: when a Checkpoint can be a base, whose, its seq
        self._bases: dict[Address, dict[Address, tuple[Epoch, int]]] = {}  # epoch and seq, by owner and session

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

    def stands(self, session: Address, seq: int) -> bool:
        """Whether a session's entry of that seq counts: it breaks no rule of its feed, nor one before it."""
        reader = self._readers.get(session)
        return reader is not None and seq < reader.standing

    def sessions_of(self, peer: PeerId) -> tuple[Address, ...]:
        """The sessions that a peer acts for, ascending."""
        return tuple(sorted(session for session, feed in self._feeds.items() if feed.peer_id == peer))

    def heads(self) -> tuple[Head, ...]:
        """Heads for sync, sorted by session; a dead session's head names its lowest fork. Spec: [SYNC-1]."""
        found = (self.head(session) for session in sorted(self._feeds))
        return tuple(head for head in found if head is not None)

    def head(self, session: Address) -> Head | None:
        """A session's head, if anything of its feed can be shown. Spec: [SYNC-1]."""
        feed = self._feeds.get(session)
        if feed is None or not (feed.entries or feed.is_dead):
            return None
        if feed.is_dead:
            return Head(session=session, next_seq=feed.forked_from + 1, head_hash=ZERO_DIGEST)
        return Head(session=session, next_seq=feed.next_seq, head_hash=feed.head_hash())

    def base_epoch(self, owner: Address) -> Epoch:
        """The highest epoch that a base of an owner's living feeds claims, 0 without one. Spec: [FUND-8]."""
        return max((epoch for epoch, _ in self._bases.get(owner, {}).values()), default=Epoch(0))

    def newest_bases(self, owner: Address) -> tuple[tuple[Address, int], ...]:
        """Session and seq of an owner's base that claims the highest epoch, or of all that do."""
        bases, newest = self._bases.get(owner, {}), self.base_epoch(owner)
        return tuple((session, seq) for session, (epoch, seq) in bases.items() if epoch == newest)

    def placed(self, record: OrderRecord) -> Epoch:
        """The epoch at which an order stands among its owner's. Spec: [FUND-8]."""
        return max(record.claimed, self.base_epoch(record.order.owner))

    def next_checkpoint(self, session: Address, claimed: Epoch) -> Checkpoint | None:
        """The Checkpoint that would be true in a session's next entry; None if there is none. Spec: [FEED-13]."""
        reader = self._readers.get(session)
        return None if reader is None else reader.implied.checkpoint(claimed, reader.next_nonce)

    def entries_since_checkpoint(self, session: Address, claimed: Epoch) -> int:
        """How many entries stand after a session's last Checkpoint.

        0 as well while none of them says anything, or another Checkpoint in that epoch would come too soon.
        """
        reader = self._readers.get(session)
        if reader is None or reader.implied.is_idle or reader.implied.is_too_soon(claimed):
            return 0
        return reader.standing - (reader.checkpoints[-1] + 1 if reader.checkpoints else 0)

    def take_moved(self) -> tuple[Address, ...]:
        """Sessions whose heads may have changed since this was last asked, ascending."""
        moved = tuple(sorted(self._moved))
        self._moved.clear()
        return moved

    def owners(self) -> tuple[Address, ...]:
        """Owners with an order that stands, ascending."""
        return tuple(sorted(self._owner_orders))

    def sessions_of_owner(self, owner: Address) -> tuple[Address, ...]:
        """Sessions whose feeds are or once were an owner's, in no particular order."""
        return tuple(self._owner_sessions.get(owner, ()))

    def version(self, owner: Address) -> int:
        """How often an owner's feeds have changed so far."""
        return self._versions.get(owner, 0)

    def order(self, order_id: OrderId) -> OrderRecord | None:
        """A standing order by id."""
        return self._orders.get(order_id)

    def orders_of(self, owner: Address) -> tuple[OrderRecord, ...]:
        """Every order of an owner that stands, in no particular order."""
        return tuple(self._owner_orders.get(owner, {}).values())

    def take_fresh(self, owner: Address) -> tuple[OrderRecord, ...] | None:
        """An owner's orders that came, or that items named, since the last call; None if all were read again."""
        fresh = self._fresh.pop(owner, {})
        if owner in self._anew:
            del self._anew[owner]
            return None
        found = (self._orders.get(order_id) for order_id in fresh)
        return tuple(record for record in found if record is not None)

    def holds_on(self, order_id: OrderId) -> tuple[HoldRecord, ...]:
        """Every hold that names an order, on either side, in arrival order."""
        return tuple(self._holds.get(order_id, ()))

    def dead_sessions(self) -> tuple[Address, ...]:
        """Forked and convicted sessions, ascending. Spec: [FEED-6], [EVID-4]."""
        forked = [session for session, feed in self._feeds.items() if feed.is_dead]
        return tuple(sorted(dict.fromkeys([*forked, *self.convictions.sessions()])))

    def may_match(self, session: Address) -> bool:
        """Whether a session is not convicted; of a forked one no order is known. Spec: [FEED-6], [EVID-4]."""
        return session not in self.convictions

    def convict(self, session: Address) -> list[Address]:
        """Evidence convicts a session; the owners whose orders it touches. Spec: [EVID-4]."""
        if not self.convictions.convict(session):
            return []
        return self._owners_of(session)

    def mark_forked(self, session: Address, seq: int) -> list[Address]:
        """Evidence shows a fork, of whose entries none may be here; the owners that it touches. Spec: [EVID-1]."""
        feed = self._feeds.get(session)
        if feed is None:
            feed = self._feeds[session] = Feed()
            self._readers[session] = FeedReader(feed, session, self.rules)
        if feed.forked_from <= seq:
            return []
        feed.forked_from = seq
        self._moved[session] = None
        return self._reread(session, feed)

    def take_convicted(self) -> tuple[Address, ...]:
        """Sessions that their own feeds have convicted since the last call, ascending."""
        found, self._newly_convicted = self._newly_convicted, {}
        return tuple(sorted(found))

    def _owners_of(self, session: Address) -> list[Address]:
        feed = self._feeds.get(session)
        owners = [record.order.owner for record in feed.orders.values()] if feed is not None else []
        return sorted(dict.fromkeys(owners))

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
        self._moved[session] = None
        if feed.is_dead and outcome in (Outcome.FORKED, Outcome.APPENDED, Outcome.HELD):
            appended = [entry] if outcome is Outcome.APPENDED else []
            if was_dead and appended and self._may_read_on(feed, entry):
                return outcome, appended, self._read_on(session, feed)
            if was_dead:
                appended.extend(iter(feed.follow, None))
            return outcome, appended, self._reread(session, feed)
        if outcome is not Outcome.APPENDED:
            return outcome, [], []
        appended, touched = self._read_from(session, feed, entry)
        return Outcome.FALSE if feed.is_dead else outcome, appended, touched

    def follow(self, session: Address) -> tuple[list[VerifiedEntry], list[Address]]:
        """Append what was held ahead of a gap that has just closed; what came, and the owners that it touches."""
        feed = self._feeds[session]
        following = feed.follow()
        return ([], []) if following is None else self._read_from(session, feed, following)

    def _read_from(
        self, session: Address, feed: Feed, entry: VerifiedEntry
    ) -> tuple[list[VerifiedEntry], list[Address]]:
        """Read a living feed on from an entry just appended, with the held ones that come next."""
        reader, appended, touched = self._readers[session], list[VerifiedEntry](), list[Address]()
        following: VerifiedEntry | None = entry
        while following is not None:
            appended.append(following)
            touched.extend(self._advance(session, feed, reader))
            if feed.is_dead:
                touched.extend(self._reread(session, feed))
            following = feed.follow()
        return appended, sorted(dict.fromkeys(touched))

    def _may_read_on(self, feed: Feed, entry: VerifiedEntry) -> bool:
        """Whether an entry below the fork of a dead feed changes nothing but by what it says itself.

        Tickets of a dead session hold wherever they stand, so a feed with more of them is read anew. Spec: [FEED-6].
        """
        has_tickets = any(isinstance(item, VerifiedTicket) for item in entry.items)
        return not has_tickets and entry.entry.header.seq < feed.forked_from and feed.next_seq not in feed.held

    def _read_on(self, session: Address, feed: Feed) -> list[Address]:
        forked_from = feed.forked_from
        touched = self._advance(session, feed, self._readers[session])
        if feed.forked_from != forked_from:
            touched += self._reread(session, feed)
        return sorted(dict.fromkeys(touched))

    def _advance(self, session: Address, feed: Feed, reader: FeedReader) -> list[Address]:
        answers, checkpoints = len(feed.answers), len(reader.checkpoints)
        orders, holds = reader.advance()
        touched = self._index(feed, orders, holds)
        for seq in reader.checkpoints[checkpoints:]:
            claimed = feed.entries[seq - feed.first_seq].entry.header.epoch
            heapq.heappush(self._due, (base_from(self.rules, claimed), session, seq))
        if feed.owner is not None:
            self._note_change(feed.owner, session)
            if len(feed.answers) > answers:
                touched.append(feed.owner)
        return touched

    def _note_change(self, owner: Address, session: Address) -> None:
        self._versions[owner] = self._versions.get(owner, 0) + 1
        self._owner_sessions.setdefault(owner, {})[session] = None

    def _index(self, feed: Feed, orders: list[OrderRecord], holds: list[HoldRecord]) -> list[Address]:
        """Make known what a feed says; of a dead one only tickets count, wherever they stand. Spec: [FEED-6]."""
        touched: list[Address] = []
        for record in orders if not feed.is_dead else ():
            self._orders[record.order_id] = record
            self._owner_orders.setdefault(record.order.owner, {})[record.order_id] = record
            self._fresh.setdefault(record.order.owner, {})[record.order_id] = None
            touched.append(record.order.owner)
        for hold in holds:
            for order_id in (hold.ticket.maker_order, hold.ticket.taker_order) if _counts(feed, hold) else ():
                self._holds.setdefault(order_id, []).append(hold)
                known = self._orders.get(order_id)
                if known is not None:
                    self._fresh.setdefault(known.order.owner, {})[order_id] = None
                    touched.append(known.order.owner)
        for session in self.convictions.note(holds):
            self._newly_convicted[session] = None
            touched.extend(self._owners_of(session))
        return sorted(dict.fromkeys(touched))

    def _reread(self, session: Address, feed: Feed) -> list[Address]:
        """Drop what a session had put into the indexes and read its feed again: it forked, or was cut.

        Of a forked one only tickets count. What lies below the fork is read to the first false Checkpoint, which
        lowers it. Spec: [FEED-6], [FEED-14].
        """
        owners = [record.order.owner for record in feed.orders.values()]
        for hold in feed.holds:
            for order_id in (hold.ticket.maker_order, hold.ticket.taker_order):
                known = self._orders.get(order_id)
                if known is not None:
                    owners.append(known.order.owner)
                others = [other for other in self._holds.pop(order_id, ()) if other.source != session]
                if others:
                    self._holds[order_id] = others
        for record in feed.orders.values():
            self._anew[record.order.owner] = None
            self._orders.pop(record.order_id, None)
            self._owner_orders.get(record.order.owner, {}).pop(record.order_id, None)
        former = feed.owner
        self.convictions.forget_feed(session)
        orders, holds = self._read_anew(session, feed)
        for owner in (former, feed.owner):
            if owner is not None:
                self._note_change(owner, session)
                self._note_base(owner, session, feed)
        if feed.is_dead:
            holds += self._tickets_that_stand(session, feed)
        return sorted(dict.fromkeys(owners + self._index(feed, orders, holds)))

    def _note_base(self, owner: Address, session: Address, feed: Feed) -> None:
        bases = self._bases.setdefault(owner, {})
        if feed.start is None or feed.is_dead or owner != feed.owner:
            bases.pop(session, None)
        else:
            header = feed.start.entry.entry.header
            bases[session] = header.epoch, header.seq

    def advance_bases(self, epoch: Epoch) -> list[Rebased]:
        """Cut every feed that has a new base at an epoch; the epochs asked for never fall. Spec: [FEED-15], [FEED-16].

        Costs nothing while no Checkpoint becomes old enough.
        """
        newest: dict[Address, int] = {}
        while self._due and self._due[0][0] <= epoch:
            _, session, seq = heapq.heappop(self._due)
            newest[session] = max(seq, newest.get(session, 0))
        found: list[Rebased] = []
        for session, seq in sorted(newest.items()):
            feed = self._feeds[session]
            is_above = feed.start is None or feed.first_seq < seq
            if feed.is_dead or not is_above or seq >= self._readers[session].standing:
                continue
            at = seq - feed.first_seq
            before = feed.start.bodies if feed.start is not None else ()
            sources = (body for entry in feed.entries[: at + 1] for body in bodies_in(entry))
            found.append(self._begin(session, feed, collect_start(feed.entries[at], chain(before, sources))))
        return found

    def begin(self, start: Start, epoch: Epoch) -> Rebased | None:
        """Begin a feed at a start that a peer gave or the disk has; `follow` says what comes next. Spec: [FEED-16].

        None if it is not taken: too young at that epoch, or lists what no true Checkpoint does, or of a session that
        is dead here or that this start shows dead, or the feed is held up to there already.
        """
        header = start.entry.entry.header
        feed = self._feeds.get(header.session)
        if base_from(self.rules, header.epoch) > epoch or not may_be_true(start, self.rules):
            return None
        if feed is None:
            feed = self._feeds[header.session] = Feed()
        elif not self._may_begin(feed, start):
            return None
        self._moved[header.session] = None
        return self._begin(header.session, feed, start)

    def _may_begin(self, feed: Feed, start: Start) -> bool:
        header = start.entry.entry.header
        if feed.is_dead or feed.is_ended or header.seq < feed.next_seq or feed.holds_other(start.entry):
            return False
        return self._readers[header.session].may_lead_to(start)

    def _begin(self, session: Address, feed: Feed, start: Start) -> Rebased:
        """Cut a feed at a start and read it again; all orders of its owner are placed anew. Spec: [FUND-8]."""
        before = feed.orders
        feed.cut(start)
        touched = self._reread(session, feed)
        owners = touched if feed.owner is None else sorted(dict.fromkeys([*touched, feed.owner]))
        gone = tuple(order_id for order_id in before if order_id not in feed.orders)
        return Rebased(start=start, owners=tuple(owners), gone=gone)

    def _read_anew(self, session: Address, feed: Feed) -> tuple[list[OrderRecord], list[HoldRecord]]:
        """Read a feed from its start, below its fork and below any false Checkpoint."""
        while True:
            forked_from = feed.forked_from
            feed.orders, feed.holds, feed.owner = {}, [], None
            feed.acts, feed.answers = [], {}
            reader = self._readers[session] = FeedReader(feed, session, self.rules)
            orders, holds = reader.advance()
            if feed.forked_from == forked_from:
                return orders, holds

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
