"""What two parties agree on when they swap between two chains: a lock on each, both under one hashlock.

The initiator knows the preimage and locks first, on the first chain. The participant locks on the second chain, with an
earlier deadline. The initiator claims the second lock, which shows the preimage, and the participant claims the first.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum
from hashlib import sha256
from typing import NewType

from orrange_p2p.core.types import U64_MAX, ZERO_ADDRESS, Address, Digest

SwapId = NewType("SwapId", bytes)
Preimage = NewType("Preimage", bytes)

COIN = ZERO_ADDRESS
"""Stands for the chain's own coin where a token is named."""

PREIMAGE_BYTES = 32
MARGIN_FLOOR_S = 60
_AMOUNT_MAX = 2**256 - 1


class SwapState(IntEnum):
    """Where a lock stands; the numbers are the contract's."""

    NONE = 0
    OPEN = 1
    CLAIMED = 2
    REFUNDED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapTerms:
    """A lock as the contract knows it: `amount` in the token's smallest units, `hashlock` the sha256 of a preimage.

    Attributes:
        token: what is swapped; `COIN` for the chain's own.
        amount: how much of it, 1 or more.
        recipient: whom a claim credits.
        refundee: whom a refund credits.
        hashlock: what the preimage, 32 bytes, must hash to.
        deadline_s: unix seconds by the chain's clock; claims end before it, refunds start at it.
        nonce: tells apart swaps that are equal in everything else.
    """

    token: Address
    amount: int
    recipient: Address
    refundee: Address
    hashlock: Digest
    deadline_s: int
    nonce: int

    def fields(self) -> tuple[object, ...]:
        """As the contract takes them."""
        parties = (self.recipient, self.refundee)
        return (self.token, self.amount, *parties, self.hashlock, self.deadline_s, self.nonce)

    @property
    def value_wei(self) -> int:
        """The coin that the opening transaction must carry."""
        return self.amount if self.token == COIN else 0


class Leg(Enum):
    """One of the two locks: the initiator gives the first, the participant the second."""

    FIRST = "first"
    SECOND = "second"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapLeg:
    """One lock of a swap, and how long its chain takes.

    Attributes:
        chain_id: the chain it stands on.
        contract: the OrrangeSwap there.
        token: what is locked; `COIN` for the chain's own.
        amount: how much of it, in its smallest units.
        deadline_s: unix seconds by that chain's clock; claims end before it, refunds start at it.
        confirmations: blocks on top after which a block counts as final.
        finality_s: seconds within which a transaction, once sent, is mined and final.
    """

    chain_id: int
    contract: Address
    token: Address
    amount: int
    deadline_s: int
    confirmations: int
    finality_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapPact:
    """All that both parties agree on. Each uses one account, the same on both chains.

    Attributes:
        initiator: locks first, knows the preimage.
        participant: locks second.
        hashlock: sha256 of the preimage.
        first: the initiator's lock.
        second: the participant's lock.
        margin_s: seconds to spare in every decision about time: for clocks that differ, and for a party's restart.
        nonce: tells apart swaps that are equal in everything else.
    """

    initiator: Address
    participant: Address
    hashlock: Digest
    first: SwapLeg
    second: SwapLeg
    margin_s: int
    nonce: int

    def leg(self, which: Leg) -> SwapLeg:
        """One of the two locks."""
        return self.first if which is Leg.FIRST else self.second

    def terms(self, which: Leg) -> SwapTerms:
        """A lock as the contract knows it."""
        leg, gives_first = self.leg(which), which is Leg.FIRST
        return SwapTerms(
            token=leg.token,
            amount=leg.amount,
            recipient=self.participant if gives_first else self.initiator,
            refundee=self.initiator if gives_first else self.participant,
            hashlock=self.hashlock,
            deadline_s=leg.deadline_s,
            nonce=self.nonce,
        )

    @property
    def second_deadline_max_s(self) -> int:
        """The latest deadline of the second lock that leaves the participant time, with the margin, for the first."""
        lags = {"own_lag_s": self.first.finality_s, "other_lag_s": self.second.finality_s}
        return compute_counter_deadline_s(self.first.deadline_s, **lags) - self.margin_s


def compute_hashlock(preimage: Preimage) -> Digest:
    """The hashlock that `preimage` opens.

    Raises:
        ValueError: it is not 32 bytes long; no contract could take it.
    """
    if len(preimage) != PREIMAGE_BYTES:
        raise ValueError(f"expected a preimage of {PREIMAGE_BYTES} bytes, was {len(preimage)}")
    return Digest(sha256(preimage).digest())


def compute_counter_deadline_s(initiator_deadline_s: int, *, own_lag_s: int, other_lag_s: int) -> int:
    """The latest deadline of the second lock that leaves its opener time to claim the first.

    The initiator may claim up to the last second. The participant learns the preimage once that is final, and needs
    its own claim to be final before the first lock ends.

    Args:
        initiator_deadline_s: the first lock's deadline, unix seconds.
        own_lag_s: seconds until a transaction is final on the chain of the first lock.
        other_lag_s: the same on the chain of the second lock.

    Returns:
        Unix seconds; a second lock with a later deadline puts its opener at risk.
    """
    return initiator_deadline_s - own_lag_s - other_lag_s


def find_fault(pact: SwapPact) -> str | None:
    """Why nobody should enter into `pact`, in one sentence; None if both sides are safe in it."""
    parties = (pact.initiator, pact.participant)
    if ZERO_ADDRESS in parties or pact.initiator == pact.participant:
        return f"expected two accounts, was 0x{pact.initiator.hex()} and 0x{pact.participant.hex()}"
    if pact.first.chain_id == pact.second.chain_id:
        return f"expected two chains, was chain {pact.first.chain_id} twice"
    if not MARGIN_FLOOR_S <= pact.margin_s <= U64_MAX:
        return f"expected a margin_s of at least {MARGIN_FLOOR_S}, was {pact.margin_s}"
    if not 0 <= pact.nonce <= U64_MAX:
        return f"expected a nonce of 0 to {U64_MAX}, was {pact.nonce}"
    for which in Leg:
        fault = _find_leg_fault(pact.leg(which))
        if fault is not None:
            return f"the {which.value} lock: {fault}"
    if pact.second.deadline_s > pact.second_deadline_max_s:
        return (
            f"expected a deadline of the second lock at {pact.second_deadline_max_s} or before, so that its owner can "
            f"still claim the first, was {pact.second.deadline_s}"
        )
    return None


def _find_leg_fault(leg: SwapLeg) -> str | None:
    if not 1 <= leg.amount <= _AMOUNT_MAX:
        return f"expected an amount of at least 1, was {leg.amount}"
    if leg.contract == ZERO_ADDRESS:
        return "expected the address of a contract, was zero"
    if leg.confirmations < 1:
        return f"expected 1 confirmation or more, was {leg.confirmations}"
    if leg.finality_s < 1:
        return f"expected a finality_s of 1 or more, was {leg.finality_s}"
    if not 1 <= leg.deadline_s <= U64_MAX:
        return f"expected a deadline in unix seconds, was {leg.deadline_s}"
    return None
