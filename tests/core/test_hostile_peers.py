"""What peers without funds can do to a kernel, and that it goes on trading, in bounded memory, honestly."""

from dataclasses import replace

import pytest

from orrange_p2p.core.book import compute_book
from orrange_p2p.core.events import PeerLost, Settle
from orrange_p2p.core.frames import decode_ticket_message, encode_ticket_message
from orrange_p2p.core.market_kernel import MAX_STRANGERS
from orrange_p2p.core.matching import Engine, build_engine
from orrange_p2p.core.messages import (
    DeclineFrame,
    Head,
    Offer,
    OfferFrame,
    Prepare,
    Ready,
    TicketFrame,
    TicketItem,
    View,
)
from orrange_p2p.core.ranges import overlaps
from orrange_p2p.core.tickets import build_ticket
from orrange_p2p.core.types import U64_MAX, ZERO_DIGEST, Digest, Epoch, OrderId, Side
from tests.core.hostile import (
    Trap,
    end_round,
    hear,
    idle,
    next_entry,
    renumbered,
    say,
    signed_order,
    ticket_digest,
    tickets_of,
    write_entry,
)
from tests.core.kernel_world import DIGESTS, GENESIS_MS, RULES, Peer, World


def test_a_peer_that_only_claims_to_know_more_of_our_feed_does_not_stop_us() -> None:
    """Heads are unsigned; only an entry that our session signed shows that our store is old. Spec: [SYNC-5]."""
    world = World(2)
    victim, liar = world.peers
    world.place(victim, Side.SELL, 100, 5)
    world.run_ms(1500)
    lie = Head(session=victim.identity.session, next_seq=99, head_hash=Digest(b"\1" * 32))
    end_round(world, victim, liar, [lie])
    assert victim.kernel.why_not_sign() is None
    assert world.place(victim, Side.SELL, 101, 5) not in victim.refused


def assert_no_overlap(tickets: list[TicketItem]) -> None:
    """[TICK-10] as its words say: one order, overlapping lots, overlapping [epoch start, deadline]."""
    for number, one in enumerate(tickets):
        for other in tickets[:number]:
            first, second = one.ticket, other.ticket
            assert not (
                first.maker_order == second.maker_order
                and overlaps((first.maker_from, first.maker_to), (second.maker_from, second.maker_to))
                and RULES.epoch_start_s(first.epoch) <= second.deadline_s
                and RULES.epoch_start_s(second.epoch) <= first.deadline_s
            ), "the maker signed the same lots twice"


def test_an_old_ready_is_not_countersigned_once_the_lots_went_to_another() -> None:
    """A taker keeps a Ready, trades the lots again and shows the first one, backdated, after the second's deadline."""
    trap = Trap()
    world, maker, taker, third = trap.world, trap.maker, trap.taker, trap.world.peers[2]
    first = trap.offer(trap.prepare())
    feed = taker.market.feeds.feed(taker.identity.session)
    kept_back = next_entry(taker, feed, [first], first.ready_epoch + 1)
    world.run_ms(5000)
    second = trap.offer(trap.prepare())
    assert second.ticket.epoch > first.ticket.epoch + 2
    trap.say(taker, maker, OfferFrame(exchange=1, offer=second))
    world.run_ms(1000)
    assert len(tickets_of(maker)) == 1
    taker.is_up = False
    world.run_ms((RULES.preset.ticket_life_s + 5) * 1000)
    hear(world, maker, third, [kept_back])
    world.run_ms(2000)
    assert_no_overlap(tickets_of(maker))
    assert len(tickets_of(maker)) == 1


