"""The book as a join of entries and chain facts: which orders are live, which lots are free, who can pay.

`compute_book` says it for any epoch and block; `BookKeeper` says the same while both only move forward, looking again
only at owners for whom something may have changed.
Spec: protocol/spec/03-orders.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from orrange_p2p.core import cbor
from orrange_p2p.core.feed import HoldRecord, OrderRecord
from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.ledger import BlockRef, Ledger
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.ranges import Range, Ranges, complement, total, union
from orrange_p2p.core.types import (
    U64_MAX,
    Address,
    Digest,
    Epoch,
    MarketId,
    Order,
    OrderId,
    Scope,
    Side,
    TicketDigest,
    TimeInForce,
)

_NEVER = U64_MAX + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BookOrder:
    """A live order: its free lots, and whether its owner can pay and its session may sign now."""

    order_id: OrderId
    order: Order
    claimed: Epoch
    free: Ranges
    is_matchable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Every live order of a market at one epoch and block, sorted by id."""

    market_id: MarketId
    epoch: Epoch
    block: BlockRef
    orders: tuple[BookOrder, ...]
    dead_sessions: tuple[Address, ...]

    def encode(self) -> bytes:
        """Book bytes. Spec: [BOOK-3]."""
        rows = [
            [order.order_id, order.claimed, [list(lots) for lots in order.free], order.is_matchable]
            for order in self.orders
        ]
        return cbor.encode(
            [self.market_id, self.epoch, self.block.number, self.block.hash, rows, list(self.dead_sessions)]
        )

    def digest(self) -> Digest:
        """keccak-256 of the book bytes."""
        return keccak256(self.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerView:
    """One owner's live orders, and until when that stays so if no entry or fact touches the owner."""

    orders: tuple[BookOrder, ...]
    finished: tuple[OrderId, ...]
    changes_at_epoch: int
    changes_at_time_s: int
    unreserved_quote: int
    unreserved_base: int


class _OwnerReader:
    """Reads one owner's orders as of (epoch, block)."""

    def __init__(self, feeds: Feeds, ledger: Ledger, epoch: Epoch, block: BlockRef) -> None:
        self._feeds = feeds
        self._ledger = ledger
        self._rules: MarketRules = feeds.rules
        self._epoch = epoch
        self._block = block
        self._start_s = self._rules.epoch_start_s(epoch)
        self._next_epoch = _NEVER
        self._next_time_s = _NEVER
        self._finished: list[OrderId] = []

    def view(self, owner: Address, records: Iterable[OrderRecord]) -> OwnerView:
        market = self._rules.market
        market_id = self._rules.market_id
        at_block = self._block.number
        left = {
            Side.BUY: self._ledger.allocation(owner, market_id, market.quote, at_block=at_block),
            Side.SELL: self._ledger.allocation(owner, market_id, market.base, at_block=at_block),
        }
        live: list[tuple[OrderRecord, Ranges]] = []
        reserved: dict[tuple[TicketDigest, Side], int] = {}
        for record in sorted(records, key=_funding_order):
            if record.claimed > self._epoch:
                self._next_epoch = min(self._next_epoch, record.claimed)
                continue
            holds = self._live_holds(record)
            for hold, _ in holds:
                self._reserve(record, hold, reserved)
            free = self._free_lots(record, holds)
            if self._is_open(record) and free:
                live.append((record, free))
            elif not self._may_hold(record):
                self._finished.append(record.order_id)
        for (_, side), amount in reserved.items():
            left[side] -= amount
        orders = [self._admit(record, free, left) for record, free in live]
        return OwnerView(
            orders=tuple(orders),
            finished=tuple(self._finished),
            changes_at_epoch=self._next_epoch,
            changes_at_time_s=self._next_time_s,
            unreserved_quote=left[Side.BUY],
            unreserved_base=left[Side.SELL],
        )

    def _live_holds(self, record: OrderRecord) -> list[tuple[HoldRecord, list[Range]]]:
        found: list[tuple[HoldRecord, list[Range]]] = []
        for hold in self._feeds.holds_on(record.order_id):
            if hold.ticket.deadline_s < self._block.time_s:
                continue
            lots = held_lots(hold, record)
            if not lots:
                continue
            if hold.entry_epoch > self._epoch:
                self._next_epoch = min(self._next_epoch, hold.entry_epoch)
                continue
            self._next_time_s = min(self._next_time_s, hold.ticket.deadline_s + 1)
            found.append((hold, lots))
        return found

    def _reserve(self, record: OrderRecord, hold: HoldRecord, reserved: dict[tuple[TicketDigest, Side], int]) -> None:
        settled_in = self._ledger.settled_in(hold.digest)
        if settled_in is not None and settled_in <= self._block.number:
            return
        market, ticket, side = self._rules.market, hold.ticket, record.order.side
        if side is Side.BUY:
            amount = market.quote_amount(ticket.price_ticks, ticket.lots)
        else:
            amount = market.base_amount(ticket.lots)
        reserved[(hold.digest, side)] = amount

    def _free_lots(self, record: OrderRecord, holds: list[tuple[HoldRecord, list[Range]]]) -> Ranges:
        settled = self._ledger.settled_lots(record.order_id, at_block=self._block.number)
        taken = union([*settled, *(one for _, lots in holds for one in lots)])
        return complement(taken, record.order.quantity_lots)

    def _is_open(self, record: OrderRecord) -> bool:
        """Neither cancelled nor expired nor an IOC past its time. Spec: [ORD-6]."""
        order = record.order
        ends = [record.cancelled_from]
        if order.expiry_s:
            rules = self._rules
            ends.append(-((rules.genesis_ms - order.expiry_s * 1000) // rules.preset.epoch_ms))
        if order.tif is TimeInForce.IOC:
            ends.append(record.claimed + self._rules.preset.k)
        end = min(ends)
        if self._epoch >= end:
            return False
        self._next_epoch = min(self._next_epoch, end)
        return True

    def _may_hold(self, record: OrderRecord) -> bool:
        """Whether a known hold, even of a later epoch, can still reserve funds."""
        holds = self._feeds.holds_on(record.order_id)
        return any(hold.ticket.deadline_s >= self._block.time_s for hold in holds)

    def _admit(self, record: OrderRecord, free: Ranges, left: dict[Side, int]) -> BookOrder:
        """Second admission: may the session sign, can the owner pay. Spec: [FUND-3, FUND-4]."""
        is_matchable = self._may_sign(record)
        if is_matchable:
            market, order = self._rules.market, record.order
            lots = total(free)
            if order.side is Side.BUY:
                need = market.quote_amount(order.price_ticks, lots)
            else:
                need = market.base_amount(lots)
            is_matchable = need <= left[order.side]
            if is_matchable:
                left[order.side] -= need
        return BookOrder(
            order_id=record.order_id,
            order=record.order,
            claimed=record.claimed,
            free=free,
            is_matchable=is_matchable,
        )

    def _may_sign(self, record: OrderRecord) -> bool:
        session = record.order.session
        if not self._feeds.may_match(session):
            return False
        known = self._ledger.session(session, at_block=self._block.number)
        if known is None or known.owner != record.order.owner or Scope.TICKET not in known.scope:
            return False
        if known.expiry_s <= self._start_s:
            return False
        rules = self._rules
        ends = -((rules.genesis_ms - known.expiry_s * 1000) // rules.preset.epoch_ms)
        self._next_epoch = min(self._next_epoch, ends)
        return record.signer == record.order.owner or Scope.TRADE in known.scope


def _funding_order(record: OrderRecord) -> tuple[int, bytes, int, int]:
    return record.claimed, record.order.session, record.seq, record.index


def held_lots(hold: HoldRecord, record: OrderRecord) -> list[Range]:
    """The lots of an order that a hold keeps, on each side that its session signed. Spec: [HOLD-1, HOLD-2]."""
    ticket, session = hold.ticket, record.order.session
    lots: list[Range] = []
    if ticket.maker_order == record.order_id and hold.maker_signer == session:
        lots.append((ticket.maker_from, ticket.maker_to))
    if ticket.taker_order == record.order_id and hold.taker_signer == session:
        lots.append((ticket.taker_from, ticket.taker_to))
    return lots


def compute_owner_view(feeds: Feeds, ledger: Ledger, owner: Address, epoch: Epoch, block: BlockRef) -> OwnerView:
    """One owner's part of the book, from scratch, with what its allocation has left."""
    return _OwnerReader(feeds, ledger, epoch, block).view(owner, feeds.orders_of(owner))


def compute_book(feeds: Feeds, ledger: Ledger, epoch: Epoch, block: BlockRef) -> Book:
    """The whole book as of an epoch and a block, from scratch."""
    orders: list[BookOrder] = []
    for owner in feeds.owners():
        orders.extend(compute_owner_view(feeds, ledger, owner, epoch, block).orders)
    orders.sort(key=lambda order: order.order_id)
    return Book(
        market_id=feeds.market_id,
        epoch=epoch,
        block=block,
        orders=tuple(orders),
        dead_sessions=feeds.dead_sessions(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BookChange:
    """What one step of the keeper changed: orders that left, that came or differ, that can never come back."""

    removed: tuple[OrderId, ...]
    changed: tuple[BookOrder, ...]
    finished: tuple[OrderId, ...]


class BookKeeper:
    """The book at an epoch and block that only move forward, by owner."""

    def __init__(self, feeds: Feeds, ledger: Ledger) -> None:
        self._feeds = feeds
        self._ledger = ledger
        self._active: dict[Address, dict[OrderId, OrderRecord]] = {}
        self._views: dict[Address, OwnerView] = {}
        self._dirty: dict[Address, None] = {}
        self._orders: dict[OrderId, BookOrder] = {}
        self.epoch: Epoch | None = None
        self.block: BlockRef | None = None

    def touch(self, owners: Iterable[Address]) -> None:
        """Entries changed something for these owners: look at all their orders again."""
        for owner in owners:
            self._dirty[owner] = None
            self._active[owner] = {record.order_id: record for record in self._feeds.orders_of(owner)}

    def advance(self, epoch: Epoch, block: BlockRef) -> BookChange:
        """Move to an epoch and block, neither earlier than the last ones."""
        for owner in self._ledger.touched_owners(self.block.number if self.block else -1, block.number):
            self._dirty[owner] = None
        for owner, view in self._views.items():
            if view.changes_at_epoch <= epoch or view.changes_at_time_s <= block.time_s:
                self._dirty[owner] = None
        self.epoch, self.block = epoch, block
        removed: list[OrderId] = []
        changed: list[BookOrder] = []
        finished: list[OrderId] = []
        for owner in sorted(self._dirty):
            finished.extend(self._refresh(owner, epoch, block, removed, changed))
        self._dirty.clear()
        return BookChange(removed=tuple(removed), changed=tuple(changed), finished=tuple(finished))

    def _refresh(
        self, owner: Address, epoch: Epoch, block: BlockRef, removed: list[OrderId], changed: list[BookOrder]
    ) -> tuple[OrderId, ...]:
        active = self._active.get(owner)
        if active is None:
            return ()
        view = _OwnerReader(self._feeds, self._ledger, epoch, block).view(owner, active.values())
        for order_id in view.finished:
            del active[order_id]
        before = self._views.get(owner)
        now = {order.order_id: order for order in view.orders}
        if before is not None:
            removed.extend(order.order_id for order in before.orders if order.order_id not in now)
            for order in before.orders:
                if order.order_id not in now:
                    self._orders.pop(order.order_id, None)
        for order in view.orders:
            if self._orders.get(order.order_id) != order:
                self._orders[order.order_id] = order
                changed.append(order)
        self._views[owner] = view
        return view.finished

    def order(self, order_id: OrderId) -> BookOrder | None:
        """A live order by id."""
        return self._orders.get(order_id)

    def orders(self) -> Iterable[BookOrder]:
        """All live orders, in no particular order."""
        return self._orders.values()

    def book(self) -> Book | None:
        """The whole book where the keeper stands, or None before its first step."""
        if self.epoch is None or self.block is None:
            return None
        return Book(
            market_id=self._feeds.market_id,
            epoch=self.epoch,
            block=self.block,
            orders=tuple(order for _, order in sorted(self._orders.items())),
            dead_sessions=self._feeds.dead_sessions(),
        )
