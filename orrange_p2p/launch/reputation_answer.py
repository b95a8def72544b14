"""What a node says of an owner's reputation: the score of the current period, and the facts that it is made of."""

from collections.abc import Mapping
from typing import Any

from orrange_p2p.core.facts import Defaulted, DisputeLost, Offence
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.period import Period
from orrange_p2p.core.reputation import Explanation, Mark, Standings, Vouch
from orrange_p2p.core.types import Address


def answer_reputation(ledger: Ledger, period: Period, period_s: int, owner: Address) -> Mapping[str, Any]:
    """An explanation as JSON values, amounts in micro-units of the network's fee token.

    `anchor` is the block as of which the score stands until the period ends; None before the chain has one, when
    everybody's score is 0.
    """
    standings = period.standings or Standings(ledger, None, period_s)
    told, anchor = standings.explain(owner), standings.anchor
    return {
        "owner": f"0x{owner.hex()}",
        "anchor": None if anchor is None else {"block": anchor.number, "time_s": anchor.time_s},
        "tier": told.tier,
        "score": told.score,
        "good": told.good,
        "bad": told.bad,
        "gathered": told.gathered,
        "breadth": told.breadth,
        "counterparties": told.neff,
        "bond": told.bond,
        "locked": told.locked,
        "barred_days": told.barred_days,
        "why": explain_zero(told),
        "vouches": [_vouch(vouch) for vouch in told.vouches],
        "offences": [_mark(mark) for mark in told.marks],
    }


def explain_zero(told: Explanation) -> str | None:
    """In a few words why a score is 0, if it is."""
    if told.score:
        return None
    if told.bond == 0:
        return "no bond: without one a score is 0"
    if told.barred_days:
        return f"signed lots twice: the score is 0 for {told.barred_days} more days"
    return "no settled trades whose fees count, and no bond locked for long enough"


def _vouch(vouch: Vouch) -> Mapping[str, Any]:
    return {
        "counterparty": f"0x{vouch.counterparty.hex()}",
        "trades": vouch.trades,
        "paid": vouch.paid,
        "fees": vouch.fees,
        "bond": vouch.bond,
        "cap": vouch.cap,
        "counted": vouch.counted,
    }


def _mark(mark: Mark) -> Mapping[str, Any]:
    return {
        "offence": _name(mark.offence),
        "amount": mark.offence.amount,
        "age_days": mark.age_days,
        "counted": mark.weight_q16 >> 16,
    }


def _name(offence: Offence) -> str:
    if isinstance(offence, Defaulted):
        return "default"
    if isinstance(offence, DisputeLost):
        return "dispute lost"
    return "over-signing" if offence.is_over_signing else "fork"
