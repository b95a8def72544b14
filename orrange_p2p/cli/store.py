"""`orrange store`: look at a stopped node's store."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from orrange_p2p.cli.options import AsJson, MarketName, examples
from orrange_p2p.cli.output import print_json, print_pairs

app = typer.Typer(
    name="store",
    help="Look at the store of a node that is not running.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.callback()
def _store() -> None:
    """Look at the store of a node that is not running."""


@app.command(
    "digest",
    epilog=examples(
        ("orrange store digest run/peer-0", "after orrange demo --keep run"),
        ("orrange store digest run/peer-1 --epoch 12 --json", "equal for every store with the same entries"),
    ),
)
def digest_command(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A node's data directory, or its store.", show_default=False)
    ],
    epoch: Annotated[
        int | None, typer.Option("--epoch", metavar="N", min=0, help="As of this epoch instead of the last one.")
    ] = None,
    market: MarketName = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the book from the store alone and print its digest."""
    from orrange_p2p.launch.inspect_store import digest_store

    found = digest_store(directory, market=market, epoch=epoch)
    if as_json:
        tickets = [digest.hex() for digest in found.tickets]
        print_json({**asdict(found), "digest": found.digest.hex(), "tickets": tickets})
        return
    rows = {
        "market": found.market,
        "epoch": f"{found.epoch} of {found.last_epoch}",
        "block": str(found.block),
        "live orders": str(found.orders),
        "entries": str(found.entries),
        "sessions": str(found.sessions),
        "tickets": str(len(found.tickets)),
        "own trades": str(found.trades),
        "settled": str(found.settled),
        "digest": found.digest.hex(),
    }
    print_pairs(rows)
