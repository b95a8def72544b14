"""A settler at work in a world, fed by a follower."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from chain_world import World

from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.follower import Follower, Item, TakenBack
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.settler import SettlementOutcome, Settler
from orrange_p2p.core.types import TicketDigest

FAST_MS = 10


class Run:
    """A running settler, fed by a running follower."""

    def __init__(self, world: World, lane: TransactionLane | None = None) -> None:
        self.world = world
        self.outcomes: dict[TicketDigest, SettlementOutcome] = {}
        self.settler = Settler(
            lane or world.lane, world.deployment.settlement, on_outcome=self.note, gather_ms=FAST_MS, max_held=100
        )
        self.feeds = trio.Event()
        self.taken_back = trio.Event()

    def note(self, outcome: SettlementOutcome) -> None:
        """Each ticket's way ends once."""
        assert outcome.ticket not in self.outcomes
        self.outcomes[outcome.ticket] = outcome

    async def feed(self, backend: Backend) -> None:
        """Show the settler every block, once `feeds` is set."""
        sink, source = trio.open_memory_channel[Item](10)
        follower = Follower(backend, self.world.deployment)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.run, sink)
            async for item in source:
                await self.feeds.wait()
                if isinstance(item, TakenBack):
                    self.settler.unwind(item.to_block)
                    self.taken_back.set()
                else:
                    self.settler.observe(item)

    async def until(self, count: int) -> None:
        """Wait until so many tickets' ways ended."""
        with trio.fail_after(30):
            while len(self.outcomes) < count:
                await trio.sleep(0.01)


@asynccontextmanager
async def settling(world: World, *, feeds: bool = True) -> AsyncIterator[Run]:
    """Run settler and follower."""
    run = Run(world)
    if feeds:
        run.feeds.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run.settler.run)
        nursery.start_soon(run.feed, world.backend)
        yield run
        nursery.cancel_scope.cancel()
