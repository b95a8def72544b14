"""One deployment of the contracts: where it stands, with which constants; making one, and checking one."""

from dataclasses import dataclass

from orrange_p2p.chain.account import created_address
from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.contracts import market_fields, settlement_contract, vault_contract
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.views import read_view
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.types import Address, Domain, Market
from orrange_p2p.errors import ConfigError

_VAULT_GAS = 4_000_000
_SETTLEMENT_GAS = 6_000_000
_DELAY_MARGIN_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The contracts that a network uses, and the constants burned into them.

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
) -> Deployment:
    """Deploy vault and settlement, two transactions that may share a block.

    Args:
        lane: pays; nobody else may use its account meanwhile, since the addresses follow from its nonces.
        genesis_ms: when epoch 0 starts, unix milliseconds.
        epoch_ms: an epoch's length.
        ticket_life_s: D, the longest life of a ticket.
        fund_lag_s: L_fund, how far behind an epoch the chain facts lie that nodes act on.
        deallocation_delay_s: seconds from a request to leave a market to its execution, above 2 L_fund + D.

    Raises:
        EscrowReverted: a constructor refused the constants.
        ChainUnavailable: the chain cannot be reached or makes no blocks.
    """
    delay_s = 2 * fund_lag_s + ticket_life_s + _DELAY_MARGIN_S if deallocation_delay_s is None else deallocation_delay_s
    nonce = await lane.backend.transaction_count(lane.address)
    vault, settlement = created_address(lane.address, nonce), created_address(lane.address, nonce + 1)
    creations = (
        (vault_contract().encode_deployment(settlement, delay_s), _VAULT_GAS),
        (
            settlement_contract().encode_deployment(vault, genesis_ms, epoch_ms, ticket_life_s, fund_lag_s),
            _SETTLEMENT_GAS,
        ),
    )
    sent = [await lane.send(None, payload, gas=gas) for payload, gas in creations]
    receipts = [await lane.wait(transaction) for transaction in sent]
    addresses = tuple(receipt.contract for receipt in receipts)
    if addresses != (vault, settlement):
        raise ConfigError(
            f"expected the contracts at 0x{vault.hex()} and 0x{settlement.hex()}, was elsewhere: another transaction "
            f"of 0x{lane.address.hex()} came between; deploy again from an account that nothing else uses"
        )
    return Deployment(
        chain_id=await lane.backend.chain_id(),
        vault=vault,
        settlement=settlement,
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
    expected = {
        "vault": deployment.vault,
        "genesisMs": deployment.genesis_ms,
        "epochMs": deployment.epoch_ms,
        "ticketLifeS": deployment.ticket_life_s,
        "fundLagS": deployment.fund_lag_s,
    }
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
