"""Periods: what the chain fixes long before it counts, the same for both sides. Spec: [MATCH-2], [MATCH-12]."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.period import Period, Periods
from orrange_p2p.core.types import Address, Epoch
from protocol.reference import chain
from protocol.reference import period as reference
from protocol.reference.matching import rank
from protocol.reference.signing import keccak
from protocol.reference.types import Clock
from tests.core.adapters import FAST_MARKET, RULES, fast_blocks, fast_ledger, fast_preset
from tests.core.conduct_worlds import FACTS, OWNERS, UNIT, Chronicle, trade
from tests.core.pens import MARKET_ID
from tests.core.worlds import CLOCK

EXAMPLES = settings(max_examples=max(1, settings().max_examples // 4))
MINUTES = Clock(constants=replace(CLOCK.constants, period_s=60, beacon_lag_s=5), genesis_ms=CLOCK.genesis_ms)
WITH_BONDS = replace(MINUTES, constants=replace(MINUTES.constants, bond_multiple=50))
GENESIS_S = MINUTES.genesis_ms // 1000
FIRST_EPOCH_OF_TEN = 10 * 60_000 // MINUTES.constants.epoch_ms
TENTH_LIMIT_S = GENESIS_S + 600 - 5


def periods_of(blocks: list[chain.Block], clock: Clock = MINUTES) -> Periods:
    """The program's periods, of a market with this clock's constants."""
    return Periods(fast_ledger(blocks), replace(RULES, preset=fast_preset(clock.constants)))


def block(number: int, time_s: int, *facts: chain.Fact) -> chain.Block:
    """A block with a hash of its own."""
    return chain.Block(number=number, hash=keccak(b"block %d" % number), time_s=time_s, facts=facts)


def assert_same(ours: Period | None, theirs: reference.Period | None, epoch: int = 7) -> None:
    """Beacon, tiers, bonds and ranks of both sides."""
    assert (ours is None) == (theirs is None)
    if ours is None or theirs is None:
        return
    assert ours.beacon == theirs.beacon
    for owner in (*OWNERS, bytes(20)):
        assert ours.tier(Address(owner)) == theirs.tier(owner)
        assert ours.is_last(Address(owner)) == theirs.is_last(owner)
        fast_rank = ours.rank(Epoch(epoch), Address(owner), RULES.market_id)
        assert fast_rank == rank(theirs, MARKET_ID, epoch, owner)
        assert len(fast_rank) == 33


@st.composite
def chains(draw: st.DrawFn) -> list[chain.Block]:
    """Blocks around the bounds of periods of a minute, with trades, bonds and offences."""
    chronicle = Chronicle(time_s=GENESIS_S + draw(st.integers(-200, 30)))
    for _ in range(draw(st.integers(0, 10))):
        chronicle.block(*draw(st.lists(FACTS, max_size=5)), seconds=draw(st.sampled_from((0, 1, 5, 54, 55, 60, 130))))
    return chronicle.blocks


@EXAMPLES
@given(blocks=chains(), epochs=st.lists(st.integers(0, 1500), min_size=1, max_size=6), bonds=st.booleans())
def test_the_program_and_the_reference_know_the_same_periods(
    blocks: list[chain.Block], epochs: list[int], *, bonds: bool
) -> None:
    clock = WITH_BONDS if bonds else MINUTES
    periods = periods_of(blocks, clock)
    for epoch in epochs:
        assert_same(periods.at(Epoch(epoch)), reference.period_of(blocks, clock, MARKET_ID, epoch), epoch)


@EXAMPLES
@given(blocks=chains(), more=chains(), epoch=st.integers(0, 1500))
def test_a_period_that_is_known_stays_what_it_is(
    blocks: list[chain.Block], more: list[chain.Block], epoch: int
) -> None:
    """Whatever the chain says later, forks of it apart. Spec: [MATCH-12]."""
    known = reference.period_of(blocks, WITH_BONDS, MARKET_ID, epoch)
    last_s = blocks[-1].time_s if blocks else 0
    later = [
        replace(one, number=len(blocks) + one.number, time_s=max(last_s, one.time_s), hash=keccak(one.hash))
        for one in more
    ]
    if known is not None:
        assert reference.period_of([*blocks, *later], WITH_BONDS, MARKET_ID, epoch) == known


@EXAMPLES
@given(blocks=chains(), epoch=st.integers(0, 1500))
def test_who_knows_the_fund_block_knows_the_period(blocks: list[chain.Block], epoch: int) -> None:
    """The anchor is no younger than it, so a period keeps no window waiting. Spec: [CONST-2], [MATCH-12]."""
    view = chain.view_at_fund_block(blocks, MINUTES, epoch)
    assert view is None or reference.period_of(blocks, MINUTES, MARKET_ID, epoch) is not None


def test_nothing_is_known_without_a_block_later_than_the_limit() -> None:
    limit = block(1, TENTH_LIMIT_S)
    for blocks in ([], [limit], [limit, block(2, TENTH_LIMIT_S)]):
        assert periods_of(blocks).at(Epoch(FIRST_EPOCH_OF_TEN)) is None
        assert reference.period_of(blocks, MINUTES, MARKET_ID, FIRST_EPOCH_OF_TEN) is None


@pytest.mark.parametrize(("late_s", "anchor"), [(-1, 2), (0, 2), (1, 1)])
def test_the_anchor_is_the_last_block_up_to_the_limit(late_s: int, anchor: int) -> None:
    blocks = [block(1, TENTH_LIMIT_S - 100), block(2, TENTH_LIMIT_S + late_s), block(3, TENTH_LIMIT_S + 9)]
    period = periods_of(blocks).at(Epoch(FIRST_EPOCH_OF_TEN))
    assert period is not None
    assert period.beacon == keccak(b"block %d" % anchor)
    assert_same(period, reference.period_of(blocks, MINUTES, MARKET_ID, FIRST_EPOCH_OF_TEN))


def test_a_period_starts_and_ends_with_an_epoch() -> None:
    blocks = [block(number, TENTH_LIMIT_S + 60 * (number - 1)) for number in (1, 2, 3)]
    periods = periods_of(blocks)
    beacons = [periods.at(Epoch(epoch)) for epoch in (FIRST_EPOCH_OF_TEN, FIRST_EPOCH_OF_TEN + 119)]
    assert [period and period.beacon for period in beacons] == [keccak(b"block 1")] * 2
    following = periods.at(Epoch(FIRST_EPOCH_OF_TEN + 120))
    assert following is not None
    assert following.beacon == keccak(b"block 2")


@pytest.mark.parametrize("clock", [MINUTES, WITH_BONDS])
def test_before_any_block_the_market_is_the_beacon_and_nobody_stands_above_another(clock: Clock) -> None:
    blocks = [block(1, TENTH_LIMIT_S + 1, chain.BondChanged(owner=OWNERS[0], amount=400 * UNIT))]
    period = periods_of(blocks, clock).at(Epoch(FIRST_EPOCH_OF_TEN))
    assert period is not None
    assert period.beacon == keccak(MARKET_ID)
    assert [period.tier(Address(owner)) for owner in OWNERS] == [0] * len(OWNERS)
    assert [period.is_last(Address(owner)) for owner in OWNERS] == [clock is WITH_BONDS] * len(OWNERS)
    assert_same(period, reference.period_of(blocks, clock, MARKET_ID, FIRST_EPOCH_OF_TEN))


def test_tiers_and_bonds_are_those_of_the_anchor_and_not_of_later_blocks() -> None:
    anna, bert, carl = OWNERS[:3]
    bonds = [chain.BondChanged(owner=owner, amount=400 * UNIT) for owner in (anna, bert)]
    traded = trade(anna, bert, 90 * UNIT)
    withdrawn = [chain.BondChanged(owner=anna, amount=0), chain.BondChanged(owner=carl, amount=400 * UNIT)]
    blocks = [
        block(1, TENTH_LIMIT_S - 70, *bonds),
        block(2, TENTH_LIMIT_S, traded),
        block(3, TENTH_LIMIT_S + 1, *withdrawn),
    ]
    period = periods_of(blocks, WITH_BONDS).at(Epoch(FIRST_EPOCH_OF_TEN))
    assert period is not None
    assert [period.tier(Address(owner)) for owner in (anna, bert, carl)] == [2, 2, 0]
    assert [period.is_last(Address(owner)) for owner in (anna, bert, carl)] == [False, False, True]
    assert_same(period, reference.period_of(blocks, WITH_BONDS, MARKET_ID, FIRST_EPOCH_OF_TEN))


def test_a_period_is_computed_once() -> None:
    blocks = [block(1, TENTH_LIMIT_S), block(2, TENTH_LIMIT_S + 70)]
    periods = periods_of(blocks)
    assert periods.at(Epoch(FIRST_EPOCH_OF_TEN)) is periods.at(Epoch(FIRST_EPOCH_OF_TEN + 7))


def test_a_period_becomes_known_when_the_chain_goes_on() -> None:
    ledger = Ledger({RULES.market_id: FAST_MARKET})
    periods = Periods(ledger, replace(RULES, preset=fast_preset(MINUTES.constants)))
    first, second = fast_blocks([block(1, TENTH_LIMIT_S), block(2, TENTH_LIMIT_S + 1)])
    known = []
    for one in (first, second):
        ledger.add(one)
        known.append(periods.at(Epoch(FIRST_EPOCH_OF_TEN)) is not None)
    assert known == [False, True]
