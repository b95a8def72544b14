// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {OrrangeEscrow} from "../src/OrrangeEscrow.sol";
import {OrrangeVault} from "../src/OrrangeVault.sol";
import {TestToken} from "../src/dev/TestToken.sol";
import {EscrowState, IOrrangeEscrow, OpenedTrade} from "../src/interfaces/IOrrangeEscrow.sol";
import {TicketDigest} from "../src/types/OrrangeTypes.sol";
import {EscrowFixture} from "./support/EscrowFixture.sol";

/// @notice Each step of an escrow: who may take it, when, what it pays. Decision 0031.
contract EscrowTest is EscrowFixture {
    // ---- opening

    function test_openRecordsAndTells() public {
        OpenedTrade memory trade = newTrade();
        lock(trade);
        expectOpened(trade);
        escrow.open(trade);
        assertState(trade, EscrowState.Open);
        (,, bytes26 commitment) = escrow.recordOf(trade.ticket);
        assertEq(commitment, bytes26(keccak256(abi.encode(trade))));
        assertEq(vault.lockedBalance(address(base)), BASE_AMOUNT);
        assertEq(vault.lockedBalance(address(quote)), 2 * BOND_AMOUNT);
    }

    function test_onlyTheSettlementOpens() public {
        OpenedTrade memory trade = newTrade();
        vm.expectRevert(abi.encodeWithSelector(IOrrangeEscrow.NotSettlement.selector, seller));
        vm.prank(seller);
        escrow.open(trade);
    }

    function test_aTicketOpensOnceWhateverBecameOfIt() public {
        for (uint8 i = uint8(EscrowState.Open); i <= uint8(EscrowState.Cancelled); ++i) {
            OpenedTrade memory trade = newIn(EscrowState(i));
            vm.expectRevert(abi.encodeWithSelector(IOrrangeEscrow.TradeExists.selector, trade.ticket));
            escrow.open(trade);
            trade.baseAmount += 1;
            vm.expectRevert(abi.encodeWithSelector(IOrrangeEscrow.TradeExists.selector, trade.ticket));
            escrow.open(trade);
        }
    }

    function test_refusesUnsoundTrades() public {
        OpenedTrade memory trade = newTrade();
        trade.arbitrator = address(0);
        _assertUnsound(trade);
        trade.arbitrator = seller;
        _assertUnsound(trade);
        trade.arbitrator = buyer;
        _assertUnsound(trade);
        trade = newTrade();
        trade.buyer = seller;
        _assertUnsound(trade);
        trade = newTrade();
        trade.security = 0;
        _assertUnsound(trade);
        trade.security = 4;
        _assertUnsound(trade);
    }

    function test_constructorRefusesVaultsOfOthersAndClocksOfNothing() public {
        vm.expectPartialRevert(IOrrangeEscrow.NotEscrowOf.selector);
        new OrrangeEscrow(vault, GRACE_S, PAY_S, CONFIRM_S, ARBITRATION_S, DISPUTE_DUE);
        uint64[4][5] memory clocks = [
            [0, PAY_S, CONFIRM_S, ARBITRATION_S],
            [PAY_S, PAY_S, CONFIRM_S, ARBITRATION_S],
            [uint64(1), 0, CONFIRM_S, ARBITRATION_S],
            [GRACE_S, PAY_S, 0, ARBITRATION_S],
            [GRACE_S, PAY_S, CONFIRM_S, 0]
        ];
        for (uint256 i = 0; i < clocks.length; ++i) {
            address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
            OrrangeVault other = new OrrangeVault(settingsWith(next));
            vm.expectRevert(IOrrangeEscrow.InvalidClocks.selector);
            new OrrangeEscrow(other, clocks[i][0], clocks[i][1], clocks[i][2], clocks[i][3], DISPUTE_DUE);
        }
    }

    function test_settings() public view {
        assertEq(address(escrow.vault()), address(vault));
        assertEq(escrow.settlement(), address(this));
        assertEq(escrow.graceS(), GRACE_S);
        assertEq(escrow.payS(), PAY_S);
        assertEq(escrow.confirmS(), CONFIRM_S);
        assertEq(escrow.arbitrationS(), ARBITRATION_S);
        assertEq(escrow.disputeDue(), DISPUTE_DUE);
    }

    // ---- terms

    /// @dev Every field of the terms is committed to, and a ticket that was never opened has no terms.
    function test_everyStepWantsTheTermsThatWereOpened() public {
        OpenedTrade memory trade = openDisputed();
        for (uint256 i = 0; i < 12; ++i) {
            OpenedTrade memory other = abi.decode(_withWordChanged(abi.encode(trade), i), (OpenedTrade));
            for (uint256 step = 0; step < 6; ++step) {
                vm.expectRevert(abi.encodeWithSelector(IOrrangeEscrow.WrongTerms.selector, other.ticket));
                _take(step, other);
            }
        }
    }

    // ---- the state machine

    /// @dev Open, Paid, Disputed, Released, Resolved, Cancelled, each by whoever may take the step.
    function test_stepsOfEachState() public {
        _assertSteps(EscrowState.Open, [true, true, true, false, false, false]);
        _assertSteps(EscrowState.Paid, [false, true, true, true, false, false]);
        _assertSteps(EscrowState.Disputed, [false, true, false, false, true, false]);
        _assertSteps(EscrowState.Released, [false, false, false, false, false, false]);
        _assertSteps(EscrowState.Resolved, [false, false, false, false, false, false]);
        _assertSteps(EscrowState.Cancelled, [false, false, false, false, false, false]);
    }

    /// @dev Late, when the clocks have run out, the same holds but for the steps that are too late by then.
    function test_stepsOfEachStateLate() public {
        _assertStepsLate(EscrowState.Open, [false, true, true, false, false, false]);
        _assertStepsLate(EscrowState.Paid, [false, true, true, true, false, false]);
        _assertStepsLate(EscrowState.Disputed, [false, true, false, false, false, true]);
        _assertStepsLate(EscrowState.Released, [false, false, false, false, false, false]);
        _assertStepsLate(EscrowState.Resolved, [false, false, false, false, false, false]);
        _assertStepsLate(EscrowState.Cancelled, [false, false, false, false, false, false]);
    }

    // ---- paid

    function test_buyerOrItsSessionMarksPaid() public {
        address[2] memory callers = [buyer, buyerSession];
        for (uint256 i = 0; i < 2; ++i) {
            OpenedTrade memory trade = openNew();
            vm.expectEmit(address(escrow));
            emit IOrrangeEscrow.PaymentConfirmed(trade.ticket, seller, buyer);
            vm.prank(callers[i]);
            escrow.markPaid(trade);
            assertState(trade, EscrowState.Paid);
        }
    }

    function test_nobodyElseMarksPaid() public {
        OpenedTrade memory trade = openNew();
        address[4] memory callers = [seller, sellerSession, arbitrator, stranger];
        for (uint256 i = 0; i < callers.length; ++i) {
            _assertNotBuyer(trade, callers[i], IOrrangeEscrow.markPaid.selector);
        }
    }

    function test_sessionsWithoutTradeRevokedOrExpiredActForNobody() public {
        OpenedTrade memory trade = openNew();
        authorise(buyer, stranger, 1);
        _assertNotBuyer(trade, stranger, IOrrangeEscrow.markPaid.selector);
        vm.prank(buyer);
        vault.revokeSession(buyerSession);
        _assertNotBuyer(trade, buyerSession, IOrrangeEscrow.markPaid.selector);
        address brief = makeAddr("brief session");
        vm.prank(buyer);
        vault.authoriseSession(brief, 3, START_S + 5);
        vm.warp(START_S + 5);
        _assertNotBuyer(trade, brief, IOrrangeEscrow.markPaid.selector);
    }

    function test_markPaidStrictlyBeforeItsDeadline() public {
        OpenedTrade memory trade = openNew();
        vm.warp(START_S + PAY_S);
        vm.expectRevert(
            abi.encodeWithSelector(IOrrangeEscrow.TooLate.selector, trade.ticket, START_S + PAY_S, START_S + PAY_S)
        );
        vm.prank(buyer);
        escrow.markPaid(trade);
        vm.warp(START_S + PAY_S - 1);
        vm.prank(buyer);
        escrow.markPaid(trade);
        assertState(trade, EscrowState.Paid);
    }

    // ---- release

    function test_releasePaysTheBuyerAndReturnsBonds() public {
        OpenedTrade memory trade = openPaid();
        vm.expectEmit(address(escrow));
        emit IOrrangeEscrow.EscrowReleased(trade.ticket, seller, buyer);
        vm.prank(seller);
        escrow.release(trade);
        assertState(trade, EscrowState.Released);
        assertPaidOut(0, BOND_AMOUNT);
    }

    function test_onlyTheSellerItselfReleases() public {
        OpenedTrade memory trade = openPaid();
        address[5] memory callers = [buyer, sellerSession, buyerSession, arbitrator, stranger];
        for (uint256 i = 0; i < callers.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IOrrangeEscrow.NotSeller.selector, trade.ticket, callers[i]));
            vm.prank(callers[i]);
            escrow.release(trade);
        }
    }

    // ---- cancel

    function test_buyerOrItsSessionCancelsForFreeAtFirst() public {
        address[2] memory callers = [buyer, buyerSession];
        uint256 snapshot = vm.snapshotState();
        for (uint256 i = 0; i < 2; ++i) {
            OpenedTrade memory trade = openNew();
            vm.warp(START_S + GRACE_S - 1);
            _cancel(trade, callers[i], 0);
            vm.revertToState(snapshot);
        }
    }

    function test_laterTheBuyerPaysHalfAndItsSessionMayNot() public {
        OpenedTrade memory trade = openNew();
        vm.warp(START_S + GRACE_S);
        _assertNotBuyer(trade, buyerSession, IOrrangeEscrow.cancel.selector);
        _cancel(trade, buyer, 6_173); // of 12,345, rounded up
    }

    function test_buyerTakesBackItsWordForHalf() public {
        OpenedTrade memory trade = openPaid(); // within the grace, which Paid has none of
        _assertNotBuyer(trade, buyerSession, IOrrangeEscrow.cancel.selector);
        _cancel(trade, buyer, 6_173);
    }

    function test_anyoneCancelsWhatWasNotPaidInTime() public {
        address[6] memory callers = [stranger, seller, sellerSession, arbitrator, buyerSession, buyer];
        for (uint256 i = 0; i < callers.length; ++i) {
            uint256 snapshot = vm.snapshotState();
            OpenedTrade memory trade = openNew();
            vm.warp(START_S + PAY_S - 1);
            if (callers[i] != buyer) _assertNotBuyer(trade, callers[i], IOrrangeEscrow.cancel.selector);
            vm.warp(START_S + PAY_S);
            _cancel(trade, callers[i], BOND_AMOUNT);
            vm.revertToState(snapshot);
        }
    }

    /// @dev Whatever the time, nobody but the buyer takes Paid to Cancelled.
    function test_paidIsNeverCancelledForTheBuyer() public {
        OpenedTrade memory trade = openPaid();
        address[5] memory callers = [seller, sellerSession, buyerSession, arbitrator, stranger];
        for (uint256 i = 0; i < callers.length; ++i) {
            _assertNotBuyer(trade, callers[i], IOrrangeEscrow.cancel.selector);
            vm.warp(block.timestamp + PAY_S + CONFIRM_S + ARBITRATION_S);
            _assertNotBuyer(trade, callers[i], IOrrangeEscrow.cancel.selector);
        }
    }

    // ---- dispute

    function test_sellerOrItsSessionDisputesAtOnce() public {
        address[2] memory callers = [seller, sellerSession];
        for (uint256 i = 0; i < 2; ++i) {
            _dispute(openPaid(), callers[i]);
        }
    }

    function test_anyoneDisputesAfterSilence() public {
        address[4] memory callers = [stranger, buyer, buyerSession, arbitrator];
        for (uint256 i = 0; i < callers.length; ++i) {
            uint256 start = block.timestamp;
            OpenedTrade memory trade = openPaid();
            vm.warp(start + CONFIRM_S - 1);
            vm.expectRevert(
                abi.encodeWithSelector(
                    IOrrangeEscrow.TooEarly.selector, trade.ticket, start + CONFIRM_S, start + CONFIRM_S - 1
                )
            );
            vm.prank(callers[i]);
            escrow.dispute(trade);
            vm.warp(start + CONFIRM_S);
            _dispute(trade, callers[i]);
        }
    }

    // ---- the arbitrator

    function test_arbitratorSplits() public {
        OpenedTrade memory trade = openDisputed();
        uint256 sellerBase = 2_310_000_000_000_000_000; // 33 % of 7e18 + 1, rounded down
        vm.expectEmit(address(escrow));
        emit IOrrangeEscrow.DisputeLost(trade.ticket, buyer, 494); // 4,938 of 10 units a micro-unit, rounded up
        vm.expectEmit(address(escrow));
        emit IOrrangeEscrow.DisputeResolved(trade.ticket, seller, buyer, sellerBase, 17_283, false);
        vm.prank(arbitrator);
        escrow.resolve(trade, 3_300, 7_000);
        assertState(trade, EscrowState.Resolved);
        assertPaidOut(sellerBase, 17_283); // 70 % of 24,690
    }

    function test_arbitratorMayGiveAllToEither() public {
        uint256 snapshot = vm.snapshotState();
        _resolve(10_000, 10_000);
        assertPaidOut(BASE_AMOUNT, 2 * BOND_AMOUNT);
        vm.revertToState(snapshot);
        _resolve(0, 0);
        assertPaidOut(0, 0);
        vm.revertToState(snapshot);
        _resolve(10_000, 0);
        assertPaidOut(BASE_AMOUNT, 0);
    }

    function test_whoseBondIsTakenLosesTheDispute() public {
        assertEq(_lossOf(5_000, seller), 0);
        assertEq(_lossOf(5_000, buyer), 0);
        assertEq(_lossOf(0, seller), 1_235); // 12,345 units, rounded up
        assertEq(_lossOf(0, buyer), 0);
        assertEq(_lossOf(10_000, seller), 0);
        assertEq(_lossOf(10_000, buyer), 1_235);
        assertEq(_lossOf(2_500, seller), 618); // 6,173 units
    }

    /// @dev A bond in another token counts by its part, since nothing here knows a price.
    function test_bondsInOtherTokensCountByTheirPart() public {
        quote = new TestToken("Other", "OTHER", 18);
        assertEq(_lossOf(0, seller), DISPUTE_DUE);
        assertEq(_lossOf(10_000, buyer), DISPUTE_DUE);
        assertEq(_lossOf(2_500, seller), 500_042); // 6,173 of 12,345 of it, rounded up
        assertEq(_lossOf(5_000, buyer), 0);
    }

    function test_nobodyElseResolves() public {
        OpenedTrade memory trade = openDisputed();
        address[5] memory callers = [seller, buyer, sellerSession, buyerSession, stranger];
        for (uint256 i = 0; i < callers.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IOrrangeEscrow.NotArbitrator.selector, trade.ticket, callers[i]));
            vm.prank(callers[i]);
            escrow.resolve(trade, 5_000, 5_000);
        }
    }

    function test_noPartIsMoreThanTheWhole() public {
        OpenedTrade memory trade = openDisputed();
        vm.startPrank(arbitrator);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeEscrow.InvalidSplit.selector, 10_001));
        escrow.resolve(trade, 10_001, 5_000);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeEscrow.InvalidSplit.selector, type(uint256).max));
        escrow.resolve(trade, 5_000, type(uint256).max);
    }

    function test_arbitratorStrictlyBeforeTheDefault() public {
        OpenedTrade memory trade = openDisputed();
        uint256 deadline = START_S + ARBITRATION_S;
        vm.warp(deadline - 1);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeEscrow.TooEarly.selector, trade.ticket, deadline, deadline - 1));
        escrow.resolveByDefault(trade);
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeEscrow.TooLate.selector, trade.ticket, deadline, deadline));
        vm.prank(arbitrator);
        escrow.resolve(trade, 5_000, 5_000);
        vm.expectEmit(address(escrow));
        emit IOrrangeEscrow.DisputeResolved(trade.ticket, seller, buyer, BASE_AMOUNT / 2, BOND_AMOUNT, true);
        vm.prank(stranger);
        escrow.resolveByDefault(trade);
        assertState(trade, EscrowState.Resolved);
        assertPaidOut(BASE_AMOUNT / 2, BOND_AMOUNT); // the odd unit is the buyer's
    }

    function test_theDefaultIsNobodysLoss() public {
        OpenedTrade memory trade = openDisputed();
        vm.warp(START_S + ARBITRATION_S);
        vm.recordLogs();
        escrow.resolveByDefault(trade);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            assertNotEq(logs[i].topics[0], IOrrangeEscrow.DisputeLost.selector);
        }
    }

    function test_sellerMayStillReleaseInDispute() public {
        OpenedTrade memory trade = openDisputed();
        vm.warp(START_S + ARBITRATION_S + 1);
        vm.prank(seller);
        escrow.release(trade);
        assertPaidOut(0, BOND_AMOUNT);
    }

    // ---- several

    /// @dev Trades do not touch each other's funds.
    function test_tradesOfTheSameParties() public {
        OpenedTrade memory first = openPaid();
        OpenedTrade memory second = openNew();
        vm.prank(seller);
        escrow.release(first);
        assertEq(vault.freeBalance(buyer, address(base)), BASE_AMOUNT);
        assertEq(vault.lockedBalance(address(base)), BASE_AMOUNT);
        assertEq(vault.lockedBalance(address(quote)), 2 * BOND_AMOUNT);
        assertState(second, EscrowState.Open);
    }

    /// @dev Ends credit, they send nothing: a token that refuses everything by then stops none of them.
    function test_noTokenCanStopAnEnd() public {
        OpenedTrade[4] memory trades = [openPaid(), openNew(), openDisputed(), openDisputed()];
        vm.mockCallRevert(address(base), bytes(""), bytes("refused"));
        vm.mockCallRevert(address(quote), bytes(""), bytes("refused"));
        vm.prank(seller);
        escrow.release(trades[0]);
        vm.prank(buyer);
        escrow.cancel(trades[1]);
        vm.prank(arbitrator);
        escrow.resolve(trades[2], 10_000, 5_000);
        vm.warp(START_S + ARBITRATION_S);
        escrow.resolveByDefault(trades[3]);
        assertEq(vault.freeBalance(seller, address(base)), 2 * BASE_AMOUNT + BASE_AMOUNT / 2);
        assertEq(vault.freeBalance(seller, address(quote)), 4 * BOND_AMOUNT);
        assertEq(vault.freeBalance(buyer, address(quote)), 4 * BOND_AMOUNT);
    }

    /// @dev The chain's own coin is a base like any other; bonds stay in quote.
    function test_theCoinAsBase() public {
        OpenedTrade memory trade = newTrade();
        trade.base = address(0);
        vm.deal(seller, BASE_AMOUNT);
        vm.startPrank(seller);
        vault.deposit{value: BASE_AMOUNT}(address(0), BASE_AMOUNT);
        vault.allocate(MARKET, address(0), BASE_AMOUNT);
        vm.stopPrank();
        fund(seller, quote, BOND_AMOUNT);
        fund(buyer, quote, BOND_AMOUNT);
        lockFunds(trade);
        escrow.open(trade);
        vm.prank(seller);
        escrow.release(trade);
        vm.prank(buyer);
        vault.withdraw(address(0), BASE_AMOUNT);
        assertEq(buyer.balance, BASE_AMOUNT);
        assertEq(vault.lockedBalance(address(0)), 0);
    }

    // ---- how

    function _assertUnsound(OpenedTrade memory trade) private {
        vm.expectRevert(abi.encodeWithSelector(IOrrangeEscrow.InvalidTrade.selector, trade.ticket));
        escrow.open(trade);
    }

    function _cancel(OpenedTrade memory trade, address caller, uint256 penalty) private {
        vm.expectEmit(address(escrow));
        emit IOrrangeEscrow.TradeCancelled(trade.ticket, seller, buyer, penalty);
        vm.prank(caller);
        escrow.cancel(trade);
        assertState(trade, EscrowState.Cancelled);
        assertPaidOut(BASE_AMOUNT, BOND_AMOUNT + penalty);
    }

    function _dispute(OpenedTrade memory trade, address caller) private {
        vm.expectEmit(address(escrow));
        emit IOrrangeEscrow.TradeDisputed(trade.ticket, seller, buyer, caller);
        vm.prank(caller);
        escrow.dispute(trade);
        assertState(trade, EscrowState.Disputed);
    }

    function _resolve(uint256 baseBps, uint256 bondsBps) private {
        OpenedTrade memory trade = openDisputed();
        vm.prank(arbitrator);
        escrow.resolve(trade, baseBps, bondsBps);
    }

    function _lossOf(uint256 bondsBps, address owner) private returns (uint256) {
        OpenedTrade memory trade = openDisputed();
        vm.recordLogs();
        vm.prank(arbitrator);
        escrow.resolve(trade, 5_000, bondsBps);
        return _lossIn(vm.getRecordedLogs(), owner);
    }

    function _lossIn(Vm.Log[] memory logs, address owner) private pure returns (uint256 amount) {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IOrrangeEscrow.DisputeLost.selector) continue;
            if (address(uint160(uint256(logs[i].topics[2]))) == owner) amount += abi.decode(logs[i].data, (uint256));
        }
    }

    function _assertNotBuyer(OpenedTrade memory trade, address caller, bytes4 step) private {
        vm.prank(caller);
        (bool isTaken, bytes memory reason) = address(escrow).call(abi.encodeWithSelector(step, trade));
        assertFalse(isTaken);
        assertEq(reason, abi.encodeWithSelector(IOrrangeEscrow.NotBuyer.selector, trade.ticket, caller));
    }

    /// @dev The steps in their order: markPaid, release, cancel, dispute, resolve, resolveByDefault.
    function _take(uint256 step, OpenedTrade memory trade) private {
        vm.prank([buyer, seller, buyer, seller, arbitrator, stranger][step]);
        if (step == 0) escrow.markPaid(trade);
        else if (step == 1) escrow.release(trade);
        else if (step == 2) escrow.cancel(trade);
        else if (step == 3) escrow.dispute(trade);
        else if (step == 4) escrow.resolve(trade, 5_000, 5_000);
        else escrow.resolveByDefault(trade);
    }

    /// @dev For the external call of `_tries`.
    function take(uint256 step, OpenedTrade memory trade) external {
        _take(step, trade);
    }

    function _assertSteps(EscrowState state, bool[6] memory expected) private {
        for (uint256 step = 0; step < 6; ++step) {
            assertEq(_tries(step, newIn(state)), expected[step], _describe(state, step));
        }
    }

    function _assertStepsLate(EscrowState state, bool[6] memory expected) private {
        for (uint256 step = 0; step < 6; ++step) {
            OpenedTrade memory trade = newIn(state);
            vm.warp(block.timestamp + PAY_S + CONFIRM_S + ARBITRATION_S);
            assertEq(_tries(step, trade), expected[step], _describe(state, step));
        }
    }

    function _tries(uint256 step, OpenedTrade memory trade) private returns (bool isTaken) {
        try this.take(step, trade) {
            return true;
        } catch {
            return false;
        }
    }

    function _describe(EscrowState state, uint256 step) private pure returns (string memory) {
        return string.concat("state ", vm.toString(uint8(state)), ", step ", vm.toString(step));
    }

    function _withWordChanged(bytes memory encoded, uint256 index) private pure returns (bytes memory) {
        uint256 position = 32 * index + 31;
        encoded[position] = bytes1(uint8(encoded[position]) ^ 1);
        return encoded;
    }
}
