"""Which trade by escrow is meant, on which chain: with a node the beginning of a ticket is enough, else all of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orrange_p2p.api.client import call_node
from orrange_p2p.errors import ConfigError

if TYPE_CHECKING:
    from orrange_p2p.chain.backend import Backend
    from orrange_p2p.config import MarketConfig, NetworkConfig
    from orrange_p2p.core.types import TicketDigest
    from orrange_p2p.launch.escrow_steps import EscrowCase

_WHOLE_DIGITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where trades are looked for: a network, an endpoint of its chain, and the control socket of an own node."""

    network: "NetworkConfig"
    url: str
    socket: Path | None


def find_place(config: Path | None, network: str | None, rpc_url: str | None) -> Place:
    """The network that the options name.

    Raises:
        ConfigError: none does, or it cannot be used.
    """
    if (config is None) == (network is None):
        raise ConfigError("expected --config of your node, or --network without one, was both or neither")
    if config is not None:
        from orrange_p2p.config import load_node_config

        loaded = load_node_config(config)
        return Place(network=loaded.network, url=rpc_url or loaded.rpc_url, socket=loaded.socket_path)
    from orrange_p2p.launch.contracts import choose_endpoint
    from orrange_p2p.network import load_network_file

    file = load_network_file(network or "")
    return Place(network=file.network(), url=choose_endpoint(file, rpc_url), socket=None)


def _find_ticket(place: Place, text: str) -> "tuple[TicketDigest, int | None]":
    """A ticket and the block that took it, if that is known; a node knows its own by their beginning."""
    from orrange_p2p.core.types import TicketDigest

    digits = text.lower().removeprefix("0x")
    if len(digits) == _WHOLE_DIGITS and not set(digits) - set("0123456789abcdef"):
        return TicketDigest(bytes.fromhex(digits)), None
    if place.socket is None:
        raise ConfigError(f"expected a whole ticket, 0x and 64 hex digits, without a node, was {text!r}")
    trade = call_node(place.socket, "trade.show", {"ticket": text})["trade"]
    return TicketDigest(bytes.fromhex(trade["ticket"].removeprefix("0x"))), trade["settled_in_block"]


def on_chain(
    place: Place, text: str, work: "Callable[[Backend, EscrowCase], Awaitable[EscrowCase]] | None" = None
) -> "EscrowCase":
    """Look a trade up, and do something about it; the case as it stands then."""
    import trio

    from orrange_p2p.chain.rpc import open_rpc
    from orrange_p2p.config import parse_address
    from orrange_p2p.launch.escrow_steps import read_case, read_escrow_address

    ticket, opened_in = _find_ticket(place, text)

    async def run() -> "EscrowCase":
        async with open_rpc(place.url, expected_chain_id=place.network.chain_id) as backend:
            contract = await read_escrow_address(backend, parse_address(place.network.settlement))
            first = place.network.deployed_at_block
            case = await read_case(backend, contract, ticket, first_block=first, opened_in=opened_in)
            return case if work is None else await work(backend, case)

    return trio.run(run)


def market_of(place: Place, case: "EscrowCase") -> "MarketConfig | None":
    """The market that a trade is of, if the network's description has it; who acts can do so without."""
    for config, rules in zip(place.network.markets, place.network.rules(), strict=True):
        if rules.market_id == case.trade.market:
            return config
    return None
