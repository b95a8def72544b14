"""One party's side of a swap between two chains: what it may do next, from what both chains say.

Nobody is trusted. Each side acts only where the worst that the other can do costs it nothing but time:

- the initiator locks first, and claims only while its claim is sure to be final before the second lock's deadline; a
  preimage shown too late would let the participant claim the first lock and take the second one back;
- the participant locks only once the first lock is final, exactly as agreed, and ends long enough after its own;
- both take their own lock back from its deadline on.

Every action can be repeated: the contract opens the same lock once, and ends it once. What a side was about to do is in
its record before it does it, so that a side killed at any moment goes on from its record.

What is assumed: a transaction sent is final within `finality_s` of its chain, this side looks at both chains more often
than `margin_s`, clocks differ by less than that, and the chains' endpoints tell the truth.
"""

from dataclasses import dataclass, field, replace
from enum import Enum

from orrange_p2p.core.swap_terms import Leg, Preimage, SwapPact, SwapState, compute_hashlock, find_fault
from orrange_p2p.core.types import Address
from orrange_p2p.errors import ConfigError


class SwapRole(Enum):
    """Which side of a swap this is."""

    INITIATOR = "initiator"
    PARTICIPANT = "participant"


class SwapOutcome(Enum):
    """How a swap ended for one side.

    `COMPLETED` means that it has what the other gave, `REFUNDED` that it has its own back, `ABANDONED` that it never
    locked anything, and `LOST` that the other has both: the assumptions did not hold.
    """

    COMPLETED = "completed"
    REFUNDED = "refunded"
    ABANDONED = "abandoned"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapRecord:
    """All that one side has to remember, and to keep secret.

    Attributes:
        role: which side this is.
        pact: what was agreed.
        preimage: the initiator's secret, until it is shown; the participant knows it once it is.
        open_block: the newest block of its chain when this side first set out to lock; None before.
        is_claim_begun: this side set out to claim; the preimage may be known to others.
        is_revealed: the preimage is known to others.
        outcome: how it ended; None while it has not.
    """

    role: SwapRole
    pact: SwapPact
    preimage: Preimage | None = field(default=None, repr=False)
    open_block: int | None = None
    is_claim_begun: bool = False
    is_revealed: bool = False
    outcome: SwapOutcome | None = None

    @property
    def given(self) -> Leg:
        """The lock that this side opens."""
        return Leg.FIRST if self.role is SwapRole.INITIATOR else Leg.SECOND

    @property
    def taken(self) -> Leg:
        """The lock that this side claims."""
        return Leg.SECOND if self.role is SwapRole.INITIATOR else Leg.FIRST

    @property
    def account(self) -> Address:
        """This side's account."""
        return self.pact.initiator if self.role is SwapRole.INITIATOR else self.pact.participant


