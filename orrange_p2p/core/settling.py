"""Completed tickets of this node's own orders on their way to the chain, and every ticket seen.

A ticket goes alone, unless it is a leg of a FOK order: then all legs go together, once every one of them is a ticket.

Spec: protocol/spec/05-tickets.md [TICK-13], [TICK-14], [TICK-16].
"""

from dataclasses import dataclass, field

from orrange_p2p.core.digests import Digests
from orrange_p2p.core.events import Action, Note, Settle, SettleGroup
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.tickets import MAX_LEGS
from orrange_p2p.core.types import ZERO_DIGEST, Digest, OrderId, SignedTrade, TicketDigest

MAX_OTHERS = 1_000
"""So many tickets of others wait at most; more are left to whom they belong."""


@dataclass(slots=True, kw_only=True)
class Unsettled:
    """A complete ticket that the chain has not shown yet."""

    trade: SignedTrade
    is_maker: bool
    completed_ms: int
    is_submitted: bool = False


@dataclass(slots=True, kw_only=True)
class _Group:
    """The legs known so far of a FOK order that this node has a part in, and when they came to be all."""

    taker_order: OrderId
    is_taker: bool = False
    legs: dict[TicketDigest, SignedTrade] = field(default_factory=dict)
    whole_ms: int | None = None
    is_submitted: bool = False


