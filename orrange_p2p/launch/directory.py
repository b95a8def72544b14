"""Where a demo or devnet puts its files: a temporary directory, or an empty one that stays."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orrange_p2p.errors import ConfigError


@contextmanager
def open_directory(kept: Path | None, *, prefix: str, option: str) -> Iterator[Path]:
    """Give a directory: a temporary one, gone at the end, or `kept`, made if it is not there.

    Args:
        kept: the directory to use and keep, or None.
        prefix: of the temporary one's name.
        option: what a person calls `kept`, for the error.

    Raises:
        ConfigError: `kept` is not empty, or cannot be made.
    """
    if kept is None:
        with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
            yield Path(name)
        return
    try:
        kept.mkdir(parents=True, exist_ok=True)
        is_empty = not any(kept.iterdir())
    except OSError as error:
        raise ConfigError(f"cannot use the directory {kept} for {option}: {error.strerror}") from error
    if not is_empty:
        raise ConfigError(f"expected an empty directory for {option}, was {kept}: choose another or empty it")
    yield kept
