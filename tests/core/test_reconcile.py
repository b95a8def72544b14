"""Set reconciliation finds exactly where two nodes' heads differ, in few and bounded frames, whoever the other is.

Spec: protocol/spec/06-sync.md [SYNC-10..17].
"""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orrange_p2p.core.frames import MAX_SYNC_FRAME_BYTES, decode_sync_message, encode_sync_message
from orrange_p2p.core.head_tree import HeadTree, tree_of
from orrange_p2p.core.messages import LAST_PLACE, Compare, Differences, Head, Listing, Span
from orrange_p2p.core.reconcile import LIMITS, Asker, Limits, answer_compare, compute_fingerprint
from orrange_p2p.core.types import Address, Digest
from orrange_p2p.errors import RemoteProtocolError
from protocol.reference import reconcile as reference
from protocol.reference import wire
from protocol.reference.cbor import encode
from tests.core.head_worlds import (
    MARKET,
    NARROW,
    SALT,
    compare_maps,
    converse,
    head_maps,
    head_of,
    head_pairs,
    plain,
)


def minus(one: list[Head], other: list[Head]) -> tuple[Head, ...]:
    """Set difference, by session."""
    return tuple(sorted((head for head in one if head not in other), key=lambda head: head.session))


# Exactness


@given(maps=head_pairs())
@pytest.mark.parametrize("limits", [LIMITS, NARROW], ids=["as_it_is", "narrow"])
def test_both_differences_are_found_exactly_and_the_other_side_finds_the_same_mirrored(limits: Limits, maps) -> None:
    one, other = maps
    there, back = compare_maps(one, other, limits), compare_maps(other, one, limits)
    assert there.comparison.theirs == back.comparison.ours == minus(other, one)
    assert there.comparison.ours == back.comparison.theirs == minus(one, other)
    assert there.comparison.is_whole
    assert back.comparison.is_whole


@given(maps=head_pairs())
def test_maps_of_up_to_sixty_heads_take_at_most_three_frames(maps) -> None:
    assert len(compare_maps(*maps).frames) <= 3


@given(heads=head_maps())
def test_equal_maps_take_one_short_frame_each_way(heads) -> None:
    if heads:
        ((asked, answered),) = compare_maps(heads, heads).frames
        assert asked + answered < 100


@given(maps=head_pairs(20))
def test_the_reference_asks_and_the_program_answers(maps) -> None:
    one, other = maps
    held = tree_of(other)

    def ask(compare):
        asked = decode_sync_message(encode(compare))
        return wire.read_sync_frame(encode_sync_message(answer_compare(held, asked)))

    theirs, ours = reference.differences(plain(one), ask, MARKET, SALT)
    assert theirs == plain(list(minus(other, one)))
    assert ours == plain(list(minus(one, other)))


@given(maps=head_pairs(40))
@pytest.mark.parametrize("limits", [LIMITS, NARROW], ids=["as_it_is", "narrow"])
def test_the_program_asks_and_the_reference_answers(limits: Limits, maps) -> None:
    one, other = maps

    def answering(asked: Compare) -> Differences:
        fields = wire.read_sync_frame(encode_sync_message(asked))
        return decode_sync_message(encode(reference.answer(plain(other), fields)))

    found = converse(tree_of(one), answering, limits).comparison
    assert (found.theirs, found.ours) == (minus(other, one), minus(one, other))


def test_no_fingerprint_is_the_same_under_another_salt() -> None:
    """[SYNC-10]: what would collide cannot be ground out beforehand."""
    root = tree_of(crowd(3)).root(0, LAST_PLACE)
    salts = [number.to_bytes(16, "big") for number in range(50)]
    seen = [compute_fingerprint(salt, root) for salt in salts]
    assert seen == [reference.salted(salt, root) for salt in salts]
    assert len({*seen}) == len(salts)


# How much it takes


def crowd(count: int, mark: int = 1, seed: int = 1) -> list[Head]:
    dice = random.Random(seed)
    return [
        Head(session=Address(dice.randbytes(20)), next_seq=mark, head_hash=Digest(bytes([mark]) * 32))
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("one", "other", "frames"),
    [
        ([], crowd(3000), 3),
        (crowd(3000), [], 1),
        (crowd(3000), crowd(3000, mark=2), 4),
        (crowd(1500), crowd(3000, seed=2), 4),
        (crowd(3000), [*crowd(2990), *crowd(10, seed=3)], 3),
    ],
    ids=["joining", "joined", "all_other", "nothing_shared", "ten_other"],
)
def test_a_full_market_takes_few_frames_and_none_is_too_long(one, other, frames) -> None:
    talk = compare_maps(one, other)
    assert len(talk.frames) <= frames
    assert talk.comparison.is_whole
    assert len(talk.comparison.theirs) == len(minus_fast(other, one))
    assert all(size <= MAX_SYNC_FRAME_BYTES for sizes in talk.frames for size in sizes)


