"""Writes protocol/vectors/{codec,feeds,book,matching,sync}: what the reference says of bytes, feeds, worlds and books.

Everything is computed by `protocol.reference` from keys and dice that never change. The program is tested against the
files. Run `python tests/vectors/emit_reference.py` to write them, with `--check` to compare.
"""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.vectors import (  # noqa: E402
    base_cases,
    chain_cases,
    codec_cases,
    conviction_cases,
    edge_cases,
    limit_cases,
    placed_cases,
    spaced_cases,
    start_cases,
    sync_cases,
    world_cases,
)
from tests.vectors.files import main  # noqa: E402


def compute_vectors() -> dict[str, Any]:
    """Every file's content by its path below protocol/vectors."""
    feed_worlds = [*world_cases.feed_worlds(), *edge_cases.feed_edges(), *placed_cases.day_worlds()]
    files: dict[str, Any] = {
        "codec/cbor.json": {"cases": codec_cases.cbor_cases()},
        "codec/limits.json": {"cases": limit_cases.limit_cases()},
        "codec/messages.json": {"cases": codec_cases.message_cases()},
        "codec/signatures.json": {"cases": codec_cases.signature_cases()},
        "feeds/feeds.json": {
            **world_cases.setting(),
            "cases": [world_cases.feed_case(*told) for told in feed_worlds],
        },
        "matching/books.json": {
            "cases": [world_cases.matching_case(name, bare) for name, bare in world_cases.matching_bares()],
        },
    }
    files["sync/roots.json"] = {"cases": list(sync_cases.root_cases())}
    files["sync/answers.json"] = {"cases": list(sync_cases.answer_cases())}
    edges = {
        "orders": (edge_cases.order_edges,),
        "holds": (edge_cases.hold_edges, chain_cases.undone_worlds),
        "funds": (
            edge_cases.fund_edges,
            chain_cases.moved_funds,
        ),
        "admission": (edge_cases.admission_edges,),
    }
    for group in ("orders", "holds", "funds", "admission", "bonds", "thrown"):
        worlds = [*world_cases.book_worlds(group), *(told for edge in edges.get(group, ()) for told in edge())]
        cases = [world_cases.book_case(*told) for told in worlds]
        files[f"book/{group}.json"] = {**world_cases.book_setting(group), "cases": cases}
    spaced = [world_cases.feed_case(*told) for told in spaced_cases.spaced_worlds()]
    files["feeds/spaced.json"] = {**world_cases.setting(spaced_cases.SPACED), "cases": spaced}
    files["feeds/starts.json"] = {**world_cases.setting(), "cases": start_cases.start_cases()}
    convicted = [world_cases.book_case(*told) for told in conviction_cases.conviction_worlds()]
    files["book/convictions.json"] = {**world_cases.book_setting("convictions"), "cases": convicted}
    base_worlds = [*base_cases.base_worlds(), *placed_cases.placed_worlds(), *conviction_cases.convicted_below_worlds()]
    begun = [case for told in base_worlds for case in base_cases.base_case(*told)]
    begun += base_cases.overlapping_cases()
    files["book/bases.json"] = {**world_cases.book_setting("bases"), "cases": begun}
    return files


if __name__ == "__main__":
    sys.exit(main(compute_vectors(), sys.argv[1:]))
