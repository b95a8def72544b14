"""Random reorganisations while owners trade: what a node derives is, byte for byte, what a reader of the new chain has.

`python -m tests.chain.reorgs --count 200 --json` runs against an anvil of its own. Half of the reorganisations put
empty blocks in the place of the old ones, into which some of the old transactions come again; the other half go back to
an earlier state, and others trade there. Now and then the node is down meanwhile.
"""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import trio

from orrange_p2p.chain.anvil import run_anvil
from orrange_p2p.chain.contracts import encode_settle, vault_contract
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.rpc import JsonRpcChain, open_rpc
from orrange_p2p.chain.settler import Settler
from orrange_p2p.cli.logs import configure_logs
from orrange_p2p.core.types import TicketDigest
from orrange_p2p.keys.session import SessionKey
from tests.chain.chain_reader import ChainReader, read_anew, reading
from tests.chain.chain_under_test import FAUCET_WEI, ChainUnderTest
from tests.chain.chain_world import World, build_world, dev_key, faucet_key

DEEPEST = 64
DOWN_SHARE = 0.2
SETTLE_GAS = 700_000


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run came to; `differences` and `submitted_twice` must be 0.

    `tickets` went through a settler that was told of every reorganisation; those that neither settled nor expired would
    be lost, and the run would not end. Other trades are sent by hand, and nobody sends them again.
    """

    seed: int
    reorganisations: int = 0
    deepest: int = 0
    while_down: int = 0
    blocks_taken_back: int = 0
    trades_taken_back: int = 0
    trades_settled: int = 0
    blocks: int = 0
    compared: int = 0
    compared_bytes: int = 0
    differences: int = 0
    tickets: int = 0
    tickets_settled: int = 0
    tickets_expired: int = 0
    submitted_twice: int = 0
    took_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class Trading:
    """Owners at work on a chain whose blocks are made and taken back here."""

    random: Random
    rpc: JsonRpcChain
    chain: ChainUnderTest
    world: World
    deepest: int
    settler: Settler
    tickets: dict[TicketDigest, int] = field(default_factory=dict)
    snapshots: dict[int, object] = field(default_factory=dict)

    async def trade_on(self, rounds: int) -> None:
        """Blocks, with trades, withdrawals or nothing in them."""
        for _ in range(rounds):
            kind = self.random.randrange(4)
            if kind < 2:
                await self._settle()
            elif kind == 2:
                await self._deallocate(self.random.choice(self.world.traders).owner)
            await self.mine()

    async def mine(self) -> None:
        """One block, to which the chain can return."""
        await self.chain.mine(seconds=self.random.choice((1, 1, 1, 1, 1, 1, 1, 10)))
        self.snapshots[(await self.rpc.head()).number] = await self.chain.ask("evm_snapshot")

    async def _settle(self) -> None:
        maker = self.random.randrange(2)
        ticket, trade = await self.world.trade(
            lots=1, price_ticks=self.random.randint(1, 9), maker=maker, taker=1 - maker
        )
        if self.random.random() < 0.5:
            self.settler.enqueue(ticket, trade)
            self.tickets[ticket] = trade.ticket.deadline_s
            return
        lane = TransactionLane(self.rpc, faucet_key())
        await lane.send(self.world.deployment.settlement, encode_settle((trade,)), gas=SETTLE_GAS)

    async def _deallocate(self, owner: SessionKey) -> None:
        """Ask for funds, or take those that were asked for long enough ago; the vault refuses what is too early."""
        name = self.random.choice(("requestDeallocation", "executeDeallocation"))
        amount = (self.random.randint(1, 50),) if name == "requestDeallocation" else ()
        payload = vault_contract().encode_call(name, self.world.market_id, self.world.market.base, *amount)
        await TransactionLane(self.rpc, owner).send(self.world.deployment.vault, payload, gas=200_000)

    async def reorganise(self, depth: int) -> None:
        """Take back `depth` blocks and go on until the chain is longer than it was."""
        head = (await self.rpc.head()).number
        to_block = head - depth
        if to_block in self.snapshots and self.random.random() < 0.5:
            assert await self.chain.ask("evm_revert", self.snapshots[to_block]) is True
            self._forget(to_block - 1)
            while (await self.rpc.head()).number < head:
                await self.trade_on(1)
        else:
            again = await self._some_transactions(to_block + 1, head)
            await self.chain.ask("anvil_reorg", depth, again)
            self._forget(to_block)
        await self.trade_on(self.random.randint(1, 3))

    def _forget(self, to_block: int) -> None:
        self.snapshots = {number: name for number, name in self.snapshots.items() if number <= to_block}

    async def _some_transactions(self, first: int, last: int) -> list[list[object]]:
        """Up to so many transactions of these blocks that come again, in their order, each maybe later than before."""
        found: list[str] = []
        for number in range(first, last + 1):
            block = await self.chain.ask("eth_getBlockByNumber", hex(number), False)
            assert isinstance(block, dict)
            found += block["transactions"]
        kept = found[: self.random.randint(0, len(found))]
        places = sorted(self.random.randrange(last - first + 1) for _ in kept)
        raws = [await self.chain.ask("eth_getRawTransactionByHash", name) for name in kept]
        return [[raw, place] for raw, place in zip(raws, places, strict=True)]


async def run(count: int, seed: int, deepest: int = DEEPEST) -> Report:
    """Reorganise so many times, 1 to `deepest` blocks each, and compare after each."""
    started, report = time.monotonic(), Report(seed=seed)
    async with (
        run_anvil(balances_wei={faucet_key().address: FAUCET_WEI}, block_time_s=3_600) as running,
        open_rpc(running.url, poll_interval_s=0.02) as rpc,
    ):
        chain = ChainUnderTest(backend=rpc, kind="rpc", url=running.url)
        world = await _build(rpc, chain)
        submitter = dev_key("submitter")
        await rpc.set_development_balance(submitter.address, FAUCET_WEI)
        settler = Settler(TransactionLane(rpc, submitter), world.deployment.settlement, gather_ms=1)
        trading = Trading(random=Random(seed), rpc=rpc, chain=chain, world=world, deepest=deepest, settler=settler)
        with TemporaryDirectory() as directory:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(settler.run)
                await trading.trade_on(deepest + 2)
                await _reorganise_all(trading, report, count, Path(directory))
                nursery.cancel_scope.cancel()
            report.blocks = (await rpc.head()).number
    report.took_s = round(time.monotonic() - started, 1)
    return report


async def _build(rpc: JsonRpcChain, chain: ChainUnderTest) -> World:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chain.keep_mining)
        world = await build_world(rpc, label="reorgs")
        nursery.cancel_scope.cancel()
    return world


@asynccontextmanager
async def _reading(trading: Trading, directory: Path) -> AsyncIterator[ChainReader]:
    """A node at work, whose settler hears what it reads."""
    async with reading(trading.rpc, trading.world, directory, page_blocks=7) as reader:
        reader.on_block, reader.on_taken_back = trading.settler.observe, trading.settler.unwind
        yield reader


async def _reorganise_all(trading: Trading, report: Report, count: int, directory: Path) -> None:
    """The node reads on meanwhile, or is down and finds out when it starts again."""
    while report.reorganisations < count:
        async with _reading(trading, directory) as reader:
            await reader.until(trading.rpc)
            await _compare(trading, reader, report)
            while report.reorganisations < count and trading.random.random() >= DOWN_SHARE:
                await _reorganise(trading, reader, report)
                await reader.until(trading.rpc)
                await _compare(trading, reader, report)
        if report.reorganisations < count:
            await _reorganise(trading, reader, report)
            report.while_down += 1
    async with _reading(trading, directory) as reader:
        await reader.until(trading.rpc)
        await _settle_rest(trading, reader, report)
        await _compare(trading, reader, report)
        report.trades_settled = len(reader.settled())


async def _settle_rest(trading: Trading, reader: ChainReader, report: Report) -> None:
    """Blocks, until every ticket settled or can no more."""
    ledger = reader.kernel.ledger
    with trio.fail_after(300):
        while True:
            await reader.until(trading.rpc)
            last = ledger.last_block
            assert last is not None
            settled = [ticket for ticket in trading.tickets if ledger.settled_in(ticket) is not None]
            expired = [
                ticket
                for ticket, deadline_s in trading.tickets.items()
                if ledger.settled_in(ticket) is None and deadline_s < last.time_s
            ]
            if len(settled) + len(expired) == len(trading.tickets):
                break
            await trading.mine()
    report.tickets, report.tickets_settled, report.tickets_expired = len(trading.tickets), len(settled), len(expired)
    report.submitted_twice = sum(ledger.skip_reason(ticket) is not None for ticket in settled)


async def _reorganise(trading: Trading, reader: ChainReader, report: Report) -> None:
    depth = trading.random.randint(1, trading.deepest)
    before = {fact.ticket for fact in reader.settled()}
    await trading.reorganise(depth)
    report.reorganisations += 1
    report.deepest = max(report.deepest, depth)
    report.blocks_taken_back += depth
    await trio.lowlevel.checkpoint()
    report.trades_taken_back += len(before - {fact.ticket for fact in reader.settled()})


async def _compare(trading: Trading, reader: ChainReader, report: Report) -> None:
    derived = reader.derived()
    report.compared += 1
    report.compared_bytes += len(derived)
    report.differences += derived != await read_anew(trading.rpc, trading.world)


def main() -> int:
    """Run from the command line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    configure_logs("error")
    report = asdict(trio.run(run, chosen.count, chosen.seed))
    shown = json.dumps(report) if chosen.json else "\n".join(f"{name}: {value}" for name, value in report.items())
    sys.stdout.write(shown + "\n")
    return 1 if report["differences"] or report["submitted_twice"] else 0


if __name__ == "__main__":
    sys.exit(main())
