"""Cases for `protocol/vectors/matching`: one rule of 04-matching in each, by hand."""

from typing import Any

from protocol.reference.book import Book, BookOrder
from protocol.reference.chain import Block, BondChanged
from protocol.reference.matching import rank
from protocol.reference.period import Period, period_of
from protocol.reference.signing import keccak
from protocol.reference.types import BUY, FOK, GTC, IOC, SELL, ZERO_ADDRESS, Clock, Constants, LotRange, Order
from tests.core.bare import Bare
from tests.core.pens import MARKET_ID
from tests.core.worlds import CLOCK

EPOCH = 100
ANN, BEN, CAT, DAN = (bytes([number]) * 20 for number in (0xA, 0xB, 0xC, 0xD))
BEACON = keccak(b"a beacon")
ARBITERS = (bytes([0xE1]) * 20, bytes([0xE2]) * 20)
Case = dict[str, Any]


class Sheet:
    """Writes the orders of one case, one after another."""

    def __init__(self) -> None:
        self.rows: list[BookOrder] = []
        self.late: dict[bytes, int] = {}

    def add(
        self,
        owner: bytes,
        side: int,
        price_ticks: int,
        lots: int = 10,
        *,
        epoch: int = EPOCH - 2,
        effective: int | None = None,
        free: tuple[LotRange, ...] | None = None,
        **terms: Any,
    ) -> bytes:
        """One more order; answers its session."""
        session = keccak(owner + bytes([len(self.rows) if terms.pop("own_session", False) else 255]))[:20]
        fields: dict[str, Any] = {
            "market": MARKET_ID,
            "owner": owner,
            "session": session,
            "nonce": len(self.rows),
            "side": side,
            "kind": 0,
            "price_ticks": price_ticks,
            "quantity_lots": lots,
            "tif": GTC,
            "expiry": 0,
            "post_only": False,
            "min_tier": 0,
            "payment_methods": (),
            "arbitrators": (),
            "security": 0,
        }
        order_id = keccak(b"order %d" % len(self.rows))
        self.rows.append(
            BookOrder(
                order_id=order_id,
                order=Order(**(fields | terms)),
                placed_epoch=epoch,
                free=((0, lots),) if free is None else free,
                is_matchable=True,
            )
        )
        self.late[order_id] = epoch if effective is None else effective
        return session

    def bare(
        self,
        *,
        skips: frozenset[tuple[bytes, bytes]] = frozenset(),
        tiers: dict[bytes, int] | None = None,
        bonded: frozenset[bytes] | None = None,
        absent: frozenset[bytes] = frozenset(),
        w: int = 50,
    ) -> Bare:
        """The case."""
        block = Block(number=9, hash=keccak(b"the fund block"), time_s=0)
        rows = tuple(sorted(self.rows, key=lambda row: row.order_id))
        return Bare(
            book=Book(market=MARKET_ID, epoch=EPOCH, block=block, orders=rows, dead_sessions=()),
            effective=self.late,
            skips=skips,
            period=Period(beacon=BEACON, tiers=tiers or {}, bonded=bonded),
            absent=absent,
            parked_after=w,
        )


Named = tuple[str, str, Bare]


