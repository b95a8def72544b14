"""Long worlds, in which feeds are cut again and again while entries come: one book for everybody at every epoch.

Spec: protocol/spec/02-feeds.md [FEED-6], [FEED-13..16], 03-orders.md [FUND-5], [FUND-8].
"""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from orrange_p2p.core.book import BookKeeper
from orrange_p2p.core.feed import Outcome
from orrange_p2p.core.feeds import Feeds, Rebased
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.matching import build_engine
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.starts import verify_start
from orrange_p2p.core.types import U64_MAX, Address, Epoch
from orrange_p2p.core.verify import VerifiedEntry
from orrange_p2p.core.window import Windows
from protocol.reference.book import encode_book
from protocol.reference.types import Clock, epoch_start_s
from tests.core.adapters import FAST_DIGESTS, fast_book, fast_feeds, fast_ledger, fast_rules, kept_book, verified
from tests.core.pens import FIRST_EPOCH
from tests.core.small_worlds import reference_book_at
from tests.core.strategies import SIGNED_WORLDS, throw_checkpoints
from tests.core.worlds import BONDED, CLOCK, World

AGE = CLOCK.constants.checkpoint_age_s * 1000 // CLOCK.constants.epoch_ms
PARTS = 4


def build_long(purse: int, seed: int, count: int, clock: Clock = CLOCK) -> World:
    """A world of several parts, most of an age apart, so that what one part says lies below the next ones' bases."""
    world, dice = World(clock), Random(seed)
    world.open_chain(purse)
    for part in range(PARTS):
        for step in throw_checkpoints(seed + part, count, honest=dice.randrange(4) != 0):
            world.do(step)
        for _ in range(dice.randrange(5)):
            world.epoch += AGE // 4
            world.add_block(epoch_start_s(clock, world.epoch) - 1)
    world.close()
    for epochs in range(0, AGE + 12, 3):
        world.add_block(epoch_start_s(clock, world.epoch + epochs))
    return world


def long_worlds() -> st.SearchStrategy[World]:
    """Long worlds, with bonds or without."""
    return st.builds(
        build_long, st.integers(0, 3), st.integers(0, 2**32), st.integers(6, 22), st.sampled_from([CLOCK, BONDED])
    )


class Node:
    """Feeds that a node cuts as epochs pass, and the book that it keeps."""

    def __init__(self, rules: MarketRules, ledger: Ledger) -> None:
        self.feeds = Feeds(rules)
        self.ledger = ledger
        self.keeper = BookKeeper(self.feeds, ledger)
        self.cuts: list[Rebased] = []

    def hear(self, entry: VerifiedEntry) -> None:
        """Take in an entry; of one below a cut that is another's twin, somebody who has both tells."""
        header = entry.entry.header
        feed = self.feeds.feed(header.session)
        first_seq = feed.first_seq if feed is not None else 0
        outcome, _, owners = self.feeds.add(entry)
        self.keeper.touch(owners)
        if header.seq < first_seq and outcome is Outcome.IGNORED:
            self.keeper.touch(self.feeds.mark_forked(header.session, header.seq))

    def copy(self, dice: Random, epoch: int) -> Feeds:
        """What a newcomer has who is given the starts, then everything else in some order."""
        newcomer = Feeds(self.feeds.rules)
        feeds = [feed for feed in map(self.feeds.feed, self.feeds.sessions()) if feed is not None]
        for feed in feeds:
            if feed.start is not None:
                start = verify_start(FAST_DIGESTS, feed.start.entry, [body.encoded for body in feed.start.bodies])
                assert newcomer.begin(start, Epoch(epoch)) is not None
        waiting = [entry for feed in feeds for entry in feed.versions()]
        dice.shuffle(waiting)
        while waiting:
            ignored = [entry for entry in waiting if newcomer.add(entry)[0] is Outcome.IGNORED]
            if len(ignored) == len(waiting):
                break
            waiting = ignored
        for feed, session in zip(feeds, self.feeds.sessions(), strict=True):
            if feed.is_dead:
                newcomer.mark_forked(session, feed.forked_from)
        return newcomer


