"""Cases for `protocol/vectors/book/{holds,admission}.json` at the edges: the last second, the first lot too many."""

from dataclasses import replace
from itertools import count

from protocol.reference import feeds
from protocol.reference.types import BUY, SELL, Ticket, epoch_start_s
from tests.core.small_worlds import NOW_S, offer, offer_item, order_named, poor_world, put, settle, ticket_item
from tests.core.worlds import CLOCK, World
from tests.vectors.world_cases import Told, opened

LIFE_S, LAG_S = CLOCK.constants.d, CLOCK.constants.l_fund


def hold_edges() -> Told:
    """[HOLD-1..3], where an Offer or a TicketItem only just counts, and where it only just does not."""
    for name, epochs in {"two": 2, "three": 3}.items():
        world, ticket = agreed()
        world.epoch += epochs
        world.pens[1].items.append(offer_item(world, ticket, world.pens[1], world.pens[0]))
        world.flush(world.pens[1])
        yield f"offer_{name}_epochs_after_its_ready", "HOLD-1", world
    world, ticket = agreed()
    ticket = replace(ticket, deadline=epoch_start_s(CLOCK, ticket.epoch))
    world.pens[1].items.append(offer_item(world, ticket, world.pens[1], world.pens[0]))
    world.flush(world.pens[1])
    yield "offer_that_ends_as_its_epoch_starts", "HOLD-3", world
    for name, seconds in {"in": 0, "a_second_after": 1}.items():
        world, ticket = agreed()
        world.epoch = first_epoch_from(world, ticket.deadline + seconds)
        world.pens[0].items.append(ticket_item(ticket, world.pens[1], world.pens[0]))
        world.flush(world.pens[0])
        yield f"ticket_said_{name}_its_last_second", "HOLD-2", world
    for name, epochs in {"its_entrys_epoch": 0, "an_epoch_to_come": 1}.items():
        world, ticket = agreed(epochs)
        world.pens[0].items.append(ticket_item(ticket, world.pens[1], world.pens[0]))
        world.flush(world.pens[0])
        world.epoch += 2
        yield f"ticket_of_{name}", "HOLD-2", world
    for tag in ("offer", "ticket"):
        world = opened()
        pen, other, order_id = world.pens[2], world.pens[0], world.order_ids[0]
        world.say_order(pen, world.new_order(pen, SELL, 100, 8), pen.owner)
        sides = [order_id, world.order_ids[-1]] if tag == "offer" else [world.order_ids[-1], order_id]
        ticket = world.ticket_between(*(order_named(world, side) for side in sides), 4, 0, world.epoch)
        said = offer_item(world, ticket, pen, other) if tag == "offer" else ticket_item(ticket, other, pen)
        pen.items.insert(0, said)
        world.flush(pen)
        yield f"{tag}_ahead_of_its_order", "HOLD-1" if tag == "offer" else "HOLD-2", world


def agreed(epochs: int = 0) -> tuple[World, Ticket]:
    """A world with two orders, and the ticket that session 0, the maker, and session 1 agreed on and did not say yet.

    Args:
        epochs: how far ahead of the world the ticket's epoch lies.
    """
    world = opened()
    maker, taker = (order_named(world, order_id) for order_id in world.order_ids)
    return world, world.ticket_between(maker, taker, 4, 0, world.epoch + epochs)


def first_epoch_from(world: World, time_s: int) -> int:
    """The first epoch from the world's on that starts no earlier."""
    return next(epoch for epoch in count(world.epoch) if epoch_start_s(world.clock, epoch) >= time_s)


def admission_edges() -> Told:
    """[FUND-5]: what a ticket reserves, of an open order or of one that is not, settled or over."""
    for name, seconds in {"in_its_last_second": 0, "that_is_over": 1}.items():
        world, ticket = sold(cancel=True)
        world.epoch = first_epoch_from(world, ticket.deadline + LAG_S + seconds)
        put(world, 0, SELL, 12)
        put(world, 0, SELL, 11)
        yield f"ticket_of_a_cancelled_order_{name}", "FUND-5", world
    for name, cancel in {"a_cancelled": True, "an_open": False}.items():
        world, ticket = sold(cancel=cancel)
        settle(world, ticket, is_maker_buyer=True, owners=(1, 0))
        world.add_block(NOW_S + 1)
        world.epoch = first_epoch_from(world, NOW_S + 1 + LAG_S)
        put(world, 0, SELL, 12 if cancel else 4)
        put(world, 0, SELL, 11 if cancel else 3)
        yield f"settled_ticket_of_{name}_order", "FUND-5", world
    world, _ = sold(cancel=False)
    put(world, 0, SELL, 4)
    put(world, 0, SELL, 3)
    yield "an_open_order_reserves_no_more_for_its_ticket", "FUND-5", world
    world = poor_world(5000)
    ticket = offer(world, put(world, 1, BUY, 2), put(world, 0, SELL, 2), 2)
    settle(world, ticket, is_maker_buyer=True, owners=(1, 0))
    world.add_block(NOW_S + 1)
    world.epoch = first_epoch_from(world, NOW_S + 1 + LAG_S)
    pen = world.pens[0]
    for number in range(101):
        world.say_order(pen, world.new_order(pen, SELL, 100, 2), pen.owner)
        if number % 50 == 49:
            world.flush(pen)
    world.flush(pen)
    yield "a_filled_order_is_not_one_of_the_hundred", "FUND-5", world


def sold(*, cancel: bool) -> tuple[World, Ticket]:
    """A world in which owner 0 can sell 15 lots, placed an order of 12 and signed 4 of them away as a taker."""
    world = poor_world()
    maker, taker = put(world, 1, BUY, 8), put(world, 0, SELL, 12)
    ticket = offer(world, maker, taker, 4)
    if cancel:
        world.pens[0].items.append([feeds.CANCEL, taker])
        world.flush(world.pens[0])
    return world, ticket
