"""Which lots of its own orders a session has signed away, promised, or is bargaining about.

This is what keeps an honest node honest: nothing is signed for lots that are not free here.
Spec: protocol/spec/05-tickets.md [TICK-2, TICK-7, TICK-10], 03-orders.md S4.
"""

from dataclasses import dataclass
from enum import Enum

from orrange_p2p.core.ranges import Range, overlaps
from orrange_p2p.core.types import Address, Epoch, OrderId, Ticket, TicketDigest


class Claim(Enum):
    """Why lots are not free."""

    EXCHANGE = "exchange"
    PROMISED = "promised"
    SIGNED = "signed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLock:
    """Lots of one own order under one ticket."""

    lots: Range
    digest: TicketDigest
    claim: Claim
    epoch: Epoch
    deadline_s: int


class OwnLots:
    """Locks on the lots of this session's own orders in one market."""

    def __init__(self) -> None:
        self._locks: dict[OrderId, list[OwnLock]] = {}
        self._dropped_before_s = 0  # locks with earlier deadlines may be gone
        self._nonces: dict[tuple[Address, int], TicketDigest] = {}

    def claim_nonce(self, taker: Address, ticket_nonce: int, digest: TicketDigest) -> bool:
        """Whether a taker's `ticket_nonce` is this ticket's; the first one signed keeps it. Spec: [TICK-10]."""
        return self._nonces.setdefault((taker, ticket_nonce), digest) == digest

    def is_free(self, order_id: OrderId, lots: Range, start_s: int, *, besides: TicketDigest | None = None) -> bool:
        """Whether a ticket over `lots` of an epoch starting at `start_s` may be signed or promised.

        Args:
            order_id: an own order.
            lots: the range wanted.
            start_s: unix seconds at which the ticket's epoch starts.
            besides: a ticket whose own lock does not count.
        """
        if start_s < self._dropped_before_s:  # the chain's time fell: it took back blocks
            return False
        for lock in self._locks.get(order_id, ()):
            if lock.digest == besides or not overlaps(lock.lots, lots):
                continue
            if lock.claim is not Claim.SIGNED or lock.deadline_s >= start_s:
                return False
        return True

    def lock(self, order_id: OrderId, lots: Range, ticket: Ticket, digest: TicketDigest, claim: Claim) -> None:
        """Lock lots under a ticket; an earlier lock of the same ticket is replaced unless it was signed."""
        locks = self._locks.setdefault(order_id, [])
        for known in locks:
            if known.digest == digest and known.claim is Claim.SIGNED:
                return
        locks[:] = [known for known in locks if known.digest != digest]
        locks.append(OwnLock(lots=lots, digest=digest, claim=claim, epoch=ticket.epoch, deadline_s=ticket.deadline_s))

    def signed(self, order_id: OrderId, digest: TicketDigest) -> bool:
        """Whether a ticket over this order is signed already."""
        locks = self._locks.get(order_id, ())
        return any(lock.digest == digest and lock.claim is Claim.SIGNED for lock in locks)

    def locked(self, order_id: OrderId, *claims: Claim) -> tuple[Range, ...]:
        """Lots of an own order under one of these claims, in no particular order."""
        return tuple(lock.lots for lock in self._locks.get(order_id, ()) if lock.claim in claims)

    def release(self, order_id: OrderId, digest: TicketDigest) -> None:
        """Free lots that were bargained about or promised; signed ones stay."""
        locks = self._locks.get(order_id)
        if locks is not None:
            locks[:] = [lock for lock in locks if lock.digest != digest or lock.claim is Claim.SIGNED]

    def forget(self, order_id: OrderId, digest: TicketDigest) -> None:
        """Free lots under a signature that never left this node."""
        locks = self._locks.get(order_id)
        if locks is not None:
            locks[:] = [lock for lock in locks if lock.digest != digest]

    def expire(self, epoch: Epoch, chain_time_s: int, ticket_life_s: int) -> None:
        """Drop promises whose time is over, and signed lots that no ticket still to be signed may overlap in time.

        A ticket is signed until its own deadline at most and starts `ticket_life_s` before it, so signed lots are kept
        that much longer than they can settle. Spec: [TICK-10].
        """
        self._dropped_before_s = max(self._dropped_before_s, chain_time_s - ticket_life_s)
        for order_id in list(self._locks):
            kept = [lock for lock in self._locks[order_id] if not _is_over(lock, epoch, chain_time_s - ticket_life_s)]
            if kept:
                self._locks[order_id] = kept
            else:
                del self._locks[order_id]


def _is_over(lock: OwnLock, epoch: Epoch, oldest_start_s: int) -> bool:
    if lock.claim is Claim.SIGNED:
        return oldest_start_s > lock.deadline_s
    return lock.claim is Claim.PROMISED and epoch > lock.epoch + 2
