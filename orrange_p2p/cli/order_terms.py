"""What an owner writes of an order besides price and quantity, and what a node is told: expiry, slippage, terms."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from orrange_p2p.errors import OrderError

TIMES_IN_FORCE = ("GTC", "IOC", "FOK", "DAY", "GTD")
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])", re.ASCII)
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)%", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_UNIX_START = datetime(1970, 1, 1, tzinfo=UTC)


def parse_expiry(text: str, *, now_s: int | None = None) -> int:
    """Unix seconds of a written expiry.

    Args:
        text: a duration from now, unix seconds, or an ISO time with its zone.
        now_s: the time now; this machine's clock if None.

    Raises:
        OrderError: none of these.
    """
    if duration := _DURATION.fullmatch(text):
        import time

        now_s = int(time.time()) if now_s is None else now_s
        return now_s + int(duration[1]) * _UNIT_S[duration[2]]
    if text.isascii() and text.isdigit() and len(text) <= 19:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        message = (
            f"expiry: expected a duration like 10m, unix seconds or a time like 2030-01-31T12:00:00Z, was {text!r}"
        )
        raise OrderError("expiry", text, "ORD-6", message)
    return (moment - _UNIX_START) // timedelta(seconds=1)


def parse_slippage(text: str) -> Fraction:
    """The part of the price that a written percentage is.

    Raises:
        OrderError: no percentage from 0% up to, but without, 100%.
    """
    written = _PERCENT.fullmatch(text)
    part = Fraction(Decimal(written[1])) / 100 if written else Fraction(1)
    if part >= 1:
        message = f"slippage: expected a percentage like 0.5%, less than 100%, was {text!r}"
        raise OrderError("slippage", text, "ORD-3", message)
    return part


def compute_worst_ticks(side: str, book: Mapping[str, Any], slippage: Fraction) -> int:
    """The worst price of a market order: so much beyond the best price of the other side, never more.

    A part of a tick is left to the owner: a buy's is rounded down, a sell's up.

    Raises:
        OrderError: nobody stands on the other side.
    """
    levels = book["asks" if side == "buy" else "bids"]
    if not levels:
        who = "sells" if side == "buy" else "buys"
        message = f"slippage: expected somebody who {who}, was none in the book: give a price instead"
        raise OrderError("slippage", "none", "ORD-3", message)
    best = int(levels[0]["price_ticks"])
    worst = best * (1 + slippage) if side == "buy" else best * (1 - slippage)
    if side == "buy":
        return worst.numerator // worst.denominator
    return -(-worst.numerator // worst.denominator)


def describe_terms(terms: Mapping[str, Any]) -> str:
    """An order's kind and times as one reads them, from a request or a list."""
    words = [str(terms["tif"])]
    if terms.get("kind", "limit") != "limit":
        words.insert(0, "market")
    if terms.get("post_only"):
        words.append("post-only")
    if terms.get("min_tier"):
        words.append(f"tier {terms['min_tier']} and up")
    if terms.get("security"):
        words.append(f"escrow {terms['security']}")
    return " ".join(words)
