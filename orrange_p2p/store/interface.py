"""What a store keeps and promises, whatever holds it.

A commit is atomic and durable: once it returns, everything in it survives kill -9 and power loss; until then nothing of
it is to be seen. Writing the same record twice is no error, and of two writes under one key the later wins, so a commit
whose answer was lost may be repeated.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

from orrange_p2p.core.facts import BlockFacts
from orrange_p2p.core.types import Address, EntryHash, Epoch, MarketId, TicketDigest

TradePath = Literal["equal", "reconciled", "fallback", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRecord:
    """A feed entry, own or received, with what this node decided about it.

    Kept under (market, session, seq, entry_hash): both sides of a fork have their place.
    """

    market: MarketId
    session: Address
    seq: int
    entry_hash: EntryHash
    encoded: bytes
    effective_epoch: Epoch
    is_own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CutRecord:
    """Where a session's feed begins that was cut: the seq and hash of its first entry, and the bodies that it lists.

    One a market and session, the last one written. Writing it drops the session's entries below `seq`.
    """

    market: MarketId
    session: Address
    seq: int
    entry_hash: EntryHash
    effective_epoch: Epoch
    ticket_nonce: int
    bodies: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeRecord:
    """A completed ticket with everything needed to settle it; `signed_trade` is opaque here.

    `path` says how the two views came to agree (`unknown` after a restart in between); `completed_ms` is unix
    milliseconds on this node's clock.
    """

    ticket: TicketDigest
    market: MarketId
    path: TradePath
    signed_trade: bytes
    completed_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A small named value, such as the last closed epoch; names are at most 128 bytes, values 64 KiB."""

    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreBatch:
    """Records that become durable together or not at all.

    Blocks are written in the order given. A block whose number is already stored under another hash is a reorg: it
    replaces that block and drops every later one.
    """

    entries: tuple[EntryRecord, ...] = ()
    cuts: tuple[CutRecord, ...] = ()
    blocks: tuple[BlockFacts, ...] = ()
    trades: tuple[TradeRecord, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCounts:
    """How many records of each kind are on disk."""

    entries: int
    blocks: int
    trades: int
    marks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatistics:
    """What a store has done since it was opened, and how full it is.

    `transactions` below `commits` shows group commit at work; `waiting` is the length of its queue now.
    """

    commits: int
    transactions: int
    records: int
    waiting: int
    used_bytes: int
    map_bytes: int


class Store(Protocol):
    """One node's records. Every method may be called from any thread.

    Iterators read in short steps and see what is committed while they run; entries are only ever added, or dropped
    below a cut, so an iterator misses none that was there when it began and still is.

    Errors, from any method: `StoreError` if the disk fails, a record does not match its checksum or the store is
    closed; `InternalError` if the caller hands over a value that no record can hold (nothing is written).
    """

    @property
    def network_id(self) -> bytes:
        """The identity of the network this store was created for."""

    def commit(self, batch: StoreBatch) -> None:
        """Write everything in `batch` and wait until it is on disk. Blocks; call it from a worker thread."""

    async def commit_async(self, batch: StoreBatch) -> None:
        """Commit from a trio task, sharing one transaction with the commits that other tasks ask for meanwhile.

        Returns once the batch is on disk. At most `group.WAITING_MAX` batches wait; a caller beyond that waits for its
        place. Cancelled before it has its place, it has written nothing; after that it finishes first, and the
        cancellation is delivered at the caller's next checkpoint.
        """

    def entries(self, market: MarketId) -> Iterator[EntryRecord]:
        """The entries of one market, ascending by (session, seq, entry hash)."""

    def entry(self, market: MarketId, session: Address, seq: int, entry_hash: EntryHash) -> EntryRecord | None:
        """One entry, or None if it is not there."""

    def cuts(self, market: MarketId) -> Iterator[CutRecord]:
        """Where feeds of one market were cut, ascending by session."""

    def markets(self) -> Iterator[MarketId]:
        """The markets that have entries, ascending."""

    def blocks(self, from_number: int = 0) -> Iterator[BlockFacts]:
        """The stored blocks with `number >= from_number`, ascending."""

    def last_block(self) -> BlockFacts | None:
        """The stored block with the highest number."""

    def trades(self) -> Iterator[TradeRecord]:
        """All trades, ascending by ticket digest."""

    def mark(self, name: bytes) -> bytes | None:
        """The value of a mark, or None if it was never set."""

    def marks(self, prefix: bytes) -> Iterator[Mark]:
        """The marks whose names begin with `prefix`, ascending by name."""

    def put_secret(self, name: str, value: bytes) -> None:
        """Keep a private key under `name`; on disk when this returns.

        A secret is written once: the same value again is no error, another one is a `StoreError`.
        """

    def secret(self, name: str) -> bytes | None:
        """The private key kept under `name`, or None."""

    def counts(self) -> StoreCounts:
        """How many records are stored."""

    def statistics(self) -> StoreStatistics:
        """Counters since the store was opened."""

    def close(self) -> None:
        """Let go of the files. A second call does nothing; no commit may be under way."""

    def __enter__(self) -> Self:
        """The store itself; leaving the block closes it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
