"""Key files: standard, private, written once, opened only with their passphrase."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orrange_p2p.errors import ConfigError
from orrange_p2p.keys.keystore import (
    check_new_path,
    keystore_address,
    read_keystore,
    read_passphrase,
    write_keystore,
)
from orrange_p2p.keys.session import SessionKey

CHEAP_N = 2
PASSPHRASE = "correct horse 🐎 battery"
SECRET = bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The key `SECRET` under `PASSPHRASE`."""
    path = tmp_path / "owner.json"
    write_keystore(path, SessionKey.from_bytes(SECRET), PASSPHRASE, scrypt_n=CHEAP_N)
    return path


def _change(path: Path, **changes: Any) -> None:
    keystore = json.loads(path.read_text())
    keystore.update(changes)
    path.write_text(json.dumps({name: value for name, value in keystore.items() if value is not None}))


def test_an_existing_file_is_never_overwritten(key_file: Path) -> None:
    before = key_file.read_bytes()
    for attempt in (
        check_new_path,
        lambda path: write_keystore(path, SessionKey.generate(), "other", scrypt_n=CHEAP_N),
    ):
        with pytest.raises(ConfigError, match=r"exists already and a key file is never overwritten: name another file"):
            attempt(key_file)
    assert key_file.read_bytes() == before
    assert list(key_file.parent.iterdir()) == [key_file]


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ConfigError, match="exists already"):
        write_keystore(tmp_path / "link.json", SessionKey.generate(), PASSPHRASE, scrypt_n=CHEAP_N)
    assert not (tmp_path / "elsewhere.json").exists()


def test_a_missing_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a directory at .*missing, was none: create it first"):
        write_keystore(tmp_path / "missing" / "owner.json", SessionKey.generate(), PASSPHRASE, scrypt_n=CHEAP_N)


def test_an_empty_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a passphrase, was empty"):
        write_keystore(tmp_path / "owner.json", SessionKey.generate(), "", scrypt_n=CHEAP_N)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_passphrase_is_said_and_shown_nowhere(key_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"the passphrase does not open .*owner\.json: try another one") as raised:
        read_keystore(key_file, "incorrect donkey")
    assert "donkey" not in str(raised.value)


def test_the_right_passphrase_gives_the_key_back(key_file: Path) -> None:
    assert read_keystore(key_file, PASSPHRASE).secret_bytes() == SECRET


def test_the_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_keystore(tmp_path / "owner.json", SessionKey.generate(), PASSPHRASE, scrypt_n=CHEAP_N)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "owner.json").stat().st_mode) == 0o600


def test_the_file_holds_no_secret_in_clear(key_file: Path) -> None:
    content = key_file.read_text()
    assert SECRET.hex() not in content.lower()
    assert "horse" not in content


def test_the_address_is_known_without_a_passphrase(key_file: Path) -> None:
    assert keystore_address(key_file) == SessionKey.from_bytes(SECRET).address


def test_a_file_without_address_does_not_say_and_still_opens(key_file: Path) -> None:
    _change(key_file, address=None)
    assert keystore_address(key_file) is None
    assert read_keystore(key_file, PASSPHRASE).secret_bytes() == SECRET


def test_a_changed_address_is_found_when_the_key_is_opened(key_file: Path) -> None:
    _change(key_file, address="00" * 20)
    with pytest.raises(ConfigError, match=r"expected the key of 0x0{40} in .*, was that of 0x2c7536E3605D9C16"):
        read_keystore(key_file, PASSPHRASE)


def test_other_wallets_read_our_files_and_we_read_theirs(key_file: Path, tmp_path: Path) -> None:
    assert bytes(Account.decrypt(key_file.read_text(), PASSPHRASE)) == SECRET
    theirs = (
        Account.encrypt(SECRET, PASSPHRASE, kdf="scrypt", iterations=CHEAP_N),
        Account.encrypt(SECRET, PASSPHRASE, kdf="pbkdf2", iterations=10),
    )
    for number, keystore in enumerate(theirs):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(keystore))
        assert read_keystore(path, PASSPHRASE).secret_bytes() == SECRET


def test_the_example_of_the_standard_opens(tmp_path: Path) -> None:
    path = tmp_path / "standard.json"
    path.write_text(
        json.dumps(
            {
                "crypto": {
                    "cipher": "aes-128-ctr",
                    "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
                    "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
                    "kdf": "pbkdf2",
                    "kdfparams": {
                        "c": 262144,
                        "dklen": 32,
                        "prf": "hmac-sha256",
                        "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
                    },
                    "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
                },
                "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
                "version": 3,
            }
        )
    )
    secret = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"
    assert read_keystore(path, "testpassword").secret_bytes().hex() == secret


