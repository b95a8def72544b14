"""`orrange chain deploy` and `orrange chain status`, as a person and as a script use them."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from cli_program import Net, clean_environment
from typer.testing import CliRunner, Result

from orrange_p2p.cli.chain import app
from orrange_p2p.config import load_node_config
from orrange_p2p.errors import ConfigError
from orrange_p2p.keys.derive import derive_secret
from orrange_p2p.keys.keystore import PASSPHRASE_FILE_VARIABLE, write_keystore
from orrange_p2p.keys.session import SessionKey
from orrange_p2p.network import load_network_file

PASSPHRASE = "a passphrase for tests"
NAMES = ["OrrangeFactory", "OrrangeVault", "OrrangeSettlement", "OrrangeEscrow", "OrrangeSlasher", "OrrangeSwap"]


@pytest.fixture
def key_options(tmp_path: Path) -> list[object]:
    """Options that name the key of a rich account."""
    key, secret = tmp_path / "payer.json", tmp_path / "secret.txt"
    write_keystore(key, SessionKey.from_bytes(derive_secret("cli tests", "faucet")), PASSPHRASE, scrypt_n=2)
    secret.write_text(PASSPHRASE + "\n")
    return ["--key", key, "--passphrase-file", secret]


def run(*arguments: object) -> Result:
    """Run a subcommand."""
    env = {PASSPHRASE_FILE_VARIABLE: None, "ORRANGE_RPC_URL": None, "COLUMNS": "200"}
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)


def refusal(*arguments: object) -> str:
    """What a subcommand that must fail says."""
    result = run(*arguments)
    assert isinstance(result.exception, ConfigError), result.output
    return str(result.exception)


@pytest.mark.parametrize("arguments", [["deploy"], ["status"], ["deploy", "--network", "dev", "--secret", "00"], ["x"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("command", ["deploy", "status"])
def test_an_unknown_network_and_a_missing_endpoint_are_said(command: str) -> None:
    known = "expected a network of dev, mainnet, minimal, sepolia, or a file that ends with .toml, was 'moon'"
    assert known in refusal(command, "--network", "moon")
    assert "expected an endpoint of chain 1, was none in network mainnet" in refusal(command, "--network", "mainnet")


def test_a_key_comes_from_a_file_or_a_terminal() -> None:
    assert "expected --key FILE, or a terminal" in refusal("deploy", "--network", "dev")


@pytest.mark.parametrize("typed", ["no key", "ab" * 31, "00" * 32])
def test_a_typed_key_that_is_none_is_refused_and_never_shown(typed: str) -> None:
    """A real process on a pseudo-terminal, which fails before it asks any chain."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "orrange_p2p", "chain", "deploy", "--network", "dev"]
    with subprocess.Popen(
        command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, start_new_session=True, env=clean_environment()
    ) as process:
        os.close(theirs)
        seen = b""
        while b"(hex): " not in seen:
            seen += os.read(ours, 1000)
        os.write(ours, typed.encode() + b"\n")
        assert process.wait(timeout=60) == 1
        seen += os.read(ours, 10_000)
    os.close(ours)
    assert b"expected a secret key" in seen
    assert typed.encode() not in seen


def test_coin_is_not_spent_on_a_real_chain_without_a_yes(key_options: list[object]) -> None:
    sepolia = ("deploy", "--network", "sepolia", "--rpc-url", "http://127.0.0.1:1", *key_options)
    assert "expected --yes to spend coin on chain 11155111" in refusal(*sepolia)


def test_another_chain_is_refused(founded: Net, key_options: list[object]) -> None:
    other = ("--network", "sepolia", "--rpc-url", founded.rpc_url)
    for command in (("status", *other), ("deploy", *other, "--yes", *key_options)):
        assert "expected chain id 11155111, was 31337" in refusal(*command)


