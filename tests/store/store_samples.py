"""Records for the store's tests: small makers, and Hypothesis strategies for whole blocks."""

from hypothesis import strategies as st

from orrange_p2p.core.escrow import EscrowState
from orrange_p2p.core.facts import (
    BlockFacts,
    BondChanged,
    Defaulted,
    DisputeLost,
    EscrowMoved,
    Fact,
    FundsChanged,
    OrderCancelled,
    OrdersCancelled,
    SessionAuthorised,
    SessionCapped,
    SessionRevoked,
    Slashed,
    TradeSettled,
    TradeSkipped,
)
from orrange_p2p.core.types import U64_MAX, Address, Digest, EntryHash, Epoch, MarketId, OrderId, Scope, TicketDigest
from orrange_p2p.store.interface import EntryRecord, TradePath, TradeRecord

NETWORK = bytes(range(32))
MARKET = MarketId(b"m" * 32)
OTHER_MARKET = MarketId(b"n" * 32)


def make_entry(
    seq: int,
    *,
    market: MarketId = MARKET,
    session: bytes = b"s" * 20,
    entry_hash: bytes = b"",
    encoded: bytes = b"entry",
    effective_epoch: int = 7,
    is_own: bool = False,
) -> EntryRecord:
    """An entry whose hash, unless given, follows from its seq."""
    return EntryRecord(
        market=market,
        session=Address(session),
        seq=seq,
        entry_hash=EntryHash(entry_hash or (seq % 2**64).to_bytes(32, "big")),
        encoded=encoded,
        effective_epoch=Epoch(effective_epoch),
        is_own=is_own,
    )


def make_block(number: int, *, fork: bytes = b"a", facts: tuple[Fact, ...] = ()) -> BlockFacts:
    """A block on the chain named `fork`."""
    return BlockFacts(
        number=number,
        hash=Digest(fork * 24 + number.to_bytes(8, "big")),
        parent_hash=Digest(fork * 24 + max(number - 1, 0).to_bytes(8, "big")),
        time_s=1_700_000_000 + number,
        facts=facts,
    )


def make_trade(ticket: bytes, *, path: TradePath = "equal", completed_ms: int = 1_700_000_000_000) -> TradeRecord:
    """A trade of the market `MARKET`."""
    return TradeRecord(
        ticket=TicketDigest(ticket),
        market=MARKET,
        path=path,
        signed_trade=b"signed " + ticket,
        completed_ms=completed_ms,
    )


_addresses = st.binary(min_size=20, max_size=20).map(Address)
_u64 = st.integers(0, U64_MAX)
_amounts = st.integers(0, 2**256 - 1)


def _digests() -> st.SearchStrategy[bytes]:
    return st.binary(min_size=32, max_size=32)


FACTS: st.SearchStrategy[Fact] = st.one_of(
    st.builds(
        FundsChanged,
        owner=_addresses,
        market=_digests().map(MarketId),
        token=_addresses,
        delta=st.integers(-(2**256) + 1, 2**256 - 1),
    ),
    st.builds(
        SessionAuthorised,
        owner=_addresses,
        session=_addresses,
        scope=st.integers(0, 3).map(Scope),
        expiry_s=_u64,
    ),
    st.builds(SessionRevoked, owner=_addresses, session=_addresses),
    st.builds(SessionCapped, owner=_addresses, session=_addresses, token=_addresses, amount=_amounts),
    st.builds(OrderCancelled, owner=_addresses, order=_digests().map(OrderId)),
    st.builds(OrdersCancelled, owner=_addresses, session=_addresses, nonce=_u64),
    st.builds(
        TradeSettled,
        ticket=_digests().map(TicketDigest),
        market=_digests().map(MarketId),
        maker_order=_digests().map(OrderId),
        taker_order=_digests().map(OrderId),
        maker_owner=_addresses,
        taker_owner=_addresses,
        is_maker_buyer=st.booleans(),
        price_ticks=_u64,
        maker_from=_u64,
        maker_to=_u64,
        taker_from=_u64,
        taker_to=_u64,
        sink_fee=st.one_of(st.just(0), _amounts),
        fee=st.one_of(st.just(0), _amounts),
        security=st.integers(0, 3),
    ),
    st.builds(TradeSkipped, ticket=_digests().map(TicketDigest), reason=st.integers(0, 255)),
    st.builds(
        EscrowMoved,
        ticket=_digests().map(TicketDigest),
        state=st.sampled_from(EscrowState),
        seller_base=_amounts,
        seller_quote=_amounts,
        penalty=_amounts,
        is_by_default=st.booleans(),
    ),
    st.builds(BondChanged, owner=_addresses, amount=_amounts),
    st.builds(Slashed, owner=_addresses, amount=_amounts, is_over_signing=st.booleans()),
    st.builds(DisputeLost, owner=_addresses, amount=_amounts),
    st.builds(Defaulted, owner=_addresses, ticket=_digests().map(TicketDigest), victim=_addresses, amount=_amounts),
)

BLOCKS: st.SearchStrategy[BlockFacts] = st.builds(
    BlockFacts,
    number=_u64,
    hash=_digests().map(Digest),
    parent_hash=_digests().map(Digest),
    time_s=_u64,
    facts=st.lists(FACTS, max_size=5).map(tuple),
)
