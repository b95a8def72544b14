"""Cases for `protocol/vectors/book/{holds,funds}.json` of what the chain alone says: cancels there, fees, escrows."""

from dataclasses import replace

from protocol.reference import chain
from protocol.reference.types import BUY, SELL
from tests.core.pens import MARKET, MARKET_ID
from tests.core.small_worlds import NOW_S, offer, order_named, poor_world, put, trade_of
from tests.core.worlds import OWNERS, SESSIONS, World
from tests.vectors.edge_cases import LAG_S, first_epoch_from
from tests.vectors.world_cases import Told


def undone_worlds() -> Told:
    """[HOLD-5]: orders that their owners cancelled on the chain, and what is none."""
    for name, index, is_known in (
        ("cancelled_on_the_chain", 0, True),
        ("cancelled_on_the_chain_later", 0, False),
        ("cancelled_up_to_its_nonce", 1, True),
        ("cancelled_up_to_the_nonce_before", 2, True),
        ("cancelled_up_to_its_nonce_by_another", 3, True),
        ("cancelled_in_another_session", 4, True),
        ("cancelled_on_the_chain_by_another", 5, True),
    ):
        world = poor_world(5000)
        put(world, 0, SELL, 3)
        order_id = put(world, 0, SELL, 2)
        offer(world, put(world, 1, BUY, 2), order_id, 1)
        order, owner, other = order_named(world, order_id), OWNERS[0].address, OWNERS[1].address
        session, foreign = order.session, SESSIONS[1].address
        undone = (
            chain.OrderCancelled(owner=owner, order=order_id),
            chain.OrdersCancelled(owner=owner, session=session, nonce=order.nonce),
            chain.OrdersCancelled(owner=owner, session=session, nonce=order.nonce - 1),
            chain.OrdersCancelled(owner=other, session=session, nonce=order.nonce),
            chain.OrdersCancelled(owner=owner, session=foreign, nonce=order.nonce),
            chain.OrderCancelled(owner=other, order=order_id),
        )[index]
        world.facts.append(undone)
        world.add_block(NOW_S + 1)
        world.add_block(NOW_S + 2)
        world.epoch = first_epoch_from(world, NOW_S + (1 if is_known else 0) + LAG_S)
        yield f"order_{name}", "HOLD-5", world


def moved_funds() -> Told:
    """[FUND-1]: what a seller has after a fee, and what an escrow takes from both sides and gives to none."""
    terms = {"payment_methods": (7,), "arbitrators": (b"\x0a" * 20,)}
    for security, fee in ((0, 0), (0, 1), (0, 2001), (1, 0), (2, 0), (3, 0)):
        world = poor_world()
        changes = {**terms, "security": security} if security else {}
        maker, taker = put(world, 0, SELL, 3, **changes), put(world, 1, BUY, 3, **changes)
        ticket = offer(world, maker, taker, 3)
        world.facts.append(replace(trade_of(ticket, is_maker_buyer=False, owners=(0, 1)), fee=fee, security=security))
        world.add_block(NOW_S + 1)
        world.add_block(NOW_S + 2)
        world.epoch = first_epoch_from(world, NOW_S + 1 + LAG_S)
        for number in (0, 1):
            say_just_too_much_and_just_enough(world, number)
        yield f"funds_after_a_trade_in_lane_{security}_with_a_fee_of_{fee}", "FUND-1", world


def say_just_too_much_and_just_enough(world: World, number: int) -> None:
    """Orders of an owner that need a lot, or a tick, more than it has, and then ones that need what it has."""
    view = chain.view_at_fund_block(world.blocks, world.clock, world.epoch)
    assert view is not None
    pen, owner = world.pens[number], OWNERS[number].address
    lots = chain.allocation(view, MARKET_ID, MARKET, owner, MARKET.base) // MARKET.lot_size
    price_ticks = chain.allocation(view, MARKET_ID, MARKET, owner, MARKET.quote) // (2 * MARKET.tick_size)
    for more in (1, 0):
        world.say_order(pen, world.new_order(pen, SELL, 10_000, lots + more), pen.owner)
        world.say_order(pen, world.new_order(pen, BUY, price_ticks + more, 2), pen.owner)
    world.flush(pen)
