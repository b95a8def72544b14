"""A kernel's windows are the reference's, as entries come late and twice, and under every hash seed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orrange_p2p.core.window import Window
from protocol.reference import matching as reference
from protocol.reference.book import Book, compute_book
from protocol.reference.period import period_of
from protocol.reference.types import BUY, SELL, epoch_start_ms, epoch_start_s
from tests.core.adapters import as_tuples
from tests.core.kernel_replay import Arrivals, digest_of_windows, replay, replay_seed, schedule
from tests.core.pens import DOMAIN, FIRST_EPOCH, MARKET, MARKET_ID
from tests.core.small_worlds import offer_item, open_world, place
from tests.core.worlds import CLOCK

SCRIPT = Path(__file__).parent / "kernel_replay.py"
HASH_SEEDS = ("0", "1", "42")


SEEDS_THAT_FOUND_A_BUG = {
    13: "an Order item in another's feed set the order's effective epoch",
    24: "an Order item in another's feed set the order's effective epoch, even below the claimed one",
    137: "tickets of entries held ahead of a gap did not stand once the session was dead",
}


def assert_window_equal(window: Window, arrivals: Arrivals, book: Book) -> None:
    """Hold one window to the reference."""
    period = period_of(arrivals.blocks, CLOCK, MARKET_ID, window.epoch)
    assert period is not None
    said_of = reference.Assignment(effective=arrivals.assignment, absent=arrivals.absent)
    pieces = reference.entitlements(book, said_of, period, parked_after=CLOCK.constants.w)
    assert as_tuples(window.pieces) == as_tuples(pieces)
    assert window.digest == reference.window_digest(book, said_of, period), window.epoch


def assert_windows_equal(opened: Iterator[tuple[Window, Arrivals]]) -> int:
    """Hold each window of a kernel to the reference; answers how many there were."""
    windows = 0
    for window, arrivals in opened:
        book = compute_book(arrivals.entries, MARKET, DOMAIN, arrivals.blocks, CLOCK, window.epoch)
        assert book is not None
        assert_window_equal(window, arrivals, book)
        windows += 1
    return windows


@pytest.mark.parametrize("seed", [*range(40), *(seed for seed in SEEDS_THAT_FOUND_A_BUG if seed >= 40)])
def test_windows_of_a_kernel_are_the_references(seed: int) -> None:
    """Book, assignment and matching together, as they happen. Spec: [MATCH-1], [MATCH-6], [MATCH-8]."""
    assert assert_windows_equal(replay_seed(seed, 70)) > 5


def test_a_late_order_that_leaves_the_book_for_a_while_comes_back_as_late_as_it_was() -> None:
    """All its lots are held until a deadline passes; its effective epoch is fixed for ever. Spec: [MATCH-1]."""
    world = open_world()
    taker, maker = place(world, 0, BUY), place(world, 1, SELL)
    taker_pen, maker_pen = world.pen_of(taker), world.pen_of(maker)
    ticket = world.ticket_between(maker, taker, 8, 0, FIRST_EPOCH + 3)
    ticket = replace(ticket, taker_from=0, taker_to=8)
    taker_pen.items.append(offer_item(world, ticket, taker_pen, maker_pen))
    world.epoch += 4
    world.flush(taker_pen)
    for epoch in range(FIRST_EPOCH, FIRST_EPOCH + 34, 2):
        world.add_block(epoch_start_s(CLOCK, epoch))
    arriving = [
        (epoch_start_ms(CLOCK, epoch), encoded)
        for epoch, encoded in zip((FIRST_EPOCH + 3, FIRST_EPOCH, FIRST_EPOCH + 4), world.entries, strict=True)
    ]
    gone_and_back = []
    for window, arrivals in replay(world, schedule(world, arriving)):
        book = compute_book(arrivals.entries, MARKET, DOMAIN, arrivals.blocks, CLOCK, window.epoch)
        assert book is not None
        gone_and_back.append(len(book.orders))
        assert_window_equal(window, arrivals, book)
    assert 0 in gone_and_back
    assert gone_and_back[-1] == 2


def test_the_same_world_gives_the_same_matches_under_every_hash_seed() -> None:
    """Spec: [MATCH-3..8]; nothing may follow the order of a set or of a dictionary of bytes."""
    said = {digest_of_windows(7, 150).hex()}
    for hash_seed in HASH_SEEDS:
        done = subprocess.run(
            [sys.executable, str(SCRIPT), "7", "150"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        said.add(done.stdout.strip())
    assert len(said) == 1


def test_the_hashed_world_has_matches() -> None:
    """What the hash seeds are asked about is not nothing."""
    pieces = sum(len(window.pieces) for window, _ in replay_seed(7, 150))
    assert pieces > 10
