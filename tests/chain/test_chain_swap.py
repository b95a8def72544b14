"""Swaps on both chains: claimed before the deadline or refunded from it on, and read back as they stand."""

from dataclasses import replace

import pytest
from chain_under_test import ChainUnderTest
from chain_world import dev_key, faucet_key

from orrange_p2p.chain.backend import Log
from orrange_p2p.chain.contracts import swap_contract, token_contract
from orrange_p2p.chain.funding import TestTokenPlan, deploy_test_tokens
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.swap import (
    SwapClaimed,
    SwapOpened,
    SwapRefunded,
    compute_swap_id,
    decode_swap_event,
    encode_claim,
    encode_open,
    encode_refund,
    encode_withdraw,
    read_swap_credit,
    read_swap_state,
)
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.swap_terms import (
    COIN,
    Preimage,
    SwapState,
    SwapTerms,
    compute_counter_deadline_s,
    compute_hashlock,
)
from orrange_p2p.core.types import Address, Digest
from orrange_p2p.errors import ChainUnavailable, ConfigError, EscrowReverted

PREIMAGE = Preimage(bytes(range(32)))
RECIPIENT = dev_key("swap recipient")
GAS = 300_000
AMOUNT = 10**18
LIFE_S = 1_000


async def deployed(chain: ChainUnderTest) -> tuple[TransactionLane, Address, SwapTerms]:
    """The contract, who pays, and terms of a swap of the coin that ends in some time."""
    lane = TransactionLane(chain.backend, faucet_key())
    receipt = await lane.submit(None, swap_contract().encode_deployment(), gas=2_000_000)
    assert receipt.contract is not None
    terms = SwapTerms(
        token=COIN,
        amount=AMOUNT,
        recipient=RECIPIENT.address,
        refundee=lane.address,
        hashlock=compute_hashlock(PREIMAGE),
        deadline_s=(await chain.backend.head()).time_s + LIFE_S,
        nonce=3,
    )
    return lane, receipt.contract, terms


async def test_a_refused_claim_and_refund_say_why(chain: ChainUnderTest) -> None:
    lane, contract, terms = await deployed(chain)
    await lane.submit(contract, encode_open(terms), gas=GAS, value_wei=terms.value_wei)
    with pytest.raises(EscrowReverted, match="WrongPreimage"):
        await lane.submit(contract, encode_claim(terms, Preimage(bytes(32))), gas=GAS)
    with pytest.raises(EscrowReverted, match=f"RefundTooEarly.deadline={terms.deadline_s}"):
        await lane.submit(contract, encode_refund(terms), gas=GAS)
    with pytest.raises(EscrowReverted, match="SwapExists"):
        await lane.submit(contract, encode_open(terms), gas=GAS, value_wei=terms.value_wei)
    other = replace(terms, recipient=lane.address)
    with pytest.raises(EscrowReverted, match="SwapNotOpen"):
        await lane.submit(contract, encode_claim(other, PREIMAGE), gas=GAS)
    with pytest.raises(EscrowReverted, match=f"WrongValue.expected={AMOUNT}, value=1"):
        await lane.submit(contract, encode_open(replace(terms, nonce=4)), gas=GAS, value_wei=1)


