"""Random faults of two endpoints while tickets settle: nothing is submitted twice, and no event is lost.

`python -m tests.chain.faults --count 1000 --json` runs against an anvil of its own, behind two proxies that time out,
are busy, break, answer garbage, lose answers after doing what was asked, fall behind and leave out logs. After every
hundredth fault the second one tells false block hashes until both have said that they contradict each other.
"""

import json
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import trio

from orrange_p2p.chain.anvil import run_anvil
from orrange_p2p.chain.contracts import settlement_contract, skip_reason_name
from orrange_p2p.chain.endpoints import Endpoints, open_endpoints
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.rpc import JsonRpcChain, open_rpc
from orrange_p2p.chain.settler import Fate, SettlementOutcome, Settler
from orrange_p2p.cli.logs import configure_logs
from orrange_p2p.core.types import TicketDigest
from orrange_p2p.errors import ChainUnavailable
from tests.chain.chain_reader import ChainReader, read_anew, reading
from tests.chain.chain_under_test import FAUCET_WEI, TICK_S, ChainUnderTest
from tests.chain.chain_world import World, build_world, faucet_key
from tests.chain.fault_proxy import HONEST_FAULTS, Fault, FaultProxy, fits, run_proxy

FAULT_SHARE = 0.2
FAULTS_A_LIE = 100
TRADES_A_ROUND = 3
MOST_UNDER_WAY = 12
TIMEOUT_S = 0.3
_LATE, _AGAIN = "deadline", "replay"


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run came to; `settled_twice`, `submitted_twice`, `not_settled` and `differences` must be 0.

    Each of `lies` must have stopped it.
    """

    seed: int
    injected: int = 0
    by_fault: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    blocks: int = 0
    tickets: int = 0
    transactions: int = 0
    settled_twice: int = 0
    submitted_twice: int = 0
    skips: dict[str, int] = field(default_factory=dict)
    too_late: int = 0
    not_settled: int = 0
    differences: int = 0
    interruptions: int = 0
    lies: int = 0
    stopped_by_lies: int = 0
    mended_logs: int = 0
    logs_asked_again: int = 0
    took_s: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost and nothing done twice."""
        is_done_once = not (self.settled_twice or self.submitted_twice or self.not_settled)
        return is_done_once and not self.differences and self.stopped_by_lies == self.lies


class Injector:
    """Chooses what goes wrong with each request, until enough did."""

    def __init__(self, count: int, seed: int) -> None:
        self._random = Random(seed)
        self.left = count
        self.is_on = False
        self.lies = False
        self.next_lie_at = count - FAULTS_A_LIE

    def choose_second(self, methods: frozenset[str]) -> Fault | None:
        """What goes wrong with a request to the second endpoint."""
        if self.lies:
            return Fault.FALSE_HASH if fits(Fault.FALSE_HASH, methods) else None
        return self.choose(methods)

    def choose(self, methods: frozenset[str]) -> Fault | None:
        """A fault that such a request can show, or none."""
        if not self.is_on or not self.left or self._random.random() >= FAULT_SHARE:
            return None
        fault = self._random.choice([fault for fault in HONEST_FAULTS if fits(fault, methods)])
        self.left -= 1
        return fault


@dataclass(slots=True, kw_only=True)
class Settling:
    """Tickets on their way through endpoints that fail."""

    world: World
    settler: Settler
    outcomes: dict[TicketDigest, SettlementOutcome]
    sent: list[TicketDigest] = field(default_factory=list)
    random: Random

    async def offer(self) -> None:
        """A few more tickets."""
        for _ in range(self.random.randint(1, TRADES_A_ROUND)):
            maker = self.random.randrange(2)
            ticket, trade = await self.world.trade(lots=1, price_ticks=2, maker=maker, taker=1 - maker)
            assert self.settler.enqueue(ticket, trade)
            self.sent.append(ticket)

    async def until_under_way(self, most: int) -> None:
        """Wait until no more than so many tickets have no outcome yet."""
        with trio.fail_after(120):
            while len(self.sent) - len(self.outcomes) > most:
                await trio.sleep(TICK_S)


async def run(count: int, seed: int) -> Report:
    """Inject so many faults while tickets settle, and compare with what the chain has."""
    started, report, injector = time.monotonic(), Report(seed=seed), Injector(count, seed)
    async with AsyncExitStack() as opened:
        anvil = await opened.enter_async_context(
            run_anvil(balances_wei={faucet_key().address: FAUCET_WEI}, block_time_s=3_600)
        )
        direct = await opened.enter_async_context(open_rpc(anvil.url, poll_interval_s=TICK_S))
        choices = (injector.choose, injector.choose_second)
        proxies = [await opened.enter_async_context(run_proxy(anvil.url, choose)) for choose in choices]
        urls = [proxy.url for proxy in proxies]
        endpoints = await opened.enter_async_context(
            open_endpoints(urls, expected_chain_id=anvil.chain_id, timeout_s=TIMEOUT_S, poll_interval_s=TICK_S)
        )
        directory = Path(opened.enter_context(TemporaryDirectory()))
        chain = ChainUnderTest(backend=direct, kind="rpc", url=anvil.url)
        async with _mining(chain):
            world = await build_world(direct, label="faults")
        async with reading(endpoints, world, directory) as reader:
            async with _mining(chain):
                await _settle_through(endpoints, world, reader, injector, seed, report)
            await reader.until(direct)
            await _judge(direct, world, reader, report)
        _count_faults(proxies, endpoints, report)
    report.took_s = round(time.monotonic() - started, 1)
    return report


