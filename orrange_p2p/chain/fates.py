"""What a settler keeps of a ticket on its way to the chain, and how such a way ends."""

from dataclasses import dataclass
from enum import Enum

from orrange_p2p.core.types import SignedTrade, TicketDigest


class Fate(Enum):
    """How a ticket's way ended."""

    SETTLED = "settled"
    SKIPPED = "skipped"
    EXPIRED = "expired"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementOutcome:
    """What became of a ticket; `reason` names the contract's skip reason, or what failed.

    A leg that was passed over for the sake of another one names that one too: "leg 12ab...: funds".
    """

    ticket: TicketDigest
    fate: Fate
    reason: str = ""


@dataclass(slots=True)
class Held:
    """A ticket on its way; `skipped_at` is the block in which our own transaction was passed over.

    `legs` names all tickets of its group, this one included, the first one standing for all; empty for a single ticket.
    `culprit` is the leg that was passed over for what it is.
    """

    trade: SignedTrade
    legs: tuple[TicketDigest, ...] = ()
    culprit: TicketDigest | None = None
    attempts: int = 0
    is_waiting: bool = True
    skipped_at: int | None = None
    skip_reason: int = 0
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A ticket that our own transaction's receipt says was passed over."""

    block_number: int
    reason: int
