"""Sync, entry gossip and ticket streams between real networks, and what a dishonest other side can do to them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
import trio
import trio.testing

from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.frames import decode_sync_message, encode_sync_message
from orrange_p2p.core.gossip_codec import encode_gossip
from orrange_p2p.core.head_tree import HeadTree, tree_of
from orrange_p2p.core.messages import (
    LAST_PLACE,
    Cancel,
    Compare,
    DeclineFrame,
    DeclineReason,
    Differences,
    GetProofs,
    GetRun,
    Head,
    Hello,
    Proofs,
    Run,
    Span,
)
from orrange_p2p.core.outbox import Outbox
from orrange_p2p.core.peer_messages import Entries
from orrange_p2p.core.starts import Start
from orrange_p2p.core.types import U64_MAX, Address, Digest, Epoch, MarketId, OrderId, PeerId
from orrange_p2p.core.verdicts import Accept, Reject
from orrange_p2p.core.verify import VerifiedEntry
from orrange_p2p.errors import NetworkError
from orrange_p2p.net.durable_feeds import held_run
from orrange_p2p.net.entry_gossip import EntryGossip
from orrange_p2p.net.framing import FramedStream
from orrange_p2p.net.messages import GossipMessage
from orrange_p2p.net.network import Network
from orrange_p2p.net.sync import PROTOCOL, HeldRun, SyncService
from orrange_p2p.net.ticket_streams import PROTOCOL as TICKET_PROTOCOL
from orrange_p2p.net.ticket_streams import TicketStreams
from tests.core.kernel_world import DIGESTS, GENESIS_MS, RULES, Peer
from tests.functional.conftest import Running

MARKET = RULES.market_id


def encode_entries(*entries: bytes) -> bytes:
    """A gossip message of entries."""
    return encode_gossip(Entries(entries=entries))


class Side:
    """One node's feeds with a sync service over them."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.feeds = Feeds(RULES)
        self.rounds: list[tuple[Head, ...] | None] = []
        self.starts: list[Start] = []
        self.own = Peer("own").identity.session
        self.sync = SyncService(
            network,
            self,
            DIGESTS,
            [MARKET],
            on_entries=self._on_entries,
            on_start=self._on_start,
            on_round=self._on_round,
            period_s=0.2,
        )

    def tree(self, market: MarketId) -> HeadTree:
        return tree_of(self.feeds.heads() if market == MARKET else ())

    def run(self, market: MarketId, session: Address, from_seq: int, to_seq: int) -> HeldRun:
        return held_run(self.feeds.feed(session), from_seq, to_seq)

    def proofs(self, market: MarketId, session: Address) -> Sequence[bytes]:
        return ()

    async def _on_entries(self, market: MarketId, entries: tuple[VerifiedEntry, ...], source: PeerId) -> None:
        for entry in entries:
            self.feeds.add(entry)

    async def _on_start(self, market: MarketId, start: Start, source: PeerId) -> None:
        self.starts.append(start)
        self.feeds.begin(start, Epoch(U64_MAX))

    async def _on_round(self, peer: PeerId, market: MarketId, heads: tuple[Head, ...] | None) -> None:
        self.rounds.append(heads)


def write_feed(
    peer: Peer, count: int, *, items_each: int = 1, mark: int = 0, fork_at: int | None = None
) -> list[VerifiedEntry]:
    """A session's first entries, of cancels that cancel nothing; with `fork_at` other ones from that seq on."""
    outbox, feeds, entries = Outbox(RULES, DIGESTS, peer.identity), Feeds(RULES), []
    for number in range(count):
        for item in range(items_each):
            marked = 9 if fork_at is not None and number >= fork_at else mark
            outbox.add(Cancel(order_id=OrderId(bytes([marked, number % 256, item]) * 10 + b"xx")))
        entry = outbox.flush(feeds.feed(peer.identity.session), GENESIS_MS + number * 250).entry
        feeds.add(entry)
        entries.append(entry)
    return entries


