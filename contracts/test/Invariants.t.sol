// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {Handler} from "./support/Handler.sol";

/// @notice Safety invariants S1, S6, S9 and S10 under random sequences of everything that owners and submitters can do.
contract InvariantsTest is Test {
    Handler private handler;

    function setUp() public {
        handler = new Handler();
        handler.setUp();
        bytes4[] memory selectors = new bytes4[](25);
        selectors[0] = handler.deposit.selector;
        selectors[1] = handler.donate.selector;
        selectors[2] = handler.withdraw.selector;
        selectors[3] = handler.allocate.selector;
        selectors[4] = handler.requestDeallocation.selector;
        selectors[5] = handler.executeDeallocation.selector;
        selectors[6] = handler.bond.selector;
        selectors[7] = handler.requestUnbonding.selector;
        selectors[8] = handler.executeUnbonding.selector;
        selectors[9] = handler.slash.selector;
        selectors[10] = handler.release.selector;
        selectors[11] = handler.renewSession.selector;
        selectors[12] = handler.revoke.selector;
        selectors[13] = handler.revokeAll.selector;
        selectors[14] = handler.cancel.selector;
        selectors[15] = handler.cancelUpTo.selector;
        selectors[16] = handler.pass.selector;
        selectors[17] = handler.settleNew.selector;
        selectors[18] = handler.settleNew.selector;
        selectors[19] = handler.settleNew.selector;
        selectors[20] = handler.settleAgain.selector;
        selectors[21] = handler.settleAgain.selector;
        selectors[22] = handler.replay.selector;
        selectors[23] = handler.settleGroup.selector;
        selectors[24] = handler.replayGroup.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector({addr: address(handler), selectors: selectors}));
    }

    function invariant_all() public view {
        handler.assertSolvent();
        handler.assertBooksAgree();
        handler.assertNothingOverfilled();
        handler.assertTicketsSettledOnce();
    }

    /// @dev The handler's trades do settle, open, default and get skipped: the invariants above speak of something.
    function test_handlerSettlesAndSkips() public {
        for (uint64 i = 0; i < 20; ++i) {
            handler.settleNew(i, i, i, 1000 + i, 1e4 + i, uint8(i) | 4);
            handler.settleNew(i, i, i, 1000 + i, 1e4 + i, uint8(i % 4) | uint8(i * 16));
            handler.settleAgain(i, i, 5, i);
            handler.settleAgain(i, 0, 15e3, i + 1000);
            handler.replay(i);
            handler.settleGroup(i, i, i, 1000 + i, 1e4 + i, i % 2 == 0);
            handler.replayGroup(i, i);
        }
        assertGe(handler.completed(), 10);
        assertGe(handler.opened(), 5);
        assertGe(handler.skipped(), 10);
        assertGe(handler.defaulted(), 5);
        assertGe(handler.groupsCompleted(), 5);
        assertGe(handler.groupsSkipped(), 5);
        invariant_all();
    }
}
