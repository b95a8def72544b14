"""`orrange demo --cross-chain`: two swaps between two chains, step by step, and what everybody holds at the end."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orrange_p2p.cli.output import console, print_pairs, rows_table
from orrange_p2p.cli.story import show_story
from orrange_p2p.cli.swap import step_text

if TYPE_CHECKING:
    from orrange_p2p.launch.cross_chain import CrossChainReport


def show_cross_chain(seed: str, *, as_json: bool) -> int:
    """Run the cross-chain demo and print what it came to.

    Args:
        seed: the parties' keys derive from it.
        as_json: one JSON object on one line instead; steps then go to stderr, if a person sees it.

    Returns:
        The exit code: 0 only if both swaps ended as they should and no value was made or lost.
    """
    from orrange_p2p.launch.cross_chain import run_cross_chain

    return show_story(
        lambda on_stage, on_step: run_cross_chain(seed, on_stage=on_stage, on_step=on_step),
        step_line=_step_line,
        print_report=print_cross_chain,
        stopped="both parties and their chains are stopped",
        as_json=as_json,
    )


def _step_line(step: Mapping[str, Any]) -> str:
    party = f"{step['party']:<5} "
    match step["step"]:
        case "agreed":
            return f"{party} both parties hold terms {step['terms']}"
        case "killed":
            return f"{party} {step['whom']}'s process is killed"
        case "advanced":
            return f"{party} {step['seconds']} seconds pass on both chains"
        case "ended":
            return f"{party} ended: {step['outcome']}"
    return party + " " + step_text(step)


def print_cross_chain(report: "CrossChainReport") -> None:
    """Print who held what when, how each swap ended, and last of all the summary."""
    out = console()
    first, last = report.swaps[0], report.swaps[-1]
    rows = [
        (token, holder, f"{units:,}", f"{first.after[token][holder]:,}", f"{last.after[token][holder]:,}")
        for token, held in first.before.items()
        for holder, units in held.items()
    ]
    columns = ("token", "holder", ">before", f">{first.name}", f">{last.name}")
    out.print(rows_table(columns, rows, title="units held, before and after each swap"))
    outcomes = {swap.name: ", ".join(f"{who} {how}" for who, how in swap.outcomes.items()) for swap in report.swaps}
    value = "conserved to the last unit" if report.value_conserved else "NOT CONSERVED"
    print_pairs(outcomes | {"value": value, "duration": f"{report.duration_s} s"})
    out.print(report.summary(), style="bold green" if report.is_good else "bold red", soft_wrap=True)
