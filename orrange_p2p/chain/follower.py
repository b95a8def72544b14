"""Follows the chain: every block from a start on, in order, none missed, as facts for the core.

When the chain takes back blocks that were already delivered, it says how far, and goes on with the new ones from there.
On a chain that cannot be reached it waits and goes on by itself.
"""

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog
import trio

from orrange_p2p.chain.backend import Backend, BlockRef, Levels, Log
from orrange_p2p.chain.bloom import may_contain
from orrange_p2p.chain.deployment import Deployment
from orrange_p2p.chain.fact_decoder import FactDecoder
from orrange_p2p.chain.trail import REMEMBERED_BLOCKS, Trail
from orrange_p2p.core.facts import BlockFacts, Fact
from orrange_p2p.core.types import Digest
from orrange_p2p.errors import ChainUnavailable

_PAGE_BLOCKS = 64
_WARM_UP_BLOCKS = 1_000
_BACKOFF_START_S = 0.25
_BACKOFF_MAX_S = 8.0
_SILENCE_S = 5
_LEVELS_EVERY_S = 2

_T = TypeVar("_T")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """The chain took back every block after `to_block`; below the deployment's block: all of them."""

    to_block: int


Item = BlockFacts | TakenBack


class _Forked(Exception):
    """The chain goes on differently from what was delivered."""


