"""Deploys a network's contracts, and tells what stands of them on the chain: `orrange chain deploy|status`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orrange_p2p.chain.account import DigestSigner
from orrange_p2p.chain.backend import Backend, BlockRef
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.network_deploy import Step, deploy_network, read_deployed_count
from orrange_p2p.chain.network_plan import FACTORY, NETWORK_CONTRACTS, NetworkPlan, plan_network
from orrange_p2p.chain.network_status import CodeState, ContractStatus, read_contract_status
from orrange_p2p.chain.rpc import open_rpc
from orrange_p2p.config import parse_address
from orrange_p2p.core.types import Address
from orrange_p2p.errors import ConfigError
from orrange_p2p.network import DeployedContracts, NetworkFile

_CONTRACT_NAMES = {FACTORY: "factory"} | {name: name.removeprefix("Orrange").lower() for name in NETWORK_CONTRACTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractsReport:
    """What stands of a network.

    Attributes:
        head: the block that this speaks of.
        is_recorded: whether the network's file names the addresses; else they are those that its settings lead to.
        deployed: how many contracts of its list the factory has deployed; None if there is no factory.
        contracts: one status each, the factory first.
        arguments: what each constructor was given, by contract name, as explorers want it for verification; empty if
            the addresses are not those that settings and code of this package lead to.
    """

    head: BlockRef
    is_recorded: bool
    deployed: int | None
    contracts: tuple[ContractStatus, ...]
    arguments: Mapping[str, bytes]

    @property
    def is_complete(self) -> bool:
        """Whether every contract stands and is ours."""
        return all(status.state is CodeState.MATCHES for status in self.contracts)


def plan_file(file: NetworkFile) -> NetworkPlan:
    """The contracts that a network's settings lead to, with the code that this package carries.

    Raises:
        ConfigError: a setting is missing, or one is too many.
    """
    return plan_network(file.constructor_settings())


def choose_endpoint(file: NetworkFile, rpc_url: str | None) -> str:
    """The chain's URL: the given one, or the first of several given, else the network's first.

    Raises:
        ConfigError: there is neither.
    """
    if rpc_url is not None and rpc_url.strip():
        return rpc_url.replace(",", " ").split()[0]
    if not file.rpc_urls:
        raise ConfigError(
            f"expected an endpoint of chain {file.chain_id}, was none in network {file.name}: give --rpc-url URL, or "
            "set ORRANGE_RPC_URL"
        )
    return file.rpc_urls[0]


async def deploy_contracts(
    file: NetworkFile, url: str, signer: DigestSigner, *, on_step: Callable[[Step], None] = lambda _: None
) -> tuple[NetworkFile, tuple[Step, ...]]:
    """Deploy what is missing of a network.

    Args:
        file: the network; its own addresses, if it has any, are left out of account.
        url: JSON-RPC of its chain.
        signer: pays.
        on_step: told of each contract as soon as it stands.

    Returns:
        The network with its addresses, and one step a contract.

    Raises:
        ConfigError: another chain, no deployment proxy on it, no coin to pay with, settings that do not fit.
        EscrowReverted: a constructor refused.
        ChainUnavailable: the chain cannot be reached; what was deployed before stays.
    """
    plan = plan_file(file)
    async with open_rpc(url, expected_chain_id=file.chain_id) as backend:
        steps = await deploy_network(TransactionLane(backend, signer), plan, on_step=on_step)
        return await _with_contracts(backend, file, steps), steps


async def inspect_contracts(file: NetworkFile, url: str) -> ContractsReport:
    """See what stands of a network.

    Raises:
        ConfigError: another chain.
        ChainUnavailable: the chain cannot be reached.
    """
    plan = plan_file(file)
    planned = {FACTORY: plan.factory_address(), **plan.addresses()}
    places = _recorded(file.contracts) if file.contracts else planned
    arguments = {name: plan.constructor_arguments(name) for name in planned} if places == planned else {}
    async with open_rpc(url, expected_chain_id=file.chain_id) as backend:
        head = await backend.head()
        statuses = [await read_contract_status(backend, name, address) for name, address in places.items()]
        deployed = await read_deployed_count(backend, places[FACTORY])
    return ContractsReport(
        head=head,
        is_recorded=file.contracts is not None,
        deployed=deployed,
        contracts=tuple(statuses),
        arguments=arguments,
    )


def _recorded(contracts: DeployedContracts) -> dict[str, Address]:
    texts = contracts.model_dump()
    return {name: parse_address(texts[field]) for name, field in _CONTRACT_NAMES.items()}


async def _with_contracts(backend: Backend, file: NetworkFile, steps: tuple[Step, ...]) -> NetworkFile:
    """The file with the addresses in it, and with the block that the factory remembers as its own."""
    factory = await read_contract_status(backend, FACTORY, steps[0].address)
    addresses = {_CONTRACT_NAMES[step.name]: f"0x{step.address.hex()}" for step in steps}
    contracts = {**addresses, "deployed_at_block": factory.settings["createdAtBlock"]}
    return file.model_copy(update={"contracts": DeployedContracts.model_validate(contracts)})
