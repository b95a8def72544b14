"""Cases for `protocol/vectors/peers`: evidence that proves and evidence that does not, Presences good and bad."""

from dataclasses import replace
from typing import Any

from protocol.reference import presence
from protocol.reference.cbor import RefusedError, encode
from protocol.reference.evidence import Finding, judge
from protocol.reference.feeds import Entry
from protocol.reference.signing import digest
from protocol.reference.types import Order, Ticket, epoch_start_s
from tests.core.pens import DOMAIN, FIRST_EPOCH, MARKET_ID, OTHER_MARKET_ID, Pen, idle_item, make_entry, ticket_list
from tests.core.signers import Peer, Signer
from tests.core.worlds import CLOCK

Case = dict[str, Any]

MAKER, TAKER, STRANGER = Signer("a maker"), Signer("a taker"), Signer("a stranger")
START_S = epoch_start_s(CLOCK, FIRST_EPOCH)


def make_order(session: Signer, nonce: int = 0, **changes: Any) -> Order:
    """An order of a session that owns itself."""
    terms: dict[str, Any] = {
        "market": MARKET_ID,
        "owner": session.address,
        "session": session.address,
        "nonce": nonce,
        "side": 1 if session is MAKER else 0,
        "kind": 0,
        "price_ticks": 5,
        "quantity_lots": 40,
        "tif": 0,
        "expiry": 0,
        "post_only": False,
        "min_tier": 0,
        "payment_methods": (),
        "arbitrators": (),
        "security": 0,
    }
    return Order(**(terms | changes))


SELL, BUY, OTHER_BUY = make_order(MAKER), make_order(TAKER), make_order(TAKER, 1)


def make_ticket(maker: Order = SELL, taker: Order = BUY, **changes: Any) -> Ticket:
    """A ticket over the first ten lots of two orders."""
    terms: dict[str, Any] = {
        "maker_order": digest(DOMAIN, "Order", maker),
        "taker_order": digest(DOMAIN, "Order", taker),
        "price_ticks": 5,
        "maker_from": 0,
        "maker_to": 10,
        "taker_from": 0,
        "taker_to": 10,
        "epoch": FIRST_EPOCH,
        "deadline": START_S + 5,
        "ticket_nonce": 0,
        "kind": 0,
        "payment_method": 0,
        "arbitrator": bytes(20),
        "security": 0,
        "group": bytes(32),
    }
    return Ticket(**(terms | changes))


def order_list(order: Order) -> list[Any]:
    """The Order array."""
    fields = [getattr(order, name) for name in Order.__dataclass_fields__]
    return [list(value) if isinstance(value, tuple) else value for value in fields]


def signed_by(signer: Signer, ticket: Ticket, maker: Order = SELL, taker: Order = BUY) -> list[Any]:
    """A ticket with a signature and both orders."""
    signature = signer.sign_struct(DOMAIN, "Ticket", ticket)
    return [ticket_list(ticket), signature, order_list(maker), order_list(taker)]


def header_of(entry: Entry, signer: Signer) -> list[Any]:
    """An entry's header with a signature."""
    fields = [getattr(entry, name) for name in list(Entry.__dataclass_fields__)[:7]]
    return [*fields, signer.sign(digest(DOMAIN, "FeedEntry", entry))]


def fork_pieces() -> dict[str, list[Any]]:
    """Forks, true ones first. Spec: [EVID-1]."""
    pen = Pen(session=MAKER, owner=MAKER, peer=Peer("a maker"), seq=3)
    one = make_entry(pen, [idle_item(pen)])
    later = make_entry(pen, [idle_item(pen)], epoch=FIRST_EPOCH + 1)
    next_one = make_entry(pen, [idle_item(pen)], seq=4)
    elsewhere = make_entry(pen, [idle_item(pen)], market=OTHER_MARKET_ID)
    theirs = make_entry(pen, [idle_item(pen)], session=TAKER.address)
    return {
        "fork": [1, header_of(one, MAKER), header_of(later, MAKER)],
        "fork_of_one_entry": [1, header_of(one, MAKER), header_of(one, MAKER)],
        "fork_of_two_seqs": [1, header_of(one, MAKER), header_of(next_one, MAKER)],
        "fork_in_two_markets": [1, header_of(one, MAKER), header_of(elsewhere, MAKER)],
        "fork_of_two_sessions": [1, header_of(one, MAKER), header_of(theirs, TAKER)],
        "fork_signed_by_another": [1, header_of(one, MAKER), header_of(later, STRANGER)],
    }


