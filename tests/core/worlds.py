"""Worlds: signed feeds and chain facts, told as steps and built with the reference alone.

A step is a verb with a few dice; what a die decides is the world's business, so that hypothesis can shrink steps and a
seeded generator can throw them. Most steps are what honest nodes do; some dice make them wrong in one way.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from protocol.reference import chain, feeds
from protocol.reference.checkpoints import end_at_false_checkpoint, implied_before
from protocol.reference.signing import digest, keccak
from protocol.reference.types import (
    BUY,
    DAY,
    FOK,
    GTC,
    GTD,
    IOC,
    PROTECTED_MARKET,
    ZERO_ADDRESS,
    ZERO_DIGEST,
    Clock,
    Constants,
    Digest,
    Order,
    Ready,
    Signature,
    Ticket,
    epoch_start_s,
)
from tests.core.pens import (
    DOMAIN,
    FIRST_EPOCH,
    MARKET,
    MARKET_ID,
    OTHER_MARKET_ID,
    Pen,
    delegation_item,
    idle_item,
    make_entry,
    order_item,
    sign_entry,
    ticket_list,
    with_high_s,
)
from tests.core.signers import Peer, Signer

CONSTANTS = Constants(
    epoch_ms=500,
    grace_ms=400,
    t_ack_ms=1000,
    wait=4,
    k=10,
    w=12,
    d=5,
    l_fund=2,
    quorum=1,
    degree=4,
    presence_s=1,
    dead_s=4,
    period_s=600,
    beacon_lag_s=120,
    checkpoint_age_s=19,
    bond_multiple=0,
)
CLOCK = Clock(constants=CONSTANTS, genesis_ms=1_700_000_000_250)
BONDED = replace(CLOCK, constants=replace(CONSTANTS, bond_multiple=2, period_s=3, beacon_lag_s=2))
QUOTE_PER_BOND = 50_000  # [FUND-6], where bonds are needed
OWNERS = tuple(Signer(f"owner {number}") for number in range(3))
SESSIONS = tuple(Signer(f"session {number}") for number in range(5))
DICE = 8
DAY_S = 86_400
ESCROW: dict[str, Any] = {"payment_methods": (7, 3), "arbitrators": (b"\x0a" * 20,)}
LEASE = {"tif": GTD, "expiry": 60}  # an expiry here is seconds after the epoch's start
FORMS: dict[str, dict[str, Any]] = {
    "fill_or_kill": {"tif": FOK, "expiry": 5},
    "fill_or_kill_without_expiry": {"tif": FOK},
    "day": {"tif": DAY},
    "day_a_second_off": {"tif": DAY, "expiry": 1},
    "day_of_tomorrow": {"tif": DAY, "expiry": DAY_S},
    "good_till_date": LEASE,
    "good_till_no_date": {"tif": GTD},
    "post_only": {"post_only": True},
    "post_only_ioc": {"tif": IOC, "expiry": 5, "post_only": True},
    "protected_market_ioc": {"kind": PROTECTED_MARKET, "tif": IOC, "expiry": 5},
    "protected_market_fok": {"kind": PROTECTED_MARKET, "tif": FOK, "expiry": 5},
    "protected_market_gtc": {"kind": PROTECTED_MARKET},
    "highest_tier": {"min_tier": 3},
    "tier_above_the_highest": {"min_tier": 4},
    "lane_1": ESCROW | {"security": 1},
    "lane_2_good_till_date": ESCROW | LEASE | {"security": 2},
    "lane_3_ioc": ESCROW | {"security": 3, "tif": IOC, "expiry": 5},
    "lane_4": ESCROW | {"security": 4},
    "lane_0_with_methods_and_arbitrators": ESCROW,
    "lane_1_without_methods": ESCROW | {"security": 1, "payment_methods": ()},
    "lane_1_without_arbitrators": ESCROW | {"security": 1, "arbitrators": ()},
    "lane_1_fill_or_kill": ESCROW | {"security": 1, "tif": FOK, "expiry": 5},
}
VERBS = (
    ("order", 24),
    ("write", 4),
    ("tick", 6),
    ("offer", 5),
    ("ticket", 4),
    ("block", 4),
    ("cancel", 2),
    ("settle", 2),
    ("fund", 3),
    ("form", 8),
    ("modify", 3),
    ("decline", 2),
    ("bond", 1),
    ("default", 1),
    ("revoke", 1),
    ("undo", 1),
    ("fork", 1),
    ("break_feed", 1),
    ("junk", 1),
    ("checkpoint", 0),
)
WEIGHTED_VERBS = tuple(verb for verb, weight in VERBS for _ in range(weight))


@dataclass(frozen=True)
class Step:
    """One thing that happens: a verb and the dice that say how."""

    verb: str
    dice: tuple[int, ...]


class Dice:
    """Reads a step's dice one by one; runs out into zeros, which are the plain choice."""

    def __init__(self, values: Iterable[int]) -> None:
        self._values = list(values)

    def below(self, bound: int) -> int:
        """A number from 0 to bound - 1."""
        return self._values.pop(0) % bound if self._values else 0


