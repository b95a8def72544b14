"""From the reference's values to the program's, so that the same world can be put before both."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, replace

from orrange_p2p.core import facts, types
from orrange_p2p.core import period as period_module
from orrange_p2p.core.book import Book, BookKeeper, BookOrder, compute_book
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.feed import Outcome
from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.ledger import BlockRef, Ledger
from orrange_p2p.core.presets import MarketRules, Preset
from orrange_p2p.core.verify import VerifiedEntry, verify_entry
from orrange_p2p.errors import RemoteProtocolError
from protocol.reference import book as reference_book
from protocol.reference import chain, matching
from protocol.reference import types as reference
from protocol.reference.period import Period
from tests.core.pens import DOMAIN, MARKET, MARKET_ID
from tests.core.worlds import BONDED, CLOCK, QUOTE_PER_BOND

FAST_DOMAIN = types.Domain(chain_id=DOMAIN.chain_id, settlement=types.Address(DOMAIN.settlement))
FAST_DIGESTS = Digests(FAST_DOMAIN)
FAST_MARKET = types.Market(
    base=types.Address(MARKET.base),
    quote=types.Address(MARKET.quote),
    lot_size=MARKET.lot_size,
    tick_size=MARKET.tick_size,
    min_fill_lots=MARKET.min_fill_lots,
)


def fast_preset(constants: reference.Constants) -> Preset:
    """The program's row of constants."""
    return Preset(
        name="test",
        epoch_ms=constants.epoch_ms,
        grace_ms=constants.grace_ms,
        t_ack_ms=constants.t_ack_ms,
        wait=constants.wait,
        k=constants.k,
        w=constants.w,
        ticket_life_s=constants.d,
        fund_lag_s=constants.l_fund,
        quorum=constants.quorum,
        degree=constants.degree,
        presence_s=constants.presence_s,
        dead_s=constants.dead_s,
        period_s=constants.period_s,
        beacon_lag_s=constants.beacon_lag_s,
        checkpoint_age_s=constants.checkpoint_age_s,
        bond_multiple=constants.bond_multiple,
    )


def fast_rules(clock: reference.Clock) -> MarketRules:
    """The program's rules of the worlds' market under a clock."""
    return MarketRules(
        market=FAST_MARKET,
        market_id=types.MarketId(MARKET_ID),
        preset=fast_preset(clock.constants),
        genesis_ms=clock.genesis_ms,
        quote_per_bond=QUOTE_PER_BOND,
    )


RULES = fast_rules(CLOCK)
BONDED_RULES = fast_rules(BONDED)


def fast_fact(fact: chain.Fact) -> facts.Fact:
    """The program's form of a chain fact."""
    if isinstance(fact, chain.SessionAuthorised):
        return facts.SessionAuthorised(
            owner=types.Address(fact.owner),
            session=types.Address(fact.session),
            scope=types.Scope(fact.scope),
            expiry_s=fact.expiry,
        )
    same: type = getattr(facts, type(fact).__name__)
    made: facts.Fact = same(**{field.name: getattr(fact, field.name) for field in fields(fact)})
    return made


def fast_blocks(blocks: Sequence[chain.Block]) -> list[facts.BlockFacts]:
    """The program's form of a chain."""
    parents = [types.Digest(bytes(32)), *(types.Digest(block.hash) for block in blocks)]
    return [
        facts.BlockFacts(
            number=block.number,
            hash=types.Digest(block.hash),
            parent_hash=parent,
            time_s=block.time_s,
            facts=tuple(fast_fact(fact) for fact in block.facts),
        )
        for block, parent in zip(blocks, parents, strict=False)
    ]


def fast_ledger(blocks: Sequence[chain.Block]) -> Ledger:
    """A ledger that has seen a chain."""
    ledger = Ledger({RULES.market_id: FAST_MARKET})
    for block in fast_blocks(blocks):
        ledger.add(block)
    return ledger


def verified(encoded_entries: Iterable[bytes]) -> list[VerifiedEntry]:
    """The sound entries of the market, verified once, in the same order."""
    sound: dict[bytes, VerifiedEntry | None] = {}
    arrived: list[VerifiedEntry] = []
    for encoded in encoded_entries:
        if encoded not in sound:
            try:
                sound[encoded] = verify_entry(FAST_DIGESTS, encoded)
            except RemoteProtocolError:
                sound[encoded] = None
        entry = sound[encoded]
        if entry is not None and entry.entry.header.market == RULES.market_id:
            arrived.append(entry)
    return arrived


