"""Who is absent is each node's own view; before two of them sign, both must have said so. Spec: [TICK-2], [TICK-4]."""

from kernel_world import RULES, Peer, World
from test_kernel import assert_honest

from orrange_p2p.core.events import Path
from orrange_p2p.core.messages import Prepare, View
from orrange_p2p.core.types import Side


def take_for_absent(peer: Peer, *others: Peer) -> None:
    """From now on a peer hears no sign of life from others, whatever they send."""
    windows = peer.market.windows
    windows.set_absent(other.identity.session for other in others)
    windows.set_absent = lambda _sessions: None


def trade_with(*, third_price: int, blind: str) -> tuple[World, dict[bytes, int]]:
    """A maker's ask at 100 for 5, a third one's beside it, a bid for 5 at 104; `blind` names who misses the third.

    Returns the world and the lots that each order of a maker has sold.
    """
    world = World(3, seed=3)
    maker, taker, third = world.peers
    world.place(maker, Side.SELL, 100, 5)
    world.place(third, Side.SELL, third_price, 5)
    world.run_ms(3000)
    for name, peer in (("maker", maker), ("taker", taker)):
        if name in blind:
            take_for_absent(peer, third)
    world.log.clear()
    world.place(taker, Side.BUY, 104, 5)
    world.run_ms(9000)
    assert_honest(world)
    names = {maker.accepted[1]: "maker", third.accepted[2]: "third"}
    return world, {names[fact.maker_order]: fact.maker_to - fact.maker_from for fact in world.settled.values()}


def paths(world: World) -> list[str]:
    """How the tickets were agreed."""
    return [dict(note.details)["path"] for peer in world.peers for note in peer.notes if note.name == "ticket_as_maker"]


def test_a_better_maker_absent_on_both_sides_is_passed_over_on_the_equal_path() -> None:
    world, sold = trade_with(third_price=99, blind="maker and taker")
    assert sold == {"maker": 5}
    assert paths(world) == [Path.EQUAL.value]


def test_a_better_maker_absent_for_the_taker_alone_is_not_passed_over() -> None:
    """Else a taker could choose whom it trades with by calling others absent; that maker's own View brings it back."""
    world, sold = trade_with(third_price=99, blind="taker")
    assert sold == {"third": 5}
    assert any("View" in line for line in world.log)
    assert paths(world) == [Path.RECONCILED.value]


def test_a_better_maker_absent_for_another_maker_alone_trades() -> None:
    _, sold = trade_with(third_price=99, blind="maker")
    assert sold == {"third": 5}


def test_an_absent_order_that_changes_nothing_is_reconciled() -> None:
    world, sold = trade_with(third_price=103, blind="taker")
    assert sold == {"maker": 5}
    assert paths(world) == [Path.RECONCILED.value]


def test_prepare_and_view_name_the_absent_sessions_of_their_sender() -> None:
    """Spec: [TICK-2], [TICK-4]."""
    world = World(3, seed=3)
    maker, taker, third = world.peers
    heard: list[Prepare | View] = []

    def deliver(_source: Peer, _target: Peer, message: object) -> bool:
        if isinstance(message, Prepare | View):
            heard.append(message)
        return True

    world.deliver = deliver
    world.place(maker, Side.SELL, 100, 5)
    world.place(third, Side.SELL, 103, 5)
    world.run_ms(3000)
    take_for_absent(taker, third)
    world.place(taker, Side.BUY, 104, 5)
    world.run_ms(6000)
    first, view, second = heard[:3]
    assert isinstance(first, Prepare)
    assert isinstance(second, Prepare)
    assert first.absent == second.absent == (third.identity.session,)
    assert isinstance(view, View)
    assert view.absent == ()


def test_who_sends_a_prepare_is_not_absent() -> None:
    """[TICK-4], [PEER-3]: the maker had not heard of the taker for long; its Prepare says that it lives."""
    world = World(2, seed=3)
    maker, taker = world.peers
    world.place(maker, Side.SELL, 100, 5)
    world.run_ms(3000)
    take_for_absent(maker, taker)
    world.place(taker, Side.BUY, 104, 5)
    world.run_ms(3000 + RULES.preset.t_ack_ms)
    world.run_ms(6000)
    assert paths(world) == [Path.RECONCILED.value]
    assert len(world.settled) == 1
