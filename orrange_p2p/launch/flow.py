"""Reads order flow from CSV, plain or gzipped: who would have submitted and cancelled what, when.

The columns are those of COLUMNS, in that order, under a header. Prices and quantities are rounded down to ticks and
lots, which costs a buyer priority, a seller price and both size, and nobody money: it only decides what the replayed
order says. A submit that rounds to nothing is skipped and counted.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from orrange_p2p.core.types import U64_MAX, Side
from orrange_p2p.errors import ConfigError

COLUMNS = ("time_ms", "action", "order_id", "side", "price_cents", "quantity_satoshi")
SYNTHETIC_FLOW = Path(__file__).with_name("flows") / "synthetic.csv"
_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_MAX_DIGITS = len(str(U64_MAX))


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """A limit order enters at `time_ms` after the first event."""

    time_ms: int
    order_id: int
    side: Side
    price_ticks: int
    quantity_lots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """An order is withdrawn; it may be one that was never submitted, was skipped, or has filled: ignore those."""

    time_ms: int
    order_id: int


FlowEvent = Submit | Cancel


class FlowReader:
    """The events of one file, in its order; iterating again starts again.

    `rows` and `skipped` count what the latest iteration has read and what of that rounded to nothing.
    """

    def __init__(self, path: Path, *, tick_cents: int, lot_satoshi: int, limit: int | None = None) -> None:
        """Prepare to read; the file is opened when the iteration starts.

        Args:
            path: the CSV file; one whose name ends in .gz is gzipped.
            tick_cents: cents that one tick is, at least 1.
            lot_satoshi: satoshi that one lot is, at least 1.
            limit: rows to read at most, skipped ones included; None reads all.

        Raises:
            ConfigError: a size or the limit is below 1.
        """
        for name, value in (("tick_cents", tick_cents), ("lot_satoshi", lot_satoshi), ("limit", limit)):
            if value is not None and value < 1:
                raise ConfigError(f"order flow: expected {name} of at least 1, was {value}")
        self._path = path
        self._tick_cents = tick_cents
        self._lot_satoshi = lot_satoshi
        self._limit = limit
        self.rows = 0
        self.skipped = 0

    def __iter__(self) -> Iterator[FlowEvent]:
        """Yield the events.

        Raises:
            ConfigError: the file cannot be read, or its header or a row is not what was expected.
        """
        self.rows = 0
        self.skipped = 0
        try:
            with _open_text(self._path) as text:
                yield from self._events(csv.reader(text, strict=True))
        except FileNotFoundError:
            raise ConfigError(f"{self._path}: expected an order flow CSV, was nothing there") from None
        except (OSError, EOFError, zlib.error) as error:
            raise ConfigError(f"{self._path}: expected a readable order flow CSV, was {error}") from error
        except UnicodeDecodeError:
            raise ConfigError(f"{self._path}: expected CSV text, was other bytes; gzipped files end in .gz") from None

    def _events(self, reader: Iterator[list[str]]) -> Iterator[FlowEvent]:
        header = self._next_row(reader, 1)
        if header is None or tuple(header) != COLUMNS:
            was = "nothing" if header is None else _shown(",".join(header))
            raise ConfigError(f"{self._path} line 1: expected the header {','.join(COLUMNS)}, was {was}")
        last_ms = 0
        while self._limit is None or self.rows < self._limit:
            line = self.rows + 2
            row = self._next_row(reader, line)
            if row is None:
                break
            self.rows += 1
            fields = _Row(row, f"{self._path} line {line}")
            time_ms = fields.number("time_ms")
            if time_ms < last_ms:
                raise fields.error("time_ms", f"at least {last_ms}, the time of the row before")
            last_ms = time_ms
            event = self._event(fields, time_ms)
            if event is not None:
                yield event
        if self.rows == 0:
            raise ConfigError(f"{self._path}: expected at least one row below the header, was none")

    def _next_row(self, reader: Iterator[list[str]], line: int) -> list[str] | None:
        try:
            return next(reader, None)
        except csv.Error as error:
            raise ConfigError(f"{self._path} line {line}: expected a CSV row, was {error}") from None

    def _event(self, fields: "_Row", time_ms: int) -> FlowEvent | None:
        """The event of a row, every column checked; None if it rounds to nothing."""
        order_id = fields.number("order_id")
        side = fields.side()
        price_ticks = fields.number("price_cents") // self._tick_cents
        quantity_lots = fields.number("quantity_satoshi") // self._lot_satoshi
        if fields.is_cancel():
            return Cancel(time_ms=time_ms, order_id=order_id)
        if price_ticks == 0 or quantity_lots == 0:
            self.skipped += 1
            return None
        return Submit(
            time_ms=time_ms, order_id=order_id, side=side, price_ticks=price_ticks, quantity_lots=quantity_lots
        )


class _Row:
    """One row's columns, each read with its check."""

    def __init__(self, row: list[str], where: str) -> None:
        if len(row) != len(COLUMNS):
            raise ConfigError(f"{where}: expected {len(COLUMNS)} columns, was {len(row)}")
        self._values = dict(zip(COLUMNS, row, strict=True))
        self._where = where

    def error(self, column: str, expected: str) -> ConfigError:
        return ConfigError(f"{self._where}, column {column}: expected {expected}, was {_shown(self._values[column])}")

    def number(self, column: str) -> int:
        text = self._values[column]
        is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
        if not is_number or int(text) > U64_MAX:
            raise self.error(column, f"a whole number from 0 to {U64_MAX}")
        return int(text)

    def side(self) -> Side:
        side = _SIDES.get(self._values["side"])
        if side is None:
            raise self.error("side", "buy or sell")
        return side

    def is_cancel(self) -> bool:
        action = self._values["action"]
        if action not in ("submit", "cancel"):
            raise self.error("action", "submit or cancel")
        return action == "cancel"


def _open_text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _shown(text: str) -> str:
    """A value as an error message shows it: quoted and not too long."""
    return repr(text if len(text) <= 80 else text[:80] + "...")
