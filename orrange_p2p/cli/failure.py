"""What a person, or a script, gets to see when a command fails.

Exit codes: 0 done, 1 an expected failure told in one sentence, 2 wrong usage, 70 a bug (with its traceback), 130
interrupted from the keyboard.
"""

import json
import os
import sys
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from orrange_p2p.errors import InternalError, OrrangeError

FAILED = 1
BUG = 70
INTERRUPTED = 130


class Ending:
    """The end of a command: whatever is raised inside becomes an exit code, told to whom it concerns."""

    def __init__(self, *, as_json: bool) -> None:
        """Prepare for a command.

        Args:
            as_json: an error is also printed as one JSON line on stdout.
        """
        self._as_json = as_json
        self.exit_code = 0

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Tell about the error, if there is one, and keep its exit code."""
        if isinstance(error, SystemExit):
            self.exit_code = error.code if isinstance(error.code, int) else int(error.code is not None)
            if _is_interrupted(error):
                self.tell("interrupted", {"code": "interrupted", "message": "interrupted"})
        elif error is not None:
            self.exit_code = self._report(error)
        return True

    def _report(self, error: BaseException) -> int:
        leaves = list(_leaves(error))
        expected = [leaf for leaf in leaves if isinstance(leaf, OrrangeError) and not isinstance(leaf, InternalError)]
        if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
            self.tell("interrupted", {"code": "interrupted", "message": "interrupted"})
            return INTERRUPTED
        if leaves and all(isinstance(leaf, BrokenPipeError) for leaf in leaves):
            _forget_stdout()
            return FAILED
        if expected and len(expected) == len(leaves):
            self.tell(f"error: {_sentence(expected[0])}", describe(expected[0]))
            return FAILED
        traceback.print_exception(error)
        message = "this is a bug in orrange: please report it with the lines above"
        self.tell(f"error: {message}", {"code": InternalError.code, "message": message})
        return BUG

    def tell(self, sentence: str, described: dict[str, Any]) -> None:
        """One sentence for a person, and JSON for a script if it asked for that."""
        if self._as_json:
            sys.stdout.write(json.dumps({"error": described}) + "\n")
            sys.stdout.flush()
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()


def _forget_stdout() -> None:
    """Whoever read our output has left, as `head` does: say nothing more, also not when Python flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def describe(error: OrrangeError) -> dict[str, Any]:
    """An error as JSON values."""
    from orrange_p2p.api.client import describe_error

    return describe_error(error)


def _sentence(error: OrrangeError) -> str:
    """The message on one line, whatever the value quoted in it holds."""
    return " ".join(str(error).split())


def _is_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C stands behind an exit; typer turns it into one without a word."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error
