"""A node's line to its chain: followed from the last known block on, waited for while it is out of reach.

A node starts without a chain and lives through its absence; what it needs then is to know that it is alone, and why.
Before the first block is believed, the chain must have answered once, and be the one that the node was made for.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
import trio

from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.deployment import Deployment
from orrange_p2p.chain.follower import Follower, Item
from orrange_p2p.core.ledger import BlockRef
from orrange_p2p.errors import ChainUnavailable, ConfigError

NOT_ASKED = "the chain has not answered yet"
_PATIENCE_S = 2
_PAUSE_START_S = 0.25
_PAUSE_MAX_S = 2.0
_PAGES_AHEAD = 64

_log = structlog.get_logger(__name__)


class ChainLink:
    """Follows one deployment for one node. `run` does the work, once; `why_lost` may be asked at any time."""

    def __init__(
        self,
        backend: Backend,
        deployment: Deployment,
        *,
        known: Sequence[BlockRef],
        check: Callable[[], Awaitable[None]] | None = None,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """Make a link that has not been used.

        Args:
            backend: the chain.
            deployment: whose events are facts.
            known: the newest blocks that the node knows from an earlier run, in order.
            check: raises `ConfigError` if this is not the chain that the node was made for; None if that is known.
            patience_s: an interruption that is over sooner is none, once the chain has answered at all.
        """
        self._backend = backend
        self._check = check
        self._patience_s = patience_s
        self._first_doubt = NOT_ASKED
        self._lost_since_s: float | None = None
        self._follower = Follower(
            backend,
            deployment,
            start_block=known[-1].number + 1 if known else None,
            known=[(block.number, block.hash) for block in known],
            backoff_max_s=_PAUSE_MAX_S,
        )

    def doubt(self) -> str | None:
        """Why no new block can be read at this moment; None if the chain answers."""
        return self._first_doubt or str(self._follower.statistics()["doubt"]) or None

    def statistics(self) -> Mapping[str, object]:
        """What was read and how sure of it the chain is, see `Follower`; and how its endpoints do."""
        return {**self._follower.statistics(), "endpoints": self._backend.statistics()}

    def why_lost(self) -> str | None:
        """Why the chain counts as out of reach, in one sentence; None if it answers or was gone for a moment only.

        To be asked regularly, inside trio: how long an interruption lasts is measured from one question to the next.
        """
        doubt = self.doubt()
        if doubt is None:
            self._lost_since_s = None
            return None
        if self._lost_since_s is None:
            self._lost_since_s = trio.current_time()
        is_patient = not self._first_doubt and trio.current_time() < self._lost_since_s + self._patience_s
        return None if is_patient else f"no chain: {doubt}"

    async def run(self, deliver: Callable[[Item], Awaitable[None]]) -> None:
        """Deliver blocks in order, and how far the chain goes back, for ever. Cancelling loses nothing delivered."""
        await self._wait_first_answer()
        send, receive = trio.open_memory_channel[Item](_PAGES_AHEAD)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follower.run, send)
            async for item in receive:
                await deliver(item)

    async def _wait_first_answer(self) -> None:
        """Wait until the chain answers and is the right one; a wrong one is waited out like none."""
        pause_s = _PAUSE_START_S
        while True:
            try:
                await self._backend.head()
                if self._check is not None:
                    await self._check()
            except (ChainUnavailable, ConfigError) as error:
                if self._first_doubt == NOT_ASKED:
                    _log.warning("no chain: this node signs nothing until there is one", reason=str(error))
                self._first_doubt = str(error)
            else:
                self._first_doubt = ""
                return
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)
