"""One market of the kernel: entries in, windows opened, tickets bargained, own feed written.

Spec: protocol/spec/02-feeds.md, 04-matching.md [MATCH-1], 05-tickets.md, 06-sync.md [SYNC-4, SYNC-5].
"""

from orrange_p2p.core.completion import Completion
from orrange_p2p.core.countersign import Countersigner
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.events import (
    Action,
    CutFeed,
    EntriesLoaded,
    EntriesReceived,
    Identity,
    Note,
    PersistEntry,
    PersistWindow,
    Publish,
    StartReceived,
    StartsLoaded,
    SyncRoundEnded,
    SyncWith,
)
from orrange_p2p.core.evidence_log import EvidenceLog
from orrange_p2p.core.feed import HoldRecord, Outcome
from orrange_p2p.core.feeds import Feeds, Rebased
from orrange_p2p.core.ledger import BlockRef, Ledger
from orrange_p2p.core.maker import Maker
from orrange_p2p.core.messages import (
    Checkpoint,
    DeclineFrame,
    Head,
    OfferFrame,
    Prepare,
    Ready,
    TicketMessage,
    View,
)
from orrange_p2p.core.outbox import Outbox
from orrange_p2p.core.own_checkpoints import OwnCheckpoints
from orrange_p2p.core.presence import PresenceBook
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.settling import Settling
from orrange_p2p.core.shown_heads import ShownHeads
from orrange_p2p.core.taker import Taker
from orrange_p2p.core.tickets import Desk, Numbers
from orrange_p2p.core.types import U64_MAX, Address, Epoch, PeerId, TicketDigest
from orrange_p2p.core.verify import (
    VerifiedEntry,
    VerifiedOffer,
    VerifiedOrder,
    verify_offer,
)
from orrange_p2p.core.window import Windows

MAX_FUTURE_EPOCHS = 2
MAX_FAILED_ROUNDS = 3
MAX_FEEDS = 3_000
MAX_STRANGERS = 256
TAIL_ENTRIES = 8
MAX_GONE = 1024
MAX_STRANGER_BYTES = 64 * 1024
_OLD_STORE = (
    "peers hold entries of this node's own feed that its store does not: the store is old or lost; "
    "restore it, or start with a new session"
)


