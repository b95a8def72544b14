"""A seeded world of kernels: virtual clock, virtual wires, a chain that only keeps facts. Real keys, real signatures.

Everything outside the kernel is played by this one event queue; the kernels are the real ones.
"""

import heapq
import random
from collections.abc import Callable, Iterable
from enum import Enum

from orrange_p2p.core.book import compute_book
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.events import (
    AcceptRequest,
    Action,
    BlockAdded,
    BlocksUnwound,
    CancelAllRequested,
    CancelRequested,
    CutFeed,
    EntriesLoaded,
    EntriesReceived,
    Event,
    EvidenceHeard,
    Identity,
    ModifyRequested,
    Note,
    OrderRequested,
    PersistEntry,
    PersistEvidence,
    PersistTrade,
    PresencesHeard,
    Publish,
    PublishEvidence,
    PublishPresences,
    RefuseRequest,
    SendTicketMessage,
    Settle,
    SettleGroup,
    StartReceived,
    StartsLoaded,
    SyncRoundEnded,
    SyncWith,
    Ticked,
    TicketMessageReceived,
    TicketsLoaded,
)
from orrange_p2p.core.evidence import VerifiedEvidence, verify_evidence
from orrange_p2p.core.facts import BlockFacts, BondChanged, Fact, FundsChanged, SessionAuthorised, TradeSettled
from orrange_p2p.core.frames import decode_ticket_message, encode_ticket_message
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.kernel import Kernel
from orrange_p2p.core.market_kernel import MarketKernel
from orrange_p2p.core.messages import TicketItem
from orrange_p2p.core.presence import verify_presence
from orrange_p2p.core.presets import PRESETS, MarketRules
from orrange_p2p.core.starts import verify_start
from orrange_p2p.core.types import (
    Address,
    Digest,
    Domain,
    Epoch,
    Market,
    OrderId,
    PeerId,
    Scope,
    Side,
    TicketDigest,
    TimeInForce,
)
from orrange_p2p.core.verify import VerifiedEntry, verify_entry
from orrange_p2p.keys.derive import derive_secret
from orrange_p2p.keys.peer import PeerKey
from orrange_p2p.keys.session import SessionKey

GENESIS_MS = 1_700_000_000_000
DOMAIN = Domain(chain_id=31337, settlement=Address(b"\x5e" * 20))
MARKET = Market(base=Address(b"\xba" * 20), quote=Address(b"\x90" * 20), lot_size=1000, tick_size=10, min_fill_lots=1)
DIGESTS = Digests(DOMAIN)
RULES = MarketRules(market=MARKET, market_id=DIGESTS.market(MARKET), preset=PRESETS["demo"], genesis_ms=GENESIS_MS)
TICK_MS = 50


class Fate(Enum):
    """What becomes of a peer at an action."""

    LIVES = "lives"
    DIES_BEFORE = "dies before"
    DIES_AFTER = "dies after"


class Peer:
    """One kernel with the things its shells would keep: disk and answers."""

    def __init__(self, label: str, rules: MarketRules = RULES) -> None:
        self.rules = rules
        self.session_key = SessionKey.from_bytes(derive_secret("kernel-world", f"session {label}"))
        self.owner_key = SessionKey.from_bytes(derive_secret("kernel-world", f"owner {label}"))
        self.peer_key = PeerKey.from_seed(derive_secret("kernel-world", f"peer {label}"))
        self.identity = Identity(
            owner=self.owner_key.address,
            session=self.session_key.address,
            peer_id=self.peer_key.peer_id(),
            encryption_key=self.peer_key.encryption_key(),
            sign=self.session_key.sign,
            peer_sign=self.peer_key.sign,
        )
        self.kernel = Kernel(DOMAIN, [rules], self.identity)
        self.cuts: dict[Address, CutFeed] = {}
        self.disk: list[PersistEntry] = []
        self.tickets: list[TicketItem] = []
        self.evidence: list[VerifiedEvidence] = []
        self.accepted: dict[int, OrderId] = {}
        self.cancelled: dict[int, tuple[OrderId, ...]] = {}
        self.refused: dict[int, RefuseRequest] = {}
        self.notes: list[Note] = []
        self.is_up = True

    @property
    def market(self) -> MarketKernel:
        """The one market."""
        return self.kernel.markets[RULES.market_id]

    @property
    def peer_id(self) -> PeerId:
        """Who it is on the wire."""
        return self.identity.peer_id


