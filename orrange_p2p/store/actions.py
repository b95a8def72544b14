"""Kernel actions to store records, and entries back from them."""

from collections.abc import Iterator, Mapping, Sequence

from orrange_p2p.core import cbor
from orrange_p2p.core.cbor import Fields
from orrange_p2p.core.codec import MAX_ENTRY_BYTES, decode_item, encode_item
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.events import (
    Action,
    CutFeed,
    EntriesLoaded,
    PersistBlock,
    PersistEntry,
    PersistEvidence,
    PersistTrade,
    PersistWindow,
    StartsLoaded,
    TicketsLoaded,
)
from orrange_p2p.core.evidence import VerifiedEvidence, verify_evidence
from orrange_p2p.core.messages import OrderItem, TicketItem
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.starts import verify_start
from orrange_p2p.core.types import Epoch, Market, MarketId, SignedTrade
from orrange_p2p.core.verify import VerifiedEntry, verify_entry
from orrange_p2p.errors import RemoteProtocolError, StoreError
from orrange_p2p.store.interface import CutRecord, EntryRecord, Mark, Store, StoreBatch, TradeRecord

WINDOW_MARK = b"window:"
EVIDENCE_MARK = b"evidence:"


def batch_of(actions: Sequence[Action]) -> StoreBatch | None:
    """All that must be on disk of some actions, or None if nothing must."""
    batch = StoreBatch(
        entries=tuple(entry_record(one) for one in actions if isinstance(one, PersistEntry)),
        cuts=tuple(cut_record(one) for one in actions if isinstance(one, CutFeed)),
        blocks=tuple(one.block for one in actions if isinstance(one, PersistBlock)),
        trades=tuple(trade_record(one) for one in actions if isinstance(one, PersistTrade)),
        marks=(
            *(window_mark(one) for one in actions if isinstance(one, PersistWindow)),
            *(evidence_mark(one) for one in actions if isinstance(one, PersistEvidence)),
        ),
    )
    return batch if batch != StoreBatch() else None


def load_market(
    store: Store, digests: Digests, market: MarketId, now_ms: int
) -> Iterator[StartsLoaded | EntriesLoaded | TicketsLoaded]:
    """What a kernel is to be told of a market from a store, one after the other: feeds need their starts first.

    Raises:
        StoreError: a record is damaged or of another network.
    """
    yield StartsLoaded(now_ms=now_ms, market=market, cuts=load_cuts(store, digests, market))
    yield EntriesLoaded(now_ms=now_ms, market=market, entries=load_entries(store, digests, market))
    yield TicketsLoaded(now_ms=now_ms, market=market, tickets=load_tickets(store, market))


def load_entries(store: Store, digests: Digests, market: MarketId) -> tuple[tuple[VerifiedEntry, Epoch], ...]:
    """A market's entries from a store, verified again, with their effective epochs.

    Raises:
        StoreError: a record is damaged.
    """
    try:
        return tuple(
            (verify_entry(digests, record.encoded), record.effective_epoch) for record in store.entries(market)
        )
    except RemoteProtocolError as error:
        raise _foreign(error) from error


def load_cuts(store: Store, digests: Digests, market: MarketId) -> tuple[CutFeed, ...]:
    """Where a market's feeds were cut, verified again; to be loaded before the entries.

    Raises:
        StoreError: a record is damaged, or the entry that a feed begins with is not there.
    """
    cuts: list[CutFeed] = []
    try:
        for record in store.cuts(market):
            first = store.entry(market, record.session, record.seq, record.entry_hash)
            if first is None:
                raise StoreError("the store lacks an entry that a feed begins with: restore it from a backup")
            start = verify_start(digests, verify_entry(digests, first.encoded), record.bodies)
            effective, nonce = record.effective_epoch, record.ticket_nonce
            cuts.append(CutFeed(market=market, start=start, effective=effective, ticket_nonce=nonce))
        return tuple(cuts)
    except RemoteProtocolError as error:
        raise _foreign(error) from error


def load_tickets(store: Store, market: MarketId) -> tuple[TicketItem, ...]:
    """The completed own tickets of a market from a store, by digest.

    Raises:
        StoreError: a record is damaged.
    """
    try:
        return tuple(_ticket_of(record) for record in store.trades() if record.market == market)
    except RemoteProtocolError as error:
        raise _foreign(error) from error


