// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {SwapHandler} from "./support/SwapHandler.sol";

/// @notice Claim and refund exclude each other and value is conserved, under random openings, claims, refunds,
/// withdrawals, donations and passing of time.
contract SwapInvariantsTest is Test {
    SwapHandler private handler;

    function setUp() public {
        handler = new SwapHandler();
        bytes4[] memory selectors = new bytes4[](6);
        selectors[0] = SwapHandler.open.selector;
        selectors[1] = SwapHandler.claim.selector;
        selectors[2] = SwapHandler.refund.selector;
        selectors[3] = SwapHandler.withdraw.selector;
        selectors[4] = SwapHandler.donate.selector;
        selectors[5] = SwapHandler.pass.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector({addr: address(handler), selectors: selectors}));
    }

    function invariant_swaps() public view {
        handler.assertConserved();
        handler.assertEndsAreFinal();
    }

    /// @dev The handler does claim, refund and get refused: the invariants above speak of something.
    function test_handlerEndsSwapsBothWays() public {
        for (uint256 i = 0; i < 30; ++i) {
            handler.open(i, 1e18 + i, 40, i % 2 == 0);
            handler.claim(i, i % 3 != 0);
            handler.pass(10);
            handler.refund(i / 2);
            handler.withdraw(i, 1e17, i % 2 == 0);
        }
        assertGe(handler.claimed(), 10);
        assertGe(handler.refunded(), 3);
        assertGe(handler.refusals(), 10);
        invariant_swaps();
    }
}
