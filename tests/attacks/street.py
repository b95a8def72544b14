"""A street of honest traders in seeded kernels, with attackers among them, and what share of the honest trades happens.

Honest pairs place orders that cross: one sells, another buys as much at a price that is good enough. What they trade,
with whomever, over what they placed is the share; the same street whose attackers keep their word is the baseline.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median

from orrange_p2p.core.messages import TicketItem
from orrange_p2p.core.types import Side, TimeInForce
from tests.core.kernel_world import RULES, Peer, World

HONEST, ATTACKERS = 6, 2
ROUNDS = 20
ROUND_MS = 2_000
SETTLE_MS = 60_000
PRICE, SPREAD = 100, 3


@dataclass(frozen=True)
class Outcome:
    """What became of the honest orders: the share of their lots that traded, and how long the tickets took."""

    placed_lots: int
    traded_lots: int
    median_ms: float

    @property
    def share(self) -> float:
        """Traded over placed."""
        return self.traded_lots / self.placed_lots


class Street:
    """One run."""

    def __init__(self, seed: int, *, attackers: int = ATTACKERS) -> None:
        self.world = World(HONEST + attackers, seed=seed)
        self.honest: Sequence[Peer] = self.world.peers[:HONEST]
        self.attackers: Sequence[Peer] = self.world.peers[HONEST:]
        self.random = Random(seed)
        self.may_lie = True
        self._placed_lots = 0
        self._seen: set[bytes] = set()

    def is_attacker(self, peer: Peer) -> bool:
        """Whether a peer is one of the attackers."""
        return any(peer is one for one in self.attackers)

    def run(self, every_round: Callable[[int], None] = lambda _number: None, *, between: bool = False) -> Outcome:
        """Let the honest trade, with something that attackers do each round.

        They do it first, so that their orders rest, or between the two honest orders, so that they take.
        """
        self.world.run_ms(3_000)
        for number in range(ROUNDS):
            if not between:
                every_round(number)
            self._trade((lambda number=number: every_round(number)) if between else lambda: None)
            self.world.run_ms(ROUND_MS)
        self.world.run_ms(SETTLE_MS)
        return Outcome(
            placed_lots=self._placed_lots, traded_lots=self._traded_lots(), median_ms=median(self._times() or [0])
        )

    def _trade(self, between: Callable[[], None]) -> None:
        seller, buyer = self.random.sample(list(self.honest), 2)
        lots = self.random.randint(5, 40)
        ask = PRICE + self.random.randint(-SPREAD, SPREAD)
        bid = ask + self.random.randint(0, SPREAD)
        sides = [(seller, Side.SELL, ask), (buyer, Side.BUY, bid)]
        self.random.shuffle(sides)
        for number, (peer, side, price) in enumerate(sides):
            self.world.place(peer, side, price, lots)
            self.world.run_ms(self.random.randint(0, 400))
            if not number:
                between()
        self._placed_lots += 2 * lots

    def _traded_lots(self) -> int:
        """Lots of honest orders in tickets that both sides have."""
        owners = {peer.identity.session for peer in self.honest}
        tickets: dict[bytes, TicketItem] = {}
        for peer in self.honest:
            for item in peer.tickets:
                tickets[peer.kernel.digests.ticket(item.ticket)] = item
        lots = 0
        for item in tickets.values():
            for order_id in (item.ticket.maker_order, item.ticket.taker_order):
                for peer in self.honest:
                    record = peer.market.feeds.order(order_id)
                    if record is not None:
                        lots += item.ticket.lots if record.order.session in owners else 0
                        break
        return lots

    def _times(self) -> list[int]:
        return [
            int(dict(note.details)["order_to_ticket_ms"])
            for peer in self.honest
            for note in peer.notes
            if note.name == "ticket_as_taker" and "order_to_ticket_ms" in dict(note.details)
        ]


def placed(
    street: Street, peer: Peer, side: Side, price_ticks: int, lots: int, tif: TimeInForce = TimeInForce.GTC
) -> None:
    """An order that an attacker's node takes."""
    request = street.world.place(peer, side, price_ticks, lots, tif)
    if request in peer.refused:
        raise AssertionError(f"the attack was not made: {peer.refused[request].message}")


MARKET_ID = RULES.market_id
