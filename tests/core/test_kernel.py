"""Kernels among themselves: from a placed order to a settled ticket, with loss, lateness, silence and crashes."""

from dataclasses import replace

import pytest
from kernel_world import DIGESTS, MARKET, RULES, Peer, World

from orrange_p2p.core.events import EntriesReceived, Path, PeerLost, Settle
from orrange_p2p.core.facts import SessionCapped
from orrange_p2p.core.market_kernel import MAX_STRANGERS
from orrange_p2p.core.messages import Cancel, OfferFrame, Prepare, Ready
from orrange_p2p.core.outbox import Outbox
from orrange_p2p.core.ranges import overlaps
from orrange_p2p.core.types import Side, TimeInForce
from orrange_p2p.core.verify import VerifiedEntry, VerifiedTicket
from protocol.reference.feeds import is_too_early, read_sound_entry
from protocol.reference.types import Domain


def trade_randomly(world: World, rounds: int) -> None:
    for _ in range(rounds):
        for peer in world.peers:
            if world.random.random() < 0.6:
                side = Side(world.random.randint(0, 1))
                tif = TimeInForce.IOC if world.random.random() < 0.2 else TimeInForce.GTC
                world.place(peer, side, world.random.randint(95, 105), world.random.randint(1, 9), tif)
            if peer.accepted and world.random.random() < 0.2:
                world.cancel(peer, world.random.choice(list(peer.accepted.values())))
        world.run_ms(world.random.randint(100, 400))


def assert_honest(world: World) -> None:
    """S1, S2, S4, S5: nothing settled beyond an order, beyond a limit, twice, or between one owner's orders."""
    filled: dict[bytes, list[tuple[int, int]]] = {}
    for peer in world.peers:
        feed = peer.market.feeds.feed(peer.identity.session)
        nonces = [hold.ticket.ticket_nonce for hold in feed.holds if hold.is_offer] if feed else []
        assert len(nonces) == len(set(nonces))
        assert not feed or not feed.is_dead
    for fact in world.settled.values():
        maker, taker = (world.peers[0].market.feeds.order(one) for one in (fact.maker_order, fact.taker_order))
        buyer, seller = (maker, taker) if fact.is_maker_buyer else (taker, maker)
        assert seller.order.price_ticks <= fact.price_ticks <= buyer.order.price_ticks
        assert maker.order.owner != taker.order.owner
        for record, lots in ((maker, (fact.maker_from, fact.maker_to)), (taker, (fact.taker_from, fact.taker_to))):
            assert 0 <= lots[0] < lots[1] <= record.order.quantity_lots
            for other in filled.setdefault(record.order_id, []):
                assert not overlaps(lots, other)
            filled[record.order_id].append(lots)


def quiesce(world: World) -> None:
    """Go on until nobody is entitled to anything and nothing waits to settle: an entitled pair ends in a ticket."""
    for _ in range(60):
        world.run_ms(4000)
        world.sync_all()
        if not any(peer.market.windows.current.pieces or len(peer.market.settling) for peer in world.peers):
            break
    world.run_ms(6000)
    world.sync_all()


def test_two_crossing_orders_become_one_settled_ticket_on_the_equal_path() -> None:
    """Spec: [TICK-3]."""
    world = World(3)
    ask = world.place(world.peers[0], Side.SELL, 100, 5)
    world.run_ms(2500)
    bid = world.place(world.peers[1], Side.BUY, 101, 3)
    world.run_ms(8000)
    (fact,) = world.settled.values()
    assert fact.maker_order == world.peers[0].accepted[ask]
    assert fact.taker_order == world.peers[1].accepted[bid]
    assert (fact.price_ticks, fact.maker_from, fact.maker_to) == (100, 0, 3)
    assert all(set(peer.market.tickets) == set(world.settled) for peer in world.peers)
    assert len(set(world.digests())) == 1
    paths = [dict(note.details)["path"] for note in world.peers[0].notes if note.name == "ticket_as_maker"]
    assert paths == [Path.EQUAL.value]


@pytest.mark.parametrize("seed", range(4))
def test_random_trading_settles_every_ticket_and_leaves_equal_books(seed: int) -> None:
    world = World(4, seed=seed)
    trade_randomly(world, 40)
    quiesce(world)
    assert len(world.settled) > 5
    assert_honest(world)
    assert all(set(peer.market.tickets) == set(world.settled) for peer in world.peers)
    assert len(set(world.digests())) == 1
    assert all(len(peer.market.settling) == 0 and not peer.market.settling.missed for peer in world.peers)


