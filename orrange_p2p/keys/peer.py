"""Ed25519 keys: a node's libp2p identity, and the Curve25519 form that seals messages to it.

Spec: protocol/spec/01-types.md [TYPE-5].
"""

import os
from typing import Self, final

from nacl.signing import SigningKey

from orrange_p2p.core.types import PeerId
from orrange_p2p.errors import ConfigError, InternalError
from orrange_p2p.keys.boxes import BoxKey

SEED_BYTES = 32
IDENTITY_PREFIX = bytes.fromhex("002408011220")  # identity multihash of 36 bytes: protobuf, type Ed25519, key of 32


@final
class PeerKey:
    """An Ed25519 private key, kept as its seed."""

    __slots__ = ("_key",)

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    @classmethod
    def generate(cls) -> Self:
        """A new key from the system's randomness."""
        return cls(SigningKey(os.urandom(SEED_BYTES)))

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The key with this seed; a `ConfigError`, which does not show it, if it is not 32 bytes."""
        if len(seed) != SEED_BYTES:
            raise ConfigError(f"expected a peer key seed of {SEED_BYTES} bytes, was {len(seed)} bytes")
        return cls(SigningKey(seed))

    def seed(self) -> bytes:
        """The private seed itself, 32 bytes: for the node's store and the libp2p host, for nothing else."""
        return bytes(self._key)

    def public_key(self) -> bytes:
        """The Ed25519 public key, 32 bytes."""
        return bytes(self._key.verify_key)

    def peer_id(self) -> PeerId:
        """The libp2p identity: 38 bytes, identity multihash of the public key."""
        return PeerId(IDENTITY_PREFIX + self.public_key())

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature of `message`, 64 bytes."""
        return self._key.sign(message).signature

    def encryption_key(self) -> bytes:
        """The Curve25519 public key of the same seed, 32 bytes, to which others seal messages."""
        return bytes(self._key.verify_key.to_curve25519_public_key())

    def box_key(self) -> BoxKey:
        """The Curve25519 private key of the same seed, which seals and opens boxes."""
        return BoxKey(self._key.to_curve25519_private_key())

    def __repr__(self) -> str:
        """The public identity; never the seed."""
        return f"PeerKey({self.peer_id().hex()})"

    def __reduce__(self) -> str | tuple[object, ...]:
        """Refuse to be pickled: a seed leaves only through `seed`."""
        raise InternalError("a private key cannot be pickled or copied")
