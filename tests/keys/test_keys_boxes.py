"""Boxes between two parties. Spec: [DM-1]."""

import pickle

import pytest
from nacl.bindings import crypto_box_open, crypto_sign_ed25519_sk_to_curve25519, crypto_sign_seed_keypair

from orrange_p2p.errors import ConfigError, InternalError, LocalProtocolError, RemoteProtocolError
from orrange_p2p.keys.boxes import BoxKey
from orrange_p2p.keys.peer import PeerKey

SELLER, BUYER, THIRD = (PeerKey.from_seed(bytes([number]) * 32) for number in (1, 2, 3))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_secret_of_another_length_is_refused_unseen(length: int) -> None:
    with pytest.raises(ConfigError, match=f"of 32 bytes, was {length}") as raised:
        BoxKey.from_secret(b"\xab" * length)
    assert "abab" not in repr(raised.value)


def test_a_box_opens_with_one_secret_and_the_others_public_key_alone() -> None:
    sealed = SELLER.box_key().seal(BUYER.encryption_key(), b"pay here")
    assert BUYER.box_key().open_box(SELLER.encryption_key(), sealed) == b"pay here"
    assert SELLER.box_key().open_box(BUYER.encryption_key(), sealed) == b"pay here"
    for reader, writer in ((THIRD, SELLER), (BUYER, THIRD), (BUYER, BUYER)):
        with pytest.raises(RemoteProtocolError) as raised:
            reader.box_key().open_box(writer.encryption_key(), sealed)
        assert raised.value.rule == "DM-1"


@pytest.mark.parametrize("at", [0, 23, 24, 39, 40, -1])
def test_a_box_with_one_bit_changed_does_not_open(at: int) -> None:
    sealed = bytearray(SELLER.box_key().seal(BUYER.encryption_key(), b"pay here"))
    sealed[at] ^= 1
    with pytest.raises(RemoteProtocolError):
        BUYER.box_key().open_box(SELLER.encryption_key(), bytes(sealed))


@pytest.mark.parametrize("length", [0, 23, 24, 39])
def test_a_box_cut_short_does_not_open(length: int) -> None:
    sealed = SELLER.box_key().seal(BUYER.encryption_key(), b"pay here")
    with pytest.raises(RemoteProtocolError):
        BUYER.box_key().open_box(SELLER.encryption_key(), sealed[:length])


def test_every_box_has_a_nonce_of_its_own() -> None:
    boxes = {SELLER.box_key().seal(BUYER.encryption_key(), b"pay here")[:24] for _ in range(100)}
    assert len(boxes) == 100


def test_nothing_is_sealed_to_a_key_that_nobody_has() -> None:
    """All zeros: every secret would share the same key with it."""
    with pytest.raises(LocalProtocolError):
        SELLER.box_key().seal(bytes(32), b"pay here")
    with pytest.raises(RemoteProtocolError):
        SELLER.box_key().open_box(bytes(32), bytes(100))


def test_a_box_is_what_nacl_calls_one() -> None:
    sealed = SELLER.box_key().seal(BUYER.encryption_key(), b"pay here")
    _, signing = crypto_sign_seed_keypair(BUYER.seed())
    secret = crypto_sign_ed25519_sk_to_curve25519(signing)
    assert crypto_box_open(sealed[24:], sealed[:24], SELLER.encryption_key(), secret) == b"pay here"


def test_a_key_shows_no_secret_and_cannot_be_pickled() -> None:
    key = BUYER.box_key()
    assert key.public_key() == BUYER.encryption_key()
    assert repr(key) == f"BoxKey({BUYER.encryption_key().hex()})"
    with pytest.raises(InternalError):
        pickle.dumps(key)
