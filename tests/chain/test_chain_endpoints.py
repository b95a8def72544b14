"""Several endpoints of one chain: who fails is passed over, who leaves logs out is found out, who lies stops it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
from chain_under_test import TICK_S, ChainUnderTest
from loopback_server import run_scripted

from orrange_p2p.chain.anvil import RunningAnvil
from orrange_p2p.chain.backend import Levels
from orrange_p2p.chain.contracts import encode_settle
from orrange_p2p.chain.endpoints import Endpoints, open_endpoints
from orrange_p2p.chain.rpc import open_rpc
from orrange_p2p.core.types import Address
from orrange_p2p.errors import ChainUnavailable, ConfigError
from tests.chain.chain_reader import ChainReader, read_anew, reading
from tests.chain.chain_world import World, build_world
from tests.chain.fault_proxy import Fault, FaultProxy, fits, run_proxy

pytestmark = pytest.mark.usefixtures("anvil")
SETTLE_GAS = 700_000


@dataclass(slots=True)
class Scene:
    """A world on anvil, read through two proxies whose faults the test chooses."""

    world: World
    endpoints: Endpoints
    proxies: tuple[FaultProxy, FaultProxy]
    faults: list[frozenset[Fault]] = field(default_factory=lambda: [frozenset(), frozenset()])

    def of(self, number: int) -> dict[str, Any]:
        """How one endpoint does."""
        rows: Any = self.endpoints.statistics()["endpoints"]
        return dict(rows[number])

    async def settle(self) -> int:
        """A trade on the chain; its block's number."""
        _, trade = await self.world.trade(lots=1, price_ticks=3)
        receipt = await self.world.lane.submit(
            self.world.deployment.settlement, encode_settle((trade,)), gas=SETTLE_GAS
        )
        return receipt.block_number