class MarketKernel:
    """State and rules of one market on one node."""

    def __init__(
        self,
        rules: MarketRules,
        digests: Digests,
        identity: Identity,
        ledger: Ledger,
        numbers: Numbers,
        presences: PresenceBook,
    ) -> None:
        self.rules = rules
        self.feeds = Feeds(rules)
        self.shown = ShownHeads(self.feeds, ledger)
        self.windows = Windows(self.feeds, ledger)
        self.desk = Desk(
            rules=rules,
            digests=digests,
            identity=identity,
            feeds=self.feeds,
            ledger=ledger,
            windows=self.windows,
            outbox=Outbox(rules, digests, identity),
            numbers=numbers,
        )
        self.taker = Taker(self.desk)
        self.maker = Maker(self.desk)
        self.countersigner = Countersigner(self.desk)
        self.settling = Settling(ledger, digests, rules.preset.ticket_life_s)
        self.synced_peers: dict[PeerId, int] = {}  # rounds failed since the last good one
        self.completion = Completion(self.desk, self.maker, self.taker, self.settling)
        self._strangers = 0
        self._loaded = self._own_seen = 0
        self._could_sign = False
        self._gone: dict[PeerId, None] = {}
        self._presences = presences
        self.evidence = EvidenceLog(self.feeds, self.windows.keeper)
        self._checkpoints = OwnCheckpoints(self.desk)

    @property
    def tickets(self) -> dict[TicketDigest, HoldRecord]:
        """Tickets that both sides have signed."""
        return self.completion.tickets

    @property
    def is_synced(self) -> bool:
        """Spec: [SYNC-4]."""
        return len(self.synced_peers) >= self.rules.preset.quorum

    def load(self, event: EntriesLoaded) -> list[Action]:
        """Take back what this node had on disk; tickets only once all orders are back, in whatever order they came."""
        loaded: list[VerifiedEntry] = []
        for entry, effective in event.entries:
            _, appended, owners = self.feeds.add(entry)
            self.windows.keeper.touch(owners)
            loaded.extend(appended)
            for one in appended:
                self._note_orders(one, effective)
        for one in loaded:
            self.completion.on_entry(one, event.now_ms)
        own = self.feeds.feed(self.desk.identity.session)
        self._loaded = own.next_seq if own is not None else 0
        known = self.desk.ledger.has_session
        self._strangers = sum(not known(session) for session in self.feeds.sessions())
        self.desk.restore()
        return []

    def load_starts(self, event: StartsLoaded) -> list[Action]:
        """Begin feeds where this node had cut them; before their entries. Spec: [FEED-16]."""
        for cut in event.cuts:
            header = cut.start.entry.entry.header
            rebased = self.feeds.begin(cut.start, Epoch(U64_MAX))
            if rebased is not None:
                self.windows.note_checkpoint(header.session, header.seq, header.epoch, cut.effective)
                self._place_anew(rebased)
        return []

    def begin(self, event: StartReceived) -> tuple[list[Action], str | None]:
        """A peer that has cut a feed offers its start. Spec: [FEED-16], [SYNC-21].

        Returns actions, and a doubt if it is the own feed, of which this node does not hold so much.
        """
        entry = event.start.entry
        header = entry.entry.header
        if not self._has_room(header.session, event.start.size_bytes):
            return [Note(name="entry_of_a_stranger")], None
        is_stranger = self._is_new_stranger(header.session)
        rebased = self.feeds.begin(event.start, self.rules.epoch_at(event.now_ms))
        if rebased is None:
            return [Note(name="start_refused")], None
        self._strangers += is_stranger
        effective = self._effective_epoch(entry, event.now_ms)
        self.windows.note_checkpoint(header.session, header.seq, header.epoch, effective)
        self._place_anew(rebased)
        cut = CutFeed(market=self.rules.market_id, start=event.start, effective=effective)
        doubt = _OLD_STORE if header.session == self.desk.identity.session else None
        actions: list[Action] = [Note(name="start_taken"), self._persist(entry, effective), cut]
        appended, owners = self.feeds.follow(header.session)
        self.windows.keeper.touch(owners)
        for one in appended:
            actions.extend(self._note_appended(one, event.now_ms, may_sign=False))
        return actions, doubt

    def _place_anew(self, rebased: Rebased) -> None:
        self.windows.place_anew(rebased)
        self.windows.keeper.touch(rebased.owners)

    def receive(self, event: EntriesReceived, *, may_sign: bool) -> tuple[list[Action], str | None]:
        """Take in entries from a peer. Nothing it can send here does more than be ignored and counted.

        Returns actions, and a doubt if the peer holds entries of the own feed that this node does not.
        """
        actions: list[Action] = []
        doubt, gap = None, None
        newest = self.rules.epoch_at(event.now_ms) + MAX_FUTURE_EPOCHS
        for entry in event.entries:
            if entry.entry.header.epoch > newest:
                actions.append(Note(name="entry_from_the_future"))
                continue
            if not self._has_room(entry.entry.header.session):
                actions.append(Note(name="entry_of_a_stranger"))
                continue
            self._strangers += self._is_new_stranger(entry.entry.header.session)
            outcome, appended, owners = self.feeds.add(entry)
            actions.append(Note(name=f"entry_{outcome.value}"))
            if outcome is not Outcome.DUPLICATE and entry.entry.header.session == self.desk.identity.session:
                doubt = _OLD_STORE
            if outcome is Outcome.FORKED:
                actions.extend(self._note_fork(entry))
            self.windows.keeper.touch(owners)
            for one in appended:
                actions.extend(self._note_appended(one, event.now_ms, may_sign=may_sign))
            if outcome is Outcome.HELD:
                gap = SyncWith(peer=event.source, market=self.rules.market_id)
        actions.extend(self.evidence.write_down_convictions())
        if gap is not None:
            actions.append(gap)
        return actions, doubt

    def _note_appended(self, entry: VerifiedEntry, now_ms: int, *, may_sign: bool) -> list[Action]:
        """An entry of somebody's feed counts from now on; a young one is a sign of life. Spec: [PEER-3]."""
        header = entry.entry.header
        is_young = header.epoch >= self.rules.epoch_at(now_ms - self.rules.preset.dead_s * 1000)
        if is_young and self.feeds.stands(header.session, header.seq):
            self._presences.note_alive(header.session, now_ms)
        effective = self._effective_epoch(entry, now_ms)
        self._note_orders(entry, effective)
        actions: list[Action] = [self._persist(entry, effective), *self.completion.on_entry(entry, now_ms)]
        if may_sign:
            actions.extend(self._note_offers(entry, now_ms))
        else:
            self._could_sign = False  # the next tick that may sign answers
        return actions

    def _note_fork(self, rival: VerifiedEntry) -> list[Action]:
        """Keep both halves of a fork, one of which may have been held only in memory; gossip a session's first fork.

        So whoever saw one half sees the other. Spec: [FEED-6].
        """
        header = rival.entry.header
        feed = self.feeds.feed(header.session)
        if feed is None:
            return []
        halves = [entry for entry in feed.versions() if entry.entry.header.seq == header.seq]
        actions: list[Action] = [self._persist(half, half.entry.header.epoch) for half in halves]
        if feed.forks_seen == 1:
            actions.extend(Publish(market=self.rules.market_id, encoded=half.encoded) for half in halves)
        if len(halves) > 1:
            actions.extend(self.evidence.tell_of_fork(halves[0], halves[1]))
        return actions

    def _has_room(self, session: Address, listed_bytes: int = 0) -> bool:
        """Whether an entry or a start is kept: sessions unknown to the chain get little room. Spec: [FEED-12]."""
        feed = self.feeds.feed(session)
        is_known = self.desk.ledger.has_session(session)
        has_place = feed is not None or len(self.feeds) < MAX_FEEDS
        if is_known or not has_place:
            return has_place
        if feed is None:
            return self._strangers < MAX_STRANGERS and listed_bytes < MAX_STRANGER_BYTES
        return feed.kept_bytes + listed_bytes < MAX_STRANGER_BYTES

    def _is_new_stranger(self, session: Address) -> bool:
        return self.feeds.feed(session) is None and not self.desk.ledger.has_session(session)

    def may_convict(self, session: Address) -> bool:
        """Whether evidence against a session is kept: anybody can make a key and convict it. Spec: [FEED-12]."""
        return self.feeds.feed(session) is not None or self.desk.ledger.has_session(session)

    def _effective_epoch(self, entry: VerifiedEntry, now_ms: int) -> Epoch:
        """Spec: [MATCH-1]."""
        claimed = entry.entry.header.epoch
        if not self.is_synced or now_ms <= self.rules.window_opens_ms(claimed):
            return claimed
        return max(claimed, self.rules.epoch_at(now_ms))

    def _persist(self, entry: VerifiedEntry, effective: Epoch) -> PersistEntry:
        is_own = entry.entry.header.session == self.desk.identity.session
        return PersistEntry(entry=entry, effective=effective, is_own=is_own)

    def _note_orders(self, entry: VerifiedEntry, effective: Epoch) -> None:
        """Fix the effective epoch of the orders that this very entry brought; a copy elsewhere means nothing."""
        header = entry.entry.header
        if isinstance(entry.items[-1], Checkpoint):
            self.windows.note_checkpoint(header.session, header.seq, header.epoch, effective)
        for item in entry.items:
            record = self.feeds.order(item.order_id) if isinstance(item, VerifiedOrder) else None
            if record is not None and (record.order.session, record.seq) == (header.session, header.seq):
                self.windows.place(record, effective)

    def _note_offers(self, entry: VerifiedEntry, now_ms: int) -> list[Action]:
        actions: list[Action] = []
        claimed = entry.entry.header.epoch
        for item in entry.items:
            if isinstance(item, VerifiedOffer):
                actions.extend(self.countersigner.on_offer(item, claimed, now_ms, exchange=None, peer=None))
        return actions

    def on_message(self, peer: PeerId, message: TicketMessage, now_ms: int, *, may_sign: bool) -> list[Action]:
        """A frame of the ticket stream; whose it is lives. Spec: [PEER-3]."""
        for session in self.feeds.sessions_of(peer):
            self._presences.note_alive(session, now_ms)
        if isinstance(message, Prepare):
            return self.maker.on_prepare(peer, message, now_ms, may_sign=may_sign)
        if isinstance(message, View):
            return self.taker.on_view(peer, message, now_ms)
        if isinstance(message, DeclineFrame):
            return self.taker.on_decline(peer, message)
        if isinstance(message, Ready):
            return self.taker.on_ready(peer, message) if may_sign else []
        if isinstance(message, OfferFrame):
            if not may_sign:
                return []
            verified = verify_offer(self.desk.digests, message.offer)
            epoch = self.rules.epoch_at(now_ms)
            return self.countersigner.on_offer(verified, epoch, now_ms, exchange=message.exchange, peer=peer)
        return self.completion.on_frame(message, now_ms)

    def on_sync(self, event: SyncRoundEnded, *, may_sign: bool) -> list[Action]:
        """A round of sync ended.

        Heads are unsigned: a peer that only claims to hold more of the own feed is not one to be synced with. What it
        does hold came before, as entries that the own session signed. Spec: [SYNC-4, SYNC-5].
        """
        is_done = event.heads is not None and all(self._covers(head) for head in event.heads)
        was_synced = self.is_synced
        for head in event.heads or ():
            if head.session == self.desk.identity.session:
                self._own_seen = max(self._own_seen, head.next_seq)
        if is_done:
            self.synced_peers[event.peer] = 0
            if event.peer in self._gone:
                del self._gone[event.peer]
                epoch = self.rules.epoch_at(event.now_ms)
                self.taker.on_peer_back(event.peer, epoch)
                self.maker.on_peer_back(event.peer, epoch)
        elif event.heads is None:
            self._count_failed_round(event.peer)
        if self.is_synced and not was_synced:
            self._presences.restart(event.now_ms)
        actions = self._tell_again(event.now_ms) if self.is_synced and not was_synced else []
        actions += self.taker.on_sync(event.peer, is_done=is_done, now_ms=event.now_ms)
        return actions + self.maker.on_sync(event.peer, is_done=is_done, may_sign=may_sign)

    def _count_failed_round(self, peer: PeerId) -> None:
        """Spec: [SYNC-19]."""
        if peer in self.synced_peers:
            self.synced_peers[peer] += 1
            if self.synced_peers[peer] >= MAX_FAILED_ROUNDS:
                del self.synced_peers[peer]

    def forget_peer(self, peer: PeerId) -> None:
        """A peer disconnected: it is not one to be synced with until the next round."""
        self.synced_peers.pop(peer, None)
        self._gone[peer] = None
        if len(self._gone) > MAX_GONE:
            del self._gone[next(iter(self._gone))]

    def _tell_again(self, now_ms: int) -> list[Action]:
        """Gossip the end of the own feed once more after a start: a crash may have come between the disk and the wire.

        Entries that the quorum has never seen come late for everybody, so for this node as well; their orders would
        else be first here and late everywhere else. Spec: [MATCH-1].
        """
        feed = self.feeds.feed(self.desk.identity.session)
        first = max(0, min(self._own_seen, self._loaded - TAIL_ENTRIES))
        told = feed.run(first, self._loaded) if feed is not None else []
        self._loaded = 0
        actions: list[Action] = []
        for entry in told:
            if entry.entry.header.seq >= self._own_seen:
                effective = self._effective_epoch(entry, now_ms)
                for item in entry.items:
                    record = self.feeds.order(item.order_id) if isinstance(item, VerifiedOrder) else None
                    if record is not None:
                        self.windows.place_again(record, effective)
                actions.append(self._persist(entry, effective))
            actions.append(Publish(market=self.rules.market_id, encoded=entry.encoded))
        return actions

    def heads(self) -> tuple[Head, ...]:
        """Heads to show to peers."""
        return tuple(self.shown.tree().heads())

    def _covers(self, head: Head) -> bool:
        """Whether all that a head names is held here; a dead session's, whether it is dead here too."""
        feed = self.feeds.feed(head.session)
        if feed is None or feed.is_dead:
            return feed is not None
        return feed.next_seq >= head.next_seq and not head.is_dead

    def tick(self, now_ms: int, *, may_sign: bool) -> list[Action]:
        """Open the newest window if it is due, give up on the silent, submit what is due."""
        epoch = self.rules.epoch_at(now_ms)
        last = self.desk.ledger.last_block
        self.desk.own_lots.expire(epoch, last.time_s if last else 0, self.rules.preset.ticket_life_s)
        actions = self._answer_missed_offers(now_ms) if may_sign and not self._could_sign else []
        self._could_sign = may_sign
        due = self.windows.due(now_ms)
        block = self.windows.ready_block(due) if due is not None else None
        if due is not None and block is not None:
            actions.extend(self._open_window(due, block, now_ms, may_sign=may_sign))
        actions.extend(self.taker.on_tick(epoch, now_ms))
        self.maker.on_tick(now_ms)
        self.countersigner.on_tick()
        actions.extend(self.settling.on_tick(now_ms))
        return actions

    def unwind(self, to_block: int, was_last: BlockRef, now_ms: int) -> None:
        """The chain took back its blocks after `to_block`, up to `was_last`; the ledger has forgotten them."""
        self.windows.unwind(to_block)
        self.shown.unwind()
        known = self.desk.ledger.has_session
        self._strangers = sum(not known(session) for session in self.feeds.sessions())
        self.settling.wait_for(was_last.number)
        self.completion.settle_again(now_ms)

    def _answer_missed_offers(self, now_ms: int) -> list[Action]:
        """Offers on own orders that came while this node could not sign, as after a restart.

        Those that are too late for a Ticket get a Decline, so that nobody takes this session for silent any longer.
        Spec: [TICK-9], [TICK-17], [HOLD-7].
        """
        own, last = self.feeds.feed(self.desk.identity.session), self.desk.ledger.last_block
        actions: list[Action] = []
        for order_id in own.orders if own is not None else ():
            for hold in self.feeds.holds_on(order_id):
                verified, ticket = hold.verified, hold.ticket
                is_live = last is not None and last.time_s <= ticket.deadline_s
                if isinstance(verified, VerifiedOffer) and ticket.maker_order == order_id and is_live:
                    actions.extend(
                        self.countersigner.on_offer(verified, hold.entry_epoch, now_ms, exchange=None, peer=None)
                    )
        return actions

    def _open_window(self, epoch: Epoch, block: BlockRef, now_ms: int, *, may_sign: bool) -> list[Action]:
        others = (session for session in self.feeds.sessions() if session != self.desk.identity.session)
        self.windows.set_absent(self._presences.absent(others, now_ms))
        window = self.windows.open(epoch, block)
        actions: list[Action] = [
            PersistWindow(market=self.rules.market_id, epoch=epoch, block_number=block.number),
            Note(name="window_opened", details=(("epoch", epoch), ("pieces", len(window.pieces)))),
            *self._cut_feeds(epoch),
        ]
        if may_sign:
            actions.extend(self.taker.open_window(window, now_ms))
        actions.extend(self.maker.open_window(window, now_ms, may_sign=may_sign))
        return actions

    def _cut_feeds(self, epoch: Epoch) -> list[Action]:
        """Let go of what lies below the bases that the window just opened stands on. Spec: [FEED-15], [FEED-16]."""
        actions: list[Action] = []
        for one in self.windows.take_cut():
            is_own = one.start.entry.entry.header.session == self.desk.identity.session
            ticket_nonce = self.desk.numbers.ticket_nonce if is_own else 0
            effective = self.windows.late_base(one)
            actions += [
                CutFeed(market=self.rules.market_id, start=one.start, effective=effective, ticket_nonce=ticket_nonce),
                Note(name="feed_cut"),
            ]
        if actions:
            self.completion.forget_old(epoch)
        return actions

    def flush(self, now_ms: int) -> list[Action]:
        """Sign the next own entry if something waits for it, or a Checkpoint before it."""
        outbox = self.desk.outbox
        own = self.feeds.feed(self.desk.identity.session)
        flushed = self._checkpoints.flush(now_ms) or outbox.flush(own, now_ms)
        if flushed is None:
            return []
        for item in flushed.dropped:
            self.taker.on_dropped(item)
        if flushed.entry is None:
            return list(flushed.if_dropped)
        entry = flushed.entry
        _, appended, owners = self.feeds.add(entry)
        self.windows.keeper.touch(owners)
        claimed = entry.entry.header.epoch
        actions: list[Action] = [
            self._persist(entry, claimed),
            Publish(market=self.rules.market_id, encoded=entry.encoded),
            *flushed.follow_ups,
            *flushed.if_dropped,
        ]
        for one in appended:
            self._note_orders(one, claimed)
            actions.extend(self.completion.on_entry(one, now_ms))
        return actions
