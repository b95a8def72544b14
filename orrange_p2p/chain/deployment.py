"""One deployment of the contracts: where it stands, with which constants; making one, and checking one."""

from collections.abc import Mapping
from dataclasses import dataclass

from orrange_p2p.chain.abi import load_contract
from orrange_p2p.chain.account import created_address
from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.contracts import market_fields, settlement_contract
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.network_plan import constructor_arguments
from orrange_p2p.chain.views import read_view
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.types import ZERO_ADDRESS, Address, Domain, Market
from orrange_p2p.errors import ConfigError

_DEVELOPMENT_GAS = {
    "OrrangeVault": 6_000_000,
    "OrrangeSettlement": 8_000_000,
    "OrrangeEscrow": 4_000_000,
    "OrrangeSlasher": 4_000_000,
}
_DELAY_MARGIN_S = 60

DEVELOPMENT_TERMS: Mapping[str, int | Address] = {
    "bondToken": ZERO_ADDRESS,
    "bondUnit": 10**12,
    "unbondingDelay": 3_600,
    "feePpm": 0,
    "sinkSharePpm": 0,
    "sink": ZERO_ADDRESS,
    "penalty": 10_000,
    "graceS": 60,
    "payS": 900,
    "confirmS": 900,
    "arbitrationS": 1_800,
    "disputeDue": 10_000,
    "forkDue": 50_000,
    "overSigningDue": 50_000,
    "reporterShareBps": 5_000,
    "evidenceWindowS": 3_000,
}
"""Of networks that a demonstration founds: bonds in the native coin, no fee, a default costs a hundredth of a coin, an
escrow's buyer has a quarter of an hour to pay and its seller as long to confirm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The contracts that a network uses, and the constants burned into them.

    Without `escrow` no trade is paid outside the chain; without `slasher` no proof costs a bond.
    `genesis_ms` is unix milliseconds; `ticket_life_s` is D and `fund_lag_s` is L_fund of the network's preset.
    """

    chain_id: int
    vault: Address
    settlement: Address
    deployed_at_block: int
    genesis_ms: int
    epoch_ms: int
    ticket_life_s: int
    fund_lag_s: int
    escrow: Address | None = None
    slasher: Address | None = None

    @property
    def domain(self) -> Domain:
        """The EIP-712 domain of everything signed for this deployment."""
        return Domain(chain_id=self.chain_id, settlement=self.settlement)


async def deploy(
    lane: TransactionLane,
    *,
    genesis_ms: int,
    epoch_ms: int,
    ticket_life_s: int,
    fund_lag_s: int,
    deallocation_delay_s: int | None = None,
    terms: Mapping[str, int | Address] | None = None,
) -> Deployment:
    """Deploy a network's contracts for development, in transactions that may share a block.

    Args:
        lane: pays; nobody else may use its account meanwhile, since the addresses follow from its nonces.
        genesis_ms: when epoch 0 starts, unix milliseconds.
        epoch_ms: an epoch's length.
        ticket_life_s: D, the longest life of a ticket.
        fund_lag_s: L_fund, how far behind an epoch the chain facts lie that nodes act on.
        deallocation_delay_s: seconds from a request to leave a market to its execution, above 2 L_fund + D.
        terms: what the constructors are given instead of `DEVELOPMENT_TERMS`, by parameter name.

    Raises:
        ConfigError: an unknown term, or the account was used by somebody else meanwhile.
        EscrowReverted: a constructor refused the constants.
        ChainUnavailable: the chain cannot be reached or makes no blocks.
    """
    delay_s = 2 * fund_lag_s + ticket_life_s + _DELAY_MARGIN_S if deallocation_delay_s is None else deallocation_delay_s
    for name in terms or {}:
        if name not in DEVELOPMENT_TERMS:
            raise ConfigError(f"expected terms of {', '.join(DEVELOPMENT_TERMS)}, was also {name}")
    settings: dict[str, int | Address] = {
        **DEVELOPMENT_TERMS,
        **(terms or {}),
        "genesisMs": genesis_ms,
        "epochMs": epoch_ms,
        "ticketLifeS": ticket_life_s,
        "fundLagS": fund_lag_s,
        "deallocationDelay": delay_s,
    }
    nonce = await lane.backend.transaction_count(lane.address)
    places = {name: created_address(lane.address, nonce + at) for at, name in enumerate(_DEVELOPMENT_GAS)}
    sent = []
    for name, gas in _DEVELOPMENT_GAS.items():
        contract = load_contract(name)
        payload = contract.encode_deployment(*constructor_arguments(contract, settings, places))
        sent.append(await lane.send(None, payload, gas=gas))
    receipts = [await lane.wait(transaction) for transaction in sent]
    if [receipt.contract for receipt in receipts] != list(places.values()):
        raise ConfigError(
            f"expected the contracts at {', '.join('0x' + place.hex() for place in places.values())}, was elsewhere: "
            f"another transaction of 0x{lane.address.hex()} came between; deploy again from an account that nothing "
            "else uses"
        )
    return Deployment(
        chain_id=await lane.backend.chain_id(),
        vault=places["OrrangeVault"],
        settlement=places["OrrangeSettlement"],
        escrow=places["OrrangeEscrow"],
        slasher=places["OrrangeSlasher"],
        deployed_at_block=receipts[0].block_number,
        genesis_ms=genesis_ms,
        epoch_ms=epoch_ms,
        ticket_life_s=ticket_life_s,
        fund_lag_s=fund_lag_s,
    )


async def check(backend: Backend, deployment: Deployment) -> None:
    """Make sure that `deployment` stands on this chain exactly as described.

    Raises:
        ConfigError: another chain id, no contract there, or another constant in it; the message names which.
        ChainUnavailable: the chain cannot be reached.
    """
    chain_id = await backend.chain_id()
    if chain_id != deployment.chain_id:
        raise ConfigError(
            f"expected chain id {deployment.chain_id}, was {chain_id}; check the network and the chain's URL"
        )
    for name, address in (("vault", deployment.vault), ("settlement", deployment.settlement)):
        if not await backend.code(address):
            raise ConfigError(
                f"expected the {name} contract at 0x{address.hex()} on chain {chain_id}, was no contract; deploy it or "
                "correct the address"
            )
    expected: dict[str, int | Address] = {
        "vault": deployment.vault,
        "genesisMs": deployment.genesis_ms,
        "epochMs": deployment.epoch_ms,
        "ticketLifeS": deployment.ticket_life_s,
        "fundLagS": deployment.fund_lag_s,
    }
    if deployment.escrow is not None:
        expected["escrow"] = deployment.escrow
    for field, value in expected.items():
        found = await read_view(backend, settlement_contract(), deployment.settlement, field)
        if found != value:
            raise ConfigError(
                f"expected {field} {_shown(value)} in the settlement contract at 0x{deployment.settlement.hex()}, "
                f"was {_shown(found)}; the network's configuration and the deployed contract differ"
            )


async def check_market(backend: Backend, deployment: Deployment, market: Market) -> None:
    """Make sure that the contract and this program give `market` the same id.

    Raises:
        ConfigError: they differ, so nothing signed here would settle there.
        ChainUnavailable: the chain cannot be reached.
    """
    expected = Digests(deployment.domain).market(market)
    found = await read_view(backend, settlement_contract(), deployment.settlement, "marketId", market_fields(market))
    if found != expected:
        raise ConfigError(f"expected market id 0x{expected.hex()} from the settlement contract, was {_shown(found)}")


def _shown(value: object) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
