"""Trades by escrow as the contract knows them: their terms, where they stand, and which steps are open to whom, when.

Spec: protocol/spec/01-types.md "Lanes"; decision 0031 says who loses what.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from orrange_p2p.core.needs import escrow_bond
from orrange_p2p.core.types import Address, MarketId, Side, SignedTrade, TicketDigest

WHOLE_BPS = 10_000


class EscrowState(IntEnum):
    """Where a trade stands; the numbers are the contract's."""

    NONE = 0
    OPEN = 1
    PAID = 2
    DISPUTED = 3
    RELEASED = 4
    RESOLVED = 5
    CANCELLED = 6


class EscrowStep(StrEnum):
    """What somebody can do about a trade."""

    MARK_PAID = "mark_paid"
    RELEASE = "release"
    CANCEL = "cancel"
    DISPUTE = "dispute"
    RESOLVE = "resolve"
    RESOLVE_BY_DEFAULT = "resolve_by_default"


@dataclass(frozen=True, slots=True, kw_only=True)
class EscrowTrade:
    """The terms of a trade; whoever takes a step brings them along.

    Attributes:
        ticket: the ticket that settled into it.
        base_amount: the seller's, in base units.
        bond_amount: of each side, in quote units.
        arbitrator: who may split base and bonds in a dispute.
        security: the lane, 1 to 3.
        matched_at_s: unix seconds of the ticket's epoch.
    """

    ticket: TicketDigest
    market: MarketId
    seller: Address
    buyer: Address
    base: Address
    quote: Address
    base_amount: int
    bond_amount: int
    payment_method: int
    arbitrator: Address
    security: int
    matched_at_s: int

    def fields(self) -> tuple[object, ...]:
        """As the contract takes them."""
        parties = (self.seller, self.buyer, self.base, self.quote, self.base_amount, self.bond_amount)
        terms = (self.payment_method, self.arbitrator, self.security, self.matched_at_s)
        return (self.ticket, self.market, *parties, *terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class EscrowClocks:
    """How long each duty may take, in seconds: constants of the network, which the contract tells."""

    grace_s: int
    pay_s: int
    confirm_s: int
    arbitration_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EscrowRecord:
    """Where a trade stands and since when, unix seconds; `commitment` is what its terms hash to, 26 bytes."""

    state: EscrowState
    since_s: int
    commitment: bytes


def escrow_trade(trade: SignedTrade, ticket: TicketDigest, matched_at_s: int) -> EscrowTrade:
    """The terms that settling a ticket of kind 1 opens.

    Args:
        trade: the ticket with its orders and market.
        ticket: its digest.
        matched_at_s: the start of its epoch, unix seconds.
    """
    maker, taker = trade.maker.order, trade.taker.order
    seller, buyer = (maker, taker) if maker.side is Side.SELL else (taker, maker)
    lots = trade.ticket.maker_to - trade.ticket.maker_from
    quote_amount = trade.market.quote_amount(trade.ticket.price_ticks, lots)
    return EscrowTrade(
        ticket=ticket,
        market=maker.market,
        seller=seller.owner,
        buyer=buyer.owner,
        base=trade.market.base,
        quote=trade.market.quote,
        base_amount=trade.market.base_amount(lots),
        bond_amount=escrow_bond(quote_amount, trade.ticket.security),
        payment_method=trade.ticket.payment_method,
        arbitrator=trade.ticket.arbitrator,
        security=trade.ticket.security,
        matched_at_s=matched_at_s,
    )


def turn_ends_s(record: EscrowRecord, clocks: EscrowClocks) -> int | None:
    """When the clock of whoever has the duty runs out, unix seconds; None where nobody has one any more."""
    match record.state:
        case EscrowState.OPEN:
            return record.since_s + clocks.pay_s
        case EscrowState.PAID:
            return record.since_s + clocks.confirm_s
        case EscrowState.DISPUTED:
            return record.since_s + clocks.arbitration_s
        case _:
            return None


def open_steps(
    trade: EscrowTrade, record: EscrowRecord, clocks: EscrowClocks, caller: Address, now_s: int
) -> frozenset[EscrowStep]:
    """The steps that an account may take itself in a block of time `now_s`; what its sessions may is not asked."""
    ends_s = turn_ends_s(record, clocks)
    if ends_s is None:
        return frozenset()
    is_over = now_s >= ends_s
    is_buyer, is_seller = caller == trade.buyer, caller == trade.seller
    may = {EscrowStep.RELEASE: is_seller}
    match record.state:
        case EscrowState.OPEN:
            may[EscrowStep.MARK_PAID] = is_buyer and not is_over
            may[EscrowStep.CANCEL] = is_buyer or is_over
        case EscrowState.PAID:
            may[EscrowStep.CANCEL] = is_buyer
            may[EscrowStep.DISPUTE] = is_seller or is_over
        case _:
            may[EscrowStep.RESOLVE] = caller == trade.arbitrator and not is_over
            may[EscrowStep.RESOLVE_BY_DEFAULT] = is_over
    return frozenset(step for step, is_open in may.items() if is_open)


def cancel_penalty(trade: EscrowTrade, record: EscrowRecord, clocks: EscrowClocks, now_s: int) -> int:
    """What of the buyer's bond a cancel costs it in a block of time `now_s`, in quote units."""
    if record.state is EscrowState.OPEN:
        if now_s >= record.since_s + clocks.pay_s:
            return trade.bond_amount
        if now_s < record.since_s + clocks.grace_s:
            return 0
    return trade.bond_amount - trade.bond_amount // 2
