"""The ticket of a piece and the group of a FOK order's tickets: the fast core says what the reference says."""

from dataclasses import asdict, astuple, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_world import DIGESTS, GENESIS_MS, RULES

from orrange_p2p.core.matching import Piece
from orrange_p2p.core.tickets import build_ticket, is_entitled, is_leg_taker, is_ticket_of, with_group
from orrange_p2p.core.types import (
    U32_MAX,
    U64_MAX,
    ZERO_ADDRESS,
    ZERO_DIGEST,
    Address,
    Digest,
    Epoch,
    Order,
    OrderId,
    OrderKind,
    Side,
    Ticket,
    TicketKind,
    TimeInForce,
)
from protocol.reference import matching, tickets
from protocol.reference import types as reference

CLOCK = reference.Clock(constants=reference.PRESETS[RULES.preset.name], genesis_ms=GENESIS_MS)
DOMAIN = reference.Domain(chain_id=DIGESTS.domain.chain_id, settlement=DIGESTS.domain.settlement)
PIECE_NAMES = ("price_ticks", "maker_from", "maker_to", "taker_from", "taker_to")
ARBITRATORS = tuple(Address(bytes([number]) * 20) for number in range(0xA1, 0xA4))

u64s = st.integers(0, U64_MAX)
digests = st.binary(min_size=32, max_size=32)


@st.composite
def orders(draw: st.DrawFn, side: Side, quantity: int = 60) -> Order:
    """An order of any form, good or not."""
    return Order(
        market=RULES.market_id,
        owner=Address(bytes([side + 1]) * 20),
        session=Address(bytes([side + 11]) * 20),
        nonce=1,
        side=side,
        kind=OrderKind.LIMIT,
        price_ticks=100,
        quantity_lots=quantity,
        tif=draw(st.sampled_from(TimeInForce)),
        expiry_s=0,
        payment_methods=tuple(draw(st.lists(st.integers(0, 3) | st.just(U32_MAX), unique=True, max_size=4))),
        arbitrators=tuple(draw(st.lists(st.sampled_from(ARBITRATORS), unique=True, max_size=4))),
        security=draw(st.integers(0, 3)),
    )


def of_reference(order: Order) -> reference.Order:
    """The same order for the reference."""
    return reference.Order(**{name: getattr(order, _CORE_NAMES.get(name, name)) for name in _REFERENCE_NAMES})


_REFERENCE_NAMES = tuple(reference.Order.__dataclass_fields__)
_CORE_NAMES = dict(zip(_REFERENCE_NAMES, Order.__dataclass_fields__, strict=True))


@given(st.tuples(digests, digests), st.tuples(*(u64s,) * 5), st.integers(0, 2**40), u64s, st.data())
def test_the_ticket_of_a_piece_is_the_references(
    ids: tuple[bytes, bytes], figures: tuple[int, ...], epoch: int, nonce: int, data: st.DataObject
) -> None:
    """[TICK-1], [TYPE-6], field by field, in the order of the wire, for orders of every form."""
    maker, taker = data.draw(orders(Side.SELL)), data.draw(orders(Side.BUY))
    terms = {"maker_order": ids[0], "taker_order": ids[1], **dict(zip(PIECE_NAMES, figures, strict=True))}
    expected = tickets.ticket_of(matching.Piece(**terms), CLOCK, epoch, nonce, of_reference(maker), of_reference(taker))
    ticket = build_ticket(Piece(**terms), Epoch(epoch), nonce, RULES, maker=maker, taker=taker)
    assert astuple(ticket) == astuple(expected)


def order(side: Side, **changes: object) -> Order:
    """A plain order, changed."""
    plain = Order(
        market=RULES.market_id,
        owner=Address(bytes([side + 1]) * 20),
        session=Address(bytes([side + 11]) * 20),
        nonce=1,
        side=side,
        kind=OrderKind.LIMIT,
        price_ticks=100,
        quantity_lots=60,
        tif=TimeInForce.GTC,
        expiry_s=0,
    )
    return replace(plain, **changes)


MAKER, TAKER = order(Side.SELL), order(Side.BUY)
ESCROW = {"security": 2, "payment_methods": (3, 1), "arbitrators": ARBITRATORS[:2]}
PIECE = Piece(
    maker_order=OrderId(b"m" * 32),
    taker_order=OrderId(b"t" * 32),
    price_ticks=100,
    maker_from=0,
    maker_to=60,
    taker_from=0,
    taker_to=60,
)


def test_the_makers_preference_decides_among_what_both_orders_list() -> None:
    """Spec: [TICK-1]."""
    taker = order(Side.BUY, security=2, payment_methods=(1, 3), arbitrators=ARBITRATORS[1:])
    ticket = build_ticket(PIECE, Epoch(9), 4, RULES, maker=order(Side.SELL, **ESCROW), taker=taker)
    assert (ticket.kind, ticket.payment_method, ticket.arbitrator) == (TicketKind.ESCROW, 3, ARBITRATORS[1])
    assert ticket.security == 2
    assert ticket.deadline_s == RULES.ticket_deadline_s(9)


def test_an_atomic_ticket_names_nothing_of_an_escrow() -> None:
    ticket = build_ticket(PIECE, Epoch(9), 4, RULES, maker=MAKER, taker=TAKER)
    assert (ticket.kind, ticket.payment_method, ticket.arbitrator) == (TicketKind.ATOMIC, 0, ZERO_ADDRESS)


FOK_TAKER = order(Side.BUY, tif=TimeInForce.FOK, expiry_s=1)


