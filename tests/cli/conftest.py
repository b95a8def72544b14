"""A small network for the command line: a real chain, contracts, two funded owners, their nodes."""

import os
import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from cli_program import Net, poll

START_S = 40


def anvil_or_skip() -> None:
    """Skip where anvil is not installed, but never in CI."""
    from orrange_p2p.chain.anvil import find_anvil
    from orrange_p2p.errors import ConfigError

    try:
        find_anvil()
    except ConfigError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


async def _keep_network(directory: Path, ready: "queue.Queue[str | BaseException]", stop: threading.Event) -> None:
    """Run anvil with a founded network on it, and two prepared peers, until told to stop."""
    from orrange_p2p.chain.anvil import run_anvil
    from orrange_p2p.chain.lane import TransactionLane
    from orrange_p2p.chain.rpc import open_rpc
    from orrange_p2p.core.presets import PRESETS
    from orrange_p2p.keys.derive import derive_secret
    from orrange_p2p.keys.session import SessionKey
    from orrange_p2p.launch.devnet_peers import make_member, prepare_peers
    from orrange_p2p.launch.found import GAS_MONEY_WEI, Need, found_network
    from orrange_p2p.launch.process import wall_clock_ms

    faucet = SessionKey.from_bytes(derive_secret("cli tests", "faucet"))
    async with run_anvil(balances_wei={faucet.address: 20 * GAS_MONEY_WEI}) as anvil:
        async with open_rpc(anvil.url, expected_chain_id=anvil.chain_id) as backend:
            need = Need(base=100 * 10**8, quote=100_000 * 10**6)
            members = [make_member("cli tests", number, need) for number in range(2)]
            network = await found_network(
                backend,
                TransactionLane(backend, faucet),
                members,
                preset=PRESETS["dev"],
                genesis_ms=wall_clock_ms(),
                name="cli-tests",
            )
        prepare_peers(directory, "cli tests", network, members, anvil.url)
        ready.put(anvil.url)
        await trio.to_thread.run_sync(stop.wait)


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """A chain with contracts, funded owners and two prepared node directories; no node runs yet."""
    anvil_or_skip()
    directory = tmp_path_factory.mktemp("net")
    ready: queue.Queue[str | BaseException] = queue.Queue()
    stop = threading.Event()

    def run() -> None:
        try:
            trio.run(_keep_network, directory, ready, stop)
        except BaseException as error:
            ready.put(error)
            raise

    thread = threading.Thread(target=run, name="network")
    thread.start()
    try:
        answer = ready.get(timeout=START_S)
        if isinstance(answer, BaseException):
            raise answer
        net = Net(directory=directory, rpc_url=answer)
        try:
            yield net
        finally:
            net.stop_all()
    finally:
        stop.set()
        thread.join(timeout=30)


@pytest.fixture(scope="module")
def net(founded: Net) -> Net:
    """Both nodes run, know each other and sign."""
    for number in range(2):
        founded.start(number)
    poll(lambda: all(founded.ask(number, "node", "status")["why_not_signing"] is None for number in range(2)))
    return founded
