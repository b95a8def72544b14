"""`orrange devnet` as a person uses it: real processes, a real chain, a peer killed and started again."""

import os
import random
import shutil
import signal
from pathlib import Path

import pytest
from devnet_run import DevnetRun, PeerUnderTest, is_alive, wait_for
from signed_words import (
    Held,
    contradictions,
    digests_of,
    forks,
    hashes,
    holds_of,
    order_ids,
    read_feeds,
    repeated_nonces,
    trade_digests,
)

from orrange_p2p.chain.anvil import find_anvil
from orrange_p2p.config import load_node_config
from orrange_p2p.core.presets import PRESETS, MarketRules
from orrange_p2p.core.types import ZERO_ADDRESS, Epoch, Market, MarketId, OrderId, Ticket, TicketDigest
from orrange_p2p.errors import ConfigError
from orrange_p2p.launch.flow import COLUMNS

PEERS = 4
VICTIM = 2
EVENTS = 150
START_LIMIT_S = 60
RULES = MarketRules(
    market=Market(base=ZERO_ADDRESS, quote=ZERO_ADDRESS, lot_size=1, tick_size=1, min_fill_lots=1),
    market_id=MarketId(bytes(32)),
    preset=PRESETS["dev"],
    genesis_ms=0,
)


@pytest.fixture(autouse=True)
def _anvil() -> None:
    """Skip where anvil is not installed, but never in CI."""
    try:
        find_anvil()
    except ConfigError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A directory that does not exist yet; pytest keeps it for who wonders why a run failed."""
    return tmp_path / "net"


def write_flow(path: Path, *, events: int, span_ms: int) -> Path:
    """Orders around one price, so that most meet another, and a cancel for every tenth."""
    draw = random.Random(7)
    rows = [",".join(COLUMNS)]
    for number in range(events):
        time_ms = number * span_ms // events
        if number % 10 == 9:
            rows.append(f"{time_ms},cancel,{number - 9},buy,0,0")
        else:
            side, cents = draw.choice(("buy", "sell")), 20_000 + draw.randint(-5, 5)
            rows.append(f"{time_ms},submit,{number},{side},{cents},{draw.randint(1, 20) * 100_000}")
    path.write_text("\n".join(rows) + "\n")
    return path


def has_traded(peer: PeerUnderTest) -> bool:
    trades = peer.ask("trades")["trades"]
    return sum(trade["is_own"] for trade in trades) >= 2


@pytest.mark.timeout(150)
def test_a_killed_peer_comes_back_with_the_printed_command_and_contradicts_nothing(tmp_path: Path, net: Path) -> None:
    flow = write_flow(tmp_path / "flow.csv", events=EVENTS, span_ms=20_000)
    arguments = ("--peers", str(PEERS), "--flow", str(flow), "--speed", "1", "--dir", str(net), "--hold")
    with DevnetRun(*arguments) as run:
        run.wait_said("50 of 150 events sent", START_LIMIT_S)
        victim = run.peers[VICTIM]
        wait_for(lambda: has_traded(victim), limit_s=10, what="the victim to have traded")
        acknowledged = victim.ask("order.place", side="sell", price_ticks=30_000, quantity_lots=1)["order_id"]
        victim.kill()
        shutil.copytree(victim.directory / "store", tmp_path / "before" / "store")
        run.wait_said("was ended by SIGKILL; restart it with: " + victim.restart, 5)
        run.wait_said("100 of 150 events sent", 20)  # meanwhile the others go on
        victim.run_again()
        victim.wait_ready(30)
        run.wait_said("is back", 5)
        report = run.wait_report(60)
        epoch = min(peer.ask("book.digest")["epoch"] for peer in run.peers)
        answers = [peer.ask("book.digest", epoch=epoch) for peer in run.peers]
        assert run.interrupt() == 0
        assert victim.process is not None
        victim.process.terminate()
        assert victim.process.wait(10) == 0

    assert (report["books_equal"], report["tickets_equal"], report["value_conserved"]) == (True, True, True)
    assert report["settled"] == report["tickets"] == sum(report["by_path"].values()) > 10
    assert (report["unsettled"], report["stuck"], report["peers_gone"], report["refused"]) == (0, 0, [], 0)
    assert report["orders"] + report["unanswered"] + report["unsent"] >= EVENTS * 9 // 10
    assert len({answer["digest"] for answer in answers}) == 1
    assert len({tuple(answer["tickets"]) for answer in answers}) == 1
    check_stores(net, tmp_path / "before", acknowledged)


def check_stores(net: Path, before: Path, acknowledged: str) -> None:
    """Nothing that the victim signed is lost or contradicted, in anybody's store."""
    network = load_node_config(net / "peer-0" / "node.toml").network
    rules, digests = network.rules()[0], digests_of(network)
    stores = [read_feeds(net / f"peer-{number}", rules) for number in range(PEERS)]
    session = next(record.session for feed in stores[VICTIM].values() for record in feed if record.is_own)
    old = hashes(read_feeds(before, rules)[session])
    new = hashes(stores[VICTIM][session])
    assert 0 < len(old) < len(new)
    assert new[: len(old)] == old
    for feeds in stores:
        assert forks(feeds) == []
        assert {one: hashes(feed) for one, feed in feeds.items()} == {
            one: hashes(feed) for one, feed in stores[0].items()
        }
    assert bytes.fromhex(acknowledged.removeprefix("0x")) in order_ids(stores[VICTIM][session], digests)
    for feed in stores[0].values():
        assert contradictions(holds_of(feed, digests), rules) == []
        assert repeated_nonces(feed, digests) == []
    said = {hold.digest for feed in stores[0].values() for hold in holds_of(feed, digests)}
    for number in range(PEERS):
        assert trade_digests(net / f"peer-{number}") <= said


