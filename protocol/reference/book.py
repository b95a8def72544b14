"""The book: a join over entries, the chain up to a block, and an epoch.

Spec: protocol/spec/03-orders.md [BOOK-1..3].
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol.reference.admission import Setting, admit_orders
from protocol.reference.cbor import Value, encode
from protocol.reference.chain import Block, view_at_fund_block
from protocol.reference.checkpoints import base_epochs, feeds_at, placed_anew, true_feeds
from protocol.reference.convictions import convicted_by_own_feeds
from protocol.reference.feeds import Feed, Forks, Start, read_feeds
from protocol.reference.funds import funded_orders, may_owner_match, may_session_match
from protocol.reference.holds import free_lots, is_live_hold, read_holds
from protocol.reference.orders import Placed, is_live, orders_of
from protocol.reference.signing import keccak, market_id
from protocol.reference.silence import silent_sessions
from protocol.reference.types import Address, Clock, Digest, Domain, LotRange, Market, Order


@dataclass(frozen=True, slots=True, kw_only=True)
class BookOrder:
    """A live order: its free lots, ascending, and whether it may be matched now."""

    order_id: Digest
    order: Order
    placed_epoch: int
    free: tuple[LotRange, ...]
    is_matchable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """The live orders of a market in an epoch, by id, as the fund block has them."""

    market: Digest
    epoch: int
    block: Block
    orders: tuple[BookOrder, ...]
    dead_sessions: tuple[Address, ...]


def compute_book(
    encoded_entries: Iterable[bytes],
    market: Market,
    domain: Domain,
    blocks: Sequence[Block],
    clock: Clock,
    epoch: int,
    convicted: Sequence[Address] = (),
    forks: Forks | None = None,
    quote_per_bond: int = 1,
    starts: Iterable[Start] = (),
) -> Book | None:
    """Join what the feeds and the chain say about a market. Spec: [BOOK-1..3], [ORD-6], [HOLD-4], [HOLD-5], [FUND-4].

    Args:
        encoded_entries: Entries in any order, with any repetition, sound or not, of any market.
        market: The market.
        domain: The deployment.
        blocks: The chain as seen so far, by number.
        clock: When epochs start.
        epoch: The epoch.
        convicted: The sessions that evidence from elsewhere convicts in the market. Spec: [EVID-4].
        forks: Where evidence from elsewhere shows forks. Spec: [EVID-1].
        quote_per_bond: Quote units that one micro-unit of a bond stands for. Spec: [FUND-6].
        starts: Where feeds begin that are not held from seq 0. Spec: [FEED-16].

    Returns:
        The book, or None while the epoch's fund block is unknown.
    """
    view = view_at_fund_block(blocks, clock, epoch)
    if view is None:
        return None
    whole = true_feeds(domain, clock, market, read_feeds(domain, encoded_entries, forks, starts))
    feeds = feeds_at(domain, clock, market, whole, epoch)
    setting = Setting(domain=domain, market_id=market_id(domain, market), market=market, clock=clock, blocks=blocks)
    placed = placed_orders(setting, feeds, epoch)
    holds = [hold for hold in read_holds(domain, clock, feeds, placed, epoch) if is_live_hold(view, hold)]
    free = {order_id: free_lots(view, order, holds) for order_id, order in placed.items()}
    live = sorted(
        order_id
        for order_id, order in placed.items()
        if is_live(clock, order, epoch, has_free_lots=free[order_id] != [])
    )
    all_convicted = {*convicted, *convicted_by_own_feeds(domain, clock, market, feeds)}
    excluded = {*all_convicted, *silent_sessions(domain, view, feeds, placed, holds, epoch)}
    candidates = {
        order_id: free[order_id]
        for order_id in live
        if placed[order_id].order.session not in excluded
        and may_session_match(view, clock, placed[order_id], epoch)
        and may_owner_match(view, clock, placed[order_id].order.owner)
    }
    per_bond = clock.constants.bond_multiple * quote_per_bond
    funded = funded_orders(setting.market_id, market, view, placed, holds, candidates, per_bond)
    return Book(
        market=setting.market_id,
        epoch=epoch,
        block=view.block,
        orders=tuple(
            BookOrder(
                order_id=order_id,
                order=placed[order_id].order,
                placed_epoch=placed[order_id].placed_epoch,
                free=tuple(free[order_id]),
                is_matchable=order_id in funded,
            )
            for order_id in live
        ),
        dead_sessions=tuple(sorted({feed.session for feed in feeds if feed.is_dead} | all_convicted)),
    )


def placed_orders(setting: Setting, feeds: Sequence[Feed], epoch: int) -> dict[Digest, Placed]:
    """The orders that feeds have said by an epoch, where they stand and whether void. Spec: [FUND-5], [FUND-8]."""
    said = [order for feed in feeds for order in orders_of(setting.domain, setting.clock, setting.market, feed, epoch)]
    return admit_orders(setting, feeds, placed_anew(said, base_epochs(feeds)), epoch)


def encode_book(book: Book) -> bytes:
    """The bytes that two nodes with the same entries, chain and epoch agree on. Spec: [BOOK-3]."""
    rows: list[Value] = [
        [row.order_id, row.placed_epoch, encode_ranges(row.free), row.is_matchable] for row in book.orders
    ]
    return encode([book.market, book.epoch, book.block.number, book.block.hash, rows, list(book.dead_sessions)])


def encode_ranges(ranges: Iterable[LotRange]) -> Value:
    """Lot ranges as arrays of two."""
    return [[first, second] for first, second in ranges]


def book_digest(book: Book) -> Digest:
    """The keccak of the book's bytes. Spec: [BOOK-3]."""
    return keccak(encode_book(book))
