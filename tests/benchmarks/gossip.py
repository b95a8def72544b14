"""Gossip between two processes on loopback: orders delivered a second, and what receiving a message costs.

The baseline is the library as it comes but for the settings without which it loses orders. Both publish as fast as the
receiver takes it, without a drop; a run that loses a message does not end and fails by its time limit.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import trio

from tests.benchmarks.figures import Figure, compared
from tests.benchmarks.gossip_child import CLOCK_BYTES, PUBLISHER_SEED, WINDOW, Peer, Received, open_peer

ORDERS_PER_MESSAGE = 50
ORDER_BYTES = 300
LIMIT_S = 15


def run() -> Iterator[Figure]:
    """Measure and report; takes about twenty seconds."""
    ours = trio.run(_measure, "ours", 2000, ORDERS_PER_MESSAGE, 0.0)
    stock = trio.run(_measure, "stock", 400, ORDERS_PER_MESSAGE, 0.0)
    single = trio.run(_measure, "ours", 3000, 1, 0.0)
    paced = trio.run(_measure, "ours", 200, ORDERS_PER_MESSAGE, 0.01)
    stock_paced = trio.run(_measure, "stock", 200, ORDERS_PER_MESSAGE, 0.01)
    yield compared("gossip", "orders delivered", _orders_per_s(ours, 50), "orders/s", baseline=_orders_per_s(stock, 50))
    yield compared("gossip", "receiving a message", _cpu_ms(ours), "ms CPU", baseline=_cpu_ms(stock))
    yield compared(
        "gossip", "batching 50 orders", _orders_per_s(ours, 50), "orders/s", baseline=_orders_per_s(single, 1)
    )
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        yield compared(
            "gossip",
            f"delay at 100 messages/s, {name}",
            _quantile(paced.latencies_ms, share),
            "ms",
            baseline=_quantile(stock_paced.latencies_ms, share),
        )


def _orders_per_s(received: Received, orders_per_message: int) -> float:
    return received.messages * orders_per_message / received.elapsed_s


def _cpu_ms(received: Received) -> float:
    return received.cpu_s * 1000 / received.messages


def _quantile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=100)[round(share * 100) - 1]


async def _measure(kind: str, messages: int, orders_per_message: int, interval_s: float) -> Received:
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.gossip_child", kind, str(messages)]
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with trio.fail_after(LIMIT_S):
            async with open_peer(kind, PUBLISHER_SEED) as peer:
                await peer.connect(await _line(process.stdout))
                await _publish(peer, messages, orders_per_message, interval_s)
                received = Received(**json.loads(await _line(process.stdout)))
                await process.stdin.send_all(b"\n")
                return received
    finally:
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()
            await process.stdin.aclose()
            await process.stdout.aclose()


async def _publish(peer: Peer, messages: int, orders_per_message: int, interval_s: float) -> None:
    body = bytes(ORDER_BYTES * orders_per_message - CLOCK_BYTES)
    for _ in range(messages):
        while peer.backlog() >= WINDOW:
            await trio.sleep(0.001)
        await peer.publish(time.monotonic_ns().to_bytes(CLOCK_BYTES, "big") + body)
        await trio.sleep(interval_s)


async def _line(stream: trio.abc.ReceiveStream) -> str:
    line = b""
    while not line.endswith(b"\n"):
        piece = await stream.receive_some()
        assert piece, "the receiving process ended early"
        line += piece
    return line.decode().strip()


if __name__ == "__main__":
    for one in run():
        sys.stdout.write(one.to_json() + "\n")
