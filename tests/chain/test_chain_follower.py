"""The follower delivers every block once, in order, as exact facts; through outages, and not past a reorganisation."""

import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
from chain_under_test import FAUCET_WEI, TICK_S, ChainUnderTest
from chain_world import BASE_ALLOCATED, DELAY_S, LOT_SIZE, QUOTE_ALLOCATED, TICK_SIZE, World, build_world, faucet_key

from orrange_p2p.chain.anvil import RunningAnvil, run_anvil
from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.balances import read_market_balance
from orrange_p2p.chain.contracts import encode_settle, vault_contract
from orrange_p2p.chain.deployment import Deployment
from orrange_p2p.chain.follower import Follower, Item, TakenBack
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.rpc import open_rpc
from orrange_p2p.core.facts import BlockFacts, FundsChanged, SessionAuthorised, SessionRevoked, TradeSettled
from orrange_p2p.core.types import Address, Digest, Scope
from orrange_p2p.testing.relay import run_relay

SETTLE_GAS = 700_000


@asynccontextmanager
async def following(
    backend: Backend, deployment: Deployment, start_block: int | None = None
) -> AsyncIterator["Reading"]:
    """A running follower and what it delivered so far."""
    follower = Follower(backend, deployment, start_block=start_block, page_blocks=7, backoff_max_s=0.3)
    sink, source = trio.open_memory_channel[Item](4)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follower.run, sink)
        yield Reading(follower, source)
        nursery.cancel_scope.cancel()


class Reading:
    """Blocks received from a follower, without those that it said are gone."""

    def __init__(self, follower: Follower, source: "trio.MemoryReceiveChannel[Item]") -> None:
        self.follower = follower
        self.source = source
        self.blocks: list[BlockFacts] = []
        self.gone: list[TakenBack] = []

    async def until(self, number: int) -> None:
        """Receive up to block `number`."""
        with trio.fail_after(20):
            while not self.blocks or self.blocks[-1].number < number:
                item = await self.source.receive()
                if isinstance(item, BlockFacts):
                    self.blocks.append(item)
                else:
                    self.gone.append(item)
                    self.blocks = [block for block in self.blocks if block.number <= item.to_block]

    def usable(self, owner: Address, token: Address) -> int:
        """What funds facts alone say."""
        changes = [fact for block in self.blocks for fact in block.facts if isinstance(fact, FundsChanged)]
        return sum(fact.delta for fact in changes if (fact.owner, fact.token) == (owner, token))


async def test_every_block_comes_once_in_order_from_the_deployment_on(world: World) -> None:
    head = await world.backend.head()
    async with following(world.backend, world.deployment) as reading:
        await reading.until(head.number + 10)
    numbers = [block.number for block in reading.blocks]
    assert numbers == list(range(world.deployment.deployed_at_block, numbers[-1] + 1))
    for parent, child in pairwise(reading.blocks):
        assert child.parent_hash == parent.hash
        assert child.time_s >= parent.time_s
    assert int(reading.follower.statistics()["blocks"]) >= len(numbers)


async def test_funding_becomes_facts(world: World) -> None:
    async with following(world.backend, world.deployment) as reading:
        await reading.until((await world.backend.head()).number)
    facts = [fact for block in reading.blocks for fact in block.facts]
    for trader in world.traders:
        owner = trader.owner.address
        assert FundsChanged(owner=owner, market=world.market_id, token=world.market.base, delta=BASE_ALLOCATED) in facts
        assert (
            FundsChanged(owner=owner, market=world.market_id, token=world.market.quote, delta=QUOTE_ALLOCATED) in facts
        )
        (session,) = [fact for fact in facts if isinstance(fact, SessionAuthorised) and fact.owner == owner]
        assert session.session == trader.session.address
        assert session.scope == Scope.TICKET | Scope.TRADE
    assert len(facts) == 6


async def test_a_revocation_is_a_fact(world: World) -> None:
    trader = world.traders[0]
    payload = vault_contract().encode_call("revokeSession", trader.session.address)
    receipt = await TransactionLane(world.backend, trader.owner).submit(world.deployment.vault, payload, gas=100_000)
    async with following(world.backend, world.deployment, receipt.block_number) as reading:
        await reading.until(receipt.block_number)
    revoked = SessionRevoked(owner=trader.owner.address, session=trader.session.address)
    assert [fact for block in reading.blocks for fact in block.facts] == [revoked]


