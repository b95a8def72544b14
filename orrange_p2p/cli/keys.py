"""`orrange keys`: make an owner's key file, and look at one.

Errors are raised as `OrrangeError`; the main command turns them into one sentence and exit code 1.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from orrange_p2p.cli.options import AsJson, examples
from orrange_p2p.cli.output import print_json, print_pairs
from orrange_p2p.errors import ConfigError
from orrange_p2p.keys.keystore import (
    PASSPHRASE_FILE_VARIABLE,
    check_new_path,
    keystore_address,
    read_keystore,
    read_passphrase,
    write_keystore,
)
from orrange_p2p.keys.session import SessionKey, checksum_address

app = typer.Typer(
    name="keys",
    help="Make and look at owner keys, kept as encrypted Ethereum key files.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="Read the passphrase from the first line of FILE, or else of the file that "
        f"{PASSPHRASE_FILE_VARIABLE} names; with neither, ask for it.",
    ),
]


@app.command(
    "new",
    epilog=examples(
        ("orrange keys new --out owner.json", "asks for a passphrase"),
        ("orrange keys new --out owner.json --passphrase-file secret.txt --json", "asks nothing"),
    ),
)
def new_key(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the key file; it must not exist.")],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a new owner key and write it, encrypted, to a new file that only you can read."""
    check_new_path(out)
    passphrase = ask_passphrase(passphrase_file, is_new=True)
    key = SessionKey.generate()
    write_keystore(out, key, passphrase)
    address = checksum_address(key.address)
    if as_json:
        print_json({"address": address, "file": str(out)})
        return
    print_pairs({"address": address, "file": str(out)})
    typer.echo("Back up this file and its passphrase: nobody else can restore them.")


@app.command(
    "show",
    epilog=examples(
        ("orrange keys show owner.json", "prints the address that the file states"),
        ("orrange keys show owner.json --passphrase-file secret.txt", "opens the key and checks it"),
    ),
)
def show_key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A key file.", show_default=False)],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the address of a key file.

    A passphrase is needed only if the file does not state its address. With --passphrase-file the key is opened and
    must be that of the address.
    """
    stated = keystore_address(file)
    if stated is not None and passphrase_file is None:
        address, is_verified = stated, False
    else:
        address, is_verified = read_keystore(file, ask_passphrase(passphrase_file, is_new=False)).address, True
    if as_json:
        print_json({"address": checksum_address(address), "file": str(file), "verified": is_verified})
        return
    opened = "yes, the passphrase opens this key" if is_verified else "no, as the file states it"
    print_pairs({"address": checksum_address(address), "file": str(file), "verified": opened})


def ask_passphrase(file: Path | None, *, is_new: bool) -> str:
    """A key file's passphrase: from a file, from the file that the environment names, or typed in unseen.

    Raises:
        ConfigError: the file cannot be read, or there is neither a file nor a terminal.
    """
    named = os.environ.get(PASSPHRASE_FILE_VARIABLE)
    if file is None and named:
        file = Path(named)
    if file is not None:
        return read_passphrase(file)
    if not sys.stdin.isatty():
        raise ConfigError(
            "expected a terminal to ask for the passphrase, was none: "
            f"give --passphrase-file FILE or set {PASSPHRASE_FILE_VARIABLE}"
        )
    passphrase: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new, err=True)
    return passphrase


def read_key(file: Path | None, passphrase_file: Path | None) -> SessionKey:
    """An account's key: from a key file, or typed in unseen. Never from an argument, which other users can see.

    Raises:
        ConfigError: the file or the passphrase is wrong, or there is neither a file nor a terminal.
    """
    if file is not None:
        return read_keystore(file, ask_passphrase(passphrase_file, is_new=False))
    if not sys.stdin.isatty():
        raise ConfigError("expected --key FILE, or a terminal to ask for a secret key, was neither")
    typed: str = typer.prompt("Secret key of the account that pays (hex)", hide_input=True, err=True)
    try:
        return SessionKey.from_bytes(bytes.fromhex(typed.strip().removeprefix("0x")))
    except ValueError as error:
        raise ConfigError("expected a secret key of 64 hex digits, was something else") from error
