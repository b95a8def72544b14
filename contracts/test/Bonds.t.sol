// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IOrrangeVault} from "../src/interfaces/IOrrangeVault.sol";
import {OrrangeVault} from "../src/OrrangeVault.sol";
import {EscrowFunds, VaultSettings} from "../src/types/OrrangeTypes.sol";
import {Fixture} from "./support/Fixture.sol";

/// @notice Bonds, and what the escrow and the slasher may do with the vault.
contract BondsTest is Fixture {
    address private alice;
    address private token;
    uint96 private constant ALL = 1_000;

    function setUp() public override {
        super.setUp();
        alice = makeAddr("alice");
        token = address(quote); // the fee token
        quote.mint(alice, uint256(ALL) * BOND_UNIT + 1);
        vm.startPrank(alice);
        quote.approve(address(vault), type(uint256).max);
        vault.deposit(token, uint256(ALL) * BOND_UNIT + 1);
    }

    function _assertBond(uint256 bonded, uint256 unbonding, uint256 availableAt) private view {
        (uint96 bonded_, uint96 unbonding_, uint64 availableAt_) = vault.bondOf(alice);
        assertEq(bonded_, bonded);
        assertEq(unbonding_, unbonding);
        assertEq(availableAt_, availableAt);
    }

    // refusals

    function test_bondOfNothing() public {
        vm.expectRevert(IOrrangeVault.ZeroAmount.selector);
        vault.bond(0);
    }

    function test_bondMoreThanIsFree() public {
        uint256 free = uint256(ALL) * BOND_UNIT + 1;
        bytes4 selector = IOrrangeVault.InsufficientFree.selector;
        vm.expectRevert(abi.encodeWithSelector(selector, alice, token, free, uint256(ALL + 1) * BOND_UNIT));
        vault.bond(ALL + 1);
        vm.expectRevert(abi.encodeWithSelector(selector, alice, token, free, uint256(type(uint96).max) * BOND_UNIT));
        vault.bond(type(uint96).max);
        vault.bond(ALL);
    }

    function test_unbondNothing() public {
        vm.expectRevert(IOrrangeVault.ZeroAmount.selector);
        vault.requestUnbonding(0);
    }

    function test_unbondMoreThanIsBonded() public {
        vault.bond(ALL);
        vault.requestUnbonding(400);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.InsufficientBond.selector, alice, 600, 601));
        vault.requestUnbonding(601);
    }

    function test_executeUnbondingWithoutARequest() public {
        vault.bond(ALL);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.NothingUnbonding.selector, alice));
        vault.executeUnbonding();
    }

    function test_executeUnbondingTooEarlyAndTwice() public {
        vault.bond(ALL);
        vault.requestUnbonding(1);
        skip(UNBONDING_S - 1);
        vault.requestUnbonding(2); // restarts the delay of all
        uint256 availableAt = block.timestamp + UNBONDING_S;
        skip(1);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.UnbondingTooEarly.selector, availableAt, block.timestamp));
        vault.executeUnbonding();
        vm.warp(availableAt);
        vault.executeUnbonding();
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.NothingUnbonding.selector, alice));
        vault.executeUnbonding();
        _assertBond(ALL - 3, 0, 0);
        assertEq(vault.freeBalance(alice, token), 3 * BOND_UNIT + 1);
    }

    function test_onlyTheSlasherAndTheSettlementSlash() public {
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.NotSlasher.selector, alice));
        vault.slash(alice, 1, alice, 0);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.NotSlasher.selector, address(escrow)));
        vm.prank(address(escrow));
        vault.slash(alice, 1, alice, 0);
        vm.prank(address(settlement));
        assertEq(vault.slash(alice, 1, alice, 0), 0);
    }

    function test_noMoreThanHalfToTheBeneficiary() public {
        vm.stopPrank();
        vm.startPrank(slasher);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.ShareTooLarge.selector, 5001, 5000));
        vault.slash(alice, 1, alice, 5001);
    }

    function test_onlyTheSettlementLocksAndOnlyTheEscrowReleases() public {
        EscrowFunds memory funds;
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.NotSettlement.selector, alice));
        vault.lock(funds);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.NotEscrow.selector, alice));
        vault.release(token, alice, 0);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.NotEscrow.selector, address(settlement)));
        vm.prank(address(settlement));
        vault.release(token, alice, 0);
    }

    function test_releaseMoreThanIsLocked() public {
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.InsufficientLocked.selector, token, 0, 1));
        vm.prank(address(escrow));
        vault.release(token, alice, 1);
    }

    function test_bondUnitOfNothing() public {
        VaultSettings memory settings = vaultSettings(address(settlement));
        settings.bondUnit = 0;
        vm.expectRevert(IOrrangeVault.ZeroAmount.selector);
        new OrrangeVault(settings);
    }

    // what it does

    function test_bondAndUnbond() public {
        vm.expectEmit(address(vault));
        emit IOrrangeVault.BondChanged(alice, ALL);
        vault.bond(ALL);
        assertEq(vault.freeBalance(alice, token), 1);
        uint64 availableAt = uint64(block.timestamp) + UNBONDING_S;
        vm.expectEmit(address(vault));
        emit IOrrangeVault.BondChanged(alice, 300);
        vm.expectEmit(address(vault));
        emit IOrrangeVault.UnbondingRequested(alice, 700, availableAt);
        vault.requestUnbonding(700);
        _assertBond(300, 700, availableAt);
        vm.warp(availableAt);
        vm.expectEmit(address(vault));
        emit IOrrangeVault.UnbondingExecuted(alice, 700);
        vault.executeUnbonding();
        _assertBond(300, 0, 0);
        assertEq(vault.freeBalance(alice, token), 700 * BOND_UNIT + 1);
    }

    function testFuzz_slashTakesBondedThenUnbonding(uint96 bonded, uint96 unbonding, uint256 due, uint256 shareBps)
        public
    {
        bonded = uint96(bound(bonded, 1, ALL));
        unbonding = uint96(bound(unbonding, 0, bonded));
        shareBps = bound(shareBps, 0, 5000);
        due = bound(due, 0, 2 * ALL);
        vault.bond(bonded);
        if (unbonding > 0) vault.requestUnbonding(unbonding);
        vm.stopPrank();
        uint256 custody = vault.custody(token);
        vm.prank(slasher);
        uint256 taken = vault.slash(alice, due, sink, shareBps);
        assertEq(taken, due < bonded ? due : bonded);
        (uint96 bondedLeft, uint96 unbondingLeft,) = vault.bondOf(alice);
        assertEq(bondedLeft + unbondingLeft + taken, bonded);
        assertTrue(unbondingLeft == unbonding || bondedLeft == 0, "bonded ones first");
        uint256 reward = taken * shareBps / 10_000 * BOND_UNIT;
        assertEq(vault.freeBalance(sink, token), reward);
        assertEq(vault.custody(token), custody - taken * BOND_UNIT + reward, "the rest is nobody's");
    }

    function test_releasedFundsAreFree() public {
        vm.stopPrank();
        EscrowFunds memory funds;
        (funds.market, funds.base, funds.quote) = (marketId, address(base), token);
        (funds.seller, funds.buyer) = (maker.owner.addr, taker.owner.addr);
        (funds.baseAmount, funds.bondAmount) = (7, 0);
        vm.prank(address(settlement));
        vault.lock(funds);
        assertEq(vault.lockedBalance(address(base)), 7);
        vm.expectEmit(address(vault));
        emit IOrrangeVault.Released(alice, address(base), 6);
        vm.prank(address(escrow));
        vault.release(address(base), alice, 6);
        assertEq(vault.freeBalance(alice, address(base)), 6);
        assertEq(vault.lockedBalance(address(base)), 1);
        assertEq(vault.custody(address(base)), BASE_FUNDS);
    }

    function test_constants() public view {
        assertEq(vault.bondToken(), token);
        assertEq(vault.bondUnit(), BOND_UNIT);
        assertEq(vault.unbondingDelay(), UNBONDING_S);
        assertEq(vault.escrow(), address(escrow));
        assertEq(vault.slasher(), slasher);
    }
}
