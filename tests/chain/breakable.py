"""A real chain whose line can be cut, and a process that can be killed, at a chosen step."""

from collections.abc import Awaitable, Callable
from typing import Any

from orrange_p2p.chain.backend import Backend
from orrange_p2p.errors import ChainUnavailable
from orrange_p2p.store.intents import StoredIntents


class Killed(BaseException):
    """The process is gone; nothing that ran in it goes on."""


class Killer:
    """Kills at the step of a given number; the steps are writes and sends, each just before and just after."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.steps: list[str] = []

    def step(self, name: str) -> None:
        """The process gets to a step."""
        if self.at is not None and len(self.steps) > self.at:
            raise Killed
        self.steps.append(name)
        if self.at == len(self.steps) - 1:
            raise Killed


class BreakableChain:
    """A backend that passes everything on, unless it is out of reach or the process is killed while it sends."""

    def __init__(self, backend: Backend, killer: Killer | None = None) -> None:
        self._backend = backend
        self._killer = killer or Killer()
        self.is_gone = False
        self.loses_answers = False

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        asked = getattr(self._backend, name)

        async def ask(*arguments: object, **more: object) -> Any:
            if self.is_gone:
                raise ChainUnavailable("the chain is out of reach")
            if name != "send_raw":
                return await asked(*arguments, **more)
            self._killer.step("before send")
            answer = await asked(*arguments, **more)
            self._killer.step("after send")
            if self.loses_answers:
                self.loses_answers = False
                raise ChainUnavailable("the answer was lost")
            return answer

        return ask


class BreakableIntents(StoredIntents):
    """Intents in a real store, of a process that can be killed while it writes."""

    killer = Killer()

    async def write(self, slot: int, record: bytes) -> None:
        """As the store does it."""
        kind = "intent" if record else "strike"
        self.killer.step(f"before {kind}")
        await super().write(slot, record)
        self.killer.step(f"after {kind}")
