"""Blocks and their facts as deterministic CBOR arrays.

`Block = [hash, parent_hash, time_s, [*Fact]]`, and each fact is `[tag, *fields]` in the order of its dataclass, as
`_FORMS` lists them. An amount is minimal big-endian bytes; a signed one two fields' worth in one array: `[is_negative,
magnitude]`. Decoding builds the value, encodes it again and compares, so there is one form for each value.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, cast

import cbor2

from orrange_p2p.core.escrow import EscrowState
from orrange_p2p.core.facts import (
    BlockFacts,
    BondChanged,
    Defaulted,
    DisputeLost,
    EscrowMoved,
    Fact,
    FundsChanged,
    OrderCancelled,
    OrdersCancelled,
    SessionAuthorised,
    SessionCapped,
    SessionRevoked,
    Slashed,
    TradeSettled,
    TradeSkipped,
)
from orrange_p2p.core.types import U64_MAX, Digest, Scope
from orrange_p2p.errors import InternalError
from orrange_p2p.store.damage import DamagedRecord

AMOUNT_MAX_BYTES = 32
SCOPE_MAX = int(Scope.TICKET | Scope.TRADE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """How one kind of field is checked before it is written, written, and read; `read` gets what CBOR gave."""

    accepts: Callable[[Any], bool]
    write: Callable[[Any], object]
    read: Callable[[Any], object]


def _is_int(value: object, lowest: int, highest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def _bytes_kind(size: int) -> _Kind:
    return _Kind(accepts=lambda value: isinstance(value, bytes) and len(value) == size, write=bytes, read=bytes)


def _write_amount(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _read_amount(value: object) -> int:
    if isinstance(value, bytes):
        return int.from_bytes(value, "big")
    raise ValueError("expected an amount")


def _write_signed_amount(value: int) -> list[object]:
    return [value < 0, _write_amount(abs(value))]


def _read_signed_amount(value: object) -> int:
    match value:
        case [bool() as is_negative, magnitude]:
            amount = _read_amount(magnitude)
            return -amount if is_negative else amount
    raise ValueError("expected a signed amount")


_AMOUNT_MAX = 256**AMOUNT_MAX_BYTES - 1
_ADDRESS = _bytes_kind(20)
_DIGEST = _bytes_kind(32)
_U64 = _Kind(accepts=lambda value: _is_int(value, 0, U64_MAX), write=int, read=lambda value: value)
_BOOL = _Kind(accepts=lambda value: isinstance(value, bool), write=bool, read=lambda value: value)
_SCOPE = _Kind(accepts=lambda value: _is_int(value, 0, SCOPE_MAX), write=int, read=Scope)
_ESCROW_STATE = _Kind(
    accepts=lambda value: isinstance(value, EscrowState), write=int, read=lambda value: EscrowState(cast(int, value))
)
_AMOUNT = _Kind(accepts=lambda value: _is_int(value, 0, _AMOUNT_MAX), write=_write_amount, read=_read_amount)
_SIGNED_AMOUNT = _Kind(
    accepts=lambda value: _is_int(value, -_AMOUNT_MAX, _AMOUNT_MAX),
    write=_write_signed_amount,
    read=_read_signed_amount,
)
_LOTS_AND_PRICE = (_U64,) * 5
_TRADE = (*(_DIGEST,) * 4, _ADDRESS, _ADDRESS, _BOOL, *_LOTS_AND_PRICE, _AMOUNT, _AMOUNT, _U64)

_FORMS: dict[int, tuple[type[Fact], tuple[_Kind, ...]]] = {
    1: (FundsChanged, (_ADDRESS, _DIGEST, _ADDRESS, _SIGNED_AMOUNT)),
    2: (SessionAuthorised, (_ADDRESS, _ADDRESS, _SCOPE, _U64)),
    3: (SessionRevoked, (_ADDRESS, _ADDRESS)),
    4: (TradeSettled, _TRADE),
    5: (TradeSkipped, (_DIGEST, _U64)),
    6: (OrderCancelled, (_ADDRESS, _DIGEST)),
    7: (BondChanged, (_ADDRESS, _AMOUNT)),
    8: (Slashed, (_ADDRESS, _AMOUNT, _BOOL)),
    9: (DisputeLost, (_ADDRESS, _AMOUNT)),
    10: (Defaulted, (_ADDRESS, _DIGEST, _ADDRESS, _AMOUNT)),
    11: (OrdersCancelled, (_ADDRESS, _ADDRESS, _U64)),
    12: (EscrowMoved, (_DIGEST, _ESCROW_STATE, _AMOUNT, _AMOUNT, _AMOUNT, _BOOL)),
    13: (SessionCapped, (_ADDRESS, _ADDRESS, _ADDRESS, _AMOUNT)),
}
_TAGS: dict[type[Fact], int] = {form: tag for tag, (form, _) in _FORMS.items()}
_NAMES: dict[int, tuple[str, ...]] = {
    tag: tuple(each.name for each in fields(form)) for tag, (form, _) in _FORMS.items()
}


def encode_block(block: BlockFacts) -> bytes:
    """A block's body, without its number; an `InternalError` if a field is out of range."""
    header = (
        ("hash", _DIGEST, block.hash),
        ("parent_hash", _DIGEST, block.parent_hash),
        ("time_s", _U64, block.time_s),
    )
    written = [_write("BlockFacts", name, kind, value) for name, kind, value in header]
    return cbor2.dumps([*written, [_encode_fact(fact) for fact in block.facts]])


def decode_block(number: int, body: bytes) -> BlockFacts:
    """Read block `number` back; a `DamagedRecord` if `body` is not exactly what `encode_block` writes."""
    try:
        block_hash, parent_hash, time_s, facts = cast(Any, cbor2.loads(body))
        block = BlockFacts(
            number=number,
            hash=Digest(block_hash),
            parent_hash=Digest(parent_hash),
            time_s=time_s,
            facts=tuple(_decode_fact(fact) for fact in facts),
        )
        is_canonical = encode_block(block) == body
    except (cbor2.CBORDecodeError, InternalError, ValueError, TypeError, KeyError) as error:
        raise DamagedRecord("a block record has an unknown form") from error
    if not is_canonical:
        raise DamagedRecord("a block record is not in its canonical form")
    return block


def _encode_fact(fact: Fact) -> list[object]:
    tag = _TAGS[type(fact)]
    kinds = _FORMS[tag][1]
    name = type(fact).__name__
    return [tag, *(_write(name, at, kind, getattr(fact, at)) for at, kind in zip(_NAMES[tag], kinds, strict=True))]


def _decode_fact(wire: object) -> Fact:
    tag, *values = cast(list[Any], wire)
    form, kinds = _FORMS[tag]
    read = {name: kind.read(value) for name, kind, value in zip(_NAMES[tag], kinds, values, strict=True)}
    return cast(Fact, cast(Any, form)(**read))


def _write(owner: str, name: str, kind: _Kind, value: object) -> object:
    if not kind.accepts(value):
        raise InternalError(f"expected a storable {owner}.{name}, was {value!r}")
    return kind.write(value)
