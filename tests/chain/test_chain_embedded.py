"""What the embedded chain promises beyond `Backend`: its clock, its determinism, its pool."""

import subprocess
import sys

import pytest
import trio
import trio.testing
from chain_under_test import FAUCET_WEI, GENESIS_S, ManualClock
from chain_world import dev_key, faucet_key

from orrange_p2p.chain.account import TransactionFields
from orrange_p2p.chain.backend import TransactionRefused
from orrange_p2p.chain.embedded import EmbeddedChain
from orrange_p2p.core.types import Address
from orrange_p2p.errors import ChainUnavailable
from orrange_p2p.keys.session import SessionKey

NOBODY = Address(b"\x0f" * 20)
LOOP = bytes.fromhex("5b600056")  # JUMPDEST, PUSH1 0, JUMP: burns all the gas it is given


def make_chain(clock: ManualClock, *keys: SessionKey, chain_id: int = 31337, gas: int = 30_000_000) -> EmbeddedChain:
    """A chain on which these keys are rich."""
    return EmbeddedChain(
        now_ms=clock.now_ms,
        genesis_time_s=GENESIS_S,
        balances_wei={key.address: FAUCET_WEI for key in keys or (faucet_key(),)},
        chain_id=chain_id,
        block_gas_limit=gas,
    )


def transfer(key: SessionKey, nonce: int, *, value_wei: int = 1, gas: int = 21_000, max_fee_wei: int = 10**10) -> bytes:
    """A signed transfer."""
    return TransactionFields(
        chain_id=31337,
        nonce=nonce,
        priority_fee_wei=10**9,
        max_fee_wei=max_fee_wei,
        gas=gas,
        to=NOBODY,
        value_wei=value_wei,
        payload=b"",
    ).signed_by(key)


async def test_the_same_arguments_and_transactions_give_the_same_hashes() -> None:
    heads = []
    for _ in range(2):
        clock = ManualClock(GENESIS_S)
        chain = make_chain(clock)
        for nonce in range(3):
            clock.ms += 1_500
            await chain.send_raw(transfer(faucet_key(), nonce))
            await chain.mine()
        heads.append(await chain.head())
    assert heads[0] == heads[1]
    other = await make_chain(ManualClock(GENESIS_S), dev_key("faucet", 2)).head()
    assert other.hash != (await make_chain(ManualClock(GENESIS_S)).head()).hash


async def test_blocks_carry_the_clocks_time_and_transactions_see_it() -> None:
    clock = ManualClock(GENESIS_S)
    chain = make_chain(clock)
    clock.ms = (GENESIS_S + 500) * 1000 + 999
    code = bytes.fromhex("4260005260206000f3")  # returns the block's time as the contract's code
    raw = TransactionFields(
        chain_id=31337,
        nonce=0,
        priority_fee_wei=10**9,
        max_fee_wei=10**10,
        gas=200_000,
        to=None,
        value_wei=0,
        payload=code,
    ).signed_by(faucet_key())
    digest = await chain.send_raw(raw)
    block = await chain.mine()
    assert block.time_s == GENESIS_S + 500
    receipt = await chain.receipt(digest)
    assert receipt is not None
    assert receipt.contract is not None
    assert int.from_bytes(await chain.code(receipt.contract), "big") == GENESIS_S + 500


async def test_blocks_made_faster_than_the_clock_still_grow() -> None:
    chain = make_chain(ManualClock(GENESIS_S))
    times = [(await chain.mine()).time_s for _ in range(3)]
    assert times == [GENESIS_S + 1, GENESIS_S + 2, GENESIS_S + 3]


async def test_the_timer_makes_an_empty_block_each_second() -> None:
    start = trio.current_time()
    chain = EmbeddedChain(
        now_ms=lambda: GENESIS_S * 1000 + int((trio.current_time() - start) * 1000),
        genesis_time_s=GENESIS_S,
        balances_wei={},
    )
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(chain.run)
            head = await chain.wait_head_above(1)
            passed_s = int(trio.current_time() - start)
            nursery.cancel_scope.cancel()
    assert head.number <= passed_s
    assert GENESIS_S + head.number <= head.time_s <= GENESIS_S + passed_s


async def test_the_timer_makes_no_block_while_the_clock_stands_and_one_after_a_gap() -> None:
    clock = ManualClock(GENESIS_S)
    chain = make_chain(clock)
    with trio.move_on_after(0.1):
        await chain.run()
    assert (await chain.head()).number == 0
    clock.ms += 7_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chain.run)
        with trio.fail_after(10):
            await chain.wait_head_above(0)
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    head = await chain.head()
    assert (head.number, head.time_s) == (1, GENESIS_S + 7)


