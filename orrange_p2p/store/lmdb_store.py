"""The store on disk: one LMDB environment in a directory of its own.

Every commit is fsynced, data and meta page. At open the file's pages are walked (see `files`), then every record's
checksum is read once, so that damage shows before the node acts on what is left.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from orrange_p2p.errors import StoreError
from orrange_p2p.store.damage import damaged
from orrange_p2p.store.files import (
    DATA_NAME,
    FULL_PERCENT,
    DiskTables,
    check_pages,
    create_store,
    hide_file,
    open_environment,
    prepare_directory,
)
from orrange_p2p.store.lock import StoreLock
from orrange_p2p.store.records import Row, Table
from orrange_p2p.store.tables import RecordStore, apply_rows, missing_store

if TYPE_CHECKING:
    import lmdb

MAP_MAX_BYTES = 1 << 40
ROW_OVERHEAD_BYTES = 256  # what a row may cost beyond its bytes: key, node and its share of half-empty pages
READER_CHECK_S = 60


class LmdbStore(RecordStore):
    """A `Store` in LMDB. Open it with `LmdbStore.open`."""

    def __init__(
        self, directory: Path, lock: StoreLock, environment: "lmdb.Environment", clock: Callable[[], float]
    ) -> None:
        super().__init__(str(directory))
        self._lock = lock
        self._environment: lmdb.Environment | None = environment
        self._databases: Mapping[Table, lmdb._Database] = {}
        self._clock = clock
        self._checked_s = clock()
        self._write_lock = threading.Lock()  # one writer at a time
        self._map_lock = threading.Lock()  # no reader may be inside while the map moves
        self._failure: str | None = None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        create: bool,
        network_id: bytes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Open the store in directory `path`, and check all of it.

        Args:
            path: The store's directory; other files in it are left alone.
            create: Make the directory and an empty store if there is none. Otherwise that is an error.
            network_id: 32 bytes that stand for chain and settlement contract; None takes whatever the store says,
                and is only for looking at an existing store.
            clock: Seconds that never fall, for the reader check each minute.

        Raises:
            StoreError: No store, somebody else's, in use, of another network or format, or damaged. Nothing was
                changed in any of these cases.
        """
        directory = Path(path).absolute()
        try:
            if not create and not (directory / DATA_NAME).exists():
                raise missing_store(str(directory))
            with ExitStack() as undo:
                prepare_directory(directory)
                lock = StoreLock.acquire(directory)
                undo.callback(lock.release)
                if (directory / DATA_NAME).exists():
                    check_pages(directory)
                else:
                    create_store(directory, network_id)
                hide_file(directory / DATA_NAME)
                store = cls(directory, lock, open_environment(directory, create=False), clock)
                undo.callback(store.close)
                store._load_databases()
                store._load_identity(network_id)
                store._check_records()
                undo.pop_all()
                return store
        except OSError as error:
            raise StoreError(
                f"the store directory {directory} cannot be used ({error.strerror}): "
                "check its path, owner and free space"
            ) from error

    def close(self) -> None:
        """Let go of the files and of the lock. A second call does nothing; no commit may be under way."""
        with self._write_lock, self._map_lock:
            if self._environment is not None:
                self._environment.close()
                self._environment = None
                self._lock.release()

    def _opened(self) -> "lmdb.Environment":
        if self._environment is None:
            raise StoreError(self._failure or f"the store at {self._where} is closed: open it again")
        return self._environment

    def _load_databases(self) -> None:
        import lmdb  # only where a store is opened

        environment = self._opened()
        environment.reader_check()
        try:
            self._databases = {table: environment.open_db(table.encode(), create=False) for table in Table}
        except lmdb.NotFoundError as error:
            raise StoreError(
                f"{Path(self._where) / DATA_NAME} is not an orrange store (a table is missing): name another directory"
            ) from error

    def _check_records(self) -> None:
        """Read every record once; the first that does not match its checksum is a `StoreError`."""
        with self._reading() as transaction:
            for table in Table:
                for key, sealed in transaction.cursor(self._databases[table]):
                    self._unseal(table, key, sealed)

    def _write_rows(self, rows: Sequence[Row]) -> None:
        import lmdb

        with self._write_lock:
            environment = self._opened()
            if self._failure is not None:
                raise StoreError(self._failure)
            self._keep_house(environment, sum(len(row.key) + len(row.sealed) + ROW_OVERHEAD_BYTES for row in rows))
            while True:
                try:
                    with environment.begin(write=True) as transaction:
                        apply_rows(DiskTables(transaction, self._databases), rows)
                    return
                except lmdb.MapFullError:
                    self._grow(environment, environment.info()["map_size"] * 2)
                except lmdb.Error as error:
                    self._failure = (
                        f"the store at {self._where} could not be written ({error}): the disk is full or failing, so "
                        "make room or replace it and start again; everything acknowledged before is kept"
                    )
                    raise StoreError(self._failure) from error

    def _keep_house(self, environment: "lmdb.Environment", coming_bytes: int) -> None:
        """Double the map until `coming_bytes` more leave it at most 80 % full, and check readers each minute."""
        used_bytes, map_bytes = self._measure()
        wanted_bytes = map_bytes
        while (used_bytes + coming_bytes) * 100 > wanted_bytes * FULL_PERCENT:
            wanted_bytes *= 2
        if wanted_bytes != map_bytes:
            self._grow(environment, wanted_bytes)
        if self._clock() - self._checked_s >= READER_CHECK_S:
            environment.reader_check()
            self._checked_s = self._clock()

    def _grow(self, environment: "lmdb.Environment", map_bytes: int) -> None:
        import lmdb

        if map_bytes > MAP_MAX_BYTES:
            raise StoreError(
                f"the store at {self._where} would need a map of {map_bytes} bytes, more than the {MAP_MAX_BYTES} it "
                "may have: move it away and begin with an empty store"
            )
        with self._map_lock:
            try:
                environment.set_mapsize(map_bytes)
            except lmdb.Error as error:  # lmdb has let go of the old map, so there is nothing left to read through
                self._environment = None
                self._lock.release()
                self._failure = (
                    f"the store at {self._where} could not get a map of {map_bytes} bytes ({error}) and is closed: "
                    "raise the limit on address space and start again; everything acknowledged before is kept"
                )
                raise StoreError(self._failure) from error

    @contextmanager
    def _reading(self) -> Iterator["lmdb.Transaction[bytes]"]:
        import lmdb

        with self._map_lock:
            environment = self._opened()
            try:
                with environment.begin() as transaction:
                    yield transaction
            except lmdb.Error as error:
                raise damaged(self._where, str(error)) from error

    def _read_page(self, table: Table, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        with self._reading() as transaction:
            cursor = transaction.cursor(self._databases[table])
            page: list[tuple[bytes, bytes]] = []
            is_found = cursor.set_range(start)
            while is_found and len(page) < limit:
                page.append(cursor.item())
                is_found = cursor.next()
            return page

    def _read_last(self, table: Table) -> tuple[bytes, bytes] | None:
        with self._reading() as transaction:
            cursor = transaction.cursor(self._databases[table])
            return cursor.item() if cursor.last() else None

    def _read_one(self, table: Table, key: bytes) -> bytes | None:
        with self._reading() as transaction:
            return transaction.get(key, db=self._databases[table])

    def _count(self, table: Table) -> int:
        with self._reading() as transaction:
            return transaction.stat(self._databases[table])["entries"]

    def _measure(self) -> tuple[int, int]:
        environment = self._opened()
        info = environment.info()
        return (info["last_pgno"] + 1) * environment.stat()["psize"], info["map_size"]
