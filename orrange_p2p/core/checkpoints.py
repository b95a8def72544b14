"""What a feed alone implies, kept up as it is read, so that a Checkpoint in it can be judged.

Spec: protocol/spec/02-feeds.md [FEED-13], [FEED-14].
"""

from orrange_p2p.core.feed import HoldRecord, OrderRecord
from orrange_p2p.core.messages import Checkpoint
from orrange_p2p.core.order_forms import SHORT_LIVED
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import Epoch, OrderId, TicketDigest
from orrange_p2p.core.verify import VerifiedEntry


class Implied:
    """Orders and tickets of one feed that are not over yet.

    Claimed epochs never fall, so what is over at one Checkpoint is dropped there for good: each costs no more than
    what it should list and what ended since the one before.
    """

    def __init__(self, rules: MarketRules) -> None:
        self._rules = rules
        self._orders: dict[OrderId, OrderRecord] = {}
        self._offers: dict[TicketDigest, int] = {}
        self._tickets: dict[TicketDigest, int] = {}

    def note_order(self, order: OrderRecord) -> None:
        """An order stands. Spec: [ORD-1..4]."""
        self._orders[order.order_id] = order

    def note_cancel(self, order_id: OrderId) -> None:
        """A Cancel names a standing order. Spec: [ORD-5]."""
        self._orders.pop(order_id, None)

    def note_hold(self, hold: HoldRecord) -> None:
        """An Offer or a TicketItem counts. Spec: [HOLD-1], [HOLD-2]."""
        held = self._offers if hold.is_offer else self._tickets
        held[hold.digest] = hold.ticket.deadline_s

    def checkpoint(self, claimed: Epoch, next_nonce: int) -> Checkpoint:
        """The only true Checkpoint after what was noted, in an entry of that claimed epoch. Spec: [FEED-13]."""
        now_s = self._rules.epoch_start_s(claimed)
        self._orders = {
            order_id: order for order_id, order in self._orders.items() if not self._has_ended(order, claimed, now_s)
        }
        self._offers = {digest: until_s for digest, until_s in self._offers.items() if until_s >= now_s}
        self._tickets = {digest: until_s for digest, until_s in self._tickets.items() if until_s >= now_s}
        return Checkpoint(
            next_nonce=next_nonce,
            live_orders=tuple(sorted(self._orders)),
            own_offers=tuple(sorted(self._offers)),
            own_tickets=tuple(sorted(self._tickets)),
        )

    def _has_ended(self, record: OrderRecord, claimed: Epoch, now_s: int) -> bool:
        """Spec: [ORD-6]."""
        order = record.order
        is_expired = order.expiry_s != 0 and now_s >= order.expiry_s
        return is_expired or (order.tif in SHORT_LIVED and claimed >= record.claimed + self._rules.preset.k)


def checkpoints_in(entry: VerifiedEntry) -> list[int]:
    """Where the Checkpoints of an entry stand."""
    return [index for index, item in enumerate(entry.items) if isinstance(item, Checkpoint)]
