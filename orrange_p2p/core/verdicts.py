"""What a check says about a message from a peer: accept it, ignore it, or reject it.

`Reject` only what no honest peer could send; clock edges and facts not known yet are an `Ignore`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accept:
    """Take the message and forward it."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """Drop the message without a mark against whoever sent it; `rule` says why."""

    rule: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Drop the message and mark whoever sent it: no honest peer sends this; `rule` says which rule it broke."""

    rule: str


Verdict = Accept | Ignore | Reject