def fast_feeds(arrived: Iterable[VerifiedEntry], rules: MarketRules = RULES) -> Feeds:
    """Feeds that were told these entries, and again those that had been too far ahead, as a sync would."""
    feeds = Feeds(rules)
    waiting = list(arrived)
    while waiting:
        ignored = [entry for entry in waiting if feeds.add(entry)[0] is Outcome.IGNORED]
        if len(ignored) == len(waiting):
            break
        waiting = ignored
    return feeds


def fund_block(ledger: Ledger, epoch: int) -> BlockRef | None:
    """The ledger's fund block of an epoch."""
    return ledger.fund_block(RULES.epoch_start_s(epoch) - RULES.preset.fund_lag_s)


def fast_book(feeds: Feeds, ledger: Ledger, epoch: int) -> Book | None:
    """The program's book, from scratch; None while its fund block is unknown."""
    block = fund_block(ledger, epoch)
    feeds.advance_bases(types.Epoch(epoch))
    return None if block is None else compute_book(feeds, ledger, types.Epoch(epoch), block)


def kept_book(keeper: BookKeeper, ledger: Ledger, epoch: int) -> Book | None:
    """The program's book, kept up step by step; None while its fund block is unknown."""
    block = fund_block(ledger, epoch)
    if block is None:
        return None
    keeper.advance(types.Epoch(epoch), block)
    return keeper.book()


def fast_order(order: reference.Order) -> types.Order:
    """The program's form of an order."""
    return types.Order(
        market=types.MarketId(order.market),
        owner=types.Address(order.owner),
        session=types.Address(order.session),
        nonce=order.nonce,
        side=types.Side(order.side),
        kind=types.OrderKind(order.kind),
        price_ticks=order.price_ticks,
        quantity_lots=order.quantity_lots,
        tif=types.TimeInForce(order.tif),
        expiry_s=order.expiry,
        post_only=order.post_only,
        min_tier=order.min_tier,
        payment_methods=order.payment_methods,
        arbitrators=tuple(types.Address(arbitrator) for arbitrator in order.arbitrators),
        security=order.security,
    )


def as_fast_book(book: reference_book.Book) -> Book:
    """The program's form of a book that the reference computed."""
    return Book(
        market_id=types.MarketId(book.market),
        epoch=types.Epoch(book.epoch),
        block=BlockRef(number=book.block.number, hash=types.Digest(book.block.hash), time_s=book.block.time_s),
        orders=tuple(
            BookOrder(
                order_id=types.OrderId(row.order_id),
                order=fast_order(row.order),
                placed=types.Epoch(row.placed_epoch),
                free=row.free,
                is_matchable=row.is_matchable,
            )
            for row in book.orders
        ),
        dead_sessions=tuple(types.Address(session) for session in book.dead_sessions),
    )


def fast_assignment(assignment: Mapping[bytes, int]) -> dict[types.OrderId, types.Epoch]:
    """The program's form of an assignment."""
    return {types.OrderId(order_id): types.Epoch(epoch) for order_id, epoch in assignment.items()}


@dataclass(frozen=True)
class GivenStandings:
    """Stands where the ledger's standings do, with tiers and bonds that a test gives."""

    given: Period

    def tier(self, owner: bytes) -> int:
        """The tier of an owner."""
        return self.given.tier(owner)

    def bond(self, owner: bytes) -> int:
        """A bond of one, or none."""
        return 0 if self.given.is_last(owner) else 1


def fast_period(period: Period) -> period_module.Period:
    """The program's form of a period."""
    return period_module.Period(
        beacon=types.Digest(period.beacon),
        standings=GivenStandings(period),  # type: ignore[arg-type]
        needs_bonds=period.bonded is not None,
    )


def present_book(book: Book, absent: AbstractSet[bytes]) -> Book:
    """A book without the orders of absent sessions, as a window has it."""
    return replace(book, orders=tuple(order for order in book.orders if order.order.session not in absent))


def fast_skips(skips: Iterable[tuple[bytes, bytes]]) -> frozenset[tuple[types.Address, types.Address]]:
    """The program's form of skips."""
    return frozenset((types.Address(taker), types.Address(maker)) for taker, maker in skips)


def as_tuples(pieces: Iterable[object]) -> list[tuple[object, ...]]:
    """Pieces of either side, comparable."""
    names = [field.name for field in fields(matching.Piece)]
    return [tuple(getattr(piece, name) for name in names) for piece in pieces]
