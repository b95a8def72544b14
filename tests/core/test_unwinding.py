"""What the chain takes back is as if it had never been: to unwind is to have read the new chain alone."""

from collections.abc import Callable
from random import Random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_world import MARKET, RULES, Peer, World
from strategies import SIGNED_WORLDS

from orrange_p2p.core.book import Book
from orrange_p2p.core.escrow import EscrowState
from orrange_p2p.core.events import Action, BlockAdded, BlocksUnwound, Settle
from orrange_p2p.core.facts import (
    BlockFacts,
    BondChanged,
    Defaulted,
    DisputeLost,
    EscrowMoved,
    Fact,
    FundsChanged,
    OrderCancelled,
    OrdersCancelled,
    SessionAuthorised,
    SessionCapped,
    SessionRevoked,
    Slashed,
    TradeSettled,
    TradeSkipped,
)
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.ledger import Ledger
from orrange_p2p.core.messages import LAST_PLACE
from orrange_p2p.core.own_lots import OwnLots
from orrange_p2p.core.period import Periods
from orrange_p2p.core.types import Address, Digest, Epoch, MarketId, OrderId, Scope, Side, TicketDigest

FIRST_BLOCK = 7
OWNERS = [Address(bytes([one]) * 20) for one in (1, 2)]
SESSIONS = [Address(bytes([one]) * 20) for one in (11, 12)]
TICKETS = [TicketDigest(bytes([one]) * 32) for one in range(40, 46)]
ORDERS = [OrderId(bytes([one]) * 32) for one in (51, 52, 53)]
MARKETS = [RULES.market_id, MarketId(b"\x77" * 32)]


def draw_trade(random: Random) -> TradeSettled:
    """A settled trade between few owners, over few orders."""
    first, lots = random.randrange(6), random.randint(1, 5)
    return TradeSettled(
        ticket=random.choice(TICKETS),
        market=random.choice(MARKETS),
        maker_order=random.choice(ORDERS),
        taker_order=random.choice(ORDERS),
        maker_owner=random.choice(OWNERS),
        taker_owner=random.choice(OWNERS),
        is_maker_buyer=random.random() < 0.5,
        price_ticks=random.randint(1, 9),
        maker_from=first,
        maker_to=first + lots,
        taker_from=first,
        taker_to=first + lots,
        sink_fee=random.randrange(3),
        fee=random.randrange(3),
        security=random.choice((0, 0, 1, 3)),
    )


def draw_fact(random: Random) -> Fact:
    """A fact of any kind, about few owners."""
    owner, ticket, amount = random.choice(OWNERS), random.choice(TICKETS), random.randrange(10**9)
    session, token = random.choice(SESSIONS), random.choice([MARKET.base, MARKET.quote])
    return random.choice(
        (
            FundsChanged(owner=owner, market=random.choice(MARKETS), token=token, delta=amount),
            SessionAuthorised(owner=owner, session=session, scope=Scope.TRADE, expiry_s=amount),
            SessionRevoked(owner=owner, session=session),
            SessionCapped(owner=owner, session=session, token=token, amount=amount),
            OrderCancelled(owner=owner, order=random.choice(ORDERS)),
            OrdersCancelled(owner=owner, session=session, nonce=amount % 9),
            draw_trade(random),
            TradeSkipped(ticket=ticket, reason=random.randrange(6)),
            EscrowMoved(ticket=ticket, state=random.choice(list(EscrowState)[2:]), penalty=amount),
            BondChanged(owner=owner, amount=amount),
            Slashed(owner=owner, amount=amount, is_over_signing=amount % 2 == 0),
            DisputeLost(owner=owner, amount=amount),
            Defaulted(owner=owner, ticket=ticket, victim=random.choice(OWNERS), amount=amount),
        )
    )


def new_ledger() -> Ledger:
    """A ledger that has read nothing."""
    return Ledger({RULES.market_id: MARKET})


def dump(ledger: Ledger) -> str:
    """Everything that a ledger holds, in the order in which it holds it."""
    return repr(
        [sorted(vars(ledger.conduct).items()), [one for one in sorted(vars(ledger).items()) if one[0] != "conduct"]]
    )


def grow(
    chain: list[BlockFacts], new: list[tuple[int, list[Fact]]], salt: int, add: Callable[[BlockFacts], None]
) -> None:
    """Put blocks on a chain; `salt` tells one branch's hashes from another's."""
    for gap_s, facts in new:
        parent = chain[-1].hash if chain else Digest(bytes(32))
        number = (chain[0].number if chain else FIRST_BLOCK) + len(chain)
        block = BlockFacts(
            number=number,
            hash=Digest(keccak256(parent + bytes([salt]) + number.to_bytes(8, "big"))),
            parent_hash=parent,
            time_s=gap_s + (chain[-1].time_s if chain else 1_700_000_000),
            facts=tuple(facts),
        )
        add(block)
        chain.append(block)


