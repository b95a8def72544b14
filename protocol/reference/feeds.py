"""Owner feeds: from a heap of encoded entries to what each session has said.

Spec: protocol/spec/02-feeds.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from protocol.reference.cbor import RefusedError, encode
from protocol.reference.signing import digest, is_signed_by_peer, keccak, recover
from protocol.reference.types import ZERO_DIGEST, Address, Digest, Domain
from protocol.reference.wire import read_entry, read_item

DELEGATION, ORDER, CANCEL, OFFER, TICKET, DECLINE, CHECKPOINT = range(1, 8)
ENTRIES_PER_EPOCH_MAX = 4
HELD_AHEAD_MAX = 16
EPOCHS_AHEAD_MAX = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a Checkpoint lists besides the items themselves: the next nonce, the Delegation, how many orders ended."""

    next_nonce: int
    delegation: list[Any]
    ended: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A sound entry; each item is its decoded fields, the tag first.

    With a `listing` it stands for a base: its items are those that the base lists, orders by nonce, ended ones first,
    then Offers and TicketItems. Spec: [FEED-15], [FUND-8].
    """

    session: Address
    owner: Address
    market: Digest
    seq: int
    prev_hash: Digest
    epoch: int
    items_root: Digest
    items: tuple[list[Any], ...]
    entry_hash: Digest = ZERO_DIGEST
    listing: Listing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """What a feed opens with: whose session this is, on which node, and the key that notes to it are sealed with."""

    owner: Address
    session: Address
    peer_id: bytes
    encryption_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """What one session says in one market.

    Attributes:
        known: Every sound entry, once.
        standing: Those that count: contiguous from seq 0 or from the start it was given, unbroken, below any fork.
        forked_seq: The lowest seq with two entries, or with a false Checkpoint below them (checkpoints.py judges), if
            there is one; the session is dead in the market then.
    """

    session: Address
    market: Digest
    known: tuple[Entry, ...]
    standing: tuple[Entry, ...]
    forked_seq: int | None

    @property
    def is_dead(self) -> bool:
        """Whether the session is dead in the market. Spec: [FEED-6]."""
        return self.forked_seq is not None


def items_root(encoded_items: Iterable[bytes]) -> Digest:
    """`keccak256(concat(keccak256(item bytes)))`. Spec: [TYPE-4]."""
    return keccak(b"".join(keccak(item) for item in encoded_items))


def read_sound_entry(domain: Domain, encoded: bytes) -> Entry:
    """Decode an entry and see that it says what its session signed. Spec: [FEED-1].

    Raises:
        RefusedError: if the entry is unsound; no honest peer sends it.
    """
    session, owner, market, seq, prev_hash, epoch, root, signature, encoded_items = read_entry(encoded)
    if root != items_root(encoded_items):
        raise RefusedError("FEED-1", "expected the items_root of the entry's items, was another")
    header = Entry(
        session=session,
        owner=owner,
        market=market,
        seq=seq,
        prev_hash=prev_hash,
        epoch=epoch,
        items_root=root,
        items=tuple(read_item(item) for item in encoded_items),
    )
    entry_hash = digest(domain, "FeedEntry", header)
    if recover(entry_hash, signature) != session:
        raise RefusedError("FEED-1", "expected a signature of the entry's session, was another's")
    fields = {name: getattr(header, name) for name in Entry.__dataclass_fields__}
    return Entry(**(fields | {"entry_hash": entry_hash}))


Forks = Mapping[tuple[Address, Digest], int]  # the seq at which evidence shows a fork, by (session, market)


Start = tuple[bytes, list[bytes]]  # an encoded entry that ends with a Checkpoint, and the bodies of what it lists


def read_feeds(
    domain: Domain, encoded_entries: Iterable[bytes], forks: Forks | None = None, starts: Iterable[Start] = ()
) -> list[Feed]:
    """Sort entries into feeds; unsound ones leave no trace, order and repetition do not matter. Spec: [FEED-7..8].

    Args:
        domain: The deployment.
        encoded_entries: Entries of any session and market.
        forks: What evidence shows besides. Spec: [EVID-1].
        starts: Where feeds begin that are not held from seq 0; they were allowed to. Spec: [FEED-16].
    """
    bases = {(base.session, base.market): base for base in (read_start(domain, start) for start in starts)}
    shown = forks or {}
    known: dict[Digest, Entry] = {}
    for encoded in encoded_entries:
        try:
            entry = read_sound_entry(domain, encoded)
        except RefusedError:
            continue
        known.setdefault(entry.entry_hash, entry)
    names = sorted({(entry.session, entry.market) for entry in known.values()} | set(shown) | set(bases))
    return [
        read_feed(
            domain,
            name,
            [entry for entry in known.values() if (entry.session, entry.market) == name],
            shown.get(name),
            bases.get(name),
        )
        for name in names
    ]


def read_start(domain: Domain, start: Start) -> Entry:
    """A base from its sound entry and the bodies that its Checkpoint lists, no more and no fewer. Spec: [FEED-16].

    Raises:
        RefusedError: if they are others, or if no true Checkpoint lists such.
    """
    encoded, bodies = start
    entry = read_sound_entry(domain, encoded)
    if entry.items[-1][0] != CHECKPOINT:
        raise RefusedError("FEED-16", "expected an entry that ends with a Checkpoint, was another")
    _, _, delegation, *lists = entry.items[-1]
    if [keccak(body) for body in bodies] != [delegation, *(one for listed in lists for one in listed)]:
        raise RefusedError("FEED-16", "expected the bodies that the Checkpoint lists, were others")
    return base_of(entry, [read_item(body) for body in bodies])


def base_of(entry: Entry, bodies: Sequence[list[Any]]) -> Entry:
    """A Checkpoint's entry as a base: what it lists, in the order in which it stands there. Spec: [FUND-8].

    Args:
        entry: The entry; its last item is the Checkpoint.
        bodies: The items that it lists, in the order of their hashes, the Delegation first.
    """
    _, next_nonce, _, live, ended, offers, words = entry.items[-1]
    count = len(live) + len(ended)
    delegation, orders, tickets = bodies[0], bodies[1 : 1 + count], bodies[1 + count :]
    tags = [ORDER] * count + [OFFER] * len(offers) + [TICKET] * len(words)
    if [item[0] for item in bodies] != [DELEGATION, *tags]:
        raise RefusedError("FEED-16", "expected what a true Checkpoint lists, was something else")
    by_nonce = [sorted(part, key=lambda item: item[1][3]) for part in (orders[len(live) :], orders[: len(live)])]
    return replace(
        entry,
        items=(*by_nonce[0], *by_nonce[1], *tickets),
        listing=Listing(next_nonce=next_nonce, delegation=delegation, ended=len(ended)),
    )


def read_feed(
    domain: Domain,
    name: tuple[Address, Digest],
    entries: Sequence[Entry],
    shown_fork: int | None = None,
    base: Entry | None = None,
) -> Feed:
    """Find what counts among the distinct sound entries of one session and market. Spec: [FEED-2..6], [FEED-8]."""
    if base is not None:
        entries = [entry for entry in entries if entry.seq >= base.seq and entry.entry_hash != base.entry_hash]
    first = [] if base is None else [base]
    forks = [seq for seq in (lowest_forked_seq([*first, *entries]), shown_fork) if seq is not None]
    forked_seq = min(forks, default=None)
    standing: list[Entry] = [one for one in first if forked_seq is None or one.seq < forked_seq]
    for entry in sorted(entries, key=lambda entry: entry.seq):
        is_below_fork = forked_seq is None or entry.seq < forked_seq
        if not is_below_fork or not follows(domain, standing, entry):
            break
        standing.append(entry)
    return Feed(
        session=name[0],
        market=name[1],
        known=tuple(sorted(entries, key=lambda entry: (entry.seq, entry.entry_hash))),
        standing=tuple(standing),
        forked_seq=forked_seq,
    )


def lowest_forked_seq(entries: Sequence[Entry]) -> int | None:
    """The lowest seq that has two entries with different hashes, contiguous or not. Spec: [FEED-6]."""
    seqs = [entry.seq for entry in entries]
    return min((seq for seq in seqs if seqs.count(seq) > 1), default=None)


def follows(domain: Domain, standing: Sequence[Entry], entry: Entry) -> bool:
    """Say whether an entry is next after those that stand and breaks no rule of its feed. Spec: [FEED-2..5]."""
    if entry.seq != (standing[-1].seq + 1 if standing else 0):
        return False
    if not standing:
        return entry.prev_hash == ZERO_DIGEST and opens_with_its_only_delegation(domain, entry)
    return (
        entry.prev_hash == standing[-1].entry_hash
        and entry.owner == standing[0].owner
        and entry.epoch >= standing[-1].epoch
        and [earlier.epoch for earlier in standing].count(entry.epoch) < ENTRIES_PER_EPOCH_MAX
        and not any(item[0] == DELEGATION for item in entry.items)
    )


def opens_with_its_only_delegation(domain: Domain, entry: Entry) -> bool:
    """Say whether item 0 is a good Delegation and no other item is one. Spec: [FEED-3]."""
    if [item[0] == DELEGATION for item in entry.items] != [True] + [False] * (len(entry.items) - 1):
        return False
    _, owner, session, peer_id, encryption_key, session_signature, peer_signature = entry.items[0]
    delegation = Delegation(owner=owner, session=session, peer_id=peer_id, encryption_key=encryption_key)
    signed = digest(domain, "Delegation", delegation)
    return (
        owner == entry.owner
        and session == entry.session
        and recover(signed, session_signature) == session
        and is_signed_by_peer(signed, peer_signature, peer_id)
    )


def receive(held: Sequence[Entry], entry: Entry) -> list[Entry]:
    """What a node holds of one feed after one more sound entry arrives. Spec: [FEED-5], [FEED-7]."""
    if any(entry.entry_hash == earlier.entry_hash for earlier in held):
        return list(held)
    next_seq = 0
    while any(earlier.seq == next_seq for earlier in held):
        next_seq += 1
    ahead = [earlier for earlier in held if earlier.seq > next_seq]
    if entry.seq > next_seq and len(ahead) >= HELD_AHEAD_MAX:
        return list(held)
    return [*held, entry]


def is_too_early(entry: Entry, clock_epoch: int) -> bool:
    """Say whether an entry claims an epoch that a clock is not near yet; it is not kept then. Spec: [FEED-10]."""
    return is_too_early_for(entry.epoch, clock_epoch)


def is_too_early_for(claimed_epoch: int, clock_epoch: int) -> bool:
    """Say whether an epoch is more than two ahead of a clock. Spec: [FEED-10]."""
    return claimed_epoch > clock_epoch + EPOCHS_AHEAD_MAX


def encode_entry(entry: Entry, signature: bytes) -> bytes:
    """Write an entry down again, for those who make vectors."""
    encoded_items: list[Any] = [encode(item) for item in entry.items]
    head: list[Any] = [getattr(entry, name) for name in list(Entry.__dataclass_fields__)[:7]]
    return encode([*head, signature, encoded_items])
