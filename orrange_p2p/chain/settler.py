"""Brings completed tickets onto the chain: batches them, sends them, and learns from the chain what became of each.

A ticket is *waiting*, then *sent* in one transaction at a time, then gone: settled (a `TradeSettled` fact says so, by
whomever it was sent), skipped (our own transaction's receipt says so, once its block was followed; a stranger may make
the contract skip anything), expired, or given up after bounded reverts. The trades of a failed batch go one by one.
The legs of a FOK order go together, in a transaction of their own that settles all or none, however often it is tried.
What the lane took stays with it, through outages and crashes: nothing is sent again while it may be mined still.
"""

from collections import deque
from collections.abc import Callable, Mapping

import structlog
import trio

from orrange_p2p.chain.backend import Receipt, TransactionRefused
from orrange_p2p.chain.contracts import encode_settle, encode_settle_group, settlement_contract, skip_reason_name
from orrange_p2p.chain.fates import Fate as Fate
from orrange_p2p.chain.fates import Held, Skip
from orrange_p2p.chain.fates import SettlementOutcome as SettlementOutcome
from orrange_p2p.chain.lane import SentTransaction, TransactionLane
from orrange_p2p.core.facts import BlockFacts, TradeSettled
from orrange_p2p.core.types import Address, SignedTrade, TicketDigest, TicketKind
from orrange_p2p.errors import ChainUnavailable, EscrowReverted

_BATCH_TRADES = 20
_MAX_HELD = 10_000
_MAX_ATTEMPTS = 5
_MAX_TRANSACTIONS = 8
_OTHER_LEG = "another leg"
_RETRY_PAUSE_S = 1.0
_RETRY_PAUSE_MAX_S = 4.0
_DIGEST_BYTES = 32
GAS_BASE = 80_000
GAS_PER_TRADE = 260_000
GAS_PER_ESCROW = 340_000
"""Gas limits, not prices. Measured: 152,000 a trade in a batch of 20 between the same owners, 180,000 with a new maker
each, 260,000 for one alone where all is new, 282,000 for one that opens an escrow. Never an estimate: with
too little gas a signature check fails inside and the trade is skipped, which an estimate takes for success."""


_log = structlog.get_logger(__name__)