@settings(max_examples=2 * SIGNED_WORLDS)  # an example is a whole chain, read anew after each of six branches
@given(st.integers(0, 2**64))
def test_an_unwound_ledger_is_one_that_read_the_new_chain_only(seed: int) -> None:
    """Spec: [BOOK-1]."""
    random, ledger = Random(seed), new_ledger()
    chain: list[BlockFacts] = []
    for salt in range(6):
        del chain[max(0, len(chain) - random.randrange(12)) :]
        ledger.unwind(FIRST_BLOCK + len(chain) - 1)
        new = [
            (random.choice((0, 1, 90_000)), [draw_fact(random) for _ in range(random.randrange(7))])
            for _ in range(random.randrange(9))
        ]
        grow(chain, new, salt, ledger.add)
        fresh = new_ledger()
        for block in chain:
            fresh.add(block)
        assert dump(ledger) == dump(fresh)


def test_facts_of_every_kind_are_thrown() -> None:
    """A new kind of fact has to be unwound as well."""
    random = Random(1)
    thrown = frozenset(type(draw_fact(random)) for _ in range(1_000))
    assert thrown == frozenset(get_args(Fact))


def test_unwinding_to_the_last_block_changes_nothing_and_below_the_first_leaves_nothing() -> None:
    """Spec: [BOOK-1]."""
    ledger, chain = new_ledger(), []
    grow(chain, [(1, [BondChanged(owner=Address(bytes(20)), amount=5)]), (1, [])], 0, ledger.add)
    before = dump(ledger)
    ledger.unwind(chain[-1].number)
    assert dump(ledger) == before
    ledger.unwind(FIRST_BLOCK - 3)
    assert dump(ledger) == dump(new_ledger())
    assert ledger.last_block is None


def stance(peer: Peer) -> tuple[str, Book | None, object, Digest]:
    """What a peer derives from its chain and its feeds."""
    market = peer.market
    return (
        dump(peer.kernel.ledger),
        market.windows.keeper.book(),
        market.windows.current,
        market.shown.tree().root(0, LAST_PLACE),
    )


@pytest.mark.parametrize("seed", range(6))
def test_kernels_that_unwound_stand_where_one_that_starts_anew_does(seed: int) -> None:
    """Spec: [BOOK-1], [MATCH-12], [SYNC-1]."""
    world, random = World(3, seed=seed), Random(seed)
    for number in range(14):
        world.place(world.peers[number % 3], Side.SELL if number % 2 else Side.BUY, 100 + number % 3, 3)
        world.run_ms(1_000 + random.randrange(4) * 500)
        world.run_ms(500 - world.now_ms % 1_000 if world.now_ms % 1_000 < 500 else 1_500 - world.now_ms % 1_000)
        if number % 2:
            owner, token = random.choice(world.peers).identity.owner, random.choice((MARKET.base, MARKET.quote))
            world.mine(FundsChanged(owner=owner, market=RULES.market_id, token=token, delta=-(10**12)))
            world.run_ms(random.randrange(6) * 1_000)
            world.reorganise(random.randint(1, min(12, len(world.chain()) - 2)))
    assert any(note.name == "ticket_as_maker" for peer in world.peers for note in peer.notes)
    assert all(peer.kernel.counters["blocks_unwound"] == 7 for peer in world.peers)
    world.restart(world.peers[0])
    world.run_ms(5_000)
    world.sync_all()
    world.run_ms(3_000)
    fresh, *unwound = world.peers
    for peer in unwound:
        assert stance(peer) == stance(fresh)
        assert peer.kernel.doubt is None
    for peer in world.peers:
        assert len(peer.market.settling) == 0
        assert all(peer.kernel.ledger.settled_in(digest) is not None for digest in peer.market.tickets)


def settled_pair() -> tuple[World, TicketDigest]:
    """A world in which two peers have just traded, and the ticket that settled."""
    world = World(2)
    world.place(world.peers[0], Side.SELL, 100, 3)
    world.run_ms(2_500)
    world.place(world.peers[1], Side.BUY, 100, 3)
    while not world.settled:
        world.run_ms(500)
    world.run_ms(1_000)
    (digest,) = world.settled
    return world, digest


def test_a_ticket_that_the_chain_took_back_is_settled_again_once() -> None:
    """Spec: [BOOK-1], [TICK-13]."""
    world, digest = settled_pair()
    before = world.peers[0].kernel.ledger.settled_in(digest)
    world.reorganise(4)
    for peer in world.peers:
        assert peer.kernel.ledger.settled_in(digest) is None
        assert len(peer.market.settling) == 1
    world.run_ms(4_000)
    for peer in world.peers:
        settled_in = peer.kernel.ledger.settled_in(digest)
        assert settled_in is not None
        assert before is not None
        assert settled_in > before
        assert len(peer.market.settling) == 0


