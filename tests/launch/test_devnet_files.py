"""What a devnet writes and takes before anything runs: directories, configuration files, ports."""

import socket
from pathlib import Path

import pytest

from orrange_p2p.api.client import MAX_PATH_BYTES
from orrange_p2p.config import MarketConfig, NetworkConfig, NodeConfig, load_node_config
from orrange_p2p.errors import ConfigError
from orrange_p2p.launch.devnet_peers import HOST, check_directory, free_ports
from orrange_p2p.launch.directory import open_directory
from orrange_p2p.launch.node_toml import node_toml

ADDRESS = "0x" + "ab" * 20
NASTY = 'a "quoted" \\ back\tslash\nnew\rline \x00\x1b\x7f = # [x] \U0001f34a {y}'


def a_config(*, text: str = "net", markets: int = 1) -> NodeConfig:
    market = MarketConfig(name=text, base=ADDRESS, quote=ADDRESS, lot_size=2**96 - 1, tick_size=1)
    return NodeConfig.model_construct(
        data_dir=Path(text.replace("\x00", "")),
        owner=ADDRESS,
        rpc_url=text,
        network=NetworkConfig(
            name=text,
            preset="dev",
            genesis_ms=2**64 - 1,
            chain_id=1,
            vault=ADDRESS,
            settlement=ADDRESS,
            deployed_at_block=0,
            markets=(market,) * markets,
        ),
        listen_host=HOST,
        listen_port=65535,
        bootstrap=(),
    )


@pytest.mark.parametrize(
    "given",
    ["http://a:1 http://b:2", "http://a:1,http://b:2", ["http://a:1", "http://b:2"], ("http://a:1", "http://b:2")],
)
def test_a_node_may_be_given_several_endpoints(given: object) -> None:
    settings = {**a_config().model_dump(), "rpc_url": given}
    assert NodeConfig(**settings).rpc_urls == ("http://a:1", "http://b:2")


@pytest.mark.parametrize("text", ["plain", NASTY, "", "'''", '"""', "\\"])
@pytest.mark.parametrize("markets", [1, 3])
def test_a_written_configuration_is_read_back_as_it_was(text: str, markets: int, tmp_path: Path) -> None:
    config = a_config(text=text, markets=markets)
    file = tmp_path / "node.toml"
    file.write_text(node_toml(config, comment="For a test."), encoding="utf-8")
    read = load_node_config(file)
    assert read.model_dump() == {**config.model_dump(), "data_dir": str(tmp_path / config.data_dir)}


def test_ports_are_different_free_and_none_that_outgoing_connections_get() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert max(ports) < 32_768  # where Linux begins to give them out
    for port in ports:
        with socket.socket() as listening:
            listening.bind((HOST, port))


def test_a_port_in_use_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    free, used = free_ports(2)
    monkeypatch.setattr("orrange_p2p.launch.devnet_peers.range", lambda *_: [used, free], raising=False)
    with socket.socket() as listening:
        listening.bind((HOST, used))
        listening.listen()
        assert free_ports(1) == [free]
        with pytest.raises(ConfigError, match="expected 2 free ports on 127.0.0.1, was 1"):
            free_ports(2)


def test_a_directory_too_deep_for_control_sockets_is_refused_before_anything_starts(tmp_path: Path) -> None:
    room = MAX_PATH_BYTES - len("/peer-9/node.sock")
    check_directory(Path("/" + "d" * (room - 1)), 10)
    with pytest.raises(ConfigError, match="choose a shorter data directory"):
        check_directory(Path("/" + "d" * room), 10)


def test_a_kept_directory_stays_and_a_temporary_one_goes(tmp_path: Path) -> None:
    with open_directory(tmp_path / "new" / "deep", prefix="x", option="--dir") as directory:
        (directory / "file").touch()
    assert (tmp_path / "new" / "deep" / "file").exists()
    with open_directory(None, prefix="orrange-test-", option="--dir") as directory:
        (directory / "file").touch()
    assert not directory.exists()


@pytest.mark.parametrize("obstacle", ["file", "full", "below a file"])
def test_a_directory_that_cannot_be_used_is_refused_and_left_alone(obstacle: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    if obstacle == "full":
        place.mkdir()
        (place / "mine").write_text("precious")
    else:
        place.write_text("precious")
    wanted = place / "deeper" if obstacle == "below a file" else place
    with pytest.raises(ConfigError, match="--dir"), open_directory(wanted, prefix="x", option="--dir"):
        pass
    assert (place / "mine" if obstacle == "full" else place).read_text() == "precious"
