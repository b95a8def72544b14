"""From a complete ticket to the chain: who submits when, and what ends the wait. Spec: [TICK-1], [TICK-13]."""

from dataclasses import replace

import pytest
from kernel_world import DIGESTS, GENESIS_MS, MARKET, RULES

from orrange_p2p.core.events import Note, Settle
from orrange_p2p.core.facts import BlockFacts, Fact, TradeSettled, TradeSkipped
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.matching import Piece
from orrange_p2p.core.settling import Settling
from orrange_p2p.core.tickets import build_ticket
from orrange_p2p.core.types import (
    Address,
    Digest,
    Epoch,
    Order,
    OrderKind,
    Side,
    Signature,
    SignedOrder,
    SignedTrade,
    TicketDigest,
    TimeInForce,
)

WAIT_S = RULES.preset.ticket_life_s // 3
LOTS = {"maker_from": 0, "maker_to": 3, "taker_from": 0, "taker_to": 3}


def signed(side: Side) -> SignedOrder:
    order = Order(
        market=RULES.market_id,
        owner=Address(bytes([side + 1]) * 20),
        session=Address(bytes([side + 11]) * 20),
        nonce=1,
        side=side,
        kind=OrderKind.LIMIT,
        price_ticks=100,
        quantity_lots=3,
        tif=TimeInForce.GTC,
        expiry_s=0,
    )
    return SignedOrder(order=order, signature=Signature(bytes(65)))


MAKER, TAKER = signed(Side.SELL), signed(Side.BUY)
IDS = {"maker_order": DIGESTS.order(MAKER.order), "taker_order": DIGESTS.order(TAKER.order)}
TICKET = build_ticket(Piece(price_ticks=100, **IDS, **LOTS), Epoch(0), 0, RULES, maker=MAKER.order, taker=TAKER.order)
DIGEST = TicketDigest(DIGESTS.ticket(TICKET))
TRADE = SignedTrade(
    market=MARKET,
    maker=MAKER,
    taker=TAKER,
    ticket=TICKET,
    maker_signature=Signature(bytes(65)),
    taker_signature=Signature(bytes(65)),
)


class Desk:
    """A ledger and what waits to settle."""

    def __init__(self, *, is_maker: bool) -> None:
        self.ledger = Ledger({RULES.market_id: MARKET})
        self.settling = Settling(self.ledger, DIGESTS, RULES.preset.ticket_life_s)
        self.add_block(GENESIS_MS // 1000)
        self.settling.add(DIGEST, TRADE, is_maker=is_maker, now_ms=GENESIS_MS)

    def add_block(self, time_s: int, *facts: Fact) -> None:
        last = self.ledger.last_block
        number, parent = (last.number + 1, last.hash) if last is not None else (1, Digest(bytes(32)))
        block_hash = Digest(number.to_bytes(32, "big"))
        self.ledger.add(BlockFacts(number=number, hash=block_hash, parent_hash=parent, time_s=time_s, facts=facts))

    def due_after_ms(self, after_ms: int) -> list[object]:
        return list(self.settling.on_tick(GENESIS_MS + after_ms))


def settled() -> TradeSettled:
    return TradeSettled(
        ticket=DIGEST,
        market=RULES.market_id,
        maker_owner=MAKER.order.owner,
        taker_owner=TAKER.order.owner,
        is_maker_buyer=False,
        price_ticks=100,
        **IDS,
        **LOTS,
    )


def test_the_maker_submits_at_once_and_once() -> None:
    desk = Desk(is_maker=True)
    assert desk.due_after_ms(0) == [Settle(trade=TRADE, digest=DIGEST)]
    assert desk.due_after_ms(WAIT_S * 2000) == []


def test_the_taker_submits_after_a_third_of_the_tickets_life_if_the_chain_has_not_shown_it() -> None:
    desk = Desk(is_maker=False)
    assert desk.due_after_ms(WAIT_S * 1000 - 1) == []
    assert desk.due_after_ms(WAIT_S * 1000) == [Settle(trade=TRADE, digest=DIGEST)]


@pytest.mark.parametrize("is_maker", [False, True])
def test_what_the_chain_has_settled_is_told_once_and_not_submitted(is_maker: bool) -> None:
    desk = Desk(is_maker=is_maker)
    desk.add_block(GENESIS_MS // 1000 + 1, settled())
    assert desk.due_after_ms(1500) == [Note(name="settled", details=(("ticket", DIGEST.hex()), ("after_ms", 1500)))]
    assert len(desk.settling) == 0
    assert desk.due_after_ms(WAIT_S * 1000) == []


@pytest.mark.parametrize("reason", [0, 8])
def test_a_ticket_past_its_deadline_is_given_up_with_the_contracts_reason(reason: int) -> None:
    desk = Desk(is_maker=False)
    if reason:
        desk.add_block(GENESIS_MS // 1000 + 1, TradeSkipped(ticket=DIGEST, reason=reason))
    desk.add_block(TICKET.deadline_s)
    desk.due_after_ms(0)
    assert (len(desk.settling), desk.settling.missed) == (1, [])
    desk.add_block(TICKET.deadline_s + 1)
    details = (("ticket", DIGEST.hex()), ("skip_reason", reason))
    assert desk.due_after_ms(0) == [Note(name="settlement_missed", details=details)]
    assert (len(desk.settling), desk.settling.missed) == (0, [DIGEST])


def bystander(*, is_told: bool = True, trade: SignedTrade = TRADE) -> Desk:
    """Who has no part in the ticket, which it holds complete."""
    desk = Desk(is_maker=True)
    desk.settling = Settling(desk.ledger, DIGESTS, RULES.preset.ticket_life_s)
    desk.settling.settles_for_others = is_told
    desk.settling.add_other(DIGEST, trade, now_ms=GENESIS_MS)
    return desk


def test_a_bystander_submits_once_what_both_parties_left_lying_for_two_thirds_of_its_life() -> None:
    """Spec: [TICK-13]."""
    desk = bystander()
    assert desk.due_after_ms(WAIT_S * 2000 - 1) == []
    assert desk.due_after_ms(WAIT_S * 2000) == [Settle(trade=TRADE, digest=DIGEST)]
    assert desk.due_after_ms(WAIT_S * 3000) == []
    assert len(desk.settling) == 0


def test_a_bystander_submits_nothing_that_is_over_or_a_leg_or_unasked() -> None:
    desk = bystander()
    desk.add_block(GENESIS_MS // 1000 + 1, settled())
    assert desk.due_after_ms(WAIT_S * 2000) == []
    desk.settling.add_other(DIGEST, TRADE, now_ms=GENESIS_MS)
    assert desk.due_after_ms(WAIT_S * 4000) == []
    late = bystander()
    late.add_block(TICKET.deadline_s + 1)
    assert late.due_after_ms(WAIT_S * 2000) == []
    leg = replace(TRADE, ticket=replace(TICKET, group=Digest(b"\x01" * 32)))
    assert bystander(trade=leg).due_after_ms(WAIT_S * 2000) == []
    assert bystander(is_told=False).due_after_ms(WAIT_S * 2000) == []
