"""A store's directory: its files, who may read them, how they are made whole, and whether they still are.

`data.mdb` is LMDB's file, `lock.mdb` LMDB's reader table, `store.lock` ours. LMDB trusts its file: a torn page would
end the process instead of raising, so an existing file is walked page by page without LMDB before it is mapped.
"""

import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from orrange_p2p.errors import InternalError, StoreError
from orrange_p2p.store.damage import damaged
from orrange_p2p.store.lock import FILE_MODE
from orrange_p2p.store.records import Table
from orrange_p2p.store.tables import apply_rows, identity_rows

if TYPE_CHECKING:
    import lmdb

DATA_NAME = "data.mdb"
STAGING_NAME = "creating"
DIRECTORY_MODE = 0o700
MAP_FIRST_BYTES = 16 << 20
FULL_PERCENT = 80
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class DiskTables:
    """`Tables` inside one LMDB write transaction."""

    def __init__(self, transaction: "lmdb.Transaction[bytes]", databases: Mapping[Table, "lmdb._Database"]) -> None:
        self._transaction = transaction
        self._databases = databases

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The sealed record under `key`."""
        return self._transaction.get(key, db=self._databases[table])

    def put(self, table: Table, key: bytes, sealed: bytes) -> None:
        """Write a sealed record."""
        self._transaction.put(key, sealed, db=self._databases[table])

    def drop_range(self, table: Table, low: bytes, high: bytes) -> None:
        """Delete every record with `low <= key < high`."""
        cursor = self._transaction.cursor(self._databases[table])
        is_found = cursor.set_range(low)
        while is_found and cursor.key() < high:
            is_found = cursor.delete()

    def drop_after(self, table: Table, key: bytes) -> None:
        """Delete every record whose key is greater than `key`."""
        cursor = self._transaction.cursor(self._databases[table])
        is_found = cursor.set_range(key + b"\x00")
        while is_found:
            is_found = cursor.delete()


def prepare_directory(directory: Path) -> None:
    """Make the directory if it is missing, and keep everyone but its owner out."""
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    if directory.stat().st_mode & _OTHERS:
        directory.chmod(DIRECTORY_MODE)


def hide_file(file: Path) -> None:
    """Let nobody but its owner read `file`."""
    if file.stat().st_mode & _OTHERS:
        file.chmod(FILE_MODE)


def create_store(directory: Path, network_id: bytes | None) -> None:
    """Write an empty store beside its place and rename it there, so that a `data.mdb` is always a whole one."""
    if network_id is None:
        raise InternalError("a new store needs the id of its network")
    staging = directory / STAGING_NAME
    if staging.exists():
        shutil.rmtree(staging)
    staging.mkdir(mode=DIRECTORY_MODE)
    with closing(open_environment(staging, create=True)) as environment:
        databases = {table: environment.open_db(table.encode()) for table in Table}
        with environment.begin(write=True) as transaction:
            apply_rows(DiskTables(transaction, databases), identity_rows(network_id))
    (staging / DATA_NAME).rename(directory / DATA_NAME)
    shutil.rmtree(staging)
    for made in (directory, directory.parent):
        descriptor = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_pages(directory: Path) -> None:
    """Walk the file without LMDB; a `StoreError` if LMDB could not trust it."""
    from lmdb.verify import VerifyError, verify

    try:
        faults = verify(str(directory / DATA_NAME), subdir=False)  # type: ignore[no-untyped-call]  # lmdb has no types here
    except VerifyError as error:
        raise damaged(str(directory), str(error)) from error
    if faults:
        raise damaged(str(directory), f"{len(faults)} faults, the first: {faults[0]}")


def open_environment(directory: Path, *, create: bool) -> "lmdb.Environment":
    """Open LMDB with every commit synced, and a map in which the file fills at most 80 %."""
    import lmdb

    data = directory / DATA_NAME
    map_bytes = MAP_FIRST_BYTES
    while data.exists() and data.stat().st_size * 100 > map_bytes * FULL_PERCENT:
        map_bytes *= 2
    try:
        return lmdb.open(
            str(directory),
            map_size=map_bytes,
            max_dbs=len(Table),
            mode=FILE_MODE,
            create=create,
            sync=True,
            metasync=True,
            writemap=False,
        )
    except lmdb.Error as error:
        raise StoreError(
            f"the store at {directory} cannot be opened ({error}): check its owner and free space"
        ) from error
