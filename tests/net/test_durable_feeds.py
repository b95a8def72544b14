"""What a peer can fetch from a node is on the node's disk first. Spec: [FEED-9]."""

from orrange_p2p.core.events import OrderRequested, PersistEntry
from orrange_p2p.core.messages import Head
from orrange_p2p.core.types import Side, TimeInForce
from orrange_p2p.net.durable_feeds import DurableFeeds
from tests.core.kernel_world import RULES, World


def heads_of(served: DurableFeeds) -> tuple[Head, ...]:
    return tuple(served.tree(RULES.market_id).heads())


def test_sync_serves_no_own_entry_that_a_crash_could_still_take() -> None:
    world = World(2)
    victim, market = world.peers[0], RULES.market_id
    session = victim.identity.session
    served = DurableFeeds(victim.kernel)
    world.place(victim, Side.SELL, 100, 5)
    served.note(market, 1)
    world.run_ms(1000)
    before = heads_of(served)
    assert [head.next_seq for head in before if head.session == session] == [1]
    request = OrderRequested(
        now_ms=world.now_ms,
        request=77,
        market=market,
        side=Side.SELL,
        price_ticks=101,
        quantity_lots=5,
        tif=TimeInForce.GTC,
    )
    (persist,) = [action for action in victim.kernel.step(request) if isinstance(action, PersistEntry)]
    assert heads_of(served) == before
    assert len(served.run(market, session, 0, 99).entries) == 1
    served.note(market, persist.entry.entry.header.seq + 1)
    assert heads_of(served) == victim.market.heads()
    assert served.run(market, session, 1, 99).entries == (persist.entry.encoded,)