async def connected(start: Running) -> tuple[Network, Network]:
    one, other = await start(), await start()
    await one.connect(other.addresses()[0])
    return one, other


async def test_a_round_brings_every_missing_entry_over_many_pages(start: Running) -> None:
    """Spec: [SYNC-2]."""
    one, other = (Side(network) for network in await connected(start))
    for entry in write_feed(Peer("a"), 140, items_each=60):
        other.feeds.add(entry)
    for entry in write_feed(Peer("b"), 3):
        other.feeds.add(entry)
    await one.sync.round(other.network.peer_id, MARKET)
    assert one.feeds.heads() == other.feeds.heads()
    assert one.rounds == [other.feeds.heads()]
    assert sum(len(entry.encoded) for entry in one.feeds.feed(Peer("a").identity.session).entries) > 256 * 1024


async def test_two_branches_of_a_fork_are_found_by_comparing_heads(start: Running) -> None:
    """Spec: [SYNC-3]."""
    one, other = (Side(network) for network in await connected(start))
    for mark, side in enumerate((one, other)):
        for entry in write_feed(Peer("a"), 2, mark=mark):
            side.feeds.add(entry)
    await one.sync.round(other.network.peer_id, MARKET)
    assert one.feeds.dead_sessions() == (Peer("a").identity.session,)


async def test_a_longer_branch_of_a_fork_is_found_as_well(start: Running) -> None:
    one, other = (Side(network) for network in await connected(start))
    for entry in write_feed(Peer("a"), 2, mark=1):
        one.feeds.add(entry)
    for entry in write_feed(Peer("a"), 4, mark=2):
        other.feeds.add(entry)
    await one.sync.round(other.network.peer_id, MARKET)
    assert one.feeds.dead_sessions() == (Peer("a").identity.session,)


Answer = Callable[[object], object]


async def lie(network: Network, answer: Answer) -> None:
    """Serve sync with whatever `answer` makes of a message; bytes go out as they are."""

    async def serve(stream: FramedStream) -> None:
        while (frame := await stream.receive()) is not None:
            reply = answer(decode_sync_message(frame))
            await stream.send(reply if isinstance(reply, bytes) else encode_sync_message(reply))

    network.set_stream_handler(PROTOCOL, serve, max_frame_bytes=256 * 1024)


ASK_NOTHING = Compare(request=1, market=MARKET, salt=bytes(16), spans=(), listings=())
HELLO = Hello(chain_id=DIGESTS.domain.chain_id, settlement=DIGESTS.domain.settlement, markets=(MARKET,))
STRANGER = Address(b"\x77" * 20)


def lying(on_compare: Callable[[Compare], object], on_run: Callable[[GetRun], object]) -> Answer:
    def answer(message: object) -> object:
        if isinstance(message, Hello):
            return HELLO
        return on_compare(message) if isinstance(message, Compare) else on_run(message)

    return answer


def telling(request: int, *heads: Head, spans: tuple[Span, ...] = ()) -> Differences:
    """An answer up to the end of all sessions."""
    return Differences(request=request, reached=LAST_PLACE, spans=spans, told=(), heads=heads, lacks=())


def head_of(session: Address, next_seq: int) -> Head:
    """A head of entries that nobody has."""
    return Head(session=session, next_seq=next_seq, head_hash=Digest(b"\1" * 32))


def heads_of(request: int, next_seq: int) -> Differences:
    return telling(request, head_of(STRANGER, next_seq))


