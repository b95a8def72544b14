"""Sync: find where a peer's heads differ, fetch the runs that are missing.

One outgoing stream per peer, opened once and kept; the other side serves it from what its kernel holds and remembers
nothing of it.
Spec: protocol/spec/06-sync.md.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio

from orrange_p2p.core.digests import Digests
from orrange_p2p.core.frames import MAX_SYNC_FRAME_BYTES, SALT_BYTES, decode_sync_message, encode_sync_message
from orrange_p2p.core.head_tree import HeadTree
from orrange_p2p.core.messages import (
    Compare,
    Differences,
    GetProofs,
    GetRun,
    Head,
    Hello,
    Proofs,
    Run,
    SyncMessage,
)
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.reconcile import Asker, Comparison, answer_compare
from orrange_p2p.core.starts import Start, verify_start
from orrange_p2p.core.types import Address, MarketId, PeerId
from orrange_p2p.core.verify import VerifiedEntry, verify_entry
from orrange_p2p.errors import NetworkError, RemoteProtocolError
from orrange_p2p.net.framing import FramedStream
from orrange_p2p.net.network import Network
from orrange_p2p.net.proofs import EvidenceSink, fetch_proofs

PROTOCOL = "/orrange/sync/1"
ANSWER_TIMEOUT_S = 12.0
PAGE_BYTES = 192 * 1024
FREE_PARTS = 1_500
FREE_PERIOD_S = 10.0
SPANS_A_PART = 4
BYTES_A_PART = 12 * 1024
MAX_EMPTY_RUNS = 16
PROOFS_PERIOD_S = 60.0

Answer = TypeVar("Answer", Differences, Run, Hello, Proofs)


class FeedView(Protocol):
    """What sync may ask of the node: its heads and its entries."""

    @property
    def own(self) -> Address:
        """The node's own session."""

    def tree(self, market: MarketId) -> HeadTree:
        """All heads of a market that may be shown."""

    def run(self, market: MarketId, session: Address, from_seq: int, to_seq: int) -> "HeldRun":
        """Encoded entries `[from_seq, to_seq)` as far as they are held, in sequence."""

    def proofs(self, market: MarketId, session: Address) -> Sequence[bytes]:
        """What convicts sessions above `session`, by session ascending, at most a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRun:
    """Encoded entries of a feed; with bodies if they begin at its start instead of where was asked. Spec: [SYNC-21]."""

    entries: tuple[bytes, ...] = ()
    bodies: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatistics:
    """Rounds that ended well and ill, entries fetched, requests answered."""

    rounds: int
    failed_rounds: int
    fetched_entries: int
    answered: int


EntrySink = Callable[[MarketId, tuple[VerifiedEntry, ...], PeerId], Awaitable[None]]
StartSink = Callable[[MarketId, Start, PeerId], Awaitable[None]]
RoundSink = Callable[[PeerId, MarketId, tuple[Head, ...] | None], Awaitable[None]]


class _Client:
    """Our side of one peer's stream."""

    def __init__(self, stream: FramedStream) -> None:
        self.stream = stream
        self._request = 0

    def next_request(self) -> int:
        self._request += 1
        return self._request

    async def ask(self, message: SyncMessage, expected: type[Answer]) -> Answer:
        """Send a message and wait for its answer.

        Raises:
            NetworkError: no answer in time, or the stream ended.
            RemoteProtocolError: another answer than asked for.
        """
        with trio.move_on_after(ANSWER_TIMEOUT_S):
            await self.stream.send(encode_sync_message(message))
            frame = await self.stream.receive()
            if frame is None:
                raise NetworkError("the peer ended the sync stream")
            answer = decode_sync_message(frame)
            if not isinstance(answer, expected):
                raise RemoteProtocolError("SYNC-2", f"expected {expected.__name__}, was {type(answer).__name__}")
            if not isinstance(answer, Hello) and answer.request != getattr(message, "request", None):
                raise RemoteProtocolError("SYNC-2", "expected the answer to the request made")
            return answer
        raise NetworkError(f"the peer did not answer within {ANSWER_TIMEOUT_S:g} s")


