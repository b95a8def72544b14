"""Scores sink with marks, heal with time, and turn into bans that expire."""

from orrange_p2p.core.types import PeerId
from orrange_p2p.net import scores
from orrange_p2p.net.scores import PeerScores, Standing
from orrange_p2p.net.settings import NetSettings

PEER = PeerId(b"p" * 38)
OTHER = PeerId(b"o" * 38)
HALF_LIFE_MS = 600_000


class Clock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


def test_marks_add_up_to_disconnect_and_then_ban() -> None:
    known = PeerScores(NetSettings(), Clock())
    assert [known.mark(PEER, 10) for _ in range(5)] == [
        Standing.TOLERATED,
        Standing.DISCONNECT,
        Standing.DISCONNECT,
        Standing.DISCONNECT,
        Standing.BAN,
    ]
    assert known.is_banned(PEER)
    assert not known.is_banned(OTHER)
    assert known.score(OTHER) == 0


def test_two_marks_a_moment_apart_count_in_full() -> None:
    clock = Clock()
    known = PeerScores(NetSettings(), clock)
    known.mark(PEER, 10)
    clock.now_ms += 3000
    assert known.mark(PEER, 10) is Standing.DISCONNECT


def test_a_score_halves_each_half_life() -> None:
    clock = Clock()
    known = PeerScores(NetSettings(), clock)
    known.mark(PEER, 16)
    clock.now_ms += HALF_LIFE_MS
    assert known.score(PEER) == -8
    clock.now_ms += 2 * HALF_LIFE_MS
    assert known.score(PEER) == -2
    assert known.mark(PEER, 10) is Standing.TOLERATED


def test_a_clock_that_steps_back_heals_nothing_and_harms_nothing() -> None:
    clock = Clock()
    clock.now_ms = 1_000_000
    known = PeerScores(NetSettings(), clock)
    known.mark(PEER, 16)
    clock.now_ms = 0
    assert known.score(PEER) == -16


def test_a_ban_ends_on_time() -> None:
    clock = Clock()
    known = PeerScores(NetSettings(ban_s=60), clock)
    known.mark(PEER, 50)
    clock.now_ms = 59_999
    assert known.is_banned(PEER)
    clock.now_ms = 60_000
    assert not known.is_banned(PEER)


def test_memory_is_bounded_and_the_oldest_marks_go_first() -> None:
    known = PeerScores(NetSettings(), Clock())
    for number in range(scores.MAX_REMEMBERED + 2):
        known.mark(PeerId(number.to_bytes(38, "big")), 50)
    assert not known.is_banned(PeerId((0).to_bytes(38, "big")))
    assert not known.is_banned(PeerId((1).to_bytes(38, "big")))
    assert known.score(PeerId((1).to_bytes(38, "big"))) == 0
    assert known.is_banned(PeerId((2).to_bytes(38, "big")))
    assert known.is_banned(PeerId((scores.MAX_REMEMBERED + 1).to_bytes(38, "big")))