def test_a_ticket_that_the_new_blocks_settle_too_is_not_sent_again() -> None:
    """Nothing is sent before the chain is as long as it was: what was in the old blocks is mostly in the new ones."""
    world, digest = settled_pair()
    seller, (fact,) = world.peers[0], world.settled.values()
    chain = world.chain()
    actions: list[Action] = list(seller.kernel.step(BlocksUnwound(now_ms=world.now_ms, to_block=len(chain) - 4)))
    rest = list(chain[: len(chain) - 3])
    while len(rest) < len(chain):
        facts = [fact] if len(rest) == len(chain) - 1 else []
        grow(
            rest,
            [(1, list(facts))],
            9,
            lambda block: actions.extend(seller.kernel.step(BlockAdded(now_ms=world.now_ms, block=block))),
        )
    assert seller.kernel.ledger.settled_in(digest) == len(chain) - 1
    assert not [one for one in actions if isinstance(one, Settle)]
    assert len(seller.market.settling) == 0


def test_nothing_is_signed_and_no_window_opens_while_the_chain_is_gone() -> None:
    """Spec: [BOOK-1], [TICK-12]."""
    world, _ = settled_pair()
    kernel, windows = world.peers[0].kernel, world.peers[0].market.windows
    newest = windows.current
    kernel.step(BlocksUnwound(now_ms=world.now_ms, to_block=-1))
    assert kernel.why_not_sign() == "no block of the chain has been seen yet"
    assert windows.current is None
    assert newest is not None
    assert windows.ready_block(newest.epoch) is None
    assert windows.due(RULES.window_opens_ms(newest.epoch)) is None  # that epoch is not worked on twice


def test_a_session_that_the_chain_no_longer_knows_is_not_shown() -> None:
    """Spec: [SYNC-1]."""
    world, _ = settled_pair()
    peer = world.peers[0]
    heads = peer.market.heads()
    assert len(heads) == 2
    peer.kernel.step(BlocksUnwound(now_ms=world.now_ms, to_block=-1))
    assert peer.market.heads() == ()
    for block in world.chain():
        peer.kernel.step(BlockAdded(now_ms=world.now_ms, block=block))
    assert peer.market.heads() == heads


@pytest.mark.parametrize("to_block", [0, 1, 2])
def test_a_period_has_the_beacon_of_the_anchor_that_the_new_chain_gives_it(to_block: int) -> None:
    """Spec: [MATCH-12]: the anchor is block 1; with block 2 gone, a new one may be early enough to be it."""
    ledger, epoch = new_ledger(), Epoch(RULES.preset.period_s * 1_000 // RULES.preset.epoch_ms)
    limit_s = RULES.anchor_limit_s(1)
    periods, parent = Periods(ledger, RULES), Digest(bytes(32))
    for number, time_s in ((0, limit_s - 9), (1, limit_s), (2, limit_s + 1), (3, limit_s + 2)):
        name = Digest(bytes([number]) * 32)
        ledger.add(BlockFacts(number=number, hash=name, parent_hash=parent, time_s=time_s))
        parent = name
    before = periods.at(epoch)
    assert before is not None
    assert before.beacon == bytes([1]) * 32
    ledger.unwind(to_block)
    periods.unwind(to_block)
    last = ledger.last_block
    assert last is not None
    assert (periods.at(epoch) is before) == (to_block == 2)
    for number, time_s in ((to_block + 1, last.time_s), (to_block + 2, limit_s + 5)):
        name = Digest(bytes([number + 100]) * 32)
        ledger.add(BlockFacts(number=number, hash=name, parent_hash=ledger.last_block.hash, time_s=time_s))
    after = periods.at(epoch)
    assert after is not None
    assert after.beacon == (before.beacon if to_block == 2 else bytes([to_block + 101]) * 32)


def test_lots_whose_lock_was_dropped_are_not_signed_away_where_the_chain_s_time_fell() -> None:
    """Spec: [TICK-10]."""
    own_lots, life_s = OwnLots(), RULES.preset.ticket_life_s
    own_lots.expire(Epoch(5), 1_700_000_000, life_s)
    order = OrderId(bytes(32))
    assert own_lots.is_free(order, (0, 1), 1_700_000_000 - life_s)
    own_lots.expire(Epoch(5), 1_600_000_000, life_s)
    assert not own_lots.is_free(order, (0, 1), 1_700_000_000 - life_s - 1)
