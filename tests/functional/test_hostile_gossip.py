"""A peer sends what no honest peer sends; the node counts it and serves the others as before."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio
from libp2p.pubsub.pb import rpc_pb2
from nacl.signing import SigningKey
from raw_peer import RawPeer, framed, raw_peer

from orrange_p2p.core.types import PeerId
from orrange_p2p.core.verdicts import Accept, Ignore, Reject, Verdict
from orrange_p2p.errors import NetworkError
from orrange_p2p.net.addresses import ED25519_PREFIX
from orrange_p2p.net.messages import GossipMessage, PeerEvent
from orrange_p2p.net.network import Network
from orrange_p2p.net.settings import NetSettings

Start = Callable[..., Awaitable[Network]]
Inbox = trio.MemoryReceiveChannel[GossipMessage]
TOPIC = "orrange/test"


def judge_by_text(payload: bytes, source: PeerId) -> Verdict:
    """Accepts all but payloads that name another verdict."""
    if payload.startswith(b"reject"):
        return Reject("TEST-1")
    if payload.startswith(b"ignore"):
        return Ignore("TEST-2")
    if payload.startswith(b"raise"):
        raise ValueError(payload)
    return Accept()


class Pair:
    """Two honest peers, connected, both following the topic."""

    def __init__(self, alice: Network, bob: Network, inboxes: tuple[Inbox, Inbox]) -> None:
        self.alice = alice
        self.bob = bob
        self._inboxes = inboxes

    async def assert_served(self) -> None:
        """Each still gets what the other publishes."""
        with trio.fail_after(5):
            for number, (one, inbox) in enumerate(((self.alice, self._inboxes[1]), (self.bob, self._inboxes[0]))):
                await one.publish(TOPIC, b"honest %d" % number)
                while (await inbox.receive()).author != one.peer_id:
                    continue
        assert self.alice.is_connected(self.bob.peer_id)
        assert self.alice.statistics().upkeep_errors == 0


@pytest.fixture
async def pair(start: Start) -> Pair:
    alice, bob = await start(), await start()
    inboxes = await alice.subscribe(TOPIC, judge_by_text), await bob.subscribe(TOPIC, judge_by_text)
    await bob.connect(alice.addresses()[0])
    for one in (alice, bob):
        await one.wait_topic_peers(TOPIC, 1)
    return Pair(alice, bob, inboxes)


async def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for something that another task counts."""
    with trio.fail_after(5):
        while not holds():
            await trio.sleep(0.005)


def message(key: SigningKey, payload: bytes = b"hello", number: int = 1) -> rpc_pb2.Message:
    """A message signed as libp2p wants it."""
    author = ED25519_PREFIX + key.verify_key.encode()
    made = rpc_pb2.Message(data=payload, topicIDs=[TOPIC], from_id=author, seqno=number.to_bytes(8, "big"))
    made.signature = key.sign(b"libp2p-pubsub:" + made.SerializeToString()).signature
    made.key = author[2:]
    return made


async def test_a_well_signed_message_of_a_stranger_is_accepted(pair: Pair) -> None:
    """Without this the tests below could pass for the wrong reason."""
    async with raw_peer(pair.alice) as mallory:
        await mallory.say_rpc(rpc_pb2.RPC(publish=[message(mallory.key)]))
        await wait_until(lambda: pair.alice.statistics().delivered == 1)
        assert pair.alice.statistics().invalid_messages == ()
        await pair.assert_served()


@pytest.mark.parametrize(
    ("frame", "counter"),
    [
        (framed(b"\xff\xff\xff\xff\xff\xff"), "rpc_garbage"),
        (framed(b"\x12\x05\x0a\xff\xff\xff\xff"), "rpc_garbage"),
        (b"\xff\xff\xff\x7f" + bytes(100), "rpc_oversize"),
    ],
    ids=["no-protobuf", "cut-protobuf", "announces-256-MiB"],
)
async def test_a_garbage_frame_ends_its_stream_only(pair: Pair, frame: bytes, counter: str) -> None:
    async with raw_peer(pair.alice) as mallory:
        await mallory.say(frame)
        await wait_until(lambda: getattr(pair.alice.statistics(), counter) == 1)
        await pair.assert_served()


async def test_an_endless_length_prefix_ends_its_stream_only(pair: Pair) -> None:
    async with raw_peer(pair.alice) as mallory:
        for _ in range(2):
            await mallory.say(b"\xff" * 11)
        await wait_until(lambda: mallory.peer_id not in pair.alice.connected_peers())
        assert pair.alice.statistics().score_disconnects == 1
        await pair.assert_served()


async def test_a_topic_that_is_no_text_ends_its_stream_only(pair: Pair) -> None:
    broken = message(SigningKey(b"x" * 32)).SerializeToString().replace(TOPIC.encode(), b"\xff" * len(TOPIC))
    async with raw_peer(pair.alice) as mallory:
        await mallory.say(framed(b"\x12" + framed(broken)))
        await wait_until(lambda: pair.alice.statistics().unsubscribed + pair.alice.statistics().rpc_garbage == 1)
        await pair.assert_served()


