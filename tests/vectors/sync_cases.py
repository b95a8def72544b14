"""Cases for `protocol/vectors/sync`: roots of ranges, and answers that an asker may and may not get."""

from collections.abc import Iterator
from random import Random
from typing import Any

from protocol.reference import reconcile
from protocol.reference.cbor import RefusedError, encode
from protocol.reference.reconcile import END, Head
from protocol.reference.wire import read_sync_frame
from tests.vectors.world_cases import plain

Case = dict[str, Any]
MARKET, SALT = b"\x6d" * 32, bytes(range(16))
LOW, HIGH = bytes(20), b"\xff" * 20


def crowd(count: int, seed: int) -> list[Head]:
    """Heads of thrown sessions."""
    dice = Random(seed)
    return [
        Head(session=dice.randbytes(20), next_seq=dice.randrange(1, 300), head_hash=dice.randbytes(32))
        for _ in range(count)
    ]


def by_session(heads: list[Head]) -> list[Head]:
    """Heads in the order in which they are shown."""
    return reconcile.within(heads, 0, END)


def moved(head: Head) -> Head:
    """A session's head an entry later."""
    return Head(session=head.session, next_seq=head.next_seq + 1, head_hash=b"\xee" * 32)


def dead(head: Head) -> Head:
    """A session's head once it has forked."""
    return Head(session=head.session, next_seq=2, head_hash=bytes(32))


ALONG = [Head(session=(2**bit).to_bytes(20, "big"), next_seq=bit + 1, head_hash=b"\x01" * 32) for bit in (0, 1, 8, 159)]
ROOTS: dict[str, list[Head]] = {
    "none": [],
    "one": crowd(1, 1),
    "one_dead": [dead(crowd(1, 1)[0])],
    "one_of_2_to_the_64_entries": [Head(session=HIGH, next_seq=2**64 - 1, head_hash=b"\x01" * 32)],
    "first_and_last": [
        Head(session=LOW, next_seq=1, head_hash=b"\x01" * 32),
        Head(session=HIGH, next_seq=1, head_hash=b"\x01" * 32),
    ],
    "side_by_side": [Head(session=LOW[:19] + bytes([n]), next_seq=1, head_hash=b"\x01" * 32) for n in range(4, 8)],
    "along_one_path": ALONG,
    "twenty": crowd(20, 2),
}
PLACES = [0, 1, 2**80, 2**152, 2**159, 2**159 + 2**158, END]


def root_cases() -> Iterator[Case]:
    """[SYNC-8..11]."""
    for name, heads in ROOTS.items():
        shown = by_session(heads)
        ranges = [(0, END), *((low, high) for low in PLACES for high in PLACES if low < high)]
        ranges += [(head.number, head.number + 1) for head in shown[:3]]
        yield {
            "name": name,
            "rules": ["SYNC-1", "SYNC-8", "SYNC-9", "SYNC-10", "SYNC-11"],
            "salt": plain(SALT),
            "heads": [plain(head) for head in shown],
            "elements": [plain(reconcile.element(head)) for head in shown],
            "ids": plain(ids_of(shown)),
            "ranges": [range_of(shown, low, high) for low, high in dict.fromkeys(ranges)],
        }


def range_of(heads: list[Head], low: int, high: int) -> Case:
    """What stands for a range."""
    root = reconcile.root(reconcile.within(heads, low, high))
    return {
        "from": plain(reconcile.place(low)),
        "to": plain(reconcile.place(high)),
        "root": plain(root),
        "fingerprint": plain(reconcile.salted(SALT, root)),
    }


def ask(mine: list[Head], ranges: list[tuple[int, int]], listed: list[tuple[int, int]] | None = None) -> list[Any]:
    """A Compare of ranges by fingerprint, and of others by ids."""
    spans = [[[reconcile.place(low), reconcile.place(high)], [fingerprint(mine, low, high)]] for low, high in ranges]
    listings = [
        [reconcile.place(low), reconcile.place(high), ids_of(reconcile.within(mine, low, high))]
        for low, high in listed or []
    ]
    return [5, 1, MARKET, SALT, spans, listings]


def ids_of(heads: list[Head]) -> list[bytes]:
    """Of each head."""
    return [reconcile.salted(SALT, reconcile.element(head)) for head in heads]


def fingerprint(heads: list[Head], low: int, high: int) -> bytes:
    """Of a range of heads."""
    return reconcile.salted(SALT, reconcile.root(reconcile.within(heads, low, high)))


