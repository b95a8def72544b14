"""Orders of lanes 1 to 3 among kernels: agreed on like others, and opened as escrows. Spec: [ORD-4]."""

from dataclasses import replace

import pytest
from kernel_world import RULES, Peer, World

from orrange_p2p.core.escrow import EscrowState
from orrange_p2p.core.facts import EscrowMoved, FundsChanged
from orrange_p2p.core.kernel import Kernel
from orrange_p2p.core.needs import escrow_bond
from orrange_p2p.core.own_funds import bond_beyond_limit
from orrange_p2p.core.types import Address, Order, OrderKind, Side, TicketKind, TimeInForce

ARBITRATORS = tuple(Address(bytes([number]) * 20) for number in range(1, 4))
WITH_ESCROW = replace(RULES, has_escrow=True)
ORDER = Order(
    market=RULES.market_id,
    owner=Address(b"o" * 20),
    session=Address(b"s" * 20),
    nonce=1,
    side=Side.SELL,
    kind=OrderKind.LIMIT,
    price_ticks=60,
    quantity_lots=5,
    tif=TimeInForce.GTC,
    expiry_s=0,
    security=3,
)


@pytest.fixture
def world() -> World:
    """A network with an escrow contract."""
    return World(3, seed=2, rules=WITH_ESCROW)


def ask(world: World, peer: Peer, side: Side, lane: int, methods: tuple[int, ...]) -> bytes:
    """An order at 100 for 5 lots by escrow."""
    terms = {"security": lane, "payment_methods": methods, "arbitrators": ARBITRATORS[:2]}
    return peer.accepted[world.place(peer, side, 100, 5, **terms)]


def spent(peer: Peer, token: Address) -> int:
    """What has left the market's allocation of a peer's owner since the first block."""
    ledger, owner = peer.kernel.ledger, peer.kernel.identity.owner
    first, last = ledger.block(0), ledger.last_block
    assert first is not None
    assert last is not None
    amounts = [ledger.allocation(owner, RULES.market_id, token, at_block=block.number) for block in (first, last)]
    return amounts[0] - amounts[1]


def test_an_escrow_order_is_refused_where_there_is_no_contract_for_it() -> None:
    world = World(2)
    terms = {"security": 1, "payment_methods": (1,), "arbitrators": ARBITRATORS[:1]}
    request = world.place(world.peers[0], Side.SELL, 100, 5, **terms)
    assert world.peers[0].refused[request].rule == "ORD-4"
    assert isinstance(world.peers[0].kernel, Kernel)


@pytest.mark.parametrize(("spare", "is_agreed"), [(0, False), (1, True)])
def test_a_seller_never_signs_for_a_bond_that_it_cannot_put_up(spare: int, is_agreed: bool) -> None:
    """A better price than its limit asks for a larger bond than was reserved. Spec: [TICK-2], [FUND-3]."""
    world = World(2, seed=3, rules=WITH_ESCROW)
    maker, taker = world.peers
    ask(world, maker, Side.BUY, 3, (7,))
    world.run_ms(2500)
    market = RULES.market
    more = bond_beyond_limit(market, replace(ORDER, price_ticks=60), 100, 5)
    assert more == escrow_bond(market.quote_amount(100, 5), 3) - escrow_bond(market.quote_amount(60, 5), 3) > 0
    held = taker.kernel.ledger.allocation(
        taker.kernel.identity.owner, RULES.market_id, market.quote, at_block=taker.kernel.ledger.last_block.number
    )
    reserved = escrow_bond(market.quote_amount(60, 5), 3)
    left = reserved + more - 1 + spare
    world.to_say.append(
        FundsChanged(owner=taker.kernel.identity.owner, market=RULES.market_id, token=market.quote, delta=left - held)
    )
    world.run_ms(5000)
    terms = {"security": 3, "payment_methods": (7,), "arbitrators": ARBITRATORS[:2]}
    request = world.place(taker, Side.SELL, 60, 5, **terms)
    world.run_ms(6000)
    assert request in taker.accepted
    assert (len(taker.market.tickets) == 1) is is_agreed
    assert any(note.name == "bond_short" for note in taker.notes) is not is_agreed


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


def test_an_escrow_ticket_has_the_makers_preference_and_a_note_and_opens_an_escrow(world: World) -> None:
    """Spec: [TICK-1], [FUND-1]."""
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
    assert len(taker.market.settling) == len(maker.market.settling) == 0
    assert world.settled[hold.digest].security == 2
    for peer in (maker, taker):
        ledger = peer.kernel.ledger
        standing = ledger.escrow(hold.digest)
        assert standing is not None
        assert (standing.state, standing.moved) == (EscrowState.OPEN, None)
    bond = escrow_bond(RULES.market.quote_amount(100, 5), 2)
    moved = EscrowMoved(ticket=hold.digest, state=EscrowState.PAID)
    world.to_say.append(moved)
    world.run_ms(3000)
    for peer in (maker, taker):
        assert spent(peer, RULES.market.quote) == bond
        assert peer.kernel.ledger.escrow(hold.digest).moved == moved  # type: ignore[union-attr]
        assert [note.details for note in peer.notes if note.name == "escrow_moved"] == [
            (("ticket", hold.digest.hex()), ("state", "paid"))
        ]
    assert spent(maker, RULES.market.base) == RULES.market.base_amount(5)
    assert spent(taker, RULES.market.base) == 0
    assert not [note for note in world.peers[2].notes if note.name == "escrow_moved"]
