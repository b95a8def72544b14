"""Waits until a devnet has come to rest, then compares what every peer says, and what the chain says.

Peers are asked for digests of their books at one epoch that all have reached, and for the tickets and settlements they
know; nothing is taken from this program's own memory of the run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from orrange_p2p.api.control import NodeUnreachable
from orrange_p2p.config import NetworkConfig, parse_address
from orrange_p2p.core.types import Address
from orrange_p2p.launch.conserve import Moved
from orrange_p2p.launch.devnet_remote import GONE_LIMIT_S, RemoteNode, Status, ask_all

SETTLE_LIMIT_S = 90
QUIET_EPOCHS = 3
STALLED_EPOCHS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerView:
    """What one peer says at the end."""

    number: int
    digest: str
    entries: int
    tickets: frozenset[str]
    settled: frozenset[str]
    entitled: int
    gossip_drops: int
    by_path: Mapping[str, int]
    order_to_ticket_ms: Sequence[int]
    ticket_to_chain_ms: Mapping[str, int]
    moved: Mapping[Address, Moved]


async def wait_quiet(nodes: Sequence[RemoteNode], network: NetworkConfig) -> None:
    """Wait until nothing is under way and all peers hold the same entries for a few epochs.

    Pairs and exchanges are under way, unless nothing at all has come of them for STALLED_EPOCHS. Gives up after
    SETTLE_LIMIT_S. Peers that are down are waited for up to GONE_LIMIT_S.
    """
    market, epoch_ms = network.markets[0].name, network.constants().epoch_ms
    started = trio.current_time()
    since: int | None = None
    last_heads: object = None
    while trio.current_time() < started + SETTLE_LIMIT_S:
        pending = [status["pending"][market] for status in await ask_all(nodes) if status is not None]
        is_gone = len(pending) < len(nodes)
        heads = pending[0]["heads"] if pending else None
        epoch = min((one["epoch"] for one in pending if one["epoch"] is not None), default=0)
        is_still = bool(pending) and all(one["heads"] == heads and not _is_busy(one) for one in pending)
        if not is_still or heads != last_heads:
            since, last_heads = None, heads
        elif since is None:
            since = epoch
        needed = STALLED_EPOCHS if any(one["entitled"] or one["exchanges"] for one in pending) else QUIET_EPOCHS
        is_worth_waiting = is_gone and trio.current_time() < started + GONE_LIMIT_S
        if since is not None and epoch >= since + needed and not is_worth_waiting:
            return
        await trio.sleep(epoch_ms / 1000)


def _is_busy(pending: Mapping[str, Any]) -> bool:
    return pending["epoch"] is None or bool(pending["outbox"] or pending["unsettled"])


async def look_at_all(nodes: Sequence[RemoteNode], network: NetworkConfig) -> list[PeerView]:
    """The views of all peers that answer, with digests at one epoch."""
    market = network.markets[0].name
    statuses = await ask_all(nodes)
    there = [
        (node, status)
        for node, status in zip(nodes, statuses, strict=True)
        if status is not None and status["pending"][market]["epoch"] is not None
    ]
    epoch = min((status["pending"][market]["epoch"] for _, status in there), default=0)
    views: list[PeerView] = []
    for node, status in there:
        try:
            digest = await node.ask("book.digest", market=market, epoch=epoch)
            measured = await node.ask("measurements", market=market)
        except NodeUnreachable:
            continue
        views.append(_view(node, market, status, digest, measured))
    return views


def is_agreed(views: Sequence[PeerView]) -> bool:
    """Whether all say the same and that all is settled; otherwise something may just have moved while they spoke."""
    return bool(views) and all(
        view.digest == views[0].digest and view.tickets == views[0].tickets and view.tickets <= view.settled
        for view in views
    )


def _view(
    node: RemoteNode, market: str, status: Status, digest: Mapping[str, Any], measured: Mapping[str, Any]
) -> PeerView:
    return PeerView(
        number=node.number,
        digest=digest["digest"],
        entries=digest["entries"],
        tickets=frozenset(digest["tickets"]),
        settled=frozenset(digest["settled"]),
        entitled=status["pending"][market]["entitled"],
        gossip_drops=status["gossip_drops"],
        by_path=measured["by_path"],
        order_to_ticket_ms=measured["order_to_ticket_ms"],
        ticket_to_chain_ms=measured["ticket_to_chain_ms"],
        moved={
            parse_address(owner): Moved(base=moved["base"], quote=moved["quote"])
            for owner, moved in measured["moved"].items()
        },
    )
