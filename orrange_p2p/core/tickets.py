"""What taker and maker share: the ticket of a piece, suspicion of silent sessions, and one market's desk.

Spec: protocol/spec/05-tickets.md [TICK-1, TICK-6, TICK-11, TICK-14].
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from orrange_p2p.core.digests import Digests
from orrange_p2p.core.events import Identity
from orrange_p2p.core.feed import OrderRecord
from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.lanes import common_arbitrators, common_methods
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.matching import Piece
from orrange_p2p.core.messages import DeclineItem, View
from orrange_p2p.core.outbox import Outbox
from orrange_p2p.core.own_lots import Claim, OwnLots
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import (
    ZERO_ADDRESS,
    ZERO_DIGEST,
    Address,
    Epoch,
    Order,
    OrderId,
    PeerId,
    Side,
    Signature,
    SignedTrade,
    Ticket,
    TicketKind,
    TimeInForce,
)
from orrange_p2p.core.window import Window, Windows

MAX_BACKOFF = 6
MAX_PLACED = 4096
MAX_LEGS = 16
PairKey = tuple[OrderId, OrderId]


def build_ticket(
    piece: Piece, epoch: Epoch, ticket_nonce: int, rules: MarketRules, *, maker: Order, taker: Order
) -> Ticket:
    """The one ticket that a piece of a window's entitlements stands for; a leg's group is left to `with_group`.

    In lanes 1 to 3 the maker's preference decides among what both orders list. Orders that list nothing in common are
    not compatible, so nobody is entitled to what comes out for them. Spec: [TICK-1].
    """
    is_escrow = maker.security != 0
    methods, arbitrators = common_methods(maker, taker), common_arbitrators(maker, taker)
    return Ticket(
        maker_order=piece.maker_order,
        taker_order=piece.taker_order,
        price_ticks=piece.price_ticks,
        maker_from=piece.maker_from,
        maker_to=piece.maker_to,
        taker_from=piece.taker_from,
        taker_to=piece.taker_to,
        epoch=epoch,
        deadline_s=rules.ticket_deadline_s(epoch, is_leg=is_leg_taker(taker)),
        ticket_nonce=ticket_nonce,
        kind=TicketKind.ESCROW if is_escrow else TicketKind.ATOMIC,
        payment_method=methods[0] if is_escrow and methods else 0,
        arbitrator=arbitrators[0] if is_escrow and arbitrators else ZERO_ADDRESS,
        security=maker.security,
    )


def is_leg_taker(taker: Order) -> bool:
    """Whether the tickets of a taker's order are legs of a group. Spec: [TICK-14]."""
    return taker.tif is TimeInForce.FOK


def with_group(digests: Digests, legs: Sequence[Ticket]) -> tuple[Ticket, ...]:
    """All legs of a FOK order, each with the group that they form. Spec: [TICK-14]."""
    group = digests.group(legs)
    return tuple(replace(leg, group=group) for leg in legs)


def is_ticket_of(ticket: Ticket, rules: MarketRules, *, maker: Order, taker: Order) -> bool:
    """Whether a ticket is the one that its piece stands for; of a group only its maker's leg can be seen.

    Spec: [TICK-1], [TICK-14].
    """
    built = build_ticket(piece_of(ticket), ticket.epoch, ticket.ticket_nonce, rules, maker=maker, taker=taker)
    is_leg = ticket.group != ZERO_DIGEST
    return is_leg == is_leg_taker(taker) and replace(ticket, group=ZERO_DIGEST) == built


def is_entitled(ticket: Ticket, pieces: Sequence[Piece], taker: Order) -> bool:
    """Whether a ticket's piece is among a window's, and of a FOK order all the rest too. Spec: [TICK-3], [TICK-15]."""
    if piece_of(ticket) not in pieces:
        return False
    entitled = sum(piece.lots for piece in pieces if piece.taker_order == ticket.taker_order)
    return not is_leg_taker(taker) or entitled == taker.quantity_lots


def piece_of(ticket: Ticket) -> Piece:
    """The piece that a ticket claims."""
    return Piece(
        maker_order=ticket.maker_order,
        taker_order=ticket.taker_order,
        price_ticks=ticket.price_ticks,
        maker_from=ticket.maker_from,
        maker_to=ticket.maker_to,
        taker_from=ticket.taker_from,
        taker_to=ticket.taker_to,
    )


def is_within(price_ticks: int, side: Side, limit_ticks: int) -> bool:
    """Whether a price respects an order's limit. Spec: S2."""
    return price_ticks <= limit_ticks if side is Side.BUY else price_ticks >= limit_ticks