def minus_fast(one: list[Head], other: list[Head]) -> list[Head]:
    held = {head.session: head for head in other}
    return [head for head in one if held.get(head.session) != head]


@pytest.mark.parametrize("count", [300, 3000, 10_000])
def test_a_hundred_heads_that_differ_take_three_frames_and_less_than_50_kilobytes(count: int) -> None:
    """`tests/benchmarks/rbsr.py` measures the same among 100,000."""
    held = crowd(count)
    other = [*crowd(100, mark=2), *held[100:]]
    talk = compare_maps(held, other)
    assert talk.comparison.theirs == minus(other[:100], [])
    assert len(talk.frames) <= 3
    assert sum(map(sum, talk.frames)) < 50_000


def test_sessions_ground_to_lie_along_one_path_make_the_tree_deep_and_nothing_worse() -> None:
    """One session in each depth there is: 160, more than anybody can grind."""
    path = [head_of(2**bit, 1) for bit in range(160)]
    one = [*path, head_of(0, 1), *crowd(500)]
    other = [*(head_of(2**bit, 1 + bit % 2) for bit in range(160)), *crowd(500)[20:]]
    talk = compare_maps(one, other)
    assert talk.comparison.theirs == minus(other, one)
    assert talk.comparison.ours == minus(one, other)
    assert len(talk.frames) <= 4


def test_what_is_too_much_for_one_comparison_is_not_taken_for_all_there_is() -> None:
    """[SYNC-17]: the round has failed, but what it found is fetched, and the next one goes on from there."""
    found = compare_maps([], crowd(20_000)).comparison
    assert not found.is_whole
    assert len(found.theirs) > LIMITS.found
    rest = compare_maps(list(found.theirs), crowd(20_000)).comparison
    assert rest.is_whole
    assert len(rest.theirs) + len(found.theirs) == 20_000


# A hostile partner


def ask_all(tree: HeadTree, answering, limits: Limits = LIMITS) -> Asker:
    """Ask to the end, whatever comes back."""
    asker = Asker(tree, MARKET, SALT, limits)
    while (asked := asker.next_compare(0)) is not None:
        asker.take(answering(asked))
    return asker


def asked_ranges(asked: Compare) -> list[tuple[int, int]]:
    ranges = [pair for span in asked.spans for pair in pairwise(span.bounds)]
    return sorted([*ranges, *((one.low, one.high) for one in asked.listings)])


def nothing(asked: Compare, **changes: object) -> Differences:
    fields: dict = {"reached": LAST_PLACE, "spans": (), "told": (), "heads": (), "lacks": ()}
    return Differences(request=asked.request, **(fields | changes))


