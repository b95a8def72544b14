"""Which of an owner's orders a keeper of the book looks at again: what an item names, not what is over.

Spec: protocol/spec/03-orders.md [ORD-6], [BOOK-1..3].
"""

from orrange_p2p.core.book import BookKeeper
from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.types import Address, OrderId
from protocol.reference.book import encode_book
from protocol.reference.feeds import CANCEL
from protocol.reference.types import BUY, SELL
from tests.core.adapters import RULES, fast_ledger, kept_book, verified
from tests.core.small_worlds import NOW_S, offer, open_world, put, reference_book_at, ticket_item
from tests.core.worlds import OWNERS, World

OWNER = Address(OWNERS[0].address)


def hear(feeds: Feeds, world: World, known: int) -> list[OrderId] | None:
    """Take in what a world says above so many entries; the first owner's orders to look at."""
    for entry in verified(world.entries[known:]):
        feeds.add(entry)
    fresh = feeds.take_fresh(OWNER)
    return None if fresh is None else [record.order_id for record in fresh]


def test_only_what_an_entry_brings_cancels_or_signs_away_is_looked_at_again() -> None:
    world, feeds = open_world(), Feeds(RULES)
    first, second = put(world, 0, SELL, 8), put(world, 0, SELL, 8)
    assert hear(feeds, world, 0) == [first, second]
    world.pens[0].items.append([CANCEL, first])
    world.flush(world.pens[0])
    assert hear(feeds, world, 2) == [first]
    taker = put(world, 1, BUY, 8)
    assert hear(feeds, world, 3) == []
    offer(world, second, taker, 4)
    assert hear(feeds, world, 4) == [second]
    assert feeds.take_fresh(OWNER) == ()


def test_a_fork_has_all_orders_of_the_owner_looked_at() -> None:
    """They are read again, and others than before. Spec: [FEED-6]."""
    world, feeds = open_world(), Feeds(RULES)
    put(world, 0, SELL, 8)
    hear(feeds, world, 0)
    pen = world.pens[0]
    seq, prev_hash = pen.seq, pen.prev_hash
    put(world, 0, SELL, 7)
    pen.items.append([CANCEL, b"\x07" * 32])
    world.flush(pen, seq=seq, prev_hash=prev_hash)
    assert hear(feeds, world, 1) is None


def test_an_order_that_was_over_counts_again_when_a_ticket_names_it() -> None:
    """A cancelled order may still be signed for, and its lots reserve the owner's funds. Spec: [HOLD-2], [FUND-2]."""
    world = open_world()
    maker, taker = put(world, 0, SELL, 8), put(world, 1, BUY, 8)
    world.pens[0].items.append([CANCEL, maker])
    world.flush(world.pens[0])
    world.add_block(NOW_S + 60)
    feeds, ledger, here = Feeds(RULES), fast_ledger(world.blocks), 0
    keeper = BookKeeper(feeds, ledger)
    for step in range(2):
        for entry in verified(world.entries[here:]):
            keeper.touch(feeds.add(entry)[2])
        here = len(world.entries)
        world.epoch += 1
        said, expected = kept_book(keeper, ledger, world.epoch), reference_book_at(world, world.entries, world.epoch)
        assert said is not None
        assert expected is not None
        assert said.encode() == encode_book(expected)
        assert [order.free for order in said.orders] == [((0, 8),), ((4, 8),)][step : step + 1]
        ticket = world.ticket_between(world.orders[0], world.orders[1], 4, 0, world.epoch - 1)
        assert taker == ticket.taker_order
        world.pens[0].items.append(ticket_item(ticket, world.pens[1], world.pens[0]))
        world.flush(world.pens[0])
