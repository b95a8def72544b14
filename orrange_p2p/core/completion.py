"""Tickets that both sides have signed: ours are kept and settled, others' may be legs of ours.

Spec: protocol/spec/05-tickets.md [TICK-13], [TICK-16].
"""

from orrange_p2p.core.events import Action, Note, PersistTrade, TicketsLoaded
from orrange_p2p.core.feed import HoldRecord
from orrange_p2p.core.holds import read_hold
from orrange_p2p.core.maker import Maker
from orrange_p2p.core.messages import TicketFrame
from orrange_p2p.core.settling import Settling
from orrange_p2p.core.taker import Taker
from orrange_p2p.core.tickets import Desk
from orrange_p2p.core.types import Epoch, SignedTrade, Ticket, TicketDigest, TicketKind
from orrange_p2p.core.verify import VerifiedEntry, VerifiedTicket, verify_ticket


class Completion:
    """The completed tickets of one market, whoever's they are."""

    def __init__(self, desk: Desk, maker: Maker, taker: Taker, settling: Settling) -> None:
        self._desk = desk
        self._feeds = desk.feeds
        self._rules = desk.rules
        self._maker = maker
        self._taker = taker
        self._settling = settling
        self.tickets: dict[TicketDigest, HoldRecord] = {}

    def forget_old(self, epoch: Epoch) -> None:
        """Let go of tickets that have been over for as long as a base is old. Spec: [FEED-15], [HOLD-2]."""
        over_s = self._rules.epoch_start_s(epoch) - self._rules.preset.checkpoint_age_s
        for digest in [digest for digest, hold in self.tickets.items() if hold.ticket.deadline_s < over_s]:
            del self.tickets[digest]

    def load(self, event: TicketsLoaded) -> list[Action]:
        """Take back own tickets that came by stream alone: the maker's entry with them may not be known here yet."""
        for item in event.tickets:
            verified = verify_ticket(self._desk.digests, item)
            if verified.maker_signer == self._desk.identity.session and verified.taker_signer is not None:
                nonce = item.ticket.ticket_nonce  # binds for ever, also where the entry with it was cut away
                self._desk.own_lots.claim_nonce(verified.taker_signer, nonce, verified.ticket_digest)
            maker = self._feeds.order(item.ticket.maker_order)
            if maker is None or verified.ticket_digest in self.tickets:
                continue
            hold = read_hold(verified, maker.order.session, item.ticket.epoch, self._rules)
            if hold is not None:
                self.tickets[hold.digest] = hold
                self._complete(hold, event.now_ms)
        return []

    def on_entry(self, entry: VerifiedEntry, now_ms: int) -> list[Action]:
        """The tickets that an entry just appended brought to its feed."""
        feed = self._feeds.feed(entry.entry.header.session)
        if feed is None or not any(isinstance(item, VerifiedTicket) for item in entry.items):
            return []
        actions: list[Action] = []
        digests = frozenset(item.ticket_digest for item in entry.items if isinstance(item, VerifiedTicket))
        for hold in feed.holds:
            if not hold.is_offer and hold.digest in digests and hold.digest not in self.tickets:
                taker = self._feeds.order(hold.ticket.taker_order)
                if taker is not None and hold.taker_signer != taker.order.session:
                    continue
                self.tickets[hold.digest] = hold
                actions.extend(self._complete(hold, now_ms))
        return actions

    def settle_again(self, now_ms: int) -> None:
        """Put own tickets on their way once more that no block settles now: the chain took back those that did."""
        ledger = self._desk.ledger
        time_s = ledger.last_block.time_s if ledger.last_block is not None else 0
        for hold in list(self.tickets.values()):
            ticket = hold.ticket
            is_maker = self._desk.own_order(ticket.maker_order) is not None
            is_own = is_maker or self._desk.own_order(ticket.taker_order) is not None
            is_over = ticket.deadline_s < time_s or ledger.settled_in(hold.digest) is not None
            if not is_own or is_over or not self._may_settle(ticket):
                continue
            trade = self._trade(hold)
            if trade is not None:
                self._settle(hold, trade, now_ms, is_maker=is_maker)

    def _trade(self, hold: HoldRecord) -> SignedTrade | None:
        """A ticket with its orders and signatures, if both sides signed it and both orders are known."""
        taker, verified = self._feeds.order(hold.ticket.taker_order), hold.verified
        if taker is None or not isinstance(verified, VerifiedTicket) or hold.taker_signer != taker.order.session:
            return None
        return self._desk.trade(hold.ticket, verified.item.maker_signature, verified.item.taker_signature)

    def _complete(self, hold: HoldRecord, now_ms: int) -> list[Action]:
        """A ticket is signed by both: if it is ours, keep it and see that it settles."""
        desk, ticket = self._desk, hold.ticket
        is_maker = desk.own_order(ticket.maker_order) is not None
        is_taker = desk.own_order(ticket.taker_order) is not None
        if not (is_maker or is_taker):
            self._note_leg(hold, now_ms)
            self._note_other(hold, now_ms)
            return []
        trade = self._trade(hold)
        if trade is None:
            return []
        pair = (ticket.maker_order, ticket.taker_order)
        path = self._maker.on_ticket(hold.digest, pair) if is_maker else self._taker.on_ticket(hold.digest, ticket)
        actions: list[Action] = [
            PersistTrade(trade=trade, digest=hold.digest, path=path, completed_ms=now_ms),
        ]
        if ticket.kind is TicketKind.ESCROW:
            actions.append(Note(name="escrow_agreed", details=(("ticket", hold.digest.hex()),)))
        if self._may_settle(ticket):
            self._settle(hold, trade, now_ms, is_maker=is_maker)
        details: list[tuple[str, str | int]] = [("ticket", hold.digest.hex()), ("path", path.value if path else "")]
        placed_ms = desk.placed_ms.get(ticket.taker_order)
        if placed_ms is not None and is_taker:
            details.append(("order_to_ticket_ms", now_ms - placed_ms))
        actions.append(Note(name="ticket_as_maker" if is_maker else "ticket_as_taker", details=tuple(details)))
        return actions

    def _may_settle(self, ticket: Ticket) -> bool:
        """Whether the network has a contract for the ticket's kind."""
        return ticket.kind is not TicketKind.ESCROW or self._rules.has_escrow

    def _settle(self, hold: HoldRecord, trade: SignedTrade, now_ms: int, *, is_maker: bool) -> None:
        """Put an own ticket on its way to the chain, a leg together with those of other makers. Spec: [TICK-13]."""
        self._settling.add(hold.digest, trade, is_maker=is_maker, now_ms=now_ms)
        if self._settling.awaits_legs(hold.ticket.group):
            for known in self.tickets.values():
                self._note_leg(known, now_ms)

    def _note_leg(self, hold: HoldRecord, now_ms: int) -> None:
        """A ticket of another maker's may be a leg of the group that a ticket of this node's belongs to."""
        if self._settling.awaits_legs(hold.ticket.group):
            trade = self._trade(hold)
            if trade is not None:
                self._settling.add_leg(hold.digest, trade, now_ms=now_ms)

    def _note_other(self, hold: HoldRecord, now_ms: int) -> None:
        """A ticket of others, which this node settles if they do not and it was told to. Spec: [TICK-13]."""
        if self._settling.settles_for_others and self._may_settle(hold.ticket):
            trade = self._trade(hold)
            if trade is not None:
                self._settling.add_other(hold.digest, trade, now_ms=now_ms)

    def on_frame(self, message: TicketFrame, now_ms: int) -> list[Action]:
        """The ticket came back on the stream, maybe before its entry in the maker's feed."""
        verified = verify_ticket(self._desk.digests, message.item)
        ticket = message.item.ticket
        maker = self._feeds.order(ticket.maker_order)
        hold = None
        # Only what this session signed itself: a maker can sign as many tickets over our orders as it likes.
        is_offered = (
            self._desk.own_order(ticket.taker_order) is not None
            and verified.taker_signer == self._desk.identity.session
            and self._desk.own_lots.signed(ticket.taker_order, verified.ticket_digest)
        )
        if maker is not None and is_offered:
            hold = read_hold(verified, maker.order.session, self._rules.epoch_at(now_ms), self._rules)
        if hold is None:
            return [Note(name="ticket_refused")]
        if hold.digest in self.tickets:
            return []
        self.tickets[hold.digest] = hold
        return self._complete(hold, now_ms)
