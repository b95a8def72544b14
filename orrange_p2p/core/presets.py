"""The constants that all nodes of one network share, and the clock arithmetic that follows from them.

Spec: protocol/spec/01-types.md "Constants", [CONST-1], [TYPE-2].
"""

import json
from dataclasses import dataclass
from pathlib import Path

from orrange_p2p.core.types import Epoch, Market, MarketId


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One row of the constants table. Milliseconds and seconds as the names say; wait, k and w in epochs.

    `bond_multiple` is 0 where no bonds are needed.
    """

    name: str
    epoch_ms: int
    grace_ms: int
    t_ack_ms: int
    wait: int
    k: int
    w: int
    ticket_life_s: int
    fund_lag_s: int
    quorum: int
    degree: int
    presence_s: int
    dead_s: int
    period_s: int
    beacon_lag_s: int
    checkpoint_age_s: int
    bond_multiple: int


_RENAMED = {"d": "ticket_life_s", "l_fund": "fund_lag_s"}
# The one table, protocol/presets.json; the package carries it under this name. Read once, when this module is.
_TABLE = json.loads(Path(__file__).with_name("presets.json").read_text(encoding="utf-8"))
PRESETS = {
    name: Preset(name=name, **{_RENAMED.get(column, column): value for column, value in row.items()})
    for name, row in _TABLE.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRules:
    """All that a market's book depends on besides entries and chain facts.

    `has_escrow` says whether the network has a contract for lanes 1 to 3; without one, an own order in them is refused.
    """

    market: Market
    market_id: MarketId
    preset: Preset
    genesis_ms: int
    quote_per_bond: int = 1  # quote units that one micro-unit of a bond stands for, [FUND-6]
    has_escrow: bool = False

    def epoch_at(self, now_ms: int) -> Epoch:
        """The epoch that `now_ms` falls into; 0 before genesis."""
        return Epoch(max(0, now_ms - self.genesis_ms) // self.preset.epoch_ms)

    def epoch_start_ms(self, epoch: int) -> int:
        """Unix milliseconds at which `epoch` starts. Spec: [TYPE-2]."""
        return self.genesis_ms + epoch * self.preset.epoch_ms

    def epoch_start_s(self, epoch: int) -> int:
        """Unix seconds, rounded down as the contract does. Spec: [TYPE-2]."""
        return self.epoch_start_ms(epoch) // 1000

    def first_epoch_from(self, time_s: int) -> int:
        """The first epoch whose start, in whole seconds, is not before a time; below 0 for times before epoch 0."""
        return -((self.genesis_ms - time_s * 1000) // self.preset.epoch_ms)

    def window_opens_ms(self, epoch: int) -> int:
        """When the window of `epoch` opens: its close plus grace."""
        return self.epoch_start_ms(epoch + 1) + self.preset.grace_ms

    def ticket_deadline_s(self, epoch: int, *, is_leg: bool = False) -> int:
        """Until when a ticket of this window may settle; a leg of a group half as long. Spec: [TICK-1]."""
        life_s = self.preset.ticket_life_s // 2 if is_leg else self.preset.ticket_life_s
        return self.epoch_start_s(epoch) + life_s

    def period(self, epoch: int) -> int:
        """The reputation period that an epoch falls into. Spec: [MATCH-12]."""
        return epoch * self.preset.epoch_ms // (self.preset.period_s * 1000)

    def anchor_limit_s(self, period: int) -> int:
        """The latest block time that a period's anchor may have. Spec: [MATCH-12]."""
        return self.genesis_ms // 1000 + period * self.preset.period_s - self.preset.beacon_lag_s
