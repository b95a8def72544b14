"""X25519 keys: boxes that two parties can make and read, and nobody else.

Spec: protocol/spec/08-peers.md [DM-1].
"""

import os
from typing import Self, final

from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey

from orrange_p2p.errors import ConfigError, InternalError, LocalProtocolError, RemoteProtocolError

SECRET_BYTES = 32


@final
class BoxKey:
    """An X25519 private key."""

    __slots__ = ("_key",)

    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    @classmethod
    def from_secret(cls, secret: bytes) -> Self:
        """The key with this secret; a `ConfigError`, which does not show it, if it is not 32 bytes."""
        if len(secret) != SECRET_BYTES:
            raise ConfigError(f"expected an encryption secret of {SECRET_BYTES} bytes, was {len(secret)}")
        return cls(PrivateKey(secret))

    def public_key(self) -> bytes:
        """What others seal to, 32 bytes: a Delegation's `encryption_key`."""
        return bytes(self._key.public_key)

    def seal(self, reader_key: bytes, plain: bytes) -> bytes:
        """`plain` in a box that this key and the holder of `reader_key` can open, with a random nonce before it.

        Raises:
            LocalProtocolError: nothing can be sealed to `reader_key`: it is no key that anybody has.
        """
        try:
            return bytes(Box(self._key, PublicKey(reader_key)).encrypt(plain, os.urandom(Box.NONCE_SIZE)))
        except CryptoError as error:
            raise LocalProtocolError("DM-1", "expected an encryption key that somebody has, was another") from error

    def open_box(self, writer_key: bytes, sealed: bytes) -> bytes:
        """What is in a box that the holder of `writer_key` sealed to this key.

        Raises:
            RemoteProtocolError: it does not open: somebody else sealed it, or to somebody else, or it was changed.
        """
        try:
            return Box(self._key, PublicKey(writer_key)).decrypt(sealed)
        except CryptoError as error:
            raise RemoteProtocolError("DM-1", "expected a box that opens, was another") from error

    def __repr__(self) -> str:
        """The public key; never the secret."""
        return f"BoxKey({self.public_key().hex()})"

    def __reduce__(self) -> str | tuple[object, ...]:
        """Refuse to be pickled."""
        raise InternalError("a private key cannot be pickled or copied")
