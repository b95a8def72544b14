"""`orrange devnet`: one process for each peer, against anvil; kill any of them and start it again."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orrange_p2p.cli.demo import DEFAULT_EVENTS, Events, Flow, Peers, Speed
from orrange_p2p.cli.failure import INTERRUPTED, Ending
from orrange_p2p.cli.options import AsJson, examples

if TYPE_CHECKING:
    from orrange_p2p.launch.devnet import DevnetPlan, PeerRow
    from orrange_p2p.launch.report import Report

PROGRESS_EVERY = 50
EPILOG = (
    examples(
        ("orrange devnet", "replays the flow that comes along"),
        ("orrange devnet --peers 3 --hold --dir net", "stays up: orrange book --data-dir net/peer-0"),
    )
    + "\n\nTo see a peer come back, end its process with kill -9 and run the command printed beside it."
)

Directory = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="Keep all in this empty directory; else it is temporary."),
]
Seed = Annotated[
    str | None,
    typer.Option("--seed", metavar="TEXT", help="All keys derive from it; without it they are random."),
]
Hold = Annotated[bool, typer.Option("--hold", help="Stay up after the flow, until Ctrl-C.")]


def devnet_command(
    peers: Peers = 5,
    events: Events = DEFAULT_EVENTS,
    flow: Flow = None,
    speed: Speed = 8,
    seed: Seed = None,
    directory: Directory = None,
    as_json: AsJson = False,
    hold: Hold = False,
) -> None:
    """Run each peer as a process of its own, against anvil; replay an order flow and check the outcome.

    Prints each peer's process id, data directory and the command that restarts it. Exits with 0 only if every peer
    holds the same book and tickets, every trade settled and no value was made or lost.
    """
    from orrange_p2p.cli.logs import configure_logs
    from orrange_p2p.cli.report import describe_preset
    from orrange_p2p.core.presets import PRESETS
    from orrange_p2p.launch.devnet import DEVNET_PRESET, DevnetPlan
    from orrange_p2p.launch.flow import SYNTHETIC_FLOW, FlowReader
    from orrange_p2p.launch.found import LOT_SATOSHI, TICK_CENTS

    configure_logs("warning")
    reader = FlowReader(flow or SYNTHETIC_FLOW, tick_cents=TICK_CENTS, lot_satoshi=LOT_SATOSHI, limit=events)
    read = tuple(reader)
    plan = DevnetPlan(peers=peers, events=read, speed=speed, seed=seed, directory=directory, skipped=reader.skipped)
    typer.echo(describe_preset(PRESETS[DEVNET_PRESET]), err=as_json)
    report = _run(plan, as_json=as_json, hold=hold)
    if report is None:
        Ending(as_json=as_json).tell(
            "interrupted: the peers and their chain are stopped, nothing keeps running",
            {"code": "interrupted", "message": "interrupted"},
        )
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(0 if report.is_good else 1)


def _run(plan: "DevnetPlan", *, as_json: bool, hold: bool) -> "Report | None":
    """Run the devnet; None if a signal ended it before its report."""
    import trio

    from orrange_p2p.cli.report import print_report
    from orrange_p2p.launch.devnet import open_devnet
    from orrange_p2p.launch.process import stopping_on_signals

    async def run() -> "Report | None":
        report = None
        async with (
            stopping_on_signals(),
            open_devnet(plan, _Lines(all_events=len(plan.events), to_stderr=as_json)) as devnet,
        ):
            report = await devnet.run_flow()
            print_report(report, as_json=as_json)
            if hold:
                typer.echo("Still up; Ctrl-C stops everything.", err=as_json)
                await trio.sleep_forever()
        return report

    return trio.run(run)


class _Lines:
    """Tells how the devnet is doing, a line at a time."""

    def __init__(self, *, all_events: int, to_stderr: bool) -> None:
        self._all_events = all_events
        self._to_stderr = to_stderr

    def on_stage(self, stage: str) -> None:
        self._say(stage)

    def on_progress(self, sent_events: int) -> None:
        if sent_events % PROGRESS_EVERY == 0 or sent_events == self._all_events:
            self._say(f"  {sent_events} of {self._all_events} events sent")

    def on_peers(self, peers: Sequence["PeerRow"]) -> None:
        """A line for each peer, never wrapped or cut, so that its command can be copied."""
        header = ("peer", "pid", "data directory", "restart with")
        rows = [header, *((str(one.number), str(one.pid), str(one.directory), one.restart) for one in peers)]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            self._say("  ".join([*cells, row[3]]))

    def on_peer_gone(self, peer: "PeerRow", exit_code: int) -> None:
        how = f"was ended by {_signal_name(-exit_code)}" if exit_code < 0 else f"ended with code {exit_code}"
        self._say(f"peer {peer.number} (pid {peer.pid}) {how}; restart it with: {peer.restart}")

    def on_peer_back(self, peer: "PeerRow") -> None:
        self._say(f"peer {peer.number} is back; whoever started it stops it")

    def _say(self, line: str) -> None:
        typer.echo(line, err=self._to_stderr)


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in {one.value for one in signal.Signals} else f"signal {number}"
