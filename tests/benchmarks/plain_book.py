"""A continuous book as one writes it by hand: a dict of levels, sorted prices, a linked list a level, and no more.

It checks nothing and answers nothing but fills; it is what `orrange_p2p.core.continuous` is measured against.
"""

from bisect import bisect_left, insort
from typing import Any


class Node:
    __slots__ = ("after", "before", "level", "lots", "order_id")

    def __init__(self, order_id: bytes, lots: int) -> None:
        self.order_id = order_id
        self.lots = lots


class Level:
    __slots__ = ("first", "is_bid", "last", "price")

    def __init__(self, price: int, *, is_bid: bool) -> None:
        self.price = price
        self.is_bid = is_bid
        self.first: Any = None
        self.last: Any = None


class PlainBook:
    def __init__(self) -> None:
        self.orders: dict[bytes, Any] = {}
        self.bids: dict[int, Level] = {}
        self.asks: dict[int, Level] = {}
        self.bid_prices: list[int] = []
        self.ask_prices: list[int] = []

    def add(self, order_id: bytes, is_bid: bool, price: int, lots: int) -> list[tuple[bytes, bytes, int, int]]:
        fills = []
        if is_bid:
            prices, levels = self.ask_prices, self.asks
            while lots and prices and prices[0] <= price:
                lots = self.take(levels[prices[0]], order_id, lots, fills)
                if levels[prices[0]].first is None:
                    del levels[prices.pop(0)]
            prices, levels = self.bid_prices, self.bids
        else:
            prices, levels = self.bid_prices, self.bids
            while lots and prices and prices[-1] >= price:
                lots = self.take(levels[prices[-1]], order_id, lots, fills)
                if levels[prices[-1]].first is None:
                    del levels[prices.pop()]
            prices, levels = self.ask_prices, self.asks
        if lots:
            level = levels.get(price)
            if level is None:
                level = levels[price] = Level(price, is_bid=is_bid)
                insort(prices, price)
            node = self.orders[order_id] = Node(order_id, lots)
            node.level, node.before, node.after = level, level.last, None
            if level.last is None:
                level.first = node
            else:
                level.last.after = node
            level.last = node
        return fills

    def take(self, level: Level, taker: bytes, lots: int, fills: list[tuple[bytes, bytes, int, int]]) -> int:
        while lots and level.first is not None:
            maker = level.first
            traded = min(lots, maker.lots)
            fills.append((maker.order_id, taker, level.price, traded))
            lots -= traded
            maker.lots -= traded
            if not maker.lots:
                del self.orders[maker.order_id]
                level.first = maker.after
                if level.first is None:
                    level.last = None
                else:
                    level.first.before = None
        return lots

    def cancel(self, order_id: bytes) -> None:
        node = self.orders.pop(order_id, None)
        if node is None:
            return
        level = node.level
        if node.before is None:
            level.first = node.after
        else:
            node.before.after = node.after
        if node.after is None:
            level.last = node.before
        else:
            node.after.before = node.before
        if level.first is None:
            levels, prices = (self.bids, self.bid_prices) if level.is_bid else (self.asks, self.ask_prices)
            del levels[level.price]
            del prices[bisect_left(prices, level.price)]
