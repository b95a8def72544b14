"""How an honest node conducts itself towards others: when it signs, waits, passes over, submits.

Everything here is a decision on plain numbers; where a node stands in a market is in book.py and matching.py.
Spec: protocol/spec/02-feeds.md [FEED-9..12], [FEED-17], 05-tickets.md [TICK-4..17], 06-sync.md [SYNC-2..7],
[SYNC-21], 08-peers.md [PEER-4].
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol.reference.feeds import ENTRIES_PER_EPOCH_MAX
from protocol.reference.types import Address, Clock, Constants, Digest, LotRange, Ticket, epoch_start_s

BACKOFF_MAX = 6
READY_EPOCHS = 2
LATE_EPOCHS_MAX = 8
MISMATCHES_BEFORE_FALLBACK = 2
SYNC_PERIOD_MS = 2_000
FREE_PARTS, FREE_PERIOD_S = 1_500, 10
PROOFS_MAX = 16
CHECKPOINT_ENTRIES, SECONDS_A_DAY = 256, 86_400
FEEDS_MAX, STRANGERS_MAX, STRANGER_BYTES_MAX = 3_000, 256, 64 * 1024


# --- own entries


def may_write_entry(*, own_on_disk: bool, quorum_shows_later_entry: bool) -> bool:
    """Whether a session may sign its next entry. Spec: [FEED-9], [SYNC-5]."""
    return own_on_disk and not quorum_shows_later_entry


def quarter(clock: Clock, now_ms: int) -> int:
    """The quarter of an epoch that an instant lies in; one entry is signed in each at most. Spec: [FEED-11]."""
    return (now_ms - clock.genesis_ms) * ENTRIES_PER_EPOCH_MAX // clock.constants.epoch_ms


def is_checkpoint_due(*, entries_since: int, last_s: int, now_s: int, is_anything_waiting: bool) -> bool:
    """Whether a node is to write a Checkpoint now, if one would be true. Spec: [FEED-17].

    Args:
        entries_since: Entries after its last Checkpoint, or all; 0 if none of them has an order, Cancel or ticket.
        last_s: When the epoch began that the last Checkpoint claims, or the first entry; unix seconds.
        now_s: Now, unix seconds.
        is_anything_waiting: Whether it has something else to say.
    """
    is_new_day = last_s // SECONDS_A_DAY < now_s // SECONDS_A_DAY
    return entries_since >= CHECKPOINT_ENTRIES or (entries_since > 0 and is_new_day and is_anything_waiting)


def has_place(*, feeds: int, strangers: int, kept_bytes: int, is_new: bool, is_known_to_chain: bool) -> bool:
    """Whether an entry of a session is kept. Spec: [FEED-12].

    Args:
        feeds: Sessions with a feed in the market.
        strangers: Those of them that the chain has never authorised.
        kept_bytes: What is kept of the session's feed.
        is_new: Whether nothing of the session is known yet.
        is_known_to_chain: Whether the chain has ever authorised it.
    """
    if is_known_to_chain:
        return not is_new or feeds < FEEDS_MAX
    if is_new:
        return feeds < FEEDS_MAX and strangers < STRANGERS_MAX
    return kept_bytes < STRANGER_BYTES_MAX


def why_not_sign(*, synced_peers: int, quorum: int, is_block_known: bool, has_doubt: bool) -> str | None:
    """What forbids every signature; None if nothing does. Spec: [TICK-12], [SYNC-4]."""
    if has_doubt:
        return "doubt"
    if not is_block_known:
        return "chain"
    return "sync" if synced_peers < quorum else None


# --- comparing views


def merge_effective(claimed: int, ours: int, theirs: int) -> int | None:
    """The effective epoch that two nodes agree on; None if they may not. Spec: [TICK-4]."""
    limit = claimed + LATE_EPOCHS_MAX
    if (ours <= limit) != (theirs <= limit):
        return None
    return max(ours, theirs)


def merge_absent(ours: Iterable[Address], theirs: Iterable[Address]) -> list[Address]:
    """Who is absent for two nodes: who is so for both. Spec: [TICK-4]."""
    return sorted(set(ours) & set(theirs))


def answer_to_prepare(
    *,
    is_own_order: bool,
    is_same_digest: bool,
    is_entitled: bool,
    was_viewed: bool,
    is_fallback: bool,
    mismatches: int,
    are_terms_good: bool,
    is_kept_for_another: bool,
    are_lots_promised: bool,
) -> str:
    """What a maker answers a taker: ready, view, or decline with its reason. Spec: [TICK-3..7].

    Args:
        is_own_order: Whether the maker order is the node's own and lives.
        is_same_digest: Whether the window digests are equal.
        is_entitled: Whether the piece is among the entitlements that follow.
        was_viewed: Whether the two have exchanged views already for this ticket.
        is_fallback: Whether the taker asks for the fallback.
        mismatches: Windows of the pair in which comparing failed.
        are_terms_good: [TICK-5]'s conditions on price, compatibility, free lots and better makers.
        is_kept_for_another: Whether the lots are kept for another taker.
        are_lots_promised: Whether an earlier Ready for other tickets is still live.
    """
    if not is_own_order:
        return "unknown"
    if is_same_digest:
        return _ready_unless(are_lots_promised) if is_entitled else "decline view"
    if is_fallback:
        if mismatches < MISMATCHES_BEFORE_FALLBACK or not are_terms_good:
            return "decline view"
        return "decline busy" if is_kept_for_another else _ready_unless(are_lots_promised)
    return "decline view" if was_viewed else "view"


def _ready_unless(are_lots_promised: bool) -> str:  # noqa: FBT001
    return "decline busy" if are_lots_promised else "ready"


# --- promises and signatures


def is_promised(ready_epoch: int, epoch: int) -> bool:
    """Whether lots under a Ready are promised still. Spec: [TICK-7]."""
    return epoch <= ready_epoch + READY_EPOCHS


def may_offer(ready_epoch: int, entry_epoch: int) -> bool:
    """Whether an Offer's entry may claim an epoch. Spec: [TICK-8]."""
    return entry_epoch <= ready_epoch + READY_EPOCHS


