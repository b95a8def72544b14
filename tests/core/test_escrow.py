"""Trades by escrow: terms that follow from a ticket, and what is open to whom."""

from dataclasses import replace

import pytest

from orrange_p2p.core.escrow import (
    EscrowClocks,
    EscrowRecord,
    EscrowState,
    EscrowStep,
    EscrowTrade,
    cancel_penalty,
    escrow_trade,
    open_steps,
    turn_ends_s,
)
from orrange_p2p.core.types import (
    Address,
    Epoch,
    Market,
    MarketId,
    Order,
    OrderId,
    OrderKind,
    Side,
    Signature,
    SignedOrder,
    SignedTrade,
    Ticket,
    TicketDigest,
    TicketKind,
    TimeInForce,
)

SELLER, BUYER, ARBITRATOR, STRANGER = (Address(bytes([byte]) * 20) for byte in range(1, 5))
MARKET = Market(base=Address(b"\x0a" * 20), quote=Address(b"\x0b" * 20), lot_size=1_000, tick_size=3, min_fill_lots=1)
MARKET_ID = MarketId(b"\x0c" * 32)
TICKET = TicketDigest(b"\x0d" * 32)
UNSIGNED = Signature(bytes(65))
CLOCKS = EscrowClocks(grace_s=10, pay_s=50, confirm_s=70, arbitration_s=90)
TRADE = EscrowTrade(
    ticket=TICKET,
    market=MARKET_ID,
    seller=SELLER,
    buyer=BUYER,
    base=MARKET.base,
    quote=MARKET.quote,
    base_amount=7_000,
    bond_amount=16,  # 15 % of 5 ticks * 3 units * 7 lots = 105, rounded up
    payment_method=9,
    arbitrator=ARBITRATOR,
    security=2,
    matched_at_s=77,
)


def order(owner: Address, side: Side) -> SignedOrder:
    """An order in lane 2."""
    terms = Order(
        market=MARKET_ID,
        owner=owner,
        session=owner,
        nonce=1,
        side=side,
        kind=OrderKind.LIMIT,
        price_ticks=5,
        quantity_lots=20,
        tif=TimeInForce.GTC,
        expiry_s=0,
        payment_methods=(9,),
        arbitrators=(ARBITRATOR,),
        security=2,
    )
    return SignedOrder(order=terms, signature=UNSIGNED)


def in_state(state: EscrowState) -> EscrowRecord:
    """A record that came into a state at 100."""
    return EscrowRecord(state=state, since_s=100, commitment=b"")


@pytest.mark.parametrize("maker_sells", [True, False])
def test_terms_follow_from_the_ticket_whoever_makes(*, maker_sells: bool) -> None:
    sell, buy = order(SELLER, Side.SELL), order(BUYER, Side.BUY)
    ticket = Ticket(
        maker_order=OrderId(bytes(32)),
        taker_order=OrderId(bytes(32)),
        price_ticks=5,
        maker_from=3,
        maker_to=10,
        taker_from=0,
        taker_to=7,
        epoch=Epoch(1),
        deadline_s=99,
        ticket_nonce=4,
        kind=TicketKind.ESCROW,
        payment_method=9,
        arbitrator=ARBITRATOR,
        security=2,
    )
    trade = SignedTrade(
        market=MARKET,
        maker=sell if maker_sells else buy,
        taker=buy if maker_sells else sell,
        ticket=ticket,
        maker_signature=UNSIGNED,
        taker_signature=UNSIGNED,
    )
    assert escrow_trade(trade, TICKET, 77) == TRADE


def test_nothing_is_open_before_a_trade_or_after_its_end() -> None:
    for state in (EscrowState.NONE, EscrowState.RELEASED, EscrowState.RESOLVED, EscrowState.CANCELLED):
        assert turn_ends_s(in_state(state), CLOCKS) is None
        for caller in (SELLER, BUYER, ARBITRATOR, STRANGER):
            assert open_steps(TRADE, in_state(state), CLOCKS, caller, 10_000) == frozenset()


@pytest.mark.parametrize(
    ("state", "ends_s", "before", "after"),
    [
        (EscrowState.OPEN, 150, set(), {EscrowStep.CANCEL}),
        (EscrowState.PAID, 170, set(), {EscrowStep.DISPUTE}),
        (EscrowState.DISPUTED, 190, set(), {EscrowStep.RESOLVE_BY_DEFAULT}),
    ],
)
def test_a_stranger_acts_from_the_second_on_in_which_a_turn_ends(
    state: EscrowState, ends_s: int, before: set[EscrowStep], after: set[EscrowStep]
) -> None:
    assert turn_ends_s(in_state(state), CLOCKS) == ends_s
    assert open_steps(TRADE, in_state(state), CLOCKS, STRANGER, ends_s - 1) == before
    assert open_steps(TRADE, in_state(state), CLOCKS, STRANGER, ends_s) == after


def test_duties_end_strictly_before_the_turn_does() -> None:
    cases = ((EscrowState.OPEN, BUYER, EscrowStep.MARK_PAID), (EscrowState.DISPUTED, ARBITRATOR, EscrowStep.RESOLVE))
    for state, caller, step in cases:
        ends_s = turn_ends_s(in_state(state), CLOCKS)
        assert ends_s is not None
        assert step in open_steps(TRADE, in_state(state), CLOCKS, caller, ends_s - 1)
        assert step not in open_steps(TRADE, in_state(state), CLOCKS, caller, ends_s)


def test_what_a_cancel_costs_grows_with_time() -> None:
    trade = replace(TRADE, bond_amount=7)
    opened, paid = in_state(EscrowState.OPEN), in_state(EscrowState.PAID)
    costs = [cancel_penalty(trade, opened, CLOCKS, now_s) for now_s in (100, 109, 110, 149, 150)]
    assert costs == [0, 0, 4, 4, 7]
    assert [cancel_penalty(trade, paid, CLOCKS, now_s) for now_s in (100, 1_000)] == [4, 4]
