"""Records as bytes: one form for each value, and nothing else is read."""

import cbor2
import pytest
from hypothesis import given, settings
from store_samples import BLOCKS, make_block, make_entry

from orrange_p2p.core.facts import BlockFacts, BondChanged, FundsChanged
from orrange_p2p.core.types import Address, MarketId
from orrange_p2p.errors import InternalError
from orrange_p2p.store.blocks import decode_block, encode_block
from orrange_p2p.store.damage import DamagedRecord
from orrange_p2p.store.interface import StoreBatch
from orrange_p2p.store.records import TRADE_PATHS, Table, decode_entry, decode_trade, encode_batch, make_row, unseal

HASH, PARENT = b"h" * 32, b"p" * 32
_TRADE = (b"k" * 32, b"m" * 32, b"1" * 32, b"2" * 32, b"a" * 20, b"b" * 20, True, 100, 0, 3, 4, 7)


def _block(*facts: object) -> bytes:
    return cbor2.dumps([HASH, PARENT, 5, list(facts)])


@settings(max_examples=300, deadline=None)
@given(block=BLOCKS)
def test_a_block_survives_its_encoding(block: BlockFacts) -> None:
    assert decode_block(block.number, encode_block(block)) == block


@settings(max_examples=100, deadline=None)
@given(block=BLOCKS)
def test_a_cut_or_lengthened_block_is_refused(block: BlockFacts) -> None:
    body = encode_block(block)
    for wrong in (body[:-1], body[: len(body) // 2], b"", body + b"\x00"):
        with pytest.raises(DamagedRecord):
            decode_block(block.number, wrong)


@pytest.mark.parametrize("delta", [0, 1, -1, 255, 256, 2**64, -(2**255), 2**256 - 1, -(2**256) + 1])
def test_amounts_beyond_64_bits_keep_sign_and_size(delta: int) -> None:
    fact = FundsChanged(owner=Address(b"o" * 20), market=MarketId(b"m" * 32), token=Address(b"t" * 20), delta=delta)
    assert decode_block(1, encode_block(make_block(1, facts=(fact,)))).facts == (fact,)


@pytest.mark.parametrize("amount", [-1, 2**256])
def test_a_bond_that_nobody_can_have_is_refused(amount: int) -> None:
    fact = BondChanged(owner=Address(b"o" * 20), amount=amount)
    with pytest.raises(InternalError, match=r"expected a storable BondChanged\.amount"):
        encode_block(make_block(1, facts=(fact,)))


@pytest.mark.parametrize("delta", [2**256, -(2**256)])
def test_an_amount_that_no_token_has_is_refused(delta: int) -> None:
    fact = FundsChanged(owner=Address(b"o" * 20), market=MarketId(b"m" * 32), token=Address(b"t" * 20), delta=delta)
    with pytest.raises(InternalError, match=r"expected a storable FundsChanged\.delta"):
        encode_block(make_block(1, facts=(fact,)))


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        cbor2.dumps(5),
        cbor2.dumps(None),
        cbor2.dumps({}),
        cbor2.dumps([HASH, PARENT, 5]),
        cbor2.dumps([HASH, PARENT, 5, [], 1]),
        cbor2.dumps([HASH[1:], PARENT, 5, []]),
        cbor2.dumps([HASH, "p" * 32, 5, []]),
        cbor2.dumps([HASH, PARENT, -5, []]),
        cbor2.dumps([HASH, PARENT, True, []]),
        cbor2.dumps([HASH, PARENT, 5.0, []]),
        cbor2.dumps([HASH, PARENT, 2**64, []]),
        cbor2.dumps([HASH, PARENT, 5, {}]),
        cbor2.dumps([HASH, PARENT, 5, "facts"]),
        _block(5),
        _block([]),
        _block([14, b"o" * 20]),
        _block([12, b"k" * 32, 7, b"", b"", b"", False]),
        _block([11, b"o" * 20, b"s" * 20]),
        _block([7, b"o" * 20, 5]),
        _block([7, b"o" * 20, [False, b"\x05"]]),
        _block([7, b"o" * 20, b"\x00\x05"]),
        _block([7, b"o" * 20, bytes(33)]),
        _block([8, b"o" * 20, b"\x05", 1]),
        _block([9, b"o" * 20]),
        _block([10, b"o" * 20, b"k" * 32, b"v" * 19, b"\x05"]),
        _block([6, b"o" * 20, b"k" * 31]),
        _block([4, *_TRADE]),
        _block([4, *_TRADE, b"", b"", b""]),
        _block([4, *_TRADE, b"\x00", b"", 0]),
        _block([[], b"o" * 20]),
        _block([3, b"o" * 20]),
        _block([3, b"o" * 20, b"s" * 20, 1]),
        _block([3, b"o" * 19, b"s" * 20]),
        _block([3, 20, b"s" * 20]),
        _block([3.0, b"o" * 20, b"s" * 20]),
        _block([2, b"o" * 20, b"s" * 20, 4, 1]),
        _block([2, b"o" * 20, b"s" * 20, "1", 1]),
        _block([1, b"o" * 20, b"m" * 32, b"t" * 20, 5]),
        _block([1, b"o" * 20, b"m" * 32, b"t" * 20, [True, b""]]),
        _block([1, b"o" * 20, b"m" * 32, b"t" * 20, [False, b"\x00\x05"]]),
        _block([1, b"o" * 20, b"m" * 32, b"t" * 20, [False, bytes(33)]]),
        _block([1, b"o" * 20, b"m" * 32, b"t" * 20, [0, b"\x05"]]),
        _block([5, b"k" * 32, True]),
        bytes.fromhex("84") + encode_block(make_block(1))[1:-1] + bytes.fromhex("9fff"),  # an indefinite list of facts
    ],
)
def test_a_block_in_any_other_form_is_refused(body: bytes) -> None:
    with pytest.raises(DamagedRecord, match="a block record"):
        decode_block(1, body)


