"""Writing vector files, and comparing them with what would be written now."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

TARGET = Path(__file__).resolve().parents[2] / "protocol" / "vectors"


def main(files: Mapping[str, object], arguments: Sequence[str]) -> int:
    """Write the files or, with `--check`, compare; answers the exit code.

    Args:
        files: contents by path below protocol/vectors.
        arguments: of the command line.
    """
    stale = []
    for name, content in files.items():
        path, text = TARGET / name, json.dumps(content, indent=1) + "\n"
        if "--check" in arguments:
            if not path.is_file() or path.read_text("utf-8") != text:
                stale.append(name)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    if stale:
        print(f"expected the committed vectors, were other ones: {', '.join(stale)}", file=sys.stderr)
    return 1 if stale else 0
