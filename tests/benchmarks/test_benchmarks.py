"""Each benchmark runs at a small size and reports figures that make sense; the figures themselves are for people."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import trio

from tests.benchmarks import codec, engine, epoch, gossip, prune, rbsr, reputation, signatures
from tests.benchmarks.event_flow import Event, recorded_events, throw_events
from tests.benchmarks.figures import Figure, compared

ROOT = Path(__file__).resolve().parents[2]
SMALL = epoch.Size(resting=400, newcomers=80, cancels=20, epochs=4, baseline_epochs=2)


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.benchmarks", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)


def _check(name: str, figures: Iterable[Figure]) -> list[Figure]:
    found = list(figures)
    assert found
    assert len({figure.figure for figure in found}) == len(found)
    for figure in found:
        assert figure.benchmark == name
        assert figure.value > 0
        assert figure.baseline is not None
        assert figure.baseline > 0
        assert figure.ratio is not None
    return found


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("--json",), ("codec", "epoch")])
def test_anything_but_one_known_name_is_refused_in_a_sentence(arguments: tuple[str, ...]) -> None:
    done = _run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    was = " ".join(argument for argument in arguments if argument != "--json") or "none"
    assert (
        done.stderr
        == f"expected one benchmark of codec, signatures, epoch, engine, rbsr, gossip, reputation, prune, was {was}\n"
    )


def test_json_is_one_line_a_figure_with_the_agreed_keys() -> None:
    done = _run("codec", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 4
    for line in lines:
        assert sorted(line) == ["baseline", "benchmark", "figure", "ratio", "unit", "value"]


def test_without_json_it_is_a_table() -> None:
    done = _run("codec")
    assert (done.returncode, done.stderr) == (0, "")
    assert "decode an entry of 32 orders" in done.stdout


def test_codec_runs_small() -> None:
    assert len(_check("codec", codec.run(entries=40))) == 4


def test_an_entry_that_is_not_deterministic_fails_the_codec_baseline() -> None:
    encoded = codec.encode_entry(codec.make_entries(1, 2)[0])
    codec.load_and_compare(encoded)
    with pytest.raises(ValueError, match="not deterministic"):
        codec.load_and_compare(encoded.replace(b"\x89", b"\x98\x09", 1))


def test_signatures_runs_small() -> None:
    figures = _check("signatures", signatures.run(orders=20))
    assert [figure.figure for figure in figures] == ["digest", "sign", "recover"]


def test_epoch_runs_small() -> None:
    assert len(_check("epoch", epoch.run((SMALL,), crush=150))) == 6


def test_everybody_meets_somebody_in_the_crush() -> None:
    times = epoch.measure_crush(150, epochs=2)
    assert times.pieces >= 2 * 140


@pytest.mark.parametrize("is_reached_across", [False, True])
def test_the_epochs_that_are_measured_match_something(*, is_reached_across: bool) -> None:
    times = epoch.measure(SMALL, is_reached_across=is_reached_across)
    assert len(times.epoch_ms) == SMALL.epochs
    assert times.pieces >= SMALL.epochs


def test_prune_runs_small_and_a_base_saves_most_of_a_feed() -> None:
    figures = _check("prune", prune.run(entries=2000, between=200))
    assert all(figure.ratio < 1 for figure in figures[:3] if figure.ratio is not None)


def test_rbsr_runs_small_and_costs_less_than_sending_all() -> None:
    figures = _check("rbsr", rbsr.run(heads=2000, differences=10, repeats=1))
    assert len(figures) == 8
    assert all(figure.ratio < 1 for figure in figures if figure.unit == "B" and "bytes" in figure.figure)


def test_engine_runs_small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engine, "RECORDED", tmp_path / "none.csv.gz")
    assert len(_check("engine", engine.run(events=300, resting=200, churn=1200))) == 6


@pytest.mark.parametrize("seed", [1, 2])
def test_all_continuous_books_find_the_same_fills(seed: int) -> None:
    events = throw_events(seed, 2000)
    fills = {name: play(events)[1] for name, play in engine.RUNS.items()}
    assert len(fills["ours"]) > 200
    assert [name for name, found in fills.items() if found != fills["ours"]] == []


def test_recorded_events_leave_out_cancels_of_unknown_orders(tmp_path: Path) -> None:
    path = tmp_path / "flow.csv.gz"
    rows = ["time_ms,action,order_id,side,price_cents,quantity_satoshi", "0,submit,7,buy,100,5", "1,cancel,8,buy,100,5"]
    path.write_bytes(gzip.compress("\n".join([*rows, "2,cancel,7,buy,100,5"]).encode()))
    assert recorded_events(path) == [Event(0, True, 100, 5), Event(0, True, 100, 0)]


@pytest.mark.parametrize("kind", ["ours", "stock"])
def test_gossip_runs_small(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    received = trio.run(gossip._measure, kind, 20, 5, 0.0)
    assert received.messages == 19


def test_reputation_runs_small() -> None:
    assert len(_check("reputation", reputation.run(reputation.Size(owners=50, trades=4000, days=30)))) == 4


def test_a_ratio_is_value_over_baseline() -> None:
    assert compared("codec", "one", 3, "us", baseline=2).ratio == 1.5
