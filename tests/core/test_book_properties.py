"""What holds of every book: nobody is promised more than there is, and what was admitted stays so."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from orrange_p2p.core import types
from orrange_p2p.core.admission import Admissions
from orrange_p2p.core.book import BookKeeper
from orrange_p2p.core.feeds import Feeds
from protocol.reference import book as reference_book
from protocol.reference import chain, funds, holds
from protocol.reference.admission import Setting, admit_orders
from protocol.reference.feeds import read_feeds
from protocol.reference.orders import orders_of
from protocol.reference.types import Address
from tests.core.adapters import fast_feeds, fast_ledger, fast_rules, kept_book, verified
from tests.core.pens import DOMAIN, FIRST_EPOCH, MARKET, MARKET_ID
from tests.core.small_worlds import reference_book_at, reference_book_of
from tests.core.strategies import SIGNED_WORLDS, worlds
from tests.core.worlds import OWNERS, World


def promised(world: World, book: reference_book.Book, owner: Address) -> tuple[funds.Amounts, funds.Amounts]:
    """What an owner's tickets under way and matchable orders need, told anew from entries; and its allocation."""
    view = chain.view_at_fund_block(world.blocks, world.clock, book.epoch)
    assert view is not None
    feeds = [feed for feed in read_feeds(DOMAIN, world.entries) if feed.market == MARKET_ID]
    said = [order for feed in feeds for order in orders_of(DOMAIN, world.clock, MARKET, feed, book.epoch)]
    setting = Setting(domain=DOMAIN, market_id=MARKET_ID, market=MARKET, clock=world.clock, blocks=world.blocks)
    placed = admit_orders(setting, feeds, {order.order_id: order for order in said}, book.epoch)
    found = holds.read_holds(DOMAIN, world.clock, feeds, placed, book.epoch)
    settled = [trade.ticket for trade in view.trades]
    needs = {
        (hold.order_id, hold.ticket_digest): funds.need(
            MARKET, placed[hold.order_id].order, hold.ticket.price_ticks, hold.lots[1] - hold.lots[0]
        )
        for hold in found
        if holds.is_live_hold(view, hold)
        and hold.ticket_digest not in settled
        and placed[hold.order_id].order.owner == owner
        and not placed[hold.order_id].is_void
    }
    rows = [row for row in book.orders if row.is_matchable and row.order.owner == owner]
    lots = [sum(second - first for first, second in row.free) for row in rows]
    wanted = [
        funds.need(MARKET, row.order, row.order.price_ticks, count) for row, count in zip(rows, lots, strict=True)
    ]
    tickets = list(needs.values())
    needed_for_orders = tuple(any(one[token] for one in wanted) for token in (0, 1))
    allocation = funds.token_allocations(view, MARKET_ID, MARKET, owner)
    total = [sum(one[token] for one in tickets + wanted) for token in (0, 1)]
    used = [total[token] if needed_for_orders[token] else 0 for token in (0, 1)]
    return (used[0], used[1]), allocation


@settings(max_examples=SIGNED_WORLDS)
@given(world=worlds())
def test_what_is_held_and_reserved_never_passes_the_allocation_where_an_order_is_matchable(world: World) -> None:
    """S6: in each token that one of the owner's matchable orders needs. Spec: [FUND-2], [FUND-3]."""
    for epoch in (world.epoch - 2, world.epoch, world.epoch + 3):
        book = reference_book_of(world, epoch)
        if book is None:
            continue
        for owner in OWNERS:
            used, allocation = promised(world, book, owner.address)
            assert all(one == 0 or one <= there for one, there in zip(used, allocation, strict=True))


@settings(max_examples=SIGNED_WORLDS)
@given(world=worlds())
def test_later_items_change_no_decision_of_first_admission(world: World) -> None:
    """But for forks, which undo what was said before. Spec: [FUND-5], [FEED-6]."""
    rules, ledger = fast_rules(world.clock), fast_ledger(world.blocks)
    arrived = verified(world.entries)
    whole = fast_feeds(arrived, rules)
    forked = [feed.owner for feed in map(whole.feed, whole.dead_sessions()) if feed is not None]
    later = Admissions(whole, ledger)
    for cut in range(FIRST_EPOCH, world.epoch + 1, 3):
        feeds = fast_feeds([entry for entry in arrived if entry.entry.header.epoch <= cut], rules)
        earlier = Admissions(feeds, ledger)
        for owner in feeds.owners():
            if owner in forked or None in forked:
                continue
            for record in feeds.orders_of(owner):
                after = whole.order(record.order_id)
                assert after is not None
                last = types.Epoch(world.epoch + 3)
                assert earlier.admits(record, types.Epoch(cut)) == later.admits(after, last)


@settings(max_examples=SIGNED_WORLDS)
@given(world=worlds(), seed=st.integers(0, 2**32))
def test_a_book_kept_up_while_feeds_lag_behind_each_other_equals_the_reference(world: World, seed: int) -> None:
    """Entries of one session come late, after others that they stand before: decisions are undone as they should be.

    Spec: [FUND-5], [FEED-8].
    """
    dice = Random(seed)
    ledger, feeds = fast_ledger(world.blocks), Feeds(fast_rules(world.clock))
    keeper = BookKeeper(feeds, ledger)
    queues: dict[bytes, list[bytes]] = {}
    for encoded in world.entries:
        for entry in verified([encoded]):
            queues.setdefault(entry.entry.header.session, []).append(encoded)
    lag = {session: dice.choice((0, 0, 3, 9)) for session in queues}
    here: list[bytes] = []
    for epoch in range(FIRST_EPOCH, world.epoch + 14, 1 + dice.randrange(3)):
        for session, queue in queues.items():
            while queue and (
                verified(queue[:1])[0].entry.header.epoch + lag[session] <= epoch or dice.randrange(9) == 0
            ):
                here.append(queue.pop(0))
                keeper.touch(feeds.add(verified(here[-1:])[0])[2])
        expected, said = reference_book_at(world, here, epoch), kept_book(keeper, ledger, epoch)
        if expected is None or said is None:
            assert (said is None) == (expected is None)
            continue
        assert said.encode() == reference_book.encode_book(expected)
