"""Cases for `protocol/vectors/conduct`: what an honest node decides, as the reference's functions of plain numbers.

A case names the function of `protocol/reference/conduct.py`, what it is given, and what it says.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import product
from typing import Any

from protocol.reference import conduct
from protocol.reference.feeds import is_too_early_for
from protocol.reference.matching import effective_epoch
from protocol.reference.types import PRESETS, Clock

Case = dict[str, Any]

DEV = Clock(constants=PRESETS["dev"], genesis_ms=1_700_000_000_250)
ONE, OTHER = b"\x01" * 20, b"\x02" * 20


def shown(value: Any) -> Any:
    """A value as JSON has it: integers as decimal strings, bytes as hex."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return {key: shown(one) for key, one in value.items()}
    return [shown(one) for one in value]


def case_of(rules: str, says: Callable[..., Any], name: str, **given: Any) -> Case:
    """A case of a function that takes what is given by name."""
    return {
        "name": name,
        "rules": rules.split(),
        "function": says.__name__,
        "given": shown(given),
        "says": shown(says(**given)),
    }


def table(rules: str, says: Callable[..., Any], **choices: tuple[Any, ...]) -> Iterator[Case]:
    """Every combination of some choices."""
    for number, values in enumerate(product(*choices.values())):
        yield case_of(rules, says, f"{says.__name__}_{number}", **dict(zip(choices, values, strict=True)))


def quarter_of(now_ms: int) -> int:
    """The quarter of an epoch under the dev preset, from a genesis of 1,700,000,000,250 ms."""
    return conduct.quarter(DEV, now_ms)


def claims_too_early(entry_epoch: int, clock_epoch: int) -> bool:
    """Whether an entry claims an epoch that a clock is not near yet."""
    return is_too_early_for(entry_epoch, clock_epoch)


def effective(claimed: int, contiguous_at_ms: int, was_before_synced: bool) -> int:
    """An order's effective epoch under the dev preset."""
    return effective_epoch(DEV, claimed, contiguous_at_ms, was_before_synced=was_before_synced)


def submit_after(preset: str, is_maker: bool, is_leg: bool) -> int:
    """How long a node waits before it submits."""
    return conduct.submit_after_s(PRESETS[preset], is_maker=is_maker, is_leg=is_leg)


def submit_for_others_after(preset: str) -> int:
    """How long who is no party waits before it submits."""
    return conduct.submit_for_others_after_s(PRESETS[preset])


def countersigns(ready_epoch: int, entry_epoch: int, epoch: int, block_s: int, deadline_s: int) -> bool:
    """Whether an Offer comes in time under the dev preset."""
    return conduct.may_countersign(PRESETS["dev"], ready_epoch, entry_epoch, epoch, block_s, deadline_s)


def shows_its_view(since: int, epoch: int) -> bool:
    """Whether a maker nudges under the dev preset."""
    return conduct.nudges(PRESETS["dev"], since, epoch)


def entry_cases() -> list[Case]:
    """When an own entry is signed, and whose entries are kept. Spec: [FEED-9..12], [MATCH-1]."""
    start, yes_no = DEV.genesis_ms, (False, True)
    quarters = [(f"quarter_at_{after}", start + after) for after in (0, 124, 125, 499, 500, 1_000_000_000_001)]
    lateness = [
        ("in_time", 1_899, 2),
        ("at_the_end_of_grace", 1_900, 2),
        ("a_moment_late", 1_901, 2),
        ("far", 9_000, 2),
    ]
    return [
        *table("FEED-9 SYNC-5", conduct.may_write_entry, own_on_disk=yes_no, quorum_shows_later_entry=yes_no),
        *table("FEED-10", claims_too_early, entry_epoch=(0, 9, 10, 11, 12, 13, 2**40), clock_epoch=(10,)),
        *(case_of("FEED-11", quarter_of, name, now_ms=now_ms) for name, now_ms in quarters),
        *table(
            "FEED-12", conduct.has_place, feeds=(0, 2_999, 3_000), strangers=(255, 256), kept_bytes=(65_535, 65_536),
            is_new=yes_no, is_known_to_chain=yes_no,
        ),
        *table(
            "FEED-17", conduct.is_checkpoint_due, entries_since=(0, 1, 255, 256), last_s=(86_399, 86_400),
            now_s=(86_400, 172_799), is_anything_waiting=yes_no,
        ),
        *table(
            "TICK-12 SYNC-4", conduct.why_not_sign, synced_peers=(0, 2, 3), quorum=(1, 3), is_block_known=yes_no,
            has_doubt=yes_no,
        ),
        *(
            case_of(
                "MATCH-1", effective, f"{name}_{synced}", claimed=claimed, contiguous_at_ms=start + after,
                was_before_synced=synced,
            )
            for name, after, claimed in lateness
            for synced in yes_no
        ),
    ]  # fmt: skip


def view_cases() -> list[Case]:
    """How two views become one, and what a maker answers. Spec: [TICK-2..7]."""
    yes_no = (False, True)
    return [
        *table("TICK-4", conduct.merge_effective, claimed=(20,), ours=(20, 24, 28, 29), theirs=(20, 28, 29, 40)),
        *(
            case_of("TICK-2 TICK-4", conduct.merge_absent, name, ours=ours, theirs=theirs)
            for name, ours, theirs in (
                ("nobody", [], []),
                ("only_here", [ONE], []),
                ("for_both", [ONE, OTHER], [OTHER]),
            )
        ),
        *table(
            "TICK-3 TICK-4 TICK-7", conduct.answer_to_prepare, is_own_order=(True,), is_same_digest=yes_no,
            is_entitled=yes_no, was_viewed=yes_no, is_fallback=(False,), mismatches=(0,), are_terms_good=(True,),
            is_kept_for_another=(False,), are_lots_promised=yes_no,
        ),
        *table(
            "TICK-5 TICK-6 TICK-7", conduct.answer_to_prepare, is_own_order=yes_no, is_same_digest=(False,),
            is_entitled=(False,), was_viewed=(False,), is_fallback=(True,), mismatches=(1, 2), are_terms_good=yes_no,
            is_kept_for_another=yes_no, are_lots_promised=(False,),
        ),
    ]  # fmt: skip


