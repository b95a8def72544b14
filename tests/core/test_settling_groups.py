"""The legs of a FOK order on their way to the chain: together, once all are tickets. Spec: [TICK-14], [TICK-16]."""

from dataclasses import replace
from itertools import permutations

import pytest
from kernel_world import DIGESTS, GENESIS_MS, MARKET, RULES, Peer, World

from orrange_p2p.core.events import Action, Note, Settle, SettleGroup
from orrange_p2p.core.facts import BlockFacts, Fact, TradeSettled, TradeSkipped
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.matching import Piece
from orrange_p2p.core.messages import TicketItem
from orrange_p2p.core.settling import Settling
from orrange_p2p.core.tickets import MAX_LEGS, build_ticket
from orrange_p2p.core.types import (
    ZERO_DIGEST,
    Address,
    Digest,
    Epoch,
    Order,
    OrderId,
    OrderKind,
    Side,
    Signature,
    SignedOrder,
    SignedTrade,
    Ticket,
    TicketDigest,
    TimeInForce,
)

LIFE_MS = RULES.preset.ticket_life_s * 1000
MAKERS_WAIT_MS = RULES.preset.ticket_life_s // 6 * 1000
NOBODY = Signature(bytes(65))


def order(side: Side, number: int, lots: int) -> SignedOrder:
    """An order of owner `number`; the buyer's is FOK."""
    return SignedOrder(
        order=Order(
            market=RULES.market_id,
            owner=Address(bytes([number]) * 20),
            session=Address(bytes([number + 100]) * 20),
            nonce=1,
            side=side,
            kind=OrderKind.LIMIT,
            price_ticks=100,
            quantity_lots=lots,
            tif=TimeInForce.FOK if side is Side.BUY else TimeInForce.GTC,
            expiry_s=2**33 if side is Side.BUY else 0,
        ),
        signature=NOBODY,
    )


def group_of(tickets: list[Ticket]) -> Digest:
    """By hand: leg digests with a zero group, ascending, hashed."""
    return keccak256(b"".join(sorted(DIGESTS.ticket(replace(ticket, group=ZERO_DIGEST)) for ticket in tickets)))


def make_legs(count: int) -> list[tuple[TicketDigest, SignedTrade]]:
    """The legs of a FOK order, three lots each from makers 1, 2 and so on."""
    taker = order(Side.BUY, 99, 3 * count)
    makers = [order(Side.SELL, number + 1, 3) for number in range(count)]
    tickets = [
        build_ticket(
            Piece(
                maker_order=OrderId(DIGESTS.order(maker.order)),
                taker_order=OrderId(DIGESTS.order(taker.order)),
                price_ticks=100,
                maker_from=0,
                maker_to=3,
                taker_from=3 * number,
                taker_to=3 * number + 3,
            ),
            Epoch(0),
            number,
            RULES,
            maker=maker.order,
            taker=taker.order,
        )
        for number, maker in enumerate(makers)
    ]
    group = group_of(tickets)
    legs = []
    for maker, ticket in zip(makers, tickets, strict=True):
        leg = replace(ticket, group=group)
        trade = SignedTrade(
            market=MARKET, maker=maker, taker=taker, ticket=leg, maker_signature=NOBODY, taker_signature=NOBODY
        )
        legs.append((TicketDigest(DIGESTS.ticket(leg)), trade))
    return legs


LEGS = make_legs(3)
GROUP = LEGS[0][1].ticket.group
BY_DIGEST = dict(LEGS)
WHOLE = SettleGroup(group=GROUP, legs=tuple(Settle(trade=BY_DIGEST[leg], digest=leg) for leg in sorted(BY_DIGEST)))


