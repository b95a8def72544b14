"""What a dishonest partner can say in an exchange, and that an honest node then signs nothing it should not.

Spec: protocol/spec/05-tickets.md.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from kernel_world import DIGESTS, RULES, Peer, World

from orrange_p2p.core.events import SendTicketMessage, TicketMessageReceived
from orrange_p2p.core.messages import (
    DeclineFrame,
    DeclineReason,
    Offer,
    OfferFrame,
    Prepare,
    Ready,
    TicketFrame,
    TicketItem,
    TicketMessage,
    View,
)
from orrange_p2p.core.types import Digest, Epoch, Side, Ticket


class Bench:
    """A maker with an ask, a taker with a bid that crosses it, and every message between them caught."""

    def __init__(self) -> None:
        self.world = World(3, seed=11)
        self.maker, self.taker, self.third = self.world.peers
        self.caught: list[tuple[Peer, Peer, TicketMessage]] = []
        self.world.place(self.maker, Side.SELL, 100, 5)
        self.world.run_ms(3000)
        self.world.deliver = self._catch
        self.world.place(self.taker, Side.BUY, 101, 3)
        self.world.run_ms(1900)

    def _catch(self, source: Peer, target: Peer, message: object) -> bool:
        if isinstance(message, Prepare | View | Ready | OfferFrame | TicketFrame | DeclineFrame):
            self.caught.append((source, target, message))
            return False
        return True

    def take(self, kind: type) -> TicketMessage:
        """The last caught message of a kind."""
        return [message for _, _, message in self.caught if isinstance(message, kind)][-1]

    def say(self, source: Peer, target: Peer, message: TicketMessage) -> list[TicketMessage]:
        """Hand a message to a kernel as if `source` had sent it; returns what it answers `source` at once."""
        event = TicketMessageReceived(now_ms=self.world.now_ms, peer=source.peer_id, message=message)
        actions = target.kernel.step(event)
        for action in actions:
            if not isinstance(action, SendTicketMessage):
                self.world._carry_out(target, action)
        return [one.message for one in actions if isinstance(one, SendTicketMessage) and one.peer == source.peer_id]

    def ready(self) -> Ready:
        """An honest Ready to the taker's Prepare."""
        (answer,) = self.say(self.taker, self.maker, self.take(Prepare))
        assert isinstance(answer, Ready)
        return answer

    def offer(self) -> Offer:
        """An honest Offer, not shown to anybody."""
        self.world.deliver = lambda source, target, message: False
        prepare, ready = self.take(Prepare), self.ready()
        return Offer(
            ticket=prepare.ticket,
            taker_signature=self.taker.session_key.sign(Digest(ready.ticket_digest)),
            ready_epoch=ready.ready_epoch,
            ready_signature=ready.ready_signature,
        )

    def signed_by(self, peer: Peer) -> int:
        """Offers and TicketItems that a peer has said or is about to say in its feed."""
        feed = peer.market.feeds.feed(peer.identity.session)
        waiting = [item for item in peer.market.desk.outbox.waiting_items() if isinstance(item, Offer | TicketItem)]
        return len(feed.holds if feed else ()) + len(waiting)


def declined(answers: list[TicketMessage]) -> DeclineReason:
    (answer,) = answers
    assert isinstance(answer, DeclineFrame)
    return answer.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda one: replace(one, maker_order=bytes(32)), DeclineReason.UNKNOWN),
        (lambda one: replace(one, deadline_s=one.deadline_s + 1), DeclineReason.LIMITS),
        (lambda one: replace(one, security=1), DeclineReason.LIMITS),
        (lambda one: replace(one, group=Digest(b"\1" * 32)), DeclineReason.LIMITS),
        (lambda one: replace(one, price_ticks=99), DeclineReason.VIEW),
        (lambda one: replace(one, maker_to=4, taker_to=4), DeclineReason.VIEW),
        (lambda one: replace(one, maker_from=1, maker_to=4), DeclineReason.VIEW),
    ],
)
def test_a_prepare_for_what_nobody_is_entitled_to_is_declined(
    change: Callable[[Ticket], Ticket], reason: DeclineReason
) -> None:
    bench = Bench()
    prepare = bench.take(Prepare)
    assert declined(bench.say(bench.taker, bench.maker, replace(prepare, ticket=change(prepare.ticket)))) is reason
    assert bench.signed_by(bench.maker) == 0