async def deallocate(world: World, chain: ChainUnderTest, amount: int, spent_lots: int) -> int:
    """Ask `amount` base units of trader 0 out of the market, let a trade spend, execute; the last block's number."""
    lane = TransactionLane(world.backend, world.traders[0].owner)
    vault, token = world.deployment.vault, world.market.base
    request = vault_contract().encode_call("requestDeallocation", world.market_id, token, amount)
    await lane.submit(vault, request, gas=150_000)
    if spent_lots:
        _, trade = await world.trade(lots=spent_lots, price_ticks=1)
        receipt = await world.lane.submit(world.deployment.settlement, encode_settle((trade,)), gas=SETTLE_GAS)
        assert len(receipt.logs) == 1
    await chain.mine(DELAY_S + 2)
    execute = vault_contract().encode_call("executeDeallocation", world.market_id, token)
    return (await lane.submit(vault, execute, gas=150_000)).block_number


@pytest.mark.parametrize(("amount_lots", "spent_lots"), [(300, 0), (300, 700), (300, 900), (1_000, 1_000)])
async def test_usable_funds_stay_exact_when_trades_eat_what_was_asked_to_leave(
    world: World, chain: ChainUnderTest, amount_lots: int, spent_lots: int
) -> None:
    last = await deallocate(world, chain, amount_lots * LOT_SIZE, spent_lots)
    owner, token = world.traders[0].owner.address, world.market.base
    async with following(world.backend, world.deployment) as reading:
        await reading.until(last)
    sold = [fact for block in reading.blocks for fact in block.facts if isinstance(fact, TradeSettled)]
    usable = reading.usable(owner, token) - sum((fact.maker_to - fact.maker_from) * LOT_SIZE for fact in sold)
    balance = await read_market_balance(world.backend, world.deployment, owner, world.market_id, token)
    assert balance.pending == 0
    assert (
        usable
        == balance.allocated
        == BASE_ALLOCATED
        - max(amount_lots * LOT_SIZE, 0)
        - spent_lots * LOT_SIZE
        + max(0, (amount_lots + spent_lots) * LOT_SIZE - BASE_ALLOCATED)
    )


async def test_a_restart_in_the_middle_still_knows_what_was_requested(world: World, chain: ChainUnderTest) -> None:
    last = await deallocate(world, chain, 300 * LOT_SIZE, 900)
    async with following(world.backend, world.deployment, last) as reading:
        await reading.until(last)
    (fact,) = reading.blocks[0].facts
    assert isinstance(fact, FundsChanged)
    assert fact.delta == 200 * LOT_SIZE  # 300 lots were asked to leave, trades had left 100


async def test_a_settled_trade_is_a_fact_in_its_block(world: World) -> None:
    ticket, trade = await world.trade(lots=4, price_ticks=25)
    receipt = await world.lane.submit(world.deployment.settlement, encode_settle((trade,)), gas=SETTLE_GAS)
    async with following(world.backend, world.deployment, receipt.block_number) as reading:
        await reading.until(receipt.block_number)
    (fact,) = reading.blocks[0].facts
    assert isinstance(fact, TradeSettled)
    assert (fact.ticket, fact.price_ticks, fact.maker_to) == (ticket, 25, 4)
    assert world.market.quote_amount(fact.price_ticks, 4) == 25 * TICK_SIZE * 4


async def test_a_slow_reader_loses_nothing(world: World) -> None:
    async with following(world.backend, world.deployment) as reading:
        await trio.sleep(20 * TICK_S)  # more blocks than the channel holds
        await reading.until((await world.backend.head()).number)
    numbers = [block.number for block in reading.blocks]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))


