"""One node as a program: from its configuration to serving, until it is told to stop."""

import time
from collections.abc import Callable

import trio

from orrange_p2p.api.control import ControlServer
from orrange_p2p.chain.deployment import check, check_market
from orrange_p2p.chain.rpc import open_rpc
from orrange_p2p.config import NodeConfig, parse_address
from orrange_p2p.launch.build import build_parts, deployment_of, network_id, node_keys, prepare_store
from orrange_p2p.launch.methods import control_methods
from orrange_p2p.node import Node
from orrange_p2p.store.lmdb_store import LmdbStore


def wall_clock_ms() -> int:
    """Unix milliseconds of this machine."""
    return time.time_ns() // 1_000_000


async def serve_node(config: NodeConfig, *, on_started: Callable[[Node], None] | None = None) -> None:
    """Run a node until cancelled.

    Args:
        config: everything it needs.
        on_started: called once it listens.

    Raises:
        ConfigError: the chain is not the one configured, or another node serves the data directory.
        ChainUnavailable: the chain cannot be reached at the start.
        NetworkError: the port is in use.
        StoreError: the store cannot be opened, or fails later.
    """
    network = config.network
    owner = parse_address(config.owner)
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with LmdbStore.open(config.store_path, create=True, network_id=network_id(network)) as store:
        prepare_store(store, network, owner)
        keys = node_keys(store)
        async with open_rpc(config.rpc_url, expected_chain_id=network.chain_id) as backend:
            deployment = deployment_of(network)
            await check(backend, deployment)
            for market in network.markets:
                await check_market(backend, deployment, market.market())
            parts = build_parts(
                network,
                store,
                backend,
                keys,
                owner=owner,
                clock_ms=wall_clock_ms,
                listen_host=config.listen_host,
                listen_port=config.listen_port,
                bootstrap=config.bootstrap,
            )
            async with Node(parts).running() as node, trio.open_nursery() as nursery:
                control = ControlServer(config.socket_path, control_methods(node, network))
                await nursery.start(control.run)
                if on_started is not None:
                    on_started(node)
