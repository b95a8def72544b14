"""The files of the known networks, and what is said of files that are wrong."""

from pathlib import Path

import pytest

from orrange_p2p.config import load_node_config
from orrange_p2p.core.presets import PRESETS
from orrange_p2p.errors import ConfigError
from orrange_p2p.network import known_networks, load_network_file

ROOT = Path(__file__).resolve().parents[1]
ADDRESS, OTHER = "0x" + "ab" * 20, "0x" + "cd" * 20
GOOD = 'name = "mine"\npreset = "dev"\nchain_id = 5\ngenesis_ms = 7\n'
CONTRACTS = "[contracts]\n" + "".join(
    f'{name} = "{ADDRESS}"\n' for name in ("factory", "vault", "settlement", "escrow", "slasher", "swap")
)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (GOOD.replace("chain_id = 5", ""), "chain_id: Field required, was nothing"),
        (GOOD.replace("5", "0"), "chain_id: Input should be greater than or equal to 1, was 0"),
        (GOOD.replace('"dev"', '"devel"'), "expected a preset of minimal, demo, dev, main, was 'devel'"),
        (GOOD + "speed = 1\n", "speed: Extra inputs are not permitted, was 1"),
        (GOOD + "[parameters]\nepochMs = 1\n", "expected no epochMs, which follows from preset and genesis_ms, was 1"),
        (GOOD + CONTRACTS, "contracts.deployed_at_block: Field required, was nothing"),
        (
            GOOD + CONTRACTS.replace("ab", "xy", 1) + "deployed_at_block = 1\n",
            "contracts.factory: expected 0x and 40 hex digits, was '0xxy",
        ),
        (GOOD + "]", "expected TOML in the network mine.toml, was broken"),
    ],
)
def test_a_wrong_file_is_told_what_was_expected(
    text: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        load_network_file("mine.toml")
    assert fault in str(refused.value)


def test_a_missing_file_and_one_that_is_no_text_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the network none.toml: No such file"):
        load_network_file("none.toml", directory=tmp_path)
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"expected TOML in the network bad.toml, was broken"):
        load_network_file("bad.toml", directory=tmp_path)


def test_the_package_carries_every_network_file() -> None:
    written = sorted(path.stem for path in (ROOT / "bootstrap" / "networks").glob("*.toml"))
    assert list(known_networks()) == written == ["dev", "mainnet", "minimal", "sepolia"]


@pytest.mark.parametrize("name", known_networks())
def test_a_known_network_is_whole_but_for_what_nobody_has_deployed(name: str) -> None:
    file = load_network_file(name)
    preset = PRESETS[file.preset]
    assert file.name == name
    delay = file.constructor_settings()["deallocationDelay"]
    assert isinstance(delay, int)
    assert delay > 2 * preset.fund_lag_s + preset.ticket_life_s
    with pytest.raises(ConfigError, match=f"nobody has deployed them on chain {file.chain_id} yet"):
        file.network()


def test_a_node_gets_all_that_its_network_says(tmp_path: Path) -> None:
    market = (
        f'[[markets]]\nname = "A-B"\nbase = "{ADDRESS}"\nquote = "{OTHER}"\nlot_size = 5\ntick_size = 7\n'
        "quote_per_bond = 9\n"
    )
    (tmp_path / "mine.toml").write_text(f"{GOOD}{CONTRACTS}deployed_at_block = 3\n{market}")
    network = load_network_file("mine.toml", directory=tmp_path).network()
    assert (network.vault, network.settlement, network.escrow, network.slasher) == (ADDRESS,) * 4
    (rules,) = network.rules()
    assert (rules.has_escrow, rules.quote_per_bond, rules.market.lot_size) == (True, 9, 5)


def test_a_node_on_a_network_without_contracts_is_told_so(tmp_path: Path) -> None:
    node = tmp_path / "node.toml"
    node.write_text(f'data_dir = "n"\nowner = "{ADDRESS}"\nrpc_url = "http://127.0.0.1:1"\nnetwork = "mainnet"\n')
    with pytest.raises(
        ConfigError, match="contracts of network mainnet, was none: nobody has deployed them on chain 1 "
    ):
        load_node_config(node)
