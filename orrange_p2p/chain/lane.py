"""One account's transactions, strictly in nonce order, whoever asks for them.

Sending and waiting are apart: many transactions may be under way, each with the next nonce. After any doubtful send
(unreachable chain, cancellation) the nonce is asked from the chain again.
"""

from dataclasses import dataclass

import trio

from orrange_p2p.chain.account import DigestSigner, TransactionFields
from orrange_p2p.chain.backend import Backend, CallReverted, Receipt, TransactionRefused
from orrange_p2p.chain.contracts import explain_revert
from orrange_p2p.core.types import Address, Digest
from orrange_p2p.errors import ChainUnavailable, EscrowReverted

_MAX_IN_FLIGHT = 64
_DEADLINE_S = 60
_ESTIMATE_MARGIN_PERCENT = 30
_BLOCKS_UNTIL_AGAIN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SentTransaction:
    """A transaction that the chain took into its pool."""

    hash: Digest
    nonce: int
    to: Address | None
    payload: bytes
    value_wei: int
    raw: bytes


class TransactionLane:
    """The only sender of one account's transactions; callers are served one after the other."""

    def __init__(
        self,
        backend: Backend,
        signer: DigestSigner,
        *,
        deadline_s: int = _DEADLINE_S,
        max_in_flight: int = _MAX_IN_FLIGHT,
    ) -> None:
        """Make the lane of `signer`'s account.

        Args:
            backend: where transactions go.
            signer: signs them; the lane never sees a secret.
            deadline_s: how long `wait` waits for a block that holds the transaction, unless told otherwise.
            max_in_flight: `submit` makes callers wait while so many of its transactions are under way.
        """
        self.backend = backend
        self.address = signer.address
        self._signer = signer
        self._deadline_s = deadline_s
        self._sending = trio.Lock()
        self._slots = trio.CapacityLimiter(max_in_flight)
        self._chain_id: int | None = None
        self._next_nonce: int | None = None
        self._counts = {"sent": 0, "mined": 0, "reverted": 0, "refused": 0, "late": 0, "again": 0, "gas_used": 0}

    def __repr__(self) -> str:
        return f"TransactionLane(0x{self.address.hex()})"

    def statistics(self) -> dict[str, int]:
        """Transactions sent, mined, reverted, refused, late, sent again while waiting, in flight; and gas used."""
        return {**self._counts, "in_flight": self._slots.borrowed_tokens}

    async def submit(
        self, to: Address | None, payload: bytes, *, gas: int | None = None, value_wei: int = 0
    ) -> Receipt:
        """Send one transaction and wait for its receipt.

        Args:
            to: the contract to call, or None to deploy `payload`.
            payload: the call's input.
            gas: the gas limit; None asks the chain, which is slow and shows a revert before anything is sent.
            value_wei: native coin to send along.

        Raises:
            EscrowReverted: the contract refused; the reason is decoded.
            TransactionRefused: the chain did not take the transaction.
            ChainUnavailable: the chain cannot be reached, or the deadline passed; the transaction may still be mined.
        """
        async with self._slots:
            return await self.wait(await self.send(to, payload, gas=gas, value_wei=value_wei))

    async def send(
        self, to: Address | None, payload: bytes, *, gas: int | None = None, value_wei: int = 0
    ) -> SentTransaction:
        """Send one transaction and return as soon as the chain has it; its fate is for `wait` to tell.

        Raises as `submit` does, but for the deadline. Cancelled half way, it may or may not have been sent.
        """
        if gas is None:
            gas = await self._estimate_gas(to, payload, value_wei)
        async with self._sending:
            try:
                return await self._send_next(to, payload, gas, value_wei)
            except TransactionRefused as error:
                if not error.is_nonce_taken:
                    self._counts["refused"] += 1
                    raise
            # Somebody else used this account, or an earlier doubtful send did arrive: one more try with a fresh nonce.
            return await self._send_next(to, payload, gas, value_wei)

    async def wait(self, sent: SentTransaction, *, deadline_s: int | None = None) -> Receipt:
        """Wait until `sent` is in a block.

        Raises:
            EscrowReverted: the contract refused; the reason is decoded where it can be found.
            ChainUnavailable: the chain cannot be reached, or the deadline passed; the transaction may still be mined.
            TransactionRefused: the chain dropped it for good.
        """
        seconds = self._deadline_s if deadline_s is None else deadline_s
        with trio.move_on_after(seconds):
            try:
                receipt = await self._mined(sent)
            except TransactionRefused:
                await self._doubt_nonce()
                raise
            self._counts["mined"] += 1
            self._counts["gas_used"] += receipt.gas_used
            if receipt.is_success:
                return receipt
            self._counts["reverted"] += 1
            raise EscrowReverted(await self._explain(sent, receipt))
        self._counts["late"] += 1
        await self._doubt_nonce()
        raise ChainUnavailable(
            f"transaction 0x{sent.hash.hex()} (nonce {sent.nonce}) was not mined within {seconds} s; it may still be: "
            "check that the chain makes blocks"
        )

    async def _send_next(self, to: Address | None, payload: bytes, gas: int, value_wei: int) -> SentTransaction:
        """Sign with the next nonce and send. The nonce counts as used only once the chain has taken it."""
        if self._chain_id is None:
            self._chain_id = await self.backend.chain_id()
        if self._next_nonce is None:
            self._next_nonce = await self.backend.transaction_count(self.address)
        nonce = self._next_nonce
        fees = await self.backend.fees()
        fields = TransactionFields(
            chain_id=self._chain_id,
            nonce=nonce,
            priority_fee_wei=fees.priority_fee_wei,
            max_fee_wei=fees.max_fee_wei,
            gas=gas,
            to=to,
            value_wei=value_wei,
            payload=payload,
        )
        self._next_nonce = None
        raw = fields.signed_by(self._signer)
        digest = await self.backend.send_raw(raw)
        self._next_nonce = nonce + 1
        self._counts["sent"] += 1
        return SentTransaction(hash=digest, nonce=nonce, to=to, payload=payload, value_wei=value_wei, raw=raw)

    async def _doubt_nonce(self) -> None:
        """A sent transaction may be lost, and its nonce free again: ask the chain before the next one."""
        async with self._sending:
            self._next_nonce = None

    async def _mined(self, sent: SentTransaction) -> Receipt:
        """Wait block by block; every few blocks the same bytes are sent again, for pools lose transactions."""
        blocks = 0
        while True:
            head = await self.backend.head()
            receipt = await self.backend.receipt(sent.hash)
            if receipt is not None:
                return receipt
            if blocks and blocks % _BLOCKS_UNTIL_AGAIN == 0 and not await self._is_still_possible(sent):
                raise TransactionRefused(
                    f"transaction 0x{sent.hash.hex()} can never be mined: its nonce {sent.nonce} went to another one",
                    is_nonce_taken=True,
                )
            await self.backend.wait_head_above(head.number)
            blocks += 1

    async def _is_still_possible(self, sent: SentTransaction) -> bool:
        """Send a transaction again; whether it can be mined still, or just was."""
        self._counts["again"] += 1
        try:
            await self.backend.send_raw(sent.raw)
        except TransactionRefused as error:
            return not error.is_nonce_taken or await self.backend.receipt(sent.hash) is not None
        return True

    async def _estimate_gas(self, to: Address | None, payload: bytes, value_wei: int) -> int:
        try:
            estimate = await self.backend.estimate_gas(self.address, to, payload, value_wei)
        except CallReverted as error:
            raise EscrowReverted(explain_revert(error.payload)) from error
        return estimate + estimate * _ESTIMATE_MARGIN_PERCENT // 100

    async def _explain(self, sent: SentTransaction, receipt: Receipt) -> str:
        """Why `sent` failed: from its receipt, or by running it again on the state before its block."""
        if receipt.revert_payload is not None:
            return explain_revert(receipt.revert_payload)
        if sent.to is None:
            return "the contract's constructor refused"
        try:
            await self.backend.call(
                sent.to,
                sent.payload,
                sender=self.address,
                value_wei=sent.value_wei,
                block_number=receipt.block_number - 1,
            )
        except CallReverted as error:
            return explain_revert(error.payload)
        return f"out of gas, or a reason that depends on its place in block {receipt.block_number}"
