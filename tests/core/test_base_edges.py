"""Where a base can be odd: in a feed's first entry, with items before it, below a gap, with bodies that no feed has.

Spec: protocol/spec/02-feeds.md [FEED-13..16], 03-orders.md [FUND-8], 04-matching.md [MATCH-1].
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from orrange_p2p.core.codec import encode_item
from orrange_p2p.core.feed import Outcome
from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.starts import Body, Start, verify_start
from orrange_p2p.core.types import Address, Epoch, OrderId
from orrange_p2p.core.verify import VerifiedEntry, VerifiedOrder
from orrange_p2p.core.window import Windows
from orrange_p2p.errors import RemoteProtocolError
from protocol.reference import cbor
from protocol.reference import feeds as reference_feeds
from protocol.reference.book import encode_book
from protocol.reference.feeds import CANCEL
from protocol.reference.signing import keccak
from protocol.reference.types import BUY, SELL, epoch_start_s
from tests.core.adapters import FAST_DIGESTS, fast_book, fast_feeds, fast_ledger, fast_rules, verified
from tests.core.both import book_of_both
from tests.core.pens import Pen, delegation_item, make_entry, order_item, sign_entry
from tests.core.small_worlds import offer, open_world, put, reference_book_at, ticket_item
from tests.core.worlds import CLOCK, LEASE, World

AGE = CLOCK.constants.checkpoint_age_s * 1000 // CLOCK.constants.epoch_ms
RULES = fast_rules(CLOCK)


def age(world: World) -> Epoch:
    """Let time and chain go on until the newest Checkpoint is a base; the epoch then."""
    world.epoch += AGE
    for epochs in range(0, 2 * AGE, 4):
        world.add_block(epoch_start_s(CLOCK, world.epoch - AGE + epochs))
    return Epoch(world.epoch)


def cut(world: World) -> Feeds:
    """Everything that a world says, cut at the bases of its epoch."""
    feeds = fast_feeds(verified(world.entries))
    feeds.advance_bases(Epoch(world.epoch))
    return feeds


def start_of(feeds: Feeds, pen: Pen) -> Start:
    """Where a cut feed begins."""
    feed = feeds.feed(Address(pen.session.address))
    assert feed is not None
    assert feed.start is not None
    return feed.start


def assert_both_say_so(world: World, feeds: Feeds) -> None:
    """Hold feeds that were cut to the reference, which has everything."""
    said = fast_book(feeds, fast_ledger(world.blocks), world.epoch)
    expected = reference_book_at(world, world.entries, world.epoch)
    assert said is not None
    assert expected is not None
    assert said.encode() == encode_book(expected)


def test_a_base_lists_what_stands_before_it_in_its_own_entry() -> None:
    """And who cuts there finds it. Spec: [FEED-13], [FEED-16]."""
    world = open_world()
    pen = world.pens[0]
    put(world, 0, SELL, 4)
    world.epoch += 1
    world.say_order(pen, world.new_order(pen, SELL, 100, 4), pen.owner)
    world.say_checkpoint(pen)
    age(world)
    feeds = cut(world)
    assert len(start_of(feeds, pen).bodies) == 3
    assert_both_say_so(world, feeds)


def test_a_feeds_first_entry_may_be_its_base_and_place_its_owner_anew() -> None:
    """Nothing is cut away, and yet the owner's other session stands there from then on. Spec: [FEED-15], [FUND-8]."""
    world = open_world()
    pen, other = world.pens[0], next(n for n, one in enumerate(world.pens) if n and one.owner is world.pens[0].owner)
    earlier = put(world, other, SELL, 4)
    world.epoch += 3
    world.say_order(pen, world.new_order(pen, SELL, 100, 4), pen.owner)
    world.say_checkpoint(pen)
    claimed = world.epoch
    age(world)
    feeds = cut(world)
    assert start_of(feeds, pen).entry.entry.header.seq == 0
    record = feeds.order(OrderId(earlier))
    assert record is not None
    assert feeds.placed(record) == claimed
    assert_both_say_so(world, feeds)


