"""Feeds that a peer has cut come over real networks from their bases on. Spec: [FEED-16], [SYNC-21]."""

from collections.abc import Callable, Sequence

import pytest
import trio

from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.frames import encode_sync_message
from orrange_p2p.core.messages import GetRun, OrderItem, Run
from orrange_p2p.core.starts import base_from
from orrange_p2p.core.types import Epoch, Side
from orrange_p2p.core.verify import VerifiedEntry
from orrange_p2p.net.durable_feeds import held_run
from tests.core.hostile import next_entry, signed_order, true_checkpoint
from tests.core.kernel_world import RULES, Peer
from tests.functional.conftest import Running
from tests.functional.test_sync_and_tickets import MARKET, Answer, connected, lie, lying, telling, write_feed
from tests.functional.test_sync_and_tickets import Side as Node

WRITER = Peer("writer")
SESSION = WRITER.identity.session


def sell(nonce: int) -> OrderItem:
    """An order of the writer's."""
    return signed_order(WRITER, Side.SELL, 100, 1, nonce)


def long_feed(checkpoints: int = 2, between: int = 12) -> tuple[list[VerifiedEntry], Epoch]:
    """A feed with orders and Checkpoints, and the epoch from which the last of them is its base."""
    feeds = Feeds(RULES)
    for entry in write_feed(WRITER, between):
        feeds.add(entry)
    epoch, nonce = 0, 0
    for _ in range(checkpoints):
        feed = feeds.feed(SESSION)
        assert feed is not None
        epoch = feed.entries[-1].entry.header.epoch + 1400  # Checkpoints keep their distance
        feeds.add(next_entry(WRITER, feed, [true_checkpoint(feed, epoch)], epoch))
        for further in range(between):
            nonce += 1
            feeds.add(next_entry(WRITER, feed, [sell(nonce)], epoch + 1 + further))
    feed = feeds.feed(SESSION)
    assert feed is not None
    assert not feed.is_dead
    return list(feed.entries), Epoch(base_from(RULES, Epoch(epoch)))


async def a_cutter_and_another(start: Running) -> tuple[Node, Node, list[VerifiedEntry]]:
    """Two connected nodes; the second has cut the feed at its last Checkpoint."""
    one, other = (Node(network) for network in await connected(start))
    entries, first = long_feed()
    for entry in entries:
        other.feeds.add(entry)
    assert len(other.feeds.advance_bases(first)) == 1
    return one, other, entries


@pytest.mark.parametrize("known", [0, 1, 9, 20])
async def test_who_lacks_what_was_cut_begins_at_the_base(start: Running, known: int) -> None:
    """Whether it knew nothing of the feed, or some of its beginning. Spec: [SYNC-21]."""
    one, other, entries = await a_cutter_and_another(start)
    for entry in entries[:known]:
        one.feeds.add(entry)
    await one.sync.round(other.network.peer_id, MARKET)
    assert one.feeds.heads() == other.feeds.heads()
    assert [begun.entry for begun in one.starts] == [other.feeds.feed(SESSION).entries[0]]
    assert one.feeds.feed(SESSION).first_seq == other.feeds.feed(SESSION).first_seq
    assert sorted(one.feeds.feed(SESSION).orders) == sorted(other.feeds.feed(SESSION).orders)
    assert one.rounds[-1] is not None


async def test_who_holds_the_base_is_sent_what_follows_and_nothing_else(start: Running) -> None:
    """Spec: [SYNC-21]."""
    one, other, entries = await a_cutter_and_another(start)
    base = other.feeds.feed(SESSION).first_seq
    for entry in entries[: base + 3]:
        one.feeds.add(entry)
    await one.sync.round(other.network.peer_id, MARKET)
    assert one.starts == []
    assert one.feeds.heads() == other.feeds.heads()
    assert one.feeds.feed(SESSION).first_seq == 0


