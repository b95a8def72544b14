"""The committed vectors of presence, evidence and payment instructions: what the reference and the program say.

Spec: [PEER-1..3], [EVID-1..5], [TYPE-7], [DM-1..3].
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orrange_p2p.core.direct_frames import decode_boxed
from orrange_p2p.core.evidence import VerifiedEvidence, verify_evidence
from orrange_p2p.core.instructions import InstructionBook, InstructionRecord, Parties, Party
from orrange_p2p.core.messages import Receipt
from orrange_p2p.core.peer_messages import DefaultPointer, Presence
from orrange_p2p.core.presence import PresenceBook, verify_presence
from orrange_p2p.core.types import Address, Epoch, MarketId, PeerId, Signature, TicketDigest
from orrange_p2p.core.verdicts import Accept, Ignore, Reject
from orrange_p2p.errors import RemoteProtocolError
from orrange_p2p.keys.boxes import BoxKey
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


OWN, OTHER = Address(b"\1" * 20), Address(b"\2" * 20)
SELLERS_PEER, THIRD_PEER = PeerId(b"\1" * 38), PeerId(b"\2" * 38)
TICKET = TicketDigest(bytes(32))


def record_of(ticket: bytes, version: int) -> InstructionRecord:
    """Instructions written before."""
    return InstructionRecord(
        ticket=TicketDigest(ticket), slot=0, version=version, text="pay", since_ms=0, receipt=version
    )


@pytest.mark.parametrize("case", cases_of("instructions"))
def test_boxes_hold_their_text_or_are_refused(case: Case) -> None:
    ticket, box = TicketDigest(octets(case["ticket"])), octets(case["box"])
    key = BoxKey.from_secret(octets(case["reader_secret"]))
    text, refused = None, None
    try:
        text = decode_boxed(key.open_box(octets(case["writer_key"]), box), ticket, int(case["version"]))
    except RemoteProtocolError as error:
        refused = error.rule
    assert (None if text is None else "0x" + text.encode().hex(), refused) == (case["text"], case["refused"])


@pytest.mark.parametrize("case", cases_of("answers"))
def test_instructions_are_taken_and_answered_by_the_right_party_alone(case: Case) -> None:
    book, version = InstructionBook(OWN), int(case["version"])
    sessions = (OTHER, OWN) if case["role"] == "seller" else (OWN, OTHER)
    buyer, seller = (Party(session=one, peer=SELLERS_PEER, encryption_key=bytes(32)) for one in sessions)
    parties = None if case["role"] is None else Parties(buyer=buyer, seller=seller)
    if int(case["held"]):
        book.keep_received(record_of(TICKET, int(case["held"])))
    verdict = book.judge(parties, SELLERS_PEER if case["is_from_seller"] else THIRD_PEER)
    if case["refused"] is not None:
        assert verdict == Reject(case["refused"])
        return
    assert isinstance(verdict, Ignore if case["receipt"] is None else Accept)
    if case["receipt"] is not None:
        taken = book.take(TICKET, version, "pay", 0)
        if taken is not None:
            book.keep_received(taken)
        assert book.received(TICKET).version == int(case["receipt"])


@pytest.mark.parametrize("case", cases_of("receipts"))
def test_a_receipt_answers_what_was_sent_or_is_refused(case: Case) -> None:
    book, sent = InstructionBook(OWN), replace(record_of(octets(case["ticket"]), int(case["version"])), receipt=0)
    book.keep_written(sent)
    receipt = Receipt(ticket_digest=TicketDigest(octets(case["receipt_ticket"])), version=int(case["receipt_version"]))
    if case["refused"] is not None:
        with pytest.raises(RemoteProtocolError) as caught:
            book.confirm(sent, receipt)
        assert caught.value.rule == case["refused"]
        return
    kept = book.confirm(sent, receipt)
    assert (kept.receipt, kept.is_delivered) == (receipt.version, True)