class Suspicion:
    """Sessions that did not answer: passed over for 2^k epochs, k growing from `least` to 6 until they are cleared."""

    def __init__(self, least: int = 0) -> None:
        self._least = least
        self._silent: dict[Address, tuple[int, int]] = {}

    def blame(self, session: Address, epoch: Epoch) -> None:
        """It stayed silent in `epoch`."""
        k = min(self._silent[session][0] + 1, MAX_BACKOFF) if session in self._silent else self._least
        self._silent[session] = (k, epoch + 2**k)

    def clear(self, session: Address) -> None:
        """It answered."""
        self._silent.pop(session, None)

    def soften(self, session: Address, epoch: Epoch) -> None:
        """It is reachable again: another chance after k epochs instead of 2^k; one more silence counts as before."""
        if session in self._silent:
            k, until = self._silent[session]
            self._silent[session] = (k, min(until, epoch + k))

    def sessions(self) -> tuple[Address, ...]:
        """Sessions blamed and not cleared since, ascending."""
        return tuple(sorted(self._silent))

    def suspected(self, epoch: Epoch) -> tuple[Address, ...]:
        """Sessions to pass over in `epoch`, ascending."""
        return tuple(sorted(session for session, (_, until) in self._silent.items() if epoch <= until))

    def is_suspected(self, session: Address, epoch: Epoch) -> bool:
        """Whether one session is to be passed over in `epoch`."""
        return session in self._silent and epoch <= self._silent[session][1]


@dataclass(slots=True, kw_only=True)
class Numbers:
    """The next free numbers of this session, over all its markets."""

    order_nonce: int = 0
    ticket_nonce: int = 0
    exchange: int = 1


@dataclass(slots=True, kw_only=True)
class Desk:
    """Everything of one market that the two sides of a ticket work on."""

    rules: MarketRules
    digests: Digests
    identity: Identity
    feeds: Feeds
    ledger: Ledger
    windows: Windows
    outbox: Outbox
    numbers: Numbers
    own_lots: OwnLots = field(default_factory=OwnLots)
    placed_ms: dict[OrderId, int] = field(default_factory=dict)
    declined: dict[tuple[PairKey, Epoch], int] = field(default_factory=dict)  # until when it can matter, unix seconds

    def note_placed(self, order_id: OrderId, now_ms: int) -> None:
        """Remember when an own order was asked for, to measure how long it takes; the oldest are forgotten."""
        self.placed_ms[order_id] = now_ms
        if len(self.placed_ms) > MAX_PLACED:
            del self.placed_ms[next(iter(self.placed_ms))]

    def own_order(self, order_id: OrderId) -> OrderRecord | None:
        """A standing order of this node's session."""
        record = self.feeds.order(order_id)
        return record if record is not None and record.order.session == self.identity.session else None

    def is_cancelled(self, order_id: OrderId) -> bool:
        """Whether an own order is cancelled, or about to be, though a window may still entitle it.

        Nothing new is signed for it then (decision 0011).
        """
        record = self.feeds.order(order_id)
        return (record is not None and record.is_cancelled) or self.outbox.is_cancel_waiting(order_id)

    def note_declined(self, item: DeclineItem) -> None:
        """A Decline stands in the own feed, or waits for its entry. Spec: [TICK-17]."""
        pair = (item.maker_order, item.taker_order)
        self.declined[(pair, item.epoch)] = self.rules.ticket_deadline_s(item.epoch)

    def is_declined(self, ticket: Ticket) -> bool:
        """Whether this session has said that a ticket's pair and epoch get no Ticket. Spec: [TICK-17]."""
        return ((ticket.maker_order, ticket.taker_order), ticket.epoch) in self.declined

    def restore(self) -> None:
        """What this session signed away or declined binds it after a restart. Spec: [TICK-10], [TICK-17]."""
        feed = self.feeds.feed(self.identity.session)
        for hold in feed.holds if feed is not None else ():
            ticket = hold.ticket
            if hold.is_offer:
                order_id, lots = ticket.taker_order, (ticket.taker_from, ticket.taker_to)
            else:
                order_id, lots = ticket.maker_order, (ticket.maker_from, ticket.maker_to)
                if hold.taker_signer is not None:
                    self.own_lots.claim_nonce(hold.taker_signer, ticket.ticket_nonce, hold.digest)
            self.own_lots.lock(order_id, lots, ticket, hold.digest, Claim.SIGNED)
        for entry in feed.entries if feed is not None else ():
            for item in entry.items:
                if isinstance(item, DeclineItem):
                    self.note_declined(item)

    def view(self, exchange: int, window: Window) -> View:
        """What this node sees otherwise than others may, to show to a partner. Spec: [TICK-4]."""
        return View(
            exchange=exchange,
            window_digest=window.digest,
            late=self.windows.late_orders(),
            absent=self.windows.absent,
        )

    def peer_of(self, session: Address) -> PeerId | None:
        """The peer that acts for a session, from its Delegation."""
        feed = self.feeds.feed(session)
        return feed.peer_id if feed is not None else None

    def trade(self, ticket: Ticket, maker_signature: Signature, taker_signature: Signature) -> SignedTrade | None:
        """A ticket with both orders, for the chain; None while one of them is unknown."""
        maker, taker = self.feeds.order(ticket.maker_order), self.feeds.order(ticket.taker_order)
        if maker is None or taker is None:
            return None
        return SignedTrade(
            market=self.rules.market,
            maker=maker.signed,
            taker=taker.signed,
            ticket=ticket,
            maker_signature=maker_signature,
            taker_signature=taker_signature,
        )
