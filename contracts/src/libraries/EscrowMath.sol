// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title What an escrow's parties put up, get and lose
/// @dev Amounts come from the settlement: lots times sizes, 224 bits at most, so that no product here overflows.
library EscrowMath {
    uint256 internal constant WHOLE_BPS = 10_000;
    uint8 internal constant MOST_SECURITY = 3;

    /// @notice The seller's part of an amount, rounded down; the buyer gets the rest, so that nothing is left over.
    function sellerPart(uint256 amount, uint256 sellerBps) internal pure returns (uint256) {
        return (amount * sellerBps) / WHOLE_BPS;
    }

    /// @notice What a buyer pays for backing out: half of its bond, rounded up, for whoever it protects.
    function halfBond(uint256 bondAmount) internal pure returns (uint256) {
        return bondAmount - bondAmount / 2;
    }

    /// @notice What a side that got `received` of both bonds has lost of its own.
    function lostOf(uint256 bondAmount, uint256 received) internal pure returns (uint256) {
        return received < bondAmount ? bondAmount - received : 0;
    }
}
