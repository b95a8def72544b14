"""What every store does, on disk and in memory."""

import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import BLOCKS, MARKET, NETWORK, OTHER_MARKET, make_block, make_entry, make_trade

from orrange_p2p.core.facts import BlockFacts, FundsChanged, TradeSkipped
from orrange_p2p.core.types import Address, MarketId, TicketDigest
from orrange_p2p.errors import InternalError, StoreError
from orrange_p2p.store.interface import EntryRecord, Mark, Store, StoreBatch, StoreCounts, TradeRecord
from orrange_p2p.store.records import encode_batch, secret_row
from orrange_p2p.store.tables import RecordStore

Opener = Callable[..., Store]


def test_a_missing_store_is_an_error_that_says_what_to_do(open_store: Opener) -> None:
    with pytest.raises(StoreError, match=r"there is no store at .*node: check the path"):
        open_store(create=False)


def test_a_new_store_needs_its_network(open_store: Opener) -> None:
    with pytest.raises(InternalError, match="needs the id of its network"):
        open_store(network_id=None)


def test_a_network_id_of_another_length_is_refused(open_store: Opener) -> None:
    with pytest.raises(InternalError, match="expected a network id of 32 bytes, was 31 bytes"):
        open_store(network_id=bytes(31))


def test_a_store_of_another_network_is_refused_and_kept(open_store: Opener) -> None:
    with open_store() as store:
        store.commit(StoreBatch(entries=(make_entry(0),)))
    with pytest.raises(StoreError, match=r"belongs to another network \(expected ff.*, was 000102.*\): use the chain"):
        open_store(network_id=b"\xff" * 32)
    with open_store(create=False) as store:
        assert list(store.entries(MARKET)) == [make_entry(0)]


def test_a_store_can_be_looked_at_without_naming_its_network(open_store: Opener) -> None:
    open_store().close()
    with open_store(create=False, network_id=None) as store:
        assert store.network_id == NETWORK


def test_two_openers_are_one_too_many(open_store: Opener) -> None:
    with open_store(), pytest.raises(StoreError, match="is in use by"):
        open_store()
    open_store().close()


def test_a_closed_store_says_so(open_store: Opener) -> None:
    store = open_store()
    store.close()
    store.close()
    for use in (
        lambda: store.commit(StoreBatch(entries=(make_entry(0),))),
        lambda: list(store.entries(MARKET)),
        store.last_block,
        store.counts,
        store.statistics,
        lambda: store.mark(b"epoch"),
        lambda: store.put_secret("session", b"k" * 32),
    ):
        with pytest.raises(StoreError, match="is closed: open it again"):
            use()


def test_an_empty_store_is_empty(store: Store) -> None:
    assert store.counts() == StoreCounts(entries=0, blocks=0, trades=0, marks=0)
    for records in (store.entries(MARKET), store.markets(), store.blocks(), store.trades()):
        assert list(records) == []
    assert store.last_block() is None
    assert store.mark(b"epoch") is None
    assert store.secret("session") is None


def test_an_empty_batch_writes_nothing(store: Store) -> None:
    before = store.statistics().transactions
    store.commit(StoreBatch())
    assert store.statistics().transactions == before


def test_everything_survives_closing(open_store: Opener) -> None:
    facts = (
        FundsChanged(owner=Address(b"o" * 20), market=MARKET, token=Address(b"t" * 20), delta=-(10**30)),
        TradeSkipped(ticket=TicketDigest(b"k" * 32), reason=7),
    )
    batch = StoreBatch(
        entries=(make_entry(0, is_own=True), make_entry(1)),
        blocks=(make_block(1, facts=facts), make_block(2)),
        trades=(make_trade(b"k" * 32, path="reconciled"),),
        marks=(Mark(name=b"epoch", value=b"\x07"),),
    )
    with open_store() as store:
        store.commit(batch)
        store.put_secret("session", b"k" * 32)
    with open_store(create=False) as store:
        assert tuple(store.entries(MARKET)) == batch.entries
        assert tuple(store.blocks()) == batch.blocks
        assert store.last_block() == batch.blocks[1]
        assert tuple(store.trades()) == batch.trades
        assert store.mark(b"epoch") == b"\x07"
        assert store.secret("session") == b"k" * 32
        assert store.counts() == StoreCounts(entries=2, blocks=2, trades=1, marks=1)


