"""The committed vectors of types: what the reference says today, and the program too.

Spec: [TYPE-1..5], [CONST-1..2], [NET-1..2].
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orrange_p2p.core import direct_frames, frames
from orrange_p2p.core.codec import compute_items_root
from orrange_p2p.core.presets import PRESETS, MarketRules
from orrange_p2p.core.types import Address, Market, MarketId, PeerId
from orrange_p2p.core.verify import is_peer_signature
from orrange_p2p.net.entry_gossip import market_topic
from orrange_p2p.net.framing import LENGTH_BYTES

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "protocol" / "vectors" / "types"
Case = dict[str, Any]


def cases_of(name: str) -> list[Any]:
    cases: list[Case] = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))["cases"]
    return [pytest.param(case, id=case["name"]) for case in cases]


def octets(said: str) -> bytes:
    return bytes.fromhex(said[2:])


def market_with(lot_size: int, tick_size: int) -> Market:
    token = Address(bytes(20))
    return Market(base=token, quote=token, lot_size=lot_size, tick_size=tick_size, min_fill_lots=1)


def test_the_committed_files_are_what_the_reference_says_today() -> None:
    command = [sys.executable, str(ROOT / "tests" / "vectors" / "emit_types.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("case", cases_of("amounts"))
def test_amounts_are_exact(case: Case) -> None:
    market, lots = market_with(int(case["lot_size"]), int(case["tick_size"])), int(case["lots"])
    assert str(market.base_amount(lots)) == case["base_amount"]
    assert str(market.quote_amount(int(case["price_ticks"]), lots)) == case["quote_amount"]


@pytest.mark.parametrize("case", cases_of("times"))
def test_epochs_start_when_they_should(case: Case) -> None:
    preset = replace(PRESETS["dev"], epoch_ms=int(case["epoch_ms"]))
    rules = MarketRules(
        market=market_with(1, 1), market_id=MarketId(bytes(32)), preset=preset, genesis_ms=int(case["genesis_ms"])
    )
    epoch = int(case["epoch"])
    assert (str(rules.epoch_start_ms(epoch)), str(rules.epoch_start_s(epoch))) == (case["start_ms"], case["start_s"])
    assert rules.epoch_at(rules.epoch_start_ms(epoch)) == epoch


@pytest.mark.parametrize("case", cases_of("constants"))
def test_presets_are_their_rows_and_consistent(case: Case) -> None:
    assert case["is_consistent"] == (case["name"] in PRESETS)
    if case["name"] in PRESETS:
        preset, renamed = PRESETS[case["name"]], {"d": "ticket_life_s", "l_fund": "fund_lag_s"}
        assert all(getattr(preset, renamed.get(key, key)) == int(value) for key, value in case["constants"].items())


@pytest.mark.parametrize("case", cases_of("roots"))
def test_roots_depend_on_every_item_and_their_order(case: Case) -> None:
    assert compute_items_root([octets(item) for item in case["items"]]) == octets(case["root"])


@pytest.mark.parametrize("case", cases_of("peer_signatures"))
def test_peer_signatures_are_judged_as_libsodium_does(case: Case) -> None:
    peer_id, signature = PeerId(octets(case["peer_id"])), octets(case["signature"])
    assert is_peer_signature(octets(case["digest"]), signature, peer_id) == case["is_good"]


@pytest.mark.parametrize("case", cases_of("topics"))
def test_topics_are_named_after_their_market(case: Case) -> None:
    assert market_topic(MarketId(octets(case["market"]))) == case["topic"]


@pytest.mark.parametrize("case", cases_of("frames"))
def test_frames_have_a_length_and_a_limit(case: Case) -> None:
    most = {
        "/orrange/ticket/1": frames.MAX_TICKET_FRAME_BYTES,
        "/orrange/sync/1": frames.MAX_SYNC_FRAME_BYTES,
        "/orrange/dm/1": direct_frames.MAX_DIRECT_FRAME_BYTES,
    }[case["protocol"]]
    length = int(case["length"])
    head = length.to_bytes(LENGTH_BYTES, "big") if length <= most else None
    assert head == (None if case["head"] is None else octets(case["head"]))
