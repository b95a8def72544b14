"""Only one encoding of each value is read, and nothing besides. Spec: 01-types [CBOR-1..5]."""

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orrange_p2p.core.cbor import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    Fields,
    Value,
    decode,
    encode,
    encode_array,
    encode_bytes,
    encode_uint,
)
from orrange_p2p.core.types import U64_MAX
from orrange_p2p.errors import RemoteProtocolError
from protocol.reference import cbor as slow_cbor

EDGES = (0, 1, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, U64_MAX)


def _rule(encoded: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(encoded)
    return caught.value.rule


def _values(depth: int = MAX_DEPTH) -> st.SearchStrategy[Value]:
    plain = st.one_of(st.integers(0, U64_MAX), st.sampled_from(EDGES), st.binary(max_size=300), st.booleans())
    if depth == 0:
        return plain
    return st.one_of(plain, st.lists(_values(depth - 1), max_size=4))


@pytest.mark.parametrize(
    "encoded",
    [
        "20",  # a negative integer
        "60",  # text
        "a0",  # a map
        "c000",  # a tag
        "c249010000000000000000",  # a big number
        "c482001b000000e8d4a51000",  # a big decimal that would cost minutes to expand
        "d9d9f700",  # the tag that says "this is CBOR"
        "f6",  # null
        "f7",  # undefined
        "f0",  # a simple value
        "f820",  # a simple value in two bytes
        "f97e00",  # not a number
        "fa3f800000",  # a float
        "fb3ff0000000000000",  # a double
        "ff",  # a break alone
        "5f4100ff",  # an indefinite byte string
        "9f00ff",  # an indefinite array
        "1f",  # an indefinite integer
        "1c",  # reserved additional information
        "5d",
        "9e",
        "1817",  # 23 in two bytes
        "1900ff",
        "1a0000ffff",
        "1b00000000ffffffff",
        "580100",  # a length in two bytes that fits in one
        "59000100",
        "980100",
        "99000100",
    ],
)
def test_anything_but_shortest_uints_bytes_arrays_and_booleans_is_refused(encoded: str) -> None:
    assert _rule(bytes.fromhex(encoded)) == "CBOR-1"


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "18",
        "19ff",
        "1a000100",
        "1b00000001000000",
        "41",
        "5818" + "00" * 23,
        "58",
        "81",
        "8200",
        "9bffffffffffffffff",  # an array said to have more elements than there are bytes
        "5bffffffffffffffff",
        "0000",  # two values
        "4041",
        "8000",
        "f4f4",
    ],
)
def test_what_is_cut_short_or_followed_by_more_is_refused(encoded: str) -> None:
    assert _rule(bytes.fromhex(encoded)) == "CBOR-2"


def test_every_proper_prefix_of_a_value_is_refused() -> None:
    encoded = encode([b"\x07" * 40, [1000, True, [U64_MAX]], 0])
    for end in range(len(encoded)):
        assert _rule(encoded[:end]) == "CBOR-2"


def test_one_array_too_deep_is_refused_and_the_deepest_is_not() -> None:
    assert decode(b"\x81" * MAX_DEPTH + b"\x00") == [[[[0]]]]
    assert _rule(b"\x81" * (MAX_DEPTH + 1) + b"\x00") == "CBOR-3"


def test_a_bomb_of_arrays_is_refused_before_it_grows() -> None:
    assert _rule(b"\x81" * 16_000) == "CBOR-3"


