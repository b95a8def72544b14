"""Evidence in kernels: what a session's own feed convicts it of, what is proven to others, and that it sticks.

Spec: protocol/spec/08-peers.md [EVID-1..5], [PEER-2], [PEER-4].
"""

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from orrange_p2p.core import codec
from orrange_p2p.core.book import compute_book
from orrange_p2p.core.convictions import Convictions
from orrange_p2p.core.events import (
    EntriesReceived,
    EvidenceHeard,
    PersistEvidence,
    PresencesHeard,
    PublishEvidence,
    PublishPresences,
    SyncWith,
    Ticked,
)
from orrange_p2p.core.evidence import EvidenceKind, VerifiedEvidence, verify_evidence
from orrange_p2p.core.facts import Defaulted
from orrange_p2p.core.feed_reader import read_hold
from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.messages import Head
from orrange_p2p.core.peer_messages import DefaultPointer
from orrange_p2p.core.presence import make_presence, verify_presence
from orrange_p2p.core.types import ZERO_DIGEST, Address, Digest, Epoch, PeerId, Side, TicketDigest
from orrange_p2p.core.verify import VerifiedTicket, verify_item
from orrange_p2p.store.actions import batch_of, load_evidence
from orrange_p2p.testing.store import MemoryDisk
from protocol.reference import cbor
from tests.core.adapters import FAST_DIGESTS, RULES
from tests.core.hostile import signed_order, write_entry
from tests.core.kernel_world import RULES as KERNEL_RULES
from tests.core.kernel_world import Peer, World
from tests.core.pens import DOMAIN, FIRST_EPOCH, ticket_list
from tests.vectors.peer_cases import MAKER, OTHER_BUY, SELL, TAKER, make_ticket

SOURCE = PeerId(b"\x00\x24\x08\x01\x12\x20" + b"\x07" * 32)
VECTORS = Path(__file__).resolve().parents[2] / "protocol" / "vectors" / "peers" / "evidence.json"


def ticket_item(ticket: object) -> VerifiedTicket:
    """A TicketItem that maker and taker signed."""
    signatures = [signer.sign_struct(DOMAIN, "Ticket", ticket) for signer in (TAKER, MAKER)]
    item = codec.decode_item(cbor.encode([5, ticket_list(ticket), *signatures]))
    verified = verify_item(FAST_DIGESTS, item)
    assert isinstance(verified, VerifiedTicket)
    return verified


def hold_of(ticket: object) -> object:
    """The maker's hold of a ticket, as its feed has it."""
    return read_hold(ticket_item(ticket), Address(MAKER.address), Epoch(FIRST_EPOCH), RULES)


def convicted_by(tickets: list[object]) -> bool:
    """Whether these tickets in one maker's feed convict it."""
    convictions = Convictions(RULES)
    for ticket in tickets:
        hold = hold_of(ticket)
        assert hold is not None
        convictions.note([hold])  # type: ignore[list-item]
    return Address(MAKER.address) in convictions


FIRST = make_ticket()
CONTRADICTING = make_ticket(SELL, OTHER_BUY, maker_from=9, maker_to=19, ticket_nonce=1)
BESIDE = make_ticket(SELL, OTHER_BUY, maker_from=10, maker_to=20, ticket_nonce=1)
NUMBERED_TWICE = make_ticket(SELL, OTHER_BUY, maker_from=10, maker_to=20)


def test_tickets_beside_each_other_or_repeated_convict_nobody() -> None:
    assert not convicted_by([FIRST, BESIDE, FIRST, BESIDE])


@pytest.mark.parametrize("second", [CONTRADICTING, NUMBERED_TWICE])
def test_a_feed_convicts_its_own_session_in_whatever_order_its_items_come(second: object) -> None:
    for told in permutations([FIRST, second, FIRST]):
        assert convicted_by(list(told))


# kernels


def proven(name: str) -> VerifiedEvidence:
    """A piece of the vectors that proves what it says."""
    case = next(case for case in json.loads(VECTORS.read_text("utf-8"))["cases"] if case["name"] == name)
    found = verify_evidence(FAST_DIGESTS, {RULES.market_id: RULES}, bytes.fromhex(case["encoded"][2:]))
    assert isinstance(found, VerifiedEvidence)
    return found


