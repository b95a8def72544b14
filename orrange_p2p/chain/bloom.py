"""The bloom filter that a block's header keeps of its logs: what it does not show is not in the block.

An endpoint that returns fewer logs than there are is found out by it. Ethereum Yellow Paper, 4.3.1.
"""

from collections.abc import Iterable

from orrange_p2p.chain.backend import Log
from orrange_p2p.core.hashing import keccak256

BLOOM_BYTES = 256
_BITS = 8 * BLOOM_BYTES
_PAIRS = (0, 2, 4)


def may_contain(bloom: bytes, item: bytes) -> bool:
    """Whether a filter of 256 bytes may have been given `item`, an address or a topic; False is certain."""
    seen = int.from_bytes(bloom, "big")
    return seen & _mark(item) == _mark(item)


def compute_bloom(logs: Iterable[Log]) -> bytes:
    """The filter of a block with exactly these logs, 256 bytes."""
    seen = 0
    for log in logs:
        seen |= _mark(log.address)
        for topic in log.topics:
            seen |= _mark(topic)
    return seen.to_bytes(BLOOM_BYTES, "big")


def _mark(item: bytes) -> int:
    """Three bits, from the first three pairs of bytes of the item's hash."""
    digest = keccak256(item)
    mark = 0
    for at in _PAIRS:
        mark |= 1 << int.from_bytes(digest[at : at + 2], "big") % _BITS
    return mark
