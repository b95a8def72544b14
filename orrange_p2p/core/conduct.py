"""What reputation is computed from, by owner and with the block of each fact, so that any block can be asked.

Cut off at a block as the ledger that keeps it. A trade that paid no fee is not kept here: it vouches for nobody.
Spec: protocol/spec/07-reputation.md [REP-2, REP-3].
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, MutableMapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from orrange_p2p.core.facts import BondChanged, Defaulted, DisputeLost, Fact, Offence, Slashed, TradeSettled
from orrange_p2p.core.types import Address

SECONDS_A_DAY = 86_400


class FeeRow(NamedTuple):
    """A settled trade that paid a fee, as one of its two owners sees it."""

    number: int
    day: int
    counterparty: Address
    sink_fee: int


class BondRow(NamedTuple):
    """An owner's bond from a block on, until its next row."""

    number: int
    time_s: int
    amount: int


class OffenceRow(NamedTuple):
    """An offence of an owner."""

    number: int
    time_s: int
    offence: Offence


_Key = TypeVar("_Key")
_Row = TypeVar("_Row", BondRow, OffenceRow)
_number = itemgetter(0)
_day = itemgetter(1)


class Conduct:
    """Fees, bonds and offences of every owner, each list in chain order."""

    def __init__(self) -> None:
        self._fees: dict[Address, list[FeeRow]] = {}
        self._bonds: dict[Address, list[BondRow]] = {}
        self._offences: dict[Address, list[OffenceRow]] = {}

    def add(self, number: int, time_s: int, fact: Fact) -> None:
        """Take in a fact of a block; blocks come in order. Facts of other kinds are passed over."""
        if isinstance(fact, TradeSettled):
            if fact.sink_fee and fact.maker_owner != fact.taker_owner:
                day, maker, taker = time_s // SECONDS_A_DAY, fact.maker_owner, fact.taker_owner
                self._fees.setdefault(maker, []).append(FeeRow(number, day, taker, fact.sink_fee))
                self._fees.setdefault(taker, []).append(FeeRow(number, day, maker, fact.sink_fee))
        elif isinstance(fact, BondChanged):
            self._bonds.setdefault(fact.owner, []).append(BondRow(number, time_s, fact.amount))
        elif isinstance(fact, Slashed | DisputeLost | Defaulted):
            self._offences.setdefault(fact.owner, []).append(OffenceRow(number, time_s, fact))

    def unwind(self, to_block: int) -> None:
        """Forget what came after a block."""
        cut_rows(self._fees, to_block)
        cut_rows(self._bonds, to_block)
        cut_rows(self._offences, to_block)

    def owners_with_bonds(self) -> tuple[Address, ...]:
        """Every owner that ever had a bond, ascending."""
        return tuple(sorted(self._bonds))

    def fees(self, owner: Address, *, at_block: int, from_day: int) -> Sequence[FeeRow]:
        """Trades of an owner that paid a fee, from a day on and up to a block."""
        rows = self._fees.get(owner, [])
        return rows[bisect_left(rows, from_day, key=_day) : bisect_right(rows, at_block, key=_number)]

    def bond(self, owner: Address, *, at_block: int) -> int:
        """An owner's bond after a block, micro-units."""
        changes = self.bond_changes(owner, at_block=at_block)
        return changes[-1].amount if changes else 0

    def bond_changes(self, owner: Address, *, at_block: int) -> Sequence[BondRow]:
        """Every change of an owner's bond up to a block."""
        return _up_to(self._bonds, owner, at_block)

    def offences(self, owner: Address, *, at_block: int) -> Sequence[OffenceRow]:
        """Every offence of an owner up to a block."""
        return _up_to(self._offences, owner, at_block)


def cut_rows(rows: MutableMapping[_Key, list[Any]], to_block: int) -> None:
    """Drop the rows after a block, each of which begins with its block's number, and keys that are left with none."""
    for key, kept in list(rows.items()):
        del kept[bisect_right(kept, to_block, key=_number) :]
        if not kept:
            del rows[key]


def _up_to(rows: Mapping[Address, list[_Row]], owner: Address, at_block: int) -> list[_Row]:
    kept = rows.get(owner, [])
    return kept[: bisect_right(kept, at_block, key=_number)]
