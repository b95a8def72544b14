"""Checkpoints: what a feed alone implies where one stands, and where a false one ends its feed.

Spec: protocol/spec/02-feeds.md [FEED-13], [FEED-14].
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from protocol.reference.feeds import CHECKPOINT, OFFER, ORDER, TICKET, Entry, Feed
from protocol.reference.holds import holds_of_offer, holds_of_ticket_item, ticket_from
from protocol.reference.orders import Placed, has_ended, order_from, orders_of
from protocol.reference.signing import digest, market_id
from protocol.reference.types import Clock, Digest, Domain, Market, epoch_start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a feed implies, of itself alone, at one place; each list ascending."""

    next_nonce: int
    live_orders: tuple[Digest, ...]
    own_offers: tuple[Digest, ...]
    own_tickets: tuple[Digest, ...]


def true_feeds(domain: Domain, clock: Clock, market: Market, feeds: Iterable[Feed]) -> list[Feed]:
    """The feeds of a market as their Checkpoints leave them. Spec: [FEED-14]."""
    this_market = market_id(domain, market)
    return [end_at_false_checkpoint(domain, clock, market, feed) for feed in feeds if feed.market == this_market]


def end_at_false_checkpoint(domain: Domain, clock: Clock, market: Market, feed: Feed) -> Feed:
    """A feed as its Checkpoints leave it: the first false one that stands kills the session. Spec: [FEED-14]."""
    for number, entry in enumerate(feed.standing):
        if has_false_checkpoint(domain, clock, market, feed, number):
            return replace(feed, standing=feed.standing[:number], forked_seq=entry.seq)
    return feed


def has_false_checkpoint(domain: Domain, clock: Clock, market: Market, feed: Feed, number: int) -> bool:
    """Say whether a standing entry has a Checkpoint out of place, or one that lists anything else than is so."""
    items = feed.standing[number].items
    places = [index for index, item in enumerate(items) if item[0] == CHECKPOINT]
    if not places:
        return False
    if places != [len(items) - 1]:
        return True
    _, next_nonce, live_orders, own_offers, own_tickets = items[-1]
    said = Checkpoint(
        next_nonce=next_nonce,
        live_orders=tuple(live_orders),
        own_offers=tuple(own_offers),
        own_tickets=tuple(own_tickets),
    )
    before = [*feed.standing[:number], replace(feed.standing[number], items=items[:-1])]
    return said != implied(domain, clock, market, replace(feed, standing=tuple(before), forked_seq=None))


def implied(domain: Domain, clock: Clock, market: Market, feed: Feed) -> Checkpoint:
    """What a feed implies, of itself alone, after its last item and at its last claimed epoch. Spec: [FEED-13]."""
    epoch = feed.standing[-1].epoch
    orders = {order.order_id: order for order in orders_of(domain, clock, market, feed, epoch)}
    nonces = [order_from(item[1]).nonce for entry in feed.standing for item in entry.items if item[0] == ORDER]
    return Checkpoint(
        next_nonce=1 + max(nonces, default=-1),
        live_orders=tuple(
            sorted(
                order_id
                for order_id, order in orders.items()
                if not (order.is_void or order.is_cancelled or has_ended(clock, order, epoch))
            )
        ),
        own_offers=tickets_that_count(domain, clock, feed, orders, OFFER),
        own_tickets=tickets_that_count(domain, clock, feed, orders, TICKET),
    )


def tickets_that_count(
    domain: Domain, clock: Clock, feed: Feed, orders: dict[Digest, Placed], tag: int
) -> tuple[Digest, ...]:
    """Digests of the Offers or TicketItems of a feed that count and whose tickets are not over. Spec: [FEED-13]."""
    now_s = epoch_start_s(clock, feed.standing[-1].epoch)
    found: set[Digest] = set()
    for entry in feed.standing:
        for index, item in enumerate(entry.items):
            if item[0] == tag and does_count(domain, clock, entry, index, orders):
                ticket = ticket_from(item[1])
                if ticket.deadline >= now_s:
                    found.add(digest(domain, "Ticket", ticket))
    return tuple(sorted(found))


def does_count(domain: Domain, clock: Clock, entry: Entry, index: int, orders: dict[Digest, Placed]) -> bool:
    """Say whether an Offer or a TicketItem of a living feed counts. Spec: [HOLD-1], [HOLD-2]."""
    if entry.items[index][0] == OFFER:
        return holds_of_offer(domain, clock, entry, index, orders) != []
    return holds_of_ticket_item(domain, clock, entry, index, orders, is_session_dead=False) != []
