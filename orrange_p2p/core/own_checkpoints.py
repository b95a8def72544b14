"""When this node writes a Checkpoint into its own feed, and what it cancels before.

Spec: protocol/spec/02-feeds.md [FEED-17].
"""

from orrange_p2p.core.feed import Feed, OrderRecord
from orrange_p2p.core.messages import Cancel
from orrange_p2p.core.order_forms import SHORT_LIVED
from orrange_p2p.core.outbox import Flushed
from orrange_p2p.core.ranges import complement, union
from orrange_p2p.core.tickets import Desk

ENTRIES_BETWEEN = 256
SECONDS_A_DAY = 86_400


class OwnCheckpoints:
    """Keeps the own feed short for everybody who holds it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._looked_in = -1  # the quarter of an epoch in which the own orders were last looked through

    def flush(self, now_ms: int) -> Flushed | None:
        """Sign a Checkpoint if one is due and this moment allows it; the outbox goes on if not.

        Orders that would only be listed in vain are cancelled first, in an entry of their own.
        """
        desk = self._desk
        feed = desk.feeds.feed(desk.identity.session)
        if feed is None or feed.is_dead or not feed.entries or not desk.outbox.may_flush_alone(feed, now_ms):
            return None
        quarter = desk.outbox.quarter(now_ms)
        if quarter <= self._looked_in or not self._is_due(feed, now_ms):
            return None
        self._looked_in = quarter
        in_vain = [order_id for order_id, record in feed.orders.items() if self._is_in_vain(record, now_ms)]
        for order_id in in_vain:
            if not desk.outbox.is_full and not desk.outbox.is_cancel_waiting(order_id):
                desk.outbox.add(Cancel(order_id=order_id))
        said = desk.feeds.next_checkpoint(desk.identity.session, desk.rules.epoch_at(now_ms))
        return None if in_vain or said is None else desk.outbox.flush_alone(said, feed, now_ms)

    def _is_due(self, feed: Feed, now_ms: int) -> bool:
        epoch = self._desk.rules.epoch_at(now_ms)
        since = self._desk.feeds.entries_since_checkpoint(self._desk.identity.session, epoch)
        if since == 0 or since >= ENTRIES_BETWEEN:
            return since >= ENTRIES_BETWEEN
        newest = feed.entries[-since - 1] if since < len(feed.entries) else feed.entries[0]
        last_s = self._desk.rules.epoch_start_s(newest.entry.header.epoch)
        is_new_day = last_s // SECONDS_A_DAY < now_ms // 1000 // SECONDS_A_DAY
        return is_new_day and bool(len(self._desk.outbox))

    def _is_in_vain(self, record: OrderRecord, now_ms: int) -> bool:
        """Whether a Checkpoint would list an order that first admission refused, or that is filled."""
        order, desk = record.order, self._desk
        is_over = record.is_cancelled or order.tif in SHORT_LIVED or 0 < order.expiry_s <= now_ms // 1000
        window, block = desk.windows.current, desk.ledger.last_block
        if is_over or window is None or block is None or record.claimed > window.epoch:
            return False
        settled = union(desk.ledger.settled_lots(record.order_id, order, at_block=block.number))
        is_filled = not complement(settled, order.quantity_lots)
        return is_filled or record.order_id in desk.windows.keeper.admissions.refused(order.owner, window.epoch)
