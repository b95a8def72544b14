"""Whether value was conserved: what the contracts hold against what owners put in and what every node says was traded.

S9: value is conserved, rounding included.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.balances import read_market_balance, read_owed_sum, read_token_totals
from orrange_p2p.chain.deployment import Deployment
from orrange_p2p.config import NetworkConfig
from orrange_p2p.core.market_kernel import MarketKernel
from orrange_p2p.core.types import Address, Market, Side
from orrange_p2p.launch.found import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Token units that a node's tickets brought to an owner, less what they took."""

    base: int = 0
    quote: int = 0


async def is_value_conserved(
    backend: Backend,
    deployment: Deployment,
    network: NetworkConfig,
    members: Sequence[Member],
    moved_by_node: Sequence[Mapping[Address, Moved]],
) -> bool:
    """Read balances from the chain and compare them, to the unit, with deposits and with each node's tickets.

    Args:
        backend: the chain.
        deployment: the contracts.
        network: its first market is the one looked at.
        members: every owner with its deposit.
        moved_by_node: what `compute_moved` gives, for each node whose word is to be checked.
    """
    rules = network.rules()[0]
    market = rules.market
    owners = [member.owner.address for member in members]
    for token in (market.base, market.quote):
        deposited = sum(_deposit(member, market, token) for member in members)
        totals = await read_token_totals(backend, deployment, token)
        owed = await read_owed_sum(backend, deployment, owners, [rules.market_id], token)
        if not deposited == totals.held == totals.owed == owed:
            return False
    for member in members:
        for token in (market.base, market.quote):
            balance = await read_market_balance(backend, deployment, member.owner.address, rules.market_id, token)
            for by_owner in moved_by_node:
                moved = by_owner.get(member.owner.address, Moved())
                units = moved.base if token == market.base else moved.quote
                if balance.allocated != _deposit(member, market, token) + units:
                    return False
    return True


def compute_moved(state: MarketKernel) -> dict[Address, Moved]:
    """What the tickets that a node holds moved, by owner."""
    market = state.rules.market
    by_owner: dict[Address, Moved] = {}
    for hold in state.tickets.values():
        ticket = hold.ticket
        base_amount, quote_amount = (
            market.base_amount(ticket.lots),
            market.quote_amount(ticket.price_ticks, ticket.lots),
        )
        for order_id in (ticket.maker_order, ticket.taker_order):
            record = state.feeds.order(order_id)
            if record is None:
                continue
            sign = -1 if record.order.side is Side.SELL else 1
            known = by_owner.get(record.order.owner, Moved())
            by_owner[record.order.owner] = Moved(
                base=known.base + sign * base_amount, quote=known.quote - sign * quote_amount
            )
    return by_owner


def _deposit(member: Member, market: Market, token: Address) -> int:
    return member.need.base if token == market.base else member.need.quote
