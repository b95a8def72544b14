"""Cases for `protocol/vectors/reputation`: chains with one thing in each, and a few thrown ones."""

from collections.abc import Iterator
from random import Random
from typing import Any

from protocol.reference import chain, reputation
from tests.core.conduct_worlds import DAY_S, GENESIS_S, OWNERS, UNIT, Chronicle, bonded, trade
from tests.vectors.world_cases import describe_block, plain

Case = dict[str, Any]
Told = tuple[str, tuple[int, ...], Chronicle]
ANNA, BERT, CARL, DORA, EMIL, FAYE = OWNERS
FRIENDS = (BERT, CARL, DORA, EMIL, FAYE)


def bond_of(owner: bytes, amount: int) -> chain.BondChanged:
    """An owner's whole bond."""
    return chain.BondChanged(owner=owner, amount=amount)


def decay_cases() -> list[Case]:
    """[REP-4]: the first half-life, and where it ends."""
    spans = {"first_half_life": (0, 91), "second_half_life_ends": (178, 183), "last_days": (1438, 1443)}
    return [
        {
            "name": name,
            "rules": ["REP-4"],
            "from_day": plain(start),
            "decay": [plain(reputation.decay(day)) for day in range(start, stop)],
        }
        for name, (start, stop) in spans.items()
    ]


def score_cases() -> list[Case]:
    """One thing in each."""
    told = [*fee_chains(), *bond_chains(), *offence_chains()]
    cases = [case_of(name, rules, chronicle) for name, rules, chronicle in told]
    traded = bonded().block(trade(ANNA, BERT, 90 * UNIT))
    cases.append(case_of("no_anchor", (2,), traded, anchor=0))
    later = bonded().block(trade(ANNA, BERT, 90 * UNIT)).block(trade(ANNA, CARL, 90 * UNIT), bond_of(ANNA, 0), days=1)
    cases.append(case_of("facts_after_the_anchor", (2,), later, anchor=3))
    short = Chronicle().block(bond_of(ANNA, UNIT)).block(bond_of(BERT, 100 * UNIT), seconds=59)
    short.block(trade(ANNA, BERT, UNIT), seconds=60)
    cases.append(case_of("a_period_of_a_minute", (6,), short, period_s=60))
    dipped = bonded().block(bond_of(ANNA, 40 * UNIT)).block(bond_of(ANNA, 400 * UNIT), seconds=1).block(days=2)
    cases.append(case_of("a_period_of_three_days_caps_each_day", (6, 9), dipped, period_s=3 * DAY_S))
    return cases


def fee_chains() -> Iterator[Told]:
    """Fees, decay, breadth and tiers."""
    yield "one_counterparty", (5, 7, 8, 10), bonded().block(trade(ANNA, BERT, 90 * UNIT))
    yield "maker_and_taker_alike", (5,), bonded().block(trade(ANNA, BERT, UNIT), trade(BERT, ANNA, UNIT))
    yield "a_trade_with_oneself", (5,), bonded().block(trade(ANNA, ANNA, 90 * UNIT))
    yield "a_trade_without_a_fee", (5,), bonded().block(trade(ANNA, BERT, 0))
    dust = (trade(ANNA, BERT, 1) for _ in range(5))
    yield "dust_of_a_pair_is_rounded_once", (1, 5), bonded().block(*dust).block(days=1)
    yield "half_after_90_days", (4, 5), bonded().block(trade(ANNA, BERT, 65537)).block(days=90)
    yield "nothing_after_1441_days", (4, 5), bonded().block(trade(ANNA, BERT, 90 * UNIT)).block(days=1441)
    to_midnight = DAY_S - GENESIS_S % DAY_S
    yield (
        "a_day_ends_at_midnight",
        (2,),
        bonded().block(trade(ANNA, BERT, UNIT), seconds=to_midnight - 1).block(seconds=1),
    )
    yield (
        "vouched_up_to_a_quarter_of_a_bond",
        (7,),
        bonded().block(bond_of(BERT, 7)).block(trade(ANNA, BERT, UNIT), days=2),
    )
    for count in (2, 3, 4, 5):
        trades = (trade(ANNA, friend, 30 * UNIT) for friend in FRIENDS[:count])
        yield f"{count}_equal_counterparties", (8,), bonded().block(*trades)
    uneven = (trade(ANNA, friend, fee * UNIT) for friend, fee in zip(FRIENDS, (90, 30, 9, 3, 1), strict=True))
    yield "uneven_counterparties", (8,), bonded().block(*uneven)
    for fee, name in ((4_266_666, "just_below_tier_1"), (4_266_667, "just_tier_1")):
        yield name, (13,), bonded(18 * UNIT, days=1).block(bond_of(ANNA, 1)).block(trade(ANNA, BERT, fee), days=1)
    for fee in (40, 290):
        yield f"fees_of_{fee}_units", (13,), bonded(2000 * UNIT, days=1).block(trade(ANNA, BERT, fee * UNIT))


