"""Cases for `protocol/vectors/types`: amounts, times, constants, roots, topics and frames."""

from dataclasses import asdict, replace
from typing import Any

from protocol.reference.cbor import encode
from protocol.reference.feeds import items_root
from protocol.reference.signing import PEER_ID_PREFIX, is_signed_by_peer, keccak
from protocol.reference.types import (
    PRESETS,
    Clock,
    Market,
    are_consistent,
    base_amount,
    epoch_start_ms,
    epoch_start_s,
    quote_amount,
)
from protocol.reference.wire import (
    DIRECT_FRAME_BYTES_MAX,
    SYNC_FRAME_BYTES_MAX,
    TICKET_FRAME_BYTES_MAX,
    frame_of,
    topic_of,
)
from tests.core.pens import MARKET_ID
from tests.core.signers import Peer

Case = dict[str, Any]
U64, U96 = 2**64 - 1, 2**96 - 1


def shown(value: bytes) -> str:
    """Bytes as the files write them."""
    return "0x" + value.hex()


def amount_cases() -> list[Case]:
    """Exact amounts, at figures that no float holds. Spec: [TYPE-1], [TYPE-3]."""
    figures = {
        "small": (10**15, 1000, 2500, 40),
        "one_more_than_a_float_holds": (1, 1, 1, 2**53 + 1),
        "odd_product_beyond_2_to_the_53": (3, 7, 2**53 + 1, 3),
        "largest": (U96, U96, U64, U64),
    }
    cases = []
    for name, (lot_size, tick_size, price_ticks, lots) in figures.items():
        market = Market(base=bytes(20), quote=bytes(20), lot_size=lot_size, tick_size=tick_size, min_fill_lots=1)
        said = {"lot_size": lot_size, "tick_size": tick_size, "price_ticks": price_ticks, "lots": lots}
        told = {key: str(value) for key, value in said.items()}
        amounts = {
            "base_amount": str(base_amount(market, lots)),
            "quote_amount": str(quote_amount(market, price_ticks, lots)),
        }
        cases.append({"name": name, "rules": ["TYPE-1", "TYPE-3"], **told, **amounts})
    return cases


def time_cases() -> list[Case]:
    """When epochs start, in milliseconds and, rounded down, in seconds. Spec: [TYPE-2]."""
    cases = []
    for name, preset, genesis_ms, epoch in (
        ("first", "dev", 1_700_000_000_250, 0),
        ("on_the_second", "dev", 1_700_000_000_500, 1),
        ("just_below_the_second", "main", 1_700_000_000_249, 3),
        ("far", "main", 1_700_000_000_250, 2**40 + 1),
        ("beyond_a_float", "minimal", 1, 2**54 + 1),
    ):
        clock = Clock(constants=PRESETS[preset], genesis_ms=genesis_ms)
        cases.append(
            {
                "name": name,
                "rules": ["TYPE-2", "TYPE-3"],
                "epoch_ms": str(clock.constants.epoch_ms),
                "genesis_ms": str(genesis_ms),
                "epoch": str(epoch),
                "start_ms": str(epoch_start_ms(clock, epoch)),
                "start_s": str(epoch_start_s(clock, epoch)),
            }
        )
    return cases


def constant_cases() -> list[Case]:
    """The presets, and rows that do not fit together. Spec: [CONST-1], [CONST-2]."""
    dev = PRESETS["dev"]
    rows = PRESETS | {
        "dev_with_an_acknowledgement_beyond_the_wait": replace(dev, t_ack_ms=dev.wait * dev.epoch_ms + 1),
        "dev_with_an_ioc_that_dies_too_soon": replace(dev, k=8),
        "dev_with_parking_too_short": replace(dev, w=dev.wait + 7),
        "dev_with_one_presence_between_life_and_death": replace(dev, dead_s=3 * dev.presence_s - 1),
        "dev_with_a_period_that_cuts_an_epoch": replace(dev, epoch_ms=7, k=10_000, wait=1_000, w=2_000),
        "dev_with_an_anchor_not_settled": replace(dev, beacon_lag_s=dev.l_fund - 1),
    }
    return [
        {
            "name": name,
            "rules": ["CONST-1", "CONST-2"],
            "constants": {key: str(value) for key, value in asdict(row).items()},
            "is_consistent": are_consistent(row),
        }
        for name, row in rows.items()
    ]


