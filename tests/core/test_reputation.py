"""Scores: the program is the reference, and both do what the rules promise. Spec: [REP-1..13]."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orrange_p2p.core import reputation as fast
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.types import Address
from protocol.reference import chain, reputation
from tests.core.adapters import fast_ledger
from tests.core.conduct_worlds import (
    DAY_S,
    FACTS,
    GENESIS_S,
    OWNERS,
    PERIODS_S,
    UNIT,
    Chronicle,
    bonded,
    chronicles,
    plain,
    trade,
)

SPEC = Path(__file__).resolve().parents[2] / "protocol" / "spec" / "07-reputation.md"
ANNA, BERT, CARL, DORA, EMIL, FAYE = OWNERS
FRIENDS = (BERT, CARL, DORA, EMIL, FAYE)
EXAMPLES = max(1, settings().max_examples // 4)


def score(chronicle: Chronicle, owner: bytes = ANNA, period_s: int = DAY_S) -> int:
    """A score on which both sides agree."""
    told = chronicle.reference(owner, period_s)
    standings = chronicle.standings(period_s)
    assert standings.score(Address(owner)) == told.score
    assert plain(standings.explain(Address(owner))) == plain(told)
    return told.score


# Both sides


@settings(max_examples=EXAMPLES)
@given(chronicle=chronicles(), period_s=st.sampled_from(PERIODS_S), data=st.data())
def test_the_program_says_what_the_reference_says_at_any_block(
    chronicle: Chronicle, period_s: int, data: st.DataObject
) -> None:
    anchor = data.draw(st.integers(0, len(chronicle.blocks)))
    standings = chronicle.standings(period_s, anchor)
    for owner in OWNERS:
        told = chronicle.reference(owner, period_s, anchor)
        assert plain(standings.explain(Address(owner))) == plain(told)
        assert (standings.score(Address(owner)), standings.tier(Address(owner))) == (told.score, told.tier)
        assert standings.bond(Address(owner)) == told.bond
    tiers = {owner: chronicle.reference(owner, period_s, anchor).tier for owner in OWNERS}
    assert standings.tiers() == {owner: tier for owner, tier in sorted(tiers.items()) if tier}


@settings(max_examples=EXAMPLES)
@given(chronicle=chronicles())
def test_the_parts_of_an_explanation_add_up_to_the_score(chronicle: Chronicle) -> None:
    standings = chronicle.standings()
    for owner in OWNERS:
        told = standings.explain(Address(owner))
        assert all(vouch.counted == min(vouch.fees, vouch.cap) for vouch in told.vouches)
        assert all(vouch.cap == standings.bond(vouch.counterparty) // 4 for vouch in told.vouches)
        assert told.gathered == sum(vouch.counted for vouch in told.vouches)
        assert told.good == told.gathered * told.breadth // 256 + told.locked // 7300
        assert told.bad == sum(mark.weight_q16 for mark in told.marks) // 65536
        reached = told.good * (1000 * (told.good + 1) // (told.good + 1 + 2 * told.bad)) // 1000
        assert told.score == (0 if told.bond == 0 or told.barred_days else reached)
        assert told.tier == sum(told.score >= units * UNIT for units in (1, 8, 64))


@settings(max_examples=EXAMPLES)
@given(chronicle=chronicles(), data=st.data())
def test_only_bonds_have_an_order_within_a_block(chronicle: Chronicle, data: st.DataObject) -> None:
    """[REP-2]: what is not a bond's change may stand anywhere in its block; only the marks are told in log order."""
    shuffled = Chronicle()
    for block in chronicle.blocks:
        bonds = [fact for fact in block.facts if isinstance(fact, chain.BondChanged)]
        others = [fact for fact in block.facts if not isinstance(fact, chain.BondChanged)]
        facts = data.draw(st.permutations(others))
        for fact in bonds:
            facts.insert(data.draw(st.integers(0, len(facts))), fact)
        in_order = iter(bonds)
        facts = [next(in_order) if isinstance(fact, chain.BondChanged) else fact for fact in facts]
        shuffled.blocks.append(replace(block, facts=tuple(facts)))
    for owner in OWNERS:
        one, other = chronicle.standings().explain(Address(owner)), shuffled.standings().explain(Address(owner))
        assert replace(one, marks=()) == replace(other, marks=())
        assert sorted(map(repr, one.marks)) == sorted(map(repr, other.marks))


