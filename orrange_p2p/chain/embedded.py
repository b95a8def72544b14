"""The embedded chain: an EVM in this process behind `Backend`, for demos and tests; any number of nodes share one.

It mines on a timer, stamped with an injected clock, an empty block too, so that "the last block before this epoch" is
always soon known. All EVM work runs on one worker thread; blocks, logs and receipts are kept beside it as plain values,
read once when a block is mined and never asked from the EVM again.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import trio
from eth.abc import SignedTransactionAPI

from orrange_p2p.chain.backend import DEVELOPMENT_CHAIN_ID, BlockRef, Fees, Levels, Log, Receipt, TransactionRefused
from orrange_p2p.chain.evm import EvmChain, MinedBlock
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.types import Address, Digest

_BLOCK_GAS_LIMIT = 30_000_000
_POOL_LIMIT = 4_096
_POOL_LIMIT_PER_SENDER = 256
_PRIORITY_FEE_WEI = 10**9
_DROPS_REMEMBERED = 64

_T = TypeVar("_T")


class EmbeddedChain:
    """A `Backend` over an EVM in memory. Call `run` in a nursery to let it mine; `mine` makes one block at once."""

    def __init__(
        self,
        *,
        now_ms: Callable[[], int],
        genesis_time_s: int,
        balances_wei: Mapping[Address, int],
        chain_id: int = DEVELOPMENT_CHAIN_ID,
        block_time_s: int = 1,
        block_gas_limit: int = _BLOCK_GAS_LIMIT,
    ) -> None:
        """Make the genesis block.

        Args:
            now_ms: the clock that stamps blocks, unix milliseconds, never falling.
            genesis_time_s: the genesis block's time; together with the other arguments it fixes the genesis hash.
            balances_wei: native coin of accounts at genesis.
            chain_id: what transactions and EIP-712 domains name.
            block_time_s: whole seconds between blocks, at least 1: block times are integers and must grow.
            block_gas_limit: gas in a block.
        """
        self._now_ms = now_ms
        self._chain_id = chain_id
        self._block_time_s = block_time_s
        self._evm = EvmChain(
            chain_id=chain_id,
            genesis_time_s=genesis_time_s,
            balances_wei=balances_wei,
            block_gas_limit=block_gas_limit,
        )
        self._worker = trio.CapacityLimiter(1)
        self._mining = trio.Lock()
        self._next_head = trio.Event()
        self._blocks = [self._evm.head()]
        self._logs: list[tuple[Log, ...]] = [()]
        self._receipts: dict[Digest, Receipt] = {}
        self._pool: dict[Address, dict[int, SignedTransactionAPI]] = {}
        self._nonces: dict[Address, int] = {}
        self._dropped: dict[Digest, str] = {}
        self._dropped_count = 0

    async def run(self) -> None:
        """Mine a block every `block_time_s` seconds of the injected clock, until cancelled."""
        while True:
            due_ms = (self._blocks[-1].time_s + self._block_time_s) * 1000
            wait_ms = due_ms - self._now_ms()
            if wait_ms > 0:
                await trio.sleep(wait_ms / 1000)
            else:
                await self.mine()

    async def mine(self) -> BlockRef:
        """Make a block now, out of what waits in the pool; its time is the clock's, or the last block's plus 1 s."""
        async with self._mining:
            time_s = max(self._now_ms() // 1000, self._blocks[-1].time_s + 1)
            transactions = self._select()
            with trio.CancelScope(shield=True):
                mined = await self._in_worker(partial(self._evm.mine, transactions, time_s))
                self._append(mined, transactions)
            return mined.ref

    def statistics(self) -> dict[str, int]:
        """Blocks and transactions mined, transactions waiting, and those that were dropped as invalid when mined."""
        return {
            "blocks": self._blocks[-1].number,
            "transactions": len(self._receipts),
            "waiting": self._waiting(),
            "dropped": self._dropped_count,
        }

    async def chain_id(self) -> int:
        """See `Backend`."""
        await trio.lowlevel.checkpoint()
        return self._chain_id

    async def head(self) -> BlockRef:
        """See `Backend`."""
        await trio.lowlevel.checkpoint()
        return self._blocks[-1]

    async def levels(self) -> Levels:
        """See `Backend`. It takes nothing back."""
        number = (await self.head()).number
        return Levels(seen=number, safe=number, finalized=number)

    async def blocks(self, first: int, last: int) -> tuple[BlockRef, ...]:
        """See `Backend`."""
        await trio.lowlevel.checkpoint()
        return tuple(self._blocks[first : last + 1])

    async def wait_head_above(self, number: int) -> BlockRef:
        """See `Backend`."""
        await trio.lowlevel.checkpoint()
        while self._blocks[-1].number <= number:
            await self._next_head.wait()
        return self._blocks[-1]

    async def logs(self, first: int, last: int, addresses: Sequence[Address]) -> tuple[Log, ...]:
        """See `Backend`."""
        await trio.lowlevel.checkpoint()
        return tuple(log for block in self._logs[first : last + 1] for log in block if log.address in addresses)

    async def block_logs(self, block: BlockRef, addresses: Sequence[Address]) -> tuple[Log, ...]:
        """See `Backend`."""
        return await self.logs(block.number, block.number, addresses)

    async def call(
        self,
        to: Address,
        payload: bytes,
        *,
        sender: Address | None = None,
        value_wei: int = 0,
        block_number: int | None = None,
    ) -> bytes:
        """See `Backend`."""
        return await self._in_worker(partial(self._evm.call, to, payload, sender, value_wei, block_number))

    async def code(self, address: Address) -> bytes:
        """See `Backend`."""
        return await self._in_worker(partial(self._evm.code, address))

    async def balance_wei(self, address: Address) -> int:
        """See `Backend`."""
        return await self._in_worker(partial(self._evm.balance_wei, address))

    async def transaction_count(self, address: Address) -> int:
        """See `Backend`."""
        mined = await self._mined_nonce(address)
        waiting = self._pool.get(address, {})
        while mined in waiting:
            mined += 1
        return mined

    async def estimate_gas(self, sender: Address, to: Address | None, payload: bytes, value_wei: int) -> int:
        """See `Backend`."""
        return await self._in_worker(partial(self._evm.estimate_gas, sender, to, payload, value_wei))

    async def fees(self) -> Fees:
        """See `Backend`."""
        base_fee_wei = await self._in_worker(self._evm.base_fee_wei)
        return Fees(base_fee_wei=base_fee_wei, priority_fee_wei=_PRIORITY_FEE_WEI)

    async def send_raw(self, raw: bytes) -> Digest:
        """See `Backend`. A waiting transaction is never replaced by another with its nonce."""
        digest = keccak256(raw)
        if digest in self._receipts:
            return digest
        transaction = await self._in_worker(partial(self._evm.admit, raw))
        sender = Address(bytes(transaction.sender))
        mined_nonce = await self._mined_nonce(sender)
        if digest in self._receipts:
            return digest
        if transaction.nonce < mined_nonce:
            raise TransactionRefused(
                f"expected nonce {mined_nonce} or above, was {transaction.nonce}", is_nonce_taken=True
            )
        waiting = self._pool.get(sender, {})
        known = waiting.get(transaction.nonce)
        if known is not None and known.hash != transaction.hash:
            raise TransactionRefused(f"nonce {transaction.nonce} already waits in the pool", is_nonce_taken=True)
        if known is None:
            if len(waiting) >= _POOL_LIMIT_PER_SENDER or self._waiting() >= _POOL_LIMIT:
                raise TransactionRefused(f"the pool is full: {self._waiting()} transactions wait")
            self._pool.setdefault(sender, {})[transaction.nonce] = transaction
        return digest

    async def receipt(self, transaction: Digest) -> Receipt | None:
        """See `Backend`.

        Raises:
            TransactionRefused: the transaction was dropped when its block was made, lately.
        """
        await trio.lowlevel.checkpoint()
        if transaction in self._dropped:
            raise TransactionRefused(f"the chain dropped the transaction: {self._dropped[transaction]}")
        return self._receipts.get(transaction)

    async def _in_worker(self, work: Callable[[], _T]) -> _T:
        return await trio.to_thread.run_sync(work, limiter=self._worker)

    async def _mined_nonce(self, sender: Address) -> int:
        if sender not in self._nonces:
            nonce = await self._in_worker(partial(self._evm.nonce, sender))
            self._nonces.setdefault(sender, nonce)
        else:
            await trio.lowlevel.checkpoint()
        return self._nonces[sender]

    def _waiting(self) -> int:
        return sum(map(len, self._pool.values()))

    def _select(self) -> list[SignedTransactionAPI]:
        """What goes into the next block: one transaction of each sender in turn, in nonce order, while gas lasts."""
        selected: list[SignedTransactionAPI] = []
        gas_left = self._evm.block_gas_limit
        turns = {sender: self._nonces[sender] for sender in self._pool}
        while turns:
            for sender, nonce in list(turns.items()):
                transaction = self._pool[sender].get(nonce)
                if transaction is None or transaction.gas > gas_left:
                    del turns[sender]
                    continue
                selected.append(transaction)
                gas_left -= transaction.gas
                turns[sender] = nonce + 1
        return selected

    def _append(self, mined: MinedBlock, transactions: Sequence[SignedTransactionAPI]) -> None:
        """Take a mined block into the index and wake whoever waits for it."""
        dropped = dict(mined.dropped)
        for transaction in transactions:
            sender, digest = Address(bytes(transaction.sender)), Digest(bytes(transaction.hash))
            del self._pool[sender][transaction.nonce]
            if not self._pool[sender]:
                del self._pool[sender]
            if digest not in dropped:
                self._nonces[sender] = transaction.nonce + 1
        for digest, reason in mined.dropped:
            self._dropped[digest] = reason
            self._dropped_count += 1
        while len(self._dropped) > _DROPS_REMEMBERED:
            del self._dropped[next(iter(self._dropped))]
        self._receipts.update((receipt.transaction, receipt) for receipt in mined.receipts)
        self._logs.append(tuple(log for receipt in mined.receipts for log in receipt.logs))
        self._blocks.append(mined.ref)
        self._next_head.set()
        self._next_head = trio.Event()
