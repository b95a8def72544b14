"""Cases for `protocol/vectors/{feeds,book,matching}`: small worlds with one thing in each, and a few thrown ones."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from protocol.reference import chain, feeds, matching
from protocol.reference.book import Book, book_digest, compute_book, encode_book
from protocol.reference.cbor import RefusedError
from protocol.reference.orders import orders_of
from tests.core.bare import Bare, throw_bare
from tests.core.pens import DOMAIN, MARKET, MARKET_ID, delegation_item, make_entry, sign_entry
from tests.core.worlds import CLOCK, CONSTANTS, Step, World, build_world, throw_steps

Case = dict[str, Any]

ORDER_QUIRKS = {
    "session_signed": 4,
    "signed_by_a_third_session": 7,
    "twice_in_a_feed": 8,
    "below_min_fill": 20,
    "nonce_not_rising": 21,
    "protected_market": 22,
    "fill_or_kill": 23,
    "ioc_without_expiry": 24,
    "post_only": 25,
    "min_tier": 26,
    "payment_methods": 27,
    "arbitrators": 28,
    "security": 29,
    "of_another_market": 30,
    "of_another_owner": 31,
    "of_another_session": 32,
    "largest_quantity": 33,
    "largest_price": 34,
}
OFFER_QUIRKS = {
    "as_it_should_be": 0,
    "unequal_lots": 10,
    "no_lots": 11,
    "price_of_zero": 12,
    "deadline_too_late": 13,
    "deadline_too_early": 14,
    "deadline_soon": 15,
    "epoch_to_come": 16,
    "unknown_maker_order": 17,
    "lots_beyond_the_order": 18,
    "signed_by_the_maker": 21,
    "ready_of_another": 22,
    "ready_of_another_epoch": 23,
    "ready_signature_of_zeros": 24,
    "high_s": 25,
    "in_another_feed": 26,
}


def plain(value: Any) -> Any:
    """A value as JSON has it: bytes as hex, integers above 2^53 safe as decimal strings, structs by field."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return {field.name: plain(getattr(value, field.name)) for field in fields(value)}


def setting() -> Case:
    """What every world shares."""
    return {
        "domain": plain(DOMAIN),
        "market": plain(MARKET),
        "constants": plain(CONSTANTS),
        "genesis_ms": plain(CLOCK.genesis_ms),
    }


def opened(purse: int = 3) -> World:
    """A world with a buyer's and a seller's order, of sessions 0 and 1."""
    world = World()
    world.open_chain(purse)
    world.do(Step("order", (0, 0, 3, 6, 0, 0, 1)))
    world.do(Step("order", (1, 1, 3, 6, 0, 0, 1)))
    return world


# feeds


def feed_worlds() -> Iterable[tuple[str, World]]:
    """One rule of 02-feeds.md in each."""
    for name, way in {
        "five_entries_in_an_epoch": 0,
        "epoch_that_falls": 1,
        "other_prev_hash": 2,
        "other_owner": 3,
        "second_delegation": 4,
        "gap": 5,
        "entry_ahead_of_a_gap": 6,
    }.items():
        world = opened()
        world.epoch += 1
        world.do(Step("break_feed", (0, 0, way)))
        world.do(Step("order", (0, 1, 3, 6, 0, 0, 1)))
        yield name, world
    for name, way in {"fork_at_the_end": 0, "fork_ahead_of_a_gap": 2}.items():
        world = opened()
        world.do(Step("cancel", (0, 0, 0, 1)))
        world.do(Step("fork", (0, 0, way)))
        yield name, world
    for name, junk in {"cut": 0, "signed_by_another": 1, "other_items_root": 2, "of_another_market": 3}.items():
        world = opened()
        world.do(Step("junk", (0, junk, 9)))
        yield f"junk_{name}", world
    world = opened()
    world.do(Step("break_feed", (2, 0, 7)))
    world.do(Step("order", (2, 0, 3, 6, 0, 0, 1)))
    yield "peer_signature_of_zeros", world
    world = opened()
    world.entries.append(world.entries[0])
    yield "entry_twice", world
    world = opened()
    pen = world.pens[2]
    world.entries.append(sign_entry(pen, make_entry(pen, [[feeds.CANCEL, bytes(32)]])))
    yield "no_delegation", world
    world = opened()
    late_delegation = [[feeds.CANCEL, bytes(32)], delegation_item(pen)]
    world.entries.append(sign_entry(pen, make_entry(pen, late_delegation)))
    yield "delegation_second", world
    for seed in range(3):
        yield f"thrown_{seed}", build_world(3, throw_steps(seed, 40))