def priority_cases() -> list[Named]:
    """Who goes first. Spec: [MATCH-2], [MATCH-3], [MATCH-4], [MATCH-6]."""
    found: list[Named] = []
    sheet = Sheet()
    for owner, price in ((ANN, 12), (BEN, 10), (CAT, 11)):
        sheet.add(owner, SELL, price)
    sheet.add(DAN, BUY, 11, 15, epoch=EPOCH - 1)
    found.append(("the_best_price_first_at_the_resting_price", "MATCH-4 MATCH-7 MATCH-8", sheet.bare()))
    sheet = Sheet()
    sheet.add(ANN, SELL, 10, epoch=EPOCH - 9)
    sheet.add(BEN, SELL, 10, epoch=EPOCH - 3)
    sheet.add(DAN, BUY, 10, 10, epoch=EPOCH - 1)
    found.append(("at_one_price_the_higher_tier_first", "MATCH-3 MATCH-4 MATCH-8", sheet.bare(tiers={BEN: 2})))
    found.append(("at_one_price_and_tier_the_older_first", "MATCH-3 MATCH-4", sheet.bare()))
    sheet = Sheet()
    for owner in (ANN, BEN, CAT):
        sheet.add(owner, SELL, 10)
    sheet.add(DAN, BUY, 10, 10, epoch=EPOCH - 1)
    found.append(("in_one_epoch_the_beacon_decides", "MATCH-2 MATCH-4", sheet.bare()))
    first = min((ANN, BEN, CAT), key=lambda owner: rank(Period(beacon=BEACON), MARKET_ID, EPOCH - 2, owner))
    bonded = frozenset(owner for owner in (ANN, BEN, CAT) if owner != first)
    found.append(("in_one_epoch_who_put_nothing_up_comes_last", "MATCH-2 MATCH-4", sheet.bare(bonded=bonded)))
    sheet = Sheet()
    sheet.add(ANN, SELL, 10, 20, free=((0, 3), (7, 12)))
    sheet.add(BEN, BUY, 10, 20, epoch=EPOCH - 1, free=((2, 6), (9, 20)))
    found.append(("lots_with_gaps_are_cut_into_pieces", "MATCH-6", sheet.bare()))
    sheet = Sheet()
    sheet.add(ANN, SELL, 10, 4)
    sheet.add(BEN, BUY, 10, 10, epoch=EPOCH - 1, tif=IOC)
    sheet.add(CAT, SELL, 9, 6, epoch=EPOCH)
    found.append(("what_is_left_of_an_ioc_does_not_rest", "MATCH-4", sheet.bare()))
    return found


def presence_cases() -> list[Named]:
    """Who is there at all. Spec: [MATCH-1]."""
    sheet = Sheet()
    gone = sheet.add(ANN, SELL, 9)
    sheet.add(BEN, SELL, 10)
    sheet.add(CAT, SELL, 8, epoch=EPOCH, effective=EPOCH + 1)
    sheet.add(DAN, BUY, 10, 10, epoch=EPOCH - 1)
    return [
        ("an_order_that_comes_in_a_later_epoch_is_not_there_yet", "MATCH-1", sheet.bare()),
        ("an_absent_session_is_passed_over", "MATCH-1", sheet.bare(absent=frozenset((gone,)))),
    ]


def pair_cases() -> list[Named]:
    """Who may meet. Spec: [MATCH-5]."""
    found: list[Named] = []
    sheet = Sheet()
    sheet.add(ANN, SELL, 9)
    sheet.add(BEN, SELL, 10)
    taker = sheet.add(ANN, BUY, 10, 10, epoch=EPOCH - 1, own_session=True)
    found.append(("nobody_meets_oneself", "MATCH-5", sheet.bare()))
    sheet = Sheet()
    maker = sheet.add(ANN, SELL, 9)
    sheet.add(BEN, SELL, 10)
    taker = sheet.add(DAN, BUY, 10, 10, epoch=EPOCH - 1)
    found.append(("a_skipped_maker_is_passed_over", "MATCH-5", sheet.bare(skips=frozenset(((taker, maker),)))))
    found.append(("skips_hold_both_ways", "MATCH-5", sheet.bare(skips=frozenset(((maker, taker),)))))
    sheet = Sheet()
    sheet.add(ANN, SELL, 9, min_tier=2)
    sheet.add(BEN, SELL, 10)
    sheet.add(DAN, BUY, 10, 10, epoch=EPOCH - 1)
    found.append(("a_maker_may_ask_for_a_tier", "MATCH-5", sheet.bare(tiers={DAN: 1})))
    found.append(("and_gets_it", "MATCH-5", sheet.bare(tiers={DAN: 2})))
    sheet = Sheet()
    sheet.add(ANN, SELL, 9)
    sheet.add(BEN, SELL, 10)
    sheet.add(DAN, BUY, 10, 10, epoch=EPOCH - 1, min_tier=1)
    found.append(("a_taker_may_ask_for_a_tier", "MATCH-5", sheet.bare(tiers={BEN: 1})))
    sheet = Sheet()
    lane = {"security": 1, "payment_methods": (7, 8), "arbitrators": ARBITERS}
    sheet.add(ANN, SELL, 8)
    sheet.add(BEN, SELL, 9, **{**lane, "payment_methods": (9,)})
    sheet.add(CAT, SELL, 9, **{**lane, "arbitrators": (ANN,)}, own_session=True)
    sheet.add(BEN, SELL, 9, **{**lane, "security": 2}, own_session=True)
    sheet.add(CAT, SELL, 10, **{**lane, "payment_methods": (8, 9)})
    sheet.add(DAN, BUY, 10, 10, epoch=EPOCH - 1, **lane)
    found.append(("lanes_methods_and_arbitrators_must_agree", "MATCH-3 MATCH-5 MATCH-7 MATCH-8", sheet.bare()))
    for name, judges in {
        "nobody_judges_its_own_trade": ((ANN, DAN, ZERO_ADDRESS), (DAN, ANN, ZERO_ADDRESS)),
        "a_third_one_may_judge": ((ANN, DAN, BEN), (DAN, BEN, ANN)),
    }.items():
        sheet = Sheet()
        sheet.add(ANN, SELL, 9, **{**lane, "arbitrators": judges[0]})
        sheet.add(DAN, BUY, 10, 10, epoch=EPOCH - 1, **{**lane, "arbitrators": judges[1]})
        found.append((name, "MATCH-5", sheet.bare()))
    return found


