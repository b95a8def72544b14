"""What a transaction offers for gas, and how what was meant to be sent is written down."""

import pytest
from chain_world import dev_key
from hypothesis import given
from hypothesis import strategies as st

from orrange_p2p.chain.backend import Fees
from orrange_p2p.chain.fees import FeeAboveCap, FeePolicy, GasOffer
from orrange_p2p.chain.intents import Intent, decode_intent, encode_intent
from orrange_p2p.core.types import Address
from orrange_p2p.errors import StoreError

WEI = st.integers(0, 10**12)
INTENT = Intent(
    chain_id=31337,
    nonce=5,
    gas=21_000,
    to=Address(b"\x01" * 20),
    value_wei=10**21,
    payload=b"\x02" * 40_000,
    note=b"note",
    offers=(GasOffer(priority_fee_wei=1, max_fee_wei=10), GasOffer(priority_fee_wei=2, max_fee_wei=12)),
)


@given(base=WEI, priority=WEI, cap=WEI)
def test_a_first_offer_covers_the_next_block_and_never_passes_the_cap(base: int, priority: int, cap: int) -> None:
    fees = Fees(base_fee_wei=base, priority_fee_wei=priority)
    if base + priority > cap:
        with pytest.raises(FeeAboveCap):
            FeePolicy(cap_wei=cap).compute_first(fees)
        return
    offer = FeePolicy(cap_wei=cap).compute_first(fees)
    assert base + priority <= offer.max_fee_wei <= cap
    assert offer.priority_fee_wei <= offer.max_fee_wei


@given(before=st.tuples(WEI, WEI), base=WEI, priority=WEI, cap=WEI)
def test_a_raised_offer_replaces_the_one_before_in_any_pool_and_never_passes_the_cap(
    before: tuple[int, int], base: int, priority: int, cap: int
) -> None:
    first = GasOffer(priority_fee_wei=min(before), max_fee_wei=max(before))
    fees = Fees(base_fee_wei=base, priority_fee_wei=priority)
    offer = FeePolicy(cap_wei=cap).compute_raised(first, fees)
    if offer is None:
        assert first.max_fee_wei * 9 > cap * 8
        return
    assert offer.priority_fee_wei * 10 >= first.priority_fee_wei * 11
    assert offer.max_fee_wei * 10 >= first.max_fee_wei * 11
    assert offer.priority_fee_wei <= offer.max_fee_wei <= cap


@pytest.mark.parametrize("to", [Address(b"\x01" * 20), None])
def test_an_intent_is_read_as_it_was_written_and_signs_to_the_same_bytes(to: Address | None) -> None:
    signer = dev_key("intents")
    intent = Intent(**{name: getattr(INTENT, name) for name in Intent.__slots__} | {"to": to})  # type: ignore[attr-defined]
    record = encode_intent(intent)
    assert len(record) < 1_000
    assert decode_intent(record) == intent
    versions = intent.versions(signer)
    assert decode_intent(record).versions(signer) == versions
    assert len({digest for digest, _ in versions}) == 2


@pytest.mark.parametrize("damage", [b"", b"\x00", encode_intent(INTENT)[:-9], encode_intent(INTENT)[:40]])
def test_a_damaged_intent_is_told(damage: bytes) -> None:
    with pytest.raises(StoreError, match="meant to be sent is unreadable"):
        decode_intent(damage)
