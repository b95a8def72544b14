"""The values that the network shell hands out."""

from collections.abc import Callable
from dataclasses import dataclass

from orrange_p2p.core.types import PeerId
from orrange_p2p.core.verdicts import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class GossipMessage:
    """One accepted gossip message, delivered once.

    `source` is the neighbour that sent it to us, `author` the peer whose signature it carries.
    """

    topic: str
    payload: bytes
    source: PeerId
    author: PeerId
    received_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerEvent:
    """A peer's first connection opened, or its last one closed.

    From then on streams can be opened to it; which topics it follows comes a little later.
    """

    peer: PeerId
    is_connected: bool


Judge = Callable[[bytes, PeerId], Verdict]
"""Says what to do with a payload from a neighbour. It runs before forwarding, so it must be cheap, and never blocks."""