def test_of_two_promises_shown_late_in_turn_one_is_countersigned() -> None:
    """Both Readys are over before either Offer is shown; the newer is in time still when the older's lock ends."""
    trap = Trap()
    world, maker, taker, third = trap.world, trap.maker, trap.taker, trap.world.peers[2]
    first = trap.offer(trap.prepare())
    world.run_ms(5000)
    second = trap.offer(trap.prepare())
    feed = taker.market.feeds.feed(taker.identity.session)
    kept_back = next_entry(taker, feed, [first], first.ready_epoch + 1)
    last = write_entry(
        taker,
        [second],
        seq=kept_back.entry.header.seq + 1,
        prev_hash=kept_back.entry_hash,
        epoch=second.ready_epoch + 1,
    )
    taker.is_up = False
    world.run_ms(4000)
    hear(world, maker, third, [kept_back])
    world.run_ms((first.ticket.deadline_s + 1) * 1000 - world.now_ms + 1500)
    hear(world, maker, third, [last])
    world.run_ms(2000)
    assert_no_overlap(tickets_of(maker))


def test_a_promise_long_over_is_not_a_free_option() -> None:
    """The owner cancelled meanwhile; the taker comes half a minute later with a backdated Offer. Spec: [TICK-9]."""
    trap = Trap()
    world, maker, taker, third = trap.world, trap.maker, trap.taker, trap.world.peers[2]
    offer = trap.offer(trap.prepare())
    feed = taker.market.feeds.feed(taker.identity.session)
    kept_back = next_entry(taker, feed, [offer], offer.ready_epoch + 1)
    taker.is_up = False
    world.cancel(maker, offer.ticket.maker_order)
    world.run_ms(30_000)
    hear(world, maker, third, [kept_back])
    world.run_ms(2000)
    assert not tickets_of(maker)


def test_an_expiry_beyond_u64_is_refused() -> None:
    """Signed, it would stand in an entry that nobody, not even this node after a restart, can decode."""
    world = World(2)
    victim = world.peers[0]
    request = world.place(victim, Side.SELL, 100, 5, expiry_s=U64_MAX + 1)
    assert victim.refused[request].field == "expiry"
    assert world.place(victim, Side.SELL, 100, 5, expiry_s=U64_MAX) in victim.accepted


def test_ticket_frames_for_what_we_never_signed_are_not_kept() -> None:
    """A maker signs tickets over our order that we never offered; nothing of them stays."""
    trap = Trap()
    maker, taker = trap.maker, trap.taker
    prepare = trap.prepare()
    for number in range(50):
        ticket = replace(prepare.ticket, ticket_nonce=1000 + number)
        signature = maker.session_key.sign(Digest(DIGESTS.ticket(ticket)))
        item = TicketItem(ticket=ticket, taker_signature=signature, maker_signature=signature)
        trap.say(maker, taker, TicketFrame(exchange=1, item=item))
    assert not taker.market.tickets


def test_a_ticket_frame_with_a_false_taker_signature_does_not_hide_the_true_ticket() -> None:
    trap = Trap()
    world, maker, taker = trap.world, trap.maker, trap.taker
    (ready,) = trap.say(taker, maker, trap.prepare())
    trap.say(maker, taker, ready)
    signature = maker.session_key.sign(Digest(ready.ticket_digest))
    false = TicketItem(ticket=trap.prepare().ticket, taker_signature=signature, maker_signature=signature)
    trap.say(maker, taker, TicketFrame(exchange=1, item=false))
    world.deliver = lambda source, target, message: True
    world.run_ms(5000)
    assert ready.ticket_digest in taker.market.tickets
    assert len(taker.market.settling) + len(world.settled) >= 1
    assert taker.kernel.counters["ticket_as_taker"] == 1