async def test_a_coin_swap_is_opened_claimed_and_withdrawn(chain: ChainUnderTest) -> None:
    lane, contract, terms = await deployed(chain)
    swap = compute_swap_id(await chain.backend.chain_id(), contract, terms)
    assert await read_swap_state(chain.backend, contract, swap) is SwapState.NONE
    opened = await lane.submit(contract, encode_open(terms), gas=GAS, value_wei=terms.value_wei)
    assert await read_swap_state(chain.backend, contract, swap) is SwapState.OPEN
    assert [decode_swap_event(log) for log in opened.logs] == [SwapOpened(swap=swap, terms=terms)]
    claimed = await lane.submit(contract, encode_claim(terms, PREIMAGE), gas=GAS)
    assert await read_swap_state(chain.backend, contract, swap) is SwapState.CLAIMED
    assert [decode_swap_event(log) for log in claimed.logs] == [SwapClaimed(swap=swap, preimage=PREIMAGE)]
    assert await read_swap_credit(chain.backend, contract, RECIPIENT.address, COIN) == AMOUNT
    await lane.submit(RECIPIENT.address, b"", gas=30_000, value_wei=10**17)
    recipient = TransactionLane(chain.backend, RECIPIENT)
    before = await chain.backend.balance_wei(RECIPIENT.address)
    withdrawn = await recipient.submit(contract, encode_withdraw(COIN, AMOUNT), gas=GAS)
    assert [decode_swap_event(log) for log in withdrawn.logs] == [None]
    assert before + AMOUNT - 10**17 < await chain.backend.balance_wei(RECIPIENT.address) <= before + AMOUNT
    assert await read_swap_credit(chain.backend, contract, RECIPIENT.address, COIN) == 0


async def test_a_token_swap_is_refunded_at_its_deadline(chain: ChainUnderTest) -> None:
    lane, contract, terms = await deployed(chain)
    (token,) = await deploy_test_tokens(lane, (TestTokenPlan(name="Token", symbol="TOK", decimals=6),))
    await lane.submit(token, token_contract().encode_call("mint", lane.address, AMOUNT), gas=GAS)
    await lane.submit(token, token_contract().encode_call("approve", contract, AMOUNT), gas=GAS)
    terms = replace(terms, token=token)
    assert terms.value_wei == 0
    swap = compute_swap_id(await chain.backend.chain_id(), contract, terms)
    await lane.submit(contract, encode_open(terms), gas=GAS)
    await chain.mine(seconds=LIFE_S + 1)
    with pytest.raises(EscrowReverted, match="ClaimTooLate"):
        await lane.submit(contract, encode_claim(terms, PREIMAGE), gas=GAS)
    refunded = await lane.submit(contract, encode_refund(terms), gas=GAS)
    assert [decode_swap_event(log) for log in refunded.logs] == [SwapRefunded(swap=swap)]
    assert await read_swap_state(chain.backend, contract, swap) is SwapState.REFUNDED
    assert await read_swap_credit(chain.backend, contract, lane.address, token) == AMOUNT
    assert await read_swap_credit(chain.backend, contract, RECIPIENT.address, token) == 0


async def test_another_contract_in_its_place_is_noticed(chain: ChainUnderTest) -> None:
    lane, contract, terms = await deployed(chain)
    (token,) = await deploy_test_tokens(lane, (TestTokenPlan(name="Token", symbol="TOK", decimals=6),))
    swap = compute_swap_id(1, contract, terms)
    for nowhere in (token, Address(b"\x0b" * 20)):
        with pytest.raises(ConfigError, match="expected the OrrangeSwap contract at 0x"):
            await read_swap_state(chain.backend, nowhere, swap)


def test_a_malformed_log_is_the_endpoints_fault() -> None:
    topic = keccak256(b"SwapClaimed(bytes32,address,address,bytes32)")
    log = Log(
        address=Address(bytes(20)),
        topics=(topic, bytes(32), bytes(32), bytes(32)),
        payload=b"\x01",
        block_number=7,
        block_hash=Digest(bytes(32)),
        index=2,
    )
    with pytest.raises(ChainUnavailable, match="log 2 of block 7"):
        decode_swap_event(log)


def test_a_preimage_has_one_length() -> None:
    for length in (0, 31, 33):
        with pytest.raises(ValueError, match=f"expected a preimage of 32 bytes, was {length}"):
            compute_hashlock(Preimage(bytes(length)))


def test_the_second_swap_ends_early_enough_for_both_chains() -> None:
    assert compute_counter_deadline_s(10_000, own_lag_s=900, other_lag_s=60) == 9_040
