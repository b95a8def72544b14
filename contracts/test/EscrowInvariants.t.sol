// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {EscrowState} from "../src/interfaces/IOrrangeEscrow.sol";
import {EscrowHandler} from "./support/EscrowHandler.sol";

/// @notice Each escrow ends once and pays what it locked, ends are final, nobody but the buyer cancels what it says to
/// have paid, and nobody but the seller releases: under random steps of anybody at any time.
contract EscrowInvariantsTest is Test {
    EscrowHandler private handler;

    function setUp() public {
        handler = new EscrowHandler();
        bytes4[] memory selectors = new bytes4[](8);
        selectors[0] = EscrowHandler.start.selector;
        selectors[1] = EscrowHandler.markPaid.selector;
        selectors[2] = EscrowHandler.release.selector;
        selectors[3] = EscrowHandler.cancel.selector;
        selectors[4] = EscrowHandler.dispute.selector;
        selectors[5] = EscrowHandler.resolve.selector;
        selectors[6] = EscrowHandler.resolveByDefault.selector;
        selectors[7] = EscrowHandler.pass.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector({addr: address(handler), selectors: selectors}));
    }

    function invariant_escrows() public view {
        handler.assertConserved();
        handler.assertEndsAreFinal();
    }

    /// @dev The handler does reach every state and gets refused: the invariants above speak of something.
    function test_handlerReachesEveryState() public {
        for (uint256 i = 0; i < 40; ++i) {
            handler.start(1e18 + i, 1e6 + i);
            if (i % 4 != 0) handler.markPaid(i, i % 2 == 0 ? 1 : 5);
            if (i % 4 > 1) handler.dispute(i, i % 8 == 2 ? 3 : 0);
            handler.pass(1_000);
            if (i % 3 == 0) handler.resolve(i, 2, 137 * i, 250 * i);
            handler.cancel(i, i % 5 == 0 ? 1 : 3);
            handler.release(i, i % 7 == 0 ? 0 : 1);
        }
        for (uint256 i = 0; i < 20; ++i) {
            handler.pass(7_000);
        }
        for (uint256 i = 0; i < 40; ++i) {
            handler.resolveByDefault(i, 3);
        }
        for (uint8 state = uint8(EscrowState.Paid); state <= uint8(EscrowState.Cancelled); ++state) {
            assertGe(handler.entered(EscrowState(state)), 3, vm.toString(state));
        }
        assertGe(handler.refusals(), 20);
        invariant_escrows();
    }
}
