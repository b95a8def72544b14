"""Lists in frames end where the table of limits says, for the program and the reference alike. Spec: [CBOR-4].

Found by the fuzzer: the reference read a Prepare with 65 skips.
"""

import pytest

from orrange_p2p.core.frames import decode_sync_message, decode_ticket_message
from orrange_p2p.errors import RemoteProtocolError
from protocol.reference.cbor import RefusedError, Value, encode
from protocol.reference.wire import read_sync_frame, read_ticket_frame
from tests.vectors.codec_cases import BODY, DIGEST, HIGH


def addresses(count: int) -> list[Value]:
    return [number.to_bytes(20, "big") for number in range(count)]


def late(count: int) -> list[Value]:
    return [[number.to_bytes(32, "big"), 5] for number in range(count)]


FRAMES = {
    "skips": (64, lambda count: [1, 1, BODY, DIGEST, addresses(count), False, [], []]),
    "late orders": (256, lambda count: [2, 1, DIGEST, late(count), []]),
    "absent sessions": (128, lambda count: [2, 1, DIGEST, [], addresses(count)]),
}


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_a_list_of_a_ticket_frame_ends_where_the_table_says(name: str) -> None:
    most, make = FRAMES[name]
    read_ticket_frame(encode(make(most)))
    decode_ticket_message(encode(make(most)))
    with pytest.raises(RefusedError):
        read_ticket_frame(encode(make(most + 1)))
    with pytest.raises(RemoteProtocolError):
        decode_ticket_message(encode(make(most + 1)))


def test_a_hello_names_no_more_markets_than_the_table_says() -> None:
    def hello(count: int) -> bytes:
        return encode([1, 1, HIGH, [number.to_bytes(32, "big") for number in range(count)]])

    read_sync_frame(hello(256))
    decode_sync_message(hello(256))
    with pytest.raises(RefusedError):
        read_sync_frame(hello(257))
    with pytest.raises(RemoteProtocolError):
        decode_sync_message(hello(257))
