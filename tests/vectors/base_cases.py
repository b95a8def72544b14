"""Cases for `protocol/vectors/book/bases.json`: books from whole feeds and from feeds begun at their bases."""

from copy import copy

from protocol.reference import chain, feeds
from protocol.reference.book import book_digest, compute_book, encode_book
from protocol.reference.cbor import RefusedError, encode
from protocol.reference.checkpoints import checkpoint_place, implied_before, may_be_base, true_feeds
from protocol.reference.types import SELL, Address, epoch_start_s
from tests.core.pens import DOMAIN, MARKET
from tests.core.small_worlds import offer, poor_world, put, ticket_item
from tests.core.strategies import throw_checkpoints
from tests.core.worlds import CLOCK, QUOTE_PER_BOND, Step, World, build_world
from tests.vectors.world_cases import Case, Told, book_case, opened, plain


def base_worlds() -> Told:
    """[FEED-15], [FEED-16], [FUND-8]: worlds in which Checkpoints have become bases, or are about to."""
    world = poor_world(10)
    first = put(world, 0, SELL, 10)
    put(world, 0, SELL, 10)
    world.pens[0].items.append([feeds.CANCEL, first])
    world.say_checkpoint(world.pens[0])
    yield from grown(world, "void_comes_up", "FEED-15 FUND-8 FUND-5")
    world = opened()
    ticket = offer(world, world.order_ids[1], world.order_ids[0], 4)
    world.pens[1].items.append(ticket_item(ticket, world.pens[0], world.pens[1]))
    world.do(Step("cancel", (1, 0, 0, 1)))
    put(world, 1, SELL, 5)
    for number in (0, 1):
        world.say_checkpoint(world.pens[number])
    put(world, 1, SELL, 3)
    yield from grown(world, "tickets_and_ended_orders", "FEED-15 FEED-16 FEED-13")
    world = opened()
    other = next(number for number, pen in enumerate(world.pens) if number and pen.owner is world.pens[0].owner)
    put(world, other, SELL, 2)
    put(world, 0, SELL, 3)
    world.epoch += 4
    world.say_checkpoint(world.pens[other])
    yield from grown(world, "another_session_of_the_owner", "FUND-8")
    for name, session in {"first": 0, "second": 1}.items():
        world = opened()
        pens = (world.pens[other], world.pens[0])
        put(world, other, SELL, 2)
        put(world, 0, SELL, 3)
        for pen in (pens[session], pens[1 - session]):
            world.epoch += 3
            world.say_checkpoint(pen)
        yield from grown(world, f"bases_of_two_sessions_the_{name}_one_older", "FUND-8")
    for seed in range(4):
        world = build_world(3, throw_checkpoints(seed, 40, honest=True))
        yield from grown(world, f"thrown_{seed}", "FEED-15 FEED-16 FUND-8")


def grown(world: World, name: str, rules: str) -> Told:
    """A world when its last Checkpoint is about to be a base, and when it is."""
    yield f"{name}_before", rules, ripe(world, ahead=1)
    yield f"{name}_after", rules, ripe(world)


def ripe(world: World, ahead: int = 0) -> World:
    """A world at the first epoch at which its last Checkpoint is a base, or some ahead of that."""
    due_s = epoch_start_s(world.clock, world.epoch) + CLOCK.constants.checkpoint_age_s
    later_epochs = range(world.epoch, world.epoch + 999)
    later = copy(world)
    later.epoch = next(epoch for epoch in later_epochs if epoch_start_s(world.clock, epoch) >= due_s) - ahead
    later.blocks = list(world.blocks)
    last, start_s = later.blocks[-1], epoch_start_s(world.clock, later.epoch)
    for number, time_s in ((1, start_s - 9), (2, start_s + 9)):
        at_s, block_hash = max(last.time_s, time_s), (last.number + number).to_bytes(32, "big")
        later.blocks.append(chain.Block(number=last.number + number, hash=block_hash, time_s=at_s, facts=()))
    return later


def base_case(name: str, rules: str, world: World) -> list[Case]:
    """The book of a world from all its entries, and from the starts of the feeds that have a base; they are equal."""
    whole = book_case(name, rules, world)
    kept, starts = begun(world)
    if not starts:
        return [whole]
    case = begun_case(f"{name}_from_starts", rules, world, kept, starts)
    if case["book"] != whole["book"]:
        raise ValueError(f"expected one book from all entries and from starts in {name}")
    return [whole, case]


def begun(world: World) -> tuple[list[bytes], list[feeds.Start]]:
    """A world's entries but those below a base, and the starts of the feeds that have one."""
    judged = true_feeds(DOMAIN, world.clock, MARKET, feeds.read_feeds(DOMAIN, world.entries))
    starts: list[feeds.Start] = []
    first: dict[Address, tuple[feeds.Entry, list[bytes]]] = {}
    for feed in judged:
        for number, entry in enumerate(feed.standing):
            if checkpoint_place(entry) and may_be_base(world.clock, entry, world.epoch):
                so = implied_before(DOMAIN, world.clock, MARKET, feed, number)
                assert so is not None
                first[feed.session] = (entry, [encode(item) for item in so.bodies])
    kept: list[bytes] = []
    for encoded in world.entries:
        try:
            read = feeds.read_sound_entry(DOMAIN, encoded)
        except RefusedError:
            continue
        begins = first.get(read.session) if read.market == world.pens[0].market else None
        if begins is None or read.seq > begins[0].seq:
            kept.append(encoded)
        elif read.entry_hash == begins[0].entry_hash:
            starts.append((encoded, begins[1]))
    return kept, starts


def begun_case(name: str, rules: str, world: World, entries: list[bytes], starts: list[feeds.Start]) -> Case:
    """The book of a world from some of its entries, and some starts."""
    book = compute_book(
        entries, MARKET, DOMAIN, world.blocks, world.clock, world.epoch, quote_per_bond=QUOTE_PER_BOND, starts=starts
    )
    assert book is not None
    return book_case(name, rules, world) | {
        "entries": [plain(encoded) for encoded in entries],
        "book": plain(encode_book(book)),
        "digest": plain(book_digest(book)),
        "starts": [{"entry": plain(entry), "bodies": [plain(body) for body in bodies]} for entry, bodies in starts],
    }


def overlapping_cases() -> list[Case]:
    """[FEED-6], [FEED-16]: a start and what lies below it, and a start and another entry at its seq."""
    world = opened()
    pen = world.pens[0]
    put(world, 0, SELL, 2)
    world.epoch += 1
    seq, prev_hash = pen.seq, pen.prev_hash
    world.say_checkpoint(pen)
    put(world, 0, SELL, 3)
    later = ripe(world)
    kept, starts = begun(later)
    pen.seq, pen.prev_hash = seq, prev_hash
    put(world, 0, SELL, 4)
    rival = world.entries[-1]
    return [
        begun_case("a_start_and_all_that_lies_below_it", "FEED-16", later, [*world.entries[:-1]], starts),
        begun_case("a_start_and_another_entry_at_its_seq", "FEED-6 FEED-16", later, [*kept, rival], starts),
    ]
