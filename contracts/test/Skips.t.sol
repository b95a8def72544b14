// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Market, MarketId, OrderId, SkipReason, Trade} from "../src/types/OrrangeTypes.sol";
import {Fixture} from "./support/Fixture.sol";

/// @notice Every reason to skip a trade but the signatures, at its edges; `assertSkips` also asserts that nothing is written.
contract SkipsTest is Fixture {
    function test_defaultTradeSettles() public {
        assertSettles(newSignedTrade());
    }

    // 2 market

    function test_market_ordersOfAnotherMarket() public {
        Trade memory trade = newSignedTrade();
        trade.market.minFillLots += 1;
        assertSkips(trade, SkipReason.Market);
    }

    function test_market_makerOrderOfAnotherMarket() public {
        Trade memory trade = newTrade();
        trade.maker.market = MarketId.wrap(bytes32(uint256(1)));
        sign(trade);
        assertSkips(trade, SkipReason.Market);
    }

    function test_market_takerOrderOfAnotherMarket() public {
        Trade memory trade = newTrade();
        trade.taker.market = MarketId.wrap(bytes32(uint256(1)));
        sign(trade);
        assertSkips(trade, SkipReason.Market);
    }

    function test_market_zeroLotSize() public {
        _assertMarketSkips(Market(address(base), address(quote), 0, TICK_SIZE, MIN_FILL_LOTS));
    }

    function test_market_zeroTickSize() public {
        _assertMarketSkips(Market(address(base), address(quote), LOT_SIZE, 0, MIN_FILL_LOTS));
    }

    function test_market_baseIsQuote() public {
        _assertMarketSkips(Market(address(base), address(base), LOT_SIZE, TICK_SIZE, MIN_FILL_LOTS));
    }

    function _assertMarketSkips(Market memory other) private {
        Trade memory trade = newTrade();
        trade.market = other;
        trade.maker.market = trade.taker.market = settlement.marketId(other);
        sign(trade);
        assertSkips(trade, SkipReason.Market);
    }

    // 3 validity

    function test_validity_epochInTheFuture() public {
        Trade memory trade = newSignedTrade();
        vm.warp(MATCHED_S - 1);
        assertSkips(trade, SkipReason.Validity);
        vm.warp(MATCHED_S);
        assertSettles(trade);
    }

    function test_validity_largestEpochDoesNotOverflow() public {
        Trade memory trade = newTrade();
        trade.ticket.epoch = type(uint64).max;
        sign(trade);
        assertSkips(trade, SkipReason.Validity);
    }

    function test_validity_makerOrderExpiredWhenMatched() public {
        Trade memory trade = newTrade();
        trade.maker.expiry = MATCHED_S;
        sign(trade);
        assertSkips(trade, SkipReason.Validity);
    }

    function test_validity_takerOrderExpiredWhenMatched() public {
        Trade memory trade = newTrade();
        trade.taker.expiry = MATCHED_S;
        sign(trade);
        assertSkips(trade, SkipReason.Validity);
    }

    function test_validity_orderExpiredSinceItMatchedSettles() public {
        Trade memory trade = newTrade();
        trade.maker.expiry = trade.taker.expiry = MATCHED_S + 1;
        sign(trade);
        vm.warp(MATCHED_S + TICKET_LIFE_S);
        assertSettles(trade);
    }

    function test_validity_noExpirySettles() public {
        Trade memory trade = newTrade();
        trade.maker.expiry = trade.taker.expiry = 0;
        sign(trade);
        assertSettles(trade);
    }

    function test_validity_sessionExpiredWhenMatched() public {
        Side memory late = maker;
        late.session = makeAccount("short session");
        vm.warp(MATCHED_S - 10);
        vm.prank(maker.owner.addr);
        vault.authoriseSession(late.session.addr, TICKET, MATCHED_S);
        vm.warp(MATCHED_S);

        Trade memory trade = newTrade();
        trade.maker.session = late.session.addr;
        signAs(trade, late, taker);
        assertSkips(trade, SkipReason.Validity);

        trade.ticket.epoch = EPOCH - 2; // one second earlier
        trade.ticket.deadline -= 1;
        signAs(trade, late, taker);
        assertSettles(trade);
    }

    function test_validity_matchedAfterRevocationWasSeen() public {
        _assertRevoked(maker, MATCHED_S - FUND_LAG_S - 1, SkipReason.Validity);
    }

    function test_validity_takersRevocationCountsToo() public {
        _assertRevoked(taker, MATCHED_S - FUND_LAG_S - 1, SkipReason.Validity);
    }

    function test_validity_matchedBeforeRevocationWasSeenSettles() public {
        _assertRevoked(maker, MATCHED_S - FUND_LAG_S, SkipReason.None);
    }

    function test_validity_revokedAfterMatchedSettles() public {
        _assertRevoked(taker, MATCHED_S + 1, SkipReason.None);
    }

    function _assertRevoked(Side memory side, uint64 revokedAt, SkipReason expected) private {
        Trade memory trade = newSignedTrade();
        vm.warp(revokedAt);
        vm.prank(side.owner.addr);
        vault.revokeSession(side.session.addr);
        vm.warp(MATCHED_S + 3);
        assertEq(uint8(outcome(trade)), uint8(expected));
    }

    /// @dev A deadline so late that the revocation rule alone would void it is void for its length as well, so both
    /// reasons are seen by the order of the checks: validity comes first.
    function test_validity_deadlineBeyondRevocationIsNamedBeforeDeadline() public {
        Trade memory trade = newTrade();
        trade.ticket.deadline = MATCHED_S + FUND_LAG_S + TICKET_LIFE_S + 1;
        sign(trade);
        assertSkips(trade, SkipReason.Deadline);
        vm.warp(MATCHED_S);
        vm.prank(maker.owner.addr);
        vault.revokeSession(maker.session.addr);
        assertSkips(trade, SkipReason.Validity);
    }

    // 4 deadline

    function test_deadline_past() public {
        Trade memory trade = newSignedTrade();
        vm.warp(trade.ticket.deadline + 1);
        assertSkips(trade, SkipReason.Deadline);
        vm.warp(trade.ticket.deadline);
        assertSettles(trade);
    }

    function test_deadline_longerThanATicketLives() public {
        Trade memory trade = newTrade();
        trade.ticket.deadline = MATCHED_S + TICKET_LIFE_S + 1;
        sign(trade);
        assertSkips(trade, SkipReason.Deadline);
    }

    function test_deadline_beforeMatched() public {
        Trade memory trade = newTrade();
        trade.ticket.deadline = MATCHED_S - 1;
        sign(trade);
        vm.warp(MATCHED_S);
        assertSkips(trade, SkipReason.Deadline);
    }

    function test_deadline_equalToMatchedSettles() public {
        Trade memory trade = newTrade();
        trade.ticket.deadline = MATCHED_S;
        sign(trade);
        vm.warp(MATCHED_S);
        assertSettles(trade);
    }

    function test_deadline_largestDoesNotOverflow() public {
        Trade memory trade = newTrade();
        trade.ticket.deadline = type(uint64).max;
        sign(trade);
        assertSkips(trade, SkipReason.Deadline);
    }

    // 5 replay

    function test_replay_sameTicketTwice() public {
        Trade memory trade = newTrade();
        trade.maker.quantityLots = trade.taker.quantityLots = 2 * LOTS;
        sign(trade);
        assertSettles(trade);
        assertSkips(trade, SkipReason.Replay);
        assertEq(settlement.filledLots(trade.ticket.makerOrder), LOTS);
    }

    function test_replay_sameTicketTwiceInOneBatch() public {
        Trade memory trade = newTrade();
        trade.maker.quantityLots = trade.taker.quantityLots = 2 * LOTS;
        sign(trade);
        Trade[] memory trades = new Trade[](2);
        trades[0] = trades[1] = trade;
        settlement.settle(trades);
        assertEq(settlement.filledLots(trade.ticket.makerOrder), LOTS);
        assertEq(allocated(taker, base), LOTS * uint256(LOT_SIZE));
    }

    function test_replay_anotherTicketWithAUsedNonce() public {
        Trade memory trade = newSignedTrade();
        assertSettles(trade);
        Trade memory second = newTrade();
        second.ticket.ticketNonce = trade.ticket.ticketNonce;
        sign(second);
        assertSkips(second, SkipReason.Replay);
    }

    function test_replay_nonceOfAnotherTakerSessionIsFree() public {
        Trade memory trade = newSignedTrade();
        assertSettles(trade);
        assertTrue(settlement.isUsed(taker.session.addr, trade.ticket.ticketNonce));
        assertFalse(settlement.isUsed(maker.session.addr, trade.ticket.ticketNonce));

        // The same number again with the sides' roles exchanged.
        Trade memory mirrored = newTrade();
        mirrored.maker = newOrder(taker, BUY);
        mirrored.taker = newOrder(maker, SELL);
        mirrored.ticket.ticketNonce = trade.ticket.ticketNonce;
        signAs(mirrored, taker, maker);
        assertSettles(mirrored);
    }

    // 6 limits

    function test_limits_priceAboveTheBuyers() public {
        Trade memory trade = newTrade();
        trade.ticket.priceTicks = PRICE_TICKS + 1;
        sign(trade);
        assertSkips(trade, SkipReason.Limits);
    }

    function test_limits_priceBelowTheSellers() public {
        Trade memory trade = newTrade();
        trade.ticket.priceTicks = PRICE_TICKS - 1;
        sign(trade);
        assertSkips(trade, SkipReason.Limits);
    }

    function test_limits_zeroPrice() public {
        Trade memory trade = newTrade();
        trade.ticket.priceTicks = 0;
        sign(trade);
        assertSkips(trade, SkipReason.Limits);
        trade.maker.priceTicks = 0;
        sign(trade);
        assertSkips(trade, SkipReason.Limits);
    }

    function test_limits_sellersOrderWithoutAPrice() public {
        Trade memory trade = newTrade();
        trade.maker.priceTicks = 0;
        sign(trade);
        assertSkips(trade, SkipReason.Limits);
    }

    function test_limits_bothBuyOrBothSell() public {
        Trade memory trade = newTrade();
        trade.maker.side = BUY;
        sign(trade);
        assertSkips(trade, SkipReason.Limits);
        trade.maker.side = trade.taker.side = SELL;
        sign(trade);
        assertSkips(trade, SkipReason.Limits);
    }

    function test_limits_unknownSides() public {
        Trade memory trade = newTrade();
        trade.maker.side = 2;
        sign(trade);
        assertSkips(trade, SkipReason.Limits);
        trade.maker.side = SELL;
        trade.taker.side = 255;
        sign(trade);
        assertSkips(trade, SkipReason.Limits);
    }

    function test_limits_makerOrderBelowTheMarketsMinimum() public {
        Trade memory trade = newTrade();
        trade.maker.quantityLots = MIN_FILL_LOTS - 1;
        trade.ticket.makerTo = trade.ticket.takerTo = MIN_FILL_LOTS - 1;
        sign(trade);
        assertSkips(trade, SkipReason.Limits);
    }

    function test_limits_takerOrderBelowTheMarketsMinimum() public {
        Trade memory trade = newTrade();
        trade.taker.quantityLots = MIN_FILL_LOTS - 1;
        trade.ticket.makerTo = trade.ticket.takerTo = MIN_FILL_LOTS - 1;
        sign(trade);
        assertSkips(trade, SkipReason.Limits);
    }

    function test_limits_aFillMayBeSmallerThanTheMinimum() public {
        Trade memory trade = newTrade();
        trade.ticket.makerTo = trade.ticket.takerTo = 1;
        sign(trade);
        assertSettles(trade);
    }

    function test_limits_anyPriceBetweenTheLimitsSettles() public {
        Trade memory trade = newTrade();
        trade.maker.priceTicks = PRICE_TICKS - 100;
        trade.taker.priceTicks = PRICE_TICKS + 100;
        sign(trade);
        assertSettles(trade);
        assertEq(allocated(maker, quote), quoteAmount(PRICE_TICKS, LOTS));
    }

    // 7 overfill

    function test_overfill_rangesOfDifferentLengths() public {
        Trade memory trade = newTrade();
        trade.ticket.takerTo = LOTS - 1;
        sign(trade);
        assertSkips(trade, SkipReason.Overfill);
    }

    function test_overfill_emptyRanges() public {
        Trade memory trade = newTrade();
        trade.ticket.makerTo = trade.ticket.takerTo = 0;
        sign(trade);
        assertSkips(trade, SkipReason.Overfill);
    }

    function test_overfill_reversedRangesDoNotUnderflow() public {
        Trade memory trade = newTrade();
        (trade.ticket.makerFrom, trade.ticket.makerTo) = (LOTS, 0);
        sign(trade);
        assertSkips(trade, SkipReason.Overfill);
        (trade.ticket.takerFrom, trade.ticket.takerTo) = (LOTS, 0);
        sign(trade);
        assertSkips(trade, SkipReason.Overfill);
    }

    function test_overfill_rangeBeyondTheMakersQuantity() public {
        Trade memory trade = newTrade();
        (trade.ticket.makerFrom, trade.ticket.makerTo) = (1, LOTS + 1);
        sign(trade);
        assertSkips(trade, SkipReason.Overfill);
    }

    function test_overfill_rangeBeyondTheTakersQuantity() public {
        Trade memory trade = newTrade();
        (trade.ticket.takerFrom, trade.ticket.takerTo) = (1, LOTS + 1);
        sign(trade);
        assertSkips(trade, SkipReason.Overfill);
    }

    function test_overfill_makerOrderAlreadyFilled() public {
        Trade memory trade = newTrade();
        trade.taker.quantityLots = 3 * LOTS;
        sign(trade);
        assertSettles(trade);
        trade.ticket.ticketNonce += 100;
        (trade.ticket.takerFrom, trade.ticket.takerTo) = (LOTS, 2 * LOTS);
        sign(trade);
        assertDefaults(trade, SkipReason.Overfill, maker);
    }

    function test_overfill_takerOrderAlreadyFilled() public {
        Trade memory trade = newTrade();
        trade.maker.quantityLots = 3 * LOTS;
        sign(trade);
        assertSettles(trade);
        trade.ticket.ticketNonce += 100;
        (trade.ticket.makerFrom, trade.ticket.makerTo) = (LOTS, 2 * LOTS);
        sign(trade);
        assertDefaults(trade, SkipReason.Overfill, taker);
    }

    function test_overfill_aFilledOrderInTheOtherRole() public {
        Trade memory trade = newSignedTrade();
        assertSettles(trade);
        Trade memory mirrored = newTrade();
        mirrored.maker = trade.taker;
        mirrored.taker = newOrder(maker, SELL);
        signAs(mirrored, taker, maker);
        assertDefaults(mirrored, SkipReason.Overfill, taker);
    }

    function test_overfill_exactlyFilledSettles() public {
        Trade memory trade = newTrade();
        trade.ticket.makerTo = trade.ticket.takerTo = 4;
        sign(trade);
        assertSettles(trade);
        trade.ticket.ticketNonce += 100;
        (trade.ticket.makerFrom, trade.ticket.makerTo) = (4, LOTS);
        (trade.ticket.takerFrom, trade.ticket.takerTo) = (4, LOTS);
        sign(trade);
        assertSettles(trade);
        assertEq(settlement.filledLots(trade.ticket.makerOrder), LOTS);
        assertEq(settlement.filledLots(trade.ticket.takerOrder), LOTS);
    }

    // 8 funds

    function test_funds_sellerOneUnitShort() public {
        _leaveShort(maker, address(base), BASE_FUNDS - LOTS * uint256(LOT_SIZE));
        Trade memory trade = _newLaterTrade();
        assertSettles(trade);
        fund(maker.owner.addr, base, LOTS * uint256(LOT_SIZE) - 1);
        assertDefaults(_newLaterTrade(), SkipReason.Funds, maker);
    }

    function test_funds_buyerOneUnitShort() public {
        _leaveShort(taker, address(quote), QUOTE_FUNDS - quoteAmount(PRICE_TICKS, LOTS));
        Trade memory trade = _newLaterTrade();
        assertSettles(trade);
        fund(taker.owner.addr, quote, quoteAmount(PRICE_TICKS, LOTS) - 1);
        assertDefaults(_newLaterTrade(), SkipReason.Funds, taker);
    }

    /// @dev Takes `amount` out of the side's allocation, and lets the delay pass.
    function _leaveShort(Side memory side, address token, uint256 amount) private {
        vm.startPrank(side.owner.addr);
        vault.requestDeallocation(marketId, token, amount);
        vm.warp(MATCHED_S + DELAY_S + 3);
        vault.executeDeallocation(marketId, token);
        vm.stopPrank();
    }

    /// @dev Matched once that delay was over.
    function _newLaterTrade() private returns (Trade memory trade) {
        trade = newTrade();
        trade.maker.expiry = trade.taker.expiry = 0;
        trade.ticket.epoch += 2 * DELAY_S; // two epochs a second
        trade.ticket.deadline += DELAY_S;
        sign(trade);
    }

    function test_funds_largestAmountsDoNotOverflow() public {
        Trade memory trade = newTrade();
        trade.market.lotSize = trade.market.tickSize = type(uint96).max;
        trade.maker.market = trade.taker.market = settlement.marketId(trade.market);
        trade.maker.quantityLots = trade.taker.quantityLots = type(uint64).max;
        trade.maker.priceTicks = trade.taker.priceTicks = trade.ticket.priceTicks = type(uint64).max;
        trade.ticket.makerTo = trade.ticket.takerTo = type(uint64).max;
        sign(trade);
        _assertBothDefault(trade);
    }

    function _assertBothDefault(Trade memory trade) private {
        assertEq(uint8(outcome(trade)), uint8(SkipReason.Funds));
        assertEq(guilty.length, 2);
        assertEq(guilty[0], maker.owner.addr);
        assertEq(guilty[1], taker.owner.addr);
    }

    function test_funds_allocatedToAnotherMarketDoNotCount() public {
        Trade memory trade = newTrade();
        trade.market.minFillLots = 1;
        trade.maker.market = trade.taker.market = settlement.marketId(trade.market);
        sign(trade);
        _assertBothDefault(trade);
    }

    function test_funds_pendingDeallocationStillPays() public {
        vm.prank(maker.owner.addr);
        vault.requestDeallocation(marketId, address(base), BASE_FUNDS);
        assertSettles(newSignedTrade());
    }

    function test_validity_onlyGoodTillCancelledNeedsNoExpiry() public {
        for (uint8 tif = 1; tif < 5; ++tif) {
            Trade memory trade = newTrade();
            (trade.taker.tif, trade.taker.expiry) = (tif, 0);
            sign(trade);
            assertSkips(trade, SkipReason.Validity);
            (trade.taker.tif, trade.taker.expiry) = (0, 0);
            (trade.maker.tif, trade.maker.expiry) = (tif, 0);
            sign(trade);
            assertSkips(trade, SkipReason.Validity);
        }
    }

    // 9 grouped

    function test_grouped_ticketOfAGroup() public {
        Trade memory trade = newTrade();
        trade.ticket.group = bytes32(uint256(1));
        sign(trade);
        assertSkips(trade, SkipReason.Grouped);
    }

    function test_grouped_fillOrKillWithoutItsGroup() public {
        Trade memory trade = newTrade();
        trade.taker.tif = FOK;
        sign(trade);
        assertSkips(trade, SkipReason.Grouped);
        (trade.taker.tif, trade.maker.tif) = (0, FOK);
        sign(trade);
        assertSkips(trade, SkipReason.Grouped);
    }

    function test_grouped_wholeGroupOfOneOnItsOwn() public {
        assertSkips(newSignedGroup(1)[0], SkipReason.Grouped);
    }

    // 10 kind

    function test_kind_escrowTicket() public {
        Trade memory trade = newTrade();
        trade.ticket.kind = 1;
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
    }

    function test_kind_unknownOrderKind() public {
        Trade memory trade = newTrade();
        trade.maker.kind = 2;
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
        (trade.maker.kind, trade.taker.kind, trade.taker.tif) = (0, 2, IOC);
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
    }

    function test_kind_protectedMarketOrderThatStays() public {
        for (uint8 tif = 0; tif < 5; ++tif) {
            if (tif == IOC || tif == FOK) continue;
            Trade memory trade = newTrade();
            (trade.taker.kind, trade.taker.tif) = (1, tif);
            sign(trade);
            assertSkips(trade, SkipReason.Kind);
        }
    }

    function test_kind_protectedMarketOrderAsMaker() public {
        for (uint8 tif = 0; tif < 5; ++tif) {
            if (tif == FOK) continue; // names the missing group first
            Trade memory trade = newTrade();
            (trade.maker.kind, trade.maker.tif) = (1, tif);
            sign(trade);
            assertSkips(trade, SkipReason.Kind);
        }
    }

    function test_kind_immediateOrCancelAsMaker() public {
        Trade memory trade = newTrade();
        trade.maker.tif = IOC;
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
    }

    function test_kind_unknownTimeInForce() public {
        Trade memory trade = newTrade();
        trade.maker.tif = 5;
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
        (trade.maker.tif, trade.taker.tif) = (0, 255);
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
    }

    function test_kind_ordersWithPaymentMethods() public {
        Trade memory trade = newTrade();
        trade.maker.paymentMethods = new uint32[](1);
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
        (trade.maker.paymentMethods, trade.taker.paymentMethods) = (new uint32[](0), new uint32[](2));
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
    }

    function test_kind_ordersWithArbitrators() public {
        Trade memory trade = newTrade();
        trade.maker.arbitrators = new address[](1);
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
        (trade.maker.arbitrators, trade.taker.arbitrators) = (new address[](0), new address[](2));
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
    }

    function test_kind_ordersOfAnEscrowLane() public {
        Trade memory trade = newTrade();
        trade.maker.security = 1;
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
        (trade.maker.security, trade.taker.security) = (0, 1);
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
    }

    function test_kind_immediateOrCancelAsTakerSettles() public {
        for (uint8 kind = 0; kind < 2; ++kind) {
            Trade memory trade = newTrade();
            (trade.taker.kind, trade.taker.tif) = (kind, IOC);
            sign(trade);
            assertSettles(trade);
        }
    }

    function test_kind_dayAndGoodTillDateSettleOnBothSides() public {
        for (uint8 tif = 3; tif < 5; ++tif) {
            Trade memory trade = newTrade();
            trade.maker.tif = trade.taker.tif = tif;
            sign(trade);
            assertSettles(trade);
        }
    }

    function test_kind_postOnlyAndTiersAreMattersOfMatching() public {
        Trade memory trade = newTrade();
        trade.maker.postOnly = trade.taker.postOnly = true;
        (trade.maker.minTier, trade.taker.minTier) = (3, 255);
        sign(trade);
        assertSettles(trade);
    }

    // the order of the checks

    /// @dev Breaks everything at once, then mends one thing after the other: the reasons appear in their order.
    function test_firstFailingCheckNamesTheReason() public {
        Trade memory used = newSignedTrade();
        assertSettles(used);

        Trade memory trade = newTrade();
        trade.market.lotSize = 0; // market
        trade.maker.expiry = 1; // validity
        trade.ticket.deadline = MATCHED_S - 1; // deadline
        trade.ticket.ticketNonce = used.ticket.ticketNonce; // replay
        trade.ticket.priceTicks = 0; // limits
        trade.ticket.makerTo = 0; // overfill
        trade.maker.quantityLots = trade.taker.quantityLots = type(uint64).max;
        trade.ticket.group = bytes32(uint256(1)); // grouped
        trade.ticket.kind = 1; // kind
        signAs(trade, taker, maker); // signature
        assertSkips(trade, SkipReason.Signature);
        sign(trade);
        assertSkips(trade, SkipReason.Market);
        trade.market.lotSize = LOT_SIZE;
        sign(trade);
        assertSkips(trade, SkipReason.Validity);
        trade.maker.expiry = 0;
        sign(trade);
        assertSkips(trade, SkipReason.Deadline);
        trade.ticket.deadline = MATCHED_S + 10;
        sign(trade);
        assertSkips(trade, SkipReason.Replay);
        trade.ticket.ticketNonce += 100;
        sign(trade);
        assertSkips(trade, SkipReason.Limits);
        trade.ticket.priceTicks = PRICE_TICKS;
        sign(trade);
        assertSkips(trade, SkipReason.Grouped);
        trade.ticket.group = bytes32(0);
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
        trade.ticket.kind = 0;
        sign(trade);
        assertSkips(trade, SkipReason.Overfill);
        trade.ticket.makerTo = trade.ticket.takerTo = type(uint64).max;
        sign(trade);
        _assertBothDefault(trade);
        trade.ticket.makerTo = trade.ticket.takerTo = LOTS;
        trade.ticket.ticketNonce += 100;
        sign(trade);
        assertSettles(trade);
    }
}
