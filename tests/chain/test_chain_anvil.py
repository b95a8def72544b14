"""anvil as a child process: found, started, ended; or a sentence that says what to do."""

import os
import socket
from pathlib import Path

import pytest
import trio
from chain_under_test import FAUCET_WEI
from chain_world import faucet_key

from orrange_p2p.chain.anvil import RunningAnvil, find_anvil, run_anvil
from orrange_p2p.chain.rpc import open_rpc
from orrange_p2p.errors import ChainUnavailable, ConfigError


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_missing_anvil_is_said_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("orrange_p2p.chain.anvil._REPOSITORY_ROOT", tmp_path)
    with pytest.raises(ConfigError, match=r"make setup.*@foundry-rs/anvil-linux-amd64"):
        find_anvil()


@pytest.mark.parametrize("place", ["path", "cwd", "repository"])
def test_anvil_is_found_on_path_then_below_contracts(
    place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rooms = {name: tmp_path / name for name in ("path", "cwd", "repository")}
    for room in rooms.values():
        room.mkdir()
    binary = rooms[place] / "contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
    if place == "path":
        binary = rooms[place] / "anvil"
    binary.parent.mkdir(parents=True, exist_ok=True)
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(rooms["path"]))
    monkeypatch.chdir(rooms["cwd"])
    monkeypatch.setattr("orrange_p2p.chain.anvil._REPOSITORY_ROOT", rooms["repository"])
    assert find_anvil().samefile(binary)


@pytest.mark.usefixtures("anvil")
async def test_it_runs_with_the_given_id_time_and_balances_and_ends() -> None:
    key = faucet_key()
    async with run_anvil(balances_wei={key.address: 12345}, chain_id=4242, genesis_time_s=1_800_000_000) as running:
        assert running.chain_id == 4242
        assert is_alive(running.pid)
        arguments = Path(f"/proc/{running.pid}/cmdline").read_bytes()
        assert b"key" not in arguments
        assert b"mnemonic" not in arguments
        async with open_rpc(running.url, expected_chain_id=4242) as chain:
            assert await chain.balance_wei(key.address) == 12345
            (genesis,) = await chain.blocks(0, 0)
            assert abs(genesis.time_s - 1_800_000_000) <= 2
            with trio.fail_after(10):
                head = await chain.wait_head_above(1)
            assert 1_800_000_000 <= head.time_s <= 1_800_000_010
    assert not is_alive(running.pid)


@pytest.mark.usefixtures("anvil")
async def test_it_ends_when_its_user_fails() -> None:
    running: RunningAnvil | None = None
    with pytest.raises(ZeroDivisionError):
        async with run_anvil(balances_wei={}) as running:
            raise ZeroDivisionError
    assert running is not None
    assert not is_alive(running.pid)


@pytest.mark.usefixtures("anvil")
async def test_it_ends_when_its_user_is_cancelled() -> None:
    running: RunningAnvil | None = None
    with trio.CancelScope() as scope:
        async with run_anvil(balances_wei={faucet_key().address: FAUCET_WEI}) as running:
            scope.cancel()
            await trio.sleep_forever()
    assert running is not None
    assert not is_alive(running.pid)


@pytest.mark.usefixtures("anvil")
async def test_a_used_port_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with trio.fail_after(20), pytest.raises(ConfigError, match=f"expected port {port} to be free"):
            async with run_anvil(balances_wei={}, port=port):
                pass


async def test_a_program_that_ends_at_once_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    impostor = tmp_path / "anvil"
    impostor.write_text("#!/bin/sh\nexit 3\n")
    impostor.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with trio.fail_after(20), pytest.raises(ConfigError, match="anvil ended at once"):
        async with run_anvil(balances_wei={}):
            pass


async def test_a_program_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    impostor = tmp_path / "anvil"
    impostor.write_text("#!/bin/sh\nexec sleep 30\n")
    impostor.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("orrange_p2p.chain.anvil._START_S", 0.3)
    with trio.fail_after(20), pytest.raises(ChainUnavailable, match="did not answer"):
        async with run_anvil(balances_wei={faucet_key().address: 1}):
            pass