@dataclass(frozen=True, slots=True, kw_only=True)
class LegView:
    """What a chain says of one lock of a swap, under exactly the terms agreed.

    Attributes:
        block_number: the newest block.
        time_s: that block's time, unix seconds.
        state: the lock at that block.
        confirmed: the lock as many blocks earlier as the pact's confirmations say.
        credit: token units that this side's account can withdraw there.
        preimage: what a claim showed; asked for on the lock that this side gave, and where it was claimed.
    """

    block_number: int
    time_s: int
    state: SwapState
    confirmed: SwapState
    credit: int = 0
    preimage: Preimage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainsRead:
    """Both chains were asked; None stands for one that did not answer. `now_s` is the machine's clock, unix seconds."""

    now_s: int
    first: LegView | None
    second: LegView | None

    def leg(self, which: Leg) -> LegView | None:
        """What the chain of one lock says."""
        return self.first if which is Leg.FIRST else self.second

    @property
    def latest_s(self) -> int:
        """The latest of all clocks: whoever is late by any of them is late."""
        return max(self.now_s, *(view.time_s for view in (self.first, self.second) if view is not None), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSent:
    """The chain took the claim into its pool, so that anybody may have seen the preimage."""


SwapEvent = ChainsRead | ClaimSent


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLock:
    """Lock what this side gives."""

    leg: Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimLock:
    """Claim what the other side gave; this shows the preimage to everybody."""

    leg: Leg
    preimage: Preimage = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundLock:
    """Take back what this side gave."""

    leg: Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawCredit:
    """Have the contract pay out what it owes this side's account, `amount` token units."""

    leg: Leg
    amount: int


SwapAction = OpenLock | ClaimLock | RefundLock | WithdrawCredit


def begin_swap(role: SwapRole, pact: SwapPact, preimage: Preimage | None = None) -> SwapRecord:
    """The record of a side that has done nothing yet.

    Args:
        role: which side.
        pact: what was agreed.
        preimage: the initiator's, drawn at random for this swap alone; the participant has none.

    Raises:
        ConfigError: the pact is not safe, or the preimage is not the hashlock's, or on the wrong side.
    """
    fault = find_fault(pact)
    if fault is not None:
        raise ConfigError(f"these terms are not safe: {fault}")
    if (preimage is None) is (role is SwapRole.INITIATOR):
        raise ConfigError("expected a preimage on the initiator's side and on no other, was otherwise")
    if preimage is not None and compute_hashlock(preimage) != pact.hashlock:
        raise ConfigError("expected a preimage of the hashlock, was another one")
    return SwapRecord(role=role, pact=pact, preimage=preimage)


def step(record: SwapRecord, event: SwapEvent) -> tuple[SwapRecord, tuple[SwapAction, ...]]:
    """What follows from an event.

    Args:
        record: what this side remembers.
        event: what happened.

    Returns:
        What it remembers now, to be on disk before anything else is done, and what to do: at most one action on each
        chain, and neither waits for the other. An action that failed, or may have, comes again with the next look at
        the chains if it still makes sense.
    """
    if isinstance(event, ClaimSent):
        return replace(record, is_revealed=True), ()
    record = _learn_preimage(record, event)
    outcome = record.outcome or _find_outcome(record, event)
    if outcome is not None:
        return replace(record, outcome=outcome), ()
    on_taken, on_given = _act_on_taken(record, event), _act_on_given(record, event)
    if isinstance(on_taken, ClaimLock):
        record = replace(record, is_claim_begun=True)
    given = event.leg(record.given)
    if isinstance(on_given, OpenLock) and given is not None and record.open_block is None:
        record = replace(record, open_block=given.block_number)
    return record, tuple(action for action in (on_taken, on_given) if action is not None)


def latest_opening_s(record: SwapRecord) -> int:
    """Unix seconds after which it makes no sense to lock: the initiator could not claim in time any more."""
    first, second = record.pact.first, record.pact.second
    lag_s = second.finality_s if record.role is SwapRole.PARTICIPANT else first.finality_s + second.finality_s
    return _latest_claim_s(record) - lag_s


def _latest_claim_s(record: SwapRecord) -> int:
    """Unix seconds until when the initiator may set out to claim."""
    second = record.pact.second
    return second.deadline_s - second.finality_s - record.pact.margin_s


def _learn_preimage(record: SwapRecord, event: ChainsRead) -> SwapRecord:
    """Remember what a claim of this side's own lock showed; any other preimage is the endpoint's lie."""
    given = event.leg(record.given)
    if given is None or given.state is not SwapState.CLAIMED:
        return record
    is_right = given.preimage is not None and compute_hashlock(given.preimage) == record.pact.hashlock
    return replace(record, preimage=given.preimage if is_right else record.preimage, is_revealed=True)


def _act_on_taken(record: SwapRecord, event: ChainsRead) -> ClaimLock | WithdrawCredit | None:
    if record.preimage is not None and _may_claim(record, event):
        return ClaimLock(leg=record.taken, preimage=record.preimage)
    return _find_withdrawal(event, record.taken, SwapState.CLAIMED)


def _act_on_given(record: SwapRecord, event: ChainsRead) -> OpenLock | RefundLock | WithdrawCredit | None:
    if _may_refund(record, event):
        return RefundLock(leg=record.given)
    if _may_open(record, event):
        return OpenLock(leg=record.given)
    return _find_withdrawal(event, record.given, SwapState.REFUNDED)


def _may_claim(record: SwapRecord, event: ChainsRead) -> bool:
    taken, leg = event.leg(record.taken), record.pact.leg(record.taken)
    if taken is None or taken.state is not SwapState.OPEN or taken.time_s >= leg.deadline_s:
        return False
    if record.is_revealed:
        return True  # Others know the preimage already: there is nothing to lose by trying up to the end.
    if record.is_claim_begun:
        # It may never have been sent, and then it must not be sent too late to be final.
        return event.latest_s + leg.finality_s < leg.deadline_s
    is_locked = record.open_block is not None and taken.confirmed is SwapState.OPEN
    return is_locked and event.latest_s <= _latest_claim_s(record)


def _may_refund(record: SwapRecord, event: ChainsRead) -> bool:
    given, taken = event.leg(record.given), event.leg(record.taken)
    if given is None or given.state is not SwapState.OPEN:
        return False
    has_taken = taken is not None and taken.state is SwapState.CLAIMED
    is_owed = record.role is SwapRole.INITIATOR and has_taken  # An initiator that claimed leaves its lock to the other.
    return given.time_s >= record.pact.leg(record.given).deadline_s and not is_owed


def _may_open(record: SwapRecord, event: ChainsRead) -> bool:
    given, taken = event.leg(record.given), event.leg(record.taken)
    if given is None or taken is None or given.state is not SwapState.NONE:
        return False
    if event.latest_s > latest_opening_s(record):
        return False
    if record.role is SwapRole.INITIATOR:
        return True
    return taken.state is SwapState.OPEN and taken.confirmed is SwapState.OPEN


def _find_withdrawal(event: ChainsRead, which: Leg, end: SwapState) -> WithdrawCredit | None:
    view = event.leg(which)
    if view is None or view.state is not end or view.credit == 0:
        return None
    return WithdrawCredit(leg=which, amount=view.credit)


def _find_outcome(record: SwapRecord, event: ChainsRead) -> SwapOutcome | None:
    given, taken = event.leg(record.given), event.leg(record.taken)
    if record.open_block is None and event.latest_s > latest_opening_s(record):
        return SwapOutcome.ABANDONED
    if given is not None and given.confirmed is SwapState.REFUNDED and given.credit == 0:
        return SwapOutcome.REFUNDED
    if given is not None and _is_never_mined(record, given):
        return SwapOutcome.ABANDONED
    if given is None or taken is None:
        return None
    if taken.confirmed is SwapState.CLAIMED and taken.credit == 0:
        is_left = record.role is SwapRole.INITIATOR or given.confirmed is SwapState.CLAIMED
        return SwapOutcome.COMPLETED if is_left else None
    leg = record.pact.leg(record.taken)
    is_too_late = taken.time_s >= leg.deadline_s + leg.finality_s and taken.confirmed is not SwapState.CLAIMED
    return SwapOutcome.LOST if given.confirmed is SwapState.CLAIMED and is_too_late else None


def _is_never_mined(record: SwapRecord, given: LegView) -> bool:
    """Whether this side set out to lock, and the deadline came before a block that held the lock."""
    leg = record.pact.leg(record.given)
    is_past = given.time_s >= leg.deadline_s + leg.finality_s
    return is_past and given.state is SwapState.NONE and given.confirmed is SwapState.NONE
