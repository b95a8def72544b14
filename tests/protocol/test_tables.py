"""The tables of 01-types.md are the numbers of the program and the reference.

Spec: [CONST-1..2], [FEED-5], [FEED-12].
"""

import re
from collections.abc import Iterator
from dataclasses import astuple, replace
from enum import IntEnum, IntFlag
from pathlib import Path

import pytest

from orrange_p2p.core import codec, feed, feed_reader, frames, market_kernel, messages, reconcile, types, window
from orrange_p2p.core import gossip_codec as gossip
from orrange_p2p.core.presets import PRESETS, MarketRules
from orrange_p2p.net import sync
from protocol.reference import feeds, wire
from protocol.reference import types as reference

SPEC = Path(__file__).resolve().parents[2] / "protocol" / "spec"
TYPES = (SPEC / "01-types.md").read_text("utf-8")
KIB = 1024
LISTS = "a Prepare's skips; late orders, absent sessions in a Prepare or View"
ADDRESS = types.Address(b"\x0a" * 20)
COLUMNS = ["epoch_ms", "grace_ms", "t_ack_ms", "wait", "k", "w", "d", "l_fund"]
COLUMNS += ["quorum", "degree", "presence_s", "dead_s", "period_s", "beacon_lag_s", "checkpoint_age_s", "bond_multiple"]
OURS = {"d": "ticket_life_s", "l_fund": "fund_lag_s"}


