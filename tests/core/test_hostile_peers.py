"""What peers without funds can do to a kernel, and that it goes on trading, in bounded memory, honestly."""

from dataclasses import replace

from tests.core.hostile import (
    Trap,
    end_round,
    hear,
    idle,
    next_entry,
    renumbered,
    say,
    signed_order,
    ticket_digest,
    tickets_of,
    write_entry,
)
from tests.core.kernel_world import DIGESTS, GENESIS_MS, RULES, Peer, World

from orrange_p2p.core.book import compute_book
from orrange_p2p.core.codec import decode_item, encode_item
from orrange_p2p.core.events import Settle
from orrange_p2p.core.frames import decode_ticket_message, encode_ticket_message
from orrange_p2p.core.market_kernel import MAX_STRANGERS
from orrange_p2p.core.matching import Engine, build_engine
from orrange_p2p.core.messages import Head, Offer, OfferFrame, Prepare, Ready, TicketFrame, TicketItem, View
from orrange_p2p.core.ranges import overlaps
from orrange_p2p.core.tickets import build_ticket
from orrange_p2p.core.types import U64_MAX, ZERO_DIGEST, Digest, Epoch, OrderId, Side, TimeInForce


def test_a_peer_that_only_claims_to_know_more_of_our_feed_does_not_stop_us() -> None:
    """Heads are unsigned; only an entry that our session signed shows that our store is old. Spec: [SYNC-5]."""
    world = World(2)
    victim, liar = world.peers
    world.place(victim, Side.SELL, 100, 5)
    world.run_ms(1500)
    lie = Head(session=victim.identity.session, next_seq=99, head_hash=Digest(b"\1" * 32))
    end_round(world, victim, liar, [lie])
    assert victim.kernel.why_not_sign() is None
    assert world.place(victim, Side.SELL, 101, 5) not in victim.refused
