"""Which of a session's own lots may be signed for: what overlaps, even in part, may not. Spec: [TICK-7], [TICK-10]."""

import pytest

from orrange_p2p.core.own_lots import Claim, OwnLots
from orrange_p2p.core.ranges import Range
from orrange_p2p.core.types import Address, Epoch, OrderId, Ticket, TicketDigest

ORDER, OTHER = OrderId(b"\x01" * 32), OrderId(b"\x02" * 32)
FIRST, SECOND = TicketDigest(b"\x0a" * 32), TicketDigest(b"\x0b" * 32)
START_S, DEADLINE_S = 1000, 1060


def locked(claim: Claim, lots: Range = (4, 8)) -> OwnLots:
    """Lots of an order under a first ticket."""
    ticket = Ticket(
        maker_order=ORDER,
        taker_order=OTHER,
        price_ticks=1,
        maker_from=lots[0],
        maker_to=lots[1],
        taker_from=0,
        taker_to=lots[1] - lots[0],
        epoch=Epoch(5),
        deadline_s=DEADLINE_S,
        ticket_nonce=1,
    )
    own_lots = OwnLots()
    own_lots.lock(ORDER, lots, ticket, FIRST, claim)
    return own_lots


@pytest.mark.parametrize("claim", Claim)
@pytest.mark.parametrize("lots", [(4, 8), (7, 8), (7, 12), (0, 5), (5, 6), (0, 20)])
def test_lots_that_overlap_locked_ones_in_any_way_are_not_free(claim: Claim, lots: Range) -> None:
    assert not locked(claim).is_free(ORDER, lots, START_S)


@pytest.mark.parametrize("claim", Claim)
@pytest.mark.parametrize("lots", [(0, 4), (8, 9), (8, 20)])
def test_lots_beside_locked_ones_are_free(claim: Claim, lots: Range) -> None:
    assert locked(claim).is_free(ORDER, lots, START_S)


@pytest.mark.parametrize("claim", Claim)
def test_locks_bind_their_own_order_and_no_second_ticket_of_the_same_lots(claim: Claim) -> None:
    own_lots = locked(claim)
    assert own_lots.is_free(OTHER, (4, 8), START_S)
    assert own_lots.is_free(ORDER, (4, 8), START_S, besides=FIRST)
    assert not own_lots.is_free(ORDER, (4, 8), START_S, besides=SECOND)


@pytest.mark.parametrize(("start_s", "is_free"), [(DEADLINE_S - 1, False), (DEADLINE_S, False), (DEADLINE_S + 1, True)])
def test_signed_lots_are_free_for_a_ticket_that_starts_after_the_deadline(start_s: int, is_free: bool) -> None:
    assert locked(Claim.SIGNED).is_free(ORDER, (4, 8), start_s) is is_free


def test_what_is_signed_is_not_released_and_what_is_promised_is() -> None:
    for claim in Claim:
        own_lots = locked(claim)
        own_lots.release(ORDER, FIRST)
        assert own_lots.is_free(ORDER, (4, 8), START_S) is (claim is not Claim.SIGNED)


def test_a_takers_nonce_belongs_to_the_first_ticket_that_it_was_signed_for() -> None:
    own_lots, taker = OwnLots(), Address(b"\x0c" * 20)
    assert own_lots.claim_nonce(taker, 7, FIRST)
    assert own_lots.claim_nonce(taker, 7, FIRST)
    assert not own_lots.claim_nonce(taker, 7, SECOND)
    assert own_lots.claim_nonce(taker, 8, SECOND)
