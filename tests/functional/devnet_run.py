"""Drives `orrange devnet` from outside, as a person does: reads what it prints, kills peers, runs printed commands."""

import json
import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from orrange_p2p.api.client import call_node
from orrange_p2p.errors import ConfigError

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"(\d+) +(\d+) +(/\S+) +(\S.*)")
STOP_LIMIT_S = 15


@dataclass(slots=True, kw_only=True)
class PeerUnderTest:
    """A peer as the devnet's table gives it; `process` once the test itself has restarted it."""

    number: int
    pid: int
    directory: Path
    restart: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.directory / "node.sock"

    def ask(self, method: str, **params: object) -> Any:
        return call_node(self.socket, method, params)

    def state(self) -> str:
        """For a person who wonders what it waits for."""
        try:
            status = self.ask("status")
        except ConfigError as error:
            return str(error)
        return f"{status['why_not_signing']} {status['pending']} {status['counters']}"

    def kill(self) -> None:
        """SIGKILL, whoever started it; returns when it is dead."""
        os.kill(self.pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
        else:
            wait_for(lambda: not is_alive(self.pid), limit_s=5, what=f"peer {self.number} to be dead")

    def run_again(self) -> None:
        """Exactly the printed command."""
        with (self.directory / "restarted.log").open("ab") as log:
            self.process = subprocess.Popen(
                shlex.split(self.restart), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.pid = self.process.pid

    def wait_ready(self, limit_s: float) -> None:
        """Wait until it would sign."""

        def is_ready() -> bool:
            assert self.process is None or self.process.poll() is None, (self.directory / "restarted.log").read_text()
            try:
                return self.ask("status")["why_not_signing"] is None
            except ConfigError:
                return False

        wait_for(is_ready, limit_s=limit_s, what=f"peer {self.number} to be ready")


class DevnetRun:
    """A devnet process with all it prints. Use as a context manager: nothing it started outlives the block."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "orrange_p2p", "devnet", "--json", *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self._news: queue.Queue[str] = queue.Queue()
        self._reports: queue.Queue[str] = queue.Queue()
        self.peers: list[PeerUnderTest] = []
        self._readers = [
            threading.Thread(target=self._read_errors, args=(self.process.stderr,), daemon=True),
            threading.Thread(target=self._read_reports, args=(self.process.stdout,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> "DevnetRun":
        return self

    def __exit__(self, *_: object) -> None:
        for peer in self.peers:
            if peer.process is not None and peer.process.poll() is None:
                peer.process.kill()
                peer.process.wait()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for reader in self._readers:
            reader.join()
        wait_for(lambda: self.survivors() == [], limit_s=STOP_LIMIT_S, what="all processes of the devnet to be gone")

    def _read_errors(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self.said.append(line.rstrip("\n"))
                row = _ROW.fullmatch(line.rstrip("\n"))
                if row is not None:
                    number, pid, place, restart = row.groups()
                    self.peers.append(
                        PeerUnderTest(number=int(number), pid=int(pid), directory=Path(place), restart=restart)
                    )
                self._news.put(line)

    def _read_reports(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._reports.put(line)

    def wait_said(self, part: str, limit_s: float) -> str:
        """The first line with `part` that has not been waited for yet."""
        give_up = time.monotonic() + limit_s
        while True:
            try:
                line = self._news.get(timeout=max(0.0, give_up - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"expected {part!r} within {limit_s} s, was\n" + "\n".join(self.said)) from None
            if part in line:
                return line

    def wait_report(self, limit_s: float) -> dict[str, Any]:
        """The JSON line."""
        try:
            report: dict[str, Any] = json.loads(self._reports.get(timeout=limit_s))
        except queue.Empty:
            states = [f"peer {peer.number}: {peer.state()}" for peer in self.peers]
            seen = "\n".join([*self.said, *states])
            raise AssertionError(f"expected a report within {limit_s} s, was\n{seen}") from None
        return report

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_LIMIT_S)

    def survivors(self) -> list[int]:
        """Processes that name this run's directory, besides those that the test started."""
        mine = {peer.process.pid for peer in self.peers if peer.process is not None}
        directories = {str(peer.directory) for peer in self.peers}
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) not in mine and is_alive(int(entry.name)):
                try:
                    command = (entry / "cmdline").read_bytes().decode(errors="replace")
                except OSError:
                    continue
                if any(directory in command for directory in directories):
                    found.append(int(entry.name))
        return found


def is_alive(pid: int) -> bool:
    """Whether there is such a process, zombies not counted."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"


def wait_for(condition: Any, *, limit_s: float, what: str) -> None:
    """Ask again and again, up to `limit_s`."""
    give_up = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < give_up, f"waited {limit_s} s for {what}"
        time.sleep(0.05)
