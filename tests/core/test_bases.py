"""Feeds cut at a base: who cut, who kept all and who begins there have one book. Spec: [FEED-15..16], [FUND-8]."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from orrange_p2p.core.book import BookKeeper
from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.starts import Start, base_from, bodies_in, collect_start, verify_start
from orrange_p2p.core.types import Epoch
from orrange_p2p.core.verify import VerifiedEntry
from protocol.reference import chain
from protocol.reference.book import Book, encode_book
from protocol.reference.feeds import CANCEL
from protocol.reference.types import SELL, epoch_start_s
from tests.core.adapters import FAST_DIGESTS, fast_book, fast_feeds, fast_ledger, fast_rules, kept_book, verified
from tests.core.both import live, matchable
from tests.core.pens import FIRST_EPOCH
from tests.core.small_worlds import Begun, open_world, poor_world, put, reference_book_at
from tests.core.strategies import SIGNED_WORLDS, checkpoint_worlds
from tests.core.worlds import CLOCK, World

AGE = 1 + CLOCK.constants.checkpoint_age_s * 1000 // CLOCK.constants.epoch_ms  # more than enough


def grow_chain(world: World, until: int) -> None:
    """Let the chain go on without facts until an epoch's fund block is known."""
    number = world.blocks[-1].number
    for epoch in range(world.epoch, until + 9, 4):
        time_s = max(world.blocks[-1].time_s, epoch_start_s(world.clock, epoch))
        number += 1
        block_hash = number.to_bytes(32, "big")
        world.blocks.append(chain.Block(number=number, hash=block_hash, time_s=time_s, facts=()))


def reference_at(world: World, epoch: int, entries: list[bytes], starts: list[Begun] | None = None) -> Book:
    """The reference's book from these entries, with feeds begun at these starts; its fund block must be known."""
    book = reference_book_at(world, entries, epoch, starts=starts or ())
    assert book is not None
    return book


def start_of(feeds: Feeds, epoch: int) -> list[Start]:
    """Where a node that cut its feeds at an epoch lets others begin."""
    feeds.advance_bases(Epoch(epoch))
    found = [feeds.feed(session) for session in feeds.sessions()]
    return [feed.start for feed in found if feed is not None and feed.start is not None]


def given_again(start: Start) -> Start:
    """A start as a peer reads it from a Run."""
    return verify_start(FAST_DIGESTS, start.entry, [body.encoded for body in start.bodies])


def begun(world: World, starts: list[Start], epoch: int, rest: list[VerifiedEntry]) -> Feeds:
    """Feeds of a newcomer: starts first, then entries in any order."""
    feeds = Feeds(fast_rules(world.clock))
    for start in starts:
        assert feeds.begin(given_again(start), Epoch(epoch)) is not None
    for _ in range(2):
        for entry in rest:
            feeds.add(entry)
    return feeds


def above(world: World, starts: list[Start]) -> list[bytes]:
    """The entries that who begins at these starts is sent."""
    first = {start.entry.entry.header.session: start.entry.entry.header.seq for start in starts}
    arrived = verified(world.entries)
    return [one.encoded for one in arrived if one.entry.header.seq >= first.get(one.entry.header.session, 0)]


