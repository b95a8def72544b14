"""EIP-712 digests, built by hand for speed and held to eth-account's by tests.

Spec: protocol/spec/01-types.md [SIGN-1..2], protocol/eip712.json, EIP-712.
"""

from collections.abc import Iterable
from dataclasses import replace

from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.messages import EntryHeader
from orrange_p2p.core.types import (
    ZERO_DIGEST,
    Address,
    Digest,
    Domain,
    EntryHash,
    Market,
    MarketId,
    Order,
    OrderId,
    PeerId,
    Ticket,
    TicketDigest,
)

TYPE_STRINGS = {
    "EIP712Domain": "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)",
    "Market": "Market(address base,address quote,uint96 lotSize,uint96 tickSize,uint64 minFillLots)",
    "Order": (
        "Order(bytes32 market,address owner,address session,uint64 nonce,uint8 side,uint8 kind,uint64 priceTicks,"
        "uint64 quantityLots,uint8 tif,uint64 expiry,bool postOnly,uint8 minTier,uint32[] paymentMethods,"
        "address[] arbitrators,uint8 security)"
    ),
    "FeedEntry": (
        "FeedEntry(address session,address owner,bytes32 market,uint64 seq,bytes32 prevHash,uint64 epoch,"
        "bytes32 itemsRoot)"
    ),
    "Ticket": (
        "Ticket(bytes32 makerOrder,bytes32 takerOrder,uint64 priceTicks,uint64 makerFrom,uint64 makerTo,"
        "uint64 takerFrom,uint64 takerTo,uint64 epoch,uint64 deadline,uint64 ticketNonce,uint8 kind,"
        "uint32 paymentMethod,address arbitrator,uint8 security,bytes32 group)"
    ),
    "Ready": "Ready(bytes32 ticket,uint64 epoch)",
    "Delegation": "Delegation(address owner,address session,bytes peerId,bytes32 encryptionKey)",
    "Presence": "Presence(address session,uint64 epoch,bytes32 contentRoot)",
}
_TYPE_HASHES = {name: keccak256(text.encode("ascii")) for name, text in TYPE_STRINGS.items()}
_NAME_HASH = keccak256(b"Orrange")
_VERSION_HASH = keccak256(b"1")


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _padded(address: bytes) -> bytes:
    return bytes(12) + address


class Digests:
    """Signing digests under one domain."""

    __slots__ = ("_prefix", "domain")

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        separator = keccak256(
            _TYPE_HASHES["EIP712Domain"]
            + _NAME_HASH
            + _VERSION_HASH
            + _word(domain.chain_id)
            + _padded(domain.settlement)
        )
        self._prefix = b"\x19\x01" + separator

    def _digest(self, struct_name: str, words: bytes) -> Digest:
        return keccak256(self._prefix + keccak256(_TYPE_HASHES[struct_name] + words))

    def market(self, market: Market) -> MarketId:
        """The market's id."""
        words = (
            _padded(market.base)
            + _padded(market.quote)
            + _word(market.lot_size)
            + _word(market.tick_size)
            + _word(market.min_fill_lots)
        )
        return MarketId(self._digest("Market", words))

    def order(self, order: Order) -> OrderId:
        """The order's id, which its owner or session signs."""
        words = (
            order.market
            + _padded(order.owner)
            + _padded(order.session)
            + _word(order.nonce)
            + _word(order.side)
            + _word(order.kind)
            + _word(order.price_ticks)
            + _word(order.quantity_lots)
            + _word(order.tif)
            + _word(order.expiry_s)
            + _word(order.post_only)
            + _word(order.min_tier)
            + keccak256(b"".join(map(_word, order.payment_methods)))
            + keccak256(b"".join(map(_padded, order.arbitrators)))
            + _word(order.security)
        )
        return OrderId(self._digest("Order", words))

    def entry(self, header: EntryHeader) -> EntryHash:
        """The entry hash, which the session signs and the next entry names."""
        words = (
            _padded(header.session)
            + _padded(header.owner)
            + header.market
            + _word(header.seq)
            + header.prev_hash
            + _word(header.epoch)
            + header.items_root
        )
        return EntryHash(self._digest("FeedEntry", words))

    def ticket(self, ticket: Ticket) -> TicketDigest:
        """The ticket digest, which both sessions sign."""
        words = (
            ticket.maker_order
            + ticket.taker_order
            + _word(ticket.price_ticks)
            + _word(ticket.maker_from)
            + _word(ticket.maker_to)
            + _word(ticket.taker_from)
            + _word(ticket.taker_to)
            + _word(ticket.epoch)
            + _word(ticket.deadline_s)
            + _word(ticket.ticket_nonce)
            + _word(ticket.kind)
            + _word(ticket.payment_method)
            + _padded(ticket.arbitrator)
            + _word(ticket.security)
            + ticket.group
        )
        return TicketDigest(self._digest("Ticket", words))

    def group(self, legs: Iterable[Ticket]) -> Digest:
        """What the legs of a FOK order hash to, in any order, whatever group they name. Spec: [TICK-14]."""
        digests = sorted(self.ticket(replace(leg, group=ZERO_DIGEST)) for leg in legs)
        return keccak256(b"".join(digests))

    def ready(self, ticket: TicketDigest, epoch: int) -> Digest:
        """What the maker's session signs to promise its lots."""
        return self._digest("Ready", ticket + _word(epoch))

    def delegation(self, owner: Address, session: Address, peer_id: PeerId, encryption_key: bytes) -> Digest:
        """What the session key and the peer key sign to be joined."""
        words = _padded(owner) + _padded(session) + keccak256(peer_id) + encryption_key
        return self._digest("Delegation", words)

    def presence(self, session: Address, epoch: int, content_root: Digest) -> Digest:
        """What a session signs to say that it is alive. Spec: [TYPE-7]."""
        return self._digest("Presence", _padded(session) + _word(epoch) + content_root)
