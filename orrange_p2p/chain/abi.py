"""A contract's interface, read from its committed artifact: encode calls, decode results, events and custom errors."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError

from orrange_p2p.chain.backend import Log
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.errors import ChainUnavailable, InternalError

_ARTIFACTS = "artifacts"
_SELECTOR_BYTES = 4
_STANDARD_ERRORS = (
    {"name": "Error", "inputs": [{"name": "message", "type": "string"}]},
    {"name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
)


def _type_string(parameter: Mapping[str, Any]) -> str:
    """The canonical type of an ABI parameter; a struct is written as the tuple of its fields."""
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(map(_type_string, parameter["components"])) + ")" + kind.removeprefix("tuple")


def _flat(parameters: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Parameters with the fields of structs in their places."""
    return [
        field
        for parameter in parameters
        for field in (_flat(parameter["components"]) if parameter["type"] == "tuple" else (parameter,))
    ]


def _is_word(kind: str) -> bool:
    """Whether a value of this ABI type is one word of 32 bytes."""
    return kind not in ("string", "bytes") and "(" not in kind and "[" not in kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A function or custom error: its selector, and the names and types of what goes in and comes out."""

    name: str
    selector: bytes
    inputs: tuple[str, ...]
    input_names: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSignature:
    """An event: its first topic, and its fields split into those in topics and those in the payload."""

    name: str
    topic: bytes
    indexed: tuple[tuple[str, str], ...]
    plain: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A decoded log: the event's name and its fields by name (addresses as 20 bytes)."""

    name: str
    fields: Mapping[str, Any]


def _plain(kind: str, value: Any) -> Any:  # noqa: ANN401 - ABI values are of any type
    """eth-abi's addresses are hex strings; ours are bytes, also inside structs and lists."""
    if kind == "address":
        return bytes.fromhex(value[2:])
    return value


def _signature(entry: Mapping[str, Any]) -> Signature:
    inputs = tuple(map(_type_string, entry["inputs"]))
    text = f"{entry['name']}({','.join(inputs)})"
    return Signature(
        name=entry["name"],
        selector=keccak256(text.encode("ascii"))[:_SELECTOR_BYTES],
        inputs=inputs,
        input_names=tuple(parameter["name"] for parameter in entry["inputs"]),
        outputs=tuple(map(_type_string, entry.get("outputs", ()))),
    )


def _event_signature(entry: Mapping[str, Any]) -> EventSignature:
    text = f"{entry['name']}({','.join(map(_type_string, entry['inputs']))})"
    fields = [(parameter["name"], _type_string(parameter), parameter["indexed"]) for parameter in entry["inputs"]]
    return EventSignature(
        name=entry["name"],
        topic=keccak256(text.encode("ascii")),
        indexed=tuple((name, kind) for name, kind, is_indexed in fields if is_indexed),
        plain=tuple((name, kind) for name, kind, is_indexed in fields if not is_indexed),
    )


class ContractInterface:
    """One contract's functions, events and errors by name, and its creation code.

    `constructor_parameters` are the constructor's names and types, in order, with a struct's fields in its place: of
    words alone, as ours are, they are encoded alike. `getters` names the functions that take nothing and answer with
    one word: what a deployed contract says of itself.
    """

    def __init__(self, name: str, abi: Sequence[Mapping[str, Any]], bytecode: bytes) -> None:
        self.name = name
        self.bytecode = bytecode
        self._functions = {entry["name"]: _signature(entry) for entry in abi if entry["type"] == "function"}
        self._events = {
            event.topic: event for event in (_event_signature(entry) for entry in abi if entry["type"] == "event")
        }
        constructor = next((entry["inputs"] for entry in abi if entry["type"] == "constructor"), ())
        self.constructor_parameters = tuple(
            (parameter["name"], _type_string(parameter)) for parameter in _flat(constructor)
        )
        self.getters = tuple(
            name
            for name, function in self._functions.items()
            if not function.inputs and len(function.outputs) == 1 and _is_word(function.outputs[0])
        )
        self.errors = tuple(_signature(entry) for entry in abi if entry["type"] == "error")

    def encode_call(self, function: str, *arguments: object) -> bytes:
        """The input that calls `function`."""
        signature = self._functions[function]
        return signature.selector + bytes(abi_encode(signature.inputs, arguments))

    def encode_deployment(self, *arguments: object) -> bytes:
        """The creation code with the constructor's arguments."""
        return self.bytecode + bytes(abi_encode([kind for _, kind in self.constructor_parameters], arguments))

    def decode_result(self, function: str, payload: bytes) -> tuple[Any, ...]:
        """What `function` returned, in order.

        Raises:
            DecodingError: `payload` is not such an answer (no contract there, or another one).
        """
        outputs = self._functions[function].outputs
        values = abi_decode(outputs, payload)
        return tuple(_plain(kind, value) for kind, value in zip(outputs, values, strict=True))

    def decode_event(self, log: Log) -> Event | None:
        """The event in `log`, or None if this contract declares no such event."""
        signature = self._events.get(log.topics[0]) if log.topics else None
        if signature is None:
            return None
        fields: dict[str, Any] = {}
        for (name, kind), topic in zip(signature.indexed, log.topics[1:], strict=True):
            fields[name] = _plain(kind, abi_decode((kind,), topic)[0])
        values = abi_decode([kind for _, kind in signature.plain], log.payload)
        for (name, kind), value in zip(signature.plain, values, strict=True):
            fields[name] = _plain(kind, value)
        return Event(name=signature.name, fields=fields)


def read_event(contract: ContractInterface, log: Log) -> Event | None:
    """The event in a log of a contract, or None if it declares no such event.

    Raises:
        ChainUnavailable: the log is malformed; the chain's endpoint cannot be trusted.
    """
    try:
        return contract.decode_event(log)
    except (DecodingError, ValueError) as error:
        raise ChainUnavailable(
            f"expected an event of {contract.name} at log {log.index} of block {log.block_number}, was unreadable; "
            "check that the chain's URL is right"
        ) from error


@lru_cache(maxsize=32)
def load_contract(name: str) -> ContractInterface:
    """The interface and creation code of a contract that this package carries."""
    path = resources.files("orrange_p2p.chain") / _ARTIFACTS / f"{name}.json"
    try:
        artifact = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise InternalError(f"expected the artifact of {name} inside the package, was nothing at {path}") from error
    return ContractInterface(name, artifact["abi"], bytes.fromhex(artifact["bytecode"].removeprefix("0x")))


def load_contracts() -> tuple[ContractInterface, ...]:
    """Every contract that this package carries, by name."""
    names = sorted(path.name for path in (resources.files("orrange_p2p.chain") / _ARTIFACTS).iterdir())
    return tuple(load_contract(name.removesuffix(".json")) for name in names if name.endswith(".json"))


def decode_revert(payload: bytes, contracts: Sequence[ContractInterface]) -> str:
    """What a contract reverted with, as `Name(field=value, ...)`; the raw hex if none of `contracts` declares it."""
    if not payload:
        return "no reason given"
    known = [signature for contract in contracts for signature in contract.errors]
    known += [_signature(entry) for entry in _STANDARD_ERRORS]
    for signature in known:
        if payload[:_SELECTOR_BYTES] != signature.selector:
            continue
        try:
            values = abi_decode(signature.inputs, payload[_SELECTOR_BYTES:])
        except DecodingError:
            break
        shown = [
            f"{name}={'0x' + value.hex() if isinstance(value, bytes) else value}"
            for name, value in zip(signature.input_names, values, strict=True)
        ]
        return f"{signature.name}({', '.join(shown)})"
    return f"0x{payload.hex()}"
