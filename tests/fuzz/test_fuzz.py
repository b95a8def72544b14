"""A small campaign against every decoder, and what a campaign must be able to find."""

import gc
import json
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from orrange_p2p.core import cbor
from orrange_p2p.errors import RemoteProtocolError
from tests.fuzz import __main__ as program
from tests.fuzz import jobs
from tests.fuzz.campaign import CHUNK, Result, examine, run_chunk, spec_rules
from tests.fuzz.corpus import Nested, Raw, make_seed, vector_messages, write
from tests.fuzz.mutations import GARBAGE, Mutator, mend_roots, widen_head
from tests.fuzz.targets import TARGETS, Target
from tests.fuzz.worst import measure, worst_inputs

ROOT = Path(__file__).resolve().parents[2]
COUNT = 9000
PLAIN = TARGETS[0]


@pytest.fixture(scope="module")
def result() -> Result:
    return run_chunk(1, 0, COUNT)


def test_nothing_but_values_and_verdicts_comes_out_of_mutated_messages(result: Result) -> None:
    """Spec: [CBOR-1..5]."""
    assert result.failures == []
    assert result.inputs == COUNT


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_each_decoder_accepts_some_and_refuses_most_by_several_rules(result: Result, target: Target) -> None:
    tally = result.tallies[target.name]
    assert 0 < tally.accepted < tally.inputs
    assert {"CBOR-1", "CBOR-2", "CBOR-3"} <= set(tally.refused) <= spec_rules()
    assert tally.crossed > 50


def test_the_same_numbers_give_the_same_inputs() -> None:
    one, other = run_chunk(7, 3, 900), run_chunk(7, 3, 900)
    assert [(tally.accepted, tally.refused) for tally in one.tallies.values()] == [
        (tally.accepted, tally.refused) for tally in other.tallies.values()
    ]
    assert run_chunk(7, 4, 900).tallies["entry"].refused != one.tallies["entry"].refused


def test_memory_stays_flat_over_thousands_of_inputs() -> None:
    run_chunk(2, 0, 450)
    gc.collect()
    tracemalloc.start()
    run_chunk(2, 1, 450)
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(2, 5):
        run_chunk(2, number, 450)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 32 * 1024


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_worst_inputs_by_hand_keep_less_than_four_megabytes(target: Target) -> None:
    for name, encoded in worst_inputs(target):
        assert len(encoded) <= target.bytes_most
        cost = measure(target, name, encoded)
        assert cost.peak_bytes < 4_000_000


def _crash(encoded: bytes) -> Any:
    raise ValueError(encoded)


def _name_no_rule(encoded: bytes) -> Any:
    raise RemoteProtocolError("NOSUCH-1", "no such rule")


@pytest.mark.parametrize(
    ("faulty", "encoded", "said"),
    [
        (replace(PLAIN, decode=_crash), b"\x00", "ValueError"),
        (replace(PLAIN, decode=_name_no_rule), b"\x00", "NOSUCH-1 is not in the spec"),
        (replace(PLAIN, encode=lambda value: cbor.encode([value])), b"\x00", "written in another way"),
        (replace(PLAIN, decode=lambda encoded: 0, encode=lambda _: b"\x00\x00"), b"\x00\x00", "None here"),
    ],
)
def test_a_decoder_with_a_fault_is_found_out(faulty: Target, encoded: bytes, said: str) -> None:
    result = Result()
    examine(faulty, encoded, result, is_crossed=True)
    assert any(said in failure for failure in result.failures)


def test_a_decoder_that_takes_long_heads_is_found_out_by_mutations_alone() -> None:
    """What the fast parser would be without its check of [CBOR-1]."""
    import cbor2

    lax = replace(PLAIN, decode=_whole(cbor2.loads))
    mutator, result = Mutator(Random(4)), Result()
    seeds = vector_messages()["item"]
    for seed in seeds * 10:
        examine(lax, mutator.mutate(seed, seeds[0]), result, is_crossed=True)
    assert any("written in another way" in failure for failure in result.failures)
    assert any("None here" in failure for failure in result.failures)