def over_signing_pieces() -> dict[str, list[Any]]:
    """Over-signing by a maker and by a taker, and what looks like it. Spec: [EVID-2]."""
    maker, taker, first = MAKER.address, TAKER.address, make_ticket()
    overlapping = make_ticket(SELL, OTHER_BUY, maker_from=9, maker_to=19, ticket_nonce=1)
    beside = make_ticket(SELL, OTHER_BUY, maker_from=10, maker_to=20, ticket_nonce=1)
    later = replace(overlapping, epoch=FIRST_EPOCH + 30, deadline=START_S + 20)
    same_nonce = replace(beside, ticket_nonce=0)
    as_it_ends = signed_by(MAKER, replace(later, epoch=FIRST_EPOCH + 10), SELL, OTHER_BUY)
    strangers = make_order(STRANGER, 3, side=BUY.side)
    numbered_alike = make_ticket(SELL, strangers, maker_from=10, maker_to=20)
    of_two_orders = make_ticket(make_order(MAKER, 1), OTHER_BUY, ticket_nonce=1)
    other_market = make_order(TAKER, 2, market=OTHER_MARKET_ID)
    abroad = make_ticket(SELL, other_market, ticket_nonce=2)
    mirrored = make_ticket(OTHER_BUY, SELL, taker_from=5, taker_to=15, ticket_nonce=7)
    base = signed_by(MAKER, first)
    return {
        "lots_twice_by_a_maker": [2, maker, base, signed_by(MAKER, overlapping, SELL, OTHER_BUY)],
        "lots_twice_as_maker_and_as_taker": [2, maker, base, signed_by(MAKER, mirrored, OTHER_BUY, SELL)],
        "lots_twice_by_a_taker": [
            2,
            taker,
            signed_by(TAKER, first),
            signed_by(TAKER, make_ticket(make_order(MAKER, 1), BUY, ticket_nonce=1), make_order(MAKER, 1), BUY),
        ],
        "nonce_twice_by_a_maker": [2, maker, base, signed_by(MAKER, same_nonce, SELL, OTHER_BUY)],
        "nonce_twice_by_a_taker": [2, taker, signed_by(TAKER, first), signed_by(TAKER, same_nonce, SELL, OTHER_BUY)],
        "lots_beside_each_other": [2, maker, base, signed_by(MAKER, beside, SELL, OTHER_BUY)],
        "lots_twice_at_two_times": [2, maker, base, signed_by(MAKER, later, SELL, OTHER_BUY)],
        "lots_twice_at_one_second": [2, maker, base, as_it_ends],
        "lots_twice_at_one_second_the_later_first": [2, maker, as_it_ends, base],
        "lots_twice_at_two_times_the_later_first": [2, maker, signed_by(MAKER, later, SELL, OTHER_BUY), base],
        "nonce_once_by_each_of_two_takers": [2, maker, base, signed_by(MAKER, numbered_alike, SELL, strangers)],
        "equal_lots_of_two_orders": [
            2, taker, signed_by(TAKER, first), signed_by(TAKER, of_two_orders, make_order(MAKER, 1), OTHER_BUY),
        ],
        "one_ticket_twice": [2, maker, base, base],
        "signed_by_the_other_side": [2, maker, base, signed_by(TAKER, overlapping, SELL, OTHER_BUY)],
        "of_a_session_that_has_no_part": [
            2, STRANGER.address, signed_by(STRANGER, first), signed_by(STRANGER, overlapping, SELL, OTHER_BUY),
        ],
        "with_an_order_that_the_ticket_does_not_name": [2, maker, base, signed_by(MAKER, overlapping, SELL, BUY)],
        "over_two_markets": [2, maker, base, signed_by(MAKER, abroad, SELL, other_market)],
    }  # fmt: skip


def evidence_cases() -> list[Case]:
    """What each piece proves, or the rule by which it is refused."""
    cases: list[Case] = []
    for rule, pieces in (("EVID-1", fork_pieces()), ("EVID-2", over_signing_pieces())):
        for name, piece in pieces.items():
            encoded = encode(piece)
            proves, refused = None, None
            try:
                found = judge(DOMAIN, CLOCK, encoded)
            except RefusedError as refusal:
                refused = refusal.rule
            else:
                if not isinstance(found, Finding):
                    raise AssertionError("a pointer is no proof")
                proves = {
                    "session": "0x" + found.session.hex(),
                    "market": "0x" + found.market.hex(),
                    "forked_seq": None if found.forked_seq is None else str(found.forked_seq),
                }
            rules = [rule, "EVID-4"] if proves is not None and rule == "EVID-2" else [rule]
            rules += ["EVID-5"] if refused is not None else []
            cases.append(
                {"name": name, "rules": rules, "encoded": "0x" + encoded.hex(), "proves": proves, "refused": refused}
            )
    pointer = encode([3, MAKER.address, bytes(32), 7, bytes(32)])
    cases.append(
        {
            "name": "a_pointer_to_a_default_proves_nothing_by_itself",
            "rules": ["EVID-3"],
            "encoded": "0x" + pointer.hex(),
            "proves": None,
            "refused": None,
        }
    )
    return cases


