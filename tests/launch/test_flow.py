"""Order flow from CSV: what a file must look like, what is made of it, and what the packaged one holds."""

import gzip
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from orrange_p2p.core.types import U64_MAX, Side
from orrange_p2p.errors import ConfigError
from orrange_p2p.launch.flow import COLUMNS, SYNTHETIC_FLOW, Cancel, FlowEvent, FlowReader, Submit

ROOT = Path(__file__).resolve().parents[2]
SHARED_FLOW = ROOT.parent / "shared" / "data" / "bitstamp_btcusd_2015-05-01.csv.gz"
HEADER = ",".join(COLUMNS)
GOOD = "0,submit,1,buy,23647,200000000"
TICK_CENTS, LOT_SATOSHI = 1, 100_000


def _write(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "flow.csv"
    path.write_text("".join(f"{row}\n" for row in (header, *rows)), encoding="utf-8")
    return path


def _read(path: Path, *, limit: int | None = None) -> list[FlowEvent]:
    return list(FlowReader(path, tick_cents=TICK_CENTS, lot_satoshi=LOT_SATOSHI, limit=limit))


def _refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        _read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path)).strip()


NUMBER = f"a whole number from 0 to {U64_MAX}"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("soon,submit,1,buy,1,1", f"line 3, column time_ms: expected {NUMBER}, was 'soon'"),
        ("-1,submit,1,buy,1,1", f"line 3, column time_ms: expected {NUMBER}, was '-1'"),
        ("1.5,submit,1,buy,1,1", f"line 3, column time_ms: expected {NUMBER}, was '1.5'"),
        (" 1,submit,1,buy,1,1", f"line 3, column time_ms: expected {NUMBER}, was ' 1'"),
        ("1,amend,1,buy,1,1", "line 3, column action: expected submit or cancel, was 'amend'"),
        ("1,Submit,1,buy,1,1", "line 3, column action: expected submit or cancel, was 'Submit'"),
        ("1,submit,,buy,1,1", f"line 3, column order_id: expected {NUMBER}, was ''"),
        ("1,submit,1_0,buy,1,1", f"line 3, column order_id: expected {NUMBER}, was '1_0'"),
        (f"1,submit,{U64_MAX + 1},buy,1,1", f"line 3, column order_id: expected {NUMBER}, was '{U64_MAX + 1}'"),
        ("1,submit,1,bid,1,1", "line 3, column side: expected buy or sell, was 'bid'"),
        ("1,submit,1,buy,1e3,1", f"line 3, column price_cents: expected {NUMBER}, was '1e3'"),
        ("1,submit,1,buy,1,nan", f"line 3, column quantity_satoshi: expected {NUMBER}, was 'nan'"),
        ("1,cancel,1,buy,1,", f"line 3, column quantity_satoshi: expected {NUMBER}, was ''"),
        ("1,submit,1,buy,1,٣", f"line 3, column quantity_satoshi: expected {NUMBER}, was '٣'"),
        ("1,submit,1,buy,1", "line 3: expected 6 columns, was 5"),
        ("1,submit,1,buy,1,1,1", "line 3: expected 6 columns, was 7"),
        ("", "line 3: expected 6 columns, was 0"),
        ('1,submit,1,"buy,1,1', "line 3: expected a CSV row, was unexpected end of data"),
        ("1,submit,1,b\0uy,1,1", r"line 3, column side: expected buy or sell, was 'b\x00uy'"),
    ],
)
def test_a_malformed_row_is_named_by_line_column_expected_and_given(tmp_path: Path, row: str, said: str) -> None:
    assert _refusal(_write(tmp_path, GOOD, row)) == said


def test_a_huge_value_is_cut_in_the_message(tmp_path: Path) -> None:
    said = _refusal(_write(tmp_path, GOOD, f"1,submit,{'9' * 5000},buy,1,1"))
    assert len(said) < 200


def test_time_never_falls(tmp_path: Path) -> None:
    said = _refusal(_write(tmp_path, "7,submit,1,buy,1,1", "6,submit,2,buy,1,1"))
    assert said == "line 3, column time_ms: expected at least 7, the time of the row before, was '6'"


@pytest.mark.parametrize("header", ["", "time,action", HEADER.upper(), f"{HEADER},note", GOOD])
def test_another_header_is_refused(tmp_path: Path, header: str) -> None:
    assert _refusal(_write(tmp_path, GOOD, header=header)).startswith(f"line 1: expected the header {HEADER}, was '")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "flow.csv"
    path.touch()
    assert _refusal(path) == f"line 1: expected the header {HEADER}, was nothing"


def test_a_header_alone_is_refused(tmp_path: Path) -> None:
    assert _refusal(_write(tmp_path)) == ": expected at least one row below the header, was none"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert _refusal(tmp_path / "none.csv") == ": expected an order flow CSV, was nothing there"


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert _refusal(tmp_path).startswith(": expected a readable order flow CSV, was ")


@pytest.mark.parametrize("cut", [0, 5, 20, -4])
def test_a_gzipped_file_that_is_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "flow.csv.gz"
    path.write_bytes(gzip.compress(f"{HEADER}\n{GOOD}\n".encode())[:cut])
    assert re.match(r": expected a readable|line 1: expected the header", _refusal(path))


def test_plain_text_named_gz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "flow.csv.gz"
    path.write_text(f"{HEADER}\n{GOOD}\n", encoding="utf-8")
    assert _refusal(path).startswith(": expected a readable order flow CSV, was Not a gzipped file")


def test_gzipped_bytes_named_csv_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "flow.csv"
    path.write_bytes(gzip.compress(f"{HEADER}\n{GOOD}\n".encode()))
    assert _refusal(path) == ": expected CSV text, was other bytes; gzipped files end in .gz"


