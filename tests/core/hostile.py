"""What attackers do in tests: entries behind a kernel's back, exchanges taken over half way."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from orrange_p2p.core.codec import compute_items_root, encode_entry, encode_item
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.events import EntriesReceived, SendTicketMessage, SyncRoundEnded, TicketMessageReceived
from orrange_p2p.core.feed import Feed
from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.messages import (
    Cancel,
    Checkpoint,
    DeclineFrame,
    Entry,
    EntryHeader,
    Head,
    Item,
    Offer,
    OfferFrame,
    OrderItem,
    Prepare,
    Ready,
    TicketFrame,
    TicketItem,
    TicketMessage,
    View,
)
from orrange_p2p.core.outbox import Outbox
from orrange_p2p.core.types import (
    ZERO_DIGEST,
    Digest,
    Epoch,
    Order,
    OrderId,
    OrderKind,
    Side,
    SignedOrder,
    TicketDigest,
    TimeInForce,
)
from orrange_p2p.core.verify import VerifiedEntry, verify_entry
from tests.core.kernel_world import DIGESTS, RULES, Peer, World

FRAMES = Prepare | View | Ready | OfferFrame | TicketFrame | DeclineFrame


def write_entry(
    peer: Peer, items: Sequence[Item], *, seq: int, prev_hash: Digest, epoch: int, digests: Digests = DIGESTS
) -> VerifiedEntry:
    """Any entry that a session can sign; it opens with a Delegation at seq 0."""
    if seq == 0:
        items = [Outbox(RULES, digests, peer.identity)._delegation(), *items]
    item_bytes = tuple(encode_item(item) for item in items)
    header = EntryHeader(
        session=peer.identity.session,
        owner=peer.identity.owner,
        market=RULES.market_id,
        seq=seq,
        prev_hash=prev_hash,
        epoch=Epoch(epoch),
        items_root=compute_items_root(item_bytes),
    )
    entry = Entry(
        header=header,
        signature=peer.session_key.sign(Digest(digests.entry(header))),
        item_bytes=item_bytes,
        items=tuple(items),
    )
    return verify_entry(digests, encode_entry(entry))


def next_entry(peer: Peer, feed: Feed | None, items: Sequence[Item], epoch: int) -> VerifiedEntry:
    """The entry that follows what a feed holds."""
    entries = feed.entries if feed is not None else []
    prev_hash = Digest(entries[-1].entry_hash) if entries else ZERO_DIGEST
    return write_entry(peer, items, seq=feed.next_seq if feed is not None else 0, prev_hash=prev_hash, epoch=epoch)


def idle(number: int) -> Cancel:
    """A Cancel that cancels nothing."""
    return Cancel(order_id=OrderId(number.to_bytes(32, "big")))


def signed_order(peer: Peer, side: Side, price_ticks: int, lots: int, nonce: int) -> OrderItem:
    """A GTC order that a session signs."""
    order = Order(
        market=RULES.market_id,
        owner=peer.identity.owner,
        session=peer.identity.session,
        nonce=nonce,
        side=side,
        kind=OrderKind.LIMIT,
        price_ticks=price_ticks,
        quantity_lots=lots,
        tif=TimeInForce.GTC,
        expiry_s=0,
    )
    return OrderItem(signed=SignedOrder(order=order, signature=peer.session_key.sign(Digest(DIGESTS.order(order)))))


def true_checkpoint(feed: Feed, epoch: int) -> Checkpoint:
    """What a feed implies after all that it holds, for its next entry. Spec: [FEED-13]."""
    feeds = Feeds(RULES)
    for entry in feed.entries:
        feeds.add(entry)
    said = feeds.next_checkpoint(feed.entries[0].entry.header.session, Epoch(epoch))
    assert said is not None
    return said


def false_checkpoints(feed: Feed, epoch: int) -> dict[str, Checkpoint]:
    """Every kind of lie that a Checkpoint after a feed's last entry can tell. Spec: [FEED-14]."""
    so = true_checkpoint(feed, epoch)
    body, offer, ticket = _unknown(3)
    return {
        "lists a dead order": replace(so, live_orders=tuple(sorted((*so.live_orders, body)))),
        "omits a live order": replace(so, live_orders=so.live_orders[1:]),
        "an ended order without a ticket": replace(so, ended_orders=(body,)),
        "another next nonce": replace(so, next_nonce=so.next_nonce + 1),
        "another delegation": replace(so, delegation=body),
        "an offer that is not there": replace(so, offers=tuple(sorted((*so.offers, offer)))),
        "a ticket that is not there": replace(so, tickets=tuple(sorted((*so.tickets, ticket)))),
    }