def test_entries_come_in_order_of_session_and_seq_whatever_the_order_of_writing(store: Store) -> None:
    entries = [
        make_entry(seq, session=session) for session in (b"a" * 20, b"b" * 20) for seq in (0, 1, 255, 256, 2**40)
    ]
    for entry in reversed(entries):
        store.commit(StoreBatch(entries=(entry,)))
    assert list(store.entries(MARKET)) == entries


def test_entries_of_other_markets_stay_out(store: Store) -> None:
    highest = make_entry(2**64 - 1, session=b"\xff" * 20, entry_hash=b"\xff" * 32)
    other = make_entry(0, market=OTHER_MARKET, session=bytes(20), entry_hash=bytes(32))
    store.commit(StoreBatch(entries=(other, highest)))
    assert list(store.entries(MARKET)) == [highest]
    assert list(store.entries(OTHER_MARKET)) == [other]
    assert list(store.entries(MarketId(bytes(32)))) == []
    assert list(store.markets()) == [MARKET, OTHER_MARKET]


def test_both_sides_of_a_fork_are_kept(store: Store) -> None:
    left, right = make_entry(3, entry_hash=b"l" * 32), make_entry(3, entry_hash=b"r" * 32, encoded=b"other")
    store.commit(StoreBatch(entries=(right,)))
    store.commit(StoreBatch(entries=(left,)))
    assert list(store.entries(MARKET)) == [left, right]


def test_writing_twice_is_no_error_and_adds_nothing(store: Store) -> None:
    batch = StoreBatch(
        entries=(make_entry(0), make_entry(0)),
        blocks=(make_block(1), make_block(2)),
        trades=(make_trade(b"k" * 32),),
        marks=(Mark(name=b"epoch", value=b"1"),),
    )
    store.commit(batch)
    store.commit(batch)
    assert store.counts() == StoreCounts(entries=1, blocks=2, trades=1, marks=1)


def test_of_two_writes_under_one_key_the_later_wins(store: Store) -> None:
    store.commit(StoreBatch(entries=(make_entry(0, effective_epoch=7),), marks=(Mark(name=b"epoch", value=b"1"),)))
    store.commit(StoreBatch(entries=(make_entry(0, effective_epoch=9),), marks=(Mark(name=b"epoch", value=b"2"),)))
    assert [entry.effective_epoch for entry in store.entries(MARKET)] == [9]
    assert store.mark(b"epoch") == b"2"


def test_a_reorg_replaces_a_block_and_drops_the_later_ones(store: Store) -> None:
    store.commit(StoreBatch(blocks=tuple(make_block(number) for number in range(1, 6))))
    store.commit(StoreBatch(blocks=(make_block(3, fork=b"b"), make_block(4, fork=b"b"))))
    expected = [make_block(1), make_block(2), make_block(3, fork=b"b"), make_block(4, fork=b"b")]
    assert list(store.blocks()) == expected
    assert store.last_block() == expected[-1]


def test_a_block_written_again_drops_nothing(store: Store) -> None:
    store.commit(StoreBatch(blocks=tuple(make_block(number) for number in range(1, 6))))
    store.commit(StoreBatch(blocks=(make_block(2), make_block(3))))
    assert [block.number for block in store.blocks()] == [1, 2, 3, 4, 5]


def test_blocks_are_read_from_a_number_on(store: Store) -> None:
    store.commit(StoreBatch(blocks=tuple(make_block(number) for number in (1, 5, 255, 256, 1000))))
    assert [block.number for block in store.blocks(6)] == [255, 256, 1000]
    assert [block.number for block in store.blocks(256)] == [256, 1000]
    assert list(store.blocks(2**64 - 1)) == []


