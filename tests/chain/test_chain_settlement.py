"""Real trades, signed by eth-account from protocol/eip712.json, and the real contracts; all on both chains."""

from dataclasses import replace
from typing import Any

import pytest
import trio
from chain_under_test import ChainUnderTest
from chain_world import (
    BASE_ALLOCATED,
    EPOCH_MS,
    FUND_LAG_S,
    LOT_SIZE,
    QUOTE_ALLOCATED,
    TICK_SIZE,
    TICKET_LIFE_S,
    World,
    new_key,
)

from orrange_p2p.chain.backend import Receipt
from orrange_p2p.chain.balances import (
    read_filled_lots,
    read_free,
    read_market_balance,
    read_owed_sum,
    read_token_totals,
)
from orrange_p2p.chain.contracts import (
    encode_settle,
    settlement_contract,
    skip_reason_name,
    ticket_fields,
    vault_contract,
)
from orrange_p2p.chain.deployment import DEVELOPMENT_TERMS
from orrange_p2p.chain.fact_decoder import FactDecoder
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.settler import GAS_BASE, GAS_PER_TRADE
from orrange_p2p.core.facts import Defaulted, Fact, TradeSettled, TradeSkipped
from orrange_p2p.core.types import (
    Epoch,
    MarketId,
    OrderKind,
    Side,
    Signature,
    SignedTrade,
    TicketDigest,
    TicketKind,
    TimeInForce,
)

GAS = 500_000
FAR_S = 2**33


async def settle(world: World, *trades: SignedTrade) -> Receipt:
    """Settle trades in one transaction."""
    gas = 100_000 + GAS * len(trades)
    return await world.lane.submit(world.deployment.settlement, encode_settle(trades), gas=gas)


def facts_of(world: World, receipt: Receipt) -> list[Fact]:
    """The facts in a receipt."""
    decoder = FactDecoder(vault=world.deployment.vault, settlement=world.deployment.settlement)
    ours = [log for log in receipt.logs if log.address in decoder.addresses]
    return [fact for _, fact in decoder.decode(ours)]


async def skipped_as(world: World, trade: SignedTrade) -> str:
    """Settle one trade, expect it to be skipped, and name the reason."""
    facts = facts_of(world, await settle(world, trade))
    assert len(facts) == 1
    assert isinstance(facts[0], TradeSkipped)
    return skip_reason_name(facts[0].reason)


async def test_a_signed_trade_settles_and_says_what_moved(world: World) -> None:
    seller, buyer = (trader.owner.address for trader in world.traders)
    ticket, trade = await world.trade(lots=3, price_ticks=50)
    facts = facts_of(world, await settle(world, trade))
    assert facts == [
        TradeSettled(
            ticket=ticket,
            market=world.market_id,
            maker_order=trade.ticket.maker_order,
            taker_order=trade.ticket.taker_order,
            maker_owner=seller,
            taker_owner=buyer,
            is_maker_buyer=False,
            price_ticks=50,
            maker_from=0,
            maker_to=3,
            taker_from=0,
            taker_to=3,
        )
    ]
    backend, deployment, market = world.backend, world.deployment, world.market
    quote = 50 * TICK_SIZE * 3
    for owner, token, expected in (
        (seller, market.base, BASE_ALLOCATED - 3 * LOT_SIZE),
        (buyer, market.base, BASE_ALLOCATED + 3 * LOT_SIZE),
        (seller, market.quote, QUOTE_ALLOCATED + quote),
        (buyer, market.quote, QUOTE_ALLOCATED - quote),
    ):
        assert (await read_market_balance(backend, deployment, owner, world.market_id, token)).allocated == expected
    assert await read_filled_lots(backend, deployment, trade.ticket.maker_order) == 3
    used = settlement_contract().encode_call("isUsed", trade.taker.order.session, trade.ticket.ticket_nonce)
    assert settlement_contract().decode_result("isUsed", await backend.call(deployment.settlement, used)) == (True,)