def special_cases() -> list[Named]:
    """Post-only, FOK, parked pairs. Spec: [MATCH-9..11]."""
    found: list[Named] = []
    for name, epoch in (
        ("dies_if_it_would_take_in_its_own_epoch", EPOCH - 2),
        ("is_the_maker_of_an_older_order", EPOCH - 1),
    ):
        sheet = Sheet()
        sheet.add(ANN, BUY, 12, 4)
        sheet.add(BEN, BUY, 11, 4, epoch=EPOCH - 5)
        sheet.add(DAN, SELL, 10, 10, epoch=epoch, post_only=True, **({"nonce": 2**40} if epoch == EPOCH - 2 else {}))
        sheet.add(CAT, BUY, 10, 10, epoch=EPOCH)
        tiers = {DAN: 0, ANN: 1, BEN: 1}
        found.append((f"a_post_only_order_{name}", "MATCH-9", sheet.bare(tiers=tiers)))
    sheet = Sheet()
    sheet.add(ANN, BUY, 12, post_only=True)
    sheet.add(DAN, SELL, 10, 4, epoch=EPOCH - 1, post_only=True)
    sheet.add(CAT, BUY, 11, epoch=EPOCH)
    found.append(("two_post_only_orders_never_meet", "MATCH-5 MATCH-9", sheet.bare()))
    sheet = Sheet()
    sheet.add(ANN, SELL, 10, 4)
    sheet.add(BEN, SELL, 11, 6)
    sheet.add(DAN, BUY, 11, 10, epoch=EPOCH - 1, tif=FOK)
    found.append(("a_fok_order_is_filled_to_its_last_lot", "MATCH-10", sheet.bare()))
    sheet = Sheet()
    sheet.add(ANN, SELL, 10, 4)
    sheet.add(BEN, SELL, 11, 5)
    sheet.add(DAN, BUY, 11, 10, epoch=EPOCH - 1, tif=FOK)
    sheet.add(CAT, BUY, 10, 2, epoch=EPOCH)
    found.append(("or_not_at_all_and_leaves_the_lots_to_others", "MATCH-10", sheet.bare()))
    sheet = Sheet()
    sheet.add(ANN, SELL, 10, 40)
    sheet.add(DAN, BUY, 10, 10, epoch=EPOCH - 1, tif=FOK, free=((0, 9),))
    found.append(("a_fok_order_with_a_lot_held_takes_nothing", "MATCH-10", sheet.bare()))
    for count in (16, 17):
        sheet = Sheet()
        for number in range(count):
            sheet.add((ANN, BEN, CAT)[number % 3], SELL, 10, 1)
        sheet.add(DAN, BUY, 10, count, epoch=EPOCH - 1, tif=FOK)
        found.append((f"a_fok_order_of_{count}_pieces", "MATCH-10", sheet.bare()))
    sheet = Sheet()
    sheet.add(ANN, SELL, 9, epoch=EPOCH - 40)
    sheet.add(BEN, BUY, 12, epoch=EPOCH - 39)
    sheet.add(CAT, SELL, 10, epoch=EPOCH - 3)
    sheet.add(DAN, BUY, 11, epoch=EPOCH - 1)
    found.append(("a_pair_that_is_young_enough_stays_together", "MATCH-11", sheet.bare(w=50)))
    found.append(("a_parked_taker_enters_last", "MATCH-11", sheet.bare(w=12)))
    return found


