"""What share of the honest trades happens under each attack: `python -m tests.attacks [--json] [--seeds N]`."""

import argparse
import json
import sys
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.attacks.attacks import ATTACKS, COMING_BETWEEN, WITHOUT_HONEST_FORM
from tests.attacks.street import Outcome, Street


def measure(name: str, seeds: range) -> tuple[list[Outcome], list[Outcome]]:
    """The street under an attack, and the same street with the attackers' orders, honestly kept."""
    under, without = [], []
    for seed in seeds:
        street = Street(seed)
        under.append(street.run(ATTACKS[name](street), between=name in COMING_BETWEEN))
        without.append(control(name, seed))
    return under, without


def control(name: str, seed: int) -> Outcome:
    """What honest orders come to among the same others, if those say all that they should.

    Orders that nothing pays for, and backdated ones, have no honest form: there the others are not there at all.
    """
    street = Street(seed)
    if name in WITHOUT_HONEST_FORM:
        return street.run()
    act = ATTACKS[name](street)
    street.may_lie = False
    street.world.deliver = lambda _source, _target, _message: True
    return street.run(act, between=name in COMING_BETWEEN)


def figure(name: str, under: list[Outcome], without: list[Outcome]) -> dict[str, object]:
    """One figure as a benchmark prints it, with the slowest share beside the median."""
    share, baseline = median(one.share for one in under), median(one.share for one in without)
    return {
        "benchmark": "attacks",
        "figure": f"{name}: share of honest lots traded",
        "value": round(share, 4),
        "unit": "share",
        "baseline": round(baseline, 4),
        "ratio": round(share / baseline, 3),
        "least": round(min(one.share for one in under), 4),
        "median_ms": median(one.median_ms for one in under),
        "median_ms_baseline": median(one.median_ms for one in without),
    }


def main(arguments: list[str]) -> int:
    """Run every attack; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one line a figure")
    parser.add_argument("--seeds", type=int, default=3, help="streets an attack (default 3)")
    chosen = parser.parse_args(arguments)
    table = Table("attack", "share", "without", "least", "median ms", "without", title="honest lots traded")
    for name in ATTACKS:
        found = figure(name, *measure(name, range(1, chosen.seeds + 1)))
        if chosen.json:
            sys.stdout.write(json.dumps(found, sort_keys=True) + "\n")
            sys.stdout.flush()
        keys = ("value", "baseline", "least", "median_ms", "median_ms_baseline")
        table.add_row(name, *(f"{found[key]}" for key in keys))
    if not chosen.json:
        Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