class World:
    """The event queue. `delay_ms` draws a wire's latency; `drops` decides whether a gossip copy is lost."""

    def __init__(
        self,
        peers: int = 3,
        *,
        seed: int = 1,
        delay_ms: tuple[int, int] = (1, 40),
        drop: float = 0.0,
        funds_lots: int = 10_000,
        rules: MarketRules = RULES,
    ) -> None:
        self.random = random.Random(seed)
        self.peers = [Peer(str(number), rules) for number in range(peers)]
        self.by_id = {peer.peer_id: peer for peer in self.peers}
        self.now_ms = rules.genesis_ms
        self.log: list[str] = []
        self.settled: dict[TicketDigest, TradeSettled] = {}
        self.to_say: list[Fact] = []  # in the next block, besides what settles
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self._delay_ms, self._drop = delay_ms, drop
        self._to_settle: dict[TicketDigest, Settle] = {}
        self._blocks: list[BlockFacts] = []
        self._request = 0
        self.said: list[tuple[Peer, Publish | SendTicketMessage]] = []
        self.fate: Callable[[Peer, Action], Fate] = lambda _peer, _action: Fate.LIVES
        self.down_ms = (300, 4000)
        self.deliver: Callable[[Peer, Peer, object], bool] = lambda _from, _to, _message: True
        self._mine(self._funding(funds_lots), self.now_ms // 1000 - 10)
        self._mine((), self.now_ms // 1000 - 9)
        for peer in self.peers:
            for block in self._blocks:
                self.feed(peer, BlockAdded(now_ms=self.now_ms, block=block))
            self._at(TICK_MS, lambda peer=peer: self._tick(peer))
        self._at(1000, self._mine_on)
        for peer in self.peers:
            for other in self.peers:
                if other is not peer:
                    self._at(1, lambda peer=peer, other=other: self.sync(peer, other))
        self.run_ms(20)

    def _funding(self, lots: int) -> tuple[Fact, ...]:
        facts: list[Fact] = []
        for peer in self.peers:
            owner, session = peer.identity.owner, peer.identity.session
            for token, units in (
                (MARKET.base, lots * MARKET.lot_size),
                (MARKET.quote, MARKET.quote_amount(1000, lots)),
            ):
                facts.append(FundsChanged(owner=owner, market=RULES.market_id, token=token, delta=units))
            scope = Scope.TICKET | Scope.TRADE
            facts.append(SessionAuthorised(owner=owner, session=session, scope=scope, expiry_s=2_000_000_000))
        return tuple(facts)

    def _at(self, after_ms: int, what: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (self.now_ms + after_ms, self._sequence, what))

    def run_ms(self, duration_ms: int) -> None:
        """Let the world go on."""
        end = self.now_ms + duration_ms
        while self._queue and self._queue[0][0] <= end:
            self.now_ms, _, what = heapq.heappop(self._queue)
            what()
        self.now_ms = end

    def chain(self) -> tuple[BlockFacts, ...]:
        """The blocks so far."""
        return tuple(self._blocks)

    def mine(self, *facts: Fact) -> BlockFacts:
        """A block of its own for these facts, shown to everybody at once."""
        block = self._mine(facts, self.now_ms // 1000)
        for peer in self.peers:
            self.feed(peer, BlockAdded(now_ms=self.now_ms, block=block))
        return block

    def reorganise(self, depth: int, *facts: Fact) -> None:
        """The last `depth` blocks give way to as many others and one more with `facts`, for everybody at once.

        What the old ones settled is not in the new ones; who wants it there has to say so again.
        """
        times = [block.time_s for block in self._blocks[len(self._blocks) - depth :]]
        for block in self._blocks[len(self._blocks) - depth :]:
            for fact in block.facts:
                if isinstance(fact, TradeSettled):
                    del self.settled[fact.ticket]
        del self._blocks[len(self._blocks) - depth :]
        for peer in self.peers:
            self.feed(peer, BlocksUnwound(now_ms=self.now_ms, to_block=len(self._blocks) - 1))
        for number, time_s in enumerate([*times, self.now_ms // 1000]):
            block = self._mine(
                facts if number == depth else (BondChanged(owner=Address(bytes(20)), amount=self.now_ms),), time_s
            )
            for peer in self.peers:
                self.feed(peer, BlockAdded(now_ms=self.now_ms, block=block))

    def _mine(self, facts: tuple[Fact, ...], time_s: int) -> BlockFacts:
        number = len(self._blocks)
        parent = self._blocks[-1].hash if self._blocks else Digest(bytes(32))
        block_hash = keccak256(parent + number.to_bytes(8, "big") + repr(facts).encode())
        block = BlockFacts(number=number, hash=block_hash, parent_hash=parent, time_s=time_s, facts=facts)
        self._blocks.append(block)
        return block

    def _mine_on(self) -> None:
        facts: list[Fact] = []
        for digest, settle in sorted(self._to_settle.items()):
            if digest not in self.settled:
                self.settled[digest] = _settled_fact(digest, settle)
                facts.append(self.settled[digest])
        self._to_settle.clear()
        facts, self.to_say = [*facts, *self.to_say], []
        block = self._mine(tuple(facts), self.now_ms // 1000)
        for peer in self.peers:
            self._at(self._delay(), lambda peer=peer: self.feed(peer, BlockAdded(now_ms=self.now_ms, block=block)))
        self._at(1000, self._mine_on)

    def _tick(self, peer: Peer) -> None:
        self.feed(peer, Ticked(now_ms=self.now_ms))
        self._at(TICK_MS, lambda: self._tick(peer))

    def _delay(self) -> int:
        return self.random.randint(*self._delay_ms)

    def feed(self, peer: Peer, event: Event) -> None:
        """Give a kernel an event and carry out its actions."""
        if not peer.is_up:
            return
        for action in peer.kernel.step(event):
            fate = self.fate(peer, action)
            if fate is not Fate.DIES_BEFORE:
                if isinstance(action, Publish | SendTicketMessage):
                    self.said.append((peer, action))
                self._carry_out(peer, action)
            if fate is not Fate.LIVES:
                peer.is_up = False
                self._at(self.random.randint(*self.down_ms), lambda: self.restart(peer))
                return

    def _carry_out(self, peer: Peer, action: Action) -> None:
        if isinstance(action, PersistEntry):
            peer.disk.append(action)
        elif isinstance(action, PersistTrade):
            trade = action.trade
            peer.tickets.append(
                TicketItem(
                    ticket=trade.ticket,
                    taker_signature=trade.taker_signature,
                    maker_signature=trade.maker_signature,
                )
            )
        elif isinstance(action, Publish):
            self.gossip(peer, [verify_entry(DIGESTS, action.encoded)])
        elif isinstance(action, PublishPresences | PublishEvidence | PersistEvidence | CutFeed):
            self._carry_on(peer, action)
        elif isinstance(action, SendTicketMessage):
            self._send(peer, self.by_id[action.peer], action)
        elif isinstance(action, SyncWith):
            self._at(self._delay(), lambda: self.sync(peer, self.by_id[action.peer]))
        elif isinstance(action, Settle | SettleGroup):
            self._to_settle.update((leg.digest, leg) for leg in _legs_of(action))
        elif isinstance(action, AcceptRequest | RefuseRequest):
            self._answer(peer, action)
        elif isinstance(action, Note):
            peer.notes.append(action)

    def _answer(self, peer: Peer, action: AcceptRequest | RefuseRequest) -> None:
        """What the owner is told."""
        if isinstance(action, AcceptRequest):
            peer.accepted[action.request] = action.order_ids[0] if action.order_ids else None
            peer.cancelled[action.request] = action.order_ids
        else:
            peer.refused[action.request] = action

    def _carry_on(self, peer: Peer, action: PublishPresences | PublishEvidence | PersistEvidence | CutFeed) -> None:
        """Presence and evidence on their way, and feeds that are cut."""
        if isinstance(action, CutFeed):
            header = action.start.entry.entry.header
            peer.cuts[header.session] = action
            told = [(one, one.entry.entry.header) for one in peer.disk]
            peer.disk = [one for one, at in told if at.session != header.session or at.seq >= header.seq]
        elif isinstance(action, PublishPresences):
            heard = tuple((verify_presence(DIGESTS, encoded), encoded) for encoded in action.presences)
            self._tell_all(peer, lambda: PresencesHeard(now_ms=self.now_ms, presences=heard))
        elif isinstance(action, PublishEvidence):
            piece = verify_evidence(DIGESTS, {RULES.market_id: RULES}, action.encoded)
            if piece is not None:
                self._tell_all(peer, lambda: EvidenceHeard(now_ms=self.now_ms, pieces=(piece,)))
        else:
            peer.evidence.append(action.evidence)

    def _tell_all(self, source: Peer, make: Callable[[], Event]) -> None:
        """Each other peer hears it after its own delay, or not at all."""
        for other in self.peers:
            if other is not source and self.random.random() >= self._drop and self.deliver(source, other, make()):
                self._at(self._delay(), lambda other=other: self.feed(other, make()))

    def gossip(self, source: Peer, entries: Iterable[VerifiedEntry]) -> None:
        """Each other peer hears the entries after its own delay, or not at all."""
        for other in self.peers:
            if other is source or self.random.random() < self._drop:
                continue
            received = EntriesReceived(now_ms=0, market=RULES.market_id, entries=tuple(entries), source=source.peer_id)
            if self.deliver(source, other, received):
                self._at(self._delay(), lambda other=other, received=received: self._hear(other, received))

    def _hear(self, peer: Peer, event: EntriesReceived) -> None:
        self.feed(
            peer,
            EntriesReceived(now_ms=self.now_ms, market=event.market, entries=event.entries, source=event.source),
        )

    def _send(self, source: Peer, target: Peer, action: SendTicketMessage) -> None:
        message = decode_ticket_message(encode_ticket_message(action.message))
        self.log.append(f"{self.now_ms - GENESIS_MS} {type(message).__name__}")
        if self.deliver(source, target, message):
            self._at(
                self._delay(),
                lambda: self.feed(
                    target, TicketMessageReceived(now_ms=self.now_ms, peer=source.peer_id, message=message)
                ),
            )

    def sync(self, peer: Peer, other: Peer) -> None:
        """`peer` fetches all it misses from `other`, at once."""
        if not other.is_up:
            return
        missing = []
        heads = other.market.heads()
        for head in heads:
            feed, known = other.market.feeds.feed(head.session), peer.market.feeds.feed(head.session)
            start = known.next_seq if known is not None else 0
            if feed.start is not None and start < feed.first_seq:
                bodies = [body.encoded for body in feed.start.bodies]
                begun = verify_start(DIGESTS, verify_entry(DIGESTS, feed.start.entry.encoded), bodies)
                self.feed(
                    peer,
                    StartReceived(now_ms=self.now_ms, market=RULES.market_id, start=begun, source=other.peer_id),
                )
            missing.extend(feed.run(min(start, head.next_seq - 1) if feed.is_dead else start, head.next_seq))
        self._hear(
            peer,
            EntriesReceived(now_ms=0, market=RULES.market_id, entries=tuple(missing), source=other.peer_id),
        )
        self.feed(
            peer,
            SyncRoundEnded(now_ms=self.now_ms, peer=other.peer_id, market=RULES.market_id, heads=heads),
        )

    def sync_all(self) -> None:
        """Everybody fetches from everybody."""
        for peer in self.peers:
            for other in self.peers:
                if other is not peer:
                    self.sync(peer, other)

    def place(
        self, peer: Peer, side: Side, price: int, lots: int, tif: TimeInForce = TimeInForce.GTC, **terms: object
    ) -> int:
        """Ask a peer to place an order; returns the request number."""
        return self.ask(peer, OrderRequested, side=side, price_ticks=price, quantity_lots=lots, tif=tif, **terms)

    def cancel(self, peer: Peer, order_id: OrderId) -> int:
        """Ask a peer to cancel an order; returns the request number."""
        return self.ask(peer, CancelRequested, order_id=order_id)

    def modify(self, peer: Peer, order_id: OrderId, **changes: int) -> int:
        """Ask a peer to replace an order; returns the request number."""
        return self.ask(peer, ModifyRequested, order_id=order_id, **changes)

    def cancel_all(self, peer: Peer) -> int:
        """Ask a peer to cancel all its orders; returns the request number."""
        return self.ask(peer, CancelAllRequested)

    def ask(self, peer: Peer, kind: type, **what: object) -> int:
        """Give a peer an owner's request; returns its number."""
        self._request += 1
        self.feed(peer, kind(now_ms=self.now_ms, request=self._request, market=RULES.market_id, **what))
        return self._request

    def restart(self, peer: Peer) -> None:
        """kill -9 and start again from what was on disk, blocks included."""
        old_disk = peer.disk
        peer.kernel = Kernel(DOMAIN, [peer.rules], peer.identity)
        peer.is_up = True
        for block in self._blocks:
            peer.kernel.step(BlockAdded(now_ms=self.now_ms, block=block, is_stored=True))
        cuts = tuple(peer.cuts[session] for session in sorted(peer.cuts))
        self.feed(peer, StartsLoaded(now_ms=self.now_ms, market=RULES.market_id, cuts=cuts))
        loaded = EntriesLoaded(
            now_ms=self.now_ms,
            market=RULES.market_id,
            entries=tuple((record.entry, record.effective) for record in old_disk),
        )
        self.feed(peer, loaded)
        self.feed(peer, TicketsLoaded(now_ms=self.now_ms, market=RULES.market_id, tickets=tuple(peer.tickets)))
        self.feed(peer, EvidenceHeard(now_ms=self.now_ms, pieces=tuple(peer.evidence), is_stored=True))
        for other in self.peers:
            if other is not peer:
                self.sync(peer, other)

    def digests(self) -> list[bytes]:
        """Every peer's book digest at one epoch and block that all of them know."""
        epoch = min(peer.market.windows.current.epoch for peer in self.peers)
        block = self.peers[0].market.windows.fund_block(epoch)
        return [
            compute_book(peer.market.feeds, peer.kernel.ledger, Epoch(epoch), block).digest() for peer in self.peers
        ]


def _legs_of(action: Settle | SettleGroup) -> tuple[Settle, ...]:
    return action.legs if isinstance(action, SettleGroup) else (action,)


def _settled_fact(digest: TicketDigest, settle: Settle) -> TradeSettled:
    ticket, maker, taker = settle.trade.ticket, settle.trade.maker.order, settle.trade.taker.order
    return TradeSettled(
        ticket=digest,
        market=RULES.market_id,
        maker_order=ticket.maker_order,
        taker_order=ticket.taker_order,
        maker_owner=maker.owner,
        taker_owner=taker.owner,
        is_maker_buyer=maker.side is Side.BUY,
        price_ticks=ticket.price_ticks,
        maker_from=ticket.maker_from,
        maker_to=ticket.maker_to,
        taker_from=ticket.taker_from,
        taker_to=ticket.taker_to,
        security=ticket.security,
    )
