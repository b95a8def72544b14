"""Checkpoints: what a feed alone implies where one stands, where a false one ends its feed, and which one is its base.

Spec: protocol/spec/02-feeds.md [FEED-13..16].
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from protocol.reference.cbor import encode
from protocol.reference.feeds import CHECKPOINT, OFFER, ORDER, TICKET, Entry, Feed, base_of
from protocol.reference.holds import holds_of_offer, holds_of_ticket_item, ticket_from
from protocol.reference.orders import Placed, has_ended, order_from, orders_of
from protocol.reference.signing import digest, keccak, market_id
from protocol.reference.types import FOK, IOC, Address, Clock, Digest, Domain, Market, epoch_start_s

HASHES_MAX = 256
CHECKPOINTS_IN_AGE = 64  # at most, in the time after which one can be a base


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a feed implies, of itself alone, at one place: its items, in the order of their hashes."""

    next_nonce: int
    delegation: list[Any]
    live_orders: tuple[list[Any], ...]
    ended_orders: tuple[list[Any], ...]
    offers: tuple[list[Any], ...]
    tickets: tuple[list[Any], ...]

    @property
    def item(self) -> list[Any]:
        """The item that says so."""
        lists = [[hash_of(item) for item in part] for part in self.parts]
        return [CHECKPOINT, self.next_nonce, hash_of(self.delegation), *lists]

    @property
    def parts(self) -> tuple[tuple[list[Any], ...], ...]:
        """The four lists."""
        return self.live_orders, self.ended_orders, self.offers, self.tickets

    @property
    def bodies(self) -> list[list[Any]]:
        """What stands behind the hashes, the Delegation first."""
        return [self.delegation, *(item for part in self.parts for item in part)]


def hash_of(item: list[Any]) -> Digest:
    """What a Checkpoint says for an item."""
    return keccak(encode(item))


def true_feeds(domain: Domain, clock: Clock, market: Market, feeds: Iterable[Feed]) -> list[Feed]:
    """The feeds of a market as their Checkpoints leave them. Spec: [FEED-14]."""
    this_market = market_id(domain, market)
    return [end_at_false_checkpoint(domain, clock, market, feed) for feed in feeds if feed.market == this_market]


def end_at_false_checkpoint(domain: Domain, clock: Clock, market: Market, feed: Feed) -> Feed:
    """A feed as its Checkpoints leave it: the first false one that stands kills the session. Spec: [FEED-14]."""
    for number, entry in enumerate(feed.standing):
        if has_false_checkpoint(domain, clock, market, feed, number):
            return replace(feed, standing=feed.standing[:number], forked_seq=entry.seq)
    return feed


def checkpoint_place(entry: Entry) -> list[int]:
    """Where the Checkpoints of an entry stand; what a base lists has none."""
    return [index for index, item in enumerate(entry.items) if item[0] == CHECKPOINT]


def has_false_checkpoint(domain: Domain, clock: Clock, market: Market, feed: Feed, number: int) -> bool:
    """Say whether a standing entry has a Checkpoint out of place, or one that lists anything else than is so."""
    entry = feed.standing[number]
    places = checkpoint_place(entry)
    if not places:
        return False
    if places != [len(entry.items) - 1] or any(earlier.epoch == entry.epoch for earlier in feed.standing[:number]):
        return True
    if any(comes_too_soon(clock, earlier, entry) for earlier in feed.standing[:number]):
        return True
    so = implied_before(domain, clock, market, feed, number)
    return so is None or so.item != entry.items[-1]


def comes_too_soon(clock: Clock, earlier: Entry, entry: Entry) -> bool:
    """Say whether an earlier entry ends with a Checkpoint, and too few epochs before this one to have another."""
    if earlier.listing is None and not checkpoint_place(earlier):
        return False
    constants = clock.constants
    apart_ms = (entry.epoch - earlier.epoch) * constants.epoch_ms
    return CHECKPOINTS_IN_AGE * apart_ms < 1000 * constants.checkpoint_age_s


def implied_before(domain: Domain, clock: Clock, market: Market, feed: Feed, number: int) -> Checkpoint | None:
    """The Checkpoint that a standing entry may end with, after its other items. Spec: [FEED-13]."""
    entry = feed.standing[number]
    others = tuple(item for item in entry.items if item[0] != CHECKPOINT)
    before = since_last_checkpoint(domain, clock, market, feed, number)
    return implied(domain, clock, market, replace(feed, standing=(*before, replace(entry, items=others))))


def since_last_checkpoint(domain: Domain, clock: Clock, market: Market, feed: Feed, number: int) -> tuple[Entry, ...]:
    """What a feed says before a standing entry: what the last Checkpoint lists, and the entries after it."""
    for earlier in range(number - 1, -1, -1):
        if checkpoint_place(feed.standing[earlier]):
            return (base_at(domain, clock, market, feed, earlier), *feed.standing[earlier + 1 : number])
    return feed.standing[:number]


def base_at(domain: Domain, clock: Clock, market: Market, feed: Feed, number: int) -> Entry:
    """A standing entry with a true Checkpoint, as a base. Spec: [FEED-15]."""
    entry = feed.standing[number]
    if entry.listing is not None:
        return entry
    so = implied_before(domain, clock, market, feed, number)
    assert so is not None, "a true Checkpoint lists something that is so"
    return base_of(entry, so.bodies)


def feeds_at(domain: Domain, clock: Clock, market: Market, feeds: Iterable[Feed], epoch: int) -> list[Feed]:
    """What feeds say at an epoch: living ones from their base on. Spec: [FEED-15]."""
    return [feed if feed.is_dead else from_its_base(domain, clock, market, feed, epoch) for feed in feeds]


