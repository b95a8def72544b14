"""The demo: peers in one process, real sockets between them, an embedded chain below, order flow on top."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from orrange_p2p.chain.embedded import EmbeddedChain
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.config import STORE_NAME, NetworkConfig
from orrange_p2p.core.market_kernel import MarketKernel
from orrange_p2p.core.messages import Head
from orrange_p2p.core.presets import PRESETS, MarketRules
from orrange_p2p.core.types import Epoch, OrderId, Side
from orrange_p2p.errors import ConfigError
from orrange_p2p.keys.derive import derive_secret
from orrange_p2p.keys.session import SessionKey
from orrange_p2p.launch.build import NodeKeys, build_parts, deployment_of, network_id, node_keys, prepare_store
from orrange_p2p.launch.conserve import compute_moved, is_value_conserved
from orrange_p2p.launch.directory import open_directory
from orrange_p2p.launch.flow import FlowEvent
from orrange_p2p.launch.found import GAS_MONEY_WEI, Member, compute_needs, first_funded_epoch, found_network
from orrange_p2p.launch.replay import Replay
from orrange_p2p.launch.report import Measurements, Report, measure_latency
from orrange_p2p.node import Node
from orrange_p2p.store.lmdb_store import LmdbStore

if TYPE_CHECKING:
    from trio_typing import TaskStatus  # the stubs that libp2p brings along hide trio's own

DEMO_GENESIS_MS = 1_700_000_000_000
DEMO_CHAIN_ID = 31337
DEMO_PRESET = "demo"
WARM_UP_LIMIT_S = 30
SETTLE_LIMIT_S = 90
QUIET_EPOCHS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """What a demo run is asked to do."""

    peers: int
    seed: str
    events: tuple[FlowEvent, ...]
    speed: float
    keep: Path | None = None
    skipped: int = 0


@dataclass(slots=True, kw_only=True)
class DemoState:
    """What a live view may look at while the demo runs."""

    stage: str = "starting"
    sent_events: int = 0
    nodes: tuple[Node, ...] = ()
    rules: MarketRules | None = None
    measurements: Measurements = field(default_factory=Measurements)


class DemoClock:
    """The network's time: a fixed start, then as fast as the machine's monotonic clock."""

    def __init__(self, start_ms: int) -> None:
        self._start_ms = start_ms
        self._started = trio.current_time()

    def __call__(self) -> int:
        """Unix milliseconds of the network."""
        return self._start_ms + int((trio.current_time() - self._started) * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Peer:
    """One peer of the demo before its node exists."""

    owner: SessionKey
    keys: NodeKeys
    store: LmdbStore


class _NodeTrader:
    """Places and cancels straight on a node."""

    def __init__(self, node: Node, rules: MarketRules) -> None:
        self._node = node
        self._market = rules.market_id

    async def place(self, side: Side, price_ticks: int, quantity_lots: int) -> OrderId:
        return await self._node.place_order(self._market, side, price_ticks, quantity_lots)

    async def cancel(self, order_id: OrderId) -> None:
        await self._node.cancel_order(self._market, order_id)


async def run_demo(plan: DemoPlan, state: DemoState) -> Report:
    """Run the demo to its end.

    Args:
        plan: what to do.
        state: kept up to date for a live view.

    Raises:
        ConfigError: the directory to keep stores in is not empty.
        OrrangeError: anything else that a person can do something about, in one sentence.
    """
    clock = DemoClock(DEMO_GENESIS_MS)
    kept = open_directory(plan.keep, prefix="orrange-demo-", option="--keep")
    with kept as directory, ExitStack() as stores:
        async with AsyncExitStack() as running:
            nursery = await running.enter_async_context(trio.open_nursery())
            running.callback(nursery.cancel_scope.cancel)
            faucet = SessionKey.from_bytes(derive_secret(plan.seed, "faucet"))
            chain = EmbeddedChain(
                now_ms=clock,
                genesis_time_s=DEMO_GENESIS_MS // 1000 - 1,
                balances_wei={faucet.address: (plan.peers + 1) * 4 * GAS_MONEY_WEI},
                chain_id=DEMO_CHAIN_ID,
            )
            nursery.start_soon(chain.run)
            state.stage = "deploying contracts and funding owners"
            owners = [SessionKey.from_bytes(derive_secret(plan.seed, f"owner {n}")) for n in range(plan.peers)]
            needs = compute_needs(plan.events, plan.peers)
            members = [
                Member(
                    owner=owners[n],
                    session=SessionKey.from_bytes(_secret_of(plan, n)("session")).address,
                    submitter=SessionKey.from_bytes(_secret_of(plan, n)("submitter")).address,
                    need=needs[n],
                )
                for n in range(plan.peers)
            ]
            network = await found_network(
                chain, TransactionLane(chain, faucet), members, preset=PRESETS[DEMO_PRESET], genesis_ms=DEMO_GENESIS_MS
            )
            first_epoch = first_funded_epoch(network.rules()[0], clock())
            peers = [
                _open_peer(stores, directory, plan, number, owners[number], network) for number in range(plan.peers)
            ]
            homes = await running.enter_async_context(trio.open_nursery())
            running.callback(homes.cancel_scope.cancel)
            nodes = await _start_nodes(homes, network, chain, peers, clock, state)
            state.rules = network.rules()[0]
            await _warm_up(nodes, state, first_epoch)
            report = await _trade(plan, state, nodes, chain, network, members, chain_clock=clock)
            state.stage = "stopping"
        return report


def _secret_of(plan: DemoPlan, number: int) -> Callable[[str], bytes]:
    return lambda name: derive_secret(plan.seed, f"{name} {number}")


def _open_peer(
    stores: ExitStack, directory: Path, plan: DemoPlan, number: int, owner: SessionKey, network: NetworkConfig
) -> _Peer:
    path = directory / f"peer-{number}" / STORE_NAME
    store = stores.enter_context(LmdbStore.open(path, create=True, network_id=network_id(network)))
    prepare_store(store, network, owner.address)
    return _Peer(owner=owner, keys=node_keys(store, _secret_of(plan, number)), store=store)


async def _start_nodes(
    homes: trio.Nursery,
    network: NetworkConfig,
    chain: EmbeddedChain,
    peers: Sequence[_Peer],
    clock: DemoClock,
    state: DemoState,
) -> tuple[Node, ...]:
    """Start every node on a free port and in a task of its own, so that all of them stop at once; connect them."""
    state.stage = "starting peers"
    nodes: list[Node] = []
    addresses: list[str] = []
    for peer in peers:
        parts = build_parts(
            network,
            peer.store,
            chain,
            peer.keys,
            owner=peer.owner.address,
            clock_ms=clock,
            listen_host="127.0.0.1",
            listen_port=0,
            bootstrap=tuple(addresses),
        )
        node = Node(parts, on_note=state.measurements.hear)
        await homes.start(_run_node, node)
        nodes.append(node)
        addresses.append(node.addresses()[0])
    state.nodes = tuple(nodes)
    return state.nodes


async def _run_node(node: Node, *, task_status: "TaskStatus[None]" = trio.TASK_STATUS_IGNORED) -> None:
    async with node.running():
        task_status.started()
        await trio.sleep_forever()


async def _warm_up(nodes: Sequence[Node], state: DemoState, first_epoch: Epoch) -> None:
    """Wait until every node would sign, and what the owners allocated counts: it is synced and knows a fund block."""
    state.stage = "connecting and syncing"
    with trio.move_on_after(WARM_UP_LIMIT_S):
        for node in nodes:
            await node.wait_until(lambda node: _is_ready(node, first_epoch))
        return
    reasons = ", ".join(filter(None, (node.kernel.why_not_sign() for node in nodes)))
    raise ConfigError(f"the peers were not ready within {WARM_UP_LIMIT_S} s: {reasons or 'no window opened'}")


def _is_ready(node: Node, first_epoch: Epoch) -> bool:
    windows = [market.windows.current for market in node.kernel.markets.values()]
    are_open = all(window is not None and window.epoch >= first_epoch for window in windows)
    return are_open and node.kernel.why_not_sign() is None


async def _trade(
    plan: DemoPlan,
    state: DemoState,
    nodes: Sequence[Node],
    chain: EmbeddedChain,
    network: NetworkConfig,
    members: Sequence[Member],
    *,
    chain_clock: DemoClock,
) -> Report:
    rules = network.rules()[0]
    started_ms = chain_clock()

    def progress(sent: int) -> None:
        state.sent_events = sent

    state.stage = "trading"
    replay = Replay(tuple(_NodeTrader(node, rules) for node in nodes), speed=plan.speed, on_progress=progress)
    await replay.run(plan.events)
    state.stage = "settling the last trades"
    with trio.move_on_after(SETTLE_LIMIT_S):
        await wait_quiet(nodes, rules)
    state.stage = "comparing every peer's state with the chain"
    epoch = min(market.windows.current.epoch for market in _markets(nodes, rules) if market.windows.current)
    books = [node.book_at(rules.market_id, epoch) for node in nodes]
    digests = [book.digest() for book in books]
    ticket_sets = [frozenset(market.tickets) for market in _markets(nodes, rules)]
    settled = frozenset(fact.ticket for fact in nodes[0].kernel.ledger.settled_trades())
    moved = [compute_moved(market) for market in _markets(nodes, rules)]
    is_conserved = await is_value_conserved(chain, deployment_of(network), network, members, moved)
    feeds = nodes[0].kernel.markets[rules.market_id].feeds
    tickets = frozenset().union(*ticket_sets)
    measured = state.measurements
    return Report(
        peers=plan.peers,
        orders=replay.counts["placed"],
        cancels=replay.counts["cancelled"],
        refused=replay.counts["refused"],
        skipped=plan.skipped,
        entries=sum(head.next_seq for head in feeds.heads()),
        tickets=len(tickets),
        by_path=measured.paths(),
        settled=len(settled),
        unsettled=len(tickets - settled),
        books_equal=len(frozenset(digests)) == 1,
        tickets_equal=len(frozenset(ticket_sets)) == 1,
        value_conserved=is_conserved,
        order_to_ticket_ms=measure_latency(measured.order_to_ticket_ms),
        ticket_to_chain_ms=measure_latency(tuple(measured.ticket_to_chain_ms.values())),
        gossip_drops=sum(node.gossip_drops() for node in nodes),
        duration_s=(chain_clock() - started_ms) // 1000,
        preset=rules.preset,
        book_digest=digests[0].hex(),
    )


def _markets(nodes: Sequence[Node], rules: MarketRules) -> Iterator[MarketKernel]:
    return (node.kernel.markets[rules.market_id] for node in nodes)


async def wait_quiet(nodes: Sequence[Node], rules: MarketRules) -> None:
    """Wait until nothing is under way anywhere and every node holds the same entries for a few epochs.

    The newest window is an epoch and a grace behind the clock, and a new owner's orders match only once the fund block
    shows their funding, `fund_lag_s` later; so long, nothing being under way says nothing.
    """
    preset = rules.preset
    lag = -(-(preset.epoch_ms + preset.grace_ms + 1000 * preset.fund_lag_s) // preset.epoch_ms)
    quiet_since: Epoch | None = None
    last_heads: tuple[Head, ...] | None = None
    while True:
        markets = tuple(_markets(nodes, rules))
        heads = {market.feeds.heads() for market in markets}
        is_quiet = len(heads) == 1 and all(_is_quiet(market) for market in markets)
        epoch = min((market.windows.current.epoch for market in markets if market.windows.current), default=Epoch(0))
        if not is_quiet or markets[0].feeds.heads() != last_heads:
            quiet_since, last_heads = epoch, markets[0].feeds.heads()
        elif quiet_since is not None and epoch >= quiet_since + lag + QUIET_EPOCHS:
            return
        await trio.sleep(rules.preset.epoch_ms / 2000)


def _is_quiet(market: MarketKernel) -> bool:
    window = market.windows.current
    is_idle = len(market.desk.outbox) == 0 and len(market.taker) == 0 and len(market.settling) == 0
    return is_idle and window is not None and not window.pieces
