"""A token bucket that makes its caller wait instead of dropping."""

import trio

CHECKPOINT_EVERY = 16


class Pace:
    """Lets a reader take `rate_per_s` steps a second, `burst` at once.

    Waiting here stops reading from that peer only; flow control carries the wait back to it.
    """

    def __init__(self, rate_per_s: int, burst: int) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = float(burst)
        self._at_s = trio.current_time()
        self._steps = 0

    async def step(self) -> None:
        """Take one step, waiting for it if need be; also lets other tasks run now and then."""
        now_s = trio.current_time()
        self._tokens = min(float(self._burst), self._tokens + (now_s - self._at_s) * self._rate_per_s) - 1
        self._at_s = now_s
        self._steps += 1
        if self._tokens < 0:
            await trio.sleep(-self._tokens / self._rate_per_s)
        elif self._steps % CHECKPOINT_EVERY == 0:
            await trio.lowlevel.checkpoint()
