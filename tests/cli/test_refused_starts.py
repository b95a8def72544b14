"""A node that cannot start says why in one sentence, and leaves what is on disk as it was."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_program import Net, clean_environment, orrange, poll


@pytest.fixture(scope="module")
def stopped(founded: Net) -> Net:
    """A peer with a store that holds something, whose node is stopped."""
    import signal

    for number in range(2):
        founded.start(number)
    poll(lambda: founded.ask(0, "node", "status")["why_not_signing"] is None)
    founded.ask(0, "order", "place", "sell", "100.00", "2")
    poll(lambda: founded.ask(0, "book")["asks"])
    for number in range(2):
        assert founded.running[number].stop(signal.SIGTERM) == 0
    return founded


@pytest.fixture
def unchanged(stopped: Net) -> Iterator[None]:
    """Whatever happens in the test, the store says the same book afterwards."""
    before = orrange("store", "digest", stopped.peer(0), "--json").json()
    assert before["orders"] == 1
    yield
    assert orrange("store", "digest", stopped.peer(0), "--json").json() == before


def _edited(net: Net, old: str, new: str) -> Path:
    """Peer 0's configuration with one line changed, beside the original so that it names the same store."""
    text = net.config(0).read_text()
    assert old in text
    path = net.peer(0) / "edited.toml"
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.usefixtures("unchanged")
def test_a_chain_with_another_id_is_told(stopped: Net) -> None:
    config = _edited(stopped, "chain_id = 31337", "chain_id = 1")
    done = orrange("node", "run", "--config", config, "--data-dir", stopped.directory / "elsewhere", "--json")
    sentence = done.sentence()
    assert "31337" in sentence
    assert " 1" in sentence


@pytest.mark.usefixtures("unchanged")
def test_a_store_of_another_network_is_told(stopped: Net) -> None:
    config = _edited(stopped, "chain_id = 31337", "chain_id = 1")
    done = orrange("node", "run", "--config", config, "--json")
    done.sentence()
    assert done.json()["error"]["code"] == "store"


@pytest.mark.usefixtures("unchanged")
def test_contracts_that_are_not_there_are_told(stopped: Net) -> None:
    text = stopped.config(0).read_text()
    settlement = next(line for line in text.splitlines() if line.startswith("settlement"))
    config = _edited(stopped, settlement, 'settlement = "0x' + "12" * 20 + '"')
    done = orrange("node", "run", "--config", config, "--data-dir", stopped.directory / "other")
    assert "0x" + "12" * 20 in done.sentence()


@pytest.mark.usefixtures("unchanged")
def test_a_setting_from_the_command_line_wins_over_the_environment(stopped: Net) -> None:
    env = clean_environment(ORRANGE_RPC_URL="file://environment")
    done = orrange("node", "run", "--config", stopped.config(0), "--rpc-url", "ftp://line", env=env)
    assert "was one of scheme 'ftp' and host 'line'" in done.sentence()


@pytest.mark.usefixtures("unchanged")
def test_a_damaged_store_is_told_and_a_copy_of_the_sound_one_still_opens(stopped: Net, tmp_path: Path) -> None:
    copy = tmp_path / "peer"
    shutil.copytree(stopped.peer(0), copy)
    data = copy / "store" / "data.mdb"
    # Inside a record, so that only its checksum can tell; pages that are free may hold older copies of it.
    damaged = data.read_bytes().replace(b"window:", b"WINDOW:")
    data.write_bytes(damaged)
    for arguments in (
        ("store", "digest", copy),
        ("node", "run", "--config", copy / "node.toml"),
    ):
        done = orrange(*arguments, "--json")
        assert "is damaged" in done.sentence()
        assert "restore the directory from a backup" in done.sentence()
        assert done.json()["error"]["code"] == "store"
    assert data.read_bytes() == damaged
    shutil.rmtree(copy / "store")
    shutil.copytree(stopped.peer(0) / "store", copy / "store")
    assert orrange("store", "digest", copy).code == 0


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("address", ["nonsense", "/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/tcp/4001/p2p/x"])
def test_a_bootstrap_address_that_is_none_is_told(stopped: Net, address: str) -> None:
    done = orrange("node", "run", "--config", stopped.config(0), "--bootstrap", address)
    assert address in done.sentence()


def test_a_store_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "there is no store at" in orrange("store", "digest", tmp_path / "nowhere").sentence()
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.usefixtures("unchanged")
def test_an_epoch_that_the_store_has_not_seen_is_told(stopped: Net) -> None:
    last = orrange("store", "digest", stopped.peer(0), "--json").json()["last_epoch"]
    done = orrange("store", "digest", stopped.peer(0), "--epoch", last + 1)
    assert done.sentence() == f"expected an epoch of 0 to {last}, was {last + 1}"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (None, "cannot read the configuration"),
        (b"\xff\xfe", "expected TOML"),
        (b"data_dir = [", "expected TOML"),
        (b"data_dir = 'x'", "owner: Field required, was nothing"),
    ],
    ids=["missing", "other bytes", "no TOML", "incomplete"],
)
def test_a_configuration_that_is_wrong_is_told(tmp_path: Path, text: bytes | None, part: str) -> None:
    path = tmp_path / "node.toml"
    if text is not None:
        path.write_bytes(text)
    for arguments in (("node", "run"), ("book",)):
        assert part in orrange(*arguments, "--config", path).sentence()
