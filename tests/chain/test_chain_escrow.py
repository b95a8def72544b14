"""Trades by escrow on both chains: each step by whom it is open to, read back as they stand."""

import pytest
from chain_under_test import ChainUnderTest
from escrow_world import (
    ARBITRATOR,
    BASE_AMOUNT,
    BOND_AMOUNT,
    BUYER,
    SELLER,
    STRANGER,
    EscrowChain,
    build_escrow_chain,
    with_other_amount,
)

from orrange_p2p.chain.abi import decode_revert
from orrange_p2p.chain.backend import CallReverted, Log
from orrange_p2p.chain.escrow import (
    EscrowEvent,
    EscrowMoved,
    compute_commitment,
    decode_escrow_event,
    encode_cancel,
    encode_dispute,
    encode_mark_paid,
    encode_release,
    encode_resolve,
    encode_resolve_by_default,
    escrow_contract,
    find_terms,
    read_clocks,
    read_trade,
)
from orrange_p2p.core.escrow import (
    EscrowRecord,
    EscrowState,
    EscrowStep,
    EscrowTrade,
    open_steps,
)
from orrange_p2p.core.facts import DisputeLost
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.types import Address, Digest, TicketDigest
from orrange_p2p.errors import ChainUnavailable, ConfigError

ACCOUNTS = (SELLER, BUYER, ARBITRATOR, STRANGER)
STATES = (EscrowState.OPEN, EscrowState.PAID, EscrowState.DISPUTED)


async def said(world: EscrowChain, first: int = 0) -> list[EscrowEvent]:
    """What the escrow has said from a block on."""
    head = await world.chain.backend.head()
    logs = await world.chain.backend.logs(first, head.number, (world.escrow,))
    return [event for log in logs if (event := decode_escrow_event(log)) is not None]


async def refusal(world: EscrowChain, payload: bytes, sender: Address) -> str:
    """Why the escrow refuses a call now; empty if it does not."""
    try:
        await world.chain.backend.call(world.escrow, payload, sender=sender)
    except CallReverted as error:
        return decode_revert(error.payload, (escrow_contract(),))
    return ""


def calls(trade: EscrowTrade) -> dict[EscrowStep, bytes]:
    """Each step as a call."""
    return {
        EscrowStep.MARK_PAID: encode_mark_paid(trade),
        EscrowStep.RELEASE: encode_release(trade),
        EscrowStep.CANCEL: encode_cancel(trade),
        EscrowStep.DISPUTE: encode_dispute(trade),
        EscrowStep.RESOLVE: encode_resolve(trade, seller_base_bps=1, seller_bonds_bps=2),
        EscrowStep.RESOLVE_BY_DEFAULT: encode_resolve_by_default(trade),
    }


async def test_steps_are_open_to_whom_the_contract_lets_take_them(chain: ChainUnderTest) -> None:
    world = await build_escrow_chain(chain)
    trades = [await world.new_in(state) for state in STATES]
    for seconds in (1, 10_000):
        await chain.mine(seconds=seconds)
        for trade in trades:
            record = await read_trade(chain.backend, world.escrow, trade.ticket)
            now_s = (await chain.backend.head()).time_s
            for account in ACCOUNTS:
                taken = [step for step, call in calls(trade).items() if not await refusal(world, call, account.address)]
                assert set(taken) == open_steps(trade, record, world.clocks, account.address, now_s)


async def test_a_trade_is_read_back_and_its_terms_are_found(chain: ChainUnderTest) -> None:
    world = await build_escrow_chain(chain)
    trade = world.new_trade()
    unknown = await read_trade(chain.backend, world.escrow, trade.ticket)
    assert unknown == EscrowRecord(state=EscrowState.NONE, since_s=0, commitment=bytes(26))
    block = await world.open(trade)
    record = await read_trade(chain.backend, world.escrow, trade.ticket)
    assert record.state is EscrowState.OPEN
    assert record.commitment == compute_commitment(trade)
    assert record.commitment != compute_commitment(with_other_amount(trade))
    assert (await chain.backend.blocks(block, block))[0].time_s == record.since_s
    assert await find_terms(chain.backend, world.escrow, trade.ticket, block, block) == trade
    assert await find_terms(chain.backend, world.escrow, TicketDigest(bytes(32)), block, block) is None
    assert (await read_trade(chain.backend, world.escrow, trade.ticket, block_number=block - 1)) == unknown
    assert "WrongTerms" in await refusal(world, encode_release(with_other_amount(trade)), SELLER.address)
    assert f"NotSeller(ticket=0x{trade.ticket.hex()}" in await refusal(world, encode_release(trade), BUYER.address)


async def test_each_end_pays_and_says_so(chain: ChainUnderTest) -> None:
    world = await build_escrow_chain(chain)
    released, cancelled = await world.new_in(EscrowState.PAID), await world.new_in(EscrowState.OPEN)
    split, halved = await world.new_in(EscrowState.DISPUTED), await world.new_in(EscrowState.DISPUTED)
    opened = len(await said(world))
    await world.send(SELLER, encode_release(released))
    assert await world.free(BUYER, world.base) == BASE_AMOUNT
    await world.send(ARBITRATOR, encode_resolve(split, seller_base_bps=2_500, seller_bonds_bps=0))
    assert await world.free(SELLER, world.base) == BASE_AMOUNT // 4
    await chain.mine(seconds=2_000)
    await world.send(BUYER, encode_cancel(cancelled))
    await chain.mine(seconds=8_000)
    await world.send(ARBITRATOR, encode_resolve_by_default(halved))
    resolved = EscrowState.RESOLVED
    assert (await said(world))[opened:] == [
        EscrowMoved(ticket=released.ticket, state=EscrowState.RELEASED),
        DisputeLost(owner=SELLER.address, amount=1_235),  # 12,345 units, ten a micro-unit, rounded up
        EscrowMoved(ticket=split.ticket, state=resolved, seller_base=BASE_AMOUNT // 4, seller_quote=0),
        EscrowMoved(ticket=cancelled.ticket, state=EscrowState.CANCELLED, penalty=6_173),
        EscrowMoved(
            ticket=halved.ticket,
            state=resolved,
            seller_base=BASE_AMOUNT // 2,
            seller_quote=BOND_AMOUNT,
            is_by_default=True,
        ),
    ]
    assert await world.free(SELLER, world.base) == BASE_AMOUNT // 4 + BASE_AMOUNT + BASE_AMOUNT // 2
    assert await world.free(SELLER, world.quote) == BOND_AMOUNT + BOND_AMOUNT + 6_173 + BOND_AMOUNT


async def test_another_contract_in_its_place_is_noticed(chain: ChainUnderTest) -> None:
    nowhere = Address(b"\x0b" * 20)
    with pytest.raises(ConfigError, match="expected the OrrangeEscrow contract at 0x"):
        await read_trade(chain.backend, nowhere, TicketDigest(bytes(32)))
    with pytest.raises(ConfigError, match="expected the OrrangeEscrow contract at 0x"):
        await read_clocks(chain.backend, nowhere)


def test_a_malformed_log_is_the_endpoints_fault() -> None:
    topic = keccak256(b"DisputeLost(bytes32,address,uint256)")
    log = Log(
        address=Address(bytes(20)),
        topics=(topic, bytes(32), bytes(32)),
        payload=b"\x01",
        block_number=7,
        block_hash=Digest(bytes(32)),
        index=2,
    )
    with pytest.raises(ChainUnavailable, match="log 2 of block 7"):
        decode_escrow_event(log)
