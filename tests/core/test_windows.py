"""Windows over the bounds of periods, while sessions come and go: the references. Spec: [MATCH-1], [MATCH-12]."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

import pytest

from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.types import Address, Epoch, OrderId
from orrange_p2p.core.window import Window, Windows
from protocol.reference import chain
from protocol.reference.book import Book, compute_book
from protocol.reference.matching import Assignment, entitlements, window_digest
from protocol.reference.period import Period, period_of
from protocol.reference.types import BUY, SELL, Clock, epoch_start_s
from tests.core.adapters import RULES, as_tuples, fast_feeds, fast_ledger, fast_preset, verified
from tests.core.conduct_worlds import UNIT, trade
from tests.core.pens import DOMAIN, FIRST_EPOCH, MARKET, MARKET_ID
from tests.core.small_worlds import open_world, place
from tests.core.worlds import CLOCK, OWNERS, SESSIONS, World, build_world, throw_steps

SHORT = Clock(constants=replace(CLOCK.constants, period_s=4, beacon_lag_s=2, w=4), genesis_ms=CLOCK.genesis_ms)
SHORT_RULES = replace(RULES, preset=fast_preset(SHORT.constants))
OPENED = 36
LATENESS = (0, 0, 0, 0, 1, 2, 6)


@dataclass
class Told:
    """A window that the program opened, and the same for the reference."""

    windows: Windows
    window: Window
    book: Book
    effective: dict[bytes, int]
    absent: frozenset[bytes]
    period: Period

    def assignment(self, absent: frozenset[bytes]) -> Assignment:
        """The node's assignment, with these sessions absent."""
        return Assignment(effective=self.effective, absent=absent)

    def reference_digest(self, absent: frozenset[bytes]) -> bytes:
        """The window's digest with these sessions absent."""
        return window_digest(self.book, self.assignment(absent), self.period)


def build_chain(world: World) -> None:
    """A block each half second on, bonds in the first, a fee in the second: two of the owners come to stand higher."""
    for epoch in range(world.epoch, FIRST_EPOCH + OPENED + 12):
        world.add_block(epoch_start_s(CLOCK, epoch))
    bonds = tuple(chain.BondChanged(owner=owner.address, amount=900 * UNIT) for owner in OWNERS[:2])
    fee = replace(trade(OWNERS[0].address, OWNERS[1].address, 90 * UNIT), market=bytes(32))
    for at, facts in enumerate((bonds, (fee,))):
        world.blocks[at] = replace(world.blocks[at], facts=(*world.blocks[at].facts, *facts))


def windows_of(world: World, feeds: Feeds) -> Windows:
    """The program's windows of a market with this world's blocks."""
    windows = Windows(feeds, fast_ledger(world.blocks))
    windows.keeper.touch(feeds.owners())
    return windows


def open_all(world: World, dice: Random, share_absent: int = 3) -> Iterator[Told]:
    """Open most windows of a world, each with other sessions absent; some orders are late."""
    build_chain(world)
    feeds = fast_feeds(verified(world.entries), SHORT_RULES)
    windows = windows_of(world, feeds)
    late: dict[bytes, int] = {}
    for epoch in range(FIRST_EPOCH, FIRST_EPOCH + OPENED):
        book = compute_book(world.entries, MARKET, DOMAIN, world.blocks, SHORT, epoch)
        period = period_of(world.blocks, SHORT, MARKET_ID, epoch)
        assert book is not None
        assert period is not None
        for row in book.orders:
            if row.order_id not in late:
                late[row.order_id] = dice.choice(LATENESS)
                record = feeds.order(OrderId(row.order_id))
                assert record is not None
                windows.place(record, Epoch(row.placed_epoch + late[row.order_id]))
        if dice.randrange(6) == 0:
            continue
        absent = frozenset(one.address for one in SESSIONS if dice.randrange(share_absent) == 0)
        windows.set_absent(Address(session) for session in absent)
        block = windows.ready_block(Epoch(epoch))
        assert block is not None
        effective = {row.order_id: row.placed_epoch + late[row.order_id] for row in book.orders}
        yield Told(windows, windows.open(Epoch(epoch), block), book, effective, absent, period)


