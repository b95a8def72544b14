"""Two chains of a model, one honest side, and a counterparty that does what it likes when it likes.

The chains hold to the contract's rules and to what `core.swaps` assumes: a transaction is mined within a part of
`finality_s`, and a view of a chain is old, or shows a block that does not stay, by no more than the rest of it.
"""

from dataclasses import dataclass, field, replace
from random import Random

from orrange_p2p.core.swap_terms import Leg, Preimage, SwapLeg, SwapPact, SwapState, compute_hashlock
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
    step,
)
from orrange_p2p.core.types import Address

START_S = 1_000
PREIMAGE = Preimage(b"\x07" * 32)
INITIATOR, PARTICIPANT = Address(b"\x01" * 20), Address(b"\x02" * 20)
FINALITY_S, MARGIN_S = 30, 60
MINED_WITHIN_S, CONFIRMED_AFTER_S, STALE_S, SKEW_S = 12, 10, 8, 5
GAP_S, CRASHES = 20, 2
SECOND_DEADLINE_S = START_S + 400
FIRST_DEADLINE_S = SECOND_DEADLINE_S + 2 * FINALITY_S + MARGIN_S


def make_leg(**changes: object) -> SwapLeg:
    """A lock on some chain."""
    leg = SwapLeg(
        chain_id=1,
        contract=Address(b"\x0c" * 20),
        token=Address(b"\x0d" * 20),
        amount=5,
        deadline_s=FIRST_DEADLINE_S,
        confirmations=1,
        finality_s=FINALITY_S,
    )
    return replace(leg, **changes)  # type: ignore[arg-type]


def make_pact(**changes: object) -> SwapPact:
    """Terms that are just safe."""
    pact = SwapPact(
        initiator=INITIATOR,
        participant=PARTICIPANT,
        hashlock=compute_hashlock(PREIMAGE),
        first=make_leg(),
        second=make_leg(chain_id=2, deadline_s=SECOND_DEADLINE_S),
        margin_s=MARGIN_S,
        nonce=0,
    )
    return replace(pact, **changes)  # type: ignore[arg-type]


def begin(role: SwapRole, pact: SwapPact | None = None) -> SwapRecord:
    """The record of a side at its beginning."""
    return begin_swap(role, pact or make_pact(), PREIMAGE if role is SwapRole.INITIATOR else None)


@dataclass(slots=True, kw_only=True)
class ModelChain:
    """One lock under the contract's rules; its clock is off by `skew_s`."""

    leg: SwapLeg
    skew_s: int
    history: list[tuple[int, SwapState]] = field(default_factory=lambda: [(0, SwapState.NONE)])
    pending: list[tuple[int, SwapAction]] = field(default_factory=list)
    bluffs: list[tuple[int, SwapAction]] = field(default_factory=list)
    credits: dict[SwapState, int] = field(default_factory=dict)

    @property
    def state(self) -> SwapState:
        """Where the lock stands."""
        return self.history[-1][1]

    def after(self, state: SwapState, action: SwapAction, now_s: int) -> SwapState:
        """Where the lock stands after a transaction; where it stood if the contract refuses."""
        is_past = now_s + self.skew_s >= self.leg.deadline_s
        match action:
            case OpenLock() if state is SwapState.NONE and not is_past:
                return SwapState.OPEN
            case ClaimLock() if state is SwapState.OPEN and not is_past:
                return SwapState.CLAIMED
            case RefundLock() if state is SwapState.OPEN and is_past:
                return SwapState.REFUNDED
        return state

    def run_until(self, now_s: int) -> None:
        """Mine what is due."""
        due = sorted((one for one in self.pending if one[0] <= now_s), key=lambda one: one[0])
        self.pending = [one for one in self.pending if one[0] > now_s]
        self.bluffs = [one for one in self.bluffs if one[0] > now_s]
        for mined_s, action in due:
            if isinstance(action, WithdrawCredit):
                self.credits.clear()
            state = self.after(self.state, action, mined_s)
            if state is not self.state:
                self.history.append((mined_s, state))
                self.credits = {state: self.leg.amount} if state is not SwapState.OPEN else {}

    def at(self, time_s: int) -> SwapState:
        """Where the lock stood then."""
        return [state for since_s, state in self.history if since_s <= time_s][-1]

    def view(self, chance: Random, now_s: int, end: SwapState) -> LegView:
        """What an endpoint says: it may lag, or show a block whose transactions will only come later."""
        seen_s = now_s - chance.randint(0, STALE_S)
        state = self.at(seen_s)
        for _, action in (*self.pending, *self.bluffs):
            if chance.random() < 0.5:
                state = self.after(state, action, seen_s)
        return LegView(
            block_number=seen_s,
            time_s=seen_s + self.skew_s,
            state=state,
            confirmed=self.at(seen_s - CONFIRMED_AFTER_S),
            credit=self.credits.get(end, 0),
            preimage=PREIMAGE if state is SwapState.CLAIMED else None,
        )


