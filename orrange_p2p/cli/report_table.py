"""A run's report for people."""

from typing import TYPE_CHECKING

from orrange_p2p.cli.output import pairs_table

if TYPE_CHECKING:
    from rich.table import Table

    from orrange_p2p.core.presets import Preset
    from orrange_p2p.launch.report import Latency, Report


def describe_preset(preset: "Preset") -> str:
    """The constants that all peers of the run share, with their units."""
    return (
        f"preset {preset.name}: epoch {preset.epoch_ms} ms, grace {preset.grace_ms} ms, T_ack {preset.t_ack_ms} ms; "
        f"wait {preset.wait}, K {preset.k}, W {preset.w} epochs; D {preset.ticket_life_s} s, "
        f"L_fund {preset.fund_lag_s} s; quorum {preset.quorum}, degree {preset.degree}"
    )


def report_table(report: "Report") -> "Table":
    """Every figure of a report with its unit."""
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
    return pairs_table(rows)


def _latency(latency: "Latency") -> str:
    if latency.p50 is None:
        return "nothing measured"
    return f"p50 {latency.p50} ms, p99 {latency.p99} ms"
