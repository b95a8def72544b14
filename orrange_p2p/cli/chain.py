"""`orrange chain`: deploy a network's contracts, and see what stands of them."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orrange_p2p.cli.options import AsJson, examples
from orrange_p2p.cli.output import print_json, print_pairs
from orrange_p2p.errors import ConfigError

if TYPE_CHECKING:
    from orrange_p2p.chain.network_deploy import Step
    from orrange_p2p.launch.contracts import ContractsReport
    from orrange_p2p.network import NetworkFile

app = typer.Typer(
    name="chain",
    help="Deploy a network's contracts, and see what stands of them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Network = Annotated[
    str,
    typer.Option("--network", metavar="NAME", help="dev, minimal, sepolia, mainnet, or a network file (*.toml)."),
]
RpcUrl = Annotated[
    str | None,
    typer.Option(
        "--rpc-url", metavar="URL", envvar="ORRANGE_RPC_URL", help="JSON-RPC of the chain; else the network's own."
    ),
]


@app.callback()
def _chain() -> None:
    """Deploy a network's contracts, and see what stands of them."""


@app.command(
    "deploy",
    epilog=examples(
        ("orrange chain deploy --network dev --key owner.json", "asks for the passphrase"),
        (
            "orrange chain deploy --network sepolia --rpc-url URL --key owner.json --out sepolia.toml",
            "keeps the result",
        ),
    ),
)
def deploy_command(
    network: Network,
    rpc_url: RpcUrl = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="The key file of who pays; without one, ask for a secret key."),
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option("--passphrase-file", metavar="FILE", help="Read the key file's passphrase from the first line."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the network with its addresses; must not exist.")
    ] = None,
    is_sure: Annotated[
        bool,
        typer.Option("--yes", metavar="", help="Do not ask before spending on a chain that is not for development."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Deploy what is missing of a network's contracts; their addresses follow from its settings alone.

    Repeat it after any failure: what stands is left alone. Anyone may finish a deployment, and nobody can change it.
    """
    import trio

    from orrange_p2p.cli.keys import read_key
    from orrange_p2p.launch.contracts import choose_endpoint, deploy_contracts, plan_file
    from orrange_p2p.network import load_network_file

    file = load_network_file(network)
    url = choose_endpoint(file, rpc_url)
    if out is not None and out.exists():
        raise ConfigError(f"expected no file at {out} yet, was one; choose another name for --out")
    count = len(plan_file(file).blueprints) + 1
    signer = read_key(key, passphrase_file)
    if not is_sure:
        _confirm(file, count)
    shown: list[dict[str, Any]] = []

    def show(step: "Step") -> None:
        shown.append(_step(step))
        if not as_json:
            typer.echo(_step_line(step))

    async def deploy() -> "NetworkFile":
        deployed, _ = await deploy_contracts(file, url, signer, on_step=show)
        return deployed

    with _working(f"Deploying {count} contracts of {file.name}", as_json=as_json):
        deployed = trio.run(deploy)
    _finish(deployed, shown, out, as_json=as_json)


@app.command(
    "status",
    epilog=examples(
        ("orrange chain status --network dev", "what stands at the addresses that its settings lead to"),
        ("orrange chain status --network my.toml --rpc-url URL --json", "for a script"),
    ),
)
def status_command(network: Network, rpc_url: RpcUrl = None, as_json: AsJson = False) -> None:
    """See at each address of a network whether our code stands there, and which settings it answers with."""
    import trio

    from orrange_p2p.launch.contracts import choose_endpoint, inspect_contracts
    from orrange_p2p.network import load_network_file

    file = load_network_file(network)
    url = choose_endpoint(file, rpc_url)

    async def inspect() -> "ContractsReport":
        return await inspect_contracts(file, url)

    report = trio.run(inspect)
    if as_json:
        print_json(_described(file, report))
        return
    _print_status(file, report)


def _confirm(file: "NetworkFile", count: int) -> None:
    """Ask before real coin is spent."""
    import sys

    from orrange_p2p.chain.backend import DEVELOPMENT_CHAIN_ID

    if file.chain_id == DEVELOPMENT_CHAIN_ID:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"expected --yes to spend coin on chain {file.chain_id} without asking, was no --yes")
    typer.confirm(f"Deploy up to {count} contracts of {file.name} on chain {file.chain_id}?", abort=True, err=True)


def _working(what: str, *, as_json: bool) -> AbstractContextManager[object]:
    """A sign of life on the terminal's stderr while the chain makes blocks."""
    if as_json:
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(what)


def _step(step: "Step") -> dict[str, Any]:
    return {
        "name": step.name,
        "address": f"0x{step.address.hex()}",
        "outcome": step.outcome.value,
        "transaction": _hex(step.transaction),
        "block": step.block_number,
        "gas_used": step.gas_used,
    }


def _step_line(step: "Step") -> str:
    line = f"{step.name:<18} 0x{step.address.hex()}  {step.outcome.value}"
    return line if step.gas_used is None else f"{line} in block {step.block_number}, {step.gas_used:,} gas"


def _finish(deployed: "NetworkFile", steps: list[dict[str, Any]], out: Path | None, *, as_json: bool) -> None:
    from orrange_p2p.launch.node_toml import settings_toml

    # Empty lists are left out, so that whoever adds markets can append them.
    settings = {name: value for name, value in deployed.model_dump(mode="json").items() if value not in ([], {}, None)}
    if out is not None:
        out.write_text(settings_toml(settings, comment=f"Written by orrange chain deploy, {deployed.name}."), "utf-8")
    if as_json:
        gas_used = sum(step["gas_used"] or 0 for step in steps)
        print_json({"network": deployed.name, "steps": steps, "gas_used": gas_used, "contracts": settings["contracts"]})
        return
    if out is None:
        typer.echo("\nFor the network's file:\n")
        typer.echo(settings_toml({"contracts": settings["contracts"]}).strip())
    else:
        typer.echo(f"\nWritten to {out}.")


def _described(file: "NetworkFile", report: "ContractsReport") -> dict[str, Any]:
    return {
        "network": file.name,
        "chain_id": file.chain_id,
        "block": report.head.number,
        "time_s": report.head.time_s,
        "recorded": report.is_recorded,
        "complete": report.is_complete,
        "factory_deployed": report.deployed,
        "contracts": {
            status.name: {
                "address": f"0x{status.address.hex()}",
                "code": status.state.value,
                "code_hash": _hex(status.code_hash),
                "settings": {name: _plain(value) for name, value in status.settings.items()},
                "constructor_arguments": _hex(report.arguments.get(status.name)),
            }
            for status in report.contracts
        },
    }


def _print_status(file: "NetworkFile", report: "ContractsReport") -> None:
    recorded = "as the network's file says" if report.is_recorded else "foretold: the network's file names none"
    rows = {
        "network": f"{file.name}, chain {file.chain_id}, block {report.head.number}",
        "addresses": recorded,
    }
    for status in report.contracts:
        settings = [f"{name} = {_plain(value)}" for name, value in status.settings.items()]
        code = "no code" if status.code_hash is None else f"code {status.state.value}, hash 0x{status.code_hash.hex()}"
        rows[status.name] = "\n".join((f"0x{status.address.hex()}", code, *settings))
    print_pairs(rows)
    if not report.is_complete:
        typer.echo(f"Not complete; `orrange chain deploy --network {file.name}` does what is missing.")


def _hex(value: bytes | None) -> str | None:
    return None if value is None else f"0x{value.hex()}"


def _plain(value: object) -> object:
    """A setting as JSON: bytes as hex, and numbers beyond what JSON readers keep exactly as text."""
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return str(value) if isinstance(value, int) and abs(value) >= 2**53 else value