def parked_cases() -> list[Named]:
    """A pair is parked if both are older than w epochs, be it by one; a third order shows whether. Spec: [MATCH-11]."""
    found: list[Named] = []
    ages = {"both_are_older": (13, 13), "the_maker_alone_is_older": (13, 12), "neither_is_older": (12, 12)}
    for name, (maker_age, taker_age) in ages.items():
        sheet = Sheet()
        sheet.add(ANN, SELL, 9, epoch=EPOCH - maker_age - 1, effective=EPOCH - maker_age)
        sheet.add(BEN, BUY, 12, epoch=EPOCH - taker_age)
        sheet.add(DAN, BUY, 12, epoch=EPOCH - 1)
        found.append((f"parked_or_not_as_{name}", "MATCH-11", sheet.bare(w=12)))
    for name, maker_age in {"both_are_older": 13, "the_taker_alone_is_older": 12}.items():
        sheet = Sheet()
        sheet.add(ANN, BUY, 12, epoch=EPOCH - 14)
        sheet.add(BEN, SELL, 10, epoch=EPOCH - maker_age, post_only=True)
        sheet.add(CAT, BUY, 11, epoch=EPOCH - 1)
        found.append((f"a_resting_taker_parked_or_not_as_{name}", "MATCH-9 MATCH-11", sheet.bare(w=12)))
    sheet = Sheet()
    for lane in range(4):
        terms: dict[str, Any] = {"payment_methods": (7,), "arbitrators": ARBITERS} if lane else {}
        sheet.add(ANN, SELL, 9, security=lane, **terms)
        sheet.add(DAN, BUY, 9, epoch=EPOCH - 1, security=lane, **terms)
    found.append(("a_trade_in_each_lane", "MATCH-5", sheet.bare()))
    return found


def named_bares() -> list[Named]:
    """Every case: name, rules, book."""
    return [*priority_cases(), *presence_cases(), *pair_cases(), *special_cases(), *parked_cases()]


def period_cases() -> list[Case]:
    """Which block anchors a period and what follows. Spec: [MATCH-12]."""
    constants = {name: getattr(CLOCK.constants, name) for name in Constants.__dataclass_fields__}
    clock = Clock(
        constants=Constants(**(constants | {"period_s": 60, "beacon_lag_s": 5, "bond_multiple": 50})),
        genesis_ms=CLOCK.genesis_ms,
    )
    genesis_s = clock.genesis_ms // 1000
    times = (
        genesis_s - 100,
        genesis_s - 30,
        genesis_s - 5,
        genesis_s - 4,
        genesis_s + 54,
        genesis_s + 55,
        genesis_s + 70,
    )
    bonds = {
        0: (BondChanged(owner=ANN, amount=5), BondChanged(owner=BEN, amount=7)),
        4: (BondChanged(owner=BEN, amount=0),),
    }
    blocks = [
        Block(number=number, hash=keccak(b"block %d" % number), time_s=time_s, facts=bonds.get(number, ()))
        for number, time_s in enumerate(times)
    ]
    cases: list[Case] = []
    for name, shown_blocks, epoch in (
        ("no_block_that_early", blocks[3:], 0),
        ("the_last_block_that_early", blocks, 0),
        ("at_the_last_epoch_of_the_period", blocks, 119),
        ("of_the_next_period", blocks, 120),
        ("unknown_while_no_later_block_was_seen", blocks[:3], 0),
        ("of_the_next_period_unknown", blocks[:5], 120),
    ):
        period = period_of(shown_blocks, clock, MARKET_ID, epoch)
        cases.append({"name": name, "clock": clock, "blocks": shown_blocks, "epoch": epoch, "period": period})
    return cases