@settings(max_examples=EXAMPLES)
@given(chronicle=chronicles(), later=st.lists(FACTS, min_size=1, max_size=6))
def test_facts_after_the_anchor_change_nothing(chronicle: Chronicle, later: list[chain.Fact]) -> None:
    """[REP-2]."""
    before = [chronicle.standings().explain(Address(owner)) for owner in OWNERS]
    anchor = len(chronicle.blocks)
    chronicle.block(*later, days=1)
    assert [chronicle.standings(anchor=anchor).explain(Address(owner)) for owner in OWNERS] == before


# What may only rise or fall


@settings(max_examples=EXAMPLES)
@given(chronicle=chronicles(), fee=st.integers(1, 500 * UNIT), friend=st.sampled_from(FRIENDS))
def test_more_fees_never_lower_what_is_gathered(chronicle: Chronicle, fee: int, friend: bytes) -> None:
    """[REP-5], [REP-7]."""
    before = chronicle.reference(ANNA).gathered
    last = chronicle.blocks.pop()
    chronicle.blocks.append(replace(last, facts=(*last.facts, trade(friend, ANNA, fee))))
    assert chronicle.standings().explain(Address(ANNA)).gathered >= before


@settings(max_examples=EXAMPLES)
@given(chronicle=chronicles(), amount=st.integers(1, 500 * UNIT), is_over_signing=st.booleans())
def test_an_offence_never_raises_a_score(chronicle: Chronicle, amount: int, is_over_signing: bool) -> None:
    """[REP-11], [REP-12]."""
    before = score(chronicle)
    last = chronicle.blocks.pop()
    slash = chain.Slashed(owner=ANNA, amount=amount, is_over_signing=is_over_signing)
    chronicle.blocks.append(replace(last, facts=(*last.facts, slash)))
    after = score(chronicle)
    assert after == 0 if is_over_signing else after <= before


@settings(max_examples=EXAMPLES)
@given(chronicle=chronicles(), more=st.integers(1, 500 * UNIT))
def test_a_higher_bond_never_lowers_anybodys_gathered_fees_or_the_owners_locked_part(
    chronicle: Chronicle, more: int
) -> None:
    """[REP-7], [REP-9]: topping up is never punished."""
    before = {owner: chronicle.standings().explain(Address(owner)) for owner in OWNERS}
    last = chronicle.blocks.pop()
    stood = reputation.low(reputation.Record(blocks=(*chronicle.blocks, last), period_s=DAY_S), ANNA, 0)
    standing = [fact.amount for fact in last.facts if isinstance(fact, chain.BondChanged) and fact.owner == ANNA]
    topped = chain.BondChanged(owner=ANNA, amount=(standing or [stood])[-1] + more)
    chronicle.blocks.append(replace(last, facts=(*last.facts, topped)))
    after = {owner: chronicle.standings().explain(Address(owner)) for owner in OWNERS}
    assert all(after[owner].gathered >= before[owner].gathered for owner in OWNERS)
    assert after[ANNA].locked >= before[ANNA].locked


@settings(max_examples=EXAMPLES)
@given(chronicle=chronicles(), period_s=st.sampled_from(PERIODS_S))
def test_a_counterparty_vouches_for_a_quarter_of_its_bond_at_most(chronicle: Chronicle, period_s: int) -> None:
    """[REP-7]."""
    for owner in OWNERS:
        for vouch in chronicle.standings(period_s).explain(Address(owner)).vouches:
            assert 4 * vouch.counted <= vouch.bond
            assert vouch.counterparty != owner


@settings(max_examples=EXAMPLES)
@given(chronicle=chronicles(), period_s=st.sampled_from(PERIODS_S))
def test_without_a_bond_there_is_no_tier(chronicle: Chronicle, period_s: int) -> None:
    """[REP-12], [REP-13]."""
    last = chronicle.blocks.pop()
    gone = chain.BondChanged(owner=ANNA, amount=0)
    chronicle.blocks.append(replace(last, facts=(*last.facts, gone)))
    standings = chronicle.standings(period_s)
    assert (standings.bond(Address(ANNA)), standings.tier(Address(ANNA))) == (0, 0)
    assert ANNA not in standings.tiers()


# Decay


def test_the_decay_table_is_its_definition_and_the_specs() -> None:
    """[REP-4]."""
    assert [reputation.decay(age) for age in range(1500)] == [*fast.DECAY_Q16, *[0] * 59]
    assert (fast.DECAY_Q16[0], fast.DECAY_Q16[90], fast.DECAY_Q16[1440], len(fast.DECAY_Q16)) == (65536, 32768, 1, 1441)
    block = SPEC.read_text("utf-8").split("```")[1]
    assert [int(number) for number in re.findall(r"\d+", block)] == list(fast.DECAY_Q16[:90])


