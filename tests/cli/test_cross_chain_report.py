"""What the cross-chain demo says of how it went; the whole demo is run by tests/functional/test_cross_chain_demo.py."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from orrange_p2p.cli.cross_chain import print_cross_chain
from orrange_p2p.cli.main import app
from orrange_p2p.launch.cross_chain import CrossChainReport, SwapStory

BEFORE = {"BTC": {"alice": 10, "bob": 10, "contract": 0}, "USD": {"alice": 10, "bob": 10, "contract": 0}}
AFTER = {"BTC": {"alice": 7, "bob": 13, "contract": 0}, "USD": {"alice": 15, "bob": 5, "contract": 0}}
COMPLETED = SwapStory(
    name="completed",
    outcomes={"alice": "completed", "bob": "completed"},
    steps=(),
    before=BEFORE,
    after=AFTER,
    expected=AFTER,
)
REFUNDED = SwapStory(
    name="refunded",
    outcomes={"alice": "refunded", "bob": "abandoned"},
    steps=(),
    before=AFTER,
    after=AFTER,
    expected=AFTER,
)
GOOD = CrossChainReport(swaps=(COMPLETED, REFUNDED), duration_s=9)
STUCK = {**AFTER, "USD": {"alice": 10, "bob": 5, "contract": 5}}
MADE = {**AFTER, "USD": {"alice": 16, "bob": 5, "contract": 0}}


def test_a_good_run_is_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert GOOD.is_good
    assert GOOD.value_conserved
    print_cross_chain(GOOD)
    shown = capsys.readouterr().out
    assert [line.split() for line in shown.splitlines() if line.split()[:2] == ["USD", "bob"]] == [
        ["USD", "bob", "10", "5", "5"]
    ]
    assert "conserved to the last unit" in shown
    assert shown.splitlines()[-1].startswith("Two processes swapped between two chains: ")


@pytest.mark.parametrize(
    ("report", "part"),
    [
        (
            replace(GOOD, swaps=(replace(COMPLETED, outcomes={"alice": "completed", "bob": "lost"}), REFUNDED)),
            "the swap that was to be completed was not",
        ),
        (
            replace(GOOD, swaps=(COMPLETED, replace(REFUNDED, outcomes={"alice": "refunded"}))),
            "the swap that was to be refunded was not",
        ),
        (
            replace(GOOD, swaps=(replace(COMPLETED, after=BEFORE), REFUNDED)),
            "the swap that was to be completed was not",
        ),
        (replace(GOOD, swaps=(COMPLETED, replace(REFUNDED, after=STUCK))), "balances on the chains do not add up"),
        (replace(GOOD, swaps=(COMPLETED, replace(REFUNDED, after=MADE))), "balances on the chains do not add up"),
    ],
)
def test_a_bad_run_is_told_for_what_it_is(
    report: CrossChainReport, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not report.is_good
    assert report.as_json()["is_good"] is False
    assert part in report.summary()
    print_cross_chain(report)
    assert capsys.readouterr().out.splitlines()[-1].startswith("Something is wrong: ")


@pytest.mark.parametrize("option", [("--peers", "3"), ("--events", "9"), ("--speed", "2"), ("--keep", "x")])
def test_options_that_would_count_for_nothing_are_wrong_usage(option: tuple[str, str]) -> None:
    result = CliRunner().invoke(app, ["demo", "--cross-chain", *option])
    assert result.exit_code == 2
    assert f"expected no {option[0]} beside --cross-chain" in result.output