def evidence_against(world: World, label: int, kind: EvidenceKind, seq: int = -1) -> VerifiedEvidence:
    """What evidence would say of a peer's session; judged elsewhere."""
    peer = world.peers[label]
    return VerifiedEvidence(
        market=peer.market.rules.market_id,
        session=peer.identity.session,
        kind=kind,
        forked_seq=seq,
        encoded=b"judged before",
    )


def test_evidence_is_kept_told_on_once_and_ends_matching() -> None:
    world = World(peers=3)
    world.run_ms(3_000)
    world.place(world.peers[0], Side.SELL, 10, 5)
    world.run_ms(2_000)
    kernel, piece = world.peers[1].kernel, evidence_against(world, 0, EvidenceKind.OVER_SIGNING)
    first = kernel.step(EvidenceHeard(now_ms=world.now_ms, pieces=(piece,)))
    again = kernel.step(EvidenceHeard(now_ms=world.now_ms, pieces=(piece,)))
    assert [type(action) for action in first if isinstance(action, PersistEvidence | PublishEvidence)] == [
        PersistEvidence,
        PublishEvidence,
    ]
    assert not [action for action in again if isinstance(action, PersistEvidence | PublishEvidence)]
    assert kernel.counters["over_signing_proven"] == kernel.counters["evidence_known"] == 1
    world.run_ms(3_000)
    book = world.peers[1].market.windows.keeper.book()
    assert book is not None
    assert [order.is_matchable for order in book.orders] == [False]
    assert book.dead_sessions == (piece.session,)


def test_a_convicted_session_trades_with_nobody_who_knows_it() -> None:
    world = World(peers=3)
    world.run_ms(3_000)
    world.place(world.peers[0], Side.SELL, 10, 5)
    world.run_ms(2_000)
    for peer in world.peers[1:]:
        piece = evidence_against(world, 0, EvidenceKind.OVER_SIGNING)
        peer.kernel.step(EvidenceHeard(now_ms=world.now_ms, pieces=(piece,)))
    world.place(world.peers[1], Side.BUY, 10, 5)
    world.run_ms(20_000)
    assert not world.peers[1].tickets
    assert not world.peers[2].market.tickets


def test_a_fork_that_only_evidence_shows_voids_what_stands_at_and_above_it() -> None:
    world = World(peers=3)
    world.run_ms(3_000)
    world.place(world.peers[0], Side.SELL, 10, 5)
    world.run_ms(2_000)
    kernel, market = world.peers[1].kernel, world.peers[1].market
    assert market.feeds.orders_of(world.peers[0].identity.owner)
    piece = evidence_against(world, 0, EvidenceKind.FORK, 0)
    kernel.step(EvidenceHeard(now_ms=world.now_ms, pieces=(piece,)))
    assert market.feeds.orders_of(world.peers[0].identity.owner) == ()
    assert market.feeds.dead_sessions() == (piece.session,)
    higher = evidence_against(world, 0, EvidenceKind.FORK, 4)
    actions = kernel.step(EvidenceHeard(now_ms=world.now_ms, pieces=(higher,)))
    assert not [action for action in actions if isinstance(action, PersistEvidence)]


def test_a_book_does_not_depend_on_whether_evidence_or_entries_came_first() -> None:
    world = World(peers=3)
    world.run_ms(3_000)
    world.place(world.peers[0], Side.SELL, 10, 5)
    world.run_ms(2_000)
    entries = tuple(world.peers[2].market.feeds.feed(world.peers[0].identity.session).entries)  # type: ignore[union-attr]
    for kind, seq in ((EvidenceKind.OVER_SIGNING, -1), (EvidenceKind.FORK, 0)):
        books = []
        for evidence_first in (True, False):
            fresh = World(peers=3).peers[1]
            for block in world.chain()[2:]:
                fresh.kernel.ledger.add(block)
            market_id = fresh.market.rules.market_id
            heard = EvidenceHeard(now_ms=world.now_ms, pieces=(evidence_against(world, 0, kind, seq),))
            told = EntriesReceived(now_ms=world.now_ms, market=market_id, entries=entries, source=SOURCE)
            for event in (heard, told) if evidence_first else (told, heard):
                fresh.kernel.step(event)
            epoch = fresh.market.rules.epoch_at(world.now_ms)
            block = fresh.market.windows.fund_block(epoch)
            assert block is not None
            books.append(compute_book(fresh.market.feeds, fresh.kernel.ledger, epoch, block).encode())
        assert books[0] == books[1]


