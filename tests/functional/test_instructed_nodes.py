"""Whole nodes that agree on a ticket by escrow: the seller says how to pay, the buyer reads it, a third cannot.

Spec: [DM-1..3].
"""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
import trio

from orrange_p2p.api.control import ControlServer, ask_node
from orrange_p2p.chain.embedded import EmbeddedChain
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.cli.main import main
from orrange_p2p.config import NetworkConfig
from orrange_p2p.core.direct_frames import encode_boxed
from orrange_p2p.core.escrow import EscrowState, EscrowStep
from orrange_p2p.core.events import Note
from orrange_p2p.core.messages import Instructions, Receipt
from orrange_p2p.core.presets import PRESETS
from orrange_p2p.core.types import Epoch, OrderId, PeerId, TicketDigest
from orrange_p2p.errors import NetworkError, OrderError
from orrange_p2p.keys.derive import derive_secret
from orrange_p2p.keys.peer import PeerKey
from orrange_p2p.keys.session import SessionKey
from orrange_p2p.launch.build import build_parts, network_id, node_keys, prepare_store
from orrange_p2p.launch.demo import DEMO_CHAIN_ID, DEMO_GENESIS_MS, DemoClock
from orrange_p2p.launch.escrow_steps import read_case, read_escrow_address, take_step
from orrange_p2p.launch.escrow_tickets import EscrowTickets
from orrange_p2p.launch.found import GAS_MONEY_WEI, Member, Need, first_funded_epoch, found_network
from orrange_p2p.launch.instruction_post import InstructionPost, post_parts
from orrange_p2p.launch.methods import control_methods
from orrange_p2p.launch.report import Measurements
from orrange_p2p.net.direct_streams import DirectStreams
from orrange_p2p.node import Node, NodeParts
from orrange_p2p.testing.store import MemoryDisk
from tests.cli.cli_program import Done
from tests.functional.conftest import Running

SELLER, BUYER = range(2)
ESCROW = ("--security", "1", "--payment-method", "7", "--payment-method", "8", "--arbitrator", "0x" + "ab" * 20)
TEXT = "IBAN DE00 1234 5678\nreference 7"


def secret_of(number: int, name: str) -> bytes:
    """A secret of one of the nodes."""
    return derive_secret("instructed nodes", f"{name} {number}")


