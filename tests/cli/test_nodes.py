"""Two real nodes on a real chain, used as a person would: run, trade, look, stop, look again."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest
from cli_program import Net, clean_environment, orrange, poll

from orrange_p2p.keys.keystore import write_keystore
from orrange_p2p.launch.devnet_peers import make_member
from orrange_p2p.launch.found import Need


def _place(net: Net, number: int, *order: object) -> str:
    return str(net.ask(number, "order", "place", *order)["order_id"])


def _live(net: Net, number: int) -> dict[str, dict[str, object]]:
    return {str(one["order_id"]): one for one in net.ask(number, "order", "list")["orders"]}


def test_a_started_node_says_who_and_where_it_is(net: Net) -> None:
    started, status = net.running[0].started, net.ask(0, "node", "status")
    for name in ("peer_id", "owner", "session", "addresses"):
        assert started[name] == status[name]
    assert started["socket"] == str(net.peer(0) / "node.sock")
    assert len(status["peers"]) == 1
    shown = orrange("node", "status", "--data-dir", net.peer(0)).out
    assert started["peer_id"] in shown
    assert "signs           yes" in shown


def _if_synced(counters: dict[str, Any]) -> dict[str, Any] | None:
    return counters if counters["sync"]["rounds"] > 0 else None


def test_a_node_tells_what_every_part_of_it_took_sent_and_dropped(net: Net) -> None:
    counters = poll(lambda: _if_synced(net.ask(0, "node", "status")["counters"]))
    assert sorted(counters) == [
        "chain",
        "instructions",
        "kernel",
        "network",
        "peer_words",
        "settler",
        "store",
        "sync",
        "ticket_streams",
    ]
    assert counters["network"]["bytes_in"] > 0
    assert counters["store"]["commits"] > 0
    assert counters["chain"]["seen_block"] >= counters["chain"]["finalized_block"] >= 0
    assert counters["chain"]["endpoints"]["is_cross_checked"] is False
    shown = orrange("node", "status", "--data-dir", net.peer(0)).out
    assert "finalized up to " in shown
    assert "nothing is compared" in shown
    drops = ("outbound_full", "outbound_lost", "subscription_full", "judge_errors")
    assert sum(counters["network"][name] for name in drops) == net.ask(0, "node", "status")["gossip_drops"] == 0


def test_the_config_the_socket_and_the_environment_name_the_same_node(net: Net) -> None:
    peer_id = net.running[0].started["peer_id"]
    by_config = orrange("node", "status", "--config", net.config(0), "--json").json()
    by_socket = orrange("node", "status", "--socket", net.peer(0) / "node.sock", "--json").json()
    env = clean_environment(ORRANGE_DATA_DIR=str(net.peer(0)))
    by_environment = orrange("node", "status", "--json", env=env).json()
    assert [one["peer_id"] for one in (by_config, by_socket, by_environment)] == [peer_id] * 3


def test_orders_meet_trade_and_settle(net: Net) -> None:
    sold = _place(net, 0, "sell", "100.00", "2")
    poll(lambda: net.ask(1, "book")["asks"])  # an older order is the maker, and its price is the trade's
    bought = _place(net, 1, "buy", "100.25", "1.5")

    def settled() -> object:
        trades = net.ask(1, "trades")["trades"]
        mine = [one for one in trades if {one["maker_order"], one["taker_order"]} == {sold, bought}]
        return mine if mine and mine[0]["settled_in_block"] is not None else None

    (trade,) = poll(settled)
    assert (trade["price_ticks"], trade["lots"], trade["is_own"]) == (10_000, 1_500, True)
    assert bought not in _live(net, 1)
    poll(lambda: _live(net, 0)[sold]["free_lots"] == 500)
    shown = orrange("trades", "--data-dir", net.peer(0)).out
    assert "100.00" in shown
    assert "1.500" in shown
    assert "block" in shown
    _look_at_own_trade(net, trade["ticket"], bought)


def _look_at_own_trade(net: Net, ticket: str, bought: str) -> None:
    """What both sides are told of a settled trade of theirs."""
    (row,) = [one for one in net.ask(1, "trade", "list")["trades"] if one["ticket"] == ticket]
    assert (row["state"], row["side"], row["role"], row["kind"]) == ("settled", "buy", "taker", "atomic")
    assert (row["order"], row["counterparty"]) == (bought, net.ask(0, "node", "status")["owner"])
    assert row["ticket"][:12] in orrange("trade", "list", "--data-dir", net.peer(0)).out
    shown = orrange("trade", "show", ticket[:8], "--data-dir", net.peer(0)).out
    assert "settled: the chain has taken it" in shown
    assert "sell 1.500 BTC at 100.00 USD, as maker" in shown
    told = orrange("trade", "instructions", ticket, "--data-dir", net.peer(1)).out
    assert told == "the two sides of this trade pay each other on the chain: it needs no instructions\n"
    done = orrange("trade", "instruct", ticket, "--data-dir", net.peer(0), text="pay here")
    assert done.sentence() == "ticket: expected a trade by escrow, was one whose sides pay each other on the chain"


def test_a_trade_by_escrow_is_agreed_paid_and_confirmed(net: Net, tmp_path: Path) -> None:
    """From two orders to the base in the buyer's hands, by two processes and a few commands. Spec: [DM-1]."""
    lane = ("--security", "1", "--payment-method", "7", "--arbitrator", "0x" + "ab" * 20)
    sold = _place(net, 0, "sell", "101.00", "1", *lane)
    poll(lambda: net.ask(0, "book")["asks"])
    bought = _place(net, 1, "buy", "101.00", "1", *lane)
    assert sold != bought

    def held() -> object:
        trades = net.ask(1, "trade", "list")["trades"]
        return [one for one in trades if (one["kind"], one["state"]) == ("escrow", "settled")]

    (trade,) = poll(held)
    ticket = trade["ticket"][:14]
    written = orrange("trade", "instruct", ticket, "--data-dir", net.peer(0), text="IBAN DE00 1234\nreference 7\n")
    assert written.code == 0, written
    poll(lambda: net.ask(1, "trade", "instructions", ticket)["instructions"])
    shown = orrange("trade", "instructions", ticket, "--data-dir", net.peer(1))
    assert ("\nIBAN DE00 1234\nreference 7\n" in shown.out, shown.err) == (True, "")
    paid = orrange("trade", "paid", ticket, *_owner(net, 1, tmp_path))
    assert "is paid, says the buyer: the seller confirms, or disputes it, until 2" in paid.out, paid
    confirmed = orrange("trade", "confirm", ticket, "--yes", "--json", *_owner(net, 0, tmp_path))
    assert confirmed.json()["state"] == "released", confirmed


