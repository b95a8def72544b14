"""The listening sockets: ours alone, bound before anything else starts."""

import errno
from collections.abc import Sequence

import trio
from libp2p.abc import IListener
from libp2p.utils.multiaddr_utils import multiaddr_from_socket
from multiaddr import Multiaddr

from orrange_p2p.errors import NetworkError


async def open_sockets(host: str, port: int) -> list[trio.SocketListener]:
    """Listen on a port of ours alone.

    Raises:
        NetworkError: The port is in use, or the address is not ours.
    """
    try:
        return list(await trio.open_tcp_listeners(port, host=host))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise NetworkError(
                f"port {port} on {host} is in use: stop the program that holds it or choose another port"
            ) from error
        raise NetworkError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error


class BoundListener(IListener):
    """Sockets that `Network` has bound and serves; the library only asks for their addresses.

    Its own listener sets SO_REUSEPORT, so two nodes given one port by mistake would share it in silence.
    """

    def __init__(self, sockets: Sequence[trio.SocketListener]) -> None:
        self._sockets = sockets

    async def listen(self, maddr: Multiaddr) -> None:
        """Nothing to do: they are listening."""

    def get_addrs(self) -> tuple[Multiaddr, ...]:
        """The addresses bound, with the real ports."""
        return tuple(multiaddr_from_socket(one.socket) for one in self._sockets)

    async def close(self) -> None:
        """Stop listening."""
        for one in self._sockets:
            await one.aclose()
