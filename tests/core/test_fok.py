"""FOK orders among kernels: wholly or not at all, on chain and in feeds, under every interleaving. Spec: S10.

[TICK-14], [TICK-15], [TICK-16].
"""

from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_world import DIGESTS, RULES, Fate, Peer, World
from test_kernel import assert_honest, quiesce
from witness import Witness

from orrange_p2p.core.events import (
    Action,
    PersistBlock,
    PersistEntry,
    PersistTrade,
    PersistWindow,
    TicketMessageReceived,
)
from orrange_p2p.core.messages import (
    DeclineFrame,
    DeclineReason,
    Offer,
    OfferFrame,
    Prepare,
    Ready,
    TicketMessage,
    View,
)
from orrange_p2p.core.own_lots import Claim
from orrange_p2p.core.types import ZERO_DIGEST, Digest, OrderId, Side, TimeInForce

FOK = TimeInForce.FOK
WRITES = (PersistEntry, PersistTrade, PersistWindow, PersistBlock)
DEATHS = (Fate.DIES_BEFORE, Fate.DIES_AFTER)


def fok_orders(world: World) -> dict[OrderId, int]:
    """Every FOK order that stands anywhere, with its quantity."""
    found: dict[OrderId, int] = {}
    for peer in world.peers:
        feed = peer.market.feeds.feed(peer.identity.session)
        for record in feed.orders.values() if feed is not None else ():
            if record.order.tif is FOK:
                found[record.order_id] = record.order.quantity_lots
    return found


def settled_lots(world: World) -> dict[OrderId, int]:
    """Lots that the chain has settled, by taker's order."""
    lots: dict[OrderId, int] = defaultdict(int)
    for fact in world.settled.values():
        lots[fact.taker_order] += fact.taker_to - fact.taker_from
    return lots


def assert_all_or_nothing(world: World) -> None:
    """S10: what has settled of a FOK order is nothing or everything, and it was never a maker."""
    lots, orders = settled_lots(world), fok_orders(world)
    assert all(lots[order_id] in (0, quantity) for order_id, quantity in orders.items())
    assert not any(fact.maker_order in orders for fact in world.settled.values())


class Floor:
    """Three makers with five lots each at rising prices, and a taker whose FOK order wants all of them."""

    def __init__(self, lots: int = 15, seed: int = 3) -> None:
        self.world = World(5, seed=seed)
        *self.makers, self.taker, self.other = self.world.peers
        for number, maker in enumerate(self.makers):
            self.world.place(maker, Side.SELL, 100 + number, 5)
        self.world.run_ms(3000)
        self.caught: list[tuple[Peer, Peer, TicketMessage]] = []
        self.lots = lots

    def take(self) -> OrderId:
        """Place the FOK order."""
        request = self.world.place(self.taker, Side.BUY, 110, self.lots, FOK)
        return self.taker.accepted[request]

    def catch(self, *kinds: type, of: Peer | None = None) -> None:
        """Lose frames of these kinds, from one peer or from all."""

        def deliver(source: Peer, target: Peer, message: object) -> bool:
            if isinstance(message, kinds) and of in (None, source):
                self.caught.append((source, target, message))
                return False
            return True

        self.world.deliver = deliver

    def offers(self) -> list[Offer]:
        """Offers in the taker's feed."""
        feed = self.taker.market.feeds.feed(self.taker.identity.session)
        return [item for entry in feed.entries for item in entry.entry.items if isinstance(item, Offer)]


def say(world: World, source: Peer, target: Peer, message: TicketMessage) -> list[TicketMessage]:
    """Hand a frame to a kernel as if `source` had sent it; returns what it answers at once."""
    answers: list[TicketMessage] = []
    deliver = world.deliver

    def listen(answering: Peer, asking: Peer, answer: object) -> bool:
        if answering is target and asking is source:
            answers.append(answer)
        return False

    world.deliver = listen
    world.feed(target, TicketMessageReceived(now_ms=world.now_ms, peer=source.peer_id, message=message))
    world.deliver = deliver
    return answers


def test_a_fok_order_settles_whole_as_one_group() -> None:
    """[TICK-14], [TICK-15]: three legs, prepared at once, offered in one entry, settled together."""
    floor = Floor()
    order_id = floor.take()
    floor.world.run_ms(9000)
    assert settled_lots(floor.world)[order_id] == 15
    offers = floor.offers()
    assert len(offers) == 3
    assert DIGESTS.group([offer.ticket for offer in offers]) == offers[0].ticket.group
    assert all(offer.ticket.deadline_s == RULES.ticket_deadline_s(offer.ticket.epoch, is_leg=True) for offer in offers)
    assert_all_or_nothing(floor.world)
    Witness(floor.world).assert_honest()


