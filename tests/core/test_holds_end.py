"""When the lots of a ticket are free again, to the second, and who is paid for first until then."""

import pytest

from orrange_p2p.core.book import Book
from protocol.reference.types import BUY, SELL, Ticket, epoch_start_s
from tests.core.adapters import fast_book, fast_feeds, fast_ledger, verified
from tests.core.small_worlds import allocate, order_named, poor_world, put, reference_book_of, ticket_item
from tests.core.worlds import CLOCK, CONSTANTS, World


def book_of(world: World, epoch: int) -> Book:
    """The program's book of a world, held to the reference's."""
    book = fast_book(fast_feeds(verified(world.entries)), fast_ledger(world.blocks), epoch)
    expected = reference_book_of(world, epoch)
    assert book is not None
    assert expected is not None
    assert [(row.order_id, row.free, row.is_matchable) for row in book.orders] == [
        (row.order_id, row.free, row.is_matchable) for row in expected.orders
    ]
    return book


def epoch_whose_fund_block_may_be_at(time_s: int) -> int:
    """The first epoch that a block of this time is old enough for."""
    epoch = 0
    while epoch_start_s(CLOCK, epoch) - CONSTANTS.l_fund < time_s:
        epoch += 1
    return epoch


def sign_ticket(world: World, maker: bytes, taker: bytes, lots: int) -> Ticket:
    """A ticket between two orders that both sign, in the maker's feed."""
    orders = order_named(world, maker), order_named(world, taker)
    ticket = world.ticket_between(*orders, lots, 0, world.epoch)
    pens = [world.pen_of(order) for order in orders]
    pens[0].items.append(ticket_item(ticket, pens[1], pens[0]))
    world.flush(pens[0])
    return ticket


@pytest.mark.parametrize(("seconds", "free"), [(-1, ((4, 8),)), (0, ((4, 8),)), (1, ((0, 8),))])
def test_lots_are_held_while_a_blocks_time_is_not_past_the_deadline(
    seconds: int, free: tuple[tuple[int, int], ...]
) -> None:
    """Spec: [HOLD-4]."""
    world = poor_world(60)
    maker, taker = put(world, 0, SELL, 8), put(world, 1, BUY, 8)
    ticket = sign_ticket(world, maker, taker, 4)
    world.add_block(ticket.deadline + seconds)
    world.add_block(ticket.deadline + 1000)
    book = book_of(world, epoch_whose_fund_block_may_be_at(ticket.deadline + seconds))
    assert book.block.time_s == ticket.deadline + seconds
    assert {bytes(row.order_id): row.free for row in book.orders} == {maker: free, taker: free}


@pytest.mark.parametrize(("lots_withdrawn", "is_matchable"), [(0, True), (1, False), (4, False)])
def test_a_ticket_under_way_is_paid_for_before_an_order_that_was_admitted_beside_it(
    lots_withdrawn: int, is_matchable: bool
) -> None:
    """Of 8 lots to sell 4 are sold and 4 offered; whoever withdraws one cannot sell the 4. Spec: [FUND-2], [FUND-3]."""
    world = poor_world(8)
    sold, offered, taker = put(world, 0, SELL, 4), put(world, 0, SELL, 4), put(world, 1, BUY, 4)
    sign_ticket(world, sold, taker, 4)
    withdrawn_s = epoch_start_s(CLOCK, world.epoch) - CONSTANTS.l_fund + 2
    allocate(world, 0, -lots_withdrawn, withdrawn_s)
    world.add_block(withdrawn_s + 1000)
    rows = book_of(world, epoch_whose_fund_block_may_be_at(withdrawn_s)).orders
    assert {bytes(row.order_id): row.is_matchable for row in rows} == {offered: is_matchable}


@pytest.mark.parametrize(("lots_withdrawn", "matchable"), [(0, [True, True]), (1, [True, False]), (5, [False, False])])
def test_orders_that_were_admitted_together_are_paid_for_one_after_the_other(
    lots_withdrawn: int, matchable: list[bool]
) -> None:
    """What the first one takes is not there for the second. Spec: [FUND-3]."""
    world = poor_world(8)
    offered = put(world, 0, SELL, 4), put(world, 0, SELL, 4)
    withdrawn_s = epoch_start_s(CLOCK, world.epoch) - CONSTANTS.l_fund + 2
    allocate(world, 0, -lots_withdrawn, withdrawn_s)
    world.add_block(withdrawn_s + 1000)
    rows = book_of(world, epoch_whose_fund_block_may_be_at(withdrawn_s)).orders
    assert {bytes(row.order_id): row.is_matchable for row in rows} == dict(zip(offered, matchable, strict=True))