def test_a_prepare_from_a_peer_that_does_not_act_for_the_taker_is_declined() -> None:
    bench = Bench()
    assert declined(bench.say(bench.third, bench.maker, bench.take(Prepare))) is DeclineReason.UNKNOWN


def test_a_prepare_of_a_far_epoch_is_declined() -> None:
    bench = Bench()
    prepare = bench.take(Prepare)
    epoch = Epoch(prepare.ticket.epoch + 50)
    ticket = replace(prepare.ticket, epoch=epoch, deadline_s=RULES.ticket_deadline_s(epoch))
    assert declined(bench.say(bench.taker, bench.maker, replace(prepare, ticket=ticket))) is DeclineReason.NOT_READY


def test_lots_under_a_ready_are_not_promised_twice() -> None:
    """Spec: [TICK-7]."""
    bench = Bench()
    bench.ready()
    prepare = bench.take(Prepare)
    second = replace(prepare, exchange=99, ticket=replace(prepare.ticket, ticket_nonce=77))
    assert declined(bench.say(bench.taker, bench.maker, second)) is DeclineReason.BUSY


def test_the_same_prepare_twice_gets_the_same_ready() -> None:
    bench = Bench()
    assert bench.ready() == bench.ready()


def test_a_fallback_that_the_maker_has_not_seen_fail_is_declined() -> None:
    """Spec: [TICK-5]."""
    bench = Bench()
    prepare = replace(bench.take(Prepare), is_fallback=True, window_digest=Digest(bytes(32)))
    assert declined(bench.say(bench.taker, bench.maker, prepare)) is DeclineReason.VIEW


@pytest.mark.parametrize(
    "change",
    [
        lambda one, bench: replace(one, ticket_digest=Digest(bytes(32))),
        lambda one, bench: replace(one, ready_epoch=Epoch(one.ready_epoch + 1)),
        lambda one, bench: replace(one, ready_signature=bench.third.session_key.sign(Digest(one.ticket_digest))),
        lambda one, bench: replace(one, ready_signature=bytes(65)),
        lambda one, bench: replace(one, exchange=one.exchange + 1),
    ],
)
def test_a_ready_that_is_not_the_makers_promise_gets_no_offer(change: Callable[[Ready, Bench], Ready]) -> None:
    bench = Bench()
    bench.say(bench.maker, bench.taker, change(bench.ready(), bench))
    assert bench.signed_by(bench.taker) == 0


def test_a_ready_from_somebody_else_gets_no_offer() -> None:
    bench = Bench()
    bench.say(bench.third, bench.taker, bench.ready())
    assert bench.signed_by(bench.taker) == 0


def test_an_honest_ready_gets_one_offer_and_a_second_one_nothing_more() -> None:
    bench = Bench()
    ready = bench.ready()
    bench.say(bench.maker, bench.taker, ready)
    assert bench.signed_by(bench.taker) == 1
    bench.say(bench.maker, bench.taker, ready)
    assert bench.signed_by(bench.taker) == 1


def test_an_offer_that_missed_its_entry_is_dropped_and_its_lots_are_free_again() -> None:
    """[TICK-8]: the entry claims at most ready_epoch + 2; an Offer that waited longer never leaves."""
    bench = Bench()
    market, ticket = bench.taker.market, bench.take(Prepare).ticket
    lots = (ticket.taker_from, ticket.taker_to)
    start_s = RULES.epoch_start_s(ticket.epoch)
    ready = bench.ready()
    bench.world.place(bench.taker, Side.BUY, 50, 1)
    bench.say(bench.maker, bench.taker, ready)
    assert len(market.desk.outbox) == 1
    assert not market.desk.own_lots.is_free(ticket.taker_order, lots, start_s)
    peers = dict(market.synced_peers)
    market.synced_peers.clear()
    bench.world.run_ms(4 * RULES.preset.epoch_ms)
    assert len(market.desk.outbox) == 1
    bench.world.deliver = lambda source, target, message: False
    market.synced_peers.update(peers)
    bench.world.run_ms(100)
    assert bench.signed_by(bench.taker) == 0
    assert market.desk.own_lots.is_free(ticket.taker_order, lots, start_s)