def a_hold(*, order: int = 1, lots: tuple[int, int] = (0, 5), epoch: int = 10, digest: int = 1) -> Held:
    ticket = Ticket(
        maker_order=OrderId(bytes([order]) * 32),
        taker_order=OrderId(bytes([9]) * 32),
        price_ticks=1,
        maker_from=lots[0],
        maker_to=lots[1],
        taker_from=0,
        taker_to=lots[1] - lots[0],
        epoch=Epoch(epoch),
        deadline_s=RULES.ticket_deadline_s(epoch),
        ticket_nonce=digest,
    )
    return Held(order=ticket.maker_order, lots=lots, digest=TicketDigest(bytes([digest]) * 32), ticket=ticket)


@pytest.mark.parametrize(
    ("other", "is_contradiction"),
    [
        (a_hold(digest=2), True),
        (a_hold(digest=2, lots=(4, 6)), True),
        (a_hold(digest=2, epoch=10 + 2 * RULES.preset.ticket_life_s), True),
        (a_hold(digest=2, lots=(5, 6)), False),
        (a_hold(digest=2, order=2), False),
        (a_hold(digest=2, epoch=12 + 2 * RULES.preset.ticket_life_s), False),
        (a_hold(digest=1), False),
    ],
)
def test_the_check_of_what_was_signed_finds_a_planted_contradiction(other: Held, is_contradiction: bool) -> None:
    assert bool(contradictions([a_hold(), other], RULES)) == is_contradiction


@pytest.mark.parametrize(("end", "exit_code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
@pytest.mark.timeout(120)
def test_nothing_outlives_a_devnet_that_is_ended_in_the_middle(
    end: signal.Signals, exit_code: int, tmp_path: Path, net: Path
) -> None:
    flow = write_flow(tmp_path / "flow.csv", events=50, span_ms=60_000)
    with DevnetRun("--peers", "2", "--flow", str(flow), "--speed", "1", "--dir", str(net)) as run:
        run.wait_said("trading", START_LIMIT_S)
        children = [*run.survivors(), *(int(pid) for pid in children_of(run.process.pid))]
        assert len(children) >= 3  # two peers and anvil
        run.process.send_signal(end)
        assert run.process.wait(15) == exit_code
        wait_for(lambda: not any(map(is_alive, children)), limit_s=15, what="all its processes to be gone")


def children_of(pid: int) -> list[str]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [child for task in tasks for child in task.read_text().split()]
