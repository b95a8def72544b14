"""A network's contracts before they stand: which, in which order, with which arguments, and so at which addresses.

Everything follows from the settings and the code that this package carries; nothing here asks a chain.
Decision: protocol/decisions/0032-a-factory-places-the-contracts.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from orrange_p2p.chain.abi import ContractInterface, load_contract
from orrange_p2p.chain.account import created_address
from orrange_p2p.chain.contracts import factory_contract
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.types import ZERO_ADDRESS, Address
from orrange_p2p.errors import ConfigError

DEPLOYMENT_PROXY = Address(bytes.fromhex("4e59b44847b379578588920ca78fbf26c0b4956c"))
"""The deterministic deployment proxy: CREATE2 of whatever follows a salt. It stands there on nearly every chain."""
DEPLOYMENT_PROXY_CODE = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b80"
    "82525050506014600cf3"
)
"""What stands there."""

NETWORK_CONTRACTS = ("OrrangeVault", "OrrangeSettlement", "OrrangeEscrow", "OrrangeSlasher", "OrrangeSwap")
"""The contracts of a network in the order of their creation, which their addresses follow from."""
FACTORY = "OrrangeFactory"

SALT = bytes(32)
_WORD_BYTES = 32
_ADDRESS_BYTES = 20
_PARAMETER_CONTRACTS = {
    "vault": "OrrangeVault",
    "settlement": "OrrangeSettlement",
    "escrow": "OrrangeEscrow",
    "slasher": "OrrangeSlasher",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """One contract to be, as the factory takes it.

    Attributes:
        name: the contract's name.
        code_hash: keccak256 of its creation code.
        references: bit n is set where word n stands for the address of another contract of the plan.
        words: the constructor's arguments, 32 bytes each.
    """

    name: str
    code_hash: bytes
    references: int
    words: tuple[bytes, ...]

    def fields(self) -> tuple[object, ...]:
        """As the factory takes them."""
        return (self.code_hash, self.references, self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """The whole list, and what follows from it."""

    blueprints: tuple[Blueprint, ...]

    def factory_init_code(self) -> bytes:
        """The factory's creation code with this list in it."""
        return factory_contract().encode_deployment([blueprint.fields() for blueprint in self.blueprints])

    def factory_address(self) -> Address:
        """Where the factory of this list stands or will stand, on any chain with the deployment proxy."""
        digest = keccak256(b"\xff" + DEPLOYMENT_PROXY + SALT + keccak256(self.factory_init_code()))
        return Address(digest[-_ADDRESS_BYTES:])

    def addresses(self) -> dict[str, Address]:
        """Where each contract stands or will stand, by name, in order; without the factory."""
        factory = self.factory_address()
        return {
            blueprint.name: created_address(factory, nonce) for nonce, blueprint in enumerate(self.blueprints, start=1)
        }

    def constructor_arguments(self, name: str) -> bytes:
        """What the constructor of `name` is given, as explorers want it for verification."""
        if name == FACTORY:
            return self.factory_init_code().removeprefix(factory_contract().bytecode)
        places = list(self.addresses().values())
        blueprint = next(one for one in self.blueprints if one.name == name)
        words = [
            bytes(_WORD_BYTES - _ADDRESS_BYTES) + places[int.from_bytes(word, "big")]
            if blueprint.references >> index & 1
            else word
            for index, word in enumerate(blueprint.words)
        ]
        return b"".join(words)


def plan_network(settings: Mapping[str, int | Address]) -> NetworkPlan:
    """Lay out a network's contracts.

    Args:
        settings: the constructors' parameters by name, without their trailing underscore; those that name a contract of
            the network are found by themselves.

    Raises:
        ConfigError: a constructor wants what `settings` does not say, or none wants what it does say.
    """
    contracts = [load_contract(name) for name in NETWORK_CONTRACTS]
    wanted = {name.rstrip("_") for contract in contracts for name, _ in contract.constructor_parameters}
    for name in settings:
        if name not in wanted:
            raise ConfigError(f"expected parameters of {', '.join(sorted(wanted))}, was also {name}")
    return NetworkPlan(blueprints=tuple(_blueprint(contract, settings) for contract in contracts))


def constructor_arguments(
    contract: ContractInterface, settings: Mapping[str, int | Address], places: Mapping[str, Address]
) -> list[int | Address]:
    """What a constructor is given, in order.

    Args:
        contract: whose constructor.
        settings: its parameters by name, without their trailing underscore.
        places: where the contracts of the network stand, by name; zero is written for one that is missing.

    Raises:
        ConfigError: the constructor wants what `settings` does not say.
    """
    arguments: list[int | Address] = []
    for parameter, _ in contract.constructor_parameters:
        name = parameter.rstrip("_")
        if name in _PARAMETER_CONTRACTS:
            arguments.append(places.get(_PARAMETER_CONTRACTS[name], ZERO_ADDRESS))
        elif name in settings:
            arguments.append(settings[name])
        else:
            raise ConfigError(
                f"expected a value for {name}, which the constructor of {contract.name} wants, was none; "
                f"known are {', '.join(sorted(settings))}"
            )
    return arguments


def _blueprint(contract: ContractInterface, settings: Mapping[str, int | Address]) -> Blueprint:
    numbers = {name: Address(place.to_bytes(_ADDRESS_BYTES, "big")) for place, name in enumerate(NETWORK_CONTRACTS)}
    references = 0
    for index, (parameter, _) in enumerate(contract.constructor_parameters):
        if _PARAMETER_CONTRACTS.get(parameter.rstrip("_")) in numbers:
            references |= 1 << index
    encoded = contract.encode_deployment(*constructor_arguments(contract, settings, numbers))
    tail = encoded.removeprefix(contract.bytecode)
    words = tuple(tail[start : start + _WORD_BYTES] for start in range(0, len(tail), _WORD_BYTES))
    return Blueprint(name=contract.name, code_hash=keccak256(contract.bytecode), references=references, words=words)
