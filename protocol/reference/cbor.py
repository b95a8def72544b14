"""Deterministic CBOR, the small part of it that crosses the wire.

Spec: protocol/spec/01-types.md [CBOR-1..3].
"""

from typing import TypeAlias

Value: TypeAlias = "int | bytes | bool | list[Value]"

DEPTH_MAX = 4
ELEMENTS_MAX = 2**15
UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
FALSE, TRUE = 20, 21
INDEFINITE = 31
U64_MAX = 2**64 - 1


class RefusedError(Exception):
    """Bytes that no honest peer sends; `rule` is the id of the rule they break."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"[{rule}] {message}")
        self.rule = rule


def encode(value: Value) -> bytes:
    """Write a value with definite lengths and the shortest heads. Spec: [CBOR-1]."""
    if value is True:
        return bytes([SIMPLE << 5 | TRUE])
    if value is False:
        return bytes([SIMPLE << 5 | FALSE])
    if isinstance(value, int):
        return _encode_head(UNSIGNED, value)
    if isinstance(value, bytes):
        return _encode_head(BYTES, len(value)) + value
    return _encode_head(ARRAY, len(value)) + b"".join(encode(element) for element in value)


def _encode_head(major: int, argument: int) -> bytes:
    """Write a major type and its argument in the fewest bytes. Spec: [CBOR-1]."""
    if argument < 0 or argument > U64_MAX:
        raise ValueError(f"expected an argument within u64, was {argument}")
    if argument < 24:
        return bytes([major << 5 | argument])
    for info, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 256**width:
            return bytes([major << 5 | info]) + argument.to_bytes(width, "big")
    raise AssertionError("unreachable: the argument fits in 8 bytes")


def decode(encoded: bytes) -> Value:
    """Read exactly one value; anything that is not in the deterministic subset is refused. Spec: [CBOR-1..3]."""
    value, end = _decode_at(encoded, 0, 0)
    if end != len(encoded):
        raise RefusedError("CBOR-2", f"expected nothing after the item, was {len(encoded) - end} bytes")
    if _count_elements(value) > ELEMENTS_MAX:
        raise RefusedError("CBOR-3", f"expected at most {ELEMENTS_MAX} elements in all arrays, was more")
    return value


def _count_elements(value: Value) -> int:
    """How many elements all arrays of a value have together."""
    if not isinstance(value, list):
        return 0
    return len(value) + sum(_count_elements(element) for element in value)


def _decode_at(encoded: bytes, start: int, depth: int) -> tuple[Value, int]:
    """Read the value that starts at `start` inside `depth` arrays; answer it and where it ends."""
    if start >= len(encoded):
        raise RefusedError("CBOR-1", "expected an item, was the end of the bytes")
    major, info = encoded[start] >> 5, encoded[start] & 31
    if info == INDEFINITE:
        raise RefusedError("CBOR-2", "expected definite lengths, was an indefinite item")
    if major == SIMPLE and info in (FALSE, TRUE):
        return info == TRUE, start + 1
    if major not in (UNSIGNED, BYTES, ARRAY):
        raise RefusedError(
            "CBOR-2", f"expected an unsigned integer, bytes, an array or a boolean, was major type {major}"
        )
    argument, cursor = _decode_argument(encoded, start, info)
    if major == UNSIGNED:
        return argument, cursor
    if major == BYTES:
        end = cursor + argument
        if end > len(encoded):
            raise RefusedError("CBOR-1", f"expected {argument} bytes, was {len(encoded) - cursor}")
        return encoded[cursor:end], end
    if depth == DEPTH_MAX:
        raise RefusedError("CBOR-3", f"expected at most {DEPTH_MAX} arrays inside one another, was one more")
    elements: list[Value] = []
    for _ in range(argument):
        element, cursor = _decode_at(encoded, cursor, depth + 1)
        elements.append(element)
    return elements, cursor


def _decode_argument(encoded: bytes, start: int, info: int) -> tuple[int, int]:
    """Read a head's argument, refusing a longer form than needed. Spec: [CBOR-1]."""
    if info < 24:
        return info, start + 1
    if info > 27:
        raise RefusedError("CBOR-1", f"expected a head defined by RFC 8949, was additional information {info}")
    width = 1 << (info - 24)
    tail = encoded[start + 1 : start + 1 + width]
    if len(tail) < width:
        raise RefusedError("CBOR-1", f"expected a head of {1 + width} bytes, was {1 + len(tail)}")
    argument = int.from_bytes(tail, "big")
    shortest = 24 if width == 1 else 256 ** (width // 2)
    if argument < shortest:
        raise RefusedError("CBOR-1", f"expected the shortest head for {argument}, was one of {1 + width} bytes")
    return argument, start + 1 + width
