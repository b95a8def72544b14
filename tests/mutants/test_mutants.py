"""The table of faults fits the tree, and the harness tells what is caught from what is not."""

import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants import __main__ as program
from tests.mutants.__main__ import ROOT, copy_tree, planted
from tests.mutants.faults import FAULTS, Fault

PLACE = "orrange_p2p/core/ranges.py"
QUICK = ("tests/core/test_ranges.py",)
CAUGHT = Fault("ranges never overlap", PLACE, "return one[0] < other[1] and", "return False and", QUICK)
MISSED = Fault("a word of a docstring", PLACE, "share a lot", "have a lot in common", QUICK)
BROKEN = Fault("it does not even import", PLACE, "def overlaps(", "def overlap_s(", QUICK)


def test_there_are_more_than_ten_faults_each_named_once() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) > 10


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_has_its_place_and_makes_another_program(fault: Fault) -> None:
    sound = (ROOT / fault.path).read_text("utf-8")
    assert ast.dump(ast.parse(planted(sound, fault))) != ast.dump(ast.parse(sound))
    assert all((ROOT / test.split("::")[0]).exists() for test in fault.tests)


@pytest.mark.parametrize("text", ["nothing of it", "def x(): pass\ndef x(): pass"])
def test_a_fault_without_one_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected its place once"):
        planted(text, Fault("any", "any.py", "def x()", "def y()", ()))


def test_caught_missed_and_not_run_are_told_apart_and_the_tree_stays_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = (ROOT / PLACE).read_text("utf-8")
    assert program.main(["--json"], (CAUGHT, MISSED, BROKEN)) == 1
    shown = capsys.readouterr()
    verdicts = [json.loads(line) for line in shown.out.splitlines()]
    assert [verdict["outcome"] for verdict in verdicts] == ["caught", "missed", "not run"]
    assert verdicts[0]["test"].startswith("tests/core/test_ranges.py::")
    assert shown.err == "1 of 3 faults caught\n"
    assert (ROOT / PLACE).read_text("utf-8") == before


def test_all_caught_is_told_by_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--only", "never"], (CAUGHT, MISSED)) == 0
    assert "caught: ranges never overlap" in capsys.readouterr().out


def test_a_test_that_fails_without_a_fault_catches_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def copy_spoilt(folder: Path) -> Path:
        tree = copy_tree(folder)
        (tree / PLACE).write_text(planted((tree / PLACE).read_text("utf-8"), CAUGHT), "utf-8")
        return tree

    monkeypatch.setattr(program, "copy_tree", copy_spoilt)
    assert program.main([], (MISSED,)) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("missed: a word of a docstring")
    assert "fails without a fault, left out: tests/core/test_ranges.py::" in shown.err


def test_tests_that_cannot_be_run_prove_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = replace(MISSED, tests=("tests/core/test_nowhere.py",))
    assert program.main([], (nowhere,)) == 2
    assert "expected to run tests/core/test_nowhere.py without a fault, was exit code 4" in capsys.readouterr().err
