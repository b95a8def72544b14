"""Pieces read back turn by turn: what every order found resting when it entered, and what it did with it.

Nothing is decided here. A book's entitlements are told as the turns of its orders, so that a test can say what must
hold of each turn. Only for books without parked pairs, whose orders enter once and in one order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from protocol.reference import matching as reference
from protocol.reference.holds import count_lots
from protocol.reference.matching import Piece, Standing
from protocol.reference.types import BUY, FOK, IOC
from tests.core.bare import Bare

Fills = list[tuple[bytes, int]]


@dataclass(frozen=True)
class Turn:
    """One order's entry.

    Attributes:
        entrant: The order, and with how many lots it came.
        before: Lots left of every order that had entered, the entrant's own included.
        resting: Compatible orders with lots left that it crosses, best first.
        fills: Whom it met, in order, and for how many lots in all.
        pieces: The same, piece by piece.
    """

    entrant: Standing
    before: dict[bytes, int]
    resting: list[Standing]
    fills: Fills
    pieces: list[Piece]

    @property
    def is_refused(self) -> bool:
        """Whether a post-only order met one of its own epoch, so that it did not enter. Spec: [MATCH-9]."""
        return self.entrant.order.post_only and any(one.effective == self.entrant.effective for one in self.resting)


def without_parking(bare: Bare) -> Bare:
    """The same book while no pair has stood for too long."""
    return replace(bare, parked_after=bare.book.epoch)


def crosses(one: Standing, other: Standing) -> bool:
    """Whether the limits of two orders of different sides allow a price."""
    if one.order.side == other.order.side:
        return False
    bid, ask = (one.order, other.order) if one.order.side == BUY else (other.order, one.order)
    return bid.price_ticks >= ask.price_ticks


def can_meet(bare: Bare, one: Standing, other: Standing) -> bool:
    """Whether two orders cross and may meet."""
    return crosses(one, other) and reference.is_compatible(one.order, other.order, bare.period, bare.skips)


def worth(standing: Standing) -> tuple[object, ...]:
    """Spelled out once more from [MATCH-4]: price, tier, epoch, rank, session, nonce; the least is the best."""
    effective, falling_tier, turn, session, nonce = standing.key
    price_ticks = standing.order.price_ticks
    return (-price_ticks if standing.order.side == BUY else price_ticks, falling_tier, effective, turn, session, nonce)


def turns(bare: Bare, pieces: Iterable[Piece]) -> Iterator[Turn]:
    """The turns of all orders of a book, lane by lane, as its pieces tell them."""
    told = list(pieces)
    for lane in reference.LANES:
        entering = reference.in_lane(reference.entering_orders(bare.book, bare.assignment, bare.period), lane)
        place = {standing.row.order_id: at for at, standing in enumerate(entering)}
        left: dict[bytes, int] = {}
        rests: list[Standing] = []
        for at, entrant in enumerate(entering):
            left[entrant.row.order_id] = count_lots(entrant.left)
            mine = [
                piece
                for piece in told
                if piece.maker_order in place and max(place[piece.maker_order], place[piece.taker_order]) == at
            ]
            found = [one for one in rests if left[one.row.order_id] and can_meet(bare, entrant, one)]
            turn = Turn(entrant, dict(left), sorted(found, key=worth), fills_of(entrant, mine), mine)
            yield turn
            for piece in mine:
                left[piece.maker_order] -= piece.maker_to - piece.maker_from
                left[piece.taker_order] -= piece.taker_to - piece.taker_from
            if entrant.order.tif not in (IOC, FOK) and not turn.is_refused:
                rests.append(entrant)


def fills_of(entrant: Standing, pieces: Iterable[Piece]) -> Fills:
    """Whom an order met and for how many lots, pieces of one fill together."""

    def other(piece: Piece) -> bytes:
        return piece.taker_order if piece.maker_order == entrant.row.order_id else piece.maker_order

    return [(met, sum(piece.maker_to - piece.maker_from for piece in fill)) for met, fill in groupby(pieces, key=other)]
