"""Which forms an order may have: what goes with which kind, time in force and lane.

Spec: protocol/spec/03-orders.md [ORD-3, ORD-4].
"""

from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import Epoch, Order, OrderKind, TimeInForce

SECONDS_A_DAY = 86_400
MAX_TIER = 3
MAX_LANE = 3
MAX_LISTED = 8
SHORT_LIVED = (TimeInForce.IOC, TimeInForce.FOK)


def is_tradable(order: Order, claimed: Epoch, rules: MarketRules) -> bool:
    """Whether there are rules for an order of that form, claimed in that epoch. Spec: [ORD-3, ORD-4]."""
    if order.tif is TimeInForce.DAY and not _ends_with_its_day(order, rules.epoch_start_s(claimed)):
        return False
    return has_tradable_form(order)


def has_tradable_form(order: Order) -> bool:
    """Whether there are rules for an order of that form, in whatever epoch it was claimed. Spec: [ORD-3, ORD-4]."""
    return has_good_form(order) and has_good_lane(order) and order.min_tier <= MAX_TIER


def has_good_form(order: Order) -> bool:
    """Whether kind, time in force, post-only and expiry go together. Spec: [ORD-3]."""
    if order.tif in SHORT_LIVED:
        return order.expiry_s != 0 and not order.post_only
    if order.kind is not OrderKind.LIMIT:
        return False
    return order.tif is TimeInForce.GTC or order.expiry_s != 0


def has_good_lane(order: Order) -> bool:
    """Whether an order has all that its lane asks for, and nothing else. Spec: [ORD-4]."""
    if order.security == 0:
        return not order.payment_methods and not order.arbitrators
    if order.security > MAX_LANE or order.tif is TimeInForce.FOK:
        return False
    return 1 <= len(order.payment_methods) <= MAX_LISTED and 1 <= len(order.arbitrators) <= MAX_LISTED


def _ends_with_its_day(order: Order, start_s: int) -> bool:
    return order.expiry_s % SECONDS_A_DAY == 0 and 0 < order.expiry_s - start_s <= SECONDS_A_DAY
