"""Two nodes, a process each, trade by escrow on anvil to three ends: `orrange demo --escrow`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orrange_p2p.chain.anvil import find_anvil
from orrange_p2p.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 300


@pytest.fixture
def anvil() -> None:
    """Skips without anvil, but never in CI."""
    try:
        find_anvil()
    except ConfigError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.mark.usefixtures("anvil")
def test_trades_by_escrow_are_released_time_out_and_are_split() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "orrange_p2p", "demo", "--escrow", "--json"],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        cwd=ROOT,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout[-2_000:]
    report = json.loads(ran.stdout)
    assert report["is_good"] is report["value_conserved"] is True
    states = {trade["name"]: trade["states"] for trade in report["trades"]}
    assert states == {"release": ["released"] * 2, "timeout": ["cancelled"] * 2, "split": ["resolved"] * 2}
    steps = {trade["name"]: [one["step"] for one in trade["steps"] if "at_s" in one] for trade in report["trades"]}
    assert steps == {
        "release": ["mark_paid", "release"],
        "timeout": ["cancel"],
        "split": ["mark_paid", "dispute", "resolve"],
    }
    for trade in report["trades"]:
        assert trade["is_instructed"]
        assert trade["after"] == trade["expected"] != trade["before"]
        assert {held["escrow"] for held in trade["after"].values()} == {0}
        assert {held["judge"] for held in trade["after"].values()} == {0}
