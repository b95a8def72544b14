"""The end of a run: its report, for people or for scripts, and the exit code it comes to."""

from typing import TYPE_CHECKING

from orrange_p2p.cli.failure import FAILED
from orrange_p2p.cli.output import console, print_json, print_pairs

if TYPE_CHECKING:
    from orrange_p2p.core.presets import Preset
    from orrange_p2p.launch.report import Latency, Report


def describe_preset(preset: "Preset") -> str:
    """The constants that all peers of the run share, with their units."""
    return (
        f"preset {preset.name}: epoch {preset.epoch_ms} ms, grace {preset.grace_ms} ms, T_ack {preset.t_ack_ms} ms; "
        f"wait {preset.wait}, K {preset.k}, W {preset.w} epochs; D {preset.ticket_life_s} s, "
        f"L_fund {preset.fund_lag_s} s; quorum {preset.quorum}, degree {preset.degree}"
    )


def print_report(report: "Report", *, as_json: bool, kept: str | None = None) -> int:
    """Print every figure, and last of all the summary.

    Args:
        report: what the run came to.
        as_json: one JSON object on one line instead.
        kept: a peer's directory that stays behind, if any.

    Returns:
        The exit code: 0 only for a good report.
    """
    if as_json:
        print_json({**report.as_json(), "is_good": report.is_good, "summary": report.summary()})
    else:
        print_pairs(_rows(report))
        out = console()
        if kept is not None:
            out.print(f"The stores are kept; look at one with: orrange store digest {kept}", soft_wrap=True)
        out.print(report.summary(), style="bold green" if report.is_good else "bold red", soft_wrap=True)
    return 0 if report.is_good else FAILED


def _rows(report: "Report") -> dict[str, str]:
    paths = ", ".join(f"{count} {path}" for path, count in report.by_path.items())
    rows = {
        "orders": f"{report.orders} placed, {report.cancels} cancelled, {report.refused} refused, "
        f"{report.skipped} skipped",
        "feed entries": str(report.entries),
        "trades": f"{report.tickets}: {paths}",
        "settled": f"{report.settled} on the chain, {report.unsettled} not",
        "agreed after": _latency(report.order_to_ticket_ms),
        "settled after": _latency(report.ticket_to_chain_ms),
        "gossip": f"{report.gossip_drops} messages dropped",
        "duration": f"{report.duration_s} s",
        "book": report.book_digest,
        "books": "equal on every peer" if report.books_equal else "NOT EQUAL",
        "tickets": "equal on every peer" if report.tickets_equal else "NOT EQUAL",
        "value": "conserved to the last unit" if report.value_conserved else "NOT CONSERVED",
    }
    for name, count in (("not sent", report.unsent), ("not answered", report.unanswered)):
        if count:
            rows[name] = f"{count} events"
    if report.peers_gone:
        rows["peers gone"] = ", ".join(f"peer-{number}" for number in report.peers_gone)
    return rows


def _latency(latency: "Latency") -> str:
    if latency.p50 is None:
        return "nothing measured"
    return f"p50 {latency.p50} ms, p99 {latency.p99} ms"
