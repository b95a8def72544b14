"""Swaps between two chains, hash-time-locked: calls of the contract, and what it says of a lock.

Two locks with one hashlock make a trade between chains; `core.swaps` says who may do what, and when.
"""

from dataclasses import dataclass

from eth_abi.abi import encode as abi_encode

from orrange_p2p.chain.abi import read_event
from orrange_p2p.chain.backend import Backend, Log
from orrange_p2p.chain.contracts import swap_contract
from orrange_p2p.chain.views import read_view
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.swap_terms import Preimage, SwapId, SwapState, SwapTerms
from orrange_p2p.core.types import Address, Digest

_TERMS = "(address,uint256,address,address,bytes32,uint64,uint64)"


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


def compute_swap_id(chain_id: int, contract: Address, terms: SwapTerms) -> SwapId:
    """The id of these terms at `contract` on that chain; another one anywhere else."""
    encoded = abi_encode(["uint256", "address", _TERMS], [chain_id, contract, terms.fields()])
    return SwapId(keccak256(bytes(encoded)))


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
    event = read_event(swap_contract(), log)
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


async def read_swap_state(
    backend: Backend, contract: Address, swap: SwapId, *, block_number: int | None = None
) -> SwapState:
    """Where a lock stands on the newest block, or on block `block_number`.

    Raises:
        ConfigError: no OrrangeSwap stands there.
        ChainUnavailable: the chain cannot be reached.
    """
    return SwapState(await _read(backend, contract, "stateOf", swap, block_number=block_number))


async def read_swap_credit(
    backend: Backend, contract: Address, owner: Address, token: Address, *, block_number: int | None = None
) -> int:
    """Token units that `owner` can withdraw at once.

    Raises:
        ConfigError: no OrrangeSwap stands there.
        ChainUnavailable: the chain cannot be reached.
    """
    return await _read(backend, contract, "creditOf", owner, token, block_number=block_number)


async def find_preimage(backend: Backend, contract: Address, swap: SwapId, first: int, last: int) -> Preimage | None:
    """What the claim of a lock showed, if it is in blocks `first` to `last`, both included.

    Raises:
        ChainUnavailable: the chain cannot be reached, or answers with a malformed log.
    """
    for log in await backend.logs(first, last, (contract,)):
        event = decode_swap_event(log)
        if isinstance(event, SwapClaimed) and event.swap == swap:
            return event.preimage
    return None


async def _read(
    backend: Backend, contract: Address, function: str, *arguments: object, block_number: int | None
) -> int:
    return int(await read_view(backend, swap_contract(), contract, function, *arguments, block_number=block_number))
