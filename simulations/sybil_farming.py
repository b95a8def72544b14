"""What it costs to farm the score of an honest median trader with a ring of sybils that trade among themselves.

The honest street comes from `simulations.street`, the scores from `orrange_p2p.core.reputation`. Every member of the
ring trades with every other one, all on the last day, when nothing has decayed, for the least fee with which each
reaches the honest median; each has the least bond that vouches for that fee. An honest trader pays one of the two sides
of its trades, so its fees are half of what its trades sent to the sink; a member's are half of its trades' too. (If
only one account of the ring is to score, all of its fees are for that one: twice the cost.)

- `cost`: a member's fees over the honest median's, both as they count today: what it takes to keep the score.
- `once`: over all that the honest median paid in the year: what it takes to have the score on one day.
- `aged`: as `cost`, if each member has had the honest median's bond for as long as the honest median has.

The same is computed without the bond cap of [REP-7], without the breadth of [REP-8], and without both. The honest
median is then that of the same formula, which does without for honest traders too; `same_score` is `aged` for the score
of the honest median as specified, which is what counts where tiers start at fixed scores.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from orrange_p2p.core.facts import BondChanged, Fact
from orrange_p2p.core.reputation import (
    BREADTH_MAX,
    LOCKED_PER_MICRO_UNIT,
    Explanation,
    compute_breadth,
    compute_score,
)
from simulations.street import UNIT, Street, address, chain_of, settled, standings_of, walk_street

RING_SIZES = (2, 3, 5, 9, 17, 33, 50)
INTERRUPTED = 130
NOTE = """Fees and bonds in units. Costs are a member's fees over the honest median's: cost, as both count today; once,
over all that it paid in the year; aged, as cost, with bonds like the honest median's."""
EXAMPLE = "example: python -m simulations.sybil_farming --traders 500 --seed 11 --json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """The formula of the spec, or one that lacks a part of it."""

    name: str
    has_cap: bool = True
    has_breadth: bool = True


FORMULAS = (
    Formula(name="as specified"),
    Formula(name="no bond cap", has_cap=False),
    Formula(name="no breadth", has_breadth=False),
    Formula(name="neither", has_cap=False, has_breadth=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Honest:
    """The median of a street under a formula. Micro-units, of the traders about the median on average.

    `fees` is what their side of their trades counts for today, `paid` the same before decay, `bond` what they locked,
    for `bond_days`.
    """

    formula: str
    score: int
    fees: int
    paid: int
    bond: int
    bond_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """What a ring costs, an account: fees and bond in micro-units, and the costs told above."""

    formula: str
    size: int
    fees: int
    bond: int
    cost: float
    once: float
    aged: float
    same_score: float


def score_under(formula: Formula, told: Explanation) -> int:
    """An owner's score under a formula."""
    if told.bond == 0 or told.barred_days:
        return 0
    counted = [vouch.counted if formula.has_cap else vouch.fees for vouch in told.vouches]
    gathered = sum(counted)
    _, breadth = compute_breadth(gathered, sum(each * each for each in counted))
    if not formula.has_breadth:
        breadth = BREADTH_MAX
    return compute_score((gathered * breadth >> 8) + told.locked // LOCKED_PER_MICRO_UNIT, told.bad)


def find_median(formula: Formula, everybody: Sequence[Explanation]) -> Honest:
    """The median score of those who have one, and what the tenth of the traders about it have paid and locked."""
    scored = sorted((score_under(formula, told), told.owner, told) for told in everybody if told.vouches and told.bond)
    middle, width = len(scored) // 2, max(1, len(scored) // 20)
    about = [told for _, _, told in scored[max(0, middle - width) : middle + width + 1]]
    return Honest(
        formula=formula.name,
        score=int(statistics.median(score for score, _, _ in scored)),
        fees=int(statistics.mean(sum(vouch.fees for vouch in told.vouches) for told in about)) // 2,
        paid=int(statistics.mean(sum(vouch.paid for vouch in told.vouches) for told in about)) // 2,
        bond=int(statistics.mean(told.bond for told in about)),
        bond_days=int(statistics.mean(told.locked / told.bond for told in about)),
    )


def tell_ring(size: int, pair_fee: int, bond: int, *, bond_days: int = 1, members: int = 1) -> list[Explanation]:
    """The first members of a ring in which every pair paid a fee today and everybody has had a bond for some days.

    Only the trades of these members are laid out: those of the others say nothing of them.
    """
    bonds: list[Fact] = [BondChanged(owner=address(number), amount=bond) for number in range(size)]
    pairs = [(one, other) for one in range(members) for other in range(one + 1, size)]
    trades: list[Fact] = [
        settled(ticket, address(one), address(other), pair_fee) for ticket, (one, other) in enumerate(pairs)
    ]
    standings = standings_of(chain_of([bonds, *[[]] * (bond_days - 1), trades]))
    return [standings.explain(address(number)) for number in range(members)]


def bond_for(formula: Formula, pair_fee: int) -> int:
    """The least bond with which a member vouches for all of a fee; without the cap anything is a bond."""
    return 4 * pair_fee if formula.has_cap else 1


def find_fee(formula: Formula, size: int, score: int, *, bond: int = 0, bond_days: int = 1) -> int:
    """The least fee of a pair with which a ring's members reach a score; they have `bond`, or more if they need it."""

    def is_enough(fee: int) -> bool:
        (told,) = tell_ring(size, fee, max(bond, bond_for(formula, fee)), bond_days=bond_days)
        return score_under(formula, told) >= score

    low, high = 0, 1
    while not is_enough(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def price_ring(formula: Formula, size: int, honest: Honest, specified: Honest) -> Ring:
    """The cheapest ring of a size in which every member has the honest median's score, by two medians."""
    fee = find_fee(formula, size, honest.score)
    aged, same = (
        find_fee(formula, size, median.score, bond=median.bond, bond_days=median.bond_days)
        for median in (honest, specified)
    )
    side_of_all = (size - 1) / 2
    return Ring(
        formula=formula.name,
        size=size,
        fees=int(fee * side_of_all),
        bond=bond_for(formula, fee),
        cost=round(fee * side_of_all / honest.fees, 3),
        once=round(fee * side_of_all / honest.paid, 3),
        aged=round(aged * side_of_all / honest.fees, 3),
        same_score=round(same * side_of_all / specified.fees, 3),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was found."""

    street: Street
    honest: tuple[Honest, ...]
    rings: tuple[Ring, ...]

    def ring(self, formula: Formula, size: int) -> Ring:
        """The ring of a size under a formula."""
        return next(ring for ring in self.rings if (ring.formula, ring.size) == (formula.name, size))


def price_rings(street: Street, sizes: Sequence[int] = RING_SIZES) -> Iterator[Honest | Ring]:
    """Walk the street, then price every ring under every formula; each as it is found."""
    standings = standings_of(walk_street(street))
    everybody = [standings.explain(address(number)) for number in range(street.traders)]
    specified = find_median(FORMULAS[0], everybody)
    for formula in FORMULAS:
        honest = find_median(formula, everybody)
        yield honest
        for size in sizes:
            yield price_ring(formula, size, honest, specified)


def run(street: Street, sizes: Sequence[int] = RING_SIZES, progress: Progress | None = None) -> Report:
    """Price everything."""
    task = progress.add_task("pricing rings", total=len(FORMULAS) * (len(sizes) + 1)) if progress else None
    found: list[Honest | Ring] = []
    for one in price_rings(street, sizes):
        found.append(one)
        if progress and task is not None:
            progress.advance(task)
    return Report(
        street=street,
        honest=tuple(one for one in found if isinstance(one, Honest)),
        rings=tuple(one for one in found if isinstance(one, Ring)),
    )


def _units(amount: int) -> str:
    return f"{amount / UNIT:,.3f}"


def _costs(*costs: float) -> list[str]:
    return [f"{cost:.2f}" for cost in costs]


def print_report(report: Report, console: Console) -> None:
    """The tables for people."""
    honest = Table(title="the honest median", title_justify="left")
    honest.add_column("formula")
    for column in ("score", "fees today", "fees a year", "bond", "its days"):
        honest.add_column(column, justify="right")
    for one in report.honest:
        honest.add_row(one.formula, *map(_units, (one.score, one.fees, one.paid, one.bond)), str(one.bond_days))
    rings = Table(title="rings that reach it, an account", title_justify="left")
    lesser = Table(title="aged, by lesser formulas", title_justify="left")
    names = [formula.name for formula in FORMULAS[1:]]
    for table, columns in (
        (rings, ("ring", "fees", "bond", "cost", "once", "aged")),
        (lesser, ("ring", *names, *(f"{name}, same score" for name in names[1:]))),
    ):
        for column in columns:
            table.add_column(column, justify="right")
    for size in dict.fromkeys(ring.size for ring in report.rings):
        ring, *without = [report.ring(formula, size) for formula in FORMULAS]
        rings.add_row(str(size), _units(ring.fees), _units(ring.bond), *_costs(ring.cost, ring.once, ring.aged))
        lesser.add_row(str(size), *_costs(*(each.aged for each in without), *(each.same_score for each in without[1:])))
    console.print(honest, rings, lesser)
    console.print(NOTE, soft_wrap=True)


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; answers the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m simulations.sybil_farming",
        description="What a ring of sybils pays for the score of an honest median trader.",
        epilog=EXAMPLE,
    )
    parser.add_argument("--traders", type=int, default=Street().traders, metavar="N", help="honest traders, 20 or more")
    parser.add_argument("--days", type=int, default=Street().days, metavar="N", help="days of honest trade, 2 or more")
    parser.add_argument("--seed", type=int, default=Street().seed, metavar="N", help="same seed, same street")
    parser.add_argument("--json", action="store_true", help="print one line of JSON; amounts in micro-units")
    read = parser.parse_args(arguments)
    if read.traders < 20 or read.days < 2:
        parser.error("expected at least 20 traders and 2 days")
    street = Street(traders=read.traders, days=read.days, seed=read.seed)
    notices = Console(stderr=True)
    try:
        with Progress(console=notices, transient=True, disable=not notices.is_terminal) as progress:
            report = run(street, progress=progress)
    except KeyboardInterrupt:
        notices.print("interrupted")
        return INTERRUPTED
    if read.json:
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
    else:
        print_report(report, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
