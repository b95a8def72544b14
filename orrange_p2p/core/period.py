"""What is frozen within a period: the beacon, the tiers, and who has put up a bond.

Spec: protocol/spec/04-matching.md [MATCH-2], [MATCH-12].
"""

from dataclasses import dataclass

from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.ledger import BlockRef, Ledger
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.reputation import Reputation, Standings
from orrange_p2p.core.types import Address, Digest, Epoch, MarketId


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What every window of a period is computed with.

    Without `standings` every tier is 0; without `needs_bonds` nobody comes last for the want of one.
    """

    beacon: Digest
    standings: Standings | None = None
    needs_bonds: bool = False

    def tier(self, owner: Address) -> int:
        """The tier of an owner, 0 to 3."""
        return 0 if self.standings is None else self.standings.tier(owner)

    def is_last(self, owner: Address) -> bool:
        """Whether an owner has put nothing up where one should. Spec: [MATCH-2]."""
        return self.needs_bonds and (self.standings is None or self.standings.bond(owner) == 0)

    def rank(self, effective: Epoch, owner: Address, market_id: MarketId) -> bytes:
        """The tie-break of an owner in an epoch, 33 bytes. Spec: [MATCH-2]."""
        turn = keccak256(self.beacon + effective.to_bytes(8, "big") + owner + market_id)
        return bytes((self.is_last(owner),)) + turn


def first_period(market_id: MarketId, *, needs_bonds: bool = False) -> Period:
    """The period before any block: nothing is known of anybody. Spec: [MATCH-12]."""
    return Period(beacon=keccak256(market_id), needs_bonds=needs_bonds)


class Periods:
    """The periods of one market, the newest kept."""

    def __init__(self, ledger: Ledger, rules: MarketRules) -> None:
        self._ledger = ledger
        self._rules = rules
        self._reputation = Reputation(ledger, rules.preset.period_s)
        self._known: tuple[int, Period] | None = None

    def at(self, epoch: Epoch) -> Period | None:
        """The period of an epoch; None while its anchor block is unknown. Spec: [MATCH-12]."""
        number = self._rules.period(epoch)
        if self._known is None or self._known[0] != number:
            period = self._compute(number)
            if period is None:
                return None
            self._known = (number, period)
        return self._known[1]

    def unwind(self, to_block: int) -> None:
        """Forget the period if its anchor may be another one, now that blocks after `to_block` are gone."""
        standings = self._known[1].standings if self._known is not None else None
        anchor = standings.anchor if standings is not None else None
        stands_on = anchor.number if anchor is not None else -1
        if self._ledger.last_block is None or stands_on >= to_block:
            self._known = None

    def _compute(self, number: int) -> Period | None:
        limit_s = self._rules.anchor_limit_s(number)
        needs_bonds = self._rules.preset.bond_multiple > 0
        anchor: BlockRef | None = self._ledger.fund_block(limit_s)
        if anchor is not None:
            standings = self._reputation.at(anchor)
            return Period(beacon=anchor.hash, standings=standings, needs_bonds=needs_bonds)
        if not self._ledger.begins_after(limit_s):
            return None
        return first_period(self._rules.market_id, needs_bonds=needs_bonds)
