"""The store over seven tables of sealed rows: everything but where the rows lie.

A holder of rows gives the primitives (`_write_rows`, `_read_page`, `_read_last`, `_read_one`, `_count`); what they
mean is here, once, so that disk and memory cannot differ.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from orrange_p2p.core.facts import BlockFacts
from orrange_p2p.core.types import Address, EntryHash, MarketId
from orrange_p2p.errors import InternalError, StoreError
from orrange_p2p.store.damage import DamagedRecord, damaged
from orrange_p2p.store.interface import (
    CutRecord,
    EntryRecord,
    Mark,
    StoreBatch,
    StoreCounts,
    StoreStatistics,
    TradeRecord,
)
from orrange_p2p.store.records import (
    DIGEST_BYTES,
    ENTRY_KEY_BYTES,
    Row,
    Table,
    block_key,
    decode_block,
    decode_cut,
    decode_entry,
    decode_trade,
    encode_batch,
    entries_below,
    entry_key,
    make_row,
    name_key,
    secret_row,
    unseal,
)

if TYPE_CHECKING:
    from orrange_p2p.store.group import GroupCommit

_Record = TypeVar("_Record")

FORMAT = b"orrange store 3"
FORMAT_KEY = b"format"
NETWORK_KEY = b"network"
NETWORK_ID_BYTES = 32
PAGE_ROWS = 256


class Tables(Protocol):
    """The rows inside one write transaction."""

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The sealed record under `key`."""

    def put(self, table: Table, key: bytes, sealed: bytes) -> None:
        """Write a sealed record, over an older one if there is one."""

    def drop_after(self, table: Table, key: bytes) -> None:
        """Delete every record whose key is greater than `key`."""

    def drop_range(self, table: Table, low: bytes, high: bytes) -> None:
        """Delete every record with `low <= key < high`."""


def identity_rows(network_id: bytes) -> list[Row]:
    """What a new store is created with: the format and the network it belongs to."""
    if len(network_id) != NETWORK_ID_BYTES:
        raise InternalError(f"expected a network id of {NETWORK_ID_BYTES} bytes, was {len(network_id)} bytes")
    return [make_row(Table.META, FORMAT_KEY, FORMAT), make_row(Table.META, NETWORK_KEY, bytes(network_id))]


def missing_store(where: str) -> StoreError:
    """The error for a directory without a store."""
    return StoreError(f"there is no store at {where}: check the path, or start the node once to create it")


def apply_rows(tables: Tables, rows: Sequence[Row]) -> None:
    """Write rows inside a transaction, with the rules that look at what is there: reorgs, secrets once, and cuts."""
    for row in rows:
        old = tables.get(row.table, row.key) if row.table in (Table.BLOCKS, Table.SECRETS) else None
        if old is not None and old != row.sealed:
            if row.table is Table.SECRETS:
                raise StoreError(f"expected a new name for a secret, was {row.key.decode()!r}, which keeps another one")
            if _block(row.key, old).hash != _block(row.key, row.sealed).hash:
                tables.drop_after(row.table, row.key)
        tables.put(row.table, row.key, row.sealed)
        if row.table is Table.CUTS:
            tables.drop_range(Table.ENTRIES, *entries_below(row.key, unseal(row.table, row.key, row.sealed)))


def _block(key: bytes, sealed: bytes) -> BlockFacts:
    return decode_block(key, unseal(Table.BLOCKS, key, sealed))


