"""`orrange book` and `orrange trades`: what a running node sees."""

from itertools import zip_longest
from typing import Annotated, Any

import typer

from orrange_p2p.api.client import call_node
from orrange_p2p.cli.options import AsJson, ConfigFile, DataDir, MarketName, Socket, examples, find_socket
from orrange_p2p.cli.output import console, print_json, rows_table, short_id
from orrange_p2p.cli.units import MarketUnits

BOOK_EPILOG = examples(
    ("orrange book --data-dir alice", "ten levels of each side"),
    ("orrange book --depth 5 --json --data-dir alice", "with the digest that two peers can compare"),
)
TRADES_EPILOG = examples(("orrange trades --limit 20 --data-dir alice", "the newest twenty"))


def book_command(
    market: MarketName = None,
    depth: Annotated[int, typer.Option("--depth", min=1, max=1000, help="Price levels on each side.")] = 10,
    data_dir: DataDir = None,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the order book as of the last epoch the node worked on."""
    params: dict[str, Any] = {"depth": depth}
    if market is not None:
        params["market"] = market
    answer = call_node(find_socket(data_dir, socket, config), "book", params)
    if as_json:
        print_json(answer)
        return
    units = MarketUnits.from_answer(answer["market"], answer["units"])
    if answer["epoch"] is None:
        typer.echo("no epoch has been worked on yet: try again in a few seconds")
        return
    rows = [
        (*_level(units, bid), *reversed(_level(units, ask))) for bid, ask in zip_longest(answer["bids"], answer["asks"])
    ]
    columns = (">orders", f">{units.base}", ">bid", ">ask", f">{units.base}", ">orders")
    title = f"{units.name} in {units.quote}, epoch {answer['epoch']}, book {answer['digest'][:10]}"
    console().print(rows_table(columns, rows, title=title))
    if answer["bids"] and answer["asks"] and answer["bids"][0]["price_ticks"] >= answer["asks"][0]["price_ticks"]:
        typer.echo("Bids at or above asks: one owner's orders never trade with each other; others soon do.")


def _level(units: MarketUnits, level: dict[str, int] | None) -> tuple[str, str, str]:
    if level is None:
        return "", "", ""
    return str(level["orders"]), units.quantity(level["lots"]), units.price(level["price_ticks"])


def trades_command(
    market: MarketName = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="The newest so many.")] = 20,
    data_dir: DataDir = None,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the newest trades, own and others', and whether the chain has settled them."""
    params: dict[str, Any] = {"limit": limit}
    if market is not None:
        params["market"] = market
    answer = call_node(find_socket(data_dir, socket, config), "trades", params)
    if as_json:
        print_json(answer)
        return
    units = MarketUnits.from_answer(answer["market"], answer["units"])
    if not answer["trades"]:
        typer.echo(f"no trades in {units.name} yet")
        return
    rows = [
        (
            str(trade["epoch"]),
            units.price(trade["price_ticks"]),
            units.quantity(trade["lots"]),
            short_id(trade["ticket"]),
            "own" if trade["is_own"] else "",
            "waits" if trade["settled_in_block"] is None else f"block {trade['settled_in_block']}",
        )
        for trade in answer["trades"]
    ]
    columns = (">epoch", f">price {units.quote}", f">quantity {units.base}", "ticket", "", "settled")
    title = "the newest trade" if len(rows) == 1 else f"the newest {len(rows)} trades"
    console().print(rows_table(columns, rows, title=f"{units.name}: {title}"))
