"""A crash at every write: whatever reached the disk last, an honest session never contradicts itself. Spec: S2, S4.

Each Persist action may be the last one that reached the disk, or the first that did not. The peer starts again from
what it has there, and the world goes on.
"""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_world import Fate, Peer, World
from test_kernel import assert_honest
from witness import Witness

from orrange_p2p.core.events import Action, PersistBlock, PersistEntry, PersistTrade, PersistWindow
from orrange_p2p.core.types import Side, TimeInForce

WRITES = (PersistEntry, PersistTrade, PersistWindow, PersistBlock)
DEATHS = (Fate.DIES_BEFORE, Fate.DIES_AFTER)


def kill_at(victim: Peer, number: int, fate: Fate) -> Callable[[Peer, Action], Fate]:
    """A peer's entry or trade of that number is its last, once."""
    seen = 0

    def decide(peer: Peer, action: Action) -> Fate:
        nonlocal seen
        if peer is not victim or not isinstance(action, PersistEntry | PersistTrade):
            return Fate.LIVES
        seen += 1
        return fate if seen == number else Fate.LIVES

    return decide


def trade_a_little(world: World) -> None:
    """Everybody makes, takes, modifies and cancels."""
    first, second, third = world.peers
    ask = world.place(first, Side.SELL, 100, 5)
    world.place(third, Side.SELL, 101, 4)
    world.run_ms(2500)
    world.place(second, Side.BUY, 101, 7)
    world.run_ms(700)
    if ask in first.accepted:
        world.modify(first, first.accepted[ask], price_ticks=99)
    world.place(third, Side.BUY, 99, 3, TimeInForce.IOC)
    world.run_ms(4000)
    world.cancel_all(second)
    world.run_ms(6000)


@pytest.mark.parametrize("fate", DEATHS)
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("number", range(1, 13))
def test_a_crash_at_any_write_leaves_a_session_honest(which: int, number: int, fate: Fate) -> None:
    world = World(3, seed=number)
    world.fate = kill_at(world.peers[which], number, fate)
    trade_a_little(world)
    world.sync_all()
    world.run_ms(8000)
    Witness(world).assert_honest()
    assert_honest(world)
    assert not any(peer.market.feeds.dead_sessions() for peer in world.peers)


def test_without_a_crash_the_same_world_trades() -> None:
    """The scenario has tickets, a modify and cancels to be interrupted in."""
    world = World(3, seed=1)
    trade_a_little(world)
    assert len(world.settled) >= 3
    writes = [len(peer.disk) + len(peer.tickets) for peer in world.peers]
    assert min(writes) >= 12


@settings(max_examples=max(5, settings().max_examples // 25), deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.02, 0.1, 0.4]), st.booleans())
def test_crashes_at_random_writes_leave_every_session_honest(seed: int, risk: float, is_lossy: bool) -> None:
    world = World(3, seed=seed, drop=0.2 if is_lossy else 0.0, delay_ms=(1, 400) if is_lossy else (1, 40))
    world.fate = lambda _peer, action: (
        world.random.choice(DEATHS)
        if isinstance(action, WRITES) and world.random.random() < _share(action, risk)
        else Fate.LIVES
    )
    for _ in range(10):
        _act(world)
        world.run_ms(world.random.randint(200, 900))
    world.fate = lambda _peer, _action: Fate.LIVES
    world.run_ms(5000)
    world.sync_all()
    world.run_ms(3000)
    Witness(world).assert_honest()
    assert_honest(world)
    assert not any(peer.market.feeds.dead_sessions() for peer in world.peers)


def _share(action: Action, risk: float) -> float:
    """Entries and trades are few and matter most; of blocks and windows there is one each second."""
    return risk if isinstance(action, PersistEntry | PersistTrade) else risk / 20


def _act(world: World) -> None:
    """Each peer does something, maybe."""
    dice = world.random
    for peer in world.peers:
        known = [order_id for order_id in peer.accepted.values() if order_id is not None]
        choice = dice.random()
        if choice < 0.6:
            tif = dice.choice([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC])
            world.place(peer, Side(dice.randint(0, 1)), dice.randint(98, 102), dice.randint(1, 9), tif)
        elif choice < 0.75 and known:
            world.modify(peer, dice.choice(known), price_ticks=dice.randint(98, 102))
        elif choice < 0.85 and known:
            world.cancel(peer, dice.choice(known))
        elif choice < 0.88:
            world.cancel_all(peer)
