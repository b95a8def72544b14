"""Keeps a connection to an address that is to be connected to always, such as a bootstrap peer's."""

import structlog
import trio

from orrange_p2p.errors import NetworkError
from orrange_p2p.net.addresses import parse_address
from orrange_p2p.net.network import Network

RECONNECT_S = 2.0

_log = structlog.get_logger(__name__)


async def keep_connected(network: Network, address: str) -> None:
    """Dial `address` whenever its peer is not connected, until cancelled; the own address is left alone."""
    _, peer = parse_address(address)
    if peer == network.peer_id:
        return
    while True:
        if not network.is_connected(peer):
            try:
                await network.connect(address)
            except NetworkError as error:
                _log.debug("bootstrap peer not reached", address=address, error=str(error))
        await trio.sleep(RECONNECT_S)
