"""A vault and an escrow on a test chain, with the faucet's account in the settlement's place: it locks and opens."""

from dataclasses import dataclass, replace

from chain_under_test import ChainUnderTest
from chain_world import dev_key, faucet_key

from orrange_p2p.chain.account import created_address
from orrange_p2p.chain.contracts import token_contract, vault_contract
from orrange_p2p.chain.escrow import encode_dispute, encode_mark_paid, escrow_contract, read_clocks
from orrange_p2p.chain.funding import TestTokenPlan, deploy_test_tokens
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.core.escrow import EscrowClocks, EscrowState, EscrowTrade
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.types import ZERO_ADDRESS, Address, MarketId, TicketDigest
from orrange_p2p.keys.session import SessionKey

GAS = 500_000
GRACE_S, PAY_S, CONFIRM_S, ARBITRATION_S = 1_000, 5_000, 7_000, 9_000
DISPUTE_DUE = 600
BOND_UNIT = 10
BASE_AMOUNT, BOND_AMOUNT = 7_000_001, 12_345
MARKET = MarketId(keccak256(b"escrow market"))
SELLER, BUYER, ARBITRATOR = dev_key("escrow seller"), dev_key("escrow buyer"), dev_key("escrow arbitrator")
STRANGER = dev_key("escrow stranger")


@dataclass(slots=True, kw_only=True)
class EscrowChain:
    """The contracts, and who acts."""

    chain: ChainUnderTest
    faucet: TransactionLane
    vault: Address
    escrow: Address
    base: Address
    quote: Address
    clocks: EscrowClocks
    opened: int = 0

    def new_trade(self) -> EscrowTrade:
        """Terms that no earlier call gave."""
        self.opened += 1
        return EscrowTrade(
            ticket=TicketDigest(keccak256(b"ticket %d" % self.opened)),
            market=MARKET,
            seller=SELLER.address,
            buyer=BUYER.address,
            base=self.base,
            quote=self.quote,
            base_amount=BASE_AMOUNT,
            bond_amount=BOND_AMOUNT,
            payment_method=4,
            arbitrator=ARBITRATOR.address,
            security=2,
            matched_at_s=1_699_999_999,
        )

    async def open(self, trade: EscrowTrade) -> int:
        """Lock and open as the settlement does; the block of the opening."""
        parties = (trade.seller, trade.buyer, ZERO_ADDRESS, ZERO_ADDRESS, trade.base, trade.quote)
        funds = (trade.market, *parties, trade.base_amount, trade.bond_amount)
        await self.faucet.submit(self.vault, vault_contract().encode_call("lock", funds), gas=GAS)
        payload = escrow_contract().encode_call("open", trade.fields())
        return (await self.faucet.submit(self.escrow, payload, gas=GAS)).block_number

    async def send(self, signer: SessionKey, payload: bytes) -> None:
        """A transaction of a party's own to the escrow."""
        await TransactionLane(self.chain.backend, signer).submit(self.escrow, payload, gas=GAS)

    async def new_in(self, state: EscrowState) -> EscrowTrade:
        """A trade that is Open, Paid or Disputed."""
        trade = self.new_trade()
        await self.open(trade)
        if state is not EscrowState.OPEN:
            await self.send(BUYER, encode_mark_paid(trade))
        if state is EscrowState.DISPUTED:
            await self.send(SELLER, encode_dispute(trade))
        return trade

    async def free(self, owner: SessionKey, token: Address) -> int:
        """Token units that an owner can withdraw at once."""
        payload = vault_contract().encode_call("freeBalance", owner.address, token)
        answer = await self.chain.backend.call(self.vault, payload)
        return int(vault_contract().decode_result("freeBalance", answer)[0])


async def build_escrow_chain(chain: ChainUnderTest, *, trades: int = 4) -> EscrowChain:
    """Deploy the contracts, and allocate what so many trades lock."""
    faucet = TransactionLane(chain.backend, faucet_key())
    base, quote = await deploy_test_tokens(
        faucet,
        (TestTokenPlan(name="Base", symbol="B", decimals=18), TestTokenPlan(name="Quote", symbol="Q", decimals=6)),
    )
    escrow = created_address(faucet.address, await chain.backend.transaction_count(faucet.address) + 1)
    settings = (faucet.address, escrow, ZERO_ADDRESS, quote, BOND_UNIT, 1_000, 1_000)
    deployed = await faucet.submit(None, vault_contract().encode_deployment(*settings), gas=4_000_000)
    assert deployed.contract is not None
    vault = deployed.contract
    arguments = (vault, GRACE_S, PAY_S, CONFIRM_S, ARBITRATION_S, DISPUTE_DUE)
    placed = await faucet.submit(None, escrow_contract().encode_deployment(*arguments), gas=3_000_000)
    assert placed.contract == escrow
    world = EscrowChain(
        chain=chain,
        faucet=faucet,
        vault=vault,
        escrow=escrow,
        base=base,
        quote=quote,
        clocks=await read_clocks(chain.backend, escrow),
    )
    for signer in (SELLER, BUYER, ARBITRATOR):
        await faucet.submit(signer.address, b"", gas=30_000, value_wei=10**18)
    await _fund(world, SELLER, base, trades * BASE_AMOUNT)
    await _fund(world, SELLER, quote, trades * BOND_AMOUNT)
    await _fund(world, BUYER, quote, trades * BOND_AMOUNT)
    return world


def with_other_amount(trade: EscrowTrade) -> EscrowTrade:
    """Terms that were never opened."""
    return replace(trade, base_amount=trade.base_amount + 1)


async def _fund(world: EscrowChain, signer: SessionKey, token: Address, amount: int) -> None:
    lane, tokens, vault = TransactionLane(world.chain.backend, signer), token_contract(), vault_contract()
    await lane.submit(token, tokens.encode_call("mint", signer.address, amount), gas=GAS)
    await lane.submit(token, tokens.encode_call("approve", world.vault, amount), gas=GAS)
    await lane.submit(world.vault, vault.encode_call("deposit", token, amount), gas=GAS)
    await lane.submit(world.vault, vault.encode_call("allocate", MARKET, token, amount), gas=GAS)
