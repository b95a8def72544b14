"""How a false Checkpoint reaches nodes that were not there when it was said, over real networks. Spec: [FEED-14]."""

import pytest

from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.verify import VerifiedEntry
from tests.core.hostile import false_checkpoints, next_entry
from tests.core.kernel_world import RULES, Peer
from tests.functional.conftest import Running
from tests.functional.test_sync_and_tickets import MARKET, Side, connected, write_feed

LIAR = Peer("liar")
SESSION = LIAR.identity.session


def lying_feed(count: int, *, mark: int = 0, fork_at: int | None = None) -> list[VerifiedEntry]:
    """A session's first entries, of which the last is a Checkpoint that is false."""
    feeds = Feeds(RULES)
    for entry in write_feed(LIAR, count, mark=mark, fork_at=fork_at):
        feeds.add(entry)
    feed = feeds.feed(SESSION)
    assert feed is not None
    epoch = feed.entries[-1].entry.header.epoch + 1
    lie = false_checkpoints(feed, epoch)["another next nonce"]
    return [*feed.entries, next_entry(LIAR, feed, [lie], epoch)]


async def both(start: Running) -> tuple[Side, Side]:
    """Two connected nodes that hold nothing."""
    one, other = (Side(network) for network in await connected(start))
    return one, other


@pytest.mark.parametrize("known", [0, 2, 5])
async def test_a_later_node_finds_the_session_dead_by_the_run_alone(start: Running, known: int) -> None:
    """Nobody has to be believed: the entries prove it, how many of them it knew before. Spec: [SYNC-1], [SYNC-3]."""
    early, late = await both(start)
    entries = lying_feed(5)
    for entry in entries:
        early.feeds.add(entry)
    for entry in entries[:known]:
        late.feeds.add(entry)
    assert early.feeds.dead_sessions() == (SESSION,)
    assert late.feeds.dead_sessions() == ()
    await late.sync.round(early.network.peer_id, MARKET)
    assert late.feeds.heads() == early.feeds.heads()
    assert [head.next_seq for head in late.feeds.heads()] == [6]
    assert late.feeds.dead_sessions() == (SESSION,)


@pytest.mark.parametrize("count", [3, 4, 9])
async def test_a_node_on_another_branch_finds_the_fork_below_a_false_checkpoint(start: Running, count: int) -> None:
    """Else both would hold the session dead from one seq, and other entries below it for good. Spec: [SYNC-3]."""
    early, late = await both(start)
    for entry in lying_feed(5):
        early.feeds.add(entry)
    for entry in write_feed(LIAR, count, fork_at=2):
        late.feeds.add(entry)
    await late.sync.round(early.network.peer_id, MARKET)
    await early.sync.round(late.network.peer_id, MARKET)
    assert [head.next_seq for head in early.feeds.heads()] == [3]
    assert late.feeds.heads() == early.feeds.heads()
