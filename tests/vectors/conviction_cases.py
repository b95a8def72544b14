"""Cases for `protocol/vectors/book/convictions.json`: sessions that their own feeds convict. Spec: [EVID-4]."""

from dataclasses import replace
from typing import Any

from protocol.reference.types import BUY, SELL, Ticket, epoch_start_s
from tests.core.pens import Pen, ticket_list
from tests.core.small_worlds import offer_item, order_named, put, ticket_item
from tests.core.worlds import CLOCK, World
from tests.vectors.base_cases import ripe
from tests.vectors.edge_cases import LAG_S, LIFE_S, first_epoch_from
from tests.vectors.world_cases import Told, opened

ONE, TWO, NOBODY = 1, 2, None  # sessions, and a signature of nobody's


def conviction_worlds() -> Told:
    """[EVID-4]: a taker's Offers, and a maker's TicketItems."""
    pairs: dict[str, dict[str, Any]] = {
        "beside_each_other": {"taker_from": 4, "taker_to": 8},
        "with_a_lot_in_both": {"taker_from": 3, "taker_to": 7},
        "of_one_number": {"taker_from": 4, "taker_to": 8, "ticket_nonce": 1},
    }
    for name, changes in pairs.items():
        world, first, second = two_tickets()
        offer_both(world, first, replace(second, **changes))
        yield f"offers_{name}", "EVID-4", world
    world, first, _ = two_tickets()
    offer_both(world, first, first)
    yield "one_ticket_offered_twice", "EVID-4", world
    world, first, second = two_tickets()
    other = put(world, ONE, SELL, 4)
    offer_both(world, first, replace(second, taker_order=other))
    yield "offers_of_two_orders_with_equal_lots", "EVID-4", world
    for name, seconds in {"as_the_first_ends": 0, "a_second_after_the_first_ended": 1}.items():
        world, first, second = two_tickets()
        say(world, world.pens[ONE], offer_of(world, first))
        world.epoch = first_epoch_from(world, first.deadline + seconds)
        moved = replace(second, epoch=world.epoch, deadline=epoch_start_s(CLOCK, world.epoch) + LIFE_S)
        say(world, world.pens[ONE], offer_of(world, moved))
        yield f"offers_of_the_same_lots_{name}", "EVID-4", world
    world, first, second = two_tickets()
    say(world, world.pens[ONE], offer_of(world, first))
    world.epoch += 1
    say(world, world.pens[ONE], offer_of(world, second))
    world.epoch -= 1
    yield "an_offer_that_claims_a_later_epoch", "EVID-4 BOOK-2", world
    yield from maker_worlds()


def maker_worlds() -> Told:
    """TicketItems of a maker's, whose takers number their tickets each for itself."""
    signers = {"one_taker": (ONE, ONE), "two_takers": (ONE, TWO), "nobody": (NOBODY, NOBODY)}
    for name, takers in signers.items():
        world = opened()
        maker, taker = (order_named(world, order_id) for order_id in world.order_ids)
        first = world.ticket_between(maker, taker, 3, 0, world.epoch)
        second = replace(first, maker_from=3, maker_to=6, taker_from=3, taker_to=6)
        for ticket, signer in zip((first, second), takers, strict=True):
            say(world, world.pens[0], countersigned(world, ticket, signer))
        yield f"tickets_of_one_number_of_{name}", "EVID-4", world
    world = opened()
    maker, taker = (order_named(world, order_id) for order_id in world.order_ids)
    first = world.ticket_between(maker, taker, 4, 0, world.epoch)
    for ticket in (first, replace(first, maker_from=3, maker_to=7, ticket_nonce=2)):
        say(world, world.pens[0], countersigned(world, ticket, ONE))
    yield "tickets_with_a_lot_in_both", "EVID-4", world


def convicted_below_worlds() -> Told:
    """[FEED-15]: words that contradict each other below a base say nothing, and those that it lists do."""
    for name, seconds in {"below": LIFE_S + LAG_S + 1, "in": LIFE_S + LAG_S}.items():
        world, first, second = two_tickets()
        offer_both(world, first, second)
        world.epoch = first_epoch_from(world, epoch_start_s(CLOCK, first.epoch) + seconds)
        world.say_checkpoint(world.pens[ONE])
        yield f"a_contradiction_{name}_the_base", "FEED-15 EVID-4", ripe(world)


def two_tickets() -> tuple[World, Ticket, Ticket]:
    """A world, and two tickets of one taker's order with two makers over the same lots."""
    world = opened()
    put(world, TWO, BUY, 8)
    makers = [order_named(world, order_id) for order_id in (world.order_ids[0], world.order_ids[2])]
    taker = order_named(world, world.order_ids[1])
    first, second = (world.ticket_between(maker, taker, 4, 0, world.epoch) for maker in makers)
    return world, first, second


def offer_both(world: World, *tickets: Ticket) -> None:
    """The taker says an Offer of each."""
    for ticket in tickets:
        say(world, world.pens[ONE], offer_of(world, ticket))


def offer_of(world: World, ticket: Ticket) -> list[Any]:
    """An Offer as both sides sign it."""
    return offer_item(world, ticket, world.pens[ONE], world.pen_of(order_named(world, ticket.maker_order)))


def countersigned(world: World, ticket: Ticket, signer: int | None) -> list[Any]:
    """A TicketItem of session 0 with some session's signature for the taker's."""
    item = ticket_item(ticket, world.pens[signer or ONE], world.pens[0])
    return item if signer is not NOBODY else [item[0], ticket_list(ticket), bytes(65), item[3]]


def say(world: World, pen: Pen, item: list[Any]) -> None:
    """Write one item at once."""
    pen.items.append(item)
    world.flush(pen)
