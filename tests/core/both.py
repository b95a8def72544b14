"""The same question put to the reference and to the program, which must answer alike."""

from collections.abc import Iterable, Sequence

from orrange_p2p.core.types import Address as FastAddress
from protocol.reference import book as reference_book
from protocol.reference.types import Address, Digest
from tests.core.adapters import fast_book, fast_feeds, fast_ledger, fast_rules, verified
from tests.core.small_worlds import reference_book_at
from tests.core.worlds import World


def book_of_both(
    world: World, epoch: int, entries: Iterable[bytes] | None = None, convicted: Sequence[Address] = ()
) -> reference_book.Book:
    """The book of a world in an epoch: the reference's, held to the program's bytes on the way."""
    if len(world.blocks) < 4:
        world.close()
    here = world.entries if entries is None else list(entries)
    expected = reference_book_at(world, here, epoch, convicted)
    feeds = fast_feeds(verified(here), fast_rules(world.clock))
    for session in convicted:
        feeds.convict(FastAddress(session))
    said = fast_book(feeds, fast_ledger(world.blocks), epoch)
    assert expected is not None
    assert said is not None
    assert said.encode() == reference_book.encode_book(expected)
    return expected


def live(book: reference_book.Book) -> list[Digest]:
    """The live orders."""
    return [row.order_id for row in book.orders]


def matchable(book: reference_book.Book) -> list[Digest]:
    """The orders that may be matched."""
    return [row.order_id for row in book.orders if row.is_matchable]
