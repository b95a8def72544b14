"""One process at a time: an advisory lock on a file of its own, which names the process that holds it."""

import fcntl
import os
from pathlib import Path
from typing import Self

from orrange_p2p.errors import StoreError

LOCK_NAME = "store.lock"
FILE_MODE = 0o600
_PID_MAX_BYTES = 20


class StoreLock:
    """The lock on one store directory; the system lets go of it when the process ends, however it ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, directory: Path) -> Self:
        """Take the lock without waiting.

        Raises:
            StoreError: Somebody holds it; the message says which process, if the file tells.
        """
        descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(descriptor, _PID_MAX_BYTES, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            holder = f"process {pid}" if pid.isdecimal() else "another process"
            raise StoreError(
                f"the store at {directory} is in use by {holder}: stop it first, or name another directory"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Let go of the lock; a second call does nothing."""
        if self._descriptor is None:
            return
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = None
