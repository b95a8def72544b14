"""Worlds made by hand, a few orders each, and what the reference says of a world."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from protocol.reference import book as reference_book
from protocol.reference import chain, feeds
from protocol.reference.signing import digest
from protocol.reference.types import Address, Clock, Digest, Order, Ready, Ticket, epoch_start_s
from tests.core.pens import DOMAIN, FIRST_EPOCH, MARKET, MARKET_ID, Pen, ticket_list
from tests.core.worlds import CLOCK, OWNERS, QUOTE_PER_BOND, Step, World

Begun = tuple[bytes, list[bytes]]
"""The entry at which a feed begins, and the bodies of what its Checkpoint lists."""

NOW_S = epoch_start_s(CLOCK, FIRST_EPOCH)


def reference_book_of(world: World, epoch: int) -> reference_book.Book | None:
    """What the reference says of a world in an epoch."""
    return reference_book_at(world, world.entries, epoch)


def reference_book_at(
    world: World,
    entries: Iterable[bytes],
    epoch: int,
    convicted: Sequence[Address] = (),
    starts: Iterable[Begun] = (),
) -> reference_book.Book | None:
    """What the reference says in an epoch of those entries of a world that are here so far, and of those starts."""
    return reference_book.compute_book(
        entries,
        MARKET,
        DOMAIN,
        world.blocks,
        world.clock,
        epoch,
        convicted,
        quote_per_bond=QUOTE_PER_BOND,
        starts=starts,
    )


def open_world() -> World:
    """A world with funds for everyone and no entries."""
    world = World()
    world.open_chain(3)
    return world


def place(world: World, pen: int, side: int, quantity_lots: int = 8) -> Order:
    """A good order at 100 ticks, written at once; it is the world's newest."""
    world.do(Step("order", (pen, side, 3, quantity_lots - 2, 0, 0, 1)))
    return world.orders[-1]


def offer_item(world: World, ticket: Ticket, taker: Pen, maker: Pen) -> list[Any]:
    """An Offer that both sides have signed as they should."""
    ready = Ready(ticket=digest(DOMAIN, "Ticket", ticket), epoch=ticket.epoch)
    signature = taker.session.sign_struct(DOMAIN, "Ticket", ticket)
    return [
        feeds.OFFER,
        ticket_list(ticket),
        signature,
        ticket.epoch,
        maker.session.sign_struct(DOMAIN, "Ready", ready),
    ]


def ticket_item(ticket: Ticket, taker: Pen, maker: Pen) -> list[Any]:
    """A TicketItem that both sides have signed as they should."""
    signatures = [pen.session.sign_struct(DOMAIN, "Ticket", ticket) for pen in (taker, maker)]
    return [feeds.TICKET, ticket_list(ticket), *signatures]


def poor_world(lots: int = 15, clock: Clock = CLOCK) -> World:
    """A world in which every owner can sell that many lots, and pay for as many at 100 ticks."""
    world = World(clock)
    world.open_chain(0)
    facts = tuple(
        replace(fact, delta=fact.delta // 15 * lots) if isinstance(fact, chain.FundsChanged) else fact
        for fact in world.blocks[0].facts
    )
    world.blocks[0] = replace(world.blocks[0], facts=facts)
    return world


def put(world: World, pen: int, side: int, lots: int, **changes: Any) -> Digest:
    """An order at 100 ticks, written at once."""
    hand = world.pens[pen]
    world.say_order(hand, world.new_order(hand, side, 100, lots, **changes), hand.owner)
    world.flush(hand)
    return world.order_ids[-1]


def order_named(world: World, order_id: Digest) -> Order:
    """An order of a world."""
    return world.orders[world.order_ids.index(order_id)]


def offer(world: World, maker: Digest, taker: Digest, lots: int, start: int = 0) -> Ticket:
    """An Offer of a taker's, with the maker's Ready inside, written at once; the maker's lots begin at `start`."""
    ticket = world.ticket_between(order_named(world, maker), order_named(world, taker), lots, start, world.epoch)
    pens = [world.pen_of(order_named(world, order_id)) for order_id in (taker, maker)]
    pens[0].items.append(offer_item(world, ticket, *pens))
    world.flush(pens[0])
    return ticket


def allocate(world: World, owner: int, lots: int, time_s: int) -> None:
    """Base for so many lots to sell, in a block of that time."""
    delta = lots * MARKET.lot_size
    fact = chain.FundsChanged(owner=OWNERS[owner].address, market=MARKET_ID, token=MARKET.base, delta=delta)
    world.facts.append(fact)
    world.add_block(time_s)


def settle(world: World, ticket: Ticket, *, is_maker_buyer: bool, owners: tuple[int, int]) -> None:
    """The chain settles a ticket with the next block."""
    world.facts.append(trade_of(ticket, is_maker_buyer=is_maker_buyer, owners=owners))


def trade_of(ticket: Ticket, *, is_maker_buyer: bool, owners: tuple[int, int]) -> chain.TradeSettled:
    """What the chain says of a ticket of the maker's and the taker's owner, without a fee."""
    maker, taker = owners
    return chain.TradeSettled(
        ticket=digest(DOMAIN, "Ticket", ticket),
        market=MARKET_ID,
        maker_order=ticket.maker_order,
        taker_order=ticket.taker_order,
        maker_owner=OWNERS[maker].address,
        taker_owner=OWNERS[taker].address,
        is_maker_buyer=is_maker_buyer,
        price_ticks=ticket.price_ticks,
        maker_from=ticket.maker_from,
        maker_to=ticket.maker_to,
        taker_from=ticket.taker_from,
        taker_to=ticket.taker_to,
    )
