"""Orders of lanes 1 to 3 among kernels: agreed on like others, but nothing goes to the chain yet. Spec: [ORD-4]."""

from dataclasses import replace

import pytest
from kernel_world import RULES, Peer, World

from orrange_p2p.core.kernel import Kernel
from orrange_p2p.core.types import Address, Side, TicketKind

ARBITRATORS = tuple(Address(bytes([number]) * 20) for number in range(1, 4))
WITH_ESCROW = replace(RULES, has_escrow=True)


@pytest.fixture
def world() -> World:
    """A network with an escrow contract."""
    return World(3, seed=2, rules=WITH_ESCROW)


def ask(world: World, peer: Peer, side: Side, lane: int, methods: tuple[int, ...]) -> bytes:
    """An order at 100 for 5 lots by escrow."""
    terms = {"security": lane, "payment_methods": methods, "arbitrators": ARBITRATORS[:2]}
    return peer.accepted[world.place(peer, side, 100, 5, **terms)]


def test_an_escrow_order_is_refused_where_there_is_no_contract_for_it() -> None:
    world = World(2)
    terms = {"security": 1, "payment_methods": (1,), "arbitrators": ARBITRATORS[:1]}
    request = world.place(world.peers[0], Side.SELL, 100, 5, **terms)
    assert world.peers[0].refused[request].rule == "ORD-4"
    assert isinstance(world.peers[0].kernel, Kernel)


@pytest.mark.parametrize(("lane", "methods"), [(0, ()), (1, (7, 8)), (2, (9,))])
def test_orders_of_other_lanes_or_methods_do_not_meet(world: World, lane: int, methods: tuple[int, ...]) -> None:
    """Spec: [MATCH-5]."""
    maker, taker, _ = world.peers
    ask(world, maker, Side.SELL, 2, (7, 8))
    world.run_ms(2500)
    if lane:
        ask(world, taker, Side.BUY, lane, methods)
    else:
        world.place(taker, Side.BUY, 100, 5)
    world.run_ms(8000)
    assert not maker.market.tickets


def test_an_escrow_ticket_has_the_makers_preference_and_a_note_and_is_not_settled(world: World) -> None:
    """Spec: [TICK-1]."""
    maker, taker, _ = world.peers
    ask(world, maker, Side.SELL, 2, (8, 7))
    world.run_ms(2500)
    ask(world, taker, Side.BUY, 2, (7, 8))
    world.run_ms(8000)
    (hold,) = taker.market.tickets.values()
    ticket = hold.ticket
    assert (ticket.kind, ticket.payment_method, ticket.security) == (TicketKind.ESCROW, 8, 2)
    assert ticket.arbitrator == ARBITRATORS[0]
    assert any(note.name == "escrow_agreed" for note in taker.notes)
    assert any(note.name == "escrow_agreed" for note in maker.notes)
    assert not world.settled
    assert len(taker.market.settling) == len(maker.market.settling) == 0
