"""Strict, deterministic CBOR: a parser that knows only what the protocol allows, and the field checks on top of it.

The parser reads unsigned integers, byte strings, arrays and booleans with shortest heads and nothing else, so what it
accepts is exactly what re-encodes to the same bytes; tags, floats, text and maps are refused on sight, before any of
them can cost time or memory.

Spec: protocol/spec/01-types.md [CBOR-1..5].
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import cbor2

from orrange_p2p.core.types import U64_MAX
from orrange_p2p.errors import RemoteProtocolError

MAX_DEPTH = 4
MAX_ELEMENTS = 2**15
_UINT, _BYTES, _ARRAY, _SIMPLE = 0, 2, 4, 7
_SHORT_ARGUMENT = 24
_ARGUMENT_BYTES = {24: 1, 25: 2, 26: 4, 27: 8}
_LEAST_ARGUMENT = {24: 24, 25: 2**8, 26: 2**16, 27: 2**32}
_FALSE_BYTE, _TRUE_BYTE = 0xF4, 0xF5

Value = int | bytes | bool | list["Value"]
T = TypeVar("T")


def encode(value: object) -> bytes:
    """Encode ints, bytes, bools and (nested) lists or tuples of them, shortest heads."""
    return cbor2.dumps(value)


def encode_uint(number: int) -> bytes:
    """Encode one unsigned integer of at most 64 bits, quicker than `encode` does."""
    return _encode_head(_UINT, number)


def encode_array(parts: Sequence[bytes]) -> bytes:
    """Encode an array whose elements are encoded already."""
    return _encode_head(_ARRAY, len(parts)) + b"".join(parts)


def encode_bytes(content: bytes) -> bytes:
    """Encode one byte string, quicker than `encode` does."""
    return _encode_head(_BYTES, len(content)) + content


def _encode_head(major: int, argument: int) -> bytes:
    initial = major << 5
    if argument < _SHORT_ARGUMENT:
        return bytes((initial | argument,))
    if argument < 2**8:
        return bytes((initial | 24, argument))
    if argument < 2**16:
        return bytes((initial | 25,)) + argument.to_bytes(2, "big")
    if argument < 2**32:
        return bytes((initial | 26,)) + argument.to_bytes(4, "big")
    return bytes((initial | 27,)) + argument.to_bytes(8, "big")


def decode(encoded: bytes) -> Value:
    """Decode one value and nothing after it.

    Raises:
        RemoteProtocolError: the bytes break one of [CBOR-1..4]; the sender is to blame.
    """
    try:
        value, end = _parse(encoded, 0, 1, [MAX_ELEMENTS])
    except IndexError:
        raise RemoteProtocolError("CBOR-2", "expected a whole value, was cut short") from None
    if end != len(encoded):
        raise RemoteProtocolError("CBOR-2", f"expected {end} bytes, was {len(encoded)}: something follows the value")
    return value


def _parse(encoded: bytes, at: int, depth: int, room: list[int]) -> tuple[Value, int]:
    """Read the value at `at`; `room` holds one number, the elements that may still come."""
    head = encoded[at]
    major, argument = head >> 5, head & 31
    at += 1
    if argument >= _SHORT_ARGUMENT and major != _SIMPLE:
        argument, at = _long_argument(encoded, at, argument)
    if major == _UINT:
        return argument, at
    if major == _BYTES:
        end = at + argument
        if end > len(encoded):
            raise RemoteProtocolError("CBOR-2", "expected a whole byte string, was cut short")
        return encoded[at:end], end
    if major == _ARRAY:
        return _parse_array(encoded, at, argument, depth, room)
    if head == _FALSE_BYTE:
        return False, at
    if head == _TRUE_BYTE:
        return True, at
    raise RemoteProtocolError("CBOR-1", f"expected an integer, byte string, array or boolean, was head {head:#04x}")


def _long_argument(encoded: bytes, at: int, short: int) -> tuple[int, int]:
    width = _ARGUMENT_BYTES.get(short)
    if width is None:
        raise RemoteProtocolError("CBOR-1", f"expected a definite length, was additional information {short}")
    end = at + width
    if end > len(encoded):
        raise RemoteProtocolError("CBOR-2", "expected a whole head, was cut short")
    argument = int.from_bytes(encoded[at:end], "big")
    if argument < _LEAST_ARGUMENT[short]:
        raise RemoteProtocolError("CBOR-1", f"expected the shortest head, was {width} bytes for {argument}")
    return argument, end


def _parse_array(encoded: bytes, at: int, length: int, depth: int, room: list[int]) -> tuple[Value, int]:
    if depth > MAX_DEPTH:
        raise RemoteProtocolError("CBOR-3", f"expected depth of at most {MAX_DEPTH}, was more")
    if length > len(encoded) - at:
        raise RemoteProtocolError("CBOR-2", f"expected at most {len(encoded) - at} elements, was {length}")
    room[0] -= length
    if room[0] < 0:
        raise RemoteProtocolError("CBOR-3", f"expected at most {MAX_ELEMENTS} elements in all, was more")
    values: list[Value] = []
    for _ in range(length):
        value, at = _parse(encoded, at, depth + 1, room)
        values.append(value)
    return values, at


class Fields:
    """Reads the elements of one decoded array in order, each with its type and range.

    Every method raises `RemoteProtocolError` [CBOR-4] that names the field.
    """

    __slots__ = ("_at", "_name", "_values")

    def __init__(self, value: Value, name: str, *, length: int | None = None) -> None:
        if type(value) is not list:
            raise RemoteProtocolError("CBOR-4", f"{name}: expected an array, was {type(value).__name__}")
        if length is not None and len(value) != length:
            raise RemoteProtocolError("CBOR-4", f"{name}: expected {length} fields, was {len(value)}")
        self._values = value
        self._name = name
        self._at = 0

    def _next(self, field: str) -> Value:
        if self._at >= len(self._values):
            raise RemoteProtocolError("CBOR-4", f"{self._name}.{field}: expected a value, was nothing")
        value = self._values[self._at]
        self._at += 1
        return value

    def uint(self, field: str, *, least: int = 0, most: int = U64_MAX) -> int:
        """An unsigned integer in `least..most`."""
        value = self._next(field)
        if type(value) is not int or not least <= value <= most:
            raise RemoteProtocolError(
                "CBOR-4", f"{self._name}.{field}: expected an integer in {least}..{most}, was {_shown(value)}"
            )
        return value

    def fixed(self, field: str, length: int) -> bytes:
        """A byte string of exactly `length` bytes."""
        value = self._next(field)
        if type(value) is not bytes or len(value) != length:
            raise RemoteProtocolError("CBOR-4", f"{self._name}.{field}: expected {length} bytes, was {_shown(value)}")
        return value

    def bounded(self, field: str, *, most: int) -> bytes:
        """A byte string of at most `most` bytes."""
        value = self._next(field)
        if type(value) is not bytes or len(value) > most:
            raise RemoteProtocolError(
                "CBOR-4", f"{self._name}.{field}: expected at most {most} bytes, was {_shown(value)}"
            )
        return value

    def boolean(self, field: str) -> bool:
        """`true` or `false`."""
        value = self._next(field)
        if type(value) is not bool:
            raise RemoteProtocolError("CBOR-4", f"{self._name}.{field}: expected a boolean, was {_shown(value)}")
        return value

    def array(self, field: str, *, most: int, least: int = 0) -> list[Value]:
        """An array of `least..most` elements, still unchecked."""
        value = self._next(field)
        if type(value) is not list or not least <= len(value) <= most:
            raise RemoteProtocolError(
                "CBOR-4", f"{self._name}.{field}: expected an array of {least}..{most}, was {_shown(value)}"
            )
        return value

    def each(self, field: str, read: Callable[["Fields"], T], *, most: int) -> tuple[T, ...]:
        """An array whose elements are arrays, each read by `read`."""
        return tuple(read(Fields(value, f"{self._name}.{field}")) for value in self.array(field, most=most))

    def flat(self, field: str, read: Callable[["Fields"], T], *, most: int) -> tuple[T, ...]:
        """An array of plain elements, each read by `read`."""
        values = self.array(field, most=most)
        fields = Fields(values, f"{self._name}.{field}")
        return tuple(read(fields) for _ in values)

    def end(self) -> None:
        """Nothing may be left."""
        if self._at != len(self._values):
            raise RemoteProtocolError("CBOR-4", f"{self._name}: expected {self._at} fields, was {len(self._values)}")


def _shown(value: Value) -> str:
    if type(value) is bytes:
        return f"{len(value)} bytes"
    if type(value) is list:
        return f"an array of {len(value)}"
    return str(value)