def test_a_leg_lives_half_as_long() -> None:
    """Spec: [TICK-1], [TICK-14]."""
    ticket = build_ticket(PIECE, Epoch(9), 4, RULES, maker=MAKER, taker=FOK_TAKER)
    assert ticket.deadline_s == RULES.epoch_start_s(9) + RULES.preset.ticket_life_s // 2


def legs_of(cuts: list[int], taker: Order = FOK_TAKER) -> tuple[Ticket, ...]:
    """A FOK order's legs, cut at these lots."""
    ends = [0, *sorted(cuts), taker.quantity_lots]
    taker_order = OrderId(DIGESTS.order(taker))
    pieces = [
        Piece(
            maker_order=OrderId(bytes([number]) * 32),
            taker_order=taker_order,
            price_ticks=100 + number,
            maker_from=0,
            maker_to=high - low,
            taker_from=low,
            taker_to=high,
        )
        for number, (low, high) in enumerate(pairwise(ends))
    ]
    built = [
        build_ticket(piece, Epoch(9), number, RULES, maker=MAKER, taker=taker) for number, piece in enumerate(pieces)
    ]
    return with_group(DIGESTS, built)


def is_reference_group(legs: list[Ticket], taker: Order = FOK_TAKER) -> bool:
    """What the reference says of legs."""
    names = zip(reference.Ticket.__dataclass_fields__, Ticket.__dataclass_fields__, strict=True)
    pairs = list(names)
    said = [reference.Ticket(**{name: getattr(leg, core) for name, core in pairs}) for leg in legs]
    return tickets.is_group(DOMAIN, said, of_reference(taker))


@settings(max_examples=150)  # every leg costs two digests in the reference
@given(st.lists(st.integers(1, 59), unique=True, max_size=15), st.randoms(use_true_random=False))
def test_all_legs_in_any_order_are_one_group(cuts: list[int], shuffle) -> None:
    """[TICK-14]: the group says nothing of the order in which legs are listed."""
    legs = list(legs_of(cuts))
    assert len({leg.group for leg in legs}) == 1
    assert legs[0].group != ZERO_DIGEST
    shuffle.shuffle(legs)
    assert is_reference_group(legs)
    assert DIGESTS.group(legs) == legs[0].group


@settings(max_examples=150)  # every leg costs two digests in the reference
@given(st.lists(st.integers(1, 59), unique=True, min_size=1, max_size=15), st.data())
def test_a_group_that_lacks_a_leg_or_has_a_changed_one_is_none(cuts: list[int], data: st.DataObject) -> None:
    """Spec: [TICK-14]."""
    legs = list(legs_of(cuts))
    at = data.draw(st.integers(0, len(legs) - 1))
    assert not is_reference_group(legs[:at] + legs[at + 1 :])
    assert not is_reference_group([*legs, legs[at]])
    changed = replace(legs[at], price_ticks=legs[at].price_ticks + 1)
    assert not is_reference_group([*legs[:at], changed, *legs[at + 1 :]])
    assert DIGESTS.group([*legs[:at], changed, *legs[at + 1 :]]) != legs[0].group


@pytest.mark.parametrize(
    "change",
    [
        {"deadline_s": 1},
        {"kind": TicketKind.ESCROW},
        {"payment_method": 1},
        {"arbitrator": ARBITRATORS[0]},
        {"security": 1},
        {"group": Digest(b"\1" * 32)},
    ],
)
def test_a_ticket_with_another_term_is_not_the_pieces(change: dict[str, object]) -> None:
    """Spec: [TICK-1]."""
    ticket = build_ticket(PIECE, Epoch(9), 4, RULES, maker=MAKER, taker=TAKER)
    assert is_ticket_of(ticket, RULES, maker=MAKER, taker=TAKER)
    assert not is_ticket_of(replace(ticket, **change), RULES, maker=MAKER, taker=TAKER)


def test_a_leg_without_a_group_is_not_a_fok_orders_ticket() -> None:
    """Spec: [TICK-14]."""
    (leg,) = legs_of([])
    assert is_ticket_of(leg, RULES, maker=MAKER, taker=FOK_TAKER)
    assert not is_ticket_of(replace(leg, group=ZERO_DIGEST), RULES, maker=MAKER, taker=FOK_TAKER)


@settings(max_examples=150)  # every leg costs two digests in the reference
@given(st.lists(st.integers(1, 59), unique=True, max_size=5), st.data())
def test_a_maker_answers_what_the_reference_answers(cuts: list[int], data: st.DataObject) -> None:
    """[TICK-3], [TICK-15]: the piece is among the entitlements, and of a FOK order all the rest too."""
    taker = data.draw(st.sampled_from([TAKER, FOK_TAKER]))
    legs = legs_of(cuts, taker)
    if not is_leg_taker(taker):
        legs = tuple(replace(leg, group=ZERO_DIGEST) for leg in legs)
    asked = data.draw(st.sampled_from(legs))
    kept = data.draw(st.lists(st.sampled_from(legs), unique=True))
    names = tuple(Piece.__dataclass_fields__)
    pieces = [Piece(**{name: getattr(leg, name) for name in names}) for leg in kept]
    expected = tickets.may_answer_ready(
        asked_of_reference(asked), [matching.Piece(**asdict(piece)) for piece in pieces], of_reference(taker)
    )
    assert is_entitled(asked, pieces, taker) == expected


def asked_of_reference(ticket: Ticket) -> reference.Ticket:
    """The same ticket for the reference."""
    pairs = zip(reference.Ticket.__dataclass_fields__, Ticket.__dataclass_fields__, strict=True)
    return reference.Ticket(**{name: getattr(ticket, core) for name, core in pairs})