@pytest.mark.parametrize("seed", range(4))
def test_lost_and_late_gossip_still_ends_in_equal_books_and_settled_tickets(seed: int) -> None:
    world = World(4, seed=seed, delay_ms=(1, 900), drop=0.2)
    for _ in range(20):
        trade_randomly(world, 3)
        world.sync_all()
    quiesce(world)
    assert len(world.settled) > 5
    assert_honest(world)
    assert all(set(peer.market.tickets) == set(world.settled) for peer in world.peers)
    assert len(set(world.digests())) == 1


def test_same_seed_gives_the_same_run() -> None:
    runs = []
    for _ in range(2):
        world = World(3, seed=7)
        trade_randomly(world, 25)
        runs.append((world.log, sorted(world.settled), world.digests()))
    assert runs[0] == runs[1]
    assert runs[0][1]


def test_a_late_entry_is_reconciled_before_anyone_signs() -> None:
    """One node gets the maker's better ask late: the views differ, are compared, and the ticket is `reconciled`."""
    world = World(3, seed=3)
    maker, taker, third = world.peers
    world.place(maker, Side.SELL, 100, 5)
    world.run_ms(3000)
    withheld = []

    def deliver(source, target, message) -> bool:
        if source is third and target is maker and not isinstance(message, Prepare):
            withheld.append(message)
            return False
        return True

    world.deliver = deliver
    world.place(third, Side.SELL, 103, 2)
    world.place(taker, Side.BUY, 104, 5)
    world.run_ms(6000)
    assert withheld
    paths = [
        dict(note.details)["path"] for peer in world.peers for note in peer.notes if note.name == "ticket_as_maker"
    ]
    assert paths == [Path.RECONCILED.value]
    assert_honest(world)


def test_a_silent_maker_is_skipped_and_the_next_one_trades() -> None:
    """Spec: [TICK-11]."""
    world = World(3, seed=5)
    silent, other, taker = world.peers
    world.place(silent, Side.SELL, 100, 5)
    world.place(other, Side.SELL, 101, 5)
    world.run_ms(3000)
    world.deliver = lambda source, target, message: not (source is silent and isinstance(message, Ready))
    bid = world.place(taker, Side.BUY, 105, 5)
    world.run_ms(9000)
    assert [fact.taker_order for fact in world.settled.values()] == [taker.accepted[bid]]
    (fact,) = world.settled.values()
    assert fact.price_ticks == 101
    assert any(note.name == "maker_silent" for note in taker.notes)


def test_an_offer_whose_stream_broke_is_countersigned_from_gossip() -> None:
    world = World(2, seed=5)
    maker, taker = world.peers
    world.place(maker, Side.SELL, 100, 5)
    world.run_ms(3000)
    world.deliver = lambda source, target, message: not isinstance(message, OfferFrame)
    world.place(taker, Side.BUY, 100, 5)
    world.run_ms(8000)
    assert len(world.settled) == 1


@pytest.mark.parametrize("seed", range(6))
def test_kill_and_restart_contradicts_nothing_that_was_signed(seed: int) -> None:
    world = World(3, seed=seed)
    for _ in range(8):
        trade_randomly(world, 3)
        victim = world.random.choice(world.peers)
        world.restart(victim)
    quiesce(world)
    assert len(world.settled) > 2
    assert_honest(world)
    assert len(set(world.digests())) == 1
    assert all(set(peer.market.tickets) == set(world.settled) for peer in world.peers)


def test_a_store_older_than_what_peers_hold_signs_nothing_more() -> None:
    """Spec: [FEED-9], [SYNC-5]."""
    world = World(2, seed=1)
    victim = world.peers[0]
    world.place(victim, Side.SELL, 100, 5)
    world.run_ms(1500)
    world.place(victim, Side.SELL, 101, 5)
    world.run_ms(1500)
    victim.disk = victim.disk[:1]
    world.restart(victim)
    assert "store is old or lost" in victim.kernel.why_not_sign()
    request = world.place(victim, Side.SELL, 102, 5)
    assert victim.refused[request].rule == "TICK-12"


def test_an_unfunded_order_is_refused_with_the_figures() -> None:
    world = World(2, funds_lots=10)
    request = world.place(world.peers[0], Side.SELL, 100, 11)
    refusal = world.peers[0].refused[request]
    assert refusal.rule == "FUND-3"
    assert str(11 * MARKET.lot_size) in refusal.message
    assert str(10 * MARKET.lot_size) in refusal.message
    allowed = world.place(world.peers[0], Side.SELL, 100, 10)
    assert allowed in world.peers[0].accepted
    again = world.place(world.peers[0], Side.SELL, 100, 1)
    assert again in world.peers[0].refused


def test_a_node_without_its_quorum_signs_nothing() -> None:
    world = World(1)
    request = world.place(world.peers[0], Side.SELL, 100, 1)
    assert "not yet synced" in world.peers[0].refused[request].message


