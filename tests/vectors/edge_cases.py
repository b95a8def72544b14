"""Cases for `protocol/vectors/{feeds,book}` at the edges: the last second, the first lot too many, the wrong key."""

from dataclasses import replace
from itertools import count
from typing import Any

from protocol.reference import chain, feeds
from protocol.reference.signing import digest
from protocol.reference.types import BUY, IOC, PROTECTED_MARKET, SELL, Ticket, epoch_start_s
from tests.core.pens import DOMAIN, delegation_item, make_entry, order_item, sign_entry
from tests.core.small_worlds import NOW_S, offer, offer_item, order_named, poor_world, put, settle, ticket_item
from tests.core.worlds import CLOCK, OWNERS, World
from tests.vectors.world_cases import Told, opened

LIFE_S, LAG_S = CLOCK.constants.d, CLOCK.constants.l_fund


def feed_edges() -> Told:
    """[FEED-3], a Delegation that is good but for one thing; [FEED-6], two forks."""
    pen, other = World().pens[2], World().pens[0]
    signature = delegation_item(other)[5]
    delegations = {
        "another_owner": delegation_item(replace(pen, owner=other.owner)),
        "another_session": delegation_item(replace(pen, session=other.session)),
        "no_session": [*delegation_item(pen)[:5], signature, *delegation_item(pen)[6:]],
    }
    for name, item in delegations.items():
        world = opened()
        pen = world.pens[2]
        order = order_item(world.new_order(pen, SELL, 100, 4), pen.owner)
        world.entries.append(sign_entry(pen, make_entry(pen, [item, order])))
        yield f"delegation_{'signed_by' if name == 'no_session' else 'of'}_{name}", "FEED-3 FEED-4", world
    world = opened()
    pen = world.pens[2]
    order = order_item(world.new_order(pen, SELL, 100, 4), pen.owner)
    first = make_entry(pen, [delegation_item(pen), order], prev_hash=bytes(31) + b"\x01")
    world.entries.append(sign_entry(pen, first))
    yield "first_entry_with_one_before_it", "FEED-2 FEED-4", world
    world = opened()
    pen = world.pens[0]
    places = []
    for _ in range(3):
        places.append((pen.seq, pen.prev_hash))
        put(world, 0, BUY, 2)
        world.epoch += 1
    for seq, prev_hash in places[:0:-1]:
        pen.seq, pen.prev_hash = seq, prev_hash
        put(world, 0, BUY, 3)
    yield "two_forks", "FEED-6", world


def order_edges() -> Told:
    """[ORD-3..5], what no other form of an order shows."""
    forms: dict[str, dict[str, Any]] = {
        "protected_market_without_expiry": {"kind": PROTECTED_MARKET, "tif": IOC},
        "protected_market_post_only": {"kind": PROTECTED_MARKET, "tif": IOC, "expiry": NOW_S + 5, "post_only": True},
        "of_8_methods_and_8_arbitrators": {
            "security": 1,
            "payment_methods": tuple(range(8)),
            "arbitrators": tuple(number.to_bytes(20, "big") for number in range(8)),
        },
    }
    for name, form in forms.items():
        world = opened()
        put(world, 2, BUY, 4, **form)
        yield f"form_{name}", "ORD-4" if "security" in form else "ORD-3", world
    world = opened()
    pen = world.pens[2]
    order = world.new_order(pen, BUY, 100, 4)
    pen.items.append([feeds.CANCEL, digest(DOMAIN, "Order", order)])
    world.say_order(pen, order, pen.owner)
    world.flush(pen)
    yield "cancelled_ahead_of_the_order", "ORD-5", world


