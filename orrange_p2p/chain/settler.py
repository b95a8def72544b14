"""Brings completed tickets onto the chain: batches them, sends them, and learns from the chain what became of each.

A ticket is *waiting*, then *sent* in one transaction at a time, then gone: settled (a `TradeSettled` fact says so, by
whomever it was sent), skipped (our own transaction's receipt says so, once its block was followed; a stranger may make
the contract skip anything), expired, or given up after bounded attempts. The trades of a failed batch go one by one.
The legs of a FOK order go together, in a transaction of their own that settles all or none, however often it is tried.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import trio

from orrange_p2p.chain.backend import Receipt, TransactionRefused
from orrange_p2p.chain.contracts import encode_settle, encode_settle_group, settlement_contract, skip_reason_name
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.core.facts import BlockFacts, TradeSettled
from orrange_p2p.core.types import Address, SignedTrade, TicketDigest
from orrange_p2p.errors import ChainUnavailable, EscrowReverted

_BATCH_TRADES = 20
_MAX_HELD = 2_000
_MAX_ATTEMPTS = 5
_MAX_TRANSACTIONS = 8
_OTHER_LEG = "another leg"
_RETRY_PAUSE_S = 1
GAS_BASE = 80_000
GAS_PER_TRADE = 260_000
"""Gas limits, not prices. Measured: 134,000 a trade in a batch of 20 between the same owners, 215,000 where each owner,
session and balance is new, 236,000 for such a one alone. Never an estimate: with too little gas a signature check fails
inside and the trade is skipped, which an estimate takes for success."""


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
class _Held:
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


class Settler:
    """Settles tickets through one lane. `enqueue` and `observe` never wait; `run` does the sending."""

    def __init__(
        self,
        lane: TransactionLane,
        settlement: Address,
        *,
        on_outcome: Callable[[SettlementOutcome], None] | None = None,
        batch_trades: int = _BATCH_TRADES,
        gather_ms: int = 200,
        max_held: int = _MAX_HELD,
    ) -> None:
        """Make a settler.

        Args:
            lane: sends and pays.
            settlement: the contract's address.
            on_outcome: called once for each ticket when its way ends; it must not raise.
            batch_trades: at most so many tickets in a transaction.
            gather_ms: how long a first ticket waits for others to share its transaction.
            max_held: `enqueue` refuses while so many tickets are waiting or sent.
        """
        self._lane = lane
        self._settlement = settlement
        self._on_outcome = on_outcome
        self._batch_trades = batch_trades
        self._gather_s = gather_ms / 1000
        self._max_held = max_held
        self._held: dict[TicketDigest, _Held] = {}
        self._waiting: deque[TicketDigest] = deque()
        self._has_waiting = trio.Event()
        self._slots = trio.CapacityLimiter(_MAX_TRANSACTIONS)
        self._observed_number = -1
        self._fates = dict.fromkeys(Fate, 0)
        self._skips: dict[str, int] = {}
        self._counts = {"transactions": 0, "failed_transactions": 0, "trades_sent": 0, "gas_used": 0}

    def statistics(self) -> dict[str, object]:
        """Tickets waiting, sent and by fate; skips by reason; transactions, trades in them, and gas used.

        Of a group that was passed over, one leg counts under its reason and the rest under "another leg".
        """
        waiting = sum(held.is_waiting for held in self._held.values())
        return {
            "waiting": waiting,
            "sent": len(self._held) - waiting,
            **{fate.value: count for fate, count in self._fates.items()},
            "skips": dict(self._skips),
            **self._counts,
        }

    def enqueue(self, ticket: TicketDigest, trade: SignedTrade) -> bool:
        """Take a completed ticket; False if it is held already or no more can be held (offer it again later).

        A ticket whose `TradeSettled` fact was observed before this call would be sent in vain and skipped as replay.
        """
        if ticket in self._held or len(self._held) >= self._max_held:
            return False
        self._held[ticket] = _Held(trade=trade)
        self._wait_again(ticket)
        return True

    def enqueue_group(self, legs: Mapping[TicketDigest, SignedTrade]) -> bool:
        """Take all legs of a FOK order, at least one; False if one is held already or no more can be held."""
        if any(leg in self._held for leg in legs) or len(self._held) + len(legs) > self._max_held:
            return False
        order = tuple(legs)
        for leg, trade in legs.items():
            self._held[leg] = _Held(trade=trade, legs=order)
        self._wait_again(order[0])
        return True

    def observe(self, block: BlockFacts) -> None:
        """Learn from a followed block; blocks come in order."""
        self._observed_number = block.number
        for fact in block.facts:
            if isinstance(fact, TradeSettled):
                self._end(fact.ticket, Fate.SETTLED)
        for ticket, held in list(self._held.items()):
            if held.skipped_at is not None and held.skipped_at <= block.number:
                self._end_skipped(ticket, held)
            elif held.trade.ticket.deadline_s < block.time_s:
                self._end(ticket, Fate.EXPIRED, held.failure)

    def unwind(self, to_block: int) -> None:
        """Learn that the chain took back every block after `to_block`: what they passed over is not passed over.

        Tickets that settled in them are offered again by who completed them, if other blocks do not settle them.
        """
        self._observed_number = min(self._observed_number, to_block)
        for held in self._held.values():
            if held.skipped_at is not None and held.skipped_at > to_block:
                held.skipped_at = None

    async def run(self) -> None:
        """Send what waits, until cancelled. What was sent may still settle after a cancellation."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._has_waiting.wait()
                slot = object()
                await self._slots.acquire_on_behalf_of(slot)
                await trio.sleep(self._gather_s)
                nursery.start_soon(self._settle, self._take_batch(), slot)

    def _take_batch(self) -> list[TicketDigest]:
        """The next tickets that are still held; a group goes alone, and so does a ticket that failed before."""
        batch: list[TicketDigest] = []
        while self._waiting and len(batch) < self._batch_trades:
            held = self._held.get(self._waiting[0])
            is_alone = held is not None and (held.attempts > 0 or held.legs != ())
            if is_alone and batch:
                break
            ticket = self._waiting.popleft()
            if held is None:
                continue
            batch.extend(leg for leg in held.legs or (ticket,) if leg in self._held)
            if is_alone:
                break
        for ticket in batch:
            self._held[ticket].is_waiting = False
        if not self._waiting:
            self._has_waiting = trio.Event()
        return batch

    async def _settle(self, batch: list[TicketDigest], slot: object) -> None:
        """Send one batch and see it into a block; what fails as a whole waits again."""
        still_held = [self._held[ticket] for ticket in batch if ticket in self._held]
        failure = ""
        try:
            if still_held:
                receipt = await self._send([held.trade for held in still_held], is_group=still_held[0].legs != ())
                self._note_skips(receipt)
        except (EscrowReverted, TransactionRefused, ChainUnavailable) as error:
            self._counts["failed_transactions"] += 1
            failure = str(error)
            await trio.sleep(_RETRY_PAUSE_S)
        finally:
            self._slots.release_on_behalf_of(slot)
        if failure:
            for ticket in batch:
                self._try_again(ticket, failure)

    async def _send(self, trades: list[SignedTrade], *, is_group: bool) -> Receipt:
        payload = encode_settle_group(trades) if is_group else encode_settle(trades)
        sent = await self._lane.send(self._settlement, payload, gas=GAS_BASE + GAS_PER_TRADE * len(trades))
        self._counts["transactions"] += 1
        self._counts["trades_sent"] += len(trades)
        receipt = await self._lane.wait(sent)
        self._counts["gas_used"] += receipt.gas_used
        return receipt

    def _note_skips(self, receipt: Receipt) -> None:
        for log in receipt.logs:
            event = settlement_contract().decode_event(log) if log.address == self._settlement else None
            if event is None or event.name != "TradeSkipped":
                continue
            culprit = TicketDigest(event.fields["ticket"])
            if culprit not in self._held:
                continue
            for ticket in self._held[culprit].legs or (culprit,):
                self._note_skip(ticket, culprit, event.fields["reason"], receipt.block_number)

    def _note_skip(self, ticket: TicketDigest, culprit: TicketDigest, reason: int, block_number: int) -> None:
        held = self._held.get(ticket)
        if held is None:
            return
        held.skipped_at, held.skip_reason, held.culprit = block_number, reason, culprit
        if block_number <= self._observed_number:
            self._end_skipped(ticket, held)

    def _try_again(self, ticket: TicketDigest, failure: str) -> None:
        held = self._held.get(ticket)
        if held is None:
            return
        held.attempts += 1
        held.failure = failure
        if held.attempts >= _MAX_ATTEMPTS:
            self._end(ticket, Fate.FAILED, failure)
        else:
            self._wait_again(ticket)

    def _wait_again(self, ticket: TicketDigest) -> None:
        held = self._held[ticket]
        held.is_waiting = True
        if not held.legs or held.legs[0] == ticket:
            self._waiting.append(ticket)
            self._has_waiting.set()

    def _end_skipped(self, ticket: TicketDigest, held: _Held) -> None:
        reason = skip_reason_name(held.skip_reason)
        counted = reason
        if held.culprit is not None and held.culprit != ticket:
            counted, reason = _OTHER_LEG, f"leg {held.culprit.hex()}: {reason}"
        self._skips[counted] = self._skips.get(counted, 0) + 1
        self._end(ticket, Fate.SKIPPED, reason)

    def _end(self, ticket: TicketDigest, fate: Fate, reason: str = "") -> None:
        if self._held.pop(ticket, None) is None:
            return
        self._fates[fate] += 1
        if self._on_outcome is not None:
            self._on_outcome(SettlementOutcome(ticket=ticket, fate=fate, reason=reason))
