"""One lock of a swap on its chain: what the chain says of it, and the transactions that change it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from orrange_p2p.chain.account import DigestSigner
from orrange_p2p.chain.backend import Backend, Receipt
from orrange_p2p.chain.contracts import token_contract
from orrange_p2p.chain.fees import MAX_FEE_CAP_WEI, FeePolicy
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.network_status import is_code_of
from orrange_p2p.chain.swap import (
    compute_swap_id,
    encode_claim,
    encode_open,
    encode_refund,
    encode_withdraw,
    find_preimage,
    read_swap_credit,
    read_swap_state,
)
from orrange_p2p.chain.views import read_view
from orrange_p2p.core.swap_terms import COIN, Leg, SwapPact, SwapState
from orrange_p2p.core.swaps import ClaimLock, LegView, OpenLock, RefundLock, SwapAction, WithdrawCredit
from orrange_p2p.core.types import Address, Digest
from orrange_p2p.errors import ConfigError, OrrangeError

_SIDE_GAS = 300_000  # What one side needs on one chain, for all tokens that are like OpenZeppelin's.
_CLAIM_FEE_CAP_WEI = 10 * MAX_FEE_CAP_WEI  # Who claims too late has lost the lock, which is worth more than gas.
_ENDED = (SwapState.CLAIMED, SwapState.REFUNDED)


class Unfunded(OrrangeError):
    """Our account lacks the coin to carry a swap through; locking without it could lose the lock."""

    code = "swap.unfunded"


class Deed(Enum):
    """What one transaction of ours did."""

    APPROVED = "approved"
    OPENED = "opened"
    CLAIMED = "claimed"
    REFUNDED = "refunded"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A transaction of ours was mined."""

    deed: Deed
    transaction: Digest
    block_number: int
    gas_used: int


