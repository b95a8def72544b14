"""The maker's side of a ticket before anything is signed: answer a Prepare with Ready, View or Decline.

Spec: protocol/spec/05-tickets.md [TICK-3..7, TICK-15].
"""

from collections.abc import Sequence
from dataclasses import dataclass

from orrange_p2p.core.book import BookOrder
from orrange_p2p.core.events import Action, Note, Path, SendTicketMessage, SyncWith
from orrange_p2p.core.feed import OrderRecord
from orrange_p2p.core.matching import NO_SKIPS, Skips, is_compatible
from orrange_p2p.core.messages import NO_EXCHANGE, DeclineFrame, DeclineReason, Prepare, Ready
from orrange_p2p.core.own_lots import Claim
from orrange_p2p.core.ranges import contains, overlaps
from orrange_p2p.core.tickets import Desk, PairKey, Suspicion, is_entitled, is_ticket_of, is_within
from orrange_p2p.core.types import ZERO_DIGEST, Epoch, Order, PeerId, Ticket, TicketDigest, TimeInForce
from orrange_p2p.core.window import Window, Windows

MAX_PARKED = 256
MAX_PARKED_PER_PEER = 16
MAX_VIEWED = 1024
MAX_VIEWED_PER_PEER = 64
MISMATCHES_BEFORE_FALLBACK = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A Prepare that waits for its window or for a round of sync."""

    peer: PeerId
    prepare: Prepare
    until_ms: int
    is_synced: bool


class Maker:
    """All that others ask of this node's resting orders in one market."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._early: list[Parked] = []
        self._comparing: list[Parked] = []
        self._viewed: dict[tuple[PeerId, int], TicketDigest] = {}
        self._mismatches: dict[PairKey, tuple[Epoch, ...]] = {}
        self._entitled_since: dict[PairKey, Epoch] = {}
        self._suspicion = Suspicion()
        self._paths: dict[TicketDigest, Path] = {}

    def open_window(self, window: Window, now_ms: int, *, may_sign: bool) -> list[Action]:
        """Note who is entitled to own resting lots, and answer the Prepares that came before the window."""
        actions = self._note_entitled(window)
        early, self._early = self._early, []
        for parked in early:
            actions.extend(self.on_prepare(parked.peer, parked.prepare, now_ms, may_sign=may_sign))
        return actions

    def _note_entitled(self, window: Window) -> list[Action]:
        """Count how long takers are waited for; show this node's view to one that does not come. Spec: [TICK-6].

        It may take us for the taker: each order came late to the other side, and both would wait for ever.
        """
        desk = self._desk
        silent: dict[PeerId, None] = {}
        entitled: dict[PairKey, Epoch] = {}
        for piece in window.pieces:
            taker = desk.feeds.order(piece.taker_order)
            if desk.own_order(piece.maker_order) is None or taker is None:
                continue
            pair = (piece.maker_order, piece.taker_order)
            since = self._entitled_since.get(pair, window.epoch)
            entitled[pair] = since
            if window.epoch - since == desk.rules.preset.wait:
                self._suspicion.blame(taker.order.session, window.epoch)
            peer = desk.peer_of(taker.order.session)
            if peer is not None and window.epoch > since and (window.epoch - since) % desk.rules.preset.wait == 0:
                silent[peer] = None
        self._entitled_since = entitled
        view = desk.view(NO_EXCHANGE, window)
        return [SendTicketMessage(peer=peer, message=view) for peer in silent]

    def on_prepare(self, peer: PeerId, prepare: Prepare, now_ms: int, *, may_sign: bool) -> list[Action]:
        """Answer a taker, or wait for the window it speaks of."""
        desk, ticket = self._desk, prepare.ticket
        current = desk.windows.current
        maker = desk.own_order(ticket.maker_order)
        if maker is None:
            return _decline(peer, prepare, DeclineReason.UNKNOWN)
        taker = desk.feeds.order(ticket.taker_order)
        if taker is not None and desk.peer_of(taker.order.session) != peer:
            return _decline(peer, prepare, DeclineReason.UNKNOWN)
        if taker is not None:
            self._suspicion.clear(taker.order.session)
            if not is_ticket_of(ticket, desk.rules, maker=maker.order, taker=taker.order):
                return _decline(peer, prepare, DeclineReason.LIMITS)
        if current is None or ticket.epoch > current.epoch:
            is_next = ticket.epoch <= desk.rules.epoch_at(now_ms)
            if not is_next or not _has_room(self._early, peer):
                return _decline(peer, prepare, DeclineReason.NOT_READY)
            self._early.append(self._park(peer, prepare, now_ms))
            return []
        if not may_sign:
            return _decline(peer, prepare, DeclineReason.NOT_READY)
        if (peer, prepare.exchange) in self._viewed:
            return self._compare_later(peer, prepare, now_ms)
        is_same = current.epoch == ticket.epoch and current.digest == prepare.window_digest
        if prepare.is_fallback and not is_same:  # whose views agree again need no fallback
            return self._fall_back(peer, prepare, taker)
        return self._answer(peer, prepare, taker, current)

    def _park(self, peer: PeerId, prepare: Prepare, now_ms: int) -> Parked:
        until_ms = now_ms + 2 * self._desk.rules.preset.t_ack_ms
        return Parked(peer=peer, prepare=prepare, until_ms=until_ms, is_synced=False)

    def _answer(self, peer: PeerId, prepare: Prepare, taker: OrderRecord | None, current: Window) -> list[Action]:
        """First comparison, against the window as it stood when it opened. Spec: [TICK-3, TICK-4]."""
        desk, ticket = self._desk, prepare.ticket
        if taker is not None and current.epoch == ticket.epoch and current.digest == prepare.window_digest:
            skips = _skips(prepare, taker)
            pieces = desk.windows.engine.entitlements(skips) if skips else current.pieces
            if is_entitled(ticket, pieces, taker.order):
                return self._promise(peer, prepare, Path.EQUAL)
            return self._mismatch(peer, prepare)
        self._viewed[(peer, prepare.exchange)] = desk.digests.ticket(ticket)
        own = [key for key in self._viewed if key[0] == peer]
        if len(own) > MAX_VIEWED_PER_PEER or len(self._viewed) > MAX_VIEWED:
            del self._viewed[own[0]]
        view = desk.view(prepare.exchange, current)
        return [SendTicketMessage(peer=peer, message=view), Note(name="view_sent")]

    def _compare_later(self, peer: PeerId, prepare: Prepare, now_ms: int) -> list[Action]:
        """Second Prepare after a View: fetch from the taker first."""
        if self._viewed.pop((peer, prepare.exchange)) != self._desk.digests.ticket(prepare.ticket):
            return _decline(peer, prepare, DeclineReason.LIMITS)
        if not _has_room(self._comparing, peer):
            return _decline(peer, prepare, DeclineReason.BUSY)
        self._comparing.append(self._park(peer, prepare, now_ms))
        return [SyncWith(peer=peer, market=self._desk.rules.market_id)]

    def on_peer_back(self, peer: PeerId, epoch: Epoch) -> None:
        """A peer that had gone is here again: do not hold its silence against it for long. Spec: [TICK-6]."""
        for session in self._suspicion.sessions():
            if self._desk.peer_of(session) == peer:
                self._suspicion.soften(session, epoch)

    def on_sync(self, peer: PeerId, *, is_done: bool, may_sign: bool) -> list[Action]:
        """A round with a taker ended: compare again from everything both know."""
        asked = [parked for parked in self._comparing if parked.peer == peer]
        self._comparing = [parked for parked in self._comparing if parked.peer != peer]
        actions: list[Action] = []
        for parked in asked:
            if is_done and may_sign:
                actions.extend(self._compare(peer, parked.prepare))
            else:
                actions.extend(self._mismatch(peer, parked.prepare))
        return actions

    def _compare(self, peer: PeerId, prepare: Prepare) -> list[Action]:
        """Second comparison, of both views merged; who sends a Prepare is not absent. Spec: [TICK-4]."""
        windows, ticket = self._desk.windows, prepare.ticket
        maker, taker = self._desk.own_order(ticket.maker_order), self._desk.feeds.order(ticket.taker_order)
        if maker is None or taker is None or not self._desk.ledger.has_session(taker.order.session):
            return self._mismatch(peer, prepare)  # before the whole book is computed: free keys must not cost that
        if not is_ticket_of(ticket, self._desk.rules, maker=maker.order, taker=taker.order):
            return _decline(peer, prepare, DeclineReason.LIMITS)
        absent = tuple(session for session in prepare.absent if session != taker.order.session)
        engine = windows.compare(ticket.epoch, prepare.late, absent)
        block = windows.fund_block(ticket.epoch)
        if engine is None or block is None:
            return self._mismatch(peer, prepare)
        is_equal = engine.window_digest(ticket.epoch, block.hash) == prepare.window_digest
        if not is_equal or not is_entitled(ticket, engine.entitlements(_skips(prepare, taker)), taker.order):
            return self._mismatch(peer, prepare)
        return self._promise(peer, prepare, Path.RECONCILED)

    def _mismatch(self, peer: PeerId, prepare: Prepare) -> list[Action]:
        pair = (prepare.ticket.maker_order, prepare.ticket.taker_order)
        epochs = self._mismatches.get(pair, ())
        if self._desk.feeds.order(prepare.ticket.taker_order) is None:
            return _decline(peer, prepare, DeclineReason.VIEW)  # nothing to fall back to
        if prepare.ticket.epoch not in epochs:
            self._mismatches[pair] = (*epochs, prepare.ticket.epoch)[-MISMATCHES_BEFORE_FALLBACK:]
        if len(self._mismatches) > MAX_VIEWED:
            del self._mismatches[next(iter(self._mismatches))]
        return _decline(peer, prepare, DeclineReason.VIEW)

    def _fall_back(self, peer: PeerId, prepare: Prepare, taker: OrderRecord | None) -> list[Action]:
        """Spec: [TICK-5, TICK-6]."""
        windows, ticket = self._desk.windows, prepare.ticket
        maker_row, taker_row = windows.keeper.order(ticket.maker_order), windows.keeper.order(ticket.taker_order)
        failed = self._mismatches.get((ticket.maker_order, ticket.taker_order), ())
        if taker is None or maker_row is None or taker_row is None or len(failed) < MISMATCHES_BEFORE_FALLBACK:
            return self._mismatch(peer, prepare)
        skips = _skips(prepare, taker)
        is_allowed = (
            ticket.group == ZERO_DIGEST
            and _may_pair(maker_row, taker_row, ticket)
            and is_compatible(maker_row.order, taker_row.order, windows.period, skips)
        )
        if not is_allowed or _has_better_maker(windows, maker_row, taker.order, skips):
            return self._mismatch(peer, prepare)
        if self._is_kept_for_another(prepare):
            return _decline(peer, prepare, DeclineReason.BUSY)
        return self._promise(peer, prepare, Path.FALLBACK)

    def _is_kept_for_another(self, prepare: Prepare) -> bool:
        """Whether this node's own view entitles another taker to these lots and still waits for it. Spec: [TICK-6]."""
        desk, ticket = self._desk, prepare.ticket
        window = desk.windows.current
        if window is None:
            return True
        for piece in window.pieces:
            if piece.maker_order != ticket.maker_order or piece.taker_order == ticket.taker_order:
                continue
            if not overlaps((piece.maker_from, piece.maker_to), (ticket.maker_from, ticket.maker_to)):
                continue
            other = desk.feeds.order(piece.taker_order)
            since = self._entitled_since.get((piece.maker_order, piece.taker_order), window.epoch)
            is_waited_for = window.epoch - since < desk.rules.preset.wait
            is_suspected = other is not None and self._suspicion.is_suspected(other.order.session, window.epoch)
            if is_waited_for and not is_suspected:
                return True
        return False

    def _promise(self, peer: PeerId, prepare: Prepare, path: Path) -> list[Action]:
        """Keep the lots and say Ready. Spec: [TICK-3, TICK-7]."""
        desk, ticket = self._desk, prepare.ticket
        digest = desk.digests.ticket(ticket)
        lots = (ticket.maker_from, ticket.maker_to)
        if desk.is_cancelled(ticket.maker_order):
            return _decline(peer, prepare, DeclineReason.UNKNOWN)
        if desk.is_declined(ticket):
            return _decline(peer, prepare, DeclineReason.BUSY)
        if not desk.own_lots.is_free(ticket.maker_order, lots, desk.rules.epoch_start_s(ticket.epoch), besides=digest):
            return _decline(peer, prepare, DeclineReason.BUSY)
        desk.own_lots.lock(ticket.maker_order, lots, ticket, digest, Claim.PROMISED)
        self._paths[digest] = path
        if len(self._paths) > MAX_VIEWED:
            del self._paths[next(iter(self._paths))]
        ready = Ready(
            exchange=prepare.exchange,
            ticket_digest=digest,
            ready_epoch=ticket.epoch,
            ready_signature=desk.identity.sign(desk.digests.ready(digest, ticket.epoch)),
        )
        return [SendTicketMessage(peer=peer, message=ready)]

    def on_ticket(self, digest: TicketDigest, pair: PairKey) -> Path | None:
        """A ticket of an own maker order is complete; returns how it was agreed, if this run knows."""
        self._mismatches.pop(pair, None)
        return self._paths.pop(digest, None)

    def on_tick(self, now_ms: int) -> None:
        """Forget Prepares nobody waits for any more."""
        self._early = [parked for parked in self._early if parked.until_ms > now_ms]
        self._comparing = [parked for parked in self._comparing if parked.until_ms > now_ms]


