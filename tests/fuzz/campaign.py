"""A campaign: chunks of mutated inputs, each chunk from its own seed, so that chunks may run anywhere and in any order.

What an input has to show: a value that writes back to the very same bytes, or `RemoteProtocolError` with a rule of the
spec; for one input in `CROSS_EVERY`, that the reference reads it if and only if the program does.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from orrange_p2p.errors import RemoteProtocolError
from protocol.reference.cbor import RefusedError
from tests.fuzz.corpus import Seed, make_seed, vector_messages
from tests.fuzz.mutations import Mutator
from tests.fuzz.targets import TARGETS, Target

CHUNK = 10_000
CROSS_EVERY = 16
_POOL_MOST = 256
_KEPT_BYTES_MOST = 1000
_FAILURES_MOST = 10
_SHOWN_DIGITS = 128
_SPEC = Path(__file__).resolve().parents[2] / "protocol" / "spec"


@dataclass(slots=True)
class Tally:
    """What became of the inputs of one target."""

    inputs: int = 0
    accepted: int = 0
    crossed: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    slowest_us: float = 0
    slowest_bytes: int = 0
    slowest: str = ""

    def add(self, other: "Tally") -> None:
        """Count another chunk's inputs too."""
        self.inputs += other.inputs
        self.accepted += other.accepted
        self.crossed += other.crossed
        for rule, count in other.refused.items():
            self.refused[rule] = self.refused.get(rule, 0) + count
        if other.slowest_us > self.slowest_us:
            self.slowest_us, self.slowest_bytes, self.slowest = other.slowest_us, other.slowest_bytes, other.slowest


@dataclass(slots=True)
class Result:
    """What a chunk, or several, came to."""

    tallies: dict[str, Tally] = field(default_factory=lambda: {target.name: Tally() for target in TARGETS})
    failures: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """Inputs of all targets."""
        return sum(tally.inputs for tally in self.tallies.values())

    def add(self, other: "Result") -> None:
        """Count another chunk too."""
        for name, tally in other.tallies.items():
            self.tallies[name].add(tally)
        self.failures += other.failures


@cache
def spec_rules() -> frozenset[str]:
    """Every rule id that the spec defines."""
    return frozenset(
        rule
        for path in _SPEC.glob("*.md")
        for rule in re.findall(r"^- \[([A-Z]+-\d+)\]", path.read_text("utf-8"), re.M)
    )


def run_chunk(seed: int, number: int, count: int = CHUNK) -> Result:
    """Run one chunk; the same numbers give the same inputs."""
    dice = Random(f"{seed}/{number}")
    mutator = Mutator(dice)
    pools = {target.name: list(vector_messages()[target.corpus]) for target in TARGETS}
    everyone = [one for pool in pools.values() for one in pool]
    result = Result()
    for at in range(count):
        target = TARGETS[at % len(TARGETS)]
        pool = pools[target.name]
        start = _pick(pool, dice)
        lender = everyone[int(dice.random() * len(everyone))]
        encoded = mutator.mutate(start, lender)[: target.bytes_most + 1]
        if target.dress is not None and dice.random() < 0.75:
            encoded = target.dress(encoded)
        kept = examine(target, encoded, result, is_crossed=(at // len(TARGETS)) % CROSS_EVERY == 0)
        if kept is not None and dice.random() < 0.1:
            _keep(pool, kept, dice)
        if len(result.failures) >= _FAILURES_MOST:
            break
    for target in TARGETS:
        _time_again(target, result.tallies[target.name])
    return result


def _pick(pool: list[Seed], dice: Random) -> Seed:
    """Any seed, but a large one only once in twenty times, because its like takes the time of hundreds."""
    while True:
        seed = pool[int(dice.random() * len(pool))]
        if len(seed.encoded) <= _KEPT_BYTES_MOST or dice.random() < 0.05:
            return seed


def _keep(pool: list[Seed], seed: Seed, dice: Random) -> None:
    """Let an accepted input be mutated further."""
    if len(pool) < _POOL_MOST:
        pool.append(seed)
    else:
        pool[int(dice.random() * len(pool))] = seed


def examine(target: Target, encoded: bytes, result: Result, *, is_crossed: bool) -> Seed | None:
    """Let a target read one input and judge what it does; answers a seed if it was accepted and is not large."""
    tally = result.tallies[target.name]
    tally.inputs += 1
    value: Any = None
    refused: str | None = None
    started = time.process_time()
    try:
        value = target.decode(encoded)
    except RemoteProtocolError as error:
        refused = error.rule
    except Exception as error:  # noqa: BLE001 - any other is the finding that this is made for
        result.failures.append(f"{target.name}: {error!r} for {encoded.hex()}")
        return None
    spent_us = (time.process_time() - started) * 1e6
    if spent_us > tally.slowest_us:
        tally.slowest_us, tally.slowest_bytes, tally.slowest = spent_us, len(encoded), encoded.hex()
    if refused is None:
        tally.accepted += 1
        if target.encode(value) != encoded:
            result.failures.append(f"{target.name}: accepted what is written in another way, {encoded.hex()}")
    else:
        tally.refused[refused] = tally.refused.get(refused, 0) + 1
        if refused not in spec_rules():
            result.failures.append(f"{target.name}: rule {refused} is not in the spec, for {encoded.hex()}")
    if is_crossed:
        tally.crossed += 1
        by_reference = refusal_of(target.reference, encoded)
        if (by_reference is None) != (refused is None):
            result.failures.append(f"{target.name}: {refused} here, {by_reference} there, for {encoded.hex()}")
    return make_seed(encoded) if refused is None and len(encoded) <= _KEPT_BYTES_MOST else None


def refusal_of(read: Callable[[bytes], object], encoded: bytes) -> str | None:
    """The rule by which the reference refuses bytes, None if it reads them."""
    try:
        read(encoded)
    except RefusedError as error:
        return error.rule
    return None


def _time_again(target: Target, tally: Tally) -> None:
    """The slowest input's time is the best of five more, because a busy machine only ever adds; keep its start."""
    if not tally.slowest_us:
        return
    encoded = bytes.fromhex(tally.slowest)
    tally.slowest_us = min(_time_once(target, encoded) for _ in range(5))
    tally.slowest = tally.slowest[:_SHOWN_DIGITS]


def _time_once(target: Target, encoded: bytes) -> float:
    started = time.process_time()
    try:
        target.decode(encoded)
    except RemoteProtocolError:
        pass
    return (time.process_time() - started) * 1e6
