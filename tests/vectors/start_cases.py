"""Cases for `protocol/vectors/feeds/starts.json`: where a feed may begin, and starts that no true Checkpoint can be."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from protocol.reference import feeds
from protocol.reference.cbor import RefusedError, encode
from protocol.reference.checkpoints import hash_of
from protocol.reference.signing import digest
from protocol.reference.starts import read_possible_start
from protocol.reference.types import BUY, FOK, GTD, IOC, SELL, Ready, Ticket
from tests.core.pens import (
    DOMAIN,
    MARKET,
    OTHER_MARKET_ID,
    Pen,
    delegation_item,
    make_entry,
    order_item,
    sign_entry,
    ticket_list,
)
from tests.core.small_worlds import NOW_S, offer_item, poor_world, ticket_item
from tests.core.worlds import CLOCK, FORMS, World
from tests.vectors.edge_cases import LAG_S, LIFE_S, first_epoch_from
from tests.vectors.world_cases import Case, plain

Item = list[Any]
NOTHING: dict[str, list[Item]] = {"live": [], "ended": [], "offers": [], "tickets": []}
PARTS = tuple(NOTHING)


@dataclass
class Draft:
    """A start before it is signed, to be spoilt: whose it is, what its Checkpoint says, and the items behind that."""

    world: World
    pen: Pen
    other: Pen
    ticket: Ticket
    delegation: Item
    parts: dict[str, list[Item]]
    next_nonce: int
    changes: dict[str, Any] = field(default_factory=dict)
    is_checkpoint: bool = True

    def order(self, signer: Pen | None = None, **changes: Any) -> Item:
        """An order of the feed's, below the next nonce, unless changed."""
        order = self.world.new_order(self.pen, SELL, 100, 4, nonce=3)
        return order_item(replace(order, **changes), (signer or self.pen).owner)

    def offer(self, **changes: Any) -> Item:
        """The good Offer with another ticket."""
        return offer_item(self.world, replace(self.ticket, **changes), self.pen, self.other)


def draft() -> Draft:
    """What a true Checkpoint lists: a resting order, one that ended, and the words on their tickets."""
    world = poor_world()
    pen, other = world.pens[0], world.pens[1]
    resting, ended = (world.new_order(pen, SELL, 100, 8) for _ in range(2))
    bought = world.new_order(other, BUY, 100, 8)
    for order, by in ((resting, pen), (ended, pen), (bought, other)):
        world.say_order(by, order, by.owner)
    taken = world.ticket_between(bought, resting, 4, 0, world.epoch)
    made = world.ticket_between(ended, bought, 2, 4, world.epoch)
    parts = [order_item(order, pen.owner) for order in (resting, ended)]
    parts += [offer_item(world, taken, pen, other), ticket_item(made, other, pen)]
    world.epoch += 1
    listed = {name: [item] for name, item in zip(PARTS, parts, strict=True)}
    return Draft(world, pen, other, taken, delegation_item(pen), listed, next_nonce=4)


def good_starts() -> dict[str, Callable[[Draft], object]]:
    """What may be true, at its edges."""
    return {
        "as_it_should_be": lambda one: None,
        "an_order_of_the_last_nonce": lambda one: one.parts["live"].append(one.order()),
        "a_lease_for_a_second_more": lambda one: one.parts["live"].append(one.order(tif=GTD, expiry=NOW_S + 1)),
        "words_two_epochs_old_and_more": lambda one: at_second(one, LIFE_S + LAG_S),
    }


def bad_orders() -> dict[str, Callable[[Draft], object]]:
    """Orders that no true Checkpoint lists."""
    orders: dict[str, dict[str, Any]] = {
        "of_the_next_nonce": {"nonce": 4},
        "of_another_owner": {"owner": bytes(20)},
        "of_another_session": {"session": bytes(20)},
        "of_another_market": {"market": OTHER_MARKET_ID},
        "below_min_fill": {"quantity_lots": 1},
        "that_ended": {"tif": GTD, "expiry": NOW_S},
        "that_is_ioc": {"tif": IOC, "expiry": NOW_S + 60},
        "that_is_fok": {"tif": FOK, "expiry": NOW_S + 60},
        "of_tier_4": {"min_tier": 4},
        "without_a_date": {"tif": GTD},
        "of_lane_4": FORMS["lane_4"],
    }
    return {
        **{f"an_order_{name}": adding("live", change) for name, change in orders.items()},
        "an_order_signed_by_another": lambda one: one.parts["live"].append(one.order(one.other)),
        "an_order_live_and_ended": lambda one: one.parts["ended"].append(one.parts["live"][0]),
        "an_ended_order_of_no_ticket": adding("ended", {}),
        "a_ticket_among_the_orders": lambda one: one.parts["live"].append(one.parts["tickets"].pop()),
    }


def adding(part: str, change: dict[str, Any]) -> Callable[[Draft], object]:
    """Lists one order more."""
    return lambda one: one.parts[part].append(one.order(**change))


