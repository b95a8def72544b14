"""Reads what a JSON-RPC endpoint answered, and trusts none of it: depth, form and length are checked.

Whatever is not as it should be raises `ChainUnavailable`: an endpoint that answers nonsense serves as little as none.
"""

import json
import re
from typing import Any

from orrange_p2p.chain.backend import BlockRef, Log
from orrange_p2p.chain.bloom import BLOOM_BYTES
from orrange_p2p.core.types import Address, Digest
from orrange_p2p.errors import ChainUnavailable

_MAX_DEPTH = 16
_JSON_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DIGEST_BYTES = 32
_ADDRESS_BYTES = 20


def parse_json(content: bytes) -> Any:  # noqa: ANN401 - JSON from outside
    """Parse JSON that is not nested deeper than any honest answer.

    The depth is checked first: libraries raise the recursion limit so far that deep nesting would overflow the C stack.

    Raises:
        ValueError: it is not such JSON.
    """
    brackets = _JSON_STRING.sub(b"", content).translate(None, _NO_BRACKETS)
    for _ in range(_MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets:
        raise ValueError(f"expected JSON nested at most {_MAX_DEPTH} deep, was deeper or unbalanced")
    return json.loads(content)


def unreadable(expected: str, value: object) -> ChainUnavailable:
    """The error for an answer of another form than `expected`."""
    return ChainUnavailable(f"expected {expected} from the chain, was {str(value)[:80]!r}; check that its URL is right")


def read_field(answer: object, name: str) -> Any:  # noqa: ANN401 - JSON from outside
    """A field of a JSON object."""
    if not isinstance(answer, dict) or name not in answer:
        raise unreadable(f"an object with {name}", answer)
    return answer[name]


def read_list(answer: object) -> list[Any]:
    """A JSON list."""
    if not isinstance(answer, list):
        raise unreadable("a list", answer)
    return answer


def read_bytes(value: object) -> bytes:
    """Hex bytes with their 0x."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise unreadable("hex bytes", value)
    try:
        return bytes.fromhex(value[2:])
    except ValueError as error:
        raise unreadable("hex bytes", value) from error


def read_digest(value: object) -> Digest:
    """Exactly 32 hex bytes."""
    if len(content := read_bytes(value)) != _DIGEST_BYTES:
        raise unreadable("32 hex bytes", value)
    return Digest(content)


def read_address(value: object) -> Address:
    """Exactly 20 hex bytes."""
    if len(content := read_bytes(value)) != _ADDRESS_BYTES:
        raise unreadable("20 hex bytes", value)
    return Address(content)


def read_number(value: object) -> int:
    """A hex number with its 0x."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise unreadable("a hex number", value)
    try:
        return int(value, 16)
    except ValueError as error:
        raise unreadable("a hex number", value) from error


def read_block(answer: object) -> BlockRef | None:
    """A block, or None for null."""
    if answer is None:
        return None
    return BlockRef(
        number=read_number(read_field(answer, "number")),
        hash=read_digest(read_field(answer, "hash")),
        parent_hash=read_digest(read_field(answer, "parentHash")),
        time_s=read_number(read_field(answer, "timestamp")),
        logs_bloom=_read_bloom(answer),
    )


def _read_bloom(block: object) -> bytes:
    """A block's filter of logs; empty if it comes without one."""
    value = block.get("logsBloom") if isinstance(block, dict) else None
    bloom = read_bytes(value) if value is not None else b""
    if len(bloom) not in (0, BLOOM_BYTES):
        raise unreadable("256 hex bytes", value)
    return bloom


def read_log(answer: object) -> Log:
    """One event."""
    return Log(
        address=read_address(read_field(answer, "address")),
        topics=tuple(map(read_digest, read_list(read_field(answer, "topics")))),
        payload=read_bytes(read_field(answer, "data")),
        block_number=read_number(read_field(answer, "blockNumber")),
        block_hash=read_digest(read_field(answer, "blockHash")),
        index=read_number(read_field(answer, "logIndex")),
    )
