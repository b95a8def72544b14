"""What a node makes of a chain: follower, kernel and store, and everything derived from the chain as bytes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.deployment import Deployment
from orrange_p2p.chain.follower import Follower, Item, TakenBack
from orrange_p2p.chain.trail import REMEMBERED_BLOCKS
from orrange_p2p.core.events import Action, BlockAdded, BlocksUnwound, Identity, Note
from orrange_p2p.core.facts import BlockFacts, TradeSettled
from orrange_p2p.core.kernel import Kernel
from orrange_p2p.core.presets import PRESETS, MarketRules
from orrange_p2p.core.reputation import Standings
from orrange_p2p.core.types import Address, PeerId, Signature
from orrange_p2p.store.actions import batch_of
from orrange_p2p.store.blocks import encode_block
from orrange_p2p.store.lmdb_store import LmdbStore
from tests.chain.chain_world import World

NETWORK_ID = bytes(32)
NOBODY = Identity(
    owner=Address(bytes(20)),
    session=Address(bytes(20)),
    peer_id=PeerId(bytes(38)),
    encryption_key=bytes(32),
    sign=lambda _digest: Signature(bytes(65)),
    peer_sign=lambda _message: bytes(64),
)


class ChainReader:
    """A follower that feeds a kernel and a store, as a node does; a bystander's, which signs nothing."""

    def __init__(self, backend: Backend, world: World, directory: Path, *, page_blocks: int = 64) -> None:
        self.deployment: Deployment = world.deployment
        genesis_ms, preset = world.deployment.genesis_ms, PRESETS["demo"]
        rules = MarketRules(market=world.market, market_id=world.market_id, preset=preset, genesis_ms=genesis_ms)
        self.kernel = Kernel(world.deployment.domain, [rules], NOBODY)
        self.store = LmdbStore.open(directory, create=True, network_id=NETWORK_ID)
        for block in self.store.blocks():
            self.kernel.step(BlockAdded(now_ms=0, block=block, is_stored=True))
        known = self.kernel.ledger.newest_blocks(REMEMBERED_BLOCKS)
        self.follower = Follower(
            backend,
            world.deployment,
            start_block=known[-1].number + 1 if known else None,
            known=[(block.number, block.hash) for block in known],
            page_blocks=page_blocks,
            backoff_max_s=0.05,
        )
        self.went_on = trio.Event()
        self.on_block: Callable[[BlockFacts], None] = lambda _block: None
        self.on_taken_back: Callable[[int], None] = lambda _to_block: None

    async def run(self) -> None:
        """Read for ever."""
        send, receive = trio.open_memory_channel[Item](64)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.follower.run, send)
            async for item in receive:
                actions = self._step(item)
                while receive.statistics().current_buffer_used:
                    actions += self._step(receive.receive_nowait())
                self._keep(actions)
                self.went_on.set()
                self.went_on = trio.Event()

    def _step(self, item: Item) -> list[Action]:
        if isinstance(item, TakenBack):
            self.on_taken_back(item.to_block)
            return self.kernel.step(BlocksUnwound(now_ms=0, to_block=item.to_block))
        self.on_block(item)
        return self.kernel.step(BlockAdded(now_ms=0, block=item))

    def _keep(self, actions: list[Action]) -> None:
        assert not any(isinstance(one, Note) and one.name == "doubt" for one in actions), actions
        batch = batch_of(actions)
        if batch is not None:
            self.store.commit(batch)

    async def until(self, backend: Backend, *, limit_s: float = 60) -> None:
        """Wait until the newest block that the chain has now was read."""
        head = await backend.head()
        with trio.fail_after(limit_s):
            while (block := self.kernel.ledger.block(head.number)) is None or block.hash != head.hash:
                await self.went_on.wait()

    def derived(self) -> bytes:
        """Everything that is derived from the chain, in the order in which it is held: ledger, scores, store."""
        ledger = self.kernel.ledger
        last = ledger.last_block
        standings = Standings(ledger, last, PRESETS["demo"].period_s)
        owners = ledger.touched_owners(0, last.number if last is not None else 0)
        held = {
            "ledger": [one for one in sorted(vars(ledger).items()) if one[0] != "conduct"],
            "conduct": sorted(vars(ledger.conduct).items()),
            "scores": [standings.explain(owner) for owner in owners],
        }
        return repr(held).encode() + b"".join(encode_block(block) for block in self.store.blocks())

    def settled(self) -> tuple[TradeSettled, ...]:
        """Every trade that the chain settled."""
        return self.kernel.ledger.settled_trades()


@asynccontextmanager
async def reading(
    backend: Backend, world: World, directory: Path, *, page_blocks: int = 64
) -> AsyncIterator[ChainReader]:
    """A reader at work; afterwards its store can be opened again."""
    reader = ChainReader(backend, world, directory, page_blocks=page_blocks)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.run)
            yield reader
            nursery.cancel_scope.cancel()
    finally:
        reader.store.close()


async def read_anew(backend: Backend, world: World) -> bytes:
    """What a node derives that reads the chain from the start, now."""
    with TemporaryDirectory() as directory:
        async with reading(backend, world, Path(directory)) as fresh:
            await fresh.until(backend)
            return fresh.derived()
