"""The committed vectors of reputation: what the reference says today, and the program too. Spec: [REP-1..13]."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from orrange_p2p.core import facts
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.reputation import DECAY_Q16, Standings
from orrange_p2p.core.types import Address, Digest
from protocol.reference import chain, reputation
from tests.vectors.reputation_cases import describe

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "protocol" / "vectors" / "reputation"
EMITTER = ROOT / "tests" / "vectors" / "emit_reputation.py"
Case = dict[str, Any]
CASES: list[Case] = [
    {"file": path.stem, **case}
    for path in sorted(VECTORS.glob("*.json"))
    for case in json.loads(path.read_text())["cases"]
]
SCORES = [pytest.param(case, id=case["name"]) for case in CASES if case["file"] != "decay"]


def value_of(said: Any) -> Any:
    """The value that a vector's field stands for."""
    if isinstance(said, str):
        return bytes.fromhex(said[2:]) if said.startswith("0x") else int(said)
    return said


def fact_of(said: Case, module: ModuleType) -> Any:
    """A fact for either side."""
    kind = getattr(module, said["kind"])
    return kind(**{name: value_of(value) for name, value in said.items() if name != "kind"})


def reference_record(case: Case) -> reputation.Record:
    """The chain up to the anchor."""
    blocks = tuple(
        chain.Block(
            number=int(block["number"]),
            hash=value_of(block["hash"]),
            time_s=int(block["time_s"]),
            facts=tuple(fact_of(fact, chain) for fact in block["facts"]),
        )
        for block in case["blocks"]
        if case["anchor"] is not None and int(block["number"]) <= int(case["anchor"])
    )
    return reputation.Record(blocks=blocks, period_s=int(case["period_s"]))


def program_standings(case: Case) -> Standings:
    """The standings at the anchor, with every block known."""
    ledger, parent = Ledger({}), Digest(bytes(32))
    for block in case["blocks"]:
        ledger.add(
            facts.BlockFacts(
                number=int(block["number"]),
                hash=Digest(value_of(block["hash"])),
                parent_hash=parent,
                time_s=int(block["time_s"]),
                facts=tuple(fact_of(fact, facts) for fact in block["facts"]),
            )
        )
        parent = Digest(value_of(block["hash"]))
    anchor = None if case["anchor"] is None else ledger.block(int(case["anchor"]))
    return Standings(ledger, anchor, int(case["period_s"]))


@pytest.mark.parametrize("hash_seed", ["0", "42"])
def test_committed_vectors_are_what_the_reference_says_under_every_hash_seed(hash_seed: str) -> None:
    done = subprocess.run(
        [sys.executable, str(EMITTER), "--check"],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_rule_of_reputation_has_a_vector_of_its_own() -> None:
    spec = (ROOT / "protocol" / "spec" / "07-reputation.md").read_text("utf-8")
    single = {rule for case in CASES if case["file"] != "thrown" for rule in case["rules"]}
    assert single == set(re.findall(r"^- \[(REP-\d+)\]", spec, re.MULTILINE))


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES if case["file"] == "decay"])
def test_decay_is_the_same_numbers(case: Case) -> None:
    """[REP-4]."""
    days = [int(case["from_day"]) + at for at in range(len(case["decay"]))]
    assert [reputation.decay(day) for day in days] == [int(weight) for weight in case["decay"]]
    assert [dict(enumerate(DECAY_Q16)).get(day, 0) for day in days] == [int(weight) for weight in case["decay"]]


@pytest.mark.parametrize("case", SCORES)
def test_scores_and_their_reasons_are_the_same(case: Case) -> None:
    """[REP-1..3], [REP-5..13]."""
    record, standings = reference_record(case), program_standings(case)
    for told in case["owners"]:
        owner = value_of(told["owner"])
        assert describe(reputation.explain(record, owner)) == told
        assert describe(standings.explain(Address(owner))) == told  # type: ignore[arg-type]
        assert str(standings.score(Address(owner))) == told["score"]
        assert str(standings.tier(Address(owner))) == told["tier"]


def test_the_vectors_reach_every_tier() -> None:
    """[REP-13]."""
    assert {told["tier"] for case in CASES if case["file"] == "scores" for told in case["owners"]} == set("0123")
