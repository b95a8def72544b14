"""EIP-712 digests, read off `protocol/eip712.json`, and who signed them.

Spec: protocol/spec/01-types.md [SIGN-1..3], [TYPE-5].
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coincurve import PublicKey
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from sha3 import keccak_256

from protocol.reference.types import ZERO_ADDRESS, Address, Digest, Domain, Market, Signature

SCHEMA = json.loads((Path(__file__).parents[1] / "eip712.json").read_text(encoding="utf-8"))
DOMAIN_FIELDS = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
PEER_ID_PREFIX = bytes.fromhex("002408011220")


def keccak(content: bytes) -> Digest:
    """Keccak-256, as Ethereum has it."""
    return bytes(keccak_256(content).digest())


def type_string(name: str, fields: Sequence[dict[str, str]]) -> str:
    """A struct's string, for example `Ready(bytes32 ticket,uint64 epoch)`."""
    return f"{name}({','.join(field['type'] + ' ' + field['name'] for field in fields)})"


def encode_member(kind: str, value: Any) -> bytes:
    """One member of a struct as its 32 bytes; arrays, strings and byte strings as their hash."""
    if kind.endswith("[]"):
        return keccak(b"".join(encode_member(kind.removesuffix("[]"), element) for element in value))
    if kind == "string":
        return keccak(value.encode())
    if kind == "bytes":
        return keccak(value)
    if kind == "bool":
        return int(value).to_bytes(32, "big")
    if kind == "address":
        return _exactly(value, 20).rjust(32, b"\x00")
    if kind == "bytes32":
        return _exactly(value, 32)
    bits = int(kind.removeprefix("uint"))
    if not 0 <= value < 2**bits:
        raise ValueError(f"expected a {kind}, was {value}")
    return int(value).to_bytes(32, "big")


def _exactly(value: bytes, length: int) -> bytes:
    if len(value) != length:
        raise ValueError(f"expected {length} bytes, was {len(value)}")
    return value


def hash_struct(name: str, fields: Sequence[dict[str, str]], values: Sequence[Any]) -> Digest:
    """`keccak256(keccak256(type string) || members)`."""
    members = (encode_member(field["type"], value) for field, value in zip(fields, values, strict=True))
    return keccak(keccak(type_string(name, fields).encode()) + b"".join(members))


def domain_separator(domain: Domain) -> Digest:
    """The hash of the domain. Spec: [SIGN-1]."""
    values = [SCHEMA["domain"]["name"], SCHEMA["domain"]["version"], domain.chain_id, domain.settlement]
    return hash_struct("EIP712Domain", DOMAIN_FIELDS, values)


def digest(domain: Domain, name: str, struct: object) -> Digest:
    """What is signed for a struct: `keccak256(0x1901 || domain || hashStruct)`. Spec: [SIGN-1], [SIGN-2].

    Args:
        domain: The deployment.
        name: The struct's name in `protocol/eip712.json`.
        struct: A value whose attributes bear the members' names in snake case.
    """
    fields = SCHEMA["types"][name]
    values = [getattr(struct, _snake_case(field["name"])) for field in fields]
    return keccak(b"\x19\x01" + domain_separator(domain) + hash_struct(name, fields, values))


def _snake_case(name: str) -> str:
    return re.sub("[A-Z]", lambda capital: "_" + capital.group().lower(), name)


def market_id(domain: Domain, market: Market) -> Digest:
    """The id of a market: its digest. Spec: [SIGN-2]."""
    return digest(domain, "Market", market)


def is_well_formed(signature: Signature) -> bool:
    """Say whether a signature is r || s || v with 0 < r, 0 < s <= n/2 and v 27 or 28. Spec: [SIGN-3]."""
    if len(signature) != 65:
        return False
    r, s, v = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    return r > 0 and 0 < s <= CURVE_ORDER // 2 and v in (27, 28)


def recover(signed: Digest, signature: Signature) -> Address | None:
    """Who signed a digest; None if the signature is refused or recovers to nothing. Spec: [SIGN-3]."""
    if not is_well_formed(signature):
        return None
    compact = signature[:64] + bytes([signature[64] - 27])
    try:
        key = PublicKey.from_signature_and_message(compact, signed, hasher=None)
    except ValueError:
        return None
    address = address_of(key)
    return None if address == ZERO_ADDRESS else address


def address_of(key: PublicKey) -> Address:
    """The account of a public key: the last 20 bytes of the keccak of its two coordinates."""
    return keccak(key.format(compressed=False)[1:])[12:]


def is_signed_by_peer(signed: Digest, signature: bytes, peer_id: bytes) -> bool:
    """Say whether the Ed25519 key inside a peer id signed a digest, by libsodium's rules. Spec: [TYPE-5]."""
    if not peer_id.startswith(PEER_ID_PREFIX):
        return False
    try:
        VerifyKey(peer_id.removeprefix(PEER_ID_PREFIX)).verify(signed, signature)
    except BadSignatureError:
        return False
    return True