class Settling:
    """Own tickets until they are settled or can be no more."""

    def __init__(self, ledger: Ledger, digests: Digests, ticket_life_s: int) -> None:
        self._ledger = ledger
        self._digests = digests
        self._single_after_ms = ticket_life_s // 3 * 1000
        self._group_after_ms = ticket_life_s // 6 * 1000
        self._others_after_ms = ticket_life_s // 3 * 2000
        self.settles_for_others = False
        self._unsettled: dict[TicketDigest, Unsettled] = {}
        self._others: dict[TicketDigest, Unsettled] = {}
        self._groups: dict[Digest, _Group] = {}
        self._idle_before = 0  # the block number from which on tickets are looked at
        self.missed: list[TicketDigest] = []

    def __len__(self) -> int:
        """Own tickets not settled yet."""
        return len(self._unsettled)

    def add(self, digest: TicketDigest, trade: SignedTrade, *, is_maker: bool, now_ms: int) -> None:
        """A ticket of an own order is complete."""
        self._unsettled.setdefault(digest, Unsettled(trade=trade, is_maker=is_maker, completed_ms=now_ms))
        if trade.ticket.group != ZERO_DIGEST:
            group = self._groups.setdefault(trade.ticket.group, _Group(taker_order=trade.ticket.taker_order))
            group.is_taker = group.is_taker or not is_maker
            self.add_leg(digest, trade, now_ms=now_ms)

    def add_other(self, digest: TicketDigest, trade: SignedTrade, *, now_ms: int) -> None:
        """A ticket between two others is complete, and neither may come to submit it. Spec: [TICK-13]."""
        if not self.settles_for_others or trade.ticket.group != ZERO_DIGEST or len(self._others) >= MAX_OTHERS:
            return
        if not self._is_over(digest, trade):
            self._others.setdefault(digest, Unsettled(trade=trade, is_maker=False, completed_ms=now_ms))

    def _is_over(self, digest: TicketDigest, trade: SignedTrade) -> bool:
        """Whether a ticket has settled or can no more."""
        last = self._ledger.last_block
        is_late = last is not None and last.time_s > trade.ticket.deadline_s
        return is_late or self._ledger.settled_in(digest) is not None

    def wait_for(self, number: int) -> None:
        """Look at no ticket before the chain is as long as it was: what it took back may settle again by itself."""
        self._idle_before = max(self._idle_before, number)

    def awaits_legs(self, group: Digest) -> bool:
        """Whether an own ticket is a leg of this group, so that tickets of other makers matter too."""
        return group in self._groups and self._groups[group].whole_ms is None

    def add_leg(self, digest: TicketDigest, trade: SignedTrade, *, now_ms: int) -> None:
        """A ticket of a group that an own one belongs to is complete, whoever its maker is.

        Legs have one taker order, whose session alone signs them; a ticket of another that names the group is none.
        """
        group = self._groups[trade.ticket.group]
        if trade.ticket.taker_order != group.taker_order:
            return
        if group.whole_ms is None and len(group.legs) < MAX_LEGS:
            group.legs[digest] = trade
            if self._digests.group(leg.ticket for leg in group.legs.values()) == trade.ticket.group:
                group.whole_ms = now_ms

    def on_tick(self, now_ms: int) -> list[Action]:
        """Submit what is due, drop what is settled, report what can settle no more."""
        last = self._ledger.last_block
        if self._idle_before and (last is None or last.number < self._idle_before):
            return []
        actions: list[Action] = []
        for digest, row in list(self._unsettled.items()):
            if self._ledger.settled_in(digest) is not None:
                self._drop(digest, row)
                actions.append(
                    Note(
                        name="settled",
                        details=(("ticket", digest.hex()), ("after_ms", now_ms - row.completed_ms)),
                    )
                )
            elif last is not None and last.time_s > row.trade.ticket.deadline_s:
                actions.append(self._missed(digest, row))
                self._drop(digest, row)
            elif self._is_due(row, now_ms):
                row.is_submitted = True
                actions.append(Settle(trade=row.trade, digest=digest))
        return actions + self._submit_groups(now_ms) + self._submit_others(now_ms)

    def _submit_others(self, now_ms: int) -> list[Action]:
        """What both parties have left lying for long, once. Spec: [TICK-13]."""
        actions: list[Action] = []
        for digest, row in list(self._others.items()):
            if self._is_over(digest, row.trade):
                del self._others[digest]
            elif not row.is_submitted and now_ms >= row.completed_ms + self._others_after_ms:
                row.is_submitted = True
                actions.append(Settle(trade=row.trade, digest=digest))
        return actions

    def _is_due(self, row: Unsettled, now_ms: int) -> bool:
        """Whether a ticket that is no leg goes now. Spec: [TICK-13]."""
        if row.is_submitted or row.trade.ticket.group != ZERO_DIGEST:
            return False
        return row.is_maker or now_ms >= row.completed_ms + self._single_after_ms

    def _submit_groups(self, now_ms: int) -> list[Action]:
        """Whole groups, once each: the taker's node at once, makers' nodes later. Spec: [TICK-16]."""
        actions: list[Action] = []
        for digest, group in self._groups.items():
            if group.whole_ms is None or group.is_submitted:
                continue
            if group.is_taker or now_ms >= group.whole_ms + self._group_after_ms:
                group.is_submitted = True
                legs = tuple(Settle(trade=trade, digest=leg) for leg, trade in sorted(group.legs.items()))
                actions.append(SettleGroup(group=digest, legs=legs))
        return actions

    def _missed(self, digest: TicketDigest, row: Unsettled) -> Note:
        """Why a ticket did not settle: for a leg, what the chain said of the one leg that stopped the group."""
        self.missed.append(digest)
        group = self._groups.get(row.trade.ticket.group)
        legs = sorted(group.legs) if group is not None else [digest]
        reasons = {leg: reason for leg in legs if (reason := self._ledger.skip_reason(leg))}
        details: list[tuple[str, str | int]] = [("ticket", digest.hex())]
        culprit = digest if digest in reasons or not reasons else min(reasons)
        details.append(("skip_reason", reasons.get(culprit, 0)))
        if culprit != digest:
            details.append(("leg", culprit.hex()))
        return Note(name="settlement_missed", details=tuple(details))

    def _drop(self, digest: TicketDigest, row: Unsettled) -> None:
        """An own ticket's way is over; so is its group's, with the last own leg."""
        del self._unsettled[digest]
        group = self._groups.get(row.trade.ticket.group)
        if group is not None and not any(leg in self._unsettled for leg in group.legs):
            del self._groups[row.trade.ticket.group]
