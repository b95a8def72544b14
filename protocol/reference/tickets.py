"""From a piece to the ticket that both sides sign: the pure part.

Spec: protocol/spec/05-tickets.md [TICK-1].
"""

from protocol.reference.matching import Piece
from protocol.reference.types import ATOMIC, ZERO_ADDRESS, ZERO_DIGEST, Clock, Ticket, epoch_start_s


def ticket_of(piece: Piece, clock: Clock, epoch: int, ticket_nonce: int) -> Ticket:
    """The one ticket of a piece in an epoch, given the taker session's next nonce. Spec: [TICK-1]."""
    return Ticket(
        maker_order=piece.maker_order,
        taker_order=piece.taker_order,
        price_ticks=piece.price_ticks,
        maker_from=piece.maker_from,
        maker_to=piece.maker_to,
        taker_from=piece.taker_from,
        taker_to=piece.taker_to,
        epoch=epoch,
        deadline=epoch_start_s(clock, epoch) + clock.constants.d,
        ticket_nonce=ticket_nonce,
        kind=ATOMIC,
        payment_method=0,
        arbitrator=ZERO_ADDRESS,
        security=0,
        group=ZERO_DIGEST,
    )
