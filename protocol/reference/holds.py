"""Which lots are spoken for: holds of Offers and TicketItems, and what they leave free.

Spec: protocol/spec/03-orders.md [HOLD-1..7].
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from protocol.reference.chain import ChainView, settled_lots
from protocol.reference.feeds import OFFER, TICKET, Entry, Feed
from protocol.reference.orders import Placed, counted_entries
from protocol.reference.signing import digest, recover
from protocol.reference.types import Clock, Digest, Domain, LotRange, Ready, Ticket, epoch_start_s

READY_EPOCHS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The lots [first, second) of an order, held by a ticket until its deadline.

    Attributes:
        claimed_epoch: The epoch of the entry that says so.
        is_promised: Whether it is the maker's side of an Offer, held by the Ready inside.
    """

    order_id: Digest
    lots: LotRange
    ticket_digest: Digest
    ticket: Ticket
    claimed_epoch: int
    is_promised: bool = False


def read_holds(
    domain: Domain, clock: Clock, feeds: Iterable[Feed], placed: Mapping[Digest, Placed], epoch: int
) -> list[Hold]:
    """Every hold that the feeds of a market make for an epoch, live or not. Spec: [HOLD-1], [HOLD-2], [HOLD-6].

    A dead session's TicketItems stand wherever they are, as long as their entry does not claim a later epoch.
    """
    holds: list[Hold] = []
    for feed in feeds:
        for entry in counted_entries(feed, epoch):
            for index, item in enumerate(entry.items):
                if item[0] == OFFER:
                    holds += holds_of_offer(domain, clock, entry, index, placed)
        for entry in entries_with_tickets(feed, epoch):
            for index, item in enumerate(entry.items):
                if item[0] == TICKET:
                    holds += holds_of_ticket_item(domain, clock, entry, index, placed, is_session_dead=feed.is_dead)
    return holds


def entries_with_tickets(feed: Feed, epoch: int) -> list[Entry]:
    """The entries whose TicketItems may hold: of a dead session all that are known. Spec: [FEED-6], [HOLD-6]."""
    if not feed.is_dead:
        return counted_entries(feed, epoch)
    return [entry for entry in feed.known if entry.epoch <= epoch]


def holds_of_offer(
    domain: Domain, clock: Clock, entry: Entry, index: int, placed: Mapping[Digest, Placed]
) -> list[Hold]:
    """What an Offer holds: the taker's lots, and the maker's if the maker was ready. Spec: [HOLD-1]."""
    _, ticket_fields, taker_signature, ready_epoch, ready_signature = entry.items[index]
    ticket = ticket_from(ticket_fields)
    ticket_digest = digest(domain, "Ticket", ticket)
    ready_signer = recover(digest(domain, "Ready", Ready(ticket=ticket_digest, epoch=ready_epoch)), ready_signature)
    taker_order, maker_order = placed.get(ticket.taker_order), placed.get(ticket.maker_order)
    counts = (
        recover(ticket_digest, taker_signature) == entry.session
        and stands_before(entry, index, taker_order)
        and ready_signer is not None
        and ticket.epoch == ready_epoch
        and (entry.listing is not None or ready_epoch <= entry.epoch <= ready_epoch + READY_EPOCHS)
        and is_ticket_sensible(clock, ticket)
    )
    if not counts:
        return []
    holds = [taker_hold(ticket, ticket_digest, entry.epoch)]
    if maker_order is not None and maker_order.order.session == ready_signer:
        holds.append(replace(maker_hold(ticket, ticket_digest, entry.epoch), is_promised=True))
    return holds


