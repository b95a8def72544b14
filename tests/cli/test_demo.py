"""`orrange demo` as a stranger and as a script meet it."""

import contextlib
import fcntl
import gzip
import os
import pty
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_program import ROOT, clean_environment, command, orrange

from orrange_p2p.cli.report import print_report
from orrange_p2p.core.presets import PRESETS
from orrange_p2p.launch.inspect_store import digest_store
from orrange_p2p.launch.report import Latency, Report

HEADER = "time_ms,action,order_id,side,price_cents,quantity_satoshi\n"
GOOD_ROW = "0,submit,1,buy,23562,100000\n"
STOP_LIMIT_S = 3
SHORT = ("demo", "--peers", "3", "--events", "40", "--speed", "16")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "line 1: expected the header"),
        ("a,b\n", "line 1: expected the header"),
        (HEADER, "expected at least one row"),
        (HEADER + GOOD_ROW + "5,submit,2,buy,12.5,100000\n", "line 3, column price_cents"),
        (HEADER + GOOD_ROW + "5,submit,2,hold,12,100000\n", "line 3, column side: expected buy or sell, was 'hold'"),
        (HEADER + GOOD_ROW + "5,submit,2\n", "line 3: expected 6 columns, was 3"),
    ],
)
def test_a_malformed_flow_is_told_by_line_and_column_before_anything_starts(
    tmp_path: Path, text: str, part: str
) -> None:
    path = tmp_path / "flow.csv"
    path.write_text(text)
    done = orrange("demo", "--flow", path, "--keep", tmp_path / "kept", "--json")
    assert part in done.sentence()
    assert done.json()["error"]["code"] == "config"
    assert not (tmp_path / "kept").exists()
    assert path.read_text() == text


def test_a_flow_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = orrange("demo", "--flow", tmp_path / "nothing.csv")
    assert "expected an order flow CSV, was nothing there" in done.sentence()


def test_a_directory_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    done = orrange(*SHORT, "--keep", tmp_path)
    assert "expected an empty directory" in done.sentence()
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_demo_prints_one_json_line_and_its_stores_say_the_same(tmp_path: Path) -> None:
    flow = tmp_path / "flow.csv.gz"
    rows = (ROOT / "orrange_p2p" / "launch" / "flows" / "synthetic.csv").read_bytes()
    flow.write_bytes(gzip.compress(rows))
    done = orrange(*SHORT, "--flow", flow, "--keep", tmp_path / "kept", "--json", timeout_s=150)
    report = done.json()
    assert (done.code, done.err) == (0, "")
    assert report["is_good"] is True
    assert report["orders"] + report["cancels"] == 40
    assert report["tickets"] == report["settled"] > 0
    assert report["summary"].startswith("3 peers agreed on one book: ")
    stores = [orrange("store", "digest", tmp_path / "kept" / f"peer-{number}", "--json").json() for number in range(3)]
    assert [store["tickets"] for store in stores[1:]] == [stores[0]["tickets"]] * 2
    assert len(stores[0]["tickets"]) == report["tickets"]
    assert [store["entries"] for store in stores] == [report["entries"]] * 3
    assert all(report["book_digest"] in _newest_digests(tmp_path / "kept" / f"peer-{n}") for n in range(3))


def test_two_orders_that_cross_trade_even_if_no_other_comes(tmp_path: Path) -> None:
    flow = tmp_path / "flow.csv"
    flow.write_text(HEADER + "0,submit,1,buy,23500,10000000\n10,submit,2,sell,23500,10000000\n")
    report = orrange("demo", "--peers", "2", "--flow", flow, "--json", timeout_s=150).json()
    assert (report["orders"], report["tickets"], report["settled"]) == (2, 1, 1)


def _newest_digests(directory: Path) -> list[str]:
    """Digests of a store's last epochs; the report was made in one of them."""
    last = digest_store(directory).last_epoch
    return [digest_store(directory, epoch=epoch).digest.hex() for epoch in range(last, last - 4, -1)]


