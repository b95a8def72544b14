"""A loopback HTTP proxy in front of a chain that does, on demand, what endpoints do to those who trust them."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import h11
import httpx
import trio

from tests.chain.loopback_server import read_body, reply


class Fault(Enum):
    """What goes wrong with one request."""

    TIMEOUT = "timeout"
    BUSY = "429"
    BROKEN = "5xx"
    GARBAGE = "garbage"
    LOST_ANSWER = "lost answer"
    STALE_HEAD = "stale head"
    MISSING_LOGS = "missing logs"
    FALSE_LOGS = "false logs"
    FALSE_HASH = "false hash"


HONEST_FAULTS = (
    Fault.TIMEOUT,
    Fault.BUSY,
    Fault.BROKEN,
    Fault.GARBAGE,
    Fault.LOST_ANSWER,
    Fault.STALE_HEAD,
    Fault.MISSING_LOGS,
)
"""Those of an endpoint that is not well; the others are lies."""

STALE_BLOCKS = 5
Choose = Callable[[frozenset[str]], Fault | None]


def fits(fault: Fault, methods: frozenset[str]) -> bool:
    """Whether a request that asks these methods can show a fault."""
    if fault is Fault.MISSING_LOGS:
        return "eth_getLogs" in methods
    if fault is Fault.FALSE_LOGS:
        return bool(methods & {"eth_getLogs", "eth_getBlockReceipts"})
    if fault is Fault.STALE_HEAD:
        return bool(methods & {"eth_blockNumber", "eth_getBlockByNumber"})
    return fault is not Fault.FALSE_HASH or "eth_getBlockByNumber" in methods


@dataclass(slots=True)
class FaultProxy:
    """Forwards requests to `target`; `choose` says for each, by its methods, what goes wrong."""

    target: str
    choose: Choose
    client: httpx.AsyncClient
    url: str = ""
    injected: Counter[Fault] = field(default_factory=Counter)
    requests: int = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, one request."""
        async with stream:
            connection = h11.Connection(h11.SERVER)
            try:
                body = await read_body(connection, stream)
                if body is not None:
                    await self._answer(connection, stream, body)
            except (trio.BrokenResourceError, h11.RemoteProtocolError):
                return  # whoever asked has gone

    async def _answer(self, connection: h11.Connection, stream: trio.SocketStream, body: bytes) -> None:
        self.requests += 1
        asked = json.loads(body)
        methods = frozenset(one["method"] for one in (asked if isinstance(asked, list) else [asked]))
        fault = self.choose(methods)
        if fault is not None:
            self.injected[fault] += 1
        if fault is Fault.TIMEOUT:
            await stream.receive_some()  # until who asked gives up
            return
        if fault is Fault.BUSY:
            await reply(connection, stream, 429, b"", ("retry-after", "1"))
            return
        if fault is Fault.BROKEN:
            await reply(connection, stream, 503, b"")
            return
        content = json.dumps(await self._forward(asked, fault)).encode()
        if fault is Fault.LOST_ANSWER:
            return
        await reply(connection, stream, 200, b"<html>" if fault is Fault.GARBAGE else content)

    async def _forward(self, asked: Any, fault: Fault | None) -> Any:
        if isinstance(asked, list):
            answers = (await self.client.post(self.target, json=asked)).json()
            by_id = {answer["id"]: answer for answer in answers}
            return [_twist(one["method"], by_id[one["id"]], fault) for one in asked]
        if fault is Fault.STALE_HEAD and asked["params"][:1] in ([], ["latest"]):
            return await self._stale(asked)
        return _twist(asked["method"], (await self.client.post(self.target, json=asked)).json(), fault)

    async def _stale(self, asked: Any) -> Any:
        """The newest block as it was some blocks ago."""
        question = {**asked, "method": "eth_blockNumber", "params": []}
        newest = int((await self.client.post(self.target, json=question)).json()["result"], 16)
        number = hex(max(0, newest - STALE_BLOCKS))
        if asked["method"] == "eth_blockNumber":
            return {"jsonrpc": "2.0", "id": asked["id"], "result": number}
        return (await self.client.post(self.target, json={**asked, "params": [number, False]})).json()


def _twist(method: str, answer: Any, fault: Fault | None) -> Any:
    """An answer as the fault has it."""
    result = answer.get("result")
    if method == "eth_getLogs" and result:
        if fault is Fault.MISSING_LOGS:
            return {**answer, "result": []}
        if fault is Fault.FALSE_LOGS:
            return {**answer, "result": [{**log, "data": log["data"][:-2] + "99"} for log in result]}
    if method == "eth_getBlockReceipts" and fault is Fault.FALSE_LOGS and result:
        receipts = [
            {**one, "logs": [{**log, "data": log["data"][:-2] + "99"} for log in one["logs"]]} for one in result
        ]
        return {**answer, "result": receipts}
    if method == "eth_getBlockByNumber" and fault is Fault.FALSE_HASH and result:
        return {**answer, "result": {**result, "hash": result["hash"][:-4] + "beef"}}
    return answer


@asynccontextmanager
async def run_proxy(target: str, choose: Choose) -> AsyncIterator[FaultProxy]:
    """A proxy on a free loopback port."""
    async with httpx.AsyncClient(trust_env=False, verify=False) as client, trio.open_nursery() as nursery:
        proxy = FaultProxy(target=target, choose=choose, client=client)
        listeners = await nursery.start(
            lambda task_status: trio.serve_tcp(proxy.serve, 0, host="127.0.0.1", task_status=task_status)
        )
        proxy.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        yield proxy
        nursery.cancel_scope.cancel()