async def test_value_is_conserved_whatever_settles(world: World) -> None:
    owners = [trader.owner.address for trader in world.traders]
    trades = [(await world.trade(lots=lots, price_ticks=7 * lots))[1] for lots in (1, 2, 5)]
    await settle(world, *trades)
    for token, allocated in ((world.market.base, BASE_ALLOCATED), (world.market.quote, QUOTE_ALLOCATED)):
        totals = await read_token_totals(world.backend, world.deployment, token)
        owed = await read_owed_sum(world.backend, world.deployment, owners, [world.market_id], token)
        assert totals.held == totals.owed == owed == 2 * allocated
        assert await read_free(world.backend, world.deployment, owners[0], token) == 0


async def test_a_maker_that_buys_is_told_apart(world: World) -> None:
    seller, buyer = world.traders
    sell = world.order(seller, Side.SELL, price_ticks=9, quantity_lots=4)
    buy = world.order(buyer, Side.BUY, price_ticks=11, quantity_lots=4)
    ticket, trade = await world.ticket_for(sell, buy, seller, buyer, 4, 10)
    swapped = replace(trade.ticket, maker_order=trade.ticket.taker_order, taker_order=trade.ticket.maker_order)
    digest, maker_signature = world.sign_ticket(swapped, buyer.session)
    _, taker_signature = world.sign_ticket(swapped, seller.session)
    trade = replace(
        trade,
        maker=trade.taker,
        taker=trade.maker,
        ticket=swapped,
        maker_signature=maker_signature,
        taker_signature=taker_signature,
    )
    (fact,) = facts_of(world, await settle(world, trade))
    assert isinstance(fact, TradeSettled)
    assert digest != ticket
    assert fact.is_maker_buyer
    assert (fact.ticket, fact.maker_owner) == (digest, buyer.owner.address)


async def test_orders_signed_by_a_trading_session_settle(world: World) -> None:
    seller, buyer = world.traders
    _, trade = await world.trade()
    trade = replace(
        trade,
        maker=world.sign_order(trade.maker.order, seller.session),
        taker=world.sign_order(trade.taker.order, buyer.session),
    )
    (fact,) = facts_of(world, await settle(world, trade))
    assert isinstance(fact, TradeSettled)


async def test_a_batch_skips_the_bad_one_and_settles_the_others(world: World) -> None:
    tickets = [await world.trade(lots=1) for _ in range(3)]
    digest, bad = tickets[1]
    forged = replace(bad, taker_signature=bad.maker_signature)
    facts = facts_of(world, await settle(world, tickets[0][1], forged, tickets[2][1]))
    assert isinstance(facts[0], TradeSettled)
    assert facts[1] == TradeSkipped(ticket=digest, reason=1)
    assert isinstance(facts[2], TradeSettled)


@pytest.mark.parametrize("field", ["maker_signature", "taker_signature"])
async def test_a_ticket_signed_by_a_stranger_is_skipped_for_its_signature(world: World, field: str) -> None:
    _, trade = await world.trade()
    _, strange = world.sign_ticket(trade.ticket, new_key("a stranger"))
    changes: dict[str, Any] = {field: strange}
    assert await skipped_as(world, replace(trade, **changes)) == "signature"


