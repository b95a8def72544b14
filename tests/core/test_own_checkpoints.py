"""Nodes that write Checkpoints and cut feeds while they trade. Spec: [FEED-16..17], [SYNC-21], S4."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from kernel_world import RULES, Fate, Peer, World
from witness import Witness

from orrange_p2p.core.events import Action, CutFeed, Note, PersistEntry, PublishPresences, StartReceived, SyncWith
from orrange_p2p.core.gossip_codec import decode_presence
from orrange_p2p.core.market_kernel import MAX_STRANGERS
from orrange_p2p.core.messages import Checkpoint
from orrange_p2p.core.own_checkpoints import ENTRIES_BETWEEN
from orrange_p2p.core.types import Address, Side, TimeInForce
from orrange_p2p.core.verify import VerifiedEntry

MIDNIGHT_MS = 1_700_006_400_000
AGE_S = 32
SHORT = replace(
    RULES,
    genesis_ms=MIDNIGHT_MS - 20_000,
    preset=replace(RULES.preset, ticket_life_s=10, checkpoint_age_s=AGE_S),
)


def checkpoints(peer: Peer, who: Peer) -> list[VerifiedEntry]:
    """The entries of a peer's feed, as another holds it, that have a Checkpoint."""
    feed = peer.market.feeds.feed(who.identity.session)
    return [entry for entry in feed.entries if isinstance(entry.items[-1], Checkpoint)] if feed is not None else []


def trade_over_midnight(world: World) -> None:
    """Two peers trade before 00:00 UTC and after; then the Checkpoints of the first entry of the day become bases."""
    first, second = world.peers[:2]
    world.place(first, Side.SELL, 100, 5)
    world.place(first, Side.SELL, 120, 4)
    world.run_ms(2500)
    world.place(second, Side.BUY, 101, 5)
    world.run_ms(17_500)
    world.place(first, Side.SELL, 110, 2)
    world.run_ms(4000)
    world.place(second, Side.BUY, 111, 1, TimeInForce.IOC)
    world.run_ms(AGE_S * 1000 + 8000)


def first_seqs(peer: Peer, who: list[Peer]) -> list[int]:
    """Where feeds begin here."""
    found = [peer.market.feeds.feed(one.identity.session) for one in who]
    return [feed.first_seq if feed is not None else -1 for feed in found]


def test_the_first_entry_of_a_day_is_a_checkpoint_and_everybody_cuts_there() -> None:
    """Alone in its entry, first of its epoch, once the filled order is cancelled. Spec: [FEED-17]."""
    world = World(3, rules=SHORT)
    trade_over_midnight(world)
    first, second, third = world.peers
    (entry,) = checkpoints(third, first)
    assert len(entry.items) == 1
    assert SHORT.epoch_start_ms(entry.entry.header.epoch) >= MIDNIGHT_MS
    feed = third.market.feeds.feed(first.identity.session)
    assert feed is not None
    assert (feed.first_seq, feed.entries[0]) == (entry.entry.header.seq, entry)
    assert [body.item.item.signed.order.price_ticks for body in feed.start.parts()[0]] in ([110, 120], [120, 110])
    assert [len(part) for part in feed.start.parts()[1:]] == [0, 0]  # the filled order was cancelled before
    assert first_seqs(third, [first, second]) == first_seqs(first, [first, second])
    assert len(set(world.digests())) == 1
    assert not third.market.feeds.dead_sessions()
    Witness(world).assert_honest()


def test_a_presence_shows_the_whole_feed_of_a_node_that_cut_it() -> None:
    """Not just what is left of it; so nobody seeks what all have. Spec: [PEER-4], [FEED-16]."""
    world = World(2, rules=SHORT)
    trade_over_midnight(world)
    first, second = world.peers
    shown: list[Action] = []

    def decide(peer: Peer, action: Action) -> Fate:
        if isinstance(action, PublishPresences | SyncWith):
            shown.append(action)
        return Fate.LIVES

    world.fate = decide
    world.run_ms(SHORT.preset.presence_s * 2000)
    feed = second.market.feeds.feed(first.identity.session)
    assert feed is not None
    heads = [
        head.next_seq
        for action in shown
        if isinstance(action, PublishPresences)
        for presence in map(decode_presence, action.presences)
        for head in presence.heads
        if presence.session == first.identity.session
    ]
    assert feed.first_seq > 0
    assert set(heads) == {feed.next_seq}
    assert not any(isinstance(action, SyncWith) for action in shown)


