"""Deterministic keys that sign what worlds are made of, built on the reference alone."""

from dataclasses import dataclass
from functools import cached_property

from coincurve import PrivateKey
from nacl.signing import SigningKey

from protocol.reference.signing import PEER_ID_PREFIX, address_of, digest, keccak
from protocol.reference.types import Address, Digest, Domain, Signature


@dataclass(frozen=True)
class Signer:
    """A secp256k1 key made from a label; the same label is the same key for ever."""

    label: str

    @cached_property
    def key(self) -> PrivateKey:
        """The private key."""
        return PrivateKey(keccak(self.label.encode()))

    @cached_property
    def address(self) -> Address:
        """The account."""
        return address_of(self.key.public_key)

    def sign(self, signed: Digest) -> Signature:
        """r || s || v over a digest, low s."""
        compact = self.key.sign_recoverable(signed, hasher=None)
        return compact[:64] + bytes([compact[64] + 27])

    def sign_struct(self, domain: Domain, name: str, struct: object) -> Signature:
        """The signature over a struct's EIP-712 digest."""
        return self.sign(digest(domain, name, struct))


@dataclass(frozen=True)
class Peer:
    """An Ed25519 identity made from a label."""

    label: str

    @cached_property
    def key(self) -> SigningKey:
        """The private key."""
        return SigningKey(keccak(self.label.encode()))

    @cached_property
    def peer_id(self) -> bytes:
        """The identity multihash of the public key."""
        return PEER_ID_PREFIX + bytes(self.key.verify_key)

    def sign(self, signed: Digest) -> bytes:
        """The Ed25519 signature over a digest."""
        return bytes(self.key.sign(signed).signature)