def test_many_entries_are_read_across_pages_once_each(store: Store) -> None:
    entries = tuple(make_entry(seq) for seq in range(1000))
    store.commit(StoreBatch(entries=entries))
    assert tuple(store.entries(MARKET)) == entries


def test_an_iterator_may_stay_open_while_others_write(store: Store) -> None:
    store.commit(StoreBatch(entries=tuple(make_entry(seq) for seq in range(600))))
    reading = store.entries(MARKET)
    first = next(reading)
    store.commit(StoreBatch(entries=tuple(make_entry(seq, encoded=bytes(20_000)) for seq in range(600, 1600))))
    read = [first, *reading]
    assert [entry.seq for entry in read] == list(range(1600))


def test_a_bad_record_stops_the_whole_batch(store: Store) -> None:
    with pytest.raises(InternalError, match="expected market of 32 bytes, was 31 bytes"):
        store.commit(StoreBatch(entries=(make_entry(0), make_entry(1, market=MarketId(bytes(31))))))
    assert store.counts().entries == 0


def test_a_transaction_that_fails_half_way_leaves_nothing(open_store: Callable[..., RecordStore]) -> None:
    with open_store() as store:
        store.put_secret("session", b"k" * 32)
        store.commit(StoreBatch(blocks=(make_block(1), make_block(2)), marks=(Mark(name=b"epoch", value=b"1"),)))
        batch = StoreBatch(
            entries=(make_entry(0),), blocks=(make_block(1, fork=b"b"),), marks=(Mark(name=b"epoch", value=b"2"),)
        )
        with pytest.raises(StoreError, match="expected a new name for a secret"):
            store._write([*encode_batch(batch), secret_row("session", b"other")])
        assert list(store.entries(MARKET)) == []
        assert list(store.blocks()) == [make_block(1), make_block(2)]
        assert store.mark(b"epoch") == b"1"


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (StoreBatch(entries=(make_entry(-1),)), "expected seq in 0..2"),
        (StoreBatch(entries=(make_entry(2**64),)), "expected seq in 0..2"),
        (StoreBatch(entries=(make_entry(0, effective_epoch=-1),)), "expected effective_epoch in"),
        (StoreBatch(entries=(make_entry(0, session=bytes(19)),)), "expected session of 20 bytes"),
        (StoreBatch(entries=(make_entry(0, entry_hash=bytes(33)),)), "expected entry_hash of 32 bytes"),
        (StoreBatch(entries=(make_entry(0, encoded=bytes(2**20)),)), "expected a record in table entries of at most"),
        (StoreBatch(trades=(make_trade(bytes(31)),)), "expected ticket of 32 bytes"),
        (StoreBatch(trades=(make_trade(bytes(32), path="lucky"),)), "expected a trade path of equal, reconciled"),  # type: ignore[arg-type]
        (StoreBatch(trades=(make_trade(bytes(32), completed_ms=-1),)), "expected completed_ms in"),
        (StoreBatch(marks=(Mark(name=b"", value=b""),)), "expected a name of 1 to 128 bytes"),
        (StoreBatch(marks=(Mark(name=b"n" * 129, value=b""),)), "expected a name of 1 to 128 bytes"),
        (StoreBatch(marks=(Mark(name=b"n", value=bytes(2**16 + 1)),)), "expected a mark of at most"),
        (
            StoreBatch(blocks=(make_block(1, facts=(TradeSkipped(ticket=TicketDigest(b""), reason=1),)),)),
            "expected a storable TradeSkipped.ticket",
        ),
    ],
)
def test_a_value_that_no_record_can_hold_is_a_bug_and_writes_nothing(
    store: Store, batch: StoreBatch, message: str
) -> None:
    with pytest.raises(InternalError, match=message):
        store.commit(batch)
    assert store.counts() == StoreCounts(entries=0, blocks=0, trades=0, marks=0)


