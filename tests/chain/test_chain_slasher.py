"""Evidence on both chains: what peers convict of, the contract convicts of too, and says so once."""

from dataclasses import dataclass, replace

import pytest
from chain_under_test import ChainUnderTest
from chain_world import dev_key, faucet_key

from orrange_p2p.chain.abi import decode_revert
from orrange_p2p.chain.account import created_address
from orrange_p2p.chain.backend import Backend, CallReverted, Log
from orrange_p2p.chain.contracts import settlement_contract, vault_contract
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.network_plan import constructor_arguments
from orrange_p2p.chain.slasher import (
    decode_slashed,
    encode_prove_fork,
    encode_prove_over_signing,
    is_slashed,
    slasher_contract,
)
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.facts import Slashed
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.messages import EntryHeader
from orrange_p2p.core.peer_messages import Fork, OverSigned, SignedHeader, SignedTicket
from orrange_p2p.core.types import (
    ZERO_ADDRESS,
    Address,
    Digest,
    Domain,
    Epoch,
    MarketId,
    Order,
    OrderKind,
    Scope,
    Side,
    Ticket,
    TimeInForce,
)
from orrange_p2p.errors import ChainUnavailable, ConfigError

GAS = 500_000
FORK_DUE, OVER_SIGNING_DUE = 111, 222
MARKET = MarketId(keccak256(b"slasher market"))
SETTINGS: dict[str, int | Address] = {
    "bondToken": ZERO_ADDRESS,
    "bondUnit": 1,
    "deallocationDelay": 1_000,
    "unbondingDelay": 1_000,
    "genesisMs": 0,
    "epochMs": 1_000,
    "ticketLifeS": 60,
    "fundLagS": 2,
    "feePpm": 0,
    "sinkSharePpm": 0,
    "sink": ZERO_ADDRESS,
    "penalty": 0,
    "forkDue": FORK_DUE,
    "overSigningDue": OVER_SIGNING_DUE,
    "reporterShareBps": 2_500,
    "evidenceWindowS": 500,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Court:
    """The contracts, an owner whose session signs anything, and what it signed."""

    lane: TransactionLane
    slasher: Address
    digests: Digests

    @property
    def session(self) -> Address:
        """The accused session."""
        return SESSION.address

    def header(self, root: bytes) -> SignedHeader:
        """An entry with seq 3."""
        header = EntryHeader(
            session=self.session,
            owner=self.lane.address,
            market=MARKET,
            seq=3,
            prev_hash=Digest(bytes(32)),
            epoch=Epoch(5),
            items_root=Digest(keccak256(root)),
        )
        return SignedHeader(header=header, signature=SESSION.sign(Digest(self.digests.entry(header))))

    def ticket(self, number: int, *, maker_from: int = 0) -> SignedTicket:
        """Ten lots of the session's order 1 to another taker's order each time."""
        maker, taker = _order(self.session, Side.SELL, 1), _order(OTHER.address, Side.BUY, number)
        ticket = Ticket(
            maker_order=self.digests.order(maker),
            taker_order=self.digests.order(taker),
            price_ticks=5,
            maker_from=maker_from,
            maker_to=maker_from + 10,
            taker_from=0,
            taker_to=10,
            epoch=Epoch(5),
            deadline_s=60,
            ticket_nonce=number,
        )
        signature = SESSION.sign(Digest(self.digests.ticket(ticket)))
        return SignedTicket(ticket=ticket, signature=signature, maker=maker, taker=taker)


SESSION, OTHER = dev_key("slasher session"), dev_key("slasher other")
REPORTER = dev_key("slasher reporter").address


def _order(session: Address, side: Side, nonce: int) -> Order:
    return Order(
        market=MARKET,
        owner=ZERO_ADDRESS,
        session=session,
        nonce=nonce,
        side=side,
        kind=OrderKind.LIMIT,
        price_ticks=5,
        quantity_lots=100,
        tif=TimeInForce.GTC,
        expiry_s=0,
    )


async def build_court(chain: ChainUnderTest) -> Court:
    """Deploy vault, settlement and slasher, and authorise the session."""
    lane = TransactionLane(chain.backend, faucet_key())
    nonce = await chain.backend.transaction_count(lane.address)
    contracts = (vault_contract(), settlement_contract(), slasher_contract())
    places = {contract.name: created_address(lane.address, nonce + index) for index, contract in enumerate(contracts)}
    for contract in contracts:
        arguments = constructor_arguments(contract, SETTINGS, places)
        receipt = await lane.submit(None, contract.encode_deployment(*arguments), gas=6_000_000)
        assert receipt.contract == places[contract.name]
    expiry_s = (await chain.backend.head()).time_s + 10**6
    payload = vault_contract().encode_call("authoriseSession", SESSION.address, int(Scope.TICKET), expiry_s)
    await lane.submit(places["OrrangeVault"], payload, gas=GAS)
    domain = Domain(chain_id=await chain.backend.chain_id(), settlement=places["OrrangeSettlement"])
    return Court(lane=lane, slasher=places["OrrangeSlasher"], digests=Digests(domain))


async def refusal(backend: Backend, slasher: Address, payload: bytes) -> str:
    """The name of the error that the contract refuses a call with."""
    with pytest.raises(CallReverted) as refused:
        await backend.call(slasher, payload)
    return decode_revert(refused.value.payload, (slasher_contract(),)).partition("(")[0]


async def test_what_proves_nothing_is_refused_and_what_convicts_is_told_once(chain: ChainUnderTest) -> None:
    court = await build_court(chain)
    first, second = court.header(b"one"), court.header(b"two")
    backend, slasher = chain.backend, court.slasher
    for fork, reason in (
        (Fork(first=first, second=first), "SameDigest"),
        (Fork(first=first, second=replace(second, signature=first.signature)), "NotSigned"),
    ):
        assert await refusal(backend, slasher, encode_prove_fork(fork, REPORTER)) == reason
    beside = OverSigned(session=court.session, first=court.ticket(1), second=court.ticket(2, maker_from=10))
    assert await refusal(backend, slasher, encode_prove_over_signing(beside, REPORTER)) == "NothingTwice"
    assert not await is_slashed(backend, slasher, court.session, MARKET, is_over_signing=False)
    proofs = (
        (False, FORK_DUE, encode_prove_fork(Fork(first=first, second=second), REPORTER)),
        (True, OVER_SIGNING_DUE, encode_prove_over_signing(_lots_twice(court), REPORTER)),
    )
    for is_over_signing, due, payload in proofs:
        receipt = await court.lane.submit(slasher, payload, gas=GAS)
        told = [decode_slashed(log) for log in receipt.logs if log.address == slasher]
        assert told == [Slashed(owner=court.lane.address, amount=due, is_over_signing=is_over_signing)]
        assert await is_slashed(backend, slasher, court.session, MARKET, is_over_signing=is_over_signing)
        assert await refusal(backend, slasher, payload) == "AlreadySlashed"


def _lots_twice(court: Court) -> OverSigned:
    return OverSigned(session=court.session, first=court.ticket(1), second=court.ticket(2, maker_from=9))


async def test_another_contract_in_its_place_is_noticed(chain: ChainUnderTest) -> None:
    with pytest.raises(ConfigError, match="expected the OrrangeSlasher contract at 0x"):
        await is_slashed(chain.backend, Address(b"\x0b" * 20), SESSION.address, MARKET, is_over_signing=True)


def test_a_malformed_log_is_the_endpoints_fault() -> None:
    topic = keccak256(b"Slashed(address,address,bytes32,bool,uint256,uint256,address)")
    log = Log(
        address=Address(bytes(20)),
        topics=(topic, bytes(32), bytes(32), bytes(32)),
        payload=b"\x01",
        block_number=7,
        block_hash=Digest(bytes(32)),
        index=2,
    )
    with pytest.raises(ChainUnavailable, match="log 2 of block 7"):
        decode_slashed(log)
    assert decode_slashed(replace(log, topics=(Digest(keccak256(b"Other()")),))) is None
