"""What the chain says, and the block at which a book asks it.

Spec: protocol/spec/03-orders.md [BOOK-1], [HOLD-5], [FUND-1], [FUND-4], [FUND-6], [FUND-7].
"""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.reference.types import (
    Address,
    Clock,
    Digest,
    LotRange,
    Market,
    Order,
    base_amount,
    epoch_start_s,
    escrow_bond,
    quote_amount,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FundsChanged:
    """What an owner has allocated to a market grew or, with a negative delta, shrank."""

    owner: Address
    market: Digest
    token: Address
    delta: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAuthorised:
    """An owner gave a session key its record, which is for ever but for its revocation."""

    owner: Address
    session: Address
    scope: int
    expiry: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRevoked:
    """An owner took a session key's record back."""

    owner: Address
    session: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeSettled:
    """A ticket settled."""

    ticket: Digest
    market: Digest
    maker_order: Digest
    taker_order: Digest
    maker_owner: Address
    taker_owner: Address
    is_maker_buyer: bool
    price_ticks: int
    maker_from: int
    maker_to: int
    taker_from: int
    taker_to: int
    sink_fee: int = 0  # micro-units that the trade sent to the fee sink
    fee: int = 0  # quote units that the seller did not get
    security: int = 0  # the lane; above 0 an escrow was opened


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCancelled:
    """An owner cancelled one of its orders on the chain. Spec: [HOLD-5]."""

    owner: Address
    order: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersCancelled:
    """An owner cancelled every order of a session up to and with a nonce on the chain. Spec: [HOLD-5]."""

    owner: Address
    session: Address
    nonce: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BondChanged:
    """An owner's whole bond after a change, unbonding part excluded, in micro-units. Spec: [REP-3]."""

    owner: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slashed:
    """An owner was convicted by a proof; the amount is what was due. Spec: [REP-3]."""

    owner: Address
    amount: int
    is_over_signing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeLost:
    """An arbitrator decided against an owner. Spec: [REP-3]."""

    owner: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaulted:
    """A ticket failed for want of an owner's lots, cap or funds; the amount is what was due. Spec: [REP-3]."""

    owner: Address
    ticket: Digest
    victim: Address
    amount: int


Offence = Slashed | DisputeLost | Defaulted
Undoing = SessionRevoked | OrderCancelled | OrdersCancelled
Fact = FundsChanged | SessionAuthorised | Undoing | TradeSettled | BondChanged | Offence


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block with its facts in log order; `time_s` never falls from one block to the next."""

    number: int
    hash: Digest
    time_s: int
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainView:
    """The chain up to one block."""

    block: Block
    blocks: tuple[Block, ...]
    live_from_s: int = 0  # the earliest deadline with which a ticket can still settle, [HOLD-4]

    @property
    def facts(self) -> tuple[Fact, ...]:
        """Every fact so far, in chain order."""
        return tuple(fact for block in self.blocks for fact in block.facts)

    @property
    def trades(self) -> list[TradeSettled]:
        """Every trade settled so far."""
        return [fact for fact in self.facts if isinstance(fact, TradeSettled)]


def view_at_fund_block(blocks: Sequence[Block], clock: Clock, epoch: int) -> ChainView | None:
    """The chain up to `fund_block(epoch)`; None while that block is unknown. Spec: [BOOK-1].

    Args:
        blocks: The chain as seen so far, by number.
        clock: When epochs start.
        epoch: The epoch whose book is asked for.
    """
    bound_s = epoch_start_s(clock, epoch) - clock.constants.l_fund
    early_enough = [block for block in blocks if block.time_s <= bound_s]
    if not early_enough or len(early_enough) == len(blocks):
        return None
    block = early_enough[-1]
    return ChainView(block=block, blocks=tuple(early_enough), live_from_s=max(block.time_s, bound_s))


def allocation(view: ChainView, market_id: Digest, market: Market, owner: Address, token: Address) -> int:
    """What an owner has allocated to a market in a token. Spec: [FUND-1]."""
    total = sum(
        fact.delta
        for fact in view.facts
        if isinstance(fact, FundsChanged) and (fact.owner, fact.market, fact.token) == (owner, market_id, token)
    )
    for trade in view.trades:
        if trade.market != market_id:
            continue
        buyer, seller = trade.maker_owner, trade.taker_owner
        if not trade.is_maker_buyer:
            buyer, seller = seller, buyer
        lots = trade.maker_to - trade.maker_from
        base, quote = base_amount(market, lots), quote_amount(market, trade.price_ticks, lots)
        moves = [(seller, market.base, -base), (buyer, market.base, base)]
        moves += [(buyer, market.quote, -quote), (seller, market.quote, quote - trade.fee)]
        if trade.security:
            bond = escrow_bond(quote, trade.security)
            moves = [(seller, market.base, -base), (seller, market.quote, -bond), (buyer, market.quote, -bond)]
        total += sum(delta for who, what, delta in moves if (who, what) == (owner, token))
    return total


def settled_lots(view: ChainView, order_id: Digest, order: Order) -> list[LotRange]:
    """The lots of an order that trades have settled, or all that it has if it was cancelled there. Spec: [HOLD-5]."""
    if is_cancelled_on_chain(view, order_id, order):
        return [(0, order.quantity_lots)]
    as_maker = [(trade.maker_from, trade.maker_to) for trade in view.trades if trade.maker_order == order_id]
    as_taker = [(trade.taker_from, trade.taker_to) for trade in view.trades if trade.taker_order == order_id]
    return as_maker + as_taker


def is_cancelled_on_chain(view: ChainView, order_id: Digest, order: Order) -> bool:
    """Say whether an order's owner cancelled it on the chain, alone or with all up to a nonce. Spec: [HOLD-5]."""
    return any(
        (isinstance(fact, OrderCancelled) and (fact.owner, fact.order) == (order.owner, order_id))
        or (
            isinstance(fact, OrdersCancelled)
            and (fact.owner, fact.session) == (order.owner, order.session)
            and order.nonce <= fact.nonce
        )
        for fact in view.facts
    )


def session_record(view: ChainView, session: Address) -> SessionAuthorised | None:
    """The record of a session key; a revoked one has none. Spec: [ORD-2], [FUND-4]."""
    for fact in view.facts:
        if isinstance(fact, SessionAuthorised) and fact.session == session:
            is_revoked = any(
                isinstance(other, SessionRevoked) and (other.owner, other.session) == (fact.owner, session)
                for other in view.facts
            )
            return None if is_revoked else fact
    return None


def bond(view: ChainView, owner: Address) -> int:
    """An owner's bond, in micro-units. Spec: [FUND-6]."""
    amounts = [fact.amount for fact in view.facts if isinstance(fact, BondChanged) and fact.owner == owner]
    return amounts[-1] if amounts else 0


def is_in_default(view: ChainView, clock: Clock, owner: Address) -> bool:
    """Say whether an owner defaulted on a ticket less than a period ago. Spec: [FUND-7]."""
    return any(
        isinstance(fact, Defaulted) and fact.owner == owner
        for block in view.blocks
        if view.block.time_s < block.time_s + clock.constants.period_s
        for fact in block.facts
    )