def promise_cases() -> list[Case]:
    """What is signed and what is not. Spec: [TICK-7..9], [TICK-15], [TICK-17]."""
    yes_no = (False, True)
    legs = (["ready"], ["ready", "ready"], ["ready", "decline busy"], ["ready", ""], [])
    return [
        *table("TICK-7", conduct.is_promised, ready_epoch=(20,), epoch=(20, 22, 23)),
        *table("TICK-8", conduct.may_offer, ready_epoch=(20,), entry_epoch=(20, 22, 23)),
        *table(
            "TICK-9", countersigns, ready_epoch=(20,), entry_epoch=(22, 23), epoch=(22, 30, 31), block_s=(99, 100, 101),
            deadline_s=(100,),
        ),
        *(case_of("TICK-15", conduct.may_offer_legs, f"legs_{number}", answers=one) for number, one in enumerate(legs)),
        *table(
            "TICK-17", conduct.decline_reason, is_cancelled=yes_no, is_in_time=yes_no, is_within_limits=yes_no,
            are_lots_gone=yes_no,
        ),
        *table("TICK-13 TICK-16", submit_after, preset=("minimal", "main"), is_maker=yes_no, is_leg=yes_no),
        *table("TICK-13", submit_for_others_after, preset=("minimal", "main")),
    ]  # fmt: skip


def patience_cases() -> list[Case]:
    """Whom a node passes over and for how long. Spec: [TICK-6], [TICK-11]."""
    told = {
        "one_silence": (0, [("silent", 10)]),
        "three_in_a_row": (0, [("silent", 10), ("silent", 12), ("silent", 15)]),
        "many": (0, [("silent", 10 * number) for number in range(1, 12)]),
        "an_answer_clears": (0, [("silent", 10), ("silent", 12), ("answered", 13)]),
        "silence_after_an_answer_begins_anew": (0, [("silent", 10), ("silent", 12), ("answered", 13), ("silent", 14)]),
        "back_again": (0, [("silent", 10), ("silent", 12), ("silent", 15), ("silent", 20), ("back", 21)]),
        "back_without_a_silence": (0, [("back", 21)]),
        "an_offer_without_a_ticket": (6, [("silent", 10)]),
        "two_of_them": (6, [("silent", 10), ("silent", 90)]),
    }
    cases: list[Case] = []
    for name, (least, happenings) in told.items():
        patience: conduct.Patience | None = None
        for happening, epoch in happenings:
            patience = conduct.after(patience, happening, epoch, least=least)
        asked = [
            epoch
            for epoch in range(0, 220, 3)
            if conduct.is_passed_over(patience, epoch) and epoch >= happenings[-1][1]
        ]
        cases.append(
            {
                "name": name,
                "rules": ["TICK-6", "TICK-11"],
                "least": str(least),
                "happenings": [[happening, str(epoch)] for happening, epoch in happenings],
                "patience": None if patience is None else shown(asdict(patience)),
                "passed_over_in_every_third_epoch_from_then": shown(asked),
            }
        )
    return cases


def nudge_cases() -> list[Case]:
    """When a maker shows its view to a taker that does not come. Spec: [TICK-6]."""
    return list(table("TICK-6", shows_its_view, since=(20,), epoch=(20, 21, 24, 25, 28)))


def sync_cases() -> list[Case]:
    """When to compare, what to fetch, when to answer. Spec: [SYNC-2..7], [SYNC-17..20], [PEER-4]."""
    hellos = ((1, ONE), (1, OTHER), (2, ONE))
    return [
        *table("SYNC-2", conduct.next_round_ms, last_round_ms=(None, 1_000, 4_000), now_ms=(2_000, 5_000)),
        *table("SYNC-3", conduct.fetch_from, our_next=(0, 5), their_next=(0, 4, 5, 9), fits=(False, True)),
        *table("SYNC-21", conduct.run_from, first_seq=(0, 7), from_seq=(0, 6, 7, 9), to_seq=(7, 8, 12)),
        *table("SYNC-6", conduct.is_welcome, ours=hellos[:1], theirs=hellos),
        *table("SYNC-7", conduct.answer_delay_s, answered=(0, 1_499, 1_500), since_s=(50,), now_s=(50, 57, 60, 61)),
        *table("SYNC-19", conduct.stays_synced, failed_rounds=(0, 2, 3)),
        *table("SYNC-17 SYNC-20", conduct.has_round_failed, heads_without_entries=(0, 16, 17), is_whole=(False, True)),
        *(
            case_of("SYNC-18", conduct.page_of_proofs, name, sessions=sessions, after=after)
            for name, sessions, after in (
                ("nothing", [], bytes(20)),
                ("all_on_one_page", [ONE, OTHER, OTHER], bytes(20)),
                ("above_the_first", [ONE, OTHER, OTHER], ONE),
                ("sixteen", [bytes([n]) * 20 for n in range(1, 20)], bytes(20)),
                ("a_session_is_not_cut", [*(bytes([n]) * 20 for n in range(1, 16)), *[b"\xff" * 20] * 2], bytes(20)),
            )
        ),
        *table("PEER-4", conduct.syncs_after_presence, told_next=(4, 5, 6), held_next=(5,)),
    ]
