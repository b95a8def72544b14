"""Runs the command line as a program, and `orrange node run` as a child process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
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


def orrange(*arguments: object, timeout_s: int = 60, env: dict[str, str] | None = None, text: str = "") -> Done:
    """Run a command to its end, with `text` on its standard input."""
    ran = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env=env or clean_environment(),
        cwd=ROOT,
        input=text,
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
