"""A devnet's processes: started with nothing of ours in their way, ended for certain."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from orrange_p2p.errors import ConfigError
from orrange_p2p.launch.devnet import DevnetPlan, open_devnet
from orrange_p2p.launch.devnet_process import PeerProcess, node_command, open_warden, shown_command

STUBBORN = ["sh", "-c", "trap '' TERM INT; echo set; while true; do sleep 0.1; done"]
WATCHED = """
import subprocess, sys, trio
from orrange_p2p.launch.devnet_process import open_warden

async def main():
    async with open_warden() as warden:
        for command in (["sleep", "60"], ["sh", "-c", "trap '' TERM; while true; do sleep 0.1; done"]):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            await warden.watch(process.pid)
            print(process.pid, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def is_alive(pid: int) -> bool:
    """Whether there is such a process, zombies not counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def watched() -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process with a warden over two others, one of which ignores SIGTERM."""
    with subprocess.Popen([sys.executable, "-c", WATCHED], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        yield parent, pids
        for pid in (*filter(is_alive, pids), parent.pid):
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


def test_a_warden_ends_what_its_killed_parent_left_behind(watched: tuple[subprocess.Popen[str], list[int]]) -> None:
    parent, pids = watched
    assert all(map(is_alive, pids))
    parent.kill()
    parent.wait()
    give_up = time.monotonic() + 10
    while any(map(is_alive, pids)):
        assert time.monotonic() < give_up, f"still there: {[pid for pid in pids if is_alive(pid)]}"
        time.sleep(0.02)


async def test_a_warden_whose_block_ends_leaves_nothing_and_does_not_mind_the_dead() -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    living = subprocess.Popen(["sleep", "60"])
    with trio.fail_after(10):
        async with open_warden() as warden:
            await warden.watch(dead.pid)
            await warden.watch(living.pid)
        assert living.wait(1) == -signal.SIGTERM


async def test_a_peer_that_will_not_end_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("orrange_p2p.launch.devnet_process.STOP_S", 0.3)
    process = await trio.lowlevel.open_process(STUBBORN, stdout=subprocess.PIPE)
    peer = PeerProcess(process, tmp_path / "log")
    assert process.stdout is not None
    assert await process.stdout.receive_some() == b"set\n"  # its trap
    with trio.fail_after(5):
        await peer.stop()
    assert peer.exit_code == -signal.SIGKILL
    await peer.stop()


async def test_a_peer_that_cannot_start_leaves_its_reason_and_its_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORRANGE_LISTEN_PORT", "1")
    missing = tmp_path / "a b" / "node.toml"
    peer = await PeerProcess.start(missing, tmp_path / "log")
    environment = Path(f"/proc/{peer.pid}/environ").read_bytes()
    with trio.fail_after(20):
        assert await peer.wait() == 1
    assert b"ORRANGE_" not in environment
    assert str(missing) in peer.last_words()
    assert shlex.split(shown_command(missing)) == list(node_command(missing))


class Deaf:
    """A listener that hears nothing."""

    def on_stage(self, *_: object) -> None: ...
    def on_progress(self, *_: object) -> None: ...
    def on_peers(self, *_: object) -> None: ...
    def on_peer_gone(self, *_: object) -> None: ...
    def on_peer_back(self, *_: object) -> None: ...


async def test_without_anvil_a_devnet_says_how_to_get_it_and_touches_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("orrange_p2p.chain.anvil._REPOSITORY_ROOT", tmp_path)
    plan = DevnetPlan(peers=2, events=(), speed=1, directory=tmp_path / "net")
    with pytest.raises(ConfigError, match="anvil on PATH"):
        async with open_devnet(plan, Deaf()):
            pass
    assert not (tmp_path / "net").exists()
