"""The directory of one swap: the terms, which both parties may read, and this side's record, which nobody else may.

The record holds the initiator's preimage as it is, in a file of mode 0600, like a node's own keys: whoever reads it
before the claim can take both locks.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orrange_p2p.core.swap_terms import Preimage
from orrange_p2p.core.swaps import SwapOutcome, SwapRecord, SwapRole
from orrange_p2p.errors import ConfigError, StoreError
from orrange_p2p.launch.swap_terms import SwapTermsFile
from orrange_p2p.store.lock import StoreLock

TERMS_NAME = "terms.json"
RECORD_NAME = "record.json"
_DIRECTORY_MODE = 0o700
_VERSION = 1


class _RecordFile(BaseModel):
    """A record as it stands on disk."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(ge=_VERSION, le=_VERSION)
    role: SwapRole
    terms: SwapTermsFile
    preimage: str | None = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    open_block: int | None
    is_claim_begun: bool
    is_revealed: bool
    outcome: SwapOutcome | None

    @classmethod
    def of(cls, record: SwapRecord) -> Self:
        return cls(
            version=_VERSION,
            role=record.role,
            terms=SwapTermsFile.of(record.pact),
            preimage=None if record.preimage is None else record.preimage.hex(),
            open_block=record.open_block,
            is_claim_begun=record.is_claim_begun,
            is_revealed=record.is_revealed,
            outcome=record.outcome,
        )

    def record(self) -> SwapRecord:
        return SwapRecord(
            role=self.role,
            pact=self.terms.pact(),
            preimage=None if self.preimage is None else Preimage(bytes.fromhex(self.preimage)),
            open_block=self.open_block,
            is_claim_begun=self.is_claim_begun,
            is_revealed=self.is_revealed,
            outcome=self.outcome,
        )


class SwapHome:
    """A swap's directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def terms_path(self) -> Path:
        """Where the terms stand, to be given to the other party."""
        return self.directory / TERMS_NAME

    @classmethod
    def create(cls, directory: Path, record: SwapRecord) -> Self:
        """Make the directory of a swap that begins.

        Raises:
            ConfigError: it exists already, or cannot be made.
        """
        home = cls(directory)
        try:
            directory.mkdir(mode=_DIRECTORY_MODE)
            home.save(record)
            home._write(TERMS_NAME, SwapTermsFile.of(record.pact).text())
        except FileExistsError as error:
            raise ConfigError(f"expected nothing at {directory} yet, was something; choose another --dir") from error
        except OSError as error:
            raise ConfigError(f"cannot make the directory {directory}: {error.strerror}") from error
        return home

    def load(self) -> SwapRecord:
        """The record as it was saved last.

        Raises:
            ConfigError: there is none.
            StoreError: it is damaged.
        """
        path = self.directory / RECORD_NAME
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"expected a swap in {self.directory}, was none ({error.strerror}); `orrange swap new` and "
                "`orrange swap join` make one"
            ) from error
        try:
            return _RecordFile.model_validate_json(content).record()
        except ValidationError:
            # Without the cause: it would quote the file, and the file holds the preimage.
            raise StoreError(f"expected the record of a swap at {path}, was damaged") from None

    def save(self, record: SwapRecord) -> None:
        """Put the record on disk: the whole of it or the one before, and there when this returns.

        Raises:
            StoreError: the disk refused.
        """
        content = json.dumps(_RecordFile.of(record).model_dump(mode="json"), indent=2) + "\n"
        try:
            self._write(RECORD_NAME, content)
        except OSError as error:
            raise StoreError(f"cannot save the swap in {self.directory}: {error.strerror}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from running this swap meanwhile.

        Raises:
            ConfigError: there is no such directory.
            StoreError: another process runs it.
        """
        if not self.directory.is_dir():
            raise ConfigError(f"expected the directory of a swap at {self.directory}, was none")
        lock = StoreLock.acquire(self.directory)
        try:
            yield
        finally:
            lock.release()

    def _write(self, name: str, content: str) -> None:
        descriptor, made = tempfile.mkstemp(prefix=".orrange-", dir=self.directory)  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(made).replace(self.directory / name)
        finally:
            Path(made).unlink(missing_ok=True)  # Gone already, unless something went wrong.
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
