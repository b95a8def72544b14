"""`orrange demo --escrow`: three trades by escrow between two nodes, step by step, and what everybody holds."""

import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import typer

from orrange_p2p.cli.failure import FAILED, INTERRUPTED, Ending
from orrange_p2p.cli.output import console, print_json, print_pairs, rows_table, short_id

if TYPE_CHECKING:
    from orrange_p2p.launch.escrow_demo import EscrowReport

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
    import trio

    from orrange_p2p.launch.escrow_demo import run_escrow_demo
    from orrange_p2p.launch.process import stopping_on_signals

    is_silent = as_json and not sys.stderr.isatty()

    def show(line: str) -> None:
        if not is_silent:
            typer.echo(line, err=as_json)

    async def run() -> "EscrowReport | None":
        async with stopping_on_signals():
            return await run_escrow_demo(seed, on_stage=show, on_step=lambda step: show(f"  {step_line(step)}"))
        return None

    report = trio.run(run)
    if report is None:
        Ending(as_json=as_json).tell(
            "interrupted: both nodes and their chain are stopped, nothing keeps running",
            {"code": "interrupted", "message": "interrupted"},
        )
        return INTERRUPTED
    if as_json:
        print_json(report.as_json())
    else:
        print_escrow_demo(report)
    return 0 if report.is_good else FAILED


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
