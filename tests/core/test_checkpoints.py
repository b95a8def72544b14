"""What a Checkpoint may say, and that a false one kills its session where everybody sees it. Spec: [FEED-13..14]."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orrange_p2p.core.book import BookKeeper
from orrange_p2p.core.feed import Outcome
from orrange_p2p.core.feeds import Feeds
from protocol.reference import feeds as reference_feeds
from protocol.reference.book import encode_book
from protocol.reference.checkpoints import end_at_false_checkpoint, hash_of, true_feeds
from protocol.reference.feeds import ORDER
from protocol.reference.orders import order_from
from protocol.reference.signing import digest
from protocol.reference.types import SELL
from tests.core.adapters import fast_book, fast_feeds, fast_ledger, fast_rules, kept_book, verified
from tests.core.both import book_of_both, live, matchable
from tests.core.pens import DOMAIN, FIRST_EPOCH, MARKET, MARKET_ID
from tests.core.small_worlds import offer, open_world, poor_world, put, reference_book_at, ticket_item
from tests.core.strategies import SIGNED_WORLDS, checkpoint_worlds, throw_checkpoints
from tests.core.worlds import CLOCK, LEASE, Step, World, build_world

LIES = {
    "another next nonce": 1,
    "a live order left out": 2,
    "a dead order": 3,
    "another offer": 4,
    "another ticket": 5,
    "an item behind it": 6,
    "a second one": 7,
}


def forked_seqs(feeds: Feeds) -> dict[bytes, int | None]:
    """Where each session of the program's feeds is dead from."""
    found = {session: feeds.feed(session) for session in feeds.sessions()}
    return {session: feed.forked_from if feed.is_dead else None for session, feed in found.items() if feed}


def order_items(world: World, *order_ids: bytes) -> list[list[Any]]:
    """The Order items that these orders came from."""
    feeds = reference_feeds.read_feeds(DOMAIN, world.entries)
    items = [item for feed in feeds for entry in feed.standing for item in entry.items if item[0] == ORDER]
    by_id = {digest(DOMAIN, "Order", order_from(item[1])): item for item in items}
    return [by_id[order_id] for order_id in order_ids]


def reference_forked_seqs(entries: list[bytes]) -> dict[bytes, int | None]:
    """The same of the reference."""
    read = true_feeds(DOMAIN, CLOCK, MARKET, reference_feeds.read_feeds(DOMAIN, entries))
    return {feed.session: feed.forked_seq for feed in read}


@pytest.mark.parametrize("lie", LIES)
def test_a_false_checkpoint_kills_its_session_from_its_entry_on(lie: str) -> None:
    """The entry is void with all that is in it, and so is what stood before it. Spec: [FEED-6], [FEED-14]."""
    world = open_world()
    before, of_another = put(world, 0, SELL, 8), put(world, 1, SELL, 8)
    pen = world.pens[0]
    world.say_order(pen, world.new_order(pen, SELL, 100, 4), pen.owner)
    inside = world.order_ids[-1]
    world.say_checkpoint(pen, LIES[lie])
    after = put(world, 0, SELL, 8)
    book = book_of_both(world, world.epoch + 1)
    assert book.dead_sessions == (pen.session.address,)
    assert matchable(book) == [of_another]
    assert live(book) == [of_another]
    assert not {before, inside, after} & {*live(book)}
    assert reference_forked_seqs(world.entries)[pen.session.address] == 1


def test_a_true_checkpoint_changes_nothing() -> None:
    """Spec: [FEED-13]."""
    world = open_world()
    ids = [put(world, pen, SELL, 8) for pen in (0, 1)]
    world.say_checkpoint(world.pens[0])
    ids.append(put(world, 0, SELL, 8))
    book = book_of_both(world, world.epoch + 1)
    assert book.dead_sessions == ()
    assert matchable(book) == sorted(ids)


