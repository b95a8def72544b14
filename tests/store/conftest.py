"""One suite, two stores: the same tests run over the disk and over the memory."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from store_samples import NETWORK

from orrange_p2p.store.interface import Store
from orrange_p2p.store.lmdb_store import LmdbStore
from orrange_p2p.testing.store import MemoryDisk

Opener = Callable[..., Store]


@pytest.fixture(params=["lmdb", "memory"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the test's one store: `open_store()`, or with other arguments of `LmdbStore.open`."""
    opener: Opener = LmdbStore.open if request.param == "lmdb" else MemoryDisk().open
    return partial(opener, tmp_path / "node", create=True, network_id=NETWORK)


@pytest.fixture
def store(open_store: Opener) -> Iterator[Store]:
    """An empty store."""
    with open_store() as opened:
        yield opened
