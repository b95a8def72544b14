"""Writes protocol/vectors/peers: what the reference says of Presences, evidence and payment instructions.

Run `python tests/vectors/emit_peers.py` to write the files, with `--check` to compare.
"""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.vectors import direct_cases, peer_cases, world_cases  # noqa: E402
from tests.vectors.files import main  # noqa: E402


def compute_vectors() -> dict[str, Any]:
    """Every file's content by its path below protocol/vectors."""
    return {
        "peers/evidence.json": {**world_cases.setting(), "cases": peer_cases.evidence_cases()},
        "peers/presence.json": {**world_cases.setting(), "cases": peer_cases.presence_cases()},
        "peers/absence.json": {"cases": peer_cases.absence_cases()},
        "peers/newest.json": {"cases": peer_cases.newest_cases()},
        "peers/instructions.json": {"cases": direct_cases.instruction_cases()},
        "peers/answers.json": {"cases": direct_cases.answer_cases()},
        "peers/receipts.json": {"cases": direct_cases.receipt_cases()},
    }


if __name__ == "__main__":
    sys.exit(main(compute_vectors(), sys.argv[1:]))
