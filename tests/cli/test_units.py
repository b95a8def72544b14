"""Decimals to ticks and lots and back: exact, or refused with the nearest values that would do."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orrange_p2p.cli.order_terms import compute_worst_ticks, parse_expiry, parse_slippage
from orrange_p2p.cli.units import U64_MAX, MarketUnits
from orrange_p2p.errors import OrderError

BTC_USD = MarketUnits.from_answer(
    "BTC-USD", {"lot_size": 100_000, "tick_size": 10, "base_decimals": 8, "quote_decimals": 6}
)
WHOLE = MarketUnits.from_answer("plain", {"lot_size": 1, "tick_size": 1, "base_decimals": 0, "quote_decimals": 0})
THIRDS = MarketUnits.from_answer("A-B", {"lot_size": 3, "tick_size": 1, "base_decimals": 0, "quote_decimals": 0})


def test_a_tick_is_a_cent_and_a_lot_a_thousandth() -> None:
    assert (BTC_USD.tick, BTC_USD.lot) == (Fraction(1, 100), Fraction(1, 1000))
    assert (BTC_USD.base, BTC_USD.quote) == ("BTC", "USD")
    assert BTC_USD.price_ticks("235.62") == 23562
    assert BTC_USD.quantity_lots("1.5") == 1500
    assert BTC_USD.price(23562) == "235.62"
    assert BTC_USD.quantity(1500) == "1.500"


def test_trailing_zeros_do_not_matter() -> None:
    assert BTC_USD.price_ticks("0235.620000") == 23562
    assert WHOLE.quantity_lots("7.000") == 7


@pytest.mark.parametrize(
    "text",
    ["", "x", "-1", "+1", "1e3", "1_000", "1,5", "nan", "inf", "0x10", ".5", "5.", "1 ", "١", "1" * 41, "1.5.0", "½"],
)
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(OrderError, match="expected a plain decimal number") as caught:
        BTC_USD.price_ticks(text)
    assert caught.value.field == "price"


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("235.625", "nearest 235.62 and 235.63"),
        ("235.629999999", "nearest 235.62 and 235.63"),
        ("0.001", "nearest 0.01"),
        ("0", "nearest 0.01"),
    ],
)
def test_between_two_ticks_both_are_named(text: str, nearest: str) -> None:
    with pytest.raises(OrderError) as caught:
        BTC_USD.price_ticks(text)
    message = str(caught.value)
    assert message == f"price: expected a multiple of the tick of 0.01 USD, was {text}; {nearest}"


def test_between_two_lots_both_are_named() -> None:
    with pytest.raises(OrderError) as caught:
        BTC_USD.quantity_lots("1.0005")
    assert "the lot of 0.001 BTC, was 1.0005; nearest 1.000 and 1.001" in str(caught.value)


def test_more_than_the_protocol_can_say_is_refused() -> None:
    assert WHOLE.quantity_lots(str(U64_MAX)) == U64_MAX
    with pytest.raises(OrderError, match=f"expected at most {U64_MAX} base"):
        WHOLE.quantity_lots(str(U64_MAX + 1))


def test_a_tick_without_a_finite_decimal_form_is_shown_rounded_down() -> None:
    assert THIRDS.tick == Fraction(1, 3)
    assert THIRDS.price(1).startswith("0.3333")
    assert THIRDS.price_ticks("2") == 6


@given(st.integers(1, U64_MAX), st.integers(0, 12), st.integers(0, 12), st.integers(0, 6), st.integers(0, 6))
def test_what_is_shown_reads_back_as_the_same(
    steps: int, base_decimals: int, quote_decimals: int, lot_power: int, tick_power: int
) -> None:
    sizes = {"lot_size": 10**lot_power, "tick_size": 10**tick_power}
    units = MarketUnits.from_answer("A-B", {**sizes, "base_decimals": base_decimals, "quote_decimals": quote_decimals})
    assert units.quantity_lots(units.quantity(steps)) == steps
    assert units.price_ticks(units.price(steps)) == steps


@given(st.decimals(min_value=0, max_value=10**9, places=7, allow_nan=False))
def test_the_nearest_values_are_valid_and_around(value: Decimal) -> None:
    text = f"{value:f}"
    try:
        BTC_USD.quantity_lots(text)
    except OrderError as error:
        named = str(error).partition("nearest ")[2].split(" and ")
        lots = [BTC_USD.quantity_lots(one) for one in named]
        assert lots[-1] - lots[0] == len(lots) - 1
        assert Fraction(text) < lots[-1] * BTC_USD.lot


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", 1030),
        ("10m", 1600),
        ("2h", 8200),
        ("7d", 605800),
        ("1893456000", 1893456000),
        ("2030-01-01T00:00:00Z", 1893456000),
        ("2030-01-01T01:00:00+01:00", 1893456000),
    ],
)
def test_an_expiry_is_a_duration_a_time_or_seconds(text: str, expected: int) -> None:
    assert parse_expiry(text, now_s=1000) == expected


@pytest.mark.parametrize("text", ["", "0m", "m", "-10m", "10w", "2030-01-01T00:00:00", "tomorrow", "1.5h"])
def test_any_other_expiry_is_refused(text: str) -> None:
    with pytest.raises(OrderError, match="expiry: expected a duration like 10m"):
        parse_expiry(text, now_s=1000)


@pytest.mark.parametrize("text", ["", "0.5", "100%", "-1%", "1e1%", "0.00001%", "½%", "1 %"])
def test_what_is_no_percentage_below_100_is_refused(text: str) -> None:
    with pytest.raises(OrderError, match="expected a percentage like 0.5%") as caught:
        parse_slippage(text)
    assert caught.value.field == "slippage"


@given(st.sampled_from(["buy", "sell"]), st.integers(1, U64_MAX), st.integers(0, 999_999))
def test_a_market_orders_worst_price_is_never_beyond_its_slippage(side: str, best: int, parts: int) -> None:
    """A part of a tick is the owner's."""
    slippage = parse_slippage(f"{parts // 10_000}.{parts % 10_000:04d}%")
    worst = compute_worst_ticks(side, {"asks": [{"price_ticks": best}], "bids": [{"price_ticks": best}]}, slippage)
    away = worst - best if side == "buy" else best - worst
    assert 0 <= away * 1_000_000 <= best * parts < (away + 1) * 1_000_000


def test_a_market_order_needs_somebody_on_the_other_side() -> None:
    with pytest.raises(OrderError, match="expected somebody who sells, was none in the book"):
        compute_worst_ticks("buy", {"asks": [], "bids": [{"price_ticks": 5}]}, Fraction(1, 100))
