"""An EVM chain in memory, driven below eth-tester: a chosen time for each block, many transactions of one sender in it.

Synchronous and not thread-safe: `embedded.EmbeddedChain` keeps all of it on one worker thread. Each transaction is
executed once. A transaction's block time is set before it runs (py-evm's own `mine_all(timestamp=...)` sets it after).
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from eth.abc import BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI, VirtualMachineAPI
from eth.chains.base import Chain
from eth.db.atomic import AtomicDB
from eth.estimators import get_gas_estimator
from eth.exceptions import HeaderNotFound, VMError
from eth.typing import AccountDetails, HeaderParams
from eth.vm.forks.prague import PragueVM
from eth.vm.spoof import SpoofTransaction
from eth_keys.exceptions import BadSignature
from eth_typing import Address as EvmAddress
from eth_typing import BlockNumber
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException

from orrange_p2p.chain.account import created_address
from orrange_p2p.chain.backend import BlockRef, CallReverted, Log, Receipt, TransactionRefused
from orrange_p2p.chain.network_plan import DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.types import ZERO_ADDRESS, Address, Digest
from orrange_p2p.errors import ChainUnavailable

_EVM_RECURSION = 10_240  # what py-evm itself asks for, 1,024 nested calls
# py_ecc, which py-evm imports, raises the whole process's limit to 100,000; nested input elsewhere (JSON, say) would
# then overflow the C stack and kill the process instead of raising RecursionError.
sys.setrecursionlimit(min(sys.getrecursionlimit(), _EVM_RECURSION))

_CALL_GAS = 25_000_000
_TYPE_1559 = b"\x02"
_WORD_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class MinedBlock:
    """A block with its receipts in order, and the transactions that turned out invalid, with why."""

    ref: BlockRef
    receipts: tuple[Receipt, ...]
    dropped: tuple[tuple[Digest, str], ...]


def _ref(header: BlockHeaderAPI) -> BlockRef:
    return BlockRef(
        number=header.block_number,
        hash=Digest(bytes(header.hash)),
        parent_hash=Digest(bytes(header.parent_hash)),
        time_s=header.timestamp,
    )


class EvmChain:
    """One chain from its genesis on; deterministic from its arguments and the transactions given.

    The deterministic deployment proxy stands on it from the start, as it does on nearly every chain.
    """

    def __init__(
        self, *, chain_id: int, genesis_time_s: int, balances_wei: Mapping[Address, int], block_gas_limit: int
    ) -> None:
        chain_class = Chain.configure(
            __name__="EmbeddedMiningChain", vm_configuration=((BlockNumber(0), PragueVM),), chain_id=chain_id
        )
        genesis: dict[str, HeaderParams] = {
            "difficulty": 0,
            "gas_limit": block_gas_limit,
            "timestamp": genesis_time_s,
            "nonce": bytes(8),
        }
        state = {
            EvmAddress(address): AccountDetails(balance=balance_wei, nonce=0, code=b"", storage={})
            for address, balance_wei in sorted(balances_wei.items())
        }
        state[EvmAddress(DEPLOYMENT_PROXY)] = AccountDetails(balance=0, nonce=1, code=DEPLOYMENT_PROXY_CODE, storage={})
        self.block_gas_limit = block_gas_limit
        self._chain = chain_class.from_genesis(AtomicDB(), genesis, state)
        self._head: BlockHeaderAPI = self._chain.get_canonical_head()

    def head(self) -> BlockRef:
        """The newest block."""
        return _ref(self._head)

    def base_fee_wei(self) -> int:
        """The base fee of the next block."""
        return self._next_header(self._head.timestamp + 1).base_fee_per_gas or 0

    def decode(self, raw: bytes) -> SignedTransactionAPI:
        """Decode a raw transaction and check its signature, its chain and that it can ever fit into a block.

        Raises:
            TransactionRefused: it cannot.
        """
        if raw[:1] != _TYPE_1559:
            raise TransactionRefused(f"expected a transaction of type 2 (EIP-1559), was 0x{raw[:1].hex()}")
        try:
            transaction = self._vm(self._head).get_transaction_builder().decode(raw)
            transaction.validate()
            transaction.check_signature_validity()
        except (RLPException, ValidationError, BadSignature) as error:
            raise TransactionRefused(f"the transaction is malformed: {error}") from error
        if transaction.chain_id != self._chain.chain_id:
            raise TransactionRefused(f"expected chain id {self._chain.chain_id}, was {transaction.chain_id}")
        if transaction.gas > self.block_gas_limit:
            raise TransactionRefused(f"expected at most {self.block_gas_limit} gas, was {transaction.gas}")
        if transaction.gas < transaction.intrinsic_gas:
            raise TransactionRefused(f"expected at least {transaction.intrinsic_gas} gas, was {transaction.gas}")
        return transaction

    def admit(self, raw: bytes) -> SignedTransactionAPI:
        """Decode a raw transaction and check it against the newest state: what would be refused in every next block.

        Raises:
            TransactionRefused: malformed, its nonce is used, or its sender cannot pay for it.
        """
        transaction = self.decode(raw)
        state = self._vm(self._head).state
        nonce, balance_wei = state.get_nonce(transaction.sender), state.get_balance(transaction.sender)
        if transaction.nonce < nonce:
            raise TransactionRefused(f"expected nonce {nonce} or above, was {transaction.nonce}", is_nonce_taken=True)
        cost_wei = transaction.gas * transaction.max_fee_per_gas + transaction.value
        if balance_wei < cost_wei:
            raise TransactionRefused(f"insufficient funds: expected at least {cost_wei} wei, was {balance_wei}")
        return transaction

    def mine(self, transactions: Sequence[SignedTransactionAPI], time_s: int) -> MinedBlock:
        """Make the next block out of `transactions`, at `time_s`, which must be above the newest block's time.

        An invalid transaction (nonce, balance, fee, no room) is left out and reported; it never spoils the block.
        """
        header = self._next_header(time_s)
        vm = self._vm(header)
        taken: list[tuple[SignedTransactionAPI, ReceiptAPI, ComputationAPI]] = []
        dropped: list[tuple[Digest, str]] = []
        for transaction in transactions:
            try:
                receipt, computation = vm.apply_transaction(header, transaction)
            except ValidationError as error:
                dropped.append((Digest(bytes(transaction.hash)), str(error)))
                continue
            header = vm.increment_blob_gas_used(vm.add_receipt_to_header(header, receipt), transaction)
            taken.append((transaction, receipt, computation))
        filled = vm.set_block_transactions_and_withdrawals(
            vm.get_block(), header, [item[0] for item in taken], [item[1] for item in taken]
        )
        block = vm.mine_block(filled).block
        self._chain.chaindb.persist_block(block)
        self._head = block.header
        return MinedBlock(ref=_ref(block.header), receipts=_receipts(block.header, taken), dropped=tuple(dropped))

    def call(
        self, to: Address, payload: bytes, sender: Address | None, value_wei: int, block_number: int | None
    ) -> bytes:
        """Run a contract function on the state after a block, and forget its effects."""
        header = self._head if block_number is None else self._header(block_number)
        vm = self._vm(header)
        code = vm.state.get_code(EvmAddress(to))
        origin = EvmAddress(sender or ZERO_ADDRESS)
        computation = vm.execute_bytecode(
            origin=origin,
            gas_price=0,
            gas=_CALL_GAS,
            to=EvmAddress(to),
            sender=origin,
            value=value_wei,
            data=payload,
            code=code,
        )
        if computation.is_error:
            raise CallReverted(bytes(computation.output))
        return bytes(computation.output)

    def estimate_gas(self, sender: Address, to: Address | None, payload: bytes, value_wei: int) -> int:
        """Gas that the transaction would need in a block right after the newest one, by bisection."""
        unsigned = (
            self._vm(self._head)
            .get_transaction_builder()
            .create_unsigned_transaction(
                nonce=self.nonce(sender),
                gas_price=0,
                gas=_CALL_GAS,
                to=EvmAddress(to or b""),
                value=value_wei,
                data=payload,
            )
        )
        spoofed = cast(SignedTransactionAPI, SpoofTransaction(unsigned, from_=sender))
        # py-evm's own chain.estimate_gas stamps its block with this machine's time.
        header = self._next_header(self._head.timestamp + 1).copy(base_fee_per_gas=0)
        try:
            return int(get_gas_estimator()(self._vm(header).state, spoofed))
        except VMError as error:
            reason = error.args[0] if error.args else b""
            raise CallReverted(reason if isinstance(reason, bytes) else b"") from error

    def nonce(self, address: Address) -> int:
        """The next free nonce on the newest state."""
        return int(self._vm(self._head).state.get_nonce(EvmAddress(address)))

    def balance_wei(self, address: Address) -> int:
        """The native coin that `address` holds."""
        return int(self._vm(self._head).state.get_balance(EvmAddress(address)))

    def code(self, address: Address) -> bytes:
        """The contract code at `address`."""
        return bytes(self._vm(self._head).state.get_code(EvmAddress(address)))

    def _vm(self, header: BlockHeaderAPI) -> VirtualMachineAPI:
        return self._chain.get_vm(header)

    def _header(self, block_number: int) -> BlockHeaderAPI:
        try:
            return self._chain.get_canonical_block_header_by_number(BlockNumber(block_number))
        except HeaderNotFound as error:
            raise ChainUnavailable(f"the chain has no block {block_number}") from error

    def _next_header(self, time_s: int) -> BlockHeaderAPI:
        return self._chain.create_header_from_parent(
            self._head, gas_limit=self.block_gas_limit, timestamp=time_s, mix_hash=keccak256(self._head.hash)
        )


def _receipts(
    header: BlockHeaderAPI, taken: Sequence[tuple[SignedTransactionAPI, ReceiptAPI, ComputationAPI]]
) -> tuple[Receipt, ...]:
    """Receipts in our own form; logs are numbered through the block."""
    receipts: list[Receipt] = []
    log_index = 0
    gas_before = 0
    for transaction, receipt, computation in taken:
        logs = tuple(
            Log(
                address=Address(bytes(entry.address)),
                topics=tuple(topic.to_bytes(_WORD_BYTES, "big") for topic in entry.topics),
                payload=bytes(entry.data),
                block_number=header.block_number,
                block_hash=Digest(bytes(header.hash)),
                index=log_index + offset,
            )
            for offset, entry in enumerate(receipt.logs)
        )
        is_deployment = not transaction.to
        receipts.append(
            Receipt(
                transaction=Digest(bytes(transaction.hash)),
                block_number=header.block_number,
                is_success=computation.is_success,
                gas_used=receipt.gas_used - gas_before,
                contract=created_address(Address(transaction.sender), transaction.nonce) if is_deployment else None,
                logs=logs,
                revert_payload=None if computation.is_success else bytes(computation.output),
            )
        )
        log_index += len(logs)
        gas_before = receipt.gas_used
    return tuple(receipts)
