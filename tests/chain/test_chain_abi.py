"""The contracts' interfaces as Python sees them: errors, events, and what the protocol's text says."""

import re
from pathlib import Path

import pytest
from chain_world import EIP712_PATH
from eth_abi.abi import encode

from orrange_p2p.chain.abi import load_contract, load_contracts
from orrange_p2p.chain.backend import CallReverted, Log
from orrange_p2p.chain.contracts import (
    SKIP_REASONS,
    explain_revert,
    settlement_contract,
    skip_reason_name,
    token_contract,
    vault_contract,
)
from orrange_p2p.chain.fact_decoder import FactDecoder
from orrange_p2p.core.facts import FundsChanged, TradeSkipped
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.types import Address, Digest, MarketId, TicketDigest
from orrange_p2p.errors import ChainUnavailable, InternalError

VAULT, SETTLEMENT = Address(b"\x01" * 20), Address(b"\x02" * 20)
OWNER, TOKEN, MARKET = Address(b"\x03" * 20), Address(b"\x04" * 20), MarketId(b"\x05" * 32)
SPEC = Path(EIP712_PATH).parent / "spec" / "01-types.md"


def make_log(address: Address, event: str, topics: tuple[bytes, ...], payload: bytes, index: int = 0) -> Log:
    """A log as a contract would write it."""
    padded = tuple(bytes(32 - len(topic)) + topic for topic in topics)
    return Log(
        address=address,
        topics=(keccak256(event.encode()), *padded),
        payload=payload,
        block_number=7,
        block_hash=Digest(bytes(32)),
        index=index,
    )


def funds_log(name: str, amount: int) -> Log:
    """A log about the owner's balance in the market."""
    kinds = "address,bytes32,address,uint256" + (",uint64" if name == "DeallocationRequested" else "")
    payload = encode(("uint256",), (amount,)) + (bytes(32) if name == "DeallocationRequested" else b"")
    return make_log(VAULT, f"{name}({kinds})", (OWNER, MARKET, TOKEN), payload)


def test_skip_reasons_are_those_of_the_spec() -> None:
    (row,) = re.findall(r"\| skip reason \(contract\) \| ([^|]+) \|", SPEC.read_text("utf-8"))
    assert {int(pair.split()[0]): pair.split()[1] for pair in row.strip().split(", ")} == SKIP_REASONS
    assert skip_reason_name(8) == "funds"
    assert skip_reason_name(99) == "reason 99"


def test_selectors_and_topics_are_those_that_solidity_computes() -> None:
    token = token_contract()
    assert token.encode_call("transfer", OWNER, 1)[:4].hex() == "a9059cbb"
    transfer = make_log(TOKEN, "Transfer(address,address,uint256)", (OWNER, TOKEN), encode(("uint256",), (5,)))
    event = token.decode_event(transfer)
    assert event is not None
    assert event.name == "Transfer"
    assert event.fields == {"from": OWNER, "to": TOKEN, "value": 5}
    market = "(address,address,uint96,uint96,uint64)"
    order = (
        "(bytes32,address,address,uint64,uint8,uint8,uint64,uint64,uint8,uint64,bool,uint8,uint32[],address[],uint8)"
    )
    ticket = f"(bytes32,bytes32,{'uint64,' * 8}uint8,uint32,address,uint8,bytes32)"
    trade = f"({market},{order},{order},{ticket},bytes,bytes,bytes,bytes)[]"
    assert settlement_contract().encode_call("settle", [])[:4] == keccak256(f"settle({trade})".encode())[:4]


def test_a_missing_artifact_is_our_own_fault() -> None:
    with pytest.raises(InternalError, match="expected the artifact of Nothing"):
        load_contract("Nothing")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "no reason given"),
        (b"\x01\x02", "0x0102"),
        (b"\xff" * 36, "0x" + "ff" * 36),
        (keccak256(b"Error(string)")[:4] + encode(("string",), ("too bad",)), "Error(message=too bad)"),
        (keccak256(b"Panic(uint256)")[:4] + encode(("uint256",), (17,)), "Panic(code=17)"),
        (keccak256(b"ZeroAmount()")[:4], "ZeroAmount()"),
        (keccak256(b"Error(string)")[:4] + b"\xff" * 8, "0x08c379a0" + "ff" * 8),
        (
            keccak256(b"NotSettlement(address)")[:4] + encode(("address",), (OWNER,)),
            f"NotSettlement(caller=0x{OWNER.hex()})",
        ),
    ],
)
def test_reverts_are_explained(payload: bytes, reason: str) -> None:
    assert explain_revert(payload) == reason
    assert CallReverted(payload).payload == payload


