"""The tables of the spec and the numbers in the program are the same numbers."""

import re
from dataclasses import astuple
from enum import IntEnum
from pathlib import Path

import pytest

from orrange_p2p.core import codec, feed, feed_reader, frames, market_kernel
from orrange_p2p.core.messages import DeclineReason
from orrange_p2p.core.presets import PRESETS, Preset
from orrange_p2p.core.types import OrderKind, Scope, Side, TicketKind, TimeInForce

SPEC = (Path(__file__).resolve().parents[2] / "protocol" / "spec" / "01-types.md").read_text("utf-8")


def table_rows(heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, its head and rule left out."""
    lines = SPEC.split(f"\n## {heading}", 1)[1].splitlines()[1:]
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows[2:]


def test_constants_table_is_the_presets() -> None:
    rows = table_rows("Constants")
    assert {row[0]: tuple(map(int, row[1:])) for row in rows} == {
        name: astuple(preset)[1:] for name, preset in PRESETS.items()
    }


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_constants_obey_their_rule(preset: Preset) -> None:
    """[CONST-1]."""
    assert preset.t_ack_ms <= preset.wait * preset.epoch_ms
    assert preset.k * preset.epoch_ms >= preset.grace_ms + 4 * preset.t_ack_ms
    assert preset.w >= preset.wait + 8


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("side", Side),
        ("kind (order)", OrderKind),
        ("tif", TimeInForce),
        ("kind (ticket)", TicketKind),
        ("session scope (bits)", Scope),
        ("decline reason", DeclineReason),
    ],
)
def test_enumerations_are_the_programs(name: str, kind: type[IntEnum]) -> None:
    said = {row[0]: row[1] for row in table_rows("Enumerations")}[name]
    assert [int(number) for number in re.findall(r"\b(\d+) ", said)] == [int(member) for member in kind]


def test_limits_are_the_programs() -> None:
    said = {row[0]: row[1] for row in table_rows("Limits")}
    kib = 1024
    assert said["entry"] == (
        f"{codec.MAX_ENTRY_BYTES // kib} KiB, 1 to {codec.MAX_ITEMS} items, "
        f"at most {feed_reader.MAX_ENTRIES_PER_EPOCH} per claimed epoch"
    )
    assert said["order item"] == f"{codec.MAX_ORDER_ITEM_BYTES // kib} KiB"
    assert said["gossip message"] == f"{codec.MAX_BATCH_BYTES // kib} KiB, {codec.MAX_BATCH_ENTRIES} entries"
    assert said["sync frame"] == f"{frames.MAX_SYNC_FRAME_BYTES // kib} KiB"
    assert said["entries held ahead of a gap"] == f"{feed.MAX_HELD} a feed"
    assert said["a Prepare's skips; late orders in a Prepare or View"] == f"{frames.MAX_SKIPS}; {frames.MAX_LATE}"


def test_feed_limits_in_words_are_the_programs() -> None:
    """[FEED-10], [FEED-12]."""
    feeds = (Path(__file__).resolve().parents[2] / "protocol" / "spec" / "02-feeds.md").read_text("utf-8")
    assert f"more than {market_kernel.MAX_FUTURE_EPOCHS} ahead" in feeds
    assert f"at most {market_kernel.MAX_FEEDS:,} feeds a market, {market_kernel.MAX_STRANGERS} of them" in feeds
    assert f"at most {market_kernel.MAX_STRANGER_BYTES // 1024} KiB each" in feeds