class SyncService:
    """Rounds of sync with every peer, and the answers to theirs."""

    def __init__(
        self,
        network: Network,
        view: FeedView,
        digests: Digests,
        markets: Sequence[MarketId],
        *,
        on_entries: EntrySink,
        on_start: StartSink,
        on_round: RoundSink,
        on_evidence: EvidenceSink | None = None,
        rules: Mapping[MarketId, MarketRules] | None = None,
        period_s: float = 2.0,
    ) -> None:
        """Serve a node's feeds, and keep in sync with its peers.

        Args:
            network: where the peers are.
            view: what the node holds.
            digests: of the deployment.
            markets: which ones to follow.
            on_entries: takes what was fetched.
            on_start: takes where a feed begins that the peer has cut, before its entries.
            on_round: hears how each round ended.
            on_evidence: takes what convicts; without it nothing is asked for.
            rules: of the markets, to judge evidence by.
            period_s: between two rounds with a peer.
        """
        self._network = network
        self._view = view
        self._digests = digests
        domain = digests.domain
        self._hello = Hello(chain_id=domain.chain_id, settlement=domain.settlement, markets=tuple(sorted(markets)))
        self._on_entries = on_entries
        self._on_start = on_start
        self._on_round = on_round
        self._on_evidence = on_evidence
        self._rules = dict(rules or {})
        self._proofs_s: dict[tuple[PeerId, MarketId], float] = {}
        self._period_s = period_s
        self._clients: dict[PeerId, _Client] = {}
        self._locks: dict[PeerId, trio.Lock] = {}
        self._kept: dict[PeerId, None] = {}
        self._waiting: dict[tuple[PeerId, MarketId], None] = {}
        self._rounds = self._failed = self._fetched = self._answered = 0
        network.set_stream_handler(PROTOCOL, self._serve, max_frame_bytes=MAX_SYNC_FRAME_BYTES)

    def statistics(self) -> SyncStatistics:
        """Counters since the start."""
        return SyncStatistics(
            rounds=self._rounds, failed_rounds=self._failed, fetched_entries=self._fetched, answered=self._answered
        )

    # Asking

    async def keep_in_sync(self, peer: PeerId) -> None:
        """A round on connect and every period while the peer is connected; one task, however often it reconnects."""
        if peer in self._kept:
            return
        self._kept[peer] = None
        try:
            while self._network.is_connected(peer):
                for market in self._hello.markets:
                    await self.round(peer, market)
                await trio.sleep(self._period_s)
        finally:
            del self._kept[peer]
        await self._forget(peer)

    async def round(self, peer: PeerId, market: MarketId) -> None:
        """One round with a peer: afterwards all that it showed of its feeds is held here, or the round has failed.

        While one waits for its turn, another for the same peer and market is the same one.
        """
        if (peer, market) in self._waiting:
            return
        self._waiting[(peer, market)] = None
        lock = self._locks.setdefault(peer, trio.Lock())
        try:
            await lock.acquire()
        finally:
            del self._waiting[(peer, market)]
        try:
            heads = await self._attempt(peer, market)
        finally:
            lock.release()
            if not lock.locked():
                self._locks.pop(peer, None)
        await self._on_round(peer, market, heads)

    async def _attempt(self, peer: PeerId, market: MarketId) -> tuple[Head, ...] | None:
        try:
            heads = await self._fetch_missing(peer, market)
        except NetworkError:
            heads = None
        except RemoteProtocolError as error:
            heads = None
            self._network.report(peer, error.rule)
        if heads is None or not self._network.is_connected(peer):  # who has gone is not one to be synced with
            self._failed += 1
            await self._forget(peer)
            return None
        self._rounds += 1
        return heads

    async def _forget(self, peer: PeerId) -> None:
        client = self._clients.pop(peer, None)
        for market in self._hello.markets:
            self._proofs_s.pop((peer, market), None)
        if client is not None:
            with suppress(NetworkError):
                await client.stream.close()

    async def _client(self, peer: PeerId) -> _Client:
        client = self._clients.get(peer)
        if client is None:
            stream = await self._network.open_stream(peer, PROTOCOL, max_frame_bytes=MAX_SYNC_FRAME_BYTES)
            client = self._clients[peer] = _Client(stream)
            theirs = await client.ask(self._hello, Hello)
            self._check_hello(theirs)
        return client

    def _check_hello(self, theirs: Hello) -> None:
        ours = self._hello
        if (theirs.chain_id, theirs.settlement) != (ours.chain_id, ours.settlement):
            raise NetworkError(
                f"expected a peer of chain {ours.chain_id} and settlement 0x{ours.settlement.hex()}, was of chain "
                f"{theirs.chain_id} and 0x{theirs.settlement.hex()}"
            )

    async def _fetch_missing(self, peer: PeerId, market: MarketId) -> tuple[Head, ...]:
        """Compare heads and fetch; answers the heads for `SyncRoundEnded`. Spec: [SYNC-2, SYNC-17, SYNC-20]."""
        client = await self._client(peer)
        await self._ask_for_proofs(client, peer, market, is_due=False)
        tree = self._view.tree(market)
        found = await self._compare(client, market, tree)
        known = {head.session for head in found.theirs if head.is_dead and _is_dead(tree.get(head.session))}
        if any(head.is_dead and head.session not in known for head in found.theirs):
            await self._ask_for_proofs(client, peer, market, is_due=True)
        empty = 0
        for head in found.theirs:
            empty += not await self._fetch_head(client, peer, market, head, tree.get(head.session))
            if empty > MAX_EMPTY_RUNS:
                raise NetworkError(f"the peer named heads and had no entries for {empty} of them")
        if not found.is_whole:
            raise NetworkError(f"more than {len(found.theirs)} heads differ: the next round goes on from there")
        own = tree.get(self._view.own)
        is_shared = own is not None and own not in found.ours
        return (*found.theirs, own) if own is not None and is_shared else found.theirs

    async def _ask_for_proofs(self, client: _Client, peer: PeerId, market: MarketId, *, is_due: bool) -> None:
        """On connect, every minute, and when a fork is shown that is not known here. Spec: [SYNC-18]."""
        if self._on_evidence is None:
            return
        last_s = self._proofs_s.get((peer, market))
        if is_due or last_s is None or trio.current_time() - last_s >= PROOFS_PERIOD_S:
            await fetch_proofs(client, self._digests, self._rules, market, self._on_evidence)
            self._proofs_s[(peer, market)] = trio.current_time()

    async def _compare(self, client: _Client, market: MarketId, tree: HeadTree) -> Comparison:
        """Spec: [SYNC-10..17]."""
        asker = Asker(tree, market, secrets.token_bytes(SALT_BYTES))
        while (asked := asker.next_compare(client.next_request())) is not None:
            asker.take(await client.ask(asked, Differences))
        return asker.comparison()

    async def _fetch_head(
        self, client: _Client, peer: PeerId, market: MarketId, theirs: Head, ours: Head | None
    ) -> bool:
        """Fetch what a head says is missing; where ours and theirs do not fit, from seq 0. Spec: [SYNC-3].

        Answers whether anything came, or nothing had to.
        """
        known_seq = ours.next_seq if ours is not None else 0
        if ours is not None and ours.is_dead and not (theirs.is_dead and theirs.next_seq < known_seq):
            return True
        if theirs.is_dead:
            await self._fetch_dead(client, peer, market, theirs, known_seq)
            return True
        if ours is not None and theirs.next_seq == known_seq:
            return await self._fetch(client, peer, market, theirs, 0, known_seq) is not None
        if theirs.next_seq < known_seq:
            return True
        first = await self._fetch(client, peer, market, theirs, known_seq, theirs.next_seq)
        if ours is not None and first is not None and first.entry.header.prev_hash != ours.head_hash:
            await self._fetch(client, peer, market, theirs, 0, known_seq)
        return first is not None

    async def _fetch_dead(self, client: _Client, peer: PeerId, market: MarketId, theirs: Head, known_seq: int) -> None:
        """Fetch a dead run with the entry before it: is that not ours, the feeds parted lower. Spec: [SYNC-3]."""
        from_seq = max(0, min(known_seq, theirs.next_seq - 1) - 1)
        ours = self._view.run(market, theirs.session, from_seq, from_seq + 1).entries
        first = await self._fetch(client, peer, market, theirs, from_seq, theirs.next_seq)
        if ours and first is not None and first.encoded not in ours:
            await self._fetch(client, peer, market, theirs, 0, from_seq)

    async def _fetch(
        self, client: _Client, peer: PeerId, market: MarketId, head: Head, from_seq: int, to_seq: int
    ) -> VerifiedEntry | None:
        """Fetch a run of a head's feed, page by page; returns its first entry."""
        first: VerifiedEntry | None = None
        while from_seq < to_seq:
            wanted = GetRun(
                request=client.next_request(), market=market, session=head.session, from_seq=from_seq, to_seq=to_seq
            )
            page = await client.ask(wanted, Run)
            start, entries = await trio.to_thread.run_sync(_verify_run, self._digests, page, wanted)
            if not entries:
                break
            first = first or entries[0]
            if start is not None:
                await self._on_start(market, start, peer)
            self._fetched += len(entries)
            from_seq = entries[-1].entry.header.seq + 1
            await self._on_entries(market, entries, peer)
            if not page.has_more:
                break
        return first

    # Answering

    async def _serve(self, stream: FramedStream) -> None:
        """Hello first, then answers one at a time, so many parts per ten seconds at once. Spec: [SYNC-6, SYNC-7]."""
        frame = await stream.receive()
        if frame is None:
            return
        hello = decode_sync_message(frame)
        if not isinstance(hello, Hello):
            raise RemoteProtocolError("SYNC-6", f"expected Hello first, was {type(hello).__name__}")
        await stream.send(encode_sync_message(self._hello))
        if (hello.chain_id, hello.settlement) != (self._hello.chain_id, self._hello.settlement):
            return
        spent, since = 0, trio.current_time()
        while (frame := await stream.receive()) is not None:
            if trio.current_time() - since > FREE_PERIOD_S:
                spent, since = 0, trio.current_time()
            message = decode_sync_message(frame)
            if spent >= FREE_PARTS:
                await trio.sleep_until(since + FREE_PERIOD_S)
            answer = encode_sync_message(self._answer(message))
            spent += _parts_of(message) + len(answer) // BYTES_A_PART
            self._answered += 1
            await stream.send(answer)

    def _answer(self, message: SyncMessage) -> SyncMessage:
        if isinstance(message, Compare):
            return answer_compare(self._view.tree(message.market), message)
        if isinstance(message, GetProofs):
            proofs = self._view.proofs(message.market, message.session)
            return Proofs(request=message.request, proofs=tuple(proofs))
        if isinstance(message, GetRun):
            held = self._view.run(message.market, message.session, message.from_seq, message.to_seq)
            page: list[bytes] = []
            room = PAGE_BYTES - sum(len(body) + 8 for body in held.bodies)
            for encoded in held.entries:
                room -= len(encoded) + 8
                if room < 0 and page:
                    break
                page.append(encoded)
            has_more = len(page) < len(held.entries)
            return Run(request=message.request, has_more=has_more, entries=tuple(page), bodies=held.bodies)
        raise RemoteProtocolError("SYNC-2", f"expected Compare, GetRun or GetProofs, was {type(message).__name__}")