def split_for_ever(asked: Compare) -> Differences:
    """Each range in two, with fingerprints of nothing, as long as there is a place between."""
    spans = [
        Span(bounds=(low, (low + high) // 2, high), fingerprints=(b"\xaa" * 8, b"\xbb" * 8))
        for low, high in asked_ranges(asked)[:512]
        if high - low > 1
    ]
    reached = spans[-1].bounds[-1] if spans else LAST_PLACE
    return nothing(asked, spans=tuple(spans), reached=reached)


def split_as_finely_as_may_be(asked: Compare) -> Differences:
    low, high = asked_ranges(asked)[0]
    step = max(1, (high - low) // 1024)
    bounds = (*range(low, high, step)[:1024], high)
    return nothing(asked, spans=(Span(bounds=bounds, fingerprints=(b"\xaa" * 8,) * (len(bounds) - 1)),), reached=high)


def crawl(asked: Compare) -> Differences:
    """One range a frame, split in two."""
    low, high = asked_ranges(asked)[0]
    if high - low == 1:
        return nothing(asked, reached=high)
    return nothing(asked, spans=(Span(bounds=(low, low + 1, high), fingerprints=(b"\xaa" * 8,) * 2),), reached=high)


def invent_heads(asked: Compare) -> Differences:
    """As many heads as a frame takes, and behind them always a part left to ask about."""
    low, high = asked_ranges(asked)[0]
    if high - low > 4096:
        span = Span(bounds=(low, low + 4096, high), fingerprints=(b"\xaa" * 8,) * 2)
        return nothing(asked, spans=(span,), reached=high)
    return nothing(asked, heads=tuple(head_of(low + number, 1) for number in range(2048)), reached=high)


@pytest.mark.parametrize("mine", [[], crowd(5), crowd(500)], ids=["nothing", "five", "five_hundred"])
@pytest.mark.parametrize("answering", [split_for_ever, split_as_finely_as_may_be, crawl, invent_heads])
def test_a_partner_that_never_ends_is_left_at_a_limit(answering, mine) -> None:
    """[SYNC-17]. The comparison does not count as whole, and an honest partner is compared with as before."""
    tree = tree_of(mine)
    asker = ask_all(tree, answering)
    assert asker.compares <= LIMITS.compares
    assert asker._ranges <= LIMITS.ranges_in_all + 2 * LIMITS.ranges
    assert len(asker._waiting) <= LIMITS.compares * LIMITS.ranges + len(tree)
    assert len(asker.comparison().theirs) <= LIMITS.found + LIMITS.heads
    assert not asker.comparison().is_whole
    assert converse(tree, lambda asked: answer_compare(tree_of(crowd(30)), asked)).comparison.is_whole


MINE = crowd(40)
FOREIGN = head_of(77, 1)
BAD_ANSWERS = {
    "nothing_reached": lambda asked: nothing(asked, reached=1),
    "span_of_one_range": lambda asked: nothing(asked, spans=(Span(bounds=(0, LAST_PLACE), fingerprints=(SALT[:8],)),)),
    "span_of_another_range": lambda asked: nothing(
        asked, spans=(Span(bounds=(0, 5, 9), fingerprints=(SALT[:8],) * 2),)
    ),
    "told_another_range": lambda asked: nothing(asked, told=((0, 5),)),
    "told_and_split": lambda asked: nothing(
        asked, told=((0, LAST_PLACE),), spans=(Span(bounds=(0, 5, LAST_PLACE), fingerprints=(SALT[:8],) * 2),)
    ),
    "a_head_of_a_range_not_told": lambda asked: nothing(asked, heads=(FOREIGN,)),
    "lacking_what_was_not_listed": lambda asked: nothing(asked, told=((0, LAST_PLACE),), lacks=(SALT[:8],)),
}


@pytest.mark.parametrize("name", sorted(BAD_ANSWERS))
def test_an_answer_to_what_was_not_asked_is_refused(name: str) -> None:
    """[SYNC-14]."""
    with pytest.raises(RemoteProtocolError) as caught:
        ask_all(tree_of(MINE), BAD_ANSWERS[name])
    assert caught.value.rule == "SYNC-14"


BAD_LISTING_ANSWERS = {
    "a_head_that_was_listed": lambda listing: {"heads": (MINE[0],)},
    "a_head_of_another_range": lambda listing: {"heads": (head_of(listing.high, 1),)},
    "lacking_an_id_of_another_salt": lambda listing: {"lacks": (b"\x07" * 8,)},
    "told_a_listing": lambda listing: {"told": ((listing.low, listing.high),)},
    "reached_within": lambda listing: {"reached": listing.high - 1},
    "reached_nothing": lambda listing: {"reached": listing.low},
}


@pytest.mark.parametrize("name", sorted(BAD_LISTING_ANSWERS))
def test_an_answer_to_a_listing_that_does_not_fit_it_is_refused(name: str) -> None:
    """[SYNC-14]."""
    place = int.from_bytes(MINE[0].session, "big")

    def answering(asked: Compare) -> Differences:
        if asked.listings:
            return nothing(asked, **BAD_LISTING_ANSWERS[name](asked.listings[0]))
        bounds = (0, place - 5, place + 5, LAST_PLACE)
        roots = [tree_of(MINE).root(low, high) for low, high in pairwise(bounds)]
        seen = [compute_fingerprint(SALT, root) for root in roots]
        return nothing(asked, spans=(Span(bounds=bounds, fingerprints=(seen[0], b"\xaa" * 8, seen[2])),))

    with pytest.raises(RemoteProtocolError) as caught:
        ask_all(tree_of(MINE), answering)
    assert caught.value.rule == "SYNC-14"


@st.composite
def hostile_answers(draw: st.DrawFn, asked: Compare) -> Differences:
    """Anything that decodes: made of what was asked, and of what was not."""
    ranges = asked_ranges(asked)[:6]
    edges = sorted({0, LAST_PLACE, *(edge for pair in ranges for edge in pair)})
    some = st.one_of(st.sampled_from(edges), st.integers(0, LAST_PLACE))
    spans: list[Span] = []
    for low, high in draw(st.lists(st.sampled_from(ranges), max_size=4, unique=True)):
        cuts = draw(st.lists(st.integers(low, high), max_size=3))
        bounds = tuple(sorted({low, high, *cuts}))
        spans.append(Span(bounds=bounds, fingerprints=(draw(st.binary(min_size=8, max_size=8)),) * (len(bounds) - 1)))
    told = draw(st.lists(st.sampled_from(ranges), max_size=4, unique=True))
    listed = [one for listing in asked.listings for one in listing.ids]
    ids = st.one_of(st.sampled_from(listed) if listed else st.nothing(), st.binary(min_size=8, max_size=8))
    heads = draw(st.lists(st.one_of(st.sampled_from(MINE), st.just(FOREIGN)), max_size=4))
    return nothing(
        asked,
        reached=draw(some),
        spans=tuple(spans),
        told=tuple(told),
        heads=tuple({head.session: head for head in heads}.values()),
        lacks=tuple(draw(st.lists(ids, max_size=3))),
    )


@given(st.data())
def test_whatever_a_partner_answers_the_comparison_ends_cleanly(data: st.DataObject) -> None:
    """[SYNC-14], [SYNC-17]: with a fault that is the partner's, or within the limits; and what we hold is as before."""
    tree = tree_of(MINE)
    before = tree.root(0, LAST_PLACE)
    limits = Limits(few_ids=2, parts=2, compares=12)
    honest = tree_of(crowd(30, mark=2))

    def answering(asked: Compare) -> Differences:
        if data.draw(st.booleans()):
            return answer_compare(honest, asked, limits)
        return data.draw(hostile_answers(asked))

    try:
        asker = ask_all(tree, answering, limits)
        assert asker.compares <= limits.compares
    except RemoteProtocolError as error:
        assert error.rule == "SYNC-14"
    assert tree.root(0, LAST_PLACE) == before
    assert compare_maps(MINE, crowd(30)).comparison.theirs == minus(crowd(30), MINE)


# A hostile asker


def test_ranges_one_over_another_are_refused() -> None:
    """[SYNC-12]; within one list the decoder sees to it."""
    span = Span(bounds=(0, 2**159), fingerprints=(b"\xaa" * 8,))
    for low in (0, 1, 2**159 - 1):
        asked = Compare(
            request=1, market=MARKET, salt=SALT, spans=(span,), listings=(Listing(low=low, high=2**160, ids=()),)
        )
        with pytest.raises(RemoteProtocolError) as caught:
            answer_compare(tree_of(MINE), asked)
        assert caught.value.rule == "SYNC-12"


@pytest.mark.parametrize("kind", ["fingerprints", "listings", "both"])
def test_the_worst_question_gets_an_answer_that_fits_its_frame(kind: str) -> None:
    """[SYNC-13], [SYNC-15]: it is whole up to where it reached, and the rest can be asked for again."""
    held = tree_of(crowd(9000))
    dice = random.Random(4)
    bounds = (0, *sorted(dice.getrandbits(160) for _ in range(1023)), LAST_PLACE)
    cut = {"fingerprints": 1024, "listings": 0, "both": 512}[kind]
    spans = (Span(bounds=bounds[: cut + 1], fingerprints=(b"\xaa" * 8,) * cut),) if cut else ()
    ids = tuple(number.to_bytes(8, "big") for number in range(4096))
    listings = tuple(
        Listing(low=low, high=high, ids=ids if number == 0 else ())
        for number, (low, high) in enumerate(pairwise(bounds[cut:]))
    )
    asked = Compare(request=1, market=MARKET, salt=SALT, spans=spans, listings=listings)
    answer = answer_compare(held, asked)
    assert bounds[1] <= answer.reached < LAST_PLACE
    assert answer.reached in bounds
    encoded = encode_sync_message(answer)
    assert decode_sync_message(encoded) == answer
    assert len(encoded) <= MAX_SYNC_FRAME_BYTES


@settings(max_examples=200)
@given(maps=head_pairs(20), listed=st.lists(st.sampled_from(range(40)), max_size=60))
def test_ids_listed_twice_or_of_nobody_only_confuse_who_lists_them(maps, listed) -> None:
    held = tree_of(maps[1])
    known = [compute_fingerprint(SALT, leaf.digest) for leaf in held.leaves(0, LAST_PLACE)]
    ids = tuple((known + [bytes([number]) * 8 for number in range(40)])[number] for number in listed)
    listing = Listing(low=0, high=LAST_PLACE, ids=ids)
    answer = answer_compare(held, Compare(request=1, market=MARKET, salt=SALT, spans=(), listings=(listing,)))
    assert len(answer.heads) == len(known) - len({*ids} & {*known})
    assert {*answer.lacks} == {*ids} - {*known}
