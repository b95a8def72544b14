"""One account's transactions on their way, as marks: what a lane writes down before it sends (see `chain.intents`)."""

from orrange_p2p.core.types import Address
from orrange_p2p.store.interface import Mark, Store, StoreBatch

INTENT_MARK = b"intent:"


class StoredIntents:
    """The slots of one account in a store."""

    def __init__(self, store: Store, account: Address) -> None:
        self._store = store
        self._prefix = INTENT_MARK + account

    def load(self) -> tuple[bytes, ...]:
        """What stands in the slots, in any order, empty ones left out.

        Raises:
            StoreError: the store cannot be read.
        """
        return tuple(mark.value for mark in self._store.marks(self._prefix) if mark.value)

    async def write(self, slot: int, record: bytes) -> None:
        """Put `record` into a slot; on disk when this returns.

        Raises:
            StoreError: the store failed.
        """
        mark = Mark(name=self._prefix + bytes((slot,)), value=record)
        await self._store.commit_async(StoreBatch(marks=(mark,)))
