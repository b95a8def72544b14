"""Makes the peers of a devnet ready to start: keys, funded owners, stores, ports, configuration files."""

import random
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from orrange_p2p.api.client import check_length
from orrange_p2p.config import STORE_NAME, NetworkConfig, NodeConfig
from orrange_p2p.errors import ConfigError
from orrange_p2p.keys.derive import derive_secret
from orrange_p2p.keys.peer import PeerKey
from orrange_p2p.keys.session import SessionKey
from orrange_p2p.launch.build import network_id, node_keys, prepare_store
from orrange_p2p.launch.found import Member, Need
from orrange_p2p.launch.node_toml import node_toml
from orrange_p2p.net.addresses import peer_text
from orrange_p2p.store.lmdb_store import LmdbStore

HOST = "127.0.0.1"
CONFIG_NAME = "node.toml"
LOG_NAME = "node.log"
_FIRST_PORT, _LAST_PORT = 20_000, 32_000
"""Below the ports that systems give to outgoing connections: while a peer is down, none of those must take its port,
and a dial to it must not meet itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedPeer:
    """A peer whose store holds its keys and whose configuration is written."""

    number: int
    directory: Path
    config: NodeConfig

    @property
    def config_path(self) -> Path:
        """Its configuration file."""
        return self.directory / CONFIG_NAME

    @property
    def log_path(self) -> Path:
        """Where its process writes what it has to say."""
        return self.directory / LOG_NAME


def secrets_of(seed: str, number: int) -> Callable[[str], bytes]:
    """The secrets of one peer and its owner, by name."""
    return lambda name: derive_secret(seed, f"{name} {number}")


def make_member(seed: str, number: int, need: Need) -> Member:
    """The owner of one peer, with the accounts of its node."""
    make = secrets_of(seed, number)
    return Member(
        owner=SessionKey.from_bytes(make("owner")),
        session=SessionKey.from_bytes(make("session")).address,
        submitter=SessionKey.from_bytes(make("submitter")).address,
        need=need,
    )


def check_directory(directory: Path, peers: int) -> None:
    """Refuse a directory too deep for control sockets, before anything is started.

    Raises:
        ConfigError: it is.
    """
    check_length(directory / f"peer-{peers - 1}" / "node.sock")


def prepare_peers(
    directory: Path, seed: str, network: NetworkConfig, members: Sequence[Member], rpc_url: str
) -> tuple[PreparedPeer, ...]:
    """Write every peer's store and configuration; each knows the addresses of all others.

    Raises:
        ConfigError: there are not enough free ports.
        StoreError: a store cannot be written.
    """
    ports = free_ports(len(members))
    addresses = []
    for number, port in enumerate(ports):
        peer_id = PeerKey.from_seed(secrets_of(seed, number)("peer")).peer_id()
        addresses.append(f"/ip4/{HOST}/tcp/{port}/p2p/{peer_text(peer_id)}")
    prepared = []
    for number, member in enumerate(members):
        own = directory / f"peer-{number}"
        own.mkdir(mode=0o700)
        config = NodeConfig.model_construct(  # whatever the environment says
            data_dir=own,
            owner=f"0x{member.owner.address.hex()}",
            rpc_url=rpc_url,
            network=network,
            listen_host=HOST,
            listen_port=ports[number],
            bootstrap=tuple(address for other, address in enumerate(addresses) if other != number),
        )
        with LmdbStore.open(own / STORE_NAME, create=True, network_id=network_id(network)) as store:
            prepare_store(store, network, member.owner.address)
            node_keys(store, secrets_of(seed, number))
        peer = PreparedPeer(number=number, directory=own, config=config)
        relative = config.model_copy(update={"data_dir": Path()})
        peer.config_path.write_text(node_toml(relative, comment=f"Peer {number} of a devnet."), encoding="utf-8")
        prepared.append(peer)
    return tuple(prepared)


def free_ports(count: int) -> list[int]:
    """Different TCP ports of loopback that nobody listens on now.

    Raises:
        ConfigError: there are not so many.
    """
    candidates = list(range(_FIRST_PORT, _LAST_PORT))
    random.shuffle(candidates)
    found: list[int] = []
    with ExitStack() as probes:
        for port in candidates:
            if len(found) == count:
                break
            probe = probes.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            found.append(port)
    if len(found) < count:
        raise ConfigError(f"expected {count} free ports on {HOST}, was {len(found)}: stop other programs first")
    return found
