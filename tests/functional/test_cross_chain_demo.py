"""Two parties, a process each, swap between two anvil chains: `orrange demo --cross-chain`, whole and interrupted."""

import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orrange_p2p.chain.anvil import find_anvil
from orrange_p2p.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 120
COMMAND = [sys.executable, "-m", "orrange_p2p", "demo", "--cross-chain"]
MARK = "CROSS_CHAIN_TEST"


@pytest.fixture
def marked() -> dict[str, str]:
    """An environment by which every process that a demo starts is known; skips without anvil, but never in CI."""
    try:
        find_anvil()
    except ConfigError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return {**os.environ, MARK: secrets.token_hex(16)}


def left_behind(environment: dict[str, str]) -> list[int]:
    """The processes that still run in an environment."""
    mark, found = f"{MARK}={environment[MARK]}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_one_swap_completes_and_one_is_refunded_between_two_chains(marked: dict[str, str]) -> None:
    ran = subprocess.run(
        [*COMMAND, "--json"], capture_output=True, text=True, timeout=LIMIT_S, check=False, env=marked, cwd=ROOT
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout[-2_000:]
    report = json.loads(ran.stdout)
    completed, refunded = report["swaps"]
    assert report["is_good"] is report["value_conserved"] is True
    assert report["duration_s"] < 90
    assert (completed["name"], completed["outcomes"]) == ("completed", {"alice": "completed", "bob": "completed"})
    assert (refunded["name"], refunded["outcomes"]) == ("refunded", {"alice": "refunded", "bob": "abandoned"})
    assert completed["after"] == completed["expected"] != completed["before"]
    assert refunded["after"] == refunded["before"] == completed["after"]
    assert {held["contract"] for held in refunded["after"].values()} == {0}
    deeds = {swap["name"]: _deeds(swap["steps"]) for swap in report["swaps"]}
    assert deeds["completed"]["alice"] == ["first approved", "first opened", "second claimed", "second withdrawn"]
    assert deeds["completed"]["bob"] == ["second approved", "second opened", "first claimed", "first withdrawn"]
    assert deeds["refunded"]["alice"] == ["first approved", "first opened", "first refunded", "first withdrawn"]
    assert deeds["refunded"]["bob"] == []
    assert [step["whom"] for swap in report["swaps"] for step in swap["steps"] if step["step"] == "killed"] == [
        "bob"
    ] * 2
    assert left_behind(marked) == []


def test_an_interrupted_demo_leaves_no_process_behind(marked: dict[str, str]) -> None:
    with subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=marked, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert any("first lock: we approved in block" in line for line in process.stdout)
        assert len(left_behind(marked)) >= 5  # the demo, its warden, two chains and Alice
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 130
        assert process.stderr.read() == (
            "interrupted: both parties and their chains are stopped, nothing keeps running\n"
        )
    assert left_behind(marked) == []


def _deeds(steps: list[dict[str, object]]) -> dict[str, list[str]]:
    """What each party's transactions did, in order."""
    deeds: dict[str, list[str]] = {"alice": [], "bob": []}
    for step in steps:
        if "transaction" in step:
            deeds[str(step["party"])].append(f"{step['lock']} {step['step']}")
    return deeds
