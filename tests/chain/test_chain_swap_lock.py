"""One lock on a chain that takes blocks back: what is seen of it follows, and it can be made again."""

import pytest
import trio
from chain_under_test import ChainUnderTest
from chain_world import dev_key, faucet_key

from orrange_p2p.chain.contracts import swap_contract
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.swap_lock import Deed, Done, LockOnChain
from orrange_p2p.core.swap_terms import COIN, Leg, Preimage, SwapLeg, SwapPact, SwapState, compute_hashlock
from orrange_p2p.core.swaps import ClaimLock, OpenLock

PREIMAGE = Preimage(bytes(range(32)))
PARTICIPANT = dev_key("lock participant")
LIFE_S, FINALITY_S = 100_000, 60


async def make_lock(chain: ChainUnderTest) -> LockOnChain:
    """A contract, and the first lock of a pact on it, as its opener sees it."""
    receipt = await TransactionLane(chain.backend, faucet_key()).submit(None, swap_contract().encode_deployment())
    assert receipt.contract is not None
    head = await chain.backend.head()
    leg = SwapLeg(
        chain_id=await chain.backend.chain_id(),
        contract=receipt.contract,
        token=COIN,
        amount=5,
        deadline_s=head.time_s + LIFE_S,
        confirmations=3,
        finality_s=FINALITY_S,
    )
    pact = SwapPact(
        initiator=faucet_key().address,
        participant=PARTICIPANT.address,
        hashlock=compute_hashlock(PREIMAGE),
        first=leg,
        second=leg,
        margin_s=FINALITY_S,
        nonce=0,
    )
    return LockOnChain(pact, Leg.FIRST, chain.backend, faucet_key())


async def nothing() -> None:
    """What a test does about a claim that was sent."""
    await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("kind", ["rpc"])
async def test_a_lock_that_a_reorganisation_took_back_is_seen_gone_and_opened_again(chain: ChainUnderTest) -> None:
    lock = await make_lock(chain)
    done: list[Done] = []
    for times in (1, 2):
        await lock.act(OpenLock(leg=Leg.FIRST), on_done=done.append, on_claim_sent=nothing)
        assert len(done) == times
        view = await lock.look(faucet_key().address, claim_since=None)
        assert view.state is SwapState.OPEN
        if times == 1:
            await chain.hold_blocks()
            head = await chain.backend.head()
            await chain.ask("anvil_reorg", head.number - done[0].block_number + 1, [])
            gone = await lock.look(faucet_key().address, claim_since=None)
            assert (gone.state, gone.confirmed) == (SwapState.NONE, SwapState.NONE)
            chain.mines = True
    assert [one.deed for one in done] == [Deed.OPENED, Deed.OPENED]


async def test_a_lock_is_confirmed_as_many_blocks_later_as_agreed(chain: ChainUnderTest) -> None:
    lock = await make_lock(chain)
    done: list[Done] = []
    await lock.act(OpenLock(leg=Leg.FIRST), on_done=done.append, on_claim_sent=nothing)
    opened = done[0].block_number
    for action, state in ((None, SwapState.OPEN), (ClaimLock(leg=Leg.FIRST, preimage=PREIMAGE), SwapState.CLAIMED)):
        if action is not None:
            await lock.act(action, on_done=done.append, on_claim_sent=nothing)
        since = done[-1].block_number
        while True:
            view = await lock.look(PARTICIPANT.address, claim_since=opened)
            assert view.state is state
            assert (view.confirmed is state) == (view.block_number >= since + 3)
            if view.confirmed is state:
                break
            await chain.backend.wait_head_above(view.block_number)
    assert (view.preimage, view.credit) == (PREIMAGE, 5)
