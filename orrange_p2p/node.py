"""The node: shells wired to the kernel.

Events from the network, the chain, the clock and the owner go through one bounded channel into the kernel; its actions
are carried out in order, what must be on disk first. A step never waits for anything; the disk and the wires do.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

import structlog
import trio

from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.deployment import Deployment
from orrange_p2p.chain.follower import Item, TakenBack
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.link import NOT_ASKED, ChainLink
from orrange_p2p.chain.settler import Settler
from orrange_p2p.chain.trail import REMEMBERED_BLOCKS
from orrange_p2p.core.book import Book, compute_book
from orrange_p2p.core.events import (
    AcceptRequest,
    Action,
    AddressesChanged,
    BlockAdded,
    BlocksUnwound,
    CancelAllRequested,
    CancelRequested,
    ChainReachChanged,
    EntriesReceived,
    Event,
    EvidenceHeard,
    Identity,
    ModifyRequested,
    Note,
    OrderRequested,
    PeerLost,
    PersistEntry,
    PresencesHeard,
    Publish,
    PublishEvidence,
    PublishPresences,
    RefuseRequest,
    SendTicketMessage,
    Settle,
    SettleGroup,
    StartReceived,
    SyncRoundEnded,
    SyncWith,
    Ticked,
    TicketMessageReceived,
)
from orrange_p2p.core.evidence import VerifiedEvidence
from orrange_p2p.core.kernel import Kernel
from orrange_p2p.core.messages import Head, TicketMessage
from orrange_p2p.core.peer_messages import Evidences, Presences
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.starts import Start
from orrange_p2p.core.types import Address, Epoch, MarketId, OrderId, OrderKind, PeerId, Side, TimeInForce
from orrange_p2p.core.verify import VerifiedEntry
from orrange_p2p.errors import InternalError, OrderError, StoreError
from orrange_p2p.net.addresses import multiaddr_bytes
from orrange_p2p.net.dialling import keep_connected
from orrange_p2p.net.durable_feeds import DurableFeeds, next_own_seq
from orrange_p2p.net.entry_gossip import EntryGossip
from orrange_p2p.net.network import Network
from orrange_p2p.net.peer_words import HeardWords, PeerWords
from orrange_p2p.net.sync import SyncService
from orrange_p2p.net.ticket_streams import TicketStreams
from orrange_p2p.store.actions import batch_of, load_evidence, load_market
from orrange_p2p.store.interface import Store, TradeRecord

MAX_EVENTS = 4096
MAX_STEPS_A_COMMIT = 128
MAX_REQUESTS = 1024

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeParts:
    """What a node is made of; whoever makes it closes what it opened."""

    network: Network
    store: Store
    backend: Backend
    deployment: Deployment
    markets: tuple[MarketRules, ...]
    identity: Identity
    lane: TransactionLane
    clock_ms: Callable[[], int]
    bootstrap: tuple[str, ...] = ()
    check_chain: Callable[[], Awaitable[None]] | None = None
    """What the chain must pass before it is believed; None if it has."""


class Node:
    """One peer: follows markets, trades for one owner, settles."""

    def __init__(self, parts: NodeParts, *, on_note: Callable[[Note, int], None] | None = None) -> None:
        """Wire a node that has not started.

        Args:
            parts: its shells and keys.
            on_note: hears every kernel note with the time it was made; must not raise or block.
        """
        self._parts = parts
        self._rules = {rules.market_id: rules for rules in parts.markets}
        self._on_note = on_note
        self.kernel = Kernel(parts.deployment.domain, parts.markets, parts.identity)
        self._post_events, self._events = trio.open_memory_channel[Event](MAX_EVENTS)
        self._requests: dict[int, trio.Event] = {}
        self._answers: dict[int, AcceptRequest | RefuseRequest] = {}
        self._last_request = 0
        digests = self.kernel.digests
        self._words = PeerWords(digests, self._rules)
        self._gossip = {
            market: EntryGossip(parts.network, market, digests, self._sink_of(market), self._words)
            for market in self._rules
        }
        self._durable = DurableFeeds(self.kernel)
        self._streams = TicketStreams(parts.network, self._on_ticket_message)
        self._sync = SyncService(
            parts.network,
            self._durable,
            digests,
            tuple(self._gossip),
            on_entries=self._on_entries,
            on_start=self._on_start,
            on_round=self._on_round,
            on_evidence=self._on_proofs,
            rules=self._rules,
        )
        self._settler = Settler(parts.lane, parts.deployment.settlement)
        self._link: ChainLink | None = None
        self._why_chain_lost: str | None = NOT_ASKED
        self._nursery: trio.Nursery | None = None
        self._stepped = trio.Condition()

    @property
    def peer_id(self) -> PeerId:
        """This node's peer id."""
        return self._parts.identity.peer_id

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Node"]:
        """Load the store, then serve until the block ends.

        Raises:
            StoreError: the store cannot be read or written.
            NetworkError: the port cannot be listened on.
        """
        self._load()
        async with self._parts.network.running(), trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._step_all)
            nursery.start_soon(self._tick)
            nursery.start_soon(self._follow_chain)
            nursery.start_soon(self._settler.run)
            nursery.start_soon(self._streams.run)
            nursery.start_soon(self._watch_peers)
            nursery.start_soon(self._words.run, self._on_words)
            await self._post(self._addresses_changed())
            for gossip in self._gossip.values():
                nursery.start_soon(gossip.run)
            for address in self._parts.bootstrap:
                nursery.start_soon(keep_connected, self._parts.network, address)
            try:
                yield self
            finally:
                nursery.cancel_scope.cancel()

    def _load(self) -> None:
        """Take back blocks and entries from the store; runs before anything else."""
        now_ms = self._parts.clock_ms()
        self.kernel.step(ChainReachChanged(now_ms=now_ms, why_lost=self._why_chain_lost))
        for block in self._parts.store.blocks():
            self.kernel.step(BlockAdded(now_ms=now_ms, block=block, is_stored=True))
        for market in self.kernel.markets:
            for event in load_market(self._parts.store, self.kernel.digests, market, now_ms):
                self.kernel.step(event)
            self._durable.note(market, next_own_seq(self.kernel, market))
        pieces = load_evidence(self._parts.store, self.kernel.digests, self._rules)
        self.kernel.step(EvidenceHeard(now_ms=now_ms, pieces=pieces, is_stored=True))

    def _addresses_changed(self) -> AddressesChanged:
        addresses = tuple(multiaddr_bytes(address) for address in self.addresses())
        return AddressesChanged(now_ms=self._parts.clock_ms(), addresses=addresses)

    # Into the kernel

    async def _post(self, event: Event) -> None:
        await self._post_events.send(event)

    def _sink_of(self, market: MarketId) -> Callable[[tuple[VerifiedEntry, ...], PeerId], Awaitable[None]]:
        async def sink(entries: tuple[VerifiedEntry, ...], source: PeerId) -> None:
            await self._on_entries(market, entries, source)

        return sink

    async def _on_entries(self, market: MarketId, entries: tuple[VerifiedEntry, ...], source: PeerId) -> None:
        now_ms = self._parts.clock_ms()
        await self._post(EntriesReceived(now_ms=now_ms, market=market, entries=entries, source=source))

    async def _on_start(self, market: MarketId, start: Start, source: PeerId) -> None:
        await self._post(StartReceived(now_ms=self._parts.clock_ms(), market=market, start=start, source=source))

    async def _on_round(self, peer: PeerId, market: MarketId, heads: tuple[Head, ...] | None) -> None:
        await self._post(SyncRoundEnded(now_ms=self._parts.clock_ms(), peer=peer, market=market, heads=heads))

    async def _on_proofs(self, pieces: tuple[VerifiedEvidence, ...]) -> None:
        if pieces:
            await self._post(EvidenceHeard(now_ms=self._parts.clock_ms(), pieces=pieces))

    async def _on_words(self, words: HeardWords) -> None:
        now_ms = self._parts.clock_ms()
        if words.presences:
            await self._post(PresencesHeard(now_ms=now_ms, presences=words.presences))
        if words.pieces:
            await self._post(EvidenceHeard(now_ms=now_ms, pieces=words.pieces))

    async def _on_ticket_message(self, peer: PeerId, message: TicketMessage) -> None:
        await self._post(TicketMessageReceived(now_ms=self._parts.clock_ms(), peer=peer, message=message))

    async def _tick(self) -> None:
        period_s = min(rules.preset.epoch_ms for rules in self._parts.markets) / 20_000
        while True:
            await self._note_reach()
            await self._post(Ticked(now_ms=self._parts.clock_ms()))
            await trio.sleep(period_s)

    async def _note_reach(self) -> None:
        """Tell the kernel when the chain goes out of reach and when it answers again."""
        why_lost = self._link.why_lost() if self._link is not None else NOT_ASKED
        if why_lost != self._why_chain_lost:
            self._why_chain_lost = why_lost
            await self._post(ChainReachChanged(now_ms=self._parts.clock_ms(), why_lost=why_lost))

    async def _follow_chain(self) -> None:
        parts = self._parts
        known = self.kernel.ledger.newest_blocks(REMEMBERED_BLOCKS)
        self._link = ChainLink(parts.backend, parts.deployment, known=known, check=parts.check_chain)
        await self._link.run(self._on_chain)

    async def _on_chain(self, item: Item) -> None:
        now_ms = self._parts.clock_ms()
        if isinstance(item, TakenBack):
            self._settler.unwind(item.to_block)
            await self._post(BlocksUnwound(now_ms=now_ms, to_block=item.to_block))
        else:
            self._settler.observe(item)
            await self._post(BlockAdded(now_ms=now_ms, block=item))

    async def _watch_peers(self) -> None:
        async with trio.open_nursery() as nursery:
            async for event in self._parts.network.peer_events:
                if event.is_connected:
                    nursery.start_soon(self._sync.keep_in_sync, event.peer)
                else:
                    self._streams.forget(event.peer)
                    await self._post(PeerLost(now_ms=self._parts.clock_ms(), peer=event.peer))

    # Out of the kernel

    async def _step_all(self) -> None:
        """The one consumer of events."""
        while True:
            events = [await self._events.receive()]
            while len(events) < MAX_STEPS_A_COMMIT:
                try:
                    events.append(self._events.receive_nowait())
                except trio.WouldBlock:
                    break
            actions: list[Action] = []
            for event in events:
                actions.extend(self.kernel.step(event))
            await self._persist(actions)
            for action in actions:
                if isinstance(action, PersistEntry) and action.is_own:
                    header = action.entry.entry.header
                    self._durable.note(header.market, header.seq + 1)
            for action in actions:
                await self._carry_out(action)
            async with self._stepped:
                self._stepped.notify_all()

    async def _persist(self, actions: Sequence[Action]) -> None:
        batch = batch_of(actions)
        if batch is None:
            return
        try:
            await self._parts.store.commit_async(batch)
        except StoreError as error:
            _log.error("the store failed; this node signs nothing more", error=str(error))
            raise

    async def _carry_out(self, action: Action) -> None:
        if isinstance(action, Publish | PublishPresences | PublishEvidence):
            await self._publish(action)
        elif isinstance(action, SendTicketMessage):
            self._streams.send(action.peer, action.message)
        elif isinstance(action, SyncWith) and self._nursery is not None:
            self._nursery.start_soon(self._sync.round, action.peer, action.market)
        elif isinstance(action, Settle):
            self._settler.enqueue(action.digest, action.trade)
        elif isinstance(action, SettleGroup):
            self._settler.enqueue_group({leg.digest: leg.trade for leg in action.legs})
        elif isinstance(action, AcceptRequest | RefuseRequest) and action.request in self._requests:
            self._answers[action.request] = action
            self._requests[action.request].set()
        elif isinstance(action, Note):
            self._tell(action)

    async def _publish(self, action: Publish | PublishPresences | PublishEvidence) -> None:
        gossip = self._gossip[action.market]
        if isinstance(action, Publish):
            await gossip.publish(action.encoded)
        elif isinstance(action, PublishPresences):
            await gossip.publish_message(Presences(presences=action.presences))
        else:
            await gossip.publish_message(Evidences(pieces=(action.encoded,)))

    def _tell(self, note: Note) -> None:
        if self._on_note is not None:
            self._on_note(note, self._parts.clock_ms())
        if note.name == "doubt":
            _log.error("this node signs nothing more", **dict(note.details))

    # The owner's requests

    async def place_order(
        self,
        market: MarketId,
        side: Side,
        price_ticks: int,
        quantity_lots: int,
        *,
        tif: TimeInForce = TimeInForce.GTC,
        expiry_s: int = 0,
        kind: OrderKind = OrderKind.LIMIT,
        post_only: bool = False,
        min_tier: int = 0,
        payment_methods: tuple[int, ...] = (),
        arbitrators: tuple[Address, ...] = (),
        security: int = 0,
    ) -> OrderId:
        """Place an order; returns its id once it is on disk and on its way.

        Raises:
            OrderError: refused, with field, value and rule; nothing was signed.
        """
        request = self._next_request()
        placed = OrderRequested(
            now_ms=self._parts.clock_ms(),
            request=request,
            market=market,
            side=side,
            price_ticks=price_ticks,
            quantity_lots=quantity_lots,
            tif=tif,
            expiry_s=expiry_s,
            kind=kind,
            post_only=post_only,
            min_tier=min_tier,
            payment_methods=payment_methods,
            arbitrators=arbitrators,
            security=security,
        )
        (order_id,) = await self._ask(request, placed)
        return order_id

    async def modify_order(
        self,
        market: MarketId,
        order_id: OrderId,
        *,
        price_ticks: int | None = None,
        quantity_lots: int | None = None,
        expiry_s: int | None = None,
    ) -> OrderId:
        """Replace a live order; returns the new one's id once cancel and order are on disk and on their way.

        Raises:
            OrderError: no such live order, or the new one is refused; nothing was signed and the old one stands.
        """
        request = self._next_request()
        modify = ModifyRequested(
            now_ms=self._parts.clock_ms(),
            request=request,
            market=market,
            order_id=order_id,
            price_ticks=price_ticks,
            quantity_lots=quantity_lots,
            expiry_s=expiry_s,
        )
        (new_id,) = await self._ask(request, modify)
        return new_id

    async def cancel_order(self, market: MarketId, order_id: OrderId) -> OrderId:
        """Cancel a live order; returns once the cancel is on disk and on its way.

        Raises:
            OrderError: no such live order, or the node signs nothing now.
        """
        request = self._next_request()
        cancel = CancelRequested(now_ms=self._parts.clock_ms(), request=request, market=market, order_id=order_id)
        (cancelled,) = await self._ask(request, cancel)
        return cancelled

    async def cancel_all_orders(self, market: MarketId) -> tuple[OrderId, ...]:
        """Cancel every live order of this node; returns their ids once all cancels are on disk and on their way.

        Raises:
            OrderError: the node signs nothing now.
        """
        request = self._next_request()
        cancel = CancelAllRequested(now_ms=self._parts.clock_ms(), request=request, market=market)
        return await self._ask(request, cancel)

    def _next_request(self) -> int:
        if len(self._requests) >= MAX_REQUESTS:
            raise OrderError("node", "busy", "FEED-11", f"more than {MAX_REQUESTS} requests wait already; try again")
        self._last_request += 1
        return self._last_request

    async def _ask(self, request: int, event: Event) -> tuple[OrderId, ...]:
        answered = self._requests[request] = trio.Event()
        try:
            await self._post(event)
            await answered.wait()
            answer = self._answers.pop(request)
        finally:
            del self._requests[request]
        if isinstance(answer, RefuseRequest):
            raise OrderError(answer.field, answer.value, answer.rule, answer.message)
        return answer.order_ids

    # Looking

    async def wait_until(self, condition: Callable[["Node"], bool]) -> None:
        """Wait until `condition` holds; looked at after every step of the kernel."""
        async with self._stepped:
            while not condition(self):
                await self._stepped.wait()

    def book_at(self, market: MarketId, epoch: Epoch) -> Book:
        """The book as of an epoch, from all entries held now.

        Raises:
            InternalError: the epoch's fund block is not known here; wait for it first.
        """
        state = self.kernel.markets[market]
        block = state.windows.fund_block(epoch)
        if block is None:
            raise InternalError(f"the fund block of epoch {epoch} is not known yet")
        return compute_book(state.feeds, self.kernel.ledger, epoch, block)

    def shown_book(self, market: MarketId) -> Book | None:
        """The book to show: that of the last window, or from the store before the first one; None if there is none."""
        windows = self.kernel.markets[market].windows
        epoch = windows.newest_known(self._parts.clock_ms()) if windows.current is None else None
        return windows.keeper.book() if epoch is None else self.book_at(market, epoch)

    async def stored_trades(self) -> tuple[TradeRecord, ...]:
        """The completed own tickets on disk.

        Raises:
            StoreError: the store cannot be read.
        """
        return await trio.to_thread.run_sync(lambda: tuple(self._parts.store.trades()))

    def addresses(self) -> list[str]:
        """Multiaddrs to reach this node at."""
        return self._parts.network.addresses()

    def connected_peers(self) -> tuple[PeerId, ...]:
        """Peers with a live connection."""
        return self._parts.network.connected_peers()

    def chain_doubt(self) -> str | None:
        """Why no new block can be read now; None if the chain answers."""
        return self._link.doubt() if self._link is not None else NOT_ASKED

    def gossip_drops(self) -> int:
        """Honest gossip messages lost here so far."""
        return self._parts.network.statistics().gossip_drops

    def statistics(self) -> Mapping[str, Mapping[str, object]]:
        """Counters of the kernel and of every shell, as plain values: all that came, went and was dropped."""
        return {
            "kernel": dict(self.kernel.counters),
            "network": asdict(self._parts.network.statistics()),
            "ticket_streams": asdict(self._streams.statistics()),
            "sync": asdict(self._sync.statistics()),
            "peer_words": asdict(self._words.statistics()),
            "chain": self._link.statistics() if self._link is not None else {},
            "settler": self._settler.statistics(),
            "store": asdict(self._parts.store.statistics()),
        }