def _has_room(parked: Sequence[Parked], peer: PeerId) -> bool:
    """Whether one more may wait; no peer fills the places of all."""
    return len(parked) < MAX_PARKED and sum(one.peer == peer for one in parked) < MAX_PARKED_PER_PEER


def _decline(peer: PeerId, prepare: Prepare, reason: DeclineReason) -> list[Action]:
    message = DeclineFrame(exchange=prepare.exchange, reason=reason)
    return [
        SendTicketMessage(peer=peer, message=message),
        Note(name="decline_sent", details=(("reason", reason.name.lower()),)),
    ]


def _skips(prepare: Prepare, taker: OrderRecord) -> Skips:
    if not prepare.skips:
        return NO_SKIPS
    return frozenset((taker.order.session, session) for session in prepare.skips)


def _may_pair(maker: BookOrder, taker: BookOrder, ticket: Ticket) -> bool:
    """Whether two orders could trade a ticket's lots at the maker's limit. Spec: [TICK-5]."""
    return (
        maker.is_matchable
        and taker.is_matchable
        and maker.order.side is not taker.order.side
        and maker.order.tif not in (TimeInForce.IOC, TimeInForce.FOK)
        and not taker.order.post_only
        and ticket.price_ticks == maker.order.price_ticks
        and is_within(ticket.price_ticks, taker.order.side, taker.order.price_ticks)
        and contains(maker.free, (ticket.maker_from, ticket.maker_to))
        and contains(taker.free, (ticket.taker_from, ticket.taker_to))
    )


def _has_better_maker(windows: Windows, maker: BookOrder, taker: Order, skips: Skips) -> bool:
    """Whether a compatible order that rests before `maker` in priority could serve the taker. Spec: [TICK-5]."""
    for slot in windows.engine.side(maker.order.side, maker.order.security):
        if slot.order_id == maker.order_id:
            return False
        if not is_within(slot.price_ticks, taker.side, taker.price_ticks):
            return True
        row = windows.keeper.order(slot.order_id)
        if row is not None and not slot.is_ioc and is_compatible(row.order, taker, windows.period, skips):
            return True
    return True
