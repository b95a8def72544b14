"""What an order needs of both tokens, and whether what is there suffices.

Spec: protocol/spec/01-types.md "Lanes", 03-orders.md "Funds".
"""

from typing import NamedTuple

from orrange_p2p.core.types import Market, Order, Side

BOND_PERCENT = (0, 5, 15, 30)  # of the quote amount, by lane


class Amounts(NamedTuple):
    """Token units of a market's base and quote; below zero where more was promised than there is."""

    base: int
    quote: int

    def less(self, taken: "Amounts") -> "Amounts":
        """What is left of both."""
        return Amounts(self.base - taken.base, self.quote - taken.quote)

    def plus(self, freed: "Amounts") -> "Amounts":
        """Both with what comes back."""
        return Amounts(self.base + freed.base, self.quote + freed.quote)

    def covers(self, needed: "Amounts") -> bool:
        """Whether both suffice; of a token that is not needed any amount does."""
        base_suffices = needed.base == 0 or needed.base <= self.base
        return base_suffices and (needed.quote == 0 or needed.quote <= self.quote)


NOTHING = Amounts(0, 0)


def escrow_bond(quote_amount: int, security: int) -> int:
    """What each side of an escrow puts up in quote units, rounded up, for whoever it protects."""
    return -(-quote_amount * BOND_PERCENT[security] // 100)


def compute_need(market: Market, order: Order, price_ticks: int, lots: int) -> Amounts:
    """What an order needs for `lots` lots at a price; an escrow's bond is rounded up, for whoever it protects."""
    quote = market.quote_amount(price_ticks, lots)
    base = 0 if order.side is Side.BUY else market.base_amount(lots)
    if order.security == 0:
        return Amounts(base, quote if order.side is Side.BUY else 0)
    return Amounts(base, escrow_bond(quote, order.security))