@settings(max_examples=max(6, SIGNED_WORLDS // 4))  # the reference reads every feed anew at every step
@given(world=long_worlds(), seed=st.integers(0, 2**32))
def test_a_book_kept_up_while_feeds_are_cut_equals_the_reference_that_keeps_everything(world: World, seed: int) -> None:
    """And what a newcomer computes who begins at the cuts, at every step. Spec: [FEED-15..16], [FUND-8], [BOOK-3]."""
    dice = Random(seed)
    node = Node(fast_rules(world.clock), fast_ledger(world.blocks))
    here: list[bytes] = []
    coming = list(world.entries)
    for epoch in range(FIRST_EPOCH, world.epoch + AGE + 8, 1 + dice.randrange(9)):
        count = sum(one.entry.header.epoch <= epoch for one in verified(coming)) + dice.choice((0, 0, 2))
        for entry in verified(coming[:count]):
            node.hear(entry)
        here, coming = here + coming[:count], coming[count:]
        expected, said = reference_book_at(world, here, epoch), kept_book(node.keeper, node.ledger, epoch)
        assert (said is None) == (expected is None)
        if said is None or expected is None:
            continue
        assert said.encode() == encode_book(expected)
        fresh = fast_book(node.feeds, node.ledger, epoch)
        assert fresh is not None
        assert fresh.encode() == said.encode()
        begun = fast_book(node.copy(dice, epoch), node.ledger, epoch)
        assert begun is not None
        assert begun.encode() == said.encode()


def note(windows: Windows, feeds: Feeds, entry: VerifiedEntry, effective: Epoch) -> None:
    """An entry was appended: fix the effective epoch of its orders, and of those that its Checkpoint will place."""
    header = entry.entry.header
    windows.note_checkpoint(header.session, header.seq, header.epoch, effective)
    for record in feeds.orders_of(header.owner):
        if (record.order.session, record.seq) == (header.session, header.seq):
            windows.place(record, effective)


def restarted(feeds: Feeds, windows: Windows, ledger: Ledger, stored: list[tuple[VerifiedEntry, Epoch]]) -> Windows:
    """The windows of a node that begins again with the starts of its cut feeds, and its entries above them."""
    fresh = Feeds(feeds.rules)
    again = Windows(fresh, ledger)
    first_seqs: dict[Address, int] = {}
    for feed in map(feeds.feed, feeds.sessions()):
        if feed is not None and feed.start is not None:
            header = feed.start.entry.entry.header
            first_seqs[header.session] = header.seq
            rebased = fresh.begin(feed.start, Epoch(U64_MAX))
            assert rebased is not None
            late = windows.late_base(rebased)
            again.note_checkpoint(header.session, header.seq, header.epoch, late)
            again.place_anew(rebased)
    for entry, effective in stored:
        if entry.entry.header.seq > first_seqs.get(entry.entry.header.session, -1):
            for one in fresh.add(entry)[1]:
                note(again, fresh, one, effective)
    for session in feeds.sessions():
        feed = feeds.feed(session)
        if feed is not None and feed.is_dead:
            fresh.mark_forked(session, feed.forked_from)
    for owner in fresh.owners():
        for record in fresh.orders_of(owner):
            again.place(record, record.claimed)  # as a window that is opened does
    return again


@settings(max_examples=SIGNED_WORLDS)
@given(world=long_worlds(), seed=st.integers(0, 2**32))
def test_windows_kept_up_while_feeds_are_cut_equal_windows_made_anew(world: World, seed: int) -> None:
    """Orders leave and come back with another age: the engine is told of each. Spec: [MATCH-1], [FUND-8]."""
    dice = Random(seed)
    feeds, ledger = Feeds(fast_rules(world.clock)), fast_ledger(world.blocks)
    windows = Windows(feeds, ledger)
    coming = verified(world.entries)
    stored: list[tuple[VerifiedEntry, Epoch]] = []
    for epoch in range(FIRST_EPOCH, world.epoch + AGE + 8, 1 + dice.randrange(9)):
        while coming and coming[0].entry.header.epoch <= epoch:
            _, appended, owners = feeds.add(coming.pop(0))
            windows.keeper.touch(owners)
            arrived = Epoch(epoch + dice.choice((0, 0, 3)))
            for one in appended:
                stored.append((one, max(one.entry.header.epoch, arrived)))
                note(windows, feeds, *stored[-1])
        block = windows.ready_block(Epoch(epoch))
        if block is None:
            continue
        window = windows.open(Epoch(epoch), block)
        book = fast_book(feeds, ledger, epoch)
        assert book is not None
        placed = {row.order_id: row.placed for row in book.orders}
        assert all(late > placed.get(order_id, -1) for order_id, late in windows.late.items())
        engine = build_engine(
            book, windows.late, windows.periods.at(Epoch(epoch)), parked_before=max(0, epoch - feeds.rules.preset.w)
        )
        assert engine.window_digest(Epoch(epoch), block.hash) == window.digest
        assert engine.entitlements() == window.pieces
    late = {order_id: late for order_id, late in windows.late.items() if windows.keeper.order(order_id) is not None}
    again = restarted(feeds, windows, ledger, stored)
    assert {order_id: again.late.get(order_id) for order_id in late} == late


def test_long_worlds_are_worth_comparing() -> None:
    """Feeds are cut more than once, at bases that list something of each kind; void orders come up; some die after."""
    cuts = again = revived = dead = 0
    listed = [0, 0, 0, 0]
    for seed in range(20):
        world = build_long(seed % 4, seed, 20)
        node = Node(fast_rules(CLOCK), fast_ledger(world.blocks))
        coming = verified(world.entries)
        void: dict[bytes, None] = {}
        for epoch in range(FIRST_EPOCH, world.epoch + AGE + 8):
            while coming and coming[0].entry.header.epoch <= epoch:
                node.hear(coming.pop(0))
            feeds = [node.feeds.feed(session) for session in node.feeds.sessions()]
            before = [feed.first_seq for feed in feeds if feed is not None]
            book = kept_book(node.keeper, node.ledger, epoch)
            after = [feed for feed in feeds if feed is not None]
            for feed, first_seq in zip(after, before, strict=True):
                if feed.first_seq != first_seq and feed.start is not None:
                    cuts, again = cuts + 1, again + (first_seq > 0)
                    said = feed.start.checkpoint
                    parts = (said.live_orders, said.ended_orders, said.offers, said.tickets)
                    listed = [count + bool(part) for count, part in zip(listed, parts, strict=True)]
            for order in book.orders if book is not None else ():
                revived += order.order_id in void
                void.pop(order.order_id, None)
            for owner in node.feeds.owners():
                refused = node.keeper.admissions.refused(owner, Epoch(epoch))
                void |= {one.order_id: None for one in node.feeds.orders_of(owner) if one.order_id in refused}
        found = [node.feeds.feed(session) for session in node.feeds.sessions()]
        dead += sum(feed.is_dead and feed.start is not None for feed in found if feed is not None)
    assert cuts > 100
    assert again > 40
    assert min(listed) > 2
    assert revived > 1
    assert dead > 1


def test_the_long_way_in_one_go_comes_to_the_same() -> None:
    """All entries at once, cut once, against those cut at every base. Spec: [FEED-15]."""
    world = build_long(2, 11, 22)
    epoch = world.epoch + AGE
    ledger = fast_ledger(world.blocks)
    once = fast_feeds(verified(world.entries), fast_rules(world.clock))
    once.advance_bases(Epoch(epoch))
    first, expected = fast_book(once, ledger, epoch), reference_book_at(world, world.entries, epoch)
    assert first is not None
    assert expected is not None
    assert first.encode() == encode_book(expected)
