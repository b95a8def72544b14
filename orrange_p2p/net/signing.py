"""Signatures of gossip messages: libp2p's strict signing, for Ed25519 peers.

The author's key stands inside its peer id, so nothing a stranger sends is parsed as a key. The library raises on a
garbage key, and looks the key up anew for each message.
"""

from typing import Final

from libp2p.pubsub.pb import rpc_pb2
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from orrange_p2p.net.addresses import ED25519_PREFIX, is_peer_id

PREFIX: Final = b"libp2p-pubsub:"
SIGNATURE_BYTES: Final = 64
SEQNO_BYTES: Final = 8
KEY_OFFSET: Final = 2  # a peer id is a two-byte multihash head and the key as protobuf


def sign(message: rpc_pb2.Message, key: SigningKey) -> None:
    """Sign a message that has its data, topic, author and seqno, and attach the key."""
    message.signature = key.sign(_signed_bytes(message)).signature
    message.key = message.from_id[KEY_OFFSET:]


def fault_of(message: rpc_pb2.Message) -> str | None:
    """The rule that the message's author, number or signature breaks, or None if it was signed by its author."""
    if not is_peer_id(message.from_id):
        return "author"
    if len(message.seqno) != SEQNO_BYTES:
        return "seqno"
    if message.key and message.key != message.from_id[KEY_OFFSET:]:
        return "key"
    if len(message.signature) != SIGNATURE_BYTES:
        return "signature"
    try:
        VerifyKey(message.from_id[len(ED25519_PREFIX) :]).verify(_signed_bytes(message), message.signature)
    except BadSignatureError:
        return "signature"
    return None


def _signed_bytes(message: rpc_pb2.Message) -> bytes:
    unsigned = rpc_pb2.Message(
        data=message.data, topicIDs=message.topicIDs, from_id=message.from_id, seqno=message.seqno
    )
    return PREFIX + unsigned.SerializeToString()
