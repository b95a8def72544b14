"""Decimals that people write and read, and the integers that the protocol knows: ticks and lots. Exact both ways."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from orrange_p2p.errors import OrderError

U64_MAX = 2**64 - 1
_PLAIN = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)
_MAX_DECIMALS = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketUnits:
    """How the amounts of one market are written; `tick` is quote a base, `lot` is base."""

    name: str
    base: str
    quote: str
    tick: Fraction
    lot: Fraction

    @classmethod
    def from_answer(cls, name: str, units: Mapping[str, Any]) -> "MarketUnits":
        """From what a node says of a market: sizes in token units, and the tokens' decimals."""
        base, dash, quote = name.partition("-")
        base_unit = Fraction(1, 10 ** int(units["base_decimals"]))
        quote_unit = Fraction(1, 10 ** int(units["quote_decimals"]))
        lot = int(units["lot_size"]) * base_unit
        return cls(
            name=name,
            base=base if dash else "base",
            quote=quote if dash else "quote",
            tick=int(units["tick_size"]) * quote_unit / lot,
            lot=lot,
        )

    def price_ticks(self, text: str) -> int:
        """Ticks that a written price is.

        Raises:
            OrderError: not a plain decimal, or no multiple of the tick.
        """
        return _to_steps("price", text, self.tick, self.quote, "tick")

    def quantity_lots(self, text: str) -> int:
        """Lots that a written quantity is.

        Raises:
            OrderError: not a plain decimal, or no multiple of the lot.
        """
        return _to_steps("quantity", text, self.lot, self.base, "lot")

    def price(self, ticks: int) -> str:
        """A price as people read it."""
        return _shown(ticks * self.tick, _decimals(self.tick))

    def quantity(self, lots: int) -> str:
        """A quantity as people read it."""
        return _shown(lots * self.lot, _decimals(self.lot))


def _to_steps(field: str, text: str, step: Fraction, unit: str, step_name: str) -> int:
    if not _PLAIN.fullmatch(text):
        message = f"{field}: expected a plain decimal number like 12.5, was {text[:60]!r}"
        raise OrderError(field, text, "ORD-1", message)
    value = Fraction(Decimal(text))
    steps = value / step
    if steps.denominator == 1 and 1 <= steps <= U64_MAX:
        return int(steps)
    decimals = _decimals(step)
    size = f"{step_name} of {_shown(step, decimals)} {unit}"
    if steps > U64_MAX:
        message = f"{field}: expected at most {_shown(U64_MAX * step, decimals)} {unit} by the {size}, was {text}"
        raise OrderError(field, text, "ORD-1", message)
    below = max(1, steps.numerator // steps.denominator)
    nearest = [_shown(near * step, decimals) for near in (below, below + 1)][: 1 if steps < 1 else 2]
    message = f"{field}: expected a multiple of the {size}, was {text}; nearest {' and '.join(nearest)}"
    raise OrderError(field, text, "ORD-1", message)


def _decimals(step: Fraction) -> int:
    """Digits after the point that multiples of `step` need; bounded where a step has no finite decimal form."""
    for decimals in range(_MAX_DECIMALS + 1):
        if (step * 10**decimals).denominator == 1:
            return decimals
    return _MAX_DECIMALS


def _shown(value: Fraction, decimals: int) -> str:
    """With exactly `decimals` digits, grouped by thousands never; rounded down where no finite form exists."""
    scaled = value.numerator * 10**decimals // value.denominator
    whole, part = divmod(scaled, 10**decimals)
    return f"{whole}.{part:0{decimals}d}" if decimals else str(whole)
