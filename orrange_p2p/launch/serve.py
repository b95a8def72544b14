"""One node as a program: from its configuration to serving, until it is told to stop."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import trio

from orrange_p2p.api.control import ControlServer
from orrange_p2p.chain.deployment import check, check_market
from orrange_p2p.chain.endpoints import open_endpoints
from orrange_p2p.config import NodeConfig, parse_address
from orrange_p2p.core.events import Note
from orrange_p2p.errors import ChainUnavailable, ConfigError
from orrange_p2p.launch.build import build_parts, deployment_of, network_id, node_keys, prepare_store
from orrange_p2p.launch.escrow_tickets import EscrowTickets
from orrange_p2p.launch.instruction_post import InstructionPost, post_parts
from orrange_p2p.launch.methods import control_methods
from orrange_p2p.launch.process import stopping_on_signals, wall_clock_ms
from orrange_p2p.launch.report import Measurements
from orrange_p2p.node import Node, NodeParts
from orrange_p2p.store.lmdb_store import LmdbStore

_CHAIN_PATIENCE_S = 5


async def serve_node(config: NodeConfig, *, on_started: Callable[[Node], None] | None = None) -> None:
    """Run a node until cancelled, or until SIGINT or SIGTERM, which end it cleanly.

    Args:
        config: everything it needs.
        on_started: called once it listens.

    Raises:
        ConfigError: the chain answers and is not the one configured, or the data directory cannot be made or is served
            already.
        NetworkError: the port is in use.
        StoreError: the store cannot be opened, or fails later.
    """
    measurements = Measurements()
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"cannot make the data directory {config.data_dir}: {error.strerror}") from error
    async with stopping_on_signals(), AsyncExitStack() as opened:
        parts = await _build_node(opened, config)

        def hear(note: Note, now_ms: int) -> None:
            measurements.hear(note, now_ms)
            tickets.hear(note, now_ms)

        node = Node(parts, on_note=hear)
        tickets = EscrowTickets(node.kernel, parts.store)
        post = InstructionPost(post_parts(parts, node.kernel, tickets.parties))
        if config.settles_for_others:
            node.kernel.settle_for_others()
        await opened.enter_async_context(node.running())
        nursery = await opened.enter_async_context(trio.open_nursery())
        control = ControlServer(config.socket_path, control_methods(node, config.network, measurements, post))
        await nursery.start(control.run)
        nursery.start_soon(post.run)
        if on_started is not None:
            on_started(node)


async def _build_node(opened: AsyncExitStack, config: NodeConfig) -> NodeParts:
    """Open the store and the chain, check that they belong to the network, and build the parts on them."""
    network, owner = config.network, parse_address(config.owner)
    store = opened.enter_context(LmdbStore.open(config.store_path, create=True, network_id=network_id(network)))
    prepare_store(store, network, owner)
    keys = node_keys(store)
    backend = await opened.enter_async_context(open_endpoints(config.rpc_urls, expected_chain_id=network.chain_id))

    async def check_chain() -> None:
        deployment = deployment_of(network)
        await check(backend, deployment)
        for market in network.markets:
            await check_market(backend, deployment, market.market())

    return build_parts(
        network,
        store,
        backend,
        keys,
        owner=owner,
        clock_ms=wall_clock_ms,
        listen_host=config.listen_host,
        listen_port=config.listen_port,
        bootstrap=config.bootstrap,
        max_fee_cap_wei=config.max_fee_cap_wei,
        check_chain=None if await _is_answered(check_chain) else check_chain,
    )


async def _is_answered(check_chain: Callable[[], Awaitable[None]]) -> bool:
    """Whether the chain answered soon, and rightly; without one the node starts all the same, and asks again later."""
    with trio.move_on_after(_CHAIN_PATIENCE_S):
        try:
            await check_chain()
        except ChainUnavailable:
            return False
        return True
    return False