def bad_words() -> dict[str, Callable[[Draft], object]]:
    """Offers and TicketItems that no true Checkpoint lists, and a Delegation."""
    return {
        "an_offer_of_unequal_lots": lambda one: one.parts["offers"].append(one.offer(taker_to=9)),
        "an_offer_of_an_order_that_is_not_listed": lambda one: one.parts["offers"].append(
            one.offer(taker_order=bytes(32))
        ),
        "an_offer_of_another_ready_epoch": lambda one: one.parts.update(offers=[with_ready_epoch(one)]),
        "an_offer_that_the_maker_signed": lambda one: one.parts.update(offers=[signed_by_the_maker(one)]),
        "two_offers_of_a_ticket": lambda one: one.parts["offers"].append(
            offer_item(one.world, one.ticket, one.pen, one.world.pens[2])
        ),
        "words_of_tickets_that_are_over": lambda one: at_second(one, LIFE_S + LAG_S + 1),
        "an_offer_among_the_tickets": lambda one: one.parts["tickets"].append(one.parts["offers"].pop()),
        "offers_and_tickets_exchanged": lambda one: one.parts.update(
            offers=one.parts["tickets"], tickets=one.parts["offers"]
        ),
        "a_delegation_of_another_session": lambda one: setattr(one, "delegation", delegation_item(one.other)),
        "a_delegation_that_no_peer_signed": lambda one: setattr(one, "delegation", [*one.delegation[:-1], bytes(64)]),
        "an_order_for_a_delegation": lambda one: setattr(one, "delegation", one.order()),
        "another_market": lambda one: (one.changes.update(market=OTHER_MARKET_ID), one.parts.update(NOTHING)),
        "no_checkpoint": lambda one: setattr(one, "is_checkpoint", False),
    }


def with_ready_epoch(one: Draft) -> Item:
    """An Offer with the Ready of an epoch that is not its ticket's."""
    ready = Ready(ticket=digest(DOMAIN, "Ticket", one.ticket), epoch=one.ticket.epoch + 1)
    signature = one.pen.session.sign_struct(DOMAIN, "Ticket", one.ticket)
    ready_signature = one.other.session.sign_struct(DOMAIN, "Ready", ready)
    return [feeds.OFFER, ticket_list(one.ticket), signature, ready.epoch, ready_signature]


def signed_by_the_maker(one: Draft) -> Item:
    """An Offer that its taker did not sign."""
    return [
        *one.parts["offers"][0][:2],
        one.other.session.sign_struct(DOMAIN, "Ticket", one.ticket),
        *one.parts["offers"][0][3:],
    ]


def at_second(one: Draft, seconds: int) -> None:
    """Claim an epoch that starts so long after the tickets' own."""
    one.world.epoch = first_epoch_from(one.world, NOW_S + seconds)


def start_cases() -> list[Case]:
    """All of them, and starts whose bodies are not those of their hashes."""
    spoils = {**good_starts(), **bad_orders(), **bad_words()}
    cases = []
    for name, spoil in spoils.items():
        one = draft()
        spoil(one)
        encoded, bodies = written(one)
        cases.append(start_case(name, encoded, bodies))
    one = draft()
    one.parts["live"].append(one.order())
    encoded, bodies = written(one)
    shuffled = {
        "a_body_left_out": bodies[:-1],
        "a_body_more": [*bodies, bodies[-1]],
        "two_bodies_exchanged": [bodies[0], bodies[2], bodies[1], *bodies[3:]],
        "another_body": [*bodies[:-1], bodies[1]],
        "no_bodies": [],
    }
    return [*cases, *(start_case(name, encoded, given) for name, given in shuffled.items())]


def written(one: Draft) -> tuple[bytes, list[bytes]]:
    """The entry of a draft, and its bodies in the order of their hashes."""
    parts = [sorted(one.parts[name], key=hash_of) for name in PARTS]
    lists = [[hash_of(item) for item in part] for part in parts]
    said: Item = [feeds.CHECKPOINT, one.next_nonce, hash_of(one.delegation), *lists]
    items = [said] if one.is_checkpoint else [[feeds.CANCEL, bytes(32)]]
    entry = make_entry(one.pen, items, seq=40, epoch=one.world.epoch, **one.changes)
    return sign_entry(one.pen, entry), [
        encode(item) for item in (one.delegation, *(item for part in parts for item in part))
    ]


def start_case(name: str, encoded: bytes, bodies: list[bytes]) -> Case:
    """What the reference makes of a start."""
    refused = None
    try:
        read_possible_start(DOMAIN, CLOCK, MARKET, (encoded, bodies))
    except RefusedError as error:
        refused = error.rule
    return {
        "name": name,
        "rules": ["FEED-16"],
        "entry": plain(encoded),
        "bodies": plain(bodies),
        "refused": refused,
    }
