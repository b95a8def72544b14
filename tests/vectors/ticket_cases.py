"""Cases for `protocol/vectors/tickets`: the ticket of a piece, groups, and tickets that contradict each other."""

import itertools
from dataclasses import replace
from typing import Any

from protocol.reference import conduct
from protocol.reference.matching import Piece
from protocol.reference.signing import digest
from protocol.reference.tickets import group_of, is_group, may_answer_ready, ticket_of
from protocol.reference.types import FOK, Order, Ticket, epoch_start_s
from tests.core.pens import DOMAIN, FIRST_EPOCH
from tests.core.worlds import CLOCK
from tests.vectors.conduct_cases import shown
from tests.vectors.peer_cases import BUY, MAKER, OTHER_BUY, SELL, TAKER, make_order, make_ticket

Case = dict[str, Any]
ARBITRATORS = (b"\xa1" * 20, b"\xa2" * 20, b"\xa3" * 20)


def told(value: object) -> Any:
    """A struct's fields as the files have them."""
    names = type(value).__dataclass_fields__
    return {name: shown(getattr(value, name)) for name in names}


def piece_between(maker: Order, taker: Order, *, lots: tuple[int, int, int, int] = (0, 10, 5, 15)) -> Piece:
    """A piece of two orders."""
    maker_from, maker_to, taker_from, taker_to = lots
    return Piece(
        maker_order=digest(DOMAIN, "Order", maker),
        taker_order=digest(DOMAIN, "Order", taker),
        price_ticks=maker.price_ticks,
        maker_from=maker_from,
        maker_to=maker_to,
        taker_from=taker_from,
        taker_to=taker_to,
    )


def ticket_cases() -> list[Case]:
    """What a piece stands for. Spec: [TICK-1], [TYPE-6]."""
    escrow = {"security": 2, "payment_methods": (9, 7, 8), "arbitrators": ARBITRATORS[:2]}
    pairs = {
        "atomic": (SELL, BUY),
        "of_a_fok_order": (SELL, replace(BUY, tif=FOK, expiry=2**40)),
        "by_escrow_as_the_maker_prefers": (
            replace(SELL, **escrow),
            replace(BUY, security=2, payment_methods=(8, 7), arbitrators=ARBITRATORS[::-1]),
        ),
        "by_escrow_and_judged_by_neither": (
            replace(SELL, **{**escrow, "arbitrators": (SELL.owner, BUY.owner, *ARBITRATORS)}),
            replace(BUY, security=2, payment_methods=(8, 7), arbitrators=(*ARBITRATORS, BUY.owner, SELL.owner)),
        ),
    }
    return [
        {
            "name": name,
            "rules": ["TICK-1", "TYPE-6"],
            "maker": told(maker),
            "taker": told(taker),
            "piece": told(piece_between(maker, taker)),
            "epoch": str(FIRST_EPOCH),
            "ticket_nonce": "7",
            "ticket": told(ticket_of(piece_between(maker, taker), CLOCK, FIRST_EPOCH, 7, maker, taker)),
        }
        for name, (maker, taker) in pairs.items()
    ]


def legs_of(taker: Order, cuts: tuple[int, ...]) -> list[Ticket]:
    """Legs of an order, cut at some lots, before they have a group."""
    legs = []
    for number, (low, high) in enumerate(itertools.pairwise(cuts)):
        piece = piece_between(make_order(MAKER, number), taker, lots=(0, high - low, low, high))
        legs.append(ticket_of(piece, CLOCK, FIRST_EPOCH, number, make_order(MAKER, number), taker))
    return legs


def group_cases() -> list[Case]:
    """Groups, whole and not. Spec: [TICK-14]."""
    taker = replace(BUY, tif=FOK, expiry=2**40, quantity_lots=40)
    plain = replace(BUY, quantity_lots=40)
    cases = {
        "one_leg": (taker, legs_of(taker, (0, 40))),
        "three_legs": (taker, legs_of(taker, (0, 10, 25, 40))),
        "sixteen_legs": (taker, legs_of(taker, (*range(0, 32, 2), 40))),
        "seventeen_legs": (taker, legs_of(taker, (*range(0, 34, 2), 40))),
        "a_lot_is_missing": (taker, legs_of(taker, (0, 10, 39))),
        "a_gap": (taker, legs_of(taker, (0, 10)) + legs_of(taker, (11, 40))),
        "an_overlap": (taker, legs_of(taker, (0, 11)) + legs_of(taker, (10, 40))),
        "of_an_order_that_is_no_fok": (plain, legs_of(plain, (0, 40))),
        "no_legs": (taker, []),
        "a_leg_of_no_lots": (taker, legs_of(taker, (0, 10, 40)) + legs_of(taker, (10, 10))),
        "a_leg_of_another_order": (taker, legs_of(taker, (0, 10)) + legs_of(replace(taker, nonce=9), (10, 40))),
        "a_leg_with_another_group": (taker, legs_of(taker, (0, 10, 40))),
        "a_leg_without_a_group": (taker, legs_of(taker, (0, 10, 40))),
    }
    spoilt = {"a_leg_with_another_group": b"\x01" * 32, "a_leg_without_a_group": bytes(32)}
    found = []
    for name, (order, legs) in cases.items():
        group = group_of(DOMAIN, legs)
        grouped = [replace(leg, group=group) for leg in reversed(legs)]
        if name in spoilt:
            grouped[0] = replace(grouped[0], group=spoilt[name])
        found.append(
            {
                "name": name,
                "rules": ["TICK-14"],
                "taker": told(order),
                "legs": [told(leg) for leg in grouped],
                "group": "0x" + group.hex(),
                "is_group": is_group(DOMAIN, grouped, order),
            }
        )
    return found


