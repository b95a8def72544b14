"""The taker's side of a ticket: Prepare, compare views if need be, sign the Offer, wait for the Ticket.

The legs of a FOK order go together: prepared at once, offered in one entry once all are Ready, dropped if one fails.
Spec: protocol/spec/05-tickets.md [TICK-2, TICK-4, TICK-5, TICK-8, TICK-11, TICK-15].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from orrange_p2p.core.events import Action, Note, Path, SendTicketMessage, SyncWith
from orrange_p2p.core.frames import MAX_SKIPS
from orrange_p2p.core.hashing import recover_address
from orrange_p2p.core.matching import Piece
from orrange_p2p.core.messages import (
    NO_EXCHANGE,
    DeclineFrame,
    DeclineReason,
    Item,
    Offer,
    OfferFrame,
    Prepare,
    Ready,
    View,
)
from orrange_p2p.core.own_funds import OwnFunds, bond_beyond_limit
from orrange_p2p.core.own_lots import Claim
from orrange_p2p.core.tickets import (
    MAX_BACKOFF,
    MAX_LEGS,
    Desk,
    PairKey,
    Suspicion,
    build_ticket,
    is_leg_taker,
    piece_of,
    with_group,
)
from orrange_p2p.core.types import ZERO_DIGEST, Address, Digest, Epoch, OrderId, PeerId, Ticket, TicketDigest
from orrange_p2p.core.window import Window

MAX_EXCHANGES = 256
MAX_NUDGES = 4
FAILURES_BEFORE_FALLBACK = 2


class Stage(Enum):
    """How far an exchange is."""

    PREPARED = "prepared"
    SYNCING = "syncing"
    COMPARED = "compared"
    READY = "ready"
    OFFERED = "offered"


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One ticket under way, seen from the taker."""

    number: int
    peer: PeerId
    maker_session: Address
    ticket: Ticket
    digest: TicketDigest
    path: Path
    give_up_ms: int
    stage: Stage = Stage.PREPARED
    view: View | None = None
    ready: Ready | None = None

    @property
    def is_leg(self) -> bool:
        """Whether it trades only together with the rest of its group."""
        return self.ticket.group != ZERO_DIGEST


