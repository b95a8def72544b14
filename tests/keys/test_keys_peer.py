"""Ed25519 peer keys: the libp2p identity, and the key that others seal messages to."""

import pickle

import pytest
from nacl.exceptions import BadSignatureError
from nacl.public import PublicKey, SealedBox
from nacl.signing import SigningKey, VerifyKey

from orrange_p2p.errors import ConfigError, InternalError
from orrange_p2p.keys.peer import PeerKey

SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")  # RFC 8032, test 1
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
EMPTY_SIGNATURE = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_seed_of_another_length_is_refused_unseen(length: int) -> None:
    with pytest.raises(ConfigError, match=f"expected a peer key seed of 32 bytes, was {length} bytes") as raised:
        PeerKey.from_seed(b"\xab" * length)
    assert "abab" not in repr(raised.value)


def test_the_known_key_signs_as_rfc_8032_says() -> None:
    key = PeerKey.from_seed(SEED)
    assert key.public_key() == PUBLIC
    assert key.sign(b"") == EMPTY_SIGNATURE


def test_the_peer_id_is_the_identity_multihash_that_libp2p_computes() -> None:
    """Spec: [TYPE-5]."""
    from libp2p.crypto.ed25519 import create_new_key_pair
    from libp2p.peer.id import ID

    key = PeerKey.from_seed(SEED)
    assert key.peer_id() == bytes.fromhex("002408011220") + PUBLIC
    assert len(key.peer_id()) == 38
    assert key.peer_id() == ID.from_pubkey(create_new_key_pair(SEED).public_key).to_bytes()


def test_a_signature_is_of_this_message_by_this_key() -> None:
    key, other = PeerKey.generate(), PeerKey.generate()
    signature = key.sign(b"message")
    assert VerifyKey(key.public_key()).verify(b"message", signature) == b"message"
    for verifier, message in ((other, b"message"), (key, b"massage")):
        with pytest.raises(BadSignatureError):
            VerifyKey(verifier.public_key()).verify(message, signature)


def test_what_is_sealed_to_the_encryption_key_opens_with_the_seed() -> None:
    key = PeerKey.generate()
    sealed = SealedBox(PublicKey(key.encryption_key())).encrypt(b"pay to this account")
    assert SealedBox(SigningKey(key.seed()).to_curve25519_private_key()).decrypt(sealed) == b"pay to this account"
    assert len(key.encryption_key()) == 32
    assert key.encryption_key() != key.public_key()


def test_a_seed_gives_the_same_key_again_and_generated_ones_differ() -> None:
    key = PeerKey.generate()
    assert PeerKey.from_seed(key.seed()).peer_id() == key.peer_id()
    assert len({PeerKey.generate().seed() for _ in range(20)}) == 20


def test_a_key_shows_its_identity_and_never_its_seed() -> None:
    key = PeerKey.from_seed(SEED)
    assert PUBLIC.hex() in repr(key)
    assert SEED.hex() not in f"{key!r} {key}"
    with pytest.raises(InternalError, match="cannot be pickled"):
        pickle.dumps(key)