def rows_under(heading: str) -> Iterator[list[str]]:
    """The cells of each row of the table under a heading, without its head."""
    section = TYPES.split(f"\n## {heading}", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    for row in rows[2:]:
        yield [cell.strip() for cell in row]


CONSTANTS = {name: list(map(int, values)) for name, *values in rows_under("Constants")}
LIMITS = dict(rows_under("Limits"))
ENUMERATIONS = {
    name: {int(value.split()[0]): value.split()[1] for value in values.split(", ")}
    for name, values in rows_under("Enumerations")
}


def test_the_table_of_constants_has_the_columns_that_this_test_reads() -> None:
    assert f"| preset | {' | '.join(COLUMNS)} |" in TYPES
    assert sorted(CONSTANTS) == sorted(PRESETS) == sorted(reference.PRESETS)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_is_its_row(name: str) -> None:
    ours = [getattr(PRESETS[name], OURS.get(column, column)) for column in COLUMNS]
    assert ours == list(astuple(reference.PRESETS[name])) == CONSTANTS[name]
    assert PRESETS[name].name == name


@pytest.mark.parametrize("name", sorted(reference.PRESETS))
def test_a_preset_is_consistent_and_would_not_be_with_one_constant_too_tight(name: str) -> None:
    preset = reference.PRESETS[name]
    assert reference.are_consistent(preset)
    assert not reference.are_consistent(replace(preset, t_ack_ms=preset.wait * preset.epoch_ms + 1))
    assert not reference.are_consistent(replace(preset, grace_ms=preset.k * preset.epoch_ms))
    assert not reference.are_consistent(replace(preset, w=preset.wait + 7))
    assert not reference.are_consistent(replace(preset, dead_s=3 * preset.presence_s - 1))
    assert not reference.are_consistent(replace(preset, epoch_ms=7))
    assert not reference.are_consistent(replace(preset, beacon_lag_s=preset.l_fund - 1))
    assert not reference.are_consistent(replace(preset, checkpoint_age_s=2 * (preset.d + preset.l_fund)))


@pytest.mark.parametrize(
    ("row", "sizes"),
    [
        ("entry", [codec.MAX_ENTRY_BYTES // KIB, 1, codec.MAX_ITEMS, feed_reader.MAX_ENTRIES_PER_EPOCH]),
        ("entry", [wire.ENTRY_BYTES_MAX // KIB, 1, 64, feeds.ENTRIES_PER_EPOCH_MAX]),
        ("order item", [codec.MAX_ORDER_ITEM_BYTES // KIB]),
        ("order item", [wire.ORDER_ITEM_BYTES_MAX // KIB]),
        (
            "gossip message",
            [gossip.MAX_GOSSIP_BYTES // KIB, gossip.MAX_BATCH_ENTRIES, gossip.MAX_BATCH_PIECES],
        ),
        ("gossip message", [wire.GOSSIP_BYTES_MAX // KIB, 64, 7]),
        (
            "presence",
            [gossip.MAX_PRESENCE_BYTES // KIB, gossip.MAX_PRESENCE_MARKETS, gossip.MAX_ADDRESSES],
        ),
        ("presence", [wire.PRESENCE_BYTES_MAX // KIB, 16, 4]),
        ("evidence", [gossip.MAX_EVIDENCE_BYTES // KIB]),
        ("evidence", [wire.EVIDENCE_BYTES_MAX // KIB]),
        ("sync frame", [frames.MAX_SYNC_FRAME_BYTES // KIB]),
        ("sync frame", [wire.SYNC_FRAME_BYTES_MAX // KIB]),
        ("entries held ahead of a gap", [feed.MAX_HELD]),
        ("entries held ahead of a gap", [feeds.HELD_AHEAD_MAX]),
        (
            LISTS,
            [frames.MAX_SKIPS, frames.MAX_LATE, frames.MAX_ABSENT],
        ),
        (
            LISTS,
            [frames.MAX_SKIPS, window.MAX_LATE_SENT, 128],
        ),
        (
            "ranges, ids, heads in a Compare or Differences",
            [frames.MAX_RANGES, frames.MAX_IDS, frames.MAX_TOLD_HEADS],
        ),
        ("ranges, ids, heads in a Compare or Differences", [wire.RANGES_MAX, wire.IDS_MAX, wire.TOLD_HEADS_MAX]),
        ("pieces in a Proofs; bytes of each", [frames.MAX_PROOFS, frames.MAX_PROOF_BYTES]),
        ("pieces in a Proofs; bytes of each", [wire.PROOFS_MAX, wire.PROOF_BYTES_MAX]),
    ],
)
def test_a_limit_is_its_row(row: str, sizes: list[int]) -> None:
    assert [int(figure.replace(",", "")) for figure in re.findall(r"\d[\d,]*", LIMITS[row])] == sizes


def test_limits_told_in_rules_are_those_of_the_program() -> None:
    feeds_text = (SPEC / "02-feeds.md").read_text("utf-8")
    for rule, words in (
        ("FEED-2", f"at most {feed_reader.MAX_ENTRIES_PER_EPOCH} entries claim one epoch"),
        ("FEED-5", f"Up to {feed.MAX_HELD} later ones are held"),
        ("FEED-10", f"more than {market_kernel.MAX_FUTURE_EPOCHS} ahead"),
        ("FEED-10", f"more than {feeds.EPOCHS_AHEAD_MAX} ahead"),
        ("FEED-12", f"at most {market_kernel.MAX_FEEDS:,} feeds a market, {market_kernel.MAX_STRANGERS} of them"),
        ("FEED-12", f"at most {market_kernel.MAX_STRANGER_BYTES // KIB} KiB each"),
    ):
        text = feeds_text.split(f"[{rule}]", 1)[1].split("\n- [", 1)[0]
        assert words in text, rule
    sync_text = (SPEC / "06-sync.md").read_text("utf-8")
    limits = reconcile.LIMITS
    for rule, words in (
        ("SYNC-7", f"At most {sync.FREE_PARTS:,} parts per {sync.FREE_PERIOD_S:g} s"),
        ("SYNC-7", f"each {sync.SPANS_A_PART} ranges and ids"),
        ("SYNC-7", f"each {sync.BYTES_A_PART // 1024} KiB of an answer"),
        ("SYNC-7", f"patient for {sync.ANSWER_TIMEOUT_S:g} s"),
        ("SYNC-10", f"first {frames.FINGERPRINT_BYTES} bytes"),
        ("SYNC-16", f"lists ranges of up to {limits.few_ids} heads"),
        ("SYNC-16", f"up to {limits.few} and cuts others into {limits.parts} parts, or fewer of {limits.few} heads"),
        ("SYNC-16", f"alone, {limits.first_few} and {limits.first_parts} parts"),
        ("SYNC-17", f"after {limits.compares} questions, {limits.ranges_in_all:,} ranges"),
        ("SYNC-17", f"or {limits.found:,} heads"),
        ("SYNC-20", f"more than {sync.MAX_EMPTY_RUNS} heads"),
    ):
        assert words in sync_text.split(f"[{rule}]", 1)[1].split("\n- [", 1)[0], rule
    assert market_kernel.MAX_FAILED_ROUNDS == 3
    assert f"Ticket frames are at most {frames.MAX_TICKET_FRAME_BYTES // KIB} KiB, sync frames" in TYPES
    assert frames.MAX_TICKET_FRAME_BYTES == wire.TICKET_FRAME_BYTES_MAX


@pytest.mark.parametrize(
    ("row", "kinds"),
    [
        ("side", types.Side),
        ("tif", types.TimeInForce),
        ("session scope (bits)", types.Scope),
        ("decline reason", messages.DeclineReason),
    ],
)
def test_an_enumeration_is_its_row(row: str, kinds: type[IntEnum] | type[IntFlag]) -> None:
    assert {kind.value: kind.name.lower() for kind in kinds if kind.name} == {
        value: name.lower() for value, name in ENUMERATIONS[row].items()
    }


@pytest.mark.parametrize(("row", "kinds"), [("kind (order)", types.OrderKind), ("kind (ticket)", types.TicketKind)])
def test_kinds_begin_as_their_row_does(row: str, kinds: type[IntEnum]) -> None:
    told = ENUMERATIONS[row]
    assert {kind.value: kind.name.lower().split("_")[0] for kind in kinds} == told


@pytest.mark.parametrize("lot_size", [1, 10**15, types.U96_MAX])
def test_amounts_are_exact(lot_size: int) -> None:
    """Spec: [TYPE-1]; the largest figures that an order and a market can have, to the last unit."""
    fields = {"base": ADDRESS, "quote": ADDRESS, "lot_size": lot_size, "tick_size": types.U96_MAX, "min_fill_lots": 1}
    ours, theirs = types.Market(**fields), reference.Market(**fields)
    most = types.U64_MAX
    assert ours.base_amount(most) == reference.base_amount(theirs, most) == most * lot_size
    assert ours.quote_amount(most, most) == reference.quote_amount(theirs, most, most) == most**2 * types.U96_MAX


@pytest.mark.parametrize(
    ("epoch", "starts_ms", "starts_s"), [(0, 1_999, 1), (1, 2_499, 2), (2, 2_999, 2), (3, 3_499, 3)]
)
def test_seconds_are_rounded_down(epoch: int, starts_ms: int, starts_s: int) -> None:
    """Spec: [TYPE-2]."""
    market = types.Market(base=ADDRESS, quote=ADDRESS, lot_size=1, tick_size=1, min_fill_lots=1)
    rules = MarketRules(market=market, market_id=types.MarketId(bytes(32)), preset=PRESETS["dev"], genesis_ms=1_999)
    clock = reference.Clock(constants=reference.PRESETS["dev"], genesis_ms=1_999)
    assert rules.epoch_start_ms(epoch) == reference.epoch_start_ms(clock, epoch) == starts_ms
    assert rules.epoch_start_s(epoch) == reference.epoch_start_s(clock, epoch) == starts_s
    assert (rules.epoch_at(starts_ms), rules.epoch_at(starts_ms - 1)) == (epoch, max(0, epoch - 1))
