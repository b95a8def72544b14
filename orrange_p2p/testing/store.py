"""A store in memory that passes the same tests as the one on disk."""

import threading
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import PurePath

from orrange_p2p.errors import InternalError, OrrangeError, StoreError
from orrange_p2p.store.records import Row, Table
from orrange_p2p.store.tables import RecordStore, apply_rows, identity_rows, missing_store


class MemoryDisk:
    """Where memory stores live on while they are closed: one set of tables a path."""

    def __init__(self) -> None:
        self._tables: dict[str, _MemoryTables] = {}
        self._opened: set[str] = set()

    def open(self, path: str | PurePath, *, create: bool, network_id: bytes | None = None) -> "MemoryStore":
        """As `LmdbStore.open`, with the same errors where memory can have them."""
        where = str(path)
        if where in self._opened:
            raise StoreError(
                f"the store at {where} is in use by this process: stop it first, or name another directory"
            )
        if where not in self._tables:
            if not create:
                raise missing_store(where)
            if network_id is None:
                raise InternalError("a new store needs the id of its network")
            tables = _MemoryTables()
            apply_rows(tables, identity_rows(network_id))
            self._tables[where] = tables
        store = MemoryStore(self, where, self._tables[where], network_id)
        self._opened.add(where)
        return store

    def release(self, where: str) -> None:
        """Let the next opener have the store at `where`."""
        self._opened.discard(where)


class MemoryStore(RecordStore):
    """A `Store` on a `MemoryDisk`; open it there."""

    def __init__(self, disk: MemoryDisk, where: str, tables: "_MemoryTables", network_id: bytes | None) -> None:
        super().__init__(where)
        self._disk = disk
        self._tables = tables
        self._lock = threading.Lock()
        self._is_closed = False
        self._load_identity(network_id)

    def close(self) -> None:
        """Let go of the disk's tables. A second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._disk.release(self._where)

    def _write_rows(self, rows: Sequence[Row]) -> None:
        with self._lock:
            tables = self._open_tables()
            tables.begin()
            try:
                apply_rows(tables, rows)
            except OrrangeError:
                tables.undo()
                raise

    def _read_page(self, table: Table, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        with self._lock:
            return self._open_tables().page(table, start, limit)

    def _read_last(self, table: Table) -> tuple[bytes, bytes] | None:
        with self._lock:
            return self._open_tables().last(table)

    def _read_one(self, table: Table, key: bytes) -> bytes | None:
        with self._lock:
            return self._open_tables().get(table, key)

    def _count(self, table: Table) -> int:
        with self._lock:
            return self._open_tables().count(table)

    def _measure(self) -> tuple[int, int]:
        used_bytes = self._open_tables().used_bytes()
        return used_bytes, used_bytes

    def _open_tables(self) -> "_MemoryTables":
        if self._is_closed:
            raise StoreError(f"the store at {self._where} is closed: open it again")
        return self._tables


class _MemoryTables:
    """`Tables` over dictionaries, with a journal to undo a transaction that failed."""

    def __init__(self) -> None:
        self._rows: dict[Table, dict[bytes, bytes]] = {table: {} for table in Table}
        self._keys: dict[Table, list[bytes] | None] = {table: [] for table in Table}  # sorted; None once stale
        self._journal: list[tuple[Table, bytes, bytes | None]] = []

    def begin(self) -> None:
        self._journal.clear()

    def undo(self) -> None:
        for table, key, old in reversed(self._journal):
            self._keys[table] = None
            if old is None:
                del self._rows[table][key]
            else:
                self._rows[table][key] = old

    def get(self, table: Table, key: bytes) -> bytes | None:
        return self._rows[table].get(key)

    def put(self, table: Table, key: bytes, sealed: bytes) -> None:
        old = self._rows[table].get(key)
        self._journal.append((table, key, old))
        if old is None:
            self._keys[table] = None
        self._rows[table][key] = sealed

    def drop_after(self, table: Table, key: bytes) -> None:
        keys = self._sorted(table)
        for later in keys[bisect_left(keys, key + b"\x00") :]:
            self._journal.append((table, later, self._rows[table].pop(later)))
        self._keys[table] = None

    def drop_range(self, table: Table, low: bytes, high: bytes) -> None:
        keys = self._sorted(table)
        for key in keys[bisect_left(keys, low) : bisect_left(keys, high)]:
            self._journal.append((table, key, self._rows[table].pop(key)))
        self._keys[table] = None

    def page(self, table: Table, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        keys = self._sorted(table)
        first = bisect_left(keys, start)
        return [(key, self._rows[table][key]) for key in keys[first : first + limit]]

    def last(self, table: Table) -> tuple[bytes, bytes] | None:
        keys = self._sorted(table)
        return (keys[-1], self._rows[table][keys[-1]]) if keys else None

    def count(self, table: Table) -> int:
        return len(self._rows[table])

    def used_bytes(self) -> int:
        return sum(len(key) + len(sealed) for rows in self._rows.values() for key, sealed in rows.items())

    def _sorted(self, table: Table) -> list[bytes]:
        keys = self._keys[table]
        if keys is None:
            keys = self._keys[table] = sorted(self._rows[table])
        return keys
