"""From bytes to a sound entry: decode, recover every signer once, keep what they are.

Everything here is pure and may run in a worker thread; nothing later recovers a signature again.
Spec: protocol/spec/02-feeds.md [FEED-1], 03-orders.md [ORD-2, HOLD-1..2].
"""

from dataclasses import dataclass

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from orrange_p2p.core.codec import decode_entry
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.hashing import recover_address
from orrange_p2p.core.messages import (
    Cancel,
    Checkpoint,
    DeclineItem,
    Delegation,
    Entry,
    Item,
    Offer,
    OrderItem,
    TicketItem,
)
from orrange_p2p.core.types import Address, Digest, EntryHash, OrderId, PeerId, TicketDigest
from orrange_p2p.errors import RemoteProtocolError

_PEER_ID_PREFIX = bytes.fromhex("002408011220")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedDelegation:
    """A delegation and whether both its signatures hold."""

    item: Delegation
    is_valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedOrder:
    """An order with its id and who signed it (None: nobody)."""

    item: OrderItem
    order_id: OrderId
    signer: Address | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedOffer:
    """An Offer with its ticket digest and both signers."""

    item: Offer
    ticket_digest: TicketDigest
    taker_signer: Address | None
    ready_signer: Address | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedTicket:
    """A TicketItem with its digest and both signers."""

    item: TicketItem
    ticket_digest: TicketDigest
    taker_signer: Address | None
    maker_signer: Address | None


VerifiedItem = VerifiedDelegation | VerifiedOrder | VerifiedOffer | VerifiedTicket | Cancel | DeclineItem | Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedEntry:
    """A sound entry: decoded, hashed, its session's signature checked, its items' signers recovered."""

    entry: Entry
    entry_hash: EntryHash
    encoded: bytes
    items: tuple[VerifiedItem, ...]


def verify_entry(digests: Digests, encoded: bytes) -> VerifiedEntry:
    """Decode an entry and recover all its signers.

    Raises:
        RemoteProtocolError: the entry is unsound; the sender is to blame.
    """
    entry = decode_entry(encoded)
    entry_hash = digests.entry(entry.header)
    if recover_address(Digest(entry_hash), entry.signature) != entry.header.session:
        raise RemoteProtocolError("FEED-1", "expected the session's signature")
    items = tuple(verify_item(digests, item) for item in entry.items)
    return VerifiedEntry(entry=entry, entry_hash=entry_hash, encoded=encoded, items=items)


def verify_item(digests: Digests, item: Item) -> VerifiedItem:
    """Recover an item's signers; wrong signatures are values here, the book's rules judge them."""
    if isinstance(item, OrderItem):
        order_id = digests.order(item.signed.order)
        signer = recover_address(Digest(order_id), item.signed.signature)
        return VerifiedOrder(item=item, order_id=order_id, signer=signer)
    if isinstance(item, Offer):
        return verify_offer(digests, item)
    if isinstance(item, TicketItem):
        return verify_ticket(digests, item)
    if isinstance(item, Delegation):
        return VerifiedDelegation(item=item, is_valid=is_valid_delegation(digests, item))
    return item


def verify_offer(digests: Digests, offer: Offer) -> VerifiedOffer:
    """Recover the taker and the maker that promised."""
    ticket_digest = digests.ticket(offer.ticket)
    return VerifiedOffer(
        item=offer,
        ticket_digest=ticket_digest,
        taker_signer=recover_address(Digest(ticket_digest), offer.taker_signature),
        ready_signer=recover_address(digests.ready(ticket_digest, offer.ready_epoch), offer.ready_signature),
    )


def verify_ticket(digests: Digests, item: TicketItem) -> VerifiedTicket:
    """Recover both sides of a ticket."""
    ticket_digest = digests.ticket(item.ticket)
    return VerifiedTicket(
        item=item,
        ticket_digest=ticket_digest,
        taker_signer=recover_address(Digest(ticket_digest), item.taker_signature),
        maker_signer=recover_address(Digest(ticket_digest), item.maker_signature),
    )


def is_valid_delegation(digests: Digests, item: Delegation) -> bool:
    """Whether session and peer key both signed. Spec: [TYPE-5]."""
    digest = digests.delegation(item.owner, item.session, item.peer_id, item.encryption_key)
    if recover_address(digest, item.session_signature) != item.session:
        return False
    return is_peer_signature(digest, item.peer_signature, item.peer_id)


def is_peer_signature(digest: bytes, signature: bytes, peer_id: PeerId) -> bool:
    """Whether the Ed25519 key inside a peer id signed a digest, as libsodium judges it. Spec: [TYPE-5]."""
    if not peer_id.startswith(_PEER_ID_PREFIX):
        return False
    try:
        VerifyKey(peer_id[len(_PEER_ID_PREFIX) :]).verify(digest, signature)
    except BadSignatureError:
        return False
    return True
