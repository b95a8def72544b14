"""Both sides of swaps on two chains: completed, refunded, killed anywhere, and cheated with almost the right locks."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import pytest
import trio
from chain_world import dev_key, faucet_key
from swap_world import ALICE, BOB, LIFE_S, LIMIT_S, PREIMAGE, SwapChains, open_swap_world, run_both

from orrange_p2p.chain.backend import Backend, BlockRef
from orrange_p2p.chain.contracts import token_contract
from orrange_p2p.chain.embedded import EmbeddedChain
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.swap import compute_swap_id, encode_open, read_swap_state
from orrange_p2p.chain.swap_lock import Deed
from orrange_p2p.chain.swap_runner import Acted, LockSeen, SwapRunner, SwapStep, Trouble
from orrange_p2p.core.swap_terms import COIN, Leg, Preimage, SwapState, SwapTerms, compute_hashlock
from orrange_p2p.core.swaps import SwapOutcome, SwapRecord, SwapRole
from orrange_p2p.core.types import Address, Digest
from orrange_p2p.errors import ChainUnavailable, ConfigError

INITIATOR, PARTICIPANT = SwapRole
COMPLETED, REFUNDED, ABANDONED, LOST = SwapOutcome
LOOKS = 8


class KilledError(Exception):
    """The process ended here."""


class FaultyChain:
    """A chain whose caller dies at its next transaction, or that does not answer for a while."""

    def __init__(self, chain: EmbeddedChain, *, dies: str = "", silent_looks: int = 0, lost_sends: int = 0) -> None:
        self._chain = chain
        self._lost_sends = lost_sends
        self._dies = dies
        self._silent_looks = silent_looks

    def __getattr__(self, name: str) -> object:
        return getattr(self._chain, name)

    async def chain_id(self) -> int:
        self._answer()
        return await self._chain.chain_id()

    async def head(self) -> BlockRef:
        self._answer()
        return await self._chain.head()

    def _answer(self) -> None:
        if self._silent_looks > 0:
            self._silent_looks -= 1
            raise ChainUnavailable("expected an answer, was none")

    async def send_raw(self, raw: bytes) -> Digest:
        if self._dies == "before":
            raise KilledError
        if self._lost_sends > 0:
            self._lost_sends -= 1
            raise ChainUnavailable("expected an answer, was none")
        digest = await self._chain.send_raw(raw)
        if self._dies == "after":
            raise KilledError
        return digest


def faulty(chain: EmbeddedChain, *, dies: str = "", silent_looks: int = 0, lost_sends: int = 0) -> Backend:
    """The chain with a fault before it."""
    return cast(Backend, FaultyChain(chain, dies=dies, silent_looks=silent_looks, lost_sends=lost_sends))


@pytest.fixture
async def world() -> AsyncIterator[SwapChains]:
    """Two chains and two parties."""
    async with open_swap_world() as opened:
        yield opened


async def open_lock(world: SwapChains, leg: Leg, terms: SwapTerms) -> None:
    """Lock whatever somebody likes to lock, by the hand of one who owns enough of it."""
    chain, contract = world.chains[leg], world.pact.leg(leg).contract
    lane = TransactionLane(chain, ALICE)
    if terms.token != COIN:
        await lane.submit(terms.token, token_contract().encode_call("approve", contract, terms.amount))
    await lane.submit(contract, encode_open(terms), value_wei=terms.value_wei)
    swap = compute_swap_id(await chain.chain_id(), contract, terms)
    assert await read_swap_state(chain, contract, swap) is SwapState.OPEN


def almost_right(world: SwapChains) -> dict[str, SwapTerms]:
    """Locks that differ from the one agreed in one field each."""
    terms = world.pact.terms(Leg.FIRST)
    return {
        "amount": replace(terms, amount=terms.amount - 1),
        "token": replace(terms, token=COIN),
        "recipient": replace(terms, recipient=ALICE.address),
        "refundee": replace(terms, refundee=dev_key("somebody").address),
        "hashlock": replace(terms, hashlock=compute_hashlock(Preimage(bytes(32)))),
        "deadline": replace(terms, deadline_s=terms.deadline_s - 1),
        "nonce": replace(terms, nonce=terms.nonce + 1),
    }


def refused(message: str) -> pytest.RaisesGroup[ConfigError]:
    """A run that ends with this error."""
    return pytest.RaisesGroup(pytest.RaisesExc(ConfigError, match=message), flatten_subgroups=True)


async def test_a_participant_answers_none_of_the_locks_that_are_almost_right(world: SwapChains) -> None:
    for terms in almost_right(world).values():
        await open_lock(world, Leg.FIRST, terms)
    await world.mine()
    await world.mine()
    steps: list[SwapStep] = []
    looks = 0

    def now_s() -> int:
        nonlocal looks
        looks += 1
        return world.now_s() + (LIFE_S if looks > LOOKS else 0)

    runner = world.runner(world.begin(PARTICIPANT), on_step=steps.append)
    runner._now_s = now_s
    with trio.fail_after(LIMIT_S):
        assert await runner.run() is ABANDONED
    assert steps == []
    assert looks > LOOKS


async def test_a_side_starts_only_with_its_own_key_on_the_right_chains_and_contracts(world: SwapChains) -> None:
    record = world.begin(PARTICIPANT)
    with pytest.raises(ConfigError, match="who is the participant in these terms, was that of"):
        SwapRunner(record, ALICE, {**world.chains}, save=lambda _: None, now_s=world.now_s)
    swapped: dict[Leg, Backend] = {Leg.FIRST: world.chains[Leg.SECOND], Leg.SECOND: world.chains[Leg.SECOND]}
    with refused("expected chain 101 for the first lock, was 202"):
        await world.runner(record, chains=swapped).run()
    for contract, found in ((world.tokens[Leg.FIRST], "other code"), (Address(b"\x0b" * 20), "nothing")):
        pact = replace(world.pact, first=replace(world.pact.first, contract=contract))
        with refused(f"expected OrrangeSwap at 0x{contract.hex()}.*was {found}"):
            await world.runner(replace(record, pact=pact)).run()
    pact = replace(world.pact, first=replace(world.pact.first, token=Address(b"\x0b" * 20)))
    with refused("expected a token at 0x0b"):
        await world.runner(replace(record, pact=pact)).run()


async def test_two_sides_swap_a_token_for_a_coin(world: SwapChains) -> None:
    assert await run_both(world) == {INITIATOR: COMPLETED, PARTICIPANT: COMPLETED}
    assert await world.is_swapped()


class Lives:
    """One side that is killed at each transaction in turn, and run again from what it saved."""

    def __init__(self, world: SwapChains, role: SwapRole, dies: str) -> None:
        self.world = world
        self.dies = dies
        self.record = world.begin(role)
        self.deaths = 0

    async def run(self) -> SwapOutcome:
        """Die and come back until the swap has ended. A side that dies before it sends lives on for one transaction."""
        while True:
            outcome = await self._live(is_dying=True)
            if outcome is None and self.dies == "before":
                outcome = await self._live(is_dying=False)
            if outcome is not None:
                return outcome

    async def _live(self, *, is_dying: bool) -> SwapOutcome | None:
        with trio.CancelScope() as scope:

            def hear(step: SwapStep) -> None:
                if isinstance(step, Acted) and not is_dying:
                    scope.cancel()

            dies = self.dies if is_dying else ""
            chains = {leg: faulty(chain, dies=dies) for leg, chain in self.world.chains.items()}
            try:
                return await self.world.runner(self.record, save=self._save, on_step=hear, chains=chains).run()
            except* KilledError:
                self.deaths += 1
        return None

    def _save(self, record: SwapRecord) -> None:
        self.record = record


@pytest.mark.parametrize("dies", ["before", "after"])
async def test_sides_that_are_killed_at_each_transaction_and_run_again_swap_all_the_same(
    world: SwapChains, dies: str
) -> None:
    sides = [Lives(world, role, dies) for role in SwapRole]
    outcomes: list[SwapOutcome] = []

    async def keep(side: Lives) -> None:
        outcomes.append(await side.run())

    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            for side in sides:
                nursery.start_soon(keep, side)
    assert outcomes == [COMPLETED, COMPLETED]
    assert [side.deaths >= deaths for side, deaths in zip(sides, (4, 3), strict=True)] == [True, True]
    assert await world.is_swapped()


async def test_a_participant_that_could_not_pay_for_its_claim_locks_nothing_until_it_can(world: SwapChains) -> None:
    chain = world.chains[Leg.FIRST]
    lane = TransactionLane(chain, BOB)
    await lane.submit(ALICE.address, b"", gas=21_000, value_wei=await chain.balance_wei(BOB.address) - 2 * 10**14)
    steps: list[SwapStep] = []
    is_poor = trio.Event()

    def hear(step: SwapStep) -> None:
        steps.append(step)
        if isinstance(step, Trouble):
            is_poor.set()

    async def run_participant() -> None:
        assert await world.runner(world.begin(PARTICIPANT), on_step=hear).run() is COMPLETED

    async def run_initiator() -> None:
        assert await world.runner(world.begin(INITIATOR)).run() is COMPLETED

    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_participant)
            nursery.start_soon(run_initiator)
            await is_poor.wait()
            assert [step for step in steps if isinstance(step, Acted)] == []
            await TransactionLane(chain, faucet_key()).submit(BOB.address, b"", gas=30_000, value_wei=10**18)
    (trouble,) = (step for step in steps if isinstance(step, Trouble))
    assert (trouble.leg, trouble.code) == (Leg.SECOND, "swap.unfunded")
    assert f"wei on account 0x{BOB.address.hex()} of chain 101 before anything is locked" in trouble.message


@pytest.mark.parametrize(("lost_sends", "is_known"), [(0, True), (1, False)])
async def test_a_claim_counts_as_seen_by_others_only_once_the_chain_has_it(
    world: SwapChains, lost_sends: int, is_known: bool
) -> None:
    told: list[SwapRecord | SwapStep] = []
    chains = {Leg.FIRST: faulty(world.chains[Leg.FIRST])}
    chains[Leg.SECOND] = faulty(world.chains[Leg.SECOND], lost_sends=lost_sends)

    async def run_participant() -> None:
        assert await world.runner(world.begin(PARTICIPANT)).run() is COMPLETED

    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_participant)
            runner = world.runner(world.begin(INITIATOR), save=told.append, on_step=told.append, chains=chains)
            assert await runner.run() is COMPLETED
    begun = next(n for n, one in enumerate(told) if isinstance(one, SwapRecord) and one.is_claim_begun)
    claimed = next(n for n, one in enumerate(told) if isinstance(one, Acted) and one.done.deed is Deed.CLAIMED)
    between = [one for one in told[begun:claimed] if isinstance(one, SwapRecord)]
    if is_known:
        assert [one.is_revealed for one in between][:2] == [False, True]
    else:
        assert not between[0].is_revealed
        shown = [n for n, one in enumerate(told) if isinstance(one, LockSeen) and one.state is SwapState.CLAIMED]
        assert not any(one.is_revealed for one in told[: shown[0]] if isinstance(one, SwapRecord))
    assert await world.is_swapped()


async def test_the_record_is_saved_before_each_deed(world: SwapChains) -> None:
    for role in SwapRole:
        record = world.begin(role)
        if role is PARTICIPANT:
            await open_lock(world, Leg.FIRST, world.pact.terms(Leg.FIRST))

        def save(_: SwapRecord) -> None:
            raise KilledError

        steps: list[SwapStep] = []
        with trio.fail_after(LIMIT_S), pytest.RaisesGroup(KilledError):
            await world.runner(record, save=save, on_step=steps.append).run()
        assert [step for step in steps if not isinstance(step, LockSeen)] == []


async def test_an_initiator_without_an_answer_gets_its_lock_back(world: SwapChains) -> None:
    steps: list[SwapStep] = []

    def hear(step: SwapStep) -> None:
        steps.append(step)
        if isinstance(step, LockSeen) and step.state is SwapState.OPEN and step.is_final:
            world.clock.ms += 2 * LIFE_S * 1000

    with trio.fail_after(LIMIT_S):
        assert await world.runner(world.begin(INITIATOR), on_step=hear).run() is REFUNDED
    deeds = [step.done.deed for step in steps if isinstance(step, Acted)]
    assert deeds == [Deed.APPROVED, Deed.OPENED, Deed.REFUNDED, Deed.WITHDRAWN]
    assert await world.is_untouched()


async def test_both_sides_get_their_locks_back_if_the_initiator_sleeps_past_the_deadlines(world: SwapChains) -> None:
    record = world.begin(INITIATOR)
    disk = [record]

    async def run_until_seen(record: SwapRecord, leg: Leg) -> None:
        with trio.CancelScope() as scope:

            def hear(step: SwapStep) -> None:
                if isinstance(step, LockSeen) and step.leg is leg and step.is_final:
                    scope.cancel()

            await world.runner(record, save=disk.append, on_step=hear).run()

    with trio.fail_after(LIMIT_S):
        await run_until_seen(record, Leg.FIRST)
        initiator = disk[-1]
        await run_until_seen(world.begin(PARTICIPANT), Leg.SECOND)
        participant = disk[-1]
        await world.mine(seconds=2 * LIFE_S)
        assert await world.runner(initiator).run() is REFUNDED
        assert await world.runner(participant).run() is REFUNDED
    assert await world.is_untouched()


async def test_a_chain_that_is_silent_for_a_while_is_told_once_and_waited_for(world: SwapChains) -> None:
    steps: list[SwapStep] = []
    silent = faulty(world.chains[Leg.SECOND], silent_looks=5)
    chains: dict[Leg, Backend] = {Leg.FIRST: world.chains[Leg.FIRST], Leg.SECOND: silent}

    async def run_participant() -> None:
        assert await world.runner(world.begin(PARTICIPANT)).run() is COMPLETED

    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_participant)
            runner = world.runner(world.begin(INITIATOR), on_step=steps.append, chains=chains)
            assert await runner.run() is COMPLETED
    troubles = [step for step in steps if isinstance(step, Trouble)]
    assert troubles == [Trouble(leg=Leg.SECOND, code="chain.unavailable", message="expected an answer, was none")]
    assert repr(PREIMAGE) not in repr(steps)
