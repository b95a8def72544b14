"""Two nodes on a chain that takes back the block of their trade, and that one of two endpoints lies about.

The trade settles again, a lie stops the node that hears it until it is taken back, and they trade on.
"""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import trio
from cli_program import Net, poll

from orrange_p2p.api.client import call_node
from orrange_p2p.errors import OrderError
from tests.chain.fault_proxy import Fault, fits, run_proxy


@dataclass(slots=True)
class Liar:
    """A second endpoint of the first node, which tells false hashes while it `lies`."""

    url: str = ""
    lies: bool = False

    def choose(self, methods: frozenset[str]) -> Fault | None:
        """What goes wrong with a request."""
        return Fault.FALSE_HASH if self.lies and fits(Fault.FALSE_HASH, methods) else None


@pytest.fixture
def liar(founded: Net) -> Iterator[Liar]:
    """It runs, and the first node has it in its configuration; no node runs yet."""
    started: queue.Queue[str] = queue.Queue()
    stop, found = threading.Event(), Liar()

    async def lie_on_demand() -> None:
        async with run_proxy(founded.rpc_url, found.choose) as proxy:
            started.put(proxy.url)
            await trio.to_thread.run_sync(stop.wait)

    thread = threading.Thread(target=trio.run, args=(lie_on_demand,), name="liar")
    thread.start()
    found.url = started.get(timeout=10)
    text = founded.config(0).read_text()
    one, both = f'rpc_url = "{founded.rpc_url}"', f'rpc_url = ["{founded.rpc_url}", "{found.url}"]'
    assert one in text
    founded.config(0).write_text(text.replace(one, both))
    yield found
    founded.stop_all()
    stop.set()
    thread.join(timeout=10)


def ask(net: Net, number: int, method: str, **params: object) -> Any:
    """Ask a node, as the command line does."""
    return call_node(net.peer(number) / "node.sock", method, params)


def on_chain(net: Net, method: str, *parameters: object) -> Any:
    """Ask the chain itself."""
    question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
    answer = httpx.post(net.rpc_url, json=question, trust_env=False).json()
    assert "error" not in answer, answer
    return answer["result"]


def settled_in(net: Net, number: int) -> list[int]:
    """The blocks in which a node's trades settled, of all that it knows by now."""
    trades = ask(net, number, "trades")["trades"]
    return sorted(one["settled_in_block"] for one in trades if one["settled_in_block"] is not None)


def trade(net: Net, price_ticks: int) -> None:
    """One sells, the other buys, and the chain settles it for both to see."""
    before = [len(settled_in(net, number)) for number in range(2)]
    for number, side in enumerate(("sell", "buy")):
        ask(net, number, "order.place", side=side, price_ticks=price_ticks, quantity_lots=5)
    poll(lambda: all(len(settled_in(net, number)) > before[number] for number in range(2)))


@pytest.mark.timeout(120)
def test_a_trade_whose_block_is_taken_back_settles_again_and_a_lie_stops_who_hears_it(founded: Net, liar: Liar) -> None:
    """Spec: [BOOK-1], [TICK-12], [TICK-13]."""
    for number in range(2):
        founded.start(number)
    poll(lambda: all(ask(founded, number, "status")["why_not_signing"] is None for number in range(2)))
    trade(founded, 10_000)
    (first,) = settled_in(founded, 0)
    depth = int(on_chain(founded, "eth_blockNumber"), 16) - first + 1
    on_chain(founded, "anvil_reorg", depth, [])

    def unwound(number: int) -> int:
        return int(ask(founded, number, "status")["counters"]["kernel"].get("blocks_unwound", 0))

    poll(lambda: all(unwound(number) == 1 for number in range(2)))
    poll(lambda: all(len(settled_in(founded, number)) == 1 for number in range(2)))
    (again,) = settled_in(founded, 0)
    assert again > first
    assert settled_in(founded, 1) == [again]
    liar.lies = True
    poll(lambda: "contradict each other about block" in (ask(founded, 0, "status")["why_not_signing"] or ""))
    why = ask(founded, 0, "status")["why_not_signing"]
    assert founded.rpc_url in why
    assert liar.url in why
    with pytest.raises(OrderError, match="the node signs nothing now: no chain: the endpoints contradict each other"):
        ask(founded, 0, "order.place", side="sell", price_ticks=10_000, quantity_lots=5)
    liar.lies = False
    poll(lambda: ask(founded, 0, "status")["why_not_signing"] is None)
    trade(founded, 10_100)
    for number in range(2):
        chain = ask(founded, number, "status")["counters"]["chain"]
        assert chain["reorganisations"] == 1
        assert chain["deepest"] >= 1
        assert chain["seen_block"] >= again
        assert chain["endpoints"]["is_cross_checked"] == (number == 0)