def test_cut_nodes_trade_on_and_a_newcomer_begins_at_the_bases_with_an_equal_book() -> None:
    """Spec: [FEED-16], [SYNC-21]."""
    world = World(4, rules=SHORT)
    late = world.peers[3]
    late.is_up = False
    trade_over_midnight(world)
    before = len(world.settled)
    world.restart(late)
    assert first_seqs(late, world.peers[:2]) == first_seqs(world.peers[0], world.peers[:2])
    assert min(first_seqs(late, world.peers[:2])) > 0
    world.place(late, Side.BUY, 121, 3)
    world.run_ms(6000)
    assert len(world.settled) == before + 2
    assert len(set(world.digests())) == 1


@pytest.mark.parametrize("fate", [Fate.DIES_BEFORE, Fate.DIES_AFTER])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_crash_around_a_cut_leaves_the_whole_feed_or_the_cut_one(number: int, fate: Fate) -> None:
    """And no number of the own session is used twice. Spec: [FEED-16], S4."""
    world = World(3, rules=SHORT, seed=number)
    world.fate = kill_at_cut(world.peers[0], number, fate)
    trade_over_midnight(world)
    first, second, _ = world.peers
    world.place(first, Side.SELL, 105, 3)
    world.run_ms(1500)
    world.place(second, Side.BUY, 106, 3)
    world.run_ms(8000)
    Witness(world).assert_honest()
    assert not any(peer.market.feeds.dead_sessions() for peer in world.peers)
    assert len(set(world.digests())) == 1
    assert len(world.settled) >= 2 + (fate is Fate.DIES_AFTER)


def test_starts_that_are_refused_take_no_strangers_place() -> None:
    """Or a peer could keep all strangers out with starts of feeds that are not there. Spec: [FEED-12], [FEED-16]."""
    world = World(2, rules=SHORT)
    trade_over_midnight(world)
    first, second = world.peers
    feed = second.market.feeds.feed(first.identity.session)
    assert feed is not None
    assert feed.start is not None
    now, entry = SHORT.epoch_at(world.now_ms), feed.start.entry
    for number in range(MAX_STRANGERS + 1):
        header = replace(entry.entry.header, session=Address(number.to_bytes(20, "big")), epoch=now)
        young = replace(feed.start, entry=replace(entry, entry=replace(entry.entry, header=header)))
        said = second.kernel.step(
            StartReceived(now_ms=world.now_ms, market=SHORT.market_id, start=young, source=first.identity.peer_id)
        )
        assert [note.name for note in said if isinstance(note, Note)] == ["start_refused"]
    assert len(second.market.feeds) == 2


def kill_at_cut(victim: Peer, number: int, fate: Fate) -> Callable[[Peer, Action], Fate]:
    """A peer's cut of that number, or its entry after it, is its last action, once."""
    seen = 0

    def decide(peer: Peer, action: Action) -> Fate:
        nonlocal seen
        is_counted = isinstance(action, CutFeed) or (seen and isinstance(action, PersistEntry))
        if peer is not victim or not is_counted:
            return Fate.LIVES
        seen += 1
        return fate if seen == number else Fate.LIVES

    return decide


def test_after_many_entries_a_checkpoint_follows_on_the_same_day() -> None:
    """Spec: [FEED-17]."""
    rules = replace(SHORT, genesis_ms=MIDNIGHT_MS + 5000)
    world = World(2, rules=rules)
    first, second = world.peers
    for number in range(ENTRIES_BETWEEN + 30):
        order = world.place(first, Side.SELL, 200 + number % 7, 1)
        world.run_ms(300)
        world.cancel(first, first.accepted[order])
        world.run_ms(300)
        if checkpoints(second, first):
            break
    (entry,) = checkpoints(second, first)
    assert entry.entry.header.seq >= ENTRIES_BETWEEN
    assert not second.market.feeds.dead_sessions()


def test_a_feed_that_says_nothing_new_gets_no_checkpoint() -> None:
    """A day without orders, Cancels or tickets needs none. Spec: [FEED-17]."""
    world = World(2, rules=SHORT)
    first = world.peers[0]
    world.run_ms(25_000)
    order = world.place(first, Side.SELL, 200, 1)
    world.run_ms(3000)
    assert checkpoints(world.peers[1], first) == []
    world.cancel(first, first.accepted[order])
    world.run_ms(3000)
    assert checkpoints(world.peers[1], first) == []
