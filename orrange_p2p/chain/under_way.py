"""Transactions under way: what a lane keeps of each, and what its sender knows."""

from dataclasses import dataclass

from orrange_p2p.chain.intents import Intent
from orrange_p2p.core.types import Address, Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class SentTransaction:
    """A transaction that is on its way; `hash` is its first version's, and `note` what its sender said of it."""

    hash: Digest
    nonce: int
    to: Address | None
    payload: bytes
    value_wei: int
    raw: bytes
    note: bytes = b""


@dataclass(slots=True, kw_only=True)
class Pending:
    """A nonce under way. `is_known` says that the chain took a version; `lapse`, that it never will, and why.

    `blocks` were waited for, and the newest version was offered at `offered_s` of trio's clock; `mined_at` is the block
    that took it, as far as is known.
    """

    intent: Intent
    versions: list[tuple[Digest, bytes]]
    is_known: bool = False
    was_taken: bool = False
    lapse: str = ""
    blocks: int = 0
    offered_s: float = 0.0
    mined_at: int | None = None

    @property
    def sent(self) -> SentTransaction:
        """What its sender knows of it."""
        digest, raw = self.versions[0]
        intent = self.intent
        return SentTransaction(
            hash=digest,
            nonce=intent.nonce,
            to=intent.to,
            payload=intent.payload,
            value_wei=intent.value_wei,
            raw=raw,
            note=intent.note,
        )


def stranger(sent: SentTransaction) -> Pending:
    """A transaction that this lane does not keep track of, or no longer."""
    intent = Intent(
        chain_id=0,
        nonce=sent.nonce,
        gas=0,
        to=sent.to,
        value_wei=sent.value_wei,
        payload=sent.payload,
        note=sent.note,
        offers=(),
    )
    return Pending(intent=intent, versions=[(sent.hash, sent.raw)], is_known=True)
