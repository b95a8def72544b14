"""Every kind of order and of its end, as an owner asks for them on the command line, on two real nodes."""

import time
from typing import Any

import pytest
from cli_program import Net, orrange, poll

FAR_BELOW, FAR_ABOVE = "50.00", "500.00"


def _place(net: Net, number: int, *order: object) -> dict[str, Any]:
    placed: dict[str, Any] = net.ask(number, "order", "place", *order)
    return placed


def _live(net: Net, number: int) -> dict[str, dict[str, Any]]:
    return {str(one["order_id"]): one for one in net.ask(number, "order", "list")["orders"]}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--tif", "GTD"], "expiry of a GTD order: expected a time to come, was none"),
        (["--tif", "IOC", "--post-only"], "time in force of a post-only order: expected GTC, DAY or GTD, was IOC"),
        (["--tif", "GTC", "--market-order"], "time in force of a market order: expected IOC or FOK, was GTC"),
        (["--min-tier", "4"], "min_tier: expected 0 to 3, was 4"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_sentence(net: Net, arguments: list[str], sentence: str) -> None:
    done = orrange("order", "place", "buy", FAR_BELOW, "0.1", *arguments, "--data-dir", net.peer(0), "--json")
    assert done.sentence() == sentence
    assert done.json()["error"]["rule"] == "ORD-3"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--security", "4"], "security: expected 0 to 3, was 4"),
        (["--security", "1"], "payment_methods: expected 1 to 8 different ones in lane 1, was 0"),
        (["--payment-method", "7"], "payment_methods: expected none in lane 0, which settles atomically, was 1"),
        (["--arbitrator", "0x12"], "arbitrators: expected 0x and 40 hex digits, was '0x12'"),
    ],
)
def test_an_escrow_order_without_what_it_needs_is_refused(net: Net, arguments: list[str], sentence: str) -> None:
    done = orrange("order", "place", "buy", FAR_BELOW, "0.1", *arguments, "--data-dir", net.peer(0), "--json")
    assert done.sentence() == sentence
    assert done.json()["error"]["rule"] == "ORD-4"


@pytest.mark.parametrize(
    "arguments",
    [
        ["place", "buy", FAR_BELOW, "0.1", "--tif", "LATER"],
        ["place", "buy", "market", "0.1"],
        ["place", "buy", FAR_BELOW, "0.1", "--slippage", "1%"],
        ["modify", "0x3f9ac2d1b0"],
        ["cancel"],
        ["cancel", "0x3f9ac2d1b0", "--all"],
    ],
)
def test_arguments_that_contradict_each_other_are_refused(net: Net, arguments: list[str]) -> None:
    done = orrange("order", *arguments, "--data-dir", net.peer(0))
    assert done.code == 2
    assert "expected" in done.err


def test_a_day_order_ends_at_midnight_and_a_gtd_order_when_it_says(net: Net) -> None:
    """Spec: [ORD-3]."""
    day = _place(net, 0, "buy", FAR_BELOW, "0.1", "--tif", "DAY")["order_id"]
    until = int(time.time()) + 600
    gtd = _place(net, 0, "buy", FAR_BELOW, "0.1", "--tif", "GTD", "--expiry", until)["order_id"]
    live = _live(net, 0)
    assert (live[day]["tif"], live[day]["expiry_s"] % 86_400) == ("DAY", 0)
    assert (live[gtd]["tif"], live[gtd]["expiry_s"]) == ("GTD", until)


def test_a_post_only_order_with_a_tier_is_listed_as_such(net: Net) -> None:
    order_id = _place(net, 0, "sell", FAR_ABOVE, "0.1", "--post-only", "--min-tier", "1")["order_id"]
    shown = _live(net, 0)[order_id]
    assert (shown["post_only"], shown["min_tier"]) == (True, 1)
    assert "GTC post-only tier 1 and up" in orrange("order", "list", "--data-dir", net.peer(0)).out


