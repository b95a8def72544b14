"""Sync: compare heads with a peer, fetch the runs that are missing.

One outgoing stream per peer, opened once and kept; the other side serves it from what its kernel holds.
Spec: protocol/spec/06-sync.md.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio

from orrange_p2p.core.digests import Digests
from orrange_p2p.core.frames import MAX_SYNC_FRAME_BYTES, decode_sync_message, encode_sync_message
from orrange_p2p.core.messages import GetRun, Head, Heads, Hello, Run, SyncMessage
from orrange_p2p.core.types import ZERO_DIGEST, Address, MarketId, PeerId
from orrange_p2p.core.verify import VerifiedEntry, verify_entry
from orrange_p2p.errors import NetworkError, RemoteProtocolError
from orrange_p2p.net.framing import FramedStream
from orrange_p2p.net.network import Network

PROTOCOL = "/orrange/sync/1"
ANSWER_TIMEOUT_S = 5.0
PAGE_BYTES = 192 * 1024
FREE_REQUESTS = 100
FREE_PERIOD_S = 10.0

Answer = TypeVar("Answer", Heads, Run, Hello)


class FeedView(Protocol):
    """What sync may ask of the node: its heads and its entries."""

    def heads(self, market: MarketId) -> tuple[Head, ...]:
        """All heads of a market, sorted by session."""

    def run(self, market: MarketId, session: Address, from_seq: int, to_seq: int) -> Sequence[bytes]:
        """Encoded entries `[from_seq, to_seq)` as far as they are held, in sequence."""

    def is_dead(self, market: MarketId, session: Address) -> bool:
        """Whether the session's fork is known already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatistics:
    """Rounds that ended well and ill, entries fetched, requests answered."""

    rounds: int
    failed_rounds: int
    fetched_entries: int
    answered: int


EntrySink = Callable[[MarketId, tuple[VerifiedEntry, ...], PeerId], Awaitable[None]]
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
        on_round: RoundSink,
        period_s: float = 2.0,
    ) -> None:
        self._network = network
        self._view = view
        self._digests = digests
        domain = digests.domain
        self._hello = Hello(chain_id=domain.chain_id, settlement=domain.settlement, markets=tuple(sorted(markets)))
        self._on_entries = on_entries
        self._on_round = on_round
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
        """One round with a peer: afterwards its heads of the start are held here, or the round counts as failed.

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
        """Compare heads and fetch; where ours and theirs do not fit, from seq 0. Spec: [SYNC-2, SYNC-3]."""
        client = await self._client(peer)
        ours = {head.session: head for head in self._view.heads(market)}
        request = client.next_request()
        answer = await client.ask(Heads(request=request, market=market, heads=tuple(ours.values())), Heads)
        for head in answer.heads:
            if self._view.is_dead(market, head.session):
                continue
            known = ours.get(head.session)
            known_seq = known.next_seq if known is not None else 0
            known_hash = known.head_hash if known is not None else ZERO_DIGEST
            if head.next_seq and head.head_hash == ZERO_DIGEST:
                await self._fetch(client, peer, market, head.session, min(known_seq, head.next_seq - 1), head.next_seq)
            elif head.next_seq > known_seq:
                first = await self._fetch(client, peer, market, head.session, known_seq, head.next_seq)
                if first is not None and first.entry.header.prev_hash != known_hash and known_seq:
                    await self._fetch(client, peer, market, head.session, 0, known_seq)
            elif head.next_seq == known_seq and head.head_hash != known_hash:
                await self._fetch(client, peer, market, head.session, 0, known_seq)
        return answer.heads

    async def _fetch(
        self, client: _Client, peer: PeerId, market: MarketId, session: Address, from_seq: int, to_seq: int
    ) -> VerifiedEntry | None:
        """Fetch a run, page by page; returns its first entry."""
        first: VerifiedEntry | None = None
        while from_seq < to_seq:
            wanted = GetRun(
                request=client.next_request(), market=market, session=session, from_seq=from_seq, to_seq=to_seq
            )
            page = await client.ask(wanted, Run)
            entries = await trio.to_thread.run_sync(_verify_run, self._digests, page.entries, wanted)
            if not entries:
                break
            first = first or entries[0]
            self._fetched += len(entries)
            from_seq = entries[-1].entry.header.seq + 1
            await self._on_entries(market, entries, peer)
            if not page.has_more:
                break
        return first

    # Answering

    async def _serve(self, stream: FramedStream) -> None:
        """Hello first, then answers one at a time, a hundred per ten seconds at once. Spec: [SYNC-6, SYNC-7]."""
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
            spent += 1
            if spent > FREE_REQUESTS:
                await trio.sleep_until(since + FREE_PERIOD_S)
            answer = self._answer(decode_sync_message(frame))
            self._answered += 1
            await stream.send(encode_sync_message(answer))

    def _answer(self, message: SyncMessage) -> SyncMessage:
        if isinstance(message, Heads):
            heads = self._view.heads(message.market)
            return Heads(request=message.request, market=message.market, heads=heads)
        if isinstance(message, GetRun):
            held = self._view.run(message.market, message.session, message.from_seq, message.to_seq)
            page: list[bytes] = []
            room = PAGE_BYTES
            for encoded in held:
                room -= len(encoded) + 8
                if room < 0:
                    break
                page.append(encoded)
            return Run(request=message.request, has_more=len(page) < len(held), entries=tuple(page))
        raise RemoteProtocolError("SYNC-2", f"expected Heads or GetRun, was {type(message).__name__}")


def _verify_run(digests: Digests, encoded: tuple[bytes, ...], wanted: GetRun) -> tuple[VerifiedEntry, ...]:
    """Verify a page; each entry must be the one asked for, or another version of the one before it: a fork."""
    entries: list[VerifiedEntry] = []
    seq = wanted.from_seq
    for one in encoded:
        entry = verify_entry(digests, one)
        header = entry.entry.header
        is_rival = bool(entries) and header.seq == seq - 1 and entry.entry_hash != entries[-1].entry_hash
        if (header.market, header.session) != (wanted.market, wanted.session) or not (header.seq == seq or is_rival):
            raise RemoteProtocolError("SYNC-2", f"expected entry {seq} of the feed asked for, was {header.seq}")
        seq = header.seq + 1
        entries.append(entry)
    return tuple(entries)
