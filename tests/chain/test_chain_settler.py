"""The settler: batches, fates learnt from facts, nothing sent twice at once; on the embedded chain, some on both."""

from dataclasses import replace

import pytest
import trio
import trio.testing
from chain_under_test import ChainUnderTest
from chain_world import TICKET_LIFE_S, World, faucet_key, new_key
from settler_run import FAST_MS, Run, settling

from orrange_p2p.chain.contracts import encode_settle
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.settler import Fate, SettlementOutcome, Settler
from orrange_p2p.core.facts import BlockFacts, TradeSkipped
from orrange_p2p.core.types import Digest, SignedTrade, TicketDigest


async def test_trades_settle_in_batches(world: World) -> None:
    trades = [await world.trade(lots=1) for _ in range(45)]
    async with settling(world) as run:
        for ticket, trade in trades:
            assert run.settler.enqueue(ticket, trade)
        await run.until(45)
    assert {outcome.fate for outcome in run.outcomes.values()} == {Fate.SETTLED}
    statistics = run.settler.statistics()
    assert statistics["settled"] == 45
    assert statistics["waiting"] == statistics["sent"] == 0
    assert statistics["transactions"] == 3
    assert statistics["trades_sent"] == 45


async def test_a_skipped_ticket_is_reported_with_its_reason(world: World) -> None:
    good, honest = await world.trade()
    bad, forged = await world.trade()
    forged = replace(forged, taker_signature=forged.maker_signature)
    grouped, in_group = await world.trade(ticket_changes={"group": b"\x01" * 32})
    async with settling(world) as run:
        for ticket, trade in ((bad, forged), (good, honest), (grouped, in_group)):
            run.settler.enqueue(ticket, trade)
        await run.until(3)
    assert run.outcomes[good].fate is Fate.SETTLED
    assert run.outcomes[bad] == SettlementOutcome(ticket=bad, fate=Fate.SKIPPED, reason="signature")
    assert run.outcomes[grouped] == SettlementOutcome(ticket=grouped, fate=Fate.SKIPPED, reason="grouped")
    assert run.settler.statistics()["skips"] == {"signature": 1, "grouped": 1}


async def test_the_same_ticket_is_not_taken_twice(world: World) -> None:
    ticket, trade = await world.trade()
    async with settling(world) as run:
        assert run.settler.enqueue(ticket, trade)
        assert not run.settler.enqueue(ticket, trade)
        await trio.sleep(0.1)
        assert not run.outcomes or run.settler.statistics()["trades_sent"] == 1
        await run.until(1)
    assert run.settler.statistics()["trades_sent"] == 1


async def test_a_ticket_that_somebody_else_settled_is_settled_for_us_too(world: World) -> None:
    ticket, trade = await world.trade()
    other = TransactionLane(world.backend, world.traders[0].owner)
    await other.submit(world.deployment.settlement, encode_settle((trade,)), gas=700_000)
    async with settling(world, feeds=False) as run:
        run.settler.enqueue(ticket, trade)
        with trio.fail_after(20):
            while not run.settler.statistics()["gas_used"]:
                await trio.sleep(0.01)
        assert run.outcomes == {}
        run.feeds.set()
        await run.until(1)
    assert run.outcomes[ticket].fate is Fate.SETTLED


async def test_a_stranger_that_makes_the_contract_skip_our_ticket_changes_nothing(world: World) -> None:
    ticket, trade = await world.trade()
    forged = replace(trade, taker_signature=trade.maker_signature)
    stranger = TransactionLane(world.backend, world.traders[0].owner)
    receipt = await stranger.submit(world.deployment.settlement, encode_settle((forged,)), gas=700_000)
    settler = Settler(world.lane, world.deployment.settlement)
    settler.enqueue(ticket, trade)
    skip = TradeSkipped(ticket=ticket, reason=1)
    zero = Digest(bytes(32))
    settler.observe(BlockFacts(number=receipt.block_number, hash=zero, parent_hash=zero, time_s=1, facts=(skip,)))
    assert settler.statistics()["waiting"] == 1
    async with settling(world) as run:
        run.settler.enqueue(ticket, trade)
        await run.until(1)
    assert run.outcomes[ticket].fate is Fate.SETTLED


