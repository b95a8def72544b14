"""Keys from a seed, for demos: the same everywhere, unrelated to each other."""

import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from orrange_p2p.keys.derive import derive_secret
from orrange_p2p.keys.peer import PeerKey
from orrange_p2p.keys.session import SessionKey, is_valid_secret

TEXT = st.text(max_size=40)


@settings(max_examples=200, deadline=None)
@given(seed=TEXT, label=TEXT)
def test_every_seed_and_label_give_a_valid_key_for_both_curves(seed: str, label: str) -> None:
    secret = derive_secret(seed, label)
    assert is_valid_secret(secret)
    assert SessionKey.from_bytes(secret).secret_bytes() == secret
    assert PeerKey.from_seed(secret).seed() == secret


def test_a_derived_key_never_changes() -> None:
    assert (
        derive_secret("7", "peer 0 owner").hex() == "bf7c8c734ae7424082c1c66c28067799e0ead910587ad4a53a09dfad4a30706c"
    )


@settings(max_examples=200, deadline=None)
@given(one=st.tuples(TEXT, TEXT), other=st.tuples(TEXT, TEXT))
def test_no_two_pairs_of_seed_and_label_share_a_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (derive_secret(*one) == derive_secret(*other)) == (one == other)


def test_where_seed_ends_and_label_begins_matters() -> None:
    assert derive_secret("ab", "c") != derive_secret("a", "bc")


def test_text_and_its_bytes_are_one_seed() -> None:
    assert derive_secret("sämling", "owner") == derive_secret("sämling".encode(), "owner")


def test_the_hash_seed_of_python_does_not_matter() -> None:
    script = "from orrange_p2p.keys.derive import derive_secret; print(derive_secret('7', 'peer').hex())"
    printed = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "42")
    }
    assert len(printed) == 1