class Typed(StringIO):
    """What somebody types at a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Home:
    """A node with its post and its control socket."""

    parts: NodeParts
    node: Node
    post: InstructionPost
    tickets: EscrowTickets
    socket: Path

    async def run(self, *arguments: object, text: str | Typed = "") -> Done:
        """The command line against this node."""
        words = [*map(str, arguments), "--socket", str(self.socket)]
        return await trio.to_thread.run_sync(_run, words, text)


def _run(words: list[str], text: str | Typed) -> Done:
    """A command in this process, one at a time."""
    out, err, stdin = StringIO(), StringIO(), sys.stdin
    sys.stdin = StringIO(text) if isinstance(text, str) else text
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main(words)
    finally:
        sys.stdin = stdin
    return Done(code=code, out=out.getvalue(), err=err.getvalue())


async def found(chain: EmbeddedChain, faucet: SessionKey) -> NetworkConfig:
    """A network with two funded owners."""
    members = [
        Member(
            owner=SessionKey.from_bytes(secret_of(number, "owner")),
            session=SessionKey.from_bytes(secret_of(number, "session")).address,
            submitter=SessionKey.from_bytes(secret_of(number, "submitter")).address,
            need=Need(base=10**8, quote=10**10),
        )
        for number in range(2)
    ]
    preset = PRESETS["dev"]
    return await found_network(
        chain, TransactionLane(chain, faucet), members, preset=preset, genesis_ms=DEMO_GENESIS_MS
    )


def parts_of(
    number: int, network: NetworkConfig, chain: EmbeddedChain, clock: DemoClock, disk: MemoryDisk
) -> NodeParts:
    """A node of a network with an escrow contract."""
    store = disk.open(str(number), create=True, network_id=network_id(network))
    owner = SessionKey.from_bytes(secret_of(number, "owner")).address
    prepare_store(store, network, owner)
    return build_parts(
        network,
        store,
        chain,
        node_keys(store, partial(secret_of, number)),
        owner=owner,
        clock_ms=clock,
        listen_host="127.0.0.1",
        listen_port=0,
    )


@asynccontextmanager
async def home_of(parts: NodeParts, network: NetworkConfig, socket: Path) -> AsyncIterator[Home]:
    """A running node, as `serve_node` wires one."""

    def hear(note: Note, now_ms: int) -> None:
        tickets.hear(note, now_ms)

    node = Node(parts, on_note=hear)
    tickets = EscrowTickets(node.kernel, parts.store)
    post = InstructionPost(post_parts(parts, node.kernel, tickets.parties), retry_s=0.5, look_s=0.05)
    async with node.running(), trio.open_nursery() as nursery:
        methods = control_methods(node, network, Measurements(), post)
        await nursery.start(ControlServer(socket, methods).run)
        nursery.start_soon(post.run)
        yield Home(parts, node, post, tickets, socket)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def two_homes(directory: Path) -> AsyncIterator[list[Home]]:
    """Two connected nodes on an embedded chain, ready to trade."""
    clock, disk = DemoClock(DEMO_GENESIS_MS), MemoryDisk()
    faucet = SessionKey.from_bytes(secret_of(0, "faucet"))
    async with AsyncExitStack() as opened:
        nursery = await opened.enter_async_context(trio.open_nursery())
        opened.callback(nursery.cancel_scope.cancel)
        chain = EmbeddedChain(
            now_ms=clock,
            genesis_time_s=DEMO_GENESIS_MS // 1000 - 1,
            balances_wei={faucet.address: 16 * GAS_MONEY_WEI},
            chain_id=DEMO_CHAIN_ID,
        )
        nursery.start_soon(chain.run)
        network = await found(chain, faucet)
        funded = first_funded_epoch(network.rules()[0], clock())
        homes: list[Home] = []
        for number in range(2):
            parts = parts_of(number, network, chain, clock, disk)
            homes.append(await opened.enter_async_context(home_of(parts, network, directory / f"{number}.sock")))
            for other in homes[:-1]:
                await parts.network.connect(other.node.addresses()[0])
        for home in homes:
            await home.node.wait_until(partial(is_ready, funded))
        yield homes


def is_ready(funded: Epoch, node: Node) -> bool:
    """Whether a node would sign an order that is paid for from this epoch on."""
    (market,) = node.kernel.markets.values()
    window = market.windows.current
    return window is not None and window.epoch >= funded and node.kernel.why_not_sign() is None


async def agree(homes: list[Home]) -> TicketDigest:
    """A ticket by escrow between the first two."""
    (market,) = homes[SELLER].node.kernel.markets
    placed = await homes[SELLER].run("order", "place", "sell", "100.00", "0.005", *ESCROW)
    assert placed.out.endswith("GTC escrow 1\n"), placed
    sold = OrderId(bytes.fromhex(placed.out.split()[1].removeprefix("0x").rstrip(":")))
    await homes[BUYER].node.wait_until(lambda node: node.kernel.markets[market].feeds.order(sold) is not None)
    await homes[BUYER].run("order", "place", "buy", "100.00", "0.005", *ESCROW)
    for home in homes:
        await home.node.wait_until(lambda node: bool(node.kernel.markets[market].tickets))
    (ticket,) = homes[BUYER].node.kernel.markets[market].tickets
    for home in homes:
        await home.node.wait_until(lambda _node, home=home: home.tickets.parties(ticket) is not None)
    return ticket


async def never(peer: PeerId, message: Instructions) -> Receipt | None:
    raise AssertionError


async def test_the_buyer_reads_how_to_pay_and_a_third_peers_try_is_refused(start: Running, tmp_path: Path) -> None:
    async with two_homes(tmp_path) as homes:
        ticket = await agree(homes)
        name = f"0x{ticket.hex()}"
        buyer = homes[BUYER].node.peer_id

        stranger = await start(seed=b"\x33" * 32)
        await stranger.connect(homes[BUYER].node.addresses()[0])
        key = PeerKey.from_seed(b"\x33" * 32)
        reader = PeerKey.from_seed(secret_of(BUYER, "peer")).encryption_key()
        box = key.box_key().seal(reader, encode_boxed(ticket, 1, "pay the third instead"))
        with pytest.raises(NetworkError):
            await DirectStreams(stranger, never).deliver(buyer, Instructions(ticket_digest=ticket, version=1, box=box))

        empty = await homes[BUYER].run("trade", "instructions", name)
        assert empty.out == f"no instructions for {name[:12]}: the seller has sent none yet\n"
        written = await homes[SELLER].run("trade", "instruct", name[:14], text=Typed(f"{TEXT}\n"))
        owner = homes[BUYER].node.kernel.identity.owner
        assert written.err == (
            f"How is 0x{owner.hex()} to pay for your 0.005 BTC? End with Ctrl-D on a line of its own.\n"
        )
        assert written.out.startswith(f"version 1 of the instructions for {name[:12]} is on this node's disk; "), (
            written
        )
        await until_delivered(homes[SELLER], ticket)
        read = json.loads((await homes[BUYER].run("trade", "instructions", name, "--json")).out)
        assert (read["instructions"]["text"], read["instructions"]["version"]) == (TEXT, 1)
        status = json.loads((await homes[BUYER].run("node", "status", "--json")).out)
        assert status["counters"]["instructions"]["rejected_DM-2"] == 1
        assert status["counters"]["network"]["stream_violations"] == 1
        await homes[BUYER].node.wait_until(lambda node: node.kernel.ledger.settled_in(ticket) is not None)
        await look(homes, name)
        await pay_and_confirm(homes, ticket)
        await homes[BUYER].node.wait_until(lambda node: is_over(node, ticket))
        shown = await homes[BUYER].run("trade", "instructions", name)
        assert shown.err == "This trade is released: do not pay any more.\n"
        check_restart(homes[BUYER], ticket)


def is_over(node: Node, ticket: TicketDigest) -> bool:
    """Whether a node has read that the chain holds nothing of a trade any more."""
    standing = node.kernel.ledger.escrow(ticket)
    return standing is not None and standing.state is EscrowState.RELEASED


async def pay_and_confirm(homes: list[Home], ticket: TicketDigest) -> None:
    """The chain holds the trade: the buyer says that it paid, the seller that it was paid."""
    parts, deployment = homes[BUYER].parts, homes[BUYER].parts.deployment
    contract = await read_escrow_address(parts.backend, deployment.settlement)
    assert contract == deployment.escrow
    case = await read_case(parts.backend, contract, ticket, first_block=deployment.deployed_at_block)
    steps = ((BUYER, EscrowStep.MARK_PAID, EscrowState.PAID), (SELLER, EscrowStep.RELEASE, EscrowState.RELEASED))
    for number, step, state in steps:
        owner = SessionKey.from_bytes(secret_of(number, "owner"))
        case = await take_step(parts.backend, case, owner, step)
        assert case.record.state is state


def check_restart(buyer: Home, ticket: TicketDigest) -> None:
    """From the store alone the same is known, though the kernel has forgotten the ticket."""
    parties, received = buyer.tickets.parties(ticket), buyer.post.book.received(ticket)
    kernel, parts = buyer.node.kernel, buyer.parts
    for market in kernel.markets.values():
        market.tickets.clear()
    again = EscrowTickets(kernel, parts.store)
    assert again.parties(ticket) == parties
    assert again.parties(TicketDigest(bytes(32))) is None
    assert InstructionPost(post_parts(parts, kernel, again.parties)).book.received(ticket) == received


async def until_delivered(seller: Home, ticket: TicketDigest) -> None:
    """Wait for the receipt, ten seconds at most."""
    with trio.fail_after(10):
        while not seller.post.book.written(ticket).is_delivered:
            await trio.sleep(0.02)


async def look(homes: list[Home], name: str) -> None:
    """What the command line shows both."""
    shown = await homes[BUYER].run("trade", "instructions", name)
    assert TEXT in shown.out
    assert "version 1, received" in shown.out
    assert shown.err == ""  # the chain holds it: there is nothing to warn of
    shown = await homes[SELLER].run("trade", "instructions", name)
    assert TEXT in shown.out
    assert "version 1, delivered" in shown.out
    listed = await homes[BUYER].run("trade", "list")
    assert "escrow" in listed.out
    assert "v1, received" in listed.out
    assert max(map(len, listed.out.splitlines())) <= 80
    told = await homes[SELLER].run("trade", "show", name)
    assert "payment method   7" in told.out
    assert f"arbitrator       0x{'ab' * 20}" in told.out
    refused = await homes[BUYER].run("trade", "instruct", name, text="no, pay me")
    assert refused.sentence() == "ticket: expected one that you sell in, was one that you buy in"
    refused = await homes[SELLER].run("trade", "instruct", name, text="\x1b[2J")
    assert "expected no control characters but line feeds, was U+001B as character 1" in refused.sentence()
    with pytest.raises(OrderError, match="^ticket: expected one that you sell in, was one that you buy in$"):
        await ask_node(homes[BUYER].socket, "trade.instruct", {"ticket": name, "text": "pay me"})
    with pytest.raises(OrderError, match="^text: expected a text, was int$"):
        await ask_node(homes[SELLER].socket, "trade.instruct", {"ticket": name, "text": 7})
    with pytest.raises(OrderError, match="^ticket: expected 0x and 6 to 64 hex digits, was 7$"):
        await ask_node(homes[SELLER].socket, "trade.show", {"ticket": 7})
    unknown = await homes[BUYER].run("trade", "instructions", "0x" + "12" * 32)
    assert "which begins none" in unknown.sentence()