def test_a_network_is_deployed_once_and_a_node_can_be_configured_with_it(
    founded: Net, key_options: list[object], tmp_path: Path
) -> None:
    place = ("--rpc-url", founded.rpc_url)
    before = json.loads(run("status", "--network", "dev", *place, "--json").output)
    assert (before["complete"], before["recorded"], before["factory_deployed"]) == (False, False, None)
    assert {one["code"] for one in before["contracts"].values()} == {"missing"}
    told = run("status", "--network", "dev", *place)
    assert "foretold" in told.output
    assert "`orrange chain deploy --network dev` does what is missing" in told.output

    out = tmp_path / "my.toml"
    first = run("deploy", "--network", "dev", *place, *key_options, "--out", out, "--json")
    assert first.exit_code == 0, first.output
    deployed = json.loads(first.output)
    assert [step["name"] for step in deployed["steps"]] == NAMES
    assert {step["outcome"] for step in deployed["steps"]} == {"deployed"}
    places = {name: one["address"] for name, one in before["contracts"].items()}
    assert {step["name"]: step["address"] for step in deployed["steps"]} == places

    again = run("deploy", "--network", "dev", *place, *key_options)
    assert again.exit_code == 0, again.output
    assert [line.split()[2] for line in again.output.splitlines()[:6]] == ["found"] * 6
    assert f'vault = "{places["OrrangeVault"]}"' in again.output
    assert "expected no file at" in refusal("deploy", "--network", "dev", *place, *key_options, "--out", out)

    after = json.loads(run("status", "--network", out, *place, "--json").output)
    assert (after["complete"], after["recorded"], after["factory_deployed"]) == (True, True, 5)
    assert {name: one["address"] for name, one in after["contracts"].items()} == places
    given = bytes.fromhex(after["contracts"]["OrrangeSettlement"]["constructor_arguments"][2:])
    assert given[12:32] == bytes.fromhex(places["OrrangeVault"][2:])
    assert given[64:96] == (1767225600000).to_bytes(32, "big")
    settings = after["contracts"]["OrrangeSettlement"]["settings"]
    assert (settings["vault"], settings["genesisMs"]) == (places["OrrangeVault"], 1767225600000)
    contracts = load_network_file(str(out)).contracts
    assert contracts is not None
    assert contracts.deployed_at_block == deployed["steps"][0]["block"]

    node = tmp_path / "node.toml"
    node.write_text(f'data_dir = "n"\nowner = "{places["OrrangeSwap"]}"\nnetwork = "my.toml"\n')
    with pytest.raises(ConfigError, match="expected at least one market in network dev, was none"):
        load_node_config(node)
    with out.open("a") as file:
        file.write(f'\n[[markets]]\nname = "A-B"\nbase = "{places["OrrangeVault"]}"\n')
        file.write(f'quote = "{places["OrrangeSwap"]}"\nlot_size = 1\ntick_size = 1\n')
    config = load_node_config(node)
    assert (config.network.vault, config.network.settlement) == (places["OrrangeVault"], places["OrrangeSettlement"])
    assert config.rpc_url == "http://127.0.0.1:8545"


def test_other_code_at_a_recorded_address_is_said(founded: Net, tmp_path: Path) -> None:
    elsewhere = load_node_config(founded.directory / "peer-0" / "node.toml").network
    text = "\n".join(
        f'{name} = "{elsewhere.settlement}"' for name in ("factory", "vault", "settlement", "escrow", "slasher", "swap")
    )
    dev = (Path(__file__).parents[2] / "bootstrap" / "networks" / "dev.toml").read_text()
    file = tmp_path / "wrong.toml"
    file.write_text(f"{dev}\n[contracts]\n{text}\ndeployed_at_block = 0\n")
    status = json.loads(run("status", "--network", file, "--rpc-url", founded.rpc_url, "--json").output)
    assert status["complete"] is False
    states = [one["code"] for one in status["contracts"].values()]
    assert states == ["differs", "differs", "matches", "differs", "differs", "differs"]
    assert {one["constructor_arguments"] for one in status["contracts"].values()} == {None}
    assert status["factory_deployed"] is None
