"""secp256k1 keys: owners, sessions and submitters all sign with the same class.

Spec: protocol/spec/01-types.md [SIGN-1..3], [TYPE-5].
"""

import os
from typing import Self, final

from coincurve import PrivateKey

from orrange_p2p.core.hashing import address_of_public_key, keccak256
from orrange_p2p.core.types import Address, Digest, Signature
from orrange_p2p.errors import ConfigError, InternalError

SECRET_BYTES = 32
GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_DIGEST_BYTES = 32
_V_BASE = 27
_RECOVERY_MAX = 1


def is_valid_secret(secret: bytes) -> bool:
    """Whether `secret` is a private key of the curve: 32 bytes, 1 to n - 1."""
    return len(secret) == SECRET_BYTES and 0 < int.from_bytes(secret, "big") < GROUP_ORDER


def checksum_address(address: Address) -> str:
    """An address as people read it: `0x` and hex whose letter case is a checksum (EIP-55)."""
    digits = address.hex()
    marks = keccak256(digits.encode()).hex()
    cased = (digit.upper() if mark in "89abcdef" else digit for digit, mark in zip(digits, marks, strict=False))
    return "0x" + "".join(cased)


@final
class SessionKey:
    """A secp256k1 private key that signs digests."""

    __slots__ = ("_address", "_key")

    def __init__(self, key: PrivateKey) -> None:
        self._key = key
        self._address = address_of_public_key(key.public_key.format(compressed=False))

    @classmethod
    def generate(cls) -> Self:
        """A new key from the system's randomness."""
        secret = os.urandom(SECRET_BYTES)
        while not is_valid_secret(secret):
            secret = os.urandom(SECRET_BYTES)
        return cls(PrivateKey(secret))

    @classmethod
    def from_bytes(cls, secret: bytes) -> Self:
        """The key with this secret.

        Raises:
            ConfigError: `secret` is not 32 bytes or not a number of the curve. The message does not show it.
        """
        if len(secret) != SECRET_BYTES:
            raise ConfigError(f"expected a secret key of {SECRET_BYTES} bytes, was {len(secret)} bytes")
        if not is_valid_secret(secret):
            raise ConfigError("expected a secret key in 1..n-1 of the curve secp256k1, was outside")
        return cls(PrivateKey(secret))

    @property
    def address(self) -> Address:
        """The account that signatures of this key recover to."""
        return self._address

    def secret_bytes(self) -> bytes:
        """The private key itself, 32 bytes: for the node's store or a keystore, for nothing else."""
        return self._key.secret

    def sign(self, digest: Digest) -> Signature:
        """Sign 32 bytes as they are: RFC 6979, low s, v 27 or 28. The same digest always gives the same signature."""
        if len(digest) != _DIGEST_BYTES:
            raise InternalError(f"expected a digest of {_DIGEST_BYTES} bytes, was {len(digest)} bytes")
        signed = self._key.sign_recoverable(digest, hasher=None)
        if signed[64] > _RECOVERY_MAX:
            raise InternalError(f"expected a recovery id of 0 or 1, was {signed[64]}")
        return Signature(signed[:64] + bytes((signed[64] + _V_BASE,)))

    def __repr__(self) -> str:
        """The address; never the secret."""
        return f"SessionKey({checksum_address(self._address)})"

    def __reduce__(self) -> str | tuple[object, ...]:
        """Refuse to be pickled: a secret leaves only through `secret_bytes`."""
        raise InternalError("a private key cannot be pickled or copied")
