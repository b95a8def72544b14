"""Payment instructions in a store: bounded, replaced in place, taken back. Spec: [DM-3]."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from orrange_p2p.core.instructions import InstructionBook, InstructionRecord
from orrange_p2p.core.types import Address, TicketDigest
from orrange_p2p.errors import StoreError
from orrange_p2p.store.instructions import INSTRUCTION_MARK, instruction_mark, load_instructions
from orrange_p2p.store.interface import Mark, Store, StoreBatch
from orrange_p2p.testing.store import MemoryDisk

TICKET, OTHER = TicketDigest(b"\1" * 32), TicketDigest(b"\2" * 32)
RECORD = InstructionRecord(ticket=TICKET, slot=7, version=2, text="IBAN €\n7", since_ms=2**41, receipt=1)


@pytest.fixture
def store() -> Iterator[Store]:
    with MemoryDisk().open("a", create=True, network_id=bytes(32)) as opened:
        yield opened


def kept(store: Store) -> InstructionBook:
    """What a node would know after a restart."""
    book = InstructionBook(Address(bytes(20)))
    load_instructions(store, book)
    return book


def test_what_was_written_and_received_comes_back_each_its_way(store: Store) -> None:
    received = replace(RECORD, ticket=OTHER, receipt=2)
    marks = instruction_mark(RECORD, "written"), instruction_mark(received, "received")
    store.commit(StoreBatch(marks=marks))
    book = kept(store)
    assert (book.written(TICKET), book.received(OTHER)) == (RECORD, received)
    assert (book.written(OTHER), book.received(TICKET)) == (None, None)


def test_a_ticket_that_takes_anothers_slot_leaves_nothing_of_it(store: Store) -> None:
    for record in (RECORD, replace(RECORD, ticket=OTHER, text="other")):
        store.commit(StoreBatch(marks=(instruction_mark(record, "received"),)))
    assert kept(store).received(TICKET) is None
    assert len(list(store.marks(INSTRUCTION_MARK))) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"written:\x00\x07", b"\xff"),
        (b"written:\x00\x07", b"\x80"),
        (b"received:\x04\x00", instruction_mark(RECORD, "received").value),
        (b"received:\x00\x07", instruction_mark(replace(RECORD, version=17), "received").value),
        (b"received:\x00\x07", instruction_mark(RECORD, "received").value.replace("€".encode(), b"\xff\xff\xff")),
    ],
)
def test_a_record_that_no_node_wrote_is_refused_unseen(store: Store, name: bytes, value: bytes) -> None:
    store.commit(StoreBatch(marks=(Mark(name=INSTRUCTION_MARK + name, value=value),)))
    with pytest.raises(StoreError) as refused:
        kept(store)
    assert "IBAN" not in str(refused.value)