async def test_twenty_transactions_of_one_sender_share_a_block() -> None:
    chain = make_chain(ManualClock(GENESIS_S))
    digests = [await chain.send_raw(transfer(faucet_key(), nonce)) for nonce in reversed(range(20))]
    assert await chain.transaction_count(faucet_key().address) == 20
    block = await chain.mine()
    receipts = [await chain.receipt(digest) for digest in digests]
    assert {receipt.block_number for receipt in receipts if receipt is not None} == {block.number}
    assert await chain.balance_wei(NOBODY) == 20


async def test_a_full_block_serves_every_sender_in_turn() -> None:
    keys = [dev_key("sender", seed) for seed in range(3)]
    chain = make_chain(ManualClock(GENESIS_S), *keys, gas=6 * 21_000)
    sent = {
        (seed, nonce): await chain.send_raw(transfer(key, nonce))
        for seed, key in enumerate(keys)
        for nonce in range(10 if seed == 0 else 2)
    }
    await chain.mine()
    mined = {place for place, digest in sent.items() if await chain.receipt(digest) is not None}
    assert mined == {(seed, nonce) for seed in range(3) for nonce in range(2)}
    assert chain.statistics()["waiting"] == 8
    await chain.mine()
    assert chain.statistics()["waiting"] == 2


async def test_a_transaction_that_became_invalid_is_dropped_and_spoils_nothing() -> None:
    poor, rich = dev_key("poor", 3), faucet_key()
    chain = make_chain(ManualClock(GENESIS_S), poor, rich)
    most = FAUCET_WEI - 2 * 21_000 * 10**10
    first = await chain.send_raw(transfer(poor, 0, value_wei=most))
    second = await chain.send_raw(transfer(poor, 1, value_wei=most))
    other = await chain.send_raw(transfer(rich, 0))
    await chain.mine()
    assert await chain.receipt(first) is not None
    assert await chain.receipt(other) is not None
    with pytest.raises(TransactionRefused, match="the chain dropped the transaction"):
        await chain.receipt(second)
    assert chain.statistics()["dropped"] == 1
    assert await chain.transaction_count(poor.address) == 1


async def test_a_waiting_transaction_is_not_replaced() -> None:
    chain = make_chain(ManualClock(GENESIS_S))
    await chain.send_raw(transfer(faucet_key(), 0))
    with pytest.raises(TransactionRefused, match="already waits") as refused:
        await chain.send_raw(transfer(faucet_key(), 0, value_wei=2))
    assert refused.value.is_nonce_taken


async def test_the_pool_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orrange_p2p.chain.embedded._POOL_LIMIT_PER_SENDER", 3)
    chain = make_chain(ManualClock(GENESIS_S))
    for nonce in range(3):
        await chain.send_raw(transfer(faucet_key(), nonce))
    with pytest.raises(TransactionRefused, match="the pool is full: 3 transactions wait"):
        await chain.send_raw(transfer(faucet_key(), 3))
    await chain.mine()
    await chain.send_raw(transfer(faucet_key(), 3))


async def test_a_failed_transaction_pays_its_gas_and_keeps_its_nonce() -> None:
    chain = make_chain(ManualClock(GENESIS_S))
    raw = TransactionFields(
        chain_id=31337,
        nonce=0,
        priority_fee_wei=10**9,
        max_fee_wei=10**10,
        gas=100_000,
        to=None,
        value_wei=0,
        payload=LOOP,
    ).signed_by(faucet_key())
    digest = await chain.send_raw(raw)
    await chain.mine()
    receipt = await chain.receipt(digest)
    assert receipt is not None
    assert not receipt.is_success
    assert receipt.gas_used == 100_000
    assert await chain.transaction_count(faucet_key().address) == 1


async def test_a_state_of_the_future_cannot_be_asked() -> None:
    chain = make_chain(ManualClock(GENESIS_S))
    with pytest.raises(ChainUnavailable, match="the chain has no block 7"):
        await chain.call(NOBODY, b"", block_number=7)


async def test_many_followers_wake_on_one_block() -> None:
    chain = make_chain(ManualClock(GENESIS_S))
    seen: list[int] = []

    async def watch() -> None:
        seen.append((await chain.wait_head_above(0)).number)

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(watch)
            await trio.testing.wait_all_tasks_blocked()
            assert seen == []
            await chain.mine()
    assert seen == [1] * 10


async def test_a_cancelled_miner_leaves_a_whole_chain() -> None:
    clock = ManualClock(GENESIS_S)
    chain = make_chain(clock)
    digest = await chain.send_raw(transfer(faucet_key(), 0))
    with trio.move_on_after(0):
        await chain.mine()
    await chain.mine()
    receipt = await chain.receipt(digest)
    assert receipt is not None
    head = await chain.head()
    blocks = await chain.blocks(0, head.number)
    assert [block.number for block in blocks] == list(range(head.number + 1))


def test_the_recursion_limit_stays_where_nested_input_cannot_crash_the_process() -> None:
    program = "import sys, orrange_p2p.chain.embedded; print(sys.getrecursionlimit())"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert int(answer.stdout) <= 10_240
