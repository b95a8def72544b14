"""How a store says that its bytes are not what was written."""

from orrange_p2p.errors import StoreError


class DamagedRecord(StoreError):
    """A record cannot be what was written; the message is a clause that names table and fault, never the content."""


def damaged(where: str, what: str) -> StoreError:
    """The error a person gets for the damaged store at `where`: what happened, and what to do."""
    return StoreError(
        f"the store at {where} is damaged ({what}): nothing was changed; restore the directory from a backup, "
        "or move it away to begin with an empty store"
    )
