"""The committed vectors of matching, rule by rule, are what the reference says today; periods are the program's too.

Spec: [MATCH-1..12].
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orrange_p2p.core.facts import BlockFacts, BondChanged
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.period import Periods
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import Address, Digest, Epoch, MarketId
from tests.core.adapters import FAST_MARKET, RULES

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "protocol" / "vectors" / "matching"
Case = dict[str, Any]
CASES: list[Case] = json.loads((VECTORS / "periods.json").read_text("utf-8"))["cases"]


def octets(said: str) -> bytes:
    return bytes.fromhex(said[2:])


def test_the_committed_files_are_what_the_reference_says_today() -> None:
    command = [sys.executable, str(ROOT / "tests" / "vectors" / "emit_matching.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def rules_of(case: Case) -> MarketRules:
    said = {name: int(value) for name, value in case["constants"].items()}
    preset = replace(
        RULES.preset,
        epoch_ms=said["epoch_ms"],
        period_s=said["period_s"],
        beacon_lag_s=said["beacon_lag_s"],
        checkpoint_age_s=said["checkpoint_age_s"],
        bond_multiple=said["bond_multiple"],
    )
    return MarketRules(
        market=FAST_MARKET,
        market_id=MarketId(octets(case["market"])),
        preset=preset,
        genesis_ms=int(case["genesis_ms"]),
    )


def ledger_of(case: Case) -> Ledger:
    ledger, parent = Ledger({RULES.market_id: FAST_MARKET}), Digest(bytes(32))
    for block in case["blocks"]:
        facts = tuple(
            BondChanged(owner=Address(octets(fact["owner"])), amount=int(fact["amount"])) for fact in block["facts"]
        )
        block_hash = Digest(octets(block["hash"]))
        ledger.add(
            BlockFacts(
                number=int(block["number"]),
                hash=block_hash,
                parent_hash=parent,
                time_s=int(block["time_s"]),
                facts=facts,
            )
        )
        parent = block_hash
    return ledger


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_a_period_is_fixed_by_its_anchor(case: Case) -> None:
    """[MATCH-12]: unknown until a later block was seen, and the market's own before any block."""
    period = Periods(ledger_of(case), rules_of(case)).at(Epoch(int(case["epoch"])))
    if case["period"] is None:
        assert period is None
        return
    assert period is not None
    assert "0x" + period.beacon.hex() == case["period"]["beacon"]
    owners = [bytes([number]) * 20 for number in (0xA, 0xB, 0xC)]
    bonded = ["0x" + owner.hex() for owner in owners if not period.is_last(Address(owner))]
    assert bonded == case["period"]["bonded"]


def test_within_a_period_nothing_is_computed_anew() -> None:
    case = next(case for case in CASES if case["name"] == "the_last_block_that_early")
    periods = Periods(ledger_of(case), rules_of(case))
    assert periods.at(Epoch(0)) is periods.at(Epoch(119)) is not periods.at(Epoch(120))
