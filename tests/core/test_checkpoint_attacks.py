"""Sessions that lie in a Checkpoint, among kernels that trade. Spec: [FEED-13..14]."""

import pytest

from orrange_p2p.core.checkpoints import checkpoints_in
from orrange_p2p.core.feed import Feed
from orrange_p2p.core.types import Address, Side
from tests.core.hostile import false_checkpoints, hear, next_entry, true_checkpoint
from tests.core.kernel_world import RULES, Peer, World

LIES = (
    "lists a dead order",
    "omits a live order",
    "another next nonce",
    "an offer that is not there",
    "a ticket that is not there",
)


def feed_of(peer: Peer, session: Address) -> Feed:
    """What a peer holds of a session's feed."""
    feed = peer.market.feeds.feed(session)
    assert feed is not None
    return feed


def traded(world: World) -> tuple[World, Peer, list[Peer]]:
    """A liar who has traded with an honest peer, has an order left, and two more who have not traded yet."""
    liar, *honest = world.peers
    world.place(liar, Side.SELL, 100, 9)
    world.place(honest[0], Side.BUY, 100, 4)
    world.run_ms(8_000)
    assert len(liar.tickets) == 1
    return world, liar, honest


@pytest.mark.parametrize("lie", LIES)
def test_everybody_who_sees_a_false_checkpoint_drops_its_session_and_the_honest_trade_on(lie: str) -> None:
    """The liar's order is the best; once it has lied, the next best trade instead. Spec: [FEED-14]."""
    world, liar, honest = traded(World(4, seed=5))
    session = liar.identity.session
    own = feed_of(liar, session)
    seq = len(own.entries)
    epoch = RULES.epoch_at(world.now_ms)
    world.gossip(liar, [next_entry(liar, own, [false_checkpoints(own, epoch)[lie]], epoch)])
    world.run_ms(2_000)
    before = [len(peer.tickets) for peer in honest]
    world.place(honest[1], Side.SELL, 101, 5)
    world.place(honest[2], Side.BUY, 102, 5)
    world.run_ms(8_000)
    assert [feed_of(peer, session).forked_from for peer in honest] == [seq] * 3
    assert [len(peer.tickets) - count for peer, count in zip(honest, before, strict=True)] == [0, 1, 1]
    assert len({digest for peer, digest in zip(world.peers, world.digests(), strict=True) if peer is not liar}) == 1
    assert {name for peer in honest for name in (note.name for note in peer.notes)} >= {"entry_false_checkpoint"}


def test_a_true_checkpoint_of_the_same_feed_kills_nobody() -> None:
    """Or the test above would say nothing. Spec: [FEED-13]."""
    world, writer, honest = traded(World(4, seed=5))
    own = feed_of(writer, writer.identity.session)
    epoch = RULES.epoch_at(world.now_ms)
    entry = next_entry(writer, own, [true_checkpoint(own, epoch)], epoch)
    for peer in honest:
        hear(world, peer, writer, [entry])
    assert checkpoints_in(entry) == [0]
    assert [peer.market.feeds.dead_sessions() for peer in honest] == [(), (), ()]


def test_a_node_restarted_after_a_false_checkpoint_still_holds_its_session_dead() -> None:
    """The entries on disk prove it again. Spec: [FEED-14]."""
    world, liar, honest = traded(World(4, seed=5))
    session, own = liar.identity.session, feed_of(liar, liar.identity.session)
    epoch = RULES.epoch_at(world.now_ms)
    false = next_entry(liar, own, [false_checkpoints(own, epoch)["omits a live order"]], epoch)
    world.gossip(liar, [false])
    world.run_ms(2_000)
    world.restart(honest[0])
    world.run_ms(2_000)
    assert feed_of(honest[0], session).forked_from == false.entry.header.seq
