"""Which starts of a feed are refused though nothing is known of what came before them.

Spec: protocol/spec/02-feeds.md [FEED-16].
"""

from dataclasses import replace

from protocol.reference.cbor import RefusedError
from protocol.reference.checkpoints import HASHES_MAX, is_listed, items_that_count
from protocol.reference.feeds import (
    OFFER,
    ORDER,
    TICKET,
    Entry,
    Feed,
    Start,
    opens_with_its_only_delegation,
    read_start,
)
from protocol.reference.holds import ticket_from
from protocol.reference.orders import Placed, has_tradable_form, orders_of
from protocol.reference.signing import market_id
from protocol.reference.types import Clock, Domain, Market


def read_possible_start(domain: Domain, clock: Clock, market: Market, start: Start) -> Entry:
    """A base from a start that may be true: whether it is, only those can say who hold what came before.

    Raises:
        RefusedError: if the bodies are not those that its Checkpoint lists, or if it lists what no true one can.
    """
    base = read_start(domain, start)
    opening = replace(base, items=(base.listing.delegation,)) if base.listing is not None else base
    if base.market != market_id(domain, market) or not opens_with_its_only_delegation(domain, opening):
        raise RefusedError("FEED-16", "expected a feed of this market and its Delegation, was another")
    feed = Feed(session=base.session, market=base.market, known=(), standing=(base,), forked_seq=None)
    orders = {order.order_id: order for order in orders_of(domain, clock, market, feed, base.epoch)}
    said = [item[0] for item in base.items]
    if len(said) > HASHES_MAX or len(orders) != said.count(ORDER):
        raise RefusedError("FEED-16", "expected orders of this feed, each once, and no more than fit, were others")
    if not all(may_be_listed(clock, market, base, order) for order in orders.values()):
        raise RefusedError("FEED-16", "expected orders that can stand, and live ones that are not over, were others")
    offers, tickets = (items_that_count(domain, clock, [base], orders, tag) for tag in (OFFER, TICKET))
    if (len(offers), len(tickets)) != (said.count(OFFER), said.count(TICKET)):
        raise RefusedError("FEED-16", "expected one item of each ticket, that counts and is not over, were others")
    named = {ticket_from(item[1]).taker_order for item in offers} | {
        ticket_from(item[1]).maker_order for item in tickets
    }
    if not all(order.order_id in named for order in orders.values() if order.is_ended):
        raise RefusedError("FEED-16", "expected ended orders that a ticket names, was one that none does")
    return base


def may_be_listed(clock: Clock, market: Market, base: Entry, order: Placed) -> bool:
    """Say whether an order can have stood, and is where it can be: live ones are neither over nor short-lived."""
    next_nonce = base.listing.next_nonce if base.listing is not None else 0
    can_stand = not order.is_void and has_tradable_form(market, order.order) and order.order.nonce < next_nonce
    return can_stand and (order.is_ended or is_listed(clock, order, base.epoch))
