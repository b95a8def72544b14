"""A network's contracts stand where their settings say, whoever deploys them, and are compared with our code."""

from collections.abc import Mapping

import pytest
from chain_under_test import ChainUnderTest
from chain_world import dev_key, faucet_key

from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.contracts import factory_contract, token_contract, vault_contract
from orrange_p2p.chain.deployment import Deployment, check
from orrange_p2p.chain.funding import TestTokenPlan, deploy_test_tokens
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.network_deploy import Step, StepOutcome, deploy_network, read_deployed_count
from orrange_p2p.chain.network_plan import (
    DEPLOYMENT_PROXY,
    DEPLOYMENT_PROXY_CODE,
    FACTORY,
    NETWORK_CONTRACTS,
    SALT,
    NetworkPlan,
    plan_network,
)
from orrange_p2p.chain.network_status import CodeState, is_code_of, read_contract_status
from orrange_p2p.core.types import Address
from orrange_p2p.errors import ConfigError, EscrowReverted

SETTINGS: Mapping[str, int | Address] = {
    "genesisMs": 1_700_000_000_123,
    "epochMs": 500,
    "ticketLifeS": 60,
    "fundLagS": 2,
    "deallocationDelay": 124,
    "unbondingDelay": 100,
    "bondToken": Address(b"\xb0" * 20),
    "bondUnit": 1000,
    "feePpm": 10,
    "sinkSharePpm": 1000,
    "sink": Address(b"\x51" * 20),
    "penalty": 7,
    "graceS": 60,
    "payS": 600,
    "confirmS": 700,
    "arbitrationS": 800,
    "disputeDue": 8,
    "forkDue": 9,
    "overSigningDue": 10,
    "reporterShareBps": 2_500,
    "evidenceWindowS": 30,
}


def network(label: str) -> NetworkPlan:
    """A plan of its own for each test: the chain may be shared."""
    return plan_network({**SETTINGS, "genesisMs": sum(label.encode()) + 1})


def deployment_of(plan: NetworkPlan, genesis_ms: int, steps: tuple[Step, ...]) -> Deployment:
    """As a node would be configured."""
    places = plan.addresses()
    return Deployment(
        chain_id=31337,
        vault=places["OrrangeVault"],
        settlement=places["OrrangeSettlement"],
        deployed_at_block=steps[0].block_number or 0,
        genesis_ms=genesis_ms,
        epoch_ms=500,
        ticket_life_s=60,
        fund_lag_s=2,
    )


async def statuses(backend: Backend, plan: NetworkPlan) -> list[CodeState]:
    """How each contract of the plan compares."""
    places = {FACTORY: plan.factory_address(), **plan.addresses()}
    return [(await read_contract_status(backend, name, address)).state for name, address in places.items()]


# the plan


def test_a_setting_that_a_constructor_lacks_is_named() -> None:
    incomplete = {name: value for name, value in SETTINGS.items() if name != "fundLagS"}
    with pytest.raises(ConfigError, match="expected a value for fundLagS, which the constructor of OrrangeSettlement"):
        plan_network(incomplete)


def test_a_setting_that_no_constructor_takes_is_named() -> None:
    with pytest.raises(ConfigError, match="expected parameters of arbitrationS, .* was also feePmp"):
        plan_network({**SETTINGS, "feePmp": 1})


def test_every_setting_moves_every_address() -> None:
    plan = plan_network(SETTINGS)
    assert plan_network(dict(SETTINGS)).addresses() == plan.addresses()
    for name, value in SETTINGS.items():
        changed = value + 1 if isinstance(value, int) else Address(value[::-1][:-1] + b"\x01")
        other = plan_network({**SETTINGS, name: changed})
        assert not set(other.addresses().values()) & set(plan.addresses().values())
        assert other.factory_address() != plan.factory_address()


def test_contracts_name_each_other_in_their_arguments() -> None:
    plan = plan_network(SETTINGS)
    places = plan.addresses()
    assert plan.constructor_arguments("OrrangeVault")[12:32] == places["OrrangeSettlement"]
    assert plan.constructor_arguments("OrrangeSettlement")[12:32] == places["OrrangeVault"]
    assert plan.constructor_arguments("OrrangeVault")[44:64] == places["OrrangeEscrow"]
    assert plan.constructor_arguments("OrrangeVault")[76:96] == places["OrrangeSlasher"]
    assert plan.constructor_arguments("OrrangeEscrow")[12:32] == places["OrrangeVault"]
    assert plan.constructor_arguments("OrrangeSlasher")[44:64] == places["OrrangeSettlement"]
    assert plan.constructor_arguments("OrrangeSwap") == b""
    assert factory_contract().bytecode + plan.constructor_arguments(FACTORY) == plan.factory_init_code()


# refused


async def test_an_account_without_coin_is_told(chain: ChainUnderTest) -> None:
    poor = TransactionLane(chain.backend, dev_key("poor"))
    with pytest.raises(ConfigError, match="expected coin for gas on account 0x.*, was none"):
        await deploy_network(poor, network("poor"))


