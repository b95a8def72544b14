"""Several endpoints of one chain as one `Backend`: the first that is well answers, and what they say is compared.

An endpoint that fails rests for a while, longer each time; one that is behind, or of another chain, counts as failing.
What settlement stands on is asked of two: the logs of every page, and the hash of a block that is deep enough to be
the same everywhere. While two contradict each other there, nothing is read or sent; the question is asked again with
every look for a new block, so it ends by itself once they agree.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import trio

from orrange_p2p.chain.backend import BlockRef, Fees, Levels, Log, Receipt
from orrange_p2p.chain.endpoint_health import REST_MAX_S, Endpoint
from orrange_p2p.chain.rpc import JsonRpcChain, open_rpc
from orrange_p2p.core.types import Address, Digest
from orrange_p2p.errors import ChainUnavailable, ConfigError

CHECKED_DEPTH = 3
"""So many blocks below the newest one all endpoints must name the same block."""

_WITNESS_PATIENCE_S = 3.0
_POLL_INTERVAL_S = 0.25

_BLOCK, _EVENTS = "block", "events"

_T = TypeVar("_T")


@asynccontextmanager
async def open_endpoints(
    urls: Sequence[str],
    *,
    expected_chain_id: int | None = None,
    timeout_s: float = 10.0,
    poll_interval_s: float = _POLL_INTERVAL_S,
    checked_depth: int = CHECKED_DEPTH,
) -> AsyncIterator["Endpoints"]:
    """Open endpoints of one chain, the preferred one first, and close them at the end; nothing is asked yet.

    Args:
        urls: at least one.
        expected_chain_id: what all of them must be of, if there are several.
        timeout_s: for one request.
        poll_interval_s: how often a new block is looked for.
        checked_depth: so many blocks below the newest one they must name the same block.

    Raises:
        ConfigError: no URL, a malformed one, or one twice.
    """
    if not urls or len(frozenset(urls)) < len(urls):
        raise ConfigError("expected one or more URLs of the chain, each once, was none or one twice")
    attempts = 3 if len(urls) == 1 else 1  # with others to ask, nobody waits for this one
    async with AsyncExitStack() as opened:
        chains = [
            await opened.enter_async_context(
                open_rpc(url, timeout_s=timeout_s, poll_interval_s=poll_interval_s, attempts=attempts)
            )
            for url in urls
        ]
        chain_id = expected_chain_id if len(urls) > 1 else None
        rest_max_s = REST_MAX_S if len(urls) > 1 else 0.0  # alone it is tried whenever somebody asks
        hosts = [chain.shown_url for chain in chains]
        endpoints = [
            Endpoint(
                chain,
                expected_chain_id=chain_id,
                rest_max_s=rest_max_s,
                suffix=f" (number {number})" if hosts.count(chain.shown_url) > 1 else "",
            )
            for number, chain in enumerate(chains, start=1)
        ]
        yield Endpoints(endpoints, poll_interval_s=poll_interval_s, checked_depth=checked_depth)


class Endpoints:
    """A `Backend` over one or more endpoints. Use `open_endpoints`."""

    def __init__(self, endpoints: Sequence[Endpoint], *, poll_interval_s: float, checked_depth: int) -> None:
        self._endpoints = tuple(endpoints)
        self._poll_interval_s = poll_interval_s
        self._checked_depth = checked_depth
        self._contradictions: dict[str, str] = {}
        self._checked_block = -1
        self._counts = dict.fromkeys(("switches", "checked", "unchecked", "contradictions", "mended_logs"), 0)
        self._last_used: Endpoint | None = None

    def statistics(self) -> Mapping[str, object]:
        """Every endpoint's health, how often they were compared, and how they contradict each other, if they do."""
        return {
            **self._counts,
            "is_cross_checked": len(self._endpoints) > 1,
            "checked_block": self._checked_block,
            "contradiction": self._contradiction(),
            "endpoints": [endpoint.statistics() for endpoint in self._endpoints],
        }

    # Asking

    def _usable(self) -> list[Endpoint]:
        """Those that are well; if none is, those that were not asked just now, lest a node be deaf while all rest."""
        well = [endpoint for endpoint in self._endpoints if not endpoint.is_resting()]
        return well or [endpoint for endpoint in self._endpoints if endpoint.is_last_resort()]

    async def _first(self, ask: Callable[[JsonRpcChain], Awaitable[_T]], *, besides: Endpoint | None = None) -> _T:
        """What the first endpoint that is well answers; `besides` is asked last.

        Raises:
            ChainUnavailable: none answers, or two contradict each other.
        """
        if self._contradictions:
            raise ChainUnavailable(self._contradiction())
        return (await self._first_of(ask, besides=besides))[1]

    async def _first_of(
        self, ask: Callable[[JsonRpcChain], Awaitable[_T]], *, besides: Endpoint | None = None
    ) -> tuple[Endpoint, _T]:
        for endpoint in sorted(self._usable(), key=lambda one: one is besides):
            try:
                answer = await endpoint.ask(ask)
            except ChainUnavailable:
                continue  # it rests now, and says why
            if endpoint is not self._last_used:
                self._counts["switches"] += self._last_used is not None
                self._last_used = endpoint
            return endpoint, answer
        raise ChainUnavailable("; ".join(endpoint.why_not() for endpoint in self._endpoints))

    # What the chain is

    async def chain_id(self) -> int:
        """See `Backend`."""
        return (await self._first_of(lambda chain: chain.chain_id()))[1]

    async def head(self) -> BlockRef:
        """See `Backend`."""
        return (await self._first_of(lambda chain: chain.head()))[1]

    async def levels(self) -> Levels:
        """See `Backend`."""
        return (await self._first_of(lambda chain: chain.levels()))[1]

    async def blocks(self, first: int, last: int) -> tuple[BlockRef, ...]:
        """See `Backend`. An endpoint that has none of them although one was announced is behind."""

        async def ask(chain: JsonRpcChain) -> tuple[BlockRef, ...]:
            found = await chain.blocks(first, last)
            if not found:
                raise ChainUnavailable(f"{chain.shown_url} is behind: it has no block {first}")
            return found

        return (await self._first_of(ask))[1]

    async def wait_head_above(self, number: int) -> BlockRef:
        """See `Backend`. All take turns while there is no new block, so that one that is stuck holds up nothing."""
        turn = 0
        while True:
            usable = self._usable()
            if not usable:
                raise ChainUnavailable("; ".join(endpoint.why_not() for endpoint in self._endpoints))
            endpoint = usable[turn % len(usable)]
            try:
                is_above = await endpoint.head_number() > number
                head = await endpoint.ask(lambda chain: chain.head()) if is_above else None
            except ChainUnavailable:
                if len(self._endpoints) == 1:
                    raise  # it never rests, and whoever waits shall know that it is gone
                continue
            if head is not None and head.number > number:
                await self._compare_blocks(head.number - self._checked_depth)
                return head
            turn += 1
            await trio.sleep(self._poll_interval_s)

    async def _compare_blocks(self, number: int) -> None:
        """Ask every endpoint that is well for hash, parent and time of one block.

        Raises:
            ChainUnavailable: they name different ones.
        """
        if number <= self._checked_block and not self._contradictions:
            return  # somebody else who waits has asked
        usable = self._usable()
        if len(usable) < 2 or number < 0:
            self._agree(_BLOCK, is_checked=False)
            return
        said: dict[str, BlockRef] = {}
        for endpoint in usable:
            with trio.move_on_after(_WITNESS_PATIENCE_S) as patience:
                try:
                    refs = await endpoint.ask(lambda chain: chain.blocks(number, number))
                except ChainUnavailable:
                    continue
                said.update((endpoint.name, ref) for ref in refs)
            if patience.cancelled_caught:
                endpoint.fail(f"did not answer within {_WITNESS_PATIENCE_S} s")
        if len(frozenset(said.values())) > 1:
            parts = ", ".join(f"{name} says 0x{ref.hash.hex()} at {ref.time_s} s" for name, ref in said.items())
            self._contradict(_BLOCK, f"the endpoints contradict each other about block {number}: {parts}")
        self._agree(_BLOCK, is_checked=len(said) > 1)
        if len(said) > 1:
            self._checked_block = number

    def _contradiction(self) -> str:
        return "; ".join(self._contradictions.values())

    def _agree(self, about: str, *, is_checked: bool) -> None:
        """Nothing speaks against going on.

        Raises:
            ChainUnavailable: one endpoint alone cannot take back a contradiction of two.
        """
        self._counts["checked" if is_checked else "unchecked"] += 1
        if about in self._contradictions and not is_checked:
            raise ChainUnavailable(self._contradictions[about])
        self._contradictions.pop(about, None)

    def _contradict(self, about: str, what: str) -> None:
        """Nothing is read or sent until they agree.

        Raises:
            ChainUnavailable: always.
        """
        self._counts["contradictions"] += about not in self._contradictions
        self._contradictions[about] = f"{what}; settlement stops until they agree, check which one is right"
        raise ChainUnavailable(self._contradictions[about])

    # Logs

    async def logs(self, first: int, last: int, addresses: Sequence[Address]) -> tuple[Log, ...]:
        """See `Backend`. Asked of two; where they differ, of both again, as `block_logs`."""
        endpoint, logs = await self._first_of(lambda chain: chain.logs(first, last, addresses))
        witness, others = None, logs
        if len(self._usable()) > 1:
            with trio.move_on_after(_WITNESS_PATIENCE_S):
                witness, others = await self._first_of(
                    lambda chain: chain.logs(first, last, addresses), besides=endpoint
                )
        if witness is None or witness is endpoint or others == logs:
            self._agree(_EVENTS, is_checked=witness is not None and witness is not endpoint)
            return logs
        differing = sorted({log.block_number for log in frozenset(logs) ^ frozenset(others)})
        kept = {log for log in logs if log.block_number not in frozenset(differing)}
        for number in differing:
            kept |= await self._mend(number, (endpoint, witness), addresses)
        self._agree(_EVENTS, is_checked=True)
        return tuple(sorted(kept, key=lambda log: (log.block_number, log.index)))

    async def _mend(self, number: int, both: tuple[Endpoint, Endpoint], addresses: Sequence[Address]) -> set[Log]:
        """The logs of a block about which two differ: from whose logs come to what their header of it shows.

        Raises:
            ChainUnavailable: both do, and they differ all the same.
        """
        found: list[tuple[Endpoint, BlockRef, tuple[Log, ...]]] = []
        for endpoint in both:
            try:
                for ref in await endpoint.ask(lambda chain: chain.blocks(number, number)):
                    logs = await endpoint.ask(lambda chain, ref=ref: chain.block_logs(ref, addresses))  # type: ignore[misc]
                    found.append((endpoint, ref, logs))
            except ChainUnavailable:
                continue
        if not found:
            raise ChainUnavailable(f"no endpoint has the logs of block {number} that its header shows")
        endpoint, ref, logs = found[0]
        for other, other_ref, other_logs in found[1:]:
            if other_ref.hash == ref.hash and other_logs != logs:
                self._contradict(
                    _EVENTS,
                    f"the endpoints contradict each other about the events of block {number}: {endpoint.name} has "
                    f"{len(logs)} and {other.name} {len(other_logs)}, not the same",
                )
        self._counts["mended_logs"] += 1
        return set(logs)

    async def block_logs(self, block: BlockRef, addresses: Sequence[Address]) -> tuple[Log, ...]:
        """See `Backend`. Another endpoint than the one that answered last is asked first."""
        return await self._first(lambda chain: chain.block_logs(block, addresses), besides=self._last_used)

    # Accounts and transactions

    async def call(
        self,
        to: Address,
        payload: bytes,
        *,
        sender: Address | None = None,
        value_wei: int = 0,
        block_number: int | None = None,
    ) -> bytes:
        """See `Backend`."""
        return await self._first(
            lambda chain: chain.call(to, payload, sender=sender, value_wei=value_wei, block_number=block_number)
        )

    async def code(self, address: Address) -> bytes:
        """See `Backend`."""
        return await self._first(lambda chain: chain.code(address))

    async def balance_wei(self, address: Address) -> int:
        """See `Backend`."""
        return await self._first(lambda chain: chain.balance_wei(address))

    async def transaction_count(self, address: Address) -> int:
        """See `Backend`. The highest that any endpoint says: one that is behind knows less, never more."""
        counts = [await self._first(lambda chain: chain.transaction_count(address))]
        for endpoint in self._usable():
            if endpoint is not self._last_used:
                try:
                    counts.append(await endpoint.ask(lambda chain: chain.transaction_count(address)))
                except ChainUnavailable:
                    continue
        return max(counts)

    async def estimate_gas(self, sender: Address, to: Address | None, payload: bytes, value_wei: int) -> int:
        """See `Backend`."""
        return await self._first(lambda chain: chain.estimate_gas(sender, to, payload, value_wei))

    async def fees(self) -> Fees:
        """See `Backend`."""
        return await self._first(lambda chain: chain.fees())

    async def send_raw(self, raw: bytes) -> Digest:
        """See `Backend`. The same bytes at a second endpoint are the same transaction."""
        return await self._first(lambda chain: chain.send_raw(raw))

    async def receipt(self, transaction: Digest) -> Receipt | None:
        """See `Backend`."""
        return await self._first(lambda chain: chain.receipt(transaction))
