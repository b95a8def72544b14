"""Looks at the nodes of a demo, often and cheaply: books and digests once an epoch, the rest as it stands."""

import time
from dataclasses import replace
from itertools import islice

from orrange_p2p.cli.units import MarketUnits
from orrange_p2p.cli.view import Level, Match, PeerRow, Snapshot
from orrange_p2p.core.book import Book
from orrange_p2p.core.ranges import total
from orrange_p2p.core.types import MarketId, Side
from orrange_p2p.errors import InternalError
from orrange_p2p.launch.demo import DemoState
from orrange_p2p.launch.found import BASE_DECIMALS, LOT_SATOSHI, MARKET_NAME, QUOTE_DECIMALS, TICK_QUOTE_UNITS
from orrange_p2p.node import Node

KEPT_EPOCHS = 16
NEWEST_MATCHES = 12
DEMO_UNITS = MarketUnits.from_answer(
    MARKET_NAME,
    {
        "lot_size": LOT_SATOSHI,
        "tick_size": TICK_QUOTE_UNITS,
        "base_decimals": BASE_DECIMALS,
        "quote_decimals": QUOTE_DECIMALS,
    },
)


class DemoWatch:
    """Takes snapshots of one demo."""

    def __init__(self, state: DemoState, *, title: str, all_events: int) -> None:
        self._state = state
        self._last = Snapshot(title=title, stage=state.stage, elapsed_s=0, sent_events=0, all_events=all_events)
        self._started_s = time.monotonic()
        self._digests: dict[int, dict[int, str]] = {}
        self._orders: dict[int, int] = {}
        self._sides: tuple[tuple[Level, ...], tuple[Level, ...]] = ((), ())

    def snapshot(self) -> Snapshot:
        """The demo as it is now; what its nodes said last, once they are stopping."""
        try:
            seen = self._look_around()
        except InternalError:  # a network that is closing has nothing more to say
            seen = self._last
        state = self._state
        self._last = replace(
            seen,
            stage=state.stage,
            elapsed_s=int(time.monotonic() - self._started_s),
            sent_events=state.sent_events,
        )
        return self._last

    def _look_around(self) -> Snapshot:
        state = self._state
        if state.rules is None or not state.nodes:
            return self._last
        market = state.rules.market_id
        for number, node in enumerate(state.nodes):
            self._look(number, node, market)
        epoch = max((one for one, seen in self._digests.items() if len(seen) == len(state.nodes)), default=None)
        first = state.nodes[0].kernel
        tickets = first.markets[market].tickets
        return replace(
            self._last,
            units=DEMO_UNITS,
            epoch=epoch,
            bids=self._sides[0],
            asks=self._sides[1],
            matches=tuple(
                Match(
                    epoch=hold.ticket.epoch,
                    price_ticks=hold.ticket.price_ticks,
                    lots=hold.ticket.lots,
                    is_settled=first.ledger.settled_in(hold.digest) is not None,
                )
                for hold in islice(reversed(tickets.values()), NEWEST_MATCHES)
            ),
            peers=tuple(self._peer(number, node, market, epoch) for number, node in enumerate(state.nodes)),
            trades=len(tickets),
            settled=len(first.ledger.settled_trades()),
            gossip_drops=sum(node.gossip_drops() for node in state.nodes),
        )

    def _look(self, number: int, node: Node, market: MarketId) -> None:
        """Take a node's book once in each epoch it works on."""
        current = node.kernel.markets[market].windows.current
        if current is None or number in self._digests.get(current.epoch, ()):
            return
        book = node.kernel.markets[market].windows.keeper.book()
        if book is None:
            return
        self._digests.setdefault(book.epoch, {})[number] = book.digest().hex()
        while len(self._digests) > KEPT_EPOCHS:
            del self._digests[min(self._digests)]
        self._orders[number] = len(book.orders)
        if number == 0:
            self._sides = _levels(book, Side.BUY), _levels(book, Side.SELL)

    def _peer(self, number: int, node: Node, market: MarketId, epoch: int | None) -> PeerRow:
        state = node.kernel.markets[market]
        return PeerRow(
            name=f"peer-{number}",
            links=len(node.connected_peers()),
            entries=sum(head.next_seq for head in state.feeds.heads()),
            orders=self._orders.get(number, 0),
            trades=len(state.tickets),
            digest=self._digests[epoch][number] if epoch is not None else "",
        )


def _levels(book: Book, side: Side) -> tuple[Level, ...]:
    lots: dict[int, int] = {}
    for row in book.orders:
        if row.order.side is side and row.is_matchable:
            price = row.order.price_ticks
            lots[price] = lots.get(price, 0) + total(row.free)
    return tuple(Level(price_ticks=price, lots=lots[price]) for price in sorted(lots, reverse=side is Side.BUY))
