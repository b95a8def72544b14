"""Starts anvil, the JSON-RPC development chain, as a child process, and ends it on the way out."""

import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from orrange_p2p.chain.backend import DEVELOPMENT_CHAIN_ID
from orrange_p2p.chain.rpc import JsonRpcChain
from orrange_p2p.core.types import Address
from orrange_p2p.errors import ChainUnavailable, ConfigError

_BINARY_IN_CONTRACTS = Path("contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil")
_REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
_START_S = 20
_STOP_S = 5
_POLL_S = 0.05
_PORT_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningAnvil:
    """A child process that answers JSON-RPC at `url`, on loopback."""

    url: str
    pid: int
    chain_id: int


def find_anvil() -> Path:
    """The anvil binary: on PATH, else as npm installs it below the current directory or below this repository.

    Raises:
        ConfigError: it is nowhere.
    """
    on_path = shutil.which("anvil")
    if on_path is not None:
        return Path(on_path)
    for root in (Path.cwd(), _REPOSITORY_ROOT):
        binary = root / _BINARY_IN_CONTRACTS
        if os.access(binary, os.X_OK):
            return binary
    raise ConfigError(
        f"expected the program anvil on PATH or at {_BINARY_IN_CONTRACTS}, was in neither; run `make setup`, "
        "or install the npm package @foundry-rs/anvil-linux-amd64 or Foundry"
    )


@asynccontextmanager
async def run_anvil(
    *,
    balances_wei: Mapping[Address, int],
    chain_id: int = DEVELOPMENT_CHAIN_ID,
    block_time_s: int = 1,
    genesis_time_s: int | None = None,
    port: int | None = None,
) -> AsyncIterator[RunningAnvil]:
    """Run anvil on loopback until the block ends; it mines every `block_time_s` seconds, empty blocks too.

    Args:
        balances_wei: native coin given to these accounts before this returns.
        chain_id: the chain's id.
        block_time_s: whole seconds between blocks.
        genesis_time_s: the chain's clock starts here, and then runs as the wall clock does; now if None.
        port: where it listens; a free one if None.

    Raises:
        ConfigError: anvil is not there, or `port` is in use, or it ends at once.
        ChainUnavailable: it does not answer in time.
    """
    binary = find_anvil()
    attempts = _PORT_ATTEMPTS if port is None else 1
    for attempt in range(1, attempts + 1):
        chosen = _free_port() if port is None else _checked_port(port)
        command = [str(binary), "--host", "127.0.0.1", "--port", str(chosen), "--chain-id", str(chain_id)]
        command += ["--block-time", str(block_time_s), "--silent", "--accounts", "1"]
        if genesis_time_s is not None:
            command += ["--timestamp", str(genesis_time_s)]
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            url = f"http://127.0.0.1:{chosen}"
            if not await _wait_answer(process, url, chain_id, balances_wei):
                if attempt < attempts:
                    continue
                raise ConfigError(f"anvil ended at once with code {process.returncode}; try `{' '.join(command)}`")
            yield RunningAnvil(url=url, pid=process.pid, chain_id=chain_id)
            return
        finally:
            await _end(process)


async def _wait_answer(process: trio.Process, url: str, chain_id: int, balances_wei: Mapping[Address, int]) -> bool:
    """Wait until anvil answers, then fund the accounts; False if it ended instead, or another program answers."""
    chain = JsonRpcChain(url)
    try:
        with trio.move_on_after(_START_S):
            while process.poll() is None:
                try:
                    if await chain.chain_id() != chain_id:
                        return False
                    for address, balance_wei in balances_wei.items():
                        await chain.set_development_balance(address, balance_wei)
                except ChainUnavailable:
                    await trio.sleep(_POLL_S)
                else:
                    return process.poll() is None
            return False
    finally:
        await chain.aclose()
    raise ChainUnavailable(f"anvil was started and did not answer at {url} within {_START_S} s; try again")


async def _end(process: trio.Process) -> None:
    """Ask it to end, insist if it does not; never leaves it behind."""
    with trio.CancelScope(shield=True):
        if process.poll() is None:
            process.terminate()
        with trio.move_on_after(_STOP_S):
            await process.wait()
        if process.poll() is None:
            process.kill()
            await process.wait()


def _checked_port(port: int) -> int:
    with socket.socket() as probe:
        # As servers do: a port that only lingers after its last owner is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(f"expected port {port} to be free, was in use; choose another port") from error
    return port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
