"""A node from its parts: keys from its store, a network, a lane to the chain."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.deployment import Deployment
from orrange_p2p.chain.fees import MAX_FEE_CAP_WEI, FeePolicy
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.config import NETWORK_MARK, NetworkConfig, parse_address
from orrange_p2p.core.events import Identity
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.types import Address
from orrange_p2p.errors import StoreError
from orrange_p2p.keys.peer import PeerKey
from orrange_p2p.keys.session import SessionKey
from orrange_p2p.net.network import Network
from orrange_p2p.net.settings import NetSettings
from orrange_p2p.node import NodeParts
from orrange_p2p.store.intents import StoredIntents
from orrange_p2p.store.interface import Mark, Store, StoreBatch

OWNER_MARK = b"owner"
_SESSION, _PEER, _SUBMITTER = "session", "peer", "submitter"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKeys:
    """The three keys that a node itself holds; the owner's key is not among them."""

    session: SessionKey
    peer: PeerKey
    submitter: SessionKey


def network_id(network: NetworkConfig) -> bytes:
    """What ties a store to a network: chain id, contracts, genesis."""
    domain = network.domain()
    text = f"{domain.chain_id} {domain.settlement.hex()} {network.genesis_ms}"
    return keccak256(text.encode())


def prepare_store(store: Store, network: NetworkConfig, owner: Address) -> None:
    """Write down in a store which network and owner it serves, once.

    Raises:
        StoreError: it serves another owner, or has a market that the configuration lacks.
    """
    known = store.mark(OWNER_MARK)
    if known is not None and known != owner:
        raise StoreError(
            f"expected the store of owner 0x{owner.hex()}, was of 0x{known.hex()}: use another data directory, or the "
            "owner it was made for"
        )
    described = store.mark(NETWORK_MARK)
    if described is not None:
        _check_markets(NetworkConfig.from_json(described), network)
    marks = (Mark(name=NETWORK_MARK, value=network.to_json()), Mark(name=OWNER_MARK, value=owner))
    store.commit(StoreBatch(marks=marks))


def _check_markets(stored: NetworkConfig, configured: NetworkConfig) -> None:
    """A market that this node has traded in may not vanish or change its units behind its open orders."""
    known = [config.market() for config in configured.markets]
    for config in stored.markets:
        if config.market() not in known:
            raise StoreError(
                f"expected market {config.name} with lot_size {config.lot_size} and tick_size {config.tick_size}, as "
                "the store has it, was missing or different in the configuration: restore it there, or use another "
                "data directory"
            )


def node_keys(store: Store, make: Callable[[str], bytes] | None = None) -> NodeKeys:
    """The node's keys from its store; made at the first start.

    Args:
        store: where they live.
        make: a secret for a name, for demos with a seed; the system's randomness if None.
    """
    session = _secret(store, _SESSION, make, lambda: SessionKey.generate().secret_bytes())
    peer = _secret(store, _PEER, make, lambda: PeerKey.generate().seed())
    submitter = _secret(store, _SUBMITTER, make, lambda: SessionKey.generate().secret_bytes())
    return NodeKeys(
        session=SessionKey.from_bytes(session), peer=PeerKey.from_seed(peer), submitter=SessionKey.from_bytes(submitter)
    )


def _secret(store: Store, name: str, make: Callable[[str], bytes] | None, generate: Callable[[], bytes]) -> bytes:
    known = store.secret(name)
    if known is None:
        known = make(name) if make is not None else generate()
        store.put_secret(name, known)
    return known


def deployment_of(network: NetworkConfig) -> Deployment:
    """The contracts that a network's description names."""
    constants = network.constants()
    return Deployment(
        chain_id=network.chain_id,
        vault=parse_address(network.vault),
        settlement=parse_address(network.settlement),
        escrow=None if network.escrow is None else parse_address(network.escrow),
        slasher=None if network.slasher is None else parse_address(network.slasher),
        deployed_at_block=network.deployed_at_block,
        genesis_ms=network.genesis_ms,
        epoch_ms=constants.epoch_ms,
        ticket_life_s=constants.ticket_life_s,
        fund_lag_s=constants.fund_lag_s,
    )


def build_parts(
    network: NetworkConfig,
    store: Store,
    backend: Backend,
    keys: NodeKeys,
    *,
    owner: Address,
    clock_ms: Callable[[], int],
    listen_host: str,
    listen_port: int,
    bootstrap: tuple[str, ...] = (),
    check_chain: Callable[[], Awaitable[None]] | None = None,
    max_fee_cap_wei: int = MAX_FEE_CAP_WEI,
) -> NodeParts:
    """The parts of a node, none of them started."""
    return NodeParts(
        network=Network(
            keys.peer.seed(),
            host=listen_host,
            port=listen_port,
            settings=NetSettings(degree=network.constants().degree),
            clock_ms=clock_ms,
        ),
        store=store,
        backend=backend,
        deployment=deployment_of(network),
        markets=network.rules(),
        identity=Identity(
            owner=owner,
            session=keys.session.address,
            peer_id=keys.peer.peer_id(),
            encryption_key=keys.peer.encryption_key(),
            sign=keys.session.sign,
            peer_sign=keys.peer.sign,
        ),
        lane=TransactionLane(
            backend,
            keys.submitter,
            fee_policy=FeePolicy(cap_wei=max_fee_cap_wei),
            log=StoredIntents(store, keys.submitter.address),
        ),
        clock_ms=clock_ms,
        bootstrap=bootstrap,
        check_chain=check_chain,
    )
