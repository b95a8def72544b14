"""Both chains behind one fixture: every test that takes `chain` runs on the embedded EVM and on anvil over JSON-RPC.

Blocks come quickly here: the embedded chain's clock is moved by hand, anvil is told to mine. Neither waits for seconds.
"""

import os
import queue
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
import trio
from chain_under_test import FAUCET_WEI, GENESIS_S, TICK_S, ChainUnderTest, ManualClock
from chain_world import World, build_world, faucet_key

from orrange_p2p.chain.anvil import RunningAnvil, find_anvil, run_anvil
from orrange_p2p.chain.embedded import EmbeddedChain
from orrange_p2p.chain.rpc import open_rpc
from orrange_p2p.errors import ConfigError


def anvil_or_skip() -> None:
    """Skip where anvil is not installed, but never in CI."""
    try:
        find_anvil()
    except ConfigError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def anvil() -> Iterator[RunningAnvil]:
    """One anvil for the whole run, in a trio loop on a thread of its own."""
    anvil_or_skip()
    started: queue.Queue[RunningAnvil | BaseException] = queue.Queue()
    stop = threading.Event()

    async def serve() -> None:
        async with run_anvil(balances_wei={faucet_key().address: FAUCET_WEI}) as running:
            started.put(running)
            await trio.to_thread.run_sync(stop.wait)

    def run() -> None:
        try:
            trio.run(serve)
        except BaseException as error:
            started.put(error)
            raise

    thread = threading.Thread(target=run, name="anvil")
    thread.start()
    running = started.get(timeout=30)
    if isinstance(running, BaseException):
        raise running
    yield running
    stop.set()
    thread.join(timeout=30)


@pytest.fixture(params=["embedded", "rpc"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the two chains."""
    return str(request.param)


@pytest.fixture
def anvil_url(kind: str, request: pytest.FixtureRequest) -> str:
    """Where anvil answers, or nothing for the embedded chain."""
    return request.getfixturevalue("anvil").url if kind == "rpc" else ""


@pytest.fixture
async def chain(kind: str, anvil_url: str) -> AsyncIterator[ChainUnderTest]:
    """A chain whose faucet account is rich, and which makes blocks by itself."""
    async with trio.open_nursery() as nursery:
        if kind == "embedded":
            clock = ManualClock(GENESIS_S + 1)
            embedded = EmbeddedChain(
                now_ms=clock.now_ms, genesis_time_s=GENESIS_S, balances_wei={faucet_key().address: FAUCET_WEI}
            )
            under_test = ChainUnderTest(backend=embedded, kind=kind, clock=clock)
            nursery.start_soon(under_test.keep_mining)
            yield under_test
        else:
            async with open_rpc(anvil_url, expected_chain_id=31337, poll_interval_s=TICK_S) as rpc:
                under_test = ChainUnderTest(backend=rpc, kind=kind, url=anvil_url)
                nursery.start_soon(under_test.keep_mining)
                yield under_test
        nursery.cancel_scope.cancel()


@pytest.fixture
async def world(chain: ChainUnderTest, request: pytest.FixtureRequest) -> World:
    """Contracts and two funded traders on that chain."""
    return await build_world(chain.backend, label=request.node.nodeid)
