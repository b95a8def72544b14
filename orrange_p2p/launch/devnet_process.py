"""The child processes of a devnet or demo, ended with it, also if it is killed."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import trio

from orrange_p2p.errors import ConfigError, InternalError
from orrange_p2p.launch import devnet_warden

STOP_S = 5
_LOG_TAIL_BYTES = 4096


def orrange_command() -> tuple[str, ...]:
    """How a person here starts `orrange`: by its name if that finds this installation, else so that it does."""
    script = Path(sys.executable).with_name("orrange")
    if not script.exists():
        return (sys.executable, "-m", "orrange_p2p")
    on_path = shutil.which("orrange")
    return ("orrange",) if on_path is not None and script.samefile(on_path) else (str(script),)


def node_command(config_path: Path) -> tuple[str, ...]:
    """The command that runs the node of a configuration file."""
    return (*orrange_command(), "node", "run", "--config", str(config_path))


def shown_command(config_path: Path) -> str:
    """The same for a shell."""
    return shlex.join(node_command(config_path))


class Warden:
    """Knows the processes that must not outlive this one."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._telling = trio.Lock()

    async def watch(self, pid: int) -> None:
        """From now on, end this process if this one goes."""
        if self._process.stdin is not None and self._process.poll() is None:
            try:
                async with self._telling:
                    await self._process.stdin.send_all(b"%d\n" % pid)
            except trio.BrokenResourceError:
                return


@asynccontextmanager
async def open_warden() -> AsyncIterator[Warden]:
    """Start the warden, in a session of its own; at the end of the block it ends what is left and then itself."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-I", str(Path(devnet_warden.__file__))], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield Warden(process)
    finally:
        with trio.CancelScope(shield=True):
            if process.stdin is not None:
                await process.stdin.aclose()
            await process.wait()


class ChildProcess:
    """A program of ours as a child process. `stop` it at the end."""

    def __init__(self, process: trio.Process, log_path: Path) -> None:
        self._process = process
        self._log_path = log_path
        self.is_stopping = False

    @classmethod
    async def spawn(cls, command: Sequence[str], log_path: Path, *, is_read: bool = False) -> Self:
        """Start a command; what it says goes to `log_path`.

        It hears no Ctrl-C of this terminal, and no ORRANGE_ variable overrides its settings.

        Args:
            command: with its arguments.
            log_path: where its stderr goes, and its stdout too.
            is_read: `lines` reads its stdout instead.

        Raises:
            ConfigError: it cannot be started.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ORRANGE_")}
        with log_path.open("ab") as log:
            try:
                process = await trio.lowlevel.open_process(
                    [*command],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if is_read else log,
                    stderr=log,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise ConfigError(f"cannot run `{shlex.join(command)}`: {error.strerror}") from error
        return cls(process, log_path)

    async def lines(self) -> AsyncIterator[bytes]:
        """The lines of its stdout until it ends, without their ends; a last line that is cut off is left out."""
        if self._process.stdout is None:
            raise InternalError("expected a process whose stdout is read, was one that writes it to its log")
        rest = b""
        async for piece in self._process.stdout:
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line

    def kill(self) -> None:
        """End it as a crash would."""
        self.is_stopping = True
        self._process.kill()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """As of `subprocess`: minus the signal's number if a signal ended it; None while it runs."""
        return self._process.poll()

    async def wait(self) -> int:
        """Wait for its end."""
        return await self._process.wait()

    def last_words(self) -> str:
        """The last line of its log."""
        with self._log_path.open("rb") as log:
            log.seek(max(0, self._log_path.stat().st_size - _LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    async def stop(self) -> None:
        """Ask it to end, insist after STOP_S; it is gone when this returns, also if this is cancelled."""
        self.is_stopping = True
        with trio.CancelScope(shield=True):
            if self._process.poll() is None:
                self._process.terminate()
            with trio.move_on_after(STOP_S):
                await self._process.wait()
            if self._process.poll() is None:
                self._process.kill()
                await self._process.wait()


class PeerProcess(ChildProcess):
    """One peer of a devnet."""

    @classmethod
    async def start(cls, config_path: Path, log_path: Path) -> Self:
        """Start the node of a configuration file; what it says goes to `log_path`.

        Raises:
            ConfigError: it cannot be started.
        """
        return await cls.spawn(node_command(config_path), log_path)