def hold_edges() -> Told:
    """[HOLD-1..3], where an Offer or a TicketItem only just counts, and where it only just does not."""
    for name, epochs in {"two": 2, "three": 3}.items():
        world, ticket = agreed()
        world.epoch += epochs
        world.pens[1].items.append(offer_item(world, ticket, world.pens[1], world.pens[0]))
        world.flush(world.pens[1])
        yield f"offer_{name}_epochs_after_its_ready", "HOLD-1", world
    world, ticket = agreed()
    world.pens[1].items.append(offer_item(world, replace(ticket, price_ticks=1), world.pens[1], world.pens[0]))
    world.flush(world.pens[1])
    yield "offer_at_a_price_of_one", "HOLD-3", world
    yield from dead_worlds()
    world = opened()
    ticket = offer(world, *world.order_ids, 4, start=2)
    settle(world, ticket, is_maker_buyer=True, owners=(0, 1))
    world.add_block(NOW_S + 1)
    world.epoch = first_epoch_from(world, NOW_S + 1 + LAG_S)
    yield "settled_in_the_middle", "HOLD-5 FUND-1", world
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
    for name, change in {"unequal_lots": {"taker_to": 5}, "a_late_deadline": {"deadline": NOW_S + LIFE_S + 1}}.items():
        world, ticket = agreed()
        world.pens[0].items.append(ticket_item(replace(ticket, **change), world.pens[1], world.pens[0]))
        world.flush(world.pens[0])
        yield f"ticket_of_{name}", "HOLD-2 HOLD-3", world
    for tag, number in {"offer": 1, "ticket": 0}.items():
        world, ticket = agreed()
        other = world.pens[2]
        put(world, 2, BUY, 2)
        honest = world.pens[1 - number]
        said = offer_item(world, ticket, other, honest) if tag == "offer" else ticket_item(ticket, honest, other)
        other.items.append(said)
        world.flush(other)
        yield f"{tag}_of_another_sessions_order", "HOLD-1" if tag == "offer" else "HOLD-2", world
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


def dead_worlds() -> Told:
    """[HOLD-6]: a maker signed a TicketItem, and forked at it, below it, or where it is not contiguous."""
    for name in ("at_it", "below_it", "and_not_contiguous"):
        world, ticket = agreed()
        pen = world.pens[0]
        forked = pen.seq, pen.prev_hash
        if name != "at_it":
            put(world, 0, BUY, 2)
        pen.seq += name == "and_not_contiguous"
        pen.items.append(ticket_item(ticket, world.pens[1], pen))
        world.flush(pen)
        pen.seq, pen.prev_hash = forked
        put(world, 0, BUY, 3)
        yield f"ticket_of_a_session_that_forked_{name}", "HOLD-6", world


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


def fund_edges() -> Told:
    """[FUND-2..5], [HOLD-7]: what another session or another owner says, and what is said of a void order."""
    world = poor_world()
    first = put(world, 0, SELL, 12)
    world.epoch += 1
    world.pens[3].items.append([feeds.CANCEL, first])
    world.flush(world.pens[3])
    world.epoch += 1
    put(world, 0, SELL, 4)
    yield "an_order_that_the_owners_other_session_would_cancel", "ORD-5 FUND-5", world
    world = poor_world()
    pen = world.pens[4]
    world.facts.append(
        chain.SessionAuthorised(owner=OWNERS[0].address, session=pen.session.address, scope=3, expiry=2**40)
    )
    world.add_block(NOW_S - 30)
    put(world, 4, SELL, 2)
    yield "session_that_another_owner_authorised", "FUND-4", world
    for name, epochs in {"holds_no_funds": 0, "makes_nobody_silent": 4}.items():
        world = poor_world()
        void, _, taker = put(world, 0, SELL, 16), put(world, 0, SELL, 2), put(world, 1, BUY, 15)
        offer(world, void, taker, 14)
        world.epoch += epochs
        yield f"ready_on_a_void_order_{name}", "FUND-2 HOLD-7", world


def sold(*, cancel: bool) -> tuple[World, Ticket]:
    """A world in which owner 0 can sell 15 lots, placed an order of 12 and signed 4 of them away as a taker."""
    world = poor_world()
    maker, taker = put(world, 1, BUY, 8), put(world, 0, SELL, 12)
    ticket = offer(world, maker, taker, 4, start=2)
    if cancel:
        world.pens[0].items.append([feeds.CANCEL, taker])
        world.flush(world.pens[0])
    return world, ticket
