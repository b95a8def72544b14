"""What convicts: proofs that speak for themselves.

Spec: protocol/spec/08-peers.md [EVID-1..5].
"""

from dataclasses import dataclass
from typing import Any

from protocol.reference.cbor import RefusedError
from protocol.reference.feeds import Entry
from protocol.reference.holds import ticket_from
from protocol.reference.orders import order_from
from protocol.reference.signing import digest, recover
from protocol.reference.types import Address, Clock, Digest, Domain, LotRange, Order, Signature, Ticket, epoch_start_s
from protocol.reference.wire import read_evidence

FORK, OVER_SIGNING, DEFAULT = 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a piece of evidence proves of a session in a market.

    Attributes:
        forked_seq: The seq of the fork; None for over-signing, which convicts.
    """

    session: Address
    market: Digest
    forked_seq: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultPointer:
    """Where the chain is said to show a default; only the own chain can confirm it. Spec: [EVID-3]."""

    owner: Address
    ticket: Digest
    block_number: int
    block_hash: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A ticket, a signature on it, and both its orders."""

    ticket: Ticket
    signature: Signature
    maker: Order
    taker: Order


def judge(domain: Domain, clock: Clock, encoded: bytes) -> Finding | DefaultPointer:
    """Read a piece of evidence and see what it proves.

    Raises:
        RefusedError: if it proves nothing; no honest peer sends it. Spec: [EVID-5].
    """
    kind, *fields = read_evidence(encoded)
    if kind == FORK:
        return judge_fork(domain, *fields)
    if kind == OVER_SIGNING:
        return judge_over_signing(domain, clock, *fields)
    owner, ticket, block_number, block_hash = fields
    return DefaultPointer(owner=owner, ticket=ticket, block_number=block_number, block_hash=block_hash)


def judge_fork(domain: Domain, first: list[Any], second: list[Any]) -> Finding:
    """Two entries of one session with one seq. Spec: [EVID-1]."""
    sides = [read_header(domain, fields) for fields in (first, second)]
    names = {(entry.session, entry.market, entry.seq) for entry, _ in sides}
    _see(len(names) == 1, "two headers of one session, market and seq")
    _see(sides[0][0].entry_hash != sides[1][0].entry_hash, "two entry hashes")
    _see(all(signer == entry.session for entry, signer in sides), "two signatures of the session")
    entry, _ = sides[0]
    return Finding(session=entry.session, market=entry.market, forked_seq=entry.seq)


def read_header(domain: Domain, fields: list[Any]) -> tuple[Entry, Address | None]:
    """A header as an entry without items, and who signed it."""
    named = dict(zip(("session", "owner", "market", "seq", "prev_hash", "epoch", "items_root"), fields, strict=False))
    entry_hash = digest(domain, "FeedEntry", Entry(**named, items=()))
    return Entry(**named, items=(), entry_hash=entry_hash), recover(entry_hash, fields[7])


def judge_over_signing(domain: Domain, clock: Clock, session: Address, first: list[Any], second: list[Any]) -> Finding:
    """Two tickets that an honest session never signs both. Spec: [EVID-2]."""
    one, other = (read_signed(fields) for fields in (first, second))
    for signed in (one, other):
        check_signed(domain, session, signed)
    markets = {order.market for signed in (one, other) for order in (signed.maker, signed.taker)}
    _see(len(markets) == 1, "four orders of one market")
    _see(digest(domain, "Ticket", one.ticket) != digest(domain, "Ticket", other.ticket), "two tickets")
    _see(
        signs_lots_twice(clock, session, one, other) or uses_a_nonce_twice(one, other),
        "lots of one order twice at one time, or one ticket_nonce twice",
    )
    return Finding(session=session, market=one.maker.market, forked_seq=None)


def read_signed(fields: list[Any]) -> Signed:
    """One side of an over-signing, as values."""
    ticket, signature, maker, taker = fields
    return Signed(ticket=ticket_from(ticket), signature=signature, maker=order_from(maker), taker=order_from(taker))


def check_signed(domain: Domain, session: Address, signed: Signed) -> None:
    """See that a ticket names its orders, and that the session signed it for one of them. Spec: [EVID-2]."""
    ticket = signed.ticket
    _see(digest(domain, "Order", signed.maker) == ticket.maker_order, "the maker order that the ticket names")
    _see(digest(domain, "Order", signed.taker) == ticket.taker_order, "the taker order that the ticket names")
    _see(session in (signed.maker.session, signed.taker.session), "a ticket of the session's own orders")
    _see(recover(digest(domain, "Ticket", ticket), signed.signature) == session, "a signature of the session")


def signs_lots_twice(clock: Clock, session: Address, one: Signed, other: Signed) -> bool:
    """Whether two tickets take the same lots of one own order, at times that overlap. Spec: [EVID-2]."""
    if not (
        epoch_start_s(clock, one.ticket.epoch) <= other.ticket.deadline
        and epoch_start_s(clock, other.ticket.epoch) <= one.ticket.deadline
    ):
        return False
    return any(
        order == other_order and max(lots[0], other_lots[0]) < min(lots[1], other_lots[1])
        for order, lots in own_lots(session, one)
        for other_order, other_lots in own_lots(session, other)
    )


def own_lots(session: Address, signed: Signed) -> list[tuple[Digest, LotRange]]:
    """The lots that a ticket takes of the session's own orders."""
    ticket = signed.ticket
    sides = [
        (signed.maker, ticket.maker_order, (ticket.maker_from, ticket.maker_to)),
        (signed.taker, ticket.taker_order, (ticket.taker_from, ticket.taker_to)),
    ]
    return [(order_id, lots) for order, order_id, lots in sides if order.session == session]


def uses_a_nonce_twice(one: Signed, other: Signed) -> bool:
    """Whether two tickets bear one number of one taker's session. Spec: [EVID-2]."""
    return one.taker.session == other.taker.session and one.ticket.ticket_nonce == other.ticket.ticket_nonce


def _see(is_so: bool, expected: str) -> None:  # noqa: FBT001
    if not is_so:
        raise RefusedError("EVID-5", f"expected {expected}, was something that proves nothing")
