"""Writes protocol/vectors/types: what the reference says of amounts, times, constants, roots, topics and frames.

Run `python tests/vectors/emit_types.py` to write the files, with `--check` to compare.
"""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.vectors import type_cases  # noqa: E402
from tests.vectors.files import main  # noqa: E402


def compute_vectors() -> dict[str, Any]:
    """Every file's content by its path below protocol/vectors."""
    return {
        "types/amounts.json": {"cases": type_cases.amount_cases()},
        "types/times.json": {"cases": type_cases.time_cases()},
        "types/constants.json": {"cases": type_cases.constant_cases()},
        "types/roots.json": {"cases": type_cases.root_cases()},
        "types/peer_signatures.json": {"cases": type_cases.peer_signature_cases()},
        "types/topics.json": {"cases": type_cases.topic_cases()},
        "types/frames.json": {"cases": type_cases.frame_cases()},
    }


if __name__ == "__main__":
    sys.exit(main(compute_vectors(), sys.argv[1:]))
