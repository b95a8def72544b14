"""Decoding and encoding feed entries strictly.

The baseline of decoding is what a strict decoder costs with the library alone: load, encode again, compare; for the
entry and for each item in it. It checks no type, no range and no items root, and builds no value of ours. The baseline
of encoding dumps plain lists.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cbor2

from orrange_p2p.core.codec import compute_items_root, decode_entry, encode_entry, encode_item
from orrange_p2p.core.messages import Entry, EntryHeader, OrderItem
from orrange_p2p.core.types import ZERO_DIGEST, Digest, Epoch, Signature, SignedOrder
from tests.benchmarks.figures import Figure, compared
from tests.benchmarks.pace import per_call_us
from tests.benchmarks.street import MARKET_ID, Street

SIGNATURE = Signature(b"\x5a" * 64 + b"\x1b")


def run(entries: int = 2000) -> Iterator[Figure]:
    """Measure and report; takes a few seconds."""
    for orders in (1, 32):
        made = make_entries(max(1, entries // orders), orders)
        encoded = [encode_entry(entry) for entry in made]
        if [decode_entry(one) for one in encoded] != made:
            raise RuntimeError("expected every entry to decode to itself")
        plural = f"{orders} order{'s' if orders > 1 else ''}"
        baseline = per_call_us(load_and_compare, encoded)
        yield compared(
            "codec", f"decode an entry of {plural}", per_call_us(decode_entry, encoded), "us CPU", baseline=baseline
        )
        lists = [load_all(one) for one in encoded]
        baseline = per_call_us(dump_all, lists)
        yield compared(
            "codec", f"encode an entry of {plural}", per_call_us(encode_all, made), "us CPU", baseline=baseline
        )


def make_entries(count: int, orders: int) -> list[Entry]:
    """Entries of so many orders each; the signatures are none, which the codec does not look at."""
    street = Street(orders)
    return [_entry(street, seq, orders) for seq in range(count)]


def _entry(street: Street, seq: int, orders: int) -> Entry:
    first = street.order()
    placed = [replace(street.order(), owner=first.owner, session=first.session) for _ in range(orders)]
    items = tuple(OrderItem(signed=SignedOrder(order=order, signature=SIGNATURE)) for order in placed)
    item_bytes = tuple(encode_item(item) for item in items)
    header = EntryHeader(
        session=first.session,
        owner=first.owner,
        market=MARKET_ID,
        seq=seq,
        prev_hash=ZERO_DIGEST,
        epoch=Epoch(seq // 4),
        items_root=Digest(compute_items_root(item_bytes)),
    )
    return Entry(header=header, signature=SIGNATURE, item_bytes=item_bytes, items=items)


def encode_all(entry: Entry) -> bytes:
    """Encode the items of an entry and the entry around them."""
    return encode_entry(replace(entry, item_bytes=tuple(encode_item(item) for item in entry.items)))


def load_all(encoded: bytes) -> list[Any]:
    """An entry and its items as plain lists."""
    *head, items = cbor2.loads(encoded)
    return [*head, [cbor2.loads(item) for item in items]]


def dump_all(fields: list[Any]) -> bytes:
    """Encode plain lists by the library alone."""
    *head, items = fields
    return cbor2.dumps([*head, [cbor2.dumps(item) for item in items]])


def load_and_compare(encoded: bytes) -> None:
    """Strictness by the library alone."""
    fields = cbor2.loads(encoded)
    for item in fields[-1]:
        if cbor2.dumps(cbor2.loads(item)) != item:
            raise ValueError("not deterministic")
    if cbor2.dumps(fields) != encoded:
        raise ValueError("not deterministic")