@pytest.mark.parametrize("is_reversed", [False, True])
def test_own_tickets_settle_after_a_restart_in_whatever_order_the_store_gives_feeds(is_reversed: bool) -> None:
    """A store gives entries by session, not as they came."""
    world = World(2, seed=5)
    maker, taker = world.peers
    world.place(maker, Side.SELL, 100, 5)
    world.run_ms(3000)
    world._carry_out, carry_out = (
        lambda peer, action: None if isinstance(action, Settle) else carry_out(peer, action),
        world._carry_out,
    )
    world.place(taker, Side.BUY, 105, 5)
    world.run_ms(6000)
    world._carry_out = carry_out
    for peer in (maker, taker):
        peer.disk.sort(key=lambda one: (one.entry.entry.header.session, one.entry.entry.header.seq))
        if is_reversed:
            peer.disk.sort(key=lambda one: one.entry.entry.header.session, reverse=True)
        world.restart(peer)
        assert len(peer.market.settling) == 1
    world.run_ms(5000)
    assert len(world.settled) == 1


def test_no_late_list_makes_a_rival_vanish() -> None:
    """A taker says that a better order came very late to it; on one side only, above claimed + 8: Decline(view)."""
    world = World(3, seed=3)
    maker, rival, taker = world.peers
    world.place(maker, Side.SELL, 100, 5)
    world.run_ms(3000)
    caught = []

    def deliver(source: Peer, target: Peer, message: object) -> bool:
        if isinstance(message, Prepare | Ready):
            caught.append(message)
            return False
        return True

    world.deliver = deliver
    first = world.place(rival, Side.BUY, 105, 5)
    world.run_ms(3000)
    second = world.place(taker, Side.BUY, 104, 5)
    world.run_ms(6000)  # before the rival is parked, [MATCH-11]
    window = maker.market.windows.current
    (piece,) = window.pieces
    assert piece.taker_order == rival.accepted[first]
    rival_order, own_order = rival.accepted[first], taker.accepted[second]
    late = ((rival_order, Epoch(U64_MAX)),)
    engine = _without(taker, window.epoch, rival_order)
    (wanted,) = engine.entitlements()
    assert wanted.taker_order == own_order
    asked, ours = maker.market.feeds.order(wanted.maker_order), taker.market.feeds.order(own_order)
    ticket = build_ticket(wanted, window.epoch, 7, RULES, maker=asked.order, taker=ours.order)
    block = taker.market.windows.fund_block(window.epoch)
    digest = engine.window_digest(window.epoch, block.hash)
    prepare = Prepare(exchange=70, ticket=ticket, window_digest=digest, skips=(), is_fallback=False, late=late)
    (view,) = say(world, taker, maker, prepare)
    assert isinstance(view, View)
    say(world, taker, maker, prepare)
    world.run_ms(500)
    assert not any(isinstance(message, Ready) and message.exchange == 70 for message in caught)


def _without(peer: Peer, epoch: Epoch, order_id: OrderId) -> Engine:
    windows = peer.market.windows
    block = windows.fund_block(epoch)
    book = compute_book(peer.market.feeds, peer.kernel.ledger, epoch, block)
    return build_engine(book, {order_id: Epoch(U64_MAX)})


def test_a_prepare_names_no_more_skips_than_a_frame_may_hold() -> None:
    """Else every maker that gets it would take an honest taker for a liar. Spec: [TICK-2]."""
    trap = Trap()
    world, taker = trap.world, trap.taker
    epoch = taker.market.windows.current.epoch
    for number in range(900):
        taker.market.taker._suspicion._silent[number.to_bytes(20, "big")] = (6, epoch + 64)
    world.run_ms(6000)
    prepare = trap.prepare()
    assert prepare.skips
    assert decode_ticket_message(encode_ticket_message(prepare)) == prepare


def test_strangers_do_not_crowd_late_orders_out_of_a_view() -> None:
    """A View names 256 late orders; orders that can never match are none of them. Spec: [TICK-4]."""
    world = World(2)
    victim, other = world.peers
    stranger = Peer("stranger")
    world.run_ms(20_000)
    items = [signed_order(stranger, Side.SELL, 100 + number, 1, number) for number in range(40)]
    hear(world, victim, other, [write_entry(stranger, items, seq=0, prev_hash=ZERO_DIGEST, epoch=1)])
    world.run_ms(3000)
    assert len(victim.market.windows.late) == 40
    assert not victim.market.windows.late_orders()


