"""Cases for `protocol/vectors/book/bases.json` in which a base says who is paid for: what placing anew changes."""

from dataclasses import replace
from typing import Any

from protocol.reference import feeds
from protocol.reference.checkpoints import hash_of
from protocol.reference.types import BUY, DAY, GTD, IOC, SELL, epoch_start_s
from tests.core.pens import order_item
from tests.core.small_worlds import NOW_S, allocate, offer, order_named, poor_world, put, ticket_item
from tests.core.worlds import CLOCK, DAY_S, World
from tests.vectors.base_cases import ripe
from tests.vectors.edge_cases import LAG_S, LIFE_S, first_epoch_from
from tests.vectors.world_cases import Told, opened

MIDNIGHT_S = NOW_S - NOW_S % DAY_S + DAY_S
FIRST, OTHER = 0, 3  # sessions of one owner; the other one's address is the lower


def placed_worlds() -> Told:
    """[FEED-15], [FUND-5], [FUND-8], each at the epoch at which the last Checkpoint becomes a base."""
    for kind in ("cancelled", "immediate", "lease", "day"):
        yield f"ended_{kind}_order_and_its_ticket", "FEED-15 FUND-5 FUND-8", ripe(ended_world(kind))
    yield from listed_worlds()
    yield from moved_worlds()


def ended_world(kind: str) -> World:
    """An order that is over and what it signed away, which its owner must still pay for at the base.

    The owner can sell 15 lots, then 11; the order is of 12 and signed away 4; so another session's order of 8 is void
    and that of 7 is not. At the base the ticket is in its last second, and nobody could say it any more.
    """
    world = poor_world()
    if kind == "day":
        world.epoch = first_epoch_from(world, MIDNIGHT_S - 4)
    start_s = epoch_start_s(CLOCK, world.epoch)
    forms: dict[str, dict[str, Any]] = {
        "cancelled": {},
        "immediate": {"tif": IOC, "expiry": start_s + 60},
        "lease": {"tif": GTD, "expiry": start_s + 4},
        "day": {"tif": DAY, "expiry": MIDNIGHT_S},
    }
    pen = world.pens[OTHER]
    bought, sold = put(world, 1, BUY, 8), put(world, OTHER, SELL, 12, **forms[kind])
    if kind in ("cancelled", "immediate"):
        offer(world, bought, sold, 4)
    else:
        ticket = world.ticket_between(order_named(world, sold), order_named(world, bought), 4, 0, world.epoch)
        pen.items.append(ticket_item(ticket, world.pens[1], pen))
        world.flush(pen)
    if kind == "cancelled":
        pen.items.append([feeds.CANCEL, sold])
    allocate(world, FIRST, -4, start_s + 1)
    world.epoch = first_epoch_from(world, start_s + 4)
    for lots in (8, 7):
        put(world, FIRST, SELL, lots)
    world.epoch = first_epoch_from(world, start_s + LIFE_S + LAG_S)
    world.say_checkpoint(pen)
    return world


def day_worlds() -> Told:
    """[ORD-3], day orders as a day begins; [FEED-13], their form is not judged anew where a Checkpoint lists one."""
    world = poor_world()
    world.epoch = first_epoch_from(world, MIDNIGHT_S)
    for expiry_s in (MIDNIGHT_S, MIDNIGHT_S + DAY_S):
        put(world, FIRST, SELL, 2, tif=DAY, expiry=expiry_s)
    yield "day_orders_of_no_time_and_of_a_whole_day", "ORD-3", world
    world = ended_world("day")
    world.say_checkpoint(world.pens[OTHER])
    yield "checkpoint_after_one_that_lists_a_day_order_that_ended", "FEED-13 ORD-3", world


def listed_worlds() -> Told:
    """What a base says of its own feed."""
    world = opened()
    pen = world.pens[FIRST]
    gone = put(world, FIRST, SELL, 4, nonce=7)
    pen.items.append([feeds.CANCEL, gone])
    world.epoch += 1
    world.say_checkpoint(pen)
    for nonce in (7, 8):
        put(world, FIRST, SELL, 3, nonce=nonce)
    yield "nonces_go_on_above_those_that_are_gone", "FEED-15 ORD-1", ripe(world)
    world = opened()
    pen = world.pens[OTHER]
    for signer in (pen.session, pen.owner):
        world.say_order(pen, world.new_order(pen, SELL, 100, 4), signer)
    world.flush(pen)
    world.say_checkpoint(pen)
    yield "orders_of_a_session_without_trade", "FEED-15 ORD-2 FUND-4", ripe(world)
    world = opened()
    for _ in range(2):
        world.epoch += 4
        put(world, FIRST, BUY, 2)
        world.say_checkpoint(world.pens[FIRST])
    yield "two_checkpoints_that_are_old_enough", "FEED-15 FUND-8", ripe(world)
    world = poor_world()
    pen = world.pens[FIRST]
    order = world.new_order(pen, SELL, 100, 10)
    order_hash = hash_of(order_item(order, pen.owner))
    further = [replace(order, nonce=pen.nonce, quantity_lots=lots) for lots in range(6, 15)]
    smaller = next(one for one in further if hash_of(order_item(one, pen.owner)) < order_hash)
    for one in (order, smaller):
        world.say_order(pen, one, pen.owner)
    world.flush(pen)
    world.say_checkpoint(pen)
    yield "orders_stand_by_nonce_and_not_by_hash", "FUND-8", ripe(world)


def moved_worlds() -> Told:
    """What a base of one session changes for another session of its owner."""
    world = poor_world()
    put(world, OTHER, SELL, 2)
    put(world, FIRST, SELL, 14)
    allocate(world, FIRST, 1, NOW_S + 1)
    world.epoch = first_epoch_from(world, NOW_S + 1 + LAG_S)
    world.say_checkpoint(world.pens[OTHER])
    yield "paid_for_at_the_base", "FUND-8 FUND-5", ripe(world)
    for name, form in {"lease": {"tif": GTD, "expiry": NOW_S + 4}, "ioc": {"tif": IOC, "expiry": NOW_S + 60}}.items():
        world = poor_world()
        put(world, OTHER, SELL, 2)
        put(world, FIRST, SELL, 8, **form)
        put(world, FIRST, SELL, 8)
        world.epoch += CLOCK.constants.k
        world.say_checkpoint(world.pens[OTHER])
        yield f"{name}_that_was_over_at_the_base", "FUND-8 FUND-5", ripe(world)
    world = poor_world()
    put(world, FIRST, SELL, 10)
    world.epoch += 1
    put(world, OTHER, SELL, 10)
    world.epoch += 3
    world.say_checkpoint(world.pens[OTHER])
    yield "the_lower_session_comes_first_at_the_base", "FUND-8", ripe(world)
    world = poor_world()
    put(world, FIRST, SELL, 10)
    world.epoch += 1
    put(world, OTHER, SELL, 2)
    world.epoch += 3
    world.say_checkpoint(world.pens[OTHER])
    pen = world.pens[OTHER]
    seq, prev_hash = pen.seq, pen.prev_hash
    for lots in (2, 3):
        pen.seq, pen.prev_hash = seq, prev_hash
        put(world, OTHER, SELL, lots)
    yield "a_session_dead_above_its_base_has_none", "FUND-8 FEED-6 FEED-16", ripe(world)
