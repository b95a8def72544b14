"""`orrange demo --escrow`: three trades by escrow between two nodes, step by step, and what everybody holds."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orrange_p2p.cli.output import console, print_pairs, rows_table, short_id
from orrange_p2p.cli.story import show_story

if TYPE_CHECKING:
    from orrange_p2p.launch.escrow_report import EscrowReport

TOKENS = {"base": ("BTC", 8), "quote": ("USD", 6)}
"""What the demo's test tokens are called, and their decimals."""
_SENTENCES = {
    "ordered": "place orders that meet, of security level {security}",
    "agreed": "agree on ticket {ticket}",
    "instructed": "has the seller's payment instructions, {characters} characters, sealed on the way",
    "opened": "holds {base} of the seller and a bond of {bond} of each side",
    "mark_paid": "says that it has paid",
    "silent": "let {seconds} seconds pass without paying",
    "release": "lets the base go to the buyer",
    "cancel": "has the base back, and both bonds for the wait",
    "dispute": "says that no payment came, and calls the arbitrator",
    "resolve": "splits base and bonds between the two",
    "saw": "see it as {state}",
}


def show_escrow_demo(seed: str, *, as_json: bool) -> int:
    """Run the escrow demo and print what it came to.

    Args:
        seed: all keys derive from it.
        as_json: one JSON object on one line instead; steps then go to stderr, if a person sees it.

    Returns:
        The exit code: 0 only if all three trades ended as they should and no value was made or lost.
    """
    from orrange_p2p.launch.escrow_demo import run_escrow_demo

    return show_story(
        lambda on_stage, on_step: run_escrow_demo(seed, on_stage=on_stage, on_step=on_step),
        step_line=step_line,
        print_report=print_escrow_demo,
        stopped="both nodes and their chain are stopped",
        as_json=as_json,
    )


def step_line(step: Mapping[str, Any]) -> str:
    """One step of a trade, for a person."""
    shown = {name: short_id(value) if name == "ticket" else value for name, value in step.items()}
    if step["step"] == "opened":
        shown["base"], shown["bond"] = (
            f"{_amount(token, int(units))} {TOKENS[token][0]}"
            for token, units in (("base", step["base"]), ("quote", step["bond"]))
        )
    return f"{step['who']:<7} {_SENTENCES[step['step']].format(**shown)}"


def _amount(token: str, units: int) -> str:
    return f"{Decimal(units).scaleb(-TOKENS[token][1]).normalize():,f}"


def print_escrow_demo(report: "EscrowReport") -> None:
    """Print who held what before and after each trade, how each ended, and last of all the summary."""
    out = console()
    rows = [
        (
            f"{who}, {TOKENS[token][0]}",
            _amount(token, units),
            *(_amount(token, trade.after[token][who]) for trade in report.trades),
        )
        for token, held in report.trades[0].before.items()
        for who, units in held.items()
    ]
    columns = ("holder", ">before", *(f">{trade.name}" for trade in report.trades))
    out.print(rows_table(columns, rows, title="in the vault, before and after each trade"))
    endings = {trade.name: " and ".join(dict.fromkeys(trade.states)) + " on both nodes" for trade in report.trades}
    value = "conserved to the last unit" if report.value_conserved else "NOT CONSERVED"
    print_pairs(endings | {"value": value, "duration": f"{report.duration_s} s"})
    out.print(report.summary(), style="bold green" if report.is_good else "bold red", soft_wrap=True)