def test_a_fok_order_with_one_maker_is_a_group_of_one_leg() -> None:
    """Spec: [TICK-14]."""
    floor = Floor(lots=4)
    order_id = floor.take()
    floor.world.run_ms(9000)
    (offer,) = floor.offers()
    assert offer.ticket.group == DIGESTS.group([offer.ticket]) != ZERO_DIGEST
    assert settled_lots(floor.world)[order_id] == 4


def test_a_fok_order_that_nobody_can_fill_whole_asks_nobody() -> None:
    """S10."""
    floor = Floor(lots=16)
    floor.catch(Prepare)
    floor.take()
    floor.world.run_ms(9000)
    assert not floor.caught
    assert not floor.offers()


@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_silent_maker_and_nothing_is_offered_to_the_others(which: int) -> None:
    """[TICK-15]: the Readies of the others lapse, their lots are free again, and the FOK order ends unfilled."""
    floor = Floor()
    floor.catch(Ready, View, DeclineFrame, of=floor.makers[which])
    order_id = floor.take()
    floor.world.run_ms((RULES.preset.k + 4) * 1000)
    assert not floor.offers()
    assert settled_lots(floor.world)[order_id] == 0
    floor.world.deliver = lambda source, target, message: True
    floor.world.run_ms(4000)
    assert not floor.taker.market.desk.own_lots.locked(order_id, *Claim)
    request = floor.world.place(floor.other, Side.BUY, 110, 15)
    floor.world.run_ms(20_000)
    assert settled_lots(floor.world)[floor.other.accepted[request]] == 15


def test_a_maker_that_declines_ends_the_group() -> None:
    """[TICK-15]: it has promised its lots to another; nothing is offered to anybody."""
    floor = Floor()
    floor.catch(Ready)
    request = floor.world.place(floor.other, Side.BUY, 100, 5)
    floor.world.run_ms(1900)
    order_id = floor.take()
    floor.world.run_ms(2500)
    del request
    assert not floor.offers()
    assert settled_lots(floor.world)[order_id] == 0


def test_a_fok_order_cancelled_between_its_readies_signs_nothing() -> None:
    floor = Floor()
    floor.catch(Ready, of=floor.makers[2])
    order_id = floor.take()
    while sum(peer is floor.makers[2] for peer, _, _ in floor.caught) == 0:
        floor.world.run_ms(20)
    floor.world.cancel(floor.taker, order_id)
    (source, target, ready), *_ = floor.caught
    floor.world.deliver = lambda _source, _target, _message: True
    say(floor.world, source, target, ready)
    floor.world.run_ms(6000)
    assert not floor.offers()


def test_offers_that_missed_their_entry_are_dropped_together() -> None:
    """[TICK-8], [TICK-15]: too late for one is too late for all."""
    floor = Floor()
    floor.catch(Ready)
    floor.take()
    while len(floor.caught) < 3:
        floor.world.run_ms(20)
    peers = dict(floor.taker.market.synced_peers)
    floor.world.place(floor.taker, Side.BUY, 50, 1)
    for source, target, ready in floor.caught[:3]:
        say(floor.world, source, target, ready)
    outbox = floor.taker.market.desk.outbox
    assert [type(item) for item in outbox.waiting_items()] == [Offer] * 3
    floor.taker.market.synced_peers.clear()
    floor.world.run_ms(4 * RULES.preset.epoch_ms)
    floor.taker.market.synced_peers.update(peers)
    floor.world.run_ms(2000)
    assert not outbox.waiting_items()
    assert not floor.offers()


def test_a_leg_that_is_never_countersigned_keeps_the_others_from_settling() -> None:
    """[TICK-16]: two of three legs are tickets; the chain gets none of them."""
    floor = Floor()
    floor.catch(OfferFrame)
    dead = floor.makers[1]

    def deliver(source: Peer, target: Peer, message: object) -> bool:
        if isinstance(message, OfferFrame):
            dead.is_up = False
        return True

    floor.world.deliver = deliver
    order_id = floor.take()
    floor.world.run_ms(20_000)
    assert len(floor.offers()) == 3
    assert len(floor.taker.market.tickets) == 2
    assert not floor.world.settled
    floor.world.run_ms((RULES.preset.ticket_life_s + 5) * 1000)
    assert settled_lots(floor.world)[order_id] == 0


