"""The devnet: one process for each peer, anvil below them, order flow through their control sockets."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import trio

from orrange_p2p.chain.anvil import find_anvil, run_anvil
from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.rpc import open_rpc
from orrange_p2p.config import NetworkConfig
from orrange_p2p.core.presets import PRESETS
from orrange_p2p.core.types import Address, Epoch
from orrange_p2p.errors import ConfigError
from orrange_p2p.keys.derive import derive_secret
from orrange_p2p.keys.session import SessionKey
from orrange_p2p.launch.build import deployment_of
from orrange_p2p.launch.conserve import is_value_conserved
from orrange_p2p.launch.devnet_compare import PeerView, is_agreed, look_at_all, wait_quiet
from orrange_p2p.launch.devnet_peers import PreparedPeer, check_directory, make_member, prepare_peers
from orrange_p2p.launch.devnet_process import PeerProcess, Warden, open_warden, shown_command
from orrange_p2p.launch.devnet_remote import RemoteNode, RemoteTrader, ask_all
from orrange_p2p.launch.directory import open_directory
from orrange_p2p.launch.flow import FlowEvent
from orrange_p2p.launch.found import (
    GAS_MONEY_WEI,
    Member,
    Need,
    compute_needs,
    first_funded_epoch,
    found_network,
    give_gas_money,
)
from orrange_p2p.launch.process import wall_clock_ms
from orrange_p2p.launch.replay import Replay
from orrange_p2p.launch.report import Measurements, Report, measure_latency

DEVNET_PRESET = "dev"
SPARE = Need(base=10 * 10**8, quote=10_000 * 10**6)  # ten bitcoin and ten thousand dollars for orders by hand
WARM_UP_LIMIT_S = 60
MAX_LOOKS = 3
_POLL_S = 0.25
_WATCH_S = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DevnetPlan:
    """What a devnet run is asked to do. Without a seed, keys are random; without a directory, nothing is kept.

    `terms` are constructors' parameters other than those of development, `accounts` further ones that get coin for gas.
    """

    peers: int
    events: tuple[FlowEvent, ...]
    speed: float
    seed: str | None = None
    directory: Path | None = None
    skipped: int = 0
    terms: Mapping[str, int | Address] | None = None
    accounts: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRow:
    """What a person needs to kill a peer and to start it again."""

    number: int
    pid: int
    directory: Path
    restart: str


class Listener(Protocol):
    """Hears how a devnet is doing; must not block or raise."""

    def on_stage(self, stage: str) -> None:
        """The devnet does something else now."""

    def on_progress(self, sent_events: int) -> None:
        """So many events of the flow were sent."""

    def on_peers(self, peers: Sequence[PeerRow]) -> None:
        """All peers run."""

    def on_peer_gone(self, peer: PeerRow, exit_code: int) -> None:
        """A peer's process ended, and not by the devnet."""

    def on_peer_back(self, peer: PeerRow) -> None:
        """A peer that was gone answers again."""