@pytest.mark.parametrize(("age", "left"), [(0, 1000), (1, 992), (90, 500), (1440, 0), (1441, 0)])
def test_fees_decay_by_days_and_are_rounded_down(age: int, left: int) -> None:
    """[REP-4], [REP-5]."""
    chronicle = bonded().block(trade(ANNA, BERT, 1000)).block(days=age)
    told = chronicle.reference(ANNA)
    assert [vouch.fees for vouch in told.vouches] == ([left] if age <= 1440 else [])
    score(chronicle)


def test_a_day_ends_at_midnight_and_not_after_24_hours() -> None:
    """[REP-2]."""
    to_midnight = DAY_S - GENESIS_S % DAY_S
    chronicle = bonded().block(trade(ANNA, BERT, 65536), seconds=to_midnight - 1)
    assert [vouch.fees for vouch in chronicle.reference(ANNA).vouches] == [65536]
    chronicle.block(seconds=1)
    assert [vouch.fees for vouch in chronicle.reference(ANNA).vouches] == [65033]
    score(chronicle)


def test_roundings_of_one_counterparty_are_not_added_up() -> None:
    """[REP-5]: one floor for a pair, not one for each trade."""
    chronicle = bonded().block(*(trade(ANNA, BERT, 1) for _ in range(1000))).block(days=1)
    assert [vouch.fees for vouch in chronicle.reference(ANNA).vouches] == [992]
    score(chronicle)


# Who vouches


def test_a_trade_with_oneself_vouches_for_nobody() -> None:
    """[REP-5]."""
    chronicle = bonded().block(trade(ANNA, ANNA, 100 * UNIT))
    assert chronicle.reference(ANNA).vouches == ()
    score(chronicle)


def test_a_fee_counts_for_maker_and_taker_alike() -> None:
    """[REP-5]."""
    chronicle = bonded().block(trade(ANNA, BERT, 100 * UNIT))
    assert score(chronicle, ANNA) == score(chronicle, BERT) > 0


def test_a_fee_that_is_one_micro_unit_above_the_cap_counts_as_the_cap() -> None:
    """[REP-7]."""
    chronicle = bonded(40).block(*(trade(ANNA, friend, 11) for friend in FRIENDS))
    assert chronicle.reference(ANNA).gathered == 10 * len(FRIENDS)
    assert score(chronicle) == 50 * 116 // 256 < 55 * 116 // 256


def test_a_bond_that_came_during_the_period_vouches_for_nothing() -> None:
    """[REP-6], [REP-7]."""
    chronicle = Chronicle().block(chain.BondChanged(owner=ANNA, amount=100 * UNIT)).block(days=3)
    chronicle.block(chain.BondChanged(owner=BERT, amount=100 * UNIT), seconds=1)
    chronicle.block(trade(ANNA, BERT, 20 * UNIT), seconds=DAY_S - 1)
    assert chronicle.reference(ANNA).gathered == 0
    assert chronicle.block(seconds=1).reference(ANNA).gathered > 0
    score(chronicle)


def test_a_bond_counts_as_the_least_that_it_was_in_the_period() -> None:
    """[REP-6]: taken out and put back within the period, even within one block."""
    chronicle = bonded(400 * UNIT)
    chronicle.block(*(chain.BondChanged(owner=BERT, amount=units * UNIT) for units in (40, 400)))
    chronicle.block(trade(ANNA, BERT, 100 * UNIT), days=1, seconds=-1)
    assert chronicle.reference(ANNA).gathered == 10 * UNIT
    chronicle.block(seconds=1)
    assert chronicle.reference(ANNA).gathered > 90 * UNIT
    score(chronicle)


def test_a_bond_that_was_lower_by_one_micro_unit_counts_as_that() -> None:
    """[REP-6], [REP-9]."""
    chronicle = bonded(400 * UNIT).block(chain.BondChanged(owner=ANNA, amount=400 * UNIT - 1))
    chronicle.block(chain.BondChanged(owner=ANNA, amount=400 * UNIT), seconds=1).block(seconds=DAY_S - 2)
    told = chronicle.reference(ANNA)
    assert (told.bond, told.locked) == (400 * UNIT - 1, 2 * (400 * UNIT - 1))
    score(chronicle)