@asynccontextmanager
async def scene(anvil: RunningAnvil) -> AsyncIterator[Scene]:
    """Blocks come all the time."""
    faults: list[frozenset[Fault]] = [frozenset(), frozenset()]

    def choose(number: int, methods: frozenset[str]) -> Fault | None:
        return next((fault for fault in faults[number] if fits(fault, methods)), None)

    async with (
        open_rpc(anvil.url, poll_interval_s=TICK_S) as direct,
        run_proxy(anvil.url, lambda methods: choose(0, methods)) as first,
        run_proxy(anvil.url, lambda methods: choose(1, methods)) as second,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(ChainUnderTest(backend=direct, kind="rpc", url=anvil.url).keep_mining)
        world = await build_world(direct, label="endpoints")
        urls = (first.url, second.url)
        async with open_endpoints(urls, expected_chain_id=31337, timeout_s=0.5, poll_interval_s=TICK_S) as endpoints:
            yield Scene(world, endpoints, (first, second), faults)
        nursery.cancel_scope.cancel()


async def until_read(reader: ChainReader, number: int) -> None:
    """Wait until a block is read."""
    with trio.fail_after(20):
        while (last := reader.kernel.ledger.last_block) is None or last.number < number:
            await reader.went_on.wait()


async def until_doubt(reader: ChainReader, text: str) -> None:
    """Wait until the reader says why it does not go on."""
    with trio.fail_after(20):
        while text not in str(reader.follower.statistics()["doubt"]):
            await trio.sleep(TICK_S)


@pytest.mark.parametrize(
    "fault", [Fault.TIMEOUT, Fault.BUSY, Fault.BROKEN, Fault.GARBAGE, Fault.LOST_ANSWER, Fault.STALE_HEAD]
)
async def test_a_second_endpoint_answers_for_one_that_fails(anvil: RunningAnvil, fault: Fault, tmp_path: Path) -> None:
    async with scene(anvil) as on, reading(on.endpoints, on.world, tmp_path) as reader:
        await until_read(reader, await on.settle())
        on.faults[0] = frozenset({fault})
        await until_read(reader, await on.settle() + 5)
        assert on.proxies[0].injected[fault] > 0
        assert (await on.endpoints.head()).number > 0
        on.faults[0] = frozenset()
        await until_read(reader, await on.settle())
        assert len(reader.settled()) == 3
        if fault is not Fault.STALE_HEAD:
            assert on.of(0)["failed"] > 0


async def test_one_that_asks_to_be_left_alone_is(anvil: RunningAnvil) -> None:
    async with scene(anvil) as on:
        on.faults[0] = frozenset({Fault.BUSY})
        before = on.proxies[0].requests
        for _ in range(20):
            await on.endpoints.head()
        assert on.proxies[0].requests == before + 1
        assert on.of(0)["is_resting"]
        assert "429" in on.of(0)["last_error"]


async def test_all_failing_says_why_for_each(anvil: RunningAnvil) -> None:
    async with scene(anvil) as on:
        on.faults[:] = [frozenset({Fault.BROKEN}), frozenset({Fault.GARBAGE})]
        with pytest.raises(ChainUnavailable, match=r"503.*; expected JSON"):
            await on.endpoints.fees()
        on.faults[:] = [frozenset(), frozenset()]
        with trio.fail_after(10):
            while any(on.of(number)["is_resting"] for number in (0, 1)):
                await trio.sleep(TICK_S)
        assert (await on.endpoints.fees()).base_fee_wei >= 0


@pytest.mark.parametrize("liar", [0, 1])
async def test_logs_that_one_leaves_out_are_found_and_nothing_stops(
    anvil: RunningAnvil, liar: int, tmp_path: Path
) -> None:
    async with scene(anvil) as on:
        on.faults[liar] = frozenset({Fault.MISSING_LOGS})
        last = await on.settle()
        async with reading(on.endpoints, on.world, tmp_path) as reader:
            await until_read(reader, last + 5)
            assert len(reader.settled()) == 1
        assert on.endpoints.statistics()["mended_logs"] != 0
        assert on.endpoints.statistics()["contradictions"] == 0


@pytest.mark.parametrize("with_second", [False, True])
async def test_logs_that_all_leave_out_are_read_from_receipts(
    anvil: RunningAnvil, with_second: bool, tmp_path: Path
) -> None:
    async with scene(anvil) as on:
        on.faults[:] = [frozenset({Fault.MISSING_LOGS})] * 2
        last = await on.settle()
        urls = tuple(proxy.url for proxy in on.proxies)[: 1 + with_second]
        async with open_endpoints(urls) as endpoints, reading(endpoints, on.world, tmp_path) as reader:
            await until_read(reader, last)
            assert len(reader.settled()) == 1
            assert int(reader.follower.statistics()["missing_logs"]) > 0


@pytest.mark.parametrize(
    ("lie", "what"), [(Fault.FALSE_HASH, "about block"), (Fault.FALSE_LOGS, "about the events of block")]
)
async def test_a_lie_stops_it_with_both_sides_of_the_story_until_they_agree(
    anvil: RunningAnvil, lie: Fault, what: str, tmp_path: Path
) -> None:
    async with scene(anvil) as on, reading(on.endpoints, on.world, tmp_path) as reader:
        await until_read(reader, await on.settle() + 5)
        on.faults[1] = frozenset({lie})
        await on.settle()
        await until_doubt(reader, f"the endpoints contradict each other {what}")
        doubt = str(on.endpoints.statistics()["contradiction"])
        assert all(proxy.url in doubt for proxy in on.proxies)
        assert "settlement stops" in doubt
        with pytest.raises(ChainUnavailable, match="contradict"):
            await on.endpoints.send_raw(b"\x02")
        on.faults[1] = frozenset()
        last = await on.settle()
        await until_read(reader, last + 5)
        assert on.endpoints.statistics()["contradiction"] == ""
        assert len(reader.settled()) == 3


async def test_an_endpoint_of_another_chain_is_passed_over(anvil: RunningAnvil) -> None:
    async with scene(anvil) as on:
        urls = tuple(proxy.url for proxy in on.proxies)
        async with open_endpoints(urls, expected_chain_id=1) as wrong:
            with pytest.raises(ChainUnavailable, match=r"expected chain id 1, was 31337"):
                await wrong.head()


async def test_one_endpoint_alone_says_that_nothing_is_compared(anvil: RunningAnvil, tmp_path: Path) -> None:
    async with scene(anvil) as on, open_endpoints(on.proxies[0].url.split()) as alone:
        last = await on.settle()
        async with reading(alone, on.world, tmp_path) as reader:
            await until_read(reader, last)
            assert reader.derived()
        statistics = alone.statistics()
        assert statistics["is_cross_checked"] is False
        assert statistics["checked"] == 0


async def test_keys_in_urls_are_shown_nowhere() -> None:
    urls = ("http://127.0.0.1:9/v3/5ecret", "http://user:5ecret@127.0.0.1:10/?key=5ecret")
    async with open_endpoints(urls) as endpoints:
        with pytest.raises(ChainUnavailable) as failure:
            await endpoints.head()
        shown = str(failure.value) + str(endpoints.statistics())
        assert "5ecret" not in shown
        assert "127.0.0.1:10" in shown


async def test_two_at_one_host_are_told_apart_and_compared(anvil: RunningAnvil) -> None:
    urls = tuple(f"{anvil.url}/?key={key}" for key in ("5ecret", "0ther"))
    async with open_endpoints(urls, checked_depth=0) as endpoints:
        assert (await endpoints.wait_head_above(-1)).number >= 0
        statistics = endpoints.statistics()
    rows: Any = statistics["endpoints"]
    assert [one["url"] for one in rows] == [f"{anvil.url} (number {number})" for number in (1, 2)]
    assert statistics["checked"] == 1


@pytest.mark.parametrize("urls", [(), ("http://127.0.0.1:9", "http://127.0.0.1:9")])
async def test_no_url_and_one_twice_are_refused(urls: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="each once"):
        async with open_endpoints(urls):
            pass


async def test_what_was_read_through_faults_is_what_the_chain_has(anvil: RunningAnvil, tmp_path: Path) -> None:
    async with scene(anvil) as on, reading(on.endpoints, on.world, tmp_path) as reader:
        for fault in (Fault.MISSING_LOGS, Fault.LOST_ANSWER, Fault.STALE_HEAD):
            on.faults[0] = frozenset({fault})
            last = await on.settle()
        on.faults[0] = frozenset()
        await until_read(reader, last)
        assert len(reader.settled()) == 3
        assert await read_anew(on.endpoints, on.world)


async def test_seen_safe_and_final_are_values_of_the_chain(anvil: RunningAnvil, tmp_path: Path) -> None:
    async with scene(anvil) as on, reading(on.endpoints, on.world, tmp_path) as reader:
        await until_read(reader, await on.settle())
        with trio.fail_after(20):
            while (shown := reader.follower.statistics())["seen_block"] is None:
                await trio.sleep(TICK_S)
        seen, safe, final = (shown[f"{level}_block"] for level in ("seen", "safe", "finalized"))
        assert isinstance(seen, int)
        assert isinstance(safe, int)
        assert isinstance(final, int)
        assert 0 <= final <= safe <= seen


async def test_a_chain_without_tags_is_judged_by_depth() -> None:
    def script(_number: int, body: bytes) -> tuple[int, bytes]:
        asked = json.loads(body)
        if asked["params"][0] != "latest":
            return 200, b'{"jsonrpc": "2.0", "id": 0, "error": {"code": -32602, "message": "unknown block tag"}}'
        block = {"number": hex(70), "hash": "0x" + "11" * 32, "parentHash": "0x" + "10" * 32, "timestamp": "0x1"}
        return 200, json.dumps({"jsonrpc": "2.0", "id": 0, "result": block}).encode()

    async with run_scripted(script) as server, open_rpc(server.url) as rpc:
        assert await rpc.levels() == Levels(seen=70, safe=58, finalized=6, is_by_depth=True)


async def test_a_range_of_logs_that_is_refused_is_halved() -> None:
    asked_ranges: list[tuple[int, int]] = []

    def script(_number: int, body: bytes) -> tuple[int, bytes]:
        (question,) = json.loads(body)["params"]
        first, last = int(question["fromBlock"], 16), int(question["toBlock"], 16)
        asked_ranges.append((first, last))
        if last - first >= 30:
            return 200, b'{"jsonrpc": "2.0", "id": 0, "error": {"code": -32005, "message": "query returned too many"}}'
        return 200, b'{"jsonrpc": "2.0", "id": 0, "result": []}'

    async with run_scripted(script) as server, open_rpc(server.url) as rpc:
        assert await rpc.logs(1, 100, (Address(bytes(20)),)) == ()
    served = [one for one in asked_ranges if one[1] - one[0] < 30]
    assert served == [(1, 25), (26, 50), (51, 75), (76, 100)]


async def test_a_lone_endpoint_that_is_gone_is_told_at_once_to_whoever_waits_for_a_block() -> None:
    async with run_scripted(lambda _number, _body: (503, b"")) as server, open_endpoints((server.url,)) as chain:
        with trio.fail_after(4), pytest.raises(ChainUnavailable, match="HTTP status 503"):
            await chain.wait_head_above(0)


async def newest_number(endpoints: Endpoints) -> int:
    """The newest block's number, asked for until somebody tells it."""
    with trio.fail_after(5):
        while True:
            try:
                return (await endpoints.head()).number
            except ChainUnavailable:
                await trio.sleep(TICK_S)


async def test_a_chain_that_is_back_is_read_at_once_however_long_its_endpoints_failed(
    anvil: RunningAnvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orrange_p2p.chain.endpoint_health._LAST_RESORT_S", TICK_S)
    async with scene(anvil) as on:
        on.faults[:] = [frozenset({Fault.BROKEN})] * 2
        with trio.fail_after(20):
            while on.of(1)["failed"] < 6:  # by then each of them rests for 15 s
                with pytest.raises(ChainUnavailable):
                    await on.endpoints.head()
                await trio.sleep(TICK_S)
        on.faults[:] = [frozenset()] * 2
        assert await newest_number(on.endpoints) > 0
        assert [on.of(number)["is_resting"] for number in (0, 1)] == [False, True]
