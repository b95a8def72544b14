"""Records as bytes: one table, key and value each, every value sealed with a checksum of its own.

Bodies are deterministic CBOR arrays, decoded strictly: build the value, encode it again, compare. The checksum covers
table, key and body, so that a record that lies under the wrong key is found out too.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import cast, get_args

import cbor2

from orrange_p2p.core.facts import BlockFacts
from orrange_p2p.core.types import U64_MAX, Address, EntryHash, Epoch, MarketId, TicketDigest
from orrange_p2p.errors import InternalError
from orrange_p2p.store import blocks as block_records
from orrange_p2p.store.damage import DamagedRecord
from orrange_p2p.store.interface import CutRecord, EntryRecord, Mark, StoreBatch, TradePath, TradeRecord

CHECKSUM_BYTES = 8
RECORD_MAX_BYTES = 1 << 20
MARK_MAX_BYTES = 1 << 16
SECRET_MAX_BYTES = 1 << 12
NAME_MAX_BYTES = 128
SEQ_BYTES = 8
ADDRESS_BYTES = 20
DIGEST_BYTES = 32
ENTRY_KEY_BYTES = DIGEST_BYTES + ADDRESS_BYTES + SEQ_BYTES + DIGEST_BYTES
_SEQ_AT = DIGEST_BYTES + ADDRESS_BYTES
_HASH_AT = _SEQ_AT + SEQ_BYTES
TRADE_PATHS: tuple[str, ...] = get_args(TradePath)


class Table(StrEnum):
    """The tables of a store; each name is at most 16 bytes, for the checksum."""

    META = "meta"
    ENTRIES = "entries"
    CUTS = "cuts"
    BLOCKS = "blocks"
    TRADES = "trades"
    MARKS = "marks"
    SECRETS = "secrets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One record ready to be written; `sealed` is checksum and body, and stays out of messages."""

    table: Table
    key: bytes
    sealed: bytes = field(repr=False)


def make_row(table: Table, key: bytes, body: bytes) -> Row:
    """Seal `body` for its place; an `InternalError` if it is beyond `RECORD_MAX_BYTES`."""
    if len(body) > RECORD_MAX_BYTES:
        raise InternalError(f"expected a record in table {table} of at most {RECORD_MAX_BYTES} bytes, was {len(body)}")
    return Row(table=table, key=key, sealed=_checksum(table, key, body) + body)


def unseal(table: Table, key: bytes, sealed: bytes) -> bytes:
    """The body of a sealed record; a `DamagedRecord` if its checksum does not match."""
    body = sealed[CHECKSUM_BYTES:]
    if sealed[:CHECKSUM_BYTES] != _checksum(table, key, body):
        raise DamagedRecord(f"a record in table {table} does not match its checksum")
    return body


def encode_batch(batch: StoreBatch) -> list[Row]:
    """The rows of a batch, in the order in which they are to be written."""
    rows = [_entry_row(entry) for entry in batch.entries]
    rows += [_cut_row(cut) for cut in batch.cuts]
    rows += [
        make_row(Table.BLOCKS, block_key(block.number), block_records.encode_block(block)) for block in batch.blocks
    ]
    rows += [_trade_row(trade) for trade in batch.trades]
    rows += [_mark_row(mark) for mark in batch.marks]
    return rows


def block_key(number: int) -> bytes:
    """The key of a block; keys sort as numbers do."""
    return _u64("block number", number).to_bytes(SEQ_BYTES, "big")


def entry_key(market: MarketId, session: Address, seq: int, entry_hash: EntryHash) -> bytes:
    """Entries sort by market, session, seq and hash."""
    return (
        _sized("market", market, DIGEST_BYTES)
        + _sized("session", session, ADDRESS_BYTES)
        + _u64("seq", seq).to_bytes(SEQ_BYTES, "big")
        + _sized("entry_hash", entry_hash, DIGEST_BYTES)
    )


def secret_row(name: str, value: bytes) -> Row:
    """The row of a private key."""
    if not value or len(value) > SECRET_MAX_BYTES:
        raise InternalError(f"expected a secret of 1 to {SECRET_MAX_BYTES} bytes, was {len(value)} bytes")
    return make_row(Table.SECRETS, name_key(name.encode()), value)


def name_key(name: bytes) -> bytes:
    """The key of a mark or secret."""
    if not 1 <= len(name) <= NAME_MAX_BYTES:
        raise InternalError(f"expected a name of 1 to {NAME_MAX_BYTES} bytes, was {len(name)} bytes")
    return name


def decode_block(key: bytes, body: bytes) -> BlockFacts:
    """Read a block back; a `DamagedRecord` if it is not exactly what `encode_batch` writes."""
    return block_records.decode_block(int.from_bytes(key, "big"), body)


def decode_entry(key: bytes, body: bytes) -> EntryRecord:
    """Read an entry back; a `DamagedRecord` if it is not exactly what `encode_batch` writes."""
    match _load("entry", body):
        case [int() as effective_epoch, bool() as is_own, bytes() as encoded] if len(key) == ENTRY_KEY_BYTES:
            record = EntryRecord(
                market=MarketId(key[:DIGEST_BYTES]),
                session=Address(key[DIGEST_BYTES:_SEQ_AT]),
                seq=int.from_bytes(key[_SEQ_AT:_HASH_AT], "big"),
                entry_hash=EntryHash(key[_HASH_AT:]),
                encoded=encoded,
                effective_epoch=Epoch(effective_epoch),
                is_own=is_own,
            )
            if _entry_body(record) == body:
                return record
    raise DamagedRecord("an entry record has an unknown form")


