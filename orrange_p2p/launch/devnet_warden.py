"""Ends the processes of a devnet whose own process is gone, however it went.

Runs as a program of its own, on the standard library alone. Process ids come in one a line; when the pipe ends, those
that still live are asked to end, and killed if they do not. A process that ended before is never mistaken for another
that got its number, as it is held by a descriptor (Linux; elsewhere the warden does nothing).
"""

import os
import select
import signal
import sys
import time

GRACE_S = 5
IS_ABLE = hasattr(os, "pidfd_open")


def watch() -> None:
    """Take in process ids until the pipe ends, then end what still lives."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    held: list[int] = []
    for line in sys.stdin:
        try:
            held.append(os.pidfd_open(int(line)))
        except ProcessLookupError:
            continue
    _tell(held, signal.SIGTERM)
    give_up = time.monotonic() + GRACE_S
    for descriptor in held:
        select.select([descriptor], [], [], max(0, give_up - time.monotonic()))
    _tell(held, signal.SIGKILL)


def _tell(held: list[int], what: signal.Signals) -> None:
    for descriptor in held:
        try:
            signal.pidfd_send_signal(descriptor, what)
        except ProcessLookupError:
            continue


if __name__ == "__main__" and IS_ABLE:
    watch()
