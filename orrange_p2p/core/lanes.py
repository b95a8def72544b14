"""What two orders of an escrow lane agree on: a payment method, and an arbitrator who is neither of the two owners.

Spec: protocol/spec/04-matching.md [MATCH-5], 05-tickets.md [TICK-1].
"""

from typing import Protocol

from orrange_p2p.core.types import ZERO_ADDRESS, Address


class EscrowTerms(Protocol):
    """What of an order matters here; lists are in the owner's order of preference."""

    @property
    def owner(self) -> Address:
        """Whose order it is."""
        ...

    @property
    def payment_methods(self) -> tuple[int, ...]:
        """How the quote may be paid."""
        ...

    @property
    def arbitrators(self) -> tuple[Address, ...]:
        """Who may judge."""
        ...


def common_methods(one: EscrowTerms, other: EscrowTerms) -> list[int]:
    """The payment methods that both list, as `one` prefers them."""
    return [method for method in one.payment_methods if method in other.payment_methods]


def common_arbitrators(one: EscrowTerms, other: EscrowTerms) -> list[Address]:
    """The arbitrators that both list, as `one` prefers them: nobody judges its own trade, and the zero address none."""
    excluded = (one.owner, other.owner, ZERO_ADDRESS)
    return [judge for judge in one.arbitrators if judge in other.arbitrators and judge not in excluded]


def agree_on_escrow(one: EscrowTerms, other: EscrowTerms) -> bool:
    """Whether there is a payment method and an arbitrator for both."""
    return bool(common_methods(one, other)) and bool(common_arbitrators(one, other))
