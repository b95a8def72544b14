"""Which Offers and TicketItems hold lots, and of which orders.

Spec: protocol/spec/03-orders.md [HOLD-1..4].
"""

from collections.abc import Container, Sequence

from orrange_p2p.core.codec import MAX_LISTED
from orrange_p2p.core.feed import HoldRecord
from orrange_p2p.core.messages import Offer
from orrange_p2p.core.order_forms import SHORT_LIVED, has_tradable_form
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.starts import Body, Start
from orrange_p2p.core.types import Address, Epoch, OrderId, Ticket
from orrange_p2p.core.verify import VerifiedOffer, VerifiedOrder, VerifiedTicket


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
        if rules.epoch_start_s(entry_epoch) > ticket.deadline_s:
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


def may_be_true(start: Start, rules: MarketRules) -> bool:
    """Whether a true Checkpoint could list that, whatever came before it. Spec: [FEED-13], [FEED-16].

    That it is true nobody can say who lacks what came before; but what is refused here can stand in no feed at all.
    """
    header, (live, ended, tickets) = start.entry.entry.header, start.parts()
    if header.market != rules.market_id:
        return False
    listed: dict[OrderId, None] = {}
    if len(live) + len(ended) + len(tickets) > MAX_LISTED:
        return False
    for body in (*live, *ended):
        if not isinstance(body.item, VerifiedOrder):
            return False
        order = body.item.item.signed.order
        is_good = order.quantity_lots >= rules.market.min_fill_lots and has_tradable_form(order)
        is_good = is_good and body.item.order_id not in listed
        if not is_good or order.nonce >= start.checkpoint.next_nonce:
            return False
        listed[body.item.order_id] = None
    now_s = rules.epoch_start_s(header.epoch)
    if not all(_may_rest(body, now_s) for body in live):
        return False
    if not all(_may_be_listed(body, header.session, listed, now_s, rules) for body in tickets):
        return False
    return _is_each_ticket_once(tickets) and _are_named(ended, tickets)


def _may_rest(body: Body, now_s: int) -> bool:
    if not isinstance(body.item, VerifiedOrder):
        return False
    order = body.item.item.signed.order
    return order.tif not in SHORT_LIVED and (order.expiry_s == 0 or now_s < order.expiry_s)


def _may_be_listed(body: Body, session: Address, listed: Container[OrderId], now_s: int, rules: MarketRules) -> bool:
    if not isinstance(body.item, VerifiedOffer | VerifiedTicket):
        return False
    hold = read_hold(body.item, session, body.item.item.ticket.epoch, rules)
    if hold is None or hold.ticket.deadline_s < now_s - rules.preset.fund_lag_s:
        return False
    return own_side(hold.ticket, is_offer=hold.is_offer) in listed


def _is_each_ticket_once(tickets: Sequence[Body]) -> bool:
    """Whether no two Offers and no two TicketItems are of one ticket."""
    items = [body.item for body in tickets if isinstance(body.item, VerifiedOffer | VerifiedTicket)]
    return len({(type(item), item.ticket_digest) for item in items}) == len(items)


def _are_named(ended: Sequence[Body], tickets: Sequence[Body]) -> bool:
    """Whether each ended order is listed for a ticket of its own."""
    named = {
        own_side(body.item.item.ticket, is_offer=isinstance(body.item, VerifiedOffer))
        for body in tickets
        if isinstance(body.item, VerifiedOffer | VerifiedTicket)
    }
    return all(isinstance(body.item, VerifiedOrder) and body.item.order_id in named for body in ended)


def live_from_s(rules: MarketRules, block_time_s: int, epoch: Epoch) -> int:
    """The earliest deadline with which a ticket can still settle, at an epoch whose fund block has that time.

    No block after an epoch's fund block is as early as `epoch_start - l_fund`. Spec: [HOLD-4], [FUND-5].
    """
    return max(block_time_s, rules.epoch_start_s(epoch) - rules.preset.fund_lag_s)