def test_the_default_cost_is_the_standard_one(tmp_path: Path) -> None:
    write_keystore(tmp_path / "owner.json", SessionKey.from_bytes(SECRET), PASSPHRASE)
    parameters = json.loads((tmp_path / "owner.json").read_text())["crypto"]["kdfparams"]
    assert (parameters["n"], parameters["r"], parameters["p"]) == (2**18, 8, 1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[]",
        b"3",
        b"{}",
        b'{"version": 3}',
        b'{"version": 4, "crypto": {}}',
        b'{"version": 3, "crypto": []}',
        b'{"version": 3, "crypto": {}}',
        b"\xff\xfe\x00",
        b"[" * 60_000,
    ],
)
def test_what_is_no_keystore_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "owner.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="expected an Ethereum keystore of version 3"):
        read_keystore(path, PASSPHRASE)


@pytest.mark.parametrize("address", [5, "xyz", "00" * 19, ["00" * 20]])
def test_an_address_that_is_none_is_refused(key_file: Path, address: object) -> None:
    _change(key_file, address=address)
    with pytest.raises(ConfigError, match="its address is not"):
        keystore_address(key_file)


@pytest.mark.parametrize(
    "kdf",
    [
        {"kdf": "scrypt", "kdfparams": {"n": 2**40, "r": 8, "p": 1, "dklen": 32, "salt": "00"}},
        {"kdf": "scrypt", "kdfparams": {"n": 2, "r": 2**30, "p": 1, "dklen": 32, "salt": "00"}},
        {"kdf": "scrypt", "kdfparams": {"n": 2, "r": 8, "p": 2**30, "dklen": 32, "salt": "00"}},
        {"kdf": "scrypt", "kdfparams": {"n": -2, "r": -8, "p": 1, "dklen": 32, "salt": "00"}},
        {"kdf": "pbkdf2", "kdfparams": {"c": 10**12, "prf": "hmac-sha256", "dklen": 32, "salt": "00"}},
        {"kdf": "argon", "kdfparams": {}},
        {"kdf": "scrypt", "kdfparams": {}},
    ],
)
def test_a_file_that_would_take_all_memory_is_refused_at_once(key_file: Path, kdf: dict[str, Any]) -> None:
    _change(key_file, crypto={**json.loads(key_file.read_text())["crypto"], **kdf})
    with pytest.raises(ConfigError, match="its key derivation is unknown or out of bounds"):
        read_keystore(key_file, PASSPHRASE)


JUNK = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=8), st.just([]), st.just({}))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.sampled_from(
        [
            ("crypto", "cipherparams"),
            ("crypto", "cipherparams", "iv"),
            ("crypto", "ciphertext"),
            ("crypto", "mac"),
            ("crypto", "kdf"),
            ("crypto", "kdfparams", "salt"),
            ("crypto", "kdfparams", "dklen"),
            ("crypto", "kdfparams", "n"),
            ("address",),
            ("version",),
        ]
    ),
    junk=JUNK,
)
def test_junk_in_any_field_is_a_config_error_or_the_key(key_file: Path, where: tuple[str, ...], junk: object) -> None:
    keystore = json.loads(key_file.read_text())
    part = keystore
    for name in where[:-1]:
        part = part[name]
    part[where[-1]] = junk
    changed = key_file.with_name("changed.json")
    changed.write_text(json.dumps(keystore))
    try:
        assert read_keystore(changed, PASSPHRASE).secret_bytes() == SECRET
    except ConfigError as error:
        assert str(changed) in str(error)


@pytest.mark.parametrize("size", [2**16 + 1, 2**20])
def test_a_huge_file_is_not_read(tmp_path: Path, size: int) -> None:
    (tmp_path / "owner.json").write_bytes(b" " * size)
    with pytest.raises(ConfigError, match="expected a key file of at most 65536 bytes"):
        keystore_address(tmp_path / "owner.json")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the key file .*owner\.json cannot be read \(No such file or directory\)"):
        keystore_address(tmp_path / "owner.json")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b"secret\nsecond line\n", "secret"),
        (b"  two words ", "  two words "),
        ("пароль\n".encode(), "пароль"),
    ],
)
def test_a_passphrase_is_the_first_line(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "secret.txt").write_bytes(content)
    assert read_passphrase(tmp_path / "secret.txt") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a passphrase in the first line of"),
        (b"\nsecond", "expected a passphrase in the first line of"),
        (b"\xff\xfe", "expected UTF-8 text"),
        (b"a" * 5000, "expected a passphrase file of at most 4096 bytes"),
    ],
)
def test_a_file_without_passphrase_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "secret.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_passphrase(tmp_path / "secret.txt")
