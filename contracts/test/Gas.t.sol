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