@pytest.mark.parametrize(
    ("counted", "neff", "breadth"),
    [
        ([], 0, 32),
        ([0], 0, 32),
        ([5], 1, 60),
        ([5, 5], 2, 88),
        ([5, 6], 1, 60),
        ([7] * 4, 4, 116),
        ([1] * 64, 64, 228),
        ([1] * 127, 127, 228),
        ([1] * 128, 128, 256),
        ([1] * 5000, 5000, 256),
        ([1000, *[1] * 100], 1, 60),
    ],
)
def test_breadth_is_how_many_equal_counterparties_would_spread_as_wide(
    counted: list[int], neff: int, breadth: int
) -> None:
    """[REP-8]."""
    assert reputation.effective_counterparties(counted) == neff
    assert reputation.breadth(neff) == breadth
    told = fast.compute_breadth(sum(counted), sum(each * each for each in counted))
    assert told == (neff, breadth)


# The owner's bond


@pytest.mark.parametrize(("days", "locked_days"), [(0, 0), (1, 1), (100, 100), (365, 365), (2000, 365)])
def test_a_bond_that_never_changed_counts_its_days_up_to_a_year(days: int, locked_days: int) -> None:
    """[REP-9], [REP-10]."""
    chronicle = Chronicle().block(chain.BondChanged(owner=ANNA, amount=100 * UNIT)).block(days=days)
    assert chronicle.reference(ANNA, 60).locked == 100 * UNIT * locked_days
    assert score(chronicle, ANNA, 60) == 100 * UNIT * locked_days // 365 // 20


def test_a_dust_bond_does_not_age_what_is_added_to_it() -> None:
    """[REP-9]."""
    chronicle = Chronicle().block(chain.BondChanged(owner=ANNA, amount=1)).block(days=365)
    chronicle.block(chain.BondChanged(owner=ANNA, amount=1000 * UNIT)).block(days=1)
    assert chronicle.reference(ANNA).locked == 1000 * UNIT + 364
    score(chronicle)


def test_a_top_up_leaves_the_age_of_the_old_part() -> None:
    """[REP-9]."""
    chronicle = Chronicle().block(chain.BondChanged(owner=ANNA, amount=100 * UNIT)).block(days=364)
    chronicle.block(chain.BondChanged(owner=ANNA, amount=101 * UNIT)).block(days=1)
    assert chronicle.reference(ANNA).locked == 365 * 100 * UNIT + UNIT
    score(chronicle)


def test_no_day_counts_for_more_than_the_bond_of_the_period() -> None:
    """[REP-9]: a period of three days, in which the bond was lower two days ago than ever since."""
    chronicle = bonded(400 * UNIT).block(chain.BondChanged(owner=ANNA, amount=40 * UNIT))
    chronicle.block(chain.BondChanged(owner=ANNA, amount=400 * UNIT), seconds=1).block(days=2)
    assert chronicle.reference(ANNA, 3 * DAY_S).locked == 40 * UNIT * 4
    assert chronicle.reference(ANNA, DAY_S).locked == 400 * UNIT * 2 + 40 * UNIT * 2
    score(chronicle, ANNA, DAY_S)
    score(chronicle, ANNA, 3 * DAY_S)


def test_what_was_taken_out_and_put_back_starts_again() -> None:
    """[REP-9]."""
    chronicle = Chronicle().block(chain.BondChanged(owner=ANNA, amount=100 * UNIT)).block(days=300)
    chronicle.block(chain.BondChanged(owner=ANNA, amount=40 * UNIT), days=10)
    chronicle.block(chain.BondChanged(owner=ANNA, amount=100 * UNIT), days=2).block(days=5)
    assert chronicle.reference(ANNA).locked == 40 * UNIT * 317 + 60 * UNIT * 5
    score(chronicle)


# Offences


def test_over_signing_bars_for_180_days() -> None:
    """[REP-12]."""
    chronicle = bonded().block(trade(ANNA, BERT, 90 * UNIT), chain.Slashed(owner=ANNA, amount=0, is_over_signing=True))
    assert chronicle.reference(ANNA).barred_days == 180
    chronicle.block(days=179)
    assert (score(chronicle), chronicle.reference(ANNA).barred_days) == (0, 1)
    chronicle.block(days=1)
    assert score(chronicle) > 0


def test_another_slash_does_not_bar() -> None:
    """[REP-11], [REP-12]."""
    chronicle = bonded().block(trade(ANNA, BERT, 90 * UNIT))
    clean = score(chronicle)
    chronicle.block(chain.Slashed(owner=ANNA, amount=UNIT, is_over_signing=False))
    assert 0 < score(chronicle) < clean


