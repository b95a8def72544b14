"""`orrange demo`: peers and a chain in this process, and what they do, live."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orrange_p2p.cli.failure import INTERRUPTED, Ending
from orrange_p2p.cli.options import AsJson, examples
from orrange_p2p.cli.output import console

if TYPE_CHECKING:
    from rich.console import Console

    from orrange_p2p.cli.watch import DemoWatch
    from orrange_p2p.launch.demo import DemoPlan, DemoState
    from orrange_p2p.launch.report import Report

DEFAULT_EVENTS = 400
DEFAULT_SEED = "first light"
REFRESH_S = 0.4
LINE_EVERY_S = 5
EPILOG = examples(
    ("orrange demo", "replays the flow that comes along"),
    ("orrange demo --peers 3 --events 100 --json", "prints the report as one line"),
    ("orrange demo --flow orders.csv.gz --events 2000 --speed 20", "replays another flow, faster"),
    ("orrange demo --keep run", "keeps the stores: orrange store digest run/peer-0"),
    ("orrange demo --escrow", "two nodes trade by escrow, to a release, a timeout and a dispute"),
    ("orrange demo --cross-chain", "two processes swap between two chains, once to the end, once to a refund"),
)

Peers = Annotated[int, typer.Option("--peers", min=2, max=20, help="Peers, each with an owner of its own.")]
Events = Annotated[int, typer.Option("--events", metavar="N", min=1, help="Replay the first N rows of the flow.")]
Flow = Annotated[
    Path | None,
    typer.Option(
        "--flow",
        metavar="FILE",
        help="CSV, or CSV in gzip: time_ms,action,order_id,side,price_cents,quantity_satoshi. "
        "Without it a synthetic flow of 400 rows.",
    ),
]
Speed = Annotated[
    float, typer.Option("--speed", metavar="X", min=0.1, max=1000, help="Flow time passes X times faster.")
]
Seed = Annotated[str, typer.Option("--seed", metavar="TEXT", help="All keys derive from it: same seed, same owners.")]
Keep = Annotated[
    Path | None, typer.Option("--keep", metavar="DIR", help="Keep the peers' stores in this empty directory.")
]
CrossChain = Annotated[
    bool,
    typer.Option(
        "--cross-chain", metavar="", help="Instead: swaps between two anvil chains; takes --seed and --json only."
    ),
]


Escrow = Annotated[
    bool,
    typer.Option(
        "--escrow", metavar="", help="Instead: trades by escrow of two nodes on anvil; takes --seed and --json only."
    ),
]


def demo_command(
    context: typer.Context,
    peers: Peers = 5,
    events: Events = DEFAULT_EVENTS,
    flow: Flow = None,
    speed: Speed = 8,
    seed: Seed = DEFAULT_SEED,
    keep: Keep = None,
    escrow: Escrow = False,
    cross_chain: CrossChain = False,
    as_json: AsJson = False,
) -> None:
    """Run peers and a chain in this process, replay an order flow, watch it trade, check the outcome.

    Exits with 0 only if every peer holds the same book and tickets, every trade settled and no value was made or lost.
    """
    from orrange_p2p.cli.logs import configure_logs
    from orrange_p2p.cli.report import describe_preset, print_report
    from orrange_p2p.core.presets import PRESETS

    configure_logs("warning")
    if escrow:
        from orrange_p2p.cli.escrow_demo import show_escrow_demo

        _refuse_options_besides(context, "escrow", "seed", "as_json")
        raise typer.Exit(show_escrow_demo(seed, as_json=as_json))
    if cross_chain:
        from orrange_p2p.cli.cross_chain import show_cross_chain

        _refuse_options_besides(context, "cross_chain", "seed", "as_json")
        raise typer.Exit(show_cross_chain(seed, as_json=as_json))
    out = console()
    if not as_json:
        out.print(describe_preset(PRESETS["demo"]), style="dim", soft_wrap=True)
    report = _run(_read_plan(peers, events, flow, speed, seed, keep), as_json=as_json, out=out)
    if report is None:
        Ending(as_json=as_json).tell(
            "interrupted: the peers and their chain are stopped, nothing keeps running",
            {"code": "interrupted", "message": "interrupted"},
        )
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(print_report(report, as_json=as_json, kept=None if keep is None else str(keep / "peer-0")))


def _refuse_options_besides(context: typer.Context, chosen: str, *others: str) -> None:
    """Wrong usage, if an option was given that would count for nothing."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in (chosen, *others) and source is not None and source.name == "COMMANDLINE":
            given, beside = (f"--{one.replace('_', '-')}" for one in (name, chosen))
            raise typer.BadParameter(f"expected no {given} beside {beside}")


def _read_plan(peers: int, events: int, flow: Path | None, speed: float, seed: str, keep: Path | None) -> "DemoPlan":
    from orrange_p2p.launch.demo import DemoPlan
    from orrange_p2p.launch.flow import SYNTHETIC_FLOW, FlowReader
    from orrange_p2p.launch.found import LOT_SATOSHI, TICK_CENTS

    reader = FlowReader(flow or SYNTHETIC_FLOW, tick_cents=TICK_CENTS, lot_satoshi=LOT_SATOSHI, limit=events)
    read = tuple(reader)
    return DemoPlan(peers=peers, seed=seed, events=read, speed=speed, keep=keep, skipped=reader.skipped)


def _run(plan: "DemoPlan", *, as_json: bool, out: "Console") -> "Report | None":
    """Run the demo with whatever view fits; None if a signal ended it."""
    import trio

    from orrange_p2p.cli.watch import DemoWatch
    from orrange_p2p.launch.demo import DemoState, run_demo
    from orrange_p2p.launch.process import stopping_on_signals

    state = DemoState()
    watch = DemoWatch(state, title=f"orrange demo, {plan.peers} peers, one chain", all_events=len(plan.events))

    async def run() -> "Report | None":
        report = None
        async with stopping_on_signals(), trio.open_nursery() as nursery:
            nursery.start_soon(_show, watch, state, as_json, out)
            report = await run_demo(plan, state)
            nursery.cancel_scope.cancel()
        return report

    return trio.run(run)


async def _show(watch: "DemoWatch", state: "DemoState", as_json: bool, out: "Console") -> None:
    """Show progress until cancelled: a screen on a terminal, else lines; with JSON only where a person sees it."""
    if as_json and not sys.stderr.isatty():
        return
    if as_json or not out.is_terminal:
        await _show_lines(watch, state, to_stderr=as_json)
    else:
        await _show_screen(watch, out)


async def _show_lines(watch: "DemoWatch", state: "DemoState", *, to_stderr: bool) -> None:
    import trio

    from orrange_p2p.cli.view import render_line

    stage, due_s = "", trio.current_time()
    while True:
        snapshot = watch.snapshot()
        if state.stage != stage or trio.current_time() >= due_s:
            stage, due_s = state.stage, trio.current_time() + LINE_EVERY_S
            typer.echo(render_line(snapshot), err=to_stderr)
        await trio.sleep(REFRESH_S)


async def _show_screen(watch: "DemoWatch", out: "Console") -> None:
    import trio
    from rich.live import Live

    from orrange_p2p.cli.view import render_screen

    with Live(console=out, auto_refresh=False, transient=True) as live:
        while True:
            live.update(render_screen(watch.snapshot(), out.height), refresh=True)
            await trio.sleep(REFRESH_S)