class RecordStore(ABC):
    """A `Store` over rows; `where` names it in messages."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._group: GroupCommit | None = None
        self._commits = 0
        self._transactions = 0
        self._records = 0
        self._network_id = b""

    @abstractmethod
    def _write_rows(self, rows: Sequence[Row]) -> None:
        """Apply `rows` in one transaction, and return when they are on disk."""

    @abstractmethod
    def _read_page(self, table: Table, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` sealed records with `key >= start`, ascending."""

    @abstractmethod
    def _read_last(self, table: Table) -> tuple[bytes, bytes] | None:
        """The sealed record with the greatest key."""

    @abstractmethod
    def _read_one(self, table: Table, key: bytes) -> bytes | None:
        """The sealed record under `key`."""

    @abstractmethod
    def _count(self, table: Table) -> int:
        """The number of records."""

    @abstractmethod
    def _measure(self) -> tuple[int, int]:
        """Bytes in use and bytes mapped."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the files. A second call does nothing; no commit may be under way."""

    def __enter__(self) -> Self:
        """The store itself; leaving the block closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()

    def __repr__(self) -> str:
        """Class and place, never content."""
        return f"{type(self).__name__}({self._where!r})"

    @property
    def network_id(self) -> bytes:
        """The identity of the network this store was created for."""
        return self._network_id

    def commit(self, batch: StoreBatch) -> None:
        """Write everything in `batch` and wait until it is on disk. Blocks; call it from a worker thread."""
        rows = encode_batch(batch)
        self._commits += 1
        self._write(rows)

    async def commit_async(self, batch: StoreBatch) -> None:
        """Commit from a trio task; see `Store.commit_async`."""
        from orrange_p2p.store.group import GroupCommit  # trio only where it is used

        rows = encode_batch(batch)
        if self._group is None:
            self._group = GroupCommit(self._write)
        self._commits += 1
        await self._group.commit(rows)

    def entries(self, market: MarketId) -> Iterator[EntryRecord]:
        """The entries of one market, ascending by (session, seq, entry hash)."""
        for key, body in self._scan(Table.ENTRIES, market):
            if key[:DIGEST_BYTES] != market:
                return
            yield self._decoded(decode_entry, key, body)

    def entry(self, market: MarketId, session: Address, seq: int, entry_hash: EntryHash) -> EntryRecord | None:
        """One entry, or None if it is not there."""
        key = entry_key(market, session, seq, entry_hash)
        body = self._body(Table.ENTRIES, key)
        return None if body is None else self._decoded(decode_entry, key, body)

    def cuts(self, market: MarketId) -> Iterator[CutRecord]:
        """Where feeds of one market were cut, ascending by session."""
        for key, body in self._scan(Table.CUTS, market):
            if key[:DIGEST_BYTES] != market:
                return
            yield self._decoded(decode_cut, key, body)

    def markets(self) -> Iterator[MarketId]:
        """The markets that have entries, ascending."""
        start = b""
        while page := self._read_page(Table.ENTRIES, start, 1):
            market = page[0][0][:DIGEST_BYTES]
            yield MarketId(market)
            start = market + b"\xff" * (ENTRY_KEY_BYTES - DIGEST_BYTES) + b"\x00"

    def blocks(self, from_number: int = 0) -> Iterator[BlockFacts]:
        """The stored blocks with `number >= from_number`, ascending."""
        for key, body in self._scan(Table.BLOCKS, block_key(from_number)):
            yield self._decoded(decode_block, key, body)

    def last_block(self) -> BlockFacts | None:
        """The stored block with the highest number."""
        row = self._read_last(Table.BLOCKS)
        return None if row is None else self._decoded(decode_block, row[0], self._unseal(Table.BLOCKS, *row))

    def trades(self) -> Iterator[TradeRecord]:
        """All trades, ascending by ticket digest."""
        for key, body in self._scan(Table.TRADES, b""):
            yield self._decoded(decode_trade, key, body)

    def mark(self, name: bytes) -> bytes | None:
        """The value of a mark, or None if it was never set."""
        return self._body(Table.MARKS, name_key(name))

    def marks(self, prefix: bytes) -> Iterator[Mark]:
        """The marks whose names begin with `prefix`, ascending by name."""
        for name, value in self._scan(Table.MARKS, name_key(prefix)):
            if not name.startswith(prefix):
                return
            yield Mark(name=name, value=value)

    def put_secret(self, name: str, value: bytes) -> None:
        """Keep a private key under `name`; on disk when this returns. A name keeps one value for ever."""
        self._write([secret_row(name, value)])

    def secret(self, name: str) -> bytes | None:
        """The private key kept under `name`, or None."""
        return self._body(Table.SECRETS, name_key(name.encode()))

    def counts(self) -> StoreCounts:
        """How many records are stored."""
        return StoreCounts(
            entries=self._count(Table.ENTRIES),
            blocks=self._count(Table.BLOCKS),
            trades=self._count(Table.TRADES),
            marks=self._count(Table.MARKS),
        )

    def statistics(self) -> StoreStatistics:
        """Counters since the store was opened."""
        used_bytes, map_bytes = self._measure()
        return StoreStatistics(
            commits=self._commits,
            transactions=self._transactions,
            records=self._records,
            waiting=0 if self._group is None else self._group.waiting,
            used_bytes=used_bytes,
            map_bytes=map_bytes,
        )

    def _write(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        try:
            self._write_rows(rows)
        except DamagedRecord as error:
            raise damaged(self._where, str(error)) from error
        self._transactions += 1
        self._records += len(rows)

    def _load_identity(self, network_id: bytes | None) -> None:
        """Read format and network; the store must be of this format and, if `network_id` is given, of that network."""
        written_as = self._body(Table.META, FORMAT_KEY)
        if written_as != FORMAT:
            raise StoreError(
                f"the store at {self._where} has an unknown format (expected {FORMAT!r}, was {written_as!r}): "
                "open it with the release that wrote it, or name another directory"
            )
        found = self._body(Table.META, NETWORK_KEY)
        if found is None or len(found) != NETWORK_ID_BYTES:
            raise damaged(self._where, "its network record is missing")
        if network_id is not None and found != network_id:
            raise StoreError(
                f"the store at {self._where} belongs to another network (expected {network_id.hex()}, "
                f"was {found.hex()}): use the chain and settlement contract it was made with, or name another directory"
            )
        self._network_id = found

    def _scan(self, table: Table, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        while page := self._read_page(table, start, PAGE_ROWS):
            for key, sealed in page:
                yield key, self._unseal(table, key, sealed)
            start = page[-1][0] + b"\x00"

    def _body(self, table: Table, key: bytes) -> bytes | None:
        sealed = self._read_one(table, key)
        return None if sealed is None else self._unseal(table, key, sealed)

    def _unseal(self, table: Table, key: bytes, sealed: bytes) -> bytes:
        try:
            return unseal(table, key, sealed)
        except DamagedRecord as error:
            raise damaged(self._where, str(error)) from error

    def _decoded(self, decode: Callable[[bytes, bytes], _Record], key: bytes, body: bytes) -> _Record:
        try:
            return decode(key, body)
        except DamagedRecord as error:
            raise damaged(self._where, str(error)) from error