def may_countersign(
    constants: Constants, ready_epoch: int, entry_epoch: int, epoch: int, block_s: int, deadline_s: int
) -> bool:
    """Whether an Offer comes in time, by what its entry claims and when it is answered. Spec: [TICK-9]."""
    return may_offer(ready_epoch, entry_epoch) and epoch <= ready_epoch + constants.k and block_s <= deadline_s


def contradicts(clock: Clock, one: Ticket, other: Ticket, taker: Address, other_taker: Address, order: Digest) -> bool:
    """Whether a session that has signed one ticket over an own order may never sign the other. Spec: [TICK-10]."""
    lots, other_lots = lots_of(one, order), lots_of(other, order)
    overlap = max(lots[0], other_lots[0]) < min(lots[1], other_lots[1])
    at_one_time = (
        epoch_start_s(clock, one.epoch) <= other.deadline and epoch_start_s(clock, other.epoch) <= one.deadline
    )
    return (overlap and at_one_time) or (taker == other_taker and one.ticket_nonce == other.ticket_nonce)


def lots_of(ticket: Ticket, order: Digest) -> LotRange:
    """The lots that a ticket takes of an order."""
    if ticket.maker_order == order:
        return ticket.maker_from, ticket.maker_to
    return (ticket.taker_from, ticket.taker_to) if ticket.taker_order == order else (0, 0)


def may_offer_legs(answers: Sequence[str]) -> bool:
    """Whether the legs of a FOK order may be offered: all, and only once all are ready. Spec: [TICK-15]."""
    return bool(answers) and all(answer == "ready" for answer in answers)


# --- patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often a session has been silent in a row, and until which epoch it is passed over."""

    k: int
    until: int


def after(patience: Patience | None, happening: str, epoch: int, *, least: int = 0) -> Patience | None:
    """What silence, an answer or a return makes of patience. Spec: [TICK-6], [TICK-11].

    Args:
        patience: What was there; None for a session that is trusted.
        happening: `silent`, `answered`, or `back` for a peer that had gone and is synced with again.
        epoch: When.
        least: Where k begins.
    """
    if happening == "answered":
        return None
    if happening == "back":
        return None if patience is None else Patience(k=patience.k, until=min(patience.until, epoch + patience.k))
    k = least if patience is None else min(patience.k + 1, BACKOFF_MAX)
    return Patience(k=k, until=epoch + 2**k)


def is_passed_over(patience: Patience | None, epoch: int) -> bool:
    """Whether a session is passed over in an epoch. Spec: [TICK-11]."""
    return patience is not None and epoch <= patience.until


