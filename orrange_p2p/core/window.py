"""One market's window: the book as each epoch closes, and what it entitles whom to.

A node works on the newest open window only; nothing is remembered from earlier ones. Older windows can be asked for
while views are compared, and are computed from scratch then, with the feeds as they were cut for the newest one.
Spec: protocol/spec/04-matching.md [MATCH-1, MATCH-11, MATCH-12], 05-tickets.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from orrange_p2p.core.book import BookKeeper, BookOrder, compute_book
from orrange_p2p.core.feed import OrderRecord
from orrange_p2p.core.feeds import Feeds, Rebased
from orrange_p2p.core.frames import MAX_ABSENT
from orrange_p2p.core.ledger import BlockRef, Ledger
from orrange_p2p.core.matching import Engine, Piece, build_engine, first_period
from orrange_p2p.core.messages import LateOrders
from orrange_p2p.core.period import Period, Periods
from orrange_p2p.core.types import Address, Digest, Epoch, OrderId

MAX_LATE_SENT = 256
MAX_LATE_GAP = 8
MAX_AGE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What an epoch's close came to: the fund block, the digest to compare, the pieces without skips."""

    epoch: Epoch
    block: BlockRef
    digest: Digest
    pieces: tuple[Piece, ...]


def merge_effective(claimed: Epoch, ours: Epoch, theirs: Epoch) -> Epoch | None:
    """The effective epoch that two nodes agree on: the later one, unless one side alone is too late. Spec: [TICK-4]."""
    limit = claimed + MAX_LATE_GAP
    return None if (ours <= limit) != (theirs <= limit) else max(ours, theirs)


