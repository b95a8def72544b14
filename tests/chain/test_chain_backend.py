"""What any backend must do; each test runs on both."""

from itertools import pairwise

import pytest
import trio
from chain_under_test import ChainUnderTest
from chain_world import World, dev_key, faucet_key

from orrange_p2p.chain.account import TransactionFields
from orrange_p2p.chain.backend import CallReverted, TransactionRefused
from orrange_p2p.chain.contracts import explain_revert, token_contract, vault_contract
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.types import Address, Digest
from orrange_p2p.keys.session import SessionKey

NOBODY = Address(b"\x09" * 20)


async def raw_transfer(chain: ChainUnderTest, key: SessionKey, nonce: int, value_wei: int = 1, **changes: int) -> bytes:
    """A signed transfer of native coin to nobody."""
    fees = await chain.backend.fees()
    fields = TransactionFields(
        chain_id=changes.get("chain_id", 31337),
        nonce=nonce,
        priority_fee_wei=fees.priority_fee_wei,
        max_fee_wei=fees.max_fee_wei,
        gas=changes.get("gas", 21_000),
        to=NOBODY,
        value_wei=value_wei,
        payload=b"",
    )
    return fields.signed_by(key)


async def mined(chain: ChainUnderTest, digest: Digest) -> int:
    """The block that holds a transaction, once there is one."""
    with trio.fail_after(10):
        while (receipt := await chain.backend.receipt(digest)) is None:
            await trio.sleep(0.01)
    return receipt.block_number


async def test_blocks_are_linked_and_their_time_never_falls(chain: ChainUnderTest) -> None:
    with trio.fail_after(10):
        head = await chain.backend.wait_head_above((await chain.backend.head()).number + 3)
    blocks = await chain.backend.blocks(head.number - 3, head.number)
    assert [block.number for block in blocks] == list(range(head.number - 3, head.number + 1))
    assert blocks[-1] == head
    for parent, child in pairwise(blocks):
        assert child.parent_hash == parent.hash
        assert child.time_s >= parent.time_s


async def test_blocks_beyond_the_head_are_left_out(chain: ChainUnderTest) -> None:
    await chain.hold_blocks()
    await trio.sleep(0.1)
    head = await chain.backend.head()
    blocks = await chain.backend.blocks(head.number, head.number + 10)
    assert 1 <= len(blocks) <= 3  # anvil's own timer may add one meanwhile
    assert blocks[0] == head
    assert await chain.backend.blocks(head.number + 100, head.number + 110) == ()


async def test_a_transfer_is_mined_and_its_receipt_says_so(chain: ChainUnderTest) -> None:
    key = faucet_key()
    before = await chain.backend.balance_wei(NOBODY)
    digest = await chain.backend.send_raw(
        await raw_transfer(chain, key, await chain.backend.transaction_count(key.address), value_wei=7)
    )
    await mined(chain, digest)
    receipt = await chain.backend.receipt(digest)
    assert receipt is not None
    assert receipt.is_success
    assert receipt.gas_used == 21_000
    assert receipt.contract is None
    assert await chain.backend.balance_wei(NOBODY) == before + 7


async def test_unknown_transaction_has_no_receipt(chain: ChainUnderTest) -> None:
    assert await chain.backend.receipt(Digest(bytes(32))) is None


async def test_transactions_that_arrive_in_the_wrong_order_are_mined_in_nonce_order(chain: ChainUnderTest) -> None:
    key = faucet_key()
    first = await chain.backend.transaction_count(key.address)
    late = await chain.backend.send_raw(await raw_transfer(chain, key, first + 1))
    assert await chain.backend.transaction_count(key.address) == first
    early = await chain.backend.send_raw(await raw_transfer(chain, key, first))
    assert await mined(chain, early) <= await mined(chain, late)
    assert await chain.backend.transaction_count(key.address) == first + 2


async def test_sending_the_same_bytes_again_is_harmless(chain: ChainUnderTest) -> None:
    key = faucet_key()
    raw = await raw_transfer(chain, key, await chain.backend.transaction_count(key.address))
    digest = await chain.backend.send_raw(raw)
    assert digest == keccak256(raw)
    assert await chain.backend.send_raw(raw) == digest
    await mined(chain, digest)
    assert await chain.backend.send_raw(raw) == digest


async def test_a_used_nonce_is_refused_as_such(chain: ChainUnderTest) -> None:
    key = faucet_key()
    nonce = await chain.backend.transaction_count(key.address)
    await mined(chain, await chain.backend.send_raw(await raw_transfer(chain, key, nonce)))
    with pytest.raises(TransactionRefused) as refused:
        await chain.backend.send_raw(await raw_transfer(chain, key, nonce, value_wei=2))
    assert refused.value.is_nonce_taken


