"""What sessions have signed, from stores alone, and whether any of it contradicts itself."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from orrange_p2p.config import STORE_NAME, NetworkConfig
from orrange_p2p.core.codec import decode_entry
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.messages import Offer, OrderItem, TicketItem
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import Address, EntryHash, OrderId, Ticket, TicketDigest
from orrange_p2p.store.interface import EntryRecord
from orrange_p2p.store.lmdb_store import LmdbStore

Feeds = dict[Address, list[EntryRecord]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Lots of one own order that a session has bound by an Offer or a Ticket."""

    order: OrderId
    lots: tuple[int, int]
    digest: TicketDigest
    ticket: Ticket


def read_feeds(directory: Path, rules: MarketRules) -> Feeds:
    """The feeds of one market in the store of a peer that is not running."""
    feeds: Feeds = defaultdict(list)
    with LmdbStore.open(directory / STORE_NAME, create=False) as store:
        for record in store.entries(rules.market_id):
            feeds[record.session].append(record)
    return feeds


def hashes(feed: Sequence[EntryRecord]) -> list[EntryHash]:
    return [record.entry_hash for record in feed]


def forks(feeds: Feeds) -> list[tuple[Address, int]]:
    """Where a feed has two entries under one number, or one that does not follow the entry before it."""
    found = []
    for session, feed in feeds.items():
        for seq, record in enumerate(feed):
            header = decode_entry(record.encoded).header
            follows = seq == 0 or header.prev_hash == feed[seq - 1].entry_hash
            if record.seq != seq or header.seq != seq or not follows:
                found.append((session, seq))
    return found


def order_ids(feed: Sequence[EntryRecord], digests: Digests) -> list[OrderId]:
    items = [item for record in feed for item in decode_entry(record.encoded).items]
    return [digests.order(item.signed.order) for item in items if isinstance(item, OrderItem)]


def holds_of(feed: Sequence[EntryRecord], digests: Digests) -> list[Held]:
    """What a session has bound: as taker by its Offers, as maker by its Tickets."""
    found = []
    for record in feed:
        for item in decode_entry(record.encoded).items:
            if isinstance(item, Offer | TicketItem):
                ticket, digest = item.ticket, digests.ticket(item.ticket)
                if isinstance(item, Offer):
                    order, lots = ticket.taker_order, (ticket.taker_from, ticket.taker_to)
                else:
                    order, lots = ticket.maker_order, (ticket.maker_from, ticket.maker_to)
                found.append(Held(order=order, lots=lots, digest=digest, ticket=ticket))
    return found


def contradictions(holds: Sequence[Held], rules: MarketRules) -> list[tuple[Held, Held]]:
    """Pairs of one session that prove over-signing: overlapping lots of one order at overlapping times, or one nonce
    of the taker for two tickets."""
    found = []
    for one, other in combinations(holds, 2):
        if one.digest == other.digest or one.order != other.order:
            continue
        shares_lots = one.lots[0] < other.lots[1] and other.lots[0] < one.lots[1]
        spans = [(rules.epoch_start_s(held.ticket.epoch), held.ticket.deadline_s) for held in (one, other)]
        shares_time = spans[0][0] <= spans[1][1] and spans[1][0] <= spans[0][1]
        if shares_lots and shares_time:
            found.append((one, other))
    return found


def repeated_nonces(feed: Sequence[EntryRecord], digests: Digests) -> list[int]:
    """Ticket nonces that a session, as taker, has given to two tickets."""
    by_nonce: dict[int, set[TicketDigest]] = defaultdict(set)
    for record in feed:
        for item in decode_entry(record.encoded).items:
            if isinstance(item, Offer):
                by_nonce[item.ticket.ticket_nonce].add(digests.ticket(item.ticket))
    return [nonce for nonce, tickets in by_nonce.items() if len(tickets) > 1]


def digests_of(network: NetworkConfig) -> Digests:
    return Digests(network.domain())


def trade_digests(directory: Path) -> set[TicketDigest]:
    """Tickets, signed by both, that a stopped peer keeps as its own trades."""
    with LmdbStore.open(directory / STORE_NAME, create=False) as store:
        return {trade.ticket for trade in store.trades()}
