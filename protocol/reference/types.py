"""The words of the protocol: values, units, presets.

The fields of a struct that is signed bear the names of `protocol/eip712.json` in snake case, in the same order.
Spec: protocol/spec/01-types.md.
"""

import json
from dataclasses import dataclass
from pathlib import Path

Address = bytes  # 20 bytes
Digest = bytes  # 32 bytes
Signature = bytes  # 65 bytes, r || s || v
LotRange = tuple[int, int]  # half open: the lots [first, second)

ZERO_ADDRESS = bytes(20)
ZERO_DIGEST = bytes(32)

BUY, SELL = 0, 1
LIMIT, PROTECTED_MARKET = 0, 1
GTC, IOC, FOK, DAY, GTD = range(5)
ATOMIC, ESCROW = 0, 1
SCOPE_TICKET, SCOPE_TRADE = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """One deployment: the chain's id and the settlement contract. Spec: [SIGN-1]."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as its owner signs it; its id is its EIP-712 digest."""

    market: Digest
    owner: Address
    session: Address
    nonce: int
    side: int
    kind: int
    price_ticks: int
    quantity_lots: int
    tif: int
    expiry: int
    post_only: bool
    min_tier: int
    payment_methods: tuple[int, ...]
    arbitrators: tuple[Address, ...]
    security: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A trade: the lots [maker_from, maker_to) of one order against [taker_from, taker_to) of another."""

    maker_order: Digest
    taker_order: Digest
    price_ticks: int
    maker_from: int
    maker_to: int
    taker_from: int
    taker_to: int
    epoch: int
    deadline: int
    ticket_nonce: int
    kind: int
    payment_method: int
    arbitrator: Address
    security: int
    group: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What a maker's session signs to promise lots to a ticket. Spec: protocol/spec/05-tickets.md [TICK-3]."""

    ticket: Digest
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """One preset; `_ms` in milliseconds, `_s`, `d` and `l_fund` in seconds, `wait`, `k` and `w` in epochs."""

    epoch_ms: int
    grace_ms: int
    t_ack_ms: int
    wait: int
    k: int
    w: int
    d: int
    l_fund: int
    quorum: int
    degree: int
    presence_s: int
    dead_s: int
    period_s: int
    beacon_lag_s: int
    checkpoint_age_s: int
    bond_multiple: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """When epochs start: the preset's constants and the network's first instant."""

    constants: Constants
    genesis_ms: int


TABLE = json.loads((Path(__file__).parents[1] / "presets.json").read_text(encoding="utf-8"))
PRESETS = {name: Constants(**row) for name, row in TABLE.items()}


def are_consistent(constants: Constants) -> bool:
    """Say whether the constants of a preset fit each other. Spec: [CONST-1], [CONST-2]."""
    return (
        constants.t_ack_ms <= constants.wait * constants.epoch_ms
        and constants.k * constants.epoch_ms >= constants.grace_ms + 4 * constants.t_ack_ms
        and constants.w >= constants.wait + 8
        and constants.dead_s >= 3 * constants.presence_s
        and constants.period_s * 1000 % constants.epoch_ms == 0
        and constants.beacon_lag_s >= constants.l_fund
        and constants.checkpoint_age_s * 1000
        >= 2000 * (constants.d + constants.l_fund) + constants.k * constants.epoch_ms
    )


def base_amount(market: Market, lots: int) -> int:
    """Base units that `lots` lots are. Spec: [TYPE-1]."""
    return lots * market.lot_size


def quote_amount(market: Market, price_ticks: int, lots: int) -> int:
    """Quote units that `lots` lots cost. Spec: [TYPE-1]; integers all the way, [TYPE-3]."""
    return price_ticks * market.tick_size * lots


BOND_PERCENT = (0, 5, 15, 30)


def escrow_bond(quote: int, security: int) -> int:
    """What each side of an escrow puts up in quote, rounded up, for whoever it protects. Spec: 01-types.md, Lanes."""
    return -(-quote * BOND_PERCENT[security] // 100)


def epoch_start_ms(clock: Clock, epoch: int) -> int:
    """The millisecond in which an epoch starts. Spec: [TYPE-2]."""
    return clock.genesis_ms + epoch * clock.constants.epoch_ms


def epoch_start_s(clock: Clock, epoch: int) -> int:
    """The second in which an epoch starts, rounded down as the contract does. Spec: [TYPE-2]."""
    return epoch_start_ms(clock, epoch) // 1000
