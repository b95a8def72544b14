"""What the chain has said so far, so that it can be asked as of any block.

Every figure is kept with the block it became true in: a question names a block, and blocks that the chain took back are
cut off again. What reputation is computed from is kept in `conduct`.
Spec: protocol/spec/03-orders.md [BOOK-1, FUND-1, FUND-4, HOLD-5].
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace

from orrange_p2p.core.conduct import Conduct, cut_rows
from orrange_p2p.core.escrow import EscrowState
from orrange_p2p.core.facts import (
    BlockFacts,
    Defaulted,
    EscrowMoved,
    Fact,
    FundsChanged,
    OrderCancelled,
    OrdersCancelled,
    SessionAuthorised,
    SessionCapped,
    SessionRevoked,
    TradeSettled,
    TradeSkipped,
)
from orrange_p2p.core.needs import escrow_bond
from orrange_p2p.core.ranges import Range
from orrange_p2p.core.types import Address, Digest, Market, MarketId, Order, OrderId, Scope, TicketDigest
from orrange_p2p.errors import LocalProtocolError


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRef:
    """A block by number, hash and time (unix seconds)."""

    number: int
    hash: Digest
    time_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """A session as the chain knows it; block numbers say from when."""

    owner: Address
    scope: Scope
    expiry_s: int
    authorised_at: int
    revoked_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EscrowStanding:
    """Where a trade by escrow stands, since when (unix seconds, block), and by which step, None for its opening."""

    state: EscrowState
    since_s: int
    block_number: int
    moved: EscrowMoved | None


FundsKey = tuple[Address, MarketId, Address]


class Ledger:
    """Chain facts up to the last block added. Blocks are added in order, without gaps."""

    def __init__(self, markets: Mapping[MarketId, Market]) -> None:
        self.conduct = Conduct()
        self._markets = dict(markets)
        self._blocks: list[BlockRef] = []
        self._times: list[int] = []
        self._funds: dict[FundsKey, tuple[list[int], list[int]]] = {}
        self._sessions: dict[Address, SessionRecord] = {}
        self._capped: dict[Address, list[tuple[int, Address]]] = {}
        self._settled_lots: dict[OrderId, list[tuple[int, Range]]] = {}
        self._settled_tickets: dict[TicketDigest, tuple[int, TradeSettled]] = {}
        self._skipped: dict[TicketDigest, list[tuple[int, int]]] = {}
        self._escrows: dict[TicketDigest, list[tuple[int, EscrowMoved]]] = {}
        self._cancelled: dict[OrderId, list[tuple[int, Address]]] = {}
        self._cancelled_up_to: dict[tuple[Address, Address], list[tuple[int, int]]] = {}
        self._touched: dict[int, list[Address]] = {}

    @property
    def last_block(self) -> BlockRef | None:
        """The latest block, or None before the first."""
        return self._blocks[-1] if self._blocks else None

    def newest_blocks(self, count: int) -> tuple[BlockRef, ...]:
        """The last `count` blocks at most, in order."""
        return tuple(self._blocks[-count:])

    def add(self, block: BlockFacts) -> None:
        """Take in the next block.

        Raises:
            LocalProtocolError: it does not follow the last one; the chain shell is to blame.
        """
        if self._blocks:
            last = self._blocks[-1]
            if block.number != last.number + 1 or block.parent_hash != last.hash or block.time_s < last.time_s:
                raise LocalProtocolError(
                    "BOOK-1", f"expected the block after number {last.number}, was number {block.number}"
                )
        self._blocks.append(BlockRef(number=block.number, hash=block.hash, time_s=block.time_s))
        self._times.append(block.time_s)
        for fact in block.facts:
            self._apply(block.number, fact)
            self.conduct.add(block.number, block.time_s, fact)
            if isinstance(fact, TradeSettled):
                self._touched.setdefault(block.number, []).extend((fact.maker_owner, fact.taker_owner))
            elif not isinstance(fact, TradeSkipped | EscrowMoved):
                self._touched.setdefault(block.number, []).append(fact.owner)

    def unwind(self, to_block: int) -> None:
        """Forget every block after `to_block`, as if it had never come; before the first block: forget everything."""
        kept = max(0, to_block - self._blocks[0].number + 1) if self._blocks else 0
        del self._blocks[kept:], self._times[kept:]
        self.conduct.unwind(to_block)
        for funds, (numbers, totals) in list(self._funds.items()):
            count = bisect_right(numbers, to_block)
            del numbers[count:], totals[count:]
            if not count:
                del self._funds[funds]
        for session, record in list(self._sessions.items()):
            if record.authorised_at > to_block:
                del self._sessions[session]
            elif record.revoked_at is not None and record.revoked_at > to_block:
                self._sessions[session] = replace(record, revoked_at=None)
        cut_rows(self._capped, to_block)
        cut_rows(self._settled_lots, to_block)
        cut_rows(self._skipped, to_block)
        cut_rows(self._escrows, to_block)
        cut_rows(self._cancelled, to_block)
        cut_rows(self._cancelled_up_to, to_block)
        for ticket in [ticket for ticket, (number, _) in self._settled_tickets.items() if number > to_block]:
            del self._settled_tickets[ticket]
        for number in [number for number in self._touched if number > to_block]:
            del self._touched[number]

    def touched_owners(self, after_block: int, to_block: int) -> tuple[Address, ...]:
        """Owners whose facts changed in blocks `after_block + 1 .. to_block`, ascending."""
        owners: list[Address] = []
        first = self._blocks[0].number if self._blocks else 0
        for number in range(max(after_block + 1, first), to_block + 1):
            owners.extend(self._touched.get(number, ()))
        return tuple(sorted(dict.fromkeys(owners)))

    def _apply(self, number: int, fact: Fact) -> None:
        if isinstance(fact, FundsChanged):
            self._move(number, fact.owner, fact.market, fact.token, fact.delta)
        elif isinstance(fact, TradeSettled):
            self._settle(number, fact)
        elif isinstance(fact, SessionAuthorised):
            self._sessions.setdefault(
                fact.session,
                SessionRecord(owner=fact.owner, scope=fact.scope, expiry_s=fact.expiry_s, authorised_at=number),
            )
        elif isinstance(fact, SessionRevoked):
            self._revoke(number, fact)
        elif isinstance(fact, SessionCapped):
            self._capped.setdefault(fact.session, []).append((number, fact.token))
        elif isinstance(fact, TradeSkipped):
            self._skipped.setdefault(fact.ticket, []).append((number, fact.reason))
        elif isinstance(fact, EscrowMoved):
            self._escrows.setdefault(fact.ticket, []).append((number, fact))
        elif isinstance(fact, OrderCancelled):
            self._cancelled.setdefault(fact.order, []).append((number, fact.owner))
        elif isinstance(fact, OrdersCancelled):
            self._cancelled_up_to.setdefault((fact.owner, fact.session), []).append((number, fact.nonce))

    def _revoke(self, number: int, fact: SessionRevoked) -> None:
        known = self._sessions.get(fact.session)
        if known is None or known.owner != fact.owner or known.revoked_at is not None:
            return
        self._sessions[fact.session] = replace(known, revoked_at=number)

    def _move(self, number: int, owner: Address, market: MarketId, token: Address, delta: int) -> None:
        numbers, totals = self._funds.setdefault((owner, market, token), ([], []))
        total = (totals[-1] if totals else 0) + delta
        if numbers and numbers[-1] == number:
            totals[-1] = total
        else:
            numbers.append(number)
            totals.append(total)

    def _settle(self, number: int, fact: TradeSettled) -> None:
        self._settled_tickets.setdefault(fact.ticket, (number, fact))
        self._settled_lots.setdefault(fact.maker_order, []).append((number, (fact.maker_from, fact.maker_to)))
        self._settled_lots.setdefault(fact.taker_order, []).append((number, (fact.taker_from, fact.taker_to)))
        market = self._markets.get(fact.market)
        if market is None:
            return
        lots = fact.maker_to - fact.maker_from
        buyer, seller = fact.maker_owner, fact.taker_owner
        if not fact.is_maker_buyer:
            buyer, seller = seller, buyer
        base_amount = market.base_amount(lots)
        quote_amount = market.quote_amount(fact.price_ticks, lots)
        self._move(number, seller, fact.market, market.base, -base_amount)
        if fact.security:
            bond = escrow_bond(quote_amount, fact.security)
            self._move(number, seller, fact.market, market.quote, -bond)
            self._move(number, buyer, fact.market, market.quote, -bond)
            return
        self._move(number, buyer, fact.market, market.base, base_amount)
        self._move(number, buyer, fact.market, market.quote, -quote_amount)
        self._move(number, seller, fact.market, market.quote, quote_amount - fact.fee)

    def has_passed(self, time_limit_s: int) -> bool:
        """Whether a block later than `time_limit_s` has been seen, so that the last one up to it is known."""
        return bool(self._times) and self._times[-1] > time_limit_s

    def fund_block(self, time_limit_s: int) -> BlockRef | None:
        """The last block with `time_s <= time_limit_s`, if a later one has been seen. Spec: [BOOK-1]."""
        at = bisect_right(self._times, time_limit_s)
        if at == 0 or at == len(self._times):
            return None
        return self._blocks[at - 1]

    def begins_after(self, time_limit_s: int) -> bool:
        """Whether a block has been seen, and none with `time_s <= time_limit_s`. Spec: [MATCH-12]."""
        return bool(self._times) and self._times[0] > time_limit_s

    def block(self, number: int) -> BlockRef | None:
        """The block of that number, if it was added."""
        if not self._blocks:
            return None
        at = number - self._blocks[0].number
        return self._blocks[at] if 0 <= at < len(self._blocks) else None

    def allocation(self, owner: Address, market: MarketId, token: Address, *, at_block: int) -> int:
        """Token units that orders of `owner` may use in `market` as of a block. Spec: [FUND-1]."""
        timeline = self._funds.get((owner, market, token))
        if timeline is None:
            return 0
        numbers, totals = timeline
        at = bisect_right(numbers, at_block)
        return totals[at - 1] if at else 0

    def last_change(self, owner: Address, market: MarketId) -> BlockRef | None:
        """The block in which what `owner` has allocated to `market` last changed, in either token."""
        tokens = (self._markets[market].base, self._markets[market].quote)
        found = [self._funds[owner, market, token][0][-1] for token in tokens if (owner, market, token) in self._funds]
        return self.block(max(found)) if found else None

    def session(self, session: Address, *, at_block: int) -> SessionRecord | None:
        """The session's record if it was authorised and not revoked as of a block. Spec: [FUND-4]."""
        record = self._sessions.get(session)
        if record is None or record.authorised_at > at_block:
            return None
        if record.revoked_at is not None and record.revoked_at <= at_block:
            return None
        return record

    def is_capped(self, session: Address) -> bool:
        """Whether a session may spend only so much of some token."""
        return session in self._capped

    def has_session(self, session: Address) -> bool:
        """Whether the chain ever authorised a session key, revoked or expired since or not."""
        return session in self._sessions

    def settled_lots(self, order_id: OrderId, order: Order, *, at_block: int) -> list[Range]:
        """Lot ranges of an order settled up to a block, in settlement order; all that it has if it was cancelled there.

        Spec: [HOLD-5].
        """
        if self._is_cancelled(order_id, order, at_block):
            return [(0, order.quantity_lots)]
        return [lots for number, lots in self._settled_lots.get(order_id, ()) if number <= at_block]

    def _is_cancelled(self, order_id: OrderId, order: Order, at_block: int) -> bool:
        """Whether its owner cancelled an order on the chain up to a block, alone or with all up to a nonce."""
        alone = self._cancelled.get(order_id, ())
        together = self._cancelled_up_to.get((order.owner, order.session), ())
        return any(number <= at_block and owner == order.owner for number, owner in alone) or any(
            number <= at_block and order.nonce <= nonce for number, nonce in together
        )

    def settled_in(self, ticket: TicketDigest) -> int | None:
        """The number of the block in which a ticket settled, or None."""
        found = self._settled_tickets.get(ticket)
        return found[0] if found else None

    def escrow(self, ticket: TicketDigest) -> EscrowStanding | None:
        """Where a trade by escrow stands; None if none was opened for the ticket."""
        opened = self._settled_tickets.get(ticket)
        if opened is None or opened[1].security == 0:
            return None
        rows = self._escrows.get(ticket)
        number, moved = rows[-1] if rows else (opened[0], None)
        block = self.block(number)
        state = EscrowState.OPEN if moved is None else moved.state
        return EscrowStanding(state=state, since_s=block.time_s if block else 0, block_number=number, moved=moved)

    def settled_trade(self, ticket: TicketDigest) -> TradeSettled | None:
        """What the chain says of a settled ticket, or None."""
        found = self._settled_tickets.get(ticket)
        return found[1] if found else None

    def settled_trades(self) -> tuple[TradeSettled, ...]:
        """Every settled trade so far, in chain order."""
        return tuple(fact for _, fact in self._settled_tickets.values())

    def has_default(self, owner: Address, ticket: TicketDigest, *, block_number: int, block_hash: Digest) -> bool:
        """Whether that very block shows that an owner defaulted on a ticket. Spec: [EVID-3]."""
        block = self.block(block_number)
        if block is None or block.hash != block_hash:
            return False
        rows = self.conduct.offences(owner, at_block=block_number)
        return any(
            row.number == block_number and isinstance(row.offence, Defaulted) and row.offence.ticket == ticket
            for row in rows
        )

    def skip_reason(self, ticket: TicketDigest) -> int | None:
        """Why a batch last passed over a ticket, or None."""
        rows = self._skipped.get(ticket)
        return rows[-1][1] if rows else None