def with_author(made: rpc_pb2.Message, author: bytes) -> rpc_pb2.Message:
    made.from_id = author
    return made


def _spoilt(mallory: RawPeer) -> list[tuple[str, rpc_pb2.Message]]:
    garbage_author = message(mallory.key)
    garbage_author.from_id = b"\xde\xad\xbe\xef"
    garbage_author.key = b"\xca\xfe" * 20
    no_author = message(mallory.key)
    no_author.from_id = b""
    rsa_like = message(mallory.key)
    rsa_like.from_id = b"\x12\x20" + bytes(32)
    garbage_key = message(mallory.key)
    garbage_key.key = b"\x08\x01\x12"
    other_author = message(mallory.key)
    other_author.from_id = ED25519_PREFIX + SigningKey(b"y" * 32).verify_key.encode()
    other_author.key = b""
    weak_point = message(mallory.key)
    weak_point.from_id = ED25519_PREFIX + bytes(32)
    weak_point.key = b""
    changed = message(mallory.key)
    changed.data = b"changed"
    unsigned = message(mallory.key)
    unsigned.signature = b""
    short_number = message(mallory.key)
    short_number.seqno = b"\x01"
    two_topics = message(mallory.key)
    two_topics.topicIDs.append("another")
    long = message(mallory.key, bytes(64 * 1024 + 1))
    return [
        ("author", garbage_author),
        ("author", no_author),
        ("author", rsa_like),
        ("key", garbage_key),
        ("signature", other_author),
        ("signature", weak_point),
        ("signature", changed),
        ("signature", unsigned),
        ("seqno", short_number),
        ("topics", two_topics),
        ("size", long),
    ]


async def test_badly_signed_or_malformed_messages_are_refused_by_rule(start: Start) -> None:
    patient = NetSettings(degree=4, heartbeat_s=0.2, disconnect_score=-1000, ban_score=-1000)
    alice, bob = await start(patient), await start()
    inboxes = await alice.subscribe(TOPIC, judge_by_text), await bob.subscribe(TOPIC, judge_by_text)
    await bob.connect(alice.addresses()[0])
    await alice.wait_topic_peers(TOPIC, 1)
    async with raw_peer(alice) as mallory:
        spoilt = _spoilt(mallory)
        for count, (_, made) in enumerate(spoilt, 1):
            await mallory.say_rpc(rpc_pb2.RPC(publish=[made]))
            await wait_until(lambda count=count: sum(n for _, n in alice.statistics().invalid_messages) == count)  # type: ignore[misc]
        expected: dict[str, int] = {}
        for rule, _ in spoilt:
            expected[rule] = expected.get(rule, 0) + 1
        assert dict(alice.statistics().invalid_messages) == expected
        assert alice.statistics().delivered == 0
        await Pair(alice, bob, inboxes).assert_served()
    assert bob.statistics().messages_in == 1, "none of it was forwarded"


async def test_a_raising_judge_ignores_that_message_and_blames_nobody(pair: Pair) -> None:
    for number in range(6):
        await pair.bob.publish(TOPIC, b"raise %d" % number)
    await wait_until(lambda: pair.alice.statistics().judge_errors == 6)
    assert pair.alice.statistics().ignored == (("internal", 6),)
    assert pair.alice.statistics().gossip_drops == 6
    await pair.assert_served()


async def test_an_ignored_message_is_not_forwarded_and_blames_nobody(pair: Pair, start: Start) -> None:
    carol = await start()
    inbox = await carol.subscribe(TOPIC, judge_by_text)
    with trio.fail_after(5):
        await carol.connect(pair.alice.addresses()[0])
        await pair.alice.wait_topic_peers(TOPIC, 2)
        for number in range(6):
            await pair.bob.publish(TOPIC, b"ignore %d" % number)
        await pair.bob.publish(TOPIC, b"good")
        assert (await inbox.receive()).payload == b"good"
    assert pair.alice.statistics().ignored == (("TEST-2", 6),)
    assert carol.statistics().ignored == ()
    await pair.assert_served()


async def test_a_message_ignored_from_one_peer_is_taken_from_another(start: Start) -> None:
    """Else whoever is first to pass our messages on could make us deaf to them."""
    alice, bob, carol = await start(), await start(), await start()

    def judge(payload: bytes, source: PeerId) -> Verdict:
        return Ignore("TEST-3") if source == bob.peer_id else Accept()

    inbox = await alice.subscribe(TOPIC, judge)
    for one in (bob, carol):
        await one.subscribe(TOPIC, judge_by_text)
    with trio.fail_after(10):
        for one in (bob, carol):
            await one.connect(alice.addresses()[0])
        await bob.connect(carol.addresses()[0])
        await bob.wait_topic_peers(TOPIC, 2)
        await bob.publish(TOPIC, b"by two ways")
        received = await inbox.receive()
    assert (received.author, received.source) == (bob.peer_id, carol.peer_id)


