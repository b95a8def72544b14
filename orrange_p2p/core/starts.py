"""Where a feed may begin: a Checkpoint and the bodies of what it lists.

Spec: protocol/spec/02-feeds.md [FEED-15], [FEED-16].
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orrange_p2p.core.codec import decode_item
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.messages import Checkpoint
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import Digest, Epoch
from orrange_p2p.core.verify import (
    VerifiedDelegation,
    VerifiedEntry,
    VerifiedItem,
    VerifiedOffer,
    VerifiedOrder,
    VerifiedTicket,
    verify_item,
)
from orrange_p2p.errors import InternalError, RemoteProtocolError


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """An item that a Checkpoint lists, or may list: its bytes, and what they say."""

    encoded: bytes
    item: VerifiedItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A Checkpoint's entry, and the bodies of its hashes in their order, the Delegation first. Spec: [FEED-16]."""

    entry: VerifiedEntry
    bodies: tuple[Body, ...]

    @property
    def checkpoint(self) -> Checkpoint:
        """What the entry ends with."""
        return checkpoint_of(self.entry)

    @property
    def size_bytes(self) -> int:
        """Encoded size of the bodies."""
        return sum(len(body.encoded) for body in self.bodies)

    def parts(self) -> tuple[Sequence[Body], Sequence[Body], Sequence[Body]]:
        """The bodies of live orders, of ended orders, and of Offers and TicketItems."""
        said = self.checkpoint
        live, ended = 1 + len(said.live_orders), 1 + len(said.live_orders) + len(said.ended_orders)
        return self.bodies[1:live], self.bodies[live:ended], self.bodies[ended:]


def checkpoint_of(entry: VerifiedEntry) -> Checkpoint:
    """The Checkpoint that an entry ends with.

    Raises:
        RemoteProtocolError: it ends with none; who offered it as a start is to blame. Spec: [FEED-16].
    """
    last = entry.items[-1]
    if not isinstance(last, Checkpoint):
        raise RemoteProtocolError("FEED-16", "start: expected an entry that ends with a Checkpoint, was another")
    return last


def bodies_in(entry: VerifiedEntry) -> Iterable[Body]:
    """An entry's items with their bytes."""
    for encoded, item in zip(entry.entry.item_bytes, entry.items, strict=True):
        yield Body(encoded=encoded, item=item)


def collect_start(entry: VerifiedEntry, sources: Iterable[Body]) -> Start:
    """Find the bodies of a true Checkpoint among the items before it."""
    said = checkpoint_of(entry)
    wanted = frozenset((said.delegation, *said.listed()))
    found: dict[Digest, Body] = {}
    for body in sources:
        body_hash = keccak256(body.encoded)
        if body_hash in wanted:
            found.setdefault(body_hash, body)
    if len(found) != len(wanted):
        raise InternalError(f"expected the bodies of {len(wanted)} hashes of a true Checkpoint, were {len(found)}")
    return Start(entry=entry, bodies=tuple(found[one] for one in (said.delegation, *said.listed())))


def verify_start(digests: Digests, entry: VerifiedEntry, encoded_bodies: Sequence[bytes]) -> Start:
    """Read a start that a peer offers, recovering every signer; may run in a worker thread.

    Raises:
        RemoteProtocolError: not the bodies that the Checkpoint lists, or such as no true one lists; the sender is to
            blame.
    """
    said = checkpoint_of(entry)
    hashes = tuple(keccak256(encoded) for encoded in encoded_bodies)
    if hashes != (said.delegation, *said.listed()):
        raise RemoteProtocolError("FEED-16", "start: expected the bodies that its Checkpoint lists, were others")
    bodies = tuple(Body(encoded=one, item=verify_item(digests, decode_item(one))) for one in encoded_bodies)
    start = Start(entry=entry, bodies=bodies)
    live, ended, tickets = start.parts()
    first = bodies[0].item
    offers = len(said.offers)
    are_kinds_right = (
        isinstance(first, VerifiedDelegation)
        and first.is_valid
        and (first.item.owner, first.item.session) == (entry.entry.header.owner, entry.entry.header.session)
        and all(_is_own_order(body.item, entry) for body in (*live, *ended))
        and all(isinstance(body.item, VerifiedOffer) for body in tickets[:offers])
        and all(isinstance(body.item, VerifiedTicket) for body in tickets[offers:])
    )
    if not are_kinds_right:
        raise RemoteProtocolError("FEED-16", "start: expected what a true Checkpoint lists, was something else")
    return start


def _is_own_order(item: VerifiedItem, entry: VerifiedEntry) -> bool:
    if not isinstance(item, VerifiedOrder):
        return False
    order, header = item.item.signed.order, entry.entry.header
    is_of_feed = (order.market, order.owner, order.session) == (header.market, header.owner, header.session)
    return is_of_feed and item.signer in (order.owner, order.session)


def base_from(rules: MarketRules, claimed: Epoch) -> int:
    """The first epoch at which a Checkpoint of that claim can be a base. Spec: [FEED-15]."""
    return rules.first_epoch_from(rules.epoch_start_s(claimed) + rules.preset.checkpoint_age_s)
