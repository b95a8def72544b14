"""One account's transactions in nonce order; each test runs on both chains."""

import pytest
import trio
import trio.testing
from chain_under_test import FAUCET_WEI, GENESIS_S, ChainUnderTest, ManualClock
from chain_world import World, dev_key, faucet_key

from orrange_p2p.chain.backend import Receipt, TransactionRefused
from orrange_p2p.chain.contracts import token_contract, vault_contract
from orrange_p2p.chain.embedded import EmbeddedChain
from orrange_p2p.chain.lane import SentTransaction, TransactionLane
from orrange_p2p.core.types import Address
from orrange_p2p.errors import ChainUnavailable, EscrowReverted

NOBODY = Address(b"\x0a" * 20)


def mint(amount: int) -> bytes:
    """The call that gives nobody some tokens."""
    return token_contract().encode_call("mint", NOBODY, amount)


async def test_concurrent_callers_get_consecutive_nonces_and_all_are_mined(world: World) -> None:
    first = await world.backend.transaction_count(world.lane.address)
    sent: list[SentTransaction] = []
    receipts: list[Receipt] = []

    async def one(amount: int) -> None:
        transaction = await world.lane.send(world.market.base, mint(amount), gas=100_000)
        sent.append(transaction)
        receipts.append(await world.lane.wait(transaction))

    async with trio.open_nursery() as nursery:
        for amount in range(1, 26):
            nursery.start_soon(one, amount)
    assert sorted(transaction.nonce for transaction in sent) == list(range(first, first + 25))
    assert all(receipt.is_success for receipt in receipts)
    by_hash = {receipt.transaction: receipt.block_number for receipt in receipts}
    blocks = [by_hash[transaction.hash] for transaction in sorted(sent, key=lambda item: item.nonce)]
    assert blocks == sorted(blocks)
    balance = await world.backend.call(world.market.base, token_contract().encode_call("balanceOf", NOBODY))
    assert int.from_bytes(balance, "big") == sum(range(1, 26))


async def test_submit_bounds_what_is_under_way(world: World) -> None:
    lane = TransactionLane(world.backend, world.traders[0].owner, max_in_flight=2)
    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(lambda: lane.submit(world.market.base, mint(1), gas=100_000))
        await trio.testing.wait_all_tasks_blocked(0.001)
        assert lane.statistics()["in_flight"] <= 2
    assert lane.statistics()["mined"] == 6
    assert lane.statistics()["in_flight"] == 0


async def test_a_revert_names_the_custom_error_and_its_arguments(world: World) -> None:
    lane = TransactionLane(world.backend, world.traders[0].owner)
    payload = vault_contract().encode_call("withdraw", world.market.base, 5)
    with pytest.raises(EscrowReverted) as reverted:
        await lane.submit(world.deployment.vault, payload, gas=200_000)
    owner = world.traders[0].owner.address
    assert reverted.value.reason == (
        f"InsufficientFree(owner=0x{owner.hex()}, token=0x{world.market.base.hex()}, available=0, requested=5)"
    )
    assert lane.statistics()["reverted"] == 1


async def test_after_a_revert_the_lane_goes_on(world: World) -> None:
    lane = TransactionLane(world.backend, world.traders[0].owner)
    with pytest.raises(EscrowReverted):
        await lane.submit(world.deployment.vault, vault_contract().encode_call("deposit", NOBODY, 0), gas=200_000)
    assert (await lane.submit(world.market.base, mint(1), gas=100_000)).is_success


async def test_running_out_of_gas_is_said(world: World) -> None:
    with pytest.raises(EscrowReverted, match=r"out of gas|no reason given"):
        await world.lane.submit(world.market.base, mint(1), gas=25_000)


async def test_a_refused_call_is_seen_by_the_estimate_before_it_is_sent(world: World) -> None:
    lane = TransactionLane(world.backend, world.traders[0].owner)
    with pytest.raises(EscrowReverted, match=r"ZeroAmount\(\)"):
        await lane.submit(world.deployment.vault, vault_contract().encode_call("deposit", world.market.base, 0))
    assert lane.statistics()["sent"] == 0
    assert (await lane.submit(world.market.base, mint(1))).is_success


async def test_a_reverting_constructor_is_said(world: World) -> None:
    with pytest.raises(EscrowReverted):
        await world.lane.submit(None, b"\x60\x00\x60\x00\xfd", gas=100_000)


async def test_somebody_else_using_the_account_costs_one_more_try(world: World) -> None:
    key = world.traders[0].owner
    ours, theirs = TransactionLane(world.backend, key), TransactionLane(world.backend, key)
    await ours.submit(world.market.base, mint(1), gas=100_000)
    await theirs.submit(world.market.base, mint(2), gas=100_000)
    assert (await ours.submit(world.market.base, mint(3), gas=100_000)).is_success


