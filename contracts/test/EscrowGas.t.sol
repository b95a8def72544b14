// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Trade} from "../src/types/OrrangeTypes.sol";
import {OpenedTrade} from "../src/interfaces/IOrrangeEscrow.sol";
import {EscrowFixture} from "./support/EscrowFixture.sol";
import {Fixture} from "./support/Fixture.sol";

/// @notice What the steps of an escrow cost as transactions of their own; written to snapshots/escrow.json and compared
/// in CI. `open` is a part of settling, whose checks and locks it does not have.
/// forge-config: default.isolate = true
contract EscrowGasTest is EscrowFixture {
    function test_open() public {
        OpenedTrade memory trade = newTrade();
        lock(trade);
        escrow.open(trade);
        vm.snapshotGasLastCall("escrow", "open");
    }

    function test_markPaid() public {
        OpenedTrade memory trade = openNew();
        vm.prank(buyer);
        escrow.markPaid(trade);
        vm.snapshotGasLastCall("escrow", "mark_paid");
    }

    function test_markPaidBySession() public {
        OpenedTrade memory trade = openNew();
        vm.prank(buyerSession);
        escrow.markPaid(trade);
        vm.snapshotGasLastCall("escrow", "mark_paid_by_session");
    }

    function test_releaseToNewBalances() public {
        OpenedTrade memory trade = openPaid();
        vm.prank(seller);
        escrow.release(trade);
        vm.snapshotGasLastCall("escrow", "release_to_new_balances");
    }

    function test_release() public {
        _endOne();
        OpenedTrade memory trade = openPaid();
        vm.prank(seller);
        escrow.release(trade);
        vm.snapshotGasLastCall("escrow", "release");
    }

    function test_cancel() public {
        _endOne();
        OpenedTrade memory trade = openNew();
        vm.prank(buyer);
        escrow.cancel(trade);
        vm.snapshotGasLastCall("escrow", "cancel");
    }

    function test_dispute() public {
        OpenedTrade memory trade = openPaid();
        vm.prank(seller);
        escrow.dispute(trade);
        vm.snapshotGasLastCall("escrow", "dispute");
    }

    function test_resolve() public {
        _endOne();
        OpenedTrade memory trade = openDisputed();
        vm.prank(arbitrator);
        escrow.resolve(trade, 5_000, 0);
        vm.snapshotGasLastCall("escrow", "resolve");
    }

    /// @dev Each side has balances of both tokens, and another trade keeps its funds locked.
    function _endOne() private {
        openNew();
        OpenedTrade memory trade = openDisputed();
        vm.prank(arbitrator);
        escrow.resolve(trade, 5_000, 5_000);
    }
}

/// @notice What settling one ticket of kind 1 costs: its checks, the locks in the vault, and the opening.
/// forge-config: default.isolate = true
contract EscrowSettlingGasTest is Fixture {
    function test_settleAndOpen() public {
        bytes memory arguments = abi.encode(vault, 60, 3_600, 7_200, 86_400, 1);
        deployCodeTo("OrrangeEscrow.sol:OrrangeEscrow", arguments, address(escrow));
        fund(maker.owner.addr, quote, QUOTE_FUNDS);
        Trade[] memory trades = new Trade[](2);
        for (uint256 i = 0; i < 2; ++i) {
            trades[i] = newTrade();
            toEscrow(trades[i], 2);
            sign(trades[i]);
        }
        settleOne(trades[0]);
        settleOne(trades[1]); // the vault has locked some of both tokens before
        vm.snapshotGasLastCall("escrow", "settle_and_open");
        assertEq(vault.lockedBalance(address(base)), 2 * LOTS * LOT_SIZE);
    }
}