@asynccontextmanager
async def _mining(chain: ChainUnderTest) -> AsyncIterator[None]:
    """Blocks come all the time; none does afterwards."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chain.keep_mining)
        yield
        nursery.cancel_scope.cancel()


async def _settle_through(
    endpoints: Endpoints, world: World, reader: ChainReader, injector: Injector, seed: int, report: Report
) -> None:
    """Offer tickets until every fault was injected and every ticket came to its end."""
    outcomes: dict[TicketDigest, SettlementOutcome] = {}
    lane = TransactionLane(endpoints, faucet_key())
    settler = Settler(
        lane,
        world.deployment.settlement,
        on_outcome=lambda outcome: outcomes.update({outcome.ticket: outcome}),
        gather_ms=20,
    )
    reader.on_block = settler.observe
    settling = Settling(world=world, settler=settler, outcomes=outcomes, random=Random(seed + 1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(settler.run)
        injector.is_on = True
        while injector.left:
            await settling.offer()
            await settling.until_under_way(MOST_UNDER_WAY)
            if injector.left <= injector.next_lie_at:
                injector.next_lie_at -= FAULTS_A_LIE
                await _lie(endpoints, injector, report)
        await settling.until_under_way(0)
        nursery.cancel_scope.cancel()
    report.tickets = len(settling.sent)
    settled, late = [
        [ticket for ticket in settling.sent if is_so(outcomes[ticket])] for is_so in (_is_settled, _is_late)
    ]
    report.too_late = len(late)
    report.not_settled = len(settling.sent) - len(settled) - len(late)
    report.transactions = int(str(settler.statistics()["transactions"]))


def _is_settled(outcome: SettlementOutcome) -> bool:
    return outcome.fate is Fate.SETTLED


def _is_late(outcome: SettlementOutcome) -> bool:
    """Whether a ticket's time was over before endpoints that rest let it through."""
    return outcome.fate is Fate.EXPIRED or outcome.reason == _LATE


async def _lie(endpoints: Endpoints, injector: Injector, report: Report) -> None:
    """A lie stops everything, with the block and what each says of it; the truth lets it go on."""
    report.lies += 1
    injector.is_on, injector.lies = False, True
    with trio.fail_after(120):
        while not endpoints.statistics()["contradiction"]:
            await trio.sleep(TICK_S)
        try:
            await endpoints.fees()
        except ChainUnavailable as error:
            report.stopped_by_lies += "the endpoints contradict each other about block" in str(error)
        injector.lies = False
        while endpoints.statistics()["contradiction"]:
            await trio.sleep(TICK_S)
    injector.is_on = True


async def _judge(direct: JsonRpcChain, world: World, reader: ChainReader, report: Report) -> None:
    """What the chain itself has, and whether the reader missed anything of it."""
    head = await direct.head()
    events: Counter[tuple[str, bytes]] = Counter()
    reasons: Counter[str] = Counter()
    for log in await direct.logs(0, head.number, [world.deployment.settlement]):
        event = settlement_contract().decode_event(log)
        if event is not None and event.name in ("TradeCompleted", "TradeSkipped"):
            events[event.name, bytes(event.fields["ticket"])] += 1
            if event.name == "TradeSkipped":
                reasons[skip_reason_name(event.fields["reason"])] += 1
    report.blocks = head.number
    report.settled_twice = sum(count > 1 for (name, _), count in events.items() if name == "TradeCompleted")
    report.skips = dict(reasons)
    report.submitted_twice = reasons[_AGAIN]
    report.differences = int(reader.derived() != await read_anew(direct, world))
    statistics = reader.follower.statistics()
    report.interruptions = int(str(statistics["interruptions"]))
    report.logs_asked_again = int(str(statistics["missing_logs"]))


def _count_faults(proxies: Sequence[FaultProxy], endpoints: Endpoints, report: Report) -> None:
    injected: Counter[Fault] = sum((proxy.injected for proxy in proxies), Counter())
    report.by_fault = {fault.value: count for fault, count in sorted(injected.items(), key=lambda one: one[0].value)}
    report.injected = injected.total() - injected[Fault.FALSE_HASH]
    report.requests = sum(proxy.requests for proxy in proxies)
    report.mended_logs = int(str(endpoints.statistics()["mended_logs"]))


def main() -> int:
    """Run from the command line."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    configure_logs("error")
    report = trio.run(run, chosen.count, chosen.seed)
    rows = asdict(report)
    shown = json.dumps(rows) if chosen.json else "\n".join(f"{name}: {value}" for name, value in rows.items())
    sys.stdout.write(shown + "\n")
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