async def test_a_chain_that_left_what_an_earlier_run_read_is_read_from_where_it_did(world: World) -> None:
    head = (await world.backend.head()).number
    refs = await world.backend.blocks(head - 5, head)
    known = [(ref.number, ref.hash if ref.number < head - 2 else Digest(b"\x01" * 32)) for ref in refs]
    follower = Follower(world.backend, world.deployment, start_block=head + 1, known=known)
    sink, source = trio.open_memory_channel[Item](1)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.run, sink)
            assert await source.receive() == TakenBack(to_block=head - 3)
            block = await source.receive()
            assert isinstance(block, BlockFacts)
            assert (block.number, block.parent_hash) == (head - 2, known[2][1])
            nursery.cancel_scope.cancel()


async def test_a_chain_that_left_everything_remembered_is_read_anew_from_the_deployment(world: World) -> None:
    head = (await world.backend.head()).number
    known = [(head - 1, Digest(b"\x01" * 32)), (head, Digest(b"\x02" * 32))]
    follower = Follower(world.backend, world.deployment, start_block=head + 1, known=known)
    sink, source = trio.open_memory_channel[Item](1)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.run, sink)
            assert await source.receive() == TakenBack(to_block=world.deployment.deployed_at_block - 1)
            block = await source.receive()
            assert isinstance(block, BlockFacts)
            assert block.number == world.deployment.deployed_at_block
            nursery.cancel_scope.cancel()
    assert follower.statistics()["deepest"] == head - world.deployment.deployed_at_block + 1


async def test_the_right_parent_lets_it_go_on(world: World) -> None:
    parent, *_ = await world.backend.blocks((await world.backend.head()).number, 10**6)  # mined meanwhile: more
    follower = Follower(
        world.backend, world.deployment, start_block=parent.number + 1, known=[(parent.number, parent.hash)]
    )
    sink, source = trio.open_memory_channel[Item](1)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.run, sink)
            block = await source.receive()
            assert isinstance(block, BlockFacts)
            assert block.number == parent.number + 1
            nursery.cancel_scope.cancel()


async def test_a_lost_chain_is_waited_for_and_nothing_is_missed(anvil: RunningAnvil) -> None:
    port = int(anvil.url.rsplit(":", 1)[1])
    async with (
        run_relay(port) as relay,
        open_rpc(anvil.url) as direct,
        open_rpc(relay.url, poll_interval_s=TICK_S) as rpc,
    ):
        chain = ChainUnderTest(backend=direct, kind="rpc", url=anvil.url)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(chain.keep_mining)
            world = await build_world(direct, label="lost chain")
            async with following(rpc, world.deployment) as reading:
                await reading.until((await direct.head()).number)
                relay.cut()
                ticket, trade = await world.trade()
                receipt = await world.lane.submit(world.deployment.settlement, encode_settle((trade,)), gas=SETTLE_GAS)
                with trio.fail_after(20):
                    while reading.follower.statistics()["is_reachable"]:
                        await trio.sleep(0.05)
                assert "cannot be reached" in str(reading.follower.statistics()["doubt"])
                relay.mend()
                await reading.until(receipt.block_number + 5)
            nursery.cancel_scope.cancel()
    numbers = [block.number for block in reading.blocks]
    assert numbers == list(range(world.deployment.deployed_at_block, numbers[-1] + 1))
    settled = [fact.ticket for block in reading.blocks for fact in block.facts if isinstance(fact, TradeSettled)]
    assert settled == [ticket]
    statistics = reading.follower.statistics()
    assert statistics["is_reachable"] == 1
    assert statistics["doubt"] == ""
    assert int(statistics["interruptions"]) >= 1


@pytest.mark.usefixtures("anvil")
async def test_a_chain_that_takes_blocks_back_is_followed_into_its_new_ones() -> None:
    async with run_anvil(balances_wei={faucet_key().address: FAUCET_WEI}) as running, open_rpc(running.url) as rpc:
        chain = ChainUnderTest(backend=rpc, kind="rpc", url=running.url)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(chain.keep_mining)
            world = await build_world(rpc, label="reorganised")
            await chain.hold_blocks()
            await trio.sleep(5 * TICK_S)
            snapshot, fork = await chain.ask("evm_snapshot"), (await rpc.head()).number
            await chain.mine()
            await chain.mine()
            async with following(rpc, world.deployment) as reading:
                await reading.until(fork + 2)
                assert await chain.ask("evm_revert", snapshot) is True
                for _ in range(3):
                    await chain.mine(seconds=50)
                await reading.until(fork + 3)
            new = await rpc.blocks(fork + 1, fork + 3)
            assert [block.hash for block in reading.blocks[-3:]] == [ref.hash for ref in new]
            assert reading.gone == [TakenBack(to_block=fork)]
            nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("anvil")
