"""Our calldata, events, reads and raw transactions against web3's own, which shares only the ABI files with ours.

web3 names a struct's fields where our adapter counts on their order, so that a field in a wrong place is seen here.
"""

import json
from importlib import resources
from typing import Any

import pytest
import trio
from chain_under_test import ChainUnderTest
from chain_world import World, dev_key, order_message, ticket_message
from eth_account import Account
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.contract import Contract

from orrange_p2p.chain.account import TransactionFields
from orrange_p2p.chain.backend import Log
from orrange_p2p.chain.balances import read_filled_lots
from orrange_p2p.chain.contracts import encode_settle, settlement_contract, vault_contract
from orrange_p2p.chain.fact_decoder import FactDecoder
from orrange_p2p.core.facts import SessionAuthorised, TradeSettled, TradeSkipped
from orrange_p2p.core.types import Address, Market, Signature, SignedTrade
from orrange_p2p.keys.derive import derive_secret

GAS = 900_000


def web3_contract(name: str, address: Address | None = None, url: str = "") -> Contract:
    """web3's own reading of a committed artifact; with a URL it speaks to the chain there."""
    w3 = Web3(HTTPProvider(url, request_kwargs={"timeout": 10})) if url else Web3()
    path = resources.files("orrange_p2p.chain") / "artifacts" / f"{name}.json"
    abi = json.loads(path.read_text("utf-8"))["abi"]
    return w3.eth.contract(address=Web3.to_checksum_address(address or bytes(20)), abi=abi)


def spelled(value: Any) -> Any:
    """web3 takes addresses as checksummed text only."""
    if isinstance(value, bytes) and len(value) == 20:
        return Web3.to_checksum_address(value)
    if isinstance(value, list):
        return [spelled(one) for one in value]
    if isinstance(value, dict):
        return {name: spelled(one) for name, one in value.items()}
    return value


def market_message(market: Market) -> dict[str, object]:
    """A market by the names that the contract gives its fields."""
    return {
        "base": market.base,
        "quote": market.quote,
        "lotSize": market.lot_size,
        "tickSize": market.tick_size,
        "minFillLots": market.min_fill_lots,
    }


def trade_message(trade: SignedTrade) -> Any:
    """A trade by the names that the contract gives its fields."""
    return spelled(
        {
            "market": market_message(trade.market),
            "maker": order_message(trade.maker.order),
            "taker": order_message(trade.taker.order),
            "ticket": ticket_message(trade.ticket),
            "makerOrderSignature": trade.maker.signature,
            "takerOrderSignature": trade.taker.signature,
            "makerTicketSignature": trade.maker_signature,
            "takerTicketSignature": trade.taker_signature,
        }
    )


async def good_and_bad(world: World) -> list[SignedTrade]:
    """A trade that settles, one with every variable part in use, and one that nobody signed."""
    _, good = await world.trade(lots=2, price_ticks=50)
    # Eight bytes of every width, none like another, so that no two fields can be taken for each other.
    _, rich = await world.trade(
        lots=7,
        price_ticks=0x1122334455667788,
        maker_changes={"payment_methods": (3, 1, 2**32 - 1), "min_tier": 9, "security": 4, "expiry_s": 2**64 - 1},
        taker_changes={"arbitrators": (Address(b"\xa1" * 20), Address(b"\xb2" * 20)), "post_only": True},
        ticket_changes={"maker_from": 1, "maker_to": 8, "taker_from": 11, "taker_to": 18, "payment_method": 5},
    )
    _, forged = await world.trade(lots=1, price_ticks=60)
    forged = SignedTrade(
        market=forged.market,
        maker=forged.maker,
        taker=forged.taker,
        ticket=forged.ticket,
        maker_signature=Signature(bytes(65)),
        taker_signature=forged.taker_signature,
    )
    return [good, rich, forged]


def web3_log(log: Log) -> Any:
    """A log as web3's event readers take it."""
    return {
        "address": Web3.to_checksum_address(log.address),
        "topics": [HexBytes(topic) for topic in log.topics],
        "data": HexBytes(log.payload),
        "blockNumber": log.block_number,
        "blockHash": HexBytes(log.block_hash),
        "logIndex": log.index,
        "transactionHash": HexBytes(bytes(32)),
        "transactionIndex": 0,
    }


def read_by_web3(contract: Contract, log: Log) -> tuple[str, dict[str, Any]]:
    """Name and fields of the one event of `contract` whose topic and shape fit."""
    topic = HexBytes(log.topics[0])
    (event,) = [event for event in contract.events if HexBytes(event().topic) == topic]
    read = event().process_log(web3_log(log))
    return read["event"], dict(read["args"])


