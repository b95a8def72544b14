"""secp256k1 keys sign as every Ethereum wallet does, and keep their secret to themselves."""

import copy
import pickle

import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address
from hypothesis import given, settings
from hypothesis import strategies as st

from orrange_p2p.core.hashing import keccak256, recover_address
from orrange_p2p.core.types import Address, Digest
from orrange_p2p.errors import ConfigError, InternalError
from orrange_p2p.keys.session import GROUP_ORDER, SessionKey, checksum_address, is_valid_secret

SECRETS = st.integers(1, GROUP_ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
DIGESTS = st.binary(min_size=32, max_size=32).map(Digest)
KNOWN_SECRET = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
KNOWN_ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_secret_of_another_length_is_refused_unseen(length: int) -> None:
    with pytest.raises(ConfigError, match=f"expected a secret key of 32 bytes, was {length} bytes") as raised:
        SessionKey.from_bytes(b"\xab" * length)
    assert "abab" not in repr(raised.value)


@pytest.mark.parametrize("number", [0, GROUP_ORDER, GROUP_ORDER + 1, 2**256 - 1])
def test_a_number_outside_the_curve_is_refused_unseen(number: int) -> None:
    secret = number.to_bytes(32, "big")
    assert not is_valid_secret(secret)
    with pytest.raises(ConfigError, match=r"expected a secret key in 1\.\.n-1 of the curve") as raised:
        SessionKey.from_bytes(secret)
    assert str(number) not in str(raised.value)
    assert secret.hex() not in str(raised.value)


@pytest.mark.parametrize("number", [1, 2, GROUP_ORDER - 1])
def test_the_edges_of_the_curve_are_keys(number: int) -> None:
    secret = number.to_bytes(32, "big")
    assert SessionKey.from_bytes(secret).secret_bytes() == secret


def test_a_known_key_has_its_known_address() -> None:
    assert checksum_address(SessionKey.from_bytes(KNOWN_SECRET).address) == KNOWN_ADDRESS


@pytest.mark.parametrize("length", [0, 31, 33])
def test_only_a_digest_is_signed(length: int) -> None:
    with pytest.raises(InternalError, match=f"expected a digest of 32 bytes, was {length} bytes"):
        SessionKey.generate().sign(Digest(bytes(length)))


@settings(max_examples=150, deadline=None)
@given(secret=SECRETS, digest=DIGESTS)
def test_signatures_equal_those_of_eth_account_byte_for_byte(secret: bytes, digest: Digest) -> None:
    key, account = SessionKey.from_bytes(secret), Account.from_key(secret)
    assert to_checksum_address(key.address) == account.address
    assert key.sign(digest) == bytes(account.unsafe_sign_hash(digest).signature)


@settings(max_examples=150, deadline=None)
@given(secret=SECRETS, digest=DIGESTS)
def test_signatures_are_canonical_and_recover_to_the_address(secret: bytes, digest: Digest) -> None:
    key = SessionKey.from_bytes(secret)
    signature = key.sign(digest)
    assert len(signature) == 65
    assert signature[64] in (27, 28)
    assert 0 < int.from_bytes(signature[32:64], "big") <= GROUP_ORDER // 2
    assert signature == key.sign(digest)
    assert recover_address(digest, signature) == key.address


@settings(max_examples=100, deadline=None)
@given(address=st.binary(min_size=20, max_size=20).map(Address))
def test_addresses_are_written_as_eip_55_says(address: Address) -> None:
    assert checksum_address(address) == to_checksum_address(address)


def test_generated_keys_differ() -> None:
    assert len({SessionKey.generate().secret_bytes() for _ in range(50)}) == 50


def test_a_key_shows_its_address_and_never_its_secret() -> None:
    key = SessionKey.from_bytes(KNOWN_SECRET)
    shown = f"{key!r} {key} {[key]!r}"
    assert KNOWN_ADDRESS in shown
    assert KNOWN_SECRET.hex() not in shown.lower()
    assert str(int.from_bytes(KNOWN_SECRET, "big")) not in shown


def test_a_key_is_neither_pickled_nor_copied() -> None:
    key = SessionKey.generate()
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(InternalError, match="cannot be pickled or copied"):
            leak(key)


def test_a_signature_of_another_digest_recovers_to_somebody_else() -> None:
    key = SessionKey.generate()
    signature = key.sign(keccak256(b"one"))
    assert recover_address(keccak256(b"two"), signature) != key.address
