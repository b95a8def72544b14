"""Presences and evidence between real networks: evidence travels on by itself, Presences by whoever hands them on.

Spec: protocol/spec/08-peers.md [PEER-1, PEER-2, EVID-5].
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import trio

from orrange_p2p.core.codec import encode_entry
from orrange_p2p.core.evidence import VerifiedEvidence, prove_fork
from orrange_p2p.core.frames import MAX_PROOFS
from orrange_p2p.core.peer_messages import Evidences, Presences
from orrange_p2p.core.presence import make_presence
from orrange_p2p.core.types import Address, Digest, Epoch, PeerId
from orrange_p2p.core.verdicts import Accept, Ignore
from orrange_p2p.core.verify import VerifiedEntry, verify_entry
from orrange_p2p.errors import RemoteProtocolError
from orrange_p2p.net.entry_gossip import EntryGossip
from orrange_p2p.net.network import Network
from orrange_p2p.net.peer_words import MAX_WAITING, HeardWords, PeerWords
from orrange_p2p.net.sync import SyncService
from tests.core.kernel_world import DIGESTS, RULES, Peer
from tests.functional.test_sync_and_tickets import Side, write_feed

Start = Callable[..., Awaitable[Network]]
MARKETS = {RULES.market_id: RULES}
LIMIT_S = 20


def fork() -> bytes:
    """A proof against a session that said two things at one seq."""
    peer = Peer("forker")
    (entry,) = write_feed(peer, 1)
    header = replace(entry.entry.header, epoch=Epoch(entry.entry.header.epoch + 1))
    signature = peer.identity.sign(Digest(DIGESTS.entry(header)))
    rival = verify_entry(DIGESTS, encode_entry(replace(entry.entry, header=header, signature=signature)))
    return prove_fork(entry, rival)


def presence(name: str, epoch: int = 7) -> bytes:
    """A session says that it is alive."""
    return make_presence(DIGESTS, Peer(name).identity, Epoch(epoch), {}, ())


class Listener:
    """One network's view of the topic."""

    def __init__(self, network: Network) -> None:
        self.words = PeerWords(DIGESTS, MARKETS)
        self.gossip = EntryGossip(network, RULES.market_id, DIGESTS, self._no_entries, self.words)
        self.heard: list[HeardWords] = []
        self.news = trio.Condition()

    async def _no_entries(self, entries: tuple[VerifiedEntry, ...], source: PeerId) -> None:
        raise AssertionError(f"expected no entries, were {len(entries)}")

    async def _hear(self, words: HeardWords) -> None:
        self.heard.append(words)
        async with self.news:
            self.news.notify_all()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.gossip.run)
            nursery.start_soon(self.words.run, self._hear)

    async def wait_heard(self, count: int) -> None:
        async with self.news:
            while len(self.heard) < count:
                await self.news.wait()


async def test_evidence_goes_from_peer_to_peer_and_presences_only_one_hop(start: Start) -> None:
    networks = [await start() for _ in range(3)]
    listeners = [Listener(network) for network in networks]
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(listener.run)
            for left, right in pairwise(networks):
                await left.connect(right.addresses()[0])
            for network in networks:
                await network.wait_topic_peers(listeners[0].gossip.topic, 1)
            await listeners[0].gossip.publish_message(Presences(presences=(presence("a"),)))
            await listeners[1].wait_heard(1)
            await listeners[0].gossip.publish_message(Evidences(pieces=(fork(),)))
            await listeners[2].wait_heard(1)
            nursery.cancel_scope.cancel()
    assert [len(words.presences) for words in listeners[1].heard] == [1, 0]
    (far,) = listeners[2].heard
    assert far.presences == ()
    (piece,) = far.pieces
    assert isinstance(piece, VerifiedEvidence)
    assert piece.session == Address(Peer("forker").identity.session)


def test_what_was_heard_before_is_not_handed_on_again() -> None:
    words = PeerWords(DIGESTS, MARKETS)
    assert words.judge(Evidences(pieces=(fork(),))) == Accept()
    assert words.judge(Evidences(pieces=(fork(),))) == Ignore("EVID-3")
    assert words.judge(Presences(presences=(presence("a"), presence("a")))) == Ignore("PEER-2")
    assert words.judge(Presences(presences=(presence("a"),))) == Ignore("PEER-2")
    assert words.statistics().heard == 2


@pytest.mark.parametrize("at", [1, 20, 40, -1])
def test_a_forged_piece_among_good_ones_is_the_senders_fault_and_hides_none_of_them(at: int) -> None:
    words, good = PeerWords(DIGESTS, MARKETS), presence("a")
    forged = bytearray(presence("b"))
    forged[at] ^= 1
    with pytest.raises(RemoteProtocolError):
        words.judge(Presences(presences=(good, bytes(forged))))
    words.judge(Presences(presences=(good,)))
    assert words.statistics().heard == 1


