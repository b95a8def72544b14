"""What a chain must offer, and the values it speaks in: blocks, logs, receipts, fees.

Two implementations pass the same tests: `embedded.EmbeddedChain` (an EVM inside this process) and `rpc.JsonRpcChain`
(any Ethereum node). Everything else in this room speaks to `Backend` only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orrange_p2p.core.types import Address, Digest
from orrange_p2p.errors import ChainUnavailable, EscrowReverted, OrrangeError

DEVELOPMENT_CHAIN_ID = 31337
"""What development chains call themselves unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRef:
    """A block's place in the chain. `time_s` is unix seconds and never falls (anvil repeats it at times).

    `logs_bloom` is the filter of its logs, 256 bytes, or empty where the backend keeps none.
    """

    number: int
    hash: Digest
    parent_hash: Digest
    time_s: int
    logs_bloom: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """How far the chain is, by how sure it is of it: the newest block seen, the newest safe and the newest final one.

    `is_by_depth` says that the chain does not tell, and that so many blocks below the newest one are taken for it.
    """

    seen: int
    safe: int
    finalized: int
    is_by_depth: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One event as a contract wrote it; `index` counts within the block."""

    address: Address
    topics: tuple[bytes, ...]
    payload: bytes
    block_number: int
    block_hash: Digest
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a mined transaction.

    `contract` is the address of a deployed contract, or None. `revert_payload` is what a failed transaction reverted
    with where the backend knows it (the embedded chain does), else None.
    """

    transaction: Digest
    block_number: int
    is_success: bool
    gas_used: int
    contract: Address | None
    logs: tuple[Log, ...]
    revert_payload: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """What the next block asks for a unit of gas, in wei."""

    base_fee_wei: int
    priority_fee_wei: int

    @property
    def max_fee_wei(self) -> int:
        """A ceiling that stays valid through six full blocks in a row; only the base fee is ever paid."""
        return 2 * self.base_fee_wei + self.priority_fee_wei


class CallReverted(EscrowReverted):
    """A read-only call or an estimate reverted; `payload` is the raw revert answer, as yet undecoded."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(f"0x{payload.hex()}" if payload else "no reason given")
        self.payload = payload


class TransactionRefused(OrrangeError):
    """The chain did not take a transaction into its pool; `is_nonce_taken` says that its nonce was already used."""

    code = "chain.refused"

    def __init__(self, message: str, *, is_nonce_taken: bool = False) -> None:
        super().__init__(message)
        self.is_nonce_taken = is_nonce_taken


class ChainBusy(ChainUnavailable):
    """An endpoint asks to be left alone for a while, in seconds from now."""

    code = "chain.busy"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Backend(Protocol):
    """Raw access to one chain, on trio.

    Every method raises `ChainUnavailable` when the chain cannot be reached after the backend's own bounded retries.
    Reads may be cancelled freely. A cancelled `send_raw` may or may not have sent.
    """

    def statistics(self) -> Mapping[str, object]:
        """What was asked and how it went, as plain values."""
        ...

    async def chain_id(self) -> int:
        """The chain's id, as the chain itself says."""
        ...

    async def head(self) -> BlockRef:
        """The newest block."""
        ...

    async def levels(self) -> Levels:
        """How far the chain is, and how much of that it will not take back."""
        ...

    async def blocks(self, first: int, last: int) -> tuple[BlockRef, ...]:
        """The blocks `first` to `last`, both included, ascending; fewer if the chain ends earlier."""
        ...

    async def wait_head_above(self, number: int) -> BlockRef:
        """Wait until the newest block's number is above `number`, and return that block."""
        ...

    async def logs(self, first: int, last: int, addresses: Sequence[Address]) -> tuple[Log, ...]:
        """The logs of `addresses` in blocks `first` to `last`, both included, in order of block and index."""
        ...

    async def block_logs(self, block: BlockRef, addresses: Sequence[Address]) -> tuple[Log, ...]:
        """The logs of `addresses` in one block, from another source than `logs` where there is one, by index.

        Raises:
            ChainUnavailable: also if what comes back is less than the block's filter of logs shows.
        """
        ...

    async def call(
        self,
        to: Address,
        payload: bytes,
        *,
        sender: Address | None = None,
        value_wei: int = 0,
        block_number: int | None = None,
    ) -> bytes:
        """Run a contract function without a transaction, on the newest block's state or on that of `block_number`.

        Raises:
            CallReverted: the contract refused.
        """
        ...

    async def code(self, address: Address) -> bytes:
        """The contract code at `address`, empty if there is none."""
        ...

    async def balance_wei(self, address: Address) -> int:
        """The native coin that `address` holds, in wei."""
        ...

    async def transaction_count(self, address: Address) -> int:
        """The next free nonce of `address`, counting what waits in the pool."""
        ...

    async def estimate_gas(self, sender: Address, to: Address | None, payload: bytes, value_wei: int) -> int:
        """Gas that a transaction would need; slow, so callers who know better pass their own figure.

        Raises:
            CallReverted: the transaction would revert.
        """
        ...

    async def fees(self) -> Fees:
        """What the next block asks for gas."""
        ...

    async def send_raw(self, raw: bytes) -> Digest:
        """Put a signed transaction into the pool and return its hash; sending the same bytes twice is harmless.

        Raises:
            TransactionRefused: the chain will not take it.
        """
        ...

    async def receipt(self, transaction: Digest) -> Receipt | None:
        """The receipt of a mined transaction, or None while it is not in a block.

        Raises:
            TransactionRefused: the backend knows that it dropped the transaction for good.
        """
        ...
