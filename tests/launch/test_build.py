"""What a node checks before it uses a store that is there already."""

import pytest

from orrange_p2p.config import MarketConfig, NetworkConfig
from orrange_p2p.core.types import Address
from orrange_p2p.errors import StoreError
from orrange_p2p.launch.build import network_id, node_keys, prepare_store
from orrange_p2p.testing.store import MemoryDisk

OWNER = Address(b"\x0a" * 20)
MARKET = MarketConfig(name="A-B", base="0x" + "01" * 20, quote="0x" + "02" * 20, lot_size=5, tick_size=7)
NETWORK = NetworkConfig(
    name="test",
    preset="demo",
    genesis_ms=0,
    chain_id=1,
    vault="0x" + "03" * 20,
    settlement="0x" + "04" * 20,
    deployed_at_block=0,
    markets=(MARKET,),
)


def change_markets(*markets: MarketConfig) -> NetworkConfig:
    return NETWORK.model_copy(update={"markets": markets})


def test_a_store_goes_on_with_more_markets_but_not_with_a_changed_or_lost_one() -> None:
    disk = MemoryDisk()
    other = MARKET.model_copy(update={"name": "A-C", "quote": "0x" + "05" * 20})
    with disk.open("store", create=True, network_id=network_id(NETWORK)) as store:
        prepare_store(store, NETWORK, OWNER)
        prepare_store(store, change_markets(MARKET, other), OWNER)
        for changed in (change_markets(other), change_markets(MARKET.model_copy(update={"tick_size": 8}), other)):
            with pytest.raises(StoreError, match="market A-B with lot_size 5 and tick_size 7"):
                prepare_store(store, changed, OWNER)
        with pytest.raises(StoreError, match="expected the store of owner"):
            prepare_store(store, NETWORK, Address(b"\x0b" * 20))


def test_keys_are_made_once() -> None:
    with MemoryDisk().open("store", create=True, network_id=network_id(NETWORK)) as store:
        first, again = node_keys(store), node_keys(store)
    assert first.session.address == again.session.address
    assert first.peer.peer_id() == again.peer.peer_id()
    assert first.submitter.address == again.submitter.address
