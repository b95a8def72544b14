"""Runs the command line as a program, and keeps a small network of real nodes and a real chain below it."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio

ROOT = Path(__file__).resolve().parents[2]
START_S = 40
STOP_S = 15
HEAVY = ("trio", "libp2p", "web3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """The one JSON line on stdout, and nothing else there."""
        assert self.out.endswith("\n"), (self.out, self.err)
        assert self.out.count("\n") == 1, (self.out, self.err)
        decoded: dict[str, Any] = json.loads(self.out)
        return decoded

    def sentence(self) -> str:
        """The one sentence on stderr that an expected failure is told in."""
        assert self.code == 1, (self.code, self.out, self.err)
        assert self.err.startswith("error: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("error: ").strip()


def clean_environment(**more: str) -> dict[str, str]:
    """This process's variables without settings of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ORRANGE_")}
    return {**kept, "COLUMNS": "100", **more}


def command(*arguments: object) -> list[str]:
    """How the command line is started here."""
    return [sys.executable, "-m", "orrange_p2p", *(str(argument) for argument in arguments)]


def orrange(*arguments: object, timeout_s: int = 60, env: dict[str, str] | None = None) -> Done:
    """Run a command to its end."""
    ran = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env=env or clean_environment(),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )
    return Done(code=ran.returncode, out=ran.stdout, err=ran.stderr)


def poll(ask: Callable[[], Any], *, limit_s: int = 40) -> Any:
    """Ask again and again until the answer is true; it is the result."""
    end_s = time.monotonic() + limit_s
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < end_s, f"no answer within {limit_s} s"
        time.sleep(0.3)


@dataclass(slots=True, kw_only=True)
class RunningNode:
    """`orrange node run` as a child process."""

    process: subprocess.Popen[bytes]
    started: dict[str, Any]
    errors: Path

    def stop(self, number: int) -> int:
        """Send a signal and wait; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_S)


@dataclass(slots=True, kw_only=True)
class Net:
    """Two funded owners on one anvil, each with a node directory; nodes run when asked to."""

    directory: Path
    rpc_url: str
    running: dict[int, RunningNode] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def peer(self, number: int) -> Path:
        """A peer's data directory."""
        return self.directory / f"peer-{number}"

    def config(self, number: int) -> Path:
        """A peer's configuration."""
        return self.peer(number) / "node.toml"

    def start(self, number: int) -> RunningNode:
        """Run a peer's node; returns once it says that it runs."""
        said, errors = self.directory / f"peer-{number}.out", self.directory / f"peer-{number}.err"
        with said.open("w") as out, errors.open("a") as log:
            process = subprocess.Popen(
                command("node", "run", "--config", self.config(number), "--json"),
                stdout=out,
                stderr=log,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
            )
        self.processes.append(process)
        poll(lambda: said.read_text().endswith("\n") or process.poll() is not None)
        assert process.poll() is None, errors.read_text()
        node = self.running[number] = RunningNode(process=process, started=json.loads(said.read_text()), errors=errors)
        return node

    def stop_all(self) -> None:
        """End what still runs."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()

    def ask(self, number: int, *arguments: object) -> dict[str, Any]:
        """A command to a peer's node that must succeed, as JSON."""
        done = orrange(*arguments, "--data-dir", self.peer(number), "--json")
        assert done.code == 0, done
        return done.json()


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
    from orrange_p2p.launch.serve import wall_clock_ms

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
