"""The committed vectors of conduct and tickets: what the reference says today, and the program where it has the rule.

Spec: [FEED-9..12], [TICK-1..17], [SYNC-2..7], [SYNC-17..20], [PEER-4], [MATCH-1], [TYPE-6].
"""

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from orrange_p2p.core import market_kernel
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.evidence_log import EvidenceLog
from orrange_p2p.core.matching import Piece
from orrange_p2p.core.outbox import Outbox
from orrange_p2p.core.own_lots import Claim, OwnLots
from orrange_p2p.core.presets import PRESETS, MarketRules
from orrange_p2p.core.settling import Settling
from orrange_p2p.core.tickets import Suspicion, build_ticket, is_entitled, is_leg_taker, with_group
from orrange_p2p.core.types import Address, Digest, Epoch, Order, OrderId, Ticket, TicketDigest
from orrange_p2p.core.window import merge_effective
from protocol.reference import conduct
from tests.core.adapters import FAST_DOMAIN, RULES, fast_order
from tests.core.kernel_world import Peer, World
from tests.vectors import conduct_cases, ticket_cases

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "protocol" / "vectors"
SESSION = Address(b"\x05" * 20)
Case = dict[str, Any]


def cases_of(name: str, function: str | None = None) -> list[Any]:
    cases: list[Case] = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))["cases"]
    return [pytest.param(one, id=one["name"]) for one in cases if function in (None, one.get("function"))]


def value_of(said: Any) -> Any:
    """What a vector's field stands for."""
    if isinstance(said, str) and (said.startswith("0x") or said.lstrip("-").isdigit()):
        return bytes.fromhex(said[2:]) if said.startswith("0x") else int(said)
    return [value_of(one) for one in said] if isinstance(said, list) else said


def given(case: Case) -> dict[str, Any]:
    return {name: value_of(said) for name, said in case["given"].items()}


