"""What the escrow demo came to: how each trade ended, on whose word, and who held what before and after."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from orrange_p2p.core.escrow import EscrowState
from orrange_p2p.launch.escrow_books import Holdings

ENDINGS = {"release": EscrowState.RELEASED, "timeout": EscrowState.CANCELLED, "split": EscrowState.RESOLVED}
"""How each trade of the demo is to end."""
Step = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EscrowStory:
    """One trade from its orders to its end.

    Attributes:
        name: how it was to end.
        ticket: the trade's.
        states: where each node saw it stand at the end, seller's first.
        is_instructed: whether the buyer's node had, word for word, what the seller wrote.
        steps: what happened, in order.
        before: what everybody held before it.
        after: what everybody held after it.
        expected: what everybody was to hold after it.
    """

    name: str
    ticket: str
    states: tuple[str, ...]
    is_instructed: bool
    steps: tuple[Step, ...]
    before: Holdings
    after: Holdings
    expected: Holdings

    @property
    def is_good(self) -> bool:
        """Whether it ended as it should, on both nodes, and to the last unit."""
        ending = ENDINGS[self.name].name.lower()
        return self.states == (ending, ending) and self.is_instructed and self.after == self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class EscrowReport:
    """What the demo came to."""

    trades: tuple[EscrowStory, ...]
    duration_s: int

    @property
    def value_conserved(self) -> bool:
        """Whether as much of each token is there as before, and nothing is locked any more."""
        begin, end = self.trades[0].before, self.trades[-1].after
        totals = [{token: sum(held.values()) for token, held in holdings.items()} for holdings in (begin, end)]
        return totals[0] == totals[1] and all(held["escrow"] == 0 for held in end.values())

    @property
    def is_good(self) -> bool:
        """Whether all three ended as they should, and no value was made or lost."""
        return self.value_conserved and all(trade.is_good for trade in self.trades)

    def summary(self) -> str:
        """One line for a person."""
        if self.is_good:
            return (
                "Two nodes traded by escrow: one trade was released, one timed out, one was split in a dispute, no "
                f"value made or lost ({self.duration_s} s)."
            )
        faults = [f"the trade that was to end by {trade.name} did not" for trade in self.trades if not trade.is_good]
        if not self.value_conserved:
            faults.append("balances on the chain do not add up")
        return "Something is wrong: " + ", ".join(faults) + "."

    def as_json(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        trades = [asdict(trade) | {"is_good": trade.is_good} for trade in self.trades]
        verdict = {"value_conserved": self.value_conserved, "is_good": self.is_good, "summary": self.summary()}
        return {"trades": trades, "duration_s": self.duration_s, **verdict}
