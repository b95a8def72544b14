"""The committed vectors are what the reference says today, and what the program says."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orrange_p2p.core import cbor, codec, direct_frames, facts, frames, gossip_codec, matching, types
from orrange_p2p.core.book import Book, BookOrder, compute_book
from orrange_p2p.core.digests import Digests
from orrange_p2p.core.feeds import Feeds
from orrange_p2p.core.hashing import recover_address
from orrange_p2p.core.holds import may_be_true
from orrange_p2p.core.ledger import BlockRef, Ledger
from orrange_p2p.core.period import Period
from orrange_p2p.core.presets import MarketRules, Preset
from orrange_p2p.core.starts import verify_start
from orrange_p2p.core.verify import VerifiedEntry, verify_entry
from orrange_p2p.errors import RemoteProtocolError
from protocol.reference import period as reference_period
from tests.core.adapters import fast_period, present_book

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "protocol" / "vectors"
EMITTER = ROOT / "tests" / "vectors" / "emit_reference.py"
Case = dict[str, Any]
_NEVER = 2**64


def load(name: str) -> Case:
    """One vector file."""
    content: Case = json.loads((VECTORS / name).read_text("utf-8"))
    return content


def cases_of(*names: str) -> list[Any]:
    """The cases of vector files as parameters, each with its file's setting."""
    files = {name: load(name) for name in names}
    return [
        pytest.param(content | case, id=f"{Path(name).stem}-{case['name']}")
        for name, content in files.items()
        for case in content["cases"]
    ]


def octets(text: str) -> bytes:
    """The bytes of a 0x string."""
    return bytes.fromhex(text.removeprefix("0x"))