def _owner(net: Net, number: int, directory: Path) -> list[object]:
    """Options that name a node's configuration and its owner's key."""
    key, secret = directory / f"owner-{number}.json", directory / "secret.txt"
    owner = make_member("cli tests", number, Need(base=0, quote=0)).owner
    write_keystore(key, owner, "a passphrase for tests", scrypt_n=2)
    secret.write_text("a passphrase for tests\n")
    return ["--config", net.config(number), "--key", key, "--passphrase-file", secret]


@pytest.mark.parametrize(
    ("command", "ticket"), [("show", "0x12"), ("instruct", "0x12345g"), ("instructions", "0x" + "12" * 33)]
)
def test_a_ticket_that_is_none_is_said(net: Net, command: str, ticket: str) -> None:
    done = orrange("trade", command, ticket, "--data-dir", net.peer(0), text="pay here")
    assert done.sentence() == f"ticket: expected 0x and 6 to 64 hex digits, was {ticket!r}"


def test_a_ticket_of_nobody_here_is_said(net: Net) -> None:
    done = orrange("trade", "show", "0x" + "12" * 32, "--data-dir", net.peer(0))
    assert "which begins none: `orrange trade list` shows them" in done.sentence()


def test_an_order_is_placed_shown_in_the_book_and_cancelled_by_its_short_id(net: Net) -> None:
    placed = orrange("order", "place", "buy", "90.01", "0.125", "--expiry", "10m", "--data-dir", net.peer(1))
    assert placed.code == 0
    order_id = placed.out.split()[1].rstrip(":")
    assert placed.out.startswith(f"placed {order_id}: buy 0.125 BTC at 90.01 USD, GTC, until 20")
    assert _live(net, 1)[order_id]["quantity_lots"] == 125

    def both_books() -> bool:
        books = [orrange("book", "--data-dir", net.peer(number)).out for number in range(2)]
        return all("90.01" in book for book in books)

    poll(both_books)
    listed = orrange("order", "list", "--data-dir", net.peer(1)).out
    assert order_id[:12] in listed
    assert "0.125" in listed
    cancelled = orrange("order", "cancel", order_id[:12], "--data-dir", net.peer(1))
    assert (cancelled.code, cancelled.out) == (0, f"cancelled {order_id}\n")
    poll(lambda: order_id not in _live(net, 1))


