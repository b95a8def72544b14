"""keccak-256 and secp256k1 recovery, as pure functions.

Spec: protocol/spec/01-types.md [SIGN-3].
"""

import sha3
from coincurve import PublicKey

from orrange_p2p.core.types import ZERO_ADDRESS, Address, Digest, Signature

_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_SIGNATURE_BYTES = 65
_V_VALUES = (27, 28)


def keccak256(content: bytes) -> Digest:
    """The keccak-256 digest that Ethereum uses (not NIST SHA3-256)."""
    return Digest(sha3.keccak_256(content).digest())


def address_of_public_key(uncompressed: bytes) -> Address:
    """The address of a 65-byte uncompressed secp256k1 public key."""
    return Address(keccak256(uncompressed[1:])[12:])


def recover_address(digest: Digest, signature: Signature) -> Address | None:
    """The address that signed `digest`, or None if the signature is not acceptable. Spec: [SIGN-3].

    Args:
        digest: 32 bytes, the EIP-712 digest that was signed.
        signature: 65 bytes `r || s || v`; s in the lower half, v 27 or 28.
    """
    if len(signature) != _SIGNATURE_BYTES or signature[64] not in _V_VALUES:
        return None
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        return None
    compact = signature[:64] + bytes((signature[64] - 27,))
    try:
        public_key = PublicKey.from_signature_and_message(compact, digest, hasher=None)
    except ValueError:
        return None
    address = address_of_public_key(public_key.format(compressed=False))
    return None if address == ZERO_ADDRESS else address
