"""Writes protocol/vectors/eip712: what every typed struct hashes to, according to eth_account.

The messages are chosen here; every hash is computed by eth_account from protocol/eip712.json, sharing no code with
`orrange_p2p` or the contracts. Both of them are tested against the files.

Run `python tests/vectors/emit_eip712.py` to write them, with `--check` to compare.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

PROTOCOL = Path(__file__).resolve().parents[2] / "protocol"
TARGET = PROTOCOL / "vectors" / "eip712"
ENCODERS: dict[str, Callable[[Any], Any]] = {"uint": int, "bool": bool, "address": str, "bytes": str}

DEV = {"chainId": "31337", "verifyingContract": "0x00000000000000000000000000000000000a11ce"}
MAINNET = {"chainId": "1", "verifyingContract": "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"}
WIDE = {"chainId": "9007199254740993", "verifyingContract": "0xffffffffffffffffffffffffffffffffffffffff"}

U64 = str(2**64 - 1)
U96 = str(2**96 - 1)
ZERO_ADDRESS = "0x" + "00" * 20
LAST_ADDRESS = "0x" + "ff" * 20
ZERO_WORD = "0x" + "00" * 32
LAST_WORD = "0x" + "ff" * 32
COUNTING_WORD = "0x" + bytes(range(1, 33)).hex()
OTHER_WORD = "0x" + bytes(range(101, 133)).hex()
ALICE = "0x" + "a1" * 20
BOB = "0x" + "b0" * 20
CAROL = "0x" + "0c" * 20

ORDER = {
    "market": COUNTING_WORD,
    "owner": ALICE,
    "session": BOB,
    "nonce": "7",
    "side": "1",
    "kind": "0",
    "priceTicks": "2500",
    "quantityLots": "40",
    "tif": "0",
    "expiry": "1893456000",
    "postOnly": False,
    "minTier": "0",
    "paymentMethods": [],
    "arbitrators": [],
    "security": "0",
}
TICKET = {
    "makerOrder": COUNTING_WORD,
    "takerOrder": OTHER_WORD,
    "priceTicks": "2500",
    "makerFrom": "3",
    "makerTo": "13",
    "takerFrom": "0",
    "takerTo": "10",
    "epoch": "123456",
    "deadline": "1893456060",
    "ticketNonce": "9",
    "kind": "0",
    "paymentMethod": "0",
    "arbitrator": ZERO_ADDRESS,
    "security": "0",
    "group": ZERO_WORD,
}
PEER_ID = "0x0024080112" + "20" + "5e" * 32

# primary type -> (case name, domain, message)
CASES: dict[str, list[tuple[str, dict[str, str], dict[str, Any]]]] = {
    "Market": [
        (
            "typical",
            DEV,
            {"base": ALICE, "quote": BOB, "lotSize": "1000000000000000", "tickSize": "10", "minFillLots": "5"},
        ),
        ("smallest", MAINNET, {"base": BOB, "quote": ALICE, "lotSize": "1", "tickSize": "1", "minFillLots": "0"}),
        (
            "largest",
            WIDE,
            {"base": LAST_ADDRESS, "quote": ZERO_ADDRESS, "lotSize": U96, "tickSize": U96, "minFillLots": U64},
        ),
    ],
    "Order": [
        ("sell_good_till_cancelled", DEV, ORDER),
        ("buy_immediate", MAINNET, ORDER | {"side": "0", "tif": "1", "nonce": "0", "expiry": "0"}),
        (
            "lists_keep_their_order",
            DEV,
            ORDER | {"paymentMethods": ["9", "3", "4294967295"], "arbitrators": [CAROL, ALICE]},
        ),
        (
            "largest",
            WIDE,
            {
                "market": LAST_WORD,
                "owner": LAST_ADDRESS,
                "session": LAST_ADDRESS,
                "nonce": U64,
                "side": "255",
                "kind": "255",
                "priceTicks": U64,
                "quantityLots": U64,
                "tif": "255",
                "expiry": U64,
                "postOnly": True,
                "minTier": "255",
                "paymentMethods": ["4294967295"] * 8,
                "arbitrators": [LAST_ADDRESS] * 8,
                "security": "255",
            },
        ),
    ],
    "FeedEntry": [
        (
            "first",
            DEV,
            {
                "session": BOB,
                "owner": ALICE,
                "market": COUNTING_WORD,
                "seq": "0",
                "prevHash": ZERO_WORD,
                "epoch": "0",
                "itemsRoot": OTHER_WORD,
            },
        ),
        (
            "largest",
            WIDE,
            {
                "session": LAST_ADDRESS,
                "owner": LAST_ADDRESS,
                "market": LAST_WORD,
                "seq": U64,
                "prevHash": LAST_WORD,
                "epoch": U64,
                "itemsRoot": LAST_WORD,
            },
        ),
    ],
    "Ticket": [
        ("typical", DEV, TICKET),
        (
            "escrow_of_a_group",
            MAINNET,
            TICKET | {"kind": "1", "paymentMethod": "42", "arbitrator": CAROL, "security": "2", "group": OTHER_WORD},
        ),
        (
            "largest",
            WIDE,
            {
                "makerOrder": LAST_WORD,
                "takerOrder": LAST_WORD,
                "priceTicks": U64,
                "makerFrom": U64,
                "makerTo": U64,
                "takerFrom": U64,
                "takerTo": U64,
                "epoch": U64,
                "deadline": U64,
                "ticketNonce": U64,
                "kind": "255",
                "paymentMethod": "4294967295",
                "arbitrator": LAST_ADDRESS,
                "security": "255",
                "group": LAST_WORD,
            },
        ),
    ],
    "Ready": [
        ("typical", DEV, {"ticket": COUNTING_WORD, "epoch": "123456"}),
        ("largest", WIDE, {"ticket": LAST_WORD, "epoch": U64}),
    ],
    "Delegation": [
        ("typical", DEV, {"owner": ALICE, "session": BOB, "peerId": PEER_ID, "encryptionKey": COUNTING_WORD}),
        (
            "empty_peer_id",
            MAINNET,
            {"owner": BOB, "session": ALICE, "peerId": "0x", "encryptionKey": ZERO_WORD},
        ),
    ],
    "Presence": [
        ("typical", DEV, {"session": BOB, "epoch": "123456", "contentRoot": COUNTING_WORD}),
        ("largest", WIDE, {"session": LAST_ADDRESS, "epoch": U64, "contentRoot": LAST_WORD}),
    ],
}
FILES = {
    "Market": "market",
    "Order": "order",
    "FeedEntry": "feed_entry",
    "Ticket": "ticket",
    "Ready": "ready",
    "Delegation": "delegation",
    "Presence": "presence",
}


def _native(solidity_type: str, value: Any) -> Any:
    """The Python value that eth_account expects for a value as the files write it."""
    if solidity_type.endswith("[]"):
        return [_native(solidity_type[:-2], element) for element in value]
    return next(convert(value) for prefix, convert in ENCODERS.items() if solidity_type.startswith(prefix))


def compute_case(primary_type: str, name: str, domain: dict[str, str], message: dict[str, Any]) -> dict[str, Any]:
    """One case of a file: the message with its struct hash and its digest under the domain."""
    protocol = json.loads((PROTOCOL / "eip712.json").read_text(encoding="utf-8"))
    fields = protocol["types"][primary_type]
    full_domain = protocol["domain"] | domain
    signable = encode_typed_data(
        domain_data=full_domain | {"chainId": int(domain["chainId"])},
        message_types={primary_type: fields},
        message_data={field["name"]: _native(field["type"], message[field["name"]]) for field in fields},
    )
    return {
        "name": name,
        "rules": ["SIGN-1", "SIGN-2"],
        "domain": full_domain,
        "message": {field["name"]: message[field["name"]] for field in fields},
        "struct_hash": "0x" + signable.body.hex(),
        "digest": "0x" + keccak(b"\x19" + signable.version + signable.header + signable.body).hex(),
    }


def render(primary_type: str) -> str:
    """The text of the file of one struct."""
    cases = [compute_case(primary_type, *case) for case in CASES[primary_type]]
    return json.dumps({"primary_type": primary_type, "cases": cases}, indent=2) + "\n"


def find_stale() -> list[Path]:
    """The files whose bytes are not those that would be written now."""
    paths = {TARGET / f"{stem}.json": primary_type for primary_type, stem in FILES.items()}
    return [path for path, kind in paths.items() if not path.exists() or path.read_text("utf-8") != render(kind)]


def main() -> int:
    """Write the files, or with `--check` name the stale ones. Returns the exit code."""
    if "--check" in sys.argv[1:]:
        stale = find_stale()
        for path in stale:
            print(f"{path}: expected what eth_account computes, was something else", file=sys.stderr)
        return 1 if stale else 0
    TARGET.mkdir(parents=True, exist_ok=True)
    for primary_type, stem in FILES.items():
        (TARGET / f"{stem}.json").write_text(render(primary_type), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
