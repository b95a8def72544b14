"""A witness of a kernel world: what every session has ever said, and that an honest one never contradicts itself.

Everything counts that left a node, by gossip or by stream, whether or not anybody heard it.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from kernel_world import DIGESTS, RULES, World

from orrange_p2p.core.events import Publish
from orrange_p2p.core.messages import DeclineItem, OfferFrame, TicketFrame
from orrange_p2p.core.ranges import Range, overlaps
from orrange_p2p.core.types import ZERO_DIGEST, Address, Digest, Epoch, OrderId, Side, Ticket, TicketDigest, TimeInForce
from orrange_p2p.core.verify import VerifiedEntry, VerifiedOffer, VerifiedOrder, VerifiedTicket, verify_entry


@dataclass
class Testimony:
    """All that one session has signed and let go."""

    entries: dict[int, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    feed: dict[int, VerifiedEntry] = field(default_factory=dict)
    lots: dict[OrderId, dict[TicketDigest, tuple[Range, Ticket]]] = field(default_factory=lambda: defaultdict(dict))
    nonces: dict[tuple[Address, int], set[TicketDigest]] = field(default_factory=lambda: defaultdict(set))

    def sign(self, order_id: OrderId, lots: Range, ticket: Ticket, taker: Address) -> None:
        """It signed a ticket over lots of its own order."""
        digest = DIGESTS.ticket(ticket)
        self.lots[order_id][digest] = (lots, ticket)
        self.nonces[(taker, ticket.ticket_nonce)].add(digest)


class Witness:
    """Hears a whole world out, once, at its end."""

    def __init__(self, world: World) -> None:
        self.orders = {
            item.order_id: item.item.signed.order
            for entry in _entries(world)
            for item in entry.items
            if isinstance(item, VerifiedOrder)
        }
        self.of: dict[Address, Testimony] = {peer.identity.session: Testimony() for peer in world.peers}
        for peer, action in world.said:
            if isinstance(action, Publish):
                self._hear_entry(verify_entry(DIGESTS, action.encoded))
            elif isinstance(action.message, OfferFrame):
                self._hear_offer(peer.identity.session, action.message.offer.ticket)
            elif isinstance(action.message, TicketFrame):
                self._hear_ticket(peer.identity.session, action.message.item.ticket)

    def _hear_entry(self, entry: VerifiedEntry) -> None:
        header = entry.entry.header
        said = self.of[header.session]
        said.entries[header.seq].add(entry.entry_hash)
        said.feed[header.seq] = entry
        for item in entry.items:
            if isinstance(item, VerifiedOffer):
                self._hear_offer(header.session, item.item.ticket)
            elif isinstance(item, VerifiedTicket):
                self._hear_ticket(header.session, item.item.ticket)

    def _hear_offer(self, session: Address, ticket: Ticket) -> None:
        self.of[session].sign(ticket.taker_order, (ticket.taker_from, ticket.taker_to), ticket, session)

    def _hear_ticket(self, session: Address, ticket: Ticket) -> None:
        taker = self.orders[ticket.taker_order].session
        self.of[session].sign(ticket.maker_order, (ticket.maker_from, ticket.maker_to), ticket, taker)

    def assert_nobody_forked(self) -> None:
        """S4: one entry for each seq."""
        assert all(len(hashes) == 1 for said in self.of.values() for hashes in said.entries.values())

    def assert_nobody_over_signed(self) -> None:
        """S4, [TICK-10], [EVID-2]: no lots twice at a time, no ticket nonce twice."""
        for said in self.of.values():
            assert all(len(tickets) == 1 for tickets in said.nonces.values())
            for signed in said.lots.values():
                known = list(signed.values())
                for at, (lots, ticket) in enumerate(known):
                    for other_lots, other in known[at + 1 :]:
                        assert not (overlaps(lots, other_lots) and _overlap_in_time(ticket, other))

    def assert_all_within_limits(self) -> None:
        """S2, S5: every signed price is one that both owners signed, and no owner trades with itself."""
        for said in self.of.values():
            for signed in said.lots.values():
                for _, ticket in signed.values():
                    maker, taker = self.orders[ticket.maker_order], self.orders[ticket.taker_order]
                    buyer, seller = (maker, taker) if maker.side is Side.BUY else (taker, maker)
                    assert buyer.side is not seller.side
                    assert seller.price_ticks <= ticket.price_ticks <= buyer.price_ticks
                    assert maker.owner != taker.owner

    def assert_declines_are_kept(self) -> None:
        """[TICK-17]: no ticket of a pair and epoch follows its Decline."""
        for said in self.of.values():
            declined: set[tuple[OrderId, OrderId, Epoch]] = set()
            for _, entry in sorted(said.feed.items()):
                for item in entry.items:
                    if isinstance(item, DeclineItem):
                        declined.add((item.maker_order, item.taker_order, item.epoch))
                    elif isinstance(item, VerifiedTicket):
                        ticket = item.item.ticket
                        assert (ticket.maker_order, ticket.taker_order, ticket.epoch) not in declined

    def assert_fok_offers_are_whole(self) -> None:
        """S10, [TICK-15]: an entry with a leg's Offer has all of its group, over all of the order's lots."""
        for said in self.of.values():
            for entry in said.feed.values():
                legs: dict[Digest, list[Ticket]] = defaultdict(list)
                for item in entry.items:
                    if isinstance(item, VerifiedOffer):
                        ticket = item.item.ticket
                        is_fok = self.orders[ticket.taker_order].tif is TimeInForce.FOK
                        assert is_fok == (ticket.group != ZERO_DIGEST)
                        if is_fok:
                            legs[ticket.group].append(ticket)
                for group, tickets in legs.items():
                    assert DIGESTS.group(tickets) == group
                    assert sum(leg.lots for leg in tickets) == self.orders[tickets[0].taker_order].quantity_lots

    def assert_honest(self) -> None:
        """All of it."""
        self.assert_nobody_forked()
        self.assert_nobody_over_signed()
        self.assert_all_within_limits()
        self.assert_declines_are_kept()
        self.assert_fok_offers_are_whole()


def _entries(world: World) -> list[VerifiedEntry]:
    return [verify_entry(DIGESTS, action.encoded) for _, action in world.said if isinstance(action, Publish)]


def _overlap_in_time(one: Ticket, other: Ticket) -> bool:
    starts = RULES.epoch_start_s(one.epoch), RULES.epoch_start_s(other.epoch)
    return starts[0] <= other.deadline_s and starts[1] <= one.deadline_s
