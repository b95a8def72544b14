"""Swaps between two chains, hash-time-locked: the terms, their calls, what the contract says of them, and deadlines.

A trade between chains is two swaps with one hashlock. The initiator knows the preimage and opens first; the other
party opens the second one, ending earlier; the initiator claims that, which shows the preimage, and the other party
claims the first.
"""

from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import NewType

from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError

from orrange_p2p.chain.backend import Backend, Log
from orrange_p2p.chain.contracts import swap_contract
from orrange_p2p.chain.views import read_view
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.types import ZERO_ADDRESS, Address, Digest
from orrange_p2p.errors import ChainUnavailable

SwapId = NewType("SwapId", bytes)
Preimage = NewType("Preimage", bytes)

COIN = ZERO_ADDRESS
"""Stands for the chain's own coin where a token is named."""

PREIMAGE_BYTES = 32
_TERMS = "(address,uint256,address,address,bytes32,uint64,uint64)"


class SwapState(IntEnum):
    """Where a swap stands; the numbers are the contract's."""

    NONE = 0
    OPEN = 1
    CLAIMED = 2
    REFUNDED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapTerms:
    """A swap, whole: `amount` in the token's smallest units, `hashlock` the sha256 of a preimage of 32 bytes.

    Attributes:
        token: what is swapped; `COIN` for the chain's own.
        amount: how much of it, 1 or more.
        recipient: whom a claim credits.
        refundee: whom a refund credits.
        hashlock: what the preimage must hash to.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapOpened:
    """The contract holds the amount of these terms."""

    swap: SwapId
    terms: SwapTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapClaimed:
    """The recipient was credited, and everybody knows the preimage."""

    swap: SwapId
    preimage: Preimage


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapRefunded:
    """The refundee was credited."""

    swap: SwapId


SwapEvent = SwapOpened | SwapClaimed | SwapRefunded


def compute_hashlock(preimage: Preimage) -> Digest:
    """The hashlock that `preimage` opens.

    Raises:
        ValueError: it is not 32 bytes long; no contract could take it.
    """
    if len(preimage) != PREIMAGE_BYTES:
        raise ValueError(f"expected a preimage of {PREIMAGE_BYTES} bytes, was {len(preimage)}")
    return Digest(sha256(preimage).digest())


def compute_swap_id(chain_id: int, contract: Address, terms: SwapTerms) -> SwapId:
    """The id of these terms at `contract` on that chain; another one anywhere else."""
    encoded = abi_encode(["uint256", "address", _TERMS], [chain_id, contract, terms.fields()])
    return SwapId(keccak256(bytes(encoded)))


def compute_counter_deadline_s(initiator_deadline_s: int, *, own_lag_s: int, other_lag_s: int) -> int:
    """The latest deadline of the second swap that leaves its opener time to claim the first.

    The initiator may claim up to the last second. The second party learns the preimage once that is final, and needs
    its own claim to be final before the first swap ends.

    Args:
        initiator_deadline_s: the first swap's deadline, unix seconds.
        own_lag_s: seconds until a transaction is final on the chain of the first swap.
        other_lag_s: the same on the chain of the second swap.

    Returns:
        Unix seconds; a second swap with a later deadline puts its opener at risk.
    """
    return initiator_deadline_s - own_lag_s - other_lag_s


def encode_open(terms: SwapTerms) -> bytes:
    """The input of `open`; send `terms.value_wei` along, or approve the token beforehand."""
    return swap_contract().encode_call("open", terms.fields())


def encode_claim(terms: SwapTerms, preimage: Preimage) -> bytes:
    """The input of `claim`, which anyone may send."""
    return swap_contract().encode_call("claim", terms.fields(), preimage)


def encode_refund(terms: SwapTerms) -> bytes:
    """The input of `refund`, which anyone may send."""
    return swap_contract().encode_call("refund", terms.fields())


def encode_withdraw(token: Address, amount: int) -> bytes:
    """The input of `withdraw`: pays out `amount` of the sender's own credit."""
    return swap_contract().encode_call("withdraw", token, amount)


def decode_swap_event(log: Log) -> SwapEvent | None:
    """What a log of the contract says of a swap; None for anything else it writes.

    Raises:
        ChainUnavailable: the log is malformed; the chain's endpoint cannot be trusted.
    """
    try:
        event = swap_contract().decode_event(log)
    except (DecodingError, ValueError) as error:
        raise ChainUnavailable(
            f"expected an event of OrrangeSwap at log {log.index} of block {log.block_number}, was unreadable; "
            "check that the chain's URL is right"
        ) from error
    if event is None or event.name == "CreditWithdrawn":
        return None
    fields = event.fields
    swap = SwapId(fields["swap"])
    if event.name == "SwapClaimed":
        return SwapClaimed(swap=swap, preimage=Preimage(fields["preimage"]))
    if event.name == "SwapRefunded":
        return SwapRefunded(swap=swap)
    terms = SwapTerms(
        token=Address(fields["token"]),
        amount=fields["amount"],
        recipient=Address(fields["recipient"]),
        refundee=Address(fields["refundee"]),
        hashlock=Digest(fields["hashlock"]),
        deadline_s=fields["deadline"],
        nonce=fields["nonce"],
    )
    return SwapOpened(swap=swap, terms=terms)


async def read_swap_state(backend: Backend, contract: Address, swap: SwapId) -> SwapState:
    """Where a swap stands on the newest block.

    Raises:
        ConfigError: no OrrangeSwap stands there.
        ChainUnavailable: the chain cannot be reached.
    """
    return SwapState(await _read(backend, contract, "stateOf", swap))


async def read_swap_credit(backend: Backend, contract: Address, owner: Address, token: Address) -> int:
    """Token units that `owner` can withdraw at once.

    Raises:
        ConfigError: no OrrangeSwap stands there.
        ChainUnavailable: the chain cannot be reached.
    """
    return await _read(backend, contract, "creditOf", owner, token)


async def _read(backend: Backend, contract: Address, function: str, *arguments: object) -> int:
    return int(await read_view(backend, swap_contract(), contract, function, *arguments))
