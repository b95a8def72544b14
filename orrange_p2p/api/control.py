"""The control socket: the owner's commands to a running node, over a Unix-domain socket only its user can open.

One JSON object a line. Request `{"method": ..., "params": {...}}`; answer `{"ok": true, "result": {...}}` or
`{"ok": false, "error": {"code": ..., "message": ..., ...}}`.
"""

import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from orrange_p2p.api.client import MAX_LINE_BYTES, check_length, describe_error, read_answer
from orrange_p2p.api.client import call_node as call_node  # where callers have looked for it
from orrange_p2p.errors import ConfigError, OrrangeError

if TYPE_CHECKING:
    from trio_typing import TaskStatus  # the stubs that libp2p brings along hide trio's own

MAX_CLIENTS = 32
MAX_RECURSION = 10_000
MAX_ANSWER_BYTES = 64 * 1024 * 1024

Params = Mapping[str, Any]
Method = Callable[[Params], Awaitable[Mapping[str, Any]]]


class NodeUnreachable(OrrangeError):
    """No node answered; `was_sent` says whether it may have carried out the request all the same."""

    code = "node.unreachable"

    def __init__(self, message: str, *, was_sent: bool) -> None:
        super().__init__(message)
        self.was_sent = was_sent


class ControlServer:
    """Serves `methods` on a socket; a client that misbehaves is answered with an error, nobody else notices."""

    def __init__(self, path: Path, methods: Mapping[str, Method]) -> None:
        self._path = path
        self._methods = dict(methods)
        self._limit = trio.CapacityLimiter(MAX_CLIENTS)

    async def run(self, *, task_status: "TaskStatus[None]" = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled.

        Raises:
            ConfigError: the path is too long, or another node serves it.
        """
        # A library may have raised the limit so far that nested JSON overflows the C stack instead of raising.
        sys.setrecursionlimit(min(sys.getrecursionlimit(), MAX_RECURSION))
        listening = _listen(self._path)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        try:
            task_status.started()
            await trio.serve_listeners(self._serve, [listener])
        finally:
            with suppress(FileNotFoundError):
                self._path.unlink()

    async def _serve(self, stream: trio.SocketStream) -> None:
        buffer = bytearray()
        async with self._limit:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                async with stream:
                    while (line := await _read_line(stream, buffer)) is not None:
                        await stream.send_all(await self._answer(line))

    async def _answer(self, line: bytes) -> bytes:
        try:
            result = await self._call(line)
            answer: dict[str, Any] = {"ok": True, "result": result}
        except OrrangeError as error:
            answer = {"ok": False, "error": describe_error(error)}
        return json.dumps(answer).encode() + b"\n"

    async def _call(self, line: bytes) -> Mapping[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"expected one JSON object a line, was {line[:40]!r}") from error
        name = request.get("method") if isinstance(request, dict) else None
        method = self._methods.get(name) if isinstance(name, str) else None
        params = request.get("params", {}) if isinstance(request, dict) else None
        if method is None or not isinstance(params, dict):
            raise ConfigError(f"expected a method of {', '.join(sorted(self._methods))}")
        return await method(params)


async def ask_node(path: Path, method: str, params: Params, *, timeout_s: float = 30) -> Any:  # noqa: ANN401 - JSON
    """Ask a running node from a trio task, over a connection of its own; a node serves MAX_CLIENTS at a time.

    Args:
        path: its control socket.
        method: what to ask for.
        params: JSON values.
        timeout_s: how long to wait for the answer.

    Returns:
        The result, JSON values.

    Raises:
        NodeUnreachable: no node serves the socket, or it stopped or fell silent before its answer.
        OrrangeError: the node refused, with its own sentence.
        ConfigError: the path is too long.
    """
    check_length(path)
    request = json.dumps({"method": method, "params": dict(params)}).encode() + b"\n"
    answer = bytearray()
    was_sent = False
    with trio.move_on_after(timeout_s):
        try:
            async with await trio.open_unix_socket(str(path)) as stream:
                was_sent = True
                await stream.send_all(request)
                while not answer.endswith(b"\n") and len(answer) < MAX_ANSWER_BYTES:
                    piece = await stream.receive_some()
                    if not piece:
                        break
                    answer += piece
        except (OSError, trio.BrokenResourceError) as error:
            raise NodeUnreachable(f"no node answers at {path}", was_sent=was_sent) from error
    if not answer.endswith(b"\n"):
        raise NodeUnreachable(f"the node at {path} gave no answer within {timeout_s} s", was_sent=was_sent)
    return read_answer(path, bytes(answer))


async def _read_line(stream: trio.SocketStream, buffer: bytearray) -> bytes | None:
    while (end := buffer.find(b"\n")) < 0:
        if len(buffer) > MAX_LINE_BYTES:
            return None
        piece = await stream.receive_some()
        if not piece:
            return None
        buffer += piece
    line = bytes(buffer[:end])
    del buffer[: end + 1]
    return line


def _listen(path: Path) -> socket.socket:
    check_length(path)
    if path.exists():
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                path.unlink()
            else:
                raise ConfigError(f"a node is already running on {path}: stop it first")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise ConfigError(f"cannot open the control socket {path}: {error.strerror}") from error
    finally:
        os.umask(mask)
    listening.listen(MAX_CLIENTS)
    listening.settimeout(0)
    return listening
