"""What a lane means to send, written down before it is sent.

After a crash the lane sends the same bytes under the same nonce again: the chain takes them once, and no nonce is left
out. An account has a ring of slots; a slot is written over when its nonce comes round, never before its transaction is
through.
"""

import zlib
from dataclasses import dataclass
from typing import Protocol

from orrange_p2p.chain.account import DigestSigner, TransactionFields
from orrange_p2p.chain.fees import GasOffer
from orrange_p2p.core import cbor
from orrange_p2p.core.cbor import Fields
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.types import Address, Digest
from orrange_p2p.errors import RemoteProtocolError, StoreError

SLOTS = 64
"""So many nonces may be under way at once."""

MAX_OFFERS = 16
"""A transaction is replaced at most 15 times."""

_MAX_PAYLOAD_BYTES = 1 << 20
_MAX_NOTE_BYTES = 1 << 12
_WORD = 32


class IntentLog(Protocol):
    """Where one account's intents outlive the process; a slot holds what was last written there."""

    def load(self) -> tuple[bytes, ...]:
        """What stands in the slots, in any order, empty ones left out."""
        ...

    async def write(self, slot: int, record: bytes) -> None:
        """Put `record` into a slot, 0 to SLOTS - 1; on disk when this returns. Empty means that nothing is meant."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One nonce's transaction in all its versions, the newest last; `note` is its sender's own, kept beside it."""

    chain_id: int
    nonce: int
    gas: int
    to: Address | None
    value_wei: int
    payload: bytes
    note: bytes
    offers: tuple[GasOffer, ...]

    def versions(self, signer: DigestSigner) -> tuple[tuple[Digest, bytes], ...]:
        """Hash and raw bytes of each version; the same ones every time, as `signer` signs deterministically."""
        raws = [self._fields(offer).signed_by(signer) for offer in self.offers]
        return tuple((Digest(keccak256(raw)), raw) for raw in raws)

    def _fields(self, offer: GasOffer) -> TransactionFields:
        return TransactionFields(
            chain_id=self.chain_id,
            nonce=self.nonce,
            priority_fee_wei=offer.priority_fee_wei,
            max_fee_wei=offer.max_fee_wei,
            gas=self.gas,
            to=self.to,
            value_wei=self.value_wei,
            payload=self.payload,
        )


def encode_intent(intent: Intent) -> bytes:
    """An intent as a log keeps it. Calls are mostly zeros, so they are packed."""
    return zlib.compress(
        cbor.encode(
            [
                intent.chain_id,
                intent.nonce,
                intent.gas,
                intent.to or b"",
                intent.value_wei.to_bytes(_WORD, "big"),
                intent.payload,
                intent.note,
                [[offer.priority_fee_wei, offer.max_fee_wei] for offer in intent.offers],
            ]
        )
    )


def decode_intent(record: bytes) -> Intent:
    """An intent from a log.

    Raises:
        StoreError: no lane wrote this.
    """
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(record, 2 * _MAX_PAYLOAD_BYTES)
        fields = Fields(cbor.decode(content), "intent", length=8)
        return Intent(
            chain_id=fields.uint("chain id"),
            nonce=fields.uint("nonce"),
            gas=fields.uint("gas"),
            to=Address(to) if (to := fields.bounded("to", most=20)) else None,
            value_wei=int.from_bytes(fields.fixed("value", _WORD), "big"),
            payload=fields.bounded("payload", most=_MAX_PAYLOAD_BYTES),
            note=fields.bounded("note", most=_MAX_NOTE_BYTES),
            offers=fields.each("offers", _read_offer, most=MAX_OFFERS),
        )
    except (zlib.error, RemoteProtocolError) as error:
        raise StoreError(
            f"a transaction that was meant to be sent is unreadable ({error}): restore the store from a backup"
        ) from error


def _read_offer(fields: Fields) -> GasOffer:
    return GasOffer(priority_fee_wei=fields.uint("priority fee"), max_fee_wei=fields.uint("max fee"))
