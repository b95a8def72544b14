"""What we remember of peers that broke the rules: a score that heals with time, and bans that expire.

The library forgets a peer's score when it disconnects; this keeps it, so that hanging up is no way out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from orrange_p2p.core.types import PeerId
from orrange_p2p.net.settings import NetSettings

MAX_REMEMBERED = 10_000


class Standing(Enum):
    """What to do with a peer after a mark against it."""

    TOLERATED = "tolerated"
    DISCONNECT = "disconnect"
    BAN = "ban"


@dataclass(slots=True)
class _Score:
    points: float  # not money, order or time: only how much we mind a peer
    at_ms: int


class PeerScores:
    """Scores and bans of peers, by peer id, in memory.

    At most `MAX_REMEMBERED` of each are kept; the least recently marked goes first. Peer ids cost nothing to make, so
    this slows an attacker down and no more.
    """

    def __init__(self, settings: NetSettings, clock_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._clock_ms = clock_ms
        self._scores: dict[PeerId, _Score] = {}
        self._banned_until_ms: dict[PeerId, int] = {}

    def score(self, peer: PeerId) -> float:
        """The peer's score now; 0 for a peer with no marks, never above."""
        known = self._scores.get(peer)
        if known is None:
            return 0.0
        age_s = max(0, self._clock_ms() - known.at_ms) / 1000
        return float(known.points * 0.5 ** (age_s / self._settings.score_half_life_s))

    def is_banned(self, peer: PeerId) -> bool:
        """Whether the peer is banned now."""
        until_ms = self._banned_until_ms.get(peer)
        if until_ms is None:
            return False
        if self._clock_ms() >= until_ms:
            del self._banned_until_ms[peer]
            return False
        return True

    def mark(self, peer: PeerId, points: int) -> Standing:
        """Take `points` (above 0) from the peer's score and say what follows."""
        score = self.score(peer) - points
        self._scores.pop(peer, None)
        _make_room(self._scores)
        self._scores[peer] = _Score(points=score, at_ms=self._clock_ms())
        whole = round(score)  # the half-life must not make the second of two quick marks count for less
        if whole <= self._settings.ban_score:
            self._banned_until_ms.pop(peer, None)
            _make_room(self._banned_until_ms)
            self._banned_until_ms[peer] = self._clock_ms() + int(self._settings.ban_s * 1000)
            return Standing.BAN
        if whole <= self._settings.disconnect_score:
            return Standing.DISCONNECT
        return Standing.TOLERATED


def _make_room(remembered: dict[PeerId, _Score] | dict[PeerId, int]) -> None:
    while len(remembered) >= MAX_REMEMBERED:
        del remembered[next(iter(remembered))]
