"""What a node tells of a score: the parts add up, and a score of 0 has its reason."""

import pytest

from orrange_p2p.core.period import Period, first_period
from orrange_p2p.core.types import Address, Digest, MarketId
from orrange_p2p.launch.reputation_answer import answer_reputation
from protocol.reference import chain
from tests.core.adapters import fast_ledger
from tests.core.conduct_worlds import DAY_S, OWNERS, UNIT, Chronicle, bonded, trade

ANNA, BERT = OWNERS[:2]


def told(chronicle: Chronicle, owner: bytes = ANNA) -> dict[str, object]:
    """The answer as of the newest block."""
    period = Period(beacon=Digest(b"\x11" * 32), standings=chronicle.standings())
    return dict(answer_reputation(fast_ledger(chronicle.blocks), period, DAY_S, Address(owner)))


def test_the_facts_behind_a_score_are_listed_and_add_up() -> None:
    answer = told(bonded().block(trade(ANNA, BERT, 40 * UNIT), days=1))
    vouches = answer["vouches"]
    assert isinstance(vouches, list)
    assert [one["counterparty"] for one in vouches] == [f"0x{BERT.hex()}"]
    assert (vouches[0]["trades"], vouches[0]["paid"]) == (1, 40 * UNIT)
    assert answer["gathered"] == vouches[0]["counted"] == min(vouches[0]["fees"], vouches[0]["cap"])
    assert answer["score"] == answer["good"] == vouches[0]["counted"] * 60 // 256 + answer["locked"] // 7300  # type: ignore[operator]
    assert answer["why"] is None
    assert answer["offences"] == []


def test_without_a_bond_the_score_is_0_and_says_so() -> None:
    answer = told(Chronicle().block(trade(ANNA, BERT, 40 * UNIT), days=1))
    assert (answer["score"], answer["tier"], answer["bond"]) == (0, 0, 0)
    assert answer["why"] == "no bond: without one a score is 0"


@pytest.mark.parametrize(
    ("offence", "name", "why"),
    [
        (chain.Slashed(owner=ANNA, amount=UNIT, is_over_signing=True), "over-signing", "signed lots twice"),
        (chain.Slashed(owner=ANNA, amount=UNIT, is_over_signing=False), "fork", None),
        (chain.DisputeLost(owner=ANNA, amount=UNIT), "dispute lost", None),
        (chain.Defaulted(owner=ANNA, ticket=bytes(32), victim=BERT, amount=UNIT), "default", None),
    ],
)
def test_every_offence_has_its_name(offence: chain.Fact, name: str, why: str | None) -> None:
    answer = told(bonded().block(trade(ANNA, BERT, 400 * UNIT), offence))
    offences = answer["offences"]
    assert isinstance(offences, list)
    assert [(one["offence"], one["amount"]) for one in offences] == [(name, UNIT)]
    assert str(answer["why"]).startswith(why) if why else answer["why"] is None


def test_before_there_is_an_anchor_everybody_stands_at_0() -> None:
    ledger = fast_ledger(bonded().blocks)
    answer = answer_reputation(ledger, first_period(MarketId(b"\x22" * 32)), DAY_S, Address(ANNA))
    assert (answer["anchor"], answer["score"]) == (None, 0)
