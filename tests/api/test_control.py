"""The control socket: what it answers, and what it does not fall over."""

import json
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from orrange_p2p.api.client import call_node
from orrange_p2p.api.control import MAX_LINE_BYTES, ControlServer
from orrange_p2p.errors import ConfigError, OrderError, OrrangeError


async def echo(params: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"params": dict(params)}


async def refuse(params: Mapping[str, Any]) -> Mapping[str, Any]:
    raise OrderError("price_ticks", 7, "ORD-1", f"price_ticks: expected 8, was {params['given']}")


METHODS = {"echo": echo, "refuse": refuse}


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(ControlServer(path, METHODS).run)
        yield
        nursery.cancel_scope.cancel()


async def ask(path: Path, method: str, params: Mapping[str, Any]) -> Any:
    return await trio.to_thread.run_sync(lambda: call_node(path, method, params, timeout_s=5))


async def ask_raw(path: Path, line: bytes) -> dict[str, Any]:
    """Send bytes as they are and read one answer."""
    stream = await trio.open_unix_socket(str(path))
    async with stream:
        await stream.send_all(line)
        answer = b""
        while not answer.endswith(b"\n"):
            piece = await stream.receive_some()
            if not piece:
                break
            answer += piece
    return json.loads(answer) if answer else {}


async def test_a_call_is_answered(tmp_path: Path) -> None:
    async with serving(tmp_path / "s"):
        assert await ask(tmp_path / "s", "echo", {"a": 1}) == {"params": {"a": 1}}


async def test_a_refusal_keeps_its_field_value_and_rule(tmp_path: Path) -> None:
    async with serving(tmp_path / "s"):
        with pytest.raises(OrderError) as refused:
            await ask(tmp_path / "s", "refuse", {"given": 7})
    assert (refused.value.field, refused.value.rule) == ("price_ticks", "ORD-1")
    assert str(refused.value) == "price_ticks: expected 8, was 7"


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"not json\n",
        b"[]\n",
        b'"text"\n',
        b"{}\n",
        b'{"method": "nobody"}\n',
        b'{"method": ["echo"]}\n',
        b'{"method": "echo", "params": 3}\n',
        b"[" * 60_000 + b"\n",
        b"\xff\xfe\n",
    ],
)
async def test_garbage_gets_one_error_and_the_next_client_is_served(tmp_path: Path, line: bytes) -> None:
    async with serving(tmp_path / "s"):
        answer = await ask_raw(tmp_path / "s", line)
        assert answer["ok"] is False
        assert answer["error"]["code"] == "config"
        assert await ask(tmp_path / "s", "echo", {}) == {"params": {}}


async def test_a_line_without_end_is_cut_off(tmp_path: Path) -> None:
    async with serving(tmp_path / "s"):
        with suppress(trio.BrokenResourceError):
            assert await ask_raw(tmp_path / "s", b"x" * (MAX_LINE_BYTES * 3)) == {}
        assert await ask(tmp_path / "s", "echo", {}) == {"params": {}}


async def test_a_client_that_leaves_half_way_harms_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path / "s"):
        stream = await trio.open_unix_socket(str(tmp_path / "s"))
        await stream.send_all(b'{"method": "ec')
        await stream.aclose()
        assert await ask(tmp_path / "s", "echo", {}) == {"params": {}}


async def test_only_its_user_can_open_the_socket(tmp_path: Path) -> None:
    async with serving(tmp_path / "s"):
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600


async def test_a_second_node_on_the_socket_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    async with serving(tmp_path / "s"):
        with pytest.RaisesGroup(pytest.RaisesExc(ConfigError, match="already running"), flatten_subgroups=True):
            async with serving(tmp_path / "s"):
                pass
        assert await ask(tmp_path / "s", "echo", {}) == {"params": {}}


async def test_a_socket_left_by_a_killed_node_is_taken_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(tmp_path / "s"))
    async with serving(tmp_path / "s"):
        assert await ask(tmp_path / "s", "echo", {}) == {"params": {}}
    assert not (tmp_path / "s").exists()


async def test_a_path_too_long_for_a_socket_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shorter data directory"):
        call_node(tmp_path / ("x" * 120), "echo", {})


def test_no_node_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(OrrangeError, match="orrange node run"):
        call_node(tmp_path / "nobody", "echo", {})