def test_the_committed_files_are_what_the_reference_says_today() -> None:
    command = [sys.executable, str(ROOT / "tests" / "vectors" / "emit_conduct.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_function_that_a_case_names_is_one_of_the_reference_or_of_its_cases() -> None:
    names = {
        case.values[0]["function"]
        for file in ("entries", "views", "promises", "nudges", "sync")
        for case in cases_of(f"conduct/{file}")
    }
    assert all(hasattr(conduct, name) or hasattr(conduct_cases, name) for name in names)
    assert len(names) > 20


# the program


@pytest.mark.parametrize("case", cases_of("conduct/patience"))
def test_the_silent_are_passed_over_for_as_long(case: Case) -> None:
    suspicion = Suspicion(least=int(case["least"]))
    for happening, epoch in case["happenings"]:
        {
            "silent": lambda epoch: suspicion.blame(SESSION, epoch),
            "answered": lambda _epoch: suspicion.clear(SESSION),
            "back": lambda epoch: suspicion.soften(SESSION, epoch),
        }[happening](Epoch(int(epoch)))
    last = int(case["happenings"][-1][1])
    found = [
        str(epoch) for epoch in range(0, 220, 3) if suspicion.is_suspected(SESSION, Epoch(epoch)) and epoch >= last
    ]
    assert found == case["passed_over_in_every_third_epoch_from_then"]


@pytest.mark.parametrize("case", cases_of("conduct/views", "merge_effective"))
def test_two_effective_epochs_become_one_or_none(case: Case) -> None:
    said = given(case)
    found = merge_effective(Epoch(said["claimed"]), Epoch(said["ours"]), Epoch(said["theirs"]))
    assert found == value_of(case["says"])


@pytest.mark.parametrize("case", cases_of("conduct/promises", "is_promised"))
def test_a_promise_ends_when_it_should(case: Case) -> None:
    said, lots, order = given(case), OwnLots(), OrderId(b"\x01" * 32)
    ticket = fast_ticket(case_ticket(epoch=said["ready_epoch"], deadline=2**40))
    lots.lock(order, (0, 10), ticket, TicketDigest(b"\x02" * 32), Claim.PROMISED)
    lots.expire(Epoch(said["epoch"]), 0, RULES.preset.ticket_life_s)
    assert lots.is_free(order, (0, 10), 0) is not case["says"]


@pytest.mark.parametrize("case", cases_of("conduct/promises", "submit_after"))
def test_tickets_are_submitted_when_they_should(case: Case) -> None:
    said = given(case)
    life_s = PRESETS[said["preset"]].ticket_life_s
    kernel = World(2).peers[0].kernel
    settling = Settling(kernel.ledger, kernel.digests, life_s)
    own_s = 0 if said["is_maker"] is not said["is_leg"] else None
    waits = {False: settling._single_after_ms, True: settling._group_after_ms}[said["is_leg"]] // 1000
    assert str(waits if own_s is None else own_s) == case["says"]


@pytest.mark.parametrize("case", cases_of("conduct/promises", "submit_for_others_after"))
def test_tickets_of_others_are_submitted_when_they_may(case: Case) -> None:
    kernel = World(2).peers[0].kernel
    settling = Settling(kernel.ledger, kernel.digests, PRESETS[given(case)["preset"]].ticket_life_s)
    assert str(settling._others_after_ms // 1000) == case["says"]


@pytest.mark.parametrize("case", cases_of("conduct/entries", "has_place"))
def test_who_has_a_place_is_as_the_program_has_it(case: Case) -> None:
    said = given(case)
    limits = (market_kernel.MAX_FEEDS, market_kernel.MAX_STRANGERS, market_kernel.MAX_STRANGER_BYTES)
    assert limits == (conduct.FEEDS_MAX, conduct.STRANGERS_MAX, conduct.STRANGER_BYTES_MAX)
    assert conduct.has_place(**said) is case["says"]


@pytest.mark.parametrize("case", cases_of("conduct/entries", "quarter_of"))
def test_an_own_entry_is_signed_once_a_quarter(case: Case) -> None:
    rules = replace(RULES, preset=PRESETS["dev"], genesis_ms=conduct_cases.DEV.genesis_ms)
    now_ms, quarter = given(case)["now_ms"], value_of(case["says"])
    ends_ms = rules.genesis_ms + -(-(quarter + 1) * rules.preset.epoch_ms // 4)
    outbox = Outbox(rules, Digests(FAST_DOMAIN), Peer("a quarter").identity)
    assert outbox.quarter(now_ms) == quarter == outbox.quarter(ends_ms - 1) == outbox.quarter(ends_ms) - 1


@pytest.mark.parametrize("case", cases_of("conduct/sync", "page_of_proofs"))
def test_a_page_of_proofs_cuts_no_session(case: Case) -> None:
    said = given(case)
    log = EvidenceLog.__new__(EvidenceLog)
    counted: dict[bytes, int] = {}
    log._pieces = {}
    for session in said["sessions"]:
        counted[session] = counted.get(session, 0) + 1
        log._pieces[(Address(session), counted[session])] = Said(session)  # type: ignore[index, assignment]
    assert list(log.pieces_after(Address(said["after"]))) == value_of(case["says"])


class Said:
    """Stands for a piece; its bytes are whom it is about."""

    def __init__(self, session: bytes) -> None:
        self.encoded = session


# tickets


def order_of(said: Case) -> Order:
    """The program's form of an order."""
    names = [field.name for field in fields(ticket_cases.Order)]
    values = {name: value_of(said[name]) for name in names}
    lists = {name: tuple(values[name]) for name in ("payment_methods", "arbitrators")}
    return fast_order(ticket_cases.Order(**(values | lists)))


def fast_ticket(ticket: ticket_cases.Ticket) -> Ticket:
    """The program's form of a ticket."""
    values = {name: getattr(ticket, name) for name in ticket_cases.Ticket.__dataclass_fields__}
    values["deadline_s"] = values.pop("deadline")
    return Ticket(**values)


def case_ticket(**changes: Any) -> ticket_cases.Ticket:
    return replace(ticket_cases.make_ticket(), **changes)


def ticket_from(said: Case) -> Ticket:
    """The program's form of a vector's ticket."""
    names = ticket_cases.Ticket.__dataclass_fields__
    return fast_ticket(ticket_cases.Ticket(**{name: value_of(said[name]) for name in names}))


@pytest.mark.parametrize("case", cases_of("tickets/tickets"))
def test_a_piece_stands_for_one_ticket(case: Case) -> None:
    piece = Piece(**{name: value_of(said) for name, said in case["piece"].items()})
    rules = MarketRules(
        market=RULES.market, market_id=RULES.market_id, preset=RULES.preset, genesis_ms=RULES.genesis_ms
    )
    maker, taker = order_of(case["maker"]), order_of(case["taker"])
    built = build_ticket(piece, Epoch(int(case["epoch"])), int(case["ticket_nonce"]), rules, maker=maker, taker=taker)
    assert built == ticket_from(case["ticket"])


@pytest.mark.parametrize("case", cases_of("tickets/groups"))
def test_legs_hash_to_their_group_in_any_order(case: Case) -> None:
    legs = [replace(ticket_from(leg), group=Digest(bytes(32))) for leg in case["legs"]]
    digests = Digests(FAST_DOMAIN)
    assert digests.group(legs) == digests.group(legs[::-1]) == value_of(case["group"])
    assert [leg.group for leg in with_group(digests, legs)] == [value_of(case["group"])] * len(legs)


@pytest.mark.parametrize("case", cases_of("tickets/entitled"))
def test_a_maker_keeps_the_lots_of_what_is_among_the_entitlements(case: Case) -> None:
    ticket, taker = ticket_from(case["ticket"]), order_of(case["taker"])
    pieces = [Piece(**{name: value_of(said) for name, said in piece.items()}) for piece in case["pieces"]]
    is_of_its_kind = (ticket.group != bytes(32)) == is_leg_taker(taker)
    assert (is_of_its_kind and is_entitled(ticket, pieces, taker)) == case["is_entitled"]


@pytest.mark.parametrize("case", cases_of("tickets/contradictions"))
def test_lots_and_numbers_are_signed_away_once(case: Case) -> None:
    first, second = ticket_from(case["first"]), ticket_from(case["second"])
    order, digests = OrderId(value_of(case["order"])), Digests(FAST_DOMAIN)
    lots = OwnLots()
    for ticket, taker in ((first, case["first_taker"]), (second, case["second_taker"])):
        digest = digests.ticket(ticket)
        own = (ticket.maker_from, ticket.maker_to)
        start_s = RULES.epoch_start_s(ticket.epoch)
        is_free = lots.is_free(order, own, start_s, besides=digest)
        may_sign = is_free and lots.claim_nonce(Address(value_of(taker)), ticket.ticket_nonce, digest)
        lots.lock(order, own, ticket, digest, Claim.SIGNED)
    assert may_sign is not case["contradicts"]
