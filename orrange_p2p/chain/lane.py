"""One account's transactions, strictly in nonce order, whoever asks for them.

Sending and waiting are apart: many transactions may be under way, each with the next nonce. What is to be sent is
written down first (see `intents`), so that a doubtful send (unreachable chain, cancellation, crash) is made good by
sending the same bytes again, and never becomes a second transaction. One that no block takes is replaced by a dearer
version of itself.
"""

from collections import OrderedDict
from dataclasses import replace

import trio

from orrange_p2p.chain.account import DigestSigner
from orrange_p2p.chain.backend import Backend, CallReverted, Receipt, TransactionRefused
from orrange_p2p.chain.contracts import explain_revert
from orrange_p2p.chain.fees import FeePolicy
from orrange_p2p.chain.intents import MAX_OFFERS, SLOTS, Intent, IntentLog, decode_intent, encode_intent
from orrange_p2p.chain.under_way import Pending, stranger
from orrange_p2p.chain.under_way import SentTransaction as SentTransaction
from orrange_p2p.core.types import Address
from orrange_p2p.errors import ChainUnavailable, EscrowReverted

_MAX_IN_FLIGHT = 64
_DEADLINE_S = 60
_ESTIMATE_MARGIN_PERCENT = 30
_BLOCKS_UNTIL_AGAIN = 3
_DEARER_AFTER_S = 10.0
"""A ticket lives for a minute, five blocks of the slowest chain; on quick chains three blocks may be no time at all."""

_OUTAGE_PAUSE_S = 0.5


