"""The cross-chain demo: two parties, a process each, swap between two chains; once it completes, once it is refunded.

In the first swap Bob's process is killed right after it locked, and goes on from its record. In the second one it is
killed before it can lock, and does not come back until both deadlines are past.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import trio

from orrange_p2p.core.swap_terms import Leg
from orrange_p2p.core.swaps import SwapOutcome
from orrange_p2p.errors import ChainUnavailable, ConfigError
from orrange_p2p.launch.devnet_process import ChildProcess, Warden, open_warden, orrange_command
from orrange_p2p.launch.directory import open_directory
from orrange_p2p.launch.swap import join_swap, new_swap, wall_clock_s
from orrange_p2p.launch.swap_home import SwapHome
from orrange_p2p.launch.swap_parties import Balances, Party, PartyWorld, open_party_world
from orrange_p2p.launch.swap_terms import DraftLeg, SwapDraft, read_terms

LIMIT_S = 85
FIRST_AMOUNT, SECOND_AMOUNT = 250_000, 60_000_000
MARGIN_S, FINALITY_S, LASTS_S = 60, 30, 900
CONFIRMATIONS = 1
CONFIRMATIONS_OF_A_WAIT = 4  # So long Bob waits for the first lock of the second swap: time enough to kill him.
COMPLETED, REFUNDED = "completed", "refunded"
Step = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapStory:
    """One swap from its beginning to both ends.

    Attributes:
        name: how it was to end.
        outcomes: how it ended, by party.
        steps: what the parties' processes said, in the order heard.
        before: what everybody held before it.
        after: what everybody held after it.
        expected: what everybody was to hold after it.
    """

    name: str
    outcomes: Mapping[str, str]
    steps: tuple[Step, ...]
    before: Balances
    after: Balances
    expected: Balances

    @property
    def is_good(self) -> bool:
        """Whether it ended for both as it should, to the last unit."""
        bob = {COMPLETED: SwapOutcome.COMPLETED, REFUNDED: SwapOutcome.ABANDONED}[self.name]
        return self.outcomes == {"alice": self.name, "bob": bob.value} and self.after == self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossChainReport:
    """What the demo came to."""

    swaps: tuple[SwapStory, ...]
    duration_s: int

    @property
    def value_conserved(self) -> bool:
        """Whether as much of each token is there as before, all of it with the parties."""
        begin, end = self.swaps[0].before, self.swaps[-1].after
        totals = [{token: sum(held.values()) for token, held in balances.items()} for balances in (begin, end)]
        return totals[0] == totals[1] and all(held["contract"] == 0 for held in end.values())

    @property
    def is_good(self) -> bool:
        """Whether both swaps ended as they should, and no value was made or lost."""
        return self.value_conserved and all(swap.is_good for swap in self.swaps)

    def as_json(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        swaps = [asdict(swap) | {"is_good": swap.is_good} for swap in self.swaps]
        verdict = {"value_conserved": self.value_conserved, "is_good": self.is_good, "summary": self.summary()}
        return {"swaps": swaps, "duration_s": self.duration_s, **verdict}

    def summary(self) -> str:
        """One line for a person."""
        if self.is_good:
            return (
                "Two processes swapped between two chains: one swap completed, one was refunded, no value made or lost "
                f"({self.duration_s} s)."
            )
        faults = [f"the swap that was to be {swap.name} was not" for swap in self.swaps if not swap.is_good]
        if not self.value_conserved:
            faults.append("balances on the chains do not add up")
        return "Something is wrong: " + ", ".join(faults) + "."


class _Story:
    """One swap while it runs."""

    def __init__(
        self, world: PartyWorld, warden: Warden, directory: Path, name: str, on_step: Callable[[Step], None]
    ) -> None:
        self.name = name
        self._world = world
        self._warden = warden
        self._directory = directory
        self._on_step = on_step
        self._steps: list[Step] = []
        self._outcomes: dict[str, str] = {}

    def write_terms(self) -> dict[str, SwapHome]:
        """Both sides' directories, with the same terms: Alice gives the first chain's token for the second's."""
        parties, now_s = self._world.parties, wall_clock_s()
        amounts = {Leg.FIRST: FIRST_AMOUNT, Leg.SECOND: SECOND_AMOUNT}
        waits = CONFIRMATIONS_OF_A_WAIT if self.name == REFUNDED else CONFIRMATIONS
        legs = {
            leg: DraftLeg(
                chain_id=chain.chain_id,
                contract=f"0x{chain.contract.hex()}",
                token=f"0x{chain.token.hex()}",
                amount=amounts[leg],
                confirmations=waits if leg is Leg.FIRST else CONFIRMATIONS,
                finality_s=FINALITY_S,
            )
            for leg, chain in self._world.chains.items()
        }
        draft = SwapDraft(
            initiator=f"0x{parties['alice'].address.hex()}",
            participant=f"0x{parties['bob'].address.hex()}",
            lasts_s=LASTS_S,
            margin_s=MARGIN_S,
            first=legs[Leg.FIRST],
            second=legs[Leg.SECOND],
        )
        alice = new_swap(draft, self._directory / "alice" / self.name, now_s=now_s)
        terms = read_terms(alice.terms_path)
        bob = join_swap(terms, self._directory / "bob" / self.name, expected=terms.digest(), now_s=now_s)
        self.tell("demo", {"step": "agreed", "terms": f"0x{terms.digest().hex()}"})
        return {"alice": alice, "bob": bob}

    def tell(self, party: str, step: Step) -> None:
        """Hear what a party's process, or the demo itself, says."""
        heard = {"swap": self.name, "party": party, **step}
        self._steps.append(heard)
        self._on_step(heard)

    async def run_party(self, home: SwapHome, name: str, *, until: Callable[[Step], bool] = lambda _: False) -> None:
        """Run a party's process to its end, or until it says something at which it is killed."""
        async with self._process(home, self._world.parties[name]) as process:
            async for line in process.lines():
                step = json.loads(line)
                if "outcome" in step:
                    self._outcomes[name] = step["outcome"]
                    self.tell(name, {"step": "ended", "outcome": step["outcome"]})
                    return
                self.tell(name, step)
                if until(step):
                    process.kill()
                    self.tell("demo", {"step": "killed", "whom": name})
                    return
            raise ConfigError(f"{name}'s process ended before the swap did: {process.last_words()}")

    @asynccontextmanager
    async def _process(self, home: SwapHome, party: Party) -> AsyncIterator[ChildProcess]:
        chains = self._world.chains
        command = (
            *(*orrange_command(), "swap", "run", str(home.directory), "--json"),
            *("--first-rpc", chains[Leg.FIRST].url, "--second-rpc", chains[Leg.SECOND].url),
            *("--key", str(party.key_path), "--passphrase-file", str(party.passphrase_path)),
        )
        process = await ChildProcess.spawn(command, self._directory / party.name / "log.txt", is_read=True)
        try:
            await self._warden.watch(process.pid)
            yield process
        finally:
            await process.stop()

    async def ended(self, before: Balances, expected: Balances) -> SwapStory:
        """The story, once both processes have ended."""
        return SwapStory(
            name=self.name,
            outcomes=self._outcomes,
            steps=tuple(self._steps),
            before=before,
            after=await self._world.read_balances(),
            expected=expected,
        )


