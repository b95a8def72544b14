"""Cases for `protocol/vectors/feeds/spaced.json`: what a Checkpoint may list, and how soon after another it comes."""

from dataclasses import replace

from protocol.reference import feeds
from protocol.reference.checkpoints import HASHES_MAX, hash_of
from protocol.reference.types import BUY, SELL
from tests.core.pens import DOMAIN
from tests.core.small_worlds import offer, offer_item, poor_world, put, ticket_item
from tests.core.worlds import CLOCK, World
from tests.vectors.edge_cases import first_epoch_from
from tests.vectors.world_cases import Told

APART = 7  # epochs between two Checkpoints, to the millisecond
SPACED = replace(CLOCK, constants=replace(CLOCK.constants, checkpoint_age_s=224))
ORDERS_PER_ENTRY = 50


def spaced_worlds() -> Told:
    """[FEED-13] where its limits bite: Checkpoints 7 epochs apart at least, and a ticket's last second."""
    for name, apart in {"far_enough": APART, "too_soon": APART - 1}.items():
        world = poor_world(clock=SPACED)
        put(world, 0, SELL, 2)
        world.epoch += 1
        world.say_checkpoint(world.pens[0])
        world.epoch += apart
        world.say_checkpoint(world.pens[0])
        yield f"checkpoint_{name}", "FEED-13 FEED-14" if name == "too_soon" else "FEED-13", world
    yield from nonce_worlds()
    yield from ticket_worlds()
    yield "checkpoint_of_256_hashes_and_one_of_257", "FEED-13 FEED-14", full_world()


def full_world() -> World:
    """A Checkpoint as full as one may be, and the next one, with an Offer more: true but for its size."""
    world = poor_world(clock=SPACED)
    pen = world.pens[0]
    bought = put(world, 1, BUY, 2)
    for number in range(HASHES_MAX):
        world.say_order(pen, world.new_order(pen, SELL, 100, 2), pen.owner)
        if number % ORDERS_PER_ENTRY == ORDERS_PER_ENTRY - 1:
            world.flush(pen)
            world.epoch += 1
    world.epoch += 1
    world.say_checkpoint(pen)
    expect_listed(world, HASHES_MAX, 0)
    said = feeds.read_sound_entry(DOMAIN, world.entries[-1]).items[-1]
    world.epoch += APART - 1
    offer(world, bought, world.order_ids[-1], 2)
    offered = feeds.read_sound_entry(DOMAIN, world.entries[-1]).items[-1]
    world.epoch += 1
    pen.items.append([*said[:5], [hash_of(offered)], []])
    world.flush(pen)
    return world


def nonce_worlds() -> Told:
    """Every Order item of the feed counts for `next_nonce`, also one that is nobody's order."""
    for name, change in {"of_another_session": {"session": bytes(20)}, "below_min_fill": {"quantity_lots": 1}}.items():
        world = poor_world(clock=SPACED)
        pen = world.pens[0]
        put(world, 0, SELL, 2)
        world.say_order(pen, replace(world.new_order(pen, SELL, 100, 2), nonce=9, **change), pen.owner)  # type: ignore[arg-type]
        world.flush(pen)
        world.epoch += 1
        world.say_checkpoint(pen)
        yield f"next_nonce_above_a_void_order_{name}", "FEED-13 ORD-1", world


def ticket_worlds() -> Told:
    """Which Offers and TicketItems are listed."""
    for seconds in (0, 1):
        world = poor_world(clock=SPACED)
        maker, taker = put(world, 0, SELL, 4), put(world, 1, BUY, 4)
        ticket = offer(world, maker, taker, 4)
        world.epoch = first_epoch_from(world, ticket.deadline + CLOCK.constants.l_fund + seconds)
        world.say_checkpoint(world.pens[1])
        expect_listed(world, 1, 1 - seconds)
        yield f"checkpoint_{seconds}_seconds_after_a_ticket_could_settle", "FEED-13", world
    world = poor_world(clock=SPACED)
    maker, taker = put(world, 0, SELL, 4), put(world, 1, BUY, 4)
    world.pens[0].items.append([feeds.CANCEL, maker])
    ticket = offer(world, maker, taker, 4)
    world.epoch += 1
    world.say_checkpoint(world.pens[0])
    world.pens[0].items.append(ticket_item(ticket, world.pens[1], world.pens[0]))
    world.epoch += APART
    world.say_checkpoint(world.pens[0])
    yield "a_ticket_of_an_order_that_the_checkpoint_before_left_out", "FEED-13", world
    for pen, name in {1: "offers", 0: "ticket_items"}.items():
        world = poor_world(clock=SPACED)
        maker, taker = put(world, 0, SELL, 4), put(world, 1, BUY, 4)
        ticket = offer(world, maker, taker, 4)
        hand, other = world.pens[pen], world.pens[2]
        if name == "offers":  # with another's Ready
            hand.items.append(offer_item(world, ticket, hand, other))
        else:  # with another's signature for the taker's
            hand.items += [ticket_item(ticket, taker_pen, hand) for taker_pen in (world.pens[1], other)]
        world.epoch += 1
        world.say_checkpoint(hand)
        expect_listed(world, 1, 1)
        yield f"the_first_of_two_{name}_of_a_ticket", "FEED-13", world


def expect_listed(world: World, orders: int, tickets: int) -> None:
    """Make sure that the world's last entry lists so many orders, and so many Offers and TicketItems."""
    *_, live, ended, offers, items = feeds.read_sound_entry(DOMAIN, world.entries[-1]).items[-1]
    found = len(live) + len(ended), len(offers) + len(items)
    if found != (orders, tickets):
        raise ValueError(f"expected {orders} orders and {tickets} tickets in the Checkpoint, were {found}")
