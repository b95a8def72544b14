"""The node's own feed in one market: what waits to be said, and the entries that say it.

At most one entry in each quarter of an epoch, so that four always suffice; everything that waits goes into the next.
Spec: protocol/spec/02-feeds.md [FEED-2, FEED-3, FEED-11].
"""

from collections import deque
from dataclasses import dataclass

from orrange_p2p.core.codec import MAX_ITEMS, compute_items_root, encode_entry, encode_item
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.events import Action, Identity
from orrange_p2p.core.feed import Feed
from orrange_p2p.core.feed_reader import MAX_ENTRIES_PER_EPOCH
from orrange_p2p.core.messages import Delegation, Entry, EntryHeader, Item
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import ZERO_DIGEST, Digest, Epoch
from orrange_p2p.core.verify import VerifiedEntry, VerifiedItem, verify_item

MAX_WAITING = 4096
_ITEM_BYTES_BUDGET = 15 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An item that waits for an entry; `latest` is the last epoch the entry may claim."""

    item: Item
    encoded: bytes
    latest: Epoch | None
    follow_ups: tuple[Action, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flushed:
    """An entry that was signed (None: all came too late), what follows its publication, and what came too late."""

    entry: VerifiedEntry | None
    follow_ups: tuple[Action, ...]
    dropped: tuple[Item, ...]


class Outbox:
    """Items waiting for this session's next entry in one market."""

    def __init__(self, rules: MarketRules, digests: Digests, identity: Identity) -> None:
        self._rules = rules
        self._digests = digests
        self._identity = identity
        self._waiting: deque[Waiting] = deque()
        self._last_quarter = -1

    def __len__(self) -> int:
        """Items waiting."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether nothing more may wait."""
        return len(self._waiting) >= MAX_WAITING

    def waiting_items(self) -> tuple[Item, ...]:
        """Items not yet signed into an entry."""
        return tuple(waiting.item for waiting in self._waiting)

    def add(self, item: Item, *, follow_ups: tuple[Action, ...] = (), latest: Epoch | None = None) -> None:
        """Queue an item for the next entry."""
        self._waiting.append(Waiting(item=item, encoded=encode_item(item), latest=latest, follow_ups=follow_ups))

    def flush(self, feed: Feed | None, now_ms: int) -> Flushed | None:
        """Sign the next entry if something waits and this quarter of the epoch has none yet."""
        if not self._waiting:
            return None
        rules = self._rules
        epoch = rules.epoch_at(now_ms)
        quarter = (now_ms - rules.genesis_ms) * MAX_ENTRIES_PER_EPOCH // rules.preset.epoch_ms
        entries = feed.entries if feed is not None else []
        if quarter <= self._last_quarter or not _has_room(entries, epoch):
            return None
        taken, dropped = self._take(epoch, is_first=not entries)
        if not taken:
            return Flushed(entry=None, follow_ups=(), dropped=dropped) if dropped else None
        self._last_quarter = quarter
        prev_hash = Digest(entries[-1].entry_hash) if entries else ZERO_DIGEST
        entry = self._sign(taken, seq=len(entries), prev_hash=prev_hash, epoch=epoch)
        follow_ups = tuple(action for waiting in taken for action in waiting.follow_ups)
        return Flushed(entry=entry, follow_ups=follow_ups, dropped=dropped)

    def _take(self, epoch: Epoch, *, is_first: bool) -> tuple[list[Waiting], tuple[Item, ...]]:
        taken: list[Waiting] = []
        dropped: list[Item] = []
        if is_first:
            delegation = self._delegation()
            taken.append(Waiting(item=delegation, encoded=encode_item(delegation), latest=None, follow_ups=()))
        room = _ITEM_BYTES_BUDGET - sum(len(waiting.encoded) for waiting in taken)
        while self._waiting and len(taken) < MAX_ITEMS:
            waiting = self._waiting[0]
            if waiting.latest is not None and epoch > waiting.latest:
                dropped.append(self._waiting.popleft().item)
                continue
            if len(waiting.encoded) > room:
                break
            room -= len(waiting.encoded)
            taken.append(self._waiting.popleft())
        if is_first and len(taken) == 1:
            taken.clear()
        return taken, tuple(dropped)

    def _delegation(self) -> Delegation:
        who = self._identity
        digest = self._digests.delegation(who.owner, who.session, who.peer_id, who.encryption_key)
        return Delegation(
            owner=who.owner,
            session=who.session,
            peer_id=who.peer_id,
            encryption_key=who.encryption_key,
            session_signature=who.sign(digest),
            peer_signature=who.peer_sign(digest),
        )

    def _sign(self, taken: list[Waiting], *, seq: int, prev_hash: Digest, epoch: Epoch) -> VerifiedEntry:
        item_bytes = tuple(waiting.encoded for waiting in taken)
        header = EntryHeader(
            session=self._identity.session,
            owner=self._identity.owner,
            market=self._rules.market_id,
            seq=seq,
            prev_hash=prev_hash,
            epoch=epoch,
            items_root=compute_items_root(item_bytes),
        )
        entry_hash = self._digests.entry(header)
        items: tuple[VerifiedItem, ...] = tuple(verify_item(self._digests, waiting.item) for waiting in taken)
        entry = Entry(
            header=header,
            signature=self._identity.sign(Digest(entry_hash)),
            item_bytes=item_bytes,
            items=tuple(waiting.item for waiting in taken),
        )
        return VerifiedEntry(entry=entry, entry_hash=entry_hash, encoded=encode_entry(entry), items=items)


def _has_room(entries: list[VerifiedEntry], epoch: Epoch) -> bool:
    """Whether an entry claiming `epoch` may follow: epochs never fall, four entries claim one at most."""
    recent = entries[-MAX_ENTRIES_PER_EPOCH:]
    if recent and recent[-1].entry.header.epoch > epoch:
        return False
    return sum(entry.entry.header.epoch == epoch for entry in recent) < MAX_ENTRIES_PER_EPOCH
