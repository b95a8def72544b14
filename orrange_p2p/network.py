"""What a network is: the constants, contracts and markets that all its nodes share; and the files that say so.

A node keeps a `NetworkConfig`, which is complete. A `NetworkFile` may lack contracts and markets: nobody has deployed
them yet. The files of the known networks lie in bootstrap/networks, and the package carries them as `networks/*.toml`.
"""

import json
import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from orrange_p2p.core.digests import Digests
from orrange_p2p.core.presets import PRESETS, MarketRules, Preset
from orrange_p2p.core.types import U64_MAX, U96_MAX, Address, Domain, Market
from orrange_p2p.errors import ConfigError

_SUFFIX = ".toml"
_FIXED_PARAMETERS = ("genesisMs", "epochMs", "ticketLifeS", "fundLagS")


def parse_address(text: str) -> Address:
    """An EVM address written as 0x and 40 hex digits.

    Raises:
        ValueError: it is no such thing.
    """
    if not text.startswith("0x") or len(text) != 42:
        raise ValueError(f"expected 0x and 40 hex digits, was {text!r}")
    try:
        return Address(bytes.fromhex(text[2:]))
    except ValueError as error:
        raise ValueError(f"expected 0x and 40 hex digits, was {text!r}") from error


def _known_preset(name: str) -> str:
    if name not in PRESETS:
        raise ValueError(f"expected a preset of {', '.join(PRESETS)}, was {name!r}")
    return name


def _checked_address(text: str) -> str:
    return "0x" + parse_address(text).hex()


HexAddress = Annotated[str, AfterValidator(_checked_address)]


class MarketConfig(BaseModel):
    """A market with what people call it and how its tokens are shown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="what people call it, like BTC-USD")
    base: HexAddress
    quote: HexAddress
    lot_size: int = Field(ge=1, le=U96_MAX, description="base units a lot")
    tick_size: int = Field(ge=1, le=U96_MAX, description="quote units a lot and tick")
    min_fill_lots: int = Field(default=1, ge=1, le=U64_MAX)
    base_decimals: int = Field(default=18, ge=0, le=36)
    quote_decimals: int = Field(default=18, ge=0, le=36)
    quote_per_bond: int = Field(
        default=1, ge=1, le=U96_MAX, description="quote units that a micro-unit of a bond counts"
    )

    def market(self) -> Market:
        """The market as the protocol knows it."""
        return Market(
            base=parse_address(self.base),
            quote=parse_address(self.quote),
            lot_size=self.lot_size,
            tick_size=self.tick_size,
            min_fill_lots=self.min_fill_lots,
        )


class NetworkConfig(BaseModel):
    """What all nodes of a network share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    preset: Annotated[str, AfterValidator(_known_preset)]
    genesis_ms: int = Field(ge=0, le=U64_MAX, description="when epoch 0 starts, unix milliseconds")
    chain_id: int = Field(ge=1, le=U64_MAX)
    vault: HexAddress
    settlement: HexAddress
    escrow: HexAddress | None = None
    slasher: HexAddress | None = None
    deployed_at_block: int = Field(ge=0)
    markets: tuple[MarketConfig, ...] = Field(min_length=1)

    def constants(self) -> Preset:
        """The preset's constants."""
        return PRESETS[self.preset]

    def domain(self) -> Domain:
        """The EIP-712 domain."""
        return Domain(chain_id=self.chain_id, settlement=parse_address(self.settlement))

    def rules(self) -> tuple[MarketRules, ...]:
        """The rules of every market, in order."""
        digests = Digests(self.domain())
        return tuple(
            MarketRules(
                market=config.market(),
                market_id=digests.market(config.market()),
                preset=self.constants(),
                genesis_ms=self.genesis_ms,
                quote_per_bond=config.quote_per_bond,
                has_escrow=self.escrow is not None,
            )
            for config in self.markets
        )

    def find_market(self, name: str | None) -> tuple[MarketConfig, MarketRules]:
        """A market by name, or the only one.

        Raises:
            ConfigError: no such market, or several and no name.
        """
        known = ", ".join(config.name for config in self.markets)
        if name is None and len(self.markets) > 1:
            raise ConfigError(f"expected --market with one of {known}")
        for config, rules in zip(self.markets, self.rules(), strict=True):
            if name is None or config.name == name:
                return config, rules
        raise ConfigError(f"expected a market of {known}, was {name}")

    def to_json(self) -> bytes:
        """As kept in a node's store."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()

    @classmethod
    def from_json(cls, encoded: bytes) -> "NetworkConfig":
        """From a node's store.

        Raises:
            ConfigError: not what `to_json` writes.
        """
        try:
            return cls.model_validate_json(encoded)
        except ValidationError as error:
            raise ConfigError(f"expected a network description, was damaged: {explain_fault(error)}") from error


def _free_parameters(parameters: dict[str, int | str]) -> dict[str, int | str]:
    for name in _FIXED_PARAMETERS:
        if name in parameters:
            raise ValueError(f"expected no {name}, which follows from preset and genesis_ms, was {parameters[name]}")
    return parameters


class DeployedContracts(BaseModel):
    """Where a network's contracts stand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    factory: HexAddress
    vault: HexAddress
    settlement: HexAddress
    escrow: HexAddress
    slasher: HexAddress
    swap: HexAddress
    deployed_at_block: int = Field(ge=0, description="no log of theirs is older")


