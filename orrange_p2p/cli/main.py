"""`orrange`: the command line. Light to load; a command imports what it needs when it runs."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from orrange_p2p.cli import book, chain, demo, devnet, keys, node, order, reputation, store, swap, trade_steps
from orrange_p2p.cli.failure import Ending

app = typer.Typer(
    name="orrange",
    help="A peer-to-peer crypto exchange: signed orders, one book on every peer, settlement on an EVM chain.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Start here: [bold]orrange demo[/bold] runs five peers and a chain on this machine and shows them trade.",
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version

        typer.echo(f"orrange {version('orrange')}")
        raise typer.Exit


@app.callback()
def _orrange(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Run peers, trade through them, look at them."""


app.command("demo", epilog=demo.EPILOG)(demo.demo_command)
app.command("devnet", epilog=devnet.EPILOG)(devnet.devnet_command)
app.add_typer(node.app)
app.add_typer(order.app)
app.add_typer(trade_steps.app)
app.command("book", epilog=book.BOOK_EPILOG)(book.book_command)
app.command("trades", epilog=book.TRADES_EPILOG)(book.trades_command)
app.command("reputation", epilog=reputation.EPILOG)(reputation.reputation_command)
app.add_typer(keys.app)
app.add_typer(store.app)
app.add_typer(chain.app)
app.add_typer(swap.app)


def main(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: as after the program's name.

    Returns:
        The exit code; nothing is raised.
    """
    with Ending(as_json="--json" in arguments) as ending:
        app(list(arguments), prog_name="orrange")
    return ending.exit_code


def run() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))
