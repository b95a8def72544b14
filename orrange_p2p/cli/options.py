"""What several commands share: options, examples on help pages, and how they name a node."""

from pathlib import Path
from typing import Annotated

import typer

from orrange_p2p.errors import ConfigError

AsJson = Annotated[bool, typer.Option("--json", metavar="", help="Print one JSON object on one line.")]
MarketName = Annotated[
    str | None,
    typer.Option("--market", metavar="NAME", help="The market, like BTC-USD; needed if there are several."),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", envvar="ORRANGE_DATA_DIR", help="The running node's data directory."),
]
Socket = Annotated[Path | None, typer.Option("--socket", metavar="PATH", help="The running node's control socket.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The running node's configuration.")]


def examples(*pairs: tuple[str, str]) -> str:
    """The end of a help page: commands to copy, each with what it does."""
    return "\n\n".join(("Examples:", *(f"[bold]{command}[/bold]  [dim]# {what}[/dim]" for command, what in pairs)))


def find_socket(data_dir: Path | None, socket: Path | None, config: Path | None) -> Path:
    """The control socket of the node that the options name; a directory wins over the one that a configuration names.

    Raises:
        ConfigError: none names a node, or the configuration is wrong.
    """
    if socket is not None:
        return socket
    if data_dir is not None:
        return data_dir / "node.sock"
    if config is not None:
        from orrange_p2p.config import load_node_config

        return load_node_config(config).socket_path
    raise ConfigError("expected --data-dir, --socket or --config to name a running node, was none of them")
