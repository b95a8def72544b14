"""Two chains in this process, a swap contract and a token on each, and two parties that hold both kinds of value.

The first lock is of a token on chain A, the second of the coin on chain B. Time is a hand's: every block is a second.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import trio
from chain_under_test import FAUCET_WEI, GENESIS_S, TICK_S, ManualClock
from chain_world import dev_key, faucet_key

from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.balances import read_wallet
from orrange_p2p.chain.contracts import swap_contract, token_contract
from orrange_p2p.chain.embedded import EmbeddedChain
from orrange_p2p.chain.funding import TestTokenPlan, deploy_test_tokens
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.swap_runner import SwapRunner, SwapStep
from orrange_p2p.core.swap_terms import COIN, Leg, Preimage, SwapLeg, SwapPact, compute_hashlock
from orrange_p2p.core.swaps import SwapOutcome, SwapRecord, SwapRole, begin_swap
from orrange_p2p.core.types import Address

PREIMAGE = Preimage(bytes(range(32)))
ALICE, BOB = dev_key("swap initiator"), dev_key("swap participant")
HELD_TOKENS, HELD_WEI = 1_000_000, 10**19
FIRST_AMOUNT, SECOND_AMOUNT = 100_000, 3 * 10**18
LIFE_S, FINALITY_S, MARGIN_S = 5_000, 300, 60
GAS_SPENT_MAX_WEI = 10**17
LIMIT_S = 60


@dataclass(slots=True, kw_only=True)
class SwapChains:
    """The two chains, and the pact between the parties."""

    chains: dict[Leg, EmbeddedChain]
    clock: ManualClock
    faucets: dict[Leg, TransactionLane]
    tokens: dict[Leg, Address]
    pact: SwapPact

    def now_s(self) -> int:
        """The time of both chains."""
        return self.clock.ms // 1000

    async def mine(self, seconds: int = 1) -> None:
        """A block on each chain."""
        self.clock.ms += seconds * 1000
        for chain in self.chains.values():
            await chain.mine()

    async def keep_mining(self) -> None:
        """Make blocks until cancelled."""
        while True:
            await self.mine()
            await trio.sleep(TICK_S)

    def begin(self, role: SwapRole) -> SwapRecord:
        """A side that has done nothing yet."""
        return begin_swap(role, self.pact, PREIMAGE if role is SwapRole.INITIATOR else None)

    def runner(
        self,
        record: SwapRecord,
        *,
        save: Callable[[SwapRecord], None] = lambda _: None,
        on_step: Callable[[SwapStep], None] = lambda _: None,
        chains: dict[Leg, Backend] | None = None,
    ) -> SwapRunner:
        """The runner of one side."""
        signer = ALICE if record.role is SwapRole.INITIATOR else BOB
        return SwapRunner(
            record, signer, chains or {**self.chains}, save=save, now_s=self.now_s, on_step=on_step, poll_s=TICK_S
        )

    async def tokens_of(self, owner: Address) -> int:
        """What somebody holds of the first lock's token."""
        return await read_wallet(self.chains[Leg.FIRST], owner, self.tokens[Leg.FIRST])

    async def coin_of(self, owner: Address) -> int:
        """What somebody holds of the second chain's coin."""
        return await self.chains[Leg.SECOND].balance_wei(owner)

    async def is_swapped(self) -> bool:
        """Whether each party has what the other gave, the contracts hold nothing, and only gas is gone."""
        alice, bob = await self.coin_of(ALICE.address), await self.coin_of(BOB.address)
        tokens = [await self.tokens_of(party.address) for party in (ALICE, BOB)]
        has_right_tokens = tokens == [HELD_TOKENS - FIRST_AMOUNT, HELD_TOKENS + FIRST_AMOUNT]
        has_right_coin = _is_about(alice, HELD_WEI + SECOND_AMOUNT) and _is_about(bob, HELD_WEI - SECOND_AMOUNT)
        return has_right_tokens and has_right_coin and await self._is_nothing_held()

    async def is_untouched(self) -> bool:
        """Whether each party has what it had, the contracts hold nothing, and only gas is gone."""
        parties = (ALICE.address, BOB.address)
        has_tokens = all([await self.tokens_of(party) == HELD_TOKENS for party in parties])
        has_coin = all([_is_about(await self.coin_of(party), HELD_WEI) for party in parties])
        return has_tokens and has_coin and await self._is_nothing_held()

    async def _is_nothing_held(self) -> bool:
        held = await self.tokens_of(self.pact.first.contract), await self.coin_of(self.pact.second.contract)
        return held == (0, 0)


def _is_about(wei: int, expected_wei: int) -> bool:
    return expected_wei - GAS_SPENT_MAX_WEI <= wei <= expected_wei


async def run_both(world: SwapChains) -> dict[SwapRole, SwapOutcome]:
    """Both sides to their ends."""
    outcomes: dict[SwapRole, SwapOutcome] = {}

    async def run(role: SwapRole) -> None:
        outcomes[role] = await world.runner(world.begin(role)).run()

    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            for role in SwapRole:
                nursery.start_soon(run, role)
    return outcomes


async def _prepare(chain: EmbeddedChain, faucet: TransactionLane) -> tuple[Address, Address]:
    """Contract and token on one chain, and what the parties hold there."""
    receipt = await faucet.submit(None, swap_contract().encode_deployment(), gas=2_000_000)
    (token,) = await deploy_test_tokens(faucet, (TestTokenPlan(name="Token", symbol="TOK", decimals=6),))
    assert receipt.contract is not None
    for party in (ALICE, BOB):
        await faucet.submit(party.address, b"", gas=30_000, value_wei=HELD_WEI)
        payload = token_contract().encode_call("mint", party.address, HELD_TOKENS)
        await faucet.submit(token, payload, gas=100_000)
    return receipt.contract, token


@asynccontextmanager
async def open_swap_world() -> AsyncIterator[SwapChains]:
    """Both chains, mining, until the block ends."""
    clock = ManualClock(GENESIS_S)
    chains = {
        leg: EmbeddedChain(
            now_ms=clock.now_ms,
            genesis_time_s=GENESIS_S,
            balances_wei={faucet_key().address: FAUCET_WEI},
            chain_id=number,
        )
        for leg, number in ((Leg.FIRST, 101), (Leg.SECOND, 202))
    }
    faucets = {leg: TransactionLane(chain, faucet_key()) for leg, chain in chains.items()}
    leg = SwapLeg(
        chain_id=101,
        contract=COIN,
        token=COIN,
        amount=FIRST_AMOUNT,
        deadline_s=GENESIS_S + LIFE_S + 2 * FINALITY_S + MARGIN_S,
        confirmations=2,
        finality_s=FINALITY_S,
    )
    pact = SwapPact(
        initiator=ALICE.address,
        participant=BOB.address,
        hashlock=compute_hashlock(PREIMAGE),
        first=leg,
        second=replace(leg, chain_id=202, amount=SECOND_AMOUNT, deadline_s=GENESIS_S + LIFE_S),
        margin_s=MARGIN_S,
        nonce=1,
    )
    world = SwapChains(chains=chains, clock=clock, faucets=faucets, tokens={}, pact=pact)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.keep_mining)
        contracts: dict[Leg, Address] = {}
        for which in Leg:
            contracts[which], world.tokens[which] = await _prepare(chains[which], faucets[which])
        world.pact = replace(
            pact,
            first=replace(pact.first, contract=contracts[Leg.FIRST], token=world.tokens[Leg.FIRST]),
            second=replace(pact.second, contract=contracts[Leg.SECOND]),
        )
        yield world
        nursery.cancel_scope.cancel()