def load_evidence(
    store: Store, digests: Digests, markets: Mapping[MarketId, MarketRules]
) -> tuple[VerifiedEvidence, ...]:
    """All evidence of the markets from a store, judged again, by market and session.

    Raises:
        StoreError: a record is damaged.
    """
    try:
        found = [verify_evidence(digests, markets, mark.value) for mark in store.marks(EVIDENCE_MARK)]
    except RemoteProtocolError as error:
        raise _foreign(error) from error
    return tuple(piece for piece in found if isinstance(piece, VerifiedEvidence))


def load_trade(record: TradeRecord, market: Market) -> SignedTrade:
    """A completed ticket from a store with both its orders; `market` is what the record's id stands for.

    Raises:
        StoreError: the record is damaged.
    """
    try:
        maker, taker, item = _parts_of(record)
    except RemoteProtocolError as error:
        raise _foreign(error) from error
    return SignedTrade(
        market=market,
        maker=maker.signed,
        taker=taker.signed,
        ticket=item.ticket,
        maker_signature=item.maker_signature,
        taker_signature=item.taker_signature,
    )


def _ticket_of(record: TradeRecord) -> TicketItem:
    return _parts_of(record)[2]


def _parts_of(record: TradeRecord) -> tuple[OrderItem, OrderItem, TicketItem]:
    fields = Fields(cbor.decode(record.signed_trade), "trade", length=3)
    maker, taker, ticket = (decode_item(fields.bounded("item", most=MAX_ENTRY_BYTES)) for _ in range(3))
    if not isinstance(maker, OrderItem) or not isinstance(taker, OrderItem) or not isinstance(ticket, TicketItem):
        raise RemoteProtocolError("CBOR-4", "trade: expected two Orders and a Ticket")
    return maker, taker, ticket


def _foreign(error: RemoteProtocolError) -> StoreError:
    return StoreError(
        f"the store holds what no node wrote ({error}): restore it from a backup, or move it away to begin with an "
        "empty store"
    )


def entry_record(action: PersistEntry) -> EntryRecord:
    """An entry as the store keeps it."""
    header = action.entry.entry.header
    return EntryRecord(
        market=header.market,
        session=header.session,
        seq=header.seq,
        entry_hash=action.entry.entry_hash,
        encoded=action.entry.encoded,
        effective_epoch=action.effective,
        is_own=action.is_own,
    )


def cut_record(action: CutFeed) -> CutRecord:
    """Where a feed was cut as the store keeps it."""
    entry = action.start.entry
    return CutRecord(
        market=action.market,
        session=entry.entry.header.session,
        seq=entry.entry.header.seq,
        entry_hash=entry.entry_hash,
        effective_epoch=action.effective,
        ticket_nonce=action.ticket_nonce,
        bodies=tuple(body.encoded for body in action.start.bodies),
    )


def encode_trade(trade: SignedTrade) -> bytes:
    """A signed trade as three items of the wire format: maker order, taker order, ticket."""
    ticket = TicketItem(
        ticket=trade.ticket, taker_signature=trade.taker_signature, maker_signature=trade.maker_signature
    )
    orders = (OrderItem(signed=trade.maker), OrderItem(signed=trade.taker))
    return cbor.encode([encode_item(item) for item in (*orders, ticket)])


def trade_record(action: PersistTrade) -> TradeRecord:
    """A completed ticket as the store keeps it."""
    return TradeRecord(
        ticket=action.digest,
        market=action.trade.maker.order.market,
        path=action.path.value if action.path is not None else "unknown",
        signed_trade=encode_trade(action.trade),
        completed_ms=action.completed_ms,
    )


def window_mark(action: PersistWindow) -> Mark:
    """The last window worked on, as the store keeps it."""
    return Mark(name=WINDOW_MARK + action.market, value=cbor.encode([action.epoch, action.block_number]))


def evidence_mark(action: PersistEvidence) -> Mark:
    """A piece of evidence as the store keeps it: one of each kind a session and market, the last one written."""
    piece = action.evidence
    name = EVIDENCE_MARK + piece.market + piece.session + bytes((piece.kind,))
    return Mark(name=name, value=piece.encoded)