def test_free_keys_cannot_fill_memory_disk_or_the_places_of_feeds_with_evidence() -> None:
    """A key costs nothing, and so does a fork of it. Spec: [FEED-12]."""
    world = World(peers=2)
    kernel, market = world.peers[0].kernel, world.peers[0].market
    for number in range(40):
        for kind, seq in ((EvidenceKind.FORK, 0), (EvidenceKind.OVER_SIGNING, -1)):
            piece = replace(evidence_against(world, 1, kind, seq), session=Address(b"\x66" * 19 + bytes((number,))))
            actions = kernel.step(EvidenceHeard(now_ms=world.now_ms, pieces=(piece,)))
            assert not [action for action in actions if isinstance(action, PersistEvidence | PublishEvidence)]
    assert len(market.feeds) <= 2
    assert market.feeds.dead_sessions() == ()
    assert market.evidence.pieces_after(Address(bytes(20))) == ()


@pytest.mark.parametrize(("kind", "seq"), [(EvidenceKind.FORK, 7), (EvidenceKind.OVER_SIGNING, -1)])
def test_a_node_signs_nothing_more_with_a_session_that_evidence_convicts(kind: EvidenceKind, seq: int) -> None:
    """Its owner's key is in use elsewhere, or its store was old: orders would stand for nothing. Spec: [SYNC-5]."""
    world = World(peers=2)
    world.run_ms(3_000)
    kernel = world.peers[0].kernel
    assert kernel.why_not_sign() is None
    kernel.step(EvidenceHeard(now_ms=world.now_ms, pieces=(evidence_against(world, 0, kind, seq),)))
    assert kernel.why_not_sign() is not None
    assert kernel.counters["doubt"] == 1


def test_a_dead_feed_is_not_read_anew_for_each_entry_below_its_fork() -> None:
    """Else n entries of a session that forked at the end cost whoever fetches them n * n. Spec: [FEED-6], [EVID-1]."""
    feeds, forger, count, prev_hash = Feeds(KERNEL_RULES), Peer("forger"), 20, ZERO_DIGEST
    session = forger.identity.session
    feeds.mark_forked(session, count)
    acts = None
    for seq in range(count):
        entry = write_entry(
            forger, [signed_order(forger, Side.BUY, 10, 5, seq)], seq=seq, prev_hash=prev_hash, epoch=seq
        )
        prev_hash = entry.entry_hash
        feeds.add(entry)
        feed = feeds.feed(session)
        assert feed is not None
        acts = feed.acts if acts is None else acts
        assert feed.acts is acts
        assert len(acts) == len(feed.orders) == seq + 1


def test_evidence_survives_a_restart() -> None:
    store = MemoryDisk().open("a", create=True, network_id=bytes(32))
    pieces = [proven("fork"), proven("lots_twice_by_a_maker")]
    batch = batch_of([PersistEvidence(evidence=piece) for piece in pieces])
    assert batch is not None
    store.commit(batch)
    loaded = load_evidence(store, FAST_DIGESTS, {RULES.market_id: RULES})
    assert sorted(loaded, key=lambda piece: piece.kind) == pieces


