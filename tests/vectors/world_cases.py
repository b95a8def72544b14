"""Cases for `protocol/vectors/{feeds,book,matching}`: small worlds with one thing in each, and a few thrown ones."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from protocol.reference import chain, feeds, matching
from protocol.reference.book import Book, book_digest, encode_book
from protocol.reference.cbor import RefusedError
from protocol.reference.checkpoints import true_feeds
from protocol.reference.orders import orders_of
from protocol.reference.types import BUY, FOK, GTD, IOC, SELL, Clock, epoch_start_s
from tests.core.bare import Bare, throw_bare
from tests.core.pens import DOMAIN, MARKET, delegation_item, make_entry, sign_entry
from tests.core.small_worlds import NOW_S, allocate, offer, poor_world, put, reference_book_of, ticket_item
from tests.core.worlds import BONDED, CLOCK, FORMS, OWNERS, QUOTE_PER_BOND, Step, World, build_world, throw_steps

Case = dict[str, Any]

ORDER_QUIRKS = {
    "session_signed": (4, "ORD-2"),
    "signed_by_a_third_session": (7, "ORD-2"),
    "twice_in_a_feed": (8, "ORD-1"),
    "below_min_fill": (20, "ORD-1"),
    "nonce_not_rising": (21, "ORD-1"),
    "ioc_without_expiry": (24, "ORD-3"),
    "min_tier": (26, "ORD-3"),
    "payment_methods": (27, "ORD-4"),
    "arbitrators": (28, "ORD-4"),
    "security": (29, "ORD-4"),
    "of_another_market": (30, "ORD-1"),
    "of_another_owner": (31, "ORD-1"),
    "of_another_session": (32, "ORD-1"),
    "largest_quantity": (33, "FUND-5"),
    "largest_price": (34, "FUND-5"),
}
OFFER_QUIRKS = {
    "as_it_should_be": (0, "HOLD-1"),
    "unequal_lots": (10, "HOLD-3"),
    "no_lots": (11, "HOLD-3"),
    "price_of_zero": (12, "HOLD-3"),
    "deadline_too_late": (13, "HOLD-3"),
    "deadline_too_early": (14, "HOLD-3"),
    "deadline_soon": (15, "HOLD-3"),
    "epoch_to_come": (16, "HOLD-1"),
    "unknown_maker_order": (17, "HOLD-1"),
    "lots_beyond_the_order": (18, "HOLD-5"),
    "signed_by_the_maker": (21, "HOLD-1"),
    "ready_of_another": (22, "HOLD-1"),
    "ready_of_another_epoch": (23, "HOLD-1"),
    "ready_signature_of_zeros": (24, "HOLD-1"),
    "high_s": (25, "HOLD-1"),
    "in_another_feed": (26, "HOLD-1"),
}
Told = Iterable[tuple[str, str, World]]  # a case's name, the rules that it shows, its world


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


def setting(clock: Clock = CLOCK) -> Case:
    """What every world of a file shares."""
    return {
        "domain": plain(DOMAIN),
        "market": plain(MARKET),
        "constants": plain(clock.constants),
        "genesis_ms": plain(clock.genesis_ms),
    }


def opened(purse: int = 3) -> World:
    """A world with a buyer's and a seller's order, of sessions 0 and 1."""
    world = World()
    world.open_chain(purse)
    world.do(Step("order", (0, 0, 3, 6, 0, 0, 1)))
    world.do(Step("order", (1, 1, 3, 6, 0, 0, 1)))
    return world


# feeds


def feed_worlds() -> Told:
    """One rule of 02-feeds.md in each."""
    for name, (way, rules) in {
        "five_entries_in_an_epoch": (0, "FEED-2 FEED-4"),
        "epoch_that_falls": (1, "FEED-2 FEED-4"),
        "other_prev_hash": (2, "FEED-2 FEED-4"),
        "other_owner": (3, "FEED-2 FEED-4"),
        "second_delegation": (4, "FEED-3 FEED-4"),
        "gap": (5, "FEED-5"),
        "entry_ahead_of_a_gap": (6, "FEED-5"),
    }.items():
        world = opened()
        world.epoch += 1
        world.do(Step("break_feed", (0, 0, way)))
        world.do(Step("order", (0, 1, 3, 6, 0, 0, 1)))
        yield name, rules, world
    for name, way in {"fork_at_the_end": 0, "fork_ahead_of_a_gap": 2}.items():
        world = opened()
        world.do(Step("cancel", (0, 0, 0, 1)))
        world.do(Step("fork", (0, 0, way)))
        yield name, "FEED-6", world
    for name, junk in {"cut": 0, "signed_by_another": 1, "other_items_root": 2, "of_another_market": 3}.items():
        world = opened()
        world.do(Step("junk", (0, junk, 9)))
        yield f"junk_{name}", "FEED-1", world
    yield from opening_worlds()
    yield from checkpoint_worlds()
    for seed in range(3):
        yield f"thrown_{seed}", "FEED-8", build_world(3, throw_steps(seed, 40))


def opening_worlds() -> Told:
    """How a feed may open, and an entry that comes twice."""
    world = opened()
    world.do(Step("break_feed", (2, 0, 7)))
    world.do(Step("order", (2, 0, 3, 6, 0, 0, 1)))
    yield "peer_signature_of_zeros", "FEED-3 FEED-4", world
    world = opened()
    world.entries.append(world.entries[0])
    yield "entry_twice", "FEED-7 FEED-8", world
    world = opened()
    pen = world.pens[2]
    world.entries.append(sign_entry(pen, make_entry(pen, [[feeds.CANCEL, bytes(32)]])))
    yield "no_delegation", "FEED-3", world
    world = opened()
    late_delegation = [[feeds.CANCEL, bytes(32)], delegation_item(pen)]
    world.entries.append(sign_entry(pen, make_entry(pen, late_delegation)))
    yield "delegation_second", "FEED-3", world


FALSE_CHECKPOINTS = (
    "next_nonce",
    "order_left_out",
    "no_order",
    "offer",
    "ticket",
    "not_last",
    "twice",
    "not_first_of_its_epoch",
)


def checkpoint_worlds() -> Told:
    """True Checkpoints and false ones, each after orders, an Offer and its TicketItem."""
    for way, name in enumerate(("true", *FALSE_CHECKPOINTS)):
        world = opened()
        ticket = offer(world, world.order_ids[1], world.order_ids[0], 4)
        world.pens[1].items.append(ticket_item(ticket, world.pens[0], world.pens[1]))
        world.do(Step("cancel", (1, 0, 0, 1)))
        put(world, 1, SELL, 5)
        put(world, 1, SELL, 4, tif=IOC, expiry=NOW_S + 60)
        world.epoch += 1
        if name == "not_first_of_its_epoch":
            put(world, 0, BUY, 2)
            put(world, 1, SELL, 2)
        for number in (0, 1):
            world.say_checkpoint(world.pens[number], way)
        put(world, 1, SELL, 3)
        yield f"checkpoint_{name}", "FEED-13" if way == 0 else "FEED-13 FEED-14", world
    world.epoch += CLOCK.constants.k
    world.say_checkpoint(world.pens[1])
    yield "checkpoint_of_a_dead_session", "FEED-14", world
    world = opened()
    put(world, 0, BUY, 4, tif=IOC, expiry=NOW_S + 60)
    put(world, 0, BUY, 4, tif=GTD, expiry=NOW_S + 3)
    for epochs in (5, 1, CLOCK.constants.k - 6):
        world.epoch += epochs
        world.say_checkpoint(world.pens[0])
    yield "checkpoints_as_orders_end", "FEED-13", world
    world.say_checkpoint(world.pens[0], 1)
    world.do(Step("fork", (0, 0, 0)))
    yield "checkpoint_and_fork_at_one_seq", "FEED-6 FEED-14", world


def feed_case(name: str, rules: str, world: World) -> Case:
    """What the reference makes of a world's entries."""
    sound: list[str | None] = []
    for encoded in world.entries:
        try:
            feeds.read_sound_entry(DOMAIN, encoded)
            sound.append(None)
        except RefusedError as refused:
            sound.append(refused.rule)
    read = true_feeds(DOMAIN, world.clock, MARKET, feeds.read_feeds(DOMAIN, world.entries))
    return {
        "name": name,
        "rules": rules.split(),
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


def book_setting(group: str) -> Case:
    """What every world of a file of books shares."""
    return setting(BONDED if group == "bonds" else CLOCK) | {"quote_per_bond": plain(QUOTE_PER_BOND)}


def book_worlds(group: str) -> Told:
    """Worlds of one file of `protocol/vectors/book`."""
    groups = {"orders": order_worlds, "holds": hold_worlds, "funds": fund_worlds, "admission": admission_worlds}
    return (groups | {"bonds": bond_worlds, "thrown": thrown_worlds})[group]()


def order_worlds() -> Told:
    """[ORD-1..7]."""
    yield "two_orders", "BOOK-1 BOOK-3 ORD-1", opened()
    for name, (quirk, rules) in ORDER_QUIRKS.items():
        world = opened()
        if name == "nonce_not_rising":
            world.do(Step("order", (2, 0, 2, 6, 0, 0, 1)))
        world.do(Step("order", (2, 0, 3, 6, 0, quirk, 1)))
        yield name, rules, world
    for name in FORMS:
        world = opened()
        world.say_form(world.pens[2], BUY, 100, 4, name)
        world.flush(world.pens[2])
        yield f"form_{name}", "ORD-4" if "lane" in name else "ORD-3", world
    for name, life in {"ioc": 1, "ioc_that_expires": 3, "gtc_that_expires": 4}.items():
        world = opened()
        world.do(Step("order", (2, 0, 3, 6, life, 0, 1)))
        world.epoch += 10
        yield name, "ORD-6", world
    for name, epochs in {"fok_in_its_last_epoch": 9, "fok_past_its_epochs": 10}.items():
        world = opened()
        order = world.new_order(world.pens[2], BUY, 100, 4, tif=FOK, expiry=NOW_S + 60)
        world.say_order(world.pens[2], order, world.pens[2].owner)
        world.flush(world.pens[2])
        world.epoch += epochs
        yield name, "ORD-6", world
    world = opened()
    world.do(Step("cancel", (0, 0, 0, 1)))
    yield "cancelled", "ORD-5", world
    world = opened()
    world.do(Step("cancel", (2, 7, 0, 1)))
    yield "cancelled_by_another_session", "ORD-5", world
    world = opened()
    world.flush(world.pens[0], epoch=world.epoch + 2)
    world.do(Step("order", (0, 0, 3, 6, 0, 0, 1)))
    yield "claimed_later", "BOOK-2", world


def hold_worlds() -> Told:
    """[HOLD-1..7]."""
    for name, (quirk, rules) in OFFER_QUIRKS.items():
        world = opened()
        world.do(Step("offer", (0, 0, 2, 2, 0, quirk, 0)))
        yield f"offer_{name}", rules, world
    for name, quirk in {
        "as_it_should_be": 0,
        "signed_by_another": 10,
        "taker_signature_of_nobody": 11,
        "in_another_feed": 12,
    }.items():
        world = opened()
        world.do(Step("offer", (1, 0, 2, 2, 0, 23, 0)))
        world.do(Step("ticket", (0, quirk, 0)))
        yield f"ticket_{name}", "HOLD-2", world
    world = opened()
    world.do(Step("offer", (0, 0, 2, 2, 0, 0, 0)))
    world.epoch += 20
    yield "offer_past_its_deadline", "HOLD-4", world
    for name, seconds in {"in_its_last_second": 0, "a_second_later": 1}.items():
        world = opened()
        ticket = offer(world, world.order_ids[1], world.order_ids[0], 2)
        over_s = ticket.deadline + CLOCK.constants.l_fund + seconds
        world.epoch = next(epoch for epoch in range(world.epoch, 999) if epoch_start_s(CLOCK, epoch) >= over_s)
        for time_s in (over_s + 1, over_s + 9):
            world.add_block(time_s)
        yield f"no_block_for_long_and_an_offer_{name}", "HOLD-4", world
    world = opened()
    world.do(Step("offer", (0, 0, 2, 2, 0, 0, 0)))
    world.do(Step("ticket", (0, 0, 0)))
    world.do(Step("settle", (0,)))
    yield "settled", "HOLD-5 FUND-1", world
    world = opened()
    world.do(Step("offer", (0, 0, 2, 2, 0, 0, 0)))
    world.do(Step("ticket", (0, 0, 0)))
    world.do(Step("fork", (0, 0, 1)))
    world.do(Step("fork", (1, 0, 1)))
    yield "dead_sessions", "HOLD-6 BOOK-3", world
    yield from silence_worlds()


def silence_worlds() -> Told:
    """[HOLD-7]."""
    for name, epochs in {"ready_three_epochs_ago": 3, "ready_four_epochs_ago": 4}.items():
        world = opened()
        offer(world, world.order_ids[0], world.order_ids[1], 4)
        world.epoch += epochs
        yield name, "HOLD-7", world
    for name, gap in {"declined": 0, "declined_for_another_epoch": 1}.items():
        world = opened()
        ticket = offer(world, world.order_ids[0], world.order_ids[1], 4)
        world.epoch += 6
        world.pens[0].items.append([feeds.DECLINE, *world.order_ids, ticket.epoch + gap, 6])
        world.flush(world.pens[0])
        yield name, "HOLD-7", world
    world = opened()
    ticket = offer(world, world.order_ids[0], world.order_ids[1], 4)
    world.epoch += 6
    world.pens[0].items.append(ticket_item(ticket, world.pens[1], world.pens[0]))
    world.flush(world.pens[0])
    yield "answered_by_a_ticket", "HOLD-7", world


def fund_worlds() -> Told:
    """[FUND-1..4]."""
    world = poor_world(30)
    first, second = put(world, 0, SELL, 20), put(world, 0, SELL, 8)
    allocate(world, 0, -18, NOW_S)
    world.epoch += 6
    yield "one_order_unfunded_a_later_one_fits", "FUND-3", world
    world = poor_world(30)
    first, second = put(world, 0, SELL, 8), put(world, 1, BUY, 8)
    offer(world, second, first, 6)
    world.pens[0].items.append([feeds.CANCEL, first])
    world.flush(world.pens[0])
    put(world, 0, SELL, 8)
    allocate(world, 0, -17, NOW_S)
    world.epoch += 6
    yield "ticket_of_a_cancelled_order_reserves", "FUND-2", world
    world = opened(1)
    world.epoch += 13
    yield "session_expired", "FUND-4", world
    world = opened()
    world.do(Step("revoke", (0,)))
    yield "session_revoked", "FUND-4", world
    world = opened()
    world.do(Step("order", (4, 0, 3, 6, 0, 0, 1)))
    yield "session_unknown", "FUND-4", world
    world = opened()
    world.do(Step("order", (3, 0, 3, 6, 0, 4, 1)))
    yield "session_signed_without_trade", "FUND-4 ORD-2", world
    world = opened()
    world.do(Step("fund", (0, 11, 0, 1)))
    world.do(Step("fund", (1, 11, 1, 0)))
    yield "funds_changed", "FUND-1", world


def admission_worlds() -> Told:
    """[FUND-5], [ORD-7]."""
    world = poor_world()
    put(world, 0, SELL, 16)
    allocate(world, 0, 100, NOW_S)
    world.epoch += 6
    yield "paid_for_too_late", "FUND-5", world
    world = poor_world()
    put(world, 3, SELL, 10)
    world.epoch += 1
    put(world, 0, SELL, 6)
    put(world, 0, SELL, 5)
    yield "another_session_of_the_owner_was_first", "FUND-5", world
    world = poor_world()
    maker, taker = put(world, 1, BUY, 8), put(world, 0, SELL, 16)
    offer(world, maker, taker, 4)
    yield "what_is_not_admitted_holds_nothing", "FUND-5 HOLD-1", world
    for name, is_cancel_first in {"modify": True, "order_before_its_cancel": False}.items():
        world = poor_world()
        cancel: list[Any] = [feeds.CANCEL, put(world, 0, SELL, 12)]
        pen = world.pens[0]
        pen.items += [cancel] if is_cancel_first else []
        world.say_order(pen, world.new_order(pen, SELL, 101, 14), pen.owner)
        pen.items += [] if is_cancel_first else [cancel]
        world.flush(pen)
        yield name, "ORD-7 FUND-5", world
    world = poor_world()
    maker, taker = put(world, 1, BUY, 8), put(world, 0, SELL, 12)
    offer(world, maker, taker, 4)
    world.pens[0].items.append([feeds.CANCEL, taker])
    put(world, 0, SELL, 12)
    put(world, 0, SELL, 11)
    yield "ticket_of_a_cancelled_order_stays_paid_for", "FUND-5", world
    world = poor_world()
    allocate(world, 0, -20, NOW_S - 30)
    put(world, 0, BUY, 4)
    put(world, 0, SELL, 2)
    yield "overdrawn_in_the_other_token", "FUND-3 FUND-5", world
    for name, lots in {"escrow_bond_paid_for": 300, "escrow_bond_not_paid_for": 301}.items():
        world = poor_world()
        put(world, 2, BUY, lots, security=1, payment_methods=(7,), arbitrators=(b"\x0a" * 20,))
        put(world, 2, BUY, 10, security=3, payment_methods=(7,), arbitrators=(b"\x0a" * 20,))
        yield name, "FUND-5 FUND-3 ORD-4", world
    world = poor_world(5000)
    pen = world.pens[0]
    for number in range(101):
        world.say_order(pen, world.new_order(pen, SELL, 100, 2), pen.owner)
        if number % 50 == 49:
            world.flush(pen)
    world.flush(pen)
    yield "a_hundred_open_orders_and_one", "FUND-5", world


def bond_worlds() -> Told:
    """[FUND-6], [FUND-7], where bonds are needed."""
    for name, amount in {"no_bond": 0, "bond_for_the_second_only": 7, "bond_for_both": 10}.items():
        world = World(BONDED)
        world.open_chain(3)
        world.facts.append(chain.BondChanged(owner=OWNERS[0].address, amount=amount))
        world.add_block(NOW_S - 30)
        put(world, 0, SELL, 8)
        put(world, 0, SELL, 2)
        yield name, "FUND-6", world
    world = World(BONDED)
    world.open_chain(3)
    world.facts.append(chain.BondChanged(owner=OWNERS[0].address, amount=8))
    world.add_block(NOW_S - 30)
    maker, taker = put(world, 1, BUY, 8), put(world, 0, SELL, 4)
    offer(world, maker, taker, 4)
    put(world, 0, SELL, 5)
    put(world, 0, SELL, 4)
    yield "ticket_counts_against_the_bond", "FUND-6 FUND-2", world
    for name, time_s in {"default_a_period_ago": NOW_S - 5, "default_less_than_a_period_ago": NOW_S - 4}.items():
        world = World(BONDED)
        world.open_chain(3)
        put(world, 0, SELL, 2)
        put(world, 1, SELL, 2)
        guilty, victim = OWNERS[0].address, OWNERS[1].address
        world.facts.append(chain.Defaulted(owner=guilty, ticket=bytes(32), victim=victim, amount=1))
        world.add_block(time_s)
        yield name, "FUND-7", world
    for seed in range(4):
        yield f"thrown_{seed}", "FUND-6 FUND-7", build_world(seed % 4, throw_steps(seed + 100, 45), BONDED)


def thrown_worlds() -> Told:
    """Everything at once."""
    for seed in range(8):
        yield f"thrown_{seed}", "BOOK-3", build_world(seed % 4, throw_steps(seed, 45))


def book_case(name: str, rules: str, world: World) -> Case:
    """What the reference says of a world at its end."""
    if len(world.blocks) < 4:
        world.close()
    book = reference_book_of(world, world.epoch)
    if book is None:
        raise ValueError(f"expected a known fund block in {name}")
    return {
        "name": name,
        "rules": rules.split(),
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
                "placed_epoch": plain(row.placed_epoch),
                "free": plain(row.free),
                "is_matchable": row.is_matchable,
            }
            for row in book.orders
        ],
    }
