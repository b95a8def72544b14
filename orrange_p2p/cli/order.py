"""`orrange order`: place, modify, cancel and list the orders of a running node's owner."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from orrange_p2p.api.client import call_node
from orrange_p2p.cli.options import AsJson, ConfigFile, DataDir, MarketName, Socket, examples, find_socket
from orrange_p2p.cli.order_terms import (
    TIMES_IN_FORCE,
    compute_worst_ticks,
    describe_terms,
    parse_expiry,
    parse_slippage,
)
from orrange_p2p.cli.output import console, print_json, rows_table, short_id
from orrange_p2p.cli.units import MarketUnits
from orrange_p2p.errors import ConfigError, OrderError

app = typer.Typer(
    name="order",
    help="Place, modify, cancel and list orders through a running node.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_MIN_PREFIX = 6
Security = Annotated[
    int,
    typer.Option(
        "--security", metavar="0..3", help="0: the chain swaps both tokens at once. 1 to 3: by escrow, at that level."
    ),
]
PaymentMethods = Annotated[
    list[int] | None,
    typer.Option(
        "--payment-method", metavar="NUMBER", help="How the buyer of an escrow trade may pay; best first, up to eight."
    ),
]
Arbitrators = Annotated[
    list[str] | None,
    typer.Option(
        "--arbitrator", metavar="ADDRESS", help="Who may settle a dispute of an escrow trade; best first, up to eight."
    ),
]


@app.command(
    "place",
    epilog=examples(
        ("orrange order place buy 235.62 1.5 --data-dir alice", "rests until filled or cancelled"),
        ("orrange order place sell 235.40 0.25 --tif IOC --data-dir alice", "trades soon or not at all"),
        ("orrange order place sell 235.40 0.25 --tif FOK --data-dir alice", "trades whole or not at all"),
        ("orrange order place buy 235.62 1.5 --tif DAY --data-dir alice", "ends at the next 00:00 UTC"),
        ("orrange order place buy 235.62 1.5 --tif GTD --expiry 10m --data-dir alice", "ends after ten minutes"),
        ("orrange order place buy 235.62 1.5 --post-only --data-dir alice", "is never the taker"),
        ("orrange order place buy market 1.5 --slippage 0.5% --data-dir alice", "at most 0.5% above the best price"),
        ("orrange order place buy 236.00 1.5 --market-order --data-dir alice", "at most at 236.00"),
        (
            (
                "orrange order place sell 235.40 1 --security 1 --payment-method 7 "
                "--arbitrator 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 --data-dir alice"
            ),
            "by escrow: paid outside the chain",
        ),
    ),
)
def place_order(
    side: Annotated[str, typer.Argument(metavar="SIDE", help="buy or sell.", show_default=False)],
    price: Annotated[
        str, typer.Argument(metavar="PRICE", help="Limit price, quote for one base; or market, with --slippage.")
    ],
    quantity: Annotated[str, typer.Argument(metavar="QUANTITY", help="How much base.")],
    market: MarketName = None,
    tif: Annotated[
        str | None,
        typer.Option(
            "--tif",
            metavar="GTC|IOC|FOK|DAY|GTD",
            help="Until cancelled; at once, cancel the rest; at once and whole; until 00:00 UTC; until --expiry. "
            "Default: GTC, of a market order IOC.",
        ),
    ] = None,
    expiry: Annotated[
        str | None,
        typer.Option(
            "--expiry", metavar="WHEN", help="A duration (30s, 10m, 2h, 7d), unix seconds, or 2030-01-31T12:00:00Z."
        ),
    ] = None,
    post_only: Annotated[bool, typer.Option("--post-only", metavar="", help="Rest, never take.")] = False,
    market_order: Annotated[
        bool, typer.Option("--market-order", metavar="", help="A market order: PRICE is the worst one accepted.")
    ] = False,
    slippage: Annotated[
        str | None,
        typer.Option(
            "--slippage", metavar="PERCENT", help="How much worse than the best price of the book, like 0.5%."
        ),
    ] = None,
    min_tier: Annotated[
        int, typer.Option("--min-tier", metavar="0..3", help="Trade only with owners of this tier or above.")
    ] = 0,
    security: Security = 0,
    payment_method: PaymentMethods = None,
    arbitrator: Arbitrators = None,
    data_dir: DataDir = None,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Place an order; it is on the node's disk and on its way when this returns."""
    is_market = market_order or slippage is not None
    written_tif = (tif or ("IOC" if is_market else "GTC")).upper()
    _check_words(side, written_tif, price, has_slippage=slippage is not None)
    path = find_socket(data_dir, socket, config)
    expiry_s = 0 if expiry is None else parse_expiry(expiry)
    units = ask_units(path, market)
    if slippage is None:
        price_ticks = units.price_ticks(price)
    else:
        book = call_node(path, "book", {"market": units.name, "depth": 1})
        price_ticks = compute_worst_ticks(side.lower(), book, parse_slippage(slippage))
    params = {
        "market": units.name,
        "side": side.lower(),
        "price_ticks": price_ticks,
        "quantity_lots": units.quantity_lots(quantity),
        "tif": written_tif,
        "expiry_s": expiry_s,
        "kind": "protected_market" if is_market else "limit",
        "post_only": post_only,
        "min_tier": min_tier,
        "security": security,
        "payment_methods": payment_method or [],
        "arbitrators": arbitrator or [],
    }
    _say_placed("placed", params, call_node(path, "order.place", params), units, as_json=as_json)