def test_evidence_of_a_market_that_is_not_followed_is_not_forwarded_and_not_punished() -> None:
    assert PeerWords(DIGESTS, {}).judge(Evidences(pieces=(fork(),))) == Ignore("EVID-3")


def test_what_nobody_takes_is_dropped_and_counted() -> None:
    words = PeerWords(DIGESTS, MARKETS)
    for epoch in range(MAX_WAITING + 5):
        words.judge(Presences(presences=(presence("a", epoch),)))
    assert (words.statistics().heard, words.statistics().dropped) == (MAX_WAITING, 5)
    assert words.judge(Evidences(pieces=(fork(),))) == Ignore("EVID-3")
    assert words.statistics().dropped == 6


async def test_what_was_dropped_may_come_again_from_another() -> None:
    words = PeerWords(DIGESTS, MARKETS)
    for epoch in range(MAX_WAITING):
        words.judge(Presences(presences=(presence("a", epoch),)))
    words.judge(Evidences(pieces=(fork(),)))
    taken = trio.Event()

    async def sink(_heard: HeardWords) -> None:
        taken.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(words.run, sink)
        await taken.wait()
        nursery.cancel_scope.cancel()
    assert words.judge(Evidences(pieces=(fork(),))) == Accept()


class Holder(Side):
    """A node that holds evidence, or wants it."""

    def __init__(self, network: Network, held: dict[Address, list[bytes]] | None = None) -> None:
        super().__init__(network)
        self.held = held or {}
        self.got: list[VerifiedEvidence] = []
        self.sync = SyncService(
            network,
            self,
            DIGESTS,
            [RULES.market_id],
            on_entries=self._on_entries,
            on_start=self._on_start,
            on_round=self._on_round,
            on_evidence=self._on_evidence,
            rules=MARKETS,
        )

    def proofs(self, market: object, session: Address) -> list[bytes]:
        above = [one for one in sorted(self.held) if one > session][:MAX_PROOFS]
        return [piece for one in above for piece in self.held[one]]

    async def _on_evidence(self, pieces: tuple[VerifiedEvidence, ...]) -> None:
        self.got.extend(pieces)


def forks_of(count: int) -> dict[Address, list[bytes]]:
    """Proofs against so many sessions."""
    found: dict[Address, list[bytes]] = {}
    for number in range(count):
        peer = Peer(f"forker {number}")
        (entry,) = write_feed(peer, 1)
        header = replace(entry.entry.header, epoch=Epoch(entry.entry.header.epoch + 1))
        signature = peer.identity.sign(Digest(DIGESTS.entry(header)))
        rival = verify_entry(DIGESTS, encode_entry(replace(entry.entry, header=header, signature=signature)))
        found[peer.identity.session] = [prove_fork(entry, rival)]
    return found


async def test_evidence_is_fetched_page_by_page_on_connect(start: Start) -> None:
    """Spec: [SYNC-18]."""
    held = forks_of(MAX_PROOFS + 3)
    one, other = Holder(await start()), Holder(await start(), held)
    with trio.fail_after(LIMIT_S):
        await one.network.connect(other.network.addresses()[0])
        await one.sync.round(other.network.peer_id, RULES.market_id)
        await one.sync.round(other.network.peer_id, RULES.market_id)
    assert [piece.session for piece in one.got] == sorted(held)
    assert None not in one.rounds


@pytest.mark.parametrize("kind", ["downwards", "proves nothing"])
async def test_a_partner_whose_evidence_is_worthless_fails_the_round_and_honest_ones_go_on(
    start: Start, kind: str
) -> None:
    """Spec: [SYNC-18], [EVID-5]."""
    held = forks_of(2)
    low, high = sorted(held)
    bad = {
        "downwards": {low: held[high] + held[low]},
        "proves nothing": {low: [held[low][0][:-1] + bytes([held[low][0][-1] ^ 1])]},
    }[kind]
    one, liar, honest = Holder(await start()), Holder(await start(), bad), Holder(await start(), held)
    with trio.fail_after(LIMIT_S):
        for side in (liar, honest):
            await one.network.connect(side.network.addresses()[0])
        await one.sync.round(liar.network.peer_id, RULES.market_id)
        assert one.rounds == [None]
        await one.sync.round(honest.network.peer_id, RULES.market_id)
    assert one.rounds[1] is not None
    assert [piece.session for piece in one.got] == sorted(held)
