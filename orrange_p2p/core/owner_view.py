"""One owner's part of the book: which of its orders are live, which lots are free, what it can pay for.

Spec: protocol/spec/03-orders.md [ORD-6, HOLD-1..7, FUND-1..7].
"""

from collections.abc import Iterable
from dataclasses import dataclass

from orrange_p2p.core.admission import Admissions
from orrange_p2p.core.facts import Defaulted
from orrange_p2p.core.feed import HoldRecord, OrderRecord
from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.holds import live_from_s, own_side
from orrange_p2p.core.ledger import BlockRef, Ledger
from orrange_p2p.core.needs import Amounts, compute_need
from orrange_p2p.core.order_forms import SHORT_LIVED
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.ranges import Range, Ranges, complement, total, union
from orrange_p2p.core.types import U64_MAX, Address, Epoch, Market, Order, OrderId, Scope, TicketDigest

SILENT_EPOCHS = 4
_NEVER = U64_MAX + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BookOrder:
    """A live order: its placed epoch, its free lots, and whether its owner can pay and its session may sign now."""

    order_id: OrderId
    order: Order
    placed: Epoch
    free: Ranges
    is_matchable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a book is read from, besides epoch and block."""

    feeds: Feeds
    ledger: Ledger
    admissions: Admissions


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerView:
    """One owner's live orders, and until when that stays so if no entry or fact touches the owner."""

    orders: tuple[BookOrder, ...]
    finished: tuple[OrderId, ...]
    void: tuple[OrderId, ...]
    changes_at_epoch: int
    changes_at_time_s: int
    unreserved_quote: int
    unreserved_base: int


