"""The book as a join of entries and chain facts: which orders are live, which lots are free, who can pay.

`compute_book` says it for any epoch and block; `BookKeeper` says the same while both only move forward, looking again
only at owners for whom something may have changed.
Spec: protocol/spec/03-orders.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from orrange_p2p.core import cbor
from orrange_p2p.core.admission import Admissions
from orrange_p2p.core.feed import OrderRecord
from orrange_p2p.core.feeds import Feeds, Rebased
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.ledger import BlockRef, Ledger
from orrange_p2p.core.owner_view import BookOrder, OwnerReader, OwnerView, Parts
from orrange_p2p.core.types import Address, Digest, Epoch, MarketId, OrderId

__all__ = [
    "Book",
    "BookChange",
    "BookKeeper",
    "BookOrder",
    "OwnerView",
    "compute_book",
    "compute_owner_view",
]


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
            [order.order_id, order.placed, [list(lots) for lots in order.free], order.is_matchable]
            for order in self.orders
        ]
        return cbor.encode(
            [self.market_id, self.epoch, self.block.number, self.block.hash, rows, list(self.dead_sessions)]
        )

    def digest(self) -> Digest:
        """keccak-256 of the book bytes."""
        return keccak256(self.encode())


def compute_owner_view(
    feeds: Feeds,
    ledger: Ledger,
    owner: Address,
    epoch: Epoch,
    block: BlockRef,
    admissions: Admissions | None = None,
) -> OwnerView:
    """One owner's part of the book, from scratch, with what its allocation has left."""
    parts = Parts(feeds=feeds, ledger=ledger, admissions=admissions or Admissions(feeds, ledger))
    return OwnerReader(parts, epoch, block, owner).view(feeds.orders_of(owner))


def compute_book(
    feeds: Feeds,
    ledger: Ledger,
    epoch: Epoch,
    block: BlockRef,
    admissions: Admissions | None = None,
) -> Book:
    """The whole book as of an epoch and a block, from scratch.

    Args:
        feeds: The feeds of the market, cut at the bases of the newest epoch that was worked on; of one before it this
            is the book with those bases. Spec: [FEED-15].
        ledger: The chain.
        epoch: The epoch.
        block: Its fund block.
        admissions: Decisions on these feeds so far, if there are any: they depend on neither epoch nor block.
    """
    parts = Parts(feeds=feeds, ledger=ledger, admissions=admissions or Admissions(feeds, ledger))
    orders: list[BookOrder] = []
    for owner in feeds.owners():
        orders.extend(OwnerReader(parts, epoch, block, owner).view(feeds.orders_of(owner)).orders)
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
    """What one step of the keeper changed: orders that left, that came or differ, that can never come back.

    And the feeds that were cut at a new base. Spec: [FEED-15].
    """

    removed: tuple[OrderId, ...]
    changed: tuple[BookOrder, ...]
    finished: tuple[OrderId, ...]
    rebased: tuple[Rebased, ...] = ()


class BookKeeper:
    """The book at an epoch and block that only move forward, by owner."""

    def __init__(self, feeds: Feeds, ledger: Ledger) -> None:
        self._feeds = feeds
        self._ledger = ledger
        self.admissions = Admissions(feeds, ledger)
        self._active: dict[Address, dict[OrderId, OrderRecord]] = {}
        self._views: dict[Address, OwnerView] = {}
        self._dirty: dict[Address, None] = {}
        self._orders: dict[OrderId, BookOrder] = {}
        self.epoch: Epoch | None = None
        self.block: BlockRef | None = None

    def touch(self, owners: Iterable[Address]) -> None:
        """Entries changed something for these owners: look again at what they name and what is not over.

        What is over stays so until an item names it; one keeper alone may ask feeds for that.
        """
        for owner in owners:
            self._dirty[owner] = None
            active, fresh = self._active.get(owner), self._feeds.take_fresh(owner)
            if active is None or fresh is None:
                active, fresh = {}, self._feeds.orders_of(owner)
                self._active[owner] = active
            active.update((record.order_id, record) for record in fresh)

    @property
    def block_number(self) -> int:
        """The newest block that anything here stands on; -1 if there is none."""
        return max(self.block.number if self.block is not None else -1, self.admissions.block_number)

    def forget(self) -> None:
        """Begin again with the next step, from the feeds: what was read stood on blocks that the chain took back."""
        self.admissions.forget()
        self._active.clear()
        self._views.clear()
        self._dirty.clear()
        self._orders.clear()
        self.epoch = self.block = None
        self.touch(self._feeds.owners())

    def advance(self, epoch: Epoch, block: BlockRef) -> BookChange:
        """Move to an epoch and block, neither earlier than the last ones; feeds are cut at their bases of the epoch."""
        rebased = tuple(self._feeds.advance_bases(epoch))
        for one in rebased:
            self.touch(one.owners)
        for owner in self._ledger.touched_owners(self.block.number if self.block else -1, block.number):
            self._dirty[owner] = None
        for owner, view in self._views.items():
            if view.changes_at_epoch <= epoch or view.changes_at_time_s <= block.time_s:
                self._dirty[owner] = None
        self._note_admissions(epoch)
        self.epoch, self.block = epoch, block
        removed: list[OrderId] = []
        changed: list[BookOrder] = []
        finished: list[OrderId] = []
        for owner in sorted(self._dirty):
            finished.extend(self._refresh(owner, epoch, block, removed, changed))
        self._dirty.clear()
        return BookChange(removed=tuple(removed), changed=tuple(changed), finished=tuple(finished), rebased=rebased)

    def _note_admissions(self, epoch: Epoch) -> None:
        """Look again at whoever met an order on which a decision was changed, by entries that belong earlier."""
        for owner in self._dirty:
            self.admissions.advance(owner, epoch)
        for order_id in self.admissions.take_changed():
            decided = self._feeds.order(order_id)
            if decided is not None:
                self._active.setdefault(decided.order.owner, {})[order_id] = decided
            for hold in self._feeds.holds_on(order_id):
                for side in (hold.ticket.maker_order, hold.ticket.taker_order):
                    known = self._feeds.order(side)
                    if known is not None:
                        self._dirty[known.order.owner] = None

    def _refresh(
        self, owner: Address, epoch: Epoch, block: BlockRef, removed: list[OrderId], changed: list[BookOrder]
    ) -> tuple[OrderId, ...]:
        active = self._active.get(owner)
        if active is None:
            return ()
        parts = Parts(feeds=self._feeds, ledger=self._ledger, admissions=self.admissions)
        view = OwnerReader(parts, epoch, block, owner).view(active.values())
        for order_id in (*view.finished, *view.void):
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