def decode_cut(key: bytes, body: bytes) -> CutRecord:
    """Read a cut back; a `DamagedRecord` if it is not exactly what `encode_batch` writes."""
    match _load("cut", body):
        case [int() as seq, bytes() as entry_hash, int() as effective_epoch, int() as ticket_nonce, [*bodies]] if len(
            key
        ) == _SEQ_AT and all(isinstance(one, bytes) for one in bodies):
            record = CutRecord(
                market=MarketId(key[:DIGEST_BYTES]),
                session=Address(key[DIGEST_BYTES:]),
                seq=seq,
                entry_hash=EntryHash(entry_hash),
                effective_epoch=Epoch(effective_epoch),
                ticket_nonce=ticket_nonce,
                bodies=tuple(one for one in bodies if isinstance(one, bytes)),
            )
            if _cut_body(record) == body:
                return record
    raise DamagedRecord("a cut record has an unknown form")


def entries_below(key: bytes, body: bytes) -> tuple[bytes, bytes]:
    """The half-open range of entry keys that a cut drops."""
    return key, key + decode_cut(key, body).seq.to_bytes(SEQ_BYTES, "big")


def decode_trade(key: bytes, body: bytes) -> TradeRecord:
    """Read a trade back; a `DamagedRecord` if it is not exactly what `encode_batch` writes."""
    match _load("trade", body):
        case [bytes() as market, int() as path, int() as completed_ms, bytes() as signed_trade] if (
            0 <= path < len(TRADE_PATHS)
        ):
            record = TradeRecord(
                ticket=TicketDigest(key),
                market=MarketId(market),
                path=cast(TradePath, TRADE_PATHS[path]),
                signed_trade=signed_trade,
                completed_ms=completed_ms,
            )
            if _trade_body(record) == body:
                return record
    raise DamagedRecord("a trade record has an unknown form")


def _entry_row(entry: EntryRecord) -> Row:
    key = entry_key(entry.market, entry.session, entry.seq, entry.entry_hash)
    _u64("effective_epoch", entry.effective_epoch)
    return make_row(Table.ENTRIES, key, _entry_body(entry))


def _cut_row(cut: CutRecord) -> Row:
    key = _sized("market", cut.market, DIGEST_BYTES) + _sized("session", cut.session, ADDRESS_BYTES)
    for name, value in (("seq", cut.seq), ("effective_epoch", cut.effective_epoch), ("ticket_nonce", cut.ticket_nonce)):
        _u64(name, value)
    _sized("entry_hash", cut.entry_hash, DIGEST_BYTES)
    return make_row(Table.CUTS, key, _cut_body(cut))


def _cut_body(cut: CutRecord) -> bytes:
    numbers = [cut.seq, bytes(cut.entry_hash), int(cut.effective_epoch), cut.ticket_nonce]
    return cbor2.dumps([*numbers, [bytes(body) for body in cut.bodies]])


def _entry_body(entry: EntryRecord) -> bytes:
    return cbor2.dumps([int(entry.effective_epoch), entry.is_own, bytes(entry.encoded)])


def _trade_row(trade: TradeRecord) -> Row:
    if trade.path not in TRADE_PATHS:
        raise InternalError(f"expected a trade path of {', '.join(TRADE_PATHS)}, was {trade.path!r}")
    _sized("market", trade.market, DIGEST_BYTES)
    _u64("completed_ms", trade.completed_ms)
    return make_row(Table.TRADES, _sized("ticket", trade.ticket, DIGEST_BYTES), _trade_body(trade))


def _trade_body(trade: TradeRecord) -> bytes:
    return cbor2.dumps(
        [bytes(trade.market), TRADE_PATHS.index(trade.path), int(trade.completed_ms), bytes(trade.signed_trade)]
    )


def _mark_row(mark: Mark) -> Row:
    if len(mark.value) > MARK_MAX_BYTES:
        raise InternalError(f"expected a mark of at most {MARK_MAX_BYTES} bytes, was {len(mark.value)}")
    return make_row(Table.MARKS, name_key(mark.name), bytes(mark.value))


def _checksum(table: Table, key: bytes, body: bytes) -> bytes:
    state = blake2b(bytes((len(key),)), digest_size=CHECKSUM_BYTES, person=table.encode())
    state.update(key)
    state.update(body)
    return state.digest()


def _load(what: str, body: bytes) -> object:
    try:
        return cast(object, cbor2.loads(body))
    except cbor2.CBORDecodeError as error:
        raise DamagedRecord(f"a {what} record is not CBOR") from error


def _sized(name: str, value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise InternalError(f"expected {name} of {size} bytes, was {len(value)} bytes")
    return bytes(value)


def _u64(name: str, value: int) -> int:
    if not 0 <= value <= U64_MAX:
        raise InternalError(f"expected {name} in 0..2^64-1, was {value}")
    return value
