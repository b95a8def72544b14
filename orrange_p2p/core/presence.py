"""Who is present: the newest Presence of each session, and the last sign of life.

Presence is local and says nothing about the book; it decides only whose orders a window leaves out.
Spec: protocol/spec/08-peers.md [PEER-1..3].
"""

from collections.abc import Iterable, Mapping, Sequence

from orrange_p2p.core.digests import Digests
from orrange_p2p.core.events import Identity
from orrange_p2p.core.gossip_codec import (
    MAX_ADDRESSES,
    MAX_PRESENCE_MARKETS,
    compute_content_root,
    decode_presence,
    encode_presence,
)
from orrange_p2p.core.hashing import recover_address
from orrange_p2p.core.messages import Head
from orrange_p2p.core.peer_messages import MarketHead, Presence
from orrange_p2p.core.types import Address, Epoch, MarketId
from orrange_p2p.errors import RemoteProtocolError

MAX_SESSIONS = 10_000
MAX_FORWARDED = 1024


def verify_presence(digests: Digests, encoded: bytes) -> Presence:
    """Decode a Presence and see that its session signed it.

    Raises:
        RemoteProtocolError: it did not; the sender is to blame. Spec: [PEER-1].
    """
    presence = decode_presence(encoded)
    root = compute_content_root(presence.heads, presence.addresses)
    signed = digests.presence(presence.session, presence.epoch, root)
    if recover_address(signed, presence.signature) != presence.session:
        raise RemoteProtocolError("PEER-1", "presence: expected the session's signature")
    return presence


class PresenceBook:
    """The newest Presence of every session that the chain knows, at most `MAX_SESSIONS`, and signs of life."""

    def __init__(self, dead_ms: int) -> None:
        """Start with nobody known.

        Args:
            dead_ms: without a sign of life for so long a session is absent.
        """
        self._dead_ms = dead_ms
        self._newest: dict[Address, Presence] = {}
        self._alive_ms: dict[Address, int] = {}
        self._since_ms: int | None = None
        self._to_forward: dict[Address, bytes] = {}

    def __len__(self) -> int:
        """Sessions with a Presence."""
        return len(self._newest)

    def restart(self, now_ms: int) -> None:
        """This node is synced from now on: who was silent before may just not have been heard. Spec: [PEER-3]."""
        self._since_ms = now_ms

    def note_alive(self, session: Address, now_ms: int) -> None:
        """A sign of life; where there is no place for one more session, the one silent for longest goes."""
        if session not in self._alive_ms and len(self._alive_ms) >= MAX_SESSIONS:
            gone = min(self._alive_ms, key=lambda one: (self._alive_ms[one], one))
            for kept in (self._alive_ms, self._newest, self._to_forward):
                kept.pop(gone, None)
        self._alive_ms[session] = max(now_ms, self._alive_ms.get(session, 0))

    def take(self, presence: Presence, encoded: bytes, now_ms: int) -> bool:
        """Take in a verified Presence; whether it is newer than what was known. Spec: [PEER-2]."""
        known = self._newest.get(presence.session)
        if known is not None and known.epoch >= presence.epoch:
            return False
        self.note_alive(presence.session, now_ms)
        self._newest[presence.session] = presence
        if presence.session in self._to_forward or len(self._to_forward) < MAX_FORWARDED:
            self._to_forward[presence.session] = encoded
        return True

    def presence(self, session: Address) -> Presence | None:
        """The newest Presence of a session."""
        return self._newest.get(session)

    def take_forwards(self, most: int) -> tuple[bytes, ...]:
        """Up to `most` Presences not handed on yet, oldest first; they are handed on now."""
        sessions = list(self._to_forward)[:most]
        return tuple(self._to_forward.pop(session) for session in sessions)

    def absent(self, sessions: Iterable[Address], now_ms: int) -> tuple[Address, ...]:
        """Those of `sessions` without a sign of life for too long, ascending; nobody before this node is synced."""
        since_ms = self._since_ms
        if since_ms is None:
            return ()
        return tuple(
            sorted(
                session
                for session in dict.fromkeys(sessions)
                if now_ms - max(since_ms, self._alive_ms.get(session, 0)) > self._dead_ms
            )
        )


def make_presence(
    digests: Digests, identity: Identity, epoch: Epoch, heads: Mapping[MarketId, Head], addresses: Sequence[bytes]
) -> bytes:
    """An own Presence, signed and encoded. Spec: [PEER-1], [TYPE-7].

    Args:
        digests: of the deployment.
        identity: whose session signs.
        epoch: the current one.
        heads: where the session's feeds stand; the first 16 markets by id are told.
        addresses: binary multiaddrs by preference; the first four are told.
    """
    told = tuple(
        MarketHead(market=market, next_seq=heads[market].next_seq, head_hash=heads[market].head_hash)
        for market in sorted(heads)[:MAX_PRESENCE_MARKETS]
    )
    reachable = tuple(addresses)[:MAX_ADDRESSES]
    signed = digests.presence(identity.session, epoch, compute_content_root(told, reachable))
    return encode_presence(
        Presence(
            session=identity.session,
            epoch=epoch,
            heads=told,
            addresses=reachable,
            signature=identity.sign(signed),
        )
    )
