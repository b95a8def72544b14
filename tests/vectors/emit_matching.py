"""Writes protocol/vectors/matching/{named,periods}.json: one rule of 04-matching in each case.

Run `python tests/vectors/emit_matching.py` to write the files, with `--check` to compare.
"""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.vectors import matching_cases, world_cases  # noqa: E402
from tests.vectors.files import main  # noqa: E402


def named_case(name: str, rules: str, bare: Any) -> dict[str, Any]:
    """A case with the rules that it shows."""
    return {"name": name, "rules": rules.split(), **world_cases.matching_case(name, bare)}


def period_case(case: dict[str, Any]) -> dict[str, Any]:
    """A chain and an epoch, and what the chain fixes for its period."""
    period, clock = case["period"], case["clock"]
    fixed = None
    if period is not None:
        fixed = {
            "beacon": world_cases.plain(period.beacon),
            "bonded": sorted(world_cases.plain(owner) for owner in period.bonded),
        }
    return {
        "name": case["name"],
        "rules": ["MATCH-12", "MATCH-2"],
        "constants": world_cases.plain(clock.constants),
        "genesis_ms": world_cases.plain(clock.genesis_ms),
        "market": world_cases.plain(matching_cases.MARKET_ID),
        "blocks": [world_cases.describe_block(block) for block in case["blocks"]],
        "epoch": world_cases.plain(case["epoch"]),
        "period": fixed,
    }


def compute_vectors() -> dict[str, Any]:
    """Every file's content by its path below protocol/vectors."""
    return {
        "matching/named.json": {"cases": [named_case(*named) for named in matching_cases.named_bares()]},
        "matching/periods.json": {"cases": [period_case(case) for case in matching_cases.period_cases()]},
    }


if __name__ == "__main__":
    sys.exit(main(compute_vectors(), sys.argv[1:]))
