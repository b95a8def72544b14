"""A maker answers every Offer on its orders in its feed, with a Ticket or a Decline, and keeps to it.

Spec: [TICK-17], [HOLD-7].
"""

from dataclasses import replace

import pytest
from kernel_world import DIGESTS, RULES, Peer
from test_ticket_exchange import Bench

from orrange_p2p.core.events import ChainReachChanged, EntriesReceived, PeerLost, PersistEntry, SyncRoundEnded
from orrange_p2p.core.messages import DeclineItem, DeclineReason, Offer, OfferFrame, TicketItem
from orrange_p2p.core.outbox import Outbox
from orrange_p2p.core.types import Digest, Epoch
from orrange_p2p.core.verify import VerifiedEntry, VerifiedTicket


class Court(Bench):
    """The bench with an Offer that the maker hears only by gossip, and when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.given = self.offer()

    def said(self, offer: Offer, epoch: Epoch | None = None) -> VerifiedEntry:
        """The taker's next entry, with an Offer, signed behind its kernel's back."""
        outbox = Outbox(RULES, DIGESTS, self.taker.identity)
        outbox.add(offer)
        claimed_ms = RULES.epoch_start_ms(offer.ready_epoch + 1 if epoch is None else epoch)
        return outbox.flush(self.taker.market.feeds.feed(self.taker.identity.session), claimed_ms).entry

    def hear(self, peer: Peer, *entries: VerifiedEntry) -> None:
        """Entries of the taker's reach a peer."""
        event = EntriesReceived(
            now_ms=self.world.now_ms, market=RULES.market_id, entries=entries, source=self.third.peer_id
        )
        self.world.feed(peer, event)

    def pass_epochs(self, count: int) -> None:
        """Let time go on."""
        self.world.run_ms(count * RULES.preset.epoch_ms)

    def other(self, **changes: object) -> Offer:
        """Another Offer with this maker's Ready: the same ticket, changed."""
        ticket = replace(self.given.ticket, **changes)
        digest = DIGESTS.ticket(ticket)
        return Offer(
            ticket=ticket,
            taker_signature=self.taker.session_key.sign(Digest(digest)),
            ready_epoch=ticket.epoch,
            ready_signature=self.maker.session_key.sign(DIGESTS.ready(digest, ticket.epoch)),
        )


def declines_of(peer: Peer) -> list[DeclineItem]:
    """Declines in a peer's own feed."""
    feed = peer.market.feeds.feed(peer.identity.session)
    return [item for entry in feed.entries for item in entry.items if isinstance(item, DeclineItem)]


def tickets_of(peer: Peer) -> list[TicketItem]:
    """Tickets in a peer's own feed, or on their way into it."""
    feed = peer.market.feeds.feed(peer.identity.session)
    said = [item.item for entry in feed.entries for item in entry.items if isinstance(item, VerifiedTicket)]
    return said + [item for item in peer.market.desk.outbox.waiting_items() if isinstance(item, TicketItem)]


def test_an_offer_in_time_gets_a_ticket_and_no_decline() -> None:
    court = Court()
    court.hear(court.maker, court.said(court.given))
    court.pass_epochs(2)
    assert len(tickets_of(court.maker)) == 1
    assert not declines_of(court.maker)


def test_an_offer_heard_while_partners_are_away_between_two_ticks_is_answered() -> None:
    """A maker that missed it would be taken for silent until the hold ends. Spec: [HOLD-7], [TICK-17]."""
    court = Court()
    entry, maker, now_ms = court.said(court.given), court.maker, court.world.now_ms
    partners = tuple(maker.market.synced_peers)
    assert partners
    for partner in partners:
        court.world.feed(maker, PeerLost(now_ms=now_ms, peer=partner))
    court.hear(maker, entry)
    assert maker.kernel.why_not_sign() is not None
    for partner in partners:
        heads = tuple(maker.market.heads())
        court.world.feed(maker, SyncRoundEnded(now_ms=now_ms, market=RULES.market_id, peer=partner, heads=heads))
    court.pass_epochs(2)
    assert len(tickets_of(maker)) == 1


