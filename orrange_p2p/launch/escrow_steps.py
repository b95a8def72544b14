"""Steps that an account takes in a trade by escrow: what is open to it now, what it costs, and the transaction.

Works against the chain alone, so that an arbitrator, who runs no node, can act too. Decision 0031 says who loses what.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.contracts import settlement_contract
from orrange_p2p.chain.escrow import (
    compute_commitment,
    encode_cancel,
    encode_dispute,
    encode_mark_paid,
    encode_release,
    encode_resolve,
    encode_resolve_by_default,
    find_terms,
    read_clocks,
    read_trade,
)
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.views import read_view
from orrange_p2p.core.escrow import (
    WHOLE_BPS,
    EscrowClocks,
    EscrowRecord,
    EscrowState,
    EscrowStep,
    EscrowTrade,
    cancel_penalty,
    open_steps,
    turn_ends_s,
)
from orrange_p2p.core.types import ZERO_ADDRESS, Address, Digest, TicketDigest
from orrange_p2p.errors import ConfigError
from orrange_p2p.keys.session import SessionKey

PAGE_BLOCKS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EscrowCase:
    """A trade as the chain has it on its newest block.

    Attributes:
        contract: the escrow contract.
        trade: its terms, as they were opened.
        record: where it stands.
        clocks: how long each duty may take.
        now_s: the newest block's time, unix seconds.
    """

    contract: Address
    trade: EscrowTrade
    record: EscrowRecord
    clocks: EscrowClocks
    now_s: int

    def open_to(self, account: Address) -> frozenset[EscrowStep]:
        """The steps that an account may take now."""
        return open_steps(self.trade, self.record, self.clocks, account, self.now_s)

    def turn_ends_s(self) -> int | None:
        """When the time of whose turn it is runs out, unix seconds; None once the trade is over."""
        return turn_ends_s(self.record, self.clocks)

    def penalty(self) -> int:
        """What of the buyer's bond a cancel would cost it now, in quote units."""
        return cancel_penalty(self.trade, self.record, self.clocks, self.now_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What an arbitrator gives the seller of the base, and of both bonds together, in hundredths of a percent."""

    seller_base_bps: int
    seller_bonds_bps: int

    def __post_init__(self) -> None:
        """Refuse parts that are none.

        Raises:
            ConfigError: one is below nothing or above the whole.
        """
        for name, bps in (("base", self.seller_base_bps), ("bonds", self.seller_bonds_bps)):
            if not 0 <= bps <= WHOLE_BPS:
                raise ConfigError(f"expected 0 to {WHOLE_BPS} hundredths of a percent of the {name}, was {bps}")


async def read_escrow_address(backend: Backend, settlement: Address) -> Address:
    """The escrow contract that a settlement contract settles tickets of kind 1 into.

    Raises:
        ConfigError: it has none, or there is no such settlement contract.
        ChainUnavailable: the chain cannot be reached.
    """
    address = Address(await read_view(backend, settlement_contract(), settlement, "escrow"))
    if address == ZERO_ADDRESS:
        raise ConfigError(f"expected a network with an escrow contract, was settlement 0x{settlement.hex()} without")
    return address


async def read_case(
    backend: Backend, contract: Address, ticket: TicketDigest, *, first_block: int, opened_in: int | None = None
) -> EscrowCase:
    """A trade as the chain has it; its terms are looked for from the newest block down.

    Args:
        backend: the chain.
        contract: the escrow contract.
        ticket: the trade's ticket.
        first_block: no trade was opened before it.
        opened_in: the block that opened the trade, if it is known.

    Raises:
        ConfigError: no such trade was opened.
        ChainUnavailable: the chain cannot be reached.
    """
    head = await backend.head()
    record = await read_trade(backend, contract, ticket)
    if record.state is EscrowState.NONE:
        raise ConfigError(
            f"expected a ticket that the chain holds in escrow, was 0x{ticket.hex()}, which it has not taken yet"
        )
    for first, last in _pages(first_block, head.number, opened_in):
        trade = await find_terms(backend, contract, ticket, first, last)
        if trade is not None and compute_commitment(trade) == record.commitment:
            clocks = await read_clocks(backend, contract)
            return EscrowCase(contract=contract, trade=trade, record=record, clocks=clocks, now_s=head.time_s)
    raise ConfigError(
        f"expected the terms of 0x{ticket.hex()} in a log of 0x{contract.hex()} from block {first_block} on, was none: "
        "check that the chain's endpoint keeps old logs"
    )


def _pages(first_block: int, newest: int, opened_in: int | None) -> Iterator[tuple[int, int]]:
    """Where to look for a trade's terms: where they are said to be, then everywhere from the newest block down."""
    if opened_in is not None:
        yield opened_in, opened_in
    for last in range(newest, first_block - 1, -PAGE_BLOCKS):
        yield max(first_block, last - PAGE_BLOCKS + 1), last


def encode_step(step: EscrowStep, trade: EscrowTrade, split: Split | None = None) -> bytes:
    """The input of a step's call.

    Raises:
        ConfigError: a split is missing where there has to be one.
    """
    if step is EscrowStep.RESOLVE:
        if split is None:
            raise ConfigError("expected how to split base and bonds, was nothing")
        return encode_resolve(trade, seller_base_bps=split.seller_base_bps, seller_bonds_bps=split.seller_bonds_bps)
    encode = {
        EscrowStep.MARK_PAID: encode_mark_paid,
        EscrowStep.RELEASE: encode_release,
        EscrowStep.CANCEL: encode_cancel,
        EscrowStep.DISPUTE: encode_dispute,
        EscrowStep.RESOLVE_BY_DEFAULT: encode_resolve_by_default,
    }[step]
    return encode(trade)


def check_open(case: EscrowCase, account: Address, step: EscrowStep) -> None:
    """See that a step is open to an account now.

    Raises:
        ConfigError: it is not; the message says which ones are.
    """
    is_open = case.open_to(account)
    if step not in is_open:
        possible = ", ".join(sorted(one.value for one in is_open)) or "nothing"
        raise ConfigError(
            f"expected a step that is open to 0x{account.hex()} now ({possible}), was {step.value}: the "
            f"trade is {case.record.state.name.lower()}"
        )


async def take_step(
    backend: Backend,
    case: EscrowCase,
    signer: SessionKey,
    step: EscrowStep,
    *,
    split: Split | None = None,
    on_sent: Callable[[Digest], None] = lambda _hash: None,
) -> EscrowCase:
    """Take a step and wait until the chain has it; the case as it stands then.

    The chain is asked first whether it would take the step; nothing is sent if not.

    Raises:
        ConfigError: the step is not open to this account now.
        EscrowReverted: the contract refused all the same; the reason is decoded.
        ChainUnavailable: the chain cannot be reached, or made no block in time; the step may still be taken.
        TransactionRefused: the account cannot pay, or gas is too dear.
    """
    check_open(case, signer.address, step)
    lane = TransactionLane(backend, signer)
    sent = await lane.send(case.contract, encode_step(step, case.trade, split))
    on_sent(sent.hash)
    await lane.wait(sent)
    head = await backend.head()
    record = await read_trade(backend, case.contract, case.trade.ticket)
    return replace(case, record=record, now_s=head.time_s)
