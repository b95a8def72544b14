"""A backend with a hand on its time, so that tests need not wait for seconds to pass."""

from dataclasses import dataclass, field

import httpx
import trio

from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.embedded import EmbeddedChain

GENESIS_S = 1_700_000_000
FAUCET_WEI = 10**24
TICK_S = 0.02


class ManualClock:
    """Unix milliseconds that move only when told to."""

    def __init__(self, start_s: int) -> None:
        self.ms = start_s * 1000

    def now_ms(self) -> int:
        """The time."""
        return self.ms


@dataclass(slots=True, kw_only=True)
class ChainUnderTest:
    """A backend, and a hand on its time."""

    backend: Backend
    kind: str
    clock: ManualClock | None = None
    url: str = ""
    mines: bool = True
    mining: trio.Lock = field(default_factory=trio.Lock)

    async def mine(self, seconds: int = 1) -> None:
        """Make one block, `seconds` of chain time after the last."""
        if isinstance(self.backend, EmbeddedChain) and self.clock is not None:
            head = await self.backend.head()
            self.clock.ms = (head.time_s + seconds) * 1000
            await self.backend.mine()
            return
        if seconds > 1:
            await self.ask("evm_increaseTime", seconds)
        await self.ask("evm_mine")

    async def keep_mining(self) -> None:
        """Make blocks until cancelled."""
        while True:
            async with self.mining:
                if self.mines:
                    await self.mine()
            await trio.sleep(TICK_S)

    async def hold_blocks(self) -> None:
        """Make none from now on; one that is being made has been when this returns. `mines = True` ends it."""
        self.mines = False
        async with self.mining:
            pass

    async def ask(self, method: str, *parameters: object) -> object:
        """A question to anvil itself."""
        question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        with trio.CancelScope(shield=True):
            async with httpx.AsyncClient(trust_env=False, verify=False) as client:
                answer = (await client.post(self.url, json=question)).json()
        assert "error" not in answer, answer
        return answer["result"]
