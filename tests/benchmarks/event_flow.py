"""Single orders and cancels for the continuous book: a stream thrown from a seed, one recorded where it is at hand.

Every engine gets the same events in its own form; an order's number is its place among the orders.
"""

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path
from random import Random

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "bitstamp_btcusd_2015-05-01.csv.gz"
MIDDLE_TICKS = 100_000


@dataclass(frozen=True, slots=True)
class Event:
    """A new order, or with no lots the cancel of an earlier one."""

    number: int
    is_bid: bool
    price_ticks: int
    lots: int


def throw_events(seed: int, count: int) -> list[Event]:
    """Around a middle that wanders: of ten events six rest, one takes, three cancel an order of the last thousands."""
    dice = Random(seed)
    events: list[Event] = []
    placed: list[Event] = []
    middle = MIDDLE_TICKS
    while len(events) < count:
        roll = dice.random()
        if roll < 0.3 and placed:
            back = min(int(dice.expovariate(1 / 2000)), len(placed) - 1)
            at = len(placed) - 1 - back
            gone, placed[at] = placed[at], placed[-1]
            placed.pop()
            events.append(Event(gone.number, gone.is_bid, gone.price_ticks, 0))
            continue
        is_bid = dice.random() < 0.5
        away = -dice.randrange(1, 10) if roll > 0.9 else 1 + int(dice.expovariate(1 / 60))
        middle += dice.choice((-1, 0, 0, 0, 1))
        event = Event(len(events), is_bid, max(1, middle - away if is_bid else middle + away), dice.randrange(1, 100))
        events.append(event)
        placed.append(event)
    return events


def recorded_events(path: Path = RECORDED) -> list[Event]:
    """Five hours of BTC/USD orders, prices in cents; cancels of orders that are not in it are left out."""
    placed: dict[str, Event] = {}
    events: list[Event] = []
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            lots = int(row["quantity_satoshi"])
            if row["action"] == "submit" and lots > 0 and row["order_id"] not in placed:
                event = Event(len(events), row["side"] == "buy", int(row["price_cents"]), lots)
                placed[row["order_id"]] = event
                events.append(event)
            elif row["action"] == "cancel" and row["order_id"] in placed:
                gone = placed[row["order_id"]]
                events.append(Event(gone.number, gone.is_bid, gone.price_ticks, 0))
    return events
