"""Deploys a planned network, step by step, whoever began it; what stands already is left alone."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from orrange_p2p.chain.abi import load_contract
from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.contracts import factory_contract
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.network_plan import (
    DEPLOYMENT_PROXY,
    DEPLOYMENT_PROXY_CODE,
    FACTORY,
    SALT,
    NetworkPlan,
)
from orrange_p2p.chain.views import read_view
from orrange_p2p.core.types import Address, Digest
from orrange_p2p.errors import ConfigError, EscrowReverted


class StepOutcome(Enum):
    """What became of one contract of the plan."""

    FOUND = "found"
    DEPLOYED = "deployed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One contract stands. Transaction, block and gas are None where it stood before or somebody else was faster."""

    name: str
    address: Address
    outcome: StepOutcome
    transaction: Digest | None = None
    block_number: int | None = None
    gas_used: int | None = None


async def deploy_network(
    lane: TransactionLane, plan: NetworkPlan, *, on_step: Callable[[Step], None] = lambda _: None
) -> tuple[Step, ...]:
    """Bring every contract of the plan onto the chain, the factory first.

    Safe to repeat after any failure, and to run by several people at once: nobody's step can change what will stand.

    Args:
        lane: pays.
        plan: what is to stand.
        on_step: told of each contract as soon as it stands.

    Returns:
        One step a contract, in order.

    Raises:
        ConfigError: the deployment proxy is not on this chain, or the account has no coin.
        EscrowReverted: a constructor refused its arguments; what was deployed before stays.
        ChainUnavailable: the chain cannot be reached or makes no blocks; what was deployed before stays.
    """
    await _check_chain(lane)
    factory = plan.factory_address()
    steps = [await _deploy(lane, DEPLOYMENT_PROXY, SALT + plan.factory_init_code(), FACTORY, factory)]
    on_step(steps[0])
    for index, (name, address) in enumerate(plan.addresses().items()):
        payload = factory_contract().encode_call("deploy", index, load_contract(name).bytecode)
        steps.append(await _deploy(lane, factory, payload, name, address))
        on_step(steps[-1])
    return tuple(steps)


async def read_deployed_count(backend: Backend, factory: Address) -> int | None:
    """How many contracts of its list a factory has deployed; None if no factory stands there.

    Raises:
        ChainUnavailable: the chain cannot be reached.
    """
    if not await backend.code(factory):
        return None
    try:
        return int(await read_view(backend, factory_contract(), factory, "deployed"))
    except ConfigError:
        return None


async def _check_chain(lane: TransactionLane) -> None:
    backend = lane.backend
    proxy = await backend.code(DEPLOYMENT_PROXY)
    if proxy != DEPLOYMENT_PROXY_CODE:
        raise ConfigError(
            f"expected the deterministic deployment proxy at 0x{DEPLOYMENT_PROXY.hex()} on chain "
            f"{await backend.chain_id()}, was {'other code' if proxy else 'nothing'}; put it there first, by its one "
            "known transaction, or use another chain"
        )
    if not await backend.balance_wei(lane.address):
        raise ConfigError(
            f"expected coin for gas on account 0x{lane.address.hex()}, was none; send it some, or use another key"
        )


async def _deploy(lane: TransactionLane, to: Address, payload: bytes, name: str, address: Address) -> Step:
    if await lane.backend.code(address):
        return Step(name=name, address=address, outcome=StepOutcome.FOUND)
    try:
        return await _submit(lane, to, payload, name, address)
    except EscrowReverted:
        # Somebody else's step may have come between; then the contract stands all the same.
        if not await lane.backend.code(address):
            raise
    return Step(name=name, address=address, outcome=StepOutcome.FOUND)


async def _submit(lane: TransactionLane, to: Address, payload: bytes, name: str, address: Address) -> Step:
    sent = await lane.send(to, payload)
    receipt = await lane.wait(sent)
    return Step(
        name=name,
        address=address,
        outcome=StepOutcome.DEPLOYED,
        transaction=sent.hash,
        block_number=receipt.block_number,
        gas_used=receipt.gas_used,
    )
