"""Our signatures are the library's strict signatures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.validators import PUBSUB_SIGNING_PREFIX, signature_validator
from nacl.signing import SigningKey

from orrange_p2p.net import signing
from orrange_p2p.net.network import Network

SEED = b"k" * 32


def message(data: bytes = b"data", number: int = 1) -> rpc_pb2.Message:
    return rpc_pb2.Message(
        data=data, topicIDs=["topic"], from_id=Network(SEED).peer_id, seqno=number.to_bytes(8, "big")
    )


@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_the_library_accepts_what_we_sign(data: bytes, number: int) -> None:
    made = message(data, number)
    signing.sign(made, SigningKey(SEED))
    assert signature_validator(made)
    assert signing.fault_of(made) is None


@given(st.binary(max_size=200))
def test_we_accept_what_the_library_signs(data: bytes) -> None:
    keys = create_new_key_pair(SEED)
    made = message(data)
    assert ID.from_pubkey(keys.public_key).to_bytes() == made.from_id
    made.signature = keys.private_key.sign(PUBSUB_SIGNING_PREFIX.encode() + made.SerializeToString())
    assert signing.fault_of(made) is None, "without a key, which the peer id contains"
    made.key = keys.public_key.serialize()
    assert signing.fault_of(made) is None


@given(st.binary(max_size=60), st.binary(max_size=12), st.binary(max_size=60), st.binary(max_size=70))
def test_no_bytes_make_it_raise(author: bytes, number: bytes, key: bytes, signature: bytes) -> None:
    made = rpc_pb2.Message(data=b"x", topicIDs=["t"], from_id=author, seqno=number, key=key, signature=signature)
    assert signing.fault_of(made) in ("author", "seqno", "key", "signature")


@pytest.mark.parametrize("field", ["data", "seqno", "from_id", "signature", "key"])
def test_one_changed_bit_anywhere_is_found(field: str) -> None:
    made = message()
    signing.sign(made, SigningKey(SEED))
    value = bytearray(getattr(made, field))
    value[-1] ^= 1
    setattr(made, field, bytes(value))
    assert signing.fault_of(made) is not None


def test_a_changed_topic_is_found() -> None:
    made = message()
    signing.sign(made, SigningKey(SEED))
    made.topicIDs[0] = "another"
    assert signing.fault_of(made) == "signature"
