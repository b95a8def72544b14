"""What the escrow demo says of how it went; the whole demo is run by tests/functional/test_escrow_demo.py."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from orrange_p2p.cli.escrow_demo import print_escrow_demo, step_line
from orrange_p2p.cli.main import app
from orrange_p2p.core.escrow import EscrowState, EscrowTrade
from orrange_p2p.core.types import Address, MarketId, TicketDigest
from orrange_p2p.launch.escrow_books import expect_end
from orrange_p2p.launch.escrow_report import ENDINGS, EscrowReport, EscrowStory
from orrange_p2p.launch.escrow_steps import Split

SPLIT = Split(seller_base_bps=3_333, seller_bonds_bps=6_000)
BEFORE = {
    "base": {"seller": 100, "buyer": 0, "judge": 0, "escrow": 0},
    "quote": {"seller": 50, "buyer": 60, "judge": 0, "escrow": 0},
}
TRADE = EscrowTrade(
    ticket=TicketDigest(b"\x3f" * 32),
    market=MarketId(b"m" * 32),
    seller=Address(b"s" * 20),
    buyer=Address(b"b" * 20),
    base=Address(b"\xba" * 20),
    quote=Address(b"\xc0" * 20),
    base_amount=100,
    bond_amount=7,
    payment_method=1,
    arbitrator=Address(b"j" * 20),
    security=1,
    matched_at_s=0,
)


def story(name: str) -> EscrowStory:
    """A trade that ended as it should."""
    after = expect_end(BEFORE, TRADE, ENDINGS[name], SPLIT)
    state = ENDINGS[name].name.lower()
    return EscrowStory(
        name=name,
        ticket=f"0x{TRADE.ticket.hex()}",
        states=(state, state),
        is_instructed=True,
        steps=(),
        before=BEFORE,
        after=after,
        expected=after,
    )


GOOD = EscrowReport(trades=tuple(story(name) for name in ENDINGS), duration_s=40)


@pytest.mark.parametrize(
    ("ending", "base", "quote"),
    [
        (EscrowState.RELEASED, (0, 100), (50, 60)),
        (EscrowState.CANCELLED, (100, 0), (57, 53)),
        (EscrowState.RESOLVED, (33, 67), (51, 59)),  # a third of the base and 8.4 of 14, both rounded down
    ],
)
def test_every_end_gives_each_side_its_part(ending: EscrowState, base: tuple[int, int], quote: tuple[int, int]) -> None:
    after = expect_end(BEFORE, TRADE, ending, SPLIT)
    assert (after["base"]["seller"], after["base"]["buyer"]) == base
    assert (after["quote"]["seller"], after["quote"]["buyer"]) == quote
    assert after["base"]["escrow"] == after["quote"]["escrow"] == 0


def test_a_good_run_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert GOOD.is_good
    print_escrow_demo(GOOD)
    shown = capsys.readouterr().out
    assert "one trade was released, one timed out, one was split in a dispute" in shown
    assert "released on both nodes" in shown
    assert GOOD.as_json()["trades"][2]["is_good"] is True


@pytest.mark.parametrize(
    "broken",
    [
        replace(GOOD.trades[0], states=("released", "paid")),
        replace(GOOD.trades[0], is_instructed=False),
        replace(GOOD.trades[0], after=BEFORE),
    ],
)
def test_whatever_went_wrong_is_named(broken: EscrowStory) -> None:
    report = replace(GOOD, trades=(broken, *GOOD.trades[1:]))
    assert not report.is_good
    assert "the trade that was to end by release did not" in report.summary()


def test_value_that_is_left_in_the_escrow_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    stuck = {"base": BEFORE["base"], "quote": {"seller": 43, "buyer": 53, "judge": 0, "escrow": 14}}
    last = replace(GOOD.trades[2], after=stuck, expected=stuck)
    report = replace(GOOD, trades=(*GOOD.trades[:2], last))
    assert not report.value_conserved
    print_escrow_demo(report)
    assert "NOT CONSERVED" in capsys.readouterr().out
    assert "balances on the chain do not add up" in report.summary()


def test_steps_are_told_in_tokens() -> None:
    step = {"who": "chain", "step": "opened", "base": "50000000", "bond": "1000000000"}
    assert step_line(step) == "chain   holds 0.5 BTC of the seller and a bond of 1,000 USD of each side"


@pytest.mark.parametrize("option", ["--peers", "--speed"])
def test_options_of_another_demo_are_refused(option: str) -> None:
    result = CliRunner().invoke(app, ["demo", "--escrow", option, "3"])
    assert result.exit_code == 2
    assert f"expected no {option} beside --escrow" in result.output