class Desk:
    """A ledger and what waits to settle; times count from the genesis."""

    def __init__(self) -> None:
        self.ledger = Ledger({RULES.market_id: MARKET})
        self.settling = Settling(self.ledger, DIGESTS, RULES.preset.ticket_life_s)
        self.add_block(GENESIS_MS // 1000)

    def add_block(self, time_s: int, *facts: Fact) -> None:
        last = self.ledger.last_block
        number, parent = (last.number + 1, last.hash) if last is not None else (1, Digest(bytes(32)))
        block_hash = Digest(number.to_bytes(32, "big"))
        self.ledger.add(BlockFacts(number=number, hash=block_hash, parent_hash=parent, time_s=time_s, facts=facts))

    def own(self, leg: tuple[TicketDigest, SignedTrade], *, is_maker: bool, after_ms: int = 0) -> None:
        self.settling.add(*leg, is_maker=is_maker, now_ms=GENESIS_MS + after_ms)

    def foreign(self, leg: tuple[TicketDigest, SignedTrade], after_ms: int = 0) -> None:
        self.settling.add_leg(*leg, now_ms=GENESIS_MS + after_ms)

    def due(self, after_ms: int) -> list[Action]:
        return self.settling.on_tick(GENESIS_MS + after_ms)


def settled(leg: tuple[TicketDigest, SignedTrade]) -> TradeSettled:
    """The fact that a leg settled."""
    digest, trade = leg
    ticket = trade.ticket
    return TradeSettled(
        ticket=digest,
        market=RULES.market_id,
        maker_order=ticket.maker_order,
        taker_order=ticket.taker_order,
        maker_owner=trade.maker.order.owner,
        taker_owner=trade.taker.order.owner,
        is_maker_buyer=False,
        price_ticks=ticket.price_ticks,
        maker_from=ticket.maker_from,
        maker_to=ticket.maker_to,
        taker_from=ticket.taker_from,
        taker_to=ticket.taker_to,
    )


def test_the_group_of_legs_is_the_hash_of_their_ungrouped_digests_in_any_order() -> None:
    tickets = [trade.ticket for _, trade in LEGS]
    assert {DIGESTS.group(legs) for legs in permutations(tickets)} == {GROUP}
    assert DIGESTS.group(tickets[:2]) != GROUP
    assert DIGESTS.group(tickets[:1]) == keccak256(DIGESTS.ticket(replace(tickets[0], group=ZERO_DIGEST)))


@pytest.mark.parametrize("order_of_legs", list(permutations(range(3))))
def test_the_taker_submits_nothing_before_every_leg_is_a_ticket_and_then_all_at_once_and_once(
    order_of_legs: tuple[int, ...],
) -> None:
    desk = Desk()
    for number in order_of_legs[:2]:
        desk.own(LEGS[number], is_maker=False)
    assert desk.due(0) == desk.due(LIFE_MS) == []
    desk.own(LEGS[order_of_legs[2]], is_maker=False, after_ms=LIFE_MS)
    assert desk.due(LIFE_MS) == [WHOLE]
    assert desk.due(2 * LIFE_MS) == []


def test_a_maker_never_submits_its_leg_alone_nor_a_group_that_it_knows_in_part() -> None:
    desk = Desk()
    desk.own(LEGS[0], is_maker=True)
    desk.foreign(LEGS[2])
    assert desk.due(0) == desk.due(LIFE_MS) == []


def test_a_maker_that_knows_all_legs_steps_in_after_a_sixth_of_a_tickets_life() -> None:
    desk = Desk()
    desk.own(LEGS[0], is_maker=True)
    desk.foreign(LEGS[2])
    desk.foreign(LEGS[1], after_ms=700)
    assert not desk.settling.awaits_legs(GROUP)
    assert desk.due(700 + MAKERS_WAIT_MS - 1) == []
    assert desk.due(700 + MAKERS_WAIT_MS) == [WHOLE]
    assert desk.due(LIFE_MS) == []


def test_a_ticket_that_is_no_leg_but_says_so_keeps_a_maker_from_submitting_junk() -> None:
    trade = LEGS[1][1]
    forged = replace(trade, ticket=replace(trade.ticket, ticket_nonce=77))
    desk = Desk()
    desk.own(LEGS[0], is_maker=True)
    desk.foreign((TicketDigest(DIGESTS.ticket(forged.ticket)), forged))
    desk.foreign(LEGS[2])
    assert desk.due(LIFE_MS) == []


@pytest.mark.parametrize("is_maker", [False, True])
def test_tickets_of_others_that_name_a_group_do_not_keep_it_from_settling(is_maker: bool) -> None:
    """Whoever sees a group may sign tickets between sessions of its own that claim to be legs of it."""
    desk = Desk()
    other_taker = order(Side.BUY, 77, 3)
    desk.own(LEGS[0], is_maker=is_maker)
    for number in range(MAX_LEGS):
        ticket = replace(
            LEGS[1][1].ticket, taker_order=OrderId(DIGESTS.order(other_taker.order)), ticket_nonce=900 + number
        )
        trade = replace(LEGS[1][1], taker=other_taker, ticket=ticket)
        desk.foreign((TicketDigest(DIGESTS.ticket(ticket)), trade))
    for leg in LEGS[1:]:
        desk.foreign(leg)
    assert desk.due(MAKERS_WAIT_MS) == [WHOLE]


def test_no_more_legs_are_kept_than_a_group_may_have() -> None:
    legs = make_legs(MAX_LEGS + 1)
    desk = Desk()
    desk.own(legs[0], is_maker=True)
    for leg in legs[1:]:
        desk.foreign(leg)
    assert desk.due(LIFE_MS) == []
    full = Desk()
    for leg in make_legs(MAX_LEGS):
        full.own(leg, is_maker=False)
    (action,) = full.due(0)
    assert isinstance(action, SettleGroup)
    assert len(action.legs) == MAX_LEGS


def test_a_group_of_one_leg_goes_as_a_group() -> None:
    (leg,) = make_legs(1)
    desk = Desk()
    desk.own(leg, is_maker=False)
    assert desk.due(0) == [
        SettleGroup(group=leg[1].ticket.group, legs=(Settle(trade=leg[1], digest=leg[0]),)),
    ]


def test_a_group_that_the_chain_has_settled_is_not_submitted_and_forgotten() -> None:
    desk = Desk()
    desk.own(LEGS[0], is_maker=True)
    for leg in LEGS[1:]:
        desk.foreign(leg)
    desk.add_block(GENESIS_MS // 1000 + 1, *map(settled, LEGS))
    (note,) = desk.due(MAKERS_WAIT_MS)
    assert isinstance(note, Note)
    assert note.name == "settled"
    assert desk.due(LIFE_MS) == []
    assert not desk.settling.awaits_legs(GROUP)


def test_a_leg_that_was_missed_names_the_leg_that_stopped_the_group() -> None:
    desk = Desk()
    for leg in LEGS:
        desk.own(leg, is_maker=False)
    desk.due(0)
    broke = LEGS[1][0]
    desk.add_block(GENESIS_MS // 1000 + 1, TradeSkipped(ticket=broke, reason=8))
    desk.add_block(LEGS[0][1].ticket.deadline_s + 1)
    notes = desk.due(LIFE_MS)
    expected = []
    for digest, _ in LEGS:
        details: list[tuple[str, str | int]] = [("ticket", digest.hex()), ("skip_reason", 8)]
        if digest != broke:
            details.append(("leg", broke.hex()))
        expected.append(Note(name="settlement_missed", details=tuple(details)))
    assert notes == expected
    assert len(desk.settling) == 0


# In the kernel: tickets of a group that come through the makers' feeds


class Bench:
    """Two makers, a taker and an outsider; orders that do not cross, and a group over them signed by hand."""

    def __init__(self) -> None:
        self.world = World(4, seed=5)
        self.first, self.second, self.taker, self.outsider = self.world.peers
        requests = [self.world.place(peer, Side.SELL, 100, 3) for peer in (self.first, self.second)]
        requests.append(self.world.place(self.taker, Side.BUY, 90, 6))
        self.world.run_ms(1500)
        placed = (self.first, self.second, self.taker)
        ids = [peer.accepted[request] for peer, request in zip(placed, requests, strict=True)]
        known = [self.outsider.market.feeds.order(order_id) for order_id in ids]
        orders = [record.order for record in known if record is not None]
        epoch = RULES.epoch_at(self.world.now_ms)
        tickets = [
            build_ticket(
                Piece(
                    maker_order=ids[number],
                    taker_order=ids[2],
                    price_ticks=95,
                    maker_from=0,
                    maker_to=3,
                    taker_from=3 * number,
                    taker_to=3 * number + 3,
                ),
                epoch,
                number,
                RULES,
                maker=orders[number],
                taker=orders[2],
            )
            for number in range(2)
        ]
        self.group = group_of(tickets)
        self.tickets = [replace(ticket, group=self.group) for ticket in tickets]
        self.sent: list[tuple[Peer, Action]] = []
        self._carry_out = self.world._carry_out
        self.world._carry_out = self._note

    def _note(self, peer: Peer, action: Action) -> None:
        if isinstance(action, Settle | SettleGroup):
            self.sent.append((peer, action))
        self._carry_out(peer, action)

    def sign(self, maker: Peer, number: int) -> None:
        """A maker countersigns its leg and puts it into its feed."""
        digest = Digest(DIGESTS.ticket(self.tickets[number]))
        item = TicketItem(
            ticket=self.tickets[number],
            taker_signature=self.taker.session_key.sign(digest),
            maker_signature=maker.session_key.sign(digest),
        )
        maker.market.desk.outbox.add(item)

    def senders(self) -> list[Peer]:
        """Who submitted what, groups only: nothing else may have been submitted."""
        for _, action in self.sent:
            assert isinstance(action, SettleGroup)
            assert {leg.digest for leg in action.legs} == {DIGESTS.ticket(ticket) for ticket in self.tickets}
        return [peer for peer, _ in self.sent]


def test_the_takers_node_submits_a_group_once_both_makers_have_signed() -> None:
    bench = Bench()
    bench.sign(bench.first, 0)
    bench.world.run_ms(3000)
    assert bench.senders() == []
    bench.sign(bench.second, 1)
    bench.world.run_ms(3000)
    assert bench.senders() == [bench.taker]
    assert len(bench.world.settled) == 2
    bench.world.run_ms(LIFE_MS)
    assert bench.senders() == [bench.taker]


def test_both_makers_step_in_for_a_taker_that_is_gone_and_outsiders_do_not() -> None:
    bench = Bench()
    bench.taker.is_up = False
    bench.sign(bench.first, 0)
    bench.world.run_ms(1000)
    bench.sign(bench.second, 1)
    bench.world.run_ms(MAKERS_WAIT_MS - 500)
    assert bench.senders() == []
    bench.world.run_ms(2000)
    assert {id(peer) for peer in bench.senders()} == {id(bench.first), id(bench.second)}
    assert len(bench.world.settled) == 2


@pytest.mark.parametrize("restarted", ["taker", "first", "second"])
def test_a_group_is_found_again_after_a_restart_with_only_that_node_left_to_submit_it(restarted: str) -> None:
    bench = Bench()
    peer = getattr(bench, restarted)
    bench.taker.is_up = peer is bench.taker
    bench.sign(bench.first, 0)
    bench.world.run_ms(1000)
    bench.world.restart(peer)
    assert bench.senders() == []
    bench.world._carry_out = lambda who, action: None if isinstance(action, SettleGroup) else bench._note(who, action)
    bench.sign(bench.second, 1)
    bench.world.run_ms(1000)
    bench.world._carry_out = bench._note
    for other in (bench.first, bench.second):
        other.is_up = other is peer
    bench.world.restart(peer)
    bench.world.run_ms(MAKERS_WAIT_MS + 2000)
    assert bench.senders() == [peer]
    assert len(bench.world.settled) == 2
