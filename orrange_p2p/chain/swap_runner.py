"""Runs one side of a swap on two chains, from whatever its record says to the end.

It looks at both chains again and again, lets `core.swaps` decide, puts the record on disk, and only then acts. A chain
that does not answer, from the start on or later, is left out of a look and holds up nothing on the other one. A
transaction that fails is decided anew at the next look. So a run may be killed at any moment, and begun again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import trio

from orrange_p2p.chain.account import DigestSigner
from orrange_p2p.chain.backend import Backend, TransactionRefused
from orrange_p2p.chain.swap_lock import Done, LockOnChain, Unfunded
from orrange_p2p.core.swap_terms import Leg, SwapState
from orrange_p2p.core.swaps import (
    ChainsRead,
    ClaimSent,
    LegView,
    OpenLock,
    SwapAction,
    SwapEvent,
    SwapOutcome,
    SwapRecord,
    step,
)
from orrange_p2p.errors import ChainUnavailable, ConfigError, EscrowReverted

POLL_S = 1.0
LOOK_LIMIT_S = 20
"""A chain that takes longer to answer counts as silent. Spare of the margin that every pact has."""

TELL_LIMIT_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LockSeen:
    """A lock stands elsewhere than at the look before; `is_final` says that it will stay there."""

    leg: Leg
    state: SwapState
    is_final: bool
    block_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """A transaction of ours was mined."""

    leg: Leg
    done: Done


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something on a lock's chain did not work, and will be tried again."""

    leg: Leg
    code: str
    message: str


SwapStep = LockSeen | Acted | Trouble


class SwapRunner:
    """One side of one swap."""

    def __init__(
        self,
        record: SwapRecord,
        signer: DigestSigner,
        chains: Mapping[Leg, Backend],
        *,
        save: Callable[[SwapRecord], None],
        now_s: Callable[[], int],
        on_step: Callable[[SwapStep], None] = lambda _: None,
        poll_s: float = POLL_S,
    ) -> None:
        """Make the runner of a record.

        Args:
            record: as `save` got it last, or fresh.
            signer: our account, used by nothing else meanwhile.
            chains: the chain of each lock.
            save: puts a record on disk before it returns; runs in a worker thread.
            now_s: the machine's clock, unix seconds.
            on_step: told of what happens.
            poll_s: seconds between two looks; after a success of ours the next one comes at once.

        Raises:
            ConfigError: `signer` is not the account of the record's side.
        """
        if signer.address != record.account:
            raise ConfigError(
                f"expected the key of 0x{record.account.hex()}, who is the {record.role.value} in these terms, was "
                f"that of 0x{signer.address.hex()}"
            )
        self.record = record
        self._locks = {leg: LockOnChain(record.pact, leg, chains[leg], signer) for leg in Leg}
        self._save = save
        self._now_s = now_s
        self._on_step = on_step
        self._poll_s = poll_s
        self._deciding = trio.Lock()
        self._acted = trio.Event()
        self._checked: list[Leg] = []
        self._busy: dict[Leg, SwapAction] = {}
        self._seen: dict[Leg, tuple[SwapState, bool]] = {}
        self._told: dict[Leg, str] = {}

    async def run(self) -> SwapOutcome:
        """Go on until the swap has ended for this side. May be cancelled, and run again from the record.

        Raises:
            ConfigError: a chain or a contract is not the one agreed.
            StoreError: the record cannot be saved; nothing was done that it does not hold.
        """
        async with trio.open_nursery() as nursery:
            while self.record.outcome is None:
                was_busy = tuple(self._busy)  # What was seen of these chains may be older than what we did there.
                for action in await self._decide(await self._look()):
                    if action.leg not in was_busy:
                        self._busy[action.leg] = action
                        nursery.start_soon(self._act, action)
                if self.record.outcome is None:
                    with trio.move_on_after(self._poll_s):
                        await self._acted.wait()
                    self._acted = trio.Event()
            # What ended the swap was seen before its own sender heard of it: let that one tell.
            nursery.cancel_scope.deadline = trio.current_time() + TELL_LIMIT_S
        return self.record.outcome

    async def _look(self) -> ChainsRead:
        """Ask both chains at once."""
        views: dict[Leg, LegView | None] = dict.fromkeys(Leg)

        async def look(leg: Leg) -> None:
            is_ours = leg is self.record.given and self.record.preimage is None
            with trio.move_on_after(LOOK_LIMIT_S):
                try:
                    if leg not in self._checked:
                        await self._locks[leg].check()
                        self._checked.append(leg)
                    views[leg] = await self._locks[leg].look(
                        self.record.account, claim_since=self.record.open_block if is_ours else None
                    )
                except ChainUnavailable as error:
                    self._tell(Trouble(leg=leg, code=error.code, message=str(error)))

        async with trio.open_nursery() as nursery:
            for leg in Leg:
                nursery.start_soon(look, leg)
        for leg, view in views.items():
            if view is not None:
                self._notice(leg, view)
        return ChainsRead(now_s=self._now_s(), first=views[Leg.FIRST], second=views[Leg.SECOND])

    async def _decide(self, event: SwapEvent) -> tuple[SwapAction, ...]:
        """What follows from an event; the record is on disk when this returns."""
        async with self._deciding:
            record, actions = step(self.record, event)
            if record != self.record:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(self._save, record)
                self.record = record
            return actions

    async def _act(self, action: SwapAction) -> None:
        """Carry out one action; the next one on this chain waits for its end, well or badly."""
        leg = action.leg
        try:
            if isinstance(action, OpenLock):
                for lock in self._locks.values():
                    await lock.check_coin()
            await self._locks[leg].act(
                action,
                on_done=lambda done: self._on_step(Acted(leg=leg, done=done)),
                on_claim_sent=partial(self._decide, ClaimSent()),
            )
        except (EscrowReverted, TransactionRefused, ChainUnavailable, Unfunded) as error:
            self._tell(Trouble(leg=leg, code=error.code, message=str(error)))
        else:
            self._told.pop(leg, None)
            self._acted.set()
        finally:
            del self._busy[leg]

    def _notice(self, leg: Leg, view: LegView) -> None:
        """Tell about a lock that stands elsewhere than before."""
        seen = (view.state, view.state is view.confirmed)
        if seen != self._seen.get(leg, (SwapState.NONE, True)):
            step_ = LockSeen(leg=leg, state=view.state, is_final=seen[1], block_number=view.block_number)
            self._on_step(step_)
        self._seen[leg] = seen

    def _tell(self, trouble: Trouble) -> None:
        """Tell about a trouble, the same one once in a row; what coin is missing changes with each block's fees."""
        same = trouble.code if trouble.code == Unfunded.code else trouble.message
        if self._told.get(trouble.leg) != same:
            self._told[trouble.leg] = same
            self._on_step(trouble)
