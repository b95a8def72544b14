"""Founds a network on a development chain: contracts, test tokens, a market, funded owners with their sessions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.deployment import deploy
from orrange_p2p.chain.funding import (
    Allocation,
    OwnerFunding,
    SessionGrant,
    TestTokenPlan,
    deploy_test_tokens,
    fund_owners,
)
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.config import MarketConfig, NetworkConfig
from orrange_p2p.core.presets import MarketRules, Preset
from orrange_p2p.core.types import Address, Epoch, Scope, Side
from orrange_p2p.keys.session import SessionKey
from orrange_p2p.launch.flow import FlowEvent, Submit

MARKET_NAME = "BTC-USD"
BASE_DECIMALS, QUOTE_DECIMALS = 8, 6
LOT_SATOSHI = 100_000
TICK_CENTS = 1
TICK_QUOTE_UNITS = 10  # one cent a bitcoin is 0.00001 dollars a lot of 0.001 bitcoin
GAS_MONEY_WEI = 10**18
SESSION_LIFE_S = 30 * 24 * 3600
_TRANSFER_GAS = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Token units that an owner's orders of a flow can cost at most."""

    base: int
    quote: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An owner of the network to be, with its node's session and gas account."""

    owner: SessionKey
    session: Address
    submitter: Address
    need: Need


def compute_needs(events: Iterable[FlowEvent], peers: int, *, spare: Need | None = None) -> list[Need]:
    """What each owner needs if no order is ever cancelled, so that none is refused for funds.

    Args:
        events: the flow; an order belongs to owner `order_id % peers`.
        peers: how many owners there are.
        spare: what each gets besides, for orders of its own.
    """
    base, quote = [spare.base if spare else 0] * peers, [spare.quote if spare else 0] * peers
    for event in events:
        if not isinstance(event, Submit):
            continue
        number = event.order_id % peers
        if event.side is Side.SELL:
            base[number] += event.quantity_lots * LOT_SATOSHI
        else:
            quote[number] += event.quantity_lots * event.price_ticks * TICK_QUOTE_UNITS
    return [Need(base=max(1, base[number]), quote=max(1, quote[number])) for number in range(peers)]


async def found_network(
    backend: Backend,
    faucet: TransactionLane,
    members: Sequence[Member],
    *,
    preset: Preset,
    genesis_ms: int,
    name: str = "demo",
    terms: Mapping[str, int | Address] | None = None,
) -> NetworkConfig:
    """Deploy contracts and tokens, make the market, fund every member and authorise its session.

    Raises:
        ChainUnavailable: the chain cannot be reached.
        EscrowReverted: a contract refused; a bug or a chain used before.
    """
    deployment = await deploy(
        faucet,
        genesis_ms=genesis_ms,
        epoch_ms=preset.epoch_ms,
        ticket_life_s=preset.ticket_life_s,
        fund_lag_s=preset.fund_lag_s,
        terms=terms,
    )
    base, quote = await deploy_test_tokens(
        faucet,
        (
            TestTokenPlan(name="Test Bitcoin", symbol="BTC", decimals=BASE_DECIMALS),
            TestTokenPlan(name="Test Dollar", symbol="USD", decimals=QUOTE_DECIMALS),
        ),
    )
    market = MarketConfig(
        name=MARKET_NAME,
        base=f"0x{base.hex()}",
        quote=f"0x{quote.hex()}",
        lot_size=LOT_SATOSHI,
        tick_size=TICK_QUOTE_UNITS,
        base_decimals=BASE_DECIMALS,
        quote_decimals=QUOTE_DECIMALS,
    )
    network = NetworkConfig(
        name=name,
        preset=preset.name,
        genesis_ms=genesis_ms,
        chain_id=deployment.chain_id,
        vault=f"0x{deployment.vault.hex()}",
        settlement=f"0x{deployment.settlement.hex()}",
        escrow=_shown(deployment.escrow),
        slasher=_shown(deployment.slasher),
        deployed_at_block=deployment.deployed_at_block,
        markets=(market,),
    )
    market_id = network.rules()[0].market_id
    expiry_s = genesis_ms // 1000 + SESSION_LIFE_S
    scope = Scope.TICKET | Scope.TRADE
    fundings = [
        OwnerFunding(
            signer=member.owner,
            allocations=(
                Allocation(market=market_id, token=base, amount=member.need.base),
                Allocation(market=market_id, token=quote, amount=member.need.quote),
            ),
            grants=(SessionGrant(session=member.session, scope=scope, expiry_s=expiry_s),),
        )
        for member in members
    ]
    await give_gas_money(faucet, [member.submitter for member in members])
    await fund_owners(backend, deployment, faucet, fundings)
    return network


async def give_gas_money(faucet: TransactionLane, accounts: Sequence[Address]) -> None:
    """Send every account coin enough for many transactions.

    Raises:
        ChainUnavailable: the chain cannot be reached.
    """
    sent = [await faucet.send(account, b"", gas=_TRANSFER_GAS, value_wei=GAS_MONEY_WEI) for account in accounts]
    for transaction in sent:
        await faucet.wait(transaction)


def _shown(address: Address | None) -> str | None:
    return None if address is None else f"0x{address.hex()}"


def first_funded_epoch(rules: MarketRules, founded_ms: int) -> Epoch:
    """The first epoch whose fund block has seen what was allocated until `founded_ms`, unix milliseconds.

    Orders that claim an earlier one would be void. Spec: [FUND-5].
    """
    after_ms = founded_ms + 1000 + rules.preset.fund_lag_s * 1000 - rules.genesis_ms  # block times are whole seconds
    return Epoch(-(-after_ms // rules.preset.epoch_ms))
