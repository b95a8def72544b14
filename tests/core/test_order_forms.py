"""Which forms of order stand, by both implementations. Spec: 03-orders.md [ORD-3], [ORD-4], [ORD-6]."""

from dataclasses import replace

import pytest

from orrange_p2p.core import order_forms
from orrange_p2p.core.types import Epoch
from protocol.reference import orders
from protocol.reference.types import DAY, Clock, Order, epoch_start_s
from tests.core.adapters import fast_order, fast_rules
from tests.core.both import book_of_both
from tests.core.pens import FIRST_EPOCH, MARKET
from tests.core.small_worlds import open_world
from tests.core.worlds import CLOCK, DAY_S, ESCROW, FORMS, World

GOOD = (
    "fill_or_kill",
    "day",
    "good_till_date",
    "post_only",
    "protected_market_ioc",
    "protected_market_fok",
    "highest_tier",
    "lane_1",
    "lane_2_good_till_date",
    "lane_3_ioc",
)


def world_with(form: str) -> World:
    """A world with one order of a form."""
    world = open_world()
    pen = world.pens[0]
    world.say_form(pen, 1, 100, 4, form)
    world.flush(pen)
    return world


def is_tradable(order: Order, epoch: int = FIRST_EPOCH, clock: Clock = CLOCK) -> bool:
    """What both implementations say of a form."""
    said = orders.is_tradable(clock, MARKET, order, epoch)
    assert order_forms.is_tradable(fast_order(order), Epoch(epoch), fast_rules(clock)) == said
    return said


@pytest.mark.parametrize("form", sorted(set(FORMS) - set(GOOD)))
def test_an_order_of_a_form_without_rules_is_void(form: str) -> None:
    """Spec: [ORD-3], [ORD-4]."""
    world = world_with(form)
    assert book_of_both(world, world.epoch).orders == ()


@pytest.mark.parametrize("form", GOOD)
def test_an_order_of_a_form_with_rules_stands(form: str) -> None:
    """Spec: [ORD-3], [ORD-4]."""
    world = world_with(form)
    assert [row.order_id for row in book_of_both(world, world.epoch).orders] == world.order_ids


def test_lists_of_nine_are_not_tradable_and_lists_of_eight_are() -> None:
    """Spec: [ORD-4]."""
    world = open_world()
    escrow = world.new_order(world.pens[0], 0, 100, 4, security=1, **ESCROW)
    assert is_tradable(escrow)
    for count, is_good in ((8, True), (9, False)):
        assert is_tradable(replace(escrow, payment_methods=tuple(range(count)))) == is_good
        arbitrators = tuple(bytes([number]) * 20 for number in range(count))
        assert is_tradable(replace(escrow, arbitrators=arbitrators)) == is_good


@pytest.mark.parametrize("form", ["fill_or_kill", "protected_market_fok", "lane_3_ioc"])
def test_a_short_lived_order_ends_with_its_last_epoch_or_its_expiry(form: str) -> None:
    """Spec: [ORD-6]."""
    world = world_with(form)
    start_s, k = epoch_start_s(CLOCK, FIRST_EPOCH), CLOCK.constants.k
    ends = next(e for e in range(FIRST_EPOCH, 99) if epoch_start_s(CLOCK, e) >= start_s + 5 or e >= FIRST_EPOCH + k)
    world.epoch = ends
    world.close()
    assert len(book_of_both(world, ends - 1).orders) == 1
    assert book_of_both(world, ends).orders == ()


def test_a_fill_or_kill_order_ends_k_epochs_after_its_claim_whatever_its_expiry() -> None:
    """Spec: [ORD-6]."""
    world = open_world()
    pen = world.pens[0]
    order = world.new_order(pen, 0, 100, 4, **(FORMS["fill_or_kill"] | {"expiry": epoch_start_s(CLOCK, 900)}))
    world.say_order(pen, order, pen.owner)
    world.flush(pen)
    world.epoch += CLOCK.constants.k
    world.close()
    assert len(book_of_both(world, world.epoch - 1).orders) == 1
    assert book_of_both(world, world.epoch).orders == ()


def test_a_day_order_is_live_until_midnight_and_no_longer() -> None:
    """Spec: [ORD-3], [ORD-6]."""
    world = world_with("day")
    midnight_s = world.orders[-1].expiry
    assert midnight_s % DAY_S == 0
    world.epoch = next(e for e in range(FIRST_EPOCH, 10**6) if epoch_start_s(CLOCK, e) >= midnight_s)
    world.close()
    assert len(book_of_both(world, world.epoch - 1).orders) == 1
    assert book_of_both(world, world.epoch).orders == ()


def test_a_day_order_claimed_at_midnight_ends_a_whole_day_later() -> None:
    """Spec: [ORD-3]."""
    clock = replace(CLOCK, genesis_ms=1_700_006_400_000)
    order = open_world().new_order(open_world().pens[0], 0, 100, 4, tif=DAY)
    midnight_s = epoch_start_s(clock, 0)
    assert midnight_s % DAY_S == 0
    assert not is_tradable(replace(order, expiry=midnight_s), 0, clock)
    assert is_tradable(replace(order, expiry=midnight_s + DAY_S), 0, clock)
    assert not is_tradable(replace(order, expiry=midnight_s + 2 * DAY_S), 0, clock)
    assert not is_tradable(replace(order, expiry=midnight_s + 2 * DAY_S), 1, clock)
    assert not is_tradable(replace(order, expiry=midnight_s + DAY_S - 1), 1, clock)