async def test_a_ticket_past_its_deadline_is_expired_and_not_sent(world: World, chain: ChainUnderTest) -> None:
    ticket, trade = await world.trade()
    await chain.mine(TICKET_LIFE_S + 2)
    await chain.mine()
    run = Run(world)
    run.settler.enqueue(ticket, trade)
    zero = Digest(bytes(32))
    late = BlockFacts(number=1, hash=zero, parent_hash=zero, time_s=trade.ticket.deadline_s + 1)
    run.settler.observe(replace(late, time_s=trade.ticket.deadline_s))
    assert run.outcomes == {}
    run.settler.observe(late)
    assert run.outcomes[ticket].fate is Fate.EXPIRED
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run.settler.run)
        await trio.sleep(5 * FAST_MS / 1000)
        nursery.cancel_scope.cancel()
    assert run.settler.statistics()["transactions"] == 0


async def test_a_full_settler_refuses_and_says_so(world: World) -> None:
    _, trade = await world.trade()
    settler = Settler(world.lane, world.deployment.settlement, max_held=3)
    taken = [settler.enqueue(TicketDigest(bytes([index]) * 32), trade) for index in range(5)]
    assert taken == [True, True, True, False, False]
    assert settler.statistics()["waiting"] == 3
    assert not settler.enqueue_group({TicketDigest(b"\x07" * 32): trade})
    assert settler.statistics()["not_taken"] == 3


async def test_a_batch_that_fails_as_a_whole_goes_again_one_by_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orrange_p2p.chain.settler._RETRY_PAUSE_S", 0)
    trades = [await world.trade(lots=1) for _ in range(3)]
    monkeypatch.setattr("orrange_p2p.chain.settler.GAS_PER_TRADE", 60_000)  # enough for no batch of three
    monkeypatch.setattr("orrange_p2p.chain.settler.GAS_BASE", 180_000)  # and for one alone
    async with settling(world) as run:
        for ticket, trade in trades:
            run.settler.enqueue(ticket, trade)
        await run.until(3)
    assert [(outcome.fate, outcome.reason) for outcome in run.outcomes.values()] == [(Fate.SETTLED, "")] * 3
    statistics = run.settler.statistics()
    assert statistics["failed_transactions"] == 1
    assert statistics["transactions"] == 4


async def test_a_settler_without_coin_keeps_its_tickets_says_why_and_goes_on_when_it_has_some(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orrange_p2p.chain.settler._RETRY_PAUSE_S", 0)
    ticket, trade = await world.trade()
    poor = new_key("penniless")
    run = Run(world, TransactionLane(world.backend, poor))
    run.feeds.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run.settler.run)
        nursery.start_soon(run.feed, world.backend)
        run.settler.enqueue(ticket, trade)
        with trio.fail_after(20):
            while run.settler.statistics()["held_back"] < 6:  # type: ignore[operator]
                await trio.sleep(0.01)
        assert "insufficient funds" in str(run.settler.statistics()["held_back_for"]).lower()
        assert run.outcomes == {}
        await world.lane.submit(poor.address, b"", gas=21_000, value_wei=10**18)
        await run.until(1)
        nursery.cancel_scope.cancel()
    assert run.outcomes[ticket].fate is Fate.SETTLED
    assert run.settler.statistics()["held_back_for"] == ""


async def test_trades_of_many_senders_stay_apart(world: World) -> None:
    """Two nodes settle the same tickets: each ticket settles once, and both nodes hear of it."""
    trades: list[tuple[TicketDigest, SignedTrade]] = [await world.trade(lots=1) for _ in range(6)]
    rich = World(
        backend=world.backend,
        lane=TransactionLane(world.backend, world.traders[1].owner),
        deployment=world.deployment,
        market=world.market,
        market_id=world.market_id,
        traders=world.traders,
    )
    async with settling(world) as one, settling(rich) as two:
        for ticket, trade in trades:
            one.settler.enqueue(ticket, trade)
            two.settler.enqueue(ticket, trade)
        await one.until(6)
        await two.until(6)
    fates = [outcome.fate for run in (one, two) for outcome in run.outcomes.values()]
    assert fates == [Fate.SETTLED] * 12
    assert faucet_key().address == world.lane.address