def entitled_cases() -> list[Case]:
    """Whether a piece is among a window's, and of a FOK order all the rest too. Spec: [TICK-3], [TICK-15]."""
    fok = replace(BUY, tif=FOK, expiry=2**40, quantity_lots=40)
    plain = replace(BUY, quantity_lots=40)
    leg, other = legs_of(fok, (0, 10, 40))
    grouped = replace(leg, group=group_of(DOMAIN, [leg, other]))
    one, rest = legs_of(plain, (0, 10, 40))
    stranger = legs_of(replace(fok, nonce=9), (0, 30))[0]
    whole = [piece_of(leg), piece_of(other)]
    cases: dict[str, tuple[Order, Ticket, list[Piece]]] = {
        "its_piece_alone": (plain, one, [piece_of(one)]),
        "among_others": (plain, one, [piece_of(rest), piece_of(one)]),
        "not_among_others": (plain, one, [piece_of(rest)]),
        "among_none": (plain, one, []),
        "a_leg_and_all_the_rest": (fok, grouped, whole),
        "a_leg_and_not_all_the_rest": (fok, grouped, whole[:1]),
        "a_leg_that_is_not_there": (fok, grouped, whole[1:]),
        "a_leg_and_another_orders_lots_for_the_rest": (fok, grouped, [whole[0], piece_of(stranger)]),
        "a_leg_without_a_group": (fok, leg, whole),
        "a_group_of_an_order_that_is_no_fok": (plain, replace(one, group=grouped.group), [piece_of(one)]),
    }
    for name in ("price_ticks", "maker_from", "maker_to", "taker_from", "taker_to", "maker_order"):
        value = getattr(one, name)
        changed = value + 1 if isinstance(value, int) else bytes(32)
        cases[f"another_{name}"] = (plain, one, [replace(piece_of(one), **{name: changed})])
    return [
        {
            "name": name,
            "rules": ["TICK-3", "TICK-15"],
            "taker": told(taker),
            "ticket": told(ticket),
            "pieces": [told(piece) for piece in pieces],
            "is_entitled": may_answer_ready(ticket, pieces, taker),
        }
        for name, (taker, ticket, pieces) in cases.items()
    ]


def piece_of(ticket: Ticket) -> Piece:
    """The piece that a ticket stands for."""
    return Piece(**{name: getattr(ticket, name) for name in Piece.__dataclass_fields__})


def contradiction_cases() -> list[Case]:
    """Whether who has signed the first ticket over an own order may sign the second. Spec: [TICK-10]."""
    first, start_s = make_ticket(), epoch_start_s(CLOCK, FIRST_EPOCH)
    beside = make_ticket(SELL, OTHER_BUY, maker_from=10, maker_to=20, ticket_nonce=1)
    overlapping = replace(beside, maker_from=9, maker_to=19)
    later = replace(overlapping, epoch=FIRST_EPOCH + 12, deadline=start_s + 11)
    pairs = {
        "lots_beside_each_other": (first, beside, TAKER.address),
        "one_lot_in_both": (first, overlapping, TAKER.address),
        "one_lot_in_both_one_after_the_other": (first, later, TAKER.address),
        "one_lot_in_both_within_one_second": (first, replace(later, epoch=FIRST_EPOCH + 10), TAKER.address),
        "one_nonce_of_one_taker": (first, replace(beside, ticket_nonce=0), TAKER.address),
        "one_nonce_of_two_takers": (first, replace(beside, ticket_nonce=0), MAKER.address),
    }
    order = digest(DOMAIN, "Order", SELL)
    return [
        {
            "name": name,
            "rules": ["TICK-10"],
            "order": "0x" + order.hex(),
            "first": told(one),
            "first_taker": "0x" + TAKER.address.hex(),
            "second": told(other),
            "second_taker": "0x" + other_taker.hex(),
            "contradicts": conduct.contradicts(CLOCK, one, other, TAKER.address, other_taker, order),
        }
        for name, (one, other, other_taker) in pairs.items()
    ]
