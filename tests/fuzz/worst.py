"""The worst inputs that one can think of, made by hand up to the size limits: what time and memory each takes."""

import gc
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass

from orrange_p2p.core import cbor
from orrange_p2p.core.codec import compute_items_root, encode_entry, encode_item
from orrange_p2p.core.messages import Entry, EntryHeader, Offer
from orrange_p2p.core.types import (
    ZERO_DIGEST,
    Address,
    Digest,
    Epoch,
    MarketId,
    OrderId,
    Signature,
    Ticket,
)
from orrange_p2p.errors import RemoteProtocolError
from tests.fuzz.targets import DIGESTS, KEY, TARGETS, Target

_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """What one input costs: milliseconds, the best of a few, and the most memory at any time while it is read."""

    target: str
    name: str
    bytes_in: int
    is_accepted: bool
    spent_ms: float
    peak_bytes: int


def measure_worst() -> Iterator[Cost]:
    """Each bad input at each target, as large as the target may be handed."""
    for target in TARGETS:
        for name, encoded in worst_inputs(target):
            yield measure(target, name, encoded)


def worst_inputs(target: Target) -> Iterator[tuple[str, bytes]]:
    """Inputs for one target; none exceeds its limit."""
    most = target.bytes_most
    yield "integers", _filled(most, b"\x00")
    yield "integers of nine bytes", _filled(most, b"\x1b" + b"\xff" * 8)
    yield "empty byte strings", _filled(most, b"\x40")
    yield "empty arrays", _filled(most, b"\x80")
    yield "arrays three deep", _filled(most, b"\x81\x81\x80", 3)
    yield "an element too many", cbor.encode_array([b"\x80"] * min(most - 5, cbor.MAX_ELEMENTS + 1))
    yield "one byte string", cbor.encode_bytes(bytes(most - 5))
    yield "a count and nothing behind it", b"\x9a" + (2**32 - 1).to_bytes(4, "big") + bytes(most - 5)
    if target.name in ("entry", "sound entry"):
        yield "an entry of Offers", offers_entry(most)
    if target.name == "sync frame":
        heads = [[at.to_bytes(20, "big"), 2**64 - 1, bytes(32)] for at in range(2048)]
        lacks = [at.to_bytes(8, "big") for at in range(4096)]
        bounds = [at.to_bytes(20, "big").rstrip(b"\x00") for at in range(1, 1024)]
        span = [[b"", *bounds, b""], [bytes(8)] * 1024]
        yield "differences", cbor.encode([6, 0, b"", [span], [], heads, lacks])
        yield "entries of one byte", cbor.encode([4, 0, False, [b"\x00"] * 4096])


def _filled(most: int, part: bytes, elements: int = 1) -> bytes:
    """As many of a part as the limits of bytes and of elements let in."""
    count = (most - 5) // len(part)
    return cbor.encode_array([part] * min(count, cbor.MAX_ELEMENTS // elements))


def offers_entry(most: int) -> bytes:
    """An entry full of Offers under a good signature: two signers of each are looked for."""
    ticket = Ticket(
        maker_order=OrderId(b"\x01" * 32),
        taker_order=OrderId(b"\x02" * 32),
        price_ticks=1,
        maker_from=0,
        maker_to=1,
        taker_from=0,
        taker_to=1,
        epoch=Epoch(0),
        deadline_s=0,
        ticket_nonce=0,
    )
    signature = Signature(KEY.sign(DIGESTS.ticket(ticket)))
    offer = Offer(ticket=ticket, taker_signature=signature, ready_epoch=Epoch(0), ready_signature=signature)
    item_bytes = encode_item(offer)
    count = min(64, (most - 400) // (len(item_bytes) + 3))
    header = EntryHeader(
        session=Address(KEY.address),
        owner=Address(KEY.address),
        market=MarketId(bytes(32)),
        seq=0,
        prev_hash=ZERO_DIGEST,
        epoch=Epoch(0),
        items_root=Digest(compute_items_root((item_bytes,) * count)),
    )
    signed = Signature(KEY.sign(DIGESTS.entry(header)))
    return encode_entry(
        Entry(header=header, signature=signed, item_bytes=(item_bytes,) * count, items=(offer,) * count)
    )


def measure(target: Target, name: str, encoded: bytes) -> Cost:
    """Time it without, then weigh it with tracemalloc."""
    is_accepted, spent_ms = False, float("inf")
    for _ in range(_ROUNDS):
        started = time.process_time()
        is_accepted = _reads(target, encoded)
        spent_ms = min(spent_ms, (time.process_time() - started) * 1000)
    gc.collect()
    tracemalloc.start()
    _reads(target, encoded)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return Cost(target.name, name, len(encoded), is_accepted, round(spent_ms, 3), peak_bytes)


def _reads(target: Target, encoded: bytes) -> bool:
    try:
        target.decode(encoded)
    except RemoteProtocolError:
        return False
    return True
