"""A side of a swap between chains: which terms it refuses, when it does not act, and that nobody can rob it."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from swap_worlds import (
    FINALITY_S,
    FIRST_DEADLINE_S,
    INITIATOR,
    MARGIN_S,
    PREIMAGE,
    SECOND_DEADLINE_S,
    START_S,
    SwapWorld,
    begin,
    make_leg,
    make_pact,
    outcome_fits,
)

from orrange_p2p.core.swap_terms import COIN, Leg, Preimage, SwapPact, SwapState, find_fault
from orrange_p2p.core.swaps import (
    ChainsRead,
    ClaimLock,
    ClaimSent,
    LegView,
    OpenLock,
    RefundLock,
    SwapAction,
    SwapOutcome,
    SwapRecord,
    SwapRole,
    WithdrawCredit,
    begin_swap,
    latest_opening_s,
    step,
)
from orrange_p2p.core.types import ZERO_ADDRESS, Digest
from orrange_p2p.errors import ConfigError

NONE, OPEN, CLAIMED, REFUNDED = SwapState
SECOND_LEG = {"chain_id": 2, "deadline_s": SECOND_DEADLINE_S}
LATEST_CLAIM_S = SECOND_DEADLINE_S - FINALITY_S - MARGIN_S
UNSAFE = [
    (make_pact(participant=INITIATOR), "expected two accounts"),
    (make_pact(initiator=ZERO_ADDRESS), "expected two accounts"),
    (make_pact(second=make_leg(deadline_s=SECOND_DEADLINE_S)), "expected two chains, was chain 1 twice"),
    (make_pact(margin_s=59), "expected a margin_s of at least 60, was 59"),
    (make_pact(nonce=2**64), "expected a nonce"),
    (make_pact(first=make_leg(amount=0)), "the first lock: expected an amount of at least 1, was 0"),
    (make_pact(second=make_leg(**SECOND_LEG, amount=2**256)), "the second lock: expected an amount"),
    (make_pact(first=make_leg(contract=ZERO_ADDRESS)), "expected the address of a contract"),
    (make_pact(first=make_leg(confirmations=0)), "expected 1 confirmation or more"),
    (make_pact(first=make_leg(finality_s=0)), "expected a finality_s of 1 or more"),
    (make_pact(first=make_leg(deadline_s=2**64)), "expected a deadline in unix seconds"),
    (
        make_pact(second=make_leg(chain_id=2, deadline_s=SECOND_DEADLINE_S + 1)),
        f"expected a deadline of the second lock at {SECOND_DEADLINE_S} or before",
    ),
]


def view(state: SwapState, confirmed: SwapState | None = None, *, time_s: int = START_S, **more: object) -> LegView:
    """What a chain says of a lock."""
    known = LegView(block_number=9, time_s=time_s, state=state, confirmed=state if confirmed is None else confirmed)
    return replace(known, **more)  # type: ignore[arg-type]


def look(
    record: SwapRecord, first: LegView | None, second: LegView | None, now_s: int = START_S
) -> tuple[SwapRecord, tuple[SwapAction, ...]]:
    """One look at both chains."""
    return step(record, ChainsRead(now_s=now_s, first=first, second=second))


def actions_of(record: SwapRecord, first: LegView | None, second: LegView | None, now_s: int = START_S) -> list[object]:
    """What a side does after one look."""
    return [*look(record, first, second, now_s)[1]]


def opened(role: SwapRole, **changes: object) -> SwapRecord:
    """A side that has locked."""
    return replace(begin(role), open_block=4, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("pact", "part"), UNSAFE)
def test_unsafe_terms_are_refused_by_both_sides(pact: SwapPact, part: str) -> None:
    for role in SwapRole:
        with pytest.raises(ConfigError, match=part):
            begin(role, pact)


def test_terms_that_are_just_safe_are_taken() -> None:
    assert find_fault(make_pact()) is None
    assert find_fault(make_pact(first=make_leg(token=COIN))) is None
    assert make_pact().second_deadline_max_s == SECOND_DEADLINE_S


def test_a_preimage_is_the_hashlocks_and_on_the_initiators_side_alone() -> None:
    with pytest.raises(ConfigError, match="on the initiator's side"):
        begin_swap(SwapRole.INITIATOR, make_pact())
    with pytest.raises(ConfigError, match="on the initiator's side"):
        begin_swap(SwapRole.PARTICIPANT, make_pact(), PREIMAGE)
    with pytest.raises(ConfigError, match="was another one"):
        begin_swap(SwapRole.INITIATOR, make_pact(), Preimage(bytes(32)))


def test_both_locks_have_one_hashlock_and_opposite_parties() -> None:
    pact = make_pact()
    first, second = pact.terms(Leg.FIRST), pact.terms(Leg.SECOND)
    assert first.hashlock == second.hashlock == pact.hashlock
    assert (first.refundee, first.recipient) == (pact.initiator, pact.participant)
    assert (second.refundee, second.recipient) == (pact.participant, pact.initiator)
    assert (first.value_wei, replace(first, token=COIN).value_wei) == (0, first.amount)


def test_no_record_shows_the_preimage() -> None:
    shown = repr(begin(SwapRole.INITIATOR)) + repr(ClaimLock(leg=Leg.SECOND, preimage=PREIMAGE))
    assert repr(PREIMAGE) not in shown
    assert "preimage" not in shown


@pytest.mark.parametrize(
    ("first", "second", "now_s"),
    [
        (view(NONE), view(NONE), START_S),
        (view(OPEN, NONE), view(NONE), START_S),
        (view(NONE, OPEN), view(NONE), START_S),
        (view(CLAIMED), view(NONE), START_S),
        (view(REFUNDED), view(NONE), START_S),
        (None, view(NONE), START_S),
        (view(OPEN), None, START_S),
        (view(OPEN), view(NONE), LATEST_CLAIM_S - FINALITY_S + 1),
        (view(OPEN, time_s=LATEST_CLAIM_S), view(NONE), START_S),
        (view(OPEN), view(NONE, time_s=LATEST_CLAIM_S), START_S),
    ],
)
def test_a_participant_locks_nothing_unless_the_first_lock_is_final_and_there_is_time(
    first: LegView | None, second: LegView | None, now_s: int
) -> None:
    assert actions_of(begin(SwapRole.PARTICIPANT), first, second, now_s) == []


def test_a_participant_locks_once_the_first_lock_is_final_and_remembers_it_first() -> None:
    record, actions = look(begin(SwapRole.PARTICIPANT), view(OPEN), view(NONE))
    assert actions == (OpenLock(leg=Leg.SECOND),)
    assert record.open_block == 9
    again, actions = look(record, view(OPEN), view(NONE, block_number=12))
    assert actions == (OpenLock(leg=Leg.SECOND),)
    assert again.open_block == 9


@pytest.mark.parametrize(
    ("second", "now_s"),
    [
        (view(NONE), START_S),
        (view(OPEN, NONE), START_S),
        (view(NONE, OPEN), START_S),
        (view(CLAIMED, OPEN), START_S),
        (view(REFUNDED, OPEN), START_S),
        (None, START_S),
        (view(OPEN), LATEST_CLAIM_S + 1),
        (view(OPEN, time_s=LATEST_CLAIM_S + 1), START_S),
        (view(OPEN, time_s=SECOND_DEADLINE_S), START_S),
    ],
)
def test_an_initiator_shows_nothing_unless_the_second_lock_is_final_and_there_is_time(
    second: LegView | None, now_s: int
) -> None:
    assert actions_of(opened(SwapRole.INITIATOR), view(OPEN), second, now_s) == []


def test_an_initiator_that_has_not_locked_takes_nothing() -> None:
    assert actions_of(begin(SwapRole.INITIATOR), view(NONE), view(OPEN)) == [OpenLock(leg=Leg.FIRST)]


def test_an_initiator_claims_up_to_the_last_safe_second() -> None:
    record, actions = look(opened(SwapRole.INITIATOR), view(OPEN), view(OPEN), LATEST_CLAIM_S)
    assert actions == (ClaimLock(leg=Leg.SECOND, preimage=PREIMAGE),)
    assert record.is_claim_begun
    assert not record.is_revealed


def test_a_claim_that_may_not_have_been_sent_is_not_repeated_too_late() -> None:
    record = opened(SwapRole.INITIATOR, is_claim_begun=True)
    last_s = SECOND_DEADLINE_S - FINALITY_S - 1
    assert actions_of(record, view(OPEN), view(OPEN), last_s) == [ClaimLock(leg=Leg.SECOND, preimage=PREIMAGE)]
    assert actions_of(record, view(OPEN), view(OPEN), last_s + 1) == []


def test_a_claim_that_others_saw_is_repeated_to_the_end() -> None:
    late = {"now_s": SECOND_DEADLINE_S - 1, "second": view(OPEN, time_s=SECOND_DEADLINE_S - 1)}
    claim = [ClaimLock(leg=Leg.SECOND, preimage=PREIMAGE)]
    sent, _ = step(opened(SwapRole.INITIATOR, is_claim_begun=True), ClaimSent())
    assert actions_of(sent, view(OPEN), **late) == claim  # type: ignore[arg-type]
    assert actions_of(opened(SwapRole.INITIATOR), view(CLAIMED), **late) == claim  # type: ignore[arg-type]
    assert actions_of(sent, view(OPEN), view(OPEN, time_s=SECOND_DEADLINE_S)) == []


def test_a_participant_claims_with_what_the_claim_of_its_lock_showed_even_before_that_is_final() -> None:
    record = opened(SwapRole.PARTICIPANT)
    shown = view(CLAIMED, OPEN, preimage=PREIMAGE)
    learnt, actions = look(record, view(OPEN), shown)
    assert actions == (ClaimLock(leg=Leg.FIRST, preimage=PREIMAGE),)
    assert learnt.preimage == PREIMAGE
    assert actions_of(learnt, view(OPEN), None) == [ClaimLock(leg=Leg.FIRST, preimage=PREIMAGE)]
    assert actions_of(record, view(OPEN), view(CLAIMED, OPEN, preimage=Preimage(bytes(32)))) == []
    assert actions_of(record, view(OPEN), view(OPEN, preimage=PREIMAGE)) == []


@pytest.mark.parametrize("role", SwapRole)
def test_a_side_takes_its_lock_back_from_its_deadline_on_whatever_the_other_chain_says(role: SwapRole) -> None:
    record = opened(role)
    deadline_s = record.pact.leg(record.given).deadline_s
    for time_s, expected in ((deadline_s - 1, []), (deadline_s, [RefundLock(leg=record.given)])):
        late = view(OPEN, time_s=time_s)
        first, second = (late, None) if role is SwapRole.INITIATOR else (None, late)
        assert actions_of(record, first, second, deadline_s + 1) == expected


def test_an_initiator_that_claimed_leaves_its_lock_to_the_participant() -> None:
    record = opened(SwapRole.INITIATOR, is_claim_begun=True)
    assert actions_of(record, view(OPEN, time_s=FIRST_DEADLINE_S), view(CLAIMED, OPEN)) == []


def test_what_the_contract_owes_is_withdrawn_and_then_the_swap_has_ended() -> None:
    for role in SwapRole:
        record = opened(role, is_claim_begun=True, is_revealed=True, preimage=PREIMAGE)
        owing, paid = view(CLAIMED, credit=5), view(CLAIMED)
        views = (paid, owing) if role is SwapRole.INITIATOR else (owing, paid)
        assert actions_of(record, *views) == [WithdrawCredit(leg=record.taken, amount=5)]
        assert look(record, paid, paid)[0].outcome is SwapOutcome.COMPLETED
        refunded = (view(REFUNDED, credit=5), None) if role is SwapRole.INITIATOR else (None, view(REFUNDED, credit=5))
        assert actions_of(opened(role), *refunded) == [WithdrawCredit(leg=record.given, amount=5)]


def test_a_participant_stays_until_its_own_lock_has_ended() -> None:
    record = opened(SwapRole.PARTICIPANT, preimage=PREIMAGE)
    assert look(record, view(CLAIMED), view(OPEN))[0].outcome is None
    assert look(record, view(CLAIMED), view(CLAIMED, OPEN))[0].outcome is None
    assert look(record, view(CLAIMED), view(CLAIMED))[0].outcome is SwapOutcome.COMPLETED


def test_a_refund_that_is_not_final_ends_nothing() -> None:
    record = opened(SwapRole.INITIATOR)
    assert look(record, view(REFUNDED, OPEN), view(NONE))[0].outcome is None
    assert look(record, view(REFUNDED), view(NONE))[0].outcome is SwapOutcome.REFUNDED


@pytest.mark.parametrize("role", SwapRole)
def test_a_side_that_locked_nothing_gives_up_once_it_is_too_late(role: SwapRole) -> None:
    record = begin(role)
    latest_s = latest_opening_s(record)
    assert look(record, None, None, latest_s)[0].outcome is None
    ended, actions = look(record, view(OPEN), view(NONE), latest_s + 1)
    assert (ended.outcome, actions) == (SwapOutcome.ABANDONED, ())
    assert look(ended, view(OPEN), view(NONE))[1] == ()


@pytest.mark.parametrize("role", SwapRole)
def test_a_lock_that_was_sent_and_never_mined_is_waited_for_until_it_cannot_come(role: SwapRole) -> None:
    record = opened(role)
    end_s = record.pact.leg(record.given).deadline_s + FINALITY_S
    for time_s, outcome in ((end_s - 1, None), (end_s, SwapOutcome.ABANDONED)):
        never = view(NONE, time_s=time_s)
        first, second = (never, None) if role is SwapRole.INITIATOR else (None, never)
        assert look(record, first, second, end_s)[0].outcome is outcome


@pytest.mark.parametrize("taken", [NONE, OPEN, REFUNDED])
def test_a_side_that_was_robbed_says_so(taken: SwapState) -> None:
    end_s = FIRST_DEADLINE_S + FINALITY_S
    lost = look(opened(SwapRole.PARTICIPANT), view(taken, time_s=end_s), view(CLAIMED), end_s)[0]
    assert lost.outcome is SwapOutcome.LOST
    early = look(opened(SwapRole.PARTICIPANT), view(taken, time_s=end_s - 1), view(CLAIMED), end_s)[0]
    assert early.outcome is None


WORLDS = settings(max_examples=max(50, settings().max_examples // 4))


@pytest.mark.parametrize("role", SwapRole)
@WORLDS
@for_all(seed=st.integers(0, 2**63))
def test_no_counterparty_can_rob_an_honest_side(role: SwapRole, seed: int) -> None:
    world = SwapWorld(Random(seed), begin(role))
    world.run()
    assert not world.is_robbed()
    assert outcome_fits(world), (world.saved, world.states())


@pytest.mark.parametrize("role", SwapRole)
@WORLDS
@for_all(seed=st.integers(0, 2**63))
def test_two_honest_sides_complete_or_both_have_their_own_back(role: SwapRole, seed: int) -> None:
    world = SwapWorld(Random(seed), begin(role), is_other_honest=True)
    world.run()
    assert world.states() in {
        (CLAIMED, CLAIMED),
        (REFUNDED, REFUNDED),
        (REFUNDED, NONE),
        (NONE, NONE),
        (NONE, REFUNDED),
    }
    assert outcome_fits(world), (world.saved, world.states())


def test_two_honest_sides_that_nothing_disturbs_complete() -> None:
    for seed in range(50):
        world = SwapWorld(Random(seed), begin(SwapRole.INITIATOR), is_other_honest=True)
        world.crashes_left = 0
        world.run()
        assert world.states() == (CLAIMED, CLAIMED)
        assert world.saved.outcome is world.other.outcome is SwapOutcome.COMPLETED


def test_with_unsafe_deadlines_the_same_counterparty_robs_a_participant() -> None:
    pact = make_pact(second=make_leg(chain_id=2, deadline_s=FIRST_DEADLINE_S))
    record = replace(begin(SwapRole.PARTICIPANT), pact=pact)
    worlds = [SwapWorld(Random(seed), record) for seed in range(400)]
    for world in worlds:
        world.run()
    robbed = [world for world in worlds if world.is_robbed()]
    assert robbed
    assert all(world.saved.outcome in (SwapOutcome.LOST, None) for world in robbed)


def test_a_record_of_another_hashlock_cannot_be_made() -> None:
    with pytest.raises(ConfigError, match="expected a preimage of the hashlock"):
        begin(SwapRole.INITIATOR, make_pact(hashlock=Digest(bytes(32))))