def test_a_maker_answers_a_leg_only_of_a_fok_order_and_as_its_piece_says() -> None:
    """[TICK-14], [TICK-15]: a group on another order's ticket, or none on a FOK order's, is none of this maker's."""
    floor = Floor()
    floor.catch(Prepare)
    floor.take()
    while len(floor.caught) < 3:
        floor.world.run_ms(20)
    source, maker, prepare = floor.caught[0]
    assert isinstance(prepare, Prepare)
    bare = replace(prepare, exchange=900, ticket=replace(prepare.ticket, group=ZERO_DIGEST))
    (answer,) = say(floor.world, source, maker, bare)
    assert isinstance(answer, DeclineFrame)
    assert answer.reason is DeclineReason.LIMITS
    fallback = replace(prepare, exchange=901, is_fallback=True, window_digest=Digest(bytes(32)))
    (answer,) = say(floor.world, source, maker, fallback)
    assert isinstance(answer, DeclineFrame)
    assert answer.reason is DeclineReason.VIEW
    (answer,) = say(floor.world, source, maker, prepare)
    assert isinstance(answer, Ready)


@pytest.mark.parametrize("fate", DEATHS)
@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("number", range(1, 6))
def test_a_crash_at_any_write_of_a_group_leaves_all_or_nothing(which: int, number: int, fate: Fate) -> None:
    """S4, S10: each write of each peer, from the FOK order on."""
    floor = Floor(seed=number)
    world = floor.world
    seen = 0

    def decide(peer: Peer, action: Action) -> Fate:
        nonlocal seen
        if peer is not world.peers[which] or not isinstance(action, PersistEntry | PersistTrade):
            return Fate.LIVES
        seen += 1
        return fate if seen == number else Fate.LIVES

    world.fate = decide
    request = world.place(floor.taker, Side.BUY, 110, 15, FOK)
    world.run_ms(25_000)
    world.sync_all()
    world.run_ms(15_000)
    del request
    assert_all_or_nothing(world)
    assert_honest(world)
    Witness(world).assert_honest()


@settings(max_examples=max(5, settings().max_examples // 25), deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.03, 0.2]), st.sampled_from([0.0, 0.1, 0.4]))
def test_fok_orders_trade_wholly_or_not_at_all_under_any_interleaving(seed: int, risk: float, loss: float) -> None:
    """S10: crashes at any write, lost frames, lost gossip, late gossip, silent makers."""
    world = World(4, seed=seed, drop=loss / 2, delay_ms=(1, 40) if loss == 0 else (1, 700))
    world.deliver = lambda _source, _target, _message: world.random.random() >= loss
    world.fate = lambda _peer, action: (
        world.random.choice(DEATHS)
        if isinstance(action, WRITES) and world.random.random() < share(action, risk)
        else Fate.LIVES
    )
    for _ in range(12):
        act(world)
        world.run_ms(world.random.randint(200, 900))
    world.fate = lambda _peer, _action: Fate.LIVES
    world.deliver = lambda _source, _target, _message: True
    world.run_ms(6000)
    quiesce(world)
    assert_all_or_nothing(world)
    assert_honest(world)
    Witness(world).assert_honest()


def test_without_faults_such_worlds_have_fok_orders_that_trade_and_some_that_do_not() -> None:
    """The property above is about something."""
    filled, unfilled = 0, 0
    for seed in range(4):
        world = World(4, seed=seed)
        for _ in range(12):
            act(world)
            world.run_ms(world.random.randint(200, 900))
        quiesce(world)
        assert_all_or_nothing(world)
        lots = settled_lots(world)
        whole = sum(lots[order_id] > 0 for order_id in fok_orders(world))
        filled, unfilled = filled + whole, unfilled + len(fok_orders(world)) - whole
    assert min(filled, unfilled) >= 3


def share(action: Action, risk: float) -> float:
    """Entries and trades are few and matter most; of blocks and windows there is one each second."""
    return risk if isinstance(action, PersistEntry | PersistTrade) else risk / 20


def act(world: World) -> None:
    """Each peer does something, maybe: small resting orders, FOK orders over several of them, modifies."""
    dice = world.random
    for peer in world.peers:
        known = [order_id for order_id in peer.accepted.values() if order_id is not None]
        choice = dice.random()
        if choice < 0.45:
            world.place(peer, Side(dice.randint(0, 1)), dice.randint(98, 102), dice.randint(1, 5))
        elif choice < 0.65:
            side = Side(dice.randint(0, 1))
            world.place(peer, side, 103 if side is Side.BUY else 97, dice.randint(3, 12), FOK)
        elif choice < 0.75 and known:
            world.modify(peer, dice.choice(known), price_ticks=dice.randint(98, 102))
        elif choice < 0.8 and known:
            world.cancel(peer, dice.choice(known))
