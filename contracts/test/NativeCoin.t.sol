// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IOrrangeVault} from "../src/interfaces/IOrrangeVault.sol";
import {Trade} from "../src/types/OrrangeTypes.sol";
import {Fixture} from "./support/Fixture.sol";

/// @dev Does what it is told to when the native coin arrives.
contract Receiver {
    address private _target;
    bytes private _call;
    bool private _isRefusing;

    receive() external payable {
        if (_isRefusing) revert("no");
        if (_target == address(0)) return;
        (bool success, bytes memory result) = _target.call(_call);
        if (success) return;
        assembly ("memory-safe") {
            revert(add(result, 32), mload(result))
        }
    }

    function arm(address target, bytes calldata call_) external {
        (_target, _call) = (target, call_);
    }

    function refuse(bool value) external {
        _isRefusing = value;
    }

    function deposit(IOrrangeVault vault, uint256 amount) external {
        vault.deposit{value: amount}(address(0), amount);
    }

    function withdraw(IOrrangeVault vault, uint256 amount) external {
        vault.withdraw(address(0), amount);
    }
}

/// @notice The native coin, which is the token with the zero address.
contract NativeCoinTest is Fixture {
    address private constant NATIVE = address(0);
    address private alice;

    function setUp() public override {
        super.setUp();
        alice = makeAddr("alice");
        vm.deal(alice, 100);
    }

    function test_valueThatIsNotTheAmount() public {
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.WrongValue.selector, 10, 9));
        vault.deposit{value: 9}(NATIVE, 10);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.WrongValue.selector, 10, 11));
        vault.deposit{value: 11}(NATIVE, 10);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.WrongValue.selector, 10, 0));
        vault.deposit(NATIVE, 10);
    }

    function test_valueWithAToken() public {
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.WrongValue.selector, 0, 1));
        vault.deposit{value: 1}(address(base), 1);
    }

    function test_valueWithoutADeposit() public {
        vm.prank(alice);
        (bool isTaken,) = address(vault).call{value: 1}("");
        assertFalse(isTaken);
    }

    function test_depositAndWithdraw() public {
        vm.startPrank(alice);
        vault.deposit{value: 60}(NATIVE, 60);
        assertEq(vault.freeBalance(alice, NATIVE), 60);
        assertEq(vault.custody(NATIVE), 60);
        vault.withdraw(NATIVE, 50);
        assertEq(alice.balance, 90);
        assertEq(vault.custody(NATIVE), 10);
        assertEq(address(vault).balance, 10);
    }

    function test_receiverThatRefuses() public {
        Receiver receiver = new Receiver();
        vm.deal(address(receiver), 10);
        receiver.deposit(vault, 10);
        receiver.refuse(true);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.NativeRefused.selector, receiver, 10));
        receiver.withdraw(vault, 10);
        assertEq(vault.freeBalance(address(receiver), NATIVE), 10, "a failed withdrawal takes nothing");
        receiver.refuse(false);
        receiver.withdraw(vault, 10);
        assertEq(address(receiver).balance, 10);
    }

    /// @dev The inner call fails at the guard, so that the receiver refuses and the withdrawal with it.
    function test_reentryFromAWithdrawal() public {
        Receiver receiver = new Receiver();
        vm.deal(address(receiver), 10);
        receiver.deposit(vault, 10);
        bytes memory inner = abi.encodeCall(IOrrangeVault.withdraw, (NATIVE, 4));
        receiver.arm(address(vault), inner);
        vm.expectCall(address(vault), inner, 1);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.NativeRefused.selector, receiver, 5));
        receiver.withdraw(vault, 5);
        assertEq(vault.freeBalance(address(receiver), NATIVE), 10);
    }

    function test_tradeAgainstTheNativeCoin() public {
        market.quote = NATIVE;
        marketId = settlement.marketId(market);
        uint256 total = quoteAmount(PRICE_TICKS, LOTS);
        vm.deal(taker.owner.addr, total);
        vm.startPrank(taker.owner.addr);
        vault.deposit{value: total}(NATIVE, total);
        vault.allocate(marketId, NATIVE, total);
        vm.stopPrank();
        fund(maker.owner.addr, base, LOTS * uint256(LOT_SIZE));
        Trade memory trade = newSignedTrade();
        assertSettles(trade);
        assertEq(vault.allocation(maker.owner.addr, marketId, NATIVE), total);
        vm.startPrank(maker.owner.addr);
        vault.requestDeallocation(marketId, NATIVE, total);
        skip(DELAY_S);
        vault.executeDeallocation(marketId, NATIVE);
        vault.withdraw(NATIVE, total);
        assertEq(maker.owner.addr.balance, total);
    }
}
