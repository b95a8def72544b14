"""A feed that is cut: its start kept and its older entries gone, together or not at all. Spec: [FEED-16]."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest
from store_samples import MARKET, NETWORK, OTHER_MARKET, make_entry

from orrange_p2p.core.digests import Digests
from orrange_p2p.core.types import Address, Domain, EntryHash, Epoch
from orrange_p2p.errors import InternalError, StoreError
from orrange_p2p.store.actions import load_cuts
from orrange_p2p.store.damage import DamagedRecord
from orrange_p2p.store.interface import CutRecord, EntryRecord, Mark, Store, StoreBatch
from orrange_p2p.store.lmdb_store import LmdbStore
from orrange_p2p.store.records import Table, decode_cut, encode_batch, unseal
from orrange_p2p.store.tables import RecordStore

Opener = Callable[..., Store]
SESSION = make_entry(0).session


def make_cut(seq: int, **changes: object) -> CutRecord:
    """A cut of the sample session's feed."""
    whole = CutRecord(
        market=MARKET,
        session=SESSION,
        seq=seq,
        entry_hash=make_entry(seq).entry_hash,
        effective_epoch=Epoch(7),
        ticket_nonce=3,
        bodies=(b"delegation", b"order"),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def seqs(store: Store) -> list[int]:
    """What is left of the sample session's feed."""
    return [entry.seq for entry in store.entries(MARKET) if entry.session == SESSION]


def test_a_cut_keeps_its_start_and_drops_what_lies_below(open_store: Opener) -> None:
    with open_store() as store:
        store.commit(StoreBatch(entries=tuple(make_entry(seq) for seq in range(300))))
        store.commit(StoreBatch(cuts=(make_cut(290),)))
        assert seqs(store) == list(range(290, 300))
    with open_store(create=False) as store:
        assert list(store.cuts(MARKET)) == [make_cut(290)]
        assert list(store.cuts(OTHER_MARKET)) == []
        assert seqs(store) == list(range(290, 300))


def test_an_entry_is_found_by_its_whole_key_alone(store: Store) -> None:
    rival = replace(make_entry(3), entry_hash=EntryHash(b"\xff" * 32), encoded=b"rival")
    store.commit(StoreBatch(entries=(make_entry(2), make_entry(3), rival)))
    assert store.entry(MARKET, SESSION, 3, make_entry(3).entry_hash) == make_entry(3)
    assert store.entry(MARKET, SESSION, 3, rival.entry_hash) == rival
    assert store.entry(MARKET, SESSION, 2, rival.entry_hash) is None
    assert store.entry(MARKET, Address(b"t" * 20), 3, rival.entry_hash) is None
    assert store.entry(OTHER_MARKET, SESSION, 3, rival.entry_hash) is None


@pytest.mark.parametrize("written", [make_entry(3, encoded=b"x"), make_entry(2)], ids=["another", "an older one"])
def test_a_store_that_lacks_the_entry_of_a_cut_is_refused(store: Store, written: EntryRecord) -> None:
    """Be it gone, or another one in its place."""
    store.commit(StoreBatch(entries=(replace(written, entry_hash=EntryHash(b"\xee" * 32)),)))
    store.commit(StoreBatch(cuts=(make_cut(3),)))
    with pytest.raises(StoreError, match="lacks an entry that a feed begins with"):
        load_cuts(store, Digests(Domain(chain_id=1, settlement=Address(bytes(20)))), MARKET)


def test_entries_and_the_cut_among_them_may_come_in_one_batch(store: Store) -> None:
    store.commit(StoreBatch(entries=tuple(make_entry(seq) for seq in range(5)), cuts=(make_cut(3),)))
    assert seqs(store) == [3, 4]


def test_both_sides_of_a_fork_at_the_start_stay(store: Store) -> None:
    rival = replace(make_entry(3), entry_hash=EntryHash(b"\xff" * 32))
    store.commit(StoreBatch(entries=(make_entry(2), make_entry(3), rival), cuts=(make_cut(3),)))
    assert seqs(store) == [3, 3]


def test_other_sessions_and_markets_lose_nothing(store: Store) -> None:
    others = tuple(
        replace(make_entry(seq), session=Address(bytes([first]) + SESSION[1:]))
        for first in (SESSION[0] - 1 & 255, SESSION[0] + 1 & 255)
        for seq in range(3)
    )
    elsewhere = tuple(replace(make_entry(seq), market=OTHER_MARKET) for seq in range(3))
    store.commit(StoreBatch(entries=(*others, *elsewhere, *(make_entry(seq) for seq in range(3)))))
    store.commit(StoreBatch(cuts=(make_cut(2),)))
    assert len(list(store.entries(MARKET))) == len(others) + 1
    assert len(list(store.entries(OTHER_MARKET))) == 3


def test_the_last_cut_of_a_session_counts(store: Store) -> None:
    store.commit(StoreBatch(entries=tuple(make_entry(seq) for seq in range(9))))
    for seq in (2, 5):
        store.commit(StoreBatch(cuts=(make_cut(seq, bodies=(b"of %d" % seq,)),)))
    assert list(store.cuts(MARKET)) == [make_cut(5, bodies=(b"of 5",))]
    assert seqs(store) == [5, 6, 7, 8]


def test_a_batch_that_fails_after_its_cut_drops_nothing(open_store: Callable[..., RecordStore]) -> None:
    with open_store() as store:
        store.commit(StoreBatch(entries=tuple(make_entry(seq) for seq in range(4))))
        store.put_secret("key", b"one")
        with pytest.raises(InternalError):
            store.commit(StoreBatch(cuts=(make_cut(3),), marks=(Mark(name=b"n" * 129, value=b""),)))
        assert seqs(store) == [0, 1, 2, 3]
        assert list(store.cuts(MARKET)) == []


@pytest.mark.parametrize(
    "changes", [{"seq": -1}, {"seq": 2**64}, {"ticket_nonce": -1}, {"entry_hash": b"short"}, {"session": b"short"}]
)
def test_a_cut_that_no_record_can_hold_is_a_bug(store: Store, changes: dict[str, object]) -> None:
    with pytest.raises(InternalError):
        store.commit(StoreBatch(cuts=(replace(make_cut(3), **changes),)))  # type: ignore[arg-type]


def test_nothing_but_what_was_written_is_read_as_a_cut() -> None:
    (row,) = encode_batch(StoreBatch(cuts=(make_cut(3),)))
    body = unseal(Table.CUTS, row.key, row.sealed)
    assert decode_cut(row.key, body) == make_cut(3)
    fields = cbor2.loads(body)
    wrong = [fields[:-1], [*fields, 0], [*fields[:4], [b"a", 1]], [str(fields[0]), *fields[1:]]]
    for body in (b"", b"\xff", *(cbor2.dumps(one) for one in wrong)):
        with pytest.raises(DamagedRecord):
            decode_cut(row.key, body)
    with pytest.raises(DamagedRecord):
        decode_cut(row.key[:-1], cbor2.dumps(fields))


def test_a_feed_that_is_cut_again_and_again_needs_no_more_disk(tmp_path: Path) -> None:
    """LMDB gives the pages of what was dropped to what comes next."""
    used: list[int] = []
    with LmdbStore.open(tmp_path / "store", create=True, network_id=NETWORK) as store:
        for day in range(8):
            first = day * 1000
            store.commit(StoreBatch(entries=tuple(make_entry(seq) for seq in range(first, first + 1000))))
            store.commit(StoreBatch(cuts=(make_cut(first + 990),)))
            used.append(store.statistics().used_bytes)
        assert seqs(store) == list(range(7990, 8000))
    assert used[-1] <= 2 * used[0]
    assert used[-1] == used[-3]
