"""Hand-built digests equal eth-account's, and only proper signatures recover. Spec: 01-types [SIGN-1..3]."""

import json
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys import keys
from hypothesis import given, settings
from hypothesis import strategies as st

from orrange_p2p.core.digests import TYPE_STRINGS, Digests
from orrange_p2p.core.hashing import address_of_public_key, keccak256, recover_address
from orrange_p2p.core.messages import EntryHeader
from orrange_p2p.core.types import (
    U8_MAX,
    U32_MAX,
    U64_MAX,
    U96_MAX,
    ZERO_DIGEST,
    Address,
    Digest,
    Domain,
    Epoch,
    Market,
    MarketId,
    Order,
    OrderId,
    OrderKind,
    PeerId,
    Side,
    Signature,
    Ticket,
    TicketDigest,
    TicketKind,
    TimeInForce,
)

PROTOCOL = json.loads((Path(__file__).resolve().parents[2] / "protocol" / "eip712.json").read_text("utf-8"))
GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = PrivateKey(b"\x0c" * 32)
ADDRESS = address_of_public_key(KEY.public_key.format(compressed=False))
SIGNED = keccak256(b"what is signed")

addresses = st.binary(min_size=20, max_size=20).map(Address)
words = st.binary(min_size=32, max_size=32)
u8s, u64s = st.integers(0, U8_MAX), st.integers(0, U64_MAX)
u96s = st.integers(0, U96_MAX)
domains = st.builds(Domain, chain_id=st.integers(0, 2**256 - 1), settlement=addresses)
markets = st.builds(Market, base=addresses, quote=addresses, lot_size=u96s, tick_size=u96s, min_fill_lots=u64s)
orders = st.builds(
    Order,
    market=words.map(MarketId),
    owner=addresses,
    session=addresses,
    nonce=u64s,
    side=st.sampled_from(Side),
    kind=st.sampled_from(OrderKind),
    price_ticks=u64s,
    quantity_lots=u64s,
    tif=st.sampled_from(TimeInForce),
    expiry_s=u64s,
    post_only=st.booleans(),
    min_tier=u8s,
    payment_methods=st.lists(st.integers(0, U32_MAX), max_size=3).map(tuple),
    arbitrators=st.lists(addresses, max_size=3).map(tuple),
    security=u8s,
)
tickets = st.builds(
    Ticket,
    maker_order=words.map(OrderId),
    taker_order=words.map(OrderId),
    price_ticks=u64s,
    maker_from=u64s,
    maker_to=u64s,
    taker_from=u64s,
    taker_to=u64s,
    epoch=u64s.map(Epoch),
    deadline_s=u64s,
    ticket_nonce=u64s,
    kind=st.sampled_from(TicketKind),
    payment_method=st.integers(0, U32_MAX),
    arbitrator=addresses,
    security=u8s,
    group=words.map(Digest),
)
headers = st.builds(
    EntryHeader,
    session=addresses,
    owner=addresses,
    market=words.map(MarketId),
    seq=u64s,
    prev_hash=words.map(Digest),
    epoch=u64s.map(Epoch),
    items_root=words.map(Digest),
)


def _by_eth_account(domain: Domain, struct: str, values: tuple[object, ...]) -> bytes:
    fields: list[dict[str, str]] = PROTOCOL["types"][struct]
    message: dict[str, Any] = {
        field["name"]: list(value) if isinstance(value, tuple) else value
        for field, value in zip(fields, values, strict=True)
    }
    named = PROTOCOL["domain"] | {"chainId": domain.chain_id, "verifyingContract": "0x" + domain.settlement.hex()}
    signable = encode_typed_data(named, {struct: fields}, message)
    return keccak256(b"\x19" + signable.version + signable.header + signable.body)


def test_the_type_strings_are_those_of_the_protocol() -> None:
    written = {
        name: f"{name}({','.join(field['type'] + ' ' + field['name'] for field in fields)})"
        for name, fields in PROTOCOL["types"].items()
    }
    assert {name: text for name, text in TYPE_STRINGS.items() if name != "EIP712Domain"} == written


@settings(max_examples=100)
@given(domain=domains, market=markets)
def test_a_market_id_is_what_eth_account_computes(domain: Domain, market: Market) -> None:
    assert Digests(domain).market(market) == _by_eth_account(domain, "Market", astuple(market))


@settings(max_examples=100)
@given(domain=domains, order=orders)
def test_an_order_id_is_what_eth_account_computes(domain: Domain, order: Order) -> None:
    assert Digests(domain).order(order) == _by_eth_account(domain, "Order", astuple(order))


@settings(max_examples=100)
@given(domain=domains, header=headers)
def test_an_entry_hash_is_what_eth_account_computes(domain: Domain, header: EntryHeader) -> None:
    assert Digests(domain).entry(header) == _by_eth_account(domain, "FeedEntry", astuple(header))


@settings(max_examples=100)
@given(domain=domains, ticket=tickets)
def test_a_ticket_digest_is_what_eth_account_computes(domain: Domain, ticket: Ticket) -> None:
    assert Digests(domain).ticket(ticket) == _by_eth_account(domain, "Ticket", astuple(ticket))