def holds_of_ticket_item(
    domain: Domain,
    clock: Clock,
    entry: Entry,
    index: int,
    placed: Mapping[Digest, Placed],
    *,
    is_session_dead: bool,
) -> list[Hold]:
    """What a TicketItem holds: the maker's lots, and the taker's if the taker signed. Spec: [HOLD-2].

    A dead session's ticket binds its counterparty alone, its own orders are void. Spec: [HOLD-6].
    """
    _, ticket_fields, taker_signature, maker_signature = entry.items[index]
    ticket = ticket_from(ticket_fields)
    ticket_digest = digest(domain, "Ticket", ticket)
    taker_signer = recover(ticket_digest, taker_signature)
    taker_order, maker_order = placed.get(ticket.taker_order), placed.get(ticket.maker_order)
    counts = (
        recover(ticket_digest, maker_signature) == entry.session
        and (is_session_dead or stands_before(entry, index, maker_order))
        and ticket.epoch <= entry.epoch
        and (entry.listing is not None or epoch_start_s(clock, entry.epoch) <= ticket.deadline)
        and is_ticket_sensible(clock, ticket)
    )
    if not counts:
        return []
    holds: list[Hold] = []
    if maker_order is not None and maker_order.order.session == entry.session and not is_session_dead:
        holds.append(maker_hold(ticket, ticket_digest, entry.epoch))
    if taker_order is not None and taker_order.order.session == taker_signer:
        holds.append(taker_hold(ticket, ticket_digest, entry.epoch))
    return holds


def stands_before(entry: Entry, index: int, order: Placed | None) -> bool:
    """Say whether an order is one of the entry's own feed, earlier there and not void. Spec: [HOLD-1], [HOLD-2]."""
    return (
        order is not None
        and order.order.session == entry.session
        and order.place < (entry.seq, index)
        and not order.is_void
    )


def ticket_from(fields: Sequence[Any]) -> Ticket:
    """The Ticket that a nested array of the wire says."""
    return Ticket(**dict(zip(Ticket.__dataclass_fields__, fields, strict=True)))


def maker_hold(ticket: Ticket, ticket_digest: Digest, claimed_epoch: int) -> Hold:
    """The maker's side of a ticket as a hold."""
    lots = (ticket.maker_from, ticket.maker_to)
    return Hold(
        order_id=ticket.maker_order,
        lots=lots,
        ticket_digest=ticket_digest,
        ticket=ticket,
        claimed_epoch=claimed_epoch,
    )


def taker_hold(ticket: Ticket, ticket_digest: Digest, claimed_epoch: int) -> Hold:
    """The taker's side of a ticket as a hold."""
    lots = (ticket.taker_from, ticket.taker_to)
    return Hold(
        order_id=ticket.taker_order,
        lots=lots,
        ticket_digest=ticket_digest,
        ticket=ticket,
        claimed_epoch=claimed_epoch,
    )


def is_ticket_sensible(clock: Clock, ticket: Ticket) -> bool:
    """Say whether both sides trade the same lots, at a price, for a while that is not too long. Spec: [HOLD-3]."""
    start_s = epoch_start_s(clock, ticket.epoch)
    return (
        ticket.maker_to - ticket.maker_from == ticket.taker_to - ticket.taker_from
        and ticket.maker_to - ticket.maker_from >= 1
        and ticket.price_ticks >= 1
        and start_s <= ticket.deadline <= start_s + clock.constants.d
    )


def is_live_hold(view: ChainView, hold: Hold) -> bool:
    """Say whether a ticket can still settle as the chain's clock goes. Spec: [HOLD-4]."""
    return view.live_from_s <= hold.ticket.deadline


def free_lots(view: ChainView, placed: Placed, live_holds: Iterable[Hold]) -> list[LotRange]:
    """The lots of an order that are neither settled nor held, ascending and maximal. Spec: [HOLD-5]."""
    taken = settled_lots(view, placed.order_id, placed.order)
    taken += [hold.lots for hold in live_holds if hold.order_id == placed.order_id]
    free: list[LotRange] = []
    cursor = 0
    for first, second in sorted(taken):
        upper = min(first, placed.order.quantity_lots)
        if upper > cursor:
            free.append((cursor, upper))
        cursor = max(cursor, second)
    if cursor < placed.order.quantity_lots:
        free.append((cursor, placed.order.quantity_lots))
    return free


def count_lots(ranges: Iterable[LotRange]) -> int:
    """How many lots ranges hold."""
    return sum(second - first for first, second in ranges)
