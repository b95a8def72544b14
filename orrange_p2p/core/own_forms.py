"""What an owner may ask for: the form of an order, its expiry, and until when it may be said.

A refusal names the field, the value, the rule and the limit; nothing is signed then.
Spec: protocol/spec/03-orders.md [ORD-1, ORD-3, ORD-4, ORD-6].
"""

from orrange_p2p.core.order_forms import MAX_LANE, MAX_LISTED, MAX_TIER, SECONDS_A_DAY, SHORT_LIVED
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import U32_MAX, U64_MAX, Epoch, Order, OrderKind, TimeInForce
from orrange_p2p.errors import OrderError


def default_expiry_s(tif: TimeInForce, now_ms: int, rules: MarketRules) -> int:
    """The expiry of an order asked for now without one, unix seconds; 0 for none.

    IOC and FOK end k epochs after the one they claim, rounded up to the second, so that none ends early; DAY at the
    next 00:00 UTC.
    """
    epoch = rules.epoch_at(now_ms)
    if tif in SHORT_LIVED:
        return -(-rules.epoch_start_ms(epoch + rules.preset.k) // 1000)
    if tif is TimeInForce.DAY:
        return (rules.epoch_start_s(epoch) // SECONDS_A_DAY + 1) * SECONDS_A_DAY
    return 0


def latest_claim(order: Order, rules: MarketRules) -> Epoch | None:
    """The last epoch that an entry with this order may claim so that it is not void or expired; None: any.

    A DAY order that waits for its entry until the day is over would be void. Spec: [ORD-3, ORD-6].
    """
    if not order.expiry_s:
        return None
    return Epoch((order.expiry_s * 1000 - rules.genesis_ms - 1) // rules.preset.epoch_ms)


def check_form(order: Order, now_ms: int, rules: MarketRules) -> None:
    """Refuse an order that would be void in the epoch of `now_ms`.

    Raises:
        OrderError: which field, which value, by which rule; the caller is to blame.
    """
    _check_amounts(order, rules)
    _check_kind(order)
    _check_expiry(order, now_ms, rules)
    _check_lane(order, rules)


def _check_amounts(order: Order, rules: MarketRules) -> None:
    for field, value in (("price_ticks", order.price_ticks), ("quantity_lots", order.quantity_lots)):
        if not 1 <= value <= U64_MAX:
            raise OrderError(field, value, "ORD-1", f"{field}: expected 1 to {U64_MAX}, was {value}")
    least = rules.market.min_fill_lots
    if order.quantity_lots < least:
        message = f"quantity: expected at least {least} lots, was {order.quantity_lots}"
        raise OrderError("quantity_lots", order.quantity_lots, "ORD-1", message)


def _check_kind(order: Order) -> None:
    name = order.tif.name
    if order.kind is OrderKind.PROTECTED_MARKET and order.tif not in SHORT_LIVED:
        message = f"time in force of a market order: expected IOC or FOK, was {name}"
        raise OrderError("tif", name, "ORD-3", message)
    if order.post_only and order.tif in SHORT_LIVED:
        message = f"time in force of a post-only order: expected GTC, DAY or GTD, was {name}"
        raise OrderError("tif", name, "ORD-3", message)
    if not 0 <= order.min_tier <= MAX_TIER:
        message = f"min_tier: expected 0 to {MAX_TIER}, was {order.min_tier}"
        raise OrderError("min_tier", order.min_tier, "ORD-3", message)


def _check_expiry(order: Order, now_ms: int, rules: MarketRules) -> None:
    expiry_s, name = order.expiry_s, order.tif.name
    if not 0 <= expiry_s <= U64_MAX:
        raise OrderError("expiry", expiry_s, "ORD-1", f"expiry: expected 0 to {U64_MAX}, was {expiry_s}")
    if not expiry_s and order.tif is not TimeInForce.GTC:
        raise OrderError("expiry", expiry_s, "ORD-3", f"expiry of a {name} order: expected a time to come, was none")
    if expiry_s and expiry_s * 1000 <= now_ms:
        raise OrderError("expiry", expiry_s, "ORD-6", f"expiry: expected a time to come, was {expiry_s}")
    end_of_day_s = default_expiry_s(TimeInForce.DAY, now_ms, rules)
    if order.tif is TimeInForce.DAY and expiry_s != end_of_day_s:
        message = f"expiry of a DAY order: expected none or {end_of_day_s}, the next 00:00 UTC, was {expiry_s}"
        raise OrderError("expiry", expiry_s, "ORD-3", message)


def _check_lane(order: Order, rules: MarketRules) -> None:
    if not 0 <= order.security <= MAX_LANE:
        message = f"security: expected 0 to {MAX_LANE}, was {order.security}"
        raise OrderError("security", order.security, "ORD-4", message)
    if order.security == 0:
        for field, values in _choices(order):
            if values:
                message = f"{field}: expected none in lane 0, which settles atomically, was {len(values)}"
                raise OrderError(field, len(values), "ORD-4", message)
    elif not rules.has_escrow:
        message = f"security: expected 0, this network has no escrow contract yet, was {order.security}"
        raise OrderError("security", order.security, "ORD-4", message)
    else:
        _check_escrow(order)


def _choices(order: Order) -> tuple[tuple[str, tuple[object, ...]], ...]:
    return ("payment_methods", order.payment_methods), ("arbitrators", order.arbitrators)


def _check_escrow(order: Order) -> None:
    for field, values in _choices(order):
        if not 1 <= len(values) <= MAX_LISTED or len(frozenset(values)) != len(values):
            message = f"{field}: expected 1 to {MAX_LISTED} different ones in lane {order.security}, was {len(values)}"
            raise OrderError(field, len(values), "ORD-4", message)
    for method in order.payment_methods:
        if not 0 <= method <= U32_MAX:
            message = f"payment_methods: expected numbers of 0 to {U32_MAX}, was {method}"
            raise OrderError("payment_methods", method, "ORD-4", message)
    if order.tif is TimeInForce.FOK:
        message = "time in force of an escrow order: expected any but FOK, an escrow cannot be all or nothing"
        raise OrderError("tif", order.tif.name, "ORD-4", message)
