// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Trade} from "../src/types/OrrangeTypes.sol";
import {Fixture} from "./support/Fixture.sol";

/// @notice What settling costs as a transaction of its own; written to snapshots/settle.json and compared in CI.
/// forge-config: default.isolate = true
contract GasTest is Fixture {
    function test_single() public {
        Trade[] memory trades = new Trade[](1);
        trades[0] = newSignedTrade();
        settlement.settle(trades);
        vm.snapshotGasLastCall("settle", "single");
        assertEq(settlement.filledLots(trades[0].ticket.makerOrder), LOTS);
    }

    /// @dev Of owners that have traded here before: balances and the word of the ticket's number are there already.
    function test_singleOfRegulars() public {
        assertSettles(newSignedTrade());
        Trade memory mirrored = newTrade();
        (mirrored.maker, mirrored.taker) = (newOrder(taker, SELL), newOrder(maker, BUY));
        mirrored.maker.quantityLots = mirrored.taker.quantityLots = MIN_FILL_LOTS;
        mirrored.ticket.makerTo = mirrored.ticket.takerTo = MIN_FILL_LOTS;
        signAs(mirrored, taker, maker);
        assertSettles(mirrored);
        Trade[] memory trades = new Trade[](1);
        trades[0] = newSignedTrade();
        settlement.settle(trades);
        vm.snapshotGasLastCall("settle", "single_of_regulars");
        assertEq(settlement.filledLots(trades[0].ticket.makerOrder), LOTS);
    }

    function test_cancel() public {
        Trade memory trade = newSignedTrade();
        vm.prank(maker.owner.addr);
        settlement.cancel(trade.maker);
        vm.snapshotGasLastCall("settle", "cancel");
        assertGt(settlement.cancelledAt(trade.ticket.makerOrder), 0);
    }

    function test_cancelUpTo() public {
        vm.prank(maker.owner.addr);
        settlement.cancelUpTo(maker.session.addr, 1000);
        vm.snapshotGasLastCall("settle", "cancel_up_to");
        (, uint64 voidBelow,) = settlement.floorOf(maker.owner.addr, maker.session.addr);
        assertEq(voidBelow, 1001);
    }

    function test_default() public {
        Trade[] memory trades = new Trade[](1);
        trades[0] = newTrade();
        trades[0].maker.quantityLots = trades[0].taker.quantityLots = 1e6;
        trades[0].taker.priceTicks = 1e6;
        trades[0].maker.priceTicks = trades[0].ticket.priceTicks = 1;
        trades[0].ticket.makerTo = trades[0].ticket.takerTo = 1e4;
        sign(trades[0]);
        settlement.settle(trades);
        vm.snapshotGasLastCall("settle", "default_without_a_bond");
        assertTrue(settlement.isUsed(taker.session.addr, trades[0].ticket.ticketNonce));
    }

    /// @dev Twenty trades of the same two owners, each with two new orders.
    function test_batchOfTwenty() public {
        Trade[] memory trades = new Trade[](20);
        for (uint256 i = 0; i < trades.length; ++i) {
            trades[i] = newSignedTrade();
        }
        settlement.settle(trades);
        vm.snapshotGasLastCall("settle", "batch_of_20");
        assertEq(settlement.filledLots(trades[19].ticket.makerOrder), LOTS);
    }

    /// @dev Twenty makers who never traded before, each with an order that one taker's new order takes.
    function test_batchOfTwentyDistinctMakers() public {
        Trade[] memory trades = new Trade[](20);
        vm.warp(MATCHED_S - 1000);
        for (uint256 i = 0; i < trades.length; ++i) {
            Side memory other = newSide(string.concat("maker ", vm.toString(i)));
            fund(other.owner.addr, base, LOTS * uint256(LOT_SIZE));
            trades[i] = newTrade();
            trades[i].maker = newOrder(other, SELL);
            signAs(trades[i], other, taker);
        }
        vm.warp(MATCHED_S + 3);
        settlement.settle(trades);
        vm.snapshotGasLastCall("settle", "batch_of_20_distinct_makers");
        assertEq(settlement.filledLots(trades[19].ticket.makerOrder), LOTS);
    }

    /// @dev Twenty takers' orders against one resting order.
    function test_batchOfTwentyAgainstOneOrder() public {
        Trade[] memory trades = new Trade[](20);
        for (uint256 i = 0; i < trades.length; ++i) {
            trades[i] = newTrade();
            trades[i].maker = trades[0].maker;
            trades[i].maker.quantityLots = 20 * LOTS;
            (trades[i].ticket.makerFrom, trades[i].ticket.makerTo) = (uint64(i) * LOTS, uint64(i + 1) * LOTS);
            sign(trades[i]);
        }
        settlement.settle(trades);
        vm.snapshotGasLastCall("settle", "batch_of_20_against_one_order");
        assertEq(settlement.filledLots(trades[0].ticket.makerOrder), 20 * LOTS);
    }

    function test_skipped() public {
        Trade[] memory trades = new Trade[](1);
        trades[0] = newSignedTrade();
        trades[0].makerOrderSignature = "";
        settlement.settle(trades);
        vm.snapshotGasLastCall("settle", "skipped_for_its_signature");
        assertEq(settlement.filledLots(trades[0].ticket.makerOrder), 0);
    }

    function test_groupOfOne() public {
        _settleGroup(1, "group_of_1");
    }

    function test_groupOfFour() public {
        _settleGroup(4, "group_of_4");
    }

    function test_groupOfSixteen() public {
        _settleGroup(16, "group_of_16");
    }

    /// @dev Each leg against a new order of the same maker.
    function _settleGroup(uint256 count, string memory name) private {
        Trade[] memory legs = newSignedGroup(count);
        settlement.settleGroup(legs);
        vm.snapshotGasLastCall("settle", name);
        assertEq(settlement.filledLots(legs[0].ticket.takerOrder), count * LOTS);
    }
}
