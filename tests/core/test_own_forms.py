"""What an owner may ask for: each wrong field is named with its rule. Spec: [ORD-1], [ORD-3], [ORD-4], [ORD-6]."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_world import GENESIS_MS, RULES

from orrange_p2p.core.order_forms import SECONDS_A_DAY as DAY_S
from orrange_p2p.core.own_forms import check_form, default_expiry_s, latest_claim
from orrange_p2p.core.presets import PRESETS
from orrange_p2p.core.types import U64_MAX, Address, Order, OrderKind, Side, TimeInForce
from orrange_p2p.errors import OrderError

NOW_MS = GENESIS_MS + 5_250
SOON_S = NOW_MS // 1000 + 60
ESCROW_RULES = replace(RULES, has_escrow=True)
ORDER = Order(
    market=RULES.market_id,
    owner=Address(bytes(20)),
    session=Address(bytes(20)),
    nonce=0,
    side=Side.BUY,
    kind=OrderKind.LIMIT,
    price_ticks=100,
    quantity_lots=5,
    tif=TimeInForce.GTC,
    expiry_s=0,
)
ESCROW = replace(ORDER, security=2, payment_methods=(7,), arbitrators=(Address(b"\x0a" * 20),))
TIF = TimeInForce


@pytest.mark.parametrize(
    ("changes", "field", "rule", "shown"),
    [
        ({"price_ticks": 0}, "price_ticks", "ORD-1", "was 0"),
        ({"price_ticks": U64_MAX + 1}, "price_ticks", "ORD-1", str(U64_MAX)),
        ({"quantity_lots": 0}, "quantity_lots", "ORD-1", "was 0"),
        ({"kind": OrderKind.PROTECTED_MARKET}, "tif", "ORD-3", "IOC or FOK, was GTC"),
        ({"tif": TIF.IOC, "expiry_s": SOON_S, "post_only": True}, "tif", "ORD-3", "was IOC"),
        ({"tif": TIF.FOK, "expiry_s": SOON_S, "post_only": True}, "tif", "ORD-3", "was FOK"),
        ({"min_tier": 4}, "min_tier", "ORD-3", "0 to 3, was 4"),
        ({"tif": TIF.GTD}, "expiry", "ORD-3", "GTD"),
        ({"tif": TIF.IOC}, "expiry", "ORD-3", "IOC"),
        ({"tif": TIF.FOK}, "expiry", "ORD-3", "FOK"),
        ({"tif": TIF.DAY, "expiry_s": SOON_S}, "expiry", "ORD-3", "00:00 UTC"),
        ({"expiry_s": NOW_MS // 1000}, "expiry", "ORD-6", "a time to come"),
        ({"expiry_s": U64_MAX + 1}, "expiry", "ORD-1", str(U64_MAX)),
        ({"payment_methods": (7,)}, "payment_methods", "ORD-4", "lane 0"),
        ({"arbitrators": (Address(bytes(20)),)}, "arbitrators", "ORD-4", "lane 0"),
        ({"security": 4}, "security", "ORD-4", "0 to 3, was 4"),
    ],
)
def test_a_wrong_field_is_refused_by_name(changes: dict[str, object], field: str, rule: str, shown: str) -> None:
    with pytest.raises(OrderError) as refused:
        check_form(replace(ORDER, **changes), NOW_MS, ESCROW_RULES)
    assert (refused.value.field, refused.value.rule) == (field, rule)
    assert shown in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"payment_methods": ()}, "payment_methods"),
        ({"payment_methods": tuple(range(9))}, "payment_methods"),
        ({"payment_methods": (7, 7)}, "payment_methods"),
        ({"payment_methods": (2**32,)}, "payment_methods"),
        ({"arbitrators": ()}, "arbitrators"),
        ({"tif": TIF.FOK, "expiry_s": SOON_S}, "tif"),
    ],
)
def test_a_wrong_escrow_order_is_refused_by_name(changes: dict[str, object], field: str) -> None:
    """Spec: [ORD-4]."""
    with pytest.raises(OrderError) as refused:
        check_form(replace(ESCROW, **changes), NOW_MS, ESCROW_RULES)
    assert (refused.value.field, refused.value.rule) == (field, "ORD-4")


def test_an_escrow_order_is_refused_where_no_escrow_contract_is() -> None:
    with pytest.raises(OrderError, match="no escrow contract") as refused:
        check_form(ESCROW, NOW_MS, RULES)
    assert refused.value.rule == "ORD-4"
    check_form(ESCROW, NOW_MS, ESCROW_RULES)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"expiry_s": SOON_S},
        {"post_only": True, "min_tier": 3},
        {"tif": TIF.GTD, "expiry_s": SOON_S, "post_only": True},
        {"tif": TIF.FOK, "expiry_s": SOON_S, "kind": OrderKind.PROTECTED_MARKET},
        {"tif": TIF.IOC, "expiry_s": SOON_S, "kind": OrderKind.PROTECTED_MARKET},
    ],
)
def test_a_right_order_is_not_refused(changes: dict[str, object]) -> None:
    check_form(replace(ORDER, **changes), NOW_MS, RULES)


@given(
    st.sampled_from(sorted(PRESETS)),
    st.integers(0, 3 * DAY_S * 1000),
    st.integers(GENESIS_MS, GENESIS_MS + DAY_S * 1000),
    st.sampled_from([TIF.IOC, TIF.FOK, TIF.DAY]),
)
def test_the_latest_claim_is_the_last_epoch_in_which_the_order_stands(
    preset: str, after_ms: int, genesis_ms: int, tif: TimeInForce
) -> None:
    """[ORD-3], [ORD-6]: whatever waits for its entry over midnight is dropped rather than said void."""
    rules = replace(RULES, preset=PRESETS[preset], genesis_ms=genesis_ms)
    now_ms = genesis_ms + after_ms
    order = replace(ORDER, tif=tif, expiry_s=default_expiry_s(tif, now_ms, rules))
    latest = latest_claim(order, rules)
    claimed_now = rules.epoch_at(now_ms)
    assert latest is not None
    assert latest >= claimed_now
    assert rules.epoch_start_s(latest) < order.expiry_s <= rules.epoch_start_s(latest + 1)
    if tif is TIF.DAY:
        assert order.expiry_s % DAY_S == 0
        assert 0 < order.expiry_s - rules.epoch_start_s(claimed_now) <= DAY_S
    else:
        assert 0 <= order.expiry_s * 1000 - rules.epoch_start_ms(claimed_now + rules.preset.k) < 1000


def test_an_order_without_expiry_may_be_said_at_any_time() -> None:
    assert latest_claim(ORDER, RULES) is None
