// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IOrrangeSettlement} from "../src/interfaces/IOrrangeSettlement.sol";
import {OrderId, SkipReason, Trade} from "../src/types/OrrangeTypes.sol";
import {Fixture} from "./support/Fixture.sol";

/// @notice Cancels on the chain: who may, from when on they are felt, and that none is ever forgotten.
contract CancelsTest is Fixture {
    uint64 private constant REACH_S = FUND_LAG_S + TICKET_LIFE_S;

    function test_cancelOfAnothersOrder() public {
        Trade memory trade = newSignedTrade();
        vm.prank(taker.owner.addr);
        vm.expectRevert(
            abi.encodeWithSelector(IOrrangeSettlement.NotOrderOwner.selector, maker.owner.addr, taker.owner.addr)
        );
        settlement.cancel(trade.maker);
    }

    function test_sessionsDoNotCancel() public {
        Trade memory trade = newSignedTrade();
        vm.prank(maker.session.addr);
        vm.expectRevert(
            abi.encodeWithSelector(IOrrangeSettlement.NotOrderOwner.selector, maker.owner.addr, maker.session.addr)
        );
        settlement.cancel(trade.maker);
    }

    /// @dev A second cancel would move the time on and let later tickets settle.
    function test_cancelTwice() public {
        Trade memory trade = newSignedTrade();
        vm.startPrank(maker.owner.addr);
        settlement.cancel(trade.maker);
        uint256 first = block.timestamp;
        skip(1);
        vm.expectRevert(
            abi.encodeWithSelector(IOrrangeSettlement.AlreadyCancelled.selector, trade.ticket.makerOrder, first)
        );
        settlement.cancel(trade.maker);
        assertEq(settlement.cancelledAt(trade.ticket.makerOrder), first);
    }

    function test_cancelUpToLessThanBefore() public {
        vm.startPrank(maker.owner.addr);
        settlement.cancelUpTo(maker.session.addr, 7);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSettlement.NothingToCancel.selector, maker.session.addr, 7, 8));
        settlement.cancelUpTo(maker.session.addr, 7);
        settlement.cancelUpTo(maker.session.addr, 8);
    }

    function test_cancelUpToTheLargestNonce() public {
        vm.prank(maker.owner.addr);
        vm.expectRevert(
            abi.encodeWithSelector(IOrrangeSettlement.NothingToCancel.selector, maker.session.addr, type(uint64).max, 0)
        );
        settlement.cancelUpTo(maker.session.addr, type(uint64).max);
    }

    function test_cancelUpToWhileTheLastOneIsYoung() public {
        vm.startPrank(maker.owner.addr);
        settlement.cancelUpTo(maker.session.addr, 3);
        uint256 free = block.timestamp + REACH_S + 1;
        vm.warp(free - 1);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSettlement.CancelTooSoon.selector, free, free - 1));
        settlement.cancelUpTo(maker.session.addr, 4);
        vm.warp(free);
        vm.expectEmit(address(settlement));
        emit IOrrangeSettlement.OrdersCancelled(maker.owner.addr, maker.session.addr, 4);
        settlement.cancelUpTo(maker.session.addr, 4);
        (uint64 deadBelow, uint64 voidBelow, uint40 at) = settlement.floorOf(maker.owner.addr, maker.session.addr);
        assertEq(deadBelow, 4);
        assertEq(voidBelow, 5);
        assertEq(at, free);
    }

    function test_cancelSaysSo() public {
        Trade memory trade = newSignedTrade();
        vm.expectEmit(address(settlement));
        emit IOrrangeSettlement.OrderCancelled(trade.ticket.makerOrder, maker.owner.addr, maker.session.addr);
        vm.prank(maker.owner.addr);
        settlement.cancel(trade.maker);
    }

    /// @dev Matched one second too late, or at the last second that counts, of either side, by either call.
    function test_cancelledOrdersSettleOnlyWhatMatchedBefore() public {
        for (uint256 how = 0; how < 4; ++how) {
            _assertCancelled(how, MATCHED_S - FUND_LAG_S - 1, SkipReason.Cancelled);
            _assertCancelled(how, MATCHED_S - FUND_LAG_S, SkipReason.None);
            _assertCancelled(how, MATCHED_S + 1, SkipReason.None);
        }
    }

    function _assertCancelled(uint256 how, uint256 time, SkipReason expected) private {
        uint256 before = vm.snapshotState();
        Trade memory trade = newSignedTrade();
        vm.warp(time);
        _cancel(trade, how);
        vm.warp(MATCHED_S + 3);
        if (expected == SkipReason.None) assertSettles(trade);
        else assertSkips(trade, expected);
        assertTrue(vm.revertToStateAndDelete(before));
    }

    function _cancel(Trade memory trade, uint256 how) private {
        vm.startPrank(how % 2 == 0 ? maker.owner.addr : taker.owner.addr);
        if (how < 2) settlement.cancel(how == 0 ? trade.maker : trade.taker);
        else if (how == 2) settlement.cancelUpTo(maker.session.addr, trade.maker.nonce);
        else settlement.cancelUpTo(taker.session.addr, trade.taker.nonce);
        vm.stopPrank();
    }

    /// @dev What the first call voided stays void when a second one moves the time on.
    function test_aLaterCallForgivesNothing() public {
        Trade memory trade = newTrade();
        trade.maker.expiry = trade.taker.expiry = 0;
        vm.warp(MATCHED_S - 10);
        vm.prank(maker.owner.addr);
        settlement.cancelUpTo(maker.session.addr, trade.maker.nonce);
        vm.warp(MATCHED_S - 10 + REACH_S + 1);
        vm.prank(maker.owner.addr);
        settlement.cancelUpTo(maker.session.addr, trade.maker.nonce + 5);
        trade.ticket.epoch += 2 * (REACH_S - 10); // matched before the second call, after the first
        trade.ticket.deadline = uint64(block.timestamp + 20);
        sign(trade);
        assertSkips(trade, SkipReason.Cancelled);
    }

    /// @dev Between the two nonces only the second call counts.
    function test_nextOrdersFollowTheSecondCall() public {
        Trade memory first = newTrade();
        vm.warp(MATCHED_S - 100);
        vm.prank(maker.owner.addr);
        settlement.cancelUpTo(maker.session.addr, first.maker.nonce);
        Trade memory trade = newTrade();
        vm.warp(MATCHED_S + 1);
        vm.prank(maker.owner.addr);
        settlement.cancelUpTo(maker.session.addr, trade.maker.nonce);
        sign(trade);
        assertSettles(trade);
    }

    function test_floorsOfOthersDoNothing() public {
        Trade memory trade = newSignedTrade();
        vm.warp(MATCHED_S - 100);
        vm.prank(taker.owner.addr);
        settlement.cancelUpTo(maker.session.addr, trade.maker.nonce);
        vm.warp(MATCHED_S);
        assertSettles(trade);
    }

    function test_cancelKeepsWhatSettled() public {
        Trade memory trade = newTrade();
        trade.maker.quantityLots = 2 * LOTS;
        sign(trade);
        assertSettles(trade);
        vm.prank(maker.owner.addr);
        settlement.cancel(trade.maker);
        assertEq(settlement.filledLots(trade.ticket.makerOrder), LOTS);
        assertEq(OrderId.unwrap(settlement.orderId(trade.maker)), OrderId.unwrap(trade.ticket.makerOrder));
    }
}
