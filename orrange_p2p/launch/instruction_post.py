"""Payment instructions between the parties of tickets: opened, kept and answered as buyer, delivered as seller.

It runs beside the node, whose network and store it shares; what is decided is decided in `core.instructions`. No text
of instructions is ever in a log, a statistic or an error.

Spec: protocol/spec/08-peers.md [DM-1..3].
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import structlog
import trio

from orrange_p2p.core.direct_frames import decode_boxed, encode_boxed
from orrange_p2p.core.instructions import InstructionBook, InstructionRecord, Parties, Party
from orrange_p2p.core.kernel import Kernel
from orrange_p2p.core.messages import Instructions, Receipt
from orrange_p2p.core.types import Address, PeerId, TicketDigest
from orrange_p2p.core.verdicts import Ignore, Reject
from orrange_p2p.errors import LocalProtocolError, NetworkError, OrderError, RemoteProtocolError
from orrange_p2p.keys.boxes import BoxKey
from orrange_p2p.launch.build import node_keys
from orrange_p2p.net.addresses import multiaddr_text, parse_address
from orrange_p2p.net.direct_streams import DirectStreams
from orrange_p2p.net.network import Network
from orrange_p2p.node import NodeParts
from orrange_p2p.store.instructions import Way, instruction_mark, load_instructions
from orrange_p2p.store.interface import Store, StoreBatch

LOOK_S = 0.5
RETRY_S = 10.0
MAX_DELIVERIES = 8

FindParties = Callable[[TicketDigest], Parties | None]
"""The parties of a complete ticket of kind 1 of this node's own; None of any other."""
FindAddresses = Callable[[Address], tuple[bytes, ...]]
"""Where a session's Presence says that it can be reached, as multiaddrs; nothing if it was not heard of."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostParts:
    """What the post shares with its node."""

    network: Network
    store: Store
    session: Address
    box_key: BoxKey
    clock_ms: Callable[[], int]
    find_parties: FindParties
    find_addresses: FindAddresses


def post_parts(node: NodeParts, kernel: Kernel, find_parties: FindParties) -> PostParts:
    """What the post shares with a node of these parts; the key that opens boxes is the peer key's."""

    def find_addresses(session: Address) -> tuple[bytes, ...]:
        presence = kernel.presences.presence(session)
        return presence.addresses if presence is not None else ()

    return PostParts(
        network=node.network,
        store=node.store,
        session=node.identity.session,
        box_key=node_keys(node.store).peer.box_key(),
        clock_ms=node.clock_ms,
        find_parties=find_parties,
        find_addresses=find_addresses,
    )


