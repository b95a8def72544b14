"""Begins swaps between chains and runs this side of them: `orrange swap`."""

import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from orrange_p2p.chain.account import DigestSigner
from orrange_p2p.chain.backend import Backend
from orrange_p2p.chain.rpc import open_rpc
from orrange_p2p.chain.swap_runner import SwapRunner, SwapStep
from orrange_p2p.core.swap_terms import PREIMAGE_BYTES, Leg, Preimage, compute_hashlock
from orrange_p2p.core.swaps import SwapOutcome, SwapRole, begin_swap, latest_opening_s
from orrange_p2p.core.types import Digest
from orrange_p2p.errors import ConfigError
from orrange_p2p.launch.process import stopping_on_signals, wall_clock_ms
from orrange_p2p.launch.swap_home import SwapHome
from orrange_p2p.launch.swap_terms import SwapDraft, SwapTermsFile


def wall_clock_s() -> int:
    """Unix seconds of this machine."""
    return wall_clock_ms() // 1000


def new_swap(draft: SwapDraft, directory: Path, *, now_s: int) -> SwapHome:
    """Begin a swap as its initiator: draw the preimage, and write the terms that the other party needs.

    Args:
        draft: what the parties agreed on.
        directory: of the swap; must not exist.
        now_s: unix seconds; the deadlines count from here.

    Raises:
        ConfigError: the draft is not safe, or the directory exists.
    """
    preimage = Preimage(os.urandom(PREIMAGE_BYTES))
    pact = draft.pact(compute_hashlock(preimage), now_s)
    return SwapHome.create(directory, begin_swap(SwapRole.INITIATOR, pact, preimage))


def join_swap(terms: SwapTermsFile, directory: Path, *, expected: Digest | None, now_s: int) -> SwapHome:
    """Begin a swap as its participant.

    Args:
        terms: what the initiator wrote.
        directory: of the swap; must not exist.
        expected: the digest that the initiator told by another way, to be compared.
        now_s: unix seconds.

    Raises:
        ConfigError: the terms are others, not safe, or too old; or the directory exists.
    """
    if expected is not None and terms.digest() != expected:
        raise ConfigError(f"expected terms 0x{expected.hex()}, was 0x{terms.digest().hex()}; ask for the right file")
    record = begin_swap(SwapRole.PARTICIPANT, terms.pact())
    latest_s = latest_opening_s(record)
    if now_s > latest_s:
        raise ConfigError(f"these terms are {now_s - latest_s} s too old to lock safely; ask for new ones")
    return SwapHome.create(directory, record)


async def run_swap(
    home: SwapHome, signer: DigestSigner, urls: Mapping[Leg, str], *, on_step: Callable[[SwapStep], None]
) -> SwapOutcome | None:
    """Run this side of a swap to its end; SIGINT and SIGTERM end it cleanly, and it can be run again.

    Args:
        home: the swap.
        signer: our account, on both chains; nothing else may send from it meanwhile.
        urls: JSON-RPC of each lock's chain.
        on_step: told of what happens.

    Returns:
        How it ended; None if a signal came first.

    Raises:
        ConfigError: no such swap, another key, another chain or contract.
        StoreError: the swap runs already, or its record cannot be read or saved.
    """
    with home.locked():
        record = home.load()
        if record.outcome is not None:
            return record.outcome
        async with stopping_on_signals(), AsyncExitStack() as opened:
            chains: dict[Leg, Backend] = {leg: await opened.enter_async_context(open_rpc(urls[leg])) for leg in Leg}
            runner = SwapRunner(record, signer, chains, save=home.save, now_s=wall_clock_s, on_step=on_step)
            return await runner.run()
    return None