class Taker:
    """All exchanges that this node's orders have open as takers in one market."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._exchanges: dict[int, Exchange] = {}
        self._suspicion = Suspicion()
        self._unkept = Suspicion(least=MAX_BACKOFF)
        self._nudges: dict[Epoch, int] = {}
        self._failures: dict[PairKey, tuple[Epoch, ...]] = {}

    def open_window(self, window: Window, now_ms: int) -> list[Action]:
        """Prepare every entitled piece of own orders whose lots are not busy."""
        desk = self._desk
        own = desk.identity.session
        silent = self._silent(window.epoch)
        pieces = window.pieces
        if silent:
            pieces = desk.windows.engine.entitlements(frozenset((own, session) for session in silent))
        actions: list[Action] = []
        for together in self._own_pieces(pieces):
            actions.extend(self._prepare(together, window, silent, now_ms))
        return actions

    def _own_pieces(self, pieces: Sequence[Piece]) -> list[list[Piece]]:
        """Pieces that own orders take, each alone, but all of a FOK order together. Spec: [TICK-15]."""
        found: list[list[Piece]] = []
        legs: dict[OrderId, list[Piece]] = {}
        for piece in pieces:
            record = self._desk.own_order(piece.taker_order)
            if record is None:
                continue
            if not is_leg_taker(record.order):
                found.append([piece])
            elif piece.taker_order in legs:
                legs[piece.taker_order].append(piece)
            else:
                legs[piece.taker_order] = [piece]
                found.append(legs[piece.taker_order])
        return found

    def _silent(self, epoch: Epoch) -> tuple[Address, ...]:
        """Sessions to pass over: those that did not answer, and those that had an Offer and gave no Ticket."""
        silent = {*self._suspicion.suspected(epoch), *self._unkept.suspected(epoch)}
        return tuple(sorted(silent)[:MAX_SKIPS])

    def _prepare(
        self, pieces: Sequence[Piece], window: Window, silent: tuple[Address, ...], now_ms: int
    ) -> list[Action]:
        """Ask for all these pieces of one own order, or for none if one cannot be had now."""
        desk = self._desk
        taker = desk.own_order(pieces[0].taker_order)
        if taker is None or desk.is_cancelled(taker.order_id) or len(self._exchanges) + len(pieces) > MAX_EXCHANGES:
            return []
        start_s = desk.rules.epoch_start_s(window.epoch)
        tickets: list[Ticket] = []
        partners: list[tuple[PeerId, Address]] = []
        for nonce, piece in enumerate(pieces, start=desk.numbers.ticket_nonce):
            maker = desk.feeds.order(piece.maker_order)
            peer = desk.peer_of(maker.order.session) if maker is not None else None
            is_free = desk.own_lots.is_free(taker.order_id, (piece.taker_from, piece.taker_to), start_s)
            if maker is None or peer is None or not is_free:
                return []
            partners.append((peer, maker.order.session))
            tickets.append(build_ticket(piece, window.epoch, nonce, desk.rules, maker=maker.order, taker=taker.order))
        if is_leg_taker(taker.order):
            if len(pieces) > MAX_LEGS or sum(piece.lots for piece in pieces) != taker.order.quantity_lots:
                return []
            tickets = list(with_group(desk.digests, tickets))
        if not self._covers_bond(tickets[0], window.epoch):
            return [Note(name="bond_short")]
        desk.numbers.ticket_nonce += len(tickets)
        return [
            self._open_exchange(ticket, *partner, window, silent, now_ms)
            for ticket, partner in zip(tickets, partners, strict=True)
        ]

    def _open_exchange(
        self,
        ticket: Ticket,
        peer: PeerId,
        maker_session: Address,
        window: Window,
        silent: tuple[Address, ...],
        now_ms: int,
    ) -> Action:
        desk = self._desk
        number = desk.numbers.exchange
        desk.numbers.exchange += 1
        digest = desk.digests.ticket(ticket)
        lots = (ticket.taker_from, ticket.taker_to)
        desk.own_lots.lock(ticket.taker_order, lots, ticket, digest, Claim.EXCHANGE)
        failures = self._failures.get((ticket.maker_order, ticket.taker_order), ())
        is_fallback = ticket.group == ZERO_DIGEST and len(failures) >= FAILURES_BEFORE_FALLBACK
        self._exchanges[number] = Exchange(
            number=number,
            peer=peer,
            maker_session=maker_session,
            ticket=ticket,
            digest=digest,
            path=Path.FALLBACK if is_fallback else Path.EQUAL,
            give_up_ms=now_ms + desk.rules.preset.t_ack_ms,
        )
        message = Prepare(
            exchange=number,
            ticket=ticket,
            window_digest=window.digest,
            skips=silent,
            is_fallback=is_fallback,
            absent=desk.windows.absent,
        )
        return SendTicketMessage(peer=peer, message=message)

    def _find(self, peer: PeerId, number: int, *stages: Stage) -> Exchange | None:
        exchange = self._exchanges.get(number)
        if exchange is None or exchange.peer != peer or exchange.stage not in stages:
            return None
        return exchange

    def on_view(self, peer: PeerId, view: View, now_ms: int) -> list[Action]:
        """The maker's window differs: exchange what is missing."""
        if view.exchange == NO_EXCHANGE:
            return self._on_nudge(peer, view, now_ms)
        exchange = self._find(peer, view.exchange, Stage.PREPARED)
        if exchange is None:
            return []
        exchange.stage, exchange.view = Stage.SYNCING, view
        exchange.give_up_ms = now_ms + 2 * self._desk.rules.preset.t_ack_ms
        return [SyncWith(peer=peer, market=self._desk.rules.market_id)]

    def _on_nudge(self, peer: PeerId, view: View, now_ms: int) -> list[Action]:
        """A maker waits for us in its view: prepare what ours, with its late orders, entitles us to from it."""
        desk, window = self._desk, self._desk.windows.current
        if window is None or self._nudges.get(window.epoch, 0) >= MAX_NUDGES:
            return []
        self._nudges = {window.epoch: self._nudges.get(window.epoch, 0) + 1}
        engine = desk.windows.compare(window.epoch, view.late, view.absent)
        if engine is None:
            return []
        silent = self._silent(window.epoch)
        skips = frozenset((desk.identity.session, session) for session in silent)
        actions: list[Action] = []
        for together in self._own_pieces(engine.entitlements(skips)):
            makers = [desk.feeds.order(piece.maker_order) for piece in together]
            if any(maker is not None and desk.peer_of(maker.order.session) == peer for maker in makers):
                actions.extend(self._prepare(together, window, silent, now_ms))
        return actions

    def on_peer_back(self, peer: PeerId, epoch: Epoch) -> None:
        """A peer that had gone is here again: do not hold its silence against it for long. Spec: [TICK-11]."""
        for session in self._suspicion.sessions():
            if self._desk.peer_of(session) == peer:
                self._suspicion.soften(session, epoch)

    def on_sync(self, peer: PeerId, *, is_done: bool, now_ms: int) -> list[Action]:
        """A round with a partner ended: recompute, and prepare once more if the piece survives."""
        actions: list[Action] = []
        for exchange in [one for one in self._exchanges.values() if one.peer == peer and one.stage is Stage.SYNCING]:
            if is_done and exchange.view is not None:
                actions.extend(self._prepare_again(exchange, exchange.view, now_ms))
            else:
                self._fail(exchange)
        return actions

    def _prepare_again(self, exchange: Exchange, view: View, now_ms: int) -> list[Action]:
        desk = self._desk
        epoch = exchange.ticket.epoch
        engine = desk.windows.compare(epoch, view.late, view.absent)
        block = desk.windows.fund_block(epoch)
        silent = self._silent(epoch)
        skips = frozenset((desk.identity.session, session) for session in silent)
        if engine is None or block is None or piece_of(exchange.ticket) not in engine.entitlements(skips):
            self._fail(exchange)
            return []
        exchange.stage, exchange.path = Stage.COMPARED, Path.RECONCILED
        exchange.give_up_ms = now_ms + 2 * desk.rules.preset.t_ack_ms
        message = Prepare(
            exchange=exchange.number,
            ticket=exchange.ticket,
            window_digest=engine.window_digest(epoch, block.hash),
            skips=silent,
            late=desk.windows.late_orders(),
            absent=desk.windows.absent,
        )
        return [SendTicketMessage(peer=exchange.peer, message=message)]

    def on_ready(self, peer: PeerId, ready: Ready) -> list[Action]:
        """The maker keeps the lots: sign, and let the Offer leave once it is on disk. Spec: [TICK-8].

        Nothing is signed for a leg before every other leg is Ready as well. Spec: [TICK-15].
        """
        exchange = self._find(peer, ready.exchange, Stage.PREPARED, Stage.COMPARED)
        if exchange is None:
            return []
        desk, ticket = self._desk, exchange.ticket
        promise = desk.digests.ready(exchange.digest, ready.ready_epoch)
        is_promise = (
            ready.ticket_digest == exchange.digest
            and ready.ready_epoch == ticket.epoch
            and recover_address(promise, ready.ready_signature) == exchange.maker_session
        )
        if not is_promise:
            self._drop(exchange)
            return [Note(name="ready_refused")]
        if desk.is_cancelled(ticket.taker_order):
            self._drop(exchange)
            return [Note(name="cancelled_meanwhile")]
        if not self._covers_bond(ticket, Epoch(ticket.epoch)):
            self._drop(exchange)
            return [Note(name="bond_short")]
        self._suspicion.clear(exchange.maker_session)
        exchange.stage, exchange.ready = Stage.READY, ready
        legs = self._together(exchange)
        promised = [(leg, leg.ready) for leg in legs if leg.ready is not None]
        if len(promised) == len(legs):
            self._offer(promised)
        return []

    def _covers_bond(self, ticket: Ticket, epoch: Epoch) -> bool:
        """Whether the owner can put up what a ticket by escrow asks beyond what is reserved for the order.

        An honest seller that signed without it would be recorded as defaulting. What other exchanges promise counts
        until they are over, also where the feed counts it already. Spec: [TICK-2].
        """
        desk = self._desk
        record = desk.own_order(ticket.taker_order)
        if record is None or not (more := self._bond_more(ticket)):
            return True
        others = [one.ticket for one in self._exchanges.values() if one.ticket != ticket]
        promised = sum(map(self._bond_more, others))
        funds = OwnFunds(desk.feeds, desk.ledger, desk.windows.keeper)
        return funds.covers_bond(record.order.owner, epoch, more + promised)

    def _bond_more(self, ticket: Ticket) -> int:
        record = self._desk.own_order(ticket.taker_order)
        if record is None:
            return 0
        return bond_beyond_limit(self._desk.rules.market, record.order, ticket.price_ticks, ticket.lots)

    def _together(self, exchange: Exchange) -> list[Exchange]:
        """An exchange alone, or all legs of its group, in the order of their numbers."""
        if not exchange.is_leg:
            return [exchange]
        return [one for one in self._exchanges.values() if one.ticket.group == exchange.ticket.group]

    def _offer(self, promised: Sequence[tuple[Exchange, Ready]]) -> None:
        """Sign Offers that leave in one entry, or never."""
        desk = self._desk
        offers: list[Offer] = []
        frames: list[Action] = []
        for exchange, ready in promised:
            ticket = exchange.ticket
            offer = Offer(
                ticket=ticket,
                taker_signature=desk.identity.sign(Digest(exchange.digest)),
                ready_epoch=ready.ready_epoch,
                ready_signature=ready.ready_signature,
            )
            exchange.stage = Stage.OFFERED
            lots = (ticket.taker_from, ticket.taker_to)
            desk.own_lots.lock(ticket.taker_order, lots, ticket, exchange.digest, Claim.SIGNED)
            offers.append(offer)
            frame = OfferFrame(exchange=exchange.number, offer=offer)
            frames.append(SendTicketMessage(peer=exchange.peer, message=frame))
        latest = min(Epoch(ready.ready_epoch + 2) for _, ready in promised)
        desk.outbox.add(*offers, follow_ups=tuple(frames), latest=latest)

    def on_decline(self, peer: PeerId, decline: DeclineFrame) -> list[Action]:
        """The maker will not: try again in a later window."""
        exchange = self._find(peer, decline.exchange, Stage.PREPARED, Stage.COMPARED)
        if exchange is None:
            return []
        self._suspicion.clear(exchange.maker_session)
        if decline.reason is DeclineReason.VIEW and exchange.path is Path.FALLBACK:
            self._drop(exchange)
            self._failures.pop((exchange.ticket.maker_order, exchange.ticket.taker_order), None)  # compare views anew
        elif decline.reason is DeclineReason.VIEW:
            self._fail(exchange)
        else:
            self._drop(exchange)
        return [Note(name="declined", details=(("reason", decline.reason.name.lower()),))]

    def on_ticket(self, digest: TicketDigest, ticket: Ticket) -> Path | None:
        """The Ticket stands in the maker's feed or came back: done. Returns how it was agreed, if it was ours."""
        self._failures.pop((ticket.maker_order, ticket.taker_order), None)
        path = None
        for exchange in [one for one in self._exchanges.values() if one.digest == digest]:
            del self._exchanges[exchange.number]
            self._unkept.clear(exchange.maker_session)
            path = exchange.path
        return path

    def on_dropped(self, item: Item) -> None:
        """An Offer came too late for its entry and never left. Spec: [TICK-8]."""
        if isinstance(item, Offer):
            digest = self._desk.digests.ticket(item.ticket)
            self._desk.own_lots.forget(item.ticket.taker_order, digest)
            for exchange in [one for one in self._exchanges.values() if one.digest == digest]:
                del self._exchanges[exchange.number]

    def on_tick(self, epoch: Epoch, now_ms: int) -> list[Action]:
        """Give up on makers that did not answer; forget tickets whose deadline has passed. Spec: [TICK-11]."""
        actions: list[Action] = []
        for exchange in list(self._exchanges.values()):
            if exchange.number not in self._exchanges or exchange.stage is Stage.READY:
                continue  # dropped with a leg that came before it, or waiting for the legs that come after
            if exchange.stage is Stage.OFFERED:
                if now_ms > exchange.ticket.deadline_s * 1000:
                    del self._exchanges[exchange.number]
                    self._unkept.blame(exchange.maker_session, epoch)
                    actions.append(Note(name="offer_unanswered"))
            elif now_ms >= exchange.give_up_ms:
                if exchange.stage is not Stage.SYNCING:
                    self._suspicion.blame(exchange.maker_session, epoch)
                self._drop(exchange)
                actions.append(Note(name="maker_silent", details=(("stage", exchange.stage.value),)))
        return actions

    def _drop(self, exchange: Exchange) -> None:
        """Give up an exchange, and with a leg the rest of its group. Spec: [TICK-15]."""
        for one in self._together(exchange):
            self._exchanges.pop(one.number, None)
            self._desk.own_lots.release(one.ticket.taker_order, one.digest)

    def _fail(self, exchange: Exchange) -> None:
        """A window of this pair failed to agree; legs have no fallback. Spec: [TICK-5]."""
        self._drop(exchange)
        if exchange.is_leg:
            return
        pair = (exchange.ticket.maker_order, exchange.ticket.taker_order)
        failures = self._failures.get(pair, ())
        if exchange.ticket.epoch not in failures:
            self._failures[pair] = (*failures, exchange.ticket.epoch)[-FAILURES_BEFORE_FALLBACK:]
        if len(self._failures) > 4 * MAX_EXCHANGES:
            del self._failures[next(iter(self._failures))]

    def __len__(self) -> int:
        """Exchanges under way."""
        return len(self._exchanges)
