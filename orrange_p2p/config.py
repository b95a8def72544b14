"""Settings: what a network is, and what one node of it needs.

Order of authority: command line, environment (`ORRANGE_*`), TOML file, defaults. Only this module reads settings.
"""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from orrange_p2p.core.digests import Digests
from orrange_p2p.core.presets import PRESETS, MarketRules, Preset
from orrange_p2p.core.types import U64_MAX, U96_MAX, Address, Domain, Market
from orrange_p2p.errors import ConfigError

DEFAULT_PORT = 4001
DEFAULT_HOST = "127.0.0.1"
SOCKET_NAME = "node.sock"
STORE_NAME = "store"
NETWORK_MARK = b"network"


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
PathText = Annotated[Path, PlainSerializer(str)]


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
            raise ConfigError(f"expected a network description, was damaged: {_first_fault(error)}") from error


class NodeConfig(BaseSettings):
    """What one node needs to run. `ORRANGE_LISTEN_PORT=4002` and the like override the file."""

    model_config = SettingsConfigDict(env_prefix="ORRANGE_", extra="forbid", frozen=True)

    data_dir: PathText
    owner: HexAddress = Field(description="the account that funds this node's trades")
    rpc_url: str = Field(description="JSON-RPC of the chain")
    network: NetworkConfig
    listen_host: str = DEFAULT_HOST
    listen_port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    bootstrap: tuple[str, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment stands above the file, whose values come as init arguments."""
        return env_settings, init_settings

    @property
    def socket_path(self) -> Path:
        """The control socket."""
        return self.data_dir / SOCKET_NAME

    @property
    def store_path(self) -> Path:
        """The store's directory."""
        return self.data_dir / STORE_NAME


class _Overridden(NodeConfig):
    """Settings that are complete already: the environment has had its say."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given."""
        return (init_settings,)


def load_node_config(path: Path, overrides: dict[str, Any] | None = None) -> NodeConfig:
    """Read a node's TOML file; a relative `data_dir` is taken from the file's own directory.

    Args:
        path: the file.
        overrides: settings from the command line, which win over everything.

    Raises:
        ConfigError: no such file, no TOML, or a setting that is missing or wrong, by name.
    """
    try:
        with path.open("rb") as file:
            settings = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected TOML in {path}, was broken: {error}") from error
    try:
        config = NodeConfig(**settings)
        if overrides:
            config = _Overridden(**{**config.model_dump(), **overrides})
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first_fault(error)}") from error
    if not config.data_dir.is_absolute():
        config = config.model_copy(update={"data_dir": path.resolve().parent / config.data_dir})
    return config


def _first_fault(error: ValidationError) -> str:
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "value_error":
        return f"{where or 'settings'}: {fault['ctx']['error']}"  # ours, and says already what was given
    given = "nothing" if fault["type"] == "missing" else repr(fault["input"])
    return f"{where or 'settings'}: {fault['msg']}, was {given}"