def test_a_checkpoint_lists_what_its_own_feed_says_up_to_it_and_what_is_not_over_then() -> None:
    """Not the chain's word, nor others', nor what expires with the start of its claimed epoch. Spec: [FEED-13]."""
    world = open_world()
    pen = world.pens[0]
    kept, cancelled = put(world, 0, SELL, 8), put(world, 0, SELL, 8)
    start_s = CLOCK.genesis_ms // 1000
    leased = put(world, 0, SELL, 8, **(LEASE | {"expiry": start_s + world.epoch // 2 + 3}))
    unpaid = put(world, 0, SELL, 10**9)
    pen.items.append([reference_feeds.CANCEL, cancelled])
    listed = [hash_of(item) for item in order_items(world, kept, leased, unpaid)]
    assert world.true_checkpoint(pen)[1::2] == [4, sorted(listed), []]
    world.epoch += 6
    assert world.true_checkpoint(pen)[1::2] == [4, sorted([listed[0], listed[2]]), []]


def test_a_checkpoint_lists_an_order_that_first_admission_left_out() -> None:
    """What the chain allows is not the feed's word; it is void until the Checkpoint is a base. Decisions 0017, 0020."""
    world = poor_world(10)
    first, second = put(world, 0, SELL, 10), put(world, 0, SELL, 10)
    world.pens[0].items.append([reference_feeds.CANCEL, first])
    assert world.true_checkpoint(world.pens[0])[3] == [hash_of(item) for item in order_items(world, second)]
    world.say_checkpoint(world.pens[0])
    book = book_of_both(world, world.epoch + 1)
    assert (live(book), book.dead_sessions) == ([], ())


def test_a_checkpoint_lists_an_offer_and_a_ticket_until_their_deadline_is_past() -> None:
    """Settled or not: that is the chain's. Spec: [FEED-13], [HOLD-1], [HOLD-2]."""
    world = open_world()
    maker, taker = put(world, 0, SELL, 8), put(world, 1, 1 - SELL, 8)
    ticket = offer(world, maker, taker, 4)
    pens = world.pens[0], world.pens[1]
    pens[0].items.append(ticket_item(ticket, pens[1], pens[0]))
    world.flush(pens[0])
    assert [len(each) for each in world.true_checkpoint(pens[0])[3:]] == [1, 0, 0, 1]
    assert [len(each) for each in world.true_checkpoint(pens[1])[3:]] == [1, 0, 1, 0]
    world.epoch += 2 * (CLOCK.constants.d + CLOCK.constants.l_fund)
    assert [len(each) for each in world.true_checkpoint(pens[0])[3:]] == [1, 0, 0, 1]
    world.epoch += 2
    assert [len(each) for each in world.true_checkpoint(pens[0])[3:]] == [1, 0, 0, 0]
    assert [len(each) for each in world.true_checkpoint(pens[1])[3:]] == [1, 0, 0, 0]


def test_a_false_checkpoint_above_a_fork_is_void_with_the_rest() -> None:
    """The lower of the two is where the session dies, whichever came first. Spec: [FEED-6], [FEED-14]."""
    world = open_world()
    pen = world.pens[0]
    put(world, 0, SELL, 8)
    world.do(Step("fork", (0, 0, 0)))
    world.say_checkpoint(pen, 1)
    for arrived in (verified(world.entries), verified(world.entries)[::-1]):
        assert forked_seqs(fast_feeds(arrived)) == {pen.session.address: 0}
    assert reference_forked_seqs(world.entries) == {pen.session.address: 0}


def test_a_false_checkpoint_ahead_of_a_gap_waits_for_the_gap() -> None:
    """Nothing is judged before all that it speaks of is here. Spec: [FEED-5], [FEED-14]."""
    world = open_world()
    for _ in range(3):
        put(world, 0, SELL, 8)
    world.say_checkpoint(world.pens[0], 2)
    first, second, third, false = verified(world.entries)
    feeds = fast_feeds([first, second])
    assert feeds.add(false)[0] is Outcome.HELD
    assert feeds.dead_sessions() == ()
    assert feeds.add(third)[0] is Outcome.FALSE
    assert forked_seqs(feeds) == {world.pens[0].session.address: 3}


def test_the_run_of_a_session_dead_by_a_false_checkpoint_proves_it_to_who_comes_later() -> None:
    """It dies there at the same seq, and the heads are the same. Spec: [FEED-14], [SYNC-1]."""
    world = open_world()
    for _ in range(3):
        put(world, 0, SELL, 8)
    world.say_checkpoint(world.pens[0], 3)
    put(world, 0, SELL, 8)
    early = fast_feeds(verified(world.entries))
    head = early.heads()[0]
    feed = early.feed(head.session)
    assert feed is not None
    late = fast_feeds(feed.run(0, head.next_seq))
    assert head.is_dead
    assert late.heads() == early.heads()
    assert late.dead_sessions() == (head.session,)


@settings(max_examples=SIGNED_WORLDS)
@given(world=checkpoint_worlds(), seed=st.integers(0, 2**32))
def test_checkpoints_are_judged_as_the_reference_judges_them_in_any_order(world: World, seed: int) -> None:
    """Late, twice and in another order, the same sessions die at the same seqs. Spec: [FEED-8], [FEED-13..14]."""
    dice = Random(seed)
    arrived = verified(world.entries) + verified(dice.sample(world.entries, len(world.entries) // 3))
    dice.shuffle(arrived)
    feeds, ledger = fast_feeds(arrived), fast_ledger(world.blocks)
    assert forked_seqs(feeds) == reference_forked_seqs(world.entries)
    for epoch in (world.epoch, world.epoch + 3):
        said = fast_book(feeds, ledger, epoch)
        assert said is not None
        assert said.encode() == encode_book(book_of_both(world, epoch))


@settings(max_examples=SIGNED_WORLDS)
@given(world=checkpoint_worlds(), seed=st.integers(0, 2**32))
def test_a_book_kept_up_while_checkpoints_come_equals_the_reference(world: World, seed: int) -> None:
    """A session may die of a Checkpoint after its book was computed. Spec: [FEED-14], [BOOK-1..3]."""
    dice = Random(seed)
    here: list[bytes] = []
    coming = list(world.entries)
    ledger, feeds = fast_ledger(world.blocks), Feeds(fast_rules(world.clock))
    keeper = BookKeeper(feeds, ledger)
    for epoch in range(FIRST_EPOCH, world.epoch + 6, 1 + dice.randrange(4)):
        count = dice.randrange(len(coming) + 1)
        for entry in verified(coming[:count]):
            keeper.touch(feeds.add(entry)[2])
        here, coming = here + coming[:count], coming[count:]
        expected, said = reference_book_at(world, here, epoch), kept_book(keeper, ledger, epoch)
        assert (said is None) == (expected is None)
        if said is not None and expected is not None:
            assert said.encode() == encode_book(expected)


@settings(max_examples=SIGNED_WORLDS)
@given(world=checkpoint_worlds(honest=True))
def test_the_checkpoint_of_an_honest_session_is_never_judged_false(world: World) -> None:
    """Whatever it has said before, also void things: what it is dead of is a fork. Spec: [FEED-13..14]."""
    read = reference_feeds.read_feeds(DOMAIN, world.entries)
    forks = {feed.session: feed.forked_seq for feed in read if feed.market == MARKET_ID}
    assert forked_seqs(fast_feeds(verified(world.entries))) == forks


def test_worlds_of_checkpoints_are_worth_comparing() -> None:
    """They have true ones with something in each list, and sessions that die of false ones."""
    true = dead = 0
    listed = [0, 0, 0, 0]
    for seed in range(15):
        world = build_world(3, throw_checkpoints(seed, 50, honest=False))
        for feed in reference_feeds.read_feeds(DOMAIN, world.entries):
            judged = end_at_false_checkpoint(DOMAIN, CLOCK, MARKET, feed)
            dead += judged.forked_seq != feed.forked_seq
            for entry in judged.standing:
                if entry.items[-1][0] == reference_feeds.CHECKPOINT:
                    true += 1
                    listed = [count + bool(said) for count, said in zip(listed, entry.items[-1][3:], strict=True)]
    assert dead > 3
    assert true > 40
    assert min(listed) > 1
