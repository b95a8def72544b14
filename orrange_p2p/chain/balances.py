"""Reads what owners hold and what the vault holds for them, for checks that no value appears or vanishes."""

from collections.abc import Sequence
from dataclasses import dataclass

from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.contracts import settlement_contract, token_contract, vault_contract
from orrange_p2p.chain.deployment import Deployment
from orrange_p2p.chain.views import read_view
from orrange_p2p.core.types import Address, MarketId, OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketBalance:
    """Token units of one owner in one market: what trades may spend, and how much of it was asked to leave."""

    allocated: int
    pending: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTotals:
    """Token units in the vault: what the token says it holds, and what it owes to all owners together."""

    held: int
    owed: int


async def read_free(backend: Backend, deployment: Deployment, owner: Address, token: Address) -> int:
    """Token units that `owner` can withdraw at once."""
    return int(await read_view(backend, vault_contract(), deployment.vault, "freeBalance", owner, token))


async def read_market_balance(
    backend: Backend, deployment: Deployment, owner: Address, market: MarketId, token: Address
) -> MarketBalance:
    """What `owner` has in `market`."""
    vault, contract = deployment.vault, vault_contract()
    allocated = await read_view(backend, contract, vault, "allocation", owner, market, token)
    pending = await read_view(backend, contract, vault, "pendingDeallocation", owner, market, token)
    return MarketBalance(allocated=int(allocated), pending=int(pending))


async def read_wallet(backend: Backend, owner: Address, token: Address) -> int:
    """Token units that `owner` holds outside the vault."""
    return int(await read_view(backend, token_contract(), token, "balanceOf", owner))


async def read_token_totals(backend: Backend, deployment: Deployment, token: Address) -> TokenTotals:
    """What the vault holds of `token` and owes of it; `held` below `owed` means that value was lost."""
    held = await read_wallet(backend, deployment.vault, token)
    owed = int(await read_view(backend, vault_contract(), deployment.vault, "custody", token))
    return TokenTotals(held=held, owed=owed)


async def read_owed_sum(
    backend: Backend,
    deployment: Deployment,
    owners: Sequence[Address],
    markets: Sequence[MarketId],
    token: Address,
) -> int:
    """Token units of these owners together, free and in these markets; equal to `owed` if they are all there are."""
    total = 0
    for owner in owners:
        total += await read_free(backend, deployment, owner, token)
        for market in markets:
            total += (await read_market_balance(backend, deployment, owner, market, token)).allocated
    return total


async def read_filled_lots(backend: Backend, deployment: Deployment, order: OrderId) -> int:
    """Lots of `order` that settled."""
    return int(await read_view(backend, settlement_contract(), deployment.settlement, "filledLots", order))
