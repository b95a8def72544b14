"""First admission: an order that its owner could not pay for when it was placed is void.

An owner's items are read in one order, (placed epoch, session, seq, index), whatever feeds they stand in, and each
order is judged by what came before it and by the chain as it was then. So a decision never changes but by an entry that
belongs earlier or a new base; `Admissions` reads on from where it stood, and an owner anew only when one of them came.
Spec: protocol/spec/03-orders.md [FUND-5, FUND-8, ORD-7].
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import NamedTuple

from orrange_p2p.core.feed import Act, HoldRecord, OrderRecord
from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.holds import live_from_s
from orrange_p2p.core.ledger import BlockRef, Ledger
from orrange_p2p.core.needs import NOTHING, Amounts, compute_need
from orrange_p2p.core.order_forms import SHORT_LIVED
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.ranges import complement, total, union
from orrange_p2p.core.types import U64_MAX, Address, Epoch, OrderId, TicketDigest

MAX_LIVE_ORDERS = 100
_BEFORE_ALL = -1
_NEVER = U64_MAX + 1


class _Open(NamedTuple):
    """An admitted order that can still trade: the epoch in which it ends, and what it needs."""

    record: OrderRecord
    ends_at: int
    needed: Amounts


class _Tally:
    """What an owner's items so far come to at one placed epoch and its fund block."""

    def __init__(self, rules: MarketRules, ledger: Ledger, owner: Address) -> None:
        self._rules = rules
        self._ledger = ledger
        self._owner = owner
        self._placed = Epoch(0)
        self._block: BlockRef | None = None
        self._open: dict[OrderId, _Open] = {}
        self._tickets: dict[OrderId, dict[TicketDigest, Amounts]] = {}
        self._deadlines: dict[TicketDigest, int] = {}
        self.refused: dict[OrderId, None] = {}
        self.left = NOTHING

    @property
    def open_count(self) -> int:
        """Admitted orders that can still trade."""
        return len(self._open)

    @property
    def block_number(self) -> int:
        """The fund block that this stands on; -1 if there is none."""
        return self._block.number if self._block is not None else _BEFORE_ALL

    def copy(self) -> "_Tally":
        """The same, to go on with something that may not come."""
        other = _Tally(self._rules, self._ledger, self._owner)
        other._open = dict(self._open)
        other._tickets = {order_id: dict(tickets) for order_id, tickets in self._tickets.items()}
        other._deadlines = dict(self._deadlines)
        return other

    def move_to(self, placed: Epoch, block: BlockRef | None) -> None:
        """Go on to a later placed epoch: what is over leaves, and allocations are as of its fund block."""
        self._placed, self._block = placed, block
        market, market_id, at_block = self._rules.market, self._rules.market_id, self.block_number
        self.left = Amounts(
            self._ledger.allocation(self._owner, market_id, market.base, at_block=at_block),
            self._ledger.allocation(self._owner, market_id, market.quote, at_block=at_block),
        )
        before, self._open = self._open, {}
        for known in before.values():
            self._keep(known)
        self._forget_tickets()
        for order_id in self._tickets:
            if order_id not in self._open:
                self.left = self.left.less(self._under_way(order_id))

    def enter(self, record: OrderRecord) -> None:
        """Count an admitted order among the open ones, if it is."""
        order, rules = record.order, self._rules
        ends = [_NEVER]
        if order.expiry_s:
            ends.append(rules.first_epoch_from(order.expiry_s))
        if order.tif in SHORT_LIVED:
            ends.append(record.claimed + rules.preset.k)
        needed = compute_need(rules.market, order, order.price_ticks, order.quantity_lots)
        self._keep(_Open(record, min(ends), needed))

    def _keep(self, known: "_Open") -> None:
        """Leave an open order among the open ones, unless it is over by now; it needs what is not settled."""
        if self._placed >= known.ends_at:
            return
        order, needed = known.record.order, known.needed
        settled = self._ledger.settled_lots(known.record.order_id, order, at_block=self.block_number)
        if settled:
            unsettled_lots = total(complement(union(settled), order.quantity_lots))
            if not unsettled_lots:
                return
            needed = compute_need(self._rules.market, order, order.price_ticks, unsettled_lots)
            known = known._replace(needed=needed)
        self._open[known.record.order_id] = known
        self.left = self.left.less(needed)

    def _forget_tickets(self) -> None:
        """Drop tickets that can settle no more."""
        kept: dict[OrderId, dict[TicketDigest, Amounts]] = {}
        deadlines: dict[TicketDigest, int] = {}
        for order_id, tickets in self._tickets.items():
            under_way = {digest: amounts for digest, amounts in tickets.items() if self._is_under_way(digest)}
            if under_way:
                kept[order_id] = under_way
                deadlines |= {digest: self._deadlines[digest] for digest in under_way}
        self._tickets, self._deadlines = kept, deadlines

    def _is_under_way(self, digest: TicketDigest) -> bool:
        if self._block is None:
            return False
        if live_from_s(self._rules, self._block.time_s, self._placed) > self._deadlines[digest]:
            return False
        settled_in = self._ledger.settled_in(digest)
        return settled_in is None or settled_in > self._block.number

    def _under_way(self, order_id: OrderId) -> Amounts:
        amounts = NOTHING
        for one in self._tickets.get(order_id, {}).values():
            amounts = amounts.plus(one)
        return amounts

    def apply(self, act: Act) -> None:
        """The owner's next item."""
        if act.hold is not None:
            self._add_ticket(act.order, act.hold)
        elif act.is_cancel:
            self.cancel(act.order.order_id)
        elif act.order.is_ended:
            return
        elif self._may_admit(act.order):
            self.enter(act.order)
        else:
            self.refused[act.order.order_id] = None

    def _may_admit(self, record: OrderRecord) -> bool:
        """Whether there is room for an order besides the open ones, and its whole quantity is paid for."""
        order = record.order
        needed = compute_need(self._rules.market, order, order.price_ticks, order.quantity_lots)
        return self.open_count < MAX_LIVE_ORDERS and self.left.covers(needed)

    def _add_ticket(self, record: OrderRecord, hold: HoldRecord) -> None:
        if record.order_id in self.refused or hold.digest in self._tickets.get(record.order_id, {}):
            return
        self._deadlines[hold.digest] = hold.ticket.deadline_s
        if self._is_under_way(hold.digest):
            ticket = hold.ticket
            needed = compute_need(self._rules.market, record.order, ticket.price_ticks, ticket.lots)
            self._tickets.setdefault(record.order_id, {})[hold.digest] = needed
            if record.order_id not in self._open:
                self.left = self.left.less(needed)

    def cancel(self, order_id: OrderId) -> None:
        """A Cancel of one of the owner's orders; its tickets go on."""
        known = self._open.pop(order_id, None)
        if known is not None:
            self.left = self.left.plus(known.needed).less(self._under_way(order_id))


