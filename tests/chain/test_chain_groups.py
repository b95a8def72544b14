"""FOK orders on both chains: all legs settle in one transaction or none does. Spec: [TICK-14], invariant S10."""

from dataclasses import replace

import pytest
import trio
from chain_under_test import ChainUnderTest
from chain_world import BASE_ALLOCATED, LOT_SIZE, World, build_world
from settler_run import settling

from orrange_p2p.chain.backend import Receipt
from orrange_p2p.chain.balances import read_filled_lots, read_market_balance
from orrange_p2p.chain.contracts import (
    encode_settle,
    encode_settle_group,
    settlement_contract,
    ticket_fields,
)
from orrange_p2p.chain.deployment import DEVELOPMENT_TERMS
from orrange_p2p.chain.fact_decoder import FactDecoder
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.settler import GAS_BASE, GAS_PER_TRADE, Fate, SettlementOutcome, Settler
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.facts import Defaulted, Fact, TradeSettled, TradeSkipped
from orrange_p2p.core.types import SignedTrade, TicketDigest

ALL_BASE_LOTS = BASE_ALLOCATED // LOT_SIZE


@pytest.fixture
async def world(chain: ChainUnderTest, request: pytest.FixtureRequest) -> World:
    """Three makers and a taker, the last one."""
    return await build_world(chain.backend, traders=4, label=request.node.nodeid)


async def settle_group(world: World, *legs: SignedTrade) -> list[Fact]:
    """Settle a group as a stranger would; returns what the chain says."""
    return facts_of(world, await send(world, encode_settle_group(legs), len(legs)))


async def send(world: World, payload: bytes, trades: int) -> Receipt:
    """Send a call with enough gas for so many trades."""
    return await world.lane.submit(world.deployment.settlement, payload, gas=GAS_BASE + GAS_PER_TRADE * trades)


def facts_of(world: World, receipt: Receipt) -> list[Fact]:
    """The facts in a receipt."""
    decoder = FactDecoder(vault=world.deployment.vault, settlement=world.deployment.settlement)
    return [fact for _, fact in decoder.decode([log for log in receipt.logs if log.address in decoder.addresses])]


async def balances(world: World) -> list[int]:
    """What every trader has allocated, base and quote."""
    amounts: list[int] = []
    for trader in world.traders:
        for token in (world.market.base, world.market.quote):
            owner = trader.owner.address
            balance = await read_market_balance(world.backend, world.deployment, owner, world.market_id, token)
            amounts.append(balance.allocated)
    return amounts


async def sell_all(world: World, maker: int) -> None:
    """A maker's base goes to the taker."""
    _, trade = await world.trade(lots=ALL_BASE_LOTS, price_ticks=1, maker=maker, taker=3)
    (fact,) = facts_of(world, await send(world, encode_settle((trade,)), 1))
    assert isinstance(fact, TradeSettled)


async def test_all_legs_settle_in_one_transaction(world: World) -> None:
    legs = await world.group((2, 3, 4))
    before = await balances(world)
    facts = await settle_group(world, *legs.values())
    assert [fact.ticket for fact in facts if isinstance(fact, TradeSettled)] == list(legs)
    moved = [after - then for after, then in zip(await balances(world), before, strict=True)]
    price = world.market.quote_amount(100, 1)
    gives = [amount for lots in (2, 3, 4) for amount in (-lots * LOT_SIZE, lots * price)]
    assert moved == [*gives, 9 * LOT_SIZE, -9 * price]
    (taker_order,) = {trade.ticket.taker_order for trade in legs.values()}
    assert await read_filled_lots(world.backend, world.deployment, taker_order) == 9


async def test_a_leg_whose_maker_has_no_funds_any_more_stops_all_and_is_named(world: World) -> None:
    legs = await world.group((2, 3, 4))
    await sell_all(world, maker=1)
    before = await balances(world)
    broke = list(legs)[1]
    seller, buyer = (legs[broke].maker.order.owner, legs[broke].taker.order.owner)
    assert await settle_group(world, *legs.values()) == [
        TradeSkipped(ticket=broke, reason=8),
        Defaulted(owner=seller, ticket=broke, victim=buyer, amount=DEVELOPMENT_TERMS["penalty"]),
    ]
    assert await balances(world) == before
    for trade in legs.values():
        assert await read_filled_lots(world.backend, world.deployment, trade.ticket.maker_order) == 0
        assert await read_filled_lots(world.backend, world.deployment, trade.ticket.taker_order) == 0


async def test_part_of_a_group_settles_neither_together_nor_alone(world: World) -> None:
    legs = await world.group((2, 3, 4))
    first, *rest = legs
    assert await settle_group(world, *(legs[leg] for leg in rest)) == [TradeSkipped(ticket=rest[0], reason=9)]
    receipt = await send(world, encode_settle(tuple(legs.values())), 3)
    assert facts_of(world, receipt) == [TradeSkipped(ticket=leg, reason=9) for leg in (first, *rest)]


async def test_the_contract_and_the_core_name_a_group_alike(world: World) -> None:
    tickets = [trade.ticket for trade in (await world.group((1, 2, 1, 3, 1))).values()]
    digests = Digests(world.deployment.domain)
    for order in (tickets, tickets[::-1], tickets[2:] + tickets[:2], tickets[:1]):
        question = settlement_contract().encode_call("groupDigest", [ticket_fields(ticket) for ticket in order])
        answer = await world.backend.call(world.deployment.settlement, question)
        assert answer == digests.group(order)
    assert digests.group(tickets) == tickets[0].group
    assert digests.group(tickets[:4]) != tickets[0].group