def test_an_offer_heard_while_no_chain_answers_is_answered_once_one_does() -> None:
    """Spec: [TICK-12], [TICK-17]."""
    court = Court()
    entry, maker, now_ms = court.said(court.given), court.maker, court.world.now_ms
    court.world.feed(maker, ChainReachChanged(now_ms=now_ms, why_lost="no chain: gone"))
    court.world.feed(maker, ChainReachChanged(now_ms=now_ms, why_lost="no chain: still gone"))
    court.hear(maker, entry)
    assert maker.kernel.why_not_sign() == "no chain: still gone"
    assert not tickets_of(maker)
    court.world.feed(maker, ChainReachChanged(now_ms=now_ms, why_lost=None))
    court.pass_epochs(2)
    assert len(tickets_of(maker)) == 1
    assert [note.name for note in maker.notes if note.name.startswith("chain_")] == ["chain_lost", "chain_found"]


def test_an_offer_that_comes_too_late_is_declined_as_late_once() -> None:
    court = Court()
    entry = court.said(court.given)
    court.pass_epochs(RULES.preset.k + 3)
    court.hear(court.maker, entry)
    court.pass_epochs(1)
    court.hear(court.maker, entry)
    court.pass_epochs(1)
    (decline,) = declines_of(court.maker)
    ticket = court.given.ticket
    assert decline == DeclineItem(
        maker_order=ticket.maker_order,
        taker_order=ticket.taker_order,
        epoch=ticket.epoch,
        reason=DeclineReason.LATE,
    )
    assert not tickets_of(court.maker)


def test_an_offer_whose_lots_are_gone_is_declined_as_busy() -> None:
    court = Court()
    rival = court.other(ticket_nonce=court.given.ticket.ticket_nonce + 9)
    court.say(court.taker, court.maker, OfferFrame(exchange=1, offer=court.given))
    court.hear(court.maker, court.said(rival))
    court.pass_epochs(1)
    assert [decline.reason for decline in declines_of(court.maker)] == [DeclineReason.BUSY]
    assert [item.ticket for item in tickets_of(court.maker)] == [court.given.ticket]


def test_an_offer_of_an_epoch_in_which_the_order_was_cancelled_is_declined_as_unknown() -> None:
    """[TICK-17], S3: cancelled before it was matched; only a Ready given behind the kernel's back comes so far."""
    court = Court()
    court.world.cancel(court.maker, court.given.ticket.maker_order)
    court.pass_epochs(2)
    epoch = RULES.epoch_at(court.world.now_ms)
    offer = court.other(epoch=epoch, deadline_s=RULES.ticket_deadline_s(epoch))
    court.hear(court.maker, court.said(offer, epoch))
    court.pass_epochs(1)
    assert [decline.reason for decline in declines_of(court.maker)] == [DeclineReason.UNKNOWN]


def test_a_ready_given_before_a_cancel_is_kept() -> None:
    """Decision 0011: the taker's lots would else be held until the deadline for an honest act."""
    court = Court()
    court.world.cancel(court.maker, court.given.ticket.maker_order)
    court.pass_epochs(1)
    court.hear(court.maker, court.said(court.given))
    court.pass_epochs(1)
    assert len(tickets_of(court.maker)) == 1


def test_an_offer_against_a_limit_is_declined_as_limits() -> None:
    court = Court()
    court.hear(court.maker, court.said(court.other(price_ticks=99)))
    court.pass_epochs(1)
    assert [decline.reason for decline in declines_of(court.maker)] == [DeclineReason.LIMITS]


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_declined_pair_is_not_countersigned_in_that_epoch_any_more(is_restarted: bool) -> None:
    """S4, [TICK-17]: neither by stream, nor after a crash, although the lots are free and there is time."""
    court = Court()
    court.hear(court.maker, court.said(court.other(price_ticks=99)))
    court.pass_epochs(1)
    assert len(declines_of(court.maker)) == 1
    if is_restarted:
        court.world.deliver = lambda source, target, message: True
        court.taker.is_up = False
        court.world.restart(court.maker)
        assert court.maker.kernel.why_not_sign() is None
    court.say(court.taker, court.maker, OfferFrame(exchange=1, offer=court.given))
    assert not tickets_of(court.maker)


