"""A store that is not what was written is refused in one sentence, and left exactly as it is."""

import os
import random
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import lmdb
import pytest
from store_samples import MARKET, NETWORK, make_block, make_entry, make_trade

from orrange_p2p.errors import StoreError
from orrange_p2p.store.files import MAP_FIRST_BYTES
from orrange_p2p.store.interface import Mark, StoreBatch
from orrange_p2p.store.lmdb_store import READER_CHECK_S, LmdbStore
from orrange_p2p.store.records import Table, make_row

ENTRIES = 400
PAGE_BYTES = 4096
ADVICE = "nothing was changed; restore the directory from a backup, or move it away"


def _open(path: Path, *, create: bool = False) -> LmdbStore:
    return LmdbStore.open(path, create=create, network_id=NETWORK)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """The directory of a closed store with some records of every kind, and some free pages."""
    path = tmp_path / "node"
    with _open(path, create=True) as store:
        store.put_secret("session", b"k" * 32)
        for first in range(0, ENTRIES, 20):
            store.commit(
                StoreBatch(
                    entries=tuple(make_entry(seq, encoded=bytes(900)) for seq in range(first, first + 20)),
                    blocks=(make_block(first),),
                    trades=(make_trade(first.to_bytes(32, "big")),),
                    marks=(Mark(name=b"epoch", value=bytes(5000)),),
                )
            )
    return path


def _contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir() if file.name in ("data.mdb", "notes.txt")}


def _assert_refused_and_untouched(path: Path, message: str) -> None:
    before = _contents(path)
    for create in (False, True):
        with pytest.raises(StoreError, match=message) as raised:
            _open(path, create=create)
        assert ADVICE in str(raised.value)
        assert str(path) in str(raised.value)
        assert "\n" not in str(raised.value)
    assert _contents(path) == before


@pytest.mark.parametrize("kept_bytes", [0, 1, 100, PAGE_BYTES, PAGE_BYTES * 2, PAGE_BYTES * 9 + 17])
def test_a_truncated_file_is_refused(node: Path, kept_bytes: int) -> None:
    os.truncate(node / "data.mdb", kept_bytes)
    _assert_refused_and_untouched(node, "is damaged")


def test_a_file_cut_by_half_is_refused(node: Path) -> None:
    os.truncate(node / "data.mdb", (node / "data.mdb").stat().st_size // 2)
    _assert_refused_and_untouched(node, "is damaged")


def test_a_file_of_garbage_is_refused(node: Path) -> None:
    (node / "data.mdb").write_bytes(random.Random(1).randbytes(100_000))
    _assert_refused_and_untouched(node, "is damaged")


def test_a_text_file_is_refused(node: Path) -> None:
    (node / "data.mdb").write_text("my shopping list\n")
    _assert_refused_and_untouched(node, "is damaged")


def test_garbage_in_any_page_is_refused(node: Path) -> None:
    """Each used page in turn is overwritten; opening must say so and never bring the process down."""
    whole = (node / "data.mdb").read_bytes()
    chance = random.Random(2)
    refused = 0
    for page in chance.sample(range(len(whole) // PAGE_BYTES), 40):
        garbage = chance.randbytes(PAGE_BYTES)
        at = page * PAGE_BYTES
        (node / "data.mdb").write_bytes(whole[:at] + garbage + whole[at + PAGE_BYTES :])
        try:
            _open(node).close()
        except StoreError as error:
            refused += 1
            assert ADVICE in str(error)
        else:  # only a free page may hold anything
            with _open(node) as store:
                assert store.counts().entries == ENTRIES
                assert len(list(store.entries(MARKET))) == ENTRIES
    assert refused >= 20


def test_one_flipped_bit_in_a_record_is_found(node: Path) -> None:
    data = bytearray((node / "data.mdb").read_bytes())
    secret_at = data.rindex(b"k" * 32)
    data[secret_at + 5] ^= 1
    (node / "data.mdb").write_bytes(data)
    _assert_refused_and_untouched(node, "a record in table secrets does not match its checksum")


def test_an_lmdb_file_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "node"
    with lmdb.open(str(path), max_dbs=1) as other, other.begin(write=True) as transaction:
        transaction.put(b"theirs", b"value", db=other.open_db(b"table", txn=transaction))
    before = (path / "data.mdb").read_bytes()
    with pytest.raises(StoreError, match=r"data\.mdb is not an orrange store .*: name another directory"):
        _open(path, create=True)
    assert (path / "data.mdb").read_bytes() == before


def test_a_store_of_another_format_is_refused(node: Path) -> None:
    row = make_row(Table.META, b"format", b"orrange store 4")
    with lmdb.open(str(node), max_dbs=6) as raw, raw.begin(write=True) as transaction:
        transaction.put(row.key, row.sealed, db=raw.open_db(b"meta", txn=transaction))
    with pytest.raises(StoreError, match=r"unknown format \(expected b'orrange store 3', was b'orrange store 4'\)"):
        _open(node)


def test_other_files_in_the_directory_are_left_alone(node: Path) -> None:
    (node / "notes.txt").write_text("mine")
    _open(node).close()
    assert (node / "notes.txt").read_text() == "mine"


def test_a_lost_data_file_is_a_missing_store_and_not_a_new_one(node: Path) -> None:
    (node / "data.mdb").unlink()
    with pytest.raises(StoreError, match="there is no store at"):
        _open(node)


def test_a_half_made_store_is_made_anew(tmp_path: Path) -> None:
    staging = tmp_path / "node" / "creating"
    staging.mkdir(parents=True)
    (staging / "data.mdb").write_bytes(b"half")
    with _open(tmp_path / "node", create=True) as store:
        assert store.counts().entries == 0
    assert not staging.exists()


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "node").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot be used \(.*\): check its path, owner and free space"):
        _open(tmp_path / "node", create=True)


def test_only_the_owner_may_read(node: Path) -> None:
    node.chmod(0o755)
    for name in ("data.mdb", "lock.mdb"):
        (node / name).chmod(0o644)
    _open(node).close()
    assert stat.S_IMODE(node.stat().st_mode) == 0o700
    for name in ("data.mdb", "store.lock"):
        assert stat.S_IMODE((node / name).stat().st_mode) == 0o600


def test_a_new_store_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        _open(tmp_path / "node", create=True).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "node").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "node").iterdir()} == {0o600}


