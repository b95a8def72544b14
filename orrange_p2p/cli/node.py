"""`orrange node`: run a node, and ask a running one how it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orrange_p2p.api.client import call_node
from orrange_p2p.cli.options import AsJson, ConfigFile, DataDir, Socket, examples, find_socket
from orrange_p2p.cli.output import print_json, print_pairs

if TYPE_CHECKING:
    from orrange_p2p.config import NodeConfig
    from orrange_p2p.node import Node

app = typer.Typer(
    name="node",
    help="Run a node, and ask a running one how it is.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_LEVELS = ("debug", "info", "warning", "error")


@app.command(
    "run",
    epilog=examples(
        ("orrange node run --config node.toml", "as the file says"),
        ("orrange node run --config node.toml --listen-port 4002", "the command line wins, then ORRANGE_* variables"),
    ),
)
def run_node(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="The node's settings.", show_default=False)],
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", metavar="DIR", help="Where the node keeps all.")
    ] = None,
    listen_host: Annotated[str | None, typer.Option("--listen-host", metavar="ADDRESS", help="Listen here.")] = None,
    listen_port: Annotated[
        int | None, typer.Option("--listen-port", metavar="N", min=0, max=65535, help="Listen here; 0: any free one.")
    ] = None,
    rpc_url: Annotated[
        list[str] | None,
        typer.Option("--rpc-url", metavar="URL", help="JSON-RPC of the chain; repeated, they check each other."),
    ] = None,
    bootstrap: Annotated[
        list[str] | None, typer.Option("--bootstrap", metavar="ADDRESS", help="A peer to connect to; may be repeated.")
    ] = None,
    log_level: Annotated[str, typer.Option("--log-level", metavar="|".join(_LEVELS), help="Least to log.")] = "info",
    log_json: Annotated[
        bool, typer.Option("--log-json", metavar="", help="Log JSON lines instead of text; both to stderr.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a node until Ctrl-C or SIGTERM; what it acknowledged is on disk whatever ends it."""
    if log_level not in _LEVELS:
        raise typer.BadParameter(f"expected one of {', '.join(_LEVELS)}, was {log_level!r}", param_hint="--log-level")
    from orrange_p2p.cli.logs import configure_logs
    from orrange_p2p.config import load_node_config

    given = {
        "data_dir": None if data_dir is None else str(data_dir.absolute()),
        "listen_host": listen_host,
        "listen_port": listen_port,
        "rpc_url": tuple(rpc_url) if rpc_url else None,
        "bootstrap": tuple(bootstrap) if bootstrap else None,
    }
    settings = load_node_config(config, {name: value for name, value in given.items() if value is not None})
    configure_logs(log_level, as_json=log_json)

    import trio

    from orrange_p2p.launch.serve import serve_node

    async def serve() -> None:
        await serve_node(settings, on_started=lambda node: _print_started(node, settings, as_json=as_json))

    trio.run(serve)
    typer.echo("stopped: everything acknowledged is on disk", err=True)


def _print_started(node: "Node", settings: "NodeConfig", *, as_json: bool) -> None:
    from orrange_p2p.net.addresses import peer_text

    identity = node.kernel.identity
    started: dict[str, Any] = {
        "peer_id": peer_text(node.peer_id),
        "addresses": node.addresses(),
        "owner": f"0x{identity.owner.hex()}",
        "session": f"0x{identity.session.hex()}",
        "network": settings.network.name,
        "socket": str(settings.socket_path),
    }
    if as_json:
        print_json(started)
        return
    rows = {name.replace("_", " "): _joined(value) for name, value in started.items()}
    print_pairs(rows)
    typer.echo("Running; Ctrl-C stops it.")


@app.command(
    "status", epilog=examples(("orrange node status --data-dir alice", "who it is, whom it knows, whether it signs"))
)
def node_status(
    data_dir: DataDir = None, socket: Socket = None, config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """Ask a running node who it is, whom it knows and whether it signs."""
    answer = call_node(find_socket(data_dir, socket, config), "status", {})
    if as_json:
        print_json(answer)
        return
    rows = {
        "peer id": answer["peer_id"],
        "addresses": _joined(answer["addresses"]),
        "owner": answer["owner"],
        "session": answer["session"],
        "peers": str(len(answer["peers"])),
        "block": _block(answer["block"], answer["counters"]["chain"]),
        "signs": "yes" if answer["why_not_signing"] is None else f"no: {answer['why_not_signing']}",
        "chain": "answers" if answer["chain_doubt"] is None else f"nothing settles: {answer['chain_doubt']}",
        "endpoints": _endpoints(answer["counters"]["chain"]),
        "settling": _settling(answer["settling"]),
        "gossip dropped": f"{answer['gossip_drops']} messages",
    }
    for market, pending in answer["pending"].items():
        epoch = "no epoch yet" if pending["epoch"] is None else f"epoch {pending['epoch']}"
        rows[market] = (
            f"{epoch}, {sum(pending['heads'].values())} entries of {len(pending['heads'])} sessions, "
            f"{pending['exchanges']} exchanges under way, {pending['unsettled']} trades to settle"
        )
    print_pairs(rows)


def _block(number: int | None, chain: dict[str, Any]) -> str:
    """The newest block read, and how much of the chain stands for good."""
    if number is None:
        return "none yet"
    levels = [(name, chain.get(f"{name}_block")) for name in ("safe", "finalized")]
    return ", ".join([str(number), *(f"{name} up to {block}" for name, block in levels if block is not None)])


def _endpoints(chain: dict[str, Any]) -> str:
    """How each endpoint of the chain does, and whether they are compared."""
    asked: dict[str, Any] = chain.get("endpoints", {})
    rows = [
        f"{one['url']}: {one['failed']} of {one['asked']} questions failed"
        + (f", the last one: {one['last_error']}" if one["last_error"] else "")
        for one in asked.get("endpoints", ())
    ]
    if not rows:
        return "none yet"
    return "\n".join(
        rows if asked["is_cross_checked"] else [*rows, "one endpoint alone is believed: nothing is compared"]
    )


def _settling(counts: dict[str, Any]) -> str:
    text = f"{counts['waiting']} tickets wait, {counts['sent']} sent, {counts['missed']} missed their deadline"
    return f"{text}; held back: {counts['held_back_for']}" if counts["held_back_for"] else text


def _joined(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "\n".join(value)