def nudges(constants: Constants, since: int, epoch: int) -> bool:
    """Whether a maker shows its view to a taker that it has waited for since an epoch. Spec: [TICK-6]."""
    return epoch > since and (epoch - since) % constants.wait == 0


# --- submitting


def submit_after_s(constants: Constants, *, is_maker: bool, is_leg: bool) -> int:
    """How long after its completion a node submits a ticket not settled yet. Spec: [TICK-13], [TICK-16]."""
    if is_leg:
        return constants.d // 6 if is_maker else 0
    return 0 if is_maker else constants.d // 3


def submit_for_others_after_s(constants: Constants) -> int:
    """How long after its completion a node that is no party may submit a ticket not settled yet. Spec: [TICK-13]."""
    return constants.d // 3 * 2


def decline_reason(*, is_cancelled: bool, is_in_time: bool, is_within_limits: bool, are_lots_gone: bool) -> str | None:
    """Why an Offer with the own Ready gets a Decline item; None if it gets a Ticket. Spec: [TICK-17]."""
    if is_cancelled:
        return "unknown"
    if not is_in_time:
        return "late"
    if not is_within_limits:
        return "limits"
    return "busy" if are_lots_gone else None


# --- sync


def next_round_ms(last_round_ms: int | None, now_ms: int) -> int:
    """When to compare heads with a connected peer next: at once on connect, then every period. Spec: [SYNC-2]."""
    return now_ms if last_round_ms is None else max(now_ms, last_round_ms + SYNC_PERIOD_MS)


def fetch_from(our_next: int, their_next: int, *, fits: bool) -> int | None:
    """From which seq to fetch a peer's run; None if nothing is missing. Spec: [SYNC-3].

    Args:
        our_next: How many entries are contiguous here.
        their_next: The same as the peer's head says.
        fits: Whether the hashes at the common seq are equal.
    """
    if their_next > our_next:
        return our_next if fits else 0
    return 0 if their_next == our_next and not fits else None


def run_from(*, first_seq: int, from_seq: int, to_seq: int) -> tuple[int, bool] | None:
    """Where the answer to a GetRun begins, and whether with bodies; None if nothing of it is held. Spec: [SYNC-21].

    Args:
        first_seq: Where the feed begins here: 0, or the seq of its base.
        from_seq: The first seq asked for.
        to_seq: The seq above the last one asked for; all below it that are not below first_seq are held.
    """
    begins = max(first_seq, from_seq)
    return (begins, from_seq < first_seq) if begins < to_seq else None


def is_welcome(ours: tuple[int, Address], theirs: tuple[int, Address]) -> bool:
    """Whether a sync stream goes on after both Hellos: chain id and settlement are equal. Spec: [SYNC-6]."""
    return ours == theirs


def answer_delay_s(answered: int, since_s: int, now_s: int) -> int:
    """How long a further answer waits after so many parts in the running ten seconds. Spec: [SYNC-7]."""
    if now_s - since_s > FREE_PERIOD_S or answered < FREE_PARTS:
        return 0
    return since_s + FREE_PERIOD_S - now_s


def stays_synced(failed_rounds: int) -> bool:
    """Whether a node is synced with a peer still after so many failed rounds in a row. Spec: [SYNC-19]."""
    return failed_rounds < 3


def has_round_failed(*, heads_without_entries: int, is_whole: bool) -> bool:
    """Whether a round has failed though every question was answered. Spec: [SYNC-17], [SYNC-20].

    Args:
        heads_without_entries: Heads that the peer named and of whose missing entries it then sent none.
        is_whole: Whether all of both maps was compared within the limits.
    """
    return heads_without_entries > 16 or not is_whole


def syncs_after_presence(told_next: int, held_next: int) -> bool:
    """Whether a Presence's head makes a node sync; it never raises a doubt. Spec: [PEER-4]."""
    return told_next > held_next


def page_of_proofs(sessions: Sequence[Address], after: Address) -> list[Address]:
    """Whose evidence an answer holds, one session for each piece, ascending. Spec: [SYNC-18].

    Args:
        sessions: Of all pieces held, ascending; twice where two pieces are about one.
        after: The session that was named.
    """
    above = [session for session in sessions if session > after]
    page = above[:PROOFS_MAX]
    if len(above) > PROOFS_MAX and above[PROOFS_MAX] == page[-1]:
        page = [session for session in page if session != page[-1]]
    return page
