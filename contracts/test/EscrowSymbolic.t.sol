// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {EscrowMath} from "../src/libraries/EscrowMath.sol";
import {Evidence} from "../src/libraries/Evidence.sol";

/// @notice Claims on what escrows and proofs compute, proved by halmos for all values at once (`make halmos`); forge does
/// not run functions named check_. It finds no end in dividing by 100 or 10,000: EscrowFuzz.t.sol claims that.
contract EscrowSymbolicTest is Test {
    /// @dev What one side loses of its bond the other gains, so that never both lose.
    function check_oneSideLosesWhatTheOtherGains(uint96 bondAmount, uint256 sellers) public pure {
        uint256 both = 2 * uint256(bondAmount);
        vm.assume(sellers <= both);
        uint256 sellerLoses = EscrowMath.lostOf(bondAmount, sellers);
        uint256 buyerLoses = EscrowMath.lostOf(bondAmount, both - sellers);
        assert(sellerLoses == 0 || buyerLoses == 0);
        assert(sellers + sellerLoses == bondAmount + buyerLoses);
    }

    /// @dev Backing out costs half, never less, and at most a unit more.
    function check_halfABondIsRoundedUp(uint96 bondAmount) public pure {
        uint256 half = EscrowMath.halfBond(bondAmount);
        assert(2 * half == bondAmount || 2 * half == uint256(bondAmount) + 1);
    }

    /// @dev Of two times that do not end before they start: overlapping means that one instant is in both, whichever way
    /// round they are named.
    function check_timesThatOverlapShareAnInstant(uint64 from, uint64 to, uint64 otherFrom, uint64 otherTo)
        public
        pure
    {
        vm.assume(from <= to && otherFrom <= otherTo);
        bool overlap = Evidence.timesOverlap(from, to, otherFrom, otherTo);
        uint64 latest = from > otherFrom ? from : otherFrom;
        assert(overlap == (latest <= to && latest <= otherTo));
        assert(overlap == Evidence.timesOverlap(otherFrom, otherTo, from, to));
    }
}