def _is_dead(head: Head | None) -> bool:
    return head is not None and head.is_dead


def _parts_of(message: SyncMessage) -> int:
    """How many parts a request is, whatever its answer. Spec: [SYNC-7]."""
    if not isinstance(message, Compare):
        return 1
    spans = sum(len(span.fingerprints) for span in message.spans) + sum(1 + len(one.ids) for one in message.listings)
    return 1 + spans // SPANS_A_PART


def _verify_run(digests: Digests, page: Run, wanted: GetRun) -> tuple[Start | None, tuple[VerifiedEntry, ...]]:
    """Verify a page; each entry must be the one asked for, or another version of the one before it: a fork.

    With bodies the page begins at a start further up. Spec: [SYNC-21].
    """
    entries: list[VerifiedEntry] = []
    start: Start | None = None
    seq = wanted.from_seq
    for one in page.entries:
        entry = verify_entry(digests, one)
        header = entry.entry.header
        if page.bodies and not entries:
            start = verify_start(digests, entry, page.bodies)
            seq = max(seq + 1, header.seq)
        is_rival = bool(entries) and header.seq == seq - 1 and entry.entry_hash != entries[-1].entry_hash
        if (header.market, header.session) != (wanted.market, wanted.session) or not (header.seq == seq or is_rival):
            raise RemoteProtocolError("SYNC-2", f"expected entry {seq} of the feed asked for, was {header.seq}")
        seq = header.seq + 1
        entries.append(entry)
    return start, tuple(entries)
