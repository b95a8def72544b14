"""Scores of a whole network at a new period: 10,000 owners and a million trades that paid a fee.

The baseline reads the same facts once, adds the fees of each pair and does no more: it is what any program must at
least do that keeps nothing between periods. One owner's tier is what a node has to compute before it can place an order
of an owner it has not seen in this period.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from orrange_p2p.core.facts import BlockFacts, BondChanged, Fact, TradeSettled
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.reputation import Standings
from orrange_p2p.core.types import Address, Digest, MarketId, OrderId, TicketDigest
from tests.benchmarks.figures import Figure, compared

DAY_S = 86_400
MICRO_UNITS_A_BOND = 10**9
ZERO = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is on the chain."""

    owners: int = 10_000
    trades: int = 1_000_000
    days: int = 365


def run(size: Size | None = None) -> Iterator[Figure]:
    """Measure and report; takes about half a minute and one gigabyte."""
    size = size or Size()
    days = throw_days(size)
    scenario = f"{size.owners} owners, {size.trades} fees"
    ledger = Ledger({})
    parent = Digest(ZERO)
    started = time.process_time()
    for number, facts in enumerate(days):
        block_hash = Digest(number.to_bytes(32, "big"))
        ledger.add(BlockFacts(number=number, hash=block_hash, parent_hash=parent, time_s=number * DAY_S, facts=facts))
        parent = block_hash
    taken_in_us = (time.process_time() - started) * 1e6 / size.trades
    started = time.process_time()
    add_pairs(days)
    baseline_s = time.process_time() - started
    yield compared(
        "reputation", f"{scenario}: a fact taken in", taken_in_us, "us CPU", baseline=baseline_s * 1e6 / size.trades
    )
    started = time.process_time()
    tiers = Standings(ledger, ledger.last_block, DAY_S).tiers()
    tiers_s = time.process_time() - started
    if not tiers:
        raise ValueError("expected some owner above tier 0, was none")
    yield compared("reputation", f"{scenario}: tiers of all", tiers_s, "s CPU", baseline=baseline_s)
    one_ms = list(time_owners(ledger, size))
    yield compared(
        "reputation", f"{scenario}: one owner, median", statistics.median(one_ms), "ms CPU", baseline=baseline_s * 1000
    )
    yield compared("reputation", f"{scenario}: one owner, max", max(one_ms), "ms CPU", baseline=baseline_s * 1000)


def throw_days(size: Size) -> list[tuple[Fact, ...]]:
    """The facts of each day: bonds on the first, then trades; a few owners make most of the market."""
    dice = Random(5)
    owners = [Address(number.to_bytes(20, "big")) for number in range(size.owners)]
    bonds = tuple(BondChanged(owner=owner, amount=MICRO_UNITS_A_BOND) for owner in owners)
    trades_a_day = size.trades // (size.days - 1)
    days: list[tuple[Fact, ...]] = [bonds]
    for day in range(1, size.days):
        makers = [owners[int(size.owners * dice.random() ** 3)] for _ in range(trades_a_day)]
        takers = dice.choices(owners, k=trades_a_day)
        pairs = enumerate(zip(makers, takers, strict=True))
        days.append(tuple(trade(day * trades_a_day + at, *pair, dice.randrange(10**6)) for at, pair in pairs))
    return days


def trade(number: int, maker: Address, taker: Address, sink_fee: int) -> TradeSettled:
    """A settled trade of which only the fee matters."""
    return TradeSettled(
        ticket=TicketDigest(number.to_bytes(32, "big")),
        market=MarketId(ZERO),
        maker_order=OrderId(ZERO),
        taker_order=OrderId(ZERO),
        maker_owner=maker,
        taker_owner=taker,
        is_maker_buyer=True,
        price_ticks=1,
        maker_from=0,
        maker_to=1,
        taker_from=0,
        taker_to=1,
        sink_fee=sink_fee,
    )


def add_pairs(days: list[tuple[Fact, ...]]) -> dict[tuple[Address, Address], int]:
    """The fees of each pair, not decayed."""
    fees: dict[tuple[Address, Address], int] = {}
    for facts in days:
        for fact in facts:
            if isinstance(fact, TradeSettled):
                pair = (fact.maker_owner, fact.taker_owner)
                fees[pair] = fees.get(pair, 0) + fact.sink_fee
    return fees


def time_owners(ledger: Ledger, size: Size) -> Iterator[float]:
    """CPU milliseconds of one owner's tier, bonds of its counterparties included, for some owners from busy to idle."""
    for number in range(0, size.owners, max(1, size.owners // 50)):
        standings = Standings(ledger, ledger.last_block, DAY_S)
        started = time.process_time()
        standings.tier(Address(number.to_bytes(20, "big")))
        yield (time.process_time() - started) * 1000
