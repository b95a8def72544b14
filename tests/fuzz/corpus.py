"""Seeds: the messages of the vectors, read anew at each run, as trees that mutations can change.

A tree is an int, bytes, a bool or a list of trees; `Nested` is a list that stands in the message as bytes, as the items
of an entry do, and `Raw` is bytes that are written as they are, which need not be CBOR.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from orrange_p2p.core import cbor
from orrange_p2p.errors import RemoteProtocolError

VECTORS = Path(__file__).resolve().parents[2] / "protocol" / "vectors"
NESTED_FROM_BYTES = 33  # shorter byte strings are addresses and digests


class Nested(list[Any]):
    """A list that is written as the bytes of a byte string."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes in place of a value."""

    encoded: bytes


@dataclass(frozen=True, slots=True)
class Seed:
    """A message that mutations start from; `tree` is None if it is no CBOR of ours."""

    encoded: bytes
    tree: Any


def make_seed(encoded: bytes) -> Seed:
    """The seed of a message."""
    try:
        return Seed(encoded, to_tree(cbor.decode(encoded)))
    except RemoteProtocolError:
        return Seed(encoded, None)


def to_tree(value: Any) -> Any:
    """A decoded value as a tree: byte strings that hold arrays are opened."""
    if type(value) is list:
        return [to_tree(one) for one in value]
    if type(value) is bytes and len(value) > NESTED_FROM_BYTES and value[0] >> 5 == 4:
        try:
            inner = cbor.decode(value)
        except RemoteProtocolError:
            return value
        return Nested(to_tree(one) for one in inner) if type(inner) is list else value
    return value


def write(tree: Any) -> bytes:
    """A tree as bytes."""
    kind = type(tree)
    if kind is bytes:
        return cbor.encode_bytes(tree)
    if kind is bool:
        return b"\xf5" if tree else b"\xf4"
    if kind is int:
        return cbor.encode_uint(tree)
    if kind is Raw:
        return bytes(tree.encoded)
    body = cbor.encode_array([write(one) for one in tree])
    return cbor.encode_bytes(body) if kind is Nested else body


@cache
def vector_messages() -> dict[str, tuple[Seed, ...]]:
    """Every message of the vectors, good and bad, by the name the vectors give its kind."""
    found: dict[str, list[bytes]] = {"cbor": []}
    for case in _cases("codec/messages.json"):
        found.setdefault(case["message"], []).append(bytes.fromhex(case["encoded"][2:]))
    for case in _cases("codec/cbor.json"):
        found["cbor"].append(bytes.fromhex(case["encoded"][2:]))
    for case in _cases("feeds/feeds.json"):
        found["entry"] += [bytes.fromhex(one["encoded"][2:]) for one in case["entries"]]
    return {name: tuple(make_seed(one) for one in dict.fromkeys(encoded)) for name, encoded in found.items()}


def _cases(name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((VECTORS / name).read_text("utf-8"))["cases"]
    return loaded
