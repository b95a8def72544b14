"""A real server on loopback that answers HTTP requests from a script."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h11
import trio

Answer = tuple[int, bytes]


@dataclass(slots=True)
class ScriptedServer:
    """Answers each request with what `script` says for (number of the request, body)."""

    script: Callable[[int, bytes], Answer]
    url: str = ""
    requests: list[bytes] = field(default_factory=list)

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, one request."""
        connection = h11.Connection(h11.SERVER)
        async with stream:
            body = await read_body(connection, stream)
            if body is not None:
                self.requests.append(body)
                status, content = self.script(len(self.requests), body)
                await reply(connection, stream, status, content)


async def read_body(connection: h11.Connection, stream: trio.SocketStream) -> bytes | None:
    """The body of the next request; None if there is none any more."""
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some())
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return body
        elif isinstance(event, h11.ConnectionClosed):
            return None


async def reply(
    connection: h11.Connection, stream: trio.SocketStream, status: int, content: bytes, *more: tuple[str, str]
) -> None:
    """Answer the request, and close."""
    headers = [("content-type", "application/json"), ("content-length", str(len(content))), ("connection", "close")]
    response = h11.Response(status_code=status, headers=[*headers, *more])
    pieces = [connection.send(event) or b"" for event in (response, h11.Data(data=content), h11.EndOfMessage())]
    await stream.send_all(b"".join(pieces))


@asynccontextmanager
async def run_scripted(script: Callable[[int, bytes], Answer]) -> AsyncIterator[ScriptedServer]:
    """Serve `script` on a free loopback port."""
    server = ScriptedServer(script=script)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            lambda task_status: trio.serve_tcp(server.serve, 0, host="127.0.0.1", task_status=task_status)
        )
        server.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        yield server
        nursery.cancel_scope.cancel()
