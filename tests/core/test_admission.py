"""First admission, bonds, defaults and silence, by both implementations. Spec: 03-orders.md [FUND-5..7], [HOLD-7]."""

from dataclasses import replace
from typing import Any

import pytest

from orrange_p2p.core.book import BookKeeper
from orrange_p2p.core.feeds import Feeds
from protocol.reference import chain, feeds
from protocol.reference.book import encode_book
from protocol.reference.signing import keccak
from protocol.reference.types import BUY, GTD, SELL, epoch_start_s
from tests.core.adapters import fast_ledger, fast_rules, kept_book, verified
from tests.core.both import book_of_both, live, matchable
from tests.core.pens import FIRST_EPOCH, MARKET, MARKET_ID
from tests.core.small_worlds import (
    NOW_S,
    allocate,
    offer,
    offer_item,
    order_named,
    poor_world,
    put,
    reference_book_at,
    settle,
    ticket_item,
)
from tests.core.worlds import BONDED, CLOCK, ESCROW, OWNERS, World

# first admission


def test_an_order_that_was_not_paid_for_when_it_came_is_void_even_after_the_money_came() -> None:
    """Spec: [FUND-5]."""
    world = poor_world()
    put(world, 0, SELL, 16)
    allocate(world, 0, 100, NOW_S)
    world.epoch += 6
    assert live(book_of_both(world, world.epoch)) == []


def test_a_deposit_counts_from_the_first_epoch_whose_fund_block_has_it() -> None:
    """Spec: [FUND-5]."""
    world = poor_world()
    allocate(world, 0, 1, NOW_S)
    found: list[bool] = []
    for epoch in range(FIRST_EPOCH, FIRST_EPOCH + 8):
        world.epoch = epoch
        one = put(world, 0, SELL, 16)
        pen = world.pens[0]
        pen.items.append([feeds.CANCEL, one])
        found.append(epoch_start_s(CLOCK, epoch) - CLOCK.constants.l_fund >= NOW_S)
    world.close()
    for epoch, is_paid in zip(range(FIRST_EPOCH, world.epoch), found, strict=False):
        assert len(live(book_of_both(world, epoch))) == is_paid
    assert found == sorted(found)
    assert set(found) == {False, True}


def test_before_the_first_block_nothing_is_allocated() -> None:
    """Spec: [FUND-5]."""
    world = poor_world()
    world.blocks[0] = replace(world.blocks[0], time_s=NOW_S - CLOCK.constants.l_fund + 1)
    too_early = put(world, 0, SELL, 2)
    world.epoch += 2
    in_time = put(world, 0, SELL, 3)
    book = book_of_both(world, world.epoch)
    assert too_early not in live(book)
    assert live(book) == [in_time]


@pytest.mark.parametrize("other_pen", [0, 3])
def test_what_the_owner_said_before_comes_first_whichever_session_said_it(other_pen: int) -> None:
    """Spec: [FUND-5]."""
    world = poor_world()
    first = put(world, other_pen, SELL, 10)
    world.epoch += 1
    second, third = put(world, 0, SELL, 6), put(world, 0, SELL, 5)
    book = book_of_both(world, world.epoch)
    assert second not in live(book)
    assert matchable(book) == sorted([first, third])


def test_an_entry_that_comes_late_but_belongs_earlier_voids_what_it_leaves_no_room_for() -> None:
    """Spec: [FUND-5], [FEED-8]."""
    world = poor_world()
    early = put(world, 3, SELL, 10)
    late_entry = world.entries[-1]
    world.epoch += 1
    put(world, 0, SELL, 10)
    without = [entry for entry in world.entries if entry != late_entry]
    assert live(book_of_both(world, world.epoch, without)) == [world.order_ids[-1]]
    assert live(book_of_both(world, world.epoch)) == [early]


def test_a_void_order_holds_nothing_of_its_own_nor_of_anothers() -> None:
    """Spec: [FUND-5], [HOLD-1], [HOLD-2]."""
    world = poor_world()
    resting, void = put(world, 1, BUY, 8), put(world, 0, SELL, 16)
    offer(world, resting, void, 4)
    world.epoch += 1
    assert book_of_both(world, world.epoch).orders[0].free == ((0, 8),)
    ticket = world.ticket_between(order_named(world, void), order_named(world, resting), 4, 0, world.epoch)
    world.pens[0].items.append(ticket_item(ticket, world.pens[1], world.pens[0]))
    world.flush(world.pens[0])
    assert book_of_both(world, world.epoch).orders[0].free == ((0, 8),)