class Devnet:
    """A running devnet; `open_devnet` makes it."""

    def __init__(
        self,
        plan: DevnetPlan,
        listener: Listener,
        backend: Backend,
        network: NetworkConfig,
        members: Sequence[Member],
        nodes: Sequence[RemoteNode],
    ) -> None:
        self.network = network
        self.backend = backend
        self.members = members
        self.nodes = nodes
        self._plan = plan
        self._listener = listener

    async def run_flow(self) -> Report:
        """Replay the flow, wait until all is settled, compare.

        Raises:
            ChainUnavailable: anvil is gone.
            ConfigError: no peer answers at the end.
        """
        started_ms = wall_clock_ms()
        self._listener.on_stage("trading")
        traders = tuple(RemoteTrader(node) for node in self.nodes)
        replay = Replay(traders, speed=self._plan.speed, on_progress=self._listener.on_progress)
        await replay.run(self._plan.events)
        views: list[PeerView] = []
        for _ in range(MAX_LOOKS):
            self._listener.on_stage("settling the last trades")
            await wait_quiet(self.nodes, self.network)
            self._listener.on_stage("comparing every peer's state with the chain")
            views = await look_at_all(self.nodes, self.network)
            if is_agreed(views):
                break
        if not views:
            raise ConfigError("no peer answers any more: start them again with the commands printed above")
        return await self._report(replay, views, (wall_clock_ms() - started_ms) // 1000)

    async def _report(self, replay: Replay, views: Sequence[PeerView], duration_s: int) -> Report:
        network = self.network
        is_conserved = await is_value_conserved(
            self.backend, deployment_of(network), network, self.members, [view.moved for view in views]
        )
        measured = Measurements()
        for view in views:
            measured.add(view.by_path, view.order_to_ticket_ms, view.ticket_to_chain_ms)
        tickets = frozenset[str]().union(*(view.tickets for view in views))
        settled = tickets.intersection(*(view.settled for view in views))
        present = frozenset(view.number for view in views)
        return Report(
            peers=self._plan.peers,
            orders=replay.counts["placed"],
            cancels=replay.counts["cancelled"],
            refused=replay.counts["refused"],
            skipped=self._plan.skipped,
            entries=views[0].entries,
            tickets=len(tickets),
            by_path=measured.paths(),
            settled=len(settled),
            unsettled=len(tickets - settled),
            books_equal=len(frozenset(view.digest for view in views)) == 1,
            tickets_equal=len(frozenset(view.tickets for view in views)) == 1,
            value_conserved=is_conserved,
            order_to_ticket_ms=measure_latency(measured.order_to_ticket_ms),
            ticket_to_chain_ms=measure_latency(tuple(measured.ticket_to_chain_ms.values())),
            gossip_drops=sum(view.gossip_drops for view in views),
            duration_s=duration_s,
            preset=network.constants(),
            book_digest=views[0].digest,
            unsent=replay.counts["unsent"],
            unanswered=replay.counts["unanswered"],
            peers_gone=tuple(node.number for node in self.nodes if node.number not in present),
            stuck=max(view.entitled for view in views),
        )


@asynccontextmanager
async def open_devnet(plan: DevnetPlan, listener: Listener) -> AsyncIterator[Devnet]:
    """Start everything; at the end of the block, however it ends, no process is left.

    Raises:
        ConfigError: no anvil, no empty directory, no free ports, or a peer that does not start.
        OrrangeError: anything else that a person can do something about, in one sentence.
    """
    find_anvil()
    seed = plan.seed if plan.seed is not None else secrets.token_hex(32)
    async with AsyncExitStack() as opened:
        kept = open_directory(plan.directory, prefix="orrange-devnet-", option="--dir")
        directory = opened.enter_context(kept).resolve()
        check_directory(directory, plan.peers)
        warden = await opened.enter_async_context(open_warden())
        listener.on_stage("starting anvil")
        faucet = SessionKey.from_bytes(derive_secret(seed, "faucet"))
        anvil = await opened.enter_async_context(
            run_anvil(balances_wei={faucet.address: (plan.peers + len(plan.accounts) + 1) * 4 * GAS_MONEY_WEI})
        )
        await warden.watch(anvil.pid)
        backend = await opened.enter_async_context(open_rpc(anvil.url, expected_chain_id=anvil.chain_id))
        listener.on_stage("deploying contracts and funding owners")
        needs = compute_needs(plan.events, plan.peers, spare=SPARE)
        members = [make_member(seed, number, need) for number, need in enumerate(needs)]
        faucet_lane = TransactionLane(backend, faucet)
        network = await found_network(
            backend,
            faucet_lane,
            members,
            preset=PRESETS[DEVNET_PRESET],
            genesis_ms=wall_clock_ms(),
            name="devnet",
            terms=plan.terms,
        )
        await give_gas_money(faucet_lane, plan.accounts)
        first_epoch = first_funded_epoch(network.rules()[0], wall_clock_ms())
        listener.on_stage("starting peers")
        prepared = prepare_peers(directory, seed, network, members, anvil.url)
        nursery = await opened.enter_async_context(trio.open_nursery())
        opened.callback(nursery.cancel_scope.cancel)
        nodes = [RemoteNode(peer.number, peer.config.socket_path) for peer in prepared]
        processes = await _start_all(opened, warden, prepared)
        rows = [_row(peer, process) for peer, process in zip(prepared, processes, strict=True)]
        await _warm_up(nodes, processes, network, first_epoch)
        listener.on_peers(rows)
        for row, node, process in zip(rows, nodes, processes, strict=True):
            nursery.start_soon(_watch, row, node, process, listener)
        yield Devnet(plan, listener, backend, network, members, nodes)


def _row(peer: PreparedPeer, process: PeerProcess) -> PeerRow:
    return PeerRow(
        number=peer.number, pid=process.pid, directory=peer.directory, restart=shown_command(peer.config_path)
    )


async def _start_all(opened: AsyncExitStack, warden: Warden, peers: Sequence[PreparedPeer]) -> list[PeerProcess]:
    """Start every peer; they are stopped, all at once, when `opened` closes."""
    processes: list[PeerProcess] = []

    async def stop_all() -> None:
        async with trio.open_nursery() as nursery:
            for process in processes:
                nursery.start_soon(process.stop)

    opened.push_async_callback(stop_all)
    for peer in peers:
        process = await PeerProcess.start(peer.config_path, peer.log_path)
        processes.append(process)
        await warden.watch(process.pid)
    return processes


async def _warm_up(
    nodes: Sequence[RemoteNode], processes: Sequence[PeerProcess], network: NetworkConfig, first_epoch: Epoch
) -> None:
    """Wait until every peer would sign, and what the owners allocated counts: it is synced and knows a fund block."""
    market = network.markets[0].name
    reasons: dict[int, str] = {}
    with trio.move_on_after(WARM_UP_LIMIT_S):
        while True:
            for node, process in zip(nodes, processes, strict=True):
                if process.exit_code is not None:
                    raise ConfigError(
                        f"peer {node.number} ended at its start with code {process.exit_code}: "
                        f"{process.last_words()} (all of it is in peer-{node.number}/node.log if --dir keeps it)"
                    )
            reasons = {
                number: reason
                for number, status in enumerate(await ask_all(nodes))
                if (reason := _why_not_ready(status, market, first_epoch)) is not None
            }
            if not reasons:
                return
            await trio.sleep(_POLL_S)
    shown = ", ".join(f"peer {number}: {reason}" for number, reason in reasons.items())
    raise ConfigError(f"the peers were not ready within {WARM_UP_LIMIT_S} s: {shown or 'they do not answer'}")


def _why_not_ready(status: Mapping[str, Any] | None, market: str, first_epoch: Epoch) -> str | None:
    if status is None:
        return "does not answer yet"
    if status["why_not_signing"] is not None:
        return str(status["why_not_signing"])
    epoch = status["pending"][market]["epoch"]
    if epoch is None:
        return "no window opened yet"
    return None if epoch >= first_epoch else f"what its owner allocated counts from epoch {first_epoch} on"


async def _watch(row: PeerRow, node: RemoteNode, process: PeerProcess, listener: Listener) -> None:
    """Tell when somebody ends a peer, and when it is back; whoever restarts it owns its process."""
    exit_code = await process.wait()
    if process.is_stopping:
        return
    is_back = False
    listener.on_peer_gone(row, exit_code)
    while True:
        await trio.sleep(_WATCH_S)
        is_up = await node.status() is not None
        if is_up and not is_back:
            listener.on_peer_back(row)
        is_back = is_up