async def test_a_node_that_cut_syncs_from_one_that_kept_all(start: Running) -> None:
    one, other, entries = await a_cutter_and_another(start)
    for entry in entries:
        one.feeds.add(entry)
    feed = one.feeds.feed(SESSION)
    one.feeds.add(next_entry(WRITER, feed, [sell(9000)], feed.entries[-1].entry.header.epoch + 1))
    await other.sync.round(one.network.peer_id, MARKET)
    assert one.feeds.heads() == other.feeds.heads()


async def test_three_nodes_hand_a_base_on(start: Running) -> None:
    """Who began at a base lets others begin there."""
    one, other, _ = await a_cutter_and_another(start)
    third = Node(await start())
    await third.network.connect(one.network.addresses()[0])
    await one.sync.round(other.network.peer_id, MARKET)
    await third.sync.round(one.network.peer_id, MARKET)
    assert third.feeds.heads() == other.feeds.heads()
    assert third.starts == one.starts


def lies(run: Run, entries: Sequence[VerifiedEntry]) -> dict[str, Run]:
    """Answers that no honest peer gives."""

    def with_(**changes: object) -> Run:
        fields = {name: getattr(run, name) for name in ("request", "has_more", "entries", "bodies")}
        return Run(**(fields | changes))  # type: ignore[arg-type]

    return {
        "a body left out": with_(bodies=run.bodies[:-1]),
        "a body more": with_(bodies=(*run.bodies, run.bodies[-1])),
        "bodies in another order": with_(bodies=run.bodies[::-1]),
        "no bodies": with_(bodies=()),
        "an entry without a Checkpoint": with_(entries=run.entries[1:]),
        "another body": with_(bodies=(*run.bodies[:-1], run.bodies[0])),
        "bodies where it should begin": with_(entries=tuple(entry.encoded for entry in entries)),
    }


def as_told_by(node: Node, tell: Callable[[Run], Run]) -> Answer:
    """Answers like an honest node's, but for what is told instead of a run."""

    def on_run(asked: GetRun) -> Run:
        held = held_run(node.feeds.feed(SESSION), asked.from_seq, asked.to_seq)
        return tell(Run(request=asked.request, has_more=False, entries=held.entries, bodies=held.bodies))

    return lying(lambda asked: telling(asked.request, *node.feeds.heads()), on_run)


async def test_the_same_answers_without_a_lie_are_taken(start: Running) -> None:
    """Or the test below would prove nothing."""
    one, other, _ = await a_cutter_and_another(start)
    teller = await start()
    await one.network.connect(teller.addresses()[0])
    await lie(teller, as_told_by(other, lambda run: run))
    await one.sync.round(teller.peer_id, MARKET)
    assert one.feeds.heads() == other.feeds.heads()


@pytest.mark.parametrize("told", ["a body left out", "a body more", "bodies in another order", "no bodies",
    "an entry without a Checkpoint", "another body", "bodies where it should begin"])  # fmt: skip
async def test_a_wrong_start_fails_the_round_and_an_honest_peer_is_still_served(start: Running, told: str) -> None:
    """Spec: [FEED-16], [SYNC-21]."""
    one, other, entries = await a_cutter_and_another(start)
    liar = await start()
    await one.network.connect(liar.addresses()[0])
    await lie(liar, as_told_by(other, lambda run: lies(run, entries)[told]))
    await one.sync.round(liar.peer_id, MARKET)
    assert one.rounds == [None]
    assert one.feeds.feed(SESSION) is None or one.feeds.feed(SESSION).start is None
    with trio.fail_after(20):
        await one.sync.round(other.network.peer_id, MARKET)
    assert one.feeds.heads() == other.feeds.heads()


async def test_the_bodies_of_a_large_base_and_its_entries_fit_a_frame(start: Running) -> None:
    """Spec: [SYNC-21], [NET-2]."""
    _, other, _ = await a_cutter_and_another(start)
    asked = GetRun(request=1, market=MARKET, session=SESSION, from_seq=0, to_seq=2**32)
    answer = other.sync._answer(asked)
    assert isinstance(answer, Run)
    assert len(answer.bodies) > 10
    assert len(encode_sync_message(answer)) < 256 * 1024
