"""Asking peers that may be down: what is asked again, what never is, and what a node's socket survives."""

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import trio

from orrange_p2p.api.control import ControlServer, NodeUnreachable, ask_node
from orrange_p2p.core.types import OrderId, Side
from orrange_p2p.errors import OrderError, StoreError
from orrange_p2p.launch import devnet_remote
from orrange_p2p.launch.devnet_remote import RemoteNode, RemoteTrader, ask_all
from orrange_p2p.launch.flow import Cancel, Submit
from orrange_p2p.launch.replay import Replay

ORDER = "0x" + "17" * 32
Answer = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devnet_remote, "_PAUSE_S", 0.02)
    monkeypatch.setattr(devnet_remote, "GONE_LIMIT_S", 0.5)
    monkeypatch.setattr(devnet_remote, "ANSWER_LIMIT_S", 0.5)


class Owner:
    """Refuses with the given errors, one after the other, then accepts."""

    def __init__(self, *refusals: Exception) -> None:
        self.refusals = list(refusals)
        self.asked: list[Mapping[str, Any]] = []

    async def place(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(params)
        if self.refusals:
            raise self.refusals.pop(0)
        return {"order_id": ORDER}


async def serve(nursery: trio.Nursery, path: Path, **methods: Answer) -> None:
    await nursery.start(ControlServer(path, {name.replace("_", "."): one for name, one in methods.items()}).run)


async def place(path: Path) -> OrderId:
    with trio.fail_after(5):
        return await RemoteTrader(RemoteNode(0, path)).place(Side.BUY, 7, 8)


async def test_an_order_waits_for_a_peer_that_is_down(tmp_path: Path) -> None:
    owner = Owner()
    async with trio.open_nursery() as nursery:

        async def come_later() -> None:
            await trio.sleep(0.15)
            await serve(nursery, tmp_path / "s", order_place=owner.place)

        nursery.start_soon(come_later)
        assert await place(tmp_path / "s") == bytes.fromhex(ORDER[2:])
        nursery.cancel_scope.cancel()
    assert owner.asked == [{"side": "buy", "price_ticks": 7, "quantity_lots": 8}]


async def test_an_order_gives_up_on_a_peer_that_stays_down(tmp_path: Path) -> None:
    with pytest.raises(NodeUnreachable) as caught:
        await place(tmp_path / "s")
    assert not caught.value.was_sent


@pytest.mark.parametrize("rule", ["TICK-12", "FEED-11"])
async def test_a_peer_that_is_not_ready_is_asked_again(rule: str, tmp_path: Path) -> None:
    owner = Owner(*[OrderError("node", "busy", rule, "later")] * 3)
    async with trio.open_nursery() as nursery:
        await serve(nursery, tmp_path / "s", order_place=owner.place)
        await place(tmp_path / "s")
        nursery.cancel_scope.cancel()
    assert len(owner.asked) == 4


@pytest.mark.parametrize("refusal", [OrderError("lots", 9, "FUND-3", "unfunded"), StoreError("disk full")])
async def test_a_refusal_is_final_and_keeps_its_kind(refusal: Any, tmp_path: Path) -> None:
    owner = Owner(refusal)
    async with trio.open_nursery() as nursery:
        await serve(nursery, tmp_path / "s", order_place=owner.place)
        with pytest.raises(type(refusal).__mro__[0 if isinstance(refusal, OrderError) else 1]) as caught:
            await place(tmp_path / "s")
        nursery.cancel_scope.cancel()
    assert (caught.value.code, str(caught.value)) == (refusal.code, str(refusal))
    assert len(owner.asked) == 1


@pytest.mark.parametrize("end", [b"", b'{"ok": true, "resu', None])
async def test_what_may_have_been_carried_out_is_never_asked_twice(end: bytes | None, tmp_path: Path) -> None:
    taken: list[bytes] = []

    async def die(stream: trio.SocketStream) -> None:
        async with stream:
            taken.append(await stream.receive_some())
            if end is None:
                await trio.sleep_forever()
            await stream.send_all(end)

    listening = trio.socket.socket(trio.socket.AF_UNIX)
    await listening.bind(str(tmp_path / "s"))
    listening.listen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, die, [trio.SocketListener(listening)])
        with pytest.raises(NodeUnreachable) as caught:
            await place(tmp_path / "s")
        nursery.cancel_scope.cancel()
    assert caught.value.was_sent
    assert len(taken) == 1


async def test_a_replay_counts_what_found_nobody_and_goes_on(tmp_path: Path) -> None:
    owner = Owner()
    events = [
        Submit(time_ms=0, order_id=0, side=Side.BUY, price_ticks=1, quantity_lots=1),
        Submit(time_ms=0, order_id=1, side=Side.BUY, price_ticks=1, quantity_lots=1),
        Cancel(time_ms=1, order_id=0),
        Cancel(time_ms=1, order_id=1),
    ]
    async with trio.open_nursery() as nursery:
        await serve(nursery, tmp_path / "s", order_place=owner.place, order_cancel=owner.place)
        traders = (RemoteTrader(RemoteNode(0, tmp_path / "s")), RemoteTrader(RemoteNode(1, tmp_path / "none")))
        replay = Replay(traders, speed=1.0)
        with trio.fail_after(5):
            await replay.run(events)
        nursery.cancel_scope.cancel()
    assert replay.counts == {"placed": 1, "cancelled": 1, "unsent": 1}


async def test_the_peers_that_are_up_are_told_from_those_that_are_down(tmp_path: Path) -> None:
    async def status(_: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"block": 5}

    async with trio.open_nursery() as nursery:
        await serve(nursery, tmp_path / "b", status=status)
        nodes = [RemoteNode(number, tmp_path / name) for number, name in enumerate("abc")]
        assert await ask_all(nodes) == [None, {"block": 5}, None]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\xfe",
        b"7",
        b"[]",
        b"{}",
        b"null",
        b'{"method": []}',
        b'{"method": {"a": 1}}',
        b'{"method": "order.place", "params": []}',
        b'{"method": "nothing"}',
        b"[" * 60_000,
    ],
)
async def test_junk_on_the_control_socket_is_answered_and_the_next_client_served(line: bytes, tmp_path: Path) -> None:
    owner = Owner()
    async with trio.open_nursery() as nursery:
        await serve(nursery, tmp_path / "s", order_place=owner.place)
        async with await trio.open_unix_socket(str(tmp_path / "s")) as stream:
            await stream.send_all(line + b"\n")
            with trio.fail_after(5):
                answer = json.loads(await stream.receive_some())
        assert (answer["ok"], answer["error"]["code"]) == (False, "config")
        assert await ask_node(tmp_path / "s", "order.place", {}) == {"order_id": ORDER}
        nursery.cancel_scope.cancel()


async def test_a_line_without_end_is_cut_off_and_the_next_client_served(tmp_path: Path) -> None:
    owner = Owner()
    async with trio.open_nursery() as nursery:
        await serve(nursery, tmp_path / "s", order_place=owner.place)
        with trio.fail_after(5):
            async with await trio.open_unix_socket(str(tmp_path / "s")) as stream:
                with pytest.raises(trio.BrokenResourceError):
                    while True:
                        await stream.send_all(b"x" * 50_000)
        assert await ask_node(tmp_path / "s", "order.place", {}) == {"order_id": ORDER}
        nursery.cancel_scope.cancel()
