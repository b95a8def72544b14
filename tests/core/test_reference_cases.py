"""Small worlds in which the program and the reference could part, each the seed of a question once asked."""

from itertools import permutations
from typing import Any

import pytest

from protocol.reference import feeds
from protocol.reference.book import encode_book
from protocol.reference.signing import digest
from protocol.reference.types import BUY, SELL, Order
from tests.core.adapters import fast_book, fast_feeds, fast_ledger, verified
from tests.core.pens import DOMAIN, FIRST_EPOCH, make_entry, sign_entry
from tests.core.small_worlds import offer_item, open_world, place, reference_book_of, ticket_item
from tests.core.worlds import World


def fast_bytes(world: World, entries: list[bytes]) -> bytes:
    """The program's book bytes of a world after entries came in this order."""
    book = fast_book(fast_feeds(verified(entries)), fast_ledger(world.blocks), world.epoch)
    assert book is not None
    return book.encode()


def reference_bytes(world: World) -> bytes:
    """The reference's book bytes of a world."""
    book = reference_book_of(world, world.epoch)
    assert book is not None
    return encode_book(book)


def assert_free(world: World, order: Order, free: tuple[tuple[int, int], ...]) -> None:
    """Say what the reference leaves free of an order."""
    book = reference_book_of(world, world.epoch)
    assert book is not None
    assert {row.order_id: row.free for row in book.orders}[digest(DOMAIN, "Order", order)] == free


def test_tickets_of_a_fork_ahead_of_a_gap_stand_whichever_half_came_first() -> None:
    """Spec: [FEED-6], [FEED-8], [HOLD-6]."""
    world = open_world()
    taker, maker = place(world, 0, BUY), place(world, 1, SELL)
    taker_pen, maker_pen = world.pen_of(taker), world.pen_of(maker)
    for start in (0, 4):
        ticket = world.ticket_between(maker, taker, 2, start, FIRST_EPOCH)
        entry = make_entry(maker_pen, [ticket_item(ticket, taker_pen, maker_pen)], seq=3)
        world.entries.append(sign_entry(maker_pen, entry))
    world.close()
    assert_free(world, taker, ((4, 8),))
    expected = reference_bytes(world)
    for order in permutations(world.entries):
        assert fast_bytes(world, list(order)) == expected


@pytest.mark.parametrize("is_good_first", [True, False])
def test_a_dead_session_cannot_take_a_ticket_back_by_spoiling_a_copy_of_it(is_good_first: bool) -> None:
    """A copy with another taker signature holds what it holds, and takes nothing from the good one. Spec: [HOLD-2]."""
    world = open_world()
    taker, maker = place(world, 0, BUY), place(world, 1, SELL)
    taker_pen, maker_pen = world.pen_of(taker), world.pen_of(maker)
    good = ticket_item(world.ticket_between(maker, taker, 2, 0, FIRST_EPOCH), taker_pen, maker_pen)
    spoilt = [*good[:2], bytes(65), good[3]]
    maker_pen.items = [good, spoilt] if is_good_first else [spoilt, good]
    world.flush(maker_pen)
    fork = make_entry(maker_pen, [spoilt], seq=1, prev_hash=maker_pen.prev_hash)
    world.entries.append(sign_entry(maker_pen, fork))
    world.close()
    assert_free(world, taker, ((2, 8),))
    for order in permutations(world.entries):
        assert fast_bytes(world, list(order)) == reference_bytes(world)


def test_a_ticket_of_an_order_with_itself_holds_both_its_ranges() -> None:
    """Spec: [HOLD-1], [HOLD-5]."""
    world = open_world()
    order = place(world, 0, BUY)
    pen = world.pen_of(order)
    ticket = world.ticket_between(order, order, 2, 4, FIRST_EPOCH)
    pen.items.append(offer_item(world, ticket, pen, pen))
    world.close()
    assert_free(world, order, ((0, 2), (6, 8)))
    assert fast_bytes(world, world.entries) == reference_bytes(world)


