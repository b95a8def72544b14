"""What the price of sybils is worth: the formula is the core's, the rings are as cheap as they can be."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simulations.street import Street, address, standings_of, walk_street
from simulations.sybil_farming import (
    FORMULAS,
    INTERRUPTED,
    Formula,
    Ring,
    bond_for,
    find_fee,
    find_median,
    main,
    run,
    score_under,
    tell_ring,
)

ROOT = Path(__file__).resolve().parents[2]
SMALL = Street(traders=40, days=60, seed=3)
SIZES = (2, 3, 9)
SPECIFIED, NO_CAP, NO_BREADTH, NEITHER = FORMULAS


def test_arguments_that_make_no_street_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["--traders", "19"], ["--days", "1"], ["--seed", "x"]):
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert ended.value.code == 2
    assert "expected at least 20 traders and 2 days" in capsys.readouterr().err


INTERRUPTED_RUN = """
import signal, sys
from simulations.sybil_farming import main
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.3)
sys.exit(main(["--traders", "5000"]))
"""


def test_an_interrupt_ends_it_cleanly() -> None:
    """In a process of its own: here the interrupt could come inside somebody's hook of the garbage collector."""
    command = [sys.executable, "-c", INTERRUPTED_RUN]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (INTERRUPTED, "", "interrupted")


def test_it_runs_as_a_module_and_says_the_same_twice() -> None:
    command = [sys.executable, "-m", "simulations.sybil_farming", "--traders", "40", "--days", "60", "--json"]
    said = [
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True).stdout
        for _ in range(2)
    ]
    assert said[0] == said[1]
    report = json.loads(said[0])
    assert {ring["formula"] for ring in report["rings"]} == {formula.name for formula in FORMULAS}
    assert {2, 50} < {ring["size"] for ring in report["rings"]}


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "example: python -m simulations.sybil_farming" in " ".join(capsys.readouterr().out.split())


def test_people_get_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--traders", "20", "--days", "30"]) == 0
    said = capsys.readouterr().out
    assert "the honest median" in said
    assert "rings that reach it" in said


def test_the_formula_as_specified_is_the_cores_score() -> None:
    """[REP-7..12]."""
    standings = standings_of(walk_street(SMALL))
    told = [standings.explain(address(number)) for number in range(SMALL.traders)]
    assert [score_under(SPECIFIED, each) for each in told] == [each.score for each in told]
    assert any(each.score for each in told)
    assert all(score_under(NEITHER, each) >= each.score for each in told)


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_ring_pays_the_least_that_takes_every_member_there(formula: Formula) -> None:
    standings = standings_of(walk_street(SMALL))
    honest = find_median(formula, [standings.explain(address(number)) for number in range(SMALL.traders)])
    for size in SIZES:
        fee = find_fee(formula, size, honest.score)
        members = tell_ring(size, fee, bond_for(formula, fee), members=size)
        assert all(score_under(formula, told) >= honest.score for told in members)
        (less,) = tell_ring(size, fee - 1, bond_for(formula, fee - 1))
        assert score_under(formula, less) < honest.score


def test_with_the_cap_a_lower_bond_does_not_vouch() -> None:
    """[REP-7]."""
    fee = 10**6
    (enough,), (less,) = (tell_ring(5, fee, bond) for bond in (4 * fee, 4 * fee - 1))
    assert enough.gathered == 4 * fee
    assert less.gathered == 4 * (fee - 1)


def test_a_wider_ring_costs_an_account_no_more_and_breadth_is_what_makes_a_narrow_one_dear() -> None:
    """[REP-8]."""
    report = run(SMALL, SIZES)

    def rings(formula: Formula) -> list[Ring]:
        return [ring for ring in report.rings if ring.formula == formula.name]

    costs = [ring.cost for ring in rings(SPECIFIED)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > 2 * costs[-1]
    assert len({round(ring.cost, 2) for ring in rings(NO_BREADTH)}) == 1
    assert [ring.cost for ring in rings(NO_CAP)] == pytest.approx(costs, rel=0.01)
    assert all(ring.bond == 1 for ring in rings(NEITHER))