def root_cases() -> list[Case]:
    """Roots over encoded items. Spec: [TYPE-4]."""
    lists = {
        "one": [encode([3, bytes(32)])],
        "two": [encode([3, bytes(32)]), encode([3, keccak(b"another")])],
        "the_same_two_the_other_way_round": [encode([3, keccak(b"another")]), encode([3, bytes(32)])],
        "one_twice": [encode([3, bytes(32)])] * 2,
    }
    return [
        {"name": name, "rules": ["TYPE-4"], "items": [shown(item) for item in items], "root": shown(items_root(items))}
        for name, items in lists.items()
    ]


def peer_signature_cases() -> list[Case]:
    """Whether the key inside a peer id signed a digest. Spec: [TYPE-5], [FEED-3]."""
    peer, other = Peer("a peer"), Peer("another peer")
    signed = keccak(b"a delegation")
    good = peer.sign(signed)
    low_order = bytes(64)
    identity_key = PEER_ID_PREFIX + b"\x01" + bytes(31)
    cases = {
        "good": (peer.peer_id, signed, good),
        "of_another_peer": (other.peer_id, signed, good),
        "over_another_digest": (peer.peer_id, keccak(b"another"), good),
        "with_a_flipped_bit": (peer.peer_id, signed, bytes([good[0] ^ 1]) + good[1:]),
        "of_another_kind_of_key": (b"\x00\x25\x08\x02\x12\x21" + peer.peer_id[6:], signed, good),
        "of_a_key_of_small_order": (identity_key, signed, low_order),
    }
    return [
        {
            "name": name,
            "rules": ["TYPE-5"],
            "peer_id": shown(peer_id),
            "digest": shown(digest),
            "signature": shown(signature),
            "is_good": is_signed_by_peer(digest, signature, peer_id),
        }
        for name, (peer_id, digest, signature) in cases.items()
    ]


def topic_cases() -> list[Case]:
    """The topic of a market. Spec: [NET-1]."""
    markets = {"a_market": MARKET_ID, "zeros": bytes(32)}
    return [
        {"name": name, "rules": ["NET-1"], "market": shown(market), "topic": topic_of(market)}
        for name, market in markets.items()
    ]


def frame_cases() -> list[Case]:
    """Messages with their length before them; null: longer than its protocol allows. Spec: [NET-2]."""
    messages = {
        "empty": ("/orrange/ticket/1", b""),
        "one_byte": ("/orrange/ticket/1", b"\x80"),
        "longest_ticket_frame": ("/orrange/ticket/1", bytes(TICKET_FRAME_BYTES_MAX)),
        "ticket_frame_too_long": ("/orrange/ticket/1", bytes(TICKET_FRAME_BYTES_MAX + 1)),
        "sync_frame_too_long": ("/orrange/sync/1", bytes(SYNC_FRAME_BYTES_MAX + 1)),
        "longest_direct_frame": ("/orrange/dm/1", bytes(DIRECT_FRAME_BYTES_MAX)),
        "direct_frame_too_long": ("/orrange/dm/1", bytes(DIRECT_FRAME_BYTES_MAX + 1)),
    }
    cases = []
    for name, (protocol, message) in messages.items():
        framed = frame_of(protocol, message)
        cases.append(
            {
                "name": name,
                "rules": ["NET-2"],
                "protocol": protocol,
                "length": str(len(message)),
                "head": None if framed is None else shown(framed[:4]),
            }
        )
    return cases
