"""Scores and tiers of owners at a period's anchor, and the facts behind a score.

A score looks at its owner's own facts and at the bonds of those it traded with, so it costs what the owner's record is
long. Scores are computed when first asked for and kept for as long as the anchor stands.
Spec: protocol/spec/07-reputation.md [REP-1..13].
"""

from collections.abc import Iterator
from dataclasses import dataclass

from orrange_p2p.core.conduct import SECONDS_A_DAY, OffenceRow
from orrange_p2p.core.facts import Offence, Slashed
from orrange_p2p.core.ledger import BlockRef, Ledger
from orrange_p2p.core.types import Address

UNIT = 10**6
TIER_STARTS = (UNIT, 8 * UNIT, 64 * UNIT)
HALF_LIFE_DAYS = 90
LAST_DECAY_DAY = 1440
LOCK_DAYS = 365
LOCKED_PER_MICRO_UNIT = 20 * LOCK_DAYS
BARRED_DAYS = 180
BREADTH_MAX = 256
_FIRST_DECAYS = (
    *(65536, 65033, 64534, 64039, 63547, 63060, 62576, 62096, 61620, 61147, 60678, 60212, 59750, 59292, 58837),
    *(58385, 57937, 57493, 57052, 56614, 56180, 55749, 55321, 54897, 54476, 54058, 53643, 53231, 52823, 52418),
    *(52015, 51616, 51220, 50827, 50437, 50050, 49667, 49285, 48907, 48532, 48160, 47790, 47424, 47060, 46699),
    *(46340, 45985, 45632, 45282, 44935, 44590, 44248, 43908, 43571, 43237, 42905, 42576, 42250, 41925, 41604),
    *(41285, 40968, 40654, 40342, 40032, 39725, 39420, 39118, 38818, 38520, 38224, 37931, 37640, 37351, 37065),
    *(36780, 36498, 36218, 35940, 35665, 35391, 35119, 34850, 34583, 34317, 34054, 33793, 33533, 33276, 33021),
)
DECAY_Q16 = tuple(_FIRST_DECAYS[day % HALF_LIFE_DAYS] >> day // HALF_LIFE_DAYS for day in range(LAST_DECAY_DAY + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouch:
    """What one counterparty adds to a score. Amounts in micro-units. Spec: [REP-5..7].

    `trades` and `paid` are what was settled with it in the last 1,440 days and the fees of that, not decayed; `fees`
    are the decayed ones, `cap` a quarter of its `bond`, `counted` the lesser of both.
    """

    counterparty: Address
    trades: int
    paid: int
    fees: int
    bond: int
    cap: int
    counted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """An offence and what is left of it: `weight_q16` is `amount * decay(age)`. Spec: [REP-11]."""

    offence: Offence
    age_days: int
    weight_q16: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A score and everything it is made of, in the words of protocol/spec/07-reputation.md. Amounts in micro-units.

    `gathered` is g, the sum of what the vouches count; `(gathered * breadth >> 8) + locked // 7300` is `good`;
    `barred_days` says for how many days more a slash for over-signing keeps the score at 0.
    """

    owner: Address
    vouches: tuple[Vouch, ...]
    gathered: int
    neff: int
    breadth: int
    bond: int
    locked: int
    good: int
    marks: tuple[Mark, ...]
    bad: int
    barred_days: int
    score: int
    tier: int


def compute_breadth(gathered: int, squares: int) -> tuple[int, int]:
    """How many equal counterparties would spread as wide, and what that is worth in 256ths. Spec: [REP-8]."""
    neff = gathered * gathered // squares if gathered else 0
    return neff, min(BREADTH_MAX, 32 + 28 * neff.bit_length())


def compute_score(good: int, bad: int) -> int:
    """The score of an owner with a bond that is not barred. Rounded down, the owner loses. Spec: [REP-12]."""
    return good * (1000 * (good + 1) // (good + 1 + 2 * bad)) // 1000


def compute_tier(score: int) -> int:
    """The tier of a score. Spec: [REP-13]."""
    return sum(score >= start for start in TIER_STARTS)


class Standings:
    """Scores and tiers as of one anchor block, each computed when first asked for.

    Args:
        ledger: knows the blocks up to the anchor; later ones do not matter.
        anchor: the period's anchor block; None if the chain has no block that early: everybody stands at 0.
        period_s: how long a period lasts.
    """

    def __init__(self, ledger: Ledger, anchor: BlockRef | None, period_s: int) -> None:
        self.anchor = anchor
        self._conduct = ledger.conduct
        self._period_s = period_s
        self._number = anchor.number if anchor else -1
        self._time_s = anchor.time_s if anchor else 0
        self._today = self._time_s // SECONDS_A_DAY
        self._bonds: dict[Address, int] = {}
        self._scores: dict[Address, int] = {}

    def tier(self, owner: Address) -> int:
        """0 to 3. Spec: [REP-13]."""
        return compute_tier(self.score(owner))

    def score(self, owner: Address) -> int:
        """Micro-units. Spec: [REP-12]."""
        score = self._scores.get(owner)
        if score is None:
            score = self._scores[owner] = self._compute(owner)
        return score

    def bond(self, owner: Address) -> int:
        """The least that an owner's bond was during the period up to the anchor, micro-units. Spec: [REP-6]."""
        bond = self._bonds.get(owner)
        if bond is None:
            since_s = self._time_s - self._period_s
            lows = list(self._falling_bonds(owner, since_s))
            bond = self._bonds[owner] = lows[-1][1] if lows else 0
        return bond

    def tiers(self) -> dict[Address, int]:
        """Every owner above tier 0, ascending by address."""
        tiers = {owner: self.tier(owner) for owner in self._conduct.owners_with_bonds()}
        return {owner: tier for owner, tier in tiers.items() if tier}

    def explain(self, owner: Address) -> Explanation:
        """The facts behind a score: counterparties by address, offences in chain order."""
        vouches = tuple(self._vouches(owner))
        gathered = sum(vouch.counted for vouch in vouches)
        neff, breadth = compute_breadth(gathered, sum(vouch.counted * vouch.counted for vouch in vouches))
        locked = self._locked(owner)
        marks = tuple(self._mark(row) for row in self._offences(owner))
        score = self.score(owner)
        return Explanation(
            owner=owner,
            vouches=vouches,
            gathered=gathered,
            neff=neff,
            breadth=breadth,
            bond=self.bond(owner),
            locked=locked,
            good=(gathered * breadth >> 8) + locked // LOCKED_PER_MICRO_UNIT,
            marks=marks,
            bad=sum(mark.weight_q16 for mark in marks) >> 16,
            barred_days=self._barred_days(owner),
            score=score,
            tier=compute_tier(score),
        )

    def _compute(self, owner: Address) -> int:
        if self.bond(owner) == 0 or self._barred_days(owner):
            return 0
        gathered = squares = 0
        for counterparty, fees in self._fees(owner).items():
            counted, cap = fees >> 16, self.bond(counterparty) >> 2
            if counted > cap:
                counted = cap
            gathered += counted
            squares += counted * counted
        _, breadth = compute_breadth(gathered, squares)
        good = (gathered * breadth >> 8) + self._locked(owner) // LOCKED_PER_MICRO_UNIT
        return compute_score(good, sum(self._mark(row).weight_q16 for row in self._offences(owner)) >> 16)

    def _fees(self, owner: Address) -> dict[Address, int]:
        """Decayed fees by counterparty, in 65536ths of a micro-unit. Spec: [REP-5]."""
        today, decay, fees = self._today, DECAY_Q16, dict[Address, int]()
        for _, day, other, fee in self._conduct.fees(owner, at_block=self._number, from_day=today - LAST_DECAY_DAY):
            fees[other] = fees.get(other, 0) + fee * decay[today - day]
        return fees

    def _vouches(self, owner: Address) -> Iterator[Vouch]:
        paid: dict[Address, list[int]] = {}
        rows = self._conduct.fees(owner, at_block=self._number, from_day=self._today - LAST_DECAY_DAY)
        for _, _, other, fee in rows:
            paid.setdefault(other, []).append(fee)
        for counterparty, fees_q16 in sorted(self._fees(owner).items()):
            bond, fees = self.bond(counterparty), fees_q16 >> 16
            yield Vouch(
                counterparty=counterparty,
                trades=len(paid[counterparty]),
                paid=sum(paid[counterparty]),
                fees=fees,
                bond=bond,
                cap=bond // 4,
                counted=min(fees, bond // 4),
            )

    def _falling_bonds(self, owner: Address, since_s: int) -> Iterator[tuple[int, int]]:
        """Walk back from the anchor: (until when, the least bond from then on), as the least falls.

        A bond that stood until `until_s` is part of every span that starts before `until_s`. Spec: [REP-6].
        """
        until_s, least = self._time_s + 1, -1
        for row in reversed(self._conduct.bond_changes(owner, at_block=self._number)):
            if until_s <= since_s:
                return
            if least < 0 or row.amount < least:
                least = row.amount
                yield until_s, least
            until_s = row.time_s
        if until_s > since_s:
            yield until_s, 0

    def _locked(self, owner: Address) -> int:
        """Micro-unit days of the last year that the bond has stayed. Spec: [REP-9]."""
        locked, above = 0, self.bond(owner)
        counted_days = LOCK_DAYS
        lows = list(self._falling_bonds(owner, self._time_s - LOCK_DAYS * SECONDS_A_DAY))
        for until_s, least in reversed(lows):
            # The spans of d days that reach back behind `until_s`; shorter ones see a higher bond.
            first_day = max(1, (self._time_s - until_s) // SECONDS_A_DAY + 1)
            locked += min(above, least) * max(0, counted_days - first_day + 1)
            counted_days = min(counted_days, first_day - 1)
        return locked

    def _offences(self, owner: Address) -> tuple[OffenceRow, ...]:
        return tuple(self._conduct.offences(owner, at_block=self._number))

    def _mark(self, row: OffenceRow) -> Mark:
        age_days = self._today - row.time_s // SECONDS_A_DAY
        decay = DECAY_Q16[age_days] if age_days <= LAST_DECAY_DAY else 0
        return Mark(offence=row.offence, age_days=age_days, weight_q16=row.offence.amount * decay)

    def _barred_days(self, owner: Address) -> int:
        """For how many days more over-signing keeps the score at 0. Spec: [REP-12]."""
        ages = [
            self._today - row.time_s // SECONDS_A_DAY
            for row in self._offences(owner)
            if isinstance(row.offence, Slashed) and row.offence.is_over_signing
        ]
        return max(0, BARRED_DAYS - min(ages)) if ages else 0


class Reputation:
    """The standings of the current period, computed anew only when the anchor moves."""

    def __init__(self, ledger: Ledger, period_s: int) -> None:
        self._ledger = ledger
        self._period_s = period_s
        self._standings = Standings(ledger, None, period_s)

    def at(self, anchor: BlockRef | None) -> Standings:
        """The standings at an anchor."""
        if self._standings.anchor != anchor:
            self._standings = Standings(self._ledger, anchor, self._period_s)
        return self._standings


def tiers_at(ledger: Ledger, anchor: BlockRef | None, period_s: int) -> dict[Address, int]:
    """Every owner above tier 0 at an anchor, ascending by address."""
    return Standings(ledger, anchor, period_s).tiers()


def explain(ledger: Ledger, anchor: BlockRef | None, period_s: int, owner: Address) -> Explanation:
    """The facts behind an owner's score at an anchor."""
    return Standings(ledger, anchor, period_s).explain(owner)
