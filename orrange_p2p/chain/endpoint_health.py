"""One endpoint of a chain among several: whether it is well, and how long it rests when it is not."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import trio

from orrange_p2p.chain.backend import ChainBusy
from orrange_p2p.chain.rpc import JsonRpcChain
from orrange_p2p.errors import ChainUnavailable

_REST_START_S = 0.5
REST_MAX_S = 30.0
_LONGEST_WISH_S = 300.0
_LAST_RESORT_S = 1.0

_T = TypeVar("_T")


class Endpoint:
    """Asks one endpoint, and remembers how it did."""

    def __init__(
        self,
        chain: JsonRpcChain,
        *,
        expected_chain_id: int | None = None,
        rest_max_s: float = REST_MAX_S,
        suffix: str = "",
    ) -> None:
        """Make an endpoint that was not asked yet.

        Args:
            chain: the way to it.
            expected_chain_id: checked before the first question and after each failure; None: not at all.
            rest_max_s: the longest rest that it did not ask for itself.
            suffix: tells it from another one at the same host.
        """
        self._chain = chain
        self._expected_chain_id = expected_chain_id
        self._is_checked = expected_chain_id is None
        self._suffix = suffix
        self._rest_max_s = rest_max_s
        self._failures = 0
        self._rests_until_s = 0.0
        self._tried_again_from_s = 0.0
        self._last_error = ""
        self._newest_block: int | None = None
        self._counts = {"asked": 0, "failed": 0}

    @property
    def name(self) -> str:
        """Its host, whatever may be a key left out; of several at one host also which one."""
        return f"{self._chain.shown_url}{self._suffix}"

    def statistics(self) -> Mapping[str, object]:
        """Its name, the newest block that it told of, questions asked and failed, the last failure until it answers."""
        return {
            "url": self.name,
            "newest_block": self._newest_block,
            **self._counts,
            "is_resting": self.is_resting(),
            "last_error": self._last_error,
        }

    def is_resting(self) -> bool:
        """Whether it failed and is left alone for now."""
        return trio.current_time() < self._rests_until_s

    def is_last_resort(self) -> bool:
        """Whether it may be asked although it rests, if all others rest too: not so soon again, or as it wished."""
        return trio.current_time() >= self._tried_again_from_s

    def why_not(self) -> str:
        """Why it cannot be asked, in a sentence."""
        return self._last_error or f"{self.name} was not asked"

    async def ask(self, question: Callable[[JsonRpcChain], Awaitable[_T]]) -> _T:
        """Its answer. What a contract or a pool refuses is one, and passes through.

        Raises:
            ChainUnavailable: it failed, and rests now.
        """
        self._counts["asked"] += 1
        try:
            if not self._is_checked:
                await self._check()
            answer = await question(self._chain)
        except ChainUnavailable as error:
            self.fail(str(error), wish_s=error.retry_after_s if isinstance(error, ChainBusy) else 0.0)
            raise
        self._failures = 0
        self._rests_until_s = 0.0
        self._last_error = ""
        return answer

    async def head_number(self) -> int:
        """The number of its newest block.

        Raises:
            ChainUnavailable: as `ask`.
        """
        self._newest_block = await self.ask(lambda chain: chain.head_number())
        return self._newest_block

    async def _check(self) -> None:
        found = await self._chain.chain_id()
        if found != self._expected_chain_id:
            raise ChainUnavailable(f"expected chain id {self._expected_chain_id}, was {found} at {self.name}")
        self._is_checked = True

    def fail(self, why: str, *, wish_s: float = 0.0) -> None:
        """It failed: leave it alone, longer each time, and at least for as long as it asked for."""
        self._counts["failed"] += 1
        rest_s = min(self._rest_max_s, _REST_START_S * 2**self._failures)
        self._failures = min(self._failures + 1, 16)
        now_s, wish_s = trio.current_time(), min(wish_s, _LONGEST_WISH_S)
        self._rests_until_s = now_s + max(rest_s, wish_s)
        self._tried_again_from_s = now_s + max(min(rest_s, _LAST_RESORT_S), wish_s)
        self._is_checked = self._expected_chain_id is None
        self._last_error = why