class _NothingSent(Exception):
    """The chain is out of reach, gas too dear, or the account too poor; nothing is under way."""


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
        self._held: dict[TicketDigest, Held] = {}
        self._sent_before: dict[TicketDigest, Skip | None] = {}
        self._waiting: deque[TicketDigest] = deque()
        self._has_waiting = trio.Event()
        self._slots = trio.CapacityLimiter(_MAX_TRANSACTIONS)
        self._observed_number = -1
        self._fates = dict.fromkeys(Fate, 0)
        self._skips: dict[str, int] = {}
        self._counts = dict.fromkeys(
            (
                "not_taken",
                "transactions",
                "failed_transactions",
                "late_transactions",
                "held_back",
                "trades_sent",
                "gas_used",
            ),
            0,
        )
        self._held_back_for = ""
        self._pause_s = _RETRY_PAUSE_S
        self._unfinished = deque(lane.unfinished())
        self._has_unfinished = trio.Event()
        for sent in self._unfinished:
            self._sent_before.update(dict.fromkeys(_tickets_of(sent)))

    def statistics(self) -> dict[str, object]:
        """Tickets waiting, sent and by fate; skips by reason; transactions, trades in them, and gas used.

        `not_taken` counts tickets that came while there was no place, `late_transactions` waits of a whole deadline
        without a block, `held_back` batches that were not sent; `held_back_for` says why if none was sent since. Of a
        group that was passed over, one leg counts under its reason and the rest under "another leg".
        """
        waiting = sum(held.is_waiting for held in self._held.values())
        return {
            "waiting": waiting,
            "sent": len(self._held) - waiting,
            **{fate.value: count for fate, count in self._fates.items()},
            "skips": dict(self._skips),
            "held_back_for": self._held_back_for,
            **self._counts,
        }

    def enqueue(self, ticket: TicketDigest, trade: SignedTrade) -> bool:
        """Take a completed ticket; False if it is held already or no more can be held (offer it again later).

        A ticket whose `TradeSettled` fact was observed before this call would be sent in vain and skipped as replay.
        """
        if ticket in self._held or self._is_full(1):
            return False
        self._held[ticket] = Held(trade=trade)
        self._begin((ticket,))
        return True

    def enqueue_group(self, legs: Mapping[TicketDigest, SignedTrade]) -> bool:
        """Take all legs of a FOK order, at least one; False if one is held already or no more can be held."""
        if any(leg in self._held for leg in legs) or self._is_full(len(legs)):
            return False
        order = tuple(legs)
        for leg, trade in legs.items():
            self._held[leg] = Held(trade=trade, legs=order)
        self._begin(order)
        return True

    def _is_full(self, coming: int) -> bool:
        """Whether so many more tickets have no place; their other party may have it, or this node after a restart."""
        if len(self._held) + coming <= self._max_held:
            return False
        if not self._counts["not_taken"]:
            _log.warning("more tickets wait to be settled than this node holds", most=self._max_held)
        self._counts["not_taken"] += coming
        return True

    def _begin(self, tickets: tuple[TicketDigest, ...]) -> None:
        """Let a ticket or a group wait for its transaction, unless it is in one that is under way or was mined."""
        if tickets[0] not in self._sent_before:
            self._wait_again(tickets[0])
            return
        for ticket in tickets:
            self._held[ticket].is_waiting = False
        for culprit in tickets:
            skip = self._sent_before.get(culprit)
            if skip is not None:
                for ticket in tickets:
                    self._note_skip(ticket, culprit, skip)

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

        Tickets that settled in them are offered again by who completed them, if other blocks do not settle them. Our
        own transactions from those blocks are under way again, and no others are made for their tickets.
        """
        self._observed_number = min(self._observed_number, to_block)
        for held in self._held.values():
            if held.skipped_at is not None and held.skipped_at > to_block:
                held.skipped_at = None
        for sent in self._lane.unwind(to_block):
            self._sent_before.update(dict.fromkeys(_tickets_of(sent)))
            self._unfinished.append(sent)
        while len(self._sent_before) > 2 * self._max_held:
            del self._sent_before[next(iter(self._sent_before))]
        self._has_unfinished.set()

    async def run(self) -> None:
        """Send what waits, until cancelled. What was sent may still settle after a cancellation."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._resume_all)
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

    async def _resume_all(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                while self._unfinished:
                    nursery.start_soon(self._resume, self._unfinished.popleft())
                self._has_unfinished = trio.Event()
                await self._has_unfinished.wait()

    async def _resume(self, sent: SentTransaction) -> None:
        """See a transaction from before the start, or of a block that is no more, into a block.

        If it never can be mined, its tickets wait anew.
        """
        tickets = _tickets_of(sent)
        try:
            await self._see_through(sent)
        except (EscrowReverted, TransactionRefused) as error:
            self._counts["failed_transactions"] += 1
            for ticket in tickets:
                self._sent_before.pop(ticket, None)
                self._try_again(ticket, str(error))

    async def _settle(self, batch: list[TicketDigest], slot: object) -> None:
        """Send one batch and see it into a block; what fails as a whole waits again."""
        try:
            still_held = [ticket for ticket in batch if ticket in self._held]
            if still_held:
                await self._send_and_see(still_held)
        except _NothingSent as error:
            await self._hold_back(batch, str(error))
        except (EscrowReverted, TransactionRefused) as error:
            self._counts["failed_transactions"] += 1
            await trio.sleep(_RETRY_PAUSE_S)
            for ticket in batch:
                self._try_again(ticket, str(error))
        finally:
            self._slots.release_on_behalf_of(slot)

    async def _send_and_see(self, batch: list[TicketDigest]) -> None:
        sent = await self._send(batch)
        # A ticket that settles, is taken back and is offered again meanwhile is in this transaction still.
        self._sent_before.update(dict.fromkeys(batch))
        try:
            await self._see_through(sent)
        finally:
            for ticket in batch:
                self._sent_before.pop(ticket, None)

    async def _send(self, batch: list[TicketDigest]) -> SentTransaction:
        """Send one batch. A group, and what failed before, is tried on the chain's state first: a revert costs no gas.

        Raises:
            EscrowReverted: the contract would refuse all of it.
            _NothingSent: nothing is under way.
        """
        trades = [self._held[ticket].trade for ticket in batch]
        is_group = self._held[batch[0]].legs != ()
        payload = encode_settle_group(trades) if is_group else encode_settle(trades)
        kinds = [trade.ticket.kind for trade in trades]
        gas = GAS_BASE + sum(GAS_PER_ESCROW if kind is TicketKind.ESCROW else GAS_PER_TRADE for kind in kinds)
        try:
            if is_group or self._held[batch[0]].attempts:
                await self._lane.simulate(self._settlement, payload)
            sent = await self._lane.send(self._settlement, payload, gas=gas, note=b"".join(batch))
        except (TransactionRefused, ChainUnavailable) as error:
            raise _NothingSent(str(error)) from error
        self._held_back_for, self._pause_s = "", _RETRY_PAUSE_S
        self._counts["transactions"] += 1
        self._counts["trades_sent"] += len(trades)
        return sent

    async def _see_through(self, sent: SentTransaction) -> None:
        """Wait for a transaction's block, however long it takes: no later one of this account can have one before it.

        Raises:
            EscrowReverted: the contract refused all of it.
            TransactionRefused: it can never be mined.
        """
        while True:
            try:
                receipt = await self._lane.wait(sent)
            except ChainUnavailable:
                self._counts["late_transactions"] += 1
            else:
                self._counts["gas_used"] += receipt.gas_used
                self._note_skips(receipt)
                return

    def _note_skips(self, receipt: Receipt) -> None:
        for log in receipt.logs:
            event = settlement_contract().decode_event(log) if log.address == self._settlement else None
            if event is None or event.name != "TradeSkipped":
                continue
            culprit = TicketDigest(event.fields["ticket"])
            skip = Skip(block_number=receipt.block_number, reason=event.fields["reason"])
            if culprit in self._sent_before:
                self._sent_before[culprit] = skip
            held = self._held.get(culprit)
            for ticket in (held.legs or (culprit,)) if held is not None else ():
                self._note_skip(ticket, culprit, skip)

    def _note_skip(self, ticket: TicketDigest, culprit: TicketDigest, skip: Skip) -> None:
        held = self._held.get(ticket)
        if held is None:
            return
        held.skipped_at, held.skip_reason, held.culprit = skip.block_number, skip.reason, culprit
        if skip.block_number <= self._observed_number:
            self._end_skipped(ticket, held)

    async def _hold_back(self, batch: list[TicketDigest], failure: str) -> None:
        """Nothing of a batch was sent, through no fault of its own: it waits for better times, up to its deadlines."""
        self._counts["held_back"] += 1
        if not self._held_back_for:
            _log.warning("tickets wait to be settled", reason=failure)
        self._held_back_for = failure
        await trio.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, _RETRY_PAUSE_MAX_S)
        for ticket in batch:
            held = self._held.get(ticket)
            if held is not None:
                held.failure = failure
                self._wait_again(ticket)

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

    def _end_skipped(self, ticket: TicketDigest, held: Held) -> None:
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
        if fate is not Fate.SETTLED:
            _log.warning("a ticket did not settle", ticket=ticket.hex(), fate=fate.value, reason=reason)
        if self._on_outcome is not None:
            self._on_outcome(SettlementOutcome(ticket=ticket, fate=fate, reason=reason))


def _tickets_of(sent: SentTransaction) -> tuple[TicketDigest, ...]:
    """The tickets of a transaction, from the note that `Settler` put on it."""
    return tuple(
        TicketDigest(sent.note[start : start + _DIGEST_BYTES]) for start in range(0, len(sent.note), _DIGEST_BYTES)
    )