def test_a_dead_sessions_ticket_holds_though_its_order_was_never_admitted() -> None:
    """Spec: [HOLD-6], [FUND-5]."""
    world = poor_world()
    resting, void = put(world, 1, BUY, 8), put(world, 0, SELL, 16)
    ticket = world.ticket_between(order_named(world, void), order_named(world, resting), 4, 0, world.epoch)
    world.pens[0].items.append(ticket_item(ticket, world.pens[1], world.pens[0]))
    world.flush(world.pens[0])
    assert book_of_both(world, world.epoch).orders[0].free == ((0, 8),)
    world.pens[0].items.append([feeds.CANCEL, keccak(b"one")])
    pen = world.pens[0]
    seq, prev_hash = pen.seq, pen.prev_hash
    world.flush(pen)
    pen.items.append([feeds.CANCEL, keccak(b"another")])
    world.flush(pen, seq=seq, prev_hash=prev_hash)
    assert book_of_both(world, world.epoch).orders[0].free == ((4, 8),)


def test_a_modify_may_use_what_the_old_order_had_reserved_and_the_other_way_round_may_not() -> None:
    """Spec: [ORD-7], [FUND-5]."""
    for is_cancel_first in (True, False):
        world = poor_world()
        old = put(world, 0, SELL, 12)
        world.epoch += 1
        pen = world.pens[0]
        cancel: list[Any] = [feeds.CANCEL, old]
        pen.items += [cancel] if is_cancel_first else []
        world.say_order(pen, world.new_order(pen, SELL, 101, 14), pen.owner)
        pen.items += [] if is_cancel_first else [cancel]
        world.flush(pen)
        book = book_of_both(world, world.epoch)
        assert matchable(book) == ([world.order_ids[-1]] if is_cancel_first else [])


def test_a_cancelled_order_frees_all_but_its_tickets_under_way() -> None:
    """Spec: [FUND-5], [FUND-2]."""
    world = poor_world()
    maker, taker = put(world, 1, BUY, 8), put(world, 0, SELL, 12)
    offer(world, maker, taker, 4)
    world.pens[0].items.append([feeds.CANCEL, taker])
    void, good = put(world, 0, SELL, 12), put(world, 0, SELL, 11)
    book = book_of_both(world, world.epoch)
    assert void not in live(book)
    assert good in matchable(book)


def test_a_ticket_past_its_deadline_and_one_that_settled_reserve_nothing_more() -> None:
    """Spec: [FUND-5]."""
    world = poor_world()
    maker, taker = put(world, 1, BUY, 8), put(world, 0, SELL, 12)
    ticket = offer(world, maker, taker, 4)
    world.pens[0].items.append([feeds.CANCEL, taker])
    world.flush(world.pens[0])
    late = next(e for e in range(99) if epoch_start_s(CLOCK, e) - CLOCK.constants.l_fund > ticket.deadline)
    world.epoch = late
    world.add_block(ticket.deadline + 1)
    whole = put(world, 0, SELL, 15)
    assert whole in live(book_of_both(world, world.epoch))

    world = poor_world()
    maker, taker = put(world, 1, BUY, 8), put(world, 0, SELL, 12)
    ticket = offer(world, maker, taker, 4)
    world.pens[0].items.append([feeds.CANCEL, taker])
    settle(world, ticket, is_maker_buyer=True, owners=(1, 0))
    world.add_block(NOW_S)
    world.epoch = FIRST_EPOCH + 5
    void, rest = put(world, 0, SELL, 12), put(world, 0, SELL, 11)
    book = book_of_both(world, world.epoch)
    assert void not in live(book)
    assert rest in live(book)