def split_for_ever(asked: Compare) -> Differences:
    """Each range in two halves that differ."""
    ranges = [pair for span in asked.spans for pair in pairwise(span.bounds)]
    ranges += [(one.low, one.high) for one in asked.listings]
    spans = tuple(
        Span(bounds=(low, (low + high) // 2, high), fingerprints=(b"\xaa" * 8, b"\xbb" * 8))
        for low, high in sorted(ranges)[:512]
    )
    return replace(telling(asked.request, spans=spans), reached=spans[-1].bounds[-1])


def invent(asked: Compare) -> Differences:
    """Twenty heads of nothing. Spec: [SYNC-20]."""
    return telling(asked.request, *(head_of(Address(bytes([number]) * 20), 3) for number in range(1, 21)))


ONE_RANGE = Span(bounds=(0, LAST_PLACE), fingerprints=(b"\xaa" * 8,))
FOREIGN = write_feed(Peer("foreign"), 1)[0].encoded


@pytest.mark.parametrize(
    "answer",
    [
        lambda message: b"\xff\xff",
        lambda message: b"",
        lambda message: HELLO,
        lambda message: Hello(chain_id=1, settlement=HELLO.settlement, markets=()),
        lying(lambda asked: heads_of(asked.request + 1, 1), lambda asked: None),
        lying(lambda asked: heads_of(asked.request, 2), lambda asked: heads_of(asked.request, 2)),
        lying(
            lambda asked: heads_of(asked.request, 2),
            lambda asked: Run(request=asked.request, has_more=True, entries=(b"\x80",)),
        ),
        lying(
            lambda asked: heads_of(asked.request, 2),
            lambda asked: Run(request=asked.request, has_more=True, entries=(FOREIGN,)),
        ),
        lying(split_for_ever, lambda asked: None),
        lying(invent, lambda asked: Run(request=asked.request, has_more=False, entries=())),
        lying(lambda asked: telling(asked.request, spans=(ONE_RANGE,)), lambda asked: None),
        lying(lambda asked: asked, lambda asked: None),
    ],
)
async def test_a_lying_partner_fails_its_round_and_another_peer_is_still_synced(start: Running, answer: Answer) -> None:
    one, liar = await connected(start)
    honest = Side(await start())
    await one.connect(honest.network.addresses()[0])
    side = Side(one)
    for entry in write_feed(Peer("a"), 5):
        honest.feeds.add(entry)
    await lie(liar, answer)
    with trio.fail_after(20):
        await side.sync.round(liar.peer_id, MARKET)
        await side.sync.round(honest.network.peer_id, MARKET)
    assert side.rounds == [None, honest.feeds.heads()]


async def test_a_partner_that_promises_entries_and_has_none_ends_its_round(start: Running) -> None:
    """The round ends well, but the kernel sees that the heads are not covered. Spec: [SYNC-4]."""
    one, liar = await connected(start)
    side = Side(one)
    promise = heads_of(1, 2**63)
    empty = lying(
        lambda asked: heads_of(asked.request, 2**63),
        lambda asked: Run(request=asked.request, has_more=True, entries=()),
    )
    await lie(liar, empty)
    with trio.fail_after(20):
        await side.sync.round(liar.peer_id, MARKET)
    assert side.rounds == [promise.heads]
    assert len(side.feeds) == 0


async def test_a_question_of_many_parts_counts_as_many(start: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """[SYNC-7]: hashing for a peer is bounded, however it cuts its questions."""
    monkeypatch.setattr("orrange_p2p.net.sync.FREE_PERIOD_S", 2.0)
    one, other = await connected(start)
    Side(other)
    bounds = tuple(range(1025))
    span = Span(bounds=bounds, fingerprints=(b"\xaa" * 8,) * 1024)
    took_s: list[float] = []
    async with await one.open_stream(other.peer_id, PROTOCOL, max_frame_bytes=256 * 1024) as stream:
        await stream.send(encode_sync_message(HELLO))
        await stream.receive()
        started_s = trio.current_time()
        for _ in range(7):
            await stream.send(encode_sync_message(replace(ASK_NOTHING, spans=(span,))))
            with trio.fail_after(5):
                await stream.receive()
            took_s.append(trio.current_time() - started_s)
    assert took_s[5] < 1.9 < took_s[6]


async def test_a_peer_that_asks_for_proofs_is_told_of_none(start: Running) -> None:
    """Spec: [SYNC-18]."""
    one, other = await connected(start)
    Side(other)
    async with await one.open_stream(other.peer_id, PROTOCOL, max_frame_bytes=256 * 1024) as stream:
        await stream.send(encode_sync_message(HELLO))
        await stream.receive()
        await stream.send(encode_sync_message(GetProofs(request=7, market=MARKET, session=STRANGER)))
        with trio.fail_after(5):
            assert decode_sync_message(await stream.receive()) == Proofs(request=7, proofs=())


async def test_a_round_names_the_own_head_that_both_hold_and_no_other_that_is_equal(start: Running) -> None:
    """What the peer has seen of the own feed decides what is told again after a start. Spec: [SYNC-4], [SYNC-5]."""
    one, other = (Side(network) for network in await connected(start))
    for name in ("own", "a", "b"):
        for entry in write_feed(Peer(name), 3):
            one.feeds.add(entry)
            if name != "own":
                other.feeds.add(entry)
    await one.sync.round(other.network.peer_id, MARKET)
    await other.sync.round(one.network.peer_id, MARKET)
    await one.sync.round(other.network.peer_id, MARKET)
    assert one.rounds == [(), (one.feeds.head(one.own),)]
    assert other.rounds == [(one.feeds.head(one.own),)]


async def test_a_lower_fork_of_a_session_dead_already_is_fetched(start: Running) -> None:
    """All that stands in a dead feed is below its lowest fork: else two books would differ for good. Spec: [SYNC-3]."""
    one, other = (Side(network) for network in await connected(start))
    first, rival = write_feed(Peer("a"), 4), write_feed(Peer("a"), 4, mark=1)
    late = write_feed(Peer("a"), 4, fork_at=3)
    for entry in (*first, late[3]):
        one.feeds.add(entry)
    for entry in (*first, rival[0]):
        other.feeds.add(entry)
    assert one.feeds.head(late[0].entry.header.session).next_seq == 4
    await one.sync.round(other.network.peer_id, MARKET)
    assert one.feeds.heads() == other.feeds.heads()
    assert [head.next_seq for head in one.feeds.heads()] == [1]


@pytest.mark.parametrize("first", [b"\xff", encode_sync_message(ASK_NOTHING)])
async def test_a_sync_client_that_does_not_say_hello_is_cut_off(start: Running, first: bytes) -> None:
    """Spec: [SYNC-6]."""
    one, other = await connected(start)
    Side(other)
    async with await one.open_stream(other.peer_id, PROTOCOL, max_frame_bytes=256 * 1024) as stream:
        await stream.send(first)
        with trio.fail_after(10), pytest.raises(NetworkError):
            await stream.receive()


async def test_a_sync_client_that_asks_too_much_waits_for_its_answer(
    start: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[SYNC-7]: nothing is refused and nobody blamed; what is too much is answered in the next period, and then on."""
    monkeypatch.setattr("orrange_p2p.net.sync.FREE_PARTS", 3)
    monkeypatch.setattr("orrange_p2p.net.sync.FREE_PERIOD_S", 2.0)
    one, other = await connected(start)
    side = Side(other)
    took_s: list[float] = []
    async with await one.open_stream(other.peer_id, PROTOCOL, max_frame_bytes=256 * 1024) as stream:
        await stream.send(encode_sync_message(HELLO))
        assert await stream.receive() == encode_sync_message(HELLO)
        started_s = trio.current_time()
        for request in range(1, 6):
            await stream.send(encode_sync_message(replace(ASK_NOTHING, request=request)))
            with trio.fail_after(5):
                assert await stream.receive() == encode_sync_message(telling(request))
            took_s.append(trio.current_time() - started_s)
    assert took_s[2] < 1.0 <= took_s[3] <= took_s[4]
    assert side.sync.statistics().answered == 5


async def test_ticket_frames_arrive_in_order_and_garbage_ends_only_its_stream(start: Running) -> None:
    one, other = await connected(start)
    heard: list[int] = []
    enough = trio.Event()

    async def hear(peer: PeerId, message: object) -> None:
        assert peer == one.peer_id
        heard.append(message.exchange)
        if len(heard) == 50:
            enough.set()

    async def nobody(peer: PeerId, message: object) -> None:
        raise AssertionError

    TicketStreams(other, hear)
    sender = TicketStreams(one, nobody)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.run)
        await trio.testing.wait_all_tasks_blocked()
        async with await one.open_stream(other.peer_id, TICKET_PROTOCOL) as stream:
            await stream.send(b"\x00garbage")
        for number in range(50):
            sender.send(other.peer_id, DeclineFrame(exchange=number, reason=DeclineReason.BUSY))
        with trio.fail_after(10):
            await enough.wait()
        nursery.cancel_scope.cancel()
    assert heard == list(range(50))
    assert sender.statistics().sent == 50


async def test_a_frame_for_a_peer_that_is_gone_is_counted_not_waited_for(start: Running) -> None:
    one = await start()

    async def nobody(peer: PeerId, message: object) -> None:
        raise AssertionError

    sender = TicketStreams(one, nobody)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.run)
        await trio.testing.wait_all_tasks_blocked()
        gone = Peer("gone").peer_id
        sender.send(gone, DeclineFrame(exchange=1, reason=DeclineReason.BUSY))
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    assert sender.statistics().dropped_failed == 1


async def test_a_peer_that_reconnects_is_kept_in_sync_once(start: Running) -> None:
    """Else each reconnection within a period costs one more task, for as long as the peer stays."""
    one, _ = (Side(network) for network in await connected(start))
    (peer,) = one.network.connected_peers()
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(one.sync.keep_in_sync, peer)
        await trio.sleep(0.7)
        nursery.cancel_scope.cancel()
    assert 2 <= len(one.rounds) <= 6


async def test_rounds_asked_for_while_one_waits_are_one(start: Running) -> None:
    """A partner that does not answer must not pile up a task for each frame it sends."""
    one, other = await connected(start)

    async def silent(stream: FramedStream) -> None:
        await trio.sleep_forever()

    other.set_stream_handler(PROTOCOL, silent, max_frame_bytes=256 * 1024)
    side = Side(one)
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(side.sync.round, other.peer_id, MARKET)
        await trio.sleep(0.3)
        assert len(nursery.child_tasks) <= 2
        nursery.cancel_scope.cancel()


async def test_a_peer_that_has_gone_leaves_nothing_behind(start: Running) -> None:
    """Peer ids are free: what is kept for each must end with its connection."""
    one, other = await connected(start)
    side, _ = Side(one), Side(other)

    async def nobody(peer: PeerId, message: object) -> None:
        """Hears and forgets."""

    streams, _ = TicketStreams(one, nobody), TicketStreams(other, nobody)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(streams.run)
        nursery.start_soon(side.sync.keep_in_sync, other.peer_id)
        await trio.testing.wait_all_tasks_blocked(0.05)
        streams.send(other.peer_id, DeclineFrame(exchange=1, reason=DeclineReason.BUSY))
        with trio.fail_after(5):
            while not (streams.statistics().sent and side.rounds):
                await trio.sleep(0.02)
        await one.disconnect(other.peer_id)
        streams.forget(other.peer_id)
        with trio.fail_after(5):
            while side.sync._clients or side.sync._locks or side.sync._kept or len(streams._nursery.child_tasks):
                await trio.sleep(0.02)
        nursery.cancel_scope.cancel()
    assert not streams._queues


def make_gossip() -> EntryGossip:
    async def sink(entries: tuple[VerifiedEntry, ...], source: PeerId) -> None:
        raise AssertionError

    return EntryGossip(Network(b"\1" * 32), MARKET, DIGESTS, sink)


def test_a_batch_of_sound_entries_is_accepted_and_checked_once() -> None:
    gossip = make_gossip()
    payload = encode_entries(*(entry.encoded for entry in write_feed(Peer("a"), 3)))
    assert gossip.judge(payload, Peer("a").peer_id) == Accept()
    assert gossip.judge(payload, Peer("b").peer_id) == Accept()


class Topic:
    """Stands where the network hands accepted messages on; the judge is asked first, as there."""

    def __init__(self) -> None:
        self.send, self._receive = trio.open_memory_channel(10)

    async def subscribe(self, topic: str, judge: object) -> object:
        return self._receive

    def take(self, gossip: EntryGossip, payload: bytes, source: PeerId) -> object:
        verdict = gossip.judge(payload, source)
        if isinstance(verdict, Accept):
            message = GossipMessage(topic=gossip.topic, payload=payload, source=source, author=source, received_ms=0)
            self.send.send_nowait(message)
        return verdict


async def heard_of(topic: Topic, send: Callable[[EntryGossip], None]) -> list[VerifiedEntry]:
    heard: list[VerifiedEntry] = []

    async def sink(entries: tuple[VerifiedEntry, ...], source: PeerId) -> None:
        heard.extend(entries)

    gossip = EntryGossip(topic, MARKET, DIGESTS, sink)
    send(gossip)
    topic.send.close()
    await gossip.run()
    return heard


async def test_a_refused_batch_does_not_hide_its_good_entries_when_others_send_them() -> None:
    """Else one bad message suppresses 63 honest entries until the next round of sync."""
    topic, (entry,) = Topic(), write_feed(Peer("a"), 1)

    def send(gossip: EntryGossip) -> None:
        bad = encode_entries(entry.encoded, flip(entry.encoded, 40))
        assert isinstance(topic.take(gossip, bad, Peer("liar").peer_id), Reject)
        assert topic.take(gossip, encode_entries(entry.encoded), Peer("honest").peer_id) == Accept()

    assert [one.entry_hash for one in await heard_of(topic, send)] == [entry.entry_hash]


async def test_a_payload_twice_before_it_is_read_is_read_once_and_not_lost() -> None:
    topic, (entry,) = Topic(), write_feed(Peer("a"), 1)

    def send(gossip: EntryGossip) -> None:
        for name in ("a", "b"):
            assert topic.take(gossip, encode_entries(entry.encoded), Peer(name).peer_id) == Accept()

    assert [one.entry_hash for one in await heard_of(topic, send)] == [entry.entry_hash]


def flip(encoded: bytes, at: int) -> bytes:
    return encoded[:at] + bytes([encoded[at] ^ 1]) + encoded[at + 1 :]


@pytest.mark.parametrize("at", [0, 3, 30, 60, 150, -5, -1])
def test_a_batch_with_an_unsound_entry_is_rejected(at: int) -> None:
    encoded = write_feed(Peer("a"), 1)[0].encoded
    verdict = make_gossip().judge(encode_entries(flip(encoded, at % len(encoded))), Peer("a").peer_id)
    assert isinstance(verdict, Reject)


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x82\x01\x80", b"\x82\x04\x81\x40", b"\x82\x01\x81\x40\x00"])
def test_what_is_no_batch_is_rejected(payload: bytes) -> None:
    assert isinstance(make_gossip().judge(payload, Peer("a").peer_id), Reject)


async def test_a_newcomer_takes_hundreds_of_short_feeds_in_one_round(start: Running) -> None:
    """[SYNC-7]: what honest peers need in a round is within what is answered in one period."""
    one, other = await connected(start)
    newcomer, holder = Side(one), Side(other)
    for number in range(300):
        for entry in write_feed(Peer(f"trader {number}"), 1):
            holder.feeds.add(entry)
    with trio.fail_after(30):
        await newcomer.sync.round(other.peer_id, MARKET)
    assert newcomer.rounds[0] is not None
    assert len(newcomer.feeds) == 300