def bond_chains() -> Iterator[Told]:
    """Bonds: whether they were there, and for how long."""
    yield "no_bond", (6, 12), bonded().block(bond_of(ANNA, 0)).block(trade(ANNA, BERT, 90 * UNIT), days=2)
    fresh = Chronicle().block(bond_of(ANNA, UNIT)).block(days=3).block(bond_of(BERT, 100 * UNIT))
    yield "a_bond_that_came_during_the_period", (6,), fresh.block(trade(ANNA, BERT, UNIT), seconds=DAY_S - 1)
    dipped = bonded().block(bond_of(BERT, 40 * UNIT), bond_of(BERT, 400 * UNIT), seconds=1)
    yield "a_bond_out_and_back_in_one_block", (2, 6), dipped.block(trade(ANNA, BERT, 90 * UNIT), seconds=DAY_S - 1)
    settled = bonded().block(bond_of(BERT, 40 * UNIT), bond_of(BERT, 400 * UNIT), seconds=1)
    yield "a_block_at_the_start_of_the_period_counts_at_its_end", (6,), settled.block(seconds=DAY_S)
    for days in (1, 100, 365, 700):
        yield f"a_bond_of_{days}_days", (9, 10), Chronicle().block(bond_of(ANNA, 73 * UNIT)).block(days=days)
    aged = Chronicle().block(bond_of(ANNA, 1)).block(days=365)
    yield "dust_does_not_age_what_is_added", (9,), aged.block(bond_of(ANNA, 1000 * UNIT)).block(days=1)
    topped = Chronicle().block(bond_of(ANNA, 100 * UNIT)).block(days=364)
    yield "a_top_up_leaves_the_old_age", (9,), topped.block(bond_of(ANNA, 101 * UNIT)).block(days=1)
    reset = Chronicle().block(bond_of(ANNA, 100 * UNIT)).block(bond_of(ANNA, 40 * UNIT), days=310)
    yield "put_back_starts_again", (9,), reset.block(bond_of(ANNA, 100 * UNIT), days=2).block(days=5)


def offence_chains() -> Iterator[Told]:
    """Offences of every kind, and what is left of them."""
    offences: dict[str, chain.Offence] = {
        "slashed": chain.Slashed(owner=ANNA, amount=9 * UNIT, is_over_signing=False),
        "dispute_lost": chain.DisputeLost(owner=ANNA, amount=9 * UNIT),
        "defaulted": chain.Defaulted(owner=ANNA, ticket=bytes(32), victim=BERT, amount=9 * UNIT),
    }
    for name, offence in offences.items():
        yield name, (3, 11, 12), bonded().block(trade(ANNA, BERT, 90 * UNIT), offence).block(days=90)
    yield "three_offences", (1, 11, 12), bonded().block(trade(ANNA, BERT, 90 * UNIT), *offences.values())
    more = chain.DisputeLost(owner=ANNA, amount=10**30)
    yield "more_bad_than_good", (12,), bonded().block(trade(ANNA, BERT, 90 * UNIT), more)
    proof = chain.Slashed(owner=ANNA, amount=0, is_over_signing=True)
    for days in (0, 179, 180):
        yield (
            f"over_signed_{days}_days_ago",
            (12,),
            bonded().block(trade(ANNA, BERT, 90 * UNIT), proof).block(days=days),
        )


def case_of(
    name: str, rules: tuple[int, ...], chronicle: Chronicle, *, period_s: int = DAY_S, anchor: int | None = None
) -> Case:
    """What the reference says of the owners who have facts in a chain, at a block; 0 is none, None the last one."""
    last = len(chronicle.blocks) if anchor is None else anchor
    told = [chronicle.reference(owner, period_s, last) for owner in (ANNA, BERT)]
    return {
        "name": name,
        "rules": [f"REP-{rule}" for rule in rules],
        "period_s": plain(period_s),
        "anchor": plain(last) if last else None,
        "blocks": [describe_block(block) for block in chronicle.blocks],
        "owners": [describe(each) for each in told],
    }


def describe(told: reputation.Explanation) -> Case:
    """An explanation, offences with their kind."""
    marks = [
        plain(mark) | {"offence": {"kind": type(mark.offence).__name__} | plain(mark.offence)} for mark in told.marks
    ]
    return plain(told) | {"marks": marks}


def thrown_cases() -> list[Case]:
    """Everything at once."""
    rules = tuple(range(1, 14))
    return [
        case_of(f"thrown_{seed}", rules, throw(Random(seed)), period_s=(60, DAY_S, 3 * DAY_S)[seed % 3])
        for seed in range(6)
    ]


def throw(dice: Random) -> Chronicle:
    """A chain of some years in which everybody bonds, trades with the others, and offends now and then."""
    chronicle = Chronicle()
    for owner in OWNERS:
        chronicle.block(bond_of(owner, dice.randint(1, 500) * UNIT), days=dice.randint(0, 40))
    for _ in range(12):
        facts: list[chain.Fact] = [
            trade(*dice.sample(OWNERS, 2), sink_fee=dice.randint(1, 40 * UNIT)) for _ in range(dice.randint(0, 4))
        ]
        if dice.random() < 0.3:
            facts.append(bond_of(dice.choice(OWNERS), dice.randint(1, 500) * UNIT))
        if dice.random() < 0.2:
            facts.append(chain.DisputeLost(owner=dice.choice(OWNERS), amount=dice.randint(1, 9 * UNIT)))
        chronicle.block(*facts, days=dice.choice((0, 1, 7, 30, 100)), seconds=dice.randint(0, DAY_S))
    return chronicle
