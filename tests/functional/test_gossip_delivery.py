"""Messages between honest peers arrive, all of them, once."""

from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
import trio
from stock_peer import stock_gossip

from orrange_p2p.core.types import PeerId
from orrange_p2p.core.verdicts import Accept, Ignore, Verdict
from orrange_p2p.errors import InternalError, LocalProtocolError
from orrange_p2p.net.messages import GossipMessage
from orrange_p2p.net.network import Network
from orrange_p2p.net.settings import NetSettings

Start = Callable[..., Awaitable[Network]]
TOPIC = "orrange/test"
LIMIT_S = 15


def accept_all(payload: bytes, source: PeerId) -> Verdict:
    return Accept()


async def take(channel: trio.MemoryReceiveChannel[GossipMessage], count: int) -> list[bytes]:
    return [(await channel.receive()).payload for _ in range(count)]


async def test_five_peers_get_every_message_of_each_other_once(start: Start) -> None:
    networks = [await start() for _ in range(5)]
    channels = [await one.subscribe(TOPIC, accept_all) for one in networks]
    with trio.fail_after(LIMIT_S):
        for index, one in enumerate(networks):
            for other in networks[:index]:
                await one.connect(other.addresses()[0])
        for one in networks:
            await one.wait_topic_peers(TOPIC, 4)
        for round_number in range(50):
            for index, one in enumerate(networks):
                assert await one.publish(TOPIC, b"%d from %d" % (round_number, index)) == 4
        for index, channel in enumerate(channels):
            payloads = await take(channel, 4 * 50)
            expected = {b"%d from %d" % (n, other) for n in range(50) for other in range(5) if other != index}
            assert set(payloads) == expected
            with pytest.raises(trio.WouldBlock):
                channel.receive_nowait()
    for one in networks:
        assert one.statistics().gossip_drops == 0


async def test_a_message_reaches_peers_of_peers(start: Start) -> None:
    chain = [await start() for _ in range(4)]
    channels = [await one.subscribe(TOPIC, accept_all) for one in chain]
    with trio.fail_after(LIMIT_S):
        for left, right in pairwise(chain):
            await left.connect(right.addresses()[0])
        for left in chain:
            await left.wait_topic_peers(TOPIC, 1)
        await chain[0].publish(TOPIC, b"far")
        message = await channels[3].receive()
    assert (message.payload, message.source, message.author) == (b"far", chain[2].peer_id, chain[0].peer_id)


async def test_a_message_published_before_anybody_joined_reaches_those_who_join_at_once(start: Start) -> None:
    alice, bob = await start(), await start()
    await alice.subscribe(TOPIC, accept_all)
    assert await alice.publish(TOPIC, b"early") == 0
    with trio.fail_after(LIMIT_S):
        inbox = await bob.subscribe(TOPIC, accept_all)
        await bob.connect(alice.addresses()[0])
        assert await take(inbox, 1) == [b"early"]


async def test_a_full_subscription_drops_the_newest_and_counts_it(start: Start) -> None:
    alice, bob = await start(), await start(NetSettings(subscription_messages=3))
    await alice.subscribe(TOPIC, accept_all)
    last = trio.Event()

    def judge(payload: bytes, source: PeerId) -> Verdict:
        if payload != b"last":
            return Accept()
        last.set()
        return Ignore("last")

    inbox = await bob.subscribe(TOPIC, judge)
    with trio.fail_after(LIMIT_S):
        await bob.connect(alice.addresses()[0])
        await alice.wait_topic_peers(TOPIC, 1)
        for number in range(5):
            await alice.publish(TOPIC, b"%d" % number)
        await alice.publish(TOPIC, b"last")
        await last.wait()
        assert await take(inbox, 3) == [b"0", b"1", b"2"]
    assert bob.statistics().subscription_full == 2
    assert bob.statistics().gossip_drops == 2


async def test_too_long_a_payload_is_refused_before_it_is_sent(start: Start) -> None:
    alice = await start(NetSettings(max_payload_bytes=10))
    with pytest.raises(LocalProtocolError, match="expected a payload of at most 10 bytes, was 11"):
        await alice.publish(TOPIC, bytes(11))


async def test_a_topic_can_be_left_and_followed_again(start: Start) -> None:
    alice, bob = await start(), await start()
    await alice.subscribe(TOPIC, accept_all)
    inbox = await bob.subscribe(TOPIC, accept_all)
    with trio.fail_after(LIMIT_S):
        await bob.connect(alice.addresses()[0])
        await alice.wait_topic_peers(TOPIC, 1)
        with pytest.raises(LocalProtocolError):
            await bob.subscribe(TOPIC, accept_all)
        await bob.unsubscribe(TOPIC)
        with pytest.raises(trio.EndOfChannel):
            await inbox.receive()
        inbox = await bob.subscribe(TOPIC, accept_all)
        await alice.wait_topic_peers(TOPIC, 1)
        await alice.publish(TOPIC, b"again")
        assert await take(inbox, 1) == [b"again"]


async def test_a_network_that_does_not_run_says_so() -> None:
    with pytest.raises(InternalError, match="not running"):
        Network(bytes(32)).addresses()


async def test_one_can_publish_to_a_topic_without_following_it(start: Start) -> None:
    alice, bob = await start(), await start()
    inbox = await bob.subscribe(TOPIC, accept_all)
    with trio.fail_after(LIMIT_S):
        await alice.connect(bob.addresses()[0])
        await alice.wait_topic_peers(TOPIC, 1)
        assert await alice.publish(TOPIC, b"from outside") == 1
        assert await take(inbox, 1) == [b"from outside"]


async def test_peers_that_were_pruned_hear_of_messages_and_fetch_them(start: Start) -> None:
    """In the library a pruned peer is told nothing for a minute."""
    hub = await start(NetSettings(degree=1, heartbeat_s=0.2))
    await hub.subscribe(TOPIC, accept_all)
    leaves = [await start() for _ in range(6)]
    inboxes = [await one.subscribe(TOPIC, accept_all) for one in leaves]
    with trio.fail_after(LIMIT_S):
        for one in leaves:
            await one.connect(hub.addresses()[0])
        await hub.wait_topic_peers(TOPIC, 6)
        mesh = hub._running().router.mesh[TOPIC]  # the one way to know that it has pruned
        while len(mesh) > 3:
            await trio.sleep(0.01)
        await leaves[0].publish(TOPIC, b"to all")
        for inbox in inboxes[1:]:
            assert await take(inbox, 1) == [b"to all"]


async def test_a_peer_of_the_library_alone_hears_us_and_is_heard(start: Start) -> None:
    alice = await start()
    inbox = await alice.subscribe(TOPIC, accept_all)
    async with stock_gossip() as stock:
        with trio.fail_after(LIMIT_S):
            await stock.connect(alice)
            subscription = await stock.pubsub.subscribe(TOPIC)
            await alice.wait_topic_peers(TOPIC, 1)
            await alice.publish(TOPIC, b"ours")
            heard = await subscription.get()
            assert (heard.data, heard.from_id) == (b"ours", alice.peer_id)
            await stock.pubsub.publish(TOPIC, b"theirs")
            message = await inbox.receive()
    assert (message.payload, message.author, message.source) == (b"theirs", stock.peer_id, stock.peer_id)
    assert alice.statistics().invalid_messages == ()