def test_a_cut_leaves_nothing_of_what_the_base_does_not_list() -> None:
    """Neither orders nor what holds them. Spec: [FEED-15], [FEED-16]."""
    world = open_world()
    maker, taker = put(world, 0, SELL, 8), put(world, 1, BUY, 8)
    ticket = offer(world, maker, taker, 4)
    world.pens[0].items += [ticket_item(ticket, world.pens[1], world.pens[0]), [CANCEL, maker]]
    world.flush(world.pens[0])
    age(world)
    for pen in world.pens[:2]:
        world.say_checkpoint(pen)
    age(world)
    feeds = fast_feeds(verified(world.entries))
    gone = [one.gone for one in feeds.advance_bases(Epoch(world.epoch))]
    assert sorted(gone) == sorted([(OrderId(maker),), ()])
    assert feeds.order(OrderId(maker)) is None
    assert feeds.holds_on(OrderId(maker)) == feeds.holds_on(OrderId(taker)) == ()
    assert feeds.sessions() == tuple(sorted(Address(pen.session.address) for pen in world.pens[:2]))
    assert_both_say_so(world, feeds)


@pytest.mark.parametrize("apart", [2, 3])
def test_a_checkpoint_too_soon_after_another_is_false(apart: int) -> None:
    """Else a session could have everybody place its owner's orders anew in every epoch. Spec: [FEED-13], [FEED-14]."""
    least = 3  # epochs of 500 ms in a 64th of 96 s
    world = World(replace(CLOCK, constants=replace(CLOCK.constants, checkpoint_age_s=96)))
    world.open_chain(3)
    put(world, 0, SELL, 4)
    world.epoch += 1
    world.say_checkpoint(world.pens[0])
    feeds, session = (
        fast_feeds(verified(world.entries), fast_rules(world.clock)),
        Address(world.pens[0].session.address),
    )
    assert feeds.next_checkpoint(session, Epoch(world.epoch + least - 1)) is None
    said = feeds.next_checkpoint(session, Epoch(world.epoch + least))
    assert said is not None
    world.epoch += apart
    encoded = cbor.decode(encode_item(said))
    assert isinstance(encoded, list)
    world.pens[0].items.append(encoded)
    world.flush(world.pens[0])
    book = book_of_both(world, world.epoch + 1)
    assert book.dead_sessions == (() if apart >= least else (session,))


def test_asking_for_an_own_checkpoint_of_a_later_epoch_changes_no_other() -> None:
    """A clock may be set back between the question and the entry. Spec: [FEED-13], [FEED-17]."""
    world = open_world()
    put(world, 0, SELL, 4, **(LEASE | {"expiry": epoch_start_s(CLOCK, world.epoch) + 9}))
    feeds = fast_feeds(verified(world.entries))
    session = feeds.sessions()[0]
    before = feeds.next_checkpoint(session, Epoch(world.epoch + 1))
    after = feeds.next_checkpoint(session, Epoch(world.epoch + 40))
    assert before is not None
    assert after is not None
    assert (len(before.live_orders), len(after.live_orders)) == (1, 0)
    assert feeds.next_checkpoint(session, Epoch(world.epoch + 1)) == before


# what conviction and death mean above and below a base


def over_signed(world: World) -> None:
    """A maker that signs two tickets over the same lots."""
    maker = put(world, 0, SELL, 8)
    for taker in (1, 2):
        ticket = offer(world, maker, put(world, taker, BUY, 8), 4)
        world.pens[0].items.append(ticket_item(ticket, world.pens[taker], world.pens[0]))
    world.flush(world.pens[0])


def test_what_a_feed_said_below_its_base_convicts_nobody_who_has_no_evidence() -> None:
    """Else who cut it and started again would think otherwise than who did not. Spec: [FEED-15], [EVID-4]."""
    world = open_world()
    over_signed(world)
    session = Address(world.pens[0].session.address)
    assert fast_feeds(verified(world.entries)).dead_sessions() == (session,)
    age(world)
    world.say_checkpoint(world.pens[0])
    age(world)
    feeds = cut(world)
    assert feeds.dead_sessions() == ()
    assert_both_say_so(world, feeds)


def test_what_evidence_showed_before_a_cut_stays() -> None:
    """Spec: [FEED-15], [EVID-2], [EVID-4]."""
    world = open_world()
    over_signed(world)
    age(world)
    world.say_checkpoint(world.pens[0])
    age(world)
    feeds = fast_feeds(verified(world.entries))
    session = Address(world.pens[0].session.address)
    feeds.convict(session)
    assert feeds.advance_bases(Epoch(world.epoch)) != []
    assert feeds.dead_sessions() == (session,)