@settings(max_examples=max(5, SIGNED_WORLDS // 2))
@given(world=checkpoint_worlds(), seed=st.integers(0, 2**32))
def test_who_kept_all_who_cuts_and_who_begins_at_a_base_have_one_book(world: World, seed: int) -> None:
    """At every epoch while Checkpoints become bases, whatever came in which order. Spec: [FEED-15..16], [FUND-8]."""
    dice = Random(seed)
    last = world.epoch + AGE + 4
    grow_chain(world, last)
    arrived = verified(dice.sample(world.entries, len(world.entries)))
    ledger = fast_ledger(world.blocks)
    kept = fast_feeds(arrived, fast_rules(world.clock))
    keeper = BookKeeper(kept, ledger)
    keeper.touch(kept.owners())
    for epoch in sorted(dice.sample(range(world.epoch + AGE // 2, last + 1), 3)):
        expected = encode_book(reference_at(world, epoch, world.entries))
        said = kept_book(keeper, ledger, epoch)
        assert said is not None
        assert said.encode() == expected
        whole = fast_feeds(arrived, fast_rules(world.clock))
        starts = start_of(whole, epoch)
        fresh = fast_book(whole, ledger, epoch)
        assert fresh is not None
        assert fresh.encode() == expected
        newcomer = fast_book(begun(world, starts, epoch, arrived), ledger, epoch)
        assert newcomer is not None
        if not any(feed.is_dead for feed in (whole.feed(one) for one in whole.sessions()) if feed is not None):
            assert newcomer.encode() == expected
            given_starts = [(start.entry.encoded, [body.encoded for body in start.bodies]) for start in starts]
            assert encode_book(reference_at(world, epoch, above(world, starts), given_starts)) == expected


def test_such_worlds_have_bases_orders_below_them_and_orders_that_come_up_again() -> None:
    """Or the test above would compare little."""
    world = checkpointed(poor_world(10))
    starts = start_of(fast_feeds(verified(world.entries)), world.epoch + AGE)
    assert [len(start.bodies) for start in starts] == [2]


def checkpointed(world: World) -> World:
    """An order of 10, a second one that the purse does not cover, a Cancel of the first, a Checkpoint."""
    first = put(world, 0, SELL, 10)
    put(world, 0, SELL, 10)
    world.pens[0].items.append([CANCEL, first])
    world.flush(world.pens[0])
    world.epoch += 1
    world.say_checkpoint(world.pens[0])
    grow_chain(world, world.epoch + AGE + 2)
    return world


def test_an_order_that_was_void_comes_up_at_the_base_with_the_bases_age_for_everybody() -> None:
    """Decision 0020: as if signed anew in the Checkpoint's entry, and not before the base is one. Spec: [FUND-8]."""
    world = checkpointed(poor_world(10))
    claimed = world.epoch
    first = base_from(fast_rules(CLOCK), Epoch(claimed))
    before, after = (reference_at(world, epoch, world.entries) for epoch in (first - 1, first))
    assert live(before) == []
    assert matchable(after) == [world.order_ids[1]]
    assert [row.placed_epoch for row in after.orders] == [claimed]
    feeds, ledger = fast_feeds(verified(world.entries)), fast_ledger(world.blocks)
    for book, epoch in ((before, first - 1), (after, first)):
        said = fast_book(feeds, ledger, epoch)
        assert said is not None
        assert said.encode() == encode_book(book)


def test_a_base_of_one_session_places_the_owners_other_sessions_orders_anew() -> None:
    """Else an order could wait unpaid behind another session's, with its age. Spec: [FUND-8], decision 0020."""
    world = open_world()
    other = next(number for number, pen in enumerate(world.pens) if number and pen.owner is world.pens[0].owner)
    put(world, other, SELL, 8)
    waits = put(world, 0, SELL, 8)
    world.epoch += 4
    world.say_checkpoint(world.pens[other])
    grow_chain(world, world.epoch + AGE)
    book = reference_at(world, world.epoch + AGE, world.entries)
    assert {row.placed_epoch for row in book.orders} == {world.epoch}
    assert waits in live(book)
    said = fast_book(fast_feeds(verified(world.entries)), fast_ledger(world.blocks), world.epoch + AGE)
    assert said is not None
    assert said.encode() == encode_book(book)


def test_a_checkpoint_is_a_base_at_its_age_and_not_an_epoch_earlier() -> None:
    """Spec: [FEED-15]."""
    rules = fast_rules(CLOCK)
    first = base_from(rules, Epoch(FIRST_EPOCH))
    age = rules.preset.checkpoint_age_s
    assert rules.epoch_start_s(first) >= rules.epoch_start_s(FIRST_EPOCH) + age > rules.epoch_start_s(first - 1)


def test_a_cut_feed_keeps_what_its_base_lists_and_what_follows_it() -> None:
    """Spec: [FEED-16]."""
    world = open_world()
    ids = [put(world, 0, SELL, 8) for _ in range(3)]
    world.pens[0].items.extend([CANCEL, order_id] for order_id in ids[:2])
    world.flush(world.pens[0])
    world.epoch += 1
    world.say_checkpoint(world.pens[0])
    put(world, 0, SELL, 8)
    feeds = fast_feeds(verified(world.entries))
    session = feeds.sessions()[0]
    whole = feeds.feed(session)
    assert whole is not None
    next_seq, head = whole.next_seq, feeds.head(session)
    assert [rebased.start.entry.entry.header.seq for rebased in feeds.advance_bases(Epoch(world.epoch + AGE))] == [4]
    cut = feeds.feed(session)
    assert cut is not None
    assert (cut.first_seq, cut.next_seq, len(cut.entries), len(cut.orders)) == (4, next_seq, 2, 2)
    assert feeds.head(session) == head
    assert feeds.advance_bases(Epoch(world.epoch + AGE + 1)) == []
    assert [entry.entry.header.seq for entry in cut.run(0, next_seq)] == [4, 5]


def test_a_start_that_is_too_young_or_below_what_is_held_or_of_a_dead_session_is_not_taken() -> None:
    """Spec: [FEED-16]."""
    world = open_world()
    put(world, 0, SELL, 8)
    world.epoch += 1
    world.say_checkpoint(world.pens[0])
    arrived = verified(world.entries)
    start = start_of(fast_feeds(arrived), world.epoch + AGE)[0]
    rules = fast_rules(CLOCK)
    first = Epoch(base_from(rules, Epoch(world.epoch)))
    assert Feeds(rules).begin(start, Epoch(first - 1)) is None
    assert Feeds(rules).begin(start, first) is not None
    assert fast_feeds(arrived).begin(start, Epoch(world.epoch + AGE)) is None
    dead = Feeds(rules)
    dead.mark_forked(start.entry.entry.header.session, 0)
    assert dead.begin(start, Epoch(world.epoch + AGE)) is None


def test_every_body_is_found_again_when_a_cut_feed_is_cut_again() -> None:
    """What the older base listed may be listed by the newer one. Spec: [FEED-13], [FEED-15]."""
    world = open_world()
    order_id = put(world, 0, SELL, 8)
    for _ in range(2):
        world.epoch += 1
        world.say_checkpoint(world.pens[0])
    feeds = fast_feeds(verified(world.entries))
    session = feeds.sessions()[0]
    for claimed in (world.epoch - 1, world.epoch):
        start = start_of(feeds, base_from(fast_rules(CLOCK), Epoch(claimed)))[0]
        feed = feeds.feed(session)
        assert feed is not None
        assert list(feed.orders) == [order_id]
        assert collect_start(start.entry, [*start.bodies, *bodies_in(start.entry)]) == start