def test_free_keys_cannot_fill_memory_with_forks() -> None:
    """One session that signs thousands of entries with one seq is dead after the first two."""
    world = World(2)
    victim, other = world.peers
    stranger = Peer("stranger")
    rivals = [write_entry(stranger, [idle(number)], seq=0, prev_hash=ZERO_DIGEST, epoch=0) for number in range(300)]
    hear(world, victim, other, rivals)
    feed = victim.market.feeds.feed(stranger.identity.session)
    assert feed.is_dead
    assert len(list(feed.versions())) <= 80
    assert len([record for record in victim.disk if record.entry in rivals]) <= 80


def test_free_keys_cannot_fill_memory_with_a_long_feed() -> None:
    """Epochs never fall and four entries may claim one, which bounds nothing if the past may be claimed."""
    world = World(2)
    victim, other = world.peers
    stranger = Peer("stranger")
    world.run_ms(60_000)
    written, prev_hash = [], ZERO_DIGEST
    for seq in range(240):
        entry = write_entry(stranger, [idle(seq)] * 60, seq=seq, prev_hash=prev_hash, epoch=seq // 4)
        prev_hash = entry.entry_hash
        written.append(entry)
    hear(world, victim, other, written)
    assert victim.market.feeds.feed(stranger.identity.session).kept_bytes <= 80 * 1024


def test_a_feed_that_has_ended_grows_no_more() -> None:
    """Spec: [FEED-4]; an authorised session may not fill memory with what is void either."""
    world = World(3)
    victim, other, ender = world.peers
    written, prev_hash = [], ZERO_DIGEST
    for seq in range(100):
        entry = write_entry(ender, [idle(seq)], seq=seq, prev_hash=prev_hash, epoch=0)
        prev_hash = entry.entry_hash
        written.append(entry)
    hear(world, victim, other, written)
    assert len(list(victim.market.feeds.feed(ender.identity.session).versions())) <= 25


def test_a_node_that_was_away_learns_of_a_fork_by_sync() -> None:
    """Else its window would differ from everybody's for as long as the dead session's orders cross. Spec: [FEED-6]."""
    world = World(3)
    forger, witness, away = world.peers
    world.place(forger, Side.SELL, 100, 5)
    world.run_ms(3000)
    feed = forger.market.feeds.feed(forger.identity.session)
    rivals = [next_entry(forger, feed, [idle(number)], 3) for number in (1, 2)]
    forger.is_up = False
    world.deliver = lambda source, target, message: target is not away
    hear(world, witness, forger, rivals)
    assert witness.market.feeds.dead_sessions()
    world.deliver = lambda source, target, message: True
    world.sync(away, witness)
    assert away.market.feeds.dead_sessions() == witness.market.feeds.dead_sessions()


def test_a_fork_ahead_of_a_gap_is_still_known_after_a_restart() -> None:
    world = World(3)
    forger, witness, other = world.peers
    world.place(forger, Side.SELL, 100, 5)
    world.run_ms(3000)
    rivals = [write_entry(forger, [idle(number)], seq=4, prev_hash=ZERO_DIGEST, epoch=3) for number in (1, 2)]
    forger.is_up = False
    hear(world, witness, other, rivals)
    assert witness.market.feeds.dead_sessions()
    world.restart(witness)
    assert witness.market.feeds.dead_sessions()


def test_strangers_held_by_others_do_not_keep_a_node_from_being_synced() -> None:
    """Two nodes are filled with different free keys; neither has room for what the other holds. Spec: [SYNC-1]."""
    world = World(2)
    one, other = world.peers
    for name, target in (("x", one), ("y", other)):
        for number in range(MAX_STRANGERS):
            stranger = Peer(f"{name} {number}")
            hear(world, target, other, [write_entry(stranger, [idle(0)], seq=0, prev_hash=ZERO_DIGEST, epoch=0)])
    world.feed(one, PeerLost(now_ms=world.now_ms, peer=other.peer_id))
    assert one.kernel.why_not_sign() is not None
    world.sync(one, other)
    assert one.kernel.why_not_sign() is None


def test_each_restart_does_not_give_strangers_new_places() -> None:
    world = World(2)
    victim, other = world.peers
    for number in range(MAX_STRANGERS):
        stranger = Peer(f"x {number}")
        hear(world, victim, other, [write_entry(stranger, [idle(0)], seq=0, prev_hash=ZERO_DIGEST, epoch=0)])
    world.restart(victim)
    late = Peer("late")
    hear(world, victim, other, [write_entry(late, [idle(0)], seq=0, prev_hash=ZERO_DIGEST, epoch=0)])
    assert victim.market.feeds.feed(late.identity.session) is None


def test_a_maker_that_never_returns_the_ticket_is_not_offered_to_for_ever() -> None:
    """Its Ready costs a taker a ticket's life once, not each time; the next maker gets the trade."""
    world = World(3, seed=5)
    silent, other, taker = world.peers
    world.place(silent, Side.SELL, 100, 5)
    world.place(other, Side.SELL, 101, 5)
    world.run_ms(3000)
    silent.market.maker.on_offer = lambda *_args, **_kwargs: []
    bid = world.place(taker, Side.BUY, 105, 5)
    world.run_ms((RULES.preset.ticket_life_s + 20) * 1000)
    assert [fact.taker_order for fact in world.settled.values()] == [taker.accepted[bid]]


def test_one_ticket_nonce_of_a_taker_is_countersigned_once() -> None:
    """[TICK-10]: of two tickets with one nonce only one can settle, and both would be proof against who signed them."""
    trap = Trap()
    world, maker, taker = trap.world, trap.maker, trap.taker
    prepare = trap.prepare()
    offer = trap.offer(prepare)
    trap.say(taker, maker, OfferFrame(exchange=1, offer=offer))
    world.run_ms(4000)
    world.place(taker, Side.BUY, 102, 2)
    while trap.prepare().ticket.taker_order == prepare.ticket.taker_order:
        world.run_ms(50)
    second = [message for message in trap.caught if isinstance(message, Prepare)][-1]
    assert second.ticket.taker_order != prepare.ticket.taker_order
    reused = renumbered(second, exchange=90, ticket_nonce=prepare.ticket.ticket_nonce)
    for answer in trap.say(taker, maker, reused):
        assert isinstance(answer, Ready | DeclineFrame)
        if isinstance(answer, Ready):
            again = Offer(
                ticket=reused.ticket,
                taker_signature=taker.session_key.sign(Digest(ticket_digest(reused))),
                ready_epoch=answer.ready_epoch,
                ready_signature=answer.ready_signature,
            )
            trap.say(taker, maker, OfferFrame(exchange=90, offer=again))
    world.run_ms(1000)
    assert len(tickets_of(maker)) == 1


def test_one_peer_cannot_fill_the_places_where_prepares_wait() -> None:
    """Neither those for the next window nor those for a comparison, of which each costs a whole book."""
    trap = Trap()
    maker, third = trap.maker, trap.world.peers[2]
    prepare = trap.prepare()
    compared = maker.market.windows.compare
    costs = []
    maker.market.windows.compare = lambda *args: costs.append(args) or compared(*args)
    for number in range(100):
        order_id = OrderId(number.to_bytes(32, "big"))
        wrong = renumbered(replace(prepare, window_digest=ZERO_DIGEST), exchange=number, taker_order=order_id)
        trap.say(third, maker, wrong)
        trap.say(third, maker, wrong)
    assert 0 < len(maker.market.maker._comparing) <= 16
    assert len(maker.market.maker._viewed) <= 64
    end_round(trap.world, maker, third, [])
    assert not costs
    assert not maker.market.maker._mismatches


def test_nothing_new_is_signed_for_an_order_whose_cancel_was_accepted() -> None:
    """The owner has its answer; a window that is still open entitles the order, but no promise and no Offer follow."""
    trap = Trap()
    world, maker, taker = trap.world, trap.maker, trap.taker
    prepare = trap.prepare()
    (ready,) = trap.say(taker, maker, prepare)
    assert isinstance(ready, Ready)
    request = world.cancel(taker, prepare.ticket.taker_order)
    while request not in taker.accepted:
        world.run_ms(10)
    trap.say(maker, taker, ready)
    world.run_ms(500)
    assert not [item for item in taker.market.desk.outbox.waiting_items() if isinstance(item, Offer)]
    assert not taker.market.feeds.feed(taker.identity.session).holds

    trap = Trap()
    world, maker, taker = trap.world, trap.maker, trap.taker
    prepare = trap.prepare()
    request = world.cancel(maker, prepare.ticket.maker_order)
    while request not in maker.accepted:
        world.run_ms(10)
    assert maker.market.windows.current.epoch == prepare.ticket.epoch
    (answer,) = trap.say(taker, maker, prepare)
    assert isinstance(answer, DeclineFrame)


def test_a_taker_whose_views_agree_again_needs_no_fallback() -> None:
    """Two failed windows must not make it ask for a fallback for ever, which a better order, entered later, forbids."""
    world = World(3, seed=3)
    maker, taker, third = world.peers
    world.place(maker, Side.SELL, 100, 5)
    world.run_ms(3000)
    world.deliver = lambda source, target, message: not isinstance(message, Prepare)
    bid = world.place(taker, Side.BUY, 104, 5)
    world.run_ms(2600)
    world.place(third, Side.SELL, 99, 5)
    world.run_ms(2000)
    pair = (maker.accepted[1], taker.accepted[bid])
    for side in (taker.market.taker._failures, maker.market.maker._mismatches):
        side[pair] = (Epoch(1), Epoch(2))
    world.deliver = lambda source, target, message: True
    world.run_ms(9000)
    assert pair in {(fact.maker_order, fact.taker_order) for fact in world.settled.values()}
    assert_no_overlap(tickets_of(maker))


def test_an_order_signed_but_never_told_before_a_crash_still_trades() -> None:
    """Its owner would think it in time and everybody else late: each would hold the other for the taker, for ever."""
    world = World(3, seed=4)
    crashed, other, _ = world.peers
    world.deliver = lambda source, target, message: source is not crashed
    first = world.place(crashed, Side.SELL, 100, 5)
    world.run_ms(500)
    assert first in crashed.accepted
    crashed.is_up = False
    world.deliver = lambda source, target, message: True
    world.run_ms(500)
    world.place(other, Side.BUY, 100, 5)
    world.run_ms(20_000)
    world.restart(crashed)
    world.sync_all()
    world.run_ms(12_000)
    assert len(world.settled) == 1


@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_two_that_take_each_other_for_the_taker_come_to_trade(pair: tuple[int, int], late: int) -> None:
    """Both orders claim one epoch and one came late to the other side: each node's view names the other as taker.

    Spec: [TICK-6].
    """
    world = World(3, seed=9)
    one, other = (world.peers[at] for at in pair)
    writer, reader = (one, other) if late else (other, one)
    world.run_ms(2000 - (world.now_ms - GENESIS_MS))
    world.deliver = lambda source, target, message: not (source is writer and target is reader)
    world.place(one, Side.SELL, 100, 5)
    world.place(other, Side.BUY, 100, 5)
    world.run_ms(3500)
    world.deliver = lambda source, target, message: True
    world.sync_all()
    world.run_ms(25_000)
    assert len(world.settled) == 1