async def test_a_constructor_that_refuses_is_told_and_leaves_the_rest(chain: ChainUnderTest) -> None:
    plan = plan_network({**SETTINGS, "deallocationDelay": 64, "genesisMs": 99})
    steps: list[Step] = []
    with pytest.raises(EscrowReverted, match="DelayTooShort.delay=64, required=65"):
        await deploy_network(TransactionLane(chain.backend, faucet_key()), plan, on_step=steps.append)
    assert [step.name for step in steps] == [FACTORY, "OrrangeVault"]
    assert await read_deployed_count(chain.backend, plan.factory_address()) == 1


# deployed


async def test_a_network_stands_where_it_was_planned(chain: ChainUnderTest) -> None:
    plan = plan_network(SETTINGS)
    seen: list[Step] = []
    lane = TransactionLane(chain.backend, faucet_key())
    assert await read_deployed_count(chain.backend, plan.factory_address()) is None
    assert set(await statuses(chain.backend, plan)) == {CodeState.MISSING}
    steps = await deploy_network(lane, plan, on_step=seen.append)
    assert list(steps) == seen
    assert [step.name for step in steps] == [FACTORY, *NETWORK_CONTRACTS]
    assert {step.outcome for step in steps} == {StepOutcome.DEPLOYED}
    assert set(await statuses(chain.backend, plan)) == {CodeState.MATCHES}
    assert await read_deployed_count(chain.backend, plan.factory_address()) == len(NETWORK_CONTRACTS)
    await check(chain.backend, deployment_of(plan, 1_700_000_000_123, steps))
    status = await read_contract_status(chain.backend, "OrrangeSettlement", plan.addresses()["OrrangeSettlement"])
    assert status.settings["vault"] == plan.addresses()["OrrangeVault"]
    assert [status.settings[name] for name in ("genesisMs", "epochMs", "ticketLifeS", "fundLagS")] == [
        SETTINGS[name] for name in ("genesisMs", "epochMs", "ticketLifeS", "fundLagS")
    ]
    again = await deploy_network(lane, plan)
    assert {step.outcome for step in again} == {StepOutcome.FOUND}
    assert [step.address for step in again] == [step.address for step in steps]


async def test_a_stranger_finishes_what_somebody_began(chain: ChainUnderTest) -> None:
    plan = network("begun")
    lane = TransactionLane(chain.backend, faucet_key())
    await lane.submit(DEPLOYMENT_PROXY, SALT + plan.factory_init_code())
    first = factory_contract().encode_call("deploy", 0, vault_contract().bytecode)
    await lane.submit(plan.factory_address(), first)
    stranger = dev_key("stranger")
    await lane.submit(stranger.address, b"", gas=30_000, value_wei=10**18)
    steps = await deploy_network(TransactionLane(chain.backend, stranger), plan)
    found = [step.name for step in steps if step.outcome is StepOutcome.FOUND]
    assert found == [FACTORY, "OrrangeVault"]
    assert set(await statuses(chain.backend, plan)) == {CodeState.MATCHES}


async def test_nobody_can_put_other_code_there(chain: ChainUnderTest) -> None:
    plan = network("other code")
    lane = TransactionLane(chain.backend, faucet_key())
    await lane.submit(DEPLOYMENT_PROXY, SALT + plan.factory_init_code())
    factory = plan.factory_address()
    for index, code, reason in (
        (0, token_contract().bytecode, "WrongCode"),
        (1, vault_contract().bytecode, "WrongIndex.expected=0, index=1"),
    ):
        with pytest.raises(EscrowReverted, match=reason):
            await lane.submit(factory, factory_contract().encode_call("deploy", index, code))


# compared


async def test_another_contract_in_its_place_is_noticed(chain: ChainUnderTest) -> None:
    lane = TransactionLane(chain.backend, faucet_key())
    (token,) = await deploy_test_tokens(lane, (TestTokenPlan(name="Token", symbol="TOK", decimals=6),))
    for name in (FACTORY, *NETWORK_CONTRACTS):
        status = await read_contract_status(chain.backend, name, token)
        assert status.state is CodeState.DIFFERS
        assert status.settings == {}
        assert status.code_hash is not None
    assert await read_deployed_count(chain.backend, token) is None


async def test_one_changed_byte_is_noticed(chain: ChainUnderTest) -> None:
    plan = network("byte")
    await deploy_network(TransactionLane(chain.backend, faucet_key()), plan)
    code = await chain.backend.code(plan.addresses()["OrrangeVault"])
    assert is_code_of("OrrangeVault", code)
    assert not is_code_of("OrrangeSettlement", code)
    assert not is_code_of("OrrangeVault", code + b"\x00")
    assert not is_code_of("OrrangeVault", code[:100] + bytes([code[100] ^ 1]) + code[101:])


async def test_the_proxy_stands_on_both_chains(chain: ChainUnderTest) -> None:
    assert await chain.backend.code(DEPLOYMENT_PROXY) == DEPLOYMENT_PROXY_CODE
