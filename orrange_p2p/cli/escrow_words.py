"""Trades by escrow in words and JSON values, and splits as people write them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orrange_p2p.errors import ConfigError

if TYPE_CHECKING:
    from orrange_p2p.config import MarketConfig
    from orrange_p2p.core.escrow import EscrowTrade
    from orrange_p2p.launch.escrow_steps import EscrowCase, Split

STATES = {
    "open": "open: the buyer pays and says so",
    "paid": "paid, says the buyer: the seller confirms, or disputes it",
    "disputed": "disputed: the arbitrator splits base and bonds",
    "released": "released: the buyer has the base",
    "resolved": "resolved: base and bonds are split",
    "cancelled": "cancelled: the seller has the base back",
}
_PERCENT = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?%?", re.ASCII)


def parse_split(base: str, bonds: str) -> "Split":
    """An arbitrator's split from two written percentages.

    Raises:
        ConfigError: one is no percentage of 0 to 100 with at most two decimals.
    """
    from orrange_p2p.launch.escrow_steps import Split

    return Split(seller_base_bps=_parse_bps(base), seller_bonds_bps=_parse_bps(bonds))


def _parse_bps(text: str) -> int:
    written = _PERCENT.fullmatch(text)
    bps = int(written[1]) * 100 + int((written[2] or "").ljust(2, "0")) if written else -1
    if not 0 <= bps <= 10_000:
        raise ConfigError(f"expected a percentage of 0 to 100 with at most two decimals, was {text!r}")
    return bps


def describe(case: "EscrowCase") -> Mapping[str, Any]:
    """A trade as JSON values; amounts in the tokens' smallest units."""
    trade = case.trade
    return {
        "ticket": f"0x{trade.ticket.hex()}",
        "state": case.record.state.name.lower(),
        "since_s": case.record.since_s,
        "turn_ends_s": case.turn_ends_s(),
        "seller": f"0x{trade.seller.hex()}",
        "buyer": f"0x{trade.buyer.hex()}",
        "arbitrator": f"0x{trade.arbitrator.hex()}",
        "base_amount": trade.base_amount,
        "bond_amount": trade.bond_amount,
        "cancel_penalty": case.penalty() if case.record.state.name in ("OPEN", "PAID") else None,
    }


def base_text(trade: "EscrowTrade", market: "MarketConfig | None") -> str:
    """What a trade is over, as people write it; without its market, in the token's smallest units."""
    if market is None:
        return f"{trade.base_amount} units of 0x{trade.base.hex()}"
    return _amount(trade.base_amount, market.base_decimals, market.name.partition("-")[0])


def quote_text(amount: int, trade: "EscrowTrade", market: "MarketConfig | None") -> str:
    """An amount of a trade's quote as people write it; without its market, in the token's smallest units."""
    if market is None:
        return f"{amount} units of 0x{trade.quote.hex()}"
    return _amount(amount, market.quote_decimals, market.name.partition("-")[2])


def _amount(units: int, decimals: int, token: str) -> str:
    return f"{Decimal(units).scaleb(-decimals).normalize():f} {token}".strip()


def time_text(unix_s: int) -> str:
    """Unix seconds as people write them."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