class NetworkFile(BaseModel):
    """A network as its file says it.

    Attributes:
        name: what people call it.
        preset: which constants.
        genesis_ms: when epoch 0 starts, unix milliseconds.
        chain_id: the chain that settles.
        parameters: what constructors take besides what preset and genesis say, by the parameter's name.
        rpc_urls: endpoints of the chain that nodes use unless told otherwise.
        bootstrap: peers to connect to first.
        contracts: None until somebody has deployed them.
        markets: may be empty; then no node can run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    preset: Annotated[str, AfterValidator(_known_preset)]
    genesis_ms: int = Field(ge=0, le=U64_MAX)
    chain_id: int = Field(ge=1, le=U64_MAX)
    rpc_urls: tuple[str, ...] = ()
    bootstrap: tuple[str, ...] = ()
    parameters: Annotated[dict[str, int | HexAddress], AfterValidator(_free_parameters)] = {}
    contracts: DeployedContracts | None = None
    markets: tuple[MarketConfig, ...] = ()

    def constructor_settings(self) -> dict[str, int | Address]:
        """What the contracts' constructors are given, by parameter name, but for each other's addresses."""
        preset = PRESETS[self.preset]
        values = (self.genesis_ms, preset.epoch_ms, preset.ticket_life_s, preset.fund_lag_s)
        further = {
            name: value if isinstance(value, int) else parse_address(value) for name, value in self.parameters.items()
        }
        return {**further, **dict(zip(_FIXED_PARAMETERS, values, strict=True))}

    def network(self) -> NetworkConfig:
        """What a node keeps.

        Raises:
            ConfigError: the network has no contracts or no markets yet, so that no node can run on it.
        """
        if self.contracts is None:
            raise ConfigError(
                f"expected the addresses of the contracts of network {self.name}, was none: nobody has deployed them "
                f"on chain {self.chain_id} yet; `orrange chain deploy --network {self.name}` does, and "
                "`orrange devnet` runs a network of its own"
            )
        if not self.markets:
            raise ConfigError(
                f"expected at least one market in network {self.name}, was none; add [[markets]] to a copy of its file"
            )
        return NetworkConfig(
            name=self.name,
            preset=self.preset,
            genesis_ms=self.genesis_ms,
            chain_id=self.chain_id,
            vault=self.contracts.vault,
            settlement=self.contracts.settlement,
            escrow=self.contracts.escrow,
            slasher=self.contracts.slasher,
            deployed_at_block=self.contracts.deployed_at_block,
            markets=self.markets,
        )


def known_networks() -> tuple[str, ...]:
    """The names of the networks whose files the package carries, sorted."""
    return tuple(sorted(file.name.removesuffix(_SUFFIX) for file in _networks().iterdir() if _is_file_name(file.name)))


def load_network_file(name: str, *, directory: Path | None = None) -> NetworkFile:
    """Read a network's file.

    Args:
        name: a known network, or a path that ends with .toml.
        directory: what a relative path is relative to; the current directory if None.

    Raises:
        ConfigError: no such network or file, no TOML, or a setting that is missing or wrong, by name.
    """
    try:
        text = _place(name, directory).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the network {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"expected TOML in the network {name}, was broken: {error}") from error
    try:
        return NetworkFile(**tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"expected TOML in the network {name}, was broken: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"network {name}: {explain_fault(error)}") from error


def _place(name: str, directory: Path | None) -> Traversable:
    if _is_file_name(name):
        return (directory or Path()) / name
    if name not in known_networks():
        raise ConfigError(
            f"expected a network of {', '.join(known_networks())}, or a file that ends with {_SUFFIX}, was {name!r}"
        )
    return _networks() / f"{name}{_SUFFIX}"


def _networks() -> Traversable:
    return resources.files("orrange_p2p") / "networks"


def _is_file_name(name: str) -> bool:
    return name.endswith(_SUFFIX)


def explain_fault(error: ValidationError) -> str:
    """The first thing that is wrong with settings: where, what was expected, what was given."""
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "value_error":
        return f"{where or 'settings'}: {fault['ctx']['error']}"  # ours, and says already what was given
    given = "nothing" if fault["type"] == "missing" else repr(fault["input"])
    return f"{where or 'settings'}: {fault['msg']}, was {given}"
