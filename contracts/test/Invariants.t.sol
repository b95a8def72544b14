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
        bytes4[] memory selectors = new bytes4[](12);
        selectors[0] = Handler.deposit.selector;
        selectors[1] = Handler.donate.selector;
        selectors[2] = Handler.withdraw.selector;
        selectors[3] = Handler.allocate.selector;
        selectors[4] = Handler.requestDeallocation.selector;
        selectors[5] = Handler.executeDeallocation.selector;
        selectors[6] = Handler.pass.selector;
        selectors[7] = Handler.settleNew.selector;
        selectors[8] = Handler.settleAgain.selector;
        selectors[9] = Handler.replay.selector;
        selectors[10] = Handler.settleGroup.selector;
        selectors[11] = Handler.replayGroup.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector({addr: address(handler), selectors: selectors}));
    }

    function invariant_all() public view {
        handler.assertSolvent();
        handler.assertBooksAgree();
        handler.assertNothingOverfilled();
        handler.assertTicketsSettledOnce();
    }

    /// @dev The handler's trades do settle and do get skipped: the invariants above speak of something.
    function test_handlerSettlesAndSkips() public {
        for (uint64 i = 0; i < 20; ++i) {
            handler.settleNew(i, i, i, 1000 + i, 1e5 + i, i % 2 == 0);
            handler.settleAgain(i, i, 5, i);
            handler.replay(i);
            handler.settleGroup(i, i, i, 1000 + i, 1e5 + i, i % 2 == 0);
            handler.replayGroup(i, i);
        }
        assertGe(handler.completed(), 10);
        assertGe(handler.skipped(), 10);
        assertGe(handler.groupsCompleted(), 5);
        assertGe(handler.groupsSkipped(), 5);
        invariant_all();
    }
}
