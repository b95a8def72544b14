"""The maker's second signature: countersign an Offer that carries this session's Ready, or decline it for good.

An Offer that stands in its taker's feed is answered in this session's own feed, one way or the other, before others
take the silence for the maker's.
Spec: protocol/spec/05-tickets.md [TICK-9, TICK-10, TICK-17], 03-orders.md [HOLD-7].
"""

from orrange_p2p.core.events import Action, Note, SendTicketMessage
from orrange_p2p.core.feed import OrderRecord
from orrange_p2p.core.holds import read_hold
from orrange_p2p.core.messages import DeclineItem, DeclineReason, TicketFrame, TicketItem
from orrange_p2p.core.own_lots import Claim
from orrange_p2p.core.tickets import Desk, is_within
from orrange_p2p.core.types import Digest, Epoch, PeerId, Ticket
from orrange_p2p.core.verify import VerifiedOffer


class Countersigner:
    """Answers the Offers on this node's orders in one market."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def on_offer(
        self, verified: VerifiedOffer, entry_epoch: Epoch, now_ms: int, *, exchange: int | None, peer: PeerId | None
    ) -> list[Action]:
        """Countersign an Offer that carries this session's Ready, or say in the own feed that it gets no Ticket.

        Args:
            verified: the Offer, its signers recovered.
            entry_epoch: what its entry in the taker's feed claims; the current epoch for one that came by stream.
            now_ms: when it came.
            exchange: the number to answer on the stream, if it came by stream.
            peer: who to answer, if it came by stream.
        """
        desk = self._desk
        ticket = verified.item.ticket
        record, taker = desk.own_order(ticket.maker_order), desk.feeds.order(ticket.taker_order)
        if record is None or verified.ready_signer != desk.identity.session:
            return []
        if desk.own_lots.signed(ticket.maker_order, verified.ticket_digest) or desk.is_declined(ticket):
            return []
        if taker is None or read_hold(verified, taker.order.session, entry_epoch, desk.rules) is None:
            return [Note(name="offer_refused")]
        reason = self._why_not(verified, record, taker, now_ms)
        if reason is not None:
            return self._decline(ticket, reason, is_in_feed=exchange is None)
        lots = (ticket.maker_from, ticket.maker_to)
        desk.own_lots.lock(ticket.maker_order, lots, ticket, verified.ticket_digest, Claim.SIGNED)
        item = TicketItem(
            ticket=ticket,
            taker_signature=verified.item.taker_signature,
            maker_signature=desk.identity.sign(Digest(verified.ticket_digest)),
        )
        follow_ups: tuple[Action, ...] = ()
        if exchange is not None and peer is not None:
            follow_ups = (SendTicketMessage(peer=peer, message=TicketFrame(exchange=exchange, item=item)),)
        desk.outbox.add(item, follow_ups=follow_ups)
        return []

    def _why_not(
        self, verified: VerifiedOffer, record: OrderRecord, taker: OrderRecord, now_ms: int
    ) -> DeclineReason | None:
        """Why an Offer gets no Ticket; None if it gets one. Spec: [TICK-9], [TICK-10], S2, S3, S5."""
        desk, ticket, digest = self._desk, verified.item.ticket, verified.ticket_digest
        if record.cancelled_from <= ticket.epoch:
            return DeclineReason.UNKNOWN
        if not self._is_in_time(ticket, now_ms):
            return DeclineReason.LATE
        is_within_limits = (
            taker.order.side is not record.order.side
            and taker.order.owner != record.order.owner
            and is_within(ticket.price_ticks, record.order.side, record.order.price_ticks)
            and is_within(ticket.price_ticks, taker.order.side, taker.order.price_ticks)
            and ticket.maker_to <= record.order.quantity_lots
            and ticket.taker_to <= taker.order.quantity_lots
        )
        if not is_within_limits:
            return DeclineReason.LIMITS
        lots = (ticket.maker_from, ticket.maker_to)
        start_s = desk.rules.epoch_start_s(ticket.epoch)
        is_free = desk.own_lots.is_free(ticket.maker_order, lots, start_s, besides=digest)
        if not is_free or not desk.own_lots.claim_nonce(taker.order.session, ticket.ticket_nonce, digest):
            return DeclineReason.BUSY
        return None

    def _is_in_time(self, ticket: Ticket, now_ms: int) -> bool:
        """Whether an Offer may still be answered: a Ready is no option that a taker may use when prices have moved."""
        rules, last = self._desk.rules, self._desk.ledger.last_block
        if last is None or last.time_s > ticket.deadline_s:
            return False
        return rules.epoch_at(now_ms) <= ticket.epoch + rules.preset.k

    def _decline(self, ticket: Ticket, reason: DeclineReason, *, is_in_feed: bool) -> list[Action]:
        """Say once, in the own feed, that a pair's Offers of an epoch get no Ticket. Spec: [TICK-17].

        Nobody takes us for silent for an Offer that stands in no feed or whose hold is over: those are passed over.
        """
        desk, last = self._desk, self._desk.ledger.last_block
        if is_in_feed and last is not None and last.time_s <= ticket.deadline_s:
            item = DeclineItem(
                maker_order=ticket.maker_order, taker_order=ticket.taker_order, epoch=ticket.epoch, reason=reason
            )
            desk.note_declined(item)
            desk.own_lots.release(ticket.maker_order, desk.digests.ticket(ticket))
            desk.outbox.add(item)
        return [Note(name="offer_refused", details=(("reason", reason.name.lower()),))]

    def on_tick(self) -> None:
        """Forget Declines of tickets that are too late for a signature anyway."""
        last = self._desk.ledger.last_block
        over = [key for key, deadline_s in self._desk.declined.items() if last is not None and last.time_s > deadline_s]
        for key in over:
            del self._desk.declined[key]
