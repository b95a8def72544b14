"""What a feed alone implies, kept up as it is read, so that a Checkpoint in it can be judged or written.

Spec: protocol/spec/02-feeds.md [FEED-13], [FEED-14].
"""

from collections.abc import Iterable
from typing import NamedTuple

from orrange_p2p.core.codec import MAX_LISTED
from orrange_p2p.core.feed import HoldRecord, OrderRecord
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.holds import own_side
from orrange_p2p.core.messages import Checkpoint
from orrange_p2p.core.order_forms import SHORT_LIVED
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import U64_MAX, Digest, Epoch, OrderId, TicketDigest
from orrange_p2p.core.verify import VerifiedEntry

CHECKPOINTS_IN_AGE = 64  # at most, in the time after which one can be a base


class _Signed(NamedTuple):
    """A ticket that an own item put forward: until when it counts, the item, and the own order."""

    deadline_s: int
    encoded: bytes
    order_id: OrderId


class _Left(NamedTuple):
    """What is not over at an epoch, in the order of a Checkpoint's lists."""

    live: dict[OrderId, OrderRecord]
    ended: dict[OrderId, None]
    offers: dict[TicketDigest, _Signed]
    tickets: dict[TicketDigest, _Signed]


class Implied:
    """Orders and tickets of one feed that are not over yet, as of its last Checkpoint and the items since.

    Claimed epochs never fall, so what is over at one Checkpoint is dropped there for good: each costs no more than
    what it should list and what ended since the one before.
    """

    def __init__(self, rules: MarketRules) -> None:
        self._rules = rules
        self._bodies: dict[OrderId, bytes] = {}  # orders that items to come may name
        self._live: dict[OrderId, OrderRecord] = {}
        self._offers: dict[TicketDigest, _Signed] = {}
        self._tickets: dict[TicketDigest, _Signed] = {}
        self.delegation = b""
        self.is_idle = True  # whether nothing was noted since the last Checkpoint
        self._settled: Epoch | None = None  # what that claims

    def note_order(self, order: OrderRecord, encoded: bytes) -> None:
        """An order stands. Spec: [ORD-1..4]."""
        self.is_idle = False
        self._bodies[order.order_id] = encoded
        if not order.is_cancelled and order.order.tif not in SHORT_LIVED:
            self._live[order.order_id] = order

    def note_cancel(self, order_id: OrderId) -> None:
        """A Cancel names a standing order. Spec: [ORD-5]."""
        self.is_idle = False
        self._live.pop(order_id, None)

    def note_hold(self, hold: HoldRecord, encoded: bytes) -> None:
        """An Offer or a TicketItem counts; of an order that the last Checkpoint left out it does not here."""
        self.is_idle = False
        order_id = own_side(hold.ticket, is_offer=hold.is_offer)
        held = self._offers if hold.is_offer else self._tickets
        if order_id in self._bodies:
            held.setdefault(hold.digest, _Signed(hold.ticket.deadline_s, encoded, order_id))

    def checkpoint(self, claimed: Epoch, next_nonce: int) -> Checkpoint | None:
        """The only true Checkpoint after what was noted, in an entry of that claimed epoch. Spec: [FEED-13].

        None if there is none: too soon after the last one, or more than 256 hashes, or no nonce is left.
        """
        if self.is_too_soon(claimed):
            return None
        left = self._left_at(claimed)
        if next_nonce > U64_MAX or sum(len(part) for part in left) > MAX_LISTED:
            return None
        return Checkpoint(
            next_nonce=next_nonce,
            delegation=keccak256(self.delegation),
            live_orders=_hashes(self._bodies[order_id] for order_id in left.live),
            ended_orders=_hashes(self._bodies[order_id] for order_id in left.ended),
            offers=_hashes(one.encoded for one in left.offers.values()),
            tickets=_hashes(one.encoded for one in left.tickets.values()),
        )

    def settle(self, claimed: Epoch) -> None:
        """A true Checkpoint of that claimed epoch stands: items to come may name only what it lists."""
        left = self._left_at(claimed)
        self._live, self._offers, self._tickets = left.live, left.offers, left.tickets
        self._bodies = {order_id: self._bodies[order_id] for order_id in (*left.live, *left.ended)}
        self.is_idle = True
        self._settled = claimed

    def is_too_soon(self, claimed: Epoch) -> bool:
        """Whether the last Checkpoint claims an epoch too close before that one. Spec: [FEED-13]."""
        if self._settled is None:
            return False
        preset, apart = self._rules.preset, claimed - self._settled
        return CHECKPOINTS_IN_AGE * apart * preset.epoch_ms < 1000 * preset.checkpoint_age_s

    def _left_at(self, claimed: Epoch) -> _Left:
        start_s = self._rules.epoch_start_s(claimed)
        since_s = start_s - self._rules.preset.fund_lag_s
        live = {
            order_id: record
            for order_id, record in self._live.items()
            if record.order.expiry_s == 0 or start_s < record.order.expiry_s
        }
        offers = {digest: one for digest, one in self._offers.items() if one.deadline_s >= since_s}
        tickets = {digest: one for digest, one in self._tickets.items() if one.deadline_s >= since_s}
        signed = (*offers.values(), *tickets.values())
        ended = {one.order_id: None for one in signed if one.order_id not in live}
        return _Left(live, ended, offers, tickets)


def _hashes(bodies: Iterable[bytes]) -> tuple[Digest, ...]:
    return tuple(sorted(keccak256(body) for body in bodies))


def checkpoints_in(entry: VerifiedEntry) -> list[int]:
    """Where the Checkpoints of an entry stand."""
    return [index for index, item in enumerate(entry.items) if isinstance(item, Checkpoint)]
