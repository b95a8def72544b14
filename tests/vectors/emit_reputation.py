"""Writes protocol/vectors/reputation: what the reference says of owners' records.

Run `python tests/vectors/emit_reputation.py` to write the files, with `--check` to compare.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.vectors import reputation_cases  # noqa: E402

TARGET = ROOT / "protocol" / "vectors" / "reputation"


def compute_vectors() -> dict[str, Any]:
    """Every file's content by its name."""
    return {
        "decay.json": {"cases": reputation_cases.decay_cases()},
        "scores.json": {"cases": reputation_cases.score_cases()},
        "thrown.json": {"cases": reputation_cases.thrown_cases()},
    }


def main(arguments: list[str]) -> int:
    """Write or, with --check, compare; answers the exit code."""
    stale = []
    for name, content in compute_vectors().items():
        path, text = TARGET / name, json.dumps(content, indent=1) + "\n"
        if "--check" not in arguments:
            path.write_text(text, "utf-8")
        elif not path.is_file() or path.read_text("utf-8") != text:
            stale.append(name)
    if stale:
        print(f"expected the committed vectors, were other ones: {', '.join(stale)}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
