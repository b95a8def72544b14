"""`orrange swap new|join|show|run`, as two parties use them; a whole swap is run by the demo's own test."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from cli_program import ROOT, STOP_S, clean_environment, command
from typer.testing import CliRunner, Result

from orrange_p2p.cli.swap import app
from orrange_p2p.errors import ChainUnavailable, ConfigError
from orrange_p2p.keys.derive import derive_secret
from orrange_p2p.keys.keystore import PASSPHRASE_FILE_VARIABLE, write_keystore
from orrange_p2p.keys.session import SessionKey

PASSPHRASE = "a passphrase for tests"
ALICE, BOB = (SessionKey.from_bytes(derive_secret("swap commands", name)) for name in ("alice", "bob"))
LEG = 'contract = "0x{0}"\ntoken = "coin"\namount = 7\nconfirmations = 1\nfinality_s = 60\n'
DRAFT = (
    f'initiator = "0x{ALICE.address.hex()}"\nparticipant = "0x{BOB.address.hex()}"\nlasts_s = 3600\n'
    f"[first]\nchain_id = 1\n{LEG.format('0c' * 20)}[second]\nchain_id = 2\n{LEG.format('0e' * 20)}"
)


def run(*arguments: object) -> Result:
    """Run a subcommand."""
    env = {PASSPHRASE_FILE_VARIABLE: None, "COLUMNS": "200"}
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """The directory of a swap that Alice began."""
    (tmp_path / "draft.toml").write_text(DRAFT)
    assert run("new", tmp_path / "draft.toml", "--dir", tmp_path / "alice").exit_code == 0
    return tmp_path / "alice"


@pytest.mark.parametrize("arguments", [["new"], ["join", "x"], ["run", "x"], ["show"], ["new", "x", "--secret", "00"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_hash_that_is_none_is_refused(begun: Path, tmp_path: Path) -> None:
    for text in ("0x00", "hello", "0x" + "00" * 33):
        result = run("join", begun / "terms.json", "--dir", tmp_path / "bob", "--expect", text)
        assert isinstance(result.exception, ConfigError)
        assert f"expected a hash of 0x and 64 hex digits, was {text!r}" in str(result.exception)
    assert not (tmp_path / "bob").exists()


def test_both_sides_see_the_same_hash_and_opposite_sides_of_the_deal(begun: Path, tmp_path: Path) -> None:
    alice = json.loads(run("show", begun, "--json").stdout)
    joined = run("join", begun / "terms.json", "--dir", tmp_path / "bob", "--expect", alice["terms"], "--json")
    bob = json.loads(joined.stdout)
    assert bob["terms"] == alice["terms"]
    assert (alice["role"], bob["role"]) == ("initiator", "participant")
    assert (alice["outcome"], bob["has_locked"]) == (None, False)
    shown = [run("show", directory).stdout for directory in (begun, tmp_path / "bob")]
    gives = [next(line for line in text.splitlines() if line.startswith("you give")) for text in shown]
    assert "7 wei of its coin on chain 1, the first lock" in gives[0]
    assert "7 wei of its coin on chain 2, the second lock" in gives[1]


def test_nothing_shows_the_secret(begun: Path) -> None:
    secret = json.loads((begun / "record.json").read_text())["preimage"]
    assert len(secret) == 64
    for arguments in (("show", begun), ("show", begun, "--json")):
        assert secret not in run(*arguments).output
    assert secret not in (begun / "terms.json").read_text()


def test_only_the_party_itself_can_run_its_side(begun: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(PASSPHRASE + "\n")
    write_keystore(tmp_path / "bob.json", BOB, PASSPHRASE, scrypt_n=2)
    result = run(
        *("run", begun, "--key", tmp_path / "bob.json", "--passphrase-file", secret),
        *("--first-rpc", "http://127.0.0.1:1", "--second-rpc", "http://127.0.0.1:1"),
    )
    assert _leaf(result.exception, ConfigError) == (
        f"expected the key of 0x{ALICE.address.hex()}, who is the initiator in these terms, was that of "
        f"0x{BOB.address.hex()}"
    )
    assert json.loads((begun / "record.json").read_text())["open_block"] is None


def test_a_run_waits_for_silent_chains_and_can_be_interrupted(begun: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(PASSPHRASE + "\n")
    write_keystore(tmp_path / "alice.json", ALICE, PASSPHRASE, scrypt_n=2)
    nowhere = "http://127.0.0.1:1"
    process = subprocess.Popen(
        command(
            *("swap", "run", begun, "--key", tmp_path / "alice.json", "--passphrase-file", secret, "--json"),
            *("--first-rpc", nowhere, "--second-rpc", nowhere),
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(),
        cwd=ROOT,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        troubles = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert {(step["step"], step["lock"], step["code"]) for step in troubles} == {
            ("trouble", "first", "chain.unavailable"),
            ("trouble", "second", "chain.unavailable"),
        }
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_S) == 130
        assert json.loads(process.stdout.read()) == {"error": {"code": "interrupted", "message": "interrupted"}}
        assert process.stderr.read().startswith(b"interrupted: the swap is saved; run it again at once")
    assert json.loads(run("show", begun, "--json").stdout)["has_locked"] is False


def _leaf(error: BaseException | None, kind: type[ConfigError] | type[ChainUnavailable]) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, kind)
    return str(error)
