"""Writes protocol/vectors/peers: what the reference says of Presences and evidence.

Run `python tests/vectors/emit_peers.py` to write the files, with `--check` to compare.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.vectors import peer_cases, world_cases  # noqa: E402

TARGET = ROOT / "protocol" / "vectors" / "peers"


def compute_vectors() -> dict[str, Any]:
    """Every file's content by its name."""
    return {
        "evidence.json": {**world_cases.setting(), "cases": peer_cases.evidence_cases()},
        "presence.json": {**world_cases.setting(), "cases": peer_cases.presence_cases()},
        "absence.json": {"cases": peer_cases.absence_cases()},
        "newest.json": {"cases": peer_cases.newest_cases()},
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
