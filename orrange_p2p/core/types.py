"""The vocabulary of the core: unit types, ids and the frozen values that everything else is built from.

Spec: protocol/spec/01-types.md.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NewType

Address = NewType("Address", bytes)  # 20 bytes
Digest = NewType("Digest", bytes)  # 32 bytes
Signature = NewType("Signature", bytes)  # 65 bytes, r || s || v
MarketId = NewType("MarketId", bytes)  # 32 bytes, EIP-712 digest of Market
OrderId = NewType("OrderId", bytes)  # 32 bytes, EIP-712 digest of Order
EntryHash = NewType("EntryHash", bytes)  # 32 bytes, EIP-712 digest of FeedEntry
TicketDigest = NewType("TicketDigest", bytes)  # 32 bytes, EIP-712 digest of Ticket
PeerId = NewType("PeerId", bytes)  # 38 bytes, identity multihash of an Ed25519 key
Epoch = NewType("Epoch", int)  # slices of epoch_ms since genesis_ms

ZERO_ADDRESS = Address(bytes(20))
ZERO_DIGEST = Digest(bytes(32))
U8_MAX = 2**8 - 1
U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1
U96_MAX = 2**96 - 1


class Side(IntEnum):
    """Which token an order gives: a buy gives quote, a sell gives base."""

    BUY = 0
    SELL = 1


class OrderKind(IntEnum):
    """How an order names its price."""

    LIMIT = 0
    PROTECTED_MARKET = 1


class TimeInForce(IntEnum):
    """How long an order stays open."""

    GTC = 0
    IOC = 1
    FOK = 2
    DAY = 3
    GTD = 4


class TicketKind(IntEnum):
    """How a ticket settles."""

    ATOMIC = 0
    ESCROW = 1


class Scope(IntFlag):
    """What a session key may sign for its owner."""

    TICKET = 1
    TRADE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """The EIP-712 domain of one deployment."""

    chain_id: int
    settlement: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """A pair of tokens with its units: base units a lot, quote units a lot and tick."""

    base: Address
    quote: Address
    lot_size: int
    tick_size: int
    min_fill_lots: int

    def base_amount(self, lots: int) -> int:
        """Base units that `lots` lots are; exact. Spec: [TYPE-1]."""
        return lots * self.lot_size

    def quote_amount(self, price_ticks: int, lots: int) -> int:
        """Quote units that `lots` lots cost at `price_ticks`; exact. Spec: [TYPE-1]."""
        return price_ticks * self.tick_size * lots


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as its owner signs it; the id is its EIP-712 digest."""

    market: MarketId
    owner: Address
    session: Address
    nonce: int
    side: Side
    kind: OrderKind
    price_ticks: int
    quantity_lots: int
    tif: TimeInForce
    expiry_s: int
    post_only: bool = False
    min_tier: int = 0
    payment_methods: tuple[int, ...] = ()
    arbitrators: tuple[Address, ...] = ()
    security: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """An agreed trade: the lots `[maker_from, maker_to)` of one order against `[taker_from, taker_to)` of another."""

    maker_order: OrderId
    taker_order: OrderId
    price_ticks: int
    maker_from: int
    maker_to: int
    taker_from: int
    taker_to: int
    epoch: Epoch
    deadline_s: int
    ticket_nonce: int
    kind: TicketKind = TicketKind.ATOMIC
    payment_method: int = 0
    arbitrator: Address = ZERO_ADDRESS
    security: int = 0
    group: Digest = ZERO_DIGEST

    @property
    def lots(self) -> int:
        """Lots traded."""
        return self.maker_to - self.maker_from


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOrder:
    """An order with the signature of its owner, or of its session if the session may TRADE."""

    order: Order
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTrade:
    """All that the settlement contract needs to settle one ticket."""

    market: Market
    maker: SignedOrder
    taker: SignedOrder
    ticket: Ticket
    maker_signature: Signature
    taker_signature: Signature