def test_the_map_grows_far_beyond_its_first_size(tmp_path: Path) -> None:
    body = bytes(60_000)
    count = MAP_FIRST_BYTES * 5 // 2 // len(body)
    with _open(tmp_path / "node", create=True) as store:
        assert store.statistics().map_bytes == MAP_FIRST_BYTES
        for first in range(0, count, 50):
            batch = StoreBatch(entries=tuple(make_entry(seq, encoded=body) for seq in range(first, first + 50)))
            store.commit(batch)
            statistics = store.statistics()
            assert statistics.used_bytes * 100 <= statistics.map_bytes * 80
        assert store.statistics().map_bytes == MAP_FIRST_BYTES * 4
        written = store.counts().entries
    with _open(tmp_path / "node") as store:
        assert [entry.seq for entry in store.entries(MARKET)] == list(range(written))
        assert store.statistics().map_bytes == MAP_FIRST_BYTES * 4


def test_one_batch_may_be_larger_than_the_map(tmp_path: Path) -> None:
    batch = StoreBatch(entries=tuple(make_entry(seq, encoded=bytes(500_000)) for seq in range(60)))
    with _open(tmp_path / "node", create=True) as store:
        store.commit(batch)
        assert store.counts().entries == 60


def test_the_map_does_not_move_under_a_reader(tmp_path: Path) -> None:
    batch = StoreBatch(entries=tuple(make_entry(seq, encoded=bytes(500_000)) for seq in range(60)))
    with _open(tmp_path / "node", create=True) as store:
        writer = threading.Thread(target=store.commit, args=(batch,))
        with store._reading():
            writer.start()
            writer.join(timeout=0.3)
            assert writer.is_alive()
            assert store._opened().info()["map_size"] == MAP_FIRST_BYTES
        writer.join(timeout=30)
        assert store.counts().entries == 60
        assert store.statistics().map_bytes > MAP_FIRST_BYTES


def test_every_commit_is_synced_data_and_meta_page(tmp_path: Path) -> None:
    with _open(tmp_path / "node", create=True) as store:
        flags = store._opened().flags()
    assert (flags["sync"], flags["metasync"], flags["writemap"], flags["map_async"]) == (True, True, False, False)