async def test_settle_is_encoded_as_web3_encodes_it_by_field_names(world: World) -> None:
    trades = await good_and_bad(world)
    contract = web3_contract("OrrangeSettlement")
    for some in ([], trades[:1], trades):
        expected = contract.encode_abi("settle", args=[[trade_message(trade) for trade in some]])
        assert "0x" + encode_settle(some).hex() == expected


async def test_every_event_of_a_run_reads_as_web3_reads_it(world: World) -> None:
    trades = await good_and_bad(world)
    await world.lane.submit(world.deployment.settlement, encode_settle(trades), gas=3 * GAS)
    head = await world.backend.head()
    deployment = world.deployment
    logs = await world.backend.logs(0, head.number, (deployment.vault, deployment.settlement))
    names = set()
    for log in logs:
        ours, name = (
            (vault_contract(), "OrrangeVault")
            if log.address == deployment.vault
            else (settlement_contract(), "OrrangeSettlement")
        )
        event = ours.decode_event(log)
        assert event is not None
        assert (event.name, spelled(dict(event.fields))) == read_by_web3(web3_contract(name), log)
        names.add(event.name)
    assert names >= {"Deposited", "Allocated", "SessionAuthorised", "TradeCompleted", "TradeSkipped"}
    decoder = FactDecoder(vault=deployment.vault, settlement=deployment.settlement)
    kinds = [type(fact) for _, fact in decoder.decode(logs)]
    assert (kinds.count(TradeSettled), kinds.count(TradeSkipped)) == (1, 2)
    assert kinds.count(SessionAuthorised) == 2


@pytest.mark.parametrize("to", [Address(b"\x07" * 20), None])
def test_a_raw_transaction_is_the_one_that_an_account_of_web3_signs(to: Address | None) -> None:
    fields = TransactionFields(
        chain_id=31337,
        nonce=0,
        priority_fee_wei=10**9,
        max_fee_wei=3 * 10**9,
        gas=21_000,
        to=to,
        value_wei=128,
        payload=b"\x00\x01",
    )
    theirs = Account.from_key(derive_secret("1", "payer")).sign_transaction(
        {
            "type": 2,
            "chainId": 31337,
            "nonce": 0,
            "maxPriorityFeePerGas": 10**9,
            "maxFeePerGas": 3 * 10**9,
            "gas": 21_000,
            "to": to or b"",
            "value": 128,
            "data": b"\x00\x01",
        }
    )
    assert fields.signed_by(dev_key("payer")) == bytes(theirs.raw_transaction)


@pytest.mark.parametrize("kind", ["rpc"])
async def test_a_third_party_with_web3_alone_settles_a_trade(chain: ChainUnderTest, world: World) -> None:
    """Whoever has the two signatures may submit; the follower's view and web3's are one."""
    ticket, trade = await world.trade(lots=4, price_ticks=30)
    stranger = Account.from_key(derive_secret("1", "stranger"))
    await chain.ask("anvil_setBalance", stranger.address, hex(10**18))
    contract = web3_contract("OrrangeSettlement", world.deployment.settlement, chain.url)

    def settle() -> Any:
        w3 = contract.w3
        call = contract.functions.settle([trade_message(trade)])
        nonce = w3.eth.get_transaction_count(stranger.address)
        unsigned = call.build_transaction({"from": stranger.address, "nonce": nonce, "gas": GAS})
        raw = stranger.sign_transaction(unsigned).raw_transaction
        receipt = w3.eth.wait_for_transaction_receipt(w3.eth.send_raw_transaction(raw), timeout=30)
        (completed,) = contract.events.TradeCompleted().process_receipt(receipt)
        return completed["args"]

    told = await trio.to_thread.run_sync(settle)
    head = await world.backend.head()
    logs = await world.backend.logs(0, head.number, (world.deployment.vault, world.deployment.settlement))
    decoder = FactDecoder(vault=world.deployment.vault, settlement=world.deployment.settlement)
    (fact,) = [fact for _, fact in decoder.decode(logs) if isinstance(fact, TradeSettled)]
    assert fact.ticket == ticket == told["ticket"]
    assert (fact.maker_owner, fact.taker_owner) == tuple(
        bytes.fromhex(told[name][2:]) for name in ("makerOwner", "takerOwner")
    )
    assert await read_filled_lots(world.backend, world.deployment, trade.ticket.maker_order) == 4