def test_funds_follow_requests_and_what_trades_took_of_them() -> None:
    decoder = FactDecoder(vault=VAULT, settlement=SETTLEMENT)
    logs = [
        funds_log("Allocated", 100),
        funds_log("DeallocationRequested", 30),
        funds_log("DeallocationRequested", 40),
        funds_log("DeallocationExecuted", 50),  # trades had left 50
        funds_log("DeallocationRequested", 5),
        funds_log("DeallocationExecuted", 5),
    ]
    deltas = [fact.delta for _, fact in decoder.decode(logs) if isinstance(fact, FundsChanged)]
    assert deltas == [100, -30, -40, 20, -5]


def test_a_malformed_log_changes_nothing() -> None:
    decoder = FactDecoder(vault=VAULT, settlement=SETTLEMENT)
    good = funds_log("DeallocationRequested", 30)
    for topics, payload in ((good.topics[:2], good.payload), (good.topics, b""), (good.topics, good.payload[:40])):
        bad = Log(
            address=VAULT,
            topics=topics,
            payload=payload,
            block_number=7,
            block_hash=Digest(bytes(32)),
            index=1,
        )
        with pytest.raises(ChainUnavailable, match="log 1 of block 7"):
            decoder.decode([good, bad])
    (_, fact), (_, executed) = decoder.decode([good, funds_log("DeallocationExecuted", 10)])
    assert isinstance(fact, FundsChanged)
    assert isinstance(executed, FundsChanged)
    assert (fact.delta, executed.delta) == (-30, 20)


def test_logs_that_say_nothing_to_the_core_are_left_out() -> None:
    decoder = FactDecoder(vault=VAULT, settlement=SETTLEMENT)
    deposit = make_log(VAULT, "Deposited(address,address,uint256)", (OWNER, TOKEN), encode(("uint256",), (1,)))
    unknown = make_log(VAULT, "Surprise()", (), b"")
    anonymous = Log(address=VAULT, topics=(), payload=b"", block_number=7, block_hash=Digest(bytes(32)), index=3)
    skipped = make_log(SETTLEMENT, "TradeSkipped(bytes32,uint8)", (b"\x09" * 32,), encode(("uint8",), (5,)))
    facts = [fact for _, fact in decoder.decode([deposit, unknown, anonymous, skipped])]
    assert facts == [TradeSkipped(ticket=TicketDigest(b"\x09" * 32), reason=5)]
    assert vault_contract().name == "OrrangeVault"


def sample(kind: str) -> object:
    """Some value of an ABI type."""
    if kind.endswith("[]"):
        return [sample(kind.removesuffix("[]"))] * 2
    if kind.startswith("bytes"):
        return b"\x07" * int(kind.removeprefix("bytes") or 5)
    return {"address": "0x" + "09" * 20, "bool": True, "string": "words"}.get(kind, 7)


def test_every_custom_error_of_every_contract_is_told_by_name_and_arguments() -> None:
    errors = {error for contract in load_contracts() for error in contract.errors}
    assert len(errors) > 30
    for error in errors:
        values = [sample(kind) for kind in error.inputs]
        told = explain_revert(error.selector + encode(error.inputs, values))
        shown = ", ".join(
            f"{name}={'0x' + value.hex() if isinstance(value, bytes) else value}"
            for name, value in zip(error.input_names, values, strict=True)
        ).replace("[7, 7]", "(7, 7)")
        assert told == f"{error.name}({shown})"


def test_an_error_of_nobody_or_with_broken_arguments_is_told_as_it_came() -> None:
    assert explain_revert(b"") == "no reason given"
    assert explain_revert(b"\x01\x02\x03\x04") == "0x01020304"
    selector = next(error.selector for error in vault_contract().errors if error.inputs)
    assert explain_revert(selector + b"\x01") == f"0x{selector.hex()}01"
