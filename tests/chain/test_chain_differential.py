"""What the contracts do and what the core believes that they did: the same, whatever is handed in."""

import random
from collections.abc import Mapping

import pytest
from chain_under_test import ChainUnderTest
from chain_world import BASE_ALLOCATED, LOT_SIZE, World, build_world, dev_key

from orrange_p2p.chain.balances import read_filled_lots, read_market_balance
from orrange_p2p.chain.contracts import encode_settle, order_fields, settlement_contract, vault_contract
from orrange_p2p.chain.fact_decoder import FactDecoder
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.settler import GAS_BASE, GAS_PER_ESCROW
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.facts import BlockFacts, BondChanged, Defaulted, Fact, SessionRevoked, TradeSettled
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.types import Address, Scope, SignedTrade, TicketKind

TERMS = {"feePpm": 3_333, "sinkSharePpm": 250_000, "sink": Address(b"\x51" * 20), "penalty": 40}
COIN_WEI = 10**18
JUDGE = Address(b"\x0a" * 20)
ESCROW: Mapping[str, object] = {"payment_methods": (7,), "arbitrators": (JUDGE,)}
ESCROW_TICKET: Mapping[str, object] = {"kind": TicketKind.ESCROW, "payment_method": 7, "arbitrator": JUDGE}
BONDED = 50


@pytest.fixture
async def world(chain: ChainUnderTest, request: pytest.FixtureRequest) -> World:
    """Three traders on a network that takes a fee."""
    return await build_world(chain.backend, traders=3, label=request.node.nodeid, terms=TERMS)


async def read_ledger(world: World) -> tuple[Ledger, list[Fact]]:
    """The ledger of a node that reads the whole chain, and all facts."""
    ledger = Ledger({world.market_id: world.market})
    places = world.deployment
    decoder = FactDecoder(
        vault=places.vault, settlement=places.settlement, escrow=places.escrow, slasher=places.slasher
    )
    first, last = world.deployment.deployed_at_block, (await world.backend.head()).number
    decoded = decoder.decode(await world.backend.logs(first, last, decoder.addresses))
    for ref in await world.backend.blocks(first, last):
        facts = tuple(fact for log, fact in decoded if log.block_number == ref.number)
        ledger.add(
            BlockFacts(number=ref.number, hash=ref.hash, parent_hash=ref.parent_hash, time_s=ref.time_s, facts=facts)
        )
    return ledger, [fact for _, fact in decoded]


async def act(world: World, trader: int, contract: Address, payload: bytes, value_wei: int = 0) -> None:
    """A transaction of an owner's own."""
    lane = TransactionLane(world.backend, world.traders[trader].owner)
    await lane.submit(contract, payload, gas=400_000, value_wei=value_wei)


async def draw_trades(world: World, dice: random.Random, count: int) -> list[SignedTrade]:
    """Trades between random traders, some for more than there is, some of orders drawn before."""
    trades: list[SignedTrade] = []
    for _ in range(count):
        maker, taker = dice.sample(range(3), 2)
        most = BASE_ALLOCATED // LOT_SIZE
        lots = dice.choice((1, 7, most // 3, most + 1))
        security = dice.choice((0, 0, 1, 3))
        _, trade = await world.trade(
            lots=lots,
            price_ticks=dice.randint(1, 400),
            maker=maker,
            taker=taker,
            maker_changes=ESCROW | {"security": security} if security else None,
            taker_changes=ESCROW | {"security": security} if security else None,
            ticket_changes=ESCROW_TICKET | {"security": security} if security else None,
        )
        if trades and dice.random() < 0.3:
            trade = trades[dice.randrange(len(trades))]
        trades.append(trade)
    return trades


async def assert_same(world: World, ledger: Ledger) -> None:
    """Every balance and every order's lots, in the contracts and in the ledger."""
    last = ledger.last_block
    assert last is not None
    for trader in world.traders:
        for token in (world.market.base, world.market.quote):
            owner = trader.owner.address
            held = await read_market_balance(world.backend, world.deployment, owner, world.market_id, token)
            believed = ledger.allocation(owner, world.market_id, token, at_block=last.number)
            assert believed == held.allocated - held.pending
    for trade in ledger.settled_trades():
        lots = await read_filled_lots(world.backend, world.deployment, trade.maker_order)
        assert lots == trade.maker_to - trade.maker_from


async def test_random_trades_leave_in_the_vault_what_the_ledger_says(world: World) -> None:
    dice = random.Random(20261127)
    for size in (1, 6, 5):
        trades = await draw_trades(world, dice, size)
        gas = GAS_BASE + GAS_PER_ESCROW * len(trades)
        await world.lane.submit(world.deployment.settlement, encode_settle(trades), gas=gas)
    ledger, facts = await read_ledger(world)
    settled = [fact for fact in facts if isinstance(fact, TradeSettled)]
    assert len(settled) >= 3
    assert any(fact.fee > 0 for fact in settled)
    assert any(fact.security > 0 for fact in settled)
    assert any(isinstance(fact, Defaulted) for fact in facts)
    await assert_same(world, ledger)


async def test_what_owners_undo_and_put_up_is_known(world: World) -> None:
    vault, settlement = world.deployment.vault, world.deployment.settlement
    _, trade = await world.trade()
    order = trade.maker.order
    second = (await world.trade(maker=1, taker=2))[1].maker.order
    await act(world, 0, settlement, settlement_contract().encode_call("cancel", order_fields(order)))
    await act(world, 1, settlement, settlement_contract().encode_call("cancelUpTo", second.session, second.nonce))
    await act(world, 2, vault, vault_contract().encode_call("revokeAllSessions"))
    capped, caps = dev_key("capped session").address, [(world.market.base, 5)]
    call = vault_contract().encode_call("authoriseCappedSession", capped, Scope.TICKET, 2**33, caps)
    await act(world, 1, vault, call)
    native = Address(bytes(20))
    deposit = vault_contract().encode_call("deposit", native, 3 * COIN_WEI)
    owner = world.traders[2].owner.address
    await world.lane.submit(owner, b"", gas=30_000, value_wei=4 * COIN_WEI)
    await act(world, 2, vault, deposit, value_wei=3 * COIN_WEI)
    await act(world, 2, vault, vault_contract().encode_call("bond", BONDED))
    ledger, facts = await read_ledger(world)
    last = ledger.last_block
    assert last is not None
    assert ledger.settled_lots(trade.ticket.maker_order, order, at_block=last.number) == [(0, order.quantity_lots)]
    before = world.deployment.deployed_at_block
    assert ledger.settled_lots(trade.ticket.maker_order, order, at_block=before) == []
    for below in (trade.taker.order, second):  # both of one session, the second one named
        order_id = Digests(world.deployment.domain).order(below)
        assert ledger.settled_lots(order_id, below, at_block=last.number) == [(0, below.quantity_lots)]
    session = world.traders[2].session.address
    assert ledger.is_capped(capped)
    assert not ledger.is_capped(session)
    assert SessionRevoked(owner=owner, session=session) in facts
    assert ledger.session(session, at_block=last.number) is None
    assert BondChanged(owner=owner, amount=BONDED) in facts
    await assert_same(world, ledger)
