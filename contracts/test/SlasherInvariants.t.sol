// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {SlasherHandler} from "./support/SlasherHandler.sol";

/// @notice Whoever keeps the rules is never convicted, whatever it signs and of whatever it is accused.
contract SlasherInvariantsTest is Test {
    SlasherHandler private handler;

    function setUp() public {
        handler = new SlasherHandler();
        bytes4[] memory selectors = new bytes4[](4);
        selectors[0] = SlasherHandler.append.selector;
        selectors[1] = SlasherHandler.ticket.selector;
        selectors[2] = SlasherHandler.accuseOfFork.selector;
        selectors[3] = SlasherHandler.accuseOfOverSigning.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector({addr: address(handler), selectors: selectors}));
    }

    function invariant_honestSignersKeepTheirBonds() public view {
        handler.assertInnocent();
    }

    /// @dev The handler does sign and accuse: the invariant above speaks of something.
    function test_handlerSignsAndAccuses() public {
        for (uint256 i = 0; i < 40; ++i) {
            handler.append(i, keccak256(abi.encode(i)));
            handler.ticket(uint256(keccak256(abi.encode("ticket", i))));
            handler.accuseOfFork(i, i / 2);
            handler.accuseOfOverSigning(i, i / 2, i % 5 == 0);
        }
        (uint256 entries, uint256 tickets) = handler.signedCounts();
        assertGe(entries, 20);
        assertGe(tickets, 10);
        assertEq(handler.accusations(), 80);
        invariant_honestSignersKeepTheirBonds();
    }
}
