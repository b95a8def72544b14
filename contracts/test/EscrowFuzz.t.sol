// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {EscrowState, OpenedTrade} from "../src/interfaces/IOrrangeEscrow.sol";
import {EscrowMath} from "../src/libraries/EscrowMath.sol";
import {EscrowFixture} from "./support/EscrowFixture.sol";

/// @notice What holds whatever the amounts, the split and the time.
contract EscrowFuzzTest is EscrowFixture {
    /// @dev The arbitrator's split gives away all, to the two alone, and to each at most a unit off its part.
    function testFuzz_splitsAreWhole(uint160 baseAmount, uint96 bondAmount, uint256 baseBps, uint256 bondsBps) public {
        (baseBps, bondsBps) = (bound(baseBps, 0, 10_000), bound(bondsBps, 0, 10_000));
        OpenedTrade memory trade = _open(baseAmount, bondAmount);
        vm.prank(buyer);
        escrow.markPaid(trade);
        vm.prank(seller);
        escrow.dispute(trade);
        vm.prank(arbitrator);
        escrow.resolve(trade, baseBps, bondsBps);
        _assertSplit(address(base), baseAmount, baseBps);
        _assertSplit(address(quote), 2 * uint256(bondAmount), bondsBps);
        assertEq(vault.freeBalance(arbitrator, address(base)) + vault.freeBalance(arbitrator, address(quote)), 0);
    }

    /// @dev In Open, by the time alone: before `payS` the buyer can say that it paid and others cannot cancel; from then on
    /// the other way round.
    function testFuzz_payingAndTimeoutExcludeEachOther(uint32 after_) public {
        OpenedTrade memory trade = _open(1e18, 1e6);
        vm.warp(START_S + uint256(after_));
        uint256 snapshot = vm.snapshotState();
        bool isPaid = _try(buyer, abi.encodeCall(escrow.markPaid, (trade)));
        vm.revertToState(snapshot);
        bool isCancelled = _try(stranger, abi.encodeCall(escrow.cancel, (trade)));
        assertEq(isPaid, after_ < PAY_S);
        assertEq(isCancelled, after_ >= PAY_S);
    }

    /// @dev In Disputed likewise: the arbitrator's word or the default, never both.
    function testFuzz_arbitrationAndDefaultExcludeEachOther(uint32 after_) public {
        OpenedTrade memory trade = openDisputed();
        vm.warp(START_S + uint256(after_));
        uint256 snapshot = vm.snapshotState();
        bool isResolved = _try(arbitrator, abi.encodeCall(escrow.resolve, (trade, 1, 2)));
        vm.revertToState(snapshot);
        bool isByDefault = _try(stranger, abi.encodeCall(escrow.resolveByDefault, (trade)));
        assertEq(isResolved, after_ < ARBITRATION_S);
        assertEq(isByDefault, after_ >= ARBITRATION_S);
    }

    /// @dev Backing out costs a buyer nothing, half or all of its bond, never less later than earlier.
    function testFuzz_cancellingNeverGetsCheaper(uint32 first, uint32 second, uint96 bondAmount) public {
        if (first > second) (first, second) = (second, first);
        OpenedTrade memory trade = _open(1, bondAmount);
        uint256 snapshot = vm.snapshotState();
        uint256 early = _cancelAt(trade, first);
        vm.revertToState(snapshot);
        assertLe(early, _cancelAt(trade, second));
    }

    /// @dev Half of both bonds is one bond, so that an even split takes nothing from anybody.
    function testFuzz_anEvenSplitTakesNothing(uint224 bondAmount) public pure {
        assertEq(EscrowMath.sellerPart(2 * uint256(bondAmount), 5_000), bondAmount);
        assertEq(EscrowMath.lostOf(bondAmount, bondAmount), 0);
    }

    function _open(uint256 baseAmount, uint256 bondAmount) private returns (OpenedTrade memory trade) {
        trade = newTrade();
        (trade.baseAmount, trade.bondAmount) = (baseAmount, bondAmount);
        openWith(trade);
    }

    function _cancelAt(OpenedTrade memory trade, uint256 after_) private returns (uint256) {
        vm.warp(START_S + after_);
        vm.prank(buyer);
        escrow.cancel(trade);
        assertState(trade, EscrowState.Cancelled);
        assertEq(vault.freeBalance(seller, address(base)), trade.baseAmount);
        return trade.bondAmount - vault.freeBalance(buyer, address(quote));
    }

    function _assertSplit(address token, uint256 amount, uint256 bps) private view {
        uint256 sellers = vault.freeBalance(seller, token);
        assertEq(sellers + vault.freeBalance(buyer, token), amount);
        assertEq(sellers, (amount * bps) / 10_000);
    }

    function _try(address caller, bytes memory call) private returns (bool isTaken) {
        vm.prank(caller);
        (isTaken,) = address(escrow).call(call);
    }
}
