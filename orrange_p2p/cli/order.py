"""`orrange order`: place, cancel and list the orders of a running node's owner."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from orrange_p2p.api.client import call_node
from orrange_p2p.cli.options import AsJson, ConfigFile, DataDir, MarketName, Socket, examples, find_socket
from orrange_p2p.cli.output import console, print_json, rows_table, short_id
from orrange_p2p.cli.units import MarketUnits
from orrange_p2p.errors import ConfigError, OrderError

app = typer.Typer(
    name="order",
    help="Place, cancel and list orders through a running node.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MIN_PREFIX = 6
_UNIX_START = datetime(1970, 1, 1, tzinfo=UTC)


@app.command(
    "place",
    epilog=examples(
        ("orrange order place buy 235.62 1.5 --data-dir alice", "rests until filled or cancelled"),
        ("orrange order place sell 235.40 0.25 --tif IOC --data-dir alice", "trades soon or not at all"),
        ("orrange order place buy 235.62 1.5 --expiry 10m --data-dir alice", "ends after ten minutes"),
    ),
)
def place_order(
    side: Annotated[str, typer.Argument(metavar="SIDE", help="buy or sell.", show_default=False)],
    price: Annotated[str, typer.Argument(metavar="PRICE", help="Limit price, quote for one base.")],
    quantity: Annotated[str, typer.Argument(metavar="QUANTITY", help="How much base.")],
    market: MarketName = None,
    tif: Annotated[
        str,
        typer.Option("--tif", metavar="GTC|IOC", help="Rest until cancelled, or trade at once and cancel the rest."),
    ] = "GTC",
    expiry: Annotated[
        str | None,
        typer.Option(
            "--expiry", metavar="WHEN", help="A duration (30s, 10m, 2h, 7d), unix seconds, or 2030-01-31T12:00:00Z."
        ),
    ] = None,
    data_dir: DataDir = None,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Place a limit order; it is on the node's disk and on its way when this returns."""
    for field, value, known in (("SIDE", side.lower(), ("buy", "sell")), ("--tif", tif.upper(), ("GTC", "IOC"))):
        if value not in known:
            raise typer.BadParameter(f"expected {' or '.join(known)}, was {value!r}", param_hint=field)
    path = find_socket(data_dir, socket, config)
    expiry_s = 0 if expiry is None else parse_expiry(expiry)
    units = ask_units(path, market)
    price_ticks, quantity_lots = units.price_ticks(price), units.quantity_lots(quantity)
    params = {
        "market": units.name,
        "side": side.lower(),
        "price_ticks": price_ticks,
        "quantity_lots": quantity_lots,
        "tif": tif.upper(),
        "expiry_s": expiry_s,
    }
    answer = call_node(path, "order.place", params)
    if as_json:
        print_json({**params, **answer, "price": units.price(price_ticks), "quantity": units.quantity(quantity_lots)})
        return
    typer.echo(
        f"placed {answer['order_id']}: {side.lower()} {units.quantity(quantity_lots)} {units.base} at "
        f"{units.price(price_ticks)} {units.quote}, {tif.upper()}"
        + (f", until {datetime.fromtimestamp(expiry_s, UTC):%Y-%m-%dT%H:%M:%SZ}" if expiry_s else "")
    )


@app.command(
    "cancel",
    epilog=examples(("orrange order cancel 0x3f9ac2d1b0 --data-dir alice", "the id as `orrange order list` shows it")),
)
def cancel_order(
    order_id: Annotated[str, typer.Argument(metavar="ID", help="The order's id, or the beginning of it.")],
    market: MarketName = None,
    data_dir: DataDir = None,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a live order; lots already agreed in a ticket still settle."""
    path = find_socket(data_dir, socket, config)
    params = {"market": market} if market is not None else {}
    answer = call_node(path, "order.cancel", {**params, "order_id": _whole_id(path, params, order_id.lower())})
    if as_json:
        print_json(answer)
        return
    typer.echo(f"cancelled {answer['order_id']}")


@app.command("list", epilog=examples(("orrange order list --data-dir alice", "with what of each is still open")))
def list_orders(
    market: MarketName = None,
    data_dir: DataDir = None,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the owner's live orders, oldest first."""
    path = find_socket(data_dir, socket, config)
    answer = call_node(path, "order.list", {"market": market} if market is not None else {})
    if as_json:
        print_json(answer)
        return
    units = MarketUnits.from_answer(answer["market"], answer["units"])
    if not answer["orders"]:
        typer.echo(f"no live orders in {units.name}")
        return
    rows = [
        (
            short_id(order["order_id"]),
            order["side"],
            units.price(order["price_ticks"]),
            units.quantity(order["quantity_lots"]),
            units.quantity(order["free_lots"]),
            order["tif"],
            _state(order["is_matchable"]),
        )
        for order in answer["orders"]
    ]
    columns = ("id", "side", f">price {units.quote}", f">quantity {units.base}", ">open", "tif", "state")
    console().print(rows_table(columns, rows, title=f"{units.name}: {len(rows)} live orders"))


def ask_units(path: Path, market: str | None) -> MarketUnits:
    """The units of a market of a running node, the only one if none is named.

    Raises:
        ConfigError: no node answers, no such market, or several and none is named.
    """
    markets = call_node(path, "markets", {})["markets"]
    known = ", ".join(one["name"] for one in markets)
    if market is None and len(markets) > 1:
        raise ConfigError(f"expected --market with one of {known}, was none")
    for one in markets:
        if market in (None, one["name"]):
            return MarketUnits.from_answer(one["name"], one["units"])
    raise ConfigError(f"expected --market with one of {known}, was {market}")


def parse_expiry(text: str, *, now_s: int | None = None) -> int:
    """Unix seconds of a written expiry.

    Args:
        text: a duration from now, unix seconds, or an ISO time with its zone.
        now_s: the time now; this machine's clock if None.

    Raises:
        OrderError: none of these.
    """
    if duration := _DURATION.fullmatch(text):
        import time

        now_s = int(time.time()) if now_s is None else now_s
        return now_s + int(duration[1]) * _UNIT_S[duration[2]]
    if text.isascii() and text.isdigit() and len(text) <= 19:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        message = (
            f"expiry: expected a duration like 10m, unix seconds or a time like 2030-01-31T12:00:00Z, was {text!r}"
        )
        raise OrderError("expiry", text, "ORD-6", message)
    return (moment - _UNIX_START) // timedelta(seconds=1)


def _whole_id(path: Path, params: dict[str, Any], text: str) -> str:
    """The only live order that `text` begins; `text` itself if it is whole."""
    digits = text.removeprefix("0x")
    if len(digits) >= 64:
        return text
    if len(digits) < _MIN_PREFIX or re.fullmatch("[0-9a-f]+", digits) is None:
        message = f"order_id: expected 0x and at least {_MIN_PREFIX} hex digits, was {text!r}"
        raise OrderError("order_id", text, "ORD-5", message)
    orders = call_node(path, "order.list", params)["orders"]
    found = [order["order_id"] for order in orders if order["order_id"].startswith(f"0x{digits}")]
    if len(found) == 1:
        return str(found[0])
    count = "none" if not found else f"{len(found)} of them"
    message = f"order_id: expected the beginning of one live order's id, was {text} which begins {count}"
    raise OrderError("order_id", text, "ORD-5", f"{message}: `orrange order list` shows them")


def _state(is_matchable: bool | None) -> str:
    if is_matchable is None:
        return "new"
    return "open" if is_matchable else "not matchable now"
