"""Sending through crashes and outages: nothing twice, nothing lost, no nonce left out."""

from dataclasses import replace

import pytest
import trio
from breakable import BreakableChain, BreakableIntents, Killed, Killer
from chain_under_test import ChainUnderTest
from chain_world import World, dev_key, faucet_key
from settler_run import Run, settling

from orrange_p2p.chain.backend import TransactionRefused
from orrange_p2p.chain.contracts import token_contract
from orrange_p2p.chain.fees import FeeAboveCap, FeePolicy
from orrange_p2p.chain.lane import SentTransaction, TransactionLane
from orrange_p2p.chain.settler import Fate
from orrange_p2p.core.types import Address, SignedTrade, TicketDigest
from orrange_p2p.errors import EscrowReverted
from orrange_p2p.store.interface import Store
from orrange_p2p.testing.store import MemoryDisk

NOBODY = Address(b"\x0b" * 20)
COIN_WEI = 10**18


def open_store() -> Store:
    """A store that outlives every lane of a test."""
    return MemoryDisk().open("store", create=True, network_id=bytes(32))


def make_lane(world: World, store: Store, killer: Killer, *, key: str = "submitter") -> TransactionLane:
    """The lane of a process that begins, on what earlier ones left in the store."""
    signer = dev_key(key, 7)
    log = BreakableIntents(store, signer.address)
    log.killer = killer
    return TransactionLane(BreakableChain(world.backend, killer), signer, log=log)  # type: ignore[arg-type]


async def fund(world: World, lane: TransactionLane) -> None:
    await world.lane.submit(lane.address, b"", gas=21_000, value_wei=COIN_WEI)


async def minted(world: World) -> int:
    balance = await world.backend.call(world.market.base, token_contract().encode_call("balanceOf", NOBODY))
    return int.from_bytes(balance, "big")


async def send_three(world: World, lane: TransactionLane) -> None:
    """Mint 1, 10 and 100; in between a call that the contract refuses."""
    for amount in (1, 10):
        await lane.wait(
            await lane.send(world.market.base, token_contract().encode_call("mint", NOBODY, amount), gas=100_000)
        )
    with pytest.raises(EscrowReverted):
        await lane.submit(world.market.base, b"\x00", gas=100_000)
    await lane.submit(world.market.base, token_contract().encode_call("mint", NOBODY, 100), gas=100_000)


@pytest.mark.parametrize("kind", ["embedded"])
async def test_a_lane_killed_at_any_step_sends_each_intent_once_and_leaves_no_gap(world: World) -> None:
    dry = Killer()
    lane = make_lane(world, open_store(), dry, key="dry run")
    await fund(world, lane)
    await send_three(world, lane)
    assert dry.steps.count("before send") == 4
    assert dry.steps.count("before strike") == 1
    for at in range(len(dry.steps)):
        store, before = open_store(), await minted(world)
        killer = Killer(at)
        lane = make_lane(world, store, killer, key=f"killed at {at}")
        await fund(world, lane)
        with pytest.raises(Killed):
            await send_three(world, lane)
        meant = [1, 10, 0, 100][: killer.steps.count("after intent")]
        again = make_lane(world, store, Killer(), key=f"killed at {at}")
        last = await again.send(world.market.base, token_contract().encode_call("mint", NOBODY, 1000), gas=100_000)
        assert last.nonce == len(meant), killer.steps
        assert await world.backend.transaction_count(again.address) == len(meant) + 1, killer.steps
        for sent in again.unfinished():
            try:
                await again.wait(sent)
            except EscrowReverted:
                assert sent.nonce == 2
        assert await minted(world) == before + sum(meant) + 1000, killer.steps
        assert again.unfinished() == ()


async def settle_all(world: World, lane: TransactionLane, trades: dict[TicketDigest, SignedTrade]) -> Run:
    """A process that settles trades and ends once it knows all of them settled, or is killed."""
    run = Run(world, lane)
    run.feeds.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run.settler.run)
        nursery.start_soon(run.feed, world.backend)
        for ticket, trade in trades.items():
            assert run.settler.enqueue(ticket, trade)
        await run.until(len(trades))
        nursery.cancel_scope.cancel()
    return run


@pytest.mark.parametrize("kind", ["embedded"])
@pytest.mark.parametrize("at", range(4))
async def test_a_settler_killed_at_any_step_submits_each_ticket_once(world: World, at: int) -> None:
    store, trades = open_store(), dict([await world.trade(lots=1) for _ in range(3)])
    killer = Killer(at)
    lane = make_lane(world, store, killer)
    await fund(world, lane)
    with pytest.raises(BaseExceptionGroup) as ended:
        await settle_all(world, lane, trades)
    assert ended.group_contains(Killed)
    again = make_lane(world, store, Killer())
    was_written = "after intent" in killer.steps
    assert len(again.unfinished()) == was_written
    run = await settle_all(world, again, trades)
    assert {outcome.fate for outcome in run.outcomes.values()} == {Fate.SETTLED}
    assert run.settler.statistics()["transactions"] == (0 if was_written else 1)
    assert await world.backend.transaction_count(again.address) == 1


@pytest.mark.parametrize("kind", ["embedded"])
async def test_a_ticket_that_was_skipped_before_the_crash_is_not_sent_again(world: World) -> None:
    store = open_store()
    ticket, trade = await world.trade()
    trades = {ticket: replace(trade, taker_signature=trade.maker_signature)}
    lane = make_lane(world, store, Killer())
    await fund(world, lane)
    for transactions in (1, 0):
        run = await settle_all(world, lane, trades)
        assert run.outcomes[ticket].reason == "signature"
        assert run.settler.statistics()["transactions"] == transactions
        lane = make_lane(world, store, Killer())


