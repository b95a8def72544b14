"""What a node shows of its feeds follows them, its chain and its forks; and how long it counts as synced."""

import pytest

from orrange_p2p.core.events import SyncRoundEnded
from orrange_p2p.core.head_tree import tree_of
from orrange_p2p.core.messages import LAST_PLACE, Head
from orrange_p2p.core.shown_heads import ShownHeads
from orrange_p2p.core.types import Digest, Side
from tests.core.hostile import end_round, hear, idle, write_entry
from tests.core.kernel_world import RULES, Peer, World

ZERO = Digest(bytes(32))


def assert_follows(peer: Peer) -> None:
    """The tree that changed head by head is the one of all heads of sessions that the chain knows."""
    has_session = peer.market.desk.ledger.has_session
    anew = tree_of(head for head in peer.market.feeds.heads() if has_session(head.session))
    assert peer.market.shown.tree().root(0, LAST_PLACE) == anew.root(0, LAST_PLACE)
    assert peer.market.heads() == tuple(anew.heads())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_tree_follows_every_entry_of_a_trading_day(seed: int) -> None:
    """Spec: [SYNC-1], [SYNC-9]."""
    world = World(4, seed=seed)
    for number in range(12):
        peer = world.peers[number % 4]
        world.place(peer, Side.SELL if number % 3 else Side.BUY, 100 + number % 2, 3)
        world.run_ms(700)
        if number % 4 == 3:
            for one in world.peers:
                assert_follows(one)
    world.restart(world.peers[0])
    world.sync_all()
    for one in world.peers:
        assert_follows(one)
    roots = {one.market.shown.tree().root(0, LAST_PLACE) for one in world.peers}
    assert len(roots) == 1


def test_a_fork_an_entry_held_ahead_and_a_stranger_are_shown_as_they_should() -> None:
    """Spec: [SYNC-1]: held ahead of a gap is not held; a stranger is shown once the chain knows it."""
    world = World(3)
    victim, other, forker = world.peers
    epoch = RULES.epoch_at(world.now_ms)
    first = write_entry(forker, [idle(1)], seq=0, prev_hash=ZERO, epoch=epoch)
    second = write_entry(forker, [idle(2)], seq=1, prev_hash=Digest(first.entry_hash), epoch=epoch)
    rival = write_entry(forker, [idle(3)], seq=1, prev_hash=Digest(first.entry_hash), epoch=epoch)
    session = forker.identity.session
    shown: list[Head | None] = []
    for entry in (second, first, rival):
        hear(world, victim, other, [entry])
        shown.append(victim.market.shown.tree().get(session))
        assert_follows(victim)
    assert shown == [
        None,
        Head(session=session, next_seq=2, head_hash=Digest(second.entry_hash)),
        Head(session=session, next_seq=2, head_hash=ZERO),
    ]


def test_a_stranger_is_shown_once_the_chain_knows_it() -> None:
    """Spec: [SYNC-1]."""
    world = World(2)
    victim, other = world.peers
    stranger = Peer("stranger")
    entry = write_entry(stranger, [idle(1)], seq=0, prev_hash=ZERO, epoch=RULES.epoch_at(world.now_ms))
    hear(world, victim, other, [entry])
    known: list[bytes] = []

    class Chain:
        def has_session(self, session: bytes) -> bool:
            return session in known

    shown = ShownHeads(victim.market.feeds, Chain())
    victim.market.feeds._moved[stranger.identity.session] = None
    assert shown.tree().get(stranger.identity.session) is None
    known.append(stranger.identity.session)
    assert shown.tree().get(stranger.identity.session) == victim.market.feeds.head(stranger.identity.session)


def fail_round(world: World, target: Peer, source: Peer) -> None:
    event = SyncRoundEnded(now_ms=world.now_ms, peer=source.peer_id, market=RULES.market_id, heads=None)
    world.feed(target, event)


def test_two_failed_rounds_do_not_stop_a_node_and_three_in_a_row_do() -> None:
    """Spec: [SYNC-19]."""
    world = World(2)
    node, partner = world.peers
    world.run_ms(500)
    end_round(world, node, partner, partner.market.heads())
    for _ in range(3):
        for _ in range(2):
            fail_round(world, node, partner)
            assert node.kernel.why_not_sign() is None
        end_round(world, node, partner, [])
    for _ in range(3):
        fail_round(world, node, partner)
    assert node.kernel.why_not_sign() == "not yet synced with 1 peer"
    end_round(world, node, partner, [])
    assert node.kernel.why_not_sign() is None
