"""Whether value was conserved: what the contracts hold against what owners put in and what every node says was traded.

S9: value is conserved, rounding included.
"""

from collections.abc import Iterable, Sequence

from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.balances import read_market_balance, read_owed_sum, read_token_totals
from orrange_p2p.chain.deployment import Deployment
from orrange_p2p.config import NetworkConfig
from orrange_p2p.core.feeds import HoldRecord
from orrange_p2p.core.market_kernel import MarketKernel
from orrange_p2p.core.types import Address, Market, Side
from orrange_p2p.launch.found import Member
from orrange_p2p.node import Node


async def is_value_conserved(
    backend: Backend,
    deployment: Deployment,
    network: NetworkConfig,
    members: Sequence[Member],
    nodes: Sequence[Node],
) -> bool:
    """Read balances from the chain and compare them, to the unit, with deposits and with each node's tickets."""
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
            for node in nodes:
                state = node.kernel.markets[rules.market_id]
                moved = _moved(state, state.tickets.values(), member.owner.address, token)
                if balance.allocated != _deposit(member, market, token) + moved:
                    return False
    return True


def _deposit(member: Member, market: Market, token: Address) -> int:
    return member.need.base if token == market.base else member.need.quote


def _moved(state: MarketKernel, tickets: Iterable[HoldRecord], owner: Address, token: Address) -> int:
    """Token units that a node's tickets brought to an owner, less what they took."""
    market = state.rules.market
    moved = 0
    for hold in tickets:
        ticket = hold.ticket
        for order_id in (ticket.maker_order, ticket.taker_order):
            record = state.feeds.order(order_id)
            if record is None or record.order.owner != owner:
                continue
            gives_base = record.order.side is Side.SELL
            if token == market.base:
                amount = market.base_amount(ticket.lots)
                moved += -amount if gives_base else amount
            else:
                amount = market.quote_amount(ticket.price_ticks, ticket.lots)
                moved += amount if gives_base else -amount
    return moved
