"""Steps of trades by escrow as people take them: refused with a reason, or carried out and read back."""

import pytest
from chain_under_test import ChainUnderTest
from escrow_world import (
    ARBITRATION_S,
    ARBITRATOR,
    BASE_AMOUNT,
    BUYER,
    SELLER,
    STRANGER,
    EscrowChain,
    build_escrow_chain,
)

from orrange_p2p.core.escrow import EscrowState, EscrowStep
from orrange_p2p.core.types import TicketDigest
from orrange_p2p.errors import ConfigError
from orrange_p2p.keys.session import SessionKey
from orrange_p2p.launch.escrow_steps import PAGE_BLOCKS, EscrowCase, Split, read_case, read_escrow_address, take_step


async def case_of(world: EscrowChain, ticket: TicketDigest, *, opened_in: int | None = None) -> EscrowCase:
    """A trade as it stands."""
    return await read_case(world.chain.backend, world.escrow, ticket, first_block=0, opened_in=opened_in)


async def take(world: EscrowChain, signer: SessionKey, step: EscrowStep, ticket: TicketDigest) -> EscrowCase:
    """A step that has to succeed."""
    split = Split(seller_base_bps=2_500, seller_bonds_bps=10_000) if step is EscrowStep.RESOLVE else None
    sent: list[bytes] = []
    case = await case_of(world, ticket)
    after = await take_step(world.chain.backend, case, signer, step, split=split, on_sent=sent.append)
    assert len(sent) == 1
    assert after.record == (await case_of(world, ticket)).record
    return after


@pytest.fixture
def kind() -> str:
    """The commands' tests are on anvil."""
    return "embedded"


async def test_a_step_that_is_not_open_is_refused_before_anything_is_sent(chain: ChainUnderTest) -> None:
    world = await build_escrow_chain(chain)
    trade = await world.new_in(EscrowState.PAID)
    case = await case_of(world, trade.ticket)
    before = [await chain.backend.transaction_count(one.address) for one in (SELLER, BUYER, ARBITRATOR)]
    refused = [
        (STRANGER, EscrowStep.RELEASE, r"now \(nothing\), was release: the trade is paid$"),
        (BUYER, EscrowStep.RELEASE, r"now \(cancel\), was release"),
        (SELLER, EscrowStep.MARK_PAID, r"now \(dispute, release\), was mark_paid"),
        (ARBITRATOR, EscrowStep.RESOLVE, r"now \(nothing\), was resolve"),
    ]
    for signer, step, message in refused:
        with pytest.raises(ConfigError, match=message):
            await take_step(chain.backend, case, signer, step, split=Split(seller_base_bps=0, seller_bonds_bps=0))
    assert before == [await chain.backend.transaction_count(one.address) for one in (SELLER, BUYER, ARBITRATOR)]


async def test_an_arbitrator_splits_and_time_splits_in_half(chain: ChainUnderTest) -> None:
    world = await build_escrow_chain(chain)
    decided, undecided = [await world.new_in(EscrowState.DISPUTED) for _ in range(2)]
    case = await case_of(world, decided.ticket)
    assert case.turn_ends_s() == case.record.since_s + ARBITRATION_S
    with pytest.raises(ConfigError, match="expected how to split base and bonds, was nothing"):
        await take_step(chain.backend, case, ARBITRATOR, EscrowStep.RESOLVE)
    await take(world, ARBITRATOR, EscrowStep.RESOLVE, decided.ticket)
    assert await world.free(SELLER, world.base) == BASE_AMOUNT * 2_500 // 10_000
    await chain.mine(seconds=ARBITRATION_S)
    after = await take(world, BUYER, EscrowStep.RESOLVE_BY_DEFAULT, undecided.ticket)
    assert (after.record.state, after.turn_ends_s()) == (EscrowState.RESOLVED, None)


async def test_a_ticket_that_is_not_in_escrow_and_a_chain_without_old_logs_are_said(chain: ChainUnderTest) -> None:
    world = await build_escrow_chain(chain)
    with pytest.raises(ConfigError, match="which it has not taken yet$"):
        await case_of(world, TicketDigest(bytes(32)))
    trade = await world.new_in(EscrowState.OPEN)
    head = await chain.backend.head()
    with pytest.raises(ConfigError, match="check that the chain's endpoint keeps old logs$"):
        await read_case(chain.backend, world.escrow, trade.ticket, first_block=head.number + 1)
    with pytest.raises(ConfigError, match="OrrangeSettlement contract"):
        await read_escrow_address(chain.backend, world.escrow)


async def test_terms_are_found_from_the_newest_block_down_page_by_page(
    chain: ChainUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PAGE_BLOCKS > 100
    monkeypatch.setattr("orrange_p2p.launch.escrow_steps.PAGE_BLOCKS", 3)
    world = await build_escrow_chain(chain)
    trade = world.new_trade()
    opened_in = await world.open(trade)
    for _ in range(8):
        await chain.mine()
    for said in (None, opened_in, opened_in - 1):
        case = await read_case(chain.backend, world.escrow, trade.ticket, first_block=opened_in, opened_in=said)
        assert case.trade == trade


@pytest.mark.parametrize("split", [(-1, 0), (0, -1), (10_001, 0), (0, 10_001)])
def test_a_split_of_more_than_there_is_is_refused(split: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="expected 0 to 10000 hundredths of a percent"):
        Split(seller_base_bps=split[0], seller_bonds_bps=split[1])
