"""What the chain says, as values: blocks and the facts inside them, in order.

The chain shell decodes contract events into these; the core never sees a log or a receipt.
"""

from dataclasses import dataclass

from orrange_p2p.core.escrow import EscrowState
from orrange_p2p.core.types import Address, Digest, MarketId, OrderId, Scope, TicketDigest


@dataclass(frozen=True, slots=True, kw_only=True)
class FundsChanged:
    """An owner's balance allocated to a market, less pending deallocations, changed by `delta` token units.

    Allocation adds; a *request* to deallocate takes away at once. Settlement's own moves are not repeated here: they
    follow from `TradeSettled`.
    """

    owner: Address
    market: MarketId
    token: Address
    delta: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAuthorised:
    """An owner authorised a session key, once and for ever for that key."""

    owner: Address
    session: Address
    scope: Scope
    expiry_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCapped:
    """An owner limited what a session may spend of a token in all its life, in token units."""

    owner: Address
    session: Address
    token: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRevoked:
    """An owner revoked a session key."""

    owner: Address
    session: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCancelled:
    """An owner cancelled one of its orders on the chain."""

    owner: Address
    order: OrderId


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersCancelled:
    """An owner cancelled every order of a session up to and with `nonce` on the chain."""

    owner: Address
    session: Address
    nonce: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeSettled:
    """A ticket settled: base went to the buyer and quote less the fee to the seller, inside the market's allocations.

    With a `security` above 0 it opened an escrow instead: the seller's base and a bond in quote of each side left the
    market's allocations, and nothing arrived there.

    Attributes:
        sink_fee: what the trade sent to the fee sink, in micro-units of the network's fee token.
        fee: quote units that the seller did not get.
        security: the lane of both orders.
    """

    ticket: TicketDigest
    market: MarketId
    maker_order: OrderId
    taker_order: OrderId
    maker_owner: Address
    taker_owner: Address
    is_maker_buyer: bool
    price_ticks: int
    maker_from: int
    maker_to: int
    taker_from: int
    taker_to: int
    sink_fee: int = 0
    fee: int = 0
    security: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeSkipped:
    """A batch passed over a ticket; `reason` as in protocol/spec/01-types.md, "skip reason"."""

    ticket: TicketDigest
    reason: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BondChanged:
    """An owner's whole bond after a change, without what is unbonding; micro-units of the network's fee token."""

    owner: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slashed:
    """An owner was convicted by a proof; `amount` is what was due, micro-units, whether or not the bond had it."""

    owner: Address
    amount: int
    is_over_signing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeLost:
    """An arbitrator decided against an owner; `amount` is what it had to give up, micro-units."""

    owner: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaulted:
    """A ticket failed for want of an owner's lots, cap or funds; `amount` is what was due to slash, micro-units."""

    owner: Address
    ticket: TicketDigest
    victim: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EscrowMoved:
    """A trade by escrow came into another state than Open, in which `TradeSettled` shows it first.

    Attributes:
        ticket: the trade's.
        state: where it stands now.
        seller_base: what the seller got of the base where a dispute was resolved, in base units.
        seller_quote: what it got of both bonds there, in quote units.
        penalty: what a cancel took of the buyer's bond, in quote units.
        is_by_default: whether nobody decided the dispute.
    """

    ticket: TicketDigest
    state: EscrowState
    seller_base: int = 0
    seller_quote: int = 0
    penalty: int = 0
    is_by_default: bool = False


Offence = Slashed | DisputeLost | Defaulted
Undoing = SessionRevoked | OrderCancelled | OrdersCancelled
OfTicket = TradeSettled | TradeSkipped | EscrowMoved
Fact = FundsChanged | SessionAuthorised | SessionCapped | Undoing | OfTicket | BondChanged | Offence


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockFacts:
    """One block and the facts of its logs, in log order. `time_s` never falls from one block to the next."""

    number: int
    hash: Digest
    parent_hash: Digest
    time_s: int
    facts: tuple[Fact, ...] = ()