async def test_rejected_messages_cost_score_until_the_peer_is_banned_and_the_ban_expires(start: Start) -> None:
    now_ms = 1_700_000_000_000
    settings = NetSettings(degree=4, heartbeat_s=0.2)
    alice = await start(settings, clock_ms=lambda: now_ms)
    bob, mallory = await start(), await start()
    inboxes = await alice.subscribe(TOPIC, judge_by_text), await bob.subscribe(TOPIC, judge_by_text)
    await mallory.subscribe(TOPIC, judge_by_text)
    with trio.fail_after(10):
        await bob.connect(alice.addresses()[0])
        marks = 0
        while alice.statistics().bans == 0:
            await mallory.connect(alice.addresses()[0])
            await mallory.wait_topic_peers(TOPIC, 1)
            await mallory.publish(TOPIC, b"reject %d" % marks)
            marks += 1
            await wait_until(lambda marks=marks: alice.statistics().rejected == (("TEST-1", marks),))  # type: ignore[misc]
            if marks >= 2:
                await wait_until(lambda: not mallory.is_connected(alice.peer_id))
        assert marks == 5
        await assert_refused(mallory, alice)
        now_ms += int(settings.ban_s * 1000)
        await mallory.connect(alice.addresses()[0])
        await wait_until(lambda: mallory.peer_id in alice.connected_peers())
    await Pair(alice, bob, inboxes).assert_served()


async def assert_refused(stranger: Network, node: Network) -> None:
    """The stranger is not among the node's peers, whatever its dial came to."""
    refused = node.statistics().connections_refused
    with suppress(NetworkError):
        await stranger.connect(node.addresses()[0], timeout_s=2)
    await wait_until(lambda: node.statistics().connections_refused > refused)
    await wait_until(lambda: not stranger.is_connected(node.peer_id))
    assert stranger.peer_id not in node.connected_peers()


async def test_a_flood_of_topics_and_control_entries_is_bounded(pair: Pair) -> None:
    flood = rpc_pb2.RPC()
    for number in range(5000):
        flood.subscriptions.add(subscribe=True, topicid=f"flood/{number}")
        flood.control.graft.add(topicID=f"flood/{number}")
        flood.control.prune.add(topicID=f"flood/{number}", backoff=10**9)
        flood.control.ihave.add(topicID=f"flood/{number}", messageIDs=[b"x" * 46])
    async with raw_peer(pair.alice) as mallory:
        await mallory.say_rpc(flood)
        await wait_until(lambda: pair.alice.statistics().control_excess > 0)
        followed = sum(mallory.peer_id in pair.alice.topic_peers(f"flood/{number}") for number in range(5000))
        assert followed <= 64
        await pair.assert_served()


async def test_peer_exchange_makes_us_dial_nobody(pair: Pair, start: Start) -> None:
    """A PRUNE may name other peers; dialling them would let a stranger point us anywhere."""
    carol = await start()
    rpc = rpc_pb2.RPC()
    prune = rpc.control.prune.add(topicID=TOPIC)
    prune.peers.add(peerID=carol.peer_id)
    async with raw_peer(pair.alice) as mallory:
        await mallory.say_rpc(rpc)
        await mallory.say_rpc(rpc_pb2.RPC(publish=[message(mallory.key)]))
        await wait_until(lambda: pair.alice.statistics().delivered == 1)
        await pair.assert_served()
    assert carol.connected_peers() == ()


async def test_a_peer_that_reads_nothing_costs_its_own_messages_only(start: Start) -> None:
    tight = NetSettings(degree=4, heartbeat_s=0.2, outbound_frames=8)
    alice, bob = await start(tight), await start()
    await alice.subscribe(TOPIC, judge_by_text)
    inbox = await bob.subscribe(TOPIC, judge_by_text)
    hello = rpc_pb2.RPC()
    hello.subscriptions.add(subscribe=True, topicid=TOPIC)
    async with raw_peer(alice, reads_gossip=False) as mallory:
        await mallory.say_rpc(hello)
        with trio.fail_after(10):
            await bob.connect(alice.addresses()[0])
            await alice.wait_topic_peers(TOPIC, 2)
            for number in range(40):
                assert await alice.publish(TOPIC, number.to_bytes(1, "big") * 60_000) >= 1
                assert (await inbox.receive()).payload[0] == number
        assert alice.statistics().outbound_full > 0, alice.statistics()


async def test_peer_events_tell_of_coming_and_going(start: Start) -> None:
    alice, bob = await start(), await start()
    with trio.fail_after(5):
        await bob.connect(alice.addresses()[0])
        assert await alice.peer_events.receive() == PeerEvent(peer=bob.peer_id, is_connected=True)
        await bob.disconnect(alice.peer_id)
        assert await alice.peer_events.receive() == PeerEvent(peer=bob.peer_id, is_connected=False)
        assert await bob.peer_events.receive() == PeerEvent(peer=alice.peer_id, is_connected=True)
        assert await bob.peer_events.receive() == PeerEvent(peer=alice.peer_id, is_connected=False)