def test_evidence_of_a_fork_below_the_base_kills_who_was_cut_like_who_was_not() -> None:
    """All its orders are void, wherever they stand. Spec: [FEED-6], [FEED-16]."""
    world = open_world()
    put(world, 0, SELL, 4)
    put(world, 1, SELL, 4)
    seq, pen = world.pens[0].seq, world.pens[0]
    prev_hash = pen.prev_hash
    put(world, 0, SELL, 5)
    world.epoch += 1
    world.say_checkpoint(pen)
    put(world, 0, SELL, 6)
    age(world)
    feeds = cut(world)
    assert start_of(feeds, pen).entry.entry.header.seq > seq
    feeds.mark_forked(Address(pen.session.address), seq)
    seq_after, last = pen.seq, pen.prev_hash
    pen.items.append([CANCEL, b"\x07" * 32])
    world.flush(pen, seq=seq, prev_hash=prev_hash)
    pen.seq, pen.prev_hash = seq_after, last
    assert feeds.dead_sessions() == (Address(pen.session.address),)
    assert_both_say_so(world, feeds)


def test_with_a_session_dies_what_its_base_did_to_the_owners_other_orders() -> None:
    """A base is of a living feed: they stand again where they claim, as late as they came. Spec: [FUND-8]."""
    world = open_world()
    other = next(number for number, one in enumerate(world.pens) if number and one.owner is world.pens[0].owner)
    order_id, pen = put(world, 0, SELL, 4), world.pens[other]
    claimed = world.epoch
    world.epoch += 3
    put(world, other, SELL, 4)
    world.epoch += 6
    world.say_checkpoint(pen)
    age(world)
    feeds = fast_feeds(verified(world.entries))
    windows = Windows(feeds, fast_ledger(world.blocks))
    windows.keeper.touch(feeds.owners())
    record = feeds.order(OrderId(order_id))
    assert record is not None
    windows.place(record, Epoch(claimed + 2))
    block = windows.fund_block(Epoch(world.epoch))
    assert block is not None
    windows.open(Epoch(world.epoch), block)
    assert (feeds.placed(record) > claimed, dict(windows.late)) == (True, {})
    assert_both_say_so(world, feeds)
    pen.items.append([CANCEL, b"\x07" * 32])
    assert pen.last is not None
    world.flush(pen, seq=pen.last.seq, prev_hash=pen.last.prev_hash)
    windows.keeper.touch(feeds.add(verified(world.entries[-1:])[0])[2])
    assert feeds.dead_sessions() == (Address(pen.session.address),)
    assert feeds.placed(record) == claimed
    assert_both_say_so(world, feeds)
    windows.open(Epoch(world.epoch), block)
    assert dict(windows.late) == {order_id: claimed + 2}


# starts that a peer gives


def started(world: World) -> tuple[Start, Epoch, list[VerifiedEntry]]:
    """A start with an order, an ended order and a ticket; the epoch from which it may be taken; all entries."""
    maker, taker = put(world, 0, SELL, 8), put(world, 1, BUY, 8)
    put(world, 0, SELL, 3)
    ticket = offer(world, maker, taker, 4)
    pen = world.pens[0]
    pen.items += [ticket_item(ticket, world.pens[1], pen), [CANCEL, maker]]
    world.flush(pen)
    world.epoch += 1
    world.say_checkpoint(pen)
    for _ in range(3):
        put(world, 0, SELL, 2)
    epoch = age(world)
    start = start_of(cut(world), pen)
    said = start.checkpoint
    assert [len(part) for part in (said.live_orders, said.ended_orders, said.offers, said.tickets)] == [1, 1, 0, 1]
    return start, epoch, [one for one in verified(world.entries) if one.entry.header.session == pen.session.address]


def test_what_was_held_ahead_follows_a_start() -> None:
    """Spec: [FEED-5], [FEED-16]."""
    world = open_world()
    start, epoch, entries = started(world)
    ahead = [one for one in entries if one.entry.header.seq > start.entry.entry.header.seq]
    feeds = fast_feeds(ahead)
    session = ahead[0].entry.header.session
    assert feeds.begin(start, epoch) is not None
    appended, owners = feeds.follow(session)
    feed = feeds.feed(session)
    assert feed is not None
    assert appended == ahead
    delegated = start.bodies[0].item.item
    assert (feed.peer_id, feed.encryption_key) == (delegated.peer_id, delegated.encryption_key)
    assert owners == [Address(world.pens[0].owner.address)]
    assert (feed.next_seq, feed.held) == (entries[-1].entry.header.seq + 1, ())
    assert feeds.follow(session) == ([], [])


