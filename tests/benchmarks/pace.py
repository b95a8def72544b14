"""How fast a call is: the best of a few rounds, in CPU time, because a busy machine only ever adds."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
ROUNDS = 3


def per_call_us(call: Callable[[T], object], subjects: Sequence[T]) -> float:
    """CPU microseconds a call, each subject once a round."""
    best_s = min(_round_s(call, subjects) for _ in range(ROUNDS))
    return best_s * 1e6 / len(subjects)


def per_second(call: Callable[[T], object], subjects: Sequence[T]) -> float:
    """Calls a CPU second."""
    return 1e6 / per_call_us(call, subjects)


def _round_s(call: Callable[[T], object], subjects: Sequence[T]) -> float:
    started = time.process_time()
    for subject in subjects:
        call(subject)
    return time.process_time() - started
