"""A node signs no order that every node would find void. Spec: [FUND-3], [FUND-5]."""

import random
import re

import pytest
from kernel_world import GENESIS_MS, MARKET, RULES, Peer, World

from orrange_p2p.core.facts import FundsChanged
from orrange_p2p.core.types import Side


def deposit(world: World, peer: Peer, lots: int) -> None:
    """Base for so many lots more to sell, in a block of its own between those of the clock."""
    world.run_ms((GENESIS_MS - world.now_ms) % 1000 + 500)
    delta = lots * MARKET.lot_size
    world.mine(FundsChanged(owner=peer.identity.owner, market=RULES.market_id, token=MARKET.base, delta=delta))


def test_an_order_that_needs_a_fresh_deposit_is_refused_with_the_seconds_until_it_counts() -> None:
    world = World(2, funds_lots=10)
    peer = world.peers[0]
    world.run_ms(3000)
    deposit(world, peer, 10)
    early = world.place(peer, Side.SELL, 100, 15)
    refusal = peer.refused[early]
    assert refusal.rule == "FUND-5"
    assert str(10 * MARKET.lot_size) in refusal.message
    wait_s = int(re.search(r"try again in (\d+) s", refusal.message)[1])
    assert 1 <= wait_s <= RULES.preset.fund_lag_s + 1
    world.run_ms(wait_s * 1000)
    in_time = world.place(peer, Side.SELL, 100, 15)
    world.run_ms(3000)
    order_id = peer.accepted[in_time]
    assert all(other.market.windows.keeper.order(order_id).is_matchable for other in world.peers)


def test_what_a_fresh_deposit_does_not_cover_either_is_plainly_unfunded() -> None:
    world = World(2, funds_lots=10)
    deposit(world, world.peers[0], 10)
    request = world.place(world.peers[0], Side.SELL, 100, 21)
    assert world.peers[0].refused[request].rule == "FUND-3"


def test_the_hundred_and_first_open_order_is_refused_until_one_is_cancelled() -> None:
    world = World(2)
    peer = world.peers[0]
    for _ in range(10):
        last = [world.place(peer, Side.SELL, 100, 1) for _ in range(10)][-1]
        world.run_ms(400)
    refused = world.place(peer, Side.SELL, 100, 1)
    assert peer.refused[refused].rule == "FUND-5"
    assert "100 open orders" in peer.refused[refused].message
    world.cancel(peer, peer.accepted[last])
    allowed = world.place(peer, Side.SELL, 100, 1)
    world.run_ms(3000)
    assert peer.market.windows.keeper.order(peer.accepted[allowed]).is_matchable


@pytest.mark.parametrize("seed", range(6))
def test_no_order_that_a_node_accepted_turns_out_void(seed: int) -> None:
    """Scarce funds, trades, modifies, cancels and deposits: what the node took on, first admission admits."""
    world = World(3, seed=seed, funds_lots=12)
    dice = random.Random(seed)
    for _ in range(60):
        peer = dice.choice(world.peers)
        known = list(peer.accepted.values())
        what = dice.randrange(10)
        if what == 0 and known:
            world.cancel(peer, dice.choice(known))
        elif what == 1 and known:
            world.modify(peer, dice.choice(known), quantity_lots=1 + dice.randrange(14))
        elif what == 2:
            deposit(world, peer, 1 + dice.randrange(4))
        else:
            side = Side.SELL if dice.randrange(2) else Side.BUY
            world.place(peer, side, 990 + dice.randrange(20), 1 + dice.randrange(14))
        world.run_ms(dice.choice((0, 50, 300, 900)))
    world.run_ms(6000)
    orders = refusals = 0
    for peer in world.peers:
        keeper, feed = peer.market.windows.keeper, peer.market.feeds.feed(peer.identity.session)
        refusals += len(peer.refused)
        for record in feed.orders.values() if feed is not None else ():
            orders += 1
            assert keeper.admissions.admits(record, keeper.epoch)
    assert orders > 10
    assert refusals > 3
