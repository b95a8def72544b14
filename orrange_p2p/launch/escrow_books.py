"""What everybody holds around a trade by escrow, and what they were to hold after it."""

from collections.abc import Mapping

from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.balances import read_free, read_market_balance
from orrange_p2p.chain.contracts import vault_contract
from orrange_p2p.chain.deployment import Deployment
from orrange_p2p.chain.views import read_view
from orrange_p2p.core.escrow import WHOLE_BPS, EscrowState, EscrowTrade
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import Address
from orrange_p2p.launch.escrow_steps import Split

Holdings = Mapping[str, Mapping[str, int]]
"""By token (base, quote) and holder (the named owners, escrow), token units in the vault, free and allocated."""


async def read_holdings(
    backend: Backend, deployment: Deployment, rules: MarketRules, owners: Mapping[str, Address]
) -> Holdings:
    """Read them from the chain.

    Raises:
        ConfigError: the contracts are not where they should be.
        ChainUnavailable: the chain cannot be reached.
    """
    held: dict[str, dict[str, int]] = {}
    for name, token in (("base", rules.market.base), ("quote", rules.market.quote)):
        held[name] = {}
        for who, owner in owners.items():
            market = await read_market_balance(backend, deployment, owner, rules.market_id, token)
            held[name][who] = market.allocated + await read_free(backend, deployment, owner, token)
        locked = await read_view(backend, vault_contract(), deployment.vault, "lockedBalance", token)
        held[name]["escrow"] = int(locked)
    return held


def expect_end(before: Holdings, trade: EscrowTrade, ending: EscrowState, split: Split) -> Holdings:
    """What everybody is to hold once a trade has ended.

    Args:
        before: what they held before the trade was opened.
        trade: its terms.
        ending: RELEASED, CANCELLED because the buyer was silent, or RESOLVED by the split that follows.
        split: the seller's part of base and bonds where an arbitrator split, rounded down.
    """
    match ending:
        case EscrowState.RELEASED:
            seller_base, seller_quote = 0, trade.bond_amount
        case EscrowState.CANCELLED:
            seller_base, seller_quote = trade.base_amount, 2 * trade.bond_amount
        case _:
            seller_base = trade.base_amount * split.seller_base_bps // WHOLE_BPS
            seller_quote = 2 * trade.bond_amount * split.seller_bonds_bps // WHOLE_BPS
    to_seller = {"base": seller_base - trade.base_amount, "quote": seller_quote - trade.bond_amount}
    after = {token: dict(held) for token, held in before.items()}
    for token, units in to_seller.items():
        after[token]["seller"] += units
        after[token]["buyer"] -= units
    return after