async def test_an_account_without_coin_is_refused_and_counted(world: World) -> None:
    lane = TransactionLane(world.backend, dev_key("penniless", 2))
    with pytest.raises(TransactionRefused, match="(?i)insufficient funds"):
        await lane.submit(world.market.base, mint(1), gas=100_000)
    assert lane.statistics()["refused"] == 1


async def test_a_transaction_that_no_block_takes_is_given_up_at_the_deadline(chain: ChainUnderTest) -> None:
    lane = TransactionLane(chain.backend, faucet_key())
    nonce = await chain.backend.transaction_count(lane.address)
    never = SentTransaction(hash=bytes(32), nonce=nonce, to=None, payload=b"", value_wei=0, raw=b"")  # type: ignore[arg-type]
    with pytest.raises(ChainUnavailable, match="was not mined within 0 s"):
        await lane.wait(never, deadline_s=0)
    assert lane.statistics()["late"] == 1


async def send_and_lose(chain: ChainUnderTest, lane: TransactionLane) -> SentTransaction:
    """A transaction that anvil has dropped from its pool; tried again where a block was quicker."""
    while True:
        sent = await lane.send(NOBODY, b"", gas=21_000, value_wei=1)
        if await chain.ask("anvil_dropTransaction", f"0x{sent.hash.hex()}") is not None:
            return sent
        await lane.wait(sent)


@pytest.mark.parametrize("kind", ["rpc"])
async def test_a_transaction_that_the_pool_lost_is_sent_again(chain: ChainUnderTest) -> None:
    await chain.hold_blocks()
    lane = TransactionLane(chain.backend, faucet_key())
    sent = await send_and_lose(chain, lane)
    chain.mines = True
    assert (await lane.wait(sent, deadline_s=30)).is_success
    assert lane.statistics()["again"] == 1
    assert lane.statistics()["dearer"] == 0  # a few quick blocks are no reason to pay more


@pytest.mark.parametrize("kind", ["rpc"])
async def test_a_transaction_whose_nonce_went_to_another_is_given_up_before_the_deadline(chain: ChainUnderTest) -> None:
    await chain.hold_blocks()
    lane, other = (TransactionLane(chain.backend, faucet_key()) for _ in range(2))
    sent = await send_and_lose(chain, lane)
    rival = await other.send(NOBODY, b"", gas=21_000, value_wei=2)
    assert rival.nonce == sent.nonce
    chain.mines = True
    with pytest.raises(TransactionRefused, match="can never be mined"):
        await lane.wait(sent, deadline_s=30)
    assert (await other.wait(rival)).is_success


async def test_a_lost_transaction_leaves_no_gap() -> None:
    key, poor = faucet_key(), dev_key("soon poor", 5)
    clock = ManualClock(GENESIS_S)
    chain = EmbeddedChain(
        now_ms=clock.now_ms, genesis_time_s=GENESIS_S, balances_wei={key.address: FAUCET_WEI, poor.address: 10**18}
    )
    lane = TransactionLane(chain, poor)
    first = await lane.send(NOBODY, b"", gas=21_000, value_wei=9 * 10**17)
    lost = await lane.send(NOBODY, b"", gas=21_000, value_wei=9 * 10**17)
    await chain.mine()
    assert (await lane.wait(first)).is_success
    with pytest.raises(TransactionRefused, match="dropped"):
        await lane.wait(lost)
    again = await lane.send(NOBODY, b"", gas=21_000, value_wei=1)
    assert again.nonce == lost.nonce
    await chain.mine()
    assert (await lane.wait(again)).is_success


async def test_a_cancelled_send_leaves_no_gap(world: World) -> None:
    lane = TransactionLane(world.backend, world.traders[1].owner)
    with trio.move_on_after(0):
        await lane.send(world.market.base, mint(1), gas=100_000)
    for amount in (2, 3):
        assert (await lane.submit(world.market.base, mint(amount), gas=100_000)).is_success


async def test_what_a_block_held_that_is_no_more_is_under_way_again_and_nothing_else(world: World) -> None:
    lane = TransactionLane(world.backend, world.traders[0].owner)
    sent = [await lane.send(world.market.base, mint(1), gas=100_000) for _ in range(2)]
    await lane.wait(sent[0])
    await world.backend.wait_head_above((await lane.wait(sent[1])).block_number)
    sent.append(await lane.send(world.market.base, mint(1), gas=100_000))
    last = await lane.wait(sent[2])
    assert lane.unwind(last.block_number) == ()
    assert lane.unwind(last.block_number - 1) == (sent[2],) == lane.unfinished()
    assert (await lane.wait(sent[2])).is_success
    assert lane.unwind(-1) == tuple(sent)
    assert [(await lane.wait(one)).transaction for one in sent] == [one.hash for one in sent]
    assert (await lane.send(world.market.base, mint(1), gas=100_000)).nonce == sent[2].nonce + 1
