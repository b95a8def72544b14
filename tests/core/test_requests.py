"""The owner's requests to its own kernel: modify and cancel all, in whole entries. Spec: [ORD-7], [FUND-5]."""

from kernel_world import RULES, Peer, World
from test_kernel import assert_honest

from orrange_p2p.core.messages import Cancel
from orrange_p2p.core.types import OrderId, Side, TimeInForce
from orrange_p2p.core.verify import VerifiedOrder


def entries_of(peer: Peer) -> list[list[type]]:
    """The kinds of items in each entry of a peer's own feed."""
    feed = peer.market.feeds.feed(peer.identity.session)
    return [[type(item) for item in entry.items] for entry in feed.entries]


def placed(world: World, peer: Peer, price: int = 100, lots: int = 5) -> OrderId:
    """An order of a peer that is on its way."""
    request = world.place(peer, Side.SELL, price, lots)
    world.run_ms(1500)
    return peer.accepted[request]


def live(peer: Peer) -> dict[int, int]:
    """Free lots of each price in the peer's book."""
    return {row.order.price_ticks: sum(high - low for low, high in row.free) for row in rows(peer)}


def rows(peer: Peer) -> tuple:
    return peer.market.windows.keeper.book().orders


def test_modifying_an_unknown_order_is_refused_by_name() -> None:
    world = World(2)
    request = world.modify(world.peers[0], bytes(32), price_ticks=99)
    assert world.peers[0].refused[request].rule == "ORD-5"


def test_modifying_twice_is_refused_the_second_time() -> None:
    world = World(2)
    peer = world.peers[0]
    order_id = placed(world, peer)
    world.modify(peer, order_id, price_ticks=101)
    again = world.modify(peer, order_id, price_ticks=102)
    assert peer.refused[again].rule == "ORD-5"


def test_modifying_an_ioc_order_is_refused() -> None:
    world = World(2)
    peer = world.peers[0]
    request = world.place(peer, Side.SELL, 100, 5, TimeInForce.IOC)
    world.run_ms(600)
    modified = world.modify(peer, peer.accepted[request], price_ticks=99)
    assert peer.refused[modified].rule == "ORD-7"


def test_a_refused_modify_leaves_the_old_order_alone() -> None:
    world = World(2, funds_lots=10)
    peer = world.peers[0]
    order_id = placed(world, peer)
    request = world.modify(peer, order_id, quantity_lots=11)
    assert peer.refused[request].rule == "FUND-3"
    request = world.modify(peer, order_id, price_ticks=0)
    assert peer.refused[request].rule == "ORD-1"
    world.run_ms(3000)
    assert live(peer) == {100: 5}


def test_a_modify_is_a_cancel_and_an_order_in_one_entry() -> None:
    world = World(2)
    peer, other = world.peers
    order_id = placed(world, peer)
    request = world.modify(peer, order_id, price_ticks=101, quantity_lots=7)
    world.run_ms(3000)
    last = peer.market.feeds.feed(peer.identity.session).entries[-1]
    cancel, order = last.items
    assert isinstance(cancel, Cancel)
    assert cancel.order_id == order_id
    assert isinstance(order, VerifiedOrder)
    assert order.order_id == peer.accepted[request]
    assert live(other) == {101: 7}


def test_a_modify_waits_for_the_next_entry_rather_than_be_split() -> None:
    """[ORD-7]: an entry with one place left takes neither the Cancel nor the Order."""
    world = World(2)
    peer = world.peers[0]
    order_id = placed(world, peer)
    outbox = peer.market.desk.outbox
    for number in range(63):
        outbox.add(Cancel(order_id=bytes([number]) * 32))
    world.modify(peer, order_id, price_ticks=101)
    world.run_ms(1500)
    full, after = entries_of(peer)[-2:]
    assert full == [Cancel] * 63
    assert after == [Cancel, VerifiedOrder]


def test_a_modify_may_use_what_the_old_order_had_reserved() -> None:
    """[ORD-7], [FUND-5]: all the funds are in the old order."""
    world = World(2, funds_lots=10)
    peer, other = world.peers
    order_id = placed(world, peer, lots=10)
    request = world.modify(peer, order_id, price_ticks=102)
    world.run_ms(3000)
    assert request in peer.accepted
    assert live(other) == {102: 10}
    assert all(row.is_matchable for row in rows(other))


def test_a_modify_without_a_quantity_keeps_only_what_no_ticket_has_taken() -> None:
    world = World(2)
    maker, taker = world.peers
    order_id = placed(world, maker, lots=5)
    world.place(taker, Side.BUY, 100, 2)
    world.run_ms(6000)
    world.modify(maker, order_id, price_ticks=105)
    world.run_ms(3000)
    assert live(taker) == {105: 3}
    world.place(taker, Side.BUY, 105, 5)
    world.run_ms(8000)
    assert sum(fact.maker_to - fact.maker_from for fact in world.settled.values()) == 5
    assert_honest(world)


def test_a_modify_of_what_a_ticket_has_taken_whole_is_refused() -> None:
    world = World(2)
    maker, taker = world.peers
    order_id = placed(world, maker, lots=5)
    world.place(taker, Side.BUY, 100, 5)
    while not maker.tickets:
        world.run_ms(50)
    refused = world.modify(maker, order_id, price_ticks=105)
    assert refused in maker.refused


def test_cancel_all_answers_with_every_order_it_cancelled() -> None:
    world = World(2)
    peer, other = world.peers
    orders = [placed(world, peer, price=100 + number) for number in range(3)]
    waiting = world.place(peer, Side.SELL, 110, 1)
    request = world.cancel_all(peer)
    world.run_ms(3000)
    assert set(peer.cancelled[request]) == {*orders, peer.accepted[waiting]}
    assert live(other) == {}


def test_cancel_all_of_nothing_is_answered_at_once() -> None:
    world = World(2)
    request = world.cancel_all(world.peers[0])
    assert world.peers[0].cancelled[request] == ()


def test_an_order_that_missed_its_last_epoch_is_refused_and_not_said() -> None:
    """[ORD-6]: it waited for its entry until it had expired."""
    world = World(2)
    peer = world.peers[0]
    placed(world, peer)
    world.place(peer, Side.SELL, 101, 1)
    said, outbox = len(entries_of(peer)), peer.market.desk.outbox
    request = world.place(peer, Side.SELL, 102, 1, expiry_s=world.now_ms // 1000 + 2)
    assert len(outbox) == 1
    peers = dict(peer.market.synced_peers)
    peer.market.synced_peers.clear()
    world.run_ms(4 * RULES.preset.epoch_ms)
    peer.market.synced_peers.update(peers)
    world.run_ms(100)
    assert len(outbox) == 0
    assert peer.refused[request].rule == "ORD-6"
    assert len(entries_of(peer)) == said