def test_an_expired_order_frees_what_it_had_reserved() -> None:
    """Spec: [FUND-5]."""
    world = poor_world()
    put(world, 0, SELL, 15, tif=GTD, expiry=NOW_S + 3)
    world.epoch = FIRST_EPOCH + 5
    assert epoch_start_s(CLOCK, world.epoch) < NOW_S + 3
    early = put(world, 0, SELL, 2)
    world.epoch = FIRST_EPOCH + 6
    assert epoch_start_s(CLOCK, world.epoch) == NOW_S + 3
    in_time = put(world, 0, SELL, 15)
    book = book_of_both(world, world.epoch)
    assert early not in live(book)
    assert matchable(book) == [in_time]


def test_an_order_that_needs_nothing_of_a_token_does_not_mind_that_it_is_overdrawn() -> None:
    """Spec: [FUND-3], [FUND-5]."""
    world = poor_world()
    allocate(world, 0, -20, NOW_S - 30)
    bid, ask = put(world, 0, BUY, 4), put(world, 0, SELL, 2)
    book = book_of_both(world, world.epoch)
    assert ask not in live(book)
    assert matchable(book) == [bid]


@pytest.mark.parametrize(("security", "percent"), [(1, 5), (2, 15), (3, 30)])
def test_an_escrow_sale_needs_its_base_and_a_bond_in_quote_rounded_up(security: int, percent: int) -> None:
    """Spec: [FUND-3], [FUND-5]."""
    lots = 3
    quote = 101 * MARKET.tick_size * lots
    bond = -(-quote * percent // 100)
    for spare, is_paid in ((-1, False), (0, True)):
        world = poor_world(0)
        for token, delta in ((MARKET.base, lots * MARKET.lot_size), (MARKET.quote, bond + spare)):
            owner = OWNERS[0].address
            world.facts.append(chain.FundsChanged(owner=owner, market=MARKET_ID, token=token, delta=delta))
        world.add_block(NOW_S - 30)
        pen = world.pens[0]
        escrow = world.new_order(pen, SELL, 101, lots, security=security, **ESCROW)
        world.say_order(pen, escrow, pen.owner)
        world.flush(pen)
        assert len(matchable(book_of_both(world, world.epoch))) == is_paid


def test_an_owner_has_a_hundred_open_orders_in_a_market_and_room_again_after_a_cancel() -> None:
    """Spec: [FUND-5]."""
    world = poor_world(5000)
    pen = world.pens[0]
    for number in range(101):
        world.say_order(pen, world.new_order(pen, SELL, 100, 2), pen.owner)
        if number % 50 == 49:
            world.flush(pen)
    world.flush(pen)
    book = book_of_both(world, world.epoch)
    assert sorted(matchable(book)) == sorted(world.order_ids[:100])
    world.epoch += 1
    pen.items.append([feeds.CANCEL, world.order_ids[0]])
    for _ in range(2):
        world.say_order(pen, world.new_order(pen, SELL, 100, 2), pen.owner)
    world.flush(pen)
    world.close()
    book = book_of_both(world, world.epoch)
    assert sorted(live(book)) == sorted([*world.order_ids[1:100], world.order_ids[101]])
    assert world.order_ids[100] not in live(book)


# bonds and defaults


def test_an_owner_without_a_bond_has_no_matchable_order_where_bonds_are_needed() -> None:
    """Spec: [FUND-6]."""
    world = World(BONDED)
    world.open_chain(3)
    world.facts.append(chain.BondChanged(owner=OWNERS[0].address, amount=0))
    world.add_block(NOW_S - 30)
    bare, bonded = put(world, 0, SELL, 2), put(world, 1, SELL, 2)
    book = book_of_both(world, world.epoch)
    assert live(book) == sorted([bare, bonded])
    assert matchable(book) == [bonded]


def test_a_bond_answers_for_a_multiple_of_itself_and_what_does_not_fit_makes_way_for_what_does() -> None:
    """Notional of 800,000 against 2 * 8 * 50,000. Spec: [FUND-6]."""
    for amount, is_enough in ((7, False), (8, True)):
        world = World(BONDED)
        world.open_chain(3)
        world.facts.append(chain.BondChanged(owner=OWNERS[0].address, amount=amount))
        world.add_block(NOW_S - 30)
        whole, little = put(world, 0, SELL, 8), put(world, 0, SELL, 2)
        assert matchable(book_of_both(world, world.epoch)) == ([whole] if is_enough else [little])


def test_tickets_under_way_count_against_the_bond_once_for_each_order() -> None:
    """Spec: [FUND-6], [FUND-2]."""
    world = World(BONDED)
    world.open_chain(3)
    world.facts.append(chain.BondChanged(owner=OWNERS[0].address, amount=8))
    world.add_block(NOW_S - 30)
    maker, taker = put(world, 1, BUY, 8), put(world, 0, SELL, 4)
    ticket = offer(world, maker, taker, 4)
    world.pens[1].items.append(ticket_item(ticket, world.pens[0], world.pens[1]))
    world.flush(world.pens[1])
    too_much, fits = put(world, 0, SELL, 5), put(world, 0, SELL, 4)
    book = book_of_both(world, world.epoch)
    assert too_much in live(book)
    assert matchable(book) == sorted([maker, fits])


def test_a_default_bars_its_owner_for_a_period_from_its_block_on_and_nobody_else() -> None:
    """Spec: [FUND-7]."""
    world = World(BONDED)
    world.open_chain(3)
    guilty, other, of_second_session = put(world, 0, SELL, 2), put(world, 1, SELL, 2), put(world, 3, SELL, 2)
    ticket, victim = keccak(b"failed"), OWNERS[1].address
    fact = chain.Defaulted(owner=OWNERS[0].address, ticket=ticket, victim=victim, amount=1)
    world.facts.append(fact)
    world.add_block(NOW_S)
    period_s = BONDED.constants.period_s
    for second in range(1, 10):
        world.add_block(NOW_S + second)
    barred = [
        epoch
        for epoch in range(FIRST_EPOCH, FIRST_EPOCH + 18)
        if set(matchable(book_of_both(world, epoch))).isdisjoint({guilty, of_second_session})
    ]
    seconds = [epoch_start_s(CLOCK, epoch) - CLOCK.constants.l_fund - NOW_S for epoch in barred]
    assert sorted(set(seconds)) == list(range(period_s))
    assert all(other in matchable(book_of_both(world, epoch)) for epoch in barred)


# silence


def test_a_maker_that_was_ready_and_is_silent_for_four_epochs_is_left_out() -> None:
    """Spec: [HOLD-7]."""
    world = poor_world(100)
    maker, taker, besides = put(world, 1, BUY, 8), put(world, 0, SELL, 8), put(world, 4, BUY, 2)
    offer(world, maker, taker, 4)
    world.close()
    before, after = (book_of_both(world, FIRST_EPOCH + age) for age in (3, 4))
    assert maker in matchable(before)
    assert maker in live(after)
    assert taker in matchable(after)
    assert maker not in matchable(after)
    assert besides not in matchable(before)  # of a session that the chain does not know


def test_silence_ends_with_the_hold() -> None:
    """Spec: [HOLD-7], [HOLD-4]."""
    world = poor_world(100)
    maker, taker = put(world, 1, BUY, 8), put(world, 0, SELL, 8)
    ticket = offer(world, maker, taker, 4)
    world.add_block(ticket.deadline)
    world.add_block(ticket.deadline + 1)
    world.close()
    epochs = range(FIRST_EPOCH + 4, FIRST_EPOCH + 20)
    for epoch in epochs:
        is_over = epoch_start_s(CLOCK, epoch) - CLOCK.constants.l_fund > ticket.deadline
        assert (maker in matchable(book_of_both(world, epoch))) == is_over


@pytest.mark.parametrize("answer", ["ticket", "decline", "decline_of_another_epoch", "decline_by_another", "settled"])
def test_a_ticket_a_decline_or_the_chain_ends_silence_and_nothing_else_does(answer: str) -> None:
    """Spec: [HOLD-7], [TICK-17]."""
    world = poor_world(100)
    maker, taker = put(world, 1, BUY, 8), put(world, 0, SELL, 8)
    ticket = offer(world, maker, taker, 4)
    world.epoch += 6
    pens = world.pens
    pen = pens[0] if answer == "decline_by_another" else pens[1]
    epoch = ticket.epoch + (answer == "decline_of_another_epoch")
    if answer == "ticket":
        pen.items.append(ticket_item(ticket, pens[0], pens[1]))
    elif answer == "settled":
        settle(world, ticket, is_maker_buyer=True, owners=(1, 0))
        world.add_block(NOW_S + 1)
    else:
        pen.items.append([feeds.DECLINE, maker, taker, epoch, 6])
    world.flush(pen)
    world.close()
    is_answered = answer in ("ticket", "decline", "settled")
    assert maker not in matchable(book_of_both(world, world.epoch - 1)) or answer == "settled"
    assert (maker in matchable(book_of_both(world, world.epoch))) == is_answered


def test_an_offer_without_the_makers_ready_makes_nobody_silent() -> None:
    """Spec: [HOLD-7]."""
    world = poor_world(100)
    maker, taker = put(world, 1, BUY, 8), put(world, 0, SELL, 8)
    ticket = world.ticket_between(order_named(world, maker), order_named(world, taker), 4, 0, world.epoch)
    world.pens[0].items.append(offer_item(world, ticket, world.pens[0], world.pens[2]))
    world.flush(world.pens[0])
    world.epoch += 6
    assert maker in matchable(book_of_both(world, world.epoch))


# evidence


def test_a_convicted_sessions_orders_are_live_not_matchable_and_it_counts_among_the_dead() -> None:
    """Spec: [EVID-4], [FUND-4], [BOOK-3]."""
    world = poor_world(12)
    convicted, other = put(world, 0, SELL, 10), put(world, 3, SELL, 2)
    session = world.pens[0].session.address
    book = book_of_both(world, world.epoch, convicted=(session,))
    assert live(book) == sorted([convicted, other])
    assert matchable(book) == [other]
    assert book.dead_sessions == (session,)


# kept up step by step


def walk(world: World, epochs: range, late: dict[int, bytes]) -> None:
    """Hold a kept book to the reference in each epoch, while entries of `late` come in the epoch that they stand at."""
    ledger, fast = fast_ledger(world.blocks), Feeds(fast_rules(world.clock))
    keeper = BookKeeper(fast, ledger)
    here = [entry for entry in world.entries if entry not in late.values()]
    for entry in verified(here):
        keeper.touch(fast.add(entry)[2])
    for epoch in epochs:
        if epoch in late:
            here.append(late[epoch])
            keeper.touch(fast.add(verified([late[epoch]])[0])[2])
        expected, said = reference_book_at(world, here, epoch), kept_book(keeper, ledger, epoch)
        assert expected is not None
        assert said is not None
        assert said.encode() == encode_book(expected)


def test_a_kept_book_gives_lots_back_whose_taker_turns_out_never_to_have_been_admitted() -> None:
    """Nothing of the maker's own has changed: an entry of another owner's other session came late. Spec: [FUND-5]."""
    world = poor_world()
    put(world, 3, SELL, 10)
    late_entry = world.entries[-1]
    maker, taker = put(world, 1, BUY, 8), put(world, 0, SELL, 10)
    world.epoch += 1
    world.pens[0].items.append([feeds.CANCEL, keccak(b"nothing")])
    offer(world, maker, taker, 4)
    world.close()
    held, freed = (book_of_both(world, world.epoch, entries) for entries in (world.entries[1:], world.entries))
    is_pen_3_first = world.pens[3].session.address < world.pens[0].session.address
    assert is_pen_3_first, "the order of sessions decides in one epoch"
    assert [row.free for row in held.orders if row.order_id == maker] == [((4, 8),)]
    assert [row.free for row in freed.orders if row.order_id == maker] == [((0, 8),)]
    walk(world, range(FIRST_EPOCH, FIRST_EPOCH + 6), {FIRST_EPOCH + 3: late_entry})


def test_a_kept_book_lets_an_owner_in_again_when_its_default_is_a_period_old() -> None:
    """Spec: [FUND-7]."""
    world = World(BONDED)
    world.open_chain(3)
    put(world, 0, SELL, 2)
    fact = chain.Defaulted(owner=OWNERS[0].address, ticket=keccak(b"failed"), victim=OWNERS[1].address, amount=1)
    world.facts.append(fact)
    for second in range(9):
        world.add_block(NOW_S + second)
    walk(world, range(FIRST_EPOCH, FIRST_EPOCH + 18), {})