class _OwnerQueue:
    """One owner's items in order: how far they were read, and what they came to."""

    def __init__(self, feeds: Feeds, ledger: Ledger, owner: Address) -> None:
        self._feeds = feeds
        self._ledger = ledger
        self._owner = owner
        self._version = -1
        self._epoch = Epoch(0)
        self._base = Epoch(0)
        self._start()

    def _start(self) -> None:
        self._read: dict[Address, tuple[list[Act], int]] = {}
        self._waiting: list[Act] = []
        self._last: Act | None = None
        self._is_behind = False  # whether an order waits for a fund block to be known
        self.tally = _Tally(self._feeds.rules, self._ledger, self._owner)

    @property
    def block_number(self) -> int:
        """The newest fund block that decisions stand on; -1 if there is none."""
        return self.tally.block_number

    def advance(self, epoch: Epoch) -> list[OrderId]:
        """Decide on every order that claims an epoch up to this one.

        Returns the orders on which an earlier decision was changed.
        """
        version = self._feeds.version(self._owner)
        if version == self._version and (epoch <= self._epoch or not self._waiting) and not self._is_behind:
            return []
        self._epoch = max(self._epoch, epoch)
        before: dict[OrderId, None] | None = None
        if version != self._version:
            self._version = version
            if not self._collect():
                before = self.tally.refused
                self._start()
                self._collect()
        self._decide()
        if before is None:
            return []
        now = self.tally.refused
        return [one for one in before if one not in now] + [one for one in now if one not in before]

    def _collect(self) -> bool:
        """Fetch items that came since; False if one of them belongs before what was read."""
        base = self._feeds.base_epoch(self._owner)
        if base != self._base:
            self._base = base
            return False
        fresh: list[Act] = []
        for session in self._feeds.sessions_of_owner(self._owner):
            feed = self._feeds.feed(session)
            acts = feed.acts if feed is not None and feed.owner == self._owner and not feed.is_dead else []
            known, count = self._read.get(session, (acts, 0))
            if known is not acts and count:
                return False
            fresh.extend(acts[count:])
            self._read[session] = acts, len(acts)
        if fresh:
            self._waiting = sorted(self._waiting + fresh, key=self._place)
        return not fresh or self._last is None or self._place(self._last) < self._place(self._waiting[0])

    def _decide(self) -> None:
        self._is_behind = False
        for count, act in enumerate(self._waiting):
            placed = self._placed(act)
            is_due = placed <= self._epoch
            self._is_behind = is_due and not self._move_to(placed)
            if not is_due or self._is_behind:
                self._waiting = self._waiting[count:]
                return
            self.tally.apply(act)
            self._last = act
        self._waiting = []

    def _move_to(self, placed: Epoch) -> bool:
        if self._last is not None and self._placed(self._last) == placed:
            return True
        rules = self._feeds.rules
        limit_s = rules.epoch_start_s(placed) - rules.preset.fund_lag_s
        if not self._ledger.has_passed(limit_s):
            return False
        self.tally.move_to(placed, self._ledger.fund_block(limit_s))
        return True

    def _placed(self, act: Act) -> Epoch:
        """The epoch at which an item stands among its owner's."""
        return max(act.claimed, self._base)

    def _place(self, act: Act) -> tuple[int, bytes, int, int]:
        """Spec: [FUND-8]."""
        return self._placed(act), act.order.order.session, act.seq, act.index

    def compute_room(self, claimed: Epoch, block: BlockRef | None) -> _Tally:
        """What an order would meet that claims an epoch next, with `block` for its fund block."""
        tally = self.tally.copy()
        tally.move_to(claimed, block)
        for act in self._waiting:
            if act.hold is None and not act.is_cancel and not act.order.is_ended:
                tally.enter(act.order)
            else:
                tally.apply(act)
        return tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is left of an owner's allocation for its next order, and how many orders it has open."""

    left: Amounts
    open_count: int