def _check_words(side: str, tif: str, price: str, *, has_slippage: bool) -> None:
    known = (("SIDE", side.lower(), ("buy", "sell")), ("--tif", tif, TIMES_IN_FORCE))
    for field, value, choices in known:
        if value not in choices:
            expected = f"{', '.join(choices[:-1])} or {choices[-1]}"
            raise typer.BadParameter(f"expected {expected}, was {value!r}", param_hint=field)
    if (price == "market") != has_slippage:
        raise typer.BadParameter("expected the word market together with --slippage, or a price", param_hint="PRICE")


def _say_placed(
    word: str, params: dict[str, Any], answer: dict[str, Any], units: MarketUnits, *, as_json: bool
) -> None:
    price, quantity = units.price(params["price_ticks"]), units.quantity(params["quantity_lots"])
    if as_json:
        print_json({**params, **answer, "price": price, "quantity": quantity})
        return
    limit = "at most at" if params["side"] == "buy" else "at least at"
    expiry_s = params["expiry_s"]
    typer.echo(
        f"{word} {answer['order_id']}: {params['side']} {quantity} {units.base} "
        f"{'at' if params['kind'] == 'limit' else limit} {price} {units.quote}, {describe_terms(params)}"
        + (f", until {datetime.fromtimestamp(expiry_s, UTC):%Y-%m-%dT%H:%M:%SZ}" if expiry_s else "")
    )


@app.command(
    "modify",
    epilog=examples(
        ("orrange order modify 0x3f9ac2d1b0 --price 235.70 --data-dir alice", "what is left of it, at another price"),
        ("orrange order modify 0x3f9ac2d1b0 --quantity 2 --data-dir alice", "for 2 base from now on"),
        ("orrange order modify 0x3f9ac2d1b0 --expiry 1h --data-dir alice", "ends in an hour"),
    ),
)
def modify_order(
    order_id: Annotated[str, typer.Argument(metavar="ID", help="The order's id, or the beginning of it.")],
    price: Annotated[str | None, typer.Option("--price", metavar="PRICE", help="Another limit price.")] = None,
    quantity: Annotated[
        str | None,
        typer.Option("--quantity", metavar="QUANTITY", help="How much base from now on; what is left if not given."),
    ] = None,
    expiry: Annotated[
        str | None, typer.Option("--expiry", metavar="WHEN", help="Another expiry, written as for `order place`.")
    ] = None,
    market: MarketName = None,
    data_dir: DataDir = None,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Replace a live order by another, in one step: nobody sees the one gone without the other."""
    if price is None and quantity is None and expiry is None:
        raise typer.BadParameter("expected a new one, was none", param_hint="--price, --quantity or --expiry")
    path = find_socket(data_dir, socket, config)
    units = ask_units(path, market)
    params: dict[str, Any] = {"market": units.name}
    params["order_id"] = _whole_id(path, params, order_id.lower())
    if price is not None:
        params["price_ticks"] = units.price_ticks(price)
    if quantity is not None:
        params["quantity_lots"] = units.quantity_lots(quantity)
    if expiry is not None:
        params["expiry_s"] = parse_expiry(expiry)
    answer = call_node(path, "order.modify", params)
    if as_json:
        print_json(answer)
        return
    typer.echo(f"modified {answer['replaced']}: it is {answer['order_id']} now")


@app.command(
    "cancel",
    epilog=examples(
        ("orrange order cancel 0x3f9ac2d1b0 --data-dir alice", "the id as `orrange order list` shows it"),
        ("orrange order cancel --all --data-dir alice", "every live order of this node"),
    ),
)
def cancel_order(
    order_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="The order's id, or the beginning of it.", show_default=False)
    ] = None,
    is_all: Annotated[bool, typer.Option("--all", metavar="", help="Cancel every live order.")] = False,
    market: MarketName = None,
    data_dir: DataDir = None,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a live order, or all; lots already agreed in a ticket still settle."""
    if is_all == (order_id is not None):
        raise typer.BadParameter("expected an order's id or --all, and not both", param_hint="ID")
    path = find_socket(data_dir, socket, config)
    params = {"market": market} if market is not None else {}
    if order_id is None:
        answer = call_node(path, "order.cancel_all", params)
        lines = [f"cancelled {one}" for one in answer["order_ids"]] or ["no live orders to cancel"]
    else:
        answer = call_node(path, "order.cancel", {**params, "order_id": _whole_id(path, params, order_id.lower())})
        lines = [f"cancelled {answer['order_id']}"]
    if as_json:
        print_json(answer)
        return
    typer.echo("\n".join(lines))


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
            describe_terms(order),
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
