"""Whom its own feed convicts: two tickets in it that an honest session never signs both.

Spec: protocol/spec/08-peers.md [EVID-2], [EVID-4].
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from protocol.reference.feeds import OFFER, TICKET, Feed
from protocol.reference.holds import Hold, holds_of_offer, holds_of_ticket_item
from protocol.reference.orders import orders_of
from protocol.reference.signing import recover
from protocol.reference.types import Address, Clock, Digest, Domain, LotRange, Market, epoch_start_s

EVERY_EPOCH = 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A ticket that a session signed: the lots of its own order, and who signed as taker."""

    hold: Hold
    order: Digest
    lots: LotRange
    taker: Address | None


def convicted_by_own_feeds(domain: Domain, clock: Clock, market: Market, feeds: Iterable[Feed]) -> list[Address]:
    """The sessions whose feeds hold a contradiction, whatever epochs their entries claim. Spec: [EVID-4]."""
    return [
        feed.session
        for feed in feeds
        if any(contradict(clock, one, other) for one, other in combinations(words_of(domain, clock, market, feed), 2))
    ]


def words_of(domain: Domain, clock: Clock, market: Market, feed: Feed) -> list[Word]:
    """What a session signed in its own feed, as far as it counts. Spec: [HOLD-1], [HOLD-2]."""
    placed = {order.order_id: order for order in orders_of(domain, clock, market, feed, EVERY_EPOCH)}
    words: list[Word] = []
    for entry in feed.standing:
        for index, item in enumerate(entry.items):
            if item[0] == OFFER:
                holds = holds_of_offer(domain, clock, entry, index, placed)[:1]
                words += [word_of(hold, is_offer=True, taker=feed.session) for hold in holds]
            elif item[0] == TICKET:
                holds = holds_of_ticket_item(domain, clock, entry, index, placed, is_session_dead=False)[:1]
                words += [word_of(one, is_offer=False, taker=recover(one.ticket_digest, item[2])) for one in holds]
    return words


def word_of(hold: Hold, *, is_offer: bool, taker: Address | None) -> Word:
    """A session's word: as taker in an Offer, as maker in a TicketItem."""
    ticket = hold.ticket
    if is_offer:
        return Word(hold=hold, order=ticket.taker_order, lots=(ticket.taker_from, ticket.taker_to), taker=taker)
    return Word(hold=hold, order=ticket.maker_order, lots=(ticket.maker_from, ticket.maker_to), taker=taker)


def contradict(clock: Clock, one: Word, other: Word) -> bool:
    """Say whether two words take one lot twice at one time, or use a number of a taker's twice. Spec: [EVID-2]."""
    if one.hold.ticket_digest == other.hold.ticket_digest:
        return False
    ticket, rival = one.hold.ticket, other.hold.ticket
    if one.taker is not None and one.taker == other.taker and ticket.ticket_nonce == rival.ticket_nonce:
        return True
    is_one_time = (
        epoch_start_s(clock, ticket.epoch) <= rival.deadline and epoch_start_s(clock, rival.epoch) <= ticket.deadline
    )
    is_one_lot = max(one.lots[0], other.lots[0]) < min(one.lots[1], other.lots[1])
    return is_one_time and is_one_lot and one.order == other.order