def test_a_start_that_an_entry_held_ahead_contradicts_is_not_taken_and_its_entry_proves_the_fork() -> None:
    """Both signed by the session: neither is to be dropped. Spec: [FEED-6], [FEED-16]."""
    world = open_world()
    start, epoch, _ = started(world)
    header, pen = start.entry.entry.header, world.pens[0]
    pen.items.append([CANCEL, b"\x07" * 32])
    world.flush(pen, seq=header.seq, prev_hash=header.prev_hash, epoch=header.epoch)
    feeds = Feeds(RULES)
    assert feeds.add(verified(world.entries[-1:])[0])[0] is Outcome.HELD
    assert feeds.begin(start, epoch) is None
    assert feeds.add(start.entry)[0] is Outcome.FORKED
    assert feeds.dead_sessions() == (header.session,)


def test_a_start_that_cannot_follow_what_is_held_of_the_feed_is_not_taken() -> None:
    """An older claim further up would let a session lose what it has signed since. Spec: [FEED-2], [FEED-16]."""
    world = open_world()
    start, epoch, entries = started(world)
    held = entries[:2]
    last_epoch, seq = held[-1].entry.header.epoch, start.entry.entry.header.seq
    assert (last_epoch < start.entry.entry.header.epoch, held[-1].entry.header.seq < seq) == (True, True)
    assert fast_feeds(held).begin(start, epoch) is not None
    other = World()
    other.open_chain(3)
    other.epoch = start.entry.entry.header.epoch + 1
    for _ in range(2):
        put(other, 0, SELL, 2)
    feeds = fast_feeds(verified(other.entries))
    assert feeds.begin(start, epoch) is None
    assert feeds.add(start.entry)[0] is Outcome.HELD


def with_order(body: Body, **changes: object) -> Body:
    """A body whose order is another."""
    assert isinstance(body.item, VerifiedOrder)
    signed = replace(body.item.item.signed, order=replace(body.item.item.signed.order, **changes))  # type: ignore[arg-type]
    return replace(body, item=replace(body.item, item=replace(body.item.item, signed=signed)))


LIES = ("below the least fill", "a form without rules", "expired", "a nonce to come", "a ticket of no listed order")


@pytest.mark.parametrize("lie", LIES)
def test_a_start_that_lists_what_stands_in_no_feed_is_not_taken(lie: str) -> None:
    """What would follow from it is nobody's to say. Spec: [FEED-13], [FEED-16]."""
    start, epoch, _ = started(open_world())
    delegation, live, ended, ticket = start.bodies
    spoilt = {
        "below the least fill": (delegation, with_order(live, quantity_lots=1), ended, ticket),
        "a form without rules": (delegation, live, with_order(ended, security=4), ticket),
        "expired": (delegation, with_order(live, expiry_s=1), ended, ticket),
        "a nonce to come": (delegation, live, with_order(ended, nonce=start.checkpoint.next_nonce), ticket),
        "a ticket of no listed order": (delegation, live, replace(ended, item=live.item), ticket),
    }
    assert Feeds(RULES).begin(start, epoch) is not None
    assert Feeds(RULES).begin(replace(start, bodies=spoilt[lie]), epoch) is None


def test_a_false_checkpoint_above_a_start_kills_as_it_does_everywhere() -> None:
    """It is judged by what the base lists. Spec: [FEED-13], [FEED-14]."""
    world = open_world()
    start, epoch, _ = started(world)
    world.say_checkpoint(world.pens[0], 2)
    seq, session = world.pens[0].seq - 1, start.entry.entry.header.session
    feeds = Feeds(RULES)
    assert feeds.begin(start, epoch) is not None
    outcomes = [feeds.add(one)[0] for one in verified(world.entries) if one.entry.header.session == session]
    feed = feeds.feed(session)
    assert feed is not None
    assert outcomes[-1] is Outcome.FALSE
    assert feed.forked_from == seq
    assert feeds.dead_sessions() == (session,)


def as_sent(start: Start) -> list[bytes]:
    """The bodies of a start as a Run has them."""
    return [body.encoded for body in start.bodies]


def test_a_start_is_read_again_as_it_was() -> None:
    """Spec: [FEED-16], [SYNC-21]."""
    start, _, _ = started(open_world())
    assert verify_start(FAST_DIGESTS, start.entry, as_sent(start)) == start


@pytest.mark.parametrize("way", ["none", "one short", "one twice", "in another order", "one of another feed"])
def test_bodies_other_than_those_that_the_checkpoint_lists_are_the_senders_fault(way: str) -> None:
    """No more and no fewer, in the order of the hashes. Spec: [FEED-16], [SYNC-21]."""
    world = open_world()
    start, _, entries = started(world)
    sent = as_sent(start)
    spoilt = {
        "none": [],
        "one short": sent[:-1],
        "one twice": [*sent, sent[-1]],
        "in another order": [sent[0], *sent[:0:-1]],
        "one of another feed": [*sent[:-1], entries[-1].entry.item_bytes[0]],
    }
    with pytest.raises(RemoteProtocolError, match="FEED-16|expected the bodies"):
        verify_start(FAST_DIGESTS, start.entry, spoilt[way])