class InstructionPost:
    """Takes and delivers instructions of one node's tickets. Make it before the network runs, then `run` it."""

    def __init__(self, parts: PostParts, *, retry_s: float = RETRY_S, look_s: float = LOOK_S) -> None:
        """Take back what the store has.

        Args:
            parts: what it shares with its node.
            retry_s: between two tries with a peer that stays connected.
            look_s: between two looks at who is connected.

        Raises:
            StoreError: a record is damaged.
        """
        self._parts = parts
        self._retry_s, self._look_s = retry_s, look_s
        self.book = InstructionBook(parts.session)
        load_instructions(parts.store, self.book)
        self._streams = DirectStreams(parts.network, self._take)
        self._counters: Counter[str] = Counter()
        self._changing = trio.Lock()
        self._tried_s: dict[PeerId, tuple[float, bool]] = {}
        self._busy: dict[PeerId, None] = {}

    def statistics(self) -> Mapping[str, object]:
        """Counters since the start: what was taken, ignored and rejected by rule, delivered, and the streams' own."""
        return {**self._counters, **asdict(self._streams.statistics())}

    def now_ms(self) -> int:
        """The time that records are marked with."""
        return self._parts.clock_ms()

    def role(self, ticket: TicketDigest) -> Way | None:
        """Whether this node would write a ticket's instructions or receive them; None if neither."""
        parties = self._parts.find_parties(ticket)
        if parties is None:
            return None
        return "written" if parties.seller.session == self._parts.session else "received"

    # As seller

    async def instruct(self, ticket: TicketDigest, text: str) -> InstructionRecord:
        """Write instructions; they are on disk when this returns, and delivered as soon as the buyer's node is there.

        Raises:
            OrderError: not a ticket to write for, or no such text.
            StoreError: the store failed.
        """
        parties = self._parts.find_parties(ticket)
        async with self._changing:
            record = self.book.write(parties, ticket, text, self._parts.clock_ms())
            if record is not self.book.written(ticket):
                self._seal(record, parties)
                await self._keep(record, "written")
        if parties is not None:
            self._tried_s.pop(parties.buyer.peer, None)
        return record

    def _seal(self, record: InstructionRecord, parties: Parties | None) -> Instructions | None:
        """Spec: [DM-1]."""
        if parties is None:
            return None
        plain = encode_boxed(record.ticket, record.version, record.text)
        try:
            box = self._parts.box_key.seal(parties.buyer.encryption_key, plain)
        except LocalProtocolError as error:
            name = f"0x{record.ticket.hex()}"
            message = "ticket: expected a buyer with an encryption key that can be sealed to, was one without"
            raise OrderError("ticket", name, error.rule, message) from error
        return Instructions(ticket_digest=record.ticket, version=record.version, box=box)

    async def run(self) -> None:
        """Deliver what is due, when its buyer's peer is connected and every so often after that, until cancelled.

        Raises:
            StoreError: the store failed.
        """
        limit = trio.CapacityLimiter(MAX_DELIVERIES)
        async with trio.open_nursery() as nursery:
            while True:
                for party, records in self._due().items():
                    self._tried_s[party.peer] = trio.current_time(), self._parts.network.is_connected(party.peer)
                    self._busy[party.peer] = None
                    nursery.start_soon(self._deliver_all, limit, party, records)
                await trio.sleep(self._look_s)

    def _due(self) -> dict[Party, list[InstructionRecord]]:
        """What is to be tried now, by buyer."""
        found: dict[Party, list[InstructionRecord]] = {}
        records = self.book.due(self._parts.clock_ms())
        parties = [(record, self._parts.find_parties(record.ticket)) for record in records]
        buyers = {known.buyer.peer for _, known in parties if known is not None}
        self._tried_s = {peer: tried for peer, tried in self._tried_s.items() if peer in buyers}
        for record, known in parties:
            if known is not None and self._may_try(known.buyer.peer):
                found.setdefault(known.buyer, []).append(record)
        return found

    def _may_try(self, peer: PeerId) -> bool:
        """Not while it is being tried, nor soon after, unless the peer came since."""
        if peer in self._busy:
            return False
        tried_s, was_connected = self._tried_s.get(peer, (-self._retry_s, False))
        has_come = self._parts.network.is_connected(peer) and not was_connected
        return has_come or trio.current_time() - tried_s >= self._retry_s

    async def _deliver_all(self, limit: trio.CapacityLimiter, party: Party, records: list[InstructionRecord]) -> None:
        """All that waits for one peer; the rest is tried later once one fails."""
        try:
            async with limit:
                await self._reach(party)
                for record in records:
                    await self._deliver(party.peer, record)
        except NetworkError as error:
            self._counters["undelivered"] += 1
            _log.debug("instructions not delivered", peer=party.peer.hex(), error=str(error))
        except RemoteProtocolError as error:
            self._counters[f"rejected_{error.rule}"] += 1
            self._parts.network.report(party.peer, error.rule)
        finally:
            del self._busy[party.peer]

    async def _reach(self, party: Party) -> None:
        """Connect to a buyer's peer where its Presence says that it is, if it is not connected.

        Raises:
            NetworkError: it is at none of these addresses.
        """
        network = self._parts.network
        if network.is_connected(party.peer):
            return
        for encoded in self._parts.find_addresses(party.session):
            address = multiaddr_text(encoded)
            if address is None or parse_address(address)[1] != party.peer:
                continue
            try:
                await network.connect(address)
            except NetworkError as error:
                _log.debug("buyer not reached", address=address, error=str(error))
            else:
                return
        raise NetworkError("expected the buyer's peer to be connected or at an address of its Presence, was neither")

    async def _deliver(self, peer: PeerId, record: InstructionRecord) -> None:
        message = self._seal(record, self._parts.find_parties(record.ticket))
        if message is None:
            return
        receipt = await self._streams.deliver(peer, message)
        if receipt is None:
            self._counters["unanswered"] += 1
            return
        async with self._changing:
            confirmed = self.book.confirm(record, receipt)
            if confirmed is not None:
                await self._keep(confirmed, "written")
                self._counters["delivered"] += 1

    # As buyer

    async def _take(self, peer: PeerId, message: Instructions) -> Receipt | None:
        """Spec: [DM-2], [DM-3]."""
        try:
            async with self._changing:
                return await self._judge_and_keep(peer, message)
        except RemoteProtocolError as error:
            self._counters[f"rejected_{error.rule}"] += 1
            raise

    async def _judge_and_keep(self, peer: PeerId, message: Instructions) -> Receipt | None:
        ticket, version = message.ticket_digest, message.version
        parties = self._parts.find_parties(ticket)
        verdict = self.book.judge(parties, peer)
        if isinstance(verdict, Reject):
            raise RemoteProtocolError(verdict.rule, "expected Instructions of the seller's peer for the buyer's")
        if isinstance(verdict, Ignore) or parties is None:
            self._counters["ignored_DM-2"] += 1
            return None
        plain = self._parts.box_key.open_box(parties.seller.encryption_key, message.box)
        record = self.book.take(ticket, version, decode_boxed(plain, ticket, version), self._parts.clock_ms())
        if record is not None:
            await self._keep(record, "received")
        self._counters["taken" if record is not None else "again"] += 1
        held = self.book.received(ticket)
        return Receipt(ticket_digest=ticket, version=held.version if held is not None else version)

    async def _keep(self, record: InstructionRecord, way: Way) -> None:
        """On disk first, then in the book. Spec: [DM-3]."""
        await self._parts.store.commit_async(StoreBatch(marks=(instruction_mark(record, way),)))
        if way == "written":
            self.book.keep_written(record)
        else:
            self.book.keep_received(record)
