// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {stdError} from "forge-std/StdError.sol";

import {IOrrangeVault} from "../src/interfaces/IOrrangeVault.sol";
import {MarketId, Payment, Trade} from "../src/types/OrrangeTypes.sol";
import {Fixture} from "./support/Fixture.sol";
import {FalseToken, FeeToken, LyingToken, ReentrantToken, SilentToken} from "./support/Tokens.sol";

/// @notice Balances: what the vault refuses, then what it does.
contract VaultTest is Fixture {
    address private alice;
    address private token;
    MarketId private constant OTHER = MarketId.wrap(bytes32(uint256(42)));

    function setUp() public override {
        super.setUp();
        alice = makeAddr("alice");
        token = address(base);
        base.mint(alice, 100);
        vm.startPrank(alice);
        base.approve(address(vault), type(uint256).max);
    }

    // refusals

    function test_depositOfNothing() public {
        vm.expectRevert(IOrrangeVault.ZeroAmount.selector);
        vault.deposit(token, 0);
    }

    function test_depositWithoutTokens() public {
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, alice, 100, 101));
        vault.deposit(token, 101);
    }

    function test_depositOfAnAddressWithoutCode() public {
        vm.expectRevert();
        vault.deposit(address(0xdead), 1);
    }

    function test_withdrawOfNothing() public {
        vm.expectRevert(IOrrangeVault.ZeroAmount.selector);
        vault.withdraw(token, 0);
    }

    function test_withdrawMoreThanIsFree() public {
        vault.deposit(token, 100);
        vault.allocate(OTHER, token, 40);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.InsufficientFree.selector, alice, token, 60, 61));
        vault.withdraw(token, 61);
        vault.withdraw(token, 60);
        assertEq(base.balanceOf(alice), 60);
    }

    function test_withdrawOfAnothersTokens() public {
        address bob = makeAddr("bob");
        vault.deposit(token, 100);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.InsufficientFree.selector, bob, token, 0, 1));
        vm.prank(bob);
        vault.withdraw(token, 1);
    }

    function test_allocateNothing() public {
        vm.expectRevert(IOrrangeVault.ZeroAmount.selector);
        vault.allocate(OTHER, token, 0);
    }

    function test_allocateMoreThanIsFree() public {
        vault.deposit(token, 100);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.InsufficientFree.selector, alice, token, 100, 101));
        vault.allocate(OTHER, token, 101);
    }

    function test_requestNothing() public {
        vm.expectRevert(IOrrangeVault.ZeroAmount.selector);
        vault.requestDeallocation(OTHER, token, 0);
    }

    function test_requestMoreThanIsAllocatedAndNotPending() public {
        vault.deposit(token, 100);
        vault.allocate(OTHER, token, 100);
        vault.requestDeallocation(OTHER, token, 70);
        bytes memory error =
            abi.encodeWithSelector(IOrrangeVault.InsufficientAllocation.selector, alice, OTHER, token, 30, 31);
        vm.expectRevert(error);
        vault.requestDeallocation(OTHER, token, 31);
        vault.requestDeallocation(OTHER, token, 30);
    }

    function test_executeWithoutARequest() public {
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.NothingPending.selector, alice, OTHER, token));
        vault.executeDeallocation(OTHER, token);
    }

    function test_executeTooEarlyAndTwice() public {
        vault.deposit(token, 100);
        vault.allocate(OTHER, token, 100);
        vault.requestDeallocation(OTHER, token, 70);
        uint256 availableAt = block.timestamp + DELAY_S;
        vm.warp(availableAt - 1);
        vm.expectRevert(
            abi.encodeWithSelector(IOrrangeVault.DeallocationTooEarly.selector, availableAt, availableAt - 1)
        );
        vault.executeDeallocation(OTHER, token);
        vm.warp(availableAt);
        vault.executeDeallocation(OTHER, token);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.NothingPending.selector, alice, OTHER, token));
        vault.executeDeallocation(OTHER, token);
    }

    function test_secondRequestRestartsTheDelayOfTheFirst() public {
        vault.deposit(token, 100);
        vault.allocate(OTHER, token, 100);
        vault.requestDeallocation(OTHER, token, 70);
        skip(DELAY_S - 1);
        vault.requestDeallocation(OTHER, token, 10);
        skip(1);
        uint256 availableAt = block.timestamp + DELAY_S - 1;
        vm.expectRevert(
            abi.encodeWithSelector(IOrrangeVault.DeallocationTooEarly.selector, availableAt, block.timestamp)
        );
        vault.executeDeallocation(OTHER, token);
        vm.warp(availableAt);
        vault.executeDeallocation(OTHER, token);
        assertEq(vault.freeBalance(alice, token), 80);
        assertEq(vault.allocation(alice, OTHER, token), 20);
    }

    function test_moveByAnybodyElse() public {
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.NotSettlement.selector, alice));
        vault.move(_payment(1, 0));
    }

    function test_moveBeyondTheAllocation() public {
        vm.stopPrank();
        vm.startPrank(address(settlement));
        (address seller, address buyer) = (maker.owner.addr, taker.owner.addr);
        bytes4 selector = IOrrangeVault.InsufficientAllocation.selector;
        vm.expectRevert(abi.encodeWithSelector(selector, seller, marketId, token, BASE_FUNDS, BASE_FUNDS + 1));
        vault.move(_payment(BASE_FUNDS + 1, 0));
        vm.expectRevert(abi.encodeWithSelector(selector, buyer, marketId, quote, QUOTE_FUNDS, QUOTE_FUNDS + 1));
        vault.move(_payment(0, QUOTE_FUNDS + 1));
    }

    /// @dev Inside the default market, from the default maker to the default taker.
    function _payment(uint256 baseAmount, uint256 quoteAmount_) private view returns (Payment memory payment) {
        payment.market = marketId;
        (payment.seller, payment.buyer) = (maker.owner.addr, taker.owner.addr);
        (payment.base, payment.quote) = (token, address(quote));
        (payment.baseAmount, payment.quoteAmount) = (baseAmount, quoteAmount_);
    }

    // what it does

    function test_depositAllocateDeallocateWithdraw() public {
        vm.expectEmit(address(vault));
        emit IOrrangeVault.Deposited(alice, token, 100);
        vault.deposit(token, 100);
        assertEq(vault.freeBalance(alice, token), 100);
        assertEq(base.balanceOf(address(vault)), BASE_FUNDS + 100);
        assertEq(vault.custody(token), BASE_FUNDS + 100);

        vm.expectEmit(address(vault));
        emit IOrrangeVault.Allocated(alice, OTHER, token, 90);
        vault.allocate(OTHER, token, 90);
        assertEq(vault.freeBalance(alice, token), 10);
        assertEq(vault.allocation(alice, OTHER, token), 90);
        assertEq(vault.allocation(alice, marketId, token), 0);

        uint64 availableAt = uint64(block.timestamp) + DELAY_S;
        vm.expectEmit(address(vault));
        emit IOrrangeVault.DeallocationRequested(alice, OTHER, token, 70, availableAt);
        vault.requestDeallocation(OTHER, token, 70);
        assertEq(vault.allocation(alice, OTHER, token), 90, "spendable until executed");
        _assertPending(70, availableAt);

        vm.warp(availableAt);
        vm.expectEmit(address(vault));
        emit IOrrangeVault.DeallocationExecuted(alice, OTHER, token, 70);
        vault.executeDeallocation(OTHER, token);
        assertEq(vault.freeBalance(alice, token), 80);
        assertEq(vault.allocation(alice, OTHER, token), 20);
        _assertPending(0, 0);

        vm.expectEmit(address(vault));
        emit IOrrangeVault.Withdrawn(alice, token, 80);
        vault.withdraw(token, 80);
        assertEq(base.balanceOf(alice), 80);
        assertEq(vault.freeBalance(alice, token), 0);
        assertEq(vault.custody(token), BASE_FUNDS + 20);
    }

    function _assertPending(uint256 expectedAmount, uint64 expectedTime) private view {
        (uint256 amount, uint64 availableAt) = vault.pendingDeallocation(alice, OTHER, token);
        assertEq(amount, expectedAmount);
        assertEq(availableAt, expectedTime);
    }

    function test_executionFreesWhatTradesLeft() public {
        vm.stopPrank();
        (address seller, address buyer) = (maker.owner.addr, taker.owner.addr);
        vm.prank(seller);
        vault.requestDeallocation(marketId, token, BASE_FUNDS - 5);
        vm.prank(address(settlement));
        vault.move(_payment(BASE_FUNDS - 7, 3));
        (uint256 amount, uint64 availableAt) = vault.pendingDeallocation(seller, marketId, token);
        assertEq(amount, 7, "never above the allocation");
        bytes memory error =
            abi.encodeWithSelector(IOrrangeVault.InsufficientAllocation.selector, seller, marketId, token, 0, 1);
        vm.expectRevert(error);
        vm.prank(seller);
        vault.requestDeallocation(marketId, token, 1);

        vm.warp(availableAt);
        vm.expectEmit(address(vault));
        emit IOrrangeVault.DeallocationExecuted(seller, marketId, token, 7);
        vm.prank(seller);
        vault.executeDeallocation(marketId, token);
        assertEq(vault.freeBalance(seller, token), 7);
        assertEq(vault.allocation(seller, marketId, token), 0);
        assertEq(vault.allocation(seller, marketId, address(quote)), 3, "proceeds stay in the market");
        assertEq(vault.allocation(buyer, marketId, token), BASE_FUNDS - 7);
        (amount,) = vault.pendingDeallocation(seller, marketId, token);
        assertEq(amount, 0);
    }

    function test_executionOfARequestSpentToTheLastUnit() public {
        vm.stopPrank();
        vm.prank(maker.owner.addr);
        vault.requestDeallocation(marketId, token, 10);
        vm.prank(address(settlement));
        vault.move(_payment(BASE_FUNDS, 0));
        skip(DELAY_S);
        vm.expectEmit(address(vault));
        emit IOrrangeVault.DeallocationExecuted(maker.owner.addr, marketId, token, 0);
        vm.prank(maker.owner.addr);
        vault.executeDeallocation(marketId, token);
        fund(maker.owner.addr, base, 5);
        (uint256 amount,) = vault.pendingDeallocation(maker.owner.addr, marketId, token);
        assertEq(amount, 0, "an executed request does not come back");
    }

    function test_constants() public view {
        assertEq(vault.settlement(), address(settlement));
        assertEq(vault.deallocationDelay(), DELAY_S);
    }

    // tokens that misbehave

    function test_feeOnTransferCreditsWhatArrived() public {
        FeeToken fee = new FeeToken();
        fee.mint(alice, 1000);
        fee.approve(address(vault), 1000);
        vm.expectEmit(address(vault));
        emit IOrrangeVault.Deposited(alice, address(fee), 990);
        vault.deposit(address(fee), 1000);
        assertEq(vault.freeBalance(alice, address(fee)), 990);
        vault.withdraw(address(fee), 990);
        assertEq(fee.balanceOf(address(vault)), 0);
    }

    function test_falseReturningToken() public {
        FalseToken liar = new FalseToken();
        liar.mint(alice, 10);
        liar.approve(address(vault), 10);
        liar.setFailing(true);
        bytes memory error = abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, liar);
        vm.expectRevert(error);
        vault.deposit(address(liar), 10);
        liar.setFailing(false);
        vault.deposit(address(liar), 10);
        liar.setFailing(true);
        vm.expectRevert(error);
        vault.withdraw(address(liar), 10);
        assertEq(vault.freeBalance(alice, address(liar)), 10, "a failed withdrawal takes nothing");
    }

    function test_silentTokenWorks() public {
        SilentToken silent = new SilentToken();
        silent.mint(alice, 10);
        vault.deposit(address(silent), 10);
        vault.withdraw(address(silent), 10);
        assertEq(silent.balanceOf(alice), 10);
    }

    function test_tokenThatSendsNothing() public {
        LyingToken liar = new LyingToken();
        liar.setReports(7, 7);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.NothingReceived.selector, liar));
        vault.deposit(address(liar), 10);
    }

    function test_tokenWhoseBalanceFalls() public {
        LyingToken liar = new LyingToken();
        liar.setReports(7, 6);
        vm.expectRevert(stdError.arithmeticError);
        vault.deposit(address(liar), 10);
    }

    /// @dev Were this possible, a credit in `move` could overflow and revert a whole batch.
    function test_balancesOfATokenNeverAddUpBeyondTheWord() public {
        LyingToken liar = new LyingToken();
        liar.setReports(0, type(uint256).max);
        vault.deposit(address(liar), 1);
        vm.stopPrank();
        liar.setReports(0, 1);
        vm.expectRevert(stdError.arithmeticError);
        vm.prank(makeAddr("bob"));
        vault.deposit(address(liar), 1);
    }

    // reentrancy, from a token that is called in every deposit and withdrawal

    function test_reentryIntoEveryGuardedFunction() public {
        bytes[] memory calls = new bytes[](6);
        ReentrantToken hostile = new ReentrantToken();
        calls[0] = abi.encodeCall(IOrrangeVault.deposit, (address(hostile), 1));
        calls[1] = abi.encodeCall(IOrrangeVault.withdraw, (address(hostile), 1));
        calls[2] = abi.encodeCall(IOrrangeVault.allocate, (OTHER, address(hostile), 1));
        calls[3] = abi.encodeCall(IOrrangeVault.requestDeallocation, (OTHER, address(hostile), 1));
        calls[4] = abi.encodeCall(IOrrangeVault.executeDeallocation, (OTHER, address(hostile)));
        calls[5] = abi.encodeCall(IOrrangeVault.move, (_payment(0, 0)));
        hostile.mint(alice, 10);
        hostile.approve(address(vault), 10);
        vault.deposit(address(hostile), 5);
        for (uint256 i = 0; i < calls.length; ++i) {
            hostile.arm(address(vault), calls[i]);
            vm.expectRevert(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
            vault.deposit(address(hostile), 1);
            vm.expectRevert(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
            vault.withdraw(address(hostile), 1);
        }
    }

    function test_settlementFromInsideAWithdrawal() public {
        Trade[] memory trades = new Trade[](1);
        trades[0] = newSignedTrade();
        ReentrantToken hostile = new ReentrantToken();
        hostile.mint(alice, 10);
        hostile.approve(address(vault), 10);
        vault.deposit(address(hostile), 10);
        hostile.arm(address(settlement), abi.encodeCall(settlement.settle, (trades)));
        vm.expectRevert(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        vault.withdraw(address(hostile), 10);
        assertFalse(settlement.isUsed(taker.session.addr, trades[0].ticket.ticketNonce));
    }
}
