// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Market, MarketId, Order, SkipReason, Trade} from "../src/types/OrrangeTypes.sol";
import {Fixture} from "./support/Fixture.sol";
import {LyingToken} from "./support/Tokens.sol";

/// @notice Claims that hold for all trades. Safety invariants S1, S2, S5, S9 of the protocol.
contract FuzzTest is Fixture {
    /// @dev S9: what one side pays the other gets, to the unit, and nothing else moves.
    function testFuzz_valueIsConserved(uint64 price, uint64 lots, uint96 lotSize, uint96 tickSize, bool makerSells)
        public
    {
        (price, lots) = (uint64(bound(price, 1, type(uint64).max)), uint64(bound(lots, 1, type(uint64).max)));
        market = Market({
            base: address(base),
            quote: address(quote),
            lotSize: uint96(bound(lotSize, 1, type(uint96).max)),
            tickSize: uint96(bound(tickSize, 1, type(uint96).max)),
            minFillLots: 0
        });
        marketId = settlement.marketId(market);
        uint256 baseAmount = uint256(lots) * market.lotSize;
        uint256 quoteTotal = uint256(price) * market.tickSize * lots;
        fund(maker.owner.addr, base, baseAmount);
        fund(taker.owner.addr, quote, quoteTotal);

        (Side memory first, Side memory second) = makerSells ? (maker, taker) : (taker, maker);
        Trade memory trade = newTrade();
        trade.maker = newOrder(first, makerSells ? SELL : BUY);
        trade.taker = newOrder(second, makerSells ? BUY : SELL);
        trade.maker.quantityLots = trade.taker.quantityLots = lots;
        trade.maker.priceTicks = trade.taker.priceTicks = trade.ticket.priceTicks = price;
        trade.ticket.makerTo = trade.ticket.takerTo = lots;
        signAs(trade, first, second);
        assertSettles(trade);

        assertEq(allocated(maker, base), 0);
        assertEq(allocated(taker, quote), 0);
        assertEq(allocated(taker, base), baseAmount);
        assertEq(allocated(maker, quote), quoteTotal);
        assertEq(vault.custody(address(base)), BASE_FUNDS + baseAmount);
        assertEq(vault.custody(address(quote)), QUOTE_FUNDS + quoteTotal);
        assertEq(vault.freeBalance(maker.owner.addr, address(quote)), 0);
        assertEq(vault.freeBalance(taker.owner.addr, address(base)), 0);
    }

    /// @dev S2: settles if and only if the price is positive and keeps both limits. Prices are near each other.
    function testFuzz_limits(uint8 sellLimit, uint8 buyLimit, uint8 price, bool makerSells) public {
        (Side memory first, Side memory second) = makerSells ? (maker, taker) : (taker, maker);
        Trade memory trade = newTrade();
        trade.maker = newOrder(first, makerSells ? SELL : BUY);
        trade.taker = newOrder(second, makerSells ? BUY : SELL);
        (Order memory sell, Order memory buy) = makerSells ? (trade.maker, trade.taker) : (trade.taker, trade.maker);
        (sellLimit, buyLimit, price) = (sellLimit % 8, buyLimit % 8, price % 8);
        (sell.priceTicks, buy.priceTicks, trade.ticket.priceTicks) = (sellLimit, buyLimit, price);
        signAs(trade, first, second);
        bool isKept = sellLimit >= 1 && sellLimit <= price && price <= buyLimit;
        assertEq(uint8(outcome(trade)), uint8(isKept ? SkipReason.None : SkipReason.Limits));
    }

    /// @dev S1: settles if and only if both ranges fit, after an earlier fill of the same orders. Numbers are near each other.
    function testFuzz_ranges(uint8[4] memory ends, uint8 quantity, uint8 earlier) public {
        quantity = uint8(bound(quantity, MIN_FILL_LOTS, 12));
        earlier = uint8(bound(earlier, 1, quantity));
        Trade memory trade = newTrade();
        trade.maker.quantityLots = trade.taker.quantityLots = quantity;
        trade.ticket.makerTo = trade.ticket.takerTo = earlier;
        sign(trade);
        assertSettles(trade);

        (int256 makerFrom, int256 makerTo) = (int256(uint256(ends[0] % 14)), int256(uint256(ends[1] % 14)));
        (int256 takerFrom, int256 takerTo) = (int256(uint256(ends[2] % 14)), int256(uint256(ends[3] % 14)));
        if (ends[3] > 127) takerTo = takerFrom + makerTo - makerFrom; // else few lengths are equal
        vm.assume(takerTo >= 0);
        trade.ticket.makerFrom = uint64(uint256(makerFrom));
        trade.ticket.makerTo = uint64(uint256(makerTo));
        trade.ticket.takerFrom = uint64(uint256(takerFrom));
        trade.ticket.takerTo = uint64(uint256(takerTo));
        trade.ticket.ticketNonce += 1000;
        sign(trade);
        int256 lots = makerTo - makerFrom;
        int256 total = int256(uint256(quantity));
        bool isFitting = lots > 0 && takerTo - takerFrom == lots && makerTo <= total && takerTo <= total
            && int256(uint256(earlier)) + lots <= total;
        assertEq(uint8(outcome(trade)), uint8(isFitting ? SkipReason.None : SkipReason.Overfill));
        assertEq(settlement.filledLots(trade.ticket.makerOrder), earlier + (isFitting ? uint256(lots) : 0));
    }

    /// @dev No field of a properly signed trade, however wild, reverts a batch: the honest trade behind it settles.
    function testFuzz_wildTradeNeverRevertsTheBatch(Trade memory wild, uint256 keep) public {
        _tame(wild, keep);
        sign(wild);
        _assertBatchGoesOn(wild);
    }

    /// @dev The same without a proper signature.
    function testFuzz_forgedTradeNeverRevertsTheBatch(Trade memory wild) public {
        _assertBatchGoesOn(wild);
    }

    /// @dev Each bit of `keep` puts an honest value back, so that wild trades get past the earlier checks.
    function _tame(Trade memory wild, uint256 keep) private {
        Trade memory honest = newTrade();
        (wild.maker.owner, wild.maker.session) = (honest.maker.owner, honest.maker.session);
        (wild.taker.owner, wild.taker.session) = (honest.taker.owner, honest.taker.session);
        if (keep & 1 == 0) wild.market = honest.market;
        if (keep & 2 == 0) (wild.maker.expiry, wild.taker.expiry) = (0, 0);
        if (keep & 4 == 0) wild.ticket.epoch = honest.ticket.epoch;
        if (keep & 8 == 0) wild.ticket.deadline = honest.ticket.deadline;
        if (keep & 16 == 0) (wild.maker.side, wild.taker.side) = (SELL, BUY);
        if (keep & 32 == 0) (wild.maker.priceTicks, wild.taker.priceTicks) = (1, type(uint64).max);
        if (keep & 64 == 0) (wild.maker.quantityLots, wild.taker.quantityLots) = (type(uint64).max, type(uint64).max);
        if (keep & 128 == 0) wild.ticket.takerFrom = wild.ticket.makerFrom;
        if (keep & 256 == 0) wild.ticket.takerTo = wild.ticket.makerTo;
        if (keep & 512 == 0) wild.ticket.priceTicks = wild.maker.priceTicks;
        wild.maker.market = wild.taker.market = settlement.marketId(wild.market);
    }

    /// @dev Tickets that share orders, numbers and funds: one batch leaves what one call for each in the same order leaves.
    function testFuzz_batchEqualsSequential(uint8[4][6] memory seeds) public {
        Trade[] memory trades = new Trade[](seeds.length);
        Trade memory shared = newTrade();
        shared.maker.quantityLots = shared.taker.quantityLots = 3 * LOTS;
        for (uint256 i = 0; i < trades.length; ++i) {
            trades[i] = newTrade();
            if (seeds[i][0] % 2 == 0) trades[i].maker = shared.maker;
            if (seeds[i][1] % 2 == 0) trades[i].taker = shared.taker;
            if (seeds[i][2] % 4 == 0) trades[i].ticket.ticketNonce = shared.ticket.ticketNonce;
            if (seeds[i][2] % 4 == 1) trades[i].taker.quantityLots = trades[i].maker.quantityLots = 1e6;
            uint64 lots = seeds[i][2] % 4 == 1 ? uint64(seeds[i][3]) * 10 : LOTS;
            (trades[i].ticket.makerTo, trades[i].ticket.takerTo) = (lots, lots);
            sign(trades[i]);
        }
        uint256 before = vm.snapshotState();
        settlement.settle(trades);
        bytes32 batch = _stateOf(trades);
        assertTrue(vm.revertToState(before));
        for (uint256 i = 0; i < trades.length; ++i) {
            settleOne(trades[i]);
        }
        assertEq(_stateOf(trades), batch);
    }

    function _stateOf(Trade[] memory trades) private view returns (bytes32 state) {
        state = keccak256(
            abi.encode(allocated(maker, base), allocated(maker, quote), allocated(taker, base), allocated(taker, quote))
        );
        for (uint256 i = 0; i < trades.length; ++i) {
            uint256 makerLots = settlement.filledLots(trades[i].ticket.makerOrder);
            uint256 takerLots = settlement.filledLots(trades[i].ticket.takerOrder);
            bool isUsed = settlement.isUsed(trades[i].taker.session, trades[i].ticket.ticketNonce);
            state = keccak256(abi.encode(state, makerLots, takerLots, isUsed));
        }
    }

    function _assertBatchGoesOn(Trade memory wild) private {
        Trade[] memory trades = new Trade[](2);
        trades[0] = wild;
        trades[1] = newTrade();
        trades[1].ticket.ticketNonce = type(uint64).max;
        vm.assume(wild.ticket.ticketNonce != type(uint64).max);
        sign(trades[1]);
        settlement.settle(trades);
        assertEq(settlement.filledLots(trades[1].ticket.makerOrder), LOTS);
    }

    /// @dev Not even the largest balances that a hostile token can fake make a credit overflow.
    function test_hostileTokenNeverRevertsTheBatch() public {
        LyingToken liar = new LyingToken();
        market.base = address(liar);
        MarketId honestMarket = marketId;
        MarketId hostileMarket = settlement.marketId(market);
        liar.setReports(0, type(uint256).max - 5);
        _depositLie(liar, hostileMarket, maker, type(uint256).max - 5);
        liar.setReports(0, 5);
        _depositLie(liar, hostileMarket, taker, 5);
        vm.prank(taker.owner.addr);
        vm.expectRevert();
        vault.deposit(address(liar), 1);

        Trade memory hostile = newTrade();
        hostile.maker.market = hostile.taker.market = hostileMarket;
        sign(hostile);
        assertEq(MarketId.unwrap(honestMarket), MarketId.unwrap(marketId));
        assertDefaults(hostile, SkipReason.Funds, taker); // the buyer has no quote in that market
        market.base = address(base);
        _assertBatchGoesOn(hostile);
    }

    function _depositLie(LyingToken liar, MarketId id, Side memory side, uint256 amount) private {
        vm.startPrank(side.owner.addr);
        vault.deposit(address(liar), 1);
        vault.allocate(id, address(liar), amount);
        vm.stopPrank();
    }
}