class Follower:
    """Delivers the blocks of one deployment into a memory channel, and says when they are gone.

    A full channel makes it wait.
    """

    def __init__(
        self,
        backend: Backend,
        deployment: Deployment,
        *,
        start_block: int | None = None,
        known: Iterable[tuple[int, Digest]] = (),
        page_blocks: int = _PAGE_BLOCKS,
        backoff_max_s: float = _BACKOFF_MAX_S,
    ) -> None:
        """Make a follower; `run` does the work, once.

        Args:
            backend: the chain.
            deployment: whose events are facts.
            start_block: the first block to deliver; the deployment's own block if None.
            known: numbers and hashes of the newest blocks before `start_block` that were read in an earlier run: from a
                chain that left them meanwhile it goes back to the last one that stands.
            page_blocks: at most so many blocks per request.
            backoff_max_s: the longest pause between two attempts to reach an unreachable chain.
        """
        self._backend = backend
        self._decoder = FactDecoder(
            vault=deployment.vault,
            settlement=deployment.settlement,
            escrow=deployment.escrow,
            slasher=deployment.slasher,
        )
        self._deployed_at = deployment.deployed_at_block
        self._next = self._deployed_at if start_block is None else start_block
        self._warm_next = deployment.deployed_at_block
        self._page_blocks = page_blocks
        self._backoff_max_s = backoff_max_s
        self._trail = Trail(known)
        self._head_number = 0
        self._levels: Levels | None = None
        self._levels_from_s = -math.inf
        self._doubt = ""
        self._counts = dict.fromkeys(
            ("blocks", "facts", "interruptions", "reorganisations", "deepest", "asked_again", "missing_logs"), 0
        )
        self._counts["is_reachable"] = 1

    def statistics(self) -> dict[str, int | str | None]:
        """Blocks and facts delivered, the newest block known, interruptions, whether the chain answers, and why not.

        Also how often and how deep the chain was reorganised, and for how many blocks logs were asked for again,
        and up to which block the chain calls itself safe and final, None if unknown.
        """
        levels = self._levels
        return {
            **self._counts,
            "seen_block": levels.seen if levels is not None else None,
            "safe_block": levels.safe if levels is not None else None,
            "finalized_block": levels.finalized if levels is not None else None,
            "is_level_by_depth": levels.is_by_depth if levels is not None else None,
            "next_block": self._next,
            "head_block": self._head_number,
            "doubt": self._doubt,
        }

    async def run(self, sink: "trio.MemorySendChannel[Item]") -> None:
        """Deliver blocks for ever, and close `sink` on the way out. Cancelling loses nothing that was delivered.

        Raises:
            trio.BrokenResourceError: nobody receives any more.
        """
        async with sink:
            while True:
                for item in await self._patiently(self._next_items):
                    await sink.send(item)

    async def _patiently(self, step: Callable[[], Awaitable[_T]]) -> _T:
        """Do `step`, again and again while the chain cannot be reached, with growing pauses."""
        pause_s = _BACKOFF_START_S
        while True:
            try:
                outcome = await step()
            except ChainUnavailable as error:
                self._counts["interruptions"] += 1
                self._counts["is_reachable"] = 0
                self._doubt = str(error)
            else:
                self._counts["is_reachable"] = 1
                self._doubt = ""
                return outcome
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, self._backoff_max_s)

    async def _next_items(self) -> "list[Item]":
        """The next page of blocks, or how far back the chain went."""
        try:
            if self._warm_next < self._next:
                await self._warm_up()
            page = await self._next_page()
            await self._look_how_sure()
            return [*page]
        except _Forked:
            return [await self._fall_back()]

    async def _look_how_sure(self) -> None:
        """Ask now and then how much of what was read stands for good; unknown if the chain does not say."""
        now_s = trio.current_time()
        if self._next > self._head_number and now_s >= self._levels_from_s:
            self._levels_from_s = now_s + _LEVELS_EVERY_S
            try:
                self._levels = await self._backend.levels()
            except ChainUnavailable:
                self._levels = None

    async def _warm_up(self) -> None:
        """Show the decoder what came before the start (see `FactDecoder`), on the chain that was read before."""
        await self._check_delivered()
        while self._warm_next < self._next:
            last = min(self._next - 1, self._warm_next + _WARM_UP_BLOCKS - 1)
            self._decoder.decode(await self._backend.logs(self._warm_next, last, self._decoder.addresses))
            self._warm_next = last + 1

    async def _fall_back(self) -> TakenBack:
        """Go back to the newest block that the chain still has, and forget what came after it."""
        fork = await self._trail.find_fork(self._backend)
        if fork is not None and fork >= self._next - 1:
            raise ChainUnavailable(f"the chain was asked twice about block {fork} and gave two answers")
        to_block = self._deployed_at - 1 if fork is None else max(fork, self._deployed_at - 1)
        if fork is None:
            _log.warning(
                "the chain took back more blocks than are remembered; it is read anew from the deployment on",
                remembered=REMEMBERED_BLOCKS,
                from_block=self._deployed_at,
            )
        else:
            _log.info("the chain took back blocks", to_block=to_block, read_to=self._next - 1)
        self._counts["reorganisations"] += 1
        self._counts["deepest"] = max(self._counts["deepest"], self._next - 1 - to_block)
        self._trail.cut(to_block)
        self._decoder.unwind(to_block)
        self._next = to_block + 1
        self._warm_next = min(self._warm_next, self._next)
        return TakenBack(to_block=to_block)

    async def _next_page(self) -> list[BlockFacts]:
        """The next blocks, at most a page of them; everything is fetched and checked before anything is decoded."""
        head = await self._wait_head()
        self._head_number = head.number
        first = self._next
        refs = await self._backend.blocks(first, min(head.number, first + self._page_blocks - 1))
        self._check_continuity(first, refs)
        logs = await self._read_logs(refs)
        facts: dict[int, list[Fact]] = {}
        for log, fact in self._decoder.decode(logs):
            facts.setdefault(log.block_number, []).append(fact)
        for ref in refs:
            self._trail.add(ref.number, ref.hash)
        self._warm_next = refs[-1].number + 1
        self._next = refs[-1].number + 1
        self._counts["blocks"] += len(refs)
        self._counts["facts"] += sum(map(len, facts.values()))
        return [
            BlockFacts(
                number=ref.number,
                hash=ref.hash,
                parent_hash=ref.parent_hash,
                time_s=ref.time_s,
                facts=tuple(facts.get(ref.number, ())),
            )
            for ref in refs
        ]

    async def _read_logs(self, refs: Sequence[BlockRef]) -> list[Log]:
        """The logs of these blocks, in order; where a block's filter shows that some are missing, asked for again."""
        logs = await self._backend.logs(refs[0].number, refs[-1].number, self._decoder.addresses)
        by_block: dict[int, list[Log]] = {ref.number: [] for ref in refs}
        hashes = {ref.number: ref.hash for ref in refs}
        for log in logs:
            if hashes.get(log.block_number) != log.block_hash:
                raise ChainUnavailable(f"the chain changed block {log.block_number} while it was being read")
            by_block[log.block_number].append(log)
        for ref in refs:
            if self._lacks_logs(ref, by_block[ref.number]):
                again = list(await self._backend.block_logs(ref, self._decoder.addresses))
                self._counts["asked_again"] += 1
                self._counts["missing_logs"] += max(0, len(again) - len(by_block[ref.number]))
                by_block[ref.number] = again
        return [log for ref in refs for log in by_block[ref.number]]

    def _lacks_logs(self, ref: BlockRef, logs: Sequence[Log]) -> bool:
        """Whether a block may have logs of a contract of which none came; certain only once they were asked for."""
        found = frozenset(log.address for log in logs)
        missing = (address for address in self._decoder.addresses if address not in found)
        return bool(ref.logs_bloom) and any(may_contain(ref.logs_bloom, address) for address in missing)

    async def _wait_head(self) -> BlockRef:
        """Wait for a block to deliver; after each silence make sure that the delivered ones still stand."""
        while True:
            with trio.move_on_after(_SILENCE_S):
                return await self._backend.wait_head_above(self._next - 1)
            await self._check_delivered()

    async def _check_delivered(self) -> None:
        if not await self._trail.stands(self._backend):
            raise _Forked

    def _check_continuity(self, first: int, refs: tuple[BlockRef, ...]) -> None:
        if not refs:
            raise ChainUnavailable(f"the chain announced block {first} and does not hand it out yet")
        delivered = self._trail.hash_of(first - 1)
        if delivered is not None and refs[0].parent_hash != delivered:
            raise _Forked
        for offset, ref in enumerate(refs):
            is_linked = offset == 0 or ref.parent_hash == refs[offset - 1].hash
            if ref.number != first + offset or not is_linked:
                raise ChainUnavailable(f"the chain changed block {first + offset} while it was being read")
