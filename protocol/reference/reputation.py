"""What an owner's record on the chain is worth.

Spec: protocol/spec/07-reputation.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from protocol.reference.chain import Block, BondChanged, Defaulted, DisputeLost, Offence, Slashed, TradeSettled
from protocol.reference.types import Address

DAY_S = 86_400
TIER_STARTS = (1_000_000, 8_000_000, 64_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The chain up to a period's anchor, which is its last block; no blocks if there is no anchor. Spec: [REP-2]."""

    blocks: tuple[Block, ...]
    period_s: int

    @property
    def anchor_s(self) -> int:
        """The anchor's time."""
        return self.blocks[-1].time_s if self.blocks else 0

    def age(self, block: Block) -> int:
        """How many days ago a block was."""
        return self.anchor_s // DAY_S - block.time_s // DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouch:
    """What one counterparty adds to a score. Spec: [REP-5], [REP-6], [REP-7]."""

    counterparty: Address
    trades: int
    paid: int
    fees: int
    bond: int
    cap: int
    counted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """An offence, its age and its decayed amount in 65536ths. Spec: [REP-11]."""

    offence: Offence
    age_days: int
    weight_q16: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A score and all that it is made of."""

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


@cache
def decay(age_days: int) -> int:
    """What is left of 65536 after some days, half of it every 90: the largest d of [REP-4]."""
    low, high = 0, 65536
    while low < high:
        middle = (low + high + 1) // 2
        if middle**90 * 2**age_days <= 65536**90:
            low = middle
        else:
            high = middle - 1
    return low


def trades_with_fees(record: Record, owner: Address) -> Iterator[tuple[Block, Address, int]]:
    """The trades of an owner that still count: block, counterparty, fee. Spec: [REP-2], [REP-5]."""
    for block in record.blocks:
        for fact in block.facts:
            if not isinstance(fact, TradeSettled) or fact.sink_fee == 0 or decay(record.age(block)) == 0:
                continue
            if fact.maker_owner == owner != fact.taker_owner:
                yield block, fact.taker_owner, fact.sink_fee
            if fact.taker_owner == owner != fact.maker_owner:
                yield block, fact.maker_owner, fact.sink_fee


def fees(record: Record, owner: Address, counterparty: Address) -> int:
    """f(i,j). Spec: [REP-5]."""
    return (
        sum(
            fee * decay(record.age(block))
            for block, other, fee in trades_with_fees(record, owner)
            if other == counterparty
        )
        >> 16
    )


def low(record: Record, owner: Address, span_s: int) -> int:
    """The least that an owner's bond was during the last seconds before the anchor. Spec: [REP-6]."""
    bond_then, later = 0, []
    for block in record.blocks:
        for fact in block.facts:
            if isinstance(fact, BondChanged) and fact.owner == owner:
                if block.time_s <= record.anchor_s - span_s:
                    bond_then = fact.amount
                else:
                    later.append(fact.amount)
    return min([bond_then, *later])


def bond(record: Record, owner: Address) -> int:
    """The bond that was there for the whole period. Spec: [REP-6]."""
    return low(record, owner, record.period_s)


def vouches(record: Record, owner: Address) -> list[Vouch]:
    """What each counterparty adds, by address. Spec: [REP-7]."""
    paid: dict[Address, list[int]] = {}
    for _, counterparty, fee in trades_with_fees(record, owner):
        paid.setdefault(counterparty, []).append(fee)
    return [
        Vouch(
            counterparty=counterparty,
            trades=len(paid[counterparty]),
            paid=sum(paid[counterparty]),
            fees=fees(record, owner, counterparty),
            bond=bond(record, counterparty),
            cap=bond(record, counterparty) // 4,
            counted=min(fees(record, owner, counterparty), bond(record, counterparty) // 4),
        )
        for counterparty in sorted(paid)
    ]


def effective_counterparties(counted: list[int]) -> int:
    """How many equal counterparties would spread as wide: neff. Spec: [REP-8]."""
    if sum(counted) == 0:
        return 0
    return sum(counted) ** 2 // sum(each**2 for each in counted)


def breadth(neff: int) -> int:
    """What that many are worth, in 256ths. Spec: [REP-8]."""
    return min(256, 32 + 28 * neff.bit_length())


def locked(record: Record, owner: Address) -> int:
    """Micro-unit days of the last year for which the bond has stayed. Spec: [REP-9]."""
    return sum(min(bond(record, owner), low(record, owner, day * DAY_S)) for day in range(1, 366))


def marks(record: Record, owner: Address) -> list[Mark]:
    """An owner's offences in the order of the chain. Spec: [REP-11]."""
    return [
        Mark(offence=fact, age_days=record.age(block), weight_q16=fact.amount * decay(record.age(block)))
        for block in record.blocks
        for fact in block.facts
        if isinstance(fact, Slashed | DisputeLost | Defaulted) and fact.owner == owner
    ]


def barred_days(found: list[Mark]) -> int:
    """For how many days more over-signing keeps a score at 0. Spec: [REP-12]."""
    over_signing = [mark for mark in found if isinstance(mark.offence, Slashed) and mark.offence.is_over_signing]
    return max([0, *(180 - mark.age_days for mark in over_signing)])


def explain(record: Record, owner: Address) -> Explanation:
    """The score of an owner, with everything on the way to it. Spec: [REP-7..13]."""
    vouched, found = vouches(record, owner), marks(record, owner)
    counted = [vouch.counted for vouch in vouched]
    gathered, neff = sum(counted), effective_counterparties(counted)
    good = (gathered * breadth(neff) >> 8) + locked(record, owner) // 7300
    bad = sum(mark.weight_q16 for mark in found) >> 16
    score = (good * ((1000 * (good + 1)) // (good + 1 + 2 * bad))) // 1000
    if bond(record, owner) == 0 or barred_days(found) > 0:
        score = 0
    return Explanation(
        owner=owner,
        vouches=tuple(vouched),
        gathered=gathered,
        neff=neff,
        breadth=breadth(neff),
        bond=bond(record, owner),
        locked=locked(record, owner),
        good=good,
        marks=tuple(found),
        bad=bad,
        barred_days=barred_days(found),
        score=score,
        tier=tier(score),
    )


def tier(score: int) -> int:
    """0 to 3. Spec: [REP-13]."""
    return sum(score >= start for start in TIER_STARTS)