async def test_what_was_asked_to_leave_is_known_again_where_the_chain_took_back_that_it_left() -> None:
    async with run_anvil(balances_wei={faucet_key().address: FAUCET_WEI}) as running, open_rpc(running.url) as rpc:
        chain = ChainUnderTest(backend=rpc, kind="rpc", url=running.url)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(chain.keep_mining)
            world = await build_world(rpc, label="taken back")
            async with following(rpc, world.deployment) as reading:
                last = await deallocate(world, chain, 300 * LOT_SIZE, 900)
                await reading.until(last)
                await chain.hold_blocks()
                await chain.ask("anvil_reorg", (await rpc.head()).number - last + 1, [])
                chain.mines = True
                execute = vault_contract().encode_call("executeDeallocation", world.market_id, world.market.base)
                lane = TransactionLane(rpc, world.traders[0].owner)
                again = (await lane.submit(world.deployment.vault, execute, gas=150_000)).block_number
                await reading.until(again)
            nursery.cancel_scope.cancel()
    facts = [(block.number, fact) for block in reading.blocks for fact in block.facts if block.number >= last]
    ((number, fact),) = facts
    assert isinstance(fact, FundsChanged)
    assert (number, fact.delta) == (again, 200 * LOT_SIZE)  # as in the block that is gone
    assert reading.gone


async def test_a_chain_far_behind_what_was_read_is_waited_for_and_says_so(world: World) -> None:
    follower = Follower(world.backend, world.deployment, start_block=10**6, known=[(10**6 - 1, Digest(b"\x02" * 32))])
    sink, source = trio.open_memory_channel[Item](10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follower.run, sink)
        with trio.fail_after(10):
            while "check that it was not started anew" not in str(follower.statistics()["doubt"]):
                await trio.sleep(0.02)
        nursery.cancel_scope.cancel()
    with pytest.raises(trio.EndOfChannel):
        source.receive_nowait()


@pytest.mark.usefixtures("anvil")
async def test_a_chain_started_anew_is_noticed_although_it_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orrange_p2p.chain.follower._SILENCE_S", 0.2)
    faucet = {faucet_key().address: FAUCET_WEI}
    async with run_anvil(balances_wei=faucet, genesis_time_s=1_700_000_000, block_time_s=60) as first:
        port = int(first.url.rsplit(":", 1)[1])
        async with open_rpc(first.url, poll_interval_s=TICK_S) as rpc, trio.open_nursery() as nursery:
            await ChainUnderTest(backend=rpc, kind="rpc", url=first.url).mine()
            follower = Follower(rpc, NOT_DEPLOYED, backoff_max_s=0.3)
            sink, source = trio.open_memory_channel[Item](10)
            nursery.start_soon(follower.run, sink)
            with trio.fail_after(20):
                for number in (0, 1):
                    block = await source.receive()
                    assert isinstance(block, BlockFacts)
                    assert block.number == number
            os.kill(first.pid, signal.SIGKILL)
            await wait_port_free(port)
            async with run_anvil(balances_wei=faucet, port=port, genesis_time_s=1_600_000_000, block_time_s=60):
                with trio.fail_after(20):
                    assert await source.receive() == TakenBack(to_block=-1)
                    block = await source.receive()
                    assert isinstance(block, BlockFacts)
                    assert (block.number, block.time_s) == (0, 1_600_000_000)
            nursery.cancel_scope.cancel()


async def wait_port_free(port: int) -> None:
    """Wait until a killed process has let go of its port."""
    with trio.fail_after(10):
        while True:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    pass
                else:
                    return
            await trio.sleep(0.05)


NOT_DEPLOYED = Deployment(
    chain_id=31337,
    vault=Address(b"\x0d" * 20),
    settlement=Address(b"\x0e" * 20),
    deployed_at_block=0,
    genesis_ms=0,
    epoch_ms=1,
    ticket_life_s=1,
    fund_lag_s=0,
)
