"""Whatever was acknowledged survives SIGKILL, at any moment."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from committing_child import make_batch
from store_samples import MARKET, NETWORK

from orrange_p2p.store.lmdb_store import LmdbStore

CHILD = Path(__file__).parent / "committing_child.py"
KILLS = 20
ACKNOWLEDGED_MAX = 60


def _run_until_killed(store_path: Path, first: int, lines: int) -> set[int]:
    """Commit from `first` on, kill the process once `lines` commits are acknowledged, and return all that were."""
    command = [sys.executable, str(CHILD), str(store_path), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        acknowledged = {int(child.stdout.readline()) for _ in range(lines)}
        child.kill()
        rest = child.stdout.read().split("\n")
    # A number without its newline was cut by the kill. It was acknowledged, but which one it was cannot be told.
    return acknowledged | {int(line) for line in rest[:-1]}


def _check(store: LmdbStore, acknowledged: set[int]) -> int:
    """Every acknowledged commit is there, every commit is whole; returns the next free number."""
    entries = list(store.entries(MARKET))
    stored = [entry.seq for entry in entries]
    assert acknowledged <= set(stored)
    batches = [make_batch(number) for number in stored]
    assert entries == [batch.entries[0] for batch in batches]
    assert list(store.blocks()) == [batch.blocks[0] for batch in batches]
    assert list(store.trades()) == [batch.trades[0] for batch in batches]
    for rest in range(3):
        last = max((number for number in stored if number % 3 == rest), default=None)
        expected = None if last is None else last.to_bytes(8, "big")
        assert store.mark(b"last %d" % rest) == expected
    return max(stored, default=-1) + 1


def test_everything_acknowledged_survives_twenty_kills(tmp_path: Path) -> None:
    chance = random.Random(20)
    store_path = tmp_path / "node"
    acknowledged: set[int] = set()
    first = 0
    for _ in range(KILLS):
        acknowledged |= _run_until_killed(store_path, first, chance.randint(1, ACKNOWLEDGED_MAX))
        with LmdbStore.open(store_path, create=False, network_id=NETWORK) as store:
            first = _check(store, acknowledged)
    assert len(acknowledged) >= KILLS


@pytest.mark.parametrize("stage", ["", "store.lock", "creating", "creating/data.mdb", "data.mdb"])
def test_a_kill_while_the_store_is_created_leaves_none_or_a_whole_one(tmp_path: Path, stage: str) -> None:
    store_path = tmp_path / "node"
    with subprocess.Popen([sys.executable, str(CHILD), str(store_path), "0"], stdout=subprocess.DEVNULL) as child:
        while not (store_path / stage).exists() and not (store_path / "data.mdb").exists():
            assert child.poll() is None
        child.kill()
    with LmdbStore.open(store_path, create=True, network_id=NETWORK) as store:
        _check(store, set())
        assert store.network_id == NETWORK