class SwapWorld:
    """An honest side among everything that can go wrong."""

    def __init__(self, chance: Random, record: SwapRecord, *, is_other_honest: bool = False) -> None:
        self.chance = chance
        self.saved = record
        pact = record.pact
        self.chains = {leg: ModelChain(leg=pact.leg(leg), skew_s=self._skew_s()) for leg in Leg}
        self.now_s = START_S
        self.crashes_left = CRASHES
        self.is_preimage_public = False
        other = SwapRole.PARTICIPANT if record.role is SwapRole.INITIATOR else SwapRole.INITIATOR
        self.other_role = other
        self.other = replace(record, role=other, preimage=PREIMAGE if other is SwapRole.INITIATOR else None)
        self.is_other_honest = is_other_honest
        self.plan = self._plan()

    def run(self) -> None:
        """Until well after both deadlines, or until the honest side has ended."""
        end_s = max(chain.leg.deadline_s for chain in self.chains.values()) + 10 * FINALITY_S
        while self.now_s < end_s:
            self.now_s += self.chance.randint(1, GAP_S)
            for chain in self.chains.values():
                chain.run_until(self.now_s)
            if self.is_other_honest:
                self.other = self._look(self.other, can_crash=False)
            else:
                self._do_anything()
            self.saved = self._look(self.saved, can_crash=self.crashes_left > 0)
        for chain in self.chains.values():
            chain.run_until(end_s + FINALITY_S)

    def states(self) -> tuple[SwapState, SwapState]:
        """What the honest side gave, and what it was to take."""
        return self.chains[self.saved.given].state, self.chains[self.saved.taken].state

    def is_robbed(self) -> bool:
        """Whether the other has both."""
        given, taken = self.states()
        return given is SwapState.CLAIMED and taken is not SwapState.CLAIMED

    def _skew_s(self) -> int:
        return self.chance.randint(-SKEW_S, SKEW_S)

    def _send(self, action: SwapAction, *, is_quick: bool = False) -> None:
        if isinstance(action, ClaimLock):
            self.is_preimage_public = True
        delay_s = 0 if is_quick else self.chance.randint(0, MINED_WITHIN_S)
        self.chains[action.leg].pending.append((self.now_s + delay_s, action))

    def _look(self, record: SwapRecord, *, can_crash: bool) -> SwapRecord:
        """One look at the chains by an honest side; the result is what is on its disk afterwards."""
        ends = {record.taken: SwapState.CLAIMED, record.given: SwapState.REFUNDED}
        views = {leg: chain.view(self.chance, self.now_s, ends[leg]) for leg, chain in self.chains.items()}
        unanswered = self.chance.choice((None, None, None, *Leg)) if can_crash else None
        read = ChainsRead(
            now_s=self.now_s + self._skew_s(),
            first=None if unanswered is Leg.FIRST else views[Leg.FIRST],
            second=None if unanswered is Leg.SECOND else views[Leg.SECOND],
        )
        record, actions = step(record, read)
        for action in actions:
            crash = self.chance.choice(("none", "none", "none", "before", "after")) if can_crash else "none"
            if crash != "none":
                self.crashes_left -= 1
            if crash == "before":
                return record
            self._send(action)
            if crash == "after":
                return record
            if isinstance(action, ClaimLock):
                record, _ = step(record, ClaimSent())
        return record

    def _plan(self) -> list[tuple[int, SwapAction]]:
        """When the counterparty does what: often as late as it can, and often nothing."""
        last_s = self.chains[Leg.SECOND].leg.deadline_s
        leg = self.other.given
        soon_s, late_s = self.chance.randint(START_S, last_s), self.chance.randint(last_s - 100, last_s)
        plan: list[tuple[int, SwapAction]] = [(self.chance.choice((START_S, soon_s, late_s)), OpenLock(leg=leg))]
        if self.other_role is SwapRole.INITIATOR:
            claim_s = self.chance.choice((soon_s, late_s, self.chance.randint(last_s - 20, last_s)))
            plan.append((claim_s, ClaimLock(leg=Leg.SECOND, preimage=PREIMAGE)))
        return [one for one in plan if self.chance.random() < 0.95]

    def _do_anything(self) -> None:
        """The counterparty: its plan, bluffs that are never mined, and at once whatever takes something."""
        due = [action for time_s, action in self.plan if time_s <= self.now_s]
        self.plan = [one for one in self.plan if one[0] > self.now_s]
        for action in due:
            is_bluff = isinstance(action, OpenLock) and self.chance.random() < 0.2
            if is_bluff:
                self.chains[action.leg].bluffs.append((self.now_s + MINED_WITHIN_S + STALE_S, action))
            else:
                self._send(action, is_quick=self.chance.random() < 0.5)
        for leg in Leg:
            self._send(RefundLock(leg=leg), is_quick=True)
        if self.is_preimage_public and self.chance.random() < 0.9:
            self._send(ClaimLock(leg=self.other.taken, preimage=PREIMAGE), is_quick=True)


def outcome_fits(world: SwapWorld) -> bool:
    """Whether what the honest side believes is what the chains say."""
    given, taken = world.states()
    match world.saved.outcome:
        case SwapOutcome.COMPLETED:
            return taken is SwapState.CLAIMED
        case SwapOutcome.REFUNDED:
            return given is SwapState.REFUNDED
        case SwapOutcome.ABANDONED:
            return given is SwapState.NONE
    return False