class Admissions:
    """Which orders of a market are admitted; asked up to an epoch whose fund block is known."""

    def __init__(self, feeds: Feeds, ledger: Ledger) -> None:
        self._feeds = feeds
        self._ledger = ledger
        self._queues: dict[Address, _OwnerQueue] = {}
        self._changed: dict[OrderId, None] = {}

    @property
    def block_number(self) -> int:
        """The newest fund block that any decision stands on; -1 if there is none."""
        return max((queue.block_number for queue in self._queues.values()), default=_BEFORE_ALL)

    def forget(self) -> None:
        """Decide everything anew: decisions stood on blocks that the chain took back."""
        self._queues.clear()
        self._changed.clear()

    def advance(self, owner: Address, epoch: Epoch) -> None:
        """Decide on an owner's orders up to an epoch."""
        queue = self._queues.get(owner)
        if queue is None:
            queue = self._queues[owner] = _OwnerQueue(self._feeds, self._ledger, owner)
        for order_id in queue.advance(epoch):
            self._changed[order_id] = None

    def admits(self, record: OrderRecord, epoch: Epoch) -> bool:
        """Whether an order that claims at most this epoch is admitted; what cannot be decided yet is."""
        return record.order_id not in self.refused(record.order.owner, epoch)

    def refused(self, owner: Address, epoch: Epoch) -> Container[OrderId]:
        """The orders of an owner, of those that claim at most this epoch, that are not admitted."""
        self.advance(owner, epoch)
        return self._queues[owner].tally.refused

    def compute_room(self, owner: Address, claimed: Epoch, cancelled: tuple[OrderId, ...] = ()) -> Room:
        """What first admission has left for an owner's order that claims an epoch next, after those Cancels.

        As far as is known: with the last block, if the fund block may still be a later one.
        """
        self.advance(owner, claimed)
        rules, last = self._feeds.rules, self._ledger.last_block
        limit_s = rules.epoch_start_s(claimed) - rules.preset.fund_lag_s
        block = self._ledger.fund_block(limit_s) if self._ledger.has_passed(limit_s) else last
        tally = self._queues[owner].compute_room(claimed, block)
        for order_id in cancelled:
            tally.cancel(order_id)
        return Room(left=tally.left, open_count=tally.open_count)

    def take_changed(self) -> tuple[OrderId, ...]:
        """Orders on which a decision was changed since the last call, by entries that belong earlier."""
        changed, self._changed = self._changed, {}
        return tuple(changed)
