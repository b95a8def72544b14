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
        body = b""
        async with stream:
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await stream.receive_some())
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    break
                elif isinstance(event, h11.ConnectionClosed):
                    return
            self.requests.append(body)
            status, content = self.script(len(self.requests), body)
            headers = [("content-type", "application/json"), ("content-length", str(len(content)))]
            await stream.send_all(
                connection.send(h11.Response(status_code=status, headers=[*headers, ("connection", "close")])) or b""
            )
            await stream.send_all(connection.send(h11.Data(data=content)) or b"")
            await stream.send_all(connection.send(h11.EndOfMessage()) or b"")


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