def test_the_slot_of_a_reader_that_was_killed_is_freed_within_a_minute(tmp_path: Path) -> None:
    script = (
        "import lmdb, sys\n"
        "transaction = lmdb.open(sys.argv[1]).begin()\n"
        "print('reading', flush=True)\n"
        "sys.stdin.read()\n"
    )
    now_s = [0.0]
    with LmdbStore.open(tmp_path / "node", create=True, network_id=NETWORK, clock=lambda: now_s[0]) as store:
        command = [sys.executable, "-c", script, str(tmp_path / "node")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "reading\n"
            reader.kill()
        readers = store._opened().readers
        store.commit(StoreBatch(entries=(make_entry(0),)))
        assert str(reader.pid) in readers()
        now_s[0] += READER_CHECK_S
        store.commit(StoreBatch(entries=(make_entry(1),)))
        assert str(reader.pid) not in readers()


def test_another_process_is_told_who_has_the_store(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from orrange_p2p.store.lmdb_store import LmdbStore\n"
        "store = LmdbStore.open(sys.argv[1], create=True, network_id=bytes(range(32)))\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "node")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match=f"is in use by process {holder.pid}: stop it first"):
            _open(tmp_path / "node")
        holder.kill()
    _open(tmp_path / "node").close()


FILE_LIMITED = """
import resource, signal, sys
from store_samples import make_entry
from orrange_p2p.errors import StoreError
from orrange_p2p.store.interface import StoreBatch
from orrange_p2p.store.lmdb_store import LmdbStore
store = LmdbStore.open(sys.argv[1], create=False)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
told = 0
for seq in range(1000, 1200):
    try:
        store.commit(StoreBatch(entries=(make_entry(seq, encoded=bytes(4000)),)))
    except StoreError as error:
        message, told = str(error), told + 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        if told == 3:
            break
    else:
        assert not told
        print(seq)
seen = sum(1 for _ in store.entries(b"m" * 32))
print(f"{message}|{seen}")
"""


def test_a_full_disk_is_said_at_once_and_reads_go_on(node: Path) -> None:
    """The file may not grow beyond a limit, as on a full disk: the commit fails, and nothing acknowledged is lost.

    The limit is lifted after the first failure; the store goes on refusing, for a failed sync leaves pages in doubt.
    """
    limit = (node / "data.mdb").stat().st_size + 40_000
    answer = subprocess.run(
        [sys.executable, "-c", FILE_LIMITED, str(node), str(limit)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    ).stdout.splitlines()
    acknowledged = [int(line) for line in answer[:-1]]
    message, seen = answer[-1].split("|")
    assert "could not be written" in message
    assert "everything acknowledged before is kept" in message
    assert int(seen) == ENTRIES + len(acknowledged)
    with _open(node) as store:
        stored = {entry.seq for entry in store.entries(MARKET)}
        assert stored == set(range(ENTRIES)) | set(acknowledged)


MEMORY_LIMITED = """
import resource, sys
from store_samples import make_entry
from orrange_p2p.errors import StoreError
from orrange_p2p.store.interface import StoreBatch
from orrange_p2p.store.lmdb_store import LmdbStore
store = LmdbStore.open(sys.argv[1], create=False)
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (10 << 20), resource.RLIM_INFINITY))
for seq in range(1000, 1400):
    try:
        store.commit(StoreBatch(entries=(make_entry(seq, encoded=bytes(60_000)),)))
    except StoreError as error:
        print(error)
        break
print(seq)
for use in (lambda: store.commit(StoreBatch(entries=(make_entry(0),))), store.last_block, store.counts):
    try:
        use()
    except StoreError as error:
        print(error)
store.close()
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the size of the process from /proc")
def test_a_map_that_cannot_grow_closes_the_store_and_says_why(node: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", MEMORY_LIMITED, str(node)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    ).stdout.splitlines()
    failed_seq = int(answer.pop(1))
    assert answer == [answer[0]] * 4
    assert "could not get a map of" in answer[0]
    assert "everything acknowledged before is kept" in answer[0]
    with _open(node) as store:
        assert store.counts().entries == ENTRIES + failed_seq - 1000


def test_a_copied_directory_is_a_whole_store(node: Path, tmp_path: Path) -> None:
    shutil.copytree(node, tmp_path / "copy")
    with _open(tmp_path / "copy") as store:
        assert store.counts().entries == ENTRIES
        assert store.secret("session") == b"k" * 32


def test_opening_a_store_loads_no_trio() -> None:
    script = (
        "import sys, tempfile\n"
        "from orrange_p2p.store.lmdb_store import LmdbStore\n"
        "assert 'lmdb' not in sys.modules and 'trio' not in sys.modules\n"
        "with tempfile.TemporaryDirectory() as made:\n"
        "    LmdbStore.open(made + '/node', create=True, network_id=bytes(32)).close()\n"
        "assert 'trio' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
