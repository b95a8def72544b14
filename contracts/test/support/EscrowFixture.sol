// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {OrrangeEscrow} from "../../src/OrrangeEscrow.sol";
import {OrrangeVault} from "../../src/OrrangeVault.sol";
import {TestToken} from "../../src/dev/TestToken.sol";
import {EscrowState, IOrrangeEscrow, OpenedTrade} from "../../src/interfaces/IOrrangeEscrow.sol";
import {EscrowFunds, MarketId, TicketDigest, VaultSettings} from "../../src/types/OrrangeTypes.sol";

/// @dev The real vault and escrow, with the test in the settlement's place: it locks funds and opens trades. Each test
/// brings a trade into a state, and takes the one step that it is about.
abstract contract EscrowFixture is Test {
    uint64 internal constant START_S = 1_700_000_000;
    uint64 internal constant GRACE_S = 600;
    uint64 internal constant PAY_S = 3_600;
    uint64 internal constant CONFIRM_S = 7_200;
    uint64 internal constant ARBITRATION_S = 86_400;
    uint96 internal constant DISPUTE_DUE = 1_000_001;
    uint128 internal constant BOND_UNIT = 10;
    uint256 internal constant BASE_AMOUNT = 7e18 + 1; // odd, so that halves are not equal
    uint256 internal constant BOND_AMOUNT = 12_345;
    MarketId internal constant MARKET = MarketId.wrap(keccak256("market"));

    address internal seller = makeAddr("seller");
    address internal buyer = makeAddr("buyer");
    address internal arbitrator = makeAddr("arbitrator");
    address internal stranger = makeAddr("stranger");
    address internal sellerSession = makeAddr("seller session");
    address internal buyerSession = makeAddr("buyer session");

    OrrangeVault internal vault;
    OrrangeEscrow internal escrow;
    TestToken internal base;
    TestToken internal quote; // the fee token
    uint256 private _tickets;

    function setUp() public virtual {
        vm.warp(START_S);
        base = new TestToken("Base", "BASE", 18);
        quote = new TestToken("Quote", "QUOTE", 6);
        address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        vault = new OrrangeVault(settingsWith(next));
        escrow = new OrrangeEscrow(vault, GRACE_S, PAY_S, CONFIRM_S, ARBITRATION_S, DISPUTE_DUE);
        assertEq(address(escrow), next);
        authorise(seller, sellerSession, 3);
        authorise(buyer, buyerSession, 3);
    }

    function settingsWith(address escrow_) internal view returns (VaultSettings memory) {
        return VaultSettings({
            settlement: address(this),
            escrow: escrow_,
            slasher: address(0),
            bondToken: address(quote),
            bondUnit: BOND_UNIT,
            deallocationDelay: 130,
            unbondingDelay: 1_000
        });
    }

    function authorise(address owner, address key, uint8 scope) internal {
        vm.prank(owner);
        vault.authoriseSession(key, scope, START_S + 1_000_000);
    }

    /// @dev Terms that no earlier call gave; nothing is locked yet.
    function newTrade() internal returns (OpenedTrade memory trade) {
        trade.ticket = TicketDigest.wrap(keccak256(abi.encode("ticket", _tickets++)));
        trade.market = MARKET;
        (trade.seller, trade.buyer, trade.arbitrator) = (seller, buyer, arbitrator);
        (trade.base, trade.quote) = (address(base), address(quote));
        (trade.baseAmount, trade.bondAmount) = (BASE_AMOUNT, BOND_AMOUNT);
        (trade.paymentMethod, trade.security, trade.matchedAt) = (4, 2, START_S - 5);
    }

    function openNew() internal returns (OpenedTrade memory trade) {
        trade = newTrade();
        openWith(trade);
    }

    /// @dev As the settlement does: the vault locks, the escrow opens.
    function openWith(OpenedTrade memory trade) internal {
        lock(trade);
        escrow.open(trade);
    }

    function lock(OpenedTrade memory trade) internal {
        fund(trade.seller, TestToken(trade.base), trade.baseAmount);
        fund(trade.seller, TestToken(trade.quote), trade.bondAmount);
        fund(trade.buyer, TestToken(trade.quote), trade.bondAmount);
        lockFunds(trade);
    }

    function lockFunds(OpenedTrade memory trade) internal {
        vault.lock(
            EscrowFunds({
                market: trade.market,
                seller: trade.seller,
                buyer: trade.buyer,
                sellerSession: address(0),
                buyerSession: address(0),
                base: trade.base,
                quote: trade.quote,
                baseAmount: trade.baseAmount,
                bondAmount: trade.bondAmount
            })
        );
    }

    function openPaid() internal returns (OpenedTrade memory trade) {
        trade = openNew();
        vm.prank(buyer);
        escrow.markPaid(trade);
    }

    function openDisputed() internal returns (OpenedTrade memory trade) {
        trade = openPaid();
        vm.prank(seller);
        escrow.dispute(trade);
    }

    /// @dev A new trade that has just come into the state.
    function newIn(EscrowState state) internal returns (OpenedTrade memory trade) {
        if (state == EscrowState.Open) return openNew();
        if (state == EscrowState.Paid) return openPaid();
        if (state == EscrowState.Disputed) return openDisputed();
        if (state == EscrowState.Cancelled) {
            trade = openNew();
            vm.prank(buyer);
            escrow.cancel(trade);
        } else if (state == EscrowState.Released) {
            trade = openNew();
            vm.prank(seller);
            escrow.release(trade);
        } else {
            trade = openDisputed();
            vm.prank(arbitrator);
            escrow.resolve(trade, 5_000, 5_000);
        }
    }

    function fund(address owner, TestToken token, uint256 amount) internal {
        if (amount == 0) return;
        token.mint(owner, amount);
        vm.startPrank(owner);
        token.approve(address(vault), amount);
        vault.deposit(address(token), amount);
        vault.allocate(MARKET, address(token), amount);
        vm.stopPrank();
    }

    function expectOpened(OpenedTrade memory trade) internal {
        vm.expectEmit(address(escrow));
        emit IOrrangeEscrow.EscrowOpened(
            trade.ticket,
            trade.seller,
            trade.buyer,
            trade.market,
            trade.base,
            trade.quote,
            trade.baseAmount,
            trade.bondAmount,
            trade.paymentMethod,
            trade.arbitrator,
            trade.security,
            trade.matchedAt
        );
    }

    function assertState(OpenedTrade memory trade, EscrowState expected) internal view {
        (EscrowState state, uint256 since,) = escrow.recordOf(trade.ticket);
        assertEq(uint8(state), uint8(expected), "expected another state");
        assertEq(since, block.timestamp, "expected the state to begin now");
    }

    /// @dev What each side has free of base and quote, and that nothing stays locked.
    function assertPaidOut(uint256 sellerBase, uint256 sellerQuote) internal view {
        assertEq(vault.freeBalance(seller, address(base)), sellerBase, "seller's base");
        assertEq(vault.freeBalance(buyer, address(base)), BASE_AMOUNT - sellerBase, "buyer's base");
        assertEq(vault.freeBalance(seller, address(quote)), sellerQuote, "seller's quote");
        assertEq(vault.freeBalance(buyer, address(quote)), 2 * BOND_AMOUNT - sellerQuote, "buyer's quote");
        assertEq(vault.lockedBalance(address(base)), 0, "locked base");
        assertEq(vault.lockedBalance(address(quote)), 0, "locked quote");
    }
}
