"""What stands on a chain where a network's contracts should: whether it is our code, and what it says of itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from importlib import resources

from orrange_p2p.chain.abi import load_contract
from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.views import read_view
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.types import Address, Digest
from orrange_p2p.errors import ConfigError


class CodeState(Enum):
    """How the code at an address compares with the code that this package carries."""

    MISSING = "missing"
    MATCHES = "matches"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractStatus:
    """One contract as the chain has it.

    Attributes:
        name: the contract's name.
        address: where it should stand.
        state: whether our code is there; the values that a constructor fixes in code are left out of the comparison.
        code_hash: keccak256 of the code, as explorers show it; None where there is none.
        settings: what its functions without arguments answer, by name; empty unless the code matches.
    """

    name: str
    address: Address
    state: CodeState
    code_hash: Digest | None
    settings: Mapping[str, object]


async def read_contract_status(backend: Backend, name: str, address: Address) -> ContractStatus:
    """Compare what stands at `address` with the contract `name`, and read its settings if it is that.

    Raises:
        ChainUnavailable: the chain cannot be reached.
    """
    code = await backend.code(address)
    if not code:
        return ContractStatus(name=name, address=address, state=CodeState.MISSING, code_hash=None, settings={})
    is_ours = is_code_of(name, code)
    return ContractStatus(
        name=name,
        address=address,
        state=CodeState.MATCHES if is_ours else CodeState.DIFFERS,
        code_hash=Digest(keccak256(code)),
        settings=await _read_settings(backend, name, address) if is_ours else {},
    )


def is_code_of(name: str, code: bytes) -> bool:
    """Whether `code` is what the contract `name` is once deployed, whatever its constructor was given."""
    artifact = json.loads(
        (resources.files("orrange_p2p.chain") / "artifacts" / f"{name}.json").read_text(encoding="utf-8")
    )
    runtime = artifact["runtime"]
    if len(code) != runtime["bytes"]:
        return False
    masked = bytearray(code)
    ranges = iter(runtime["immutables"])
    for start, length in zip(ranges, ranges, strict=True):
        masked[start : start + length] = bytes(length)
    expected: str = runtime["sha256"]
    return "0x" + sha256(masked).hexdigest() == expected


async def _read_settings(backend: Backend, name: str, address: Address) -> dict[str, object]:
    contract = load_contract(name)
    settings: dict[str, object] = {}
    for getter in contract.getters:
        try:
            settings[getter] = await read_view(backend, contract, address, getter)
        except ConfigError:
            continue  # A getter that refuses says nothing of the settings.
    return settings
