"""What control methods are asked with: JSON values, checked; and the units that go with the amounts in answers."""

from typing import TypeVar

from orrange_p2p.api.control import Params
from orrange_p2p.config import MarketConfig
from orrange_p2p.core.types import Address, OrderId, OrderKind, Side, TimeInForce
from orrange_p2p.errors import OrderError

Choice = TypeVar("Choice", Side, TimeInForce, OrderKind)
Item = TypeVar("Item", int, str)


def units_of(config: MarketConfig) -> dict[str, int]:
    """How the amounts of a market are to be shown."""
    return {
        "lot_size": config.lot_size,
        "tick_size": config.tick_size,
        "base_decimals": config.base_decimals,
        "quote_decimals": config.quote_decimals,
    }


def read_integer(params: Params, name: str, *, default: int | None = None) -> int:
    """An integer by name; an `OrderError` if it is another value, or nothing and there is no default."""
    value = params.get(name, default)
    if type(value) is not int:
        raise OrderError(name, value, "ORD-1", f"{name}: expected an integer, was {value!r}")
    return value


def read_boolean(params: Params, name: str) -> bool:
    """True or false by name, false if there is nothing; else an `OrderError`."""
    value = params.get(name, False)
    if type(value) is not bool:
        raise OrderError(name, value, "ORD-1", f"{name}: expected true or false, was {value!r}")
    return value


def read_list(params: Params, name: str, kind: type[Item]) -> list[Item]:
    """A list of one kind by name, empty if there is nothing; else an `OrderError`."""
    value = params.get(name, [])
    if not isinstance(value, list) or not all(type(one) is kind for one in value):
        raise OrderError(name, value, "ORD-4", f"{name}: expected a list of {kind.__name__}, was {value!r}")
    return value


def read_address(name: str, value: object, rule: str) -> Address:
    """An address of 0x and 40 hex digits; else an `OrderError` with that rule."""
    try:
        decoded = bytes.fromhex(str(value).removeprefix("0x"))
    except ValueError:
        decoded = b""
    if len(decoded) != 20:
        raise OrderError(name, value, rule, f"{name}: expected 0x and 40 hex digits, was {value!r}")
    return Address(decoded)


def read_choice(params: Params, name: str, kind: type[Choice], *, default: str | None = None) -> Choice:
    """A member of an enumeration by its name in any case; else an `OrderError`."""
    value = params.get(name, default)
    known = {member.name.lower(): member for member in kind}
    if not isinstance(value, str) or value.lower() not in known:
        raise OrderError(name, value, "ORD-1", f"{name}: expected one of {', '.join(known)}, was {value!r}")
    return known[value.lower()]


def read_order_id(params: Params) -> OrderId:
    """A whole order id; else an `OrderError`."""
    value = params.get("order_id", "")
    try:
        decoded = bytes.fromhex(str(value).removeprefix("0x"))
    except ValueError:
        decoded = b""
    if len(decoded) != 32:
        raise OrderError("order_id", value, "ORD-5", f"order_id: expected 0x and 64 hex digits, was {value!r}")
    return OrderId(decoded)


def read_text(params: Params, name: str) -> str:
    """A text by name; an `OrderError`, which does not show it, if it is another value."""
    value = params.get(name)
    if not isinstance(value, str):
        raise OrderError(name, type(value).__name__, "DM-1", f"{name}: expected a text, was {type(value).__name__}")
    return value