async def test_a_sender_that_cannot_pay_is_refused(chain: ChainUnderTest) -> None:
    poor = dev_key("poor", 1)
    with pytest.raises(TransactionRefused, match="(?i)insufficient funds") as refused:
        await chain.backend.send_raw(await raw_transfer(chain, poor, 0))
    assert not refused.value.is_nonce_taken


@pytest.mark.parametrize("changes", [{"chain_id": 1}, {"gas": 20_000}, {"gas": 2**40}])
async def test_a_transaction_that_fits_no_block_is_refused(chain: ChainUnderTest, changes: dict[str, int]) -> None:
    key = faucet_key()
    nonce = await chain.backend.transaction_count(key.address)
    with pytest.raises(TransactionRefused):
        await chain.backend.send_raw(await raw_transfer(chain, key, nonce, **changes))


@pytest.mark.parametrize("raw", [b"", b"\x02", b"\x02\xc0", b"\x02abc", b"\x7f" * 100, b"\x02" + b"\xf8" * 200])
async def test_malformed_bytes_are_refused_and_the_chain_goes_on(chain: ChainUnderTest, raw: bytes) -> None:
    with pytest.raises(TransactionRefused):
        await chain.backend.send_raw(raw)
    key = faucet_key()
    honest = await raw_transfer(chain, key, await chain.backend.transaction_count(key.address))
    assert await mined(chain, await chain.backend.send_raw(honest)) > 0


async def test_a_bit_flip_in_the_signature_is_refused_or_somebody_elses(chain: ChainUnderTest) -> None:
    key = faucet_key()
    raw = bytearray(await raw_transfer(chain, key, await chain.backend.transaction_count(key.address)))
    raw[-1] ^= 1
    with pytest.raises(TransactionRefused):
        await chain.backend.send_raw(bytes(raw))


async def test_a_refused_call_carries_the_contracts_own_error(world: World) -> None:
    payload = vault_contract().encode_call("withdraw", world.market.base, 5)
    with pytest.raises(CallReverted) as reverted:
        await world.backend.call(world.deployment.vault, payload, sender=NOBODY)
    reason = explain_revert(reverted.value.payload)
    assert reason == (
        f"InsufficientFree(owner=0x{NOBODY.hex()}, token=0x{world.market.base.hex()}, available=0, requested=5)"
    )


async def test_a_call_to_no_contract_answers_nothing(chain: ChainUnderTest) -> None:
    assert await chain.backend.call(NOBODY, b"\x01\x02\x03\x04") == b""
    assert await chain.backend.code(NOBODY) == b""


async def test_a_call_can_be_made_on_an_older_state(world: World) -> None:
    token, question = world.market.base, token_contract().encode_call("balanceOf", NOBODY)
    before = await world.backend.head()
    await world.lane.submit(token, token_contract().encode_call("mint", NOBODY, 3), gas=100_000)
    old = await world.backend.call(token, question, block_number=before.number)
    new = await world.backend.call(token, question)
    assert (int.from_bytes(old, "big"), int.from_bytes(new, "big")) == (0, 3)


async def test_logs_come_in_order_and_from_the_asked_addresses_alone(world: World) -> None:
    head = await world.backend.head()
    first = world.deployment.deployed_at_block
    vault_logs = await world.backend.logs(first, head.number, (world.deployment.vault,))
    both = await world.backend.logs(first, head.number, (world.deployment.vault, world.market.base))
    assert {log.address for log in vault_logs} == {world.deployment.vault}
    assert {log.address for log in both} == {world.deployment.vault, world.market.base}
    places = [(log.block_number, log.index) for log in both]
    assert places == sorted(set(places))
    hashes = {block.number: block.hash for block in await world.backend.blocks(first, head.number)}
    assert all(log.block_hash == hashes[log.block_number] for log in both)
    assert len(vault_logs) == 2 * (2 + 2 + 1)  # each trader: two deposits, two allocations, one session


async def test_gas_is_estimated_and_an_estimate_of_a_refused_call_says_why(world: World) -> None:
    owner = world.traders[0].owner.address
    payload = token_contract().encode_call("mint", NOBODY, 3)
    estimate = await world.backend.estimate_gas(owner, world.market.base, payload, 0)
    assert 21_000 < estimate < 100_000
    refused = vault_contract().encode_call("withdraw", world.market.base, 5)
    with pytest.raises(CallReverted) as reverted:
        await world.backend.estimate_gas(owner, world.deployment.vault, refused, 0)
    assert explain_revert(reverted.value.payload).startswith("InsufficientFree(")


async def test_fees_are_enough_for_the_next_blocks(chain: ChainUnderTest) -> None:
    fees = await chain.backend.fees()
    assert fees.priority_fee_wei > 0
    assert fees.max_fee_wei >= 2 * fees.base_fee_wei + fees.priority_fee_wei
