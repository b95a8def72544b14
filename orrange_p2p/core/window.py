"""One market's window: the book as each epoch closes, and what it entitles whom to.

A node works on the newest open window only; nothing is remembered from earlier ones. Older windows can be asked for
while views are compared, and are computed from scratch then.
Spec: protocol/spec/04-matching.md [MATCH-1], 05-tickets.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from orrange_p2p.core.book import BookKeeper, BookOrder, compute_book
from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.ledger import BlockRef, Ledger
from orrange_p2p.core.matching import Engine, Piece, build_engine, compute_beacon
from orrange_p2p.core.messages import LateOrders
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


class Windows:
    """Opens windows of one market as time and chain allow."""

    def __init__(self, feeds: Feeds, ledger: Ledger) -> None:
        self._feeds = feeds
        self._ledger = ledger
        self._rules = feeds.rules
        self.keeper = BookKeeper(feeds, ledger)
        self.engine = Engine(feeds.market_id, compute_beacon(feeds.market_id))
        self.current: Window | None = None
        self.absent: tuple[Address, ...] = ()
        self._late: dict[OrderId, Epoch] = {}
        self._deferred: dict[OrderId, BookOrder] = {}

    @property
    def late(self) -> Mapping[OrderId, Epoch]:
        """Orders whose effective epoch is not the claimed one."""
        return self._late

    def place(self, order_id: OrderId, claimed: Epoch, effective: Epoch) -> None:
        """Fix an order's effective epoch when it arrives."""
        if effective != claimed:
            self._late.setdefault(order_id, effective)

    def place_again(self, order_id: OrderId, claimed: Epoch, effective: Epoch) -> None:
        """Put an own order where others will see it, if a later epoch than so far; windows to come have it there."""
        if effective <= self._late.get(order_id, claimed):
            return
        self._late[order_id] = effective
        row = self.keeper.order(order_id)
        if row is not None:
            self._deferred[order_id] = row

    def due(self, now_ms: int) -> Epoch | None:
        """The newest epoch whose window is open by the clock and was not worked on, or None."""
        rules = self._rules
        newest = (now_ms - rules.preset.grace_ms - rules.genesis_ms) // rules.preset.epoch_ms - 1
        if newest < 0 or (self.current is not None and newest <= self.current.epoch):
            return None
        return Epoch(newest)

    def fund_block(self, epoch: Epoch) -> BlockRef | None:
        """Spec: [BOOK-1]."""
        return self._ledger.fund_block(self._rules.epoch_start_s(epoch) - self._rules.preset.fund_lag_s)

    def open(self, epoch: Epoch, block: BlockRef) -> Window:
        """Compute the window of `epoch`; earlier windows cannot be opened again."""
        change = self.keeper.advance(epoch, block)
        coming = [*self._deferred.values(), *change.changed]
        self._deferred = {}
        placed: dict[OrderId, tuple[BookOrder, Epoch]] = {}
        leaving = list(change.removed)
        for order in coming:
            effective = self._late.get(order.order_id, order.claimed)
            if effective <= epoch:
                placed[order.order_id] = (order, effective)
            elif self.keeper.order(order.order_id) is not None:
                self._deferred[order.order_id] = order
                leaving.append(order.order_id)
        gone = frozenset(change.removed)
        for order_id in change.finished:
            self._late.pop(order_id, None)
        self.engine.apply(leaving, [row for order_id, row in placed.items() if order_id not in gone])
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
        block = self.fund_block(epoch)
        if block is None or self.current is None or not self.current.epoch - MAX_AGE <= epoch <= self.current.epoch:
            return None
        merged = dict(self._late)
        contested: list[OrderId] = []
        for order_id, effective in theirs:
            record = self._feeds.order(order_id)
            if record is None:
                continue
            ours = merged.get(order_id, record.claimed)
            limit = record.claimed + MAX_LATE_GAP
            is_contested = (ours <= limit) != (effective <= limit)
            if is_contested:
                contested.append(order_id)  # stays in, so that it is seen to cross
            merged[order_id] = min(ours, effective) if is_contested else max(ours, effective)
        book = compute_book(self._feeds, self._ledger, epoch, block)
        missing = frozenset(self.absent) & frozenset(absent)
        present = tuple(order for order in book.orders if order.order.session not in missing)
        engine = build_engine(replace(book, orders=present), merged)
        crossing = frozenset(slot.order_id for side in engine.crossing() for slot in side)
        if any(order_id in crossing for order_id in contested):
            return None
        return engine
