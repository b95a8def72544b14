"""A node without a chain: it starts, shows what it has, signs nothing, says why, and goes on once there is one."""

import queue
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
from cli_program import Net, orrange, poll

from orrange_p2p.api.client import call_node
from orrange_p2p.errors import OrderError
from orrange_p2p.testing.relay import Relay, run_relay


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSwitch:
    """Two peers whose only way to the chain can be closed and opened."""

    net: Net
    relay: Relay
    token: trio.lowlevel.TrioToken

    def close(self) -> None:
        """From now on nobody reaches the chain."""
        trio.from_thread.run_sync(self.relay.cut, trio_token=self.token)

    def open(self) -> None:
        """The chain is there again."""
        trio.from_thread.run_sync(self.relay.mend, trio_token=self.token)

    def ask(self, number: int, method: str, **params: object) -> Any:
        """Ask a node, as the command line does."""
        return call_node(self.net.peer(number) / "node.sock", method, params)

    def place(self, number: int, side: str, price_ticks: int) -> str:
        """A small order."""
        order_id: str = self.ask(number, "order.place", side=side, price_ticks=price_ticks, quantity_lots=5)["order_id"]
        return order_id

    def status(self, number: int) -> dict[str, Any]:
        """What a node says about itself."""
        answer: dict[str, Any] = self.ask(number, "status")
        return answer

    def wait_lost(self) -> None:
        """Until both nodes know that they are alone, and with which chain."""
        reason = f"no chain: the chain at {self.relay.url} cannot be reached"
        poll(lambda: all((self.status(number)["why_not_signing"] or "").startswith(reason) for number in range(2)))

    def wait_signing(self) -> None:
        """Until both nodes sign."""
        poll(lambda: all(self.status(number)["why_not_signing"] is None for number in range(2)))


@pytest.fixture
def switch(founded: Net) -> Iterator[ChainSwitch]:
    """The chain of the network behind a relay, which is closed at first; no node runs yet."""
    started: queue.Queue[ChainSwitch] = queue.Queue()
    stop = threading.Event()

    async def relay_chain() -> None:
        async with run_relay(urlsplit(founded.rpc_url).port or 0) as relay:
            relay.cut()
            started.put(ChainSwitch(net=founded, relay=relay, token=trio.lowlevel.current_trio_token()))
            await trio.to_thread.run_sync(stop.wait)

    thread = threading.Thread(target=trio.run, args=(relay_chain,), name="relay")
    thread.start()
    found = started.get(timeout=10)
    for number in range(2):
        text = founded.config(number).read_text()
        assert founded.rpc_url in text
        founded.config(number).write_text(text.replace(founded.rpc_url, found.relay.url))
    yield found
    founded.stop_all()
    stop.set()
    thread.join(timeout=10)


def refused(switch: ChainSwitch, method: str, **params: object) -> None:
    """The first node refuses to sign this, and says that it is for want of a chain."""
    with pytest.raises(OrderError) as refusal:
        switch.ask(0, method, **params)
    assert refusal.value.rule == "TICK-12"
    said = f"the node signs nothing now: no chain: the chain at {switch.relay.url} cannot be reached"
    assert str(refusal.value).startswith(said)


def trade(switch: ChainSwitch, price_ticks: int) -> None:
    """One sells, the other buys, and the chain settles it."""
    before = [len(settled(switch, number)) for number in range(2)]
    switch.place(0, "sell", price_ticks)
    switch.place(1, "buy", price_ticks)
    poll(lambda: all(len(settled(switch, number)) > before[number] for number in range(2)))


def settled(switch: ChainSwitch, number: int) -> list[dict[str, Any]]:
    """A node's trades that are on the chain."""
    trades: list[dict[str, Any]] = switch.ask(number, "trades")["trades"]
    return [one for one in trades if one["settled_in_block"] is not None]


def shown(switch: ChainSwitch, number: int) -> tuple[Any, Any, Any]:
    """Book and history as a node shows them."""
    book = switch.ask(number, "book")
    return book["bids"], book["asks"], settled(switch, number)


@pytest.mark.timeout(120)
def test_a_node_without_a_chain_shows_its_store_signs_nothing_says_why_and_trades_once_there_is_one(
    switch: ChainSwitch,
) -> None:
    net = switch.net
    for number in range(2):
        net.start(number)
    switch.wait_lost()
    assert all(switch.status(number)["block"] is None for number in range(2))
    done = orrange("order", "place", "sell", "100.00", "0.5", "--data-dir", net.peer(0), "--json")
    assert "the node signs nothing now: no chain: " in done.sentence()
    assert done.json()["error"]["code"] == "order"
    switch.open()
    switch.wait_signing()
    resting = switch.place(0, "sell", 14_000)
    trade(switch, 10_000)

    switch.close()
    switch.wait_lost()
    refused(switch, "order.place", side="sell", price_ticks=10_100, quantity_lots=5)
    assert switch.status(0)["settling"] == {"waiting": 0, "sent": 0, "held_back_for": "", "missed": 0}
    refused(switch, "order.cancel", order_id=resting)
    before = shown(switch, 0)
    assert (len(before[1]), len(before[2])) == (1, 1)
    assert net.running[0].stop(signal.SIGTERM) == 0

    net.start(0)
    switch.wait_lost()
    refused(switch, "order.place", side="sell", price_ticks=10_200, quantity_lots=5)
    assert shown(switch, 0) == before
    assert resting in [one["order_id"] for one in switch.ask(0, "order.list")["orders"]]
    assert switch.status(0)["chain_doubt"] is not None
    switch.open()
    switch.wait_signing()
    assert shown(switch, 0) == before
    trade(switch, 10_300)
