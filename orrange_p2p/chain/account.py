"""Accounts that pay for transactions: a signer, and EIP-1559 transactions signed by it."""

from dataclasses import dataclass
from typing import Protocol

import rlp
from coincurve import PrivateKey

from orrange_p2p.core.hashing import address_of_public_key, keccak256
from orrange_p2p.core.types import Address, Digest, Signature
from orrange_p2p.errors import ConfigError

_SECRET_BYTES = 32
_GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_TYPE_1559 = b"\x02"


class DigestSigner(Protocol):
    """Whatever can sign a 32-byte digest for one account: a key in memory, or later a device."""

    @property
    def address(self) -> Address:
        """The account's address."""
        ...

    def sign_digest(self, digest: Digest) -> Signature:
        """Sign `digest`: 65 bytes, r || s || v, low s, v 27 or 28."""
        ...


class AccountKey:
    """A secp256k1 key in memory. Its repr shows the address alone."""

    __slots__ = ("_private_key", "address")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != _SECRET_BYTES or not 0 < int.from_bytes(secret, "big") < _GROUP_ORDER:
            raise ConfigError(
                f"expected a secp256k1 key of {_SECRET_BYTES} bytes, was {len(secret)} bytes out of range"
            )
        self._private_key = PrivateKey(secret)
        self.address = address_of_public_key(self._private_key.public_key.format(compressed=False))

    @classmethod
    def from_seed(cls, seed: int, label: str) -> "AccountKey":
        """The key that `seed` and `label` stand for: for development chains and demos, never for real money."""
        return cls(keccak256(f"orrange development key {seed} {label}".encode()))

    def sign_digest(self, digest: Digest) -> Signature:
        """Sign `digest`: 65 bytes, r || s || v, low s, v 27 or 28."""
        recoverable = self._private_key.sign_recoverable(digest, hasher=None)
        return Signature(recoverable[:64] + bytes((27 + recoverable[64],)))

    def __repr__(self) -> str:
        return f"AccountKey(0x{self.address.hex()})"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionFields:
    """An EIP-1559 transaction before its signature; `to` None deploys `payload` as a contract."""

    chain_id: int
    nonce: int
    priority_fee_wei: int
    max_fee_wei: int
    gas: int
    to: Address | None
    value_wei: int
    payload: bytes

    def signed_by(self, signer: DigestSigner) -> bytes:
        """The raw transaction, ready to be sent."""
        fields: list[object] = [
            self.chain_id,
            self.nonce,
            self.priority_fee_wei,
            self.max_fee_wei,
            self.gas,
            self.to or b"",
            self.value_wei,
            self.payload,
            [],
        ]
        signature = signer.sign_digest(keccak256(_TYPE_1559 + bytes(rlp.encode(fields))))
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        return _TYPE_1559 + bytes(rlp.encode([*fields, signature[64] - 27, r, s]))


def created_address(sender: Address, nonce: int) -> Address:
    """The address of the contract that `sender`'s transaction `nonce` deploys."""
    return Address(keccak256(bytes(rlp.encode([sender, nonce])))[12:])
