"""A continuous book: orders are matched one by one, as they come, by price and then by time.

No node settles by it: who came first differs from node to node. It answers what-if questions: what an order would
cost now, what a continuous market would have made of the same flow, what prices a simulation sees. Where every order
has an epoch and an owner of its own, it fills as the epochs entitle, which a test holds it to.

A price is kept as its *key*: the price of a bid, the negative of an ask's. So the best key of either side is its
greatest, and two orders cross if the sum of their keys is not below zero. The orders of a key stand in a dict, which
keeps the order in which they came; one that has lost more orders than it has is written anew, because a dict walks
over the places of those it has lost.
Spec: protocol/spec/04-matching.md [MATCH-4].
"""

from bisect import bisect_left, insort

from orrange_p2p.core.types import ZERO_DIGEST, OrderId, Side
from orrange_p2p.errors import OrderError

Fill = tuple[OrderId, OrderId, int, int]
"""Maker, taker, price in ticks, lots."""

_BUY = Side.BUY  # looked up once, because an enumeration is slow to ask
_FEW = 16


class _Level:
    """The lots left of the orders that rest at one key, oldest first, and how many have left since it was written."""

    __slots__ = ("gone", "queue")

    def __init__(self) -> None:
        self.queue: dict[OrderId, int] = {}
        self.gone = 0

    def write_anew(self) -> None:
        """Leave no gaps."""
        self.queue = dict(self.queue)
        self.gone = 0


class ContinuousBook:
    """The resting orders of one market. It knows no owners, so an owner may meet itself here."""

    __slots__ = ("_asks", "_bids", "_keys", "_levels")

    def __init__(self) -> None:
        self._keys: dict[OrderId, int] = {}
        self._levels: dict[int, _Level] = {}
        self._bids: list[int] = []
        self._asks: list[int] = []

    def __len__(self) -> int:
        """Orders that rest."""
        return len(self._keys)

    def add(self, order_id: OrderId, side: Side, price_ticks: int, lots: int, *, is_ioc: bool = False) -> list[Fill]:
        """Let an order take what it can; what is left rests, unless it is an IOC. Spec: [MATCH-4].

        Returns:
            Its fills as the taker, each at the maker's price.

        Raises:
            OrderError: the order rests already, or its price or lots are below 1.
        """
        if price_ticks < 1 or lots < 1 or order_id in self._keys:
            self._refuse(order_id, price_ticks, lots)
        if side is _BUY:
            key, own, other = price_ticks, self._bids, self._asks
        else:
            key, own, other = -price_ticks, self._asks, self._bids
        fills: list[Fill] = []
        if other and other[-1] >= -key:
            lots = self._take(order_id, other, -key, lots, fills)
        if lots and not is_ioc:
            level = self._levels.get(key)
            if level is None:
                level = self._levels[key] = _Level()
                insort(own, key)
            level.queue[order_id] = lots
            self._keys[order_id] = key
        return fills

    def cancel(self, order_id: OrderId) -> int:
        """Take an order out; returns the lots it had left, 0 if it does not rest here."""
        key = self._keys.pop(order_id, None)
        if key is None:
            return 0
        level = self._levels[key]
        queue = level.queue
        lots = queue.pop(order_id)
        if queue:
            level.gone += 1
            if level.gone > len(queue) + _FEW:
                level.write_anew()
        else:
            del self._levels[key]
            keys = self._bids if key > 0 else self._asks
            del keys[bisect_left(keys, key)]
        return lots

    def lots_left(self, order_id: OrderId) -> int:
        """Lots that an order has resting; 0 if it does not rest here."""
        key = self._keys.get(order_id)
        return 0 if key is None else self._levels[key].queue[order_id]

    def best_price_ticks(self, side: Side) -> int | None:
        """The highest bid or the lowest ask; None if nothing rests there."""
        keys = self._bids if side is _BUY else self._asks
        return abs(keys[-1]) if keys else None

    def depth(self, side: Side, levels: int) -> list[tuple[int, int]]:
        """Price in ticks and lots of up to so many levels of a side, best first."""
        keys = self._bids if side is _BUY else self._asks
        return [
            (abs(key), sum(self._levels[key].queue.values())) for key in reversed(keys[max(0, len(keys) - levels) :])
        ]

    def preview(self, side: Side, price_ticks: int, lots: int) -> list[Fill]:
        """The fills that an order would get now, its id told as `ZERO_DIGEST`; the book stays as it is."""
        keys, limit = (self._asks, -price_ticks) if side is _BUY else (self._bids, price_ticks)
        fills: list[Fill] = []
        for key in reversed(keys):
            if key < limit:
                break
            for maker, left in self._levels[key].queue.items():
                if not lots:
                    return fills
                taken = min(left, lots)
                fills.append((maker, OrderId(ZERO_DIGEST), abs(key), taken))
                lots -= taken
        return fills

    def _take(self, taker: OrderId, keys: list[int], limit: int, lots: int, fills: list[Fill]) -> int:
        """Fill from the best level on, down to the key `limit`; returns the lots left over."""
        while lots and keys and keys[-1] >= limit:
            key = keys[-1]
            price_ticks = abs(key)
            level = self._levels[key]
            queue = level.queue
            filled: list[OrderId] = []
            for maker, left in queue.items():
                if left > lots:
                    fills.append((maker, taker, price_ticks, lots))
                    queue[maker] = left - lots
                    lots = 0
                    break
                fills.append((maker, taker, price_ticks, left))
                filled.append(maker)
                lots -= left
                if not lots:
                    break
            for maker in filled:
                del queue[maker]
                del self._keys[maker]
            if not queue:
                del self._levels[keys.pop()]
            else:
                level.gone += len(filled)
                if level.gone > len(queue) + _FEW:
                    level.write_anew()
        return lots

    def _refuse(self, order_id: OrderId, price_ticks: int, lots: int) -> None:
        for field, value in (("price_ticks", price_ticks), ("quantity_lots", lots)):
            if value < 1:
                raise OrderError(field, value, "CBOR-4", f"{field}: expected at least 1, was {value}")
        raise OrderError("order_id", order_id, "MATCH-3", "order_id: expected an order that does not rest yet")
