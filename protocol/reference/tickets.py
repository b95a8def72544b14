"""From a piece to the ticket that both sides sign, and from a FOK order's tickets to their group: the pure part.

Spec: protocol/spec/05-tickets.md [TICK-1], [TICK-14], [TICK-15].
"""

from collections.abc import Sequence
from dataclasses import replace

from protocol.reference.matching import Piece, common_arbitrators
from protocol.reference.signing import digest, keccak
from protocol.reference.types import (
    ATOMIC,
    ESCROW,
    FOK,
    ZERO_ADDRESS,
    ZERO_DIGEST,
    Clock,
    Digest,
    Domain,
    Order,
    Ticket,
    epoch_start_s,
)

MAX_LEGS = 16


def ticket_of(piece: Piece, clock: Clock, epoch: int, ticket_nonce: int, maker: Order, taker: Order) -> Ticket:
    """The one ticket of a piece in an epoch, given the taker session's next nonce; a leg's group is left zero.

    Orders that list no common payment method or arbitrator are not compatible: nobody asks for their ticket.
    Spec: [TICK-1].
    """
    is_escrow = maker.security != 0
    methods = [method for method in maker.payment_methods if method in taker.payment_methods]
    arbitrators = common_arbitrators(maker, taker)
    return Ticket(
        maker_order=piece.maker_order,
        taker_order=piece.taker_order,
        price_ticks=piece.price_ticks,
        maker_from=piece.maker_from,
        maker_to=piece.maker_to,
        taker_from=piece.taker_from,
        taker_to=piece.taker_to,
        epoch=epoch,
        deadline=epoch_start_s(clock, epoch) + (clock.constants.d // 2 if taker.tif == FOK else clock.constants.d),
        ticket_nonce=ticket_nonce,
        kind=ESCROW if is_escrow else ATOMIC,
        payment_method=methods[0] if is_escrow and methods else 0,
        arbitrator=arbitrators[0] if is_escrow and arbitrators else ZERO_ADDRESS,
        security=maker.security,
        group=ZERO_DIGEST,
    )


def group_of(domain: Domain, legs: Sequence[Ticket]) -> Digest:
    """What the legs of a FOK order hash to, in whatever order they are listed. Spec: [TICK-14]."""
    return keccak(b"".join(sorted(digest(domain, "Ticket", replace(leg, group=ZERO_DIGEST)) for leg in legs)))


def is_group(domain: Domain, legs: Sequence[Ticket], taker: Order) -> bool:
    """Whether these tickets are all the legs of a FOK order, and nothing else. Spec: [TICK-14]."""
    if taker.tif != FOK or not 1 <= len(legs) <= MAX_LEGS:
        return False
    if any(leg.taker_order != digest(domain, "Order", taker) for leg in legs):
        return False
    at = 0
    for leg in sorted(legs, key=lambda leg: leg.taker_from):
        if leg.taker_from != at or leg.taker_to <= at:
            return False
        at = leg.taker_to
    return at == taker.quantity_lots and all(leg.group == group_of(domain, legs) for leg in legs)


def may_answer_ready(ticket: Ticket, pieces: Sequence[Piece], taker: Order) -> bool:
    """Whether a maker that sees these entitlements keeps the lots of a ticket. Spec: [TICK-3], [TICK-15]."""
    of_taker = [piece for piece in pieces if piece.taker_order == ticket.taker_order]
    is_leg = ticket.group != ZERO_DIGEST
    if is_leg != (taker.tif == FOK) or not any(_is_of(ticket, piece) for piece in of_taker):
        return False
    return not is_leg or sum(piece.taker_to - piece.taker_from for piece in of_taker) == taker.quantity_lots


def _is_of(ticket: Ticket, piece: Piece) -> bool:
    names = ("maker_order", "price_ticks", "maker_from", "maker_to", "taker_from", "taker_to")
    return all(getattr(ticket, name) == getattr(piece, name) for name in names)
