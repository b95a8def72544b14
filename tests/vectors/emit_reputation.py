"""Writes protocol/vectors/reputation: what the reference says of owners' records.

Run `python tests/vectors/emit_reputation.py` to write the files, with `--check` to compare.
"""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.vectors import reputation_cases  # noqa: E402
from tests.vectors.files import main  # noqa: E402


def compute_vectors() -> dict[str, Any]:
    """Every file's content by its path below protocol/vectors."""
    return {
        "reputation/decay.json": {"cases": reputation_cases.decay_cases()},
        "reputation/scores.json": {"cases": reputation_cases.score_cases()},
        "reputation/thrown.json": {"cases": reputation_cases.thrown_cases()},
    }


if __name__ == "__main__":
    sys.exit(main(compute_vectors(), sys.argv[1:]))