async def test_gas_limits_leave_a_fifth_to_spare_for_a_full_group(world: World) -> None:
    legs = await world.group((1,) * 16)
    receipt = await send(world, encode_settle_group(tuple(legs.values())), 16)
    assert len(facts_of(world, receipt)) == 16
    assert receipt.gas_used * 5 < (GAS_BASE + 16 * GAS_PER_TRADE) * 4


# The settler


async def test_a_group_goes_alone_and_single_tickets_in_batches_around_it(world: World) -> None:
    single = [await world.trade(lots=1) for _ in range(4)]
    legs = await world.group((1, 2, 3))
    async with settling(world) as run:
        for ticket, trade in single[:2]:
            assert run.settler.enqueue(ticket, trade)
        assert run.settler.enqueue_group(legs)
        for ticket, trade in single[2:]:
            assert run.settler.enqueue(ticket, trade)
        await run.until(7)
    assert {outcome.fate for outcome in run.outcomes.values()} == {Fate.SETTLED}
    statistics = run.settler.statistics()
    assert (statistics["transactions"], statistics["trades_sent"]) == (3, 7)
    assert statistics["waiting"] == statistics["sent"] == 0


async def test_a_group_that_is_passed_over_ends_for_every_leg_and_says_which_one_was_at_fault(world: World) -> None:
    legs = await world.group((2, 3, 4))
    await sell_all(world, maker=1)
    before = await balances(world)
    first, broke, last = legs
    async with settling(world) as run:
        run.settler.enqueue_group(legs)
        await run.until(3)
    assert await balances(world) == before
    reasons = {first: f"leg {broke.hex()}: funds", broke: "funds", last: f"leg {broke.hex()}: funds"}
    assert run.outcomes == {
        leg: SettlementOutcome(ticket=leg, fate=Fate.SKIPPED, reason=reason) for leg, reason in reasons.items()
    }
    assert run.settler.statistics()["skips"] == {"funds": 1, "another leg": 2}
    assert run.settler.statistics()["transactions"] == 1


async def test_a_group_that_somebody_else_settled_is_settled_for_us_too(world: World) -> None:
    legs = await world.group((1, 2))
    other = TransactionLane(world.backend, world.traders[0].owner)
    payload = encode_settle_group(tuple(legs.values()))
    await other.submit(world.deployment.settlement, payload, gas=GAS_BASE + 2 * GAS_PER_TRADE)
    async with settling(world, feeds=False) as run:
        run.settler.enqueue_group(legs)
        with trio.fail_after(20):
            while not run.settler.statistics()["gas_used"]:
                await trio.sleep(0.01)
        run.feeds.set()
        await run.until(2)
    assert [outcome.fate for outcome in run.outcomes.values()] == [Fate.SETTLED] * 2


async def test_a_group_is_not_taken_twice_nor_in_part(world: World) -> None:
    legs = await world.group((1, 2, 3))
    some = dict(list(legs.items())[1:])
    settler = Settler(world.lane, world.deployment.settlement, max_held=5)
    assert settler.enqueue_group(legs)
    assert not settler.enqueue_group(legs)
    assert not settler.enqueue_group(some)
    assert not any(settler.enqueue(leg, trade) for leg, trade in legs.items())
    others = {TicketDigest(bytes([index]) * 32): trade for index, trade in enumerate(legs.values())}
    assert not settler.enqueue_group(others)
    assert settler.statistics()["waiting"] == 3


async def test_a_group_whose_transaction_fails_goes_again_once_and_whole(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orrange_p2p.chain.settler._RETRY_PAUSE_S", 0.2)
    monkeypatch.setattr("orrange_p2p.chain.settler.GAS_PER_TRADE", 60_000)
    legs = await world.group((1, 2, 3))
    async with settling(world) as run:
        run.settler.enqueue_group(legs)
        with trio.fail_after(20):
            while not run.settler.statistics()["failed_transactions"]:
                await trio.sleep(0.01)
        monkeypatch.setattr("orrange_p2p.chain.settler.GAS_PER_TRADE", GAS_PER_TRADE)
        await run.until(3)
    assert {outcome.fate for outcome in run.outcomes.values()} == {Fate.SETTLED}
    statistics = run.settler.statistics()
    assert (statistics["transactions"], statistics["trades_sent"]) == (2, 6)


async def test_a_group_that_the_contract_refuses_costs_no_gas_and_is_given_up_with_the_decoded_reason(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orrange_p2p.chain.settler._RETRY_PAUSE_S", 0)
    legs = await world.group((1,) * 17)
    async with settling(world) as run:
        run.settler.enqueue_group(legs)
        await run.until(17)
    assert {(outcome.fate, outcome.reason) for outcome in run.outcomes.values()} == {
        (Fate.FAILED, "the contract refused the transaction: GroupSize(legs=17, most=16)")
    }
    statistics = run.settler.statistics()
    assert (statistics["failed_transactions"], statistics["transactions"]) == (5, 0)


async def test_a_leg_that_nobody_signed_is_named_for_its_signature(world: World) -> None:
    legs = await world.group((1, 2))
    forged = list(legs)[1]
    legs[forged] = replace(legs[forged], maker_signature=legs[forged].taker_signature)
    async with settling(world) as run:
        run.settler.enqueue_group(legs)
        await run.until(2)
    assert run.outcomes[forged].reason == "signature"