def from_its_base(domain: Domain, clock: Clock, market: Market, feed: Feed, epoch: int) -> Feed:
    """A living feed from its last Checkpoint on that is old enough; the whole of it if none is. Spec: [FEED-15]."""
    for number in range(len(feed.standing) - 1, -1, -1):
        entry = feed.standing[number]
        is_checkpoint = entry.listing is not None or checkpoint_place(entry) != []
        if is_checkpoint and may_be_base(clock, entry, epoch):
            base = base_at(domain, clock, market, feed, number)
            return replace(feed, standing=(base, *feed.standing[number + 1 :]))
    return feed


def may_be_base(clock: Clock, entry: Entry, epoch: int) -> bool:
    """Say whether a Checkpoint is as old at an epoch as a base must be. Spec: [FEED-15], [FEED-16]."""
    age_s = epoch_start_s(clock, epoch) - epoch_start_s(clock, entry.epoch)
    return age_s >= clock.constants.checkpoint_age_s


def base_epochs(feeds: Iterable[Feed]) -> dict[Address, int]:
    """The highest epoch that a base of an owner's living feeds claims. Spec: [FUND-8]."""
    epochs: dict[Address, int] = {}
    for feed in feeds:
        first = feed.standing[0] if feed.standing and not feed.is_dead else None
        if first is not None and first.listing is not None:
            epochs[first.owner] = max(first.epoch, epochs.get(first.owner, 0))
    return epochs


def placed_anew(orders: Iterable[Placed], bases: Mapping[Address, int]) -> dict[Digest, Placed]:
    """Orders by id, each placed no earlier than its owner's newest base. Spec: [FUND-8]."""
    return {
        order.order_id: replace(order, placed_epoch=max(order.claimed_epoch, bases.get(order.order.owner, 0)))
        for order in orders
    }


def implied(domain: Domain, clock: Clock, market: Market, feed: Feed) -> Checkpoint | None:
    """What a feed implies, of itself alone, after its last item and at its last claimed epoch. Spec: [FEED-13].

    None where no Checkpoint would be true.
    """
    epoch = feed.standing[-1].epoch
    orders = {
        order.order_id: order for order in orders_of(domain, clock, market, replace(feed, forked_seq=None), epoch)
    }
    live = [order for order in orders.values() if is_listed(clock, order, epoch)]
    offers = items_that_count(domain, clock, feed.standing, orders, OFFER)
    tickets = items_that_count(domain, clock, feed.standing, orders, TICKET)
    named = {ticket_from(item[1]).taker_order for item in offers} | {
        ticket_from(item[1]).maker_order for item in tickets
    }
    ended = [orders[order_id] for order_id in named if orders[order_id] not in live]
    first = feed.standing[0]
    so = Checkpoint(
        next_nonce=next_nonce(feed.standing),
        delegation=first.items[0] if first.listing is None else first.listing.delegation,
        live_orders=by_hash(item_of(feed.standing, order) for order in live),
        ended_orders=by_hash(item_of(feed.standing, order) for order in ended),
        offers=by_hash(offers),
        tickets=by_hash(tickets),
    )
    is_too_much = sum(map(len, so.parts)) > HASHES_MAX or so.next_nonce >= 2**64
    return None if is_too_much else so


def is_listed(clock: Clock, order: Placed, epoch: int) -> bool:
    """Say whether a Checkpoint lists an order as live. Spec: [FEED-13]."""
    is_over = order.is_void or order.is_cancelled or has_ended(clock, order, epoch)
    return not is_over and order.order.tif not in (IOC, FOK)


def next_nonce(standing: Sequence[Entry]) -> int:
    """One more than the highest nonce of a feed's Order items so far; 0 without any."""
    said = [order_from(item[1]).nonce + 1 for entry in standing for item in entry.items if item[0] == ORDER]
    return max([0, *said, *(entry.listing.next_nonce for entry in standing if entry.listing is not None)])


def item_of(standing: Sequence[Entry], order: Placed) -> list[Any]:
    """The Order item that an order comes from."""
    return next(entry.items[order.place[1]] for entry in standing if entry.seq == order.place[0])


def by_hash(items: Iterable[list[Any]]) -> tuple[list[Any], ...]:
    """Items in the order of their hashes."""
    return tuple(sorted(items, key=hash_of))


def items_that_count(
    domain: Domain, clock: Clock, standing: Sequence[Entry], orders: dict[Digest, Placed], tag: int
) -> list[list[Any]]:
    """The first Offer or TicketItem of each ticket that counts and is not over. Spec: [FEED-13]."""
    since_s = epoch_start_s(clock, standing[-1].epoch) - clock.constants.l_fund
    found: dict[Digest, list[Any]] = {}
    for entry in standing:
        for index, item in enumerate(entry.items):
            if item[0] == tag and does_count(domain, clock, entry, index, orders):
                ticket = ticket_from(item[1])
                if ticket.deadline >= since_s:
                    found.setdefault(digest(domain, "Ticket", ticket), item)
    return list(found.values())


def does_count(domain: Domain, clock: Clock, entry: Entry, index: int, orders: dict[Digest, Placed]) -> bool:
    """Say whether an Offer or a TicketItem of a living feed counts. Spec: [HOLD-1], [HOLD-2]."""
    if entry.items[index][0] == OFFER:
        return holds_of_offer(domain, clock, entry, index, orders) != []
    return holds_of_ticket_item(domain, clock, entry, index, orders, is_session_dead=False) != []