async def test_a_mirrored_signature_with_high_s_is_skipped(world: World) -> None:
    _, trade = await world.trade()
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    signature = trade.maker_signature
    high_s = (order - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")
    mirrored = Signature(signature[:32] + high_s + bytes((55 - signature[64],)))
    assert await skipped_as(world, replace(trade, maker_signature=mirrored)) == "signature"


async def test_an_unregistered_session_is_skipped_for_its_signature(world: World) -> None:
    unknown = new_key("never registered")
    _, trade = await world.trade(maker_changes={"session": unknown.address})
    _, signature = world.sign_ticket(trade.ticket, unknown)
    assert await skipped_as(world, replace(trade, maker_signature=signature)) == "signature"


async def test_orders_of_another_market_are_skipped(world: World) -> None:
    other = {"market": MarketId(b"\x07" * 32)}
    _, trade = await world.trade(maker_changes=other, taker_changes=other)
    assert await skipped_as(world, trade) == "market"


async def test_an_order_expired_when_matched_is_skipped(world: World) -> None:
    matched_s = (world.deployment.genesis_ms + await world.epoch() * EPOCH_MS) // 1000
    _, trade = await world.trade(maker_changes={"expiry_s": matched_s - 1})
    assert await skipped_as(world, trade) == "validity"


async def test_an_epoch_of_the_future_is_skipped(world: World) -> None:
    epoch = await world.epoch() + 100_000
    deadline_s = (world.deployment.genesis_ms + epoch * EPOCH_MS) // 1000 + 1
    _, trade = await world.trade(ticket_changes={"epoch": Epoch(epoch), "deadline_s": deadline_s})
    assert await skipped_as(world, trade) == "validity"


async def test_a_session_revoked_long_before_is_skipped(world: World, chain: ChainUnderTest) -> None:
    seller = world.traders[0]
    lane = TransactionLane(world.backend, seller.owner)
    revoke = vault_contract().encode_call("revokeSession", seller.session.address)
    await lane.submit(world.deployment.vault, revoke, gas=100_000)
    await chain.mine(FUND_LAG_S + 2)
    await chain.mine()
    _, trade = await world.trade()
    assert await skipped_as(world, trade) == "validity"


async def test_a_deadline_beyond_the_longest_life_is_skipped(world: World) -> None:
    epoch = await world.epoch()
    matched_s = (world.deployment.genesis_ms + epoch * EPOCH_MS) // 1000
    changes: dict[str, object] = {"epoch": epoch, "deadline_s": matched_s + TICKET_LIFE_S + 1}
    _, trade = await world.trade(ticket_changes=changes)
    assert await skipped_as(world, trade) == "deadline"


async def test_a_passed_deadline_is_skipped(world: World, chain: ChainUnderTest) -> None:
    _, trade = await world.trade()
    await chain.mine(TICKET_LIFE_S + 1)
    await chain.mine()
    assert await skipped_as(world, trade) == "deadline"


async def test_a_ticket_settles_once(world: World) -> None:
    _, trade = await world.trade()
    facts = facts_of(world, await settle(world, trade, trade))
    assert isinstance(facts[0], TradeSettled)
    assert isinstance(facts[1], TradeSkipped)
    assert skip_reason_name(facts[1].reason) == "replay"
    assert await skipped_as(world, trade) == "replay"


@pytest.mark.parametrize("price_ticks", [99, 101])
async def test_a_price_outside_a_limit_is_skipped(world: World, price_ticks: int) -> None:
    _, trade = await world.trade(price_ticks=100, ticket_changes={"price_ticks": price_ticks})
    assert await skipped_as(world, trade) == "limits"


@pytest.mark.parametrize(
    "changes",
    [
        {"maker_to": 3},
        {"maker_to": 3, "taker_to": 3},
        {"maker_to": 0, "taker_to": 0},
        {"maker_from": 2, "maker_to": 4},
    ],
)
async def test_lots_beyond_an_order_are_skipped(world: World, changes: dict[str, object]) -> None:
    _, trade = await world.trade(lots=2, ticket_changes=changes)
    assert await skipped_as(world, trade) == "overfill"


async def test_a_second_ticket_for_the_same_lots_is_skipped(world: World) -> None:
    seller, buyer = world.traders
    sell = world.order(seller, Side.SELL, price_ticks=5, quantity_lots=2)
    first = world.order(buyer, Side.BUY, price_ticks=5, quantity_lots=2)
    second = world.order(buyer, Side.BUY, price_ticks=5, quantity_lots=2)
    _, one = await world.ticket_for(sell, first, seller, buyer, 2, 5)
    _, two = await world.ticket_for(sell, second, seller, buyer, 2, 5)
    facts = facts_of(world, await settle(world, one, two))
    assert isinstance(facts[0], TradeSettled)
    assert isinstance(facts[1], TradeSkipped)
    assert skip_reason_name(facts[1].reason) == "overfill"


async def test_a_trade_beyond_the_allocation_is_skipped_and_its_side_recorded(world: World) -> None:
    seller, buyer = (trader.owner.address for trader in world.traders)
    ticket, trade = await world.trade(lots=BASE_ALLOCATED // LOT_SIZE + 1, price_ticks=1)
    assert facts_of(world, await settle(world, trade)) == [
        TradeSkipped(ticket=ticket, reason=8),
        Defaulted(owner=seller, ticket=ticket, victim=buyer, amount=DEVELOPMENT_TERMS["penalty"]),
    ]


async def test_a_grouped_ticket_is_skipped(world: World) -> None:
    _, trade = await world.trade(ticket_changes={"group": b"\x01" * 32})
    assert await skipped_as(world, trade) == "grouped"


@pytest.mark.parametrize(
    ("maker_changes", "ticket_changes"),
    [
        ({}, {"kind": TicketKind.ESCROW}),
        ({"kind": OrderKind.PROTECTED_MARKET}, {}),
        ({"tif": TimeInForce.IOC, "expiry_s": FAR_S}, {}),
        ({"payment_methods": (1, 2)}, {}),
        ({"arbitrators": (b"\xa7" * 20,)}, {}),
        ({"security": 1}, {}),
    ],
)
async def test_what_the_vault_does_not_pay_and_makers_that_never_rest_are_skipped_for_their_kind(
    world: World, maker_changes: dict[str, object], ticket_changes: dict[str, object]
) -> None:
    _, trade = await world.trade(maker_changes=maker_changes, ticket_changes=ticket_changes)
    assert await skipped_as(world, trade) == "kind"


@pytest.mark.parametrize("tif", [TimeInForce.IOC, TimeInForce.FOK, TimeInForce.DAY, TimeInForce.GTD])
async def test_an_order_that_must_end_and_names_no_end_is_skipped(world: World, tif: TimeInForce) -> None:
    _, trade = await world.trade(taker_changes={"tif": tif, "expiry_s": 0})
    assert await skipped_as(world, trade) == "validity"


async def test_a_fill_or_kill_order_does_not_settle_alone(world: World) -> None:
    _, trade = await world.trade(taker_changes={"tif": TimeInForce.FOK, "expiry_s": FAR_S})
    assert await skipped_as(world, trade) == "grouped"


@pytest.mark.parametrize(
    ("maker_changes", "taker_changes"),
    [
        ({"tif": TimeInForce.DAY}, {"tif": TimeInForce.GTD}),
        ({"tif": TimeInForce.GTD, "post_only": True}, {"tif": TimeInForce.IOC}),
        ({"min_tier": 3}, {"tif": TimeInForce.IOC, "kind": OrderKind.PROTECTED_MARKET}),
    ],
)
async def test_orders_of_every_other_time_in_force_and_kind_settle(
    world: World, maker_changes: dict[str, object], taker_changes: dict[str, object]
) -> None:
    end = {"expiry_s": FAR_S}
    _, trade = await world.trade(maker_changes={**maker_changes, **end}, taker_changes={**taker_changes, **end})
    (fact,) = facts_of(world, await settle(world, trade))
    assert isinstance(fact, TradeSettled)


async def test_lists_in_orders_keep_both_digests_equal(world: World) -> None:
    changes: dict[str, object] = {
        "payment_methods": (1, 7, 2**32 - 1),
        "arbitrators": (world.traders[0].owner.address, world.traders[1].owner.address),
    }
    _, trade = await world.trade(maker_changes=changes)
    question = settlement_contract().encode_call("ticketDigest", ticket_fields(trade.ticket))
    digest = await world.backend.call(world.deployment.settlement, question)
    signed, _ = world.sign_ticket(trade.ticket, world.traders[0].session)
    assert TicketDigest(digest) == signed
    assert await skipped_as(world, trade) == "kind"


async def test_gas_limits_leave_a_fifth_to_spare(world: World) -> None:
    trades = [(await world.trade(lots=1))[1] for _ in range(20)]
    with trio.fail_after(20):
        receipt = await settle(world, *trades)
    assert receipt.gas_used * 5 < (GAS_BASE + 20 * GAS_PER_TRADE) * 4
    alone = await settle(world, (await world.trade(lots=1))[1])
    assert alone.gas_used * 5 < (GAS_BASE + GAS_PER_TRADE) * 4
