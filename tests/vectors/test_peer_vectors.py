"""The committed vectors of presence and evidence: what the reference says today, and the program too.

Spec: [PEER-1..3], [EVID-1..5], [TYPE-7].
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orrange_p2p.core.evidence import VerifiedEvidence, verify_evidence
from orrange_p2p.core.peer_messages import DefaultPointer, Presence
from orrange_p2p.core.presence import PresenceBook, verify_presence
from orrange_p2p.core.types import Address, Epoch, MarketId, Signature
from orrange_p2p.errors import RemoteProtocolError
from tests.core.adapters import FAST_DIGESTS, RULES
from tests.core.pens import OTHER_MARKET_ID

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "protocol" / "vectors" / "peers"
MARKETS = {market: replace(RULES, market_id=market) for market in (RULES.market_id, MarketId(OTHER_MARKET_ID))}
Case = dict[str, Any]


def cases_of(name: str) -> list[Any]:
    cases: list[Case] = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))["cases"]
    return [pytest.param(case, id=case["name"]) for case in cases]


def octets(said: str) -> bytes:
    return bytes.fromhex(said[2:])


def test_the_committed_files_are_what_the_reference_says_today() -> None:
    command = [sys.executable, str(ROOT / "tests" / "vectors" / "emit_peers.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("case", cases_of("evidence"))
def test_evidence_proves_what_it_should_and_nothing_else(case: Case) -> None:
    encoded = octets(case["encoded"])
    if case["refused"] is not None:
        with pytest.raises(RemoteProtocolError) as caught:
            verify_evidence(FAST_DIGESTS, MARKETS, encoded)
        assert caught.value.rule == case["refused"]
        return
    found = verify_evidence(FAST_DIGESTS, MARKETS, encoded)
    if case["proves"] is None:
        assert isinstance(found, DefaultPointer)
        return
    assert isinstance(found, VerifiedEvidence)
    seq = None if found.forked_seq < 0 else str(found.forked_seq)
    assert ("0x" + found.session.hex(), "0x" + found.market.hex(), seq) == tuple(case["proves"].values())


def test_evidence_about_a_market_that_is_not_followed_is_nobodys_fault() -> None:
    told = json.loads((VECTORS / "evidence.json").read_text("utf-8"))["cases"]
    proving = [octets(case["encoded"]) for case in told if case["proves"] is not None]
    assert [verify_evidence(FAST_DIGESTS, {}, encoded) for encoded in proving] == [None] * len(proving)


@pytest.mark.parametrize("case", cases_of("presence"))
def test_presences_are_their_sessions_or_refused(case: Case) -> None:
    encoded = octets(case["encoded"])
    if case["refused"] is not None:
        with pytest.raises(RemoteProtocolError) as caught:
            verify_presence(FAST_DIGESTS, encoded)
        assert caught.value.rule == case["refused"]
        return
    found = verify_presence(FAST_DIGESTS, encoded)
    assert ("0x" + found.session.hex(), str(found.epoch)) == tuple(case["alive"].values())


@pytest.mark.parametrize("case", cases_of("absence"))
def test_who_gave_no_sign_of_life_is_absent(case: Case) -> None:
    book = PresenceBook(dead_ms=int(case["dead_s"]) * 1000)
    book.restart(int(case["synced_ms"]))
    for session, alive_ms in case["alive_ms"].items():
        book.note_alive(Address(octets(session)), int(alive_ms))
    sessions = [Address(octets(session)) for session in case["sessions"]]
    assert ["0x" + one.hex() for one in book.absent(sessions, int(case["now_ms"]))] == case["absent"]


@pytest.mark.parametrize("case", [one for one in cases_of("newest") if "ahead" not in one.id])
def test_the_latest_presence_counts(case: Case) -> None:
    book = PresenceBook(dead_ms=1000)
    session = Address(bytes(20))
    for epoch in map(int, case["heard"]):
        presence = Presence(session=session, epoch=Epoch(epoch), heads=(), addresses=(), signature=Signature(bytes(65)))
        book.take(presence, b"%d" % epoch, 0)
    found = book.presence(session)
    assert found is not None
    assert str(found.epoch) == case["newest"]
