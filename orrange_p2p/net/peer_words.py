"""Presences and evidence over gossip: judged here, handed on through a bounded queue.

Presences are never forwarded as they came: the node hands them on in batches of its own, so the verdict is Ignore.
Evidence is forwarded as it came, once it has proven what it says.
Spec: protocol/spec/08-peers.md [PEER-1, PEER-2, EVID-1..5].
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import trio

from orrange_p2p.core.digests import Digests
from orrange_p2p.core.evidence import VerifiedEvidence, verify_evidence
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.peer_messages import DefaultPointer, Evidences, Presence, Presences
from orrange_p2p.core.presence import verify_presence
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import MarketId
from orrange_p2p.core.verdicts import Accept, Ignore, Verdict

MAX_SEEN = 20_000
MAX_WAITING = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardWords:
    """What one gossip message said that was not known: Presences with their encoded form, or evidence."""

    presences: tuple[tuple[Presence, bytes], ...] = ()
    pieces: tuple[VerifiedEvidence | DefaultPointer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WordStatistics:
    """Messages handed on, and those dropped because the node did not take them fast enough."""

    heard: int
    dropped: int


class PeerWords:
    """Judges Presences and evidence of all markets; `run` hands what is new to the node."""

    def __init__(self, digests: Digests, markets: Mapping[MarketId, MarketRules]) -> None:
        self._digests = digests
        self._markets = markets
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._send, self._receive = trio.open_memory_channel[HeardWords](MAX_WAITING)
        self._heard = self._dropped = 0

    def statistics(self) -> WordStatistics:
        """Counters since the start."""
        return WordStatistics(heard=self._heard, dropped=self._dropped)

    def judge(self, message: Presences | Evidences) -> Verdict:
        """Look at a message; what is new in it waits for `run`.

        Raises:
            RemoteProtocolError: no honest peer sends it.
        """
        if isinstance(message, Presences):
            fresh = self._fresh(message.presences)
            said = HeardWords(presences=tuple((verify_presence(self._digests, one), one) for one in fresh))
            if self._hand_on(said):
                self._note_seen(fresh)
            return Ignore("PEER-2")
        fresh = self._fresh(message.pieces)
        found = [verify_evidence(self._digests, self._markets, one) for one in fresh]
        pieces = tuple(piece for piece in found if piece is not None)
        if not self._hand_on(HeardWords(pieces=pieces)):
            return Ignore("EVID-3")
        self._note_seen(fresh)
        is_proven = bool(found) and all(isinstance(piece, VerifiedEvidence) for piece in found)
        return Accept() if is_proven else Ignore("EVID-3")

    def _fresh(self, encoded: tuple[bytes, ...]) -> tuple[bytes, ...]:
        return tuple(one for one in dict.fromkeys(encoded) if keccak256(one) not in self._seen)

    def _note_seen(self, encoded: tuple[bytes, ...]) -> None:
        for one in encoded:
            self._seen[keccak256(one)] = None
        while len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)

    def _hand_on(self, words: HeardWords) -> bool:
        """Whether there was nothing to hand on, or a place for it; what was dropped may come again from others."""
        if not words.presences and not words.pieces:
            return True
        try:
            self._send.send_nowait(words)
        except trio.WouldBlock:
            self._dropped += 1
            return False
        self._heard += 1
        return True

    async def run(self, sink: Callable[[HeardWords], Awaitable[None]]) -> None:
        """Hand on what was heard, until cancelled."""
        async for words in self._receive:
            await sink(words)
