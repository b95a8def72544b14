"""Which Offers and TicketItems hold lots, and of which orders.

Spec: protocol/spec/03-orders.md [HOLD-1..4].
"""

from orrange_p2p.core.feed import HoldRecord
from orrange_p2p.core.messages import Offer
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import Address, Epoch, OrderId, Ticket
from orrange_p2p.core.verify import VerifiedOffer, VerifiedTicket


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


def live_from_s(rules: MarketRules, block_time_s: int, epoch: Epoch) -> int:
    """The earliest deadline with which a ticket can still settle, at an epoch whose fund block has that time.

    No block after an epoch's fund block is as early as `epoch_start - l_fund`. Spec: [HOLD-4], [FUND-5].
    """
    return max(block_time_s, rules.epoch_start_s(epoch) - rules.preset.fund_lag_s)