def test_cancel_of_an_unknown_order_is_refused_by_name() -> None:
    world = World(2)
    request = world.cancel(world.peers[0], bytes(32))
    assert world.peers[0].refused[request].rule == "ORD-5"


def test_ioc_remainder_is_cancelled_not_rested() -> None:
    world = World(2)
    maker, taker = world.peers
    world.place(maker, Side.SELL, 100, 2)
    world.run_ms(2500)
    world.place(taker, Side.BUY, 100, 5, TimeInForce.IOC)
    world.run_ms((RULES.preset.k + 3) * 1000)
    world.place(maker, Side.SELL, 100, 2)
    world.run_ms(6000)
    assert [fact.maker_to - fact.maker_from for fact in world.settled.values()] == [2]
    assert all(row.order.side is Side.SELL for row in maker.market.windows.keeper.book().orders)


def forge_entry(peer: Peer, now_ms: int, item: Cancel) -> VerifiedEntry:
    """The next entry of a peer's feed, signed with its key behind its kernel's back."""
    outbox = Outbox(RULES, DIGESTS, peer.identity)
    outbox.add(item)
    return outbox.flush(peer.market.feeds.feed(peer.identity.session), now_ms).entry


def test_a_fork_shown_half_and_half_kills_the_session_everywhere() -> None:
    """Two halves shown to two nodes: each gossips the second half once. Spec: [FEED-6]."""
    world = World(3)
    forger, left, right = world.peers
    world.place(forger, Side.SELL, 100, 5)
    world.run_ms(3000)
    rivals = [forge_entry(forger, world.now_ms, Cancel(order_id=bytes([number]) * 32)) for number in (1, 2)]
    forger.is_up = False
    for target, rival in zip((left, right), rivals, strict=True):
        event = EntriesReceived(now_ms=world.now_ms, market=RULES.market_id, entries=(rival,), source=forger.peer_id)
        world.feed(target, event)
        assert not target.market.feeds.dead_sessions()
    world.gossip(forger, rivals[1:])
    world.run_ms(3000)
    for peer in (left, right):
        assert peer.market.feeds.dead_sessions() == (forger.identity.session,)
        assert not any(row.is_matchable for row in peer.market.windows.keeper.book().orders)


def test_strangers_to_the_chain_get_few_places_and_owners_keep_theirs() -> None:
    """Free keys cannot fill a node's memory or the heads it sends. Spec: [FEED-12]."""
    world = World(2)
    victim, honest = world.peers
    for number in range(MAX_STRANGERS + 20):
        stranger = Peer(f"stranger {number}")
        entry = forge_entry(stranger, world.now_ms, Cancel(order_id=bytes(32)))
        event = EntriesReceived(now_ms=world.now_ms, market=RULES.market_id, entries=(entry,), source=honest.peer_id)
        world.feed(victim, event)
    assert len(victim.market.feeds) == MAX_STRANGERS
    assert victim.kernel.counters["entry_of_a_stranger"] == 20
    world.place(honest, Side.SELL, 100, 5)
    world.run_ms(2000)
    assert victim.market.feeds.feed(honest.identity.session) is not None


def test_an_offer_that_came_while_a_restarted_maker_caught_up_still_gets_its_ticket() -> None:
    """[TICK-9]: the maker was down when the Offer came; it fetches it before it may sign."""
    world = World(3, seed=4)
    maker, taker, other = world.peers
    world.place(maker, Side.SELL, 100, 5)
    world.run_ms(3000)

    def deliver(source: Peer, target: Peer, message: object) -> bool:
        if isinstance(message, OfferFrame):
            maker.is_up = False
        return maker.is_up or target is not maker

    world.deliver = deliver
    world.place(taker, Side.BUY, 100, 5)
    world.run_ms(4000)
    assert not maker.is_up
    world.deliver = lambda source, target, message: True
    world.restart(maker)
    assert maker.kernel.why_not_sign() is None
    world.run_ms(6000)
    assert len(world.settled) == 1
    assert set(other.market.tickets) == set(world.settled)


