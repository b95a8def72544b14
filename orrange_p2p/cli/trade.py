"""`orrange trade`: a running node's own trades, and how those by escrow are to be paid."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from orrange_p2p.api.client import call_node
from orrange_p2p.cli.options import AsJson, ConfigFile, DataDir, MarketName, Socket, examples, find_socket
from orrange_p2p.cli.output import console, print_json, print_pairs, rows_table, short_id
from orrange_p2p.cli.units import MarketUnits
from orrange_p2p.errors import OrderError

app = typer.Typer(
    name="trade",
    help="Look at the owner's own trades; pay and be paid for those by escrow.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Ticket = Annotated[
    str, typer.Argument(metavar="TICKET", help="A ticket of yours, or at least six hex digits of its beginning.")
]
MAX_INPUT_CHARACTERS = 4 * 1024
_MEANINGS = {
    "agreed": "signed by both sides; the chain has not taken it yet",
    "settled": "the chain has taken it",
    "skipped": "the chain passed it over",
    "expired": "the chain did not take it in time",
}


@app.command(
    "list",
    epilog=examples(
        ("orrange trade list --data-dir alice", "the newest twenty"),
        ("orrange trade list --limit 500 --json --data-dir alice", "for scripts"),
    ),
)
def list_trades(
    market: MarketName = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="The newest so many.")] = 20,
    data_dir: DataDir = None,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the owner's own trades, newest last, and how far each has come."""
    params: dict[str, Any] = {"limit": limit} | ({"market": market} if market is not None else {})
    answer = call_node(find_socket(data_dir, socket, config), "trade.list", params)
    if as_json:
        print_json(answer)
        return
    units = MarketUnits.from_answer(answer["market"], answer["units"])
    if not answer["trades"]:
        typer.echo(f"no trades of yours in {units.name} yet")
        return
    rows = [
        (
            short_id(trade["ticket"]),
            trade["side"],
            units.price(trade["price_ticks"]),
            units.quantity(trade["lots"]),
            trade["kind"],
            trade["state"] if trade["escrow"] is None else trade["escrow"]["state"],
            _instructions_word(trade, short=True),
        )
        for trade in answer["trades"]
    ]
    columns = ("ticket", "side", f">price {units.quote}", f">{units.base}", "by", "state", "how to pay")
    title = "your newest trade" if len(rows) == 1 else f"your newest {len(rows)} trades"
    console().print(rows_table(columns, rows, title=f"{units.name}: {title}"))


