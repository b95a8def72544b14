"""Which makers promised lots and then said no more.

Spec: protocol/spec/03-orders.md [HOLD-7].
"""

from collections.abc import Iterable, Mapping

from protocol.reference.chain import ChainView
from protocol.reference.feeds import DECLINE, TICKET, Feed
from protocol.reference.holds import Hold, ticket_from
from protocol.reference.orders import Placed, counted_entries
from protocol.reference.signing import digest
from protocol.reference.types import Address, Digest, Domain

SILENT_EPOCHS = 4


def silent_sessions(
    domain: Domain,
    view: ChainView,
    feeds: Iterable[Feed],
    placed: Mapping[Digest, Placed],
    live_holds: Iterable[Hold],
    epoch: int,
) -> set[Address]:
    """The sessions that owe an answer to an Offer which carries their Ready. Spec: [HOLD-7]."""
    answers = {feed.session: answers_in(domain, feed, epoch) for feed in feeds}
    settled = [trade.ticket for trade in view.trades]
    silent: set[Address] = set()
    for hold in live_holds:
        maker = placed[hold.order_id] if hold.is_promised else None
        if (
            maker is None
            or maker.is_void
            or hold.ticket_digest in settled
            or hold.claimed_epoch > epoch - SILENT_EPOCHS
        ):
            continue
        ticket = hold.ticket
        owed = [[hold.ticket_digest], [ticket.maker_order, ticket.taker_order, ticket.epoch]]
        if all(answer not in answers[maker.order.session] for answer in owed):
            silent.add(maker.order.session)
    return silent


def answers_in(domain: Domain, feed: Feed, epoch: int) -> list[list[object]]:
    """What a feed answers: the digests of its TicketItems, and the pair and ticket epoch of its Declines."""
    items = [item for entry in counted_entries(feed, epoch) for item in entry.items]
    tickets: list[list[object]] = [
        [digest(domain, "Ticket", ticket_from(item[1]))] for item in items if item[0] == TICKET
    ]
    return tickets + [list(item[1:4]) for item in items if item[0] == DECLINE]