def _rows(count: int) -> bytes:
    """So many elements in two layers."""
    return encode([[0] * (count // 2), *[0] * (count - count // 2 - 1)])


def test_all_arrays_together_have_no_more_elements_than_the_limit() -> None:
    """Else 256 KiB of empty arrays would cost ten times what a good frame costs. Spec: [CBOR-3]."""
    assert decode(_rows(MAX_ELEMENTS)) == [[0] * (MAX_ELEMENTS // 2), *[0] * (MAX_ELEMENTS // 2 - 1)]
    assert _rule(_rows(MAX_ELEMENTS + 1)) == "CBOR-3"


@pytest.mark.parametrize("count", [MAX_ELEMENTS, MAX_ELEMENTS + 1])
def test_the_reference_counts_elements_alike(count: int) -> None:
    encoded = _rows(count)
    if count > MAX_ELEMENTS:
        with pytest.raises(slow_cbor.RefusedError, match="CBOR-3"):
            slow_cbor.decode(encoded)
    else:
        assert slow_cbor.decode(encoded) == decode(encoded)
    assert _rule(b"\x9a\x00\xff\xff\xff" + b"\x80" * 1000) == "CBOR-2"


@given(encoded=st.binary(max_size=40))
@example(encoded=b"\x82\x18\x18\x41\x00")
def test_whatever_is_accepted_encodes_to_the_same_bytes(encoded: bytes) -> None:
    try:
        value = decode(encoded)
    except RemoteProtocolError:
        return
    assert encode(value) == encoded


@given(value=_values())
def test_every_value_reads_back_and_is_written_as_the_library_writes_it(value: Value) -> None:
    encoded = encode(value)
    assert decode(encoded) == value
    assert encoded == cbor2.dumps(value, canonical=True)


@given(value=_values(), at=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_is_another_value(value: Value, at: int, byte: int) -> None:
    encoded = bytearray(encode(value))
    encoded[at % len(encoded)] = byte
    try:
        changed = decode(bytes(encoded))
    except RemoteProtocolError:
        return
    assert encode(changed) == bytes(encoded)


@pytest.mark.parametrize("number", EDGES)
def test_the_quick_encoders_write_what_the_library_writes(number: int) -> None:
    assert encode_uint(number) == cbor2.dumps(number)
    size = min(number, 70_000)
    assert encode_bytes(bytes(size)) == cbor2.dumps(bytes(size))
    assert encode_array([b"\x00"] * size) == cbor2.dumps([0] * size)


def test_a_number_beyond_64_bits_is_not_written() -> None:
    with pytest.raises(OverflowError):
        encode_uint(U64_MAX + 1)


@pytest.mark.parametrize("value", [7, b"seven", True])
def test_fields_of_what_is_no_array_are_refused(value: Value) -> None:
    with pytest.raises(RemoteProtocolError, match=r"\[CBOR-4\] order: expected an array, was "):
        Fields(value, "order")


@pytest.mark.parametrize("values", [[], [1], [1, 2, 3]])
def test_another_number_of_fields_is_refused(values: list[Value]) -> None:
    with pytest.raises(RemoteProtocolError, match=f"order: expected 2 fields, was {len(values)}"):
        Fields(values, "order", length=2)


@pytest.mark.parametrize("value", [4, 11, True, b"\x05", [5]])
def test_an_integer_out_of_range_or_of_another_type_is_refused(value: Value) -> None:
    with pytest.raises(RemoteProtocolError, match=r"order.lots: expected an integer in 5\.\.10, was "):
        Fields([value], "order").uint("lots", least=5, most=10)


@pytest.mark.parametrize("value", [b"", b"\x00" * 19, b"\x00" * 21, 20, [0] * 20, False])
def test_a_byte_string_of_another_length_or_type_is_refused(value: Value) -> None:
    with pytest.raises(RemoteProtocolError, match="order.owner: expected 20 bytes, was "):
        Fields([value], "order").fixed("owner", 20)


@pytest.mark.parametrize("value", [b"\x00" * 5, 4, [], True])
def test_a_byte_string_that_is_too_long_is_refused(value: Value) -> None:
    with pytest.raises(RemoteProtocolError, match="order.note: expected at most 4 bytes, was "):
        Fields([value], "order").bounded("note", most=4)


@pytest.mark.parametrize("value", [0, 1, b"\x01", [True]])
def test_what_is_not_a_boolean_is_refused(value: Value) -> None:
    with pytest.raises(RemoteProtocolError, match="order.post_only: expected a boolean, was "):
        Fields([value], "order").boolean("post_only")


@pytest.mark.parametrize("value", [[], [1] * 4, 1, b"\x80", True])
def test_an_array_of_another_size_or_type_is_refused(value: Value) -> None:
    with pytest.raises(RemoteProtocolError, match=r"order.legs: expected an array of 1\.\.3, was "):
        Fields([value], "order").array("legs", least=1, most=3)


def test_reading_past_the_end_and_stopping_before_it_are_refused() -> None:
    fields = Fields([1, 2], "order")
    assert fields.uint("first") == 1
    with pytest.raises(RemoteProtocolError, match="order: expected 1 fields, was 2"):
        fields.end()
    assert fields.uint("second") == 2
    fields.end()
    with pytest.raises(RemoteProtocolError, match="order.third: expected a value, was nothing"):
        fields.uint("third")


def test_nested_elements_are_read_with_their_own_checks() -> None:
    fields = Fields([[1, 2], [[b"\x01", 7], [b"\x02", 8]]], "frame")
    assert fields.flat("numbers", lambda one: one.uint("number"), most=2) == (1, 2)
    pairs = fields.each("pairs", lambda one: (one.fixed("id", 1), one.uint("epoch")), most=2)
    assert pairs == ((b"\x01", 7), (b"\x02", 8))
    with pytest.raises(RemoteProtocolError, match="frame.pairs: expected an array, was int"):
        Fields([[3]], "frame").each("pairs", lambda one: one.uint("epoch"), most=2)