@pytest.mark.parametrize(
    "change",
    [
        lambda one, bench: replace(one, ready_signature=bench.third.session_key.sign(Digest(bytes(32)))),
        lambda one, bench: replace(one, taker_signature=bench.third.session_key.sign(Digest(bytes(32)))),
        lambda one, bench: replace(one, taker_signature=bytes(65)),
        lambda one, bench: replace(one, ready_epoch=Epoch(one.ready_epoch + 1)),
        lambda one, bench: replace(one, ticket=replace(one.ticket, price_ticks=1)),
        lambda one, bench: replace(one, ticket=replace(one.ticket, maker_to=5, taker_to=5)),
    ],
)
def test_an_offer_that_is_not_what_was_promised_is_not_countersigned(
    change: Callable[[Offer, Bench], Offer],
) -> None:
    bench = Bench()
    offer = change(bench.offer(), bench)
    bench.say(bench.taker, bench.maker, OfferFrame(exchange=1, offer=offer))
    assert bench.signed_by(bench.maker) == 0


def test_an_offer_below_the_makers_limit_is_refused_even_with_its_own_ready() -> None:
    """S2 holds whatever else went wrong: a Ready for a bad price is not enough."""
    bench = Bench()
    offer = bench.offer()
    ticket = replace(offer.ticket, price_ticks=99)
    digest = DIGESTS.ticket(ticket)
    bad = Offer(
        ticket=ticket,
        taker_signature=bench.taker.session_key.sign(Digest(digest)),
        ready_epoch=offer.ready_epoch,
        ready_signature=bench.maker.session_key.sign(DIGESTS.ready(digest, offer.ready_epoch)),
    )
    bench.say(bench.taker, bench.maker, OfferFrame(exchange=1, offer=bad))
    assert bench.signed_by(bench.maker) == 0


def test_an_honest_offer_twice_is_countersigned_once() -> None:
    bench = Bench()
    frame = OfferFrame(exchange=1, offer=bench.offer())
    bench.say(bench.taker, bench.maker, frame)
    bench.say(bench.taker, bench.maker, frame)
    assert bench.signed_by(bench.maker) == 1


def test_two_offers_over_the_same_lots_are_not_both_countersigned() -> None:
    """S4: the maker never signs overlapping lots, even when it is shown two of its own promises."""
    bench = Bench()
    first = bench.offer()
    ticket = replace(first.ticket, ticket_nonce=first.ticket.ticket_nonce + 9)
    digest = DIGESTS.ticket(ticket)
    second = Offer(
        ticket=ticket,
        taker_signature=bench.taker.session_key.sign(Digest(digest)),
        ready_epoch=first.ready_epoch,
        ready_signature=bench.maker.session_key.sign(DIGESTS.ready(digest, first.ready_epoch)),
    )
    for offer in (first, second):
        bench.say(bench.taker, bench.maker, OfferFrame(exchange=1, offer=offer))
    assert bench.signed_by(bench.maker) == 1


def test_a_ticket_frame_without_the_makers_signature_is_refused() -> None:
    bench = Bench()
    offer = bench.offer()
    item = TicketItem(ticket=offer.ticket, taker_signature=offer.taker_signature, maker_signature=offer.taker_signature)
    bench.say(bench.third, bench.taker, TicketFrame(exchange=1, item=item))
    assert not bench.taker.market.tickets
    assert bench.taker.kernel.counters["ticket_refused"] == 1
