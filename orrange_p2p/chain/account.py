"""Accounts that pay for transactions: a signer, and EIP-1559 transactions signed by it."""

from dataclasses import dataclass
from typing import Protocol

import rlp

from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.types import Address, Digest, Signature

_TYPE_1559 = b"\x02"


class DigestSigner(Protocol):
    """Whatever can sign a 32-byte digest for one account: a key in memory, or later a device."""

    @property
    def address(self) -> Address:
        """The account's address."""
        ...

    def sign(self, digest: Digest) -> Signature:
        """Sign `digest`: 65 bytes, r || s || v, low s, v 27 or 28."""
        ...


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
        signature = signer.sign(keccak256(_TYPE_1559 + bytes(rlp.encode(fields))))
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        return _TYPE_1559 + bytes(rlp.encode([*fields, signature[64] - 27, r, s]))


def created_address(sender: Address, nonce: int) -> Address:
    """The address of the contract that `sender`'s transaction `nonce` deploys."""
    return Address(keccak256(bytes(rlp.encode([sender, nonce])))[12:])