class Windows:
    """Opens windows of one market as time and chain allow."""

    def __init__(self, feeds: Feeds, ledger: Ledger) -> None:
        self._feeds = feeds
        self._ledger = ledger
        self._rules = feeds.rules
        self.keeper = BookKeeper(feeds, ledger)
        self.periods = Periods(ledger, feeds.rules)
        self.period: Period = first_period(feeds.market_id)
        self.engine = Engine(feeds.market_id, self.period)
        self.current: Window | None = None
        self._newest = -1  # the newest epoch worked on, also if its window stood on a block that is gone
        self.absent: tuple[Address, ...] = ()
        self._absent_now: frozenset[Address] = frozenset()
        self._left_out: frozenset[Address] = frozenset()
        self._arrived: dict[OrderId, Epoch] = {}  # of orders whose own entries came late
        self._late: dict[OrderId, Epoch] = {}
        self._deferred: dict[OrderId, BookOrder] = {}
        self._late_checkpoints: dict[tuple[Address, int], Epoch] = {}
        self._cut: list[Rebased] = []

    @property
    def late(self) -> Mapping[OrderId, Epoch]:
        """Orders whose effective epoch is not the placed one."""
        return self._late

    def place(self, record: OrderRecord, effective: Epoch) -> None:
        """Fix an order's effective epoch when it arrives; its owner's newest base may place it later still."""
        if effective > record.claimed:
            self._arrived.setdefault(record.order_id, effective)
        self._note_late(record)

    def place_again(self, record: OrderRecord, effective: Epoch) -> None:
        """Put an own order where others will see it, if a later epoch than so far; windows to come have it there."""
        if effective <= self._effective(record, self._feeds.placed(record)):
            return
        self._arrived[record.order_id] = effective
        self._note_late(record)
        row = self.keeper.order(record.order_id)
        if row is not None:
            self._deferred[record.order_id] = row

    def note_checkpoint(self, session: Address, seq: int, claimed: Epoch, effective: Epoch) -> None:
        """A Checkpoint came; late, the orders that it will place as a base are as late. Spec: [MATCH-1]."""
        if effective != claimed:
            self._late_checkpoints[session, seq] = effective

    def place_anew(self, rebased: Rebased) -> None:
        """An owner's orders stand where its newest base does, or later if that or they came late. Spec: [FUND-8]."""
        header = rebased.start.entry.entry.header
        for name in [name for name in self._late_checkpoints if name[0] == header.session and name[1] < header.seq]:
            del self._late_checkpoints[name]
        for order_id in rebased.gone:
            self._forget(order_id)
        for record in self._feeds.orders_of(header.owner):
            if (record.order.session, record.seq) == (header.session, header.seq):
                self._arrived.pop(record.order_id, None)  # its own entry came before the base's, and is gone
            self._note_late(record)

    def _effective(self, record: OrderRecord, placed: Epoch) -> Epoch:
        """The placed epoch, or that in which the order's entry, or the base that placed it, came. Spec: [MATCH-1]."""
        found = max(placed, self._arrived.get(record.order_id, placed))
        if not self._late_checkpoints:
            return found
        bases = self._feeds.newest_bases(record.order.owner)
        if record.claimed < placed or (record.order.session, record.seq) in bases:
            found = max(found, *(self._late_checkpoints.get(base, placed) for base in bases))
        return found

    def _note_late(self, record: OrderRecord) -> Epoch:
        """Keep an order among the late ones, or not any more; returns its effective epoch."""
        placed = self._feeds.placed(record)
        effective = self._effective(record, placed)
        if effective > placed:
            self._late[record.order_id] = effective
        else:
            self._late.pop(record.order_id, None)
        return effective

    def _forget(self, order_id: OrderId) -> None:
        self._arrived.pop(order_id, None)
        self._late.pop(order_id, None)

    def due(self, now_ms: int) -> Epoch | None:
        """The newest epoch whose window is open by the clock and was not worked on, or None."""
        newest = self._newest_open(now_ms)
        return Epoch(newest) if newest > self._newest else None

    def newest_known(self, now_ms: int) -> Epoch | None:
        """The newest epoch that is open by the clock and has its fund block, whether worked on or not; None if none is.

        What can be shown before the first window since the start opens, as while no chain answers. Spec: [BOOK-1].
        """
        last = self._ledger.last_block
        if last is None:
            return None
        after = self._rules.first_epoch_from(last.time_s + self._rules.preset.fund_lag_s)
        newest = Epoch(min(self._newest_open(now_ms), after - 1))
        return newest if newest >= 0 and self.fund_block(newest) is not None else None

    def _newest_open(self, now_ms: int) -> int:
        rules = self._rules
        return (now_ms - rules.preset.grace_ms - rules.genesis_ms) // rules.preset.epoch_ms - 1

    def fund_block(self, epoch: Epoch) -> BlockRef | None:
        """Spec: [BOOK-1]."""
        return self._ledger.fund_block(self._rules.epoch_start_s(epoch) - self._rules.preset.fund_lag_s)

    def ready_block(self, epoch: Epoch) -> BlockRef | None:
        """The fund block of an epoch whose period's anchor is known as well. Spec: [BOOK-1], [MATCH-12]."""
        return self.fund_block(epoch) if self.periods.at(epoch) is not None else None

    def set_absent(self, sessions: Iterable[Address]) -> None:
        """Who is absent when the next window opens. Spec: [MATCH-1], [PEER-3]."""
        self._absent_now = frozenset(sessions)

    def open(self, epoch: Epoch, block: BlockRef) -> Window:
        """Compute the window of `epoch`; earlier windows cannot be opened again."""
        change = self.keeper.advance(epoch, block)
        for one in change.rebased:
            self.place_anew(one)
        self._cut.extend(change.rebased)
        gone = frozenset(change.removed)
        coming = {order.order_id: order for order in (*self._look_again(epoch), *change.changed)}
        coming = {order_id: order for order_id, order in coming.items() if order_id not in gone}
        self._deferred = {}
        placed: list[tuple[BookOrder, Epoch]] = []
        leaving = list(change.removed)
        for order_id, order in coming.items():
            record = self._feeds.order(order_id)
            # Asked anew: a base that placed it may be gone with its session.
            effective = order.placed if record is None else self._note_late(record)
            if effective <= epoch and order.order.session not in self._absent_now:
                placed.append((order, effective))
            else:
                self._deferred[order_id] = order
                leaving.append(order_id)
        for order_id in change.finished:
            self._forget(order_id)
        self._left_out = self._absent_now
        waiting = [order.order.session for order in self._deferred.values() if order.is_matchable]
        self.absent = tuple(sorted(frozenset(waiting) & self._absent_now))[:MAX_ABSENT]
        self.engine.apply(leaving, placed)
        self.engine.parked_before = max(0, epoch - self._rules.preset.w)
        return self._close(epoch, block)

    def take_cut(self) -> tuple[Rebased, ...]:
        """Feeds cut since this was last asked."""
        cut, self._cut = tuple(self._cut), []
        return cut

    def late_base(self, rebased: Rebased) -> Epoch:
        """The effective epoch of a base's entry."""
        header = rebased.start.entry.entry.header
        return self._late_checkpoints.get((header.session, header.seq), header.epoch)

    def _look_again(self, epoch: Epoch) -> list[BookOrder]:
        """Orders that were not in the last window's engine or may not stay: deferred ones, and those of who has gone.

        With a new period all of them, in a new engine.
        """
        period = self.periods.at(epoch)
        if period is not None and period is not self.period:
            self.period = period
            self.engine = Engine(self._feeds.market_id, period)
            return list(self.keeper.orders())
        again = list(self._deferred.values())
        newly_absent = self._absent_now - self._left_out
        if newly_absent:
            again += [order for order in self.keeper.orders() if order.order.session in newly_absent]
        return again

    def unwind(self, to_block: int) -> None:
        """The chain took back every block after `to_block`: what may stand on one of them is computed anew.

        A block is a fund block by the one after it, so `to_block` itself is none any more. The epoch of a window that
        is gone is not worked on again: the next one comes as soon as the new chain has its fund block.
        """
        self.periods.unwind(to_block)
        if self._ledger.last_block is not None and self.keeper.block_number < to_block:
            return
        self.keeper.forget()
        self.engine = Engine(self._feeds.market_id, self.period)
        self.current = None
        self.absent = ()
        self._left_out = frozenset()
        self._deferred = {}

    def _close(self, epoch: Epoch, block: BlockRef) -> Window:
        self._newest = epoch
        self.current = Window(
            epoch=epoch,
            block=block,
            digest=self.engine.window_digest(epoch, block.hash),
            pieces=self.engine.entitlements(),
        )
        return self.current

    def late_orders(self) -> LateOrders:
        """The late orders that can match, sorted by id, to show to a partner. Spec: [TICK-4]."""
        live = sorted((order_id, late) for order_id, late in self._late.items() if self.is_matchable(order_id))
        return tuple(live[:MAX_LATE_SENT])

    def is_matchable(self, order_id: OrderId) -> bool:
        """Whether an order is live, funded and its session in order as of the last window."""
        row = self.keeper.order(order_id)
        return row is not None and row.is_matchable

    def compare(self, epoch: Epoch, theirs: LateOrders, absent: tuple[Address, ...] = ()) -> Engine | None:
        """The window of `epoch` from everything known now, with the later effective epoch of either side.

        `absent` are the partner's absent sessions: only who is absent on both sides is left out.

        Returns None if the window is too old, its fund block is unknown, or a crossing order is more than 8 epochs
        late on one side only. Spec: [TICK-4].
        """
        block, period = self.ready_block(epoch), self.periods.at(epoch)
        if block is None or self.current is None or not self.current.epoch - MAX_AGE <= epoch <= self.current.epoch:
            return None
        merged = dict(self._late)
        contested: list[OrderId] = []
        for order_id, effective in theirs:
            record = self._feeds.order(order_id)
            if record is None:
                continue
            placed = self._feeds.placed(record)
            ours = merged.get(order_id, placed)
            agreed = merge_effective(placed, ours, max(placed, effective))
            if agreed is None:
                contested.append(order_id)  # stays in, so that it is seen to cross
            merged[order_id] = Epoch(min(ours, effective)) if agreed is None else agreed
        book = compute_book(self._feeds, self._ledger, epoch, block, self.keeper.admissions)
        missing = frozenset(self.absent) & frozenset(absent)
        present = tuple(order for order in book.orders if order.order.session not in missing)
        parked_before = epoch - self._rules.preset.w
        engine = build_engine(replace(book, orders=present), merged, period, parked_before=parked_before)
        crossing = frozenset(slot.order_id for side in engine.crossing() for slot in side)
        if any(order_id in crossing for order_id in contested):
            return None
        return engine
