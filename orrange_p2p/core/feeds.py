"""Owner feeds as a join: a set of sound entries in, standing orders and holds out.

What a feed means depends only on which entries are in it. `Feeds.add` may be called in any order and with repeats; it
keeps contiguous runs, holds a few entries ahead of a gap, and notices forks.
Spec: protocol/spec/02-feeds.md, 03-orders.md [ORD-1..5, HOLD-1..3].
"""

from orrange_p2p.core.convictions import Convictions
from orrange_p2p.core.feed import Feed, HoldRecord, OrderRecord, Outcome
from orrange_p2p.core.feed_reader import FeedReader, read_hold
from orrange_p2p.core.messages import Head
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import ZERO_DIGEST, Address, Epoch, MarketId, OrderId, PeerId, TicketDigest
from orrange_p2p.core.verify import VerifiedEntry, VerifiedTicket


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
        return Head(session=session, next_seq=len(feed.entries), head_hash=feed.head_hash())

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

    def holds_on(self, order_id: OrderId) -> tuple[HoldRecord, ...]:
        """Every hold that names an order, on either side, in arrival order."""
        return tuple(self._holds.get(order_id, ()))

    def dead_sessions(self) -> tuple[Address, ...]:
        """Forked and convicted sessions, ascending. Spec: [FEED-6], [EVID-4]."""
        forked = [session for session, feed in self._feeds.items() if feed.is_dead]
        return tuple(sorted(dict.fromkeys([*forked, *self.convictions.sessions()])))

    def may_match(self, session: Address) -> bool:
        """Whether a session is neither forked nor convicted. Spec: [FEED-6], [EVID-4]."""
        feed = self._feeds.get(session)
        return feed is not None and not feed.is_dead and session not in self.convictions

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
        reader, appended, touched = self._readers[session], [], []
        following: VerifiedEntry | None = entry
        while following is not None:
            appended.append(following)
            touched.extend(self._advance(session, feed, reader))
            if feed.is_dead:
                outcome = Outcome.FALSE
                touched.extend(self._reread(session, feed))
            following = feed.follow()
        return outcome, appended, sorted(dict.fromkeys(touched))

    def _may_read_on(self, feed: Feed, entry: VerifiedEntry) -> bool:
        """Whether an entry below the fork of a dead feed changes nothing but by what it says itself.

        Tickets of a dead session hold wherever they stand, so a feed with more of them is read anew. Spec: [FEED-6].
        """
        has_tickets = any(isinstance(item, VerifiedTicket) for item in entry.items)
        return not has_tickets and entry.entry.header.seq < feed.forked_from and len(feed.entries) not in feed.held

    def _read_on(self, session: Address, feed: Feed) -> list[Address]:
        forked_from = feed.forked_from
        touched = self._advance(session, feed, self._readers[session])
        if feed.forked_from != forked_from:
            touched += self._reread(session, feed)
        return sorted(dict.fromkeys(touched))

    def _advance(self, session: Address, feed: Feed, reader: FeedReader) -> list[Address]:
        answers = len(feed.answers)
        touched = self._index(*reader.advance())
        if feed.owner is not None:
            self._note_change(feed.owner, session)
            if len(feed.answers) > answers:
                touched.append(feed.owner)
        return touched

    def _note_change(self, owner: Address, session: Address) -> None:
        self._versions[owner] = self._versions.get(owner, 0) + 1
        self._owner_sessions.setdefault(owner, {})[session] = None

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
        for session in self.convictions.note(holds):
            self._newly_convicted[session] = None
            touched.extend(self._owners_of(session))
        return sorted(dict.fromkeys(touched))

    def _reread(self, session: Address, feed: Feed) -> list[Address]:
        """A fork voids items: drop what the session had put into the indexes and read it again below the fork.

        What is read may have a false Checkpoint, which lowers the fork: then it is read once more. Spec: [FEED-14].
        """
        owners = [record.order.owner for record in feed.orders.values()]
        for hold in feed.holds:
            for order_id in (hold.ticket.maker_order, hold.ticket.taker_order):
                known = self._orders.get(order_id)
                if known is not None:
                    owners.append(known.order.owner)
                here = self._holds.get(order_id, ())
                self._holds[order_id] = [other for other in here if other.source != session]
        for record in feed.orders.values():
            self._orders.pop(record.order_id, None)
            self._owner_orders.get(record.order.owner, {}).pop(record.order_id, None)
        former = feed.owner
        self.convictions.forget_feed(session)
        orders, holds = self._read_anew(session, feed)
        for owner in (former, feed.owner):
            if owner is not None:
                self._note_change(owner, session)
        holds += self._tickets_that_stand(session, feed)
        return sorted(dict.fromkeys(owners + self._index(orders, holds)))

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