class TransactionLane:
    """The only sender of one account's transactions; callers are served one after the other."""

    def __init__(
        self,
        backend: Backend,
        signer: DigestSigner,
        *,
        deadline_s: int = _DEADLINE_S,
        max_in_flight: int = _MAX_IN_FLIGHT,
        fee_policy: FeePolicy | None = None,
        dearer_after_s: float = _DEARER_AFTER_S,
        log: IntentLog | None = None,
    ) -> None:
        """Make the lane of `signer`'s account.

        Args:
            backend: where transactions go.
            signer: signs them, deterministically; the lane never sees a secret.
            deadline_s: how long `wait` waits for a block that holds the transaction, unless told otherwise.
            max_in_flight: `submit` makes callers wait while so many of its transactions are under way.
            fee_policy: how much gas may cost.
            dearer_after_s: a transaction that three blocks or more passed by is replaced after so many seconds.
            log: where intents outlive the process; without one they end with it.

        Raises:
            StoreError: the log cannot be read.
        """
        self.backend = backend
        self.address = signer.address
        self._signer = signer
        self._deadline_s = deadline_s
        self._fee_policy = fee_policy or FeePolicy()
        self._dearer_after_s = dearer_after_s
        self._log = log
        self._sending = trio.Lock()
        self._slots = trio.CapacityLimiter(max_in_flight)
        self._chain_id: int | None = None
        self._next_nonce: int | None = None
        self._doubts = 0
        self._counts = dict.fromkeys(
            ("sent", "mined", "reverted", "refused", "late", "again", "dearer", "capped", "doubtful", "gas_used"), 0
        )
        self._pending: dict[int, Pending] = {}
        self._mined_lately: OrderedDict[int, Pending] = OrderedDict()
        for record in log.load() if log is not None else ():
            intent = decode_intent(record)
            self._pending[intent.nonce] = Pending(intent=intent, versions=list(intent.versions(signer)))

    def __repr__(self) -> str:
        return f"TransactionLane(0x{self.address.hex()})"

    def statistics(self) -> dict[str, int]:
        """Transactions by what became of them, in flight, and gas used.

        `again` counts the same bytes sent again, `dearer` replacements, `capped` those that the fee cap forbade, and
        `doubtful` sends that the chain did not answer.
        """
        return {**self._counts, "in_flight": self._slots.borrowed_tokens, "unfinished": len(self._pending)}

    def unfinished(self) -> tuple[SentTransaction, ...]:
        """What may be under way still, from before a crash too, by nonce; `wait` tells the fate of each."""
        return tuple(self._pending[nonce].sent for nonce in sorted(self._pending))

    def unwind(self, to_block: int) -> tuple[SentTransaction, ...]:
        """Learn that the chain took back every block after `to_block`: what those held is under way again.

        Returns it by nonce, to be waited for anew; the same bytes are sent again if the chain did not keep them.
        """
        self._doubt_nonce()
        again = [one for one in self._mined_lately.values() if one.mined_at is not None and one.mined_at > to_block]
        for pending in again:
            del self._mined_lately[pending.intent.nonce]
            pending.mined_at, pending.is_known, pending.blocks = None, False, 0
            self._pending.setdefault(pending.intent.nonce, pending)
        return tuple(pending.sent for pending in again)

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
            TransactionRefused: the chain did not take the transaction, or gas is dearer than it may be.
            ChainUnavailable: the chain cannot be reached, or the deadline passed; the transaction may still be mined.
        """
        async with self._slots:
            return await self.wait(await self.send(to, payload, gas=gas, value_wei=value_wei))

    async def send(
        self, to: Address | None, payload: bytes, *, gas: int | None = None, value_wei: int = 0, note: bytes = b""
    ) -> SentTransaction:
        """Send one transaction and return as soon as the chain has it; its fate is for `wait` to tell.

        If the chain goes out of reach in the middle, the transaction counts as sent: `wait` sends it again. Raises as
        `submit` does, but for the deadline, and then nothing is under way. Cancelled half way, it may or may not have
        been sent.
        """
        if gas is None:
            gas = await self._estimate_gas(to, payload, value_wei)
        async with self._sending:
            try:
                return await self._send_next(to, payload, gas, value_wei, note)
            except TransactionRefused as error:
                if not error.is_nonce_taken:
                    self._counts["refused"] += 1
                    raise
            # Somebody else used this account: one more try with a fresh nonce.
            return await self._send_next(to, payload, gas, value_wei, note)

    async def simulate(self, to: Address, payload: bytes) -> None:
        """Run a call of this account on the newest state, without a transaction.

        Raises:
            EscrowReverted: the contract would refuse; the reason is decoded.
            ChainUnavailable: the chain cannot be reached.
        """
        try:
            await self.backend.call(to, payload, sender=self.address)
        except CallReverted as error:
            raise EscrowReverted(explain_revert(error.payload)) from error

    async def wait(self, sent: SentTransaction, *, deadline_s: int | None = None) -> Receipt:
        """Wait until `sent`, or a dearer version of it, is in a block.

        Raises:
            EscrowReverted: the contract refused; the reason is decoded where it can be found.
            ChainUnavailable: the deadline passed; the transaction may still be mined, and may be waited for again.
            TransactionRefused: it can never be mined.
        """
        seconds = self._deadline_s if deadline_s is None else deadline_s
        pending = self._pending.get(sent.nonce)
        if pending is None or pending.versions[0][0] != sent.hash:
            pending = stranger(sent)
        outage = ""
        with trio.move_on_after(seconds):
            while True:
                try:
                    return await self._take(sent, pending, await self._mined(pending))
                except ChainUnavailable as error:
                    outage = f" ({error})"
                await trio.sleep(_OUTAGE_PAUSE_S)
        self._counts["late"] += 1
        pending.is_known = False
        self._doubt_nonce()
        raise ChainUnavailable(
            f"transaction 0x{sent.hash.hex()} (nonce {sent.nonce}) was not mined within {seconds} s; it may still be: "
            f"check that the chain makes blocks{outage}"
        )

    async def _take(self, sent: SentTransaction, pending: Pending, receipt: Receipt) -> Receipt:
        """The receipt of a success; a failure is raised with its reason, and is not to be found again after a crash."""
        reason = "" if receipt.is_success else await self._explain(sent, receipt)
        self._note_mined(pending, receipt.block_number)
        self._counts["mined"] += 1
        self._counts["gas_used"] += receipt.gas_used
        if receipt.is_success:
            return receipt
        self._counts["reverted"] += 1
        await self._strike_out(pending)
        raise EscrowReverted(reason)

    async def _send_next(
        self, to: Address | None, payload: bytes, gas: int, value_wei: int, note: bytes
    ) -> SentTransaction:
        """Sign with the next nonce, write it down and send."""
        if self._chain_id is None:
            self._chain_id = await self.backend.chain_id()
        nonce = await self._free_nonce()
        offer = self._fee_policy.compute_first(await self.backend.fees())
        intent = Intent(
            chain_id=self._chain_id,
            nonce=nonce,
            gas=gas,
            to=to,
            value_wei=value_wei,
            payload=payload,
            note=note,
            offers=(offer,),
        )
        pending = Pending(intent=intent, versions=list(intent.versions(self._signer)))
        self._next_nonce = None
        doubts = self._doubts
        await self._write_down(pending, intent)
        try:
            await self.backend.send_raw(pending.versions[0][1])
        except ChainUnavailable:
            self._counts["doubtful"] += 1
            return pending.sent
        except TransactionRefused as error:
            await self._lapse(pending, str(error))
            raise
        pending.is_known, pending.offered_s = True, trio.current_time()
        if doubts == self._doubts:
            self._next_nonce = nonce + 1
        self._counts["sent"] += 1
        return pending.sent

    async def _free_nonce(self) -> int:
        """The next nonce of all; after a doubt, what the chain does not know is sent again first, so that no gap stays.

        Raises:
            TransactionRefused: as many as can be kept track of are under way.
        """
        nonce = self._next_nonce
        if nonce is None:
            count = await self.backend.transaction_count(self.address)
            for pending in [self._pending[one] for one in sorted(self._pending)]:
                if pending.intent.nonce >= count and not pending.is_known:
                    await self._send_doubtful(pending)
            nonce = count
            while nonce in self._pending:
                nonce += 1
        if self._log is not None and nonce - SLOTS in self._pending:
            raise TransactionRefused(
                f"{SLOTS} transactions of 0x{self.address.hex()} are under way: wait for the first"
            )
        return nonce

    async def _send_doubtful(self, pending: Pending) -> None:
        try:
            await self.backend.send_raw(pending.versions[-1][1])
        except TransactionRefused as error:
            if not error.is_nonce_taken:
                await self._lapse(pending, str(error))
            return
        pending.is_known = True
        self._counts["again"] += 1

    async def _write_down(self, pending: Pending, intent: Intent) -> None:
        """Keep `intent` as what `pending` means; on disk before anything of it is sent."""
        if self._log is not None:
            await self._log.write(intent.nonce % SLOTS, encode_intent(intent))
        pending.intent = intent
        self._pending[intent.nonce] = pending

    async def _lapse(self, pending: Pending, reason: str) -> None:
        """A transaction can never be mined: its nonce may be free."""
        pending.lapse = reason
        self._forget(pending)
        self._doubt_nonce()
        await self._strike_out(pending)

    async def _strike_out(self, pending: Pending) -> None:
        """Nobody shall send this, or ask for it, after a crash."""
        slot = pending.intent.nonce % SLOTS
        if self._log is not None and all(nonce % SLOTS != slot for nonce in self._pending):
            with trio.CancelScope(shield=True):
                await self._log.write(slot, b"")

    def _doubt_nonce(self) -> None:
        """A nonce may be free again: before the next one is given out, the chain is asked."""
        self._doubts += 1
        self._next_nonce = None

    def _note_mined(self, pending: Pending, block_number: int) -> None:
        if self._pending.get(pending.intent.nonce) is pending:
            del self._pending[pending.intent.nonce]
            pending.mined_at = block_number
            self._mined_lately[pending.intent.nonce] = pending
            while len(self._mined_lately) > SLOTS:
                self._mined_lately.popitem(last=False)

    def _forget(self, pending: Pending) -> None:
        if self._pending.get(pending.intent.nonce) is pending:
            del self._pending[pending.intent.nonce]

    async def _mined(self, pending: Pending) -> Receipt:
        """Wait block by block; now and then the same is sent again, for pools lose transactions, or a dearer version.

        Raises:
            TransactionRefused: it lapsed, or its nonce went to another transaction.
        """
        while True:
            if pending.lapse:
                raise TransactionRefused(pending.lapse)
            head = await self.backend.head()
            receipt = await self._receipt(pending)
            if receipt is not None:
                return receipt
            if pending.blocks and pending.blocks % _BLOCKS_UNTIL_AGAIN == 0:
                await self._nudge(pending)
            await self.backend.wait_head_above(head.number)
            pending.blocks += 1

    async def _receipt(self, pending: Pending) -> Receipt | None:
        """The receipt of whichever version was mined."""
        for digest, _ in reversed(pending.versions):
            try:
                receipt = await self.backend.receipt(digest)
            except TransactionRefused as error:
                await self._lapse(pending, str(error))
                raise
            if receipt is not None:
                return receipt
        return None

    async def _nudge(self, pending: Pending) -> None:
        """Send what waits for long again, dearer if it is this account's first in line and waits for much longer."""
        async with self._sending:
            if not await self._is_still_possible(pending):
                if pending.was_taken:
                    nonce, digest = pending.intent.nonce, pending.versions[0][0]
                    reason = f"transaction 0x{digest.hex()} can never be mined: its nonce {nonce} went to another one"
                    await self._lapse(pending, reason)
                    raise TransactionRefused(reason, is_nonce_taken=True)
                pending.was_taken = True  # an endpoint may know the nonce before the receipt: ask once more
                return
            pending.was_taken = False
            is_first = bool(self._pending) and self._pending[min(self._pending)] is pending
            if is_first and trio.current_time() >= pending.offered_s + self._dearer_after_s:
                await self._replace(pending)

    async def _is_still_possible(self, pending: Pending) -> bool:
        """Send the newest version that the chain takes again; whether one can be mined still, or just was."""
        self._counts["again"] += 1
        for _, raw in reversed(pending.versions):
            try:
                await self.backend.send_raw(raw)
            except TransactionRefused as error:
                if not error.is_nonce_taken:
                    return True
            else:
                pending.is_known = True
                return True
        return await self._receipt(pending) is not None

    async def _replace(self, pending: Pending) -> None:
        """Offer more for the same; the cap, or a pool that does not replace, leaves it as it is."""
        intent = pending.intent
        offer = self._fee_policy.compute_raised(intent.offers[-1], await self.backend.fees())
        if offer is None or len(intent.offers) >= MAX_OFFERS:
            self._counts["capped"] += 1
            return
        dearer = replace(intent, offers=(*intent.offers, offer))
        await self._write_down(pending, dearer)
        pending.offered_s = trio.current_time()
        pending.versions.append(dearer.versions(self._signer)[-1])
        try:
            await self.backend.send_raw(pending.versions[-1][1])
        except TransactionRefused:
            return
        self._counts["dearer"] += 1

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
