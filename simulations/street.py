"""A street of honest traders as the chain would show it: a year of trades, fees and bonds, from a seed.

How active traders are, and how large their trades, is log-normal, as in real markets: a few make most of the market.
Both sides of a trade are drawn by activity. A trade sends `FEE_PER_MILLE` of its notional to the fee sink. Everybody
bonds once, on a day in the year, what the network asks for the open notional of a few of its own usual trades.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from orrange_p2p.core.facts import BlockFacts, BondChanged, Fact, TradeSettled
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.reputation import Standings
from orrange_p2p.core.types import Address, Digest, MarketId, OrderId, TicketDigest

DAY_S = 86_400
UNIT = 10**6
START_S = 1_800_000_000 // DAY_S * DAY_S
FEE_PER_MILLE = 1
NOTIONAL_PER_BOND = 50
OPEN_TRADES = 5
TRADES_PER_TRADER = 100
USUAL_NOTIONAL = 200 * UNIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Street:
    """How many traders, for how many days, from which seed."""

    traders: int = 300
    days: int = 365
    seed: int = 7


def address(number: int) -> Address:
    """The address of a trader."""
    return Address(number.to_bytes(20, "big"))


def settled(number: int, maker: Address, taker: Address, sink_fee: int) -> TradeSettled:
    """A trade of which only its fee matters."""
    return TradeSettled(
        ticket=TicketDigest(number.to_bytes(32, "big")),
        market=MarketId(bytes(32)),
        maker_order=OrderId(bytes(32)),
        taker_order=OrderId(bytes(32)),
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


def chain_of(days: Sequence[Sequence[Fact]]) -> Ledger:
    """A ledger with one block a day."""
    ledger, parent = Ledger({}), Digest(bytes(32))
    for number, facts in enumerate(days):
        block_hash = Digest(bytes(24) + (number + 1).to_bytes(8, "big"))
        time_s = START_S + number * DAY_S
        ledger.add(BlockFacts(number=number, hash=block_hash, parent_hash=parent, time_s=time_s, facts=tuple(facts)))
        parent = block_hash
    return ledger


def standings_of(ledger: Ledger) -> Standings:
    """The standings at a ledger's last block, with periods of a day."""
    return Standings(ledger, ledger.last_block, DAY_S)


def walk_street(street: Street) -> Ledger:
    """A year of an honest street."""
    dice = Random(street.seed)
    numbers = range(street.traders)
    activity = [dice.lognormvariate(0, 1) for _ in numbers]
    notional = [USUAL_NOTIONAL * dice.lognormvariate(0, 1) for _ in numbers]
    reach = list(accumulate(activity))
    days: list[list[Fact]] = [[] for _ in range(street.days)]
    for number in numbers:
        bond = int(notional[number] * OPEN_TRADES / NOTIONAL_PER_BOND)
        days[dice.randrange(street.days - 1)].append(BondChanged(owner=address(number), amount=bond))
    for ticket in range(street.traders * TRADES_PER_TRADER // 2):
        maker, taker = dice.choices(numbers, cum_weights=reach, k=2)
        usual = min(notional[maker], notional[taker])
        sink_fee = int(usual * dice.lognormvariate(0, 0.5)) * FEE_PER_MILLE // 1000
        days[dice.randrange(street.days)].append(settled(ticket, address(maker), address(taker), sink_fee))
    return chain_of(days)
