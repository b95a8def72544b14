"""Matchable orders with their packed keys, and one side's orders kept sorted by them.

A key is the bytes of what decides, most important first, so that comparing keys is comparing priorities, and an
epoch's changes cost two merges of block moves.
Spec: protocol/spec/04-matching.md [MATCH-3, MATCH-4, MATCH-8].
"""

from bisect import bisect_left

from orrange_p2p.core import cbor
from orrange_p2p.core.book import BookOrder
from orrange_p2p.core.ranges import Ranges
from orrange_p2p.core.types import U8_MAX, U64_MAX, Epoch, Side, TimeInForce

LANES = 4


def compute_worseness(side: Side, price_ticks: int) -> int:
    """A price so that the best of a side is the least."""
    return price_ticks if side is Side.SELL else U64_MAX - price_ticks


class Slot:
    """A matchable order inside the engine with its packed keys; `is_ioc` says that it never rests, FOK or IOC."""

    __slots__ = (
        "_row",
        "arbitrators",
        "effective",
        "entry_key",
        "free",
        "is_fok",
        "is_ioc",
        "is_post_only",
        "key",
        "lane",
        "min_tier",
        "order_id",
        "owner",
        "payment_methods",
        "price_ticks",
        "quantity_lots",
        "session",
        "side",
        "tier",
    )

    def __init__(self, book_order: BookOrder, effective: Epoch, rank: bytes, tier: int = 0) -> None:
        order = book_order.order
        self.order_id = book_order.order_id
        self.owner = order.owner
        self.session = order.session
        self.side = order.side
        self.price_ticks = order.price_ticks
        self.quantity_lots = order.quantity_lots
        self.lane = order.security
        self.tier = tier
        self.min_tier = order.min_tier
        self.payment_methods = order.payment_methods
        self.arbitrators = order.arbitrators
        self.is_fok = order.tif is TimeInForce.FOK
        self.is_ioc = self.is_fok or order.tif is TimeInForce.IOC
        self.is_post_only = order.post_only
        self.effective = effective
        self.free = book_order.free
        self._row: bytes | None = None
        standing = bytes((U8_MAX - tier,))
        entered = effective.to_bytes(8, "big")
        who = rank + order.session + order.nonce.to_bytes(8, "big")
        self.key = compute_worseness(order.side, order.price_ticks).to_bytes(8, "big") + standing + entered + who
        self.entry_key = entered + standing + who

    def set_free(self, free: Ranges) -> None:
        """Other lots are free now."""
        self.free = free
        self._row = None

    def row(self) -> bytes:
        """What the order adds to the window digest, encoded; rows sort as their order ids do. Spec: [MATCH-8]."""
        if self._row is None:
            free = [cbor.encode_array((cbor.encode_uint(low), cbor.encode_uint(high))) for low, high in self.free]
            order_id, effective = cbor.encode_bytes(self.order_id), cbor.encode_uint(self.effective)
            tier = cbor.encode_uint(self.tier)
            self._row = cbor.encode_array((order_id, cbor.encode_array(free), effective, tier))
        return self._row


class HalfBook:
    """One side's orders, best first; changes are collected and merged in at once."""

    __slots__ = ("_coming", "_keys", "_leaving", "_side", "_slots")

    def __init__(self, side: Side) -> None:
        self._side = side
        self._slots: dict[bytes, Slot] = {}
        self._keys: list[bytes] = []
        self._leaving: list[bytes] = []
        self._coming: list[bytes] = []

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, at: int) -> Slot:
        return self._slots[self._keys[at]]

    def best(self, count: int) -> list[Slot]:
        """The best `count` orders."""
        return [self._slots[key] for key in self._keys[:count]]

    def reach(self, price_ticks: int) -> int:
        """How many of the best orders an order of the other side with this limit crosses."""
        worseness = compute_worseness(self._side, price_ticks)
        if worseness == U64_MAX:
            return len(self._keys)
        return bisect_left(self._keys, (worseness + 1).to_bytes(8, "big"))

    def put_in(self, slot: Slot) -> None:
        """Add an order at the next merge."""
        self._slots[slot.key] = slot
        self._coming.append(slot.key)

    def take_out(self, slot: Slot) -> None:
        """Drop an order at the next merge."""
        del self._slots[slot.key]
        self._leaving.append(slot.key)

    def merge(self) -> None:
        """Carry out what was collected, in passes of block moves over the keys.

        What comes is merged first, so that an order may come and go, or go and come, in one change.
        """
        if self._coming:
            grown: list[bytes] = []
            at = 0
            for key in sorted(self._coming):
                found = bisect_left(self._keys, key, at)
                grown += self._keys[at:found]
                grown.append(key)
                at = found
            self._keys = grown + self._keys[at:]
            self._coming = []
        if self._leaving:
            kept: list[bytes] = []
            at = 0
            for key in sorted(self._leaving):
                found = bisect_left(self._keys, key, at)
                kept += self._keys[at:found]
                at = found + 1
            self._keys = kept + self._keys[at:]
            self._leaving = []
