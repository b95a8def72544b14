"""`orrange keys new` and `orrange keys show`, as a person and as a script use them."""

import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orrange_p2p.cli.keys import app
from orrange_p2p.core.types import Address
from orrange_p2p.errors import ConfigError
from orrange_p2p.keys.keystore import PASSPHRASE_FILE_VARIABLE, read_keystore, write_keystore
from orrange_p2p.keys.session import SessionKey, checksum_address

PASSPHRASE = "a passphrase for tests"
CHEAP_N = 2


@pytest.fixture
def passphrase_file(tmp_path: Path) -> Path:
    """A file with the passphrase in its first line."""
    path = tmp_path / "secret.txt"
    path.write_text(PASSPHRASE + "\n")
    return path


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A key file that opens quickly."""
    path = tmp_path / "owner.json"
    write_keystore(path, SessionKey.generate(), PASSPHRASE, scrypt_n=CHEAP_N)
    return path


def _run(*arguments: object, env: dict[str, str] | None = None) -> Result:
    variables = {PASSPHRASE_FILE_VARIABLE: None, "COLUMNS": "200", **(env or {})}
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=variables)


def _address_in(path: Path) -> str:
    return checksum_address(Address(bytes.fromhex(json.loads(path.read_text())["address"])))


@pytest.mark.parametrize(
    "arguments",
    [["new"], ["show"], ["new", "--out"], ["new", "--passphrase", "secret", "--out", "x"], ["show", "a", "b"], ["old"]],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert _run(*arguments).exit_code == 2


def test_without_a_terminal_the_passphrase_must_come_from_a_file(tmp_path: Path) -> None:
    result = _run("new", "--out", tmp_path / "owner.json")
    assert isinstance(result.exception, ConfigError)
    assert "expected a terminal to ask for the passphrase, was none: give --passphrase-file" in str(result.exception)
    assert not (tmp_path / "owner.json").exists()


def test_new_refuses_an_existing_file_before_anything_else(key_file: Path) -> None:
    before = key_file.read_bytes()
    result = _run("new", "--out", key_file)
    assert isinstance(result.exception, ConfigError)
    assert "never overwritten" in str(result.exception)
    assert key_file.read_bytes() == before


def test_show_of_a_missing_file_says_so(tmp_path: Path) -> None:
    result = _run("show", tmp_path / "owner.json")
    assert isinstance(result.exception, ConfigError)
    assert "cannot be read" in str(result.exception)


def test_show_with_a_wrong_passphrase_says_so(key_file: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.txt").write_text("wrong")
    result = _run("show", key_file, "--passphrase-file", tmp_path / "wrong.txt")
    assert isinstance(result.exception, ConfigError)
    assert "the passphrase does not open" in str(result.exception)


def test_new_writes_a_key_that_show_finds(tmp_path: Path, passphrase_file: Path) -> None:
    out = tmp_path / "new.json"
    result = _run("new", "--out", out, "--passphrase-file", passphrase_file, "--json")
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    assert json.loads(result.stdout) == {"address": _address_in(out), "file": str(out)}
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    key = read_keystore(out, PASSPHRASE)
    assert key.secret_bytes().hex() not in result.stdout
    shown = _run("show", out, "--passphrase-file", passphrase_file, "--json")
    assert json.loads(shown.stdout) == {"address": checksum_address(key.address), "file": str(out), "verified": True}


def test_new_prints_the_address_for_people(tmp_path: Path, passphrase_file: Path) -> None:
    result = _run("new", "--out", tmp_path / "new.json", env={PASSPHRASE_FILE_VARIABLE: str(passphrase_file)})
    assert result.exit_code == 0
    assert _address_in(tmp_path / "new.json") in result.stdout
    assert "Back up this file" in result.stdout
    assert PASSPHRASE not in result.output


def test_show_needs_no_passphrase_and_says_that_nothing_was_checked(key_file: Path) -> None:
    for env in ({}, {PASSPHRASE_FILE_VARIABLE: "/nowhere"}):
        result = _run("show", key_file, "--json", env=env)
        assert json.loads(result.stdout) == {
            "address": _address_in(key_file),
            "file": str(key_file),
            "verified": False,
        }
    people = _run("show", key_file)
    assert _address_in(key_file) in people.stdout
    assert "no, as the file states it" in people.stdout


def test_show_opens_a_file_that_does_not_state_its_address(key_file: Path, passphrase_file: Path) -> None:
    keystore = json.loads(key_file.read_text())
    expected = _address_in(key_file)
    del keystore["address"]
    key_file.write_text(json.dumps(keystore))
    assert isinstance(_run("show", key_file).exception, ConfigError)
    result = _run("show", key_file, "--json", env={PASSPHRASE_FILE_VARIABLE: str(passphrase_file)})
    assert json.loads(result.stdout) == {"address": expected, "file": str(key_file), "verified": True}


@pytest.mark.parametrize("command", ["new", "show"])
def test_help_shows_examples_and_no_way_to_type_a_passphrase_on_the_command_line(command: str) -> None:
    result = _run(command, "--help")
    assert result.exit_code == 0
    assert f"orrange keys {command}" in result.stdout
    assert "--passphrase-file" in result.stdout
    assert "--passphrase " not in result.stdout


def test_at_a_terminal_the_passphrase_is_asked_twice_and_not_echoed(tmp_path: Path) -> None:
    """A real process on a pseudo-terminal; its standard output is a pipe, as in `orrange keys new --json | jq`."""
    out = tmp_path / "owner.json"
    command = [sys.executable, "-c", "from orrange_p2p.cli.keys import app; app()"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*command, "new", "--out", str(out), "--json"],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != PASSPHRASE_FILE_VARIABLE},
    ) as process:
        os.close(theirs)
        seen = b""
        # The space comes last, once the echo is off; what is typed before that is thrown away.
        for prompt in (b"Passphrase: ", b"Repeat for confirmation: "):
            while prompt not in seen:
                seen += os.read(ours, 1000)
            os.write(ours, PASSPHRASE.encode() + b"\n")
        assert process.stdout is not None
        answer = json.loads(process.stdout.read())
        assert process.wait(timeout=60) == 0
    os.close(ours)
    assert PASSPHRASE.encode() not in seen
    assert checksum_address(read_keystore(out, PASSPHRASE).address) == answer["address"]


def test_looking_at_a_key_file_loads_nothing_heavy(key_file: Path) -> None:
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from orrange_p2p.cli.keys import app\n"
        "assert CliRunner().invoke(app, ['show', sys.argv[1], '--json']).exit_code == 0\n"
        "heavy = {'trio', 'web3', 'libp2p', 'eth_account', 'lmdb', 'fastapi'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script, str(key_file)], check=True, timeout=60)