async def run_cross_chain(
    seed: str,
    *,
    on_stage: Callable[[str], None] = lambda _: None,
    on_step: Callable[[Step], None] = lambda _: None,
) -> CrossChainReport:
    """Run the demo to its end; whatever it started has ended when this returns or raises.

    Args:
        seed: the parties' keys derive from it.
        on_stage: told what is being done.
        on_step: told what a party's process said.

    Raises:
        ConfigError: no anvil, or a process that ended too soon.
        ChainUnavailable: a chain does not answer, or the demo did not end in time.
    """
    started_s = trio.current_time()
    with trio.move_on_after(LIMIT_S), open_directory(None, prefix="orrange-swap-", option="--keep") as directory:
        on_stage("starting two chains, deploying contracts and funding both parties")
        async with open_warden() as warden, open_party_world(directory, seed, warden) as world:
            on_stage("a swap that completes; Bob's process is killed after he locked, and started again")
            completed = await _complete(_Story(world, warden, directory, COMPLETED, on_step), world)
            on_stage("a swap that is refunded; Bob's process is killed before he locks")
            refunded = await _refund(_Story(world, warden, directory, REFUNDED, on_step), world)
        return CrossChainReport(swaps=(completed, refunded), duration_s=int(trio.current_time() - started_s))
    raise ChainUnavailable(f"expected both swaps to end within {LIMIT_S} s, was still running; is the machine busy?")


async def _complete(story: _Story, world: PartyWorld) -> SwapStory:
    before, homes = await world.read_balances(), story.write_terms()

    async def run_bob() -> None:
        await story.run_party(homes["bob"], "bob", until=lambda step: step["step"] == "opened")
        await story.run_party(homes["bob"], "bob")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_bob)
        await story.run_party(homes["alice"], "alice")
    return await story.ended(before, _swapped(before, world))


async def _refund(story: _Story, world: PartyWorld) -> SwapStory:
    before, homes = await world.read_balances(), story.write_terms()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(story.run_party, homes["alice"], "alice")
        await story.run_party(homes["bob"], "bob", until=lambda step: step["step"] == "seen")
        seconds = LASTS_S + 2 * FINALITY_S + MARGIN_S
        await world.advance(seconds, blocks=CONFIRMATIONS_OF_A_WAIT)
        story.tell("demo", {"step": "advanced", "seconds": seconds})
    await story.run_party(homes["bob"], "bob")
    return await story.ended(before, before)


def _swapped(before: Balances, world: PartyWorld) -> Balances:
    """What everybody is to hold after a swap."""
    first, second = (world.chains[leg].symbol for leg in Leg)
    changes = {first: (-FIRST_AMOUNT, FIRST_AMOUNT), second: (SECOND_AMOUNT, -SECOND_AMOUNT)}
    return {
        token: {**before[token], "alice": before[token]["alice"] + alice, "bob": before[token]["bob"] + bob}
        for token, (alice, bob) in changes.items()
    }
