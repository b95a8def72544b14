"""An owner's key on disk: the encrypted JSON that every Ethereum wallet reads (Web3 Secret Storage, version 3).

A key file is written once and never over another one. The passphrase comes from a prompt or from a file, never from the
command line, where every process of the machine could read it.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any, cast

from orrange_p2p.core.types import Address
from orrange_p2p.errors import ConfigError
from orrange_p2p.keys.session import SessionKey, checksum_address

PASSPHRASE_FILE_VARIABLE = "ORRANGE_PASSPHRASE_FILE"  # noqa: S105 - the name of a variable, not a passphrase
SCRYPT_N = 1 << 18
SCRYPT_MEMORY_MAX_BYTES = 1 << 30
SCRYPT_P_MAX = 16
PBKDF2_ROUNDS_MAX = 10_000_000
KEYSTORE_MAX_BYTES = 1 << 16
PASSPHRASE_MAX_BYTES = 1 << 12
_VERSION = 3
_ADDRESS_BYTES = 20


def write_keystore(path: Path, key: SessionKey, passphrase: str, *, scrypt_n: int = SCRYPT_N) -> None:
    """Encrypt `key` and write it to `path`, mode 0600: the whole file or none, on disk when this returns.

    Takes about a second and 256 MiB, which is what scrypt is for.

    Raises:
        ConfigError: `path` exists already or cannot be written, or the passphrase is empty.
    """
    from eth_account import Account

    check_new_path(path)
    if not passphrase:
        raise ConfigError("expected a passphrase, was empty")
    keystore = Account.encrypt(key.secret_bytes(), passphrase, kdf="scrypt", iterations=scrypt_n)
    try:
        _write_new(path, json.dumps(keystore, indent=2).encode() + b"\n")
    except FileExistsError as error:
        raise _existing(path) from error
    except OSError as error:
        raise ConfigError(f"the key file {path} cannot be written ({error.strerror}): name another place") from error


def read_keystore(path: Path, passphrase: str) -> SessionKey:
    """Decrypt the key in `path`.

    Raises:
        ConfigError: No such file, not a version 3 keystore, a wrong passphrase, or a key of another account than the
            file says.
    """
    from eth_account import Account

    keystore = _load(path)
    _check_cost(path, keystore)
    try:
        secret = bytes(Account.decrypt(cast(Any, keystore), passphrase))
    except (ValueError, TypeError, KeyError, AssertionError, NotImplementedError) as error:
        if "MAC mismatch" in str(error):
            raise ConfigError(f"the passphrase does not open {path}: try another one") from error
        raise _not_a_keystore(path, "it cannot be decrypted") from error
    key = SessionKey.from_bytes(secret)
    address = _address(path, keystore)
    if address is not None and address != key.address:
        raise ConfigError(
            f"expected the key of {checksum_address(address)} in {path}, was that of {checksum_address(key.address)}: "
            "the file was changed, so use a backup"
        )
    return key


def keystore_address(path: Path) -> Address | None:
    """The account that the file in `path` says it holds, or None if it does not say; no passphrase needed, or checked.

    Raises:
        ConfigError: No such file, or not a version 3 keystore.
    """
    return _address(path, _load(path))


def read_passphrase(path: Path) -> str:
    """The passphrase in the first line of a file, without its line end.

    Raises:
        ConfigError: No such file, not UTF-8, empty, or beyond `PASSPHRASE_MAX_BYTES`; the message does not show it.
    """
    content = _read(path, "passphrase file", PASSPHRASE_MAX_BYTES)
    try:
        passphrase = content.decode().split("\n", 1)[0].removesuffix("\r")
    except UnicodeDecodeError as error:
        raise ConfigError(f"expected UTF-8 text in the passphrase file {path}, was something else") from error
    if not passphrase:
        raise ConfigError(f"expected a passphrase in the first line of {path}, was empty")
    return passphrase


def check_new_path(path: Path) -> None:
    """A `ConfigError` unless a key file may be created at `path`."""
    if path.exists() or path.is_symlink():
        raise _existing(path)
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"expected a directory at {path.absolute().parent}, was none: create it first")


def _existing(path: Path) -> ConfigError:
    return ConfigError(f"{path} exists already and a key file is never overwritten: name another file")


def _not_a_keystore(path: Path, why: str) -> ConfigError:
    return ConfigError(f"expected an Ethereum keystore of version {_VERSION} in {path}, was something else ({why})")


def _write_new(path: Path, content: bytes) -> None:
    """Write a file beside its place and link it there: the name never stands for half a file, or replaces another."""
    directory = path.absolute().parent
    descriptor, made = tempfile.mkstemp(prefix=".orrange-", dir=directory)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(made, path)
    finally:
        Path(made).unlink()
    directory_descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory_descriptor)
    finally:
        os.close(directory_descriptor)


def _read(path: Path, what: str, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise ConfigError(f"the {what} {path} cannot be read ({error.strerror}): check its path and owner") from error
    if len(content) > limit:
        raise ConfigError(f"expected a {what} of at most {limit} bytes at {path}, was more")
    return content


def _load(path: Path) -> dict[str, Any]:
    content = _read(path, "key file", KEYSTORE_MAX_BYTES)
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _not_a_keystore(path, "it is not JSON") from error
    if not isinstance(found, dict):
        raise _not_a_keystore(path, "it is not a JSON object")
    keystore = {name.lower(): value for name, value in found.items()}
    if keystore.get("version") != _VERSION or not isinstance(keystore.get("crypto"), dict):
        raise _not_a_keystore(path, "its version or its crypto part is missing")
    return keystore


def _address(path: Path, keystore: dict[str, Any]) -> Address | None:
    stated = keystore.get("address")
    if stated is None:
        return None
    try:
        address = bytes.fromhex(stated.removeprefix("0x"))
    except (AttributeError, ValueError) as error:
        raise _not_a_keystore(path, "its address is not hex") from error
    if len(address) != _ADDRESS_BYTES:
        raise _not_a_keystore(path, "its address is not one")
    return Address(address)


def _check_cost(path: Path, keystore: dict[str, Any]) -> None:
    """Refuse a file whose key derivation would take all memory or an hour."""
    match {name.lower(): value for name, value in keystore["crypto"].items()}:
        case {"kdf": "scrypt", "kdfparams": {"dklen": 32, "n": int() as n, "r": int() as r, "p": int() as p}}:
            is_bounded = n > 0 and r > 0 and 128 * n * r <= SCRYPT_MEMORY_MAX_BYTES and 0 < p <= SCRYPT_P_MAX
        case {"kdf": "pbkdf2", "kdfparams": {"dklen": 32, "c": int() as rounds}}:
            is_bounded = 0 < rounds <= PBKDF2_ROUNDS_MAX
        case _:
            is_bounded = False
    if not is_bounded:
        raise _not_a_keystore(path, "its key derivation is unknown or out of bounds")
