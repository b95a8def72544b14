"""A deployment is what it says, or a person is told what differs; each test runs on both chains."""

from dataclasses import replace

import pytest
from chain_world import DELAY_S, World

from orrange_p2p.chain.deployment import check, check_market, deploy
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.types import Address
from orrange_p2p.errors import ConfigError, EscrowReverted

NOWHERE = Address(b"\x0b" * 20)


async def test_a_deployment_checks_out(world: World) -> None:
    await check(world.backend, world.deployment)
    await check_market(world.backend, world.deployment, world.market)
    assert Digests(world.deployment.domain).market(world.market) == world.market_id


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("genesis_ms", 1, "genesisMs 1 "),
        ("epoch_ms", 999, "epochMs 999 "),
        ("ticket_life_s", 61, "ticketLifeS 61 "),
        ("fund_lag_s", 3, "fundLagS 3 "),
        ("chain_id", 1, "chain id 1, was 31337"),
        ("vault", NOWHERE, f"vault contract at 0x{NOWHERE.hex()}"),
        ("settlement", NOWHERE, f"settlement contract at 0x{NOWHERE.hex()}"),
    ],
)
async def test_whatever_differs_is_named(world: World, field: str, value: object, named: str) -> None:
    wrong = replace(world.deployment, **{field: value})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected .* was ") as refused:
        await check(world.backend, wrong)
    assert named in str(refused.value)


async def test_another_contract_in_its_place_is_noticed(world: World) -> None:
    token = replace(world.deployment, settlement=world.market.base)
    with pytest.raises(ConfigError, match=r"none that answers vault\(\)"):
        await check(world.backend, token)
    other_vault = replace(world.deployment, vault=world.market.base)
    with pytest.raises(ConfigError, match="expected vault 0x"):
        await check(world.backend, other_vault)


async def test_a_market_of_another_deployment_is_noticed(world: World) -> None:
    claimed = replace(world.deployment, chain_id=1)
    with pytest.raises(ConfigError, match="expected market id"):
        await check_market(world.backend, claimed, world.market)


async def test_a_delay_too_short_is_refused_by_the_contract(world: World) -> None:
    with pytest.raises(EscrowReverted):
        await deploy(
            world.lane, genesis_ms=0, epoch_ms=1, ticket_life_s=60, fund_lag_s=2, deallocation_delay_s=DELAY_S - 1
        )