class LockOnChain:
    """One lock of a pact, and our account on its chain. Nothing else may send from that account meanwhile."""

    def __init__(self, pact: SwapPact, which: Leg, backend: Backend, signer: DigestSigner) -> None:
        self.which = which
        self._leg = pact.leg(which)
        self._terms = pact.terms(which)
        self._backend = backend
        self._signer = signer
        self._claim_wait_s = min(self._leg.finality_s, pact.margin_s)
        self._swap = compute_swap_id(self._leg.chain_id, self._leg.contract, self._terms)

    def __repr__(self) -> str:
        return f"LockOnChain({self.which.value}, chain {self._leg.chain_id}, 0x{self._swap.hex()})"

    async def check(self) -> None:
        """Make sure that the chain is the one agreed, and that our own code holds the lock there.

        Raises:
            ConfigError: another chain, another contract, or no token.
            ChainUnavailable: the chain cannot be reached.
        """
        leg, name = self._leg, self.which.value
        chain_id = await self._backend.chain_id()
        if chain_id != leg.chain_id:
            raise ConfigError(f"expected chain {leg.chain_id} for the {name} lock, was {chain_id}; check its URL")
        code = await self._backend.code(leg.contract)
        if not is_code_of("OrrangeSwap", code):
            found = "other code" if code else "nothing"
            raise ConfigError(
                f"expected OrrangeSwap at 0x{leg.contract.hex()} on chain {chain_id} for the {name} lock, was {found}; "
                "do not swap on these terms"
            )
        if leg.token != COIN and not await self._backend.code(leg.token):
            raise ConfigError(f"expected a token at 0x{leg.token.hex()} on chain {chain_id}, was nothing")

    async def check_coin(self) -> None:
        """Make sure that our account can pay for its transactions here: who locks and cannot claim, loses.

        Raises:
            Unfunded: it cannot.
            ChainUnavailable: the chain cannot be reached.
        """
        fees = await self._backend.fees()
        is_given = self._terms.refundee == self._signer.address
        needed_wei = _SIDE_GAS * fees.max_fee_wei + (self._terms.value_wei if is_given else 0)
        found_wei = await self._backend.balance_wei(self._signer.address)
        if found_wei < needed_wei:
            raise Unfunded(
                f"expected at least {needed_wei} wei on account 0x{self._signer.address.hex()} of chain "
                f"{self._leg.chain_id} before anything is locked, was {found_wei}; send it some"
            )

    async def look(self, account: Address, *, claim_since: int | None) -> LegView:
        """What the chain says now; everything of one block.

        Args:
            account: whose credit counts.
            claim_since: look for a claim's preimage from this block on; None does not look.

        Raises:
            ChainUnavailable: the chain cannot be reached.
            ConfigError: the contract is not there any more.
        """
        leg, head = self._leg, await self._backend.head()
        state = await read_swap_state(self._backend, leg.contract, self._swap, block_number=head.number)
        confirmed, credit, preimage = SwapState.NONE, 0, None
        if state is not SwapState.NONE:
            confirmed = await self._read_confirmed(head.number - leg.confirmations)
        if state in _ENDED:
            credit = await read_swap_credit(self._backend, leg.contract, account, leg.token, block_number=head.number)
        if state is SwapState.CLAIMED and claim_since is not None:
            first = max(0, claim_since - leg.confirmations)
            preimage = await find_preimage(self._backend, leg.contract, self._swap, first, head.number)
        return LegView(
            block_number=head.number,
            time_s=head.time_s,
            state=state,
            confirmed=confirmed,
            credit=credit,
            preimage=preimage,
        )

    async def _read_confirmed(self, block_number: int) -> SwapState:
        """Where the lock stood then; nowhere, if the contract is younger than that."""
        if block_number < 0:
            return SwapState.NONE
        try:
            return await read_swap_state(self._backend, self._leg.contract, self._swap, block_number=block_number)
        except ConfigError:
            return SwapState.NONE

    async def act(
        self,
        action: SwapAction,
        *,
        on_done: Callable[[Done], None],
        on_claim_sent: Callable[[], Awaitable[object]],
    ) -> None:
        """Send the transactions of `action` and wait for them, the chain's finality at most.

        Args:
            action: what to do.
            on_done: told of each transaction once it is mined.
            on_claim_sent: called as soon as the chain surely has a claim, which shows the preimage.

        Raises:
            EscrowReverted: the contract or the token refused.
            TransactionRefused: the chain did not take a transaction.
            ChainUnavailable: the chain cannot be reached or makes no blocks; what was sent may still be mined.
        """
        contract, terms = self._leg.contract, self._terms
        # A new lane asks for the nonce: a reorganisation may have taken back what we sent before.
        lane = TransactionLane(self._backend, self._signer, deadline_s=self._leg.finality_s)
        match action:
            case OpenLock():
                await self._approve(lane, on_done)
                receipt = await lane.submit(contract, encode_open(terms), value_wei=terms.value_wei)
                on_done(_done(Deed.OPENED, receipt))
            case ClaimLock(preimage=preimage):
                on_done(_done(Deed.CLAIMED, await self._claim(encode_claim(terms, preimage), on_claim_sent)))
            case RefundLock():
                on_done(_done(Deed.REFUNDED, await lane.submit(contract, encode_refund(terms))))
            case WithdrawCredit(amount=amount):
                receipt = await lane.submit(contract, encode_withdraw(self._leg.token, amount))
                on_done(_done(Deed.WITHDRAWN, receipt))

    async def _claim(self, payload: bytes, on_claim_sent: Callable[[], Awaitable[object]]) -> Receipt:
        """Send a claim; the chain estimates its gas, as one that runs out has shown the preimage for nothing.

        The lane sends a doubtful one again while it waits, and may do so for no longer than the margin: after that it
        would not be sure to be final in time.
        """
        policy = FeePolicy(cap_wei=_CLAIM_FEE_CAP_WEI)
        lane = TransactionLane(self._backend, self._signer, deadline_s=self._claim_wait_s, fee_policy=policy)
        sent = await lane.send(self._leg.contract, payload)
        if not lane.statistics()["doubtful"]:
            await on_claim_sent()
        return await lane.wait(sent)

    async def _approve(self, lane: TransactionLane, on_done: Callable[[Done], None]) -> None:
        """Let the contract take exactly the amount; some tokens want an old allowance taken back first."""
        leg, token = self._leg, token_contract()
        if leg.token == COIN:
            return
        allowed = int(await read_view(self._backend, token, leg.token, "allowance", self._signer.address, leg.contract))
        if allowed >= leg.amount:
            return
        for amount in (0, leg.amount) if allowed else (leg.amount,):
            payload = token.encode_call("approve", leg.contract, amount)
            on_done(_done(Deed.APPROVED, await lane.submit(leg.token, payload)))


def _done(deed: Deed, receipt: Receipt) -> Done:
    return Done(
        deed=deed,
        transaction=receipt.transaction,
        block_number=receipt.block_number,
        gas_used=receipt.gas_used,
    )
