// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {OrrangeSettlement} from "../src/OrrangeSettlement.sol";
import {OrrangeVault} from "../src/OrrangeVault.sol";
import {IOrrangeSettlement} from "../src/interfaces/IOrrangeSettlement.sol";
import {
    OrderId,
    SettlementSettings,
    SkipReason,
    TicketDigest,
    Trade,
    VaultSettings
} from "../src/types/OrrangeTypes.sol";
import {Fixture} from "./support/Fixture.sol";

/// @notice The constructor's refusals, what a settled trade does, and batches.
contract SettlementTest is Fixture {
    // refusals at deployment

    function test_vaultOfAnotherSettlement() public {
        vm.expectRevert(
            abi.encodeWithSelector(IOrrangeSettlement.ForeignVault.selector, address(vault), address(settlement))
        );
        new OrrangeSettlement(settlementSettings(address(vault)));
    }

    function test_zeroDurations() public {
        SettlementSettings memory settings = settlementSettings(_newVault(DELAY_S, UNBONDING_S));
        settings.epochMs = 0;
        vm.expectRevert(IOrrangeSettlement.ZeroDuration.selector);
        new OrrangeSettlement(settings);
        settings = settlementSettings(_newVault(DELAY_S, UNBONDING_S));
        settings.ticketLifeS = 0;
        vm.expectRevert(IOrrangeSettlement.ZeroDuration.selector);
        new OrrangeSettlement(settings);
    }

    function test_vaultOfAnotherEscrow() public {
        SettlementSettings memory settings = settlementSettings(_newVault(DELAY_S, UNBONDING_S));
        settings.escrow = slasher;
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSettlement.ForeignEscrow.selector, slasher, address(escrow)));
        new OrrangeSettlement(settings);
    }

    function test_deallocationOutrunsTickets() public {
        uint64 reach = 2 * FUND_LAG_S + TICKET_LIFE_S;
        address next = _newVault(reach, UNBONDING_S);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSettlement.DelayTooShort.selector, reach, reach + 1));
        new OrrangeSettlement(settlementSettings(next));
        next = _newVault(reach + 1, UNBONDING_S);
        new OrrangeSettlement(settlementSettings(next));
    }

    function test_unbondingOutrunsTickets() public {
        uint64 reach = FUND_LAG_S + TICKET_LIFE_S;
        address next = _newVault(DELAY_S, reach);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSettlement.DelayTooShort.selector, reach, reach + 1));
        new OrrangeSettlement(settlementSettings(next));
        next = _newVault(DELAY_S, reach + 1);
        new OrrangeSettlement(settlementSettings(next));
    }

    function test_feesAndSharesOutOfRange() public {
        SettlementSettings memory settings = settlementSettings(_newVault(DELAY_S, UNBONDING_S));
        settings.feePpm = 10_001;
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSettlement.FeeTooLarge.selector, 10_001, 10_000));
        new OrrangeSettlement(settings);
        settings = settlementSettings(_newVault(DELAY_S, UNBONDING_S));
        settings.sinkSharePpm = 1e6 + 1;
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSettlement.FeeTooLarge.selector, 1e6 + 1, 1e6));
        new OrrangeSettlement(settings);
        settings = settlementSettings(_newVault(DELAY_S, UNBONDING_S));
        (settings.feePpm, settings.sinkSharePpm) = (10_000, 1e6);
        new OrrangeSettlement(settings);
    }

    /// @dev A vault for the settlement that this contract deploys next.
    function _newVault(uint64 delay, uint64 unbonding) private returns (address) {
        VaultSettings memory settings =
            vaultSettings(vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1));
        (settings.deallocationDelay, settings.unbondingDelay) = (delay, unbonding);
        return address(new OrrangeVault(settings));
    }

    function test_constants() public view {
        assertEq(address(settlement.vault()), address(vault));
        assertEq(settlement.genesisMs(), GENESIS_MS);
        assertEq(settlement.epochMs(), EPOCH_MS);
        assertEq(settlement.ticketLifeS(), TICKET_LIFE_S);
        assertEq(settlement.fundLagS(), FUND_LAG_S);
        assertEq(address(settlement.escrow()), address(escrow));
        assertEq(settlement.feePpm(), 0);
        assertEq(settlement.sinkSharePpm(), 0);
        assertEq(settlement.sink(), sink);
        assertEq(settlement.penalty(), PENALTY);
    }

    // one trade

    function test_makerSells() public {
        Trade memory trade = newSignedTrade();
        _expectCompleted(trade, false);
        settleOne(trade);
        _assertTraded(trade);
    }

    function test_makerBuys() public {
        Trade memory trade = newTrade();
        trade.maker = newOrder(taker, BUY);
        trade.taker = newOrder(maker, SELL);
        signAs(trade, taker, maker);
        _expectCompleted(trade, true);
        settleOne(trade);
        _assertTraded(trade);
    }

    function test_anyoneMaySubmit() public {
        Trade memory trade = newSignedTrade();
        vm.prank(makeAddr("stranger"));
        settleOne(trade);
        _assertTraded(trade);
    }

    function test_proceedsTradeOn() public {
        assertSettles(newSignedTrade());
        Trade memory back = newTrade();
        back.maker = newOrder(taker, SELL);
        back.taker = newOrder(maker, BUY);
        signAs(back, taker, maker);
        assertSettles(back);
        assertEq(allocated(maker, base), BASE_FUNDS);
        assertEq(allocated(taker, quote), QUOTE_FUNDS);
        assertEq(allocated(maker, quote), 0);
        assertEq(allocated(taker, base), 0);
    }

    function _expectCompleted(Trade memory trade, bool makerIsBuyer) private {
        vm.expectEmit(address(settlement));
        emit IOrrangeSettlement.TradeCompleted(
            TicketDigest.wrap(ticketDigest(trade)),
            trade.maker.owner,
            trade.taker.owner,
            marketId,
            trade.ticket.makerOrder,
            trade.ticket.takerOrder,
            makerIsBuyer,
            PRICE_TICKS,
            0,
            LOTS,
            0,
            LOTS,
            0,
            0
        );
    }

    function _assertTraded(Trade memory trade) private view {
        assertEq(allocated(maker, base), BASE_FUNDS - LOTS * uint256(LOT_SIZE));
        assertEq(allocated(taker, base), LOTS * uint256(LOT_SIZE));
        assertEq(allocated(maker, quote), quoteAmount(PRICE_TICKS, LOTS));
        assertEq(allocated(taker, quote), QUOTE_FUNDS - quoteAmount(PRICE_TICKS, LOTS));
        assertEq(settlement.filledLots(trade.ticket.makerOrder), LOTS);
        assertEq(settlement.filledLots(trade.ticket.takerOrder), LOTS);
        assertTrue(settlement.isUsed(trade.taker.session, trade.ticket.ticketNonce));
        assertFalse(settlement.isUsed(trade.taker.session, trade.ticket.ticketNonce + 1));
    }

    // batches

    function test_emptyBatch() public {
        settlement.settle(new Trade[](0));
    }

    function test_batchGoesOnAfterASkip() public {
        Trade[] memory trades = new Trade[](3);
        for (uint256 i = 0; i < 3; ++i) {
            trades[i] = newSignedTrade();
        }
        trades[1].makerOrderSignature = "";
        _expectCompleted(trades[0], false);
        vm.expectEmit(address(settlement));
        emit IOrrangeSettlement.TradeSkipped(TicketDigest.wrap(ticketDigest(trades[1])), SkipReason.Signature);
        _expectCompleted(trades[2], false);
        settlement.settle(trades);
        assertEq(allocated(taker, base), 2 * LOTS * uint256(LOT_SIZE));
    }

    function test_earlierTradesOfABatchSpendFromLaterOnes() public {
        uint64 all = uint64(BASE_FUNDS / LOT_SIZE);
        Trade[] memory trades = new Trade[](2);
        for (uint256 i = 0; i < 2; ++i) {
            trades[i] = newTrade();
            trades[i].maker.quantityLots = trades[i].taker.quantityLots = all;
            trades[i].ticket.makerTo = trades[i].ticket.takerTo = all - uint64(i);
            sign(trades[i]);
        }
        vm.expectEmit(address(settlement));
        emit IOrrangeSettlement.TradeSkipped(TicketDigest.wrap(ticketDigest(trades[1])), SkipReason.Funds);
        settlement.settle(trades);
        assertEq(settlement.filledLots(trades[0].ticket.makerOrder), all);
        assertEq(settlement.filledLots(trades[1].ticket.makerOrder), 0);
    }

    function test_oneMakerOrderAgainstTwoTakers() public {
        Trade[] memory trades = new Trade[](2);
        trades[0] = newTrade();
        trades[0].maker.quantityLots = 2 * LOTS;
        sign(trades[0]);
        trades[1] = newTrade();
        trades[1].maker = trades[0].maker;
        (trades[1].ticket.makerFrom, trades[1].ticket.makerTo) = (LOTS, 2 * LOTS);
        sign(trades[1]);
        assertEq(OrderId.unwrap(trades[0].ticket.makerOrder), OrderId.unwrap(trades[1].ticket.makerOrder));
        settlement.settle(trades);
        assertEq(settlement.filledLots(trades[0].ticket.makerOrder), 2 * LOTS);
    }
}
