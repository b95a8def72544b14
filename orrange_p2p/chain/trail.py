"""The newest blocks that were read, by hash: where a chain that goes on differently left them is found here."""

from collections import OrderedDict
from collections.abc import Iterable

from orrange_p2p.chain.backend import Backend
from orrange_p2p.core.types import Digest
from orrange_p2p.errors import ChainUnavailable

REMEMBERED_BLOCKS = 512
"""So deep a reorganisation is unwound; a deeper one is read anew from the deployment's block on."""

_FIRST_LOOK_BLOCKS = 8
_WIDER = 4


class Trail:
    """Numbers and hashes of the newest blocks read, without gaps."""

    def __init__(self, blocks: Iterable[tuple[int, Digest]] = ()) -> None:
        self._hashes: OrderedDict[int, Digest] = OrderedDict()
        for number, block_hash in blocks:
            self.add(number, block_hash)

    def add(self, number: int, block_hash: Digest) -> None:
        """Note the next block; the oldest one is forgotten when there are too many."""
        self._hashes[number] = block_hash
        if len(self._hashes) > REMEMBERED_BLOCKS:
            self._hashes.popitem(last=False)

    def cut(self, to_block: int) -> None:
        """Forget what came after a block."""
        while self._hashes and next(reversed(self._hashes)) > to_block:
            self._hashes.popitem()

    def hash_of(self, number: int) -> Digest | None:
        """The hash that a block had when it was read; None if it was not, or too long ago."""
        return self._hashes.get(number)

    async def stands(self, backend: Backend) -> bool:
        """Whether the newest block read that the chain reaches is still part of it.

        Raises:
            ChainUnavailable: the chain does not answer, or ends below everything that is remembered.
        """
        if not self._hashes:
            return True
        number = await self._newest_reached(backend)
        refs = await backend.blocks(number, number)
        return all(ref.hash == self._hashes[number] for ref in refs)

    async def find_fork(self, backend: Backend) -> int | None:
        """The newest block read that is still part of the chain; None if no block remembered is.

        Raises:
            ChainUnavailable: as `stands`.
        """
        number, oldest, width = await self._newest_reached(backend), next(iter(self._hashes)), _FIRST_LOOK_BLOCKS
        while number >= oldest:
            first = max(oldest, number - width + 1)
            for ref in reversed(await backend.blocks(first, number)):
                if self._hashes.get(ref.number) == ref.hash:
                    return ref.number
            number, width = first - 1, width * _WIDER
        return None

    async def _newest_reached(self, backend: Backend) -> int:
        head, newest = await backend.head(), next(reversed(self._hashes))
        if head.number < next(iter(self._hashes)):
            raise ChainUnavailable(
                f"the chain ends at block {head.number}, far below block {newest} that was read before; wait until it "
                "is synced, or check that it was not started anew"
            )
        return min(head.number, newest)
