"""Completed tickets of this node's own orders on their way to the chain, and every ticket seen.

Spec: protocol/spec/05-tickets.md [TICK-13].
"""

from dataclasses import dataclass

from orrange_p2p.core.events import Action, Note, Settle
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.types import SignedTrade, TicketDigest


@dataclass(slots=True, kw_only=True)
class Unsettled:
    """A complete ticket that the chain has not shown yet."""

    trade: SignedTrade
    is_maker: bool
    completed_ms: int
    is_submitted: bool = False


class Settling:
    """Own tickets until they are settled or can be no more."""

    def __init__(self, ledger: Ledger, settle_after_s: int) -> None:
        self._ledger = ledger
        self._settle_after_ms = settle_after_s * 1000
        self._unsettled: dict[TicketDigest, Unsettled] = {}
        self.missed: list[TicketDigest] = []

    def __len__(self) -> int:
        """Own tickets not settled yet."""
        return len(self._unsettled)

    def add(self, digest: TicketDigest, trade: SignedTrade, *, is_maker: bool, now_ms: int) -> None:
        """A ticket of an own order is complete."""
        self._unsettled.setdefault(digest, Unsettled(trade=trade, is_maker=is_maker, completed_ms=now_ms))

    def on_tick(self, now_ms: int) -> list[Action]:
        """Submit what is due, drop what is settled, report what can settle no more."""
        last = self._ledger.last_block
        actions: list[Action] = []
        for digest, row in list(self._unsettled.items()):
            if self._ledger.settled_in(digest) is not None:
                del self._unsettled[digest]
                actions.append(
                    Note(
                        name="settled",
                        details=(("ticket", digest.hex()), ("after_ms", now_ms - row.completed_ms)),
                    )
                )
            elif last is not None and last.time_s > row.trade.ticket.deadline_s:
                del self._unsettled[digest]
                self.missed.append(digest)
                reason = self._ledger.skip_reason(digest)
                actions.append(
                    Note(name="settlement_missed", details=(("ticket", digest.hex()), ("skip_reason", reason or 0)))
                )
            elif not row.is_submitted and (row.is_maker or now_ms >= row.completed_ms + self._settle_after_ms):
                row.is_submitted = True
                actions.append(Settle(trade=row.trade, digest=digest))
        return actions
