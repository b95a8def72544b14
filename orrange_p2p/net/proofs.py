"""Asking a peer for the evidence that it holds, page by page.

Spec: protocol/spec/06-sync.md [SYNC-18].
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import trio

from orrange_p2p.core.digests import Digests
from orrange_p2p.core.evidence import VerifiedEvidence, verify_evidence
from orrange_p2p.core.messages import GetProofs, Proofs
from orrange_p2p.core.presets import MarketRules
from orrange_p2p.core.types import ZERO_ADDRESS, Address, MarketId
from orrange_p2p.errors import RemoteProtocolError

MAX_PAGES = 512

EvidenceSink = Callable[[tuple[VerifiedEvidence, ...]], Awaitable[None]]


class Client(Protocol):
    """What asks one peer."""

    def next_request(self) -> int:
        """A number for the next request."""

    async def ask(self, message: GetProofs, expected: type[Proofs]) -> Proofs:
        """Send a request and wait for its answer."""


async def fetch_proofs(
    client: Client, digests: Digests, markets: Mapping[MarketId, MarketRules], market: MarketId, sink: EvidenceSink
) -> None:
    """Ask for all evidence of a market and hand on what proves something.

    Raises:
        NetworkError: no answer in time.
        RemoteProtocolError: a piece proves nothing, or the pages do not go upwards; the peer is to blame.
    """
    after: Address = ZERO_ADDRESS
    for _ in range(MAX_PAGES):
        asked = GetProofs(request=client.next_request(), market=market, session=after)
        page = await client.ask(asked, Proofs)
        if not page.proofs:
            return
        found = await trio.to_thread.run_sync(_verify_page, digests, markets, page.proofs)
        sessions = [piece.session for piece in found]
        if not found or sessions != sorted(sessions) or sessions[0] <= after:
            raise RemoteProtocolError("SYNC-18", "expected evidence by session, each above the one asked for")
        after = sessions[-1]
        await sink(tuple(piece for piece in found if piece.market == market))


def _verify_page(
    digests: Digests, markets: Mapping[MarketId, MarketRules], proofs: tuple[bytes, ...]
) -> list[VerifiedEvidence]:
    found = [verify_evidence(digests, markets, proof) for proof in proofs]
    return [piece for piece in found if isinstance(piece, VerifiedEvidence)]
