"""What nodes know is a join: merging is commutative, associative and idempotent, and books follow from it alone.

Spec: protocol/spec/02-feeds.md [FEED-8], 03-orders.md "The book is a join".
"""

from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.verify import VerifiedEntry
from protocol.reference.book import compute_book, encode_book
from tests.core.adapters import RULES, fast_book, fast_feeds, fast_ledger, verified
from tests.core.pens import DOMAIN, MARKET, MARKET_ID
from tests.core.strategies import SIGNED_WORLDS, worlds
from tests.core.worlds import CLOCK, World


def book_bytes(world: World, arrived: Sequence[VerifiedEntry]) -> bytes | None:
    """The book that a node with these entries has at the world's end."""
    book = fast_book(fast_feeds(arrived), fast_ledger(world.blocks), world.epoch)
    return None if book is None else book.encode()


def merge(*parts: Sequence[VerifiedEntry]) -> list[VerifiedEntry]:
    """All entries of some nodes, those of the first first."""
    return [entry for part in parts for entry in part]


@settings(max_examples=SIGNED_WORLDS)
@given(world=worlds(), seed=st.integers(0, 2**32))
def test_merging_is_commutative_associative_and_idempotent(world: World, seed: int) -> None:
    dice, entries = Random(seed), verified(world.entries)
    one, two, three = ([entry for entry in entries if dice.random() < 0.6] for _ in range(3))
    together = book_bytes(world, merge(one, two, three))
    assert book_bytes(world, merge(three, two, one)) == together
    assert book_bytes(world, merge(merge(one, two), three)) == book_bytes(world, merge(one, merge(two, three)))
    assert book_bytes(world, merge(one, one, two, three, two)) == together


@settings(max_examples=SIGNED_WORLDS)
@given(world=worlds(), seed=st.integers(0, 2**32))
def test_two_nodes_that_exchange_what_they_lack_have_one_book(world: World, seed: int) -> None:
    dice, entries = Random(seed), verified(world.entries)
    one = [entry for entry in entries if dice.random() < 0.5]
    other = [entry for entry in entries if dice.random() < 0.5]
    known, others = ({entry.entry_hash for entry in part} for part in (one, other))
    first = merge(one, [entry for entry in other if entry.entry_hash not in known])
    second = merge(other, [entry for entry in one if entry.entry_hash not in others])
    assert book_bytes(world, first) == book_bytes(world, second)


@settings(max_examples=SIGNED_WORLDS)
@given(world=worlds(), seed=st.integers(0, 2**32))
def test_evidence_does_the_same_whenever_it_comes_as_the_reference_says(world: World, seed: int) -> None:
    """Forks and convictions from elsewhere, before, between or after the entries. Spec: [EVID-1], [EVID-4]."""
    dice, entries = Random(seed), verified(world.entries)
    sessions = sorted({entry.entry.header.session for entry in entries})
    forked = {session: dice.randrange(4) for session in sessions if dice.random() < 0.3}
    convicted = tuple(session for session in sessions if dice.random() < 0.3)
    expected = compute_book(
        world.entries,
        MARKET,
        DOMAIN,
        world.blocks,
        CLOCK,
        world.epoch,
        convicted=convicted,
        forks={(session, MARKET_ID): seq for session, seq in forked.items()},
    )
    dice.shuffle(entries)
    cut = dice.randrange(len(entries) + 1)
    feeds = Feeds(RULES)
    for entry in entries[:cut]:
        feeds.add(entry)
    for session, seq in forked.items():
        feeds.mark_forked(session, seq)
    for session in convicted:
        feeds.convict(session)
    for entry in entries[cut:] + entries[:cut] + entries[cut:]:
        feeds.add(entry)
    said = fast_book(feeds, fast_ledger(world.blocks), world.epoch)
    assert (said is None) == (expected is None)
    if said is not None and expected is not None:
        assert said.encode() == encode_book(expected)