def presence_bytes(signer: Signer, said_epoch: int, **changes: Any) -> bytes:
    """A signed Presence, with changes to its fields after signing."""
    heads: list[Any] = [[MARKET_ID, 4, bytes(32)]]
    addresses: list[Any] = [bytes.fromhex("047f000001060fa1")]
    root = presence.content_root(heads, addresses)
    said = presence.Presence(session=signer.address, epoch=said_epoch, content_root=root)
    fields = {
        "session": signer.address,
        "epoch": said_epoch,
        "heads": heads,
        "addresses": addresses,
        "signature": signer.sign_struct(DOMAIN, "Presence", said),
    } | changes
    return encode(list(fields.values()))


def presence_cases() -> list[Case]:
    """Who is taken for alive in which epoch, or the rule by which a Presence is refused. Spec: [PEER-1], [TYPE-7]."""
    told = {
        "good": presence_bytes(MAKER, FIRST_EPOCH),
        "without_heads_and_addresses": presence_bytes(MAKER, FIRST_EPOCH),
        "of_another_session": presence_bytes(MAKER, FIRST_EPOCH, session=TAKER.address),
        "of_another_epoch": presence_bytes(MAKER, FIRST_EPOCH, epoch=FIRST_EPOCH + 1),
        "with_another_head": presence_bytes(MAKER, FIRST_EPOCH, heads=[[MARKET_ID, 5, bytes(32)]]),
        "with_another_address": presence_bytes(MAKER, FIRST_EPOCH, addresses=[b"\x04"]),
        "with_a_head_twice": presence_bytes(MAKER, FIRST_EPOCH, heads=[[MARKET_ID, 4, bytes(32)]] * 2),
    }
    empty = presence.Presence(session=MAKER.address, epoch=FIRST_EPOCH, content_root=presence.content_root([], []))
    told["without_heads_and_addresses"] = presence_bytes(
        MAKER, FIRST_EPOCH, heads=[], addresses=[], signature=MAKER.sign_struct(DOMAIN, "Presence", empty)
    )
    cases: list[Case] = []
    for name, encoded in told.items():
        alive, refused = None, None
        try:
            found = presence.read_signed_presence(DOMAIN, encoded)
            alive = {"session": "0x" + found.session.hex(), "epoch": str(found.epoch)}
        except RefusedError as refusal:
            refused = refusal.rule
        rules = ["PEER-1", "TYPE-7"]
        cases.append(
            {"name": name, "rules": rules, "encoded": "0x" + encoded.hex(), "alive": alive, "refused": refused}
        )
    return cases


def absence_cases() -> list[Case]:
    """Who is absent when, and which of two Presences counts. Spec: [PEER-2], [PEER-3]."""
    dead_ms = CLOCK.constants.dead_s * 1000
    now_ms = CLOCK.genesis_ms + 60_000
    sessions = sorted([MAKER.address, TAKER.address])
    lives = {
        "both_alive": {MAKER.address: now_ms, TAKER.address: now_ms - dead_ms},
        "one_silent_a_moment_too_long": {MAKER.address: now_ms, TAKER.address: now_ms - dead_ms - 1},
        "one_never_heard_of": {MAKER.address: now_ms},
    }
    cases: list[Case] = []
    for name, alive in lives.items():
        for when, synced_ms in (("long_synced", now_ms - 50_000), ("just_synced", now_ms - dead_ms)):
            found = presence.absent_sessions(CLOCK, sessions, alive, synced_ms, now_ms)
            cases.append(
                {
                    "name": f"{name}_{when}",
                    "rules": ["PEER-3"],
                    "dead_s": str(CLOCK.constants.dead_s),
                    "now_ms": str(now_ms),
                    "synced_ms": str(synced_ms),
                    "sessions": ["0x" + session.hex() for session in sessions],
                    "alive_ms": {"0x" + session.hex(): str(when_ms) for session, when_ms in alive.items()},
                    "absent": ["0x" + session.hex() for session in found],
                }
            )
    return cases


def newest_cases() -> list[Case]:
    """Which Presence of a session counts at an epoch of the clock. Spec: [PEER-2]."""
    cases: list[Case] = []
    for name, epochs in {
        "later_one_wins": [20, 21],
        "older_one_is_ignored": [21, 20],
        "one_of_the_same_epoch_is_ignored": [20, 20],
        "one_too_far_ahead_is_ignored": [20, 24],
        "one_two_ahead_is_taken": [20, 23],
    }.items():
        known: presence.Presence | None = None
        for epoch in epochs:
            heard = presence.Presence(session=MAKER.address, epoch=epoch, content_root=bytes(32))
            known = presence.newest(known, heard, 21)
        newest = None if known is None else str(known.epoch)
        told = [str(epoch) for epoch in epochs]
        cases.append({"name": name, "rules": ["PEER-2"], "clock_epoch": "21", "heard": told, "newest": newest})
    return cases
