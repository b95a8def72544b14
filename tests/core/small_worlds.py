"""Worlds made by hand, a few orders each, and what the reference says of a world."""

from collections.abc import Iterable, Sequence
from typing import Any

from protocol.reference import book as reference_book
from protocol.reference import feeds
from protocol.reference.signing import digest
from protocol.reference.types import Address, Order, Ready, Ticket
from tests.core.pens import DOMAIN, MARKET, Pen, ticket_list
from tests.core.worlds import QUOTE_PER_BOND, Step, World


def reference_book_of(world: World, epoch: int) -> reference_book.Book | None:
    """What the reference says of a world in an epoch."""
    return reference_book_at(world, world.entries, epoch)


def reference_book_at(
    world: World, entries: Iterable[bytes], epoch: int, convicted: Sequence[Address] = ()
) -> reference_book.Book | None:
    """What the reference says in an epoch of those entries of a world that are here so far."""
    return reference_book.compute_book(
        entries, MARKET, DOMAIN, world.blocks, world.clock, epoch, convicted, QUOTE_PER_BOND
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
