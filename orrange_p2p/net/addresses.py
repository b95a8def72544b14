"""Peer ids and multiaddrs, as people write them and as bytes."""

import base58
from multiaddr import Multiaddr

from orrange_p2p.core.types import PeerId
from orrange_p2p.errors import ConfigError

ED25519_PREFIX = bytes.fromhex("002408011220")
PEER_ID_BYTES = len(ED25519_PREFIX) + 32


def is_peer_id(raw: bytes) -> bool:
    """Whether these bytes are the identity multihash of an Ed25519 key, the only peer id we know."""
    return len(raw) == PEER_ID_BYTES and raw.startswith(ED25519_PREFIX)


def peer_text(peer: PeerId) -> str:
    """A peer id as people write it, `12D3Koo...`."""
    return base58.b58encode(peer).decode()


def parse_address(address: str) -> tuple[Multiaddr, PeerId]:
    """A multiaddr and the peer id that it ends in.

    Raises:
        ConfigError: It is no TCP multiaddr, or has no Ed25519 peer id.
    """
    try:
        parsed = Multiaddr(address)
        raw_id = base58.b58decode(parsed.value_for_protocol("p2p") or "")
        parsed.value_for_protocol("tcp")
    except Exception as error:  # border: the multiaddr library raises what its parts raise
        raise ConfigError(f"expected an address like /ip4/1.2.3.4/tcp/4001/p2p/12D3Koo..., was {address}") from error
    if not is_peer_id(raw_id):
        raise ConfigError(f"expected an Ed25519 peer id (12D3Koo...) at the end of the address, was {address}")
    return parsed, PeerId(raw_id)


def multiaddr_bytes(address: str) -> bytes:
    """A multiaddr as bytes.

    Raises:
        ConfigError: It is none.
    """
    return bytes(parse_address(address)[0].to_bytes())


def multiaddr_text(encoded: bytes) -> str | None:
    """A multiaddr as people write it, one that `parse_address` takes; None if the bytes are no such thing."""
    try:
        text = str(Multiaddr(encoded))
        parse_address(text)
    except Exception:  # noqa: BLE001 - border: the multiaddr library raises what its parts raise
        return None
    return text
