"""Evidence: what a piece of it proves, and how a node that noticed something writes it down.

A piece speaks for itself: judging needs no feed and no chain, but for a pointer to a default.
Spec: protocol/spec/08-peers.md [EVID-1..5].
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from orrange_p2p.core.digests import Digests
from orrange_p2p.core.feed import HoldRecord
from orrange_p2p.core.gossip_codec import decode_evidence, encode_evidence
from orrange_p2p.core.hashing import recover_address
from orrange_p2p.core.messages import TicketItem
from orrange_p2p.core.peer_messages import DefaultPointer, Fork, OverSigned, SignedHeader, SignedTicket
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.ranges import Range, overlaps
from orrange_p2p.core.types import Address, Digest, MarketId, Order, OrderId, Ticket
from orrange_p2p.core.verify import VerifiedEntry
from orrange_p2p.errors import RemoteProtocolError


class EvidenceKind(IntEnum):
    """What is proven."""

    FORK = 1
    OVER_SIGNING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedEvidence:
    """A piece that proves what it says; `forked_seq` is -1 for over-signing."""

    market: MarketId
    session: Address
    kind: EvidenceKind
    forked_seq: int
    encoded: bytes


def verify_evidence(
    digests: Digests, markets: Mapping[MarketId, MarketRules], encoded: bytes
) -> VerifiedEvidence | DefaultPointer | None:
    """Decode a piece of evidence and see what it proves.

    Returns:
        What is proven; a pointer that only the chain can confirm; None if it is about a market not followed here.

    Raises:
        RemoteProtocolError: it proves nothing; the sender is to blame. Spec: [EVID-5].
    """
    evidence = decode_evidence(encoded)
    if isinstance(evidence, DefaultPointer):
        return evidence
    if isinstance(evidence, Fork):
        return _verify_fork(digests, markets, evidence, encoded)
    rules = markets.get(evidence.first.maker.market)
    if rules is None:
        return None
    _verify_over_signing(digests, rules, evidence)
    return VerifiedEvidence(
        market=rules.market_id,
        session=evidence.session,
        kind=EvidenceKind.OVER_SIGNING,
        forked_seq=-1,
        encoded=encoded,
    )


def _verify_fork(
    digests: Digests, markets: Mapping[MarketId, MarketRules], fork: Fork, encoded: bytes
) -> VerifiedEvidence | None:
    """Spec: [EVID-1]."""
    one, other = fork.first.header, fork.second.header
    if (one.session, one.market, one.seq) != (other.session, other.market, other.seq):
        raise _nothing("two headers of one session, market and seq")
    if one.market not in markets:
        return None
    if digests.entry(one) == digests.entry(other):
        raise _nothing("two entry hashes")
    for side in (fork.first, fork.second):
        if recover_address(Digest(digests.entry(side.header)), side.signature) != one.session:
            raise _nothing("two signatures of the session")
    return VerifiedEvidence(
        market=one.market, session=one.session, kind=EvidenceKind.FORK, forked_seq=one.seq, encoded=encoded
    )


def _verify_over_signing(digests: Digests, rules: MarketRules, evidence: OverSigned) -> None:
    """Spec: [EVID-2]."""
    session, sides = evidence.session, (evidence.first, evidence.second)
    for side in sides:
        ticket = side.ticket
        if side.maker.market != rules.market_id or side.taker.market != rules.market_id:
            raise _nothing("four orders of one market")
        if session not in (side.maker.session, side.taker.session):
            raise _nothing("a ticket of the session's own orders")
        named = (ticket.maker_order, ticket.taker_order)
        if named != (digests.order(side.maker), digests.order(side.taker)):
            raise _nothing("the orders that the ticket names")
        if recover_address(Digest(digests.ticket(ticket)), side.signature) != session:
            raise _nothing("a signature of the session")
    if digests.ticket(evidence.first.ticket) == digests.ticket(evidence.second.ticket):
        raise _nothing("two tickets")
    if not (_signs_lots_twice(rules, evidence) or _uses_a_nonce_twice(evidence)):
        raise _nothing("lots of one order twice at one time, or one ticket_nonce twice")


def _nothing(expected: str) -> RemoteProtocolError:
    return RemoteProtocolError("EVID-5", f"evidence: expected {expected}, was something that proves nothing")


def are_at_one_time(rules: MarketRules, one: Ticket, other: Ticket) -> bool:
    """Whether two tickets' times from epoch to deadline, both ends included, overlap. Spec: [TICK-10], [EVID-2]."""
    return rules.epoch_start_s(one.epoch) <= other.deadline_s and rules.epoch_start_s(other.epoch) <= one.deadline_s


def _own_lots(session: Address, side: SignedTicket) -> list[tuple[OrderId, Range]]:
    ticket = side.ticket
    lots: list[tuple[OrderId, Range]] = []
    if side.maker.session == session:
        lots.append((ticket.maker_order, (ticket.maker_from, ticket.maker_to)))
    if side.taker.session == session:
        lots.append((ticket.taker_order, (ticket.taker_from, ticket.taker_to)))
    return [(order_id, (low, high)) for order_id, (low, high) in lots if low < high]


def _signs_lots_twice(rules: MarketRules, evidence: OverSigned) -> bool:
    if not are_at_one_time(rules, evidence.first.ticket, evidence.second.ticket):
        return False
    return any(
        order_id == other_id and overlaps(lots, other_lots)
        for order_id, lots in _own_lots(evidence.session, evidence.first)
        for other_id, other_lots in _own_lots(evidence.session, evidence.second)
    )


def _uses_a_nonce_twice(evidence: OverSigned) -> bool:
    one, other = evidence.first, evidence.second
    return one.taker.session == other.taker.session and one.ticket.ticket_nonce == other.ticket.ticket_nonce


def prove_fork(first: VerifiedEntry, second: VerifiedEntry) -> bytes:
    """Two entries of one seq, written down as evidence; the same bytes whoever saw which first. Spec: [EVID-1]."""
    one, other = sorted((first, second), key=lambda entry: entry.entry_hash)
    sides = [SignedHeader(header=side.entry.header, signature=side.entry.signature) for side in (one, other)]
    return encode_evidence(Fork(first=sides[0], second=sides[1]))


def prove_over_signing(
    session: Address, first: HoldRecord, second: HoldRecord, orders: Mapping[OrderId, Order]
) -> bytes | None:
    """Two holds of one session that no honest one makes, as evidence; None while an order is unknown. Spec: [EVID-2].

    Args:
        session: who signed both.
        first: an Offer or TicketItem of the session's feed.
        second: another one.
        orders: the orders that the two tickets name, as far as they are known.
    """
    one, other = sorted((first, second), key=lambda hold: hold.digest)
    sides: list[SignedTicket] = []
    for hold in (one, other):
        maker, taker = orders.get(hold.ticket.maker_order), orders.get(hold.ticket.taker_order)
        if maker is None or taker is None:
            return None
        item = hold.verified.item
        signature = item.maker_signature if isinstance(item, TicketItem) else item.taker_signature
        sides.append(SignedTicket(ticket=hold.ticket, signature=signature, maker=maker, taker=taker))
    return encode_evidence(OverSigned(session=session, first=sides[0], second=sides[1]))
