"""The constants that all nodes of one network share, and the clock arithmetic that follows from them.

Spec: protocol/spec/01-types.md "Constants", [CONST-1], [TYPE-2].
"""

from dataclasses import dataclass

from orrange_p2p.core.types import Epoch, Market, MarketId


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One row of the constants table. Milliseconds and seconds as the names say; wait, k and w in epochs."""

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


def _preset(name: str, *row: int) -> Preset:
    epoch_ms, grace_ms, t_ack_ms, wait, k, w, ticket_life_s, fund_lag_s, quorum, degree, presence_s, dead_s = row
    return Preset(
        name=name,
        epoch_ms=epoch_ms,
        grace_ms=grace_ms,
        t_ack_ms=t_ack_ms,
        wait=wait,
        k=k,
        w=w,
        ticket_life_s=ticket_life_s,
        fund_lag_s=fund_lag_s,
        quorum=quorum,
        degree=degree,
        presence_s=presence_s,
        dead_s=dead_s,
    )


PRESETS = {
    preset.name: preset
    for preset in (
        _preset("minimal", 50, 50, 200, 8, 20, 16, 20, 1, 1, 4, 1, 4),
        _preset("demo", 1000, 500, 1500, 3, 8, 12, 60, 2, 1, 4, 5, 20),
        _preset("dev", 500, 400, 1000, 4, 10, 12, 60, 2, 1, 6, 5, 20),
        _preset("main", 250, 350, 1000, 4, 20, 16, 60, 36, 3, 8, 20, 60),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRules:
    """All that a market's book depends on besides entries and chain facts."""

    market: Market
    market_id: MarketId
    preset: Preset
    genesis_ms: int

    def epoch_at(self, now_ms: int) -> Epoch:
        """The epoch that `now_ms` falls into; 0 before genesis."""
        return Epoch(max(0, now_ms - self.genesis_ms) // self.preset.epoch_ms)

    def epoch_start_ms(self, epoch: int) -> int:
        """Unix milliseconds at which `epoch` starts. Spec: [TYPE-2]."""
        return self.genesis_ms + epoch * self.preset.epoch_ms

    def epoch_start_s(self, epoch: int) -> int:
        """Unix seconds, rounded down as the contract does. Spec: [TYPE-2]."""
        return self.epoch_start_ms(epoch) // 1000

    def window_opens_ms(self, epoch: int) -> int:
        """When the window of `epoch` opens: its close plus grace."""
        return self.epoch_start_ms(epoch + 1) + self.preset.grace_ms

    def ticket_deadline_s(self, epoch: int) -> int:
        """Until when a ticket of this window may settle. Spec: [TICK-1]."""
        return self.epoch_start_s(epoch) + self.preset.ticket_life_s
