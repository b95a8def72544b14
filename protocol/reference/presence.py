"""Who says that it is alive, and who is absent.

Spec: protocol/spec/08-peers.md [PEER-1..3].
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from protocol.reference.cbor import RefusedError, Value, encode
from protocol.reference.signing import digest, keccak, recover
from protocol.reference.types import Address, Clock, Digest, Domain
from protocol.reference.wire import read_presence

EPOCHS_AHEAD_MAX = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A session was alive in an epoch; `content_root` is over its heads and addresses. Spec: [TYPE-7]."""

    session: Address
    epoch: int
    content_root: Digest


def content_root(heads: Sequence[Value], addresses: Sequence[Value]) -> Digest:
    """The keccak of heads and addresses as they are written. Spec: [TYPE-7]."""
    return keccak(encode([list(heads), list(addresses)]))


def read_signed_presence(domain: Domain, encoded: bytes) -> Presence:
    """Decode a Presence and see that its session signed it. Spec: [PEER-1].

    Raises:
        RefusedError: if it did not; no honest peer sends it.
    """
    session, epoch, heads, addresses, signature = read_presence(encoded)
    presence = Presence(session=session, epoch=epoch, content_root=content_root(heads, addresses))
    if recover(digest(domain, "Presence", presence), signature) != session:
        raise RefusedError("PEER-1", "expected the session's signature, was another's")
    return presence


def newest(known: Presence | None, heard: Presence, clock_epoch: int) -> Presence | None:
    """Which of two Presences of a session counts: the later epoch; of two with one epoch the first. Spec: [PEER-2]."""
    if heard.epoch > clock_epoch + EPOCHS_AHEAD_MAX or (known is not None and known.epoch >= heard.epoch):
        return known
    return heard


def absent_sessions(
    clock: Clock, sessions: Iterable[Address], alive_ms: Mapping[Address, int], synced_ms: int, now_ms: int
) -> list[Address]:
    """The sessions without a sign of life for `dead_s` seconds, none of which count before the node was synced.

    Spec: [PEER-3].

    Args:
        clock: for `dead_s`.
        sessions: whose orders are in question.
        alive_ms: when each last gave a sign of life, if ever.
        synced_ms: when the node became synced.
        now_ms: the node's time.
    """
    dead_ms = clock.constants.dead_s * 1000
    return sorted(
        session for session in sessions if now_ms - max(synced_ms, alive_ms.get(session, synced_ms)) > dead_ms
    )