@dataclass(frozen=True)
class MadeOffer:
    """A ticket that a taker signed, with the orders it joins."""

    ticket: Ticket
    maker: Order
    taker: Order
    taker_signature: Signature


class World:
    """Feeds and a chain, growing step by step; `entries`, `blocks` and `epoch` are what came out."""

    def __init__(self, clock: Clock = CLOCK) -> None:
        self.clock = clock
        self.entries: list[bytes] = []
        self.epoch = FIRST_EPOCH
        self.pens = [
            Pen(session=session, owner=OWNERS[number % len(OWNERS)], peer=Peer(f"peer {number}"))
            for number, session in enumerate(SESSIONS)
        ]
        self.orders: list[Order] = []
        self.order_ids: list[Digest] = []
        self.offers: list[MadeOffer] = []
        self.ticket_nonce = 0
        self.facts: list[chain.Fact] = []
        self.blocks: list[chain.Block] = []
        self._verbs: dict[str, Callable[[Dice], None]] = {verb: getattr(self, f"_{verb}") for verb in dict(VERBS)}

    def do(self, step: Step) -> None:
        """Let one step happen."""
        self._verbs[step.verb](Dice(step.dice))

    # the chain

    def open_chain(self, purse: int) -> None:
        """Authorise the sessions but the last and allocate funds; a purse of 0 pays for few orders, of 3 for most."""
        lots = (15, 60, 200, 5000)[purse]
        for pen in self.pens[:-1]:
            scope = 1 if pen is self.pens[-2] else 3
            expiry = epoch_start_s(CLOCK, FIRST_EPOCH + 12) if pen is self.pens[1] and purse == 1 else 2**40
            self.facts.append(
                chain.SessionAuthorised(
                    owner=pen.owner.address, session=pen.session.address, scope=scope, expiry=expiry
                )
            )
        for owner in OWNERS:
            if self.clock.constants.bond_multiple:
                self.facts.append(chain.BondChanged(owner=owner.address, amount=(1, 20, 60, 5000)[purse]))
            self._allocate(owner, MARKET.base, lots * MARKET.lot_size)
            self._allocate(owner, MARKET.quote, lots * 100 * MARKET.tick_size)
        self.add_block(epoch_start_s(CLOCK, FIRST_EPOCH) - 60)

    def _allocate(self, owner: Signer, token: bytes, delta: int) -> None:
        self.facts.append(chain.FundsChanged(owner=owner.address, market=MARKET_ID, token=token, delta=delta))

    def add_block(self, time_s: int) -> None:
        """Close a block with the facts that wait."""
        number = self.blocks[-1].number + 1 if self.blocks else 7
        block_time_s = max(time_s, self.blocks[-1].time_s if self.blocks else 0)
        block_hash = keccak(b"block %d" % number)
        self.blocks.append(chain.Block(number=number, hash=block_hash, time_s=block_time_s, facts=tuple(self.facts)))
        self.facts = []

    def _block(self, dice: Dice) -> None:
        self.add_block(epoch_start_s(CLOCK, self.epoch) - dice.below(3))

    def _fund(self, dice: Dice) -> None:
        token, unit = ((MARKET.base, MARKET.lot_size), (MARKET.quote, 100 * MARKET.tick_size))[dice.below(2)]
        lots = dice.below(12) * (1 if dice.below(2) else -1)
        self._allocate(OWNERS[dice.below(len(OWNERS))], token, lots * unit)

    def _revoke(self, dice: Dice) -> None:
        pen = self.pens[dice.below(len(self.pens))]
        if pen is self.pens[-1]:
            record = chain.SessionAuthorised(
                owner=pen.owner.address, session=pen.session.address, scope=1 + dice.below(3), expiry=2**40
            )
            self.facts.append(record)
        else:
            self.facts.append(chain.SessionRevoked(owner=pen.owner.address, session=pen.session.address))

    def _undo(self, dice: Dice) -> None:
        """An owner cancels an order on the chain, or all of a session's up to a nonce, at times another's."""
        pen, is_one, other = self._pen(dice), dice.below(2), OWNERS[dice.below(len(OWNERS))]
        owner = other if dice.below(4) == 0 else pen.owner
        if is_one and self.order_ids:
            named = self.order_ids[dice.below(len(self.order_ids))]
            self.facts.append(chain.OrderCancelled(owner=owner.address, order=named))
        elif not is_one:
            nonce = dice.below(pen.nonce + 1)
            self.facts.append(chain.OrdersCancelled(owner=owner.address, session=pen.session.address, nonce=nonce))

    def _bond(self, dice: Dice) -> None:
        owner, micro_units = OWNERS[dice.below(len(OWNERS))], (0, 5, 10, 40)[dice.below(4)]
        self.facts.append(chain.BondChanged(owner=owner.address, amount=micro_units))

    def _default(self, dice: Dice) -> None:
        guilty, ticket = OWNERS[dice.below(len(OWNERS))], keccak(b"a ticket that failed")
        victim = OWNERS[0].address
        if dice.below(3) == 0:
            self.facts.append(chain.Defaulted(owner=guilty.address, ticket=ticket, victim=victim, amount=7))

    def _settle(self, dice: Dice) -> None:
        if not self.offers:
            return
        offer = self.offers[dice.below(len(self.offers))]
        ticket = offer.ticket
        if ticket.maker_to <= ticket.maker_from:
            return
        settled = chain.TradeSettled(
            ticket=digest(DOMAIN, "Ticket", ticket),
            market=MARKET_ID,
            maker_order=ticket.maker_order,
            taker_order=ticket.taker_order,
            maker_owner=offer.maker.owner,
            taker_owner=offer.taker.owner,
            is_maker_buyer=offer.maker.side == BUY,
            price_ticks=ticket.price_ticks,
            maker_from=ticket.maker_from,
            maker_to=ticket.maker_to,
            taker_from=ticket.taker_from,
            taker_to=ticket.taker_from + ticket.maker_to - ticket.maker_from,
            fee=(0, 0, 3)[dice.below(3)] if offer.maker.security == 0 else 0,
            security=offer.maker.security if offer.maker.security <= 3 else 0,
        )
        known = [fact for block in self.blocks for fact in block.facts] + self.facts
        if not any(isinstance(fact, chain.TradeSettled) and fact.ticket == settled.ticket for fact in known):
            self.facts.append(settled)

    # orders and tickets

    def _pen(self, dice: Dice) -> Pen:
        return self.pens[dice.below(len(self.pens))]

    def _order(self, dice: Dice) -> None:
        pen = self._pen(dice)
        side, price_ticks, quantity_lots = dice.below(2), 97 + dice.below(7), 2 + dice.below(9)
        life, quirk, must_write = dice.below(8), dice.below(40), dice.below(3) != 0
        tif = IOC if life in (1, 2, 3) else GTC
        expiry = epoch_start_s(CLOCK, self.epoch) + 1 + life if life >= 2 else 0
        if tif == IOC and life == 1:
            expiry = epoch_start_s(CLOCK, self.epoch) + 60
        order = self.new_order(pen, side, price_ticks, quantity_lots, tif=tif, expiry=expiry)
        pen.nonce += dice.below(2)
        order = self._spoil_order(order, quirk)
        signer = {4: pen.session, 5: pen.session, 6: pen.session, 7: SESSIONS[0]}.get(quirk, pen.owner)
        self.say_order(pen, order, signer)
        if quirk == 8:
            pen.items.append(order_item(order, signer))
        if quirk == 9:
            self.pens[0].items.append(order_item(order, signer))
        if must_write:
            self.flush(pen)

    def new_order(self, pen: Pen, side: int, price_ticks: int, quantity_lots: int, **changes: Any) -> Order:
        """A pen's next order: good till cancelled, settled atomically, unless changed."""
        order = Order(
            market=MARKET_ID,
            owner=pen.owner.address,
            session=pen.session.address,
            nonce=pen.nonce,
            side=side,
            kind=0,
            price_ticks=price_ticks,
            quantity_lots=quantity_lots,
            tif=GTC,
            expiry=0,
            post_only=False,
            min_tier=0,
            payment_methods=(),
            arbitrators=(),
            security=0,
        )
        pen.nonce += 1
        return replace(order, **changes)

    def say_order(self, pen: Pen, order: Order, signer: Signer) -> None:
        """Let a pen write an order with its next entry; the world knows it as its newest."""
        pen.items.append(order_item(order, signer))
        self.orders.append(order)
        self.order_ids.append(digest(DOMAIN, "Order", order))

    def _form(self, dice: Dice) -> None:
        pen, side, price_ticks = self._pen(dice), dice.below(2), 97 + dice.below(7)
        quantity_lots, form = 2 + dice.below(9), list(FORMS)[dice.below(len(FORMS))]
        self.say_form(pen, side, price_ticks, quantity_lots, form)
        if dice.below(3) != 2:
            self.flush(pen)

    def say_form(self, pen: Pen, side: int, price_ticks: int, quantity_lots: int, form: str) -> Order:
        """Let a pen write an order of one of the forms, good or not, that is not plain."""
        changes, start_s = dict(FORMS[form]), epoch_start_s(CLOCK, max(self.epoch, pen.last.epoch if pen.last else 0))
        since_s = changes.get("expiry", 0)
        if changes.get("tif") == DAY:
            changes["expiry"] = start_s - start_s % DAY_S + DAY_S + since_s
        elif since_s:
            changes["expiry"] = start_s + since_s
        order = self.new_order(pen, side, price_ticks, quantity_lots, **changes)
        self.say_order(pen, order, pen.owner)
        return order

    def _modify(self, dice: Dice) -> None:
        pen = self._pen(dice)
        own = [order for order in self.orders if order.session == pen.session.address]
        if not own:
            return
        old = own[-1 - dice.below(len(own))]
        quantity_lots, is_backwards = 2 + dice.below(9), dice.below(4) == 3
        cancel = [feeds.CANCEL, self.order_ids[self.orders.index(old)]]
        if not is_backwards:
            pen.items.append(cancel)
        self.say_order(pen, self.new_order(pen, old.side, old.price_ticks, quantity_lots), pen.owner)
        if is_backwards:
            pen.items.append(cancel)
        self.flush(pen)

    def _decline(self, dice: Dice) -> None:
        if not self.offers:
            return
        offer = self.offers[-1 - dice.below(len(self.offers))]
        quirk = dice.below(8)
        pen = self.pens[0] if quirk == 6 else self.pen_of(offer.maker)
        ticket = replace(offer.ticket, epoch=offer.ticket.epoch + 1) if quirk == 7 else offer.ticket
        pen.items.append([feeds.DECLINE, ticket.maker_order, ticket.taker_order, ticket.epoch, 2])
        if dice.below(4) != 3:
            self.flush(pen)

    def _spoil_order(self, order: Order, quirk: int) -> Order:
        spoilt: dict[int, dict[str, Any]] = {
            20: {"quantity_lots": MARKET.min_fill_lots - 1},
            21: {"nonce": max(0, order.nonce - 1)},
            22: {"kind": 1},
            23: {"tif": 2},
            24: {"tif": IOC, "expiry": 0},
            25: {"post_only": True},
            26: {"min_tier": 1},
            27: {"payment_methods": (7, 3)},
            28: {"arbitrators": (b"\x0a" * 20,)},
            29: {"security": 1},
            30: {"market": OTHER_MARKET_ID},
            31: {"owner": OWNERS[0].address},
            32: {"session": SESSIONS[0].address},
            33: {"quantity_lots": 2**64 - 1},
            34: {"price_ticks": 2**64 - 1},
        }
        return replace(order, **spoilt.get(quirk, {}))

    def _cancel(self, dice: Dice) -> None:
        pen = self._pen(dice)
        own = [order for order in self.orders if order.session == pen.session.address] or self.orders
        among = self.orders if dice.below(8) == 7 else own
        if among:
            order = among[-1 - dice.below(len(among))]
            pen.items.append([feeds.CANCEL, self.order_ids[self.orders.index(order)]])
        if dice.below(2):
            self.flush(pen)

    def _offer(self, dice: Dice) -> None:
        if not self.orders:
            return
        taker = self.orders[-1 - dice.below(len(self.orders))]
        opposite = [order for order in self.orders if order.side != taker.side]
        if not opposite:
            return
        maker = opposite[-1 - dice.below(len(opposite))]
        lots, start, age, quirk = 1 + dice.below(4), dice.below(6), dice.below(4), dice.below(30)
        if quirk == 20:
            maker = next((order for order in self.orders if order.side == taker.side), maker)
        ticket = self.ticket_between(maker, taker, lots, start, self.epoch - (age if age < 3 else 0))
        ticket = self._spoil_ticket(ticket, quirk)
        taker_pen, maker_pen = self.pen_of(taker), self.pen_of(maker)
        taker_signer = maker_pen.session if quirk == 21 else taker_pen.session
        ready_signer = OWNERS[0] if quirk == 22 else maker_pen.session
        taker_signature = taker_signer.sign_struct(DOMAIN, "Ticket", ticket)
        ready_epoch = ticket.epoch + (1 if quirk == 23 else 0)
        ready = Ready(ticket=digest(DOMAIN, "Ticket", ticket), epoch=ready_epoch)
        ready_signature = ready_signer.sign_struct(DOMAIN, "Ready", ready)
        if quirk == 24:
            ready_signature = bytes(65)
        if quirk == 25:
            taker_signature = with_high_s(taker_signature)
        self.offers.append(MadeOffer(ticket=ticket, maker=maker, taker=taker, taker_signature=taker_signature))
        pen = self.pens[0] if quirk == 26 else taker_pen
        pen.items.append([feeds.OFFER, ticket_list(ticket), taker_signature, ready_epoch, ready_signature])
        if dice.below(4) != 3:
            self.flush(pen)

    def ticket_between(self, maker: Order, taker: Order, lots: int, start: int, epoch: int) -> Ticket:
        self.ticket_nonce += 1
        return Ticket(
            maker_order=self.order_ids[self.orders.index(maker)],
            taker_order=self.order_ids[self.orders.index(taker)],
            price_ticks=maker.price_ticks,
            maker_from=start,
            maker_to=start + lots,
            taker_from=start // 2,
            taker_to=start // 2 + lots,
            epoch=epoch,
            deadline=epoch_start_s(CLOCK, epoch) + CONSTANTS.d,
            ticket_nonce=self.ticket_nonce,
            kind=0,
            payment_method=0,
            arbitrator=ZERO_ADDRESS,
            security=0,
            group=ZERO_DIGEST,
        )

    def _spoil_ticket(self, ticket: Ticket, quirk: int) -> Ticket:
        spoilt: dict[int, dict[str, Any]] = {
            10: {"taker_to": ticket.taker_to + 1},
            11: {"maker_to": ticket.maker_from, "taker_to": ticket.taker_from},
            12: {"price_ticks": 0},
            13: {"deadline": ticket.deadline + 1},
            14: {"deadline": epoch_start_s(CLOCK, ticket.epoch) - 1},
            15: {"deadline": epoch_start_s(CLOCK, ticket.epoch) + 1},
            16: {"epoch": ticket.epoch + 3},
            17: {"maker_order": keccak(b"an order that nobody has seen")},
            18: {"maker_to": 2**64 - 1, "taker_to": ticket.taker_from + 2**64 - 1 - ticket.maker_from},
        }
        return replace(ticket, **spoilt.get(quirk, {}))

    def _ticket(self, dice: Dice) -> None:
        if not self.offers:
            return
        offer = self.offers[-1 - dice.below(len(self.offers))]
        quirk = dice.below(16)
        pen = self.pen_of(offer.maker)
        maker_signer = OWNERS[0] if quirk == 10 else pen.session
        taker_signature = bytes(64) + b"\x1b" if quirk == 11 else offer.taker_signature
        if quirk == 12:
            pen = self.pens[0]
        maker_signature = maker_signer.sign_struct(DOMAIN, "Ticket", offer.ticket)
        pen.items.append([feeds.TICKET, ticket_list(offer.ticket), taker_signature, maker_signature])
        if dice.below(4) != 3:
            self.flush(pen)

    def pen_of(self, order: Order) -> Pen:
        return next((pen for pen in self.pens if pen.session.address == order.session), self.pens[0])

    # feeds

    def _tick(self, dice: Dice) -> None:
        self.epoch += 1 + dice.below(3)
        if dice.below(2) == 0:
            self.add_block(epoch_start_s(CLOCK, self.epoch) - 1)

    def _write(self, dice: Dice) -> None:
        pen = self._pen(dice)
        ahead = {6: 1, 7: 3}.get(dice.below(8), 0)
        self.flush(pen, **({"epoch": self.epoch + ahead} if ahead else {}))

    def flush(self, pen: Pen, **changes: Any) -> None:
        """Write what waits into the next entry of a feed; `changes` spoil its header."""
        if pen.seq == 0:
            pen.items.insert(0, delegation_item(pen))
        items = pen.items or [[feeds.CANCEL, keccak(b"nothing")]]
        pen.items = []
        epoch = max(self.epoch, pen.last.epoch if pen.last else 0)
        entry = make_entry(pen, items, **({"epoch": epoch} | changes))
        self.entries.append(sign_entry(pen, entry))
        pen.last, pen.prev_hash, pen.seq = entry, entry.entry_hash, entry.seq + 1

    def true_checkpoint(self, pen: Pen) -> list[Any]:
        """The Checkpoint that a pen's next entry may end with, after the items that wait. Spec: [FEED-13]."""
        waiting = [delegation_item(pen), *pen.items] if pen.seq == 0 else pen.items
        entry = make_entry(pen, waiting, epoch=max(self.epoch, pen.last.epoch if pen.last else 0))
        names = (pen.session.address, pen.market)
        known = [feed for feed in feeds.read_feeds(DOMAIN, self.entries) if (feed.session, feed.market) == names]
        judged = [end_at_false_checkpoint(DOMAIN, self.clock, MARKET, feed) for feed in known]
        before = judged[0].standing if judged else ()
        feed = feeds.Feed(session=names[0], market=names[1], known=(), standing=(*before, entry), forked_seq=None)
        is_readable = before != () or pen.seq == 0  # else the pen has broken its feed from the start
        so = implied_before(DOMAIN, self.clock, MARKET, feed, len(before)) if is_readable else None
        return so.item if so is not None else [feeds.CHECKPOINT, 0, keccak(b"none is true"), [], [], [], []]

    def say_checkpoint(self, pen: Pen, way: int = 0) -> None:
        """Let a pen end its next entry with a Checkpoint, a true one (0) or one that is false in some way.

        In way 8 it stands where it may not, if the pen's last entry claims this epoch.
        """
        if way != 8 and pen.last is not None and pen.last.epoch >= self.epoch:
            self.epoch = pen.last.epoch + 1
        _, next_nonce, _, *lists = said = self.true_checkpoint(pen)
        listed: list[list[Digest]] = [list(each) for each in lists]
        stranger = keccak(b"an item that nobody has seen")
        if way == 1:
            said[1] = next_nonce + 1
        elif way == 2 and listed[0]:
            said[3] = listed[0][1:]
        elif way == 3:
            said[3] = sorted([*listed[0], stranger])
        elif way in (4, 5):
            said[way + 1] = listed[way - 2][1:] or [stranger]
        pen.items.append(said)
        if way == 6:
            pen.items.append(idle_item(pen))
        elif way == 7:
            pen.items.append(list(said))
        self.flush(pen)

    def _checkpoint(self, dice: Dice) -> None:
        pen, way = self._pen(dice), dice.below(45)
        self.say_checkpoint(pen, way if way < 9 else 0)

    def _fork(self, dice: Dice) -> None:
        pen = self._pen(dice)
        if pen.last is None or dice.below(3):
            self._order(dice)
            return
        items = pen.items or [[feeds.CANCEL, keccak(b"fork %d" % len(self.entries))]]
        way = dice.below(3)
        pen.items = [] if way == 0 else pen.items
        if pen.last.seq == 0:
            items = [delegation_item(pen), *items]
        seq = pen.last.seq + (2 if way == 2 else 0)
        other = make_entry(pen, items, seq=seq, prev_hash=pen.last.prev_hash, epoch=self.epoch)
        self.entries.append(sign_entry(pen, other))
        if way == 2:
            again = make_entry(pen, [*items, items[-1]], seq=seq, prev_hash=pen.last.prev_hash, epoch=self.epoch)
            self.entries.append(sign_entry(pen, again))

    def _break_feed(self, dice: Dice) -> None:
        pen = self._pen(dice)
        if dice.below(3):
            self._order(dice)
            return
        way = dice.below(8)
        spoilt: dict[int, dict[str, Any]] = {
            1: {"epoch": FIRST_EPOCH - 1},
            2: {"prev_hash": keccak(b"elsewhere")},
            3: {"owner": keccak(b"someone")[:20]},
        }
        if way == 0:
            for _ in range(5):
                self.flush(pen)
        elif way in spoilt:
            self.flush(pen, **spoilt[way])
        elif way == 4:
            pen.items.append(delegation_item(pen))
            self.flush(pen)
        elif way == 5:
            self.flush(pen)
            self.entries.pop()
        elif way == 6:
            pen.items.append(idle_item(pen))
            self.flush(pen, seq=pen.seq + 3)
        else:
            delegation = delegation_item(pen)
            delegation[6] = bytes(64)
            if pen.seq == 0:
                self._open_badly(pen, delegation)

    def _open_badly(self, pen: Pen, delegation: list[Any]) -> None:
        entry = make_entry(pen, [delegation], epoch=self.epoch)
        self.entries.append(sign_entry(pen, entry))
        pen.last, pen.prev_hash, pen.seq = entry, entry.entry_hash, 1

    def _junk(self, dice: Dice) -> None:
        pen = self._pen(dice)
        way = dice.below(5)
        entry = make_entry(pen, [delegation_item(pen)], epoch=self.epoch)
        if way == 0:
            self.entries.append(b"\x89" + bytes([dice.below(256)]))
        elif way == 1:
            self.entries.append(feeds.encode_entry(entry, OWNERS[0].sign(entry.entry_hash)))
        elif way == 2:
            self.entries.append(sign_entry(pen, replace(entry, items_root=keccak(b"other items"))))
        elif way == 3:
            foreign = make_entry(pen, [delegation_item(pen)], market=OTHER_MARKET_ID, epoch=self.epoch)
            self.entries.append(sign_entry(pen, foreign))
        else:
            self.entries.append(sign_entry(pen, make_entry(pen, [[6, ZERO_DIGEST, ZERO_DIGEST, 1, 1]])))

    def close(self) -> None:
        """Write what still waits, and let the chain go on past every epoch asked about."""
        for pen in self.pens:
            if pen.items:
                self.flush(pen)
        for epochs in (0, 1, 4, 40):
            self.add_block(epoch_start_s(CLOCK, self.epoch + epochs) - CONSTANTS.l_fund + epochs % 2)


def build_world(purse: int, steps: Iterable[Step], clock: Clock = CLOCK) -> World:
    """A world in which these steps have happened."""
    world = World(clock)
    world.open_chain(purse)
    for step in steps:
        world.do(step)
    world.close()
    return world


def throw_steps(seed: int, count: int) -> list[Step]:
    """Steps from a seed, the same under every PYTHONHASHSEED."""
    dice = Random(seed)
    return [Step(dice.choice(WEIGHTED_VERBS), tuple(dice.randrange(2**16) for _ in range(DICE))) for _ in range(count)]