def test_a_secret_is_written_once(store: Store) -> None:
    store.put_secret("session", b"k" * 32)
    store.put_secret("session", b"k" * 32)
    with pytest.raises(StoreError, match="expected a new name for a secret, was 'session'"):
        store.put_secret("session", b"other key of this node, 32 bytes")
    assert store.secret("session") == b"k" * 32
    store.commit(StoreBatch(entries=(make_entry(0),)))
    assert store.counts().entries == 1


@pytest.mark.parametrize(("name", "value"), [("", b"k"), ("n" * 129, b"k"), ("n", b""), ("n", bytes(4097))])
def test_a_secret_without_name_or_bounds_is_refused(store: Store, name: str, value: bytes) -> None:
    with pytest.raises(InternalError, match="expected a"):
        store.put_secret(name, value)


def test_no_message_or_repr_shows_a_secret(store: Store) -> None:
    secret, other = b"topsecret-topsecret-topsecret-32", b"otherword-otherword-otherword-32"
    store.put_secret("session", secret)
    with pytest.raises(StoreError) as raised:
        store.put_secret("session", other)
    told = f"{raised.value!r} {store!r} {store.statistics()} {store.counts()}"
    for word in ("topsecret", "otherword", secret.hex(), other.hex()):
        assert word not in told


def test_statistics_count_what_was_done(store: Store) -> None:
    before = store.statistics()
    store.commit(StoreBatch(entries=(make_entry(0), make_entry(1))))
    store.commit(StoreBatch(marks=(Mark(name=b"epoch", value=b"1"),)))
    after = store.statistics()
    assert (after.commits - before.commits, after.transactions - before.transactions) == (2, 2)
    assert after.records - before.records == 3
    assert 0 < after.used_bytes <= after.map_bytes
    assert after.waiting == 0


def test_threads_may_read_and_write_at_once_while_the_map_grows(store: Store) -> None:
    def write(session: bytes) -> None:
        for seq in range(50):
            store.commit(StoreBatch(entries=(make_entry(seq, session=session * 20, encoded=bytes(150_000)),)))

    writers = [threading.Thread(target=write, args=(session,)) for session in (b"a", b"b")]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        seqs = [entry.seq for entry in store.entries(MARKET) if entry.session == b"a" * 20]
        assert seqs == list(range(len(seqs)))
    for writer in writers:
        writer.join()
    assert store.counts().entries == 100


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(block=BLOCKS)
def test_every_block_reads_back_as_it_was_written(store: Store, block: BlockFacts) -> None:
    store.commit(StoreBatch(blocks=(block,)))
    assert next(store.blocks(block.number)) == block


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    encoded=st.binary(max_size=2000), seq=st.integers(0, 2**64 - 1), epoch=st.integers(0, 2**64 - 1), own=st.booleans()
)
def test_every_entry_and_trade_reads_back_as_it_was_written(
    store: Store, encoded: bytes, seq: int, epoch: int, own: bool
) -> None:
    entry = make_entry(seq, encoded=encoded, effective_epoch=epoch, is_own=own)
    trade = TradeRecord(
        ticket=TicketDigest(seq.to_bytes(32, "big")),
        market=MARKET,
        path="fallback",
        signed_trade=encoded,
        completed_ms=epoch,
    )
    store.commit(StoreBatch(entries=(entry,), trades=(trade,)))
    assert entry in list(store.entries(MARKET))
    assert trade in list(store.trades())


def test_a_record_is_told_apart_by_every_field_of_its_key(store: Store) -> None:
    variants: list[EntryRecord] = [
        make_entry(0),
        make_entry(0, market=OTHER_MARKET),
        make_entry(0, session=b"z" * 20),
        make_entry(1),
        make_entry(0, entry_hash=b"z" * 32),
    ]
    store.commit(StoreBatch(entries=tuple(variants)))
    assert store.counts().entries == len(variants)
    assert list(store.markets()) == [MARKET, OTHER_MARKET]
