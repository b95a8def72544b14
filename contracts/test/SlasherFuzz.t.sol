// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {SignedTicket} from "../src/interfaces/IOrrangeSlasher.sol";
import {SlasherFixture} from "./support/SlasherFixture.sol";
import {SlasherRules} from "./support/SlasherRules.sol";

/// @notice The slasher convicts of over-signing exactly where the rule, counted lot by lot and second by second, forbids.
contract SlasherFuzzTest is SlasherFixture {
    uint256 private constant FIELDS = 10; // bytes of a seed that `ticketFrom` reads

    function testFuzz_convictsExactlyWhatTheRuleForbids(uint256 seed, uint256 other, uint256 changed) public {
        _judge(seed, _mix(seed, other, changed));
    }

    /// @dev Both verdicts come often: the claim above speaks of something.
    function test_bothVerdictsAreCommon() public {
        uint256 snapshot = vm.snapshotState();
        uint256 convicted = 0;
        for (uint256 i = 0; i < 200; ++i) {
            uint256 seed = uint256(keccak256(abi.encode("seed", i)));
            if (_judge(seed, _mix(seed, uint256(keccak256(abi.encode("other", i))), (seed >> 128) & (seed >> 160)))) {
                convicted += 1;
            }
            vm.revertToState(snapshot);
        }
        assertGe(convicted, 25);
        assertLe(convicted, 175);
    }

    function _judge(uint256 seed, uint256 otherSeed) private returns (bool isConvicted) {
        SignedTicket memory first = ticketFrom(seed);
        SignedTicket memory second = ticketFrom(otherSeed);
        signTicket(first, session);
        signTicket(second, session);
        bool isForbidden = ticketDigest(first) != ticketDigest(second)
            && SlasherRules.forbids(first, second, session.addr, GENESIS_MS, EPOCH_MS);
        (isConvicted,) =
            address(slasher).call(abi.encodeCall(slasher.proveOverSigning, (session.addr, first, second, reporter)));
        assertEq(isConvicted, isForbidden);
    }

    /// @dev The first seed, with another's fields where `changed` has a bit.
    function _mix(uint256 seed, uint256 other, uint256 changed) private pure returns (uint256 mixed) {
        for (uint256 i = 0; i < FIELDS; ++i) {
            uint256 source = (changed >> i) & 1 == 1 ? other : seed;
            mixed |= source & (uint256(0xff) << (8 * i));
        }
    }
}