def test_a_ticket_that_came_by_stream_alone_is_settled_after_a_restart() -> None:
    """[TICK-13]: the maker is gone with its entry and its settlement; the taker has the ticket on disk."""
    world = World(3, seed=4)
    maker, taker, _ = world.peers
    world.place(maker, Side.SELL, 100, 5)
    world.run_ms(3000)
    world.deliver = lambda source, target, message: source is not maker or not isinstance(message, EntriesReceived)
    carry_out = world._carry_out
    world._carry_out = lambda peer, action: None if isinstance(action, Settle) else carry_out(peer, action)
    world.place(taker, Side.BUY, 100, 5)
    while not taker.tickets:
        world.run_ms(50)
    maker.is_up = False
    world._carry_out = carry_out
    known = taker.market.feeds.feed(maker.identity.session).entries
    assert not any(isinstance(item, VerifiedTicket) for entry in known for item in entry.items)
    world.restart(taker)
    assert len(taker.market.settling) == 1
    world.run_ms((RULES.preset.ticket_life_s // 3 + 3) * 1000)
    assert len(world.settled) == 1


def test_a_gap_is_fetched_at_once_from_whoever_showed_it() -> None:
    """[FEED-5]: what is held ahead of a gap does not wait for the next round of sync."""
    world = World(2, seed=4)
    writer, reader = world.peers
    world.deliver = lambda source, target, message: False
    world.place(writer, Side.SELL, 100, 5)
    world.run_ms(600)
    world.deliver = lambda source, target, message: True
    world.place(writer, Side.SELL, 101, 5)
    world.run_ms(400)
    assert len(reader.market.feeds.feed(writer.identity.session).entries) == 2


def test_a_peer_that_comes_back_is_given_another_chance_soon() -> None:
    """[TICK-11]: 2^6 epochs of being passed over are not what a restart deserves."""
    world = World(2, seed=4)
    maker, taker = world.peers
    world.place(maker, Side.SELL, 100, 5)
    world.run_ms(3000)
    suspicion = taker.market.taker._suspicion
    epoch = taker.market.windows.current.epoch
    for _ in range(7):
        suspicion.blame(maker.identity.session, epoch)
    assert suspicion.is_suspected(maker.identity.session, epoch + 40)
    world.feed(taker, PeerLost(now_ms=world.now_ms, peer=maker.peer_id))
    world.sync(taker, maker)
    assert suspicion.is_suspected(maker.identity.session, epoch + 1)
    assert not suspicion.is_suspected(maker.identity.session, epoch + 10)


@pytest.mark.parametrize(("ahead", "is_kept"), [(2, True), (3, False)])
def test_an_entry_from_the_future_is_ignored_until_its_time_has_come(ahead: int, is_kept: bool) -> None:
    """Spec: [FEED-10]; as the reference has it, and nobody is punished, so that it is taken when it is told again."""
    world = World(2)
    hearer, teller = world.peers
    now = RULES.epoch_at(world.now_ms)
    entry = forge_entry(teller, RULES.epoch_start_ms(now + ahead), Cancel(order_id=bytes(32)))
    domain = Domain(chain_id=DIGESTS.domain.chain_id, settlement=DIGESTS.domain.settlement)
    assert is_too_early(read_sound_entry(domain, entry.encoded), now) is not is_kept
    event = EntriesReceived(now_ms=world.now_ms, market=RULES.market_id, entries=(entry,), source=teller.peer_id)
    world.feed(hearer, event)
    assert (hearer.market.feeds.feed(teller.identity.session) is not None) is is_kept
    assert hearer.kernel.counters["entry_from_the_future"] == (not is_kept)
    world.run_ms(RULES.preset.epoch_ms)
    world.feed(hearer, replace(event, now_ms=world.now_ms))
    assert hearer.market.feeds.feed(teller.identity.session) is not None


@pytest.mark.parametrize("is_told", [False, True])
def test_a_ticket_that_neither_party_submits_is_settled_by_a_third_that_was_told_to(*, is_told: bool) -> None:
    """Spec: [TICK-13]."""
    world = World(3, seed=3)
    maker, taker, third = world.peers
    if is_told:
        third.kernel.settle_for_others()
    carry_out = world._carry_out
    world._carry_out = lambda peer, action: (  # type: ignore[method-assign]
        carry_out(peer, action) if peer is third or not isinstance(action, Settle) else None
    )
    world.place(maker, Side.SELL, 100, 5)
    world.run_ms(2500)
    world.place(taker, Side.BUY, 100, 5)
    world.run_ms(RULES.preset.ticket_life_s * 1000)
    assert len(third.market.tickets) == 1
    assert len(world.settled) == is_told


def test_a_node_with_a_capped_session_signs_nothing() -> None:
    """The chain would record a default once the cap is spent, and this node does not count. Spec: [TICK-12]."""
    world = World(2)
    world.run_ms(3000)
    maker, other = world.peers
    assert maker.kernel.why_not_sign() is None
    identity = maker.kernel.identity
    cap = SessionCapped(owner=identity.owner, session=identity.session, token=RULES.market.base, amount=5)
    world.to_say.append(cap)
    world.run_ms(3000)
    assert "has a cap on the chain" in str(maker.kernel.why_not_sign())
    assert other.kernel.why_not_sign() is None
    request = world.place(maker, Side.SELL, 100, 5)
    assert "has a cap on the chain" in maker.refused[request].message