@pytest.mark.parametrize("kind", ["embedded"])
async def test_a_lost_answer_is_no_second_transaction(world: World) -> None:
    chain = BreakableChain(world.backend)
    lane = TransactionLane(chain, faucet_key())  # type: ignore[arg-type]
    first = await world.backend.transaction_count(lane.address)
    chain.loses_answers = True
    payload = token_contract().encode_call("mint", NOBODY, 5)
    assert (await lane.submit(world.market.base, payload, gas=100_000)).is_success
    assert (await lane.submit(world.market.base, payload, gas=100_000)).is_success
    assert await world.backend.transaction_count(lane.address) == first + 2
    assert await minted(world) == 10
    assert lane.statistics()["doubtful"] == 1


@pytest.mark.parametrize("kind", ["embedded"])
async def test_no_chain_for_longer_than_all_attempts_loses_no_ticket(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orrange_p2p.chain.settler._RETRY_PAUSE_S", 0)
    chain = BreakableChain(world.backend)
    run = Run(world, TransactionLane(chain, faucet_key()))  # type: ignore[arg-type]
    run.feeds.set()
    chain.is_gone = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run.settler.run)
        nursery.start_soon(run.feed, world.backend)
        ticket, trade = await world.trade()
        run.settler.enqueue(ticket, trade)
        with trio.fail_after(10):
            while run.settler.statistics()["held_back"] < 8:  # type: ignore[operator]
                await trio.sleep(0.01)
        chain.is_gone = False
        await run.until(1)
        nursery.cancel_scope.cancel()
    assert run.outcomes[ticket].fate is Fate.SETTLED
    assert run.settler.statistics()["transactions"] == 1


@pytest.mark.parametrize("kind", ["rpc"])
async def test_a_settlement_that_the_chain_took_back_is_the_same_transaction_again(
    world: World, chain: ChainUnderTest
) -> None:
    ticket, trade = await world.trade()
    async with settling(world) as run:
        snapshot = await chain.ask("evm_snapshot")
        run.settler.enqueue(ticket, trade)
        await run.until(1)
        with trio.fail_after(60):
            while world.lane.unfinished():
                await trio.sleep(0.01)
        nonce = await world.backend.transaction_count(world.lane.address)
        run.outcomes.clear()
        assert await chain.ask("evm_revert", snapshot)
        assert await world.backend.transaction_count(world.lane.address) == nonce - 1
        with trio.fail_after(60):
            await run.taken_back.wait()
        run.settler.enqueue(ticket, trade)
        await run.until(1)
    assert run.outcomes[ticket].fate is Fate.SETTLED
    assert run.settler.statistics()["transactions"] == 1
    assert await world.backend.transaction_count(world.lane.address) == nonce


async def send_and_stick(chain: ChainUnderTest, lane: TransactionLane, base_fee_wei: int) -> SentTransaction:
    """A transaction that has become too cheap; tried again where a block was quicker. Blocks are made again then."""
    await chain.hold_blocks()
    while True:
        sent = await lane.send(NOBODY, b"", gas=21_000, value_wei=1)
        await chain.ask("anvil_setNextBlockBaseFeePerGas", hex(base_fee_wei))
        if await chain.backend.receipt(sent.hash) is None:
            chain.mines = True
            return sent
        await lane.wait(sent)


@pytest.mark.parametrize("kind", ["rpc"])
async def test_a_stuck_transaction_is_replaced_by_a_dearer_one_and_followed_under_both_hashes(
    chain: ChainUnderTest,
) -> None:
    lane = TransactionLane(chain.backend, faucet_key(), dearer_after_s=0)
    sent = await send_and_stick(chain, lane, 100 * 10**9)
    receipt = await lane.wait(sent, deadline_s=30)
    assert receipt.is_success
    assert receipt.transaction != sent.hash
    assert lane.statistics()["dearer"] >= 1


@pytest.mark.parametrize("kind", ["rpc"])
async def test_a_stuck_transaction_is_not_replaced_above_the_cap(chain: ChainUnderTest) -> None:
    fees = await chain.backend.fees()
    cap_wei = fees.base_fee_wei + fees.priority_fee_wei
    lane = TransactionLane(chain.backend, faucet_key(), fee_policy=FeePolicy(cap_wei=cap_wei), dearer_after_s=0)
    sent = await send_and_stick(chain, lane, 5 * cap_wei)
    assert (await lane.wait(sent, deadline_s=30)).transaction == sent.hash
    assert lane.statistics()["capped"] >= 1
    assert lane.statistics()["dearer"] == 0


async def test_gas_above_the_cap_is_refused_with_the_figures_and_nothing_is_sent(world: World) -> None:
    lane = TransactionLane(world.backend, faucet_key(), fee_policy=FeePolicy(cap_wei=7))
    before = await world.backend.transaction_count(lane.address)
    with pytest.raises(FeeAboveCap, match=r"at most 7 wei \(max_fee_cap_wei\), was \d{9,}: nothing was sent"):
        await lane.submit(NOBODY, b"", gas=21_000)
    assert issubclass(FeeAboveCap, TransactionRefused)
    assert await world.backend.transaction_count(lane.address) == before
