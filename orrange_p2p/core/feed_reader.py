"""Reads a feed in order and says what stands: orders, cancels, holds.

Spec: protocol/spec/02-feeds.md [FEED-2..4], 03-orders.md [ORD-1..5, HOLD-1..3].
"""

from orrange_p2p.core.feed import NEVER, Feed, HoldRecord, OrderRecord
from orrange_p2p.core.messages import Cancel, Offer
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import (
    ZERO_DIGEST,
    Address,
    Digest,
    Epoch,
    Order,
    OrderId,
    OrderKind,
    Ticket,
    TimeInForce,
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

    def advance(self) -> tuple[list[OrderRecord], list[HoldRecord]]:
        """Read the entries that came since the last call; returns orders and holds touched by them.

        The first one that breaks a rule ends the feed.
        """
        feed = self._feed
        orders: list[OrderRecord] = []
        holds: list[HoldRecord] = []
        while self._read < min(len(feed.entries), feed.forked_from) and not self._is_ended:
            entry = feed.entries[self._read]
            if not self._follows(entry):
                self._is_ended = feed.is_ended = True
                break
            self._read += 1
            self._apply(entry, orders, holds)
        return orders, holds

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
        self._feed.owner, self._feed.peer_id = item.owner, item.peer_id
        return True

    def _apply(self, entry: VerifiedEntry, orders: list[OrderRecord], holds: list[HoldRecord]) -> None:
        header = entry.entry.header
        feed = self._feed
        for index, item in enumerate(entry.items):
            if isinstance(item, VerifiedOrder):
                record = self._standing(item, header.epoch, header.seq, index)
                if record is not None:
                    feed.orders[record.order_id] = record
                    orders.append(record)
            elif isinstance(item, VerifiedOffer | VerifiedTicket):
                hold = read_hold(item, self._session, header.epoch, self._rules)
                own_order = feed.orders.get(own_side(hold.ticket, is_offer=hold.is_offer)) if hold else None
                if hold is not None and own_order is not None:
                    feed.holds.append(hold)
                    holds.append(hold)
            elif isinstance(item, Cancel):
                cancelled = feed.orders.get(item.order_id)
                if cancelled is not None and cancelled.cancelled_from == NEVER:
                    cancelled.cancelled_from = header.epoch
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
        if order.quantity_lots < self._rules.market.min_fill_lots or not is_tradable(order):
            return None
        return OrderRecord(
            order_id=item.order_id, signed=item.item.signed, signer=signer, claimed=claimed, seq=seq, index=index
        )


def is_tradable(order: Order) -> bool:
    """Whether this version has rules for an order of that form. Spec: [ORD-3, ORD-4]."""
    if order.kind is not OrderKind.LIMIT or order.tif not in (TimeInForce.GTC, TimeInForce.IOC):
        return False
    if order.tif is TimeInForce.IOC and order.expiry_s == 0:
        return False
    extras = (order.post_only, order.min_tier, order.payment_methods, order.arbitrators, order.security)
    return not any(extras)


def own_side(ticket: Ticket, *, is_offer: bool) -> OrderId:
    """The order of a ticket that must stand in the feed of the Offer or TicketItem."""
    return ticket.taker_order if is_offer else ticket.maker_order


def read_hold(
    verified: VerifiedOffer | VerifiedTicket, session: Address, entry_epoch: Epoch, rules: MarketRules
) -> HoldRecord | None:
    """The hold of an item in `session`'s feed, or None if it does not count. Spec: [HOLD-1..3].

    Whether the ticket's own-side order stands in the feed is left to the caller.
    """
    item = verified.item
    ticket = item.ticket
    start_s = rules.epoch_start_s(ticket.epoch)
    if ticket.lots < 1 or ticket.taker_to - ticket.taker_from != ticket.lots or ticket.price_ticks < 1:
        return None
    if not start_s <= ticket.deadline_s <= start_s + rules.preset.ticket_life_s:
        return None
    if isinstance(verified, VerifiedOffer) and isinstance(item, Offer):
        if verified.taker_signer != session or verified.ready_signer is None or ticket.epoch != item.ready_epoch:
            return None
        if not item.ready_epoch <= entry_epoch <= item.ready_epoch + 2:
            return None
        maker_signer = verified.ready_signer
    elif isinstance(verified, VerifiedTicket):
        if verified.maker_signer != session or ticket.epoch > entry_epoch:
            return None
        maker_signer = verified.maker_signer
    return HoldRecord(
        ticket=ticket,
        digest=verified.ticket_digest,
        source=session,
        entry_epoch=entry_epoch,
        is_offer=isinstance(verified, VerifiedOffer),
        maker_signer=maker_signer,
        taker_signer=verified.taker_signer,
        verified=verified,
    )
