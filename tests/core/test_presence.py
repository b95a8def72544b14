"""The book of who is present keeps to its size and forgets the one silent for longest. Spec: [PEER-2], [PEER-3]."""

import pytest

from orrange_p2p.core import presence
from orrange_p2p.core.peer_messages import Presence
from orrange_p2p.core.presence import PresenceBook
from orrange_p2p.core.types import Address, Epoch, Signature


def session(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


def said_by(number: int, epoch: int) -> Presence:
    return Presence(session=session(number), epoch=Epoch(epoch), heads=(), addresses=(), signature=Signature(bytes(65)))


def test_a_newcomer_takes_the_place_of_the_one_silent_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "MAX_SESSIONS", 3)
    book = PresenceBook(dead_ms=1_000)
    book.restart(0)
    for number, now_ms in ((1, 500), (2, 100), (3, 900)):
        assert book.take(said_by(number, 5), b"%d" % number, now_ms)
    assert book.take(said_by(4, 5), b"4", 950)
    assert len(book) == 3
    assert book.presence(session(2)) is None
    assert book.absent([session(number) for number in range(1, 5)], 1_400) == (session(2),)
    assert book.take_forwards(10) == (b"1", b"3", b"4")


def test_a_sign_of_life_without_a_presence_counts_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "MAX_SESSIONS", 1)
    book = PresenceBook(dead_ms=1_000)
    book.restart(0)
    book.note_alive(session(1), 500)
    book.note_alive(session(2), 900)
    assert book.absent([session(1), session(2)], 1_800) == (session(1),)
