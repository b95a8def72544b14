"""Payment instructions as marks of a store: one of each way and slot, so that they take a bounded place.

Texts are as readable in the store as its secrets are. Spec: protocol/spec/08-peers.md [DM-3].
"""

from typing import Literal

from orrange_p2p.core import cbor
from orrange_p2p.core.cbor import Fields
from orrange_p2p.core.direct_frames import MAX_TEXT_BYTES, MAX_VERSION
from orrange_p2p.core.instructions import MAX_TICKETS, InstructionBook, InstructionRecord
from orrange_p2p.core.types import TicketDigest
from orrange_p2p.errors import RemoteProtocolError, StoreError
from orrange_p2p.store.interface import Mark, Store

INSTRUCTION_MARK = b"instructions:"
Way = Literal["written", "received"]


def instruction_mark(record: InstructionRecord, way: Way) -> Mark:
    """A record as the store keeps it, in the place of what its slot held before."""
    text = record.text.encode()
    return Mark(
        name=_prefix(way) + record.slot.to_bytes(2, "big"),
        value=cbor.encode([record.ticket, record.version, record.since_ms, record.receipt, text]),
    )


def load_instructions(store: Store, book: InstructionBook) -> None:
    """Take back what was written and received.

    Raises:
        StoreError: a record is damaged.
    """
    for mark in store.marks(_prefix("written")):
        book.keep_written(_record_of(mark, "written"))
    for mark in store.marks(_prefix("received")):
        book.keep_received(_record_of(mark, "received"))


def _prefix(way: Way) -> bytes:
    return INSTRUCTION_MARK + way.encode() + b":"


def _record_of(mark: Mark, way: Way) -> InstructionRecord:
    try:
        slot = int.from_bytes(mark.name.removeprefix(_prefix(way)), "big")
        fields = Fields(cbor.decode(mark.value), "instructions", length=5)
        record = InstructionRecord(
            ticket=TicketDigest(fields.fixed("ticket", 32)),
            slot=slot,
            version=fields.uint("version", least=1, most=MAX_VERSION),
            since_ms=fields.uint("since_ms"),
            receipt=fields.uint("receipt", most=MAX_VERSION),
            text=fields.bounded("text", most=MAX_TEXT_BYTES).decode(),
        )
    except (RemoteProtocolError, UnicodeDecodeError) as error:
        raise StoreError("the store holds instructions that no node wrote: restore it from a backup") from error
    if slot >= MAX_TICKETS:
        raise StoreError(f"expected instructions in a slot of 0 to {MAX_TICKETS - 1}, was {slot}")
    return record
