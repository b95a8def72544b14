"""A peer in a process of its own: prints its address, follows the topic, and says what it hears until it is killed."""

import sys

import trio

from orrange_p2p.core.types import PeerId
from orrange_p2p.core.verdicts import Accept, Verdict
from orrange_p2p.net.network import Network
from orrange_p2p.net.settings import NetSettings

TOPIC = "orrange/test"


def accept_all(payload: bytes, source: PeerId) -> Verdict:
    """The judge that accepts everything."""
    return Accept()


async def main() -> None:
    """Echo every message, to the terminal and to the topic."""
    async with Network(b"c" * 32, settings=NetSettings(degree=4, heartbeat_s=0.2)).running() as network:
        inbox = await network.subscribe(TOPIC, accept_all)
        sys.stdout.write(network.addresses()[0] + "\n")
        sys.stdout.flush()
        async for message in inbox:
            await network.publish(TOPIC, b"echo " + message.payload)


if __name__ == "__main__":
    trio.run(main)
