// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {OrrangeFactory} from "../src/OrrangeFactory.sol";
import {OrrangeSwap} from "../src/OrrangeSwap.sol";
import {Blueprint} from "../src/interfaces/IOrrangeFactory.sol";
import {SwapState, SwapTerms} from "../src/interfaces/IOrrangeSwap.sol";
import {Sessions} from "../src/libraries/Sessions.sol";
import {Session} from "../src/types/OrrangeTypes.sol";

/// @notice Claims proved by halmos for all values at once (`make halmos`); forge does not run functions named check_.
contract SymbolicTest is Test {
    using Sessions for Session;

    address private constant ALICE = address(0xA11CE);
    address private constant BOB = address(0xB0B);
    uint64 private constant DEADLINE_S = 1_700_000_000;
    uint256 private constant AMOUNT = 5;
    bytes32 private constant HASHLOCK = keccak256("any");

    OrrangeSwap private swap;

    function setUp() public {
        swap = new OrrangeSwap();
    }

    /// @dev Whatever the time of the two attempts, the refund works at most once, never before the deadline, always from it
    /// on, and credits the amount to whom it is due. (halmos 0.3.3 cannot follow sha256, so that claims are for fuzzing.)
    function check_aRefundIsDueOnceFromTheDeadlineOn(uint64 first, uint64 second) public {
        SwapTerms memory terms = _open();
        vm.assume(first <= second);
        vm.warp(first);
        bool isRefunded = _tryRefund(terms);
        assert(isRefunded == (first >= DEADLINE_S));
        vm.warp(second);
        bool isRefundedLater = _tryRefund(terms);
        assert(!(isRefunded && isRefundedLater));
        assert((isRefunded || isRefundedLater) == (second >= DEADLINE_S));
        assert(swap.creditOf(ALICE, address(0)) == (second >= DEADLINE_S ? AMOUNT : 0));
        assert(swap.creditOf(BOB, address(0)) == 0);
    }

    /// @dev A revoked session covers no ticket that an unrevoked one does not, and an earlier revocation covers no more.
    function check_revocationOnlyNarrows(
        uint64 expiry,
        uint64 earlier,
        uint64 later,
        uint64 matched,
        uint64 deadline,
        uint64 lag,
        uint64 life
    ) public pure {
        vm.assume(earlier != 0 && earlier <= later);
        Session memory session = Session({owner: ALICE, scope: 1, expiry: expiry, revokedAt: earlier, isCapped: false});
        bool isAlive = session.isAlive(matched, deadline, lag, life);
        session.revokedAt = later;
        assert(!isAlive || session.isAlive(matched, deadline, lag, life));
        session.revokedAt = 0;
        assert(!isAlive || session.isAlive(matched, deadline, lag, life));
        assert(!isAlive || matched < expiry);
    }

    /// @dev The arguments of a blueprint without references are its words.
    function check_wordsWithoutReferencesAreTheArguments(bytes32 first, bytes32 second) public {
        Blueprint[] memory list = new Blueprint[](1);
        list[0].words = new bytes32[](2);
        (list[0].words[0], list[0].words[1]) = (first, second);
        bytes memory encoded = new OrrangeFactory(list).arguments(0);
        assert(keccak256(encoded) == keccak256(abi.encode(first, second)));
    }

    function _open() private returns (SwapTerms memory terms) {
        vm.warp(DEADLINE_S - 1);
        terms = SwapTerms(address(0), AMOUNT, BOB, ALICE, HASHLOCK, DEADLINE_S, 0);
        vm.deal(address(this), AMOUNT);
        swap.open{value: AMOUNT}(terms);
        assert(swap.stateOf(swap.swapId(terms)) == SwapState.Open);
    }

    function _tryRefund(SwapTerms memory terms) private returns (bool) {
        try swap.refund(terms) {
            return true;
        } catch {
            return false;
        }
    }
}