def test_an_ioc_order_never_rests(net: Net) -> None:
    order_id = _place(net, 1, "buy", "1.00", "1", "--tif", "IOC")
    poll(lambda: order_id not in _live(net, 1))


def test_an_unfunded_order_is_refused_and_nothing_is_signed(net: Net) -> None:
    before = net.ask(0, "node", "status")["pending"]["BTC-USD"]["heads"]
    done = orrange("order", "place", "buy", "100000.00", "1000", "--data-dir", net.peer(0), "--json")
    sentence = done.sentence()
    assert sentence.startswith("unfunded: ")
    assert sentence.endswith("allocate more in the vault or cancel an order")
    assert done.json()["error"]["rule"] == "FUND-3"
    session = net.running[0].started["session"]
    assert net.ask(0, "node", "status")["pending"]["BTC-USD"]["heads"].get(session) == before.get(session)


def test_a_price_between_two_ticks_is_refused_with_the_nearest(net: Net) -> None:
    done = orrange("order", "place", "buy", "100.001", "1", "--data-dir", net.peer(0))
    assert done.sentence() == (
        "price: expected a multiple of the tick of 0.01 USD, was 100.001; nearest 100.00 and 100.01"
    )


def test_an_order_that_has_expired_already_is_refused(net: Net) -> None:
    done = orrange("order", "place", "buy", "100.00", "1", "--expiry", "1000", "--data-dir", net.peer(0))
    assert done.sentence() == "expiry: expected a time to come, was 1000"


def test_a_reputation_is_explained_to_people_and_scripts(net: Net) -> None:
    own = net.ask(0, "reputation")
    assert own["owner"] == net.ask(0, "node", "status")["owner"]
    assert (own["tier"], own["vouches"]) == (0, [])
    other = net.ask(1, "node", "status")["owner"]
    assert net.ask(0, "reputation", other)["owner"] == other
    shown = orrange("reputation", other, "--data-dir", net.peer(0)).out
    assert other in shown
    assert "0 of 3" in shown
    assert own["why"] in shown


def test_an_address_that_is_none_has_no_reputation(net: Net) -> None:
    done = orrange("reputation", "0x12", "--data-dir", net.peer(0))
    assert done.sentence() == "owner: expected 0x and 40 hex digits, was '0x12'"


def test_a_market_that_the_node_does_not_follow_is_refused(net: Net) -> None:
    for arguments in (["order", "place", "buy", "1", "1"], ["book"], ["trades"], ["order", "list"]):
        done = orrange(*arguments, "--market", "ETH-USD", "--data-dir", net.peer(0))
        assert "BTC-USD, was ETH-USD" in done.sentence()


@pytest.mark.parametrize("order_id", ["0x12", "banana", "0x" + "ab" * 32, "0xabcdefabcdef"])
def test_an_order_that_is_not_there_cannot_be_cancelled(net: Net, order_id: str) -> None:
    done = orrange("order", "cancel", order_id, "--data-dir", net.peer(0), "--json")
    done.sentence()
    assert done.json()["error"]["rule"] == "ORD-5"


