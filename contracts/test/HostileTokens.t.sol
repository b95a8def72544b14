// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {IOrrangeVault} from "../src/interfaces/IOrrangeVault.sol";
import {Trade} from "../src/types/OrrangeTypes.sol";
import {Fixture} from "./support/Fixture.sol";
import {BlockingToken, ShrinkingToken} from "./support/SwapTokens.sol";

/// @dev Calls its recipient back on arrival, as tokens with hooks do, and lets it do what it likes.
contract HookToken is ERC20("Hook", "HOOK") {
    address private _hooked;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setHook(address account) external {
        _hooked = account;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (to == _hooked) GreedyOwner(to).tokensReceived(amount);
    }
}

/// @dev An owner that, on receiving tokens, tries to withdraw them once more.
contract GreedyOwner {
    IOrrangeVault private immutable VAULT;
    HookToken private immutable TOKEN;
    uint256 public refusals;

    constructor(IOrrangeVault vault_, HookToken token_) {
        (VAULT, TOKEN) = (vault_, token_);
        token_.approve(address(vault_), type(uint256).max);
    }

    function deposit(uint256 amount) external {
        VAULT.deposit(address(TOKEN), amount);
    }

    function withdraw(uint256 amount) external {
        VAULT.withdraw(address(TOKEN), amount);
    }

    function tokensReceived(uint256 amount) external {
        try VAULT.withdraw(address(TOKEN), amount) {
            revert("withdrew twice");
        } catch {
            refusals += 1;
        }
    }
}

/// @notice Tokens that block, shrink or call back harm the holders of those tokens alone.
contract HostileTokensTest is Fixture {
    /// @dev A blocked owner keeps its balance and trades go on: no transfer is part of a settlement.
    function test_aBlockedOwnerTradesOnAndWithdrawsOnceItIsFree() public {
        BlockingToken token = new BlockingToken();
        market.base = address(token);
        marketId = settlement.marketId(market);
        address seller = maker.owner.addr;
        token.mint(seller, BASE_FUNDS);
        vm.startPrank(seller);
        token.approve(address(vault), BASE_FUNDS);
        vault.deposit(address(token), BASE_FUNDS);
        vault.allocate(marketId, address(token), BASE_FUNDS - 5);
        vm.stopPrank();
        token.setBlocked(seller, true);
        token.setBlocked(taker.owner.addr, true);
        fund(taker.owner.addr, quote, QUOTE_FUNDS);
        Trade memory trade = newSignedTrade();
        assertSettles(trade);
        vm.expectRevert(abi.encodeWithSelector(BlockingToken.Blocked.selector, seller));
        vm.prank(seller);
        vault.withdraw(address(token), 5);
        assertEq(vault.freeBalance(seller, address(token)), 5, "a failed withdrawal takes nothing");
        token.setBlocked(seller, false);
        vm.prank(seller);
        vault.withdraw(address(token), 5);
        assertEq(token.balanceOf(seller), 5);
    }

    /// @dev The first who withdraw are whole, the last are not; other tokens do not pay for it.
    function test_aTokenThatShrinksIsShortForItsOwnHolders() public {
        ShrinkingToken token = new ShrinkingToken();
        address[2] memory owners = [makeAddr("first"), makeAddr("last")];
        for (uint256 i = 0; i < 2; ++i) {
            token.mint(owners[i], 100);
            vm.startPrank(owners[i]);
            token.approve(address(vault), 100);
            vault.deposit(address(token), 100);
            vm.stopPrank();
        }
        token.halve();
        vm.prank(owners[0]);
        vault.withdraw(address(token), 100);
        assertEq(token.balanceOf(owners[0]), 100);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, address(vault), 0, 200));
        vm.prank(owners[1]);
        vault.withdraw(address(token), 100);
        assertEq(vault.custody(address(token)), 100);
        assertEq(base.balanceOf(address(vault)), vault.custody(address(base)));
        assertSettles(newSignedTrade());
    }

    function test_aHookOnArrivalDoesNotReenter() public {
        HookToken token = new HookToken();
        GreedyOwner owner = new GreedyOwner(vault, token);
        token.mint(address(owner), 10);
        owner.deposit(10);
        token.setHook(address(owner));
        owner.withdraw(5);
        assertEq(owner.refusals(), 1);
        assertEq(token.balanceOf(address(owner)), 5);
        assertEq(vault.freeBalance(address(owner), address(token)), 5);
    }

    /// @dev Units are all that counts: no decimals, and more than there are atoms.
    function testFuzz_anyDecimals(uint8 decimals, uint96 lotSize) public {
        market.lotSize = uint96(bound(lotSize, 1, type(uint96).max));
        market.tickSize = uint96(10 ** bound(decimals, 0, 28));
        marketId = settlement.marketId(market);
        fund(maker.owner.addr, base, LOTS * uint256(market.lotSize));
        uint256 total = uint256(PRICE_TICKS) * market.tickSize * LOTS;
        fund(taker.owner.addr, quote, total);
        Trade memory trade = newSignedTrade();
        assertSettles(trade);
        assertEq(allocated(maker, quote), total);
        assertEq(allocated(taker, base), LOTS * uint256(market.lotSize));
    }
}
