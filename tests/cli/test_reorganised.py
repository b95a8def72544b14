"""Two nodes on a chain that takes back the block in which their trade settled: it settles again, and they trade on."""

from typing import Any

import httpx
import pytest
from cli_program import Net, poll

from orrange_p2p.api.client import call_node


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
def test_a_trade_whose_block_is_taken_back_settles_again_and_the_nodes_trade_on(founded: Net) -> None:
    """Spec: [BOOK-1], [TICK-13]."""
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
    trade(founded, 10_100)
    for number in range(2):
        status = ask(founded, number, "status")
        assert status["why_not_signing"] is None
        chain = status["counters"]["chain"]
        assert chain["reorganisations"] == 1
        assert chain["deepest"] >= 1
        assert chain["seen_block"] >= again
        assert [one["last_error"] for one in chain["endpoints"]["endpoints"]] == [""]
    founded.stop_all()
