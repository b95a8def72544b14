"""The ids of messages that have been here already."""

from libp2p.tools.timed_cache.last_seen_cache import LastSeenCache


class SeenIds(LastSeenCache):
    """The newest message ids, a fixed number of them. The library's cache has no bound and a thread of its own."""

    def __init__(self, limit: int) -> None:
        self._ids: dict[bytes, None] = {}
        self._limit = limit

    def add(self, key: bytes) -> bool:
        """Remember an id; whether it is new."""
        if key in self._ids:
            return False
        if len(self._ids) >= self._limit:
            del self._ids[next(iter(self._ids))]
        self._ids[key] = None
        return True

    def has(self, key: bytes) -> bool:
        """Whether the id is among those remembered."""
        return key in self._ids

    def length(self) -> int:
        """How many ids are remembered."""
        return len(self._ids)

    def stop(self) -> None:
        """Nothing: there is no thread."""