def _unknown(count: int) -> list[Digest]:
    return [Digest(number.to_bytes(32, "big")) for number in range(1, 1 + count)]


def hear(world: World, target: Peer, source: Peer, entries: Iterable[VerifiedEntry]) -> None:
    """A kernel gets entries from a peer."""
    event = EntriesReceived(now_ms=world.now_ms, market=RULES.market_id, entries=tuple(entries), source=source.peer_id)
    world.feed(target, event)


def end_round(world: World, target: Peer, source: Peer, heads: Sequence[Head]) -> None:
    """A round of sync ends with these heads."""
    world.feed(
        target,
        SyncRoundEnded(now_ms=world.now_ms, peer=source.peer_id, market=RULES.market_id, heads=tuple(heads)),
    )


def say(world: World, source: Peer, target: Peer, message: TicketMessage) -> list[TicketMessage]:
    """Hand a frame to a kernel as if `source` had sent it; returns what it answers `source` at once."""
    event = TicketMessageReceived(now_ms=world.now_ms, peer=source.peer_id, message=message)
    actions = target.kernel.step(event)
    for action in actions:
        if not isinstance(action, SendTicketMessage):
            world._carry_out(target, action)
    return [one.message for one in actions if isinstance(one, SendTicketMessage) and one.peer == source.peer_id]


class Trap:
    """A maker with an ask of 5 at 100, a taker with a bid of 3 at 101, and every frame between peers caught."""

    def __init__(self, peers: int = 3, seed: int = 11) -> None:
        self.world = World(peers, seed=seed)
        self.maker, self.taker = self.world.peers[:2]
        self.caught: list[TicketMessage] = []
        self.world.place(self.maker, Side.SELL, 100, 5)
        self.world.run_ms(3000)
        self.world.deliver = self._catch
        self.world.place(self.taker, Side.BUY, 101, 3)
        self.world.run_ms(1900)

    def _catch(self, source: Peer, target: Peer, message: object) -> bool:
        if isinstance(message, FRAMES):
            self.caught.append(message)
            return False
        return True

    def prepare(self) -> Prepare:
        """The taker's last Prepare."""
        return [message for message in self.caught if isinstance(message, Prepare)][-1]

    def say(self, source: Peer, target: Peer, message: TicketMessage) -> list[TicketMessage]:
        """See `say`."""
        return say(self.world, source, target, message)

    def offer(self, prepare: Prepare) -> Offer:
        """The Offer that answers the maker's Ready to a Prepare; nobody has seen it."""
        (ready,) = self.say(self.taker, self.maker, prepare)
        assert isinstance(ready, Ready), ready
        return Offer(
            ticket=prepare.ticket,
            taker_signature=self.taker.session_key.sign(Digest(ready.ticket_digest)),
            ready_epoch=ready.ready_epoch,
            ready_signature=ready.ready_signature,
        )


def tickets_of(peer: Peer) -> list[TicketItem]:
    """TicketItems that a peer has said, or is about to say, in its feed."""
    feed = peer.market.feeds.feed(peer.identity.session)
    said = [item for entry in feed.entries for item in entry.entry.items] if feed is not None else []
    items = [*said, *peer.market.desk.outbox.waiting_items()]
    return [item for item in items if isinstance(item, TicketItem)]


def renumbered(prepare: Prepare, *, exchange: int, **changes: object) -> Prepare:
    """A Prepare of the same window for a changed ticket."""
    return replace(prepare, exchange=exchange, ticket=replace(prepare.ticket, **changes))


def ticket_digest(prepare: Prepare) -> TicketDigest:
    """What both sides of a Prepare would sign."""
    return DIGESTS.ticket(prepare.ticket)
