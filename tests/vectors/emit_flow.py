"""Writes orrange_p2p/launch/flows/synthetic.csv: three minutes of made-up order flow that the demo replays by default.

Makers quote around a wandering price and pull their quotes again, takers now and then reach across; a book kept here
knows what is left of each order, so that cancels name what a venue's log would name: mostly live orders, with what was
left of them, and a few that had filled. The same bytes come out on every machine.
"""

import random
import sys
from dataclasses import dataclass
from pathlib import Path

TARGET = Path(__file__).resolve().parents[2] / "orrange_p2p" / "launch" / "flows" / "synthetic.csv"
HEADER = "time_ms,action,order_id,side,price_cents,quantity_satoshi"
ROWS = 400
LONGEST_GAP_MS = 900
FIRST_ORDER_ID = 1001
START_CENTS = 23_600
BITCOIN = 100_000_000
TENTH = BITCOIN // 10
DUST = 40_000  # less than a lot of the demo's market, so that the count of skipped orders has something to show
LIVE_ENOUGH = 30
CANCEL, TAKE, MAKE_DUST, CANCEL_FILLED = 38, 47, 48, 50  # up to this percentile; the rest makes quotes


@dataclass(kw_only=True)
class Quote:
    """An order and what is left of it."""

    order_id: int
    side: str
    price_cents: int
    left: int


class Venue:
    """A book that matches in order of arrival, and the log of what happened in it."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.live: list[Quote] = []
        self.filled: list[Quote] = []
        self.fills = 0
        self._next_id = FIRST_ORDER_ID

    def submit(self, time_ms: int, side: str, price_cents: int, quantity: int) -> None:
        """Match an order with the best resting ones, rest what is left."""
        order = Quote(order_id=self._next_id, side=side, price_cents=price_cents, left=quantity)
        self._next_id += 1
        self._log(time_ms, "submit", order)
        for other in self.opposite(side):
            if not order.left or not crosses(order, other):
                break
            size = min(order.left, other.left)
            order.left -= size
            other.left -= size
            self.fills += 1
        done = [one for one in (*self.live, order) if not one.left]
        self.filled.extend(done)
        self.live = [one for one in (*self.live, order) if one.left]

    def cancel(self, time_ms: int, order: Quote) -> None:
        """Withdraw an order, or log the vain try if it has filled."""
        self._log(time_ms, "cancel", order)
        self.live = [one for one in self.live if one is not order]
        self.filled = [one for one in self.filled if one is not order]

    def opposite(self, side: str) -> list[Quote]:
        """The other side's orders, best first, then oldest."""
        sign = 1 if side == "buy" else -1
        others = [order for order in self.live if order.side != side]
        return sorted(others, key=lambda order: (sign * order.price_cents, order.order_id))

    def _log(self, time_ms: int, action: str, order: Quote) -> None:
        self.rows.append(f"{time_ms},{action},{order.order_id},{order.side},{order.price_cents},{order.left}")


def crosses(order: Quote, other: Quote) -> bool:
    """Whether an entering order's limit reaches a resting one's."""
    if order.side == "buy":
        return order.price_cents >= other.price_cents
    return order.price_cents <= other.price_cents


def run_venue() -> Venue:
    """Let the made-up traders trade until the log has its rows."""
    source = random.Random("synthetic order flow, 1")
    venue = Venue()
    time_ms, fair_cents = 0, START_CENTS
    while len(venue.rows) < ROWS:
        fair_cents += source.randrange(-4, 5) + (START_CENTS - fair_cents) // 20
        dice = source.randrange(100)
        side = ("buy", "sell")[source.randrange(2)]
        others = venue.opposite(side)
        if dice < CANCEL and len(venue.live) > LIVE_ENOUGH:
            venue.cancel(time_ms, venue.live[source.randrange(len(venue.live))])
        elif CANCEL <= dice < TAKE and others:
            reach = source.randrange(6) if side == "buy" else -source.randrange(6)
            quantity = others[0].left + (source.randrange(13) - 6) * TENTH
            venue.submit(time_ms, side, others[0].price_cents + reach, max(quantity, TENTH))
        elif TAKE <= dice < MAKE_DUST:
            venue.submit(time_ms, side, fair_cents + (-60 if side == "buy" else 60), DUST)
        elif MAKE_DUST <= dice < CANCEL_FILLED and venue.filled:
            venue.cancel(time_ms, venue.filled[source.randrange(len(venue.filled))])
        else:
            away = 3 + source.randrange(45)
            quantity = (1 + source.randrange(30)) * TENTH + source.randrange(TENTH)
            venue.submit(time_ms, side, fair_cents + (-away if side == "buy" else away), quantity)
        time_ms += source.randrange(LONGEST_GAP_MS)
    return venue


def render() -> str:
    """The text of the file."""
    return "\n".join((HEADER, *run_venue().rows)) + "\n"


def main() -> int:
    """Write the file, or with `--check` say whether it is stale. Returns the exit code."""
    if "--check" in sys.argv[1:]:
        if TARGET.exists() and TARGET.read_text("utf-8") == render():
            return 0
        print(f"{TARGET}: expected what `make vectors` writes, was something else", file=sys.stderr)
        return 1
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(render(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