def test_a_modified_order_is_another_one_with_the_new_price(net: Net) -> None:
    """Spec: [ORD-7]."""
    old = _place(net, 1, "buy", FAR_BELOW, "0.3")["order_id"]
    done = orrange("order", "modify", old[:12], "--price", "50.25", "--data-dir", net.peer(1))
    assert done.code == 0
    assert done.out.startswith(f"modified {old}: it is 0x")
    new = done.out.split()[-2]
    row = _live(net, 1)[new]
    assert (row["price_ticks"], row["quantity_lots"]) == (5025, 300)
    poll(lambda: old not in _live(net, 1))
    answer = net.ask(1, "order", "modify", new, "--quantity", "0.2")
    assert answer["replaced"] == new
    assert _live(net, 1)[answer["order_id"]]["quantity_lots"] == 200


def test_a_market_order_without_anybody_to_trade_with_is_refused(net: Net) -> None:
    orrange("order", "cancel", "--all", "--data-dir", net.peer(0))
    orrange("order", "cancel", "--all", "--data-dir", net.peer(1))
    poll(lambda: not net.ask(0, "book")["bids"])
    done = orrange("order", "place", "sell", "market", "0.1", "--slippage", "1%", "--data-dir", net.peer(0))
    assert done.sentence() == "slippage: expected somebody who buys, was none in the book: give a price instead"


def test_a_market_order_trades_at_the_best_price_within_its_slippage(net: Net) -> None:
    """Spec: [ORD-3]."""
    _place(net, 0, "sell", "100.00", "0.5")
    poll(lambda: net.ask(1, "book")["asks"])
    taken = _place(net, 1, "buy", "market", "0.5", "--slippage", "0.5%")
    assert (taken["kind"], taken["tif"], taken["price_ticks"]) == ("protected_market", "IOC", 10_050)

    def trade() -> list[dict[str, Any]]:
        return [one for one in net.ask(1, "trades")["trades"] if one["taker_order"] == taken["order_id"]]

    (one,) = poll(trade)
    assert (one["price_ticks"], one["lots"]) == (10_000, 500)


def test_a_fok_order_settles_whole_over_two_makers_orders(net: Net) -> None:
    """[TICK-14], [TICK-16]: one group, one call to the contract, one block."""
    asks = [_place(net, 0, "sell", price, "0.2")["order_id"] for price in ("101.00", "101.01")]
    poll(lambda: len(net.ask(1, "book")["asks"]) >= 2)
    fok = _place(net, 1, "buy", "102.00", "0.4", "--tif", "FOK")["order_id"]

    def settled() -> list[dict[str, Any]] | None:
        legs = [one for one in net.ask(1, "trades")["trades"] if one["taker_order"] == fok]
        return legs if len(legs) == 2 and all(one["settled_in_block"] for one in legs) else None

    legs = poll(settled)
    assert sorted(one["maker_order"] for one in legs) == sorted(asks)
    assert len({one["settled_in_block"] for one in legs}) == 1
    assert sum(one["lots"] for one in legs) == 400


def test_a_fok_order_that_cannot_be_filled_whole_trades_nothing(net: Net) -> None:
    """S10."""
    ask = _place(net, 0, "sell", "101.50", "0.2")["order_id"]
    poll(lambda: net.ask(1, "book")["asks"])
    fok = _place(net, 1, "buy", "101.50", "0.3", "--tif", "FOK")["order_id"]
    poll(lambda: fok not in _live(net, 1))
    assert not [one for one in net.ask(1, "trades")["trades"] if one["taker_order"] == fok]
    assert _live(net, 0)[ask]["free_lots"] == 200


def test_cancel_all_leaves_no_live_order(net: Net) -> None:
    placed = [_place(net, 0, "sell", FAR_ABOVE, "0.1")["order_id"] for _ in range(3)]
    answer = net.ask(0, "order", "cancel", "--all")
    assert {*placed} <= {*answer["order_ids"]}
    poll(lambda: not _live(net, 0))
    assert orrange("order", "cancel", "--all", "--data-dir", net.peer(0)).out == "no live orders to cancel\n"