def feed_case(name: str, world: World) -> Case:
    """What the reference makes of a world's entries."""
    sound: list[str | None] = []
    for encoded in world.entries:
        try:
            feeds.read_sound_entry(DOMAIN, encoded)
            sound.append(None)
        except RefusedError as refused:
            sound.append(refused.rule)
    read = [feed for feed in feeds.read_feeds(DOMAIN, world.entries) if feed.market == MARKET_ID]
    return {
        "name": name,
        "entries": [
            {"encoded": plain(encoded), "refused": rule} for encoded, rule in zip(world.entries, sound, strict=True)
        ],
        "feeds": [describe_feed(feed) for feed in read],
    }


def describe_feed(feed: feeds.Feed) -> Case:
    """A feed as both sides can tell it."""
    seqs = {entry.seq for entry in feed.known}
    next_seq = next(seq for seq in range(len(seqs) + 1) if seq not in seqs)
    orders = [order for order in orders_of(DOMAIN, CLOCK, MARKET, feed, 2**64 - 1) if not order.is_void]
    return {
        "session": plain(feed.session),
        "next_seq": plain(next_seq),
        "standing_entries": plain(len(feed.standing)),
        "forked_seq": plain(feed.forked_seq),
        "orders": [
            {
                "order_id": plain(order.order_id),
                "place": plain(order.place),
                "claimed_epoch": plain(order.claimed_epoch),
                "is_cancelled": order.is_cancelled,
            }
            for order in orders
        ],
    }


# books


def book_worlds(group: str) -> Iterable[tuple[str, World]]:
    """Worlds of one file of `protocol/vectors/book`."""
    return {"orders": order_worlds, "holds": hold_worlds, "funds": fund_worlds, "thrown": thrown_worlds}[group]()


def order_worlds() -> Iterable[tuple[str, World]]:
    """[ORD-1..6]."""
    yield "two_orders", opened()
    for name, quirk in ORDER_QUIRKS.items():
        world = opened()
        if name == "nonce_not_rising":
            world.do(Step("order", (2, 0, 2, 6, 0, 0, 1)))
        world.do(Step("order", (2, 0, 3, 6, 0, quirk, 1)))
        yield name, world
    for name, life in {"ioc": 1, "ioc_that_expires": 3, "gtc_that_expires": 4}.items():
        world = opened()
        world.do(Step("order", (2, 0, 3, 6, life, 0, 1)))
        world.epoch += 10
        yield name, world
    world = opened()
    world.do(Step("cancel", (0, 0, 0, 1)))
    yield "cancelled", world
    world = opened()
    world.do(Step("cancel", (2, 7, 0, 1)))
    yield "cancelled_by_another_session", world


def hold_worlds() -> Iterable[tuple[str, World]]:
    """[HOLD-1..6]."""
    for name, quirk in OFFER_QUIRKS.items():
        world = opened()
        world.do(Step("offer", (0, 0, 2, 2, 0, quirk, 0)))
        yield f"offer_{name}", world
    for name, quirk in {
        "as_it_should_be": 0,
        "signed_by_another": 10,
        "taker_signature_of_nobody": 11,
        "in_another_feed": 12,
    }.items():
        world = opened()
        world.do(Step("offer", (1, 0, 2, 2, 0, 23, 0)))
        world.do(Step("ticket", (0, quirk, 0)))
        yield f"ticket_{name}", world
    world = opened()
    world.do(Step("offer", (0, 0, 2, 2, 0, 0, 0)))
    world.epoch += 20
    yield "offer_past_its_deadline", world
    world = opened()
    world.do(Step("offer", (0, 0, 2, 2, 0, 0, 0)))
    world.do(Step("ticket", (0, 0, 0)))
    world.do(Step("settle", (0,)))
    yield "settled", world
    world = opened()
    world.do(Step("offer", (0, 0, 2, 2, 0, 0, 0)))
    world.do(Step("ticket", (0, 0, 0)))
    world.do(Step("fork", (0, 0, 1)))
    world.do(Step("fork", (1, 0, 1)))
    yield "dead_sessions", world