def test_nobody_holds_the_lots_of_an_order_by_repeating_it() -> None:
    """An Order item of another session is nobody's: an Offer on it holds nothing. Spec: [ORD-1], [HOLD-1]."""
    world = open_world()
    order, other = place(world, 0, BUY), place(world, 1, SELL)
    thief = world.pens[2]
    thief.items.append([feeds.ORDER, *world_item(world, order)])
    ticket = world.ticket_between(other, order, 2, 0, FIRST_EPOCH)
    thief.items.append(offer_item(world, ticket, thief, world.pen_of(other)))
    world.close()
    assert_free(world, order, ((0, 8),))
    assert_free(world, other, ((0, 8),))
    assert fast_bytes(world, world.entries) == reference_bytes(world)


def world_item(world: World, order: Order) -> list[Any]:
    """An Order item's fields after the tag, signed by its owner."""
    fields = [getattr(order, name) for name in Order.__dataclass_fields__]
    plain = [list(value) if isinstance(value, tuple) else value for value in fields]
    return [plain, world.pen_of(order).owner.sign_struct(DOMAIN, "Order", order)]


@pytest.mark.parametrize("claimed", [FIRST_EPOCH + 1, FIRST_EPOCH + 9])
def test_a_dead_sessions_ticket_of_a_later_epoch_waits_for_it(claimed: int) -> None:
    """An entry left out is left out: no node's book of an epoch depends on entries of later ones. Spec: [HOLD-6]."""
    world = open_world()
    taker, maker = place(world, 0, BUY), place(world, 1, SELL)
    taker_pen, maker_pen = world.pen_of(taker), world.pen_of(maker)
    ticket = world.ticket_between(maker, taker, 2, 0, FIRST_EPOCH)
    for extra in ([], [[feeds.CANCEL, bytes(32)]]):
        items = [ticket_item(ticket, taker_pen, maker_pen), *extra]
        world.entries.append(sign_entry(maker_pen, make_entry(maker_pen, items, seq=1, epoch=claimed)))
    world.close()
    assert_free(world, taker, ((0, 8),))
    assert fast_bytes(world, world.entries) == reference_bytes(world)
    world.epoch = claimed
    assert_free(world, taker, ((2, 8),))
    assert fast_bytes(world, world.entries) == reference_bytes(world)


def test_a_dead_session_is_dead_in_the_books_of_earlier_epochs_too() -> None:
    """A fork is a fact of the feed: no claimed epoch hides it. Spec: [FEED-6], [BOOK-3]."""
    world = open_world()
    order = place(world, 0, BUY)
    pen = world.pen_of(order)
    for number in range(2):
        entry = make_entry(pen, [[feeds.CANCEL, bytes([number]) * 32]], seq=1, epoch=FIRST_EPOCH + 2)
        world.entries.append(sign_entry(pen, entry))
    world.close()
    book = reference_book_of(world, FIRST_EPOCH)
    assert book is not None
    assert book.dead_sessions == (pen.session.address,)
    assert book.orders == ()
    assert fast_bytes(world, world.entries) == reference_bytes(world)


def test_a_closed_order_still_reserves_for_a_ticket_that_is_under_way() -> None:
    """A cancelled order's ticket is paid for before a newer order is, which is void then. Spec: [FUND-2], [FUND-5]."""
    world = World()
    world.open_chain(0)
    old, other = place(world, 0, BUY, 8), place(world, 1, SELL, 8)
    pen = world.pen_of(old)
    ticket = world.ticket_between(other, old, 8, 0, FIRST_EPOCH)
    pen.items.append(offer_item(world, ticket, pen, world.pen_of(other)))
    pen.items.append([feeds.CANCEL, digest(DOMAIN, "Order", old)])
    world.flush(pen)
    place(world, 0, BUY, 9)
    world.close()
    book = reference_book_of(world, world.epoch)
    assert book is not None
    assert book.orders == ()
    assert fast_bytes(world, world.entries) == reference_bytes(world)