def test_a_pointer_to_a_default_counts_only_if_the_own_chain_shows_it() -> None:
    world = World(peers=2)
    world.run_ms(3_000)
    kernel = world.peers[0].kernel
    owner, ticket = world.peers[1].identity.owner, TicketDigest(b"\x77" * 32)
    fact = Defaulted(owner=owner, ticket=ticket, victim=world.peers[0].identity.owner, amount=5)
    block = world.mine(fact)
    world.run_ms(2_000)
    shown = DefaultPointer(owner=owner, ticket=ticket, block_number=block.number, block_hash=block.hash)
    elsewhere = DefaultPointer(owner=owner, ticket=ticket, block_number=block.number, block_hash=Digest(bytes(32)))
    too_early = DefaultPointer(owner=owner, ticket=ticket, block_number=10**9, block_hash=block.hash)
    kernel.step(EvidenceHeard(now_ms=world.now_ms, pieces=(shown, elsewhere, too_early)))
    assert (kernel.counters["default_confirmed"], kernel.counters["default_not_shown"]) == (1, 2)


# presence


def test_a_node_says_that_it_is_alive_every_period_and_hands_on_what_others_say() -> None:
    world = World(peers=2)
    world.run_ms(3_000)
    world.place(world.peers[0], Side.SELL, 10, 5)
    world.run_ms(2_000)
    one, other = world.peers[0].kernel, world.peers[1].kernel
    presence_ms = world.peers[0].market.rules.preset.presence_s * 1000
    said = [
        action
        for moment in range(0, 3 * presence_ms, 500)
        for action in one.step(Ticked(now_ms=world.now_ms + moment))
        if isinstance(action, PublishPresences)
    ]
    own = [verify_presence(one.digests, encoded) for action in said for encoded in action.presences]
    assert len(own) == 3
    assert {presence.session for presence in own} == {world.peers[0].identity.session}
    taken = other.counters["presence_taken"]
    heard_ms = world.now_ms + presence_ms
    heard = PresencesHeard(now_ms=heard_ms, presences=((own[0], said[0].presences[0]),))
    other.step(heard)
    other.step(heard)
    assert (other.counters["presence_taken"] - taken, other.counters["presence_known"]) == (1, 1)
    handed_on = [
        encoded
        for action in other.step(Ticked(now_ms=heard_ms + presence_ms))
        if isinstance(action, PublishPresences)
        for encoded in action.presences
    ]
    assert said[0].presences[0] in handed_on


def test_a_presence_whose_heads_are_ahead_makes_a_node_sync_and_raises_no_doubt() -> None:
    world = World(peers=2)
    world.run_ms(3_000)
    world.place(world.peers[0], Side.SELL, 10, 5)
    world.run_ms(2_000)
    market = world.peers[1].market
    session = world.peers[0].identity.session
    feed = market.feeds.feed(session)
    assert feed is not None
    head = Head(session=session, next_seq=len(feed.entries) + 1, head_hash=Digest(b"\x01" * 32))
    epoch = market.rules.epoch_at(world.now_ms + 2_000)
    encoded = make_presence(
        world.peers[1].kernel.digests, world.peers[0].identity, epoch, {market.rules.market_id: head}, ()
    )
    presence = verify_presence(world.peers[1].kernel.digests, encoded)
    actions = world.peers[1].kernel.step(PresencesHeard(now_ms=world.now_ms, presences=((presence, encoded),)))
    assert [action for action in actions if isinstance(action, SyncWith)]
    assert world.peers[1].kernel.doubt is None


def test_presences_of_strangers_of_other_times_and_of_oneself_are_ignored() -> None:
    world = World(peers=2)
    world.run_ms(30_000)
    kernel, market = world.peers[1].kernel, world.peers[1].market
    stranger = World(peers=3).peers[2].identity
    now_epoch = market.rules.epoch_at(world.now_ms)
    told = [
        make_presence(kernel.digests, stranger, now_epoch, {}, ()),
        make_presence(kernel.digests, world.peers[0].identity, Epoch(now_epoch + 3), {}, ()),
        make_presence(kernel.digests, world.peers[0].identity, Epoch(now_epoch - 21), {}, ()),
        make_presence(kernel.digests, world.peers[1].identity, now_epoch, {}, ()),
    ]
    presences = tuple((verify_presence(kernel.digests, encoded), encoded) for encoded in told)
    kernel.step(PresencesHeard(now_ms=world.now_ms, presences=presences))
    assert kernel.counters["presence_taken"] == 0
    assert kernel.counters["presence_of_a_stranger"] == 1