def test_without_a_terminal_a_demo_prints_lines_and_ends_with_its_summary() -> None:
    done = orrange(*SHORT, timeout_s=150)
    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert lines[0].startswith("preset demo: epoch 1000 ms, grace 500 ms, T_ack 1500 ms; wait 3, K 8, W 12")
    assert any("trading: " in line for line in lines)
    assert any("settling the last trades" in line for line in lines)
    assert lines[-1].startswith("3 peers agreed on one book: ")
    assert lines[-1].endswith(").")
    assert "\x1b" not in done.out


def test_a_demo_whose_reader_leaves_ends_quietly() -> None:
    process = subprocess.Popen(
        command(*SHORT), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(), cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert process.stdout.readline().startswith(b"preset demo")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize("is_json", [False, True], ids=["screen", "json"])
def test_ctrl_c_stops_a_demo_within_moments(is_json: bool, tmp_path: Path) -> None:
    arguments = ["demo", "--peers", "3", "--keep", str(tmp_path / "kept"), *(["--json"] if is_json else [])]
    seen, code, took_s = _in_terminal(arguments, until=b"trading")
    assert code == 130
    assert took_s < STOP_LIMIT_S
    assert b"interrupted: the peers and their chain are stopped, nothing keeps running" in seen
    assert b"Traceback" not in seen
    if is_json:
        assert b'{"error": {"code": "interrupted"' in seen
    else:
        assert seen.count(b"\x1b[?25l") == seen.count(b"\x1b[?25h"), "the cursor is shown again"
    assert orrange("store", "digest", tmp_path / "kept" / "peer-0").code == 0


def _in_terminal(arguments: list[str], *, until: bytes) -> tuple[bytes, int, float]:
    """Run a command in a terminal of 80 by 24, press Ctrl-C once it shows `until`; all output, exit code, seconds."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        command(*arguments),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        env={**clean_environment(TERM="xterm-256color"), "COLUMNS": "80", "LINES": "24"},
        cwd=ROOT,
    )
    os.close(terminal)
    try:
        seen = _read_while(controller, lambda seen: until not in seen, limit_s=60)
        os.write(controller, b"\x03")
        pressed_s = time.monotonic()
        seen += _read_while(controller, lambda _: process.poll() is None, limit_s=20)
        took_s = time.monotonic() - pressed_s
        seen += _read_while(controller, lambda _: True, limit_s=1)
        return seen, process.wait(1), took_s
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(controller)


def _read_while(controller: int, condition: Callable[[bytes], bool], *, limit_s: float) -> bytes:
    os.set_blocking(controller, False)
    seen = b""
    end_s = time.monotonic() + limit_s
    while condition(seen) and time.monotonic() < end_s:
        with contextlib.suppress(BlockingIOError, OSError):
            seen += os.read(controller, 65536)
        time.sleep(0.02)
    return seen


def _report(**more: object) -> Report:
    fields: dict[str, object] = {
        "peers": 5,
        "orders": 10,
        "cancels": 2,
        "refused": 0,
        "skipped": 0,
        "entries": 9,
        "tickets": 3,
        "by_path": {"equal": 3, "reconciled": 0, "fallback": 0},
        "settled": 3,
        "unsettled": 0,
        "books_equal": True,
        "tickets_equal": True,
        "value_conserved": True,
        "order_to_ticket_ms": Latency(p50=1, p99=2),
        "ticket_to_chain_ms": Latency(p50=None, p99=None),
        "gossip_drops": 0,
        "duration_s": 4,
        "preset": PRESETS["demo"],
        "book_digest": "ab" * 32,
        **more,
    }
    return Report(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"books_equal": False}, "the peers' books differ"),
        ({"tickets_equal": False}, "the peers' tickets differ"),
        ({"value_conserved": False}, "balances on the chain do not add up"),
        ({"unsettled": 1}, "1 trades did not settle"),
        ({"peers_gone": (2,)}, "peers [2] did not answer at the end"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_run_that_went_wrong_exits_with_1_and_says_what(
    fault: dict[str, object], told: str, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert print_report(_report(**fault), as_json=as_json) == 1
    assert told in capsys.readouterr().out.splitlines()[-1]


def test_a_good_run_exits_with_0_and_every_line_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_report(_report(), as_json=False, kept="run/peer-0") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines[:-1]) <= 80
    assert "orrange store digest run/peer-0" in lines[-2]
    assert lines[-1].startswith("5 peers agreed on one book")
