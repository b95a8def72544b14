"""Settings: what one node needs, on top of what its network is.

Order of authority: command line, environment (`ORRANGE_*`), TOML file, defaults. Only this module and `network` read
settings.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from orrange_p2p.chain.fees import MAX_FEE_CAP_WEI
from orrange_p2p.errors import ConfigError
from orrange_p2p.network import HexAddress as HexAddress
from orrange_p2p.network import MarketConfig as MarketConfig
from orrange_p2p.network import NetworkConfig as NetworkConfig
from orrange_p2p.network import explain_fault, load_network_file
from orrange_p2p.network import parse_address as parse_address

DEFAULT_PORT = 4001
DEFAULT_HOST = "127.0.0.1"
SOCKET_NAME = "node.sock"
STORE_NAME = "store"
NETWORK_MARK = b"network"

PathText = Annotated[Path, PlainSerializer(str)]


def _join_urls(given: object) -> object:
    """A list of URLs as one text with spaces between, as an environment variable has them."""
    if isinstance(given, list | tuple) and all(isinstance(one, str) for one in given):
        return " ".join(given)
    return given


class NodeConfig(BaseSettings):
    """What one node needs to run. `ORRANGE_LISTEN_PORT=4002` and the like override the file."""

    model_config = SettingsConfigDict(env_prefix="ORRANGE_", extra="forbid", frozen=True)

    data_dir: PathText
    owner: HexAddress = Field(description="the account that funds this node's trades")
    rpc_url: Annotated[str, BeforeValidator(_join_urls)] = Field(
        description="JSON-RPC of the chain, one URL or several"
    )
    network: NetworkConfig
    listen_host: str = DEFAULT_HOST
    listen_port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    bootstrap: tuple[str, ...] = ()
    settles_for_others: bool = Field(
        default=False, description="submit tickets that both parties leave lying, at this node's cost"
    )
    max_fee_cap_wei: int = Field(
        default=MAX_FEE_CAP_WEI, gt=0, le=2**63, description="the most that a unit of gas may cost"
    )

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
    def rpc_urls(self) -> tuple[str, ...]:
        """The chain's endpoints, the preferred one first."""
        return tuple(self.rpc_url.replace(",", " ").split())

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

    `network` is a table, or names a network file (see `load_network_file`), which may then also say `rpc_url` and
    `bootstrap` in place of the node's.

    Args:
        path: the file.
        overrides: settings from the command line, which win over everything.

    Raises:
        ConfigError: no such file, no TOML, a setting that is missing or wrong, by name, or a network on which no node
            can run yet.
    """
    try:
        with path.open("rb") as file:
            settings = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected TOML in {path}, was broken: {error}") from error
    if isinstance(settings.get("network"), str):
        settings = _with_named_network(settings, path.resolve().parent)
    try:
        config = NodeConfig(**settings)
        if overrides:
            config = _Overridden(**{**config.model_dump(), **overrides})
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain_fault(error)}") from error
    if not config.data_dir.is_absolute():
        config = config.model_copy(update={"data_dir": path.resolve().parent / config.data_dir})
    return config


def _with_named_network(settings: dict[str, Any], directory: Path) -> dict[str, Any]:
    """The node's settings with its network's in place of the name, and below them what that says for every node."""
    file = load_network_file(settings["network"], directory=directory)
    shared: dict[str, Any] = {"bootstrap": file.bootstrap}
    if file.rpc_urls:
        shared["rpc_url"] = list(file.rpc_urls)
    return {**shared, **settings, "network": file.network()}
