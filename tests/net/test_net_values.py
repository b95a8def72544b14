"""Settings, addresses, counters, seen ids, pace: the small parts of the network shell."""

import subprocess
import sys
from collections import Counter
from dataclasses import fields

import pytest
import trio
import trio.testing

from orrange_p2p.errors import ConfigError
from orrange_p2p.net.addresses import is_peer_id, parse_address, peer_text
from orrange_p2p.net.counters import MAX_RULES, Counters, NetStatistics, count_rule
from orrange_p2p.net.network import Network
from orrange_p2p.net.pace import Pace
from orrange_p2p.net.seen import SeenIds
from orrange_p2p.net.settings import NetSettings


@pytest.mark.parametrize(
    ("name", "value"), [("degree", 0), ("heartbeat_s", 0), ("max_connections", -1), ("outbound_frames", 0)]
)
def test_settings_that_cannot_work_name_the_field_and_the_value(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{name}: expected a number above 0, was {value}"):
        NetSettings(**{name: value})  # type: ignore[arg-type]


def test_settings_keep_room_for_inbound_and_an_order_of_scores() -> None:
    with pytest.raises(ConfigError, match=r"reserved_outbound: expected 0\.\.3"):
        NetSettings(max_connections=4, reserved_outbound=4)
    with pytest.raises(ConfigError, match="ban_score <= disconnect_score < 0"):
        NetSettings(ban_score=-10, disconnect_score=-20)


@pytest.mark.parametrize(("degree", "low", "high"), [(1, 1, 3), (4, 3, 6), (6, 4, 9), (8, 6, 12)])
def test_the_mesh_keeps_near_its_degree(degree: int, low: int, high: int) -> None:
    settings = NetSettings(degree=degree)
    assert (settings.degree_low, settings.degree_high) == (low, high)


@pytest.mark.parametrize(
    ("seed", "port"), [(b"", 0), (bytes(31), 0), (bytes(33), 0), (bytes(32), -1), (bytes(32), 65536)]
)
def test_a_network_refuses_a_seed_or_port_that_is_none(seed: bytes, port: int) -> None:
    with pytest.raises(ConfigError, match="expected a"):
        Network(seed, port=port)


def test_the_peer_id_of_a_seed_is_the_one_that_other_libraries_compute() -> None:
    network = Network(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    # RFC 8032 test 1: its public key, behind the multihash and protobuf heads of an identity-hashed Ed25519 key
    key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert network.peer_id.hex() == "002408011220" + key
    assert is_peer_id(network.peer_id)
    assert network.peer_id_text == peer_text(network.peer_id)
    assert network.peer_id_text.startswith("12D3KooW")
    address = f"/ip4/10.0.0.1/tcp/4001/p2p/{network.peer_id_text}"
    parsed, peer = parse_address(address)
    assert (str(parsed), peer) == (address, network.peer_id)


@pytest.mark.parametrize("raw", [b"", bytes(38), b"\x12\x20" + bytes(32), bytes.fromhex("002408011220") + bytes(31)])
def test_other_kinds_of_peer_id_are_none(raw: bytes) -> None:
    assert not is_peer_id(raw)


def test_statistics_have_every_count_by_its_name() -> None:
    assert [one.name for one in fields(Counters)] == [one.name for one in fields(NetStatistics)]
    counters = Counters(duplicates=3, outbound_full=1, outbound_lost=2, subscription_full=4, judge_errors=8)
    counters.rejected["B"] += 1
    counters.rejected["A"] += 2
    snapshot = counters.snapshot()
    counters.duplicates += 1
    assert (snapshot.duplicates, snapshot.rejected, snapshot.gossip_drops) == (3, (("A", 2), ("B", 1)), 15)
    for one in fields(NetStatistics):
        assert f"        {one.name}: " in (NetStatistics.__doc__ or ""), f"{one.name} is not explained"


def test_rules_are_counted_without_end_but_in_bounded_memory() -> None:
    counts: Counter[str] = Counter()
    for number in range(MAX_RULES + 10):
        count_rule(counts, f"rule {number}")
    count_rule(counts, "rule 0")
    assert len(counts) == MAX_RULES + 1
    assert counts["other"] == 10
    assert counts["rule 0"] == 2


def test_seen_ids_forget_the_oldest() -> None:
    seen = SeenIds(3)
    assert [seen.add(one) for one in (b"a", b"b", b"a", b"c", b"d")] == [True, True, False, True, True]
    assert [seen.has(one) for one in (b"a", b"b", b"c", b"d")] == [False, True, True, True]
    assert seen.length() == 3


async def test_pace_lets_a_burst_through_and_then_holds_the_rate(autojump_clock: trio.testing.MockClock) -> None:
    pace = Pace(rate_per_s=10, burst=20)
    began = trio.current_time()
    for _ in range(20):
        await pace.step()
    assert trio.current_time() == began
    for _ in range(30):
        await pace.step()
    assert trio.current_time() - began == pytest.approx(3, abs=0.01)


def test_the_values_of_the_shell_import_no_library() -> None:
    modules = "orrange_p2p.net, orrange_p2p.net.messages, orrange_p2p.net.settings, orrange_p2p.net.counters"
    script = f"import sys, {modules}; print(sorted({{'trio', 'libp2p', 'structlog'}} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