@pytest.mark.parametrize(
    "body", [b"", b"\xff", cbor2.dumps([7, False]), cbor2.dumps([7, 0, b"e"]), cbor2.dumps([True, True, b"e"])]
)
def test_an_entry_in_any_other_form_is_refused(body: bytes) -> None:
    key = encode_batch(StoreBatch(entries=(make_entry(0),)))[0].key
    with pytest.raises(DamagedRecord, match=r"an? entry record"):
        decode_entry(key, body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        cbor2.dumps([b"m" * 32, len(TRADE_PATHS), 5, b"t"]),
        cbor2.dumps([b"m" * 32, -1, 5, b"t"]),
        cbor2.dumps([b"m" * 32, True, 5, b"t"]),
        cbor2.dumps([b"m" * 32, 0, 5.0, b"t"]),
        cbor2.dumps([b"m" * 32, 0, 5, "t"]),
        cbor2.dumps([b"m" * 32, 0, 5, b"t", 1]),
    ],
)
def test_a_trade_in_any_other_form_is_refused(body: bytes) -> None:
    with pytest.raises(DamagedRecord, match="a trade record"):
        decode_trade(b"k" * 32, body)


def test_a_checksum_covers_table_key_and_body() -> None:
    row = make_row(Table.MARKS, b"epoch", b"body")
    assert unseal(Table.MARKS, b"epoch", row.sealed) == b"body"
    flipped = row.sealed[:-1] + bytes((row.sealed[-1] ^ 1,))
    for table, key, sealed in (
        (Table.META, b"epoch", row.sealed),
        (Table.MARKS, b"epocg", row.sealed),
        (Table.MARKS, b"epoc", b"h" + row.sealed),
        (Table.MARKS, b"epoch", flipped),
        (Table.MARKS, b"epoch", row.sealed[:-1]),
        (Table.MARKS, b"epoch", b""),
    ):
        with pytest.raises(DamagedRecord, match="does not match its checksum"):
            unseal(table, key, sealed)


def test_a_row_shows_its_place_and_not_its_content() -> None:
    assert "topsecret" not in repr(make_row(Table.SECRETS, b"session", b"topsecret"))