MINE = by_session(crowd(20, 3))
OTHER = by_session([*MINE[2:8], moved(MINE[8]), dead(MINE[9]), *MINE[10:], *crowd(3, 4)])
HALF = by_session([*reconcile.within(OTHER, 0, 2**159), *reconcile.within(MINE, 2**159, END)])
ALL = [(0, END)]
CUT = 2**159
PARTS = [(0, CUT), (CUT, END)]
BY_ALL, BY_PARTS, BY_IDS = ask(MINE, ALL), ask(MINE, PARTS), ask(MINE, [], ALL)
WORLDS: dict[str, tuple[list[Head], list[Any], list[Head]]] = {
    "equal": (MINE, BY_ALL, MINE),
    "both_hold_nothing": ([], ask([], ALL), []),
    "few_heads_are_told": (MINE[:5], ask(MINE[:5], ALL), [moved(MINE[0]), *MINE[1:4], crowd(1, 5)[0]]),
    "one_who_holds_nothing_is_told": ([], ask([], ALL), MINE[:4]),
    "one_who_holds_nothing_tells_so": (MINE[:4], ask(MINE[:4], ALL), []),
    "many_heads_are_split": (MINE, BY_ALL, OTHER),
    "one_half_is_equal": (
        MINE,
        BY_PARTS,
        HALF,
    ),
    "ids_are_compared": (MINE, BY_IDS, OTHER),
    "an_empty_listing_asks_for_everything": ([], ask([], [], ALL), MINE),
    "ids_and_fingerprints_together": (MINE, ask(MINE, PARTS[1:], PARTS[:1]), OTHER),
}
IDS = BY_IDS[5][0][2]
FOREIGN = [b"\x05" * 20, 1, b"\x01" * 32]
KNOWN = [MINE[0].session, MINE[0].next_seq, MINE[0].head_hash]
QUARTERS = [b"", b"\x40", reconcile.place(CUT)]
UPPER = [reconcile.place(CUT), b""]
HALVES = [b"", reconcile.place(CUT), b""]
LIES: dict[str, tuple[list[Any], list[Any]]] = {
    "nothing_reached": (BY_PARTS, [6, 1, b"\x01", [], [], [], []]),
    "reached_within_the_second_range": (BY_PARTS, [6, 1, b"\xc0", [], [], [], []]),
    "a_range_given_back_whole": (BY_ALL, [6, 1, b"", [[[b"", b""], [SALT[:8]]]], [], [], []]),
    "a_range_split_that_was_not_asked": (BY_ALL, [6, 1, b"", [[[b"", b"\x10", b"\x20"], [SALT[:8]] * 2]], [], [], []]),
    "a_range_told_that_was_not_asked": (BY_ALL, [6, 1, b"", [], [[b"", b"\x10"]], [], []]),
    "a_range_told_and_split": (BY_ALL, [6, 1, b"", [[HALVES, [SALT[:8]] * 2]], [[b"", b""]], [], []]),
    "a_listing_told": (BY_IDS, [6, 1, b"", [], [[b"", b""]], [], []]),
    "a_head_of_no_range_told": (BY_ALL, [6, 1, b"", [], [], [FOREIGN], []]),
    "a_head_beyond_what_was_reached": (BY_PARTS, [6, 1, reconcile.place(CUT), [], [], [[HIGH, 1, b"\x01" * 32]], []]),
    "a_head_that_was_listed": (BY_IDS, [6, 1, b"", [], [], [KNOWN], []]),
    "a_lacking_id_that_was_not_listed": (BY_IDS, [6, 1, b"", [], [], [], [b"\x07" * 8]]),
    "a_lacking_id_where_none_was_listed": (BY_ALL, [6, 1, b"", [], [[b"", b""]], [], IDS[:1]]),
    "reached_one_range_of_two": (BY_PARTS, [6, 1, reconcile.place(CUT), [], [[b"", reconcile.place(CUT)]], [], []]),
    "split_and_told_as_may_be": (
        BY_PARTS,
        [6, 1, b"", [[QUARTERS, [SALT[:8]] * 2]], [[reconcile.place(CUT), b""]], [], []],
    ),
    "some_ids_lacking": (BY_IDS, [6, 1, b"", [], [], [FOREIGN], IDS[5:9]]),
}


def answer_cases() -> Iterator[Case]:
    """[SYNC-11..15]: what answers teach, from an honest other and from anybody."""
    for name, (mine, asked, other) in WORLDS.items():
        yield answer_case(name, mine, asked, reconcile.answer(other, asked), by_session(other))
    for name, (asked, said) in LIES.items():
        yield answer_case(name, MINE, asked, said, None)


def answer_case(name: str, mine: list[Head], asked: list[Any], said: list[Any], other: list[Head] | None) -> Case:
    """One question and one answer, both as frames."""
    frames = [encode(asked), encode(said)]
    for frame in frames:
        read_sync_frame(frame)
    case: Case = {
        "name": name,
        "rules": ["SYNC-12", "SYNC-13", "SYNC-15", "SYNC-16"],
        "mine": [plain(head) for head in by_session(mine)],
        "asked": plain(frames[0]),
        "answer": plain(frames[1]),
        "held": None if other is None else [plain(head) for head in other],
        "refused": None,
        "theirs": [],
        "ours": [],
        "further": [],
    }
    try:
        theirs, ours, further = reconcile.read_answer(mine, asked, said)
    except RefusedError as refused:
        return {**case, "rules": ["SYNC-14"], "refused": refused.rule}
    return {
        **case,
        "theirs": [plain(head) for head in by_session(theirs)],
        "ours": [plain(head) for head in by_session(ours)],
        "further": [[plain(reconcile.place(low)), plain(reconcile.place(high))] for low, high in further],
    }