@pytest.mark.parametrize("hash_seed", ["0", "1", "42"])
def test_committed_vectors_are_what_the_reference_says_under_every_hash_seed(hash_seed: str) -> None:
    done = subprocess.run(
        [sys.executable, str(EMITTER), "--check"],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_folder_of_vectors_has_a_readme_and_every_file_a_case() -> None:
    folders = [folder for folder in VECTORS.iterdir() if folder.is_dir()]
    assert all((folder / "README.md").is_file() for folder in folders)
    assert all(json.loads(path.read_text("utf-8"))["cases"] for path in VECTORS.glob("*/*.json"))


# codec


def is_refused(read: Callable[[bytes], object], encoded: bytes) -> bool:
    """Whether the program refuses bytes, in the one way in which it may."""
    try:
        read(encoded)
    except RemoteProtocolError:
        return True
    return False


READERS: dict[str, Callable[[bytes], object]] = {
    "entry": codec.decode_entry,
    "item": codec.decode_item,
    "batch": gossip_codec.decode_gossip,
    "presence": gossip_codec.decode_presence,
    "evidence": gossip_codec.decode_evidence,
    "ticket_frame": frames.decode_ticket_message,
    "sync_frame": frames.decode_sync_message,
    "direct_frame": direct_frames.decode_direct_message,
}
WRITERS: dict[str, Callable[[Any], bytes]] = {
    "entry": codec.encode_entry,
    "item": codec.encode_item,
    "batch": gossip_codec.encode_gossip,
    "presence": gossip_codec.encode_presence,
    "evidence": gossip_codec.encode_evidence,
    "ticket_frame": frames.encode_ticket_message,
    "sync_frame": frames.encode_sync_message,
    "direct_frame": direct_frames.encode_direct_message,
}


@pytest.mark.parametrize("case", cases_of("codec/cbor.json"))
def test_cbor_is_read_or_refused(case: Case) -> None:
    """[CBOR-1..3], each broken once."""
    encoded = octets(case["encoded"])
    assert is_refused(cbor.decode, encoded) == (case["refused"] is not None)
    if case["refused"] is None:
        assert cbor.encode(cbor.decode(encoded)) == encoded


@pytest.mark.parametrize("case", cases_of("codec/messages.json"))
def test_messages_are_read_or_refused(case: Case) -> None:
    """[CBOR-4], [CBOR-5], each field broken once."""
    encoded, kind = octets(case["encoded"]), case["message"]
    assert is_refused(READERS[kind], encoded) == (case["refused"] is not None)
    if case["refused"] is None:
        assert WRITERS[kind](READERS[kind](encoded)) == encoded


def joined(pieces: list[Any]) -> bytes:
    """The bytes that pieces come to, each as often as it says."""
    return b"".join((octets(one) if isinstance(one, str) else joined(one)) * int(times) for one, times in pieces)


@pytest.mark.parametrize("case", cases_of("codec/limits.json"))
def test_messages_are_read_up_to_their_limits(case: Case) -> None:
    """[CBOR-4]: a list or a message as long as may be, and one more; a frame's stream refuses one that is too long."""
    encoded, kind = joined(case["pieces"]), case["message"]
    is_too_long = kind == "sync_frame" and len(encoded) > frames.MAX_SYNC_FRAME_BYTES
    assert (is_too_long or is_refused(READERS[kind], encoded)) == (case["refused"] is not None)
    if case["refused"] is None:
        assert WRITERS[kind](READERS[kind](encoded)) == encoded


@pytest.mark.parametrize("case", cases_of("codec/signatures.json"))
def test_signatures_recover_to_whom_they_should(case: Case) -> None:
    """[SIGN-3]."""
    signer = recover_address(types.Digest(octets(case["digest"])), types.Signature(octets(case["signature"])))
    assert signer == (None if case["signer"] is None else octets(case["signer"]))


# feeds and books

BOOK_FILES = ("orders", "holds", "funds", "admission", "bonds", "bases", "convictions", "thrown")


def rules_of(case: Case) -> tuple[Digests, MarketRules]:
    """The program's form of a file's setting."""
    market = types.Market(
        base=types.Address(octets(case["market"]["base"])),
        quote=types.Address(octets(case["market"]["quote"])),
        lot_size=int(case["market"]["lot_size"]),
        tick_size=int(case["market"]["tick_size"]),
        min_fill_lots=int(case["market"]["min_fill_lots"]),
    )
    domain = types.Domain(
        chain_id=int(case["domain"]["chain_id"]), settlement=types.Address(octets(case["domain"]["settlement"]))
    )
    digests = Digests(domain)
    named = {name: int(value) for name, value in case["constants"].items()}
    preset = Preset(name="vectors", ticket_life_s=named.pop("d"), fund_lag_s=named.pop("l_fund"), **named)
    rules = MarketRules(
        market=market,
        market_id=digests.market(market),
        preset=preset,
        genesis_ms=int(case["genesis_ms"]),
        quote_per_bond=int(case.get("quote_per_bond", "1")),
    )
    return digests, rules


def sound_entry(digests: Digests, encoded: bytes) -> VerifiedEntry | None:
    """An entry verified by the program; None if it is unsound."""
    try:
        return verify_entry(digests, encoded)
    except RemoteProtocolError:
        return None


def read_feeds(digests: Digests, rules: MarketRules, encoded_entries: list[bytes]) -> Feeds:
    """The program's feeds after entries came, and came again in reverse."""
    feeds = Feeds(rules)
    tell(feeds, digests, encoded_entries)
    return feeds


def tell(feeds: Feeds, digests: Digests, encoded_entries: list[bytes]) -> None:
    """Entries come, and come again in reverse."""
    sound = [sound_entry(digests, encoded) for encoded in encoded_entries]
    for entry in [*sound, *reversed(sound)]:
        if entry is not None and entry.entry.header.market == feeds.market_id:
            feeds.add(entry)


@pytest.mark.parametrize("case", cases_of("feeds/feeds.json", "feeds/spaced.json"))
def test_feeds_stand_as_they_should(case: Case) -> None:
    """[FEED-1..8], [ORD-1..5]."""
    digests, rules = rules_of(case)
    encoded = [octets(entry["encoded"]) for entry in case["entries"]]
    assert [sound_entry(digests, one) is None for one in encoded] == [
        entry["refused"] is not None for entry in case["entries"]
    ]
    feeds = read_feeds(digests, rules, encoded)
    assert [session.hex() for session in feeds.sessions()] == [feed["session"][2:] for feed in case["feeds"]]
    for said in case["feeds"]:
        feed = feeds.feed(types.Address(octets(said["session"])))
        assert feed is not None
        if feed.is_ended or feed.is_dead:  # what is void need not be kept: [FEED-4]
            assert len(feed.entries) <= int(said["next_seq"])
        else:
            assert len(feed.entries) == int(said["next_seq"])
        assert (feed.forked_from if feed.is_dead else None) == (said["forked_seq"] and int(said["forked_seq"]))
        known = [order for order in feed.orders.values() if feeds.order(order.order_id) is order]
        orders = sorted(known, key=lambda order: (order.seq, order.index))
        assert said["orders"] == [
            {
                "order_id": "0x" + order.order_id.hex(),
                "place": [str(order.seq), str(order.index)],
                "claimed_epoch": str(order.claimed),
                "is_cancelled": order.cancelled_from < _NEVER,
            }
            for order in orders
        ]


@pytest.mark.parametrize("case", cases_of("feeds/starts.json"))
def test_a_feed_begins_only_where_a_true_checkpoint_may_be(case: Case) -> None:
    """[FEED-16]."""
    digests, rules = rules_of(case)
    try:
        start = verify_start(
            digests, verify_entry(digests, octets(case["entry"])), [octets(body) for body in case["bodies"]]
        )
        is_taken = may_be_true(start, rules)
    except RemoteProtocolError as error:
        is_taken = False
        assert error.rule == case["refused"]
    assert is_taken == (case["refused"] is None)


def fact_of(said: Case) -> facts.Fact:
    """The program's form of a fact."""
    values = {name: value for name, value in said.items() if name != "kind"}
    made: dict[str, Any] = {
        name: octets(value) if isinstance(value, str) and value.startswith("0x") else value
        for name, value in values.items()
    }
    made = {name: int(value) if isinstance(value, str) else value for name, value in made.items()}
    if said["kind"] == "SessionAuthorised":
        made["expiry_s"] = made.pop("expiry")
        made["scope"] = types.Scope(made["scope"])
    kind: Callable[..., facts.Fact] = getattr(facts, said["kind"])
    return kind(**made)


def ledger_of(case: Case, rules: MarketRules) -> Ledger:
    """The program's ledger after a case's blocks."""
    ledger = Ledger({rules.market_id: rules.market})
    parent = types.Digest(bytes(32))
    for block in case["blocks"]:
        block_hash = types.Digest(octets(block["hash"]))
        ledger.add(
            facts.BlockFacts(
                number=int(block["number"]),
                hash=block_hash,
                parent_hash=parent,
                time_s=int(block["time_s"]),
                facts=tuple(fact_of(fact) for fact in block["facts"]),
            )
        )
        parent = block_hash
    return ledger


@pytest.mark.parametrize("case", cases_of(*(f"book/{group}.json" for group in BOOK_FILES)))
def test_books_are_the_same_bytes(case: Case) -> None:
    """[BOOK-1..3], [ORD-1..7], [HOLD-1..7], [FUND-1..8], [FEED-15..16]."""
    digests, rules = rules_of(case)
    ledger, epoch = ledger_of(case, rules), types.Epoch(int(case["epoch"]))
    block = ledger.fund_block(rules.epoch_start_s(epoch) - rules.preset.fund_lag_s)
    assert block is not None
    feeds = Feeds(rules)
    for said in case.get("starts", []):
        entry = verify_entry(digests, octets(said["entry"]))
        start = verify_start(digests, entry, [octets(body) for body in said["bodies"]])
        assert feeds.begin(start, epoch) is not None
    tell(feeds, digests, [octets(entry) for entry in case["entries"]])
    feeds.advance_bases(epoch)
    book = compute_book(feeds, ledger, epoch, block)
    assert "0x" + book.encode().hex() == case["book"]
    assert "0x" + book.digest().hex() == case["digest"]


def test_every_rule_of_orders_and_the_book_has_a_case_that_shows_it_alone() -> None:
    """Thrown worlds show everything at once and do not count; of 02-feeds.md, what a feed's entries alone can show."""
    rules = re.findall(r"^- \[([A-Z]+-\d+)\]", (ROOT / "protocol/spec/03-orders.md").read_text("utf-8"), re.MULTILINE)
    cases = [case for name in BOOK_FILES for case in load(f"book/{name}.json")["cases"]]
    shown = {rule for case in cases if not case["name"].startswith("thrown") for rule in case["rules"]}
    assert set(rules) - shown == set()
    of_feeds = {rule for case in load("feeds/feeds.json")["cases"] for rule in case["rules"]}
    assert of_feeds >= {f"FEED-{number}" for number in range(1, 9)}


# matching


def row_of(said: Case) -> BookOrder:
    """The program's form of a book's row."""
    order = said["order"]
    return BookOrder(
        order_id=types.OrderId(octets(said["order_id"])),
        order=types.Order(
            market=types.MarketId(octets(order["market"])),
            owner=types.Address(octets(order["owner"])),
            session=types.Address(octets(order["session"])),
            nonce=int(order["nonce"]),
            side=types.Side(int(order["side"])),
            kind=types.OrderKind(int(order["kind"])),
            price_ticks=int(order["price_ticks"]),
            quantity_lots=int(order["quantity_lots"]),
            tif=types.TimeInForce(int(order["tif"])),
            expiry_s=int(order["expiry"]),
            post_only=order["post_only"],
            min_tier=int(order["min_tier"]),
            payment_methods=tuple(map(int, order["payment_methods"])),
            arbitrators=tuple(types.Address(octets(one)) for one in order["arbitrators"]),
            security=int(order["security"]),
        ),
        placed=types.Epoch(int(said["placed_epoch"])),
        free=tuple((int(first), int(second)) for first, second in said["free"]),
        is_matchable=said["is_matchable"],
    )


def period_of(case: Case) -> Period:
    """The program's form of a case's period."""
    tiers = {octets(owner): int(tier) for owner, tier in case["tiers"]}
    bonded = None if case["bonded"] is None else frozenset(octets(owner) for owner in case["bonded"])
    return fast_period(reference_period.Period(beacon=octets(case["beacon"]), tiers=tiers, bonded=bonded))


@pytest.mark.parametrize("case", cases_of("matching/books.json", "matching/named.json"))
def test_books_match_as_they_should(case: Case) -> None:
    """[MATCH-1..8]."""
    book = Book(
        market_id=types.MarketId(octets(case["market"])),
        epoch=types.Epoch(int(case["epoch"])),
        block=BlockRef(number=int(case["block"]["number"]), hash=types.Digest(octets(case["block"]["hash"])), time_s=0),
        orders=tuple(row_of(row) for row in case["orders"]),
        dead_sessions=(),
    )
    assignment = {types.OrderId(octets(order_id)): types.Epoch(int(epoch)) for order_id, epoch in case["assignment"]}
    skips = frozenset((types.Address(octets(taker)), types.Address(octets(maker))) for taker, maker in case["skips"])
    period = period_of(case)
    book = present_book(book, {octets(session) for session in case["absent"]})
    pieces = matching.entitlements(book, assignment, skips, period, parked_before=int(case["epoch"]) - int(case["w"]))
    assert case["pieces"] == [
        {
            "maker_order": "0x" + piece.maker_order.hex(),
            "taker_order": "0x" + piece.taker_order.hex(),
            "price_ticks": str(piece.price_ticks),
            "maker_from": str(piece.maker_from),
            "maker_to": str(piece.maker_to),
            "taker_from": str(piece.taker_from),
            "taker_to": str(piece.taker_to),
        }
        for piece in pieces
    ]
    assert "0x" + matching.window_digest(book, assignment, period).hex() == case["window_digest"]