@pytest.mark.parametrize(("name", "value"), [("tick_cents", 0), ("lot_satoshi", -1), ("limit", 0)])
def test_a_size_below_one_is_refused(name: str, value: int) -> None:
    sizes: dict[str, int | None] = {"tick_cents": 1, "lot_satoshi": 1, "limit": None, name: value}
    with pytest.raises(ConfigError, match=f"expected {name} of at least 1, was {value}"):
        FlowReader(SYNTHETIC_FLOW, **sizes)


def test_rows_become_events_rounded_down_to_ticks_and_lots(tmp_path: Path) -> None:
    path = _write(tmp_path, "0,submit,8,buy,23647,250000", "5,submit,9,sell,23699,199999", "5,cancel,8,buy,23647,50000")
    reader = FlowReader(path, tick_cents=50, lot_satoshi=100_000)
    assert list(reader) == [
        Submit(time_ms=0, order_id=8, side=Side.BUY, price_ticks=472, quantity_lots=2),
        Submit(time_ms=5, order_id=9, side=Side.SELL, price_ticks=473, quantity_lots=1),
        Cancel(time_ms=5, order_id=8),
    ]
    assert (reader.rows, reader.skipped) == (3, 0)


@pytest.mark.parametrize("row", ["0,submit,1,buy,49,100000", "0,submit,1,sell,50,99999", "0,submit,1,buy,0,0"])
def test_a_submit_that_rounds_to_nothing_is_skipped_and_counted(tmp_path: Path, row: str) -> None:
    reader = FlowReader(_write(tmp_path, row, "1,cancel,1,buy,0,0"), tick_cents=50, lot_satoshi=100_000)
    assert list(reader) == [Cancel(time_ms=1, order_id=1)]
    assert (reader.rows, reader.skipped) == (2, 1)


def test_cancels_of_unknown_orders_are_kept(tmp_path: Path) -> None:
    assert _read(_write(tmp_path, "3,cancel,77,sell,1,0")) == [Cancel(time_ms=3, order_id=77)]


def test_the_limit_counts_rows_and_stops_before_what_it_does_not_read(tmp_path: Path) -> None:
    path = _write(tmp_path, "0,submit,1,buy,1,1", "1,submit,2,buy,1,100000", "broken")
    reader = FlowReader(path, tick_cents=1, lot_satoshi=100_000, limit=2)
    assert [event.order_id for event in reader] == [2]
    assert (reader.rows, reader.skipped) == (2, 1)


def test_reading_again_starts_again(tmp_path: Path) -> None:
    reader = FlowReader(_write(tmp_path, GOOD, "1,submit,2,buy,1,1"), tick_cents=1, lot_satoshi=100_000)
    assert list(reader) == list(reader)
    assert (reader.rows, reader.skipped) == (2, 1)


def test_a_byte_order_mark_as_spreadsheets_write_it_is_read_over(tmp_path: Path) -> None:
    path = tmp_path / "flow.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{','.join(COLUMNS)}\n0,cancel,1,buy,1,1\n".encode())
    assert len(list(FlowReader(path, tick_cents=1, lot_satoshi=1))) == 1


def test_gzipped_and_windows_line_ends_read_the_same(tmp_path: Path) -> None:
    plain = _write(tmp_path, GOOD, "9,cancel,1,buy,23647,0")
    packed = tmp_path / "flow.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes().replace(b"\n", b"\r\n")))
    assert _read(packed) == _read(plain)


def _fills_in_order_of_arrival(events: list[FlowEvent]) -> int:
    """Fills of a plain book, with the flow's own cancels."""
    live: dict[int, Submit] = {}
    left: Counter[int] = Counter()
    fills = 0
    for event in events:
        if isinstance(event, Cancel):
            live.pop(event.order_id, None)
            continue
        sign = 1 if event.side is Side.BUY else -1
        left[event.order_id] = event.quantity_lots
        others = [other for other in live.values() if other.side is not event.side]
        for other in sorted(others, key=lambda other: (sign * other.price_ticks, other.order_id)):
            if not left[event.order_id] or sign * (event.price_ticks - other.price_ticks) < 0:
                break
            size = min(left[event.order_id], left[other.order_id])
            left[event.order_id] -= size
            left[other.order_id] -= size
            fills += 1
            if not left[other.order_id]:
                del live[other.order_id]
        if left[event.order_id]:
            live[event.order_id] = event
    return fills


def test_the_packaged_flow_is_three_minutes_with_fills_cancels_and_some_to_skip() -> None:
    reader = FlowReader(SYNTHETIC_FLOW, tick_cents=TICK_CENTS, lot_satoshi=LOT_SATOSHI)
    events = list(reader)
    assert reader.rows == 400
    assert 1 <= reader.skipped <= 10
    assert 170_000 <= events[-1].time_ms <= 190_000
    submitted = [event.order_id for event in events if isinstance(event, Submit)]
    assert len(set(submitted)) == len(submitted) >= 200
    assert 25 <= _fills_in_order_of_arrival(events) <= 50


def test_the_packaged_flow_is_what_its_script_writes() -> None:
    command = [sys.executable, str(ROOT / "tests" / "vectors" / "emit_flow.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not SHARED_FLOW.exists(), reason="the recorded flow is not part of the project")
def test_the_recorded_flow_reads_to_its_end() -> None:
    first = _read(SHARED_FLOW, limit=2000)
    assert sum(isinstance(event, Submit) for event in first) == 1035
    reader = FlowReader(SHARED_FLOW, tick_cents=1, lot_satoshi=1)
    assert (sum(1 for _ in reader), reader.rows, reader.skipped) == (49232, 49232, 0)
