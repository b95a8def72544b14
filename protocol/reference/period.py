"""What is frozen within a period: the beacon, the tiers, and who has put up a bond.

Spec: protocol/spec/04-matching.md [MATCH-2], [MATCH-12].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from protocol.reference.chain import Block
from protocol.reference.reputation import Record, bond, explain
from protocol.reference.signing import keccak
from protocol.reference.types import Address, Clock, Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What every window of a period is computed with.

    Attributes:
        beacon: The number that nobody chose.
        tiers: Of owners; an owner that is not named has tier 0.
        bonded: Owners with a bond, where bonds are needed; None where they are not.
    """

    beacon: Digest
    tiers: Mapping[Address, int] = field(default_factory=dict)
    bonded: frozenset[Address] | None = None

    def tier(self, owner: Address) -> int:
        """The tier of an owner."""
        return self.tiers.get(owner, 0)

    def is_last(self, owner: Address) -> bool:
        """Whether an owner has put nothing up where one should. Spec: [MATCH-2]."""
        return self.bonded is not None and owner not in self.bonded


def period_number(clock: Clock, epoch: int) -> int:
    """The period that an epoch falls into. Spec: [MATCH-12]."""
    return epoch * clock.constants.epoch_ms // (clock.constants.period_s * 1000)


def anchor_limit_s(clock: Clock, period: int) -> int:
    """The latest time that a period's anchor may have. Spec: [MATCH-12]."""
    return clock.genesis_ms // 1000 + period * clock.constants.period_s - clock.constants.beacon_lag_s


def first_period(market: Digest) -> Period:
    """The period before any block: nothing is known of anybody. Spec: [MATCH-12]."""
    return Period(beacon=keccak(market))


def period_of(blocks: Sequence[Block], clock: Clock, market: Digest, epoch: int) -> Period | None:
    """What the chain fixes for the period of an epoch; None while its anchor is unknown. Spec: [MATCH-12].

    Args:
        blocks: The chain as seen so far, by number.
        clock: When epochs start.
        market: The market's id.
        epoch: The epoch.
    """
    limit_s = anchor_limit_s(clock, period_number(clock, epoch))
    early_enough = [block for block in blocks if block.time_s <= limit_s]
    if len(early_enough) == len(blocks):
        return None
    are_bonds_needed = clock.constants.bond_multiple > 0
    if not early_enough:
        return Period(beacon=keccak(market), bonded=frozenset() if are_bonds_needed else None)
    record = Record(blocks=tuple(early_enough), period_s=clock.constants.period_s)
    owners = {fact.owner for block in early_enough for fact in block.facts if hasattr(fact, "owner")}
    tiers = {owner: explain(record, owner).tier for owner in sorted(owners)}
    bonded = frozenset(owner for owner in owners if bond(record, owner) > 0)
    return Period(beacon=early_enough[-1].hash, tiers=tiers, bonded=bonded if are_bonds_needed else None)