class OwnerReader:
    """Reads one owner's orders as of (epoch, block)."""

    def __init__(self, parts: Parts, epoch: Epoch, block: BlockRef, owner: Address) -> None:
        self._feeds = parts.feeds
        self._ledger = parts.ledger
        self._admissions = parts.admissions
        self._rules: MarketRules = parts.feeds.rules
        self._epoch = epoch
        self._block = block
        self._owner = owner
        self._start_s = self._rules.epoch_start_s(epoch)
        self._live_from_s = live_from_s(self._rules, block.time_s, epoch)
        self._next_epoch = _NEVER
        self._next_time_s = _NEVER
        self._finished: list[OrderId] = []
        self._void: list[OrderId] = []
        self._silent: dict[Address, None] = {}
        self._reserved: dict[tuple[TicketDigest, OrderId], Amounts] = {}
        self._notional = 0

    def view(self, records: Iterable[OrderRecord]) -> OwnerView:
        """What the owner's orders come to; `records` are all that can still be live or held."""
        live: list[tuple[OrderRecord, Ranges]] = []
        refused = self._admissions.refused(self._owner, self._epoch)
        for record in sorted(records, key=self._funding_order):
            if record.claimed > self._epoch:
                self._next_epoch = min(self._next_epoch, record.claimed)
            elif record.order_id in refused:
                self._void.append(record.order_id)
            else:
                self._read(record, live)
        left = self._allocations()
        for amounts in self._reserved.values():
            left = left.less(amounts)
        purse = _Purse(left=left, notional=self._notional, notional_limit=self._notional_limit())
        is_barred = self._is_in_default()
        orders = [self._fund(record, free, purse, is_barred=is_barred) for record, free in live]
        return OwnerView(
            orders=tuple(orders),
            finished=tuple(self._finished),
            void=tuple(self._void),
            changes_at_epoch=self._next_epoch,
            changes_at_time_s=self._next_time_s,
            unreserved_quote=purse.left.quote,
            unreserved_base=purse.left.base,
        )

    def _read(self, record: OrderRecord, live: list[tuple[OrderRecord, Ranges]]) -> None:
        holds = self._live_holds(record)
        for hold, _ in holds:
            self._reserve(record, hold)
        free = self._free_lots(record, holds)
        if self._is_open(record) and free:
            live.append((record, free))
        elif not self._may_hold(record):
            self._finished.append(record.order_id)

    def _allocations(self) -> Amounts:
        market, market_id, at_block = self._rules.market, self._rules.market_id, self._block.number
        return Amounts(
            self._ledger.allocation(self._owner, market_id, market.base, at_block=at_block),
            self._ledger.allocation(self._owner, market_id, market.quote, at_block=at_block),
        )

    def _notional_limit(self) -> int | None:
        """Quote units that the owner's bond answers for; None where no bonds are needed. Spec: [FUND-6]."""
        multiple = self._rules.preset.bond_multiple
        if multiple == 0:
            return None
        bond = self._ledger.conduct.bond(self._owner, at_block=self._block.number)
        return multiple * bond * self._rules.quote_per_bond

    def _is_in_default(self) -> bool:
        """Whether the owner defaulted on a ticket less than a period ago. Spec: [FUND-7]."""
        offences = self._ledger.conduct.offences(self._owner, at_block=self._block.number)
        defaults = [row.time_s for row in offences if isinstance(row.offence, Defaulted)]
        if not defaults:
            return False
        ends_s = max(defaults) + self._rules.preset.period_s
        if self._block.time_s >= ends_s:
            return False
        self._next_time_s = min(self._next_time_s, ends_s)
        return True

    def _live_holds(self, record: OrderRecord) -> list[tuple[HoldRecord, list[Range]]]:
        found: list[tuple[HoldRecord, list[Range]]] = []
        for hold in self._feeds.holds_on(record.order_id):
            if hold.ticket.deadline_s < self._live_from_s:
                continue
            lots = held_lots(hold, record)
            if not lots:
                continue
            if hold.entry_epoch > self._epoch:
                self._next_epoch = min(self._next_epoch, hold.entry_epoch)
                continue
            if not self._counts(hold):
                continue
            self._next_time_s = min(self._next_time_s, hold.ticket.deadline_s + 1)
            over_s = hold.ticket.deadline_s + 1 + self._rules.preset.fund_lag_s
            self._next_epoch = min(self._next_epoch, self._rules.first_epoch_from(over_s))
            found.append((hold, lots))
        return found

    def _counts(self, hold: HoldRecord) -> bool:
        """Whether the order for which a session signed is admitted; a dead session's TicketItem needs none."""
        feed = self._feeds.feed(hold.source)
        if feed is not None and feed.is_dead and not hold.is_offer:
            return True
        own = self._feeds.order(own_side(hold.ticket, is_offer=hold.is_offer))
        return own is not None and self._admissions.admits(own, self._epoch)

    def _reserve(self, record: OrderRecord, hold: HoldRecord) -> None:
        settled_in = self._ledger.settled_in(hold.digest)
        if settled_in is not None and settled_in <= self._block.number:
            return
        ticket, key = hold.ticket, (hold.digest, record.order_id)
        if key not in self._reserved:
            market = self._rules.market
            self._reserved[key] = compute_need(market, record.order, ticket.price_ticks, ticket.lots)
            self._notional += market.quote_amount(ticket.price_ticks, ticket.lots)
        if hold.is_offer and ticket.maker_order == record.order_id and hold.maker_signer == record.order.session:
            self._watch_for_answer(record.order.session, hold)

    def _watch_for_answer(self, session: Address, hold: HoldRecord) -> None:
        """Note a maker that owes an answer to an Offer with its Ready for too long. Spec: [HOLD-7]."""
        feed, ticket = self._feeds.feed(session), hold.ticket
        if feed is None:
            return
        pair = (ticket.maker_order, ticket.taker_order, ticket.epoch)
        answered_in = min(feed.answers.get(hold.digest, _NEVER), feed.answers.get(pair, _NEVER))
        if answered_in <= self._epoch:
            return
        silent_from = hold.entry_epoch + SILENT_EPOCHS
        if silent_from <= self._epoch:
            self._silent[session] = None
        self._next_epoch = min(self._next_epoch, answered_in if silent_from <= self._epoch else silent_from)

    def _free_lots(self, record: OrderRecord, holds: list[tuple[HoldRecord, list[Range]]]) -> Ranges:
        settled = self._ledger.settled_lots(record.order_id, record.order, at_block=self._block.number)
        taken = union([*settled, *(one for _, lots in holds for one in lots)])
        return complement(taken, record.order.quantity_lots)

    def _is_open(self, record: OrderRecord) -> bool:
        """Neither cancelled nor expired nor an IOC or FOK past its time. Spec: [ORD-6]."""
        order = record.order
        ends = [record.cancelled_from]
        if order.expiry_s:
            ends.append(self._rules.first_epoch_from(order.expiry_s))
        if order.tif in SHORT_LIVED:
            ends.append(record.claimed + self._rules.preset.k)
        end = min(ends)
        if self._epoch >= end:
            return False
        self._next_epoch = min(self._next_epoch, end)
        return True

    def _may_hold(self, record: OrderRecord) -> bool:
        """Whether a known hold, even of a later epoch, can still reserve funds."""
        holds = self._feeds.holds_on(record.order_id)
        return any(hold.ticket.deadline_s >= self._live_from_s for hold in holds)

    def _funding_order(self, record: OrderRecord) -> tuple[int, bytes, int, int]:
        """Spec: [FUND-3], [FUND-8]."""
        return self._feeds.placed(record), record.order.session, record.seq, record.index

    def _fund(self, record: OrderRecord, free: Ranges, purse: "_Purse", *, is_barred: bool) -> BookOrder:
        """May the owner trade and the session sign, and can the owner pay. Spec: [FUND-3, FUND-4, FUND-6]."""
        is_matchable = self._may_sign(record) and not is_barred
        return BookOrder(
            order_id=record.order_id,
            order=record.order,
            placed=self._feeds.placed(record),
            free=free,
            is_matchable=is_matchable and purse.take(self._rules.market, record.order, total(free)),
        )

    def _may_sign(self, record: OrderRecord) -> bool:
        session = record.order.session
        if not self._feeds.may_match(session) or session in self._silent:
            return False
        known = self._ledger.session(session, at_block=self._block.number)
        if known is None or known.owner != record.order.owner or Scope.TICKET not in known.scope:
            return False
        if known.expiry_s <= self._start_s:
            return False
        self._next_epoch = min(self._next_epoch, self._rules.first_epoch_from(known.expiry_s))
        return record.signer == record.order.owner or Scope.TRADE in known.scope


@dataclass(slots=True, kw_only=True)
class _Purse:
    """What an owner's orders may still take, in the order in which they are paid for."""

    left: Amounts
    notional: int
    notional_limit: int | None

    def take(self, market: Market, order: Order, lots: int) -> bool:
        """Take what an order needs, if all of it is there. Spec: [FUND-3, FUND-6]."""
        needed = compute_need(market, order, order.price_ticks, lots)
        notional = self.notional + market.quote_amount(order.price_ticks, lots)
        is_answered_for = self.notional_limit is None or notional <= self.notional_limit
        if not is_answered_for or not self.left.covers(needed):
            return False
        self.left, self.notional = self.left.less(needed), notional
        return True


def held_lots(hold: HoldRecord, record: OrderRecord) -> list[Range]:
    """The lots of an order that a hold keeps, on each side that its session signed. Spec: [HOLD-1, HOLD-2]."""
    ticket, session = hold.ticket, record.order.session
    lots: list[Range] = []
    if ticket.maker_order == record.order_id and hold.maker_signer == session:
        lots.append((ticket.maker_from, ticket.maker_to))
    if ticket.taker_order == record.order_id and hold.taker_signer == session:
        lots.append((ticket.taker_from, ticket.taker_to))
    return lots
