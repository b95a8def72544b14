"""Bare books: orders without entries or signatures, so that a test can afford hundreds of them."""

from dataclasses import dataclass, field
from random import Random

from protocol.reference.book import Book, BookOrder
from protocol.reference.chain import Block
from protocol.reference.matching import Assignment
from protocol.reference.period import Period, first_period
from protocol.reference.signing import keccak
from protocol.reference.types import FOK, GTC, IOC, Digest, LotRange, Order
from tests.core.pens import MARKET_ID

EPOCH = 100
U64_MAX = 2**64 - 1

TERMS = 160

Row = tuple[int, int, int, int, int, int, int, bool, int]
"""Owner, second session or not, side, price, shape of the free ranges, epoch, kind and lateness, matchable, terms."""


@dataclass(frozen=True)
class Bare:
    """A book without signatures, with an assignment, a period and skips of sessions that stand in it."""

    book: Book
    effective: dict[Digest, int]
    skips: frozenset[tuple[bytes, bytes]]
    period: Period = field(default_factory=lambda: first_period(MARKET_ID))
    absent: frozenset[bytes] = frozenset()
    parked_after: int = 50

    @property
    def assignment(self) -> Assignment:
        """What the reference is told of the node."""
        return Assignment(effective=self.effective, absent=self.absent)


def throw_bare(seed: int, count: int) -> Bare:
    """A bare book of so many orders, the same under every PYTHONHASHSEED."""
    dice = Random(seed)
    width = dice.choice((2, 6, 40))
    return make_bare(
        [
            (
                dice.randrange(6),
                dice.randrange(2),
                dice.randrange(2),
                1 + dice.randrange(width),
                dice.randrange(12),
                dice.randrange(5),
                dice.randrange(12),
                dice.randrange(8) != 0,
                dice.randrange(TERMS),
            )
            for _ in range(count)
        ],
        seed,
    )


def make_bare(drawn: list[Row], seed: int) -> Bare:
    """The book that rows say; ids, gaps and skips follow from the seed, in one of five a price at the end of u64."""
    dice = Random(seed)
    orders: list[BookOrder] = []
    assignment: dict[Digest, int] = {}
    for number, (owner, second, side, price_ticks, shape, claimed, habit, is_matchable, terms) in enumerate(drawn):
        free = make_free(shape, dice)
        lane, min_tier, tif, post_only = make_terms(terms, habit)
        order = Order(
            market=MARKET_ID,
            owner=bytes([owner]) * 20,
            session=bytes([16 * (1 + second) + owner]) * 20,
            nonce=number,
            side=side,
            kind=0,
            price_ticks=price_ticks if seed % 5 or price_ticks != 2 else U64_MAX,
            quantity_lots=free[-1][1],
            tif=tif,
            expiry=0,
            post_only=post_only,
            min_tier=min_tier,
            payment_methods=((7, 8) if number % 2 else (8, 9))[: 1 + number % 3] if lane else (),
            arbitrators=(bytes([200 + number % 2]) * 20, bytes([202]) * 20)[: 1 + terms % 2] if lane else (),
            security=lane,
        )
        order_id = keccak(seed.to_bytes(8, "big") + number.to_bytes(4, "big"))
        orders.append(
            BookOrder(
                order_id=order_id, order=order, placed_epoch=EPOCH - claimed, free=free, is_matchable=is_matchable
            )
        )
        assignment[order_id] = EPOCH - claimed + (habit - 8 if habit > 8 else 0)
    orders.sort(key=lambda row: row.order_id)
    sessions = [row.order.session for row in orders]
    skips = frozenset((dice.choice(sessions), dice.choice(sessions)) for _ in range(seed % 3) if sessions)
    block = Block(number=9, hash=keccak(b"the fund block"), time_s=0)
    book = Book(market=MARKET_ID, epoch=EPOCH, block=block, orders=tuple(orders), dead_sessions=())
    owners = [bytes([owner]) * 20 for owner in range(6)]
    tiers = {owner: (seed >> 2 * place) % 4 for place, owner in enumerate(owners)}
    bonded = frozenset(owner for owner in owners if dice.randrange(2)) if seed % 5 == 2 else None
    return Bare(
        book=book,
        effective=assignment,
        skips=skips,
        period=Period(beacon=keccak(b"a beacon"), tiers=tiers, bonded=bonded),
        absent=frozenset(dice.sample(sessions, len(sessions) // 4)) if seed % 7 == 3 else frozenset(),
        parked_after=(1, 2, 50)[seed % 3],
    )


def make_terms(terms: int, habit: int) -> tuple[int, int, int, bool]:
    """Lane, tier floor, time in force, post-only: most are plain."""
    lane = (0, 0, 0, 0, 0, 0, 1, 2)[terms % 8]
    min_tier = (0, 0, 0, 1, 2)[terms // 8 % 5]
    flavour = terms // 40
    if habit % 4 == 1:
        return lane, min_tier, FOK if flavour >= 2 and lane == 0 else IOC, False
    return lane, min_tier, GTC, flavour == 3


def make_free(shape: int, dice: Random) -> tuple[LotRange, ...]:
    """Free ranges: one, or a few with gaps between them; never none."""
    if shape < 6:
        return ((0, 1 + shape),)
    ranges: list[LotRange] = []
    cursor = dice.randrange(3)
    for _ in range(shape - 5):
        lots = 1 + dice.randrange(4)
        ranges.append((cursor, cursor + lots))
        cursor += lots + 1 + dice.randrange(3)
    return tuple(ranges)