@app.command("show", epilog=examples(("orrange trade show 0x3f9ac2d1b0 --data-dir alice", "all that is known of it")))
def show_trade(
    ticket: Ticket,
    data_dir: DataDir = None,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one of the owner's own trades."""
    answer = call_node(find_socket(data_dir, socket, config), "trade.show", {"ticket": ticket})
    if as_json:
        print_json(answer)
        return
    units, trade = MarketUnits.from_answer(answer["market"], answer["units"]), answer["trade"]
    pairs = {
        "ticket": trade["ticket"],
        "state": f"{trade['state']}: {_MEANINGS[trade['state']]}",
        "market": units.name,
        "trade": f"{trade['side']} {units.quantity(trade['lots'])} {units.base} at {units.price(trade['price_ticks'])} "
        f"{units.quote}, as {trade['role']}",
        "by": trade["kind"],
        "your order": trade["order"],
        "counterparty": trade["counterparty"],
        "agreed at": _time(trade["completed_ms"] // 1000),
        "to settle until": _time(trade["deadline_s"]),
    }
    if trade["escrow"] is not None:
        pairs["in escrow"] = f"{trade['escrow']['state']}, since {_time(trade['escrow']['since_s'])}"
    if trade["settled_in_block"] is not None:
        pairs["settled in"] = f"block {trade['settled_in_block']}"
    if trade["skip_reason"] is not None:
        pairs["skip reason"] = str(trade["skip_reason"])
    if trade["kind"] == "escrow":
        pairs["payment method"] = str(trade["payment_method"])
        pairs["arbitrator"] = trade["arbitrator"]
        pairs["security level"] = str(trade["security"])
        pairs["instructions"] = _instructions_word(trade) or "none yet"
    print_pairs(pairs)


@app.command(
    "instruct",
    epilog=examples(
        ("orrange trade instruct 0x3f9ac2d1b0 --data-dir alice", "asks for the text, which ends with Ctrl-D"),
        ("orrange trade instruct 0x3f9ac2d1b0 --data-dir alice < account.txt", "the text of a file"),
        ("pass show bank | orrange trade instruct 0x3f9ac2d1b0 --data-dir alice", "what another program prints"),
    ),
)
def instruct(
    ticket: Ticket,
    data_dir: DataDir = None,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell the buyer of an escrow trade how to pay; written again, the new text replaces the old one.

    Write up to 1,024 bytes, in several lines if need be, to the standard input, never on the command line.

    Nobody but the buyer's node can read them; it gets them as soon as both nodes are connected.
    """
    path = find_socket(data_dir, socket, config)
    shown = call_node(path, "trade.show", {"ticket": ticket})
    trade, units = shown["trade"], MarketUnits.from_answer(shown["market"], shown["units"])
    if not trade["may_instruct"]:  # before anybody types an account's number
        raise OrderError("ticket", trade["ticket"], "DM-2", f"ticket: {_why_not(trade)}")
    question = f"How is {trade['counterparty']} to pay for your {units.quantity(trade['lots'])} {units.base}?"
    answer = call_node(path, "trade.instruct", {"ticket": trade["ticket"], "text": _read_text(question)})
    if as_json:
        print_json(answer)
        return
    told = answer["instructions"]
    typer.echo(
        f"version {told['version']} of the instructions for {short_id(answer['trade']['ticket'])} is on this node's "
        "disk; "
        + (
            "the buyer's node has it"
            if told["is_delivered"]
            else "the buyer's node gets it as soon as both are connected"
        )
    )


@app.command(
    "instructions",
    epilog=examples(
        ("orrange trade instructions 0x3f9ac2d1b0 --data-dir bob", "how to pay for what bob bought"),
        ("orrange trade instructions 0x3f9ac2d1b0 --data-dir alice", "what alice wrote, and whether bob has it"),
    ),
)
def instructions(
    ticket: Ticket,
    data_dir: DataDir = None,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show how an escrow trade is to be paid: as its buyer what came, as its seller what was written."""
    answer = call_node(find_socket(data_dir, socket, config), "trade.instructions", {"ticket": ticket})
    if as_json:
        print_json(answer)
        return
    trade, told = answer["trade"], answer["instructions"]
    if trade["kind"] != "escrow":
        typer.echo("the two sides of this trade pay each other on the chain: it needs no instructions")
        return
    if told is None:
        hint = "`orrange trade instruct` writes them" if trade["may_instruct"] else "the seller has sent none yet"
        typer.echo(f"no instructions for {short_id(trade['ticket'])}: {hint}")
        return
    typer.echo(f"instructions for {trade['ticket']}, {_instructions_word(trade)}, {_time(told['since_ms'] // 1000)}:")
    typer.echo(told["text"])
    if trade["side"] == "buy" and (warning := _warning(trade)):
        typer.echo(warning, err=True)


def _warning(trade: Mapping[str, Any]) -> str:
    """Why a buyer should not pay now; empty while the chain waits for the payment."""
    if trade["escrow"] is None:
        return f"Nothing is held in escrow for this ticket (it is {trade['state']}): do not pay yet."
    state = trade["escrow"]["state"]
    return "" if state == "open" else f"This trade is {state}: do not pay any more."


def _why_not(trade: Mapping[str, Any]) -> str:
    """Why the owner writes no instructions for a trade."""
    if trade["kind"] != "escrow":
        return "expected a trade by escrow, was one whose sides pay each other on the chain"
    if trade["side"] != "sell":
        return "expected one that you sell in, was one that you buy in"
    return "expected one whose buyer this node knows, was one whose feed is not here yet: try again once it is synced"


def _read_text(question: str) -> str:
    """The standard input without the line ends around it; `question` is for people at a terminal.

    Raises:
        OrderError: it is far too long or no text. The message does not show it.
    """
    if sys.stdin.isatty():
        typer.echo(f"{question} End with Ctrl-D on a line of its own.", err=True)
    try:
        text = sys.stdin.read(MAX_INPUT_CHARACTERS + 1)
    except UnicodeDecodeError:
        raise OrderError("text", "bytes", "DM-1", "text: expected UTF-8, was something else") from None
    if len(text) > MAX_INPUT_CHARACTERS:
        raise OrderError("text", "much", "DM-1", "text: expected at most 1024 bytes, was far more")
    return text.replace("\r\n", "\n").strip("\n")


def _instructions_word(trade: Mapping[str, Any], *, short: bool = False) -> str:
    told = trade["instructions"]
    if told is None:
        return ""
    version = f"v{told['version']}" if short else f"version {told['version']}"
    if trade["side"] == "buy":
        return f"{version}, received"
    if told["is_delivered"]:
        return f"{version}, delivered"
    return f"{version}, {'on its way' if told['is_due'] else 'given up'}"


def _time(unix_s: int) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