def test_an_entry_without_a_checkpoint_is_no_start() -> None:
    """Spec: [FEED-16]."""
    start, _, entries = started(open_world())
    with pytest.raises(RemoteProtocolError, match="expected an entry that ends with a Checkpoint"):
        verify_start(FAST_DIGESTS, entries[0], as_sent(start))


def listing(pen: Pen, *, delegation: bytes, lists: Sequence[Sequence[bytes]]) -> tuple[VerifiedEntry, list[bytes]]:
    """A session's entry whose Checkpoint lists these bodies, whatever they are, and the bodies in their order."""
    parts = [sorted(part, key=keccak) for part in lists]
    said = [reference_feeds.CHECKPOINT, 9, keccak(delegation), *([keccak(body) for body in part] for part in parts)]
    entry = make_entry(pen, [said], seq=7, prev_hash=keccak(b"what came before"))
    return verified([sign_entry(pen, entry)])[0], [delegation, *(body for part in parts for body in part)]


KINDS = (
    "another's delegation",
    "a delegation that its peer did not sign",
    "an order for a delegation",
    "another session's order",
    "an order that somebody else signed",
    "a cancel for an order",
    "an order for an offer",
    "an order for a ticket",
)


@pytest.mark.parametrize("kind", KINDS)
def test_bodies_of_a_kind_that_no_true_checkpoint_lists_are_the_senders_fault(kind: str) -> None:
    """Though the hashes are theirs, and the session signed them. Spec: [FEED-13], [FEED-16]."""
    world = open_world()
    pen, other = world.pens[:2]
    own = cbor.encode(order_item(world.new_order(pen, SELL, 100, 4), pen.owner))
    foreign = cbor.encode(order_item(world.new_order(other, SELL, 100, 4), other.owner))
    stolen = cbor.encode(order_item(world.new_order(pen, SELL, 100, 4), other.owner))
    cancel = cbor.encode([CANCEL, keccak(b"an order")])
    good, unsigned = delegation_item(pen), delegation_item(pen)
    unsigned[-1] = bytes(64)
    delegations = {
        KINDS[0]: cbor.encode(delegation_item(other)),
        KINDS[1]: cbor.encode(unsigned),
        KINDS[2]: own,
    }
    orders = {KINDS[3]: foreign, KINDS[4]: stolen, KINDS[5]: cancel}
    delegation = delegations.get(kind, cbor.encode(good))
    lists: list[list[bytes]] = [[orders.get(kind, own)], [], [], []]
    assert verify_start(FAST_DIGESTS, *listing(pen, delegation=cbor.encode(good), lists=[[own], [], [], []]))
    if kind in KINDS[6:]:
        lists[KINDS.index(kind) - 4] = [cbor.encode(order_item(world.new_order(pen, SELL, 99, 4), pen.owner))]
    with pytest.raises(RemoteProtocolError, match="expected what a true Checkpoint lists"):
        verify_start(FAST_DIGESTS, *listing(pen, delegation=delegation, lists=lists))


# age in matching


def test_an_order_is_as_late_as_the_base_that_placed_it_and_no_older_than_where_it_stands() -> None:
    """Spec: [MATCH-1], [FUND-8]."""
    world = open_world()
    order_id = put(world, 0, SELL, 4)
    arrived_in = Epoch(world.epoch + 2)
    world.epoch += 9
    world.say_checkpoint(world.pens[0])
    claimed = world.epoch
    for late in (0, 5):
        epoch = Epoch(claimed + AGE)
        windows = Windows(feeds := fast_feeds(verified(world.entries)), fast_ledger(world.blocks))
        windows.keeper.touch(feeds.owners())
        record = feeds.order(OrderId(order_id))
        assert record is not None
        windows.place(record, arrived_in)
        assert dict(windows.late) == {order_id: arrived_in}
        session, seq = record.order.session, world.pens[0].seq - 1
        windows.note_checkpoint(session, seq, Epoch(claimed), Epoch(claimed + late))
        for rebased in feeds.advance_bases(epoch):
            windows.place_anew(rebased)
        assert dict(windows.late) == ({order_id: claimed + late} if late else {})
        again = feeds.order(OrderId(order_id))
        assert again is not None
        windows.place(again, arrived_in)
        assert windows.late.get(again.order_id, 0) == (claimed + late if late else 0)
