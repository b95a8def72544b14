"""Follows the chain: every block from a start on, in order, none missed, as facts for the core.

On a chain that takes back a block which was already delivered it stops with `ChainReorganised`: whoever acted on those
facts must stop settling. On a chain that cannot be reached it waits and goes on by itself.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from orrange_p2p.chain.backend import Backend, BlockRef, ChainReorganised
from orrange_p2p.chain.contracts import FactDecoder
from orrange_p2p.chain.deployment import Deployment
from orrange_p2p.core.facts import BlockFacts, Fact
from orrange_p2p.core.types import Digest
from orrange_p2p.errors import ChainUnavailable

_PAGE_BLOCKS = 64
_WARM_UP_BLOCKS = 1_000
_BACKOFF_START_S = 0.25
_BACKOFF_MAX_S = 8.0
_REMEMBERED_BLOCKS = 256
_SILENCE_S = 5

_T = TypeVar("_T")


class Follower:
    """Delivers `BlockFacts` of one deployment into a memory channel; a full channel makes it wait."""

    def __init__(
        self,
        backend: Backend,
        deployment: Deployment,
        *,
        start_block: int | None = None,
        parent_hash: Digest | None = None,
        page_blocks: int = _PAGE_BLOCKS,
        backoff_max_s: float = _BACKOFF_MAX_S,
    ) -> None:
        """Make a follower; `run` does the work, once.

        Args:
            backend: the chain.
            deployment: whose events are facts.
            start_block: the first block to deliver; the deployment's own block if None.
            parent_hash: hash of the block before `start_block`, if it was seen in an earlier run: a chain that
                continues differently is then noticed.
            page_blocks: at most so many blocks per request.
            backoff_max_s: the longest pause between two attempts to reach an unreachable chain.
        """
        self._backend = backend
        self._decoder = FactDecoder(vault=deployment.vault, settlement=deployment.settlement)
        self._next = deployment.deployed_at_block if start_block is None else start_block
        self._warm_next = deployment.deployed_at_block
        self._page_blocks = page_blocks
        self._backoff_max_s = backoff_max_s
        self._hashes: OrderedDict[int, Digest] = OrderedDict()
        if parent_hash is not None:
            self._hashes[self._next - 1] = parent_hash
        self._head_number = 0
        self._doubt = ""
        self._counts = {"blocks": 0, "facts": 0, "interruptions": 0, "is_reachable": 1}

    def statistics(self) -> dict[str, int | str]:
        """Blocks and facts delivered, the newest block known, interruptions, whether the chain answers, and why not."""
        return {
            **self._counts,
            "next_block": self._next,
            "head_block": self._head_number,
            "doubt": self._doubt,
        }

    async def run(self, sink: "trio.MemorySendChannel[BlockFacts]") -> None:
        """Deliver blocks for ever, and close `sink` on the way out. Cancelling loses nothing that was delivered.

        Raises:
            ChainReorganised: delivered blocks are no longer part of the chain.
            trio.BrokenResourceError: nobody receives any more.
        """
        async with sink:
            await self._patiently(self._warm_up)
            while True:
                for block in await self._patiently(self._next_page):
                    await sink.send(block)

    async def _patiently(self, step: Callable[[], Awaitable[_T]]) -> _T:
        """Do `step`, again and again while the chain cannot be reached, with growing pauses."""
        pause_s = _BACKOFF_START_S
        while True:
            try:
                outcome = await step()
            except ChainReorganised as error:
                self._doubt = str(error)
                raise
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

    async def _warm_up(self) -> None:
        """Show the decoder what came before the start (see `FactDecoder`), on the chain that was read before."""
        await self._check_delivered()
        while self._warm_next < self._next:
            last = min(self._next - 1, self._warm_next + _WARM_UP_BLOCKS - 1)
            self._decoder.decode(await self._backend.logs(self._warm_next, last, self._decoder.addresses))
            self._warm_next = last + 1

    async def _next_page(self) -> list[BlockFacts]:
        """The next blocks, at most a page of them; everything is fetched and checked before anything is decoded."""
        head = await self._wait_head()
        self._head_number = head.number
        first = self._next
        refs = await self._backend.blocks(first, min(head.number, first + self._page_blocks - 1))
        self._check_continuity(first, refs)
        logs = await self._backend.logs(first, refs[-1].number, self._decoder.addresses)
        hashes = {ref.number: ref.hash for ref in refs}
        for log in logs:
            if hashes.get(log.block_number) != log.block_hash:
                raise ChainUnavailable(f"the chain changed block {log.block_number} while it was being read")
        facts: dict[int, list[Fact]] = {}
        for log, fact in self._decoder.decode(logs):
            facts.setdefault(log.block_number, []).append(fact)
        for ref in refs:
            self._hashes[ref.number] = ref.hash
        while len(self._hashes) > _REMEMBERED_BLOCKS:
            self._hashes.popitem(last=False)
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

    async def _wait_head(self) -> BlockRef:
        """Wait for a block to deliver; after each silence make sure that the delivered ones still stand."""
        while True:
            with trio.move_on_after(_SILENCE_S):
                return await self._backend.wait_head_above(self._next - 1)
            await self._check_delivered()

    async def _check_delivered(self) -> None:
        """Make sure that the newest delivered block that the chain reaches is still part of it."""
        if not self._hashes:
            return
        head = await self._backend.head()
        number = min(head.number, max(self._hashes))
        if number not in self._hashes:
            raise ChainUnavailable(
                f"the chain ends at block {head.number}, far below block {max(self._hashes)} that was read before; "
                "wait until it is synced, or check that it was not started anew"
            )
        for ref in await self._backend.blocks(number, number):
            if ref.hash != self._hashes[number]:
                raise _reorganised(number, self._hashes[number], ref.hash)

    def _check_continuity(self, first: int, refs: tuple[BlockRef, ...]) -> None:
        if not refs:
            raise ChainUnavailable(f"the chain announced block {first} and does not hand it out yet")
        delivered = self._hashes.get(first - 1)
        if delivered is not None and refs[0].parent_hash != delivered:
            raise _reorganised(first - 1, delivered, refs[0].parent_hash)
        for offset, ref in enumerate(refs):
            is_linked = offset == 0 or ref.parent_hash == refs[offset - 1].hash
            if ref.number != first + offset or not is_linked:
                raise ChainUnavailable(f"the chain changed block {first + offset} while it was being read")


def _reorganised(number: int, expected: Digest, found: Digest) -> ChainReorganised:
    return ChainReorganised(
        f"the chain was reorganised: expected block {number} to be 0x{expected.hex()}, was 0x{found.hex()}. Settlement "
        "stops; restart the node to read the chain anew"
    )