def test_a_port_in_use_is_told_and_the_other_node_serves_on(net: Net) -> None:
    port = int(net.running[0].started["addresses"][0].split("/")[4])
    done = orrange(
        "node", "run", "--config", net.config(1), "--data-dir", net.directory / "third", "--listen-port", port
    )
    assert done.sentence() == (
        f"port {port} on 127.0.0.1 is in use: stop the program that holds it or choose another port"
    )
    assert net.ask(0, "node", "status")["why_not_signing"] is None


def test_a_second_node_on_the_same_directory_is_refused(net: Net) -> None:
    done = orrange("node", "run", "--config", net.config(0), "--listen-port", 0)
    assert f"in use by process {net.running[0].process.pid}" in done.sentence()
    assert net.ask(0, "node", "status")["why_not_signing"] is None


def test_the_store_of_a_running_node_is_not_touched(net: Net) -> None:
    done = orrange("store", "digest", net.peer(0), "--json")
    assert "stop the node first, or ask it with `orrange book --json`" in done.sentence()
    assert done.json()["error"]["code"] == "store"


def test_both_nodes_give_one_digest_and_their_stores_the_same(net: Net) -> None:
    _place(net, 0, "sell", "120.00", "0.5")
    _place(net, 1, "buy", "80.00", "0.5")
    answers = [_digest_once_settled(net, number) for number in range(2)]
    epoch = min(int(one["epoch"]) for one in answers)
    digests = [_ask_digest(net, number, epoch)["digest"] for number in range(2)]
    assert digests[0] == digests[1]
    assert net.running[0].stop(signal.SIGINT) == 0
    assert net.running[1].stop(signal.SIGTERM) == 0
    for number in range(2):
        assert net.running[number].errors.read_text().endswith("stopped: everything acknowledged is on disk\n")
        found = orrange("store", "digest", net.peer(number), "--epoch", epoch, "--json").json()
        assert found["digest"] == digests[0]
        assert orrange("store", "digest", net.peer(number) / "store").code == 0
        assert orrange("book", "--data-dir", net.peer(number)).sentence().startswith("no node answers at ")
    for number in range(2):
        net.start(number)
    poll(lambda: net.ask(0, "node", "status")["why_not_signing"] is None)
    assert _ask_digest(net, 0, epoch)["digest"] == digests[0]


def _ask_digest(net: Net, number: int, epoch: int | None = None) -> dict[str, Any]:
    from orrange_p2p.api.client import call_node

    answer: dict[str, Any] = call_node(
        net.peer(number) / "node.sock", "book.digest", {} if epoch is None else {"epoch": epoch}
    )
    return answer


def _digest_once_settled(net: Net, number: int) -> dict[str, Any]:
    """Once both nodes hold the same entries and all tickets are on the chain."""

    def is_quiet() -> bool:
        pending = [net.ask(one, "node", "status")["pending"]["BTC-USD"] for one in range(2)]
        return pending[0]["heads"] == pending[1]["heads"] and not any(one["unsettled"] for one in pending)

    poll(is_quiet)
    before = _ask_digest(net, number)["epoch"]
    later: dict[str, Any] = poll(
        lambda: _later(_ask_digest(net, number), int(before) + 3)
    )  # what was placed is in that book
    return later


def _later(answer: dict[str, Any], epoch: int) -> dict[str, Any] | None:
    return answer if answer["epoch"] >= epoch else None


def test_a_node_killed_while_it_trades_has_lost_nothing_it_acknowledged(net: Net) -> None:
    order_id = _place(net, 0, "sell", "130.00", "0.25")
    net.running[0].process.kill()
    net.running[0].process.wait()
    node = net.start(0)
    poll(lambda: net.ask(0, "node", "status")["why_not_signing"] is None)
    assert node.started["session"] == net.ask(0, "node", "status")["session"]
    assert poll(lambda: _live(net, 0).get(order_id))["quantity_lots"] == 250


def test_ctrl_c_stops_a_node_within_two_seconds(net: Net) -> None:
    started_s = time.monotonic()
    assert net.running[1].stop(signal.SIGINT) == 0
    assert time.monotonic() - started_s < 2.5
    net.start(1)