@settings(max_examples=50)
@given(domain=domains, ticket=words, epoch=u64s)
def test_a_ready_digest_is_what_eth_account_computes(domain: Domain, ticket: bytes, epoch: int) -> None:
    expected = _by_eth_account(domain, "Ready", (ticket, epoch))
    assert Digests(domain).ready(TicketDigest(ticket), epoch) == expected


@settings(max_examples=50)
@given(domain=domains, owner=addresses, session=addresses, peer_id=st.binary(max_size=40), key=words)
def test_a_delegation_digest_is_what_eth_account_computes(
    domain: Domain, owner: Address, session: Address, peer_id: bytes, key: bytes
) -> None:
    expected = _by_eth_account(domain, "Delegation", (owner, session, peer_id, key))
    assert Digests(domain).delegation(owner, session, PeerId(peer_id), key) == expected


@settings(max_examples=50)
@given(order=orders)
def test_no_digest_serves_under_another_chain_or_contract(order: Order) -> None:
    domain = Domain(chain_id=1, settlement=ADDRESS)
    others = [replace(domain, chain_id=2), replace(domain, settlement=Address(ADDRESS[::-1]))]
    found = {Digests(one).order(order) for one in (domain, *others)}
    assert len(found) == 3


def _sign(digest: Digest = SIGNED) -> Signature:
    compact = KEY.sign_recoverable(digest, hasher=None)
    return Signature(compact[:64] + bytes((compact[64] + 27,)))


def _with(signature: Signature, *, r: int | None = None, s: int | None = None, v: int | None = None) -> Signature:
    r_bytes = signature[:32] if r is None else r.to_bytes(32, "big")
    s_bytes = signature[32:64] if s is None else s.to_bytes(32, "big")
    return Signature(r_bytes + s_bytes + bytes((signature[64] if v is None else v,)))


def _high_s() -> Signature:
    signature = _sign()
    return _with(signature, s=GROUP_ORDER - int.from_bytes(signature[32:64], "big"), v=55 - signature[64])


REFUSED = {
    "empty": Signature(b""),
    "short": Signature(_sign()[:-1]),
    "long": Signature(_sign() + b"\x00"),
    "compact, without v": Signature(_sign()[:64]),
    "v 0": _with(_sign(), v=0),
    "v 1": _with(_sign(), v=1),
    "v 26": _with(_sign(), v=26),
    "v 29": _with(_sign(), v=29),
    "v with a chain id": _with(_sign(), v=37),
    "high s": _high_s(),
    "s just above half": _with(_sign(), s=GROUP_ORDER // 2 + 1),
    "s zero": _with(_sign(), s=0),
    "s of the group order": _with(_sign(), s=GROUP_ORDER),
    "s largest": _with(_sign(), s=2**256 - 1),
    "r zero": _with(_sign(), r=0),
    "r of the group order": _with(_sign(), r=GROUP_ORDER),
    "r largest": _with(_sign(), r=2**256 - 1),
    "r of no point": _with(_sign(), r=5),
    "zeros": Signature(bytes(64) + b"\x1b"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_signature_that_is_not_proper_recovers_to_nobody(name: str) -> None:
    assert recover_address(SIGNED, REFUSED[name]) is None


def test_the_high_s_twin_is_refused_though_it_is_mathematically_good() -> None:
    twin = _high_s()
    compact = twin[:64] + bytes((twin[64] - 27,))
    assert address_of_public_key(_recover_anyway(compact)) == ADDRESS
    assert recover_address(SIGNED, twin) is None


def _recover_anyway(compact: bytes) -> bytes:
    """Recover without any check of ours."""
    public = keys.Signature(signature_bytes=compact).recover_public_key_from_msg_hash(SIGNED)
    return b"\x04" + bytes(public.to_bytes())


def test_a_proper_signature_recovers_to_its_signer_only_for_what_was_signed() -> None:
    assert recover_address(SIGNED, _sign()) == ADDRESS
    assert recover_address(keccak256(b"something else"), _sign()) != ADDRESS


def test_the_other_v_recovers_to_somebody_else() -> None:
    signature = _sign()
    assert recover_address(SIGNED, _with(signature, v=55 - signature[64])) not in (ADDRESS, None)


def test_s_of_exactly_half_the_order_is_taken() -> None:
    assert recover_address(SIGNED, _with(_sign(), s=GROUP_ORDER // 2)) is not None


@settings(max_examples=30)
@given(secret=st.integers(1, GROUP_ORDER - 1), digest=words)
def test_recovery_agrees_with_eth_account(secret: int, digest: bytes) -> None:
    account = Account.from_key(secret.to_bytes(32, "big"))
    signed = account.unsafe_sign_hash(digest)
    assert recover_address(Digest(digest), Signature(bytes(signed.signature))) == bytes.fromhex(account.address[2:])


def test_keccak_is_not_nist_sha3() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"") != ZERO_DIGEST