def fund_worlds() -> Iterable[tuple[str, World]]:
    """[FUND-1..4]."""
    world = opened(0)
    world.do(Step("order", (0, 0, 4, 5, 0, 0, 1)))
    world.do(Step("order", (0, 0, 1, 2, 0, 0, 1)))
    yield "one_order_unfunded_a_later_one_fits", world
    world = opened(0)
    for start in (0, 4):
        world.do(Step("offer", (1, 0, 3, start, 0, 0, 0)))
    world.do(Step("cancel", (0, 0, 0, 1)))
    world.do(Step("order", (0, 0, 3, 6, 0, 0, 1)))
    yield "ticket_of_a_cancelled_order_reserves", world
    world = opened(1)
    world.epoch += 13
    yield "session_expired", world
    world = opened()
    world.do(Step("revoke", (0,)))
    yield "session_revoked", world
    world = opened()
    world.do(Step("order", (4, 0, 3, 6, 0, 0, 1)))
    yield "session_unknown", world
    world = opened()
    world.do(Step("order", (3, 0, 3, 6, 0, 4, 1)))
    yield "session_signed_without_trade", world
    world = opened()
    world.do(Step("fund", (0, 11, 0, 1)))
    world.do(Step("fund", (1, 11, 1, 0)))
    yield "funds_changed", world


def thrown_worlds() -> Iterable[tuple[str, World]]:
    """Everything at once."""
    for seed in range(8):
        yield f"thrown_{seed}", build_world(seed % 4, throw_steps(seed, 45))


def book_case(name: str, world: World) -> Case:
    """What the reference says of a world at its end."""
    if len(world.blocks) < 4:
        world.close()
    book = compute_book(world.entries, MARKET, DOMAIN, world.blocks, CLOCK, world.epoch)
    if book is None:
        raise ValueError(f"expected a known fund block in {name}")
    return {
        "name": name,
        "epoch": plain(world.epoch),
        "entries": [plain(encoded) for encoded in world.entries],
        "blocks": [describe_block(block) for block in world.blocks],
        "book": plain(encode_book(book)),
        "digest": plain(book_digest(book)),
    }


def describe_block(block: chain.Block) -> Case:
    """A block with its facts, each with its kind."""
    facts = [{"kind": type(fact).__name__} | plain(fact) for fact in block.facts]
    return {"number": plain(block.number), "hash": plain(block.hash), "time_s": plain(block.time_s), "facts": facts}


# matching


def matching_bares() -> Iterable[tuple[str, Bare]]:
    """Bare books; a case is named by its seed and size."""
    for seed, count in ((1, 2), (2, 4), (3, 8), (5, 16), (8, 30), (14, 60)):
        yield f"seed_{seed}_of_{count}_orders", throw_bare(seed, count)


def matching_case(name: str, bare: Bare) -> Case:
    """A book, an assignment and skips, and what follows from them."""
    return {
        "name": name,
        **describe_book(bare.book),
        "assignment": [[plain(order_id), plain(epoch)] for order_id, epoch in sorted(bare.effective.items())],
        "absent": sorted(plain(session) for session in bare.absent),
        "skips": sorted(plain(pair) for pair in bare.skips),
        "beacon": plain(bare.period.beacon),
        "tiers": [[plain(owner), plain(tier)] for owner, tier in sorted(bare.period.tiers.items())],
        "bonded": None if bare.period.bonded is None else sorted(plain(owner) for owner in bare.period.bonded),
        "w": plain(bare.parked_after),
        "pieces": [
            plain(piece)
            for piece in matching.entitlements(
                bare.book, bare.assignment, bare.period, bare.skips, parked_after=bare.parked_after
            )
        ],
        "window_digest": plain(matching.window_digest(bare.book, bare.assignment, bare.period)),
    }


def describe_book(book: Book) -> Case:
    """A bare book's rows, orders as structs."""
    return {
        "market": plain(book.market),
        "epoch": plain(book.epoch),
        "block": {"number": plain(book.block.number), "hash": plain(book.block.hash)},
        "orders": [
            {
                "order_id": plain(row.order_id),
                "order": plain(row.order),
                "claimed_epoch": plain(row.claimed_epoch),
                "free": plain(row.free),
                "is_matchable": row.is_matchable,
            }
            for row in book.orders
        ],
    }
