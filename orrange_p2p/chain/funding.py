"""Gives owners what they need to trade: tokens, a deposit, an allocation to each market, and a session key.

Two rounds of transactions, each of which may share one block: the faucet sends native coin and mints test tokens for
everybody; then every owner approves, deposits, allocates and authorises with consecutive nonces.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from orrange_p2p.chain.account import DigestSigner
from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.contracts import token_contract, vault_contract
from orrange_p2p.chain.deployment import Deployment
from orrange_p2p.chain.lane import SentTransaction, TransactionLane
from orrange_p2p.core.types import Address, MarketId, Scope

_TOKEN_GAS = 1_500_000
_TRANSFER_GAS = 30_000
_MINT_GAS = 100_000
_APPROVE_GAS = 80_000
_DEPOSIT_GAS = 200_000
_ALLOCATE_GAS = 120_000
_AUTHORISE_GAS = 120_000
_GAS_MONEY_WEI = 10**18


@dataclass(frozen=True, slots=True, kw_only=True)
class TestTokenPlan:
    """A token for development to be deployed; anybody may mint it."""

    __test__ = False

    name: str
    symbol: str
    decimals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Token units that an owner lets one market spend."""

    market: MarketId
    token: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionGrant:
    """A session key that an owner lets sign, until unix seconds `expiry_s`."""

    session: Address
    scope: Scope
    expiry_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerFunding:
    """What one owner is to have on chain. `signer` is the owner's own account, used by nobody else meanwhile."""

    signer: DigestSigner
    allocations: tuple[Allocation, ...] = ()
    grants: tuple[SessionGrant, ...] = ()

    def totals(self) -> dict[Address, int]:
        """Token units to deposit, over all markets."""
        sums: dict[Address, int] = {}
        for allocation in self.allocations:
            sums[allocation.token] = sums.get(allocation.token, 0) + allocation.amount
        return sums


async def deploy_test_tokens(lane: TransactionLane, plans: Sequence[TestTokenPlan]) -> tuple[Address, ...]:
    """Deploy test tokens, all of which may share one block, and return their addresses in the order of `plans`."""
    sent = [
        await lane.send(None, token_contract().encode_deployment(plan.name, plan.symbol, plan.decimals), gas=_TOKEN_GAS)
        for plan in plans
    ]
    receipts = [await lane.wait(transaction) for transaction in sent]
    return tuple(receipt.contract for receipt in receipts if receipt.contract is not None)


async def fund_owners(
    backend: Backend,
    deployment: Deployment,
    faucet: TransactionLane,
    owners: Sequence[OwnerFunding],
    *,
    mints: bool = True,
    gas_money_wei: int = _GAS_MONEY_WEI,
) -> None:
    """Bring every owner to what its `OwnerFunding` says, on top of what it has.

    Args:
        backend: the chain.
        deployment: the contracts.
        faucet: pays native coin to owners that hold less than `gas_money_wei`, and mints.
        owners: who is funded.
        mints: whether the tokens are test tokens to be minted; otherwise owners must hold them already.
        gas_money_wei: native coin that an owner needs for its own transactions.

    Raises:
        EscrowReverted: a contract refused (an owner without the tokens, a session key that was used before).
        ChainUnavailable: the chain cannot be reached or makes no blocks.
    """
    given: list[SentTransaction] = []
    for owner in owners:
        address = owner.signer.address
        if await backend.balance_wei(address) < gas_money_wei:
            given.append(await faucet.send(address, b"", gas=_TRANSFER_GAS, value_wei=gas_money_wei))
        for token, amount in owner.totals().items() if mints else ():
            given.append(await faucet.send(token, token_contract().encode_call("mint", address, amount), gas=_MINT_GAS))
    for transaction in given:
        await faucet.wait(transaction)
    under_way = [await _send_all(TransactionLane(backend, owner.signer), deployment, owner) for owner in owners]
    for lane, sent in under_way:
        for transaction in sent:
            await lane.wait(transaction)


async def _send_all(
    lane: TransactionLane, deployment: Deployment, owner: OwnerFunding
) -> tuple[TransactionLane, list[SentTransaction]]:
    """Send all of one owner's transactions, with consecutive nonces."""
    vault, vault_abi = deployment.vault, vault_contract()
    calls: list[tuple[Address, bytes, int]] = []
    for token, amount in owner.totals().items():
        calls.append((token, token_contract().encode_call("approve", vault, amount), _APPROVE_GAS))
        calls.append((vault, vault_abi.encode_call("deposit", token, amount), _DEPOSIT_GAS))
    for allocation in owner.allocations:
        payload = vault_abi.encode_call("allocate", allocation.market, allocation.token, allocation.amount)
        calls.append((vault, payload, _ALLOCATE_GAS))
    for grant in owner.grants:
        payload = vault_abi.encode_call("authoriseSession", grant.session, int(grant.scope), grant.expiry_s)
        calls.append((vault, payload, _AUTHORISE_GAS))
    return lane, [await lane.send(to, payload, gas=gas) for to, payload, gas in calls]
