"""Reads a feed in order and says what stands: orders, cancels, holds.

Spec: protocol/spec/02-feeds.md [FEED-2..4, FEED-13..14], 03-orders.md [ORD-1..5, HOLD-1..3].
"""

from dataclasses import replace

from orrange_p2p.core.checkpoints import Implied, checkpoints_in
from orrange_p2p.core.feed import NEVER, Act, Feed, HoldRecord, OrderRecord
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.holds import own_side, read_hold
from orrange_p2p.core.messages import Cancel, Checkpoint, DeclineItem, Delegation, EntryHeader
from orrange_p2p.core.order_forms import is_tradable
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.starts import Body, Start
from orrange_p2p.core.types import (
    ZERO_DIGEST,
    Address,
    Digest,
    Epoch,
)
from orrange_p2p.core.verify import (
    VerifiedDelegation,
    VerifiedEntry,
    VerifiedOffer,
    VerifiedOrder,
    VerifiedTicket,
)

MAX_ENTRIES_PER_EPOCH = 4


class FeedReader:
    """Applies a feed's entries in order and says what stands. Spec: [FEED-2..4], [ORD-1..5]."""

    def __init__(self, feed: Feed, session: Address, rules: MarketRules) -> None:
        self._feed = feed
        self._session = session
        self._rules = rules
        self._last_nonce = -1
        self._epoch = -1
        self._in_epoch = 0
        self._is_ended = False
        self._read = 0
        self.implied = Implied(rules)
        self.checkpoints: list[int] = []

    @property
    def standing(self) -> int:
        """The seq above the last entry read that breaks no rule."""
        return self._feed.first_seq + self._read

    @property
    def next_nonce(self) -> int:
        """The least nonce that an order to come may have. Spec: [ORD-1]."""
        return self._last_nonce + 1

    def may_lead_to(self, start: Start) -> bool:
        """Whether what was read so far can go on to a start further up; else it is of another. Spec: [FEED-2..4]."""
        header, said = start.entry.entry.header, start.checkpoint
        if not self._read:
            return True
        is_of_feed = header.owner == self._feed.owner and said.delegation == keccak256(self.implied.delegation)
        return is_of_feed and header.epoch >= self._epoch and said.next_nonce >= self.next_nonce

    def advance(self) -> tuple[list[OrderRecord], list[HoldRecord]]:
        """Read the entries that came since the last call; returns orders and holds touched by them.

        The first one that breaks a rule ends the feed; a false Checkpoint kills the session from its entry on, and the
        feed is to be read again. Spec: [FEED-4], [FEED-14].
        """
        feed = self._feed
        orders: list[OrderRecord] = []
        holds: list[HoldRecord] = []
        if feed.start is not None and not self._read:
            self._begin(feed.start, orders, holds)
        while self._read < len(feed.entries) and self.standing < feed.forked_from and not self._is_ended:
            entry = feed.entries[self._read]
            if not self._follows(entry):
                self._is_ended = feed.is_ended = True
                break
            entry_orders: list[OrderRecord] = []
            entry_holds: list[HoldRecord] = []
            self._apply(entry, entry_orders, entry_holds)
            if not self._is_checkpoint_true(entry):
                feed.forked_from = self.standing
                break
            self._note_checkpoint(entry)
            self._read += 1
            orders.extend(entry_orders)
            holds.extend(entry_holds)
        return orders, holds

    def _is_checkpoint_true(self, entry: VerifiedEntry) -> bool:
        """Whether an entry just applied has no Checkpoint, or ends with the one that is so. Spec: [FEED-13..14]."""
        places = checkpoints_in(entry)
        if not places:
            return True
        if places != [len(entry.items) - 1] or self._in_epoch > 1:
            return False
        return entry.items[-1] == self.implied.checkpoint(entry.entry.header.epoch, self.next_nonce)

    def _note_checkpoint(self, entry: VerifiedEntry) -> None:
        if isinstance(entry.items[-1], Checkpoint):
            self.implied.settle(entry.entry.header.epoch)
            self.checkpoints.append(entry.entry.header.seq)

    def _begin(self, start: Start, orders: list[OrderRecord], holds: list[HoldRecord]) -> None:
        """Say what a start lists, as if its entry had said it. Spec: [FEED-15], [FUND-8]."""
        header = start.entry.entry.header
        self._last_nonce = start.checkpoint.next_nonce - 1
        self._epoch, self._in_epoch, self._read = header.epoch, 1, 1
        first = start.bodies[0]
        if isinstance(first.item, VerifiedDelegation):
            self._note_delegation(first.item.item)
            self.implied.delegation = first.encoded
        live, ended, tickets = start.parts()
        index = 0
        for bodies, is_ended in ((ended, True), (live, False)):
            for body in sorted(bodies, key=_nonce):
                if isinstance(body.item, VerifiedOrder):
                    self._list_order(body.encoded, body.item, header, index, orders, is_ended=is_ended)
                index += 1
        for body in tickets:
            if isinstance(body.item, VerifiedOffer | VerifiedTicket):
                self._list_ticket(body.encoded, body.item, header, index, holds)
            index += 1
        self.implied.settle(header.epoch)
        self.checkpoints.append(header.seq)

    def _list_order(
        self,
        encoded: bytes,
        item: VerifiedOrder,
        header: EntryHeader,
        index: int,
        orders: list[OrderRecord],
        *,
        is_ended: bool,
    ) -> None:
        signer = item.signer
        if signer is None:
            return
        record = OrderRecord(
            order_id=item.order_id,
            signed=item.item.signed,
            signer=signer,
            claimed=header.epoch,
            seq=header.seq,
            index=index,
            cancelled_from=0 if is_ended else NEVER,
            is_ended=is_ended,
        )
        self._keep_order(record, encoded, orders)

    def _list_ticket(
        self,
        encoded: bytes,
        item: VerifiedOffer | VerifiedTicket,
        header: EntryHeader,
        index: int,
        holds: list[HoldRecord],
    ) -> None:
        """What a true Checkpoint lists counted where it was said; its claim here is the ticket's own epoch."""
        hold = read_hold(item, self._session, item.item.ticket.epoch, self._rules)
        if hold is not None:
            self._keep_hold(replace(hold, entry_epoch=header.epoch), encoded, header.seq, index, holds)

    def _follows(self, entry: VerifiedEntry) -> bool:
        header = entry.entry.header
        feed = self._feed
        if header.market != self._rules.market_id or header.session != self._session:
            return False
        expected = Digest(feed.entries[self._read - 1].entry_hash) if self._read else ZERO_DIGEST
        if header.prev_hash != expected or header.epoch < self._epoch:
            return False
        in_epoch = self._in_epoch + 1 if header.epoch == self._epoch else 1
        if in_epoch > MAX_ENTRIES_PER_EPOCH or not self._is_delegated(entry):
            return False
        self._epoch, self._in_epoch = header.epoch, in_epoch
        return True

    def _is_delegated(self, entry: VerifiedEntry) -> bool:
        header = entry.entry.header
        delegations = [item for item in entry.items if isinstance(item, VerifiedDelegation)]
        if self._read:
            return not delegations and header.owner == self._feed.owner
        if len(delegations) != 1 or entry.items[0] is not delegations[0] or not delegations[0].is_valid:
            return False
        item = delegations[0].item
        if item.owner != header.owner or item.session != header.session:
            return False
        self._note_delegation(item)
        self.implied.delegation = entry.entry.item_bytes[0]
        return True

    def _note_delegation(self, item: Delegation) -> None:
        feed = self._feed
        feed.owner, feed.peer_id, feed.encryption_key = item.owner, item.peer_id, item.encryption_key

    def _apply(self, entry: VerifiedEntry, orders: list[OrderRecord], holds: list[HoldRecord]) -> None:
        claimed = entry.entry.header.epoch
        for index, item in enumerate(entry.items):
            if isinstance(item, VerifiedOrder):
                self._read_order(item, entry, index, orders)
            elif isinstance(item, VerifiedOffer | VerifiedTicket):
                self._read_ticket(item, entry, index, holds)
            elif isinstance(item, Cancel):
                self._read_cancel(item, entry, index, orders)
            elif isinstance(item, DeclineItem):
                self._feed.answers.setdefault((item.maker_order, item.taker_order, item.epoch), claimed)

    def _read_order(self, item: VerifiedOrder, entry: VerifiedEntry, index: int, orders: list[OrderRecord]) -> None:
        header = entry.entry.header
        record = self._standing(item, header.epoch, header.seq, index)
        if record is not None:
            self._keep_order(record, entry.entry.item_bytes[index], orders)

    def _keep_order(self, record: OrderRecord, encoded: bytes, orders: list[OrderRecord]) -> None:
        self._feed.orders[record.order_id] = record
        self.implied.note_order(record, encoded)
        self._feed.acts.append(Act(claimed=record.claimed, seq=record.seq, index=record.index, order=record))
        orders.append(record)

    def _read_ticket(
        self, item: VerifiedOffer | VerifiedTicket, entry: VerifiedEntry, index: int, holds: list[HoldRecord]
    ) -> None:
        header, feed = entry.entry.header, self._feed
        if isinstance(item, VerifiedTicket):
            feed.answers.setdefault(item.ticket_digest, header.epoch)
        hold = read_hold(item, self._session, header.epoch, self._rules)
        if hold is not None:
            self._keep_hold(hold, entry.entry.item_bytes[index], header.seq, index, holds)

    def _keep_hold(self, hold: HoldRecord, encoded: bytes, seq: int, index: int, holds: list[HoldRecord]) -> None:
        feed = self._feed
        own_order = feed.orders.get(own_side(hold.ticket, is_offer=hold.is_offer))
        if own_order is not None:
            feed.holds.append(hold)
            self.implied.note_hold(hold, encoded)
            feed.acts.append(Act(claimed=hold.entry_epoch, seq=seq, index=index, order=own_order, hold=hold))
            holds.append(hold)

    def _read_cancel(self, item: Cancel, entry: VerifiedEntry, index: int, orders: list[OrderRecord]) -> None:
        header = entry.entry.header
        cancelled = self._feed.orders.get(item.order_id)
        if cancelled is not None and cancelled.cancelled_from == NEVER:
            cancelled.cancelled_from = header.epoch
            self.implied.note_cancel(cancelled.order_id)
            act = Act(claimed=header.epoch, seq=header.seq, index=index, order=cancelled, is_cancel=True)
            self._feed.acts.append(act)
            orders.append(cancelled)

    def _standing(self, item: VerifiedOrder, claimed: Epoch, seq: int, index: int) -> OrderRecord | None:
        order = item.item.signed.order
        is_newer = order.nonce > self._last_nonce
        self._last_nonce = max(self._last_nonce, order.nonce)
        signer = item.signer
        if not is_newer or signer is None or signer not in (order.owner, order.session):
            return None
        if (order.market, order.owner, order.session) != (self._rules.market_id, self._feed.owner, self._session):
            return None
        if order.quantity_lots < self._rules.market.min_fill_lots or not is_tradable(order, claimed, self._rules):
            return None
        return OrderRecord(
            order_id=item.order_id, signed=item.item.signed, signer=signer, claimed=claimed, seq=seq, index=index
        )


def _nonce(body: Body) -> int:
    return body.item.item.signed.order.nonce if isinstance(body.item, VerifiedOrder) else 0