@pytest.mark.parametrize(
    "offence",
    [
        chain.Slashed(owner=ANNA, amount=9 * UNIT, is_over_signing=False),
        chain.DisputeLost(owner=ANNA, amount=9 * UNIT),
        chain.Defaulted(owner=ANNA, ticket=bytes(32), victim=BERT, amount=9 * UNIT),
    ],
)
def test_every_kind_of_offence_weighs_its_amount_on_its_owner_alone(offence: chain.Offence) -> None:
    """[REP-3], [REP-11]."""
    chronicle = bonded().block(trade(ANNA, BERT, 90 * UNIT), days=1)
    victims = score(chronicle, BERT)
    chronicle.block(offence).block(days=90)
    told = chronicle.reference(ANNA)
    assert told.bad == 9 * UNIT // 2
    assert [plain(mark.offence) for mark in told.marks] == [plain(offence)]
    assert score(chronicle) == told.good * (1000 * (told.good + 1) // (told.good + 1 + told.bad * 2)) // 1000
    assert chronicle.reference(BERT).bad == 0 < victims


@pytest.mark.parametrize(
    ("good", "bad", "reached"), [(0, 0, 0), (1, 0, 1), (10**30, 0, 10**30), (999, 500, 499), (8, 1, 6), (9, 10**9, 0)]
)
def test_a_score_is_rounded_down(good: int, bad: int, reached: int) -> None:
    """[REP-1], [REP-12]."""
    assert fast.compute_score(good, bad) == reached


@pytest.mark.parametrize(
    ("reached", "tier"),
    [
        (0, 0),
        (UNIT - 1, 0),
        (UNIT, 1),
        (8 * UNIT - 1, 1),
        (8 * UNIT, 2),
        (64 * UNIT - 1, 2),
        (64 * UNIT, 3),
        (10**30, 3),
    ],
)
def test_tiers_start_at_1_8_and_64_units(reached: int, tier: int) -> None:
    """[REP-13]."""
    assert fast.compute_tier(reached) == reputation.tier(reached) == tier


# Anchors


def test_without_an_anchor_everybody_stands_at_0() -> None:
    """[REP-2]."""
    chronicle = bonded().block(trade(ANNA, BERT, 90 * UNIT))
    assert chronicle.standings(anchor=0).tiers() == {}
    assert chronicle.standings(anchor=0).score(Address(ANNA)) == chronicle.reference(ANNA, anchor=0).score == 0
    assert list(chronicle.standings().tiers()) == [ANNA, BERT]


def test_standings_are_kept_until_the_anchor_moves() -> None:
    """[REP-2]: all of a period has one anchor."""
    ledger = fast_ledger(bonded().block(trade(ANNA, BERT, 90 * UNIT)).blocks)
    kept = fast.Reputation(ledger, DAY_S)
    early, late = kept.at(ledger.block(2)), kept.at(ledger.block(3))
    assert kept.at(ledger.block(3)) is late
    assert (early.tiers(), sorted(late.tiers())) == ({}, [ANNA, BERT])
    assert kept.at(None).tiers() == {}
    assert fast.tiers_at(ledger, ledger.block(3), DAY_S) == late.tiers()
    assert fast.explain(ledger, ledger.block(3), DAY_S, Address(ANNA)) == late.explain(Address(ANNA))


def test_a_ledger_knows_bonds_and_who_was_touched_at_any_block() -> None:
    """[REP-3], [BOOK-1]."""
    slash = chain.Slashed(owner=CARL, amount=5, is_over_signing=False)
    chronicle = Chronicle().block(chain.BondChanged(owner=ANNA, amount=7)).block(slash, seconds=5)
    ledger = fast_ledger(chronicle.block(chain.BondChanged(owner=ANNA, amount=2), seconds=5).blocks)
    assert [ledger.conduct.bond(Address(ANNA), at_block=number) for number in range(4)] == [0, 7, 7, 2]
    assert ledger.touched_owners(0, 3) == (ANNA, CARL)
    assert ledger.touched_owners(1, 2) == (CARL,)
    assert [row.offence.amount for row in ledger.conduct.offences(Address(CARL), at_block=3)] == [5]
    assert ledger.conduct.offences(Address(CARL), at_block=1) == []
    assert (ledger.has_passed(GENESIS_S + 9), ledger.has_passed(GENESIS_S + 10)) == (True, False)
    assert not Ledger({}).has_passed(0)
