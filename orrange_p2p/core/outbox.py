"""The node's own feed in one market: what waits to be said, and the entries that say it.

At most one entry in each quarter of an epoch, so that four always suffice; everything that waits goes into the next.
Items that were added together stay together: one entry says them all, or they are never said.
Spec: protocol/spec/02-feeds.md [FEED-2, FEED-3, FEED-11], 03-orders.md [ORD-7], 05-tickets.md [TICK-15].
"""

from collections import deque
from dataclasses import dataclass

from orrange_p2p.core.codec import MAX_ITEMS, compute_items_root, encode_entry, encode_item
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.events import Action, Identity
from orrange_p2p.core.feed import Feed
from orrange_p2p.core.feed_reader import MAX_ENTRIES_PER_EPOCH
from orrange_p2p.core.messages import Cancel, Delegation, Entry, EntryHeader, Item
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import ZERO_DIGEST, Digest, Epoch, OrderId
from orrange_p2p.core.verify import VerifiedEntry, VerifiedItem, verify_item

MAX_WAITING = 4096
_ITEM_BYTES_BUDGET = 15 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Items that wait for one entry together; `latest` is the last epoch that the entry may claim."""

    items: tuple[Item, ...]
    encoded: tuple[bytes, ...]
    latest: Epoch | None
    follow_ups: tuple[Action, ...]
    if_dropped: tuple[Action, ...]

    @property
    def size_bytes(self) -> int:
        """Encoded size of the items."""
        return sum(len(one) for one in self.encoded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flushed:
    """An entry that was signed (None: all came too late), what follows its publication, and what came too late."""

    entry: VerifiedEntry | None
    follow_ups: tuple[Action, ...]
    dropped: tuple[Item, ...]
    if_dropped: tuple[Action, ...]


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
        return sum(len(waiting.items) for waiting in self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether nothing more may wait."""
        return len(self._waiting) >= MAX_WAITING

    def waiting_items(self) -> tuple[Item, ...]:
        """Items not yet signed into an entry."""
        return tuple(item for waiting in self._waiting for item in waiting.items)

    def is_cancel_waiting(self, order_id: OrderId) -> bool:
        """Whether an own order's Cancel waits for its entry."""
        return any(isinstance(item, Cancel) and item.order_id == order_id for item in self.waiting_items())

    def add(
        self,
        *items: Item,
        follow_ups: tuple[Action, ...] = (),
        latest: Epoch | None = None,
        if_dropped: tuple[Action, ...] = (),
    ) -> None:
        """Queue items for the next entry, all in one.

        Args:
            items: one, or several that stay together; at most 16 Offers, or a few of other kinds.
            follow_ups: what to do once the entry is on disk and published.
            latest: the last epoch that the entry may claim; later the items are dropped instead.
            if_dropped: what to do then.
        """
        encoded = tuple(encode_item(item) for item in items)
        self._waiting.append(
            Waiting(items=items, encoded=encoded, latest=latest, follow_ups=follow_ups, if_dropped=if_dropped)
        )

    def quarter(self, now_ms: int) -> int:
        """The quarter of an epoch that an instant lies in, counted from genesis. Spec: [FEED-11]."""
        return (now_ms - self._rules.genesis_ms) * MAX_ENTRIES_PER_EPOCH // self._rules.preset.epoch_ms

    def flush(self, feed: Feed | None, now_ms: int) -> Flushed | None:
        """Sign the next entry if something waits and this quarter of the epoch has none yet."""
        if not self._waiting:
            return None
        rules = self._rules
        epoch = rules.epoch_at(now_ms)
        quarter = self.quarter(now_ms)
        entries = feed.entries if feed is not None else []
        if quarter <= self._last_quarter or not _has_room(entries, epoch):
            return None
        taken, dropped = self._take(epoch, is_first=not entries)
        items = tuple(item for waiting in dropped for item in waiting.items)
        if_dropped = tuple(action for waiting in dropped for action in waiting.if_dropped)
        if not taken:
            return Flushed(entry=None, follow_ups=(), dropped=items, if_dropped=if_dropped) if dropped else None
        self._last_quarter = quarter
        prev_hash = Digest(entries[-1].entry_hash) if entries else ZERO_DIGEST
        seq = feed.next_seq if feed is not None else 0
        entry = self._sign(taken, seq=seq, prev_hash=prev_hash, epoch=epoch)
        follow_ups = tuple(action for waiting in taken for action in waiting.follow_ups)
        return Flushed(entry=entry, follow_ups=follow_ups, dropped=items, if_dropped=if_dropped)

    def may_flush_alone(self, feed: Feed, now_ms: int) -> bool:
        """Whether an entry signed now would be the first one of its epoch. Spec: [FEED-13], [FEED-17]."""
        epoch = self._rules.epoch_at(now_ms)
        return self.quarter(now_ms) > self._last_quarter and feed.entries[-1].entry.header.epoch < epoch

    def flush_alone(self, item: Item, feed: Feed, now_ms: int) -> Flushed:
        """Sign an entry with this item alone, where `may_flush_alone` allows it."""
        epoch, last = self._rules.epoch_at(now_ms), feed.entries[-1]
        self._last_quarter = self.quarter(now_ms)
        waiting = Waiting(items=(item,), encoded=(encode_item(item),), latest=None, follow_ups=(), if_dropped=())
        entry = self._sign([waiting], seq=feed.next_seq, prev_hash=Digest(last.entry_hash), epoch=epoch)
        return Flushed(entry=entry, follow_ups=(), dropped=(), if_dropped=())

    def _take(self, epoch: Epoch, *, is_first: bool) -> tuple[list[Waiting], list[Waiting]]:
        taken: list[Waiting] = []
        dropped: list[Waiting] = []
        if is_first:
            delegation = self._delegation()
            encoded = (encode_item(delegation),)
            taken.append(Waiting(items=(delegation,), encoded=encoded, latest=None, follow_ups=(), if_dropped=()))
        bytes_left = _ITEM_BYTES_BUDGET - sum(waiting.size_bytes for waiting in taken)
        items_left = MAX_ITEMS - len(taken)
        while self._waiting:
            waiting = self._waiting[0]
            if waiting.latest is not None and epoch > waiting.latest:
                dropped.append(self._waiting.popleft())
                continue
            if waiting.size_bytes > bytes_left or len(waiting.items) > items_left:
                break
            bytes_left -= waiting.size_bytes
            items_left -= len(waiting.items)
            taken.append(self._waiting.popleft())
        if is_first and len(taken) == 1:
            taken.clear()
        return taken, dropped

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
        said = tuple(item for waiting in taken for item in waiting.items)
        item_bytes = tuple(one for waiting in taken for one in waiting.encoded)
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
        items: tuple[VerifiedItem, ...] = tuple(verify_item(self._digests, item) for item in said)
        entry = Entry(
            header=header,
            signature=self._identity.sign(Digest(entry_hash)),
            item_bytes=item_bytes,
            items=said,
        )
        return VerifiedEntry(entry=entry, entry_hash=entry_hash, encoded=encode_entry(entry), items=items)


def _has_room(entries: list[VerifiedEntry], epoch: Epoch) -> bool:
    """Whether an entry claiming `epoch` may follow: epochs never fall, four entries claim one at most."""
    recent = entries[-MAX_ENTRIES_PER_EPOCH:]
    if recent and recent[-1].entry.header.epoch > epoch:
        return False
    return sum(entry.entry.header.epoch == epoch for entry in recent) < MAX_ENTRIES_PER_EPOCH