def _whole(load: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def decode(encoded: bytes) -> Any:
        try:
            return load(encoded)
        except Exception as error:
            raise RemoteProtocolError("CBOR-2", "not CBOR") from error

    return decode


@pytest.mark.parametrize("name", sorted(vector_messages()))
def test_seeds_write_back_to_the_bytes_that_they_were_read_from(name: str) -> None:
    trees = [seed for seed in vector_messages()[name] if seed.tree is not None]
    assert trees
    assert [write(seed.tree) for seed in trees] == [seed.encoded for seed in trees]


def test_items_of_an_entry_are_opened_and_their_root_is_mended() -> None:
    entry = next(seed for seed in vector_messages()["entry"] if seed.tree is not None and len(seed.tree[8]) > 0)
    assert all(type(item) is Nested for item in entry.tree[8])
    spoilt = [*entry.tree[:6], bytes(32), *entry.tree[7:]]
    mend_roots(spoilt)
    assert write(spoilt) == entry.encoded


@pytest.mark.parametrize(
    ("steps", "expected"), [(0, "1817"), (1, "190017"), (2, "1a00000017"), (3, "1b0000000000000017")]
)
def test_a_head_is_widened_to_each_longer_form(steps: int, expected: str) -> None:
    assert widen_head(b"\x17", steps).hex() == expected


def test_what_cannot_be_widened_stays() -> None:
    assert widen_head(b"\x1b" + bytes(8), 0) == b"\x1b" + bytes(8)
    assert widen_head(b"\xff", 0) == b"\xff"


@pytest.mark.parametrize("raw", GARBAGE, ids=lambda raw: raw.encoded.hex())
def test_garbage_is_refused_where_a_value_is_expected(raw: Raw) -> None:
    with pytest.raises(RemoteProtocolError, match="CBOR-"):
        cbor.decode(write([raw]))


def test_a_message_that_is_no_cbor_is_a_seed_without_a_tree() -> None:
    assert make_seed(b"\xff").tree is None


def run_program(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)


def test_the_program_goes_on_from_its_state_and_reports_every_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "CHUNK", 450)
    monkeypatch.setattr(program, "measure_worst", lambda: [measure(PLAIN, "nothing", b"\x80")])
    state = tmp_path / "state.jsonl"
    ran: list[int] = []
    monkeypatch.setattr(jobs, "run_chunk", lambda seed, *rest: ran.append(rest[0]) or run_chunk(seed, *rest))
    assert program.main(["--count", "900", "--state", str(state), "--json"]) == 0
    state.write_text(state.read_text("utf-8") + '{"seed": 1, "num', "utf-8")
    assert program.main(["--count", "1350", "--state", str(state)]) == 0
    assert ran == [0, 1, 2]
    out = capsys.readouterr().out
    assert "total: inputs 1350, failures 0" in out
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert {line["target"] for line in lines if line["figure"] == "target"} == {target.name for target in TARGETS}
    assert lines[-1] == {"figure": "total", "inputs": 900, "failures": 0}


def test_a_finding_makes_the_exit_code_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(program, "CHUNK", 9)
    monkeypatch.setattr(program, "measure_worst", tuple)
    found = Result(failures=["entry: ValueError() for 00"])
    monkeypatch.setattr(jobs, "run_chunk", lambda seed, number, count: found)
    assert program.main(["--count", "1"]) == 1
    assert "failure: failure entry: ValueError() for 00" in capsys.readouterr().out


def test_an_interrupt_ends_the_program_with_what_it_has(tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    asked = ["--count", "100000000", "--jobs", "2", "--state", str(state), "--json"]
    command = [sys.executable, "-m", "tests.fuzz", *asked]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as running:
        try:
            assert running.stderr is not None
            assert "inputs" in running.stderr.read(30)
            running.send_signal(signal.SIGINT)
            out, _ = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 130
    assert json.loads(out.splitlines()[-1])["inputs"] == len(state.read_text("utf-8").splitlines()) * CHUNK


def test_unknown_arguments_are_refused() -> None:
    assert run_program("--nonsense").returncode == 2
