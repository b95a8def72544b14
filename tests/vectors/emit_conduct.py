"""Writes protocol/vectors/{conduct,tickets}: when a node signs, waits, passes over, submits; what tickets are.

Run `python tests/vectors/emit_conduct.py` to write the files, with `--check` to compare.
"""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.vectors import conduct_cases, ticket_cases, world_cases  # noqa: E402
from tests.vectors.files import main  # noqa: E402


def compute_vectors() -> dict[str, Any]:
    """Every file's content by its path below protocol/vectors."""
    return {
        "conduct/entries.json": {"cases": conduct_cases.entry_cases()},
        "conduct/views.json": {"cases": conduct_cases.view_cases()},
        "conduct/promises.json": {"cases": conduct_cases.promise_cases()},
        "conduct/patience.json": {"cases": conduct_cases.patience_cases()},
        "conduct/nudges.json": {"cases": conduct_cases.nudge_cases()},
        "conduct/sync.json": {"cases": conduct_cases.sync_cases()},
        "tickets/tickets.json": {**world_cases.setting(), "cases": ticket_cases.ticket_cases()},
        "tickets/groups.json": {**world_cases.setting(), "cases": ticket_cases.group_cases()},
        "tickets/entitled.json": {**world_cases.setting(), "cases": ticket_cases.entitled_cases()},
        "tickets/contradictions.json": {**world_cases.setting(), "cases": ticket_cases.contradiction_cases()},
    }


if __name__ == "__main__":
    sys.exit(main(compute_vectors(), sys.argv[1:]))