def assert_window_equal(told: Told) -> None:
    """Hold a window to the reference."""
    assignment = told.assignment(told.absent)
    pieces = entitlements(told.book, assignment, told.period, parked_after=SHORT.constants.w)
    assert as_tuples(told.window.pieces) == as_tuples(pieces)
    assert told.window.digest == told.reference_digest(told.absent)


@pytest.mark.parametrize("seed", range(10))
def test_windows_are_the_references_as_periods_pass_and_sessions_come_and_go(seed: int) -> None:
    world = build_world(2 + seed % 2, throw_steps(seed, 70))
    for told in open_all(world, Random(seed)):
        assert_window_equal(told)


@pytest.mark.parametrize("seed", range(10))
def test_only_who_is_absent_on_both_sides_is_left_out_of_a_comparison(seed: int) -> None:
    """Spec: [TICK-4]."""
    dice = Random(seed)
    world = build_world(3, throw_steps(seed + 100, 50))
    for told in open_all(world, dice, share_absent=2):
        partners = frozenset(one.address for one in SESSIONS if dice.randrange(2))
        absent = tuple(sorted(Address(session) for session in partners))
        engine = told.windows.compare(told.window.epoch, (), absent)
        assert engine is not None
        digest = engine.window_digest(told.window.epoch, told.window.block.hash)
        assert digest == told.reference_digest(told.absent & partners)


@pytest.mark.parametrize("seed", range(3))
def test_the_absent_that_are_shown_are_those_whose_orders_would_stand(seed: int) -> None:
    for told in open_all(build_world(3, throw_steps(seed, 50)), Random(seed)):
        standing = {row.order.session for row in told.book.orders if row.is_matchable}
        assert list(told.windows.absent) == sorted(standing & told.absent)


def test_an_order_leaves_with_its_session_and_comes_back_with_it() -> None:
    """Its place is that of its own effective epoch, as if it had never been away. Spec: [MATCH-1]."""
    world = open_world()
    orders = (place(world, 0, BUY), place(world, 1, SELL))
    build_chain(world)
    windows = windows_of(world, fast_feeds(verified(world.entries), SHORT_RULES))
    counts = []
    for epoch, absent in enumerate(((), (orders[0],), (orders[0],), (), orders, ()), FIRST_EPOCH):
        windows.set_absent(Address(order.session) for order in absent)
        block = windows.ready_block(Epoch(epoch))
        assert block is not None
        counts.append((len(windows.open(Epoch(epoch), block).pieces), len(windows.engine)))
    assert counts == [(1, 2), (0, 1), (0, 1), (1, 2), (0, 0), (1, 2)]


def test_no_window_is_ready_before_its_anchor_is_known() -> None:
    """Spec: [MATCH-12]."""
    world = open_world()
    feeds = fast_feeds(verified(world.entries), SHORT_RULES)
    for blocks in ([], world.blocks[:1]):
        assert Windows(feeds, fast_ledger(blocks)).ready_block(Epoch(FIRST_EPOCH)) is None
    build_chain(world)
    assert Windows(feeds, fast_ledger(world.blocks)).ready_block(Epoch(FIRST_EPOCH)) is not None


def test_these_worlds_have_what_the_tests_are_about() -> None:
    """Several beacons, higher tiers, sessions left out that would have met somebody, late orders, pieces."""
    seen: Counter[str] = Counter()
    beacons = set()
    for seed in range(5):
        for told in open_all(build_world(2 + seed % 2, throw_steps(seed, 70)), Random(seed)):
            beacons.add(told.period.beacon)
            seen["tiers"] += any(told.period.tiers.values())
            seen["pieces"] += len(told.window.pieces)
            seen["absent"] += told.window.digest != told.reference_digest(frozenset())
            seen["late"] += bool(told.windows.late)
    assert len(beacons) >= 4
    assert min(seen[what] for what in ("tiers", "pieces", "absent", "late")) > 5