def test_a_decline_that_did_not_reach_the_disk_was_never_said() -> None:
    """A crash before the write: the maker may still countersign, and nobody has heard anything else."""
    court = Court()
    carry_out = court.world._carry_out
    entry = court.said(court.other(price_ticks=99))

    def lose(peer: Peer, action: object) -> None:
        if not isinstance(action, PersistEntry) or action.entry is entry:
            carry_out(peer, action)

    court.world._carry_out = lose
    court.hear(court.maker, entry)
    court.taker.is_up = False
    court.world._carry_out = carry_out
    court.maker.disk = [record for record in court.maker.disk if record.entry is not entry]
    court.world.restart(court.maker)
    court.say(court.taker, court.maker, OfferFrame(exchange=1, offer=court.given))
    assert len(tickets_of(court.maker)) == 1


def test_an_offer_that_does_not_count_is_not_worth_a_decline() -> None:
    """[HOLD-1]: its entry claims more than Ready + 2; it holds nothing and makes nobody silent."""
    court = Court()
    entry = court.said(court.given, Epoch(court.given.ready_epoch + 3))
    court.pass_epochs(3)
    court.hear(court.maker, entry)
    court.pass_epochs(1)
    assert not declines_of(court.maker)
    assert not tickets_of(court.maker)


def test_an_offer_by_stream_alone_is_not_worth_a_decline() -> None:
    """It stands in no feed, so nobody takes the maker for silent; a taker may send as many as it likes."""
    court = Court()
    court.say(court.taker, court.maker, OfferFrame(exchange=1, offer=court.other(price_ticks=99)))
    court.pass_epochs(1)
    assert not declines_of(court.maker)


@pytest.mark.parametrize("epochs_down", [1, RULES.preset.k + 2])
def test_a_maker_that_was_down_answers_what_it_missed_within_four_epochs(epochs_down: int) -> None:
    """[HOLD-7], [TICK-17]: countersigned in time, declined later; either way it is silent no longer."""
    court = Court()
    entry = court.said(court.given)
    court.hear(court.third, entry)
    court.taker.is_up = court.maker.is_up = False
    court.pass_epochs(epochs_down)
    court.world.deliver = lambda source, target, message: True
    court.world.restart(court.maker)
    court.pass_epochs(3)
    assert len(tickets_of(court.maker)) + len(declines_of(court.maker)) == 1
    assert bool(declines_of(court.maker)) == (epochs_down > RULES.preset.k)


def test_a_restarted_maker_countersigns_nothing_that_overlaps_what_it_signed() -> None:
    """S4, [TICK-10]: two of its Readies were out over the same lots, and one became a Ticket before the crash."""
    court = Court()
    court.hear(court.maker, court.said(court.given))
    court.pass_epochs(1)
    assert len(tickets_of(court.maker)) == 1
    court.world.deliver = lambda source, target, message: True
    court.taker.is_up = False
    court.world.restart(court.maker)
    rival = court.other(ticket_nonce=court.given.ticket.ticket_nonce + 9)
    court.say(court.taker, court.maker, OfferFrame(exchange=1, offer=rival))
    assert [item.ticket for item in tickets_of(court.maker)] == [court.given.ticket]
    reused = court.other(maker_from=3, maker_to=5, taker_from=0, taker_to=2)
    court.say(court.taker, court.maker, OfferFrame(exchange=2, offer=reused))
    assert [item.ticket for item in tickets_of(court.maker)] == [court.given.ticket]
