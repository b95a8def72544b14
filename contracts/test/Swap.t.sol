// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Test} from "forge-std/Test.sol";

import {OrrangeSwap} from "../src/OrrangeSwap.sol";
import {TestToken} from "../src/dev/TestToken.sol";
import {IOrrangeSwap, SwapId, SwapState, SwapTerms} from "../src/interfaces/IOrrangeSwap.sol";
import {BlockingToken, ClosedWallet, GreedyWallet, ShrinkingToken} from "./support/SwapTokens.sol";
import {FalseToken, FeeToken, LyingToken, ReentrantToken, SilentToken} from "./support/Tokens.sol";

abstract contract SwapFixture is Test {
    uint256 internal constant AMOUNT = 5e18;
    uint64 internal constant NOW_S = 1_700_000_000;
    uint64 internal constant DEADLINE_S = NOW_S + 3600;
    bytes32 internal constant PREIMAGE = keccak256("the preimage");

    address internal immutable ALICE = makeAddr("alice"); // opens, is refunded
    address internal immutable BOB = makeAddr("bob"); // claims
    address internal immutable CAROL = makeAddr("carol"); // a stranger
    OrrangeSwap internal swap;
    TestToken internal token;
    SwapTerms internal terms;

    function setUp() public virtual {
        vm.warp(NOW_S);
        swap = new OrrangeSwap();
        token = new TestToken("Token", "TOK", 18);
        terms = SwapTerms({
            token: address(token),
            amount: AMOUNT,
            recipient: BOB,
            refundee: ALICE,
            hashlock: sha256(abi.encode(PREIMAGE)),
            deadline: DEADLINE_S,
            nonce: 0
        });
        token.mint(ALICE, 10 * AMOUNT);
        vm.deal(ALICE, 10 * AMOUNT);
        vm.prank(ALICE);
        token.approve(address(swap), type(uint256).max);
    }

    function openSwap() internal returns (SwapId) {
        vm.prank(ALICE);
        return swap.open{value: terms.token == address(0) ? terms.amount : 0}(terms);
    }

    function assertState(SwapState expected) internal view {
        assertEq(uint8(swap.stateOf(swap.swapId(terms))), uint8(expected));
    }
}

contract SwapTest is SwapFixture {
    // refused openings

    function test_nothingIsNoSwap() public {
        terms.amount = 0;
        vm.expectRevert(IOrrangeSwap.ZeroAmount.selector);
        openSwap();
    }

    function test_nobodyIsNoRecipientAndNoRefundee() public {
        terms.recipient = address(0);
        vm.expectRevert(IOrrangeSwap.ZeroAccount.selector);
        openSwap();
        (terms.recipient, terms.refundee) = (BOB, address(0));
        vm.expectRevert(IOrrangeSwap.ZeroAccount.selector);
        openSwap();
    }

    function test_aDeadlineOfNowIsPast() public {
        terms.deadline = NOW_S;
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSwap.DeadlinePassed.selector, NOW_S, NOW_S));
        openSwap();
        terms.deadline = NOW_S + 1;
        openSwap();
        assertState(SwapState.Open);
    }

    function test_theSameTermsOpenOnce() public {
        SwapId id = openSwap();
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSwap.SwapExists.selector, id));
        openSwap();
        swap.claim(terms, PREIMAGE);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSwap.SwapExists.selector, id));
        openSwap();
    }

    function test_coinBelongsToCoinSwapsAlone() public {
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSwap.WrongValue.selector, 0, 1));
        swap.open{value: 1}(terms);
        terms.token = address(0);
        vm.startPrank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSwap.WrongValue.selector, AMOUNT, AMOUNT - 1));
        swap.open{value: AMOUNT - 1}(terms);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSwap.WrongValue.selector, AMOUNT, AMOUNT + 1));
        swap.open{value: AMOUNT + 1}(terms);
    }

    function test_coinSentAnyOtherWayIsRefused() public {
        vm.prank(ALICE);
        (bool isTaken,) = address(swap).call{value: 1}("");
        assertFalse(isTaken);
    }

    // refused ends

    function test_aWrongPreimageClaimsNothing() public {
        openSwap();
        bytes32 wrong = keccak256("wrong");
        vm.expectRevert(
            abi.encodeWithSelector(IOrrangeSwap.WrongPreimage.selector, terms.hashlock, sha256(abi.encode(wrong)))
        );
        swap.claim(terms, wrong);
        assertState(SwapState.Open);
    }

    function test_claimEndsStrictlyBeforeTheDeadlineAndRefundStartsThere() public {
        openSwap();
        vm.warp(DEADLINE_S - 1);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSwap.RefundTooEarly.selector, DEADLINE_S, DEADLINE_S - 1));
        swap.refund(terms);
        vm.warp(DEADLINE_S);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSwap.ClaimTooLate.selector, DEADLINE_S, DEADLINE_S));
        swap.claim(terms, PREIMAGE);
        swap.refund(terms);
        assertEq(swap.creditOf(ALICE, address(token)), AMOUNT);
    }

    function test_whatWasNeverOpenedHasNoEnd() public {
        SwapId id = swap.swapId(terms);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSwap.SwapNotOpen.selector, id, SwapState.None));
        swap.claim(terms, PREIMAGE);
        vm.warp(DEADLINE_S);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSwap.SwapNotOpen.selector, id, SwapState.None));
        swap.refund(terms);
    }

    function test_anEndIsFinal() public {
        SwapId id = openSwap();
        swap.claim(terms, PREIMAGE);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSwap.SwapNotOpen.selector, id, SwapState.Claimed));
        swap.claim(terms, PREIMAGE);
        vm.warp(DEADLINE_S);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSwap.SwapNotOpen.selector, id, SwapState.Claimed));
        swap.refund(terms);
    }

    /// @dev Changing any one term names another swap, so that nobody can redirect or enlarge one.
    function test_everyTermIsPartOfTheId() public {
        SwapId id = openSwap();
        SwapTerms[7] memory others;
        for (uint256 i = 0; i < 7; ++i) {
            others[i] = abi.decode(abi.encode(terms), (SwapTerms));
        }
        others[0].token = address(1);
        others[1].amount += 1;
        others[2].recipient = CAROL;
        others[3].refundee = CAROL;
        others[4].hashlock = sha256(abi.encode(bytes32(0)));
        others[5].deadline += 1;
        others[6].nonce += 1;
        for (uint256 i = 0; i < 7; ++i) {
            assertTrue(SwapId.unwrap(swap.swapId(others[i])) != SwapId.unwrap(id));
            vm.expectPartialRevert(IOrrangeSwap.SwapNotOpen.selector);
            swap.claim(others[i], i == 4 ? bytes32(0) : PREIMAGE);
        }
        assertTrue(SwapId.unwrap(new OrrangeSwap().swapId(terms)) != SwapId.unwrap(id));
        vm.chainId(2);
        assertTrue(SwapId.unwrap(swap.swapId(terms)) != SwapId.unwrap(id));
    }

    // refused withdrawals

    function test_moreThanTheCreditIsNotPaid() public {
        openSwap();
        swap.claim(terms, PREIMAGE);
        vm.startPrank(BOB);
        vm.expectRevert(IOrrangeSwap.ZeroAmount.selector);
        swap.withdraw(address(token), 0);
        vm.expectRevert(
            abi.encodeWithSelector(IOrrangeSwap.InsufficientCredit.selector, BOB, address(token), AMOUNT, AMOUNT + 1)
        );
        swap.withdraw(address(token), AMOUNT + 1);
        swap.withdraw(address(token), AMOUNT);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSwap.InsufficientCredit.selector, BOB, address(token), 0, 1));
        swap.withdraw(address(token), 1);
    }

    // what works

    function test_aStrangersClaimCreditsTheRecipient() public {
        SwapId id = swap.swapId(terms);
        vm.expectEmit(address(swap));
        emit IOrrangeSwap.SwapOpened(id, BOB, ALICE, address(token), AMOUNT, terms.hashlock, DEADLINE_S, 0);
        openSwap();
        assertState(SwapState.Open);
        vm.warp(DEADLINE_S - 1);
        vm.expectEmit(address(swap));
        emit IOrrangeSwap.SwapClaimed(id, BOB, ALICE, PREIMAGE);
        vm.prank(CAROL);
        swap.claim(terms, PREIMAGE);
        assertState(SwapState.Claimed);
        vm.expectEmit(address(swap));
        emit IOrrangeSwap.CreditWithdrawn(BOB, address(token), AMOUNT - 1);
        vm.prank(BOB);
        swap.withdraw(address(token), AMOUNT - 1);
        assertEq(token.balanceOf(BOB), AMOUNT - 1);
        assertEq(swap.creditOf(BOB, address(token)), 1);
        assertEq(swap.creditOf(CAROL, address(token)), 0);
    }

    function test_aStrangersRefundCreditsTheRefundee() public {
        terms.token = address(0);
        SwapId id = openSwap();
        vm.warp(DEADLINE_S);
        vm.expectEmit(address(swap));
        emit IOrrangeSwap.SwapRefunded(id, BOB, ALICE);
        vm.prank(CAROL);
        swap.refund(terms);
        assertState(SwapState.Refunded);
        uint256 before = ALICE.balance;
        vm.prank(ALICE);
        swap.withdraw(address(0), AMOUNT);
        assertEq(ALICE.balance, before + AMOUNT);
        assertEq(address(swap).balance, 0);
    }

    function test_whoPaysNeedNotBeWhoIsRefunded() public {
        terms.refundee = CAROL;
        openSwap();
        vm.warp(DEADLINE_S);
        swap.refund(terms);
        assertEq(swap.creditOf(CAROL, address(token)), AMOUNT);
        assertEq(swap.creditOf(ALICE, address(token)), 0);
    }

    // fuzz

    /// @dev At any time and with any preimage, at most one of claim and refund works, and exactly the one that is due.
    function testFuzz_claimAndRefundExcludeEachOther(uint64 time, bytes32 preimage, bool isRight, bool isRefundFirst)
        public
    {
        openSwap();
        vm.warp(bound(time, NOW_S, DEADLINE_S + 3600));
        bytes32 shown = isRight ? PREIMAGE : preimage;
        bool canClaim = shown == PREIMAGE && block.timestamp < DEADLINE_S;
        bool canRefund = block.timestamp >= DEADLINE_S;
        if (isRefundFirst) assertEq(_tryRefund(), canRefund);
        assertEq(_tryClaim(shown), canClaim);
        if (!isRefundFirst) assertEq(_tryRefund(), canRefund);
        uint256 credited = swap.creditOf(ALICE, address(token)) + swap.creditOf(BOB, address(token));
        assertEq(credited, canClaim || canRefund ? AMOUNT : 0);
    }

    function testFuzz_anyAmountComesBackWhole(uint256 amount, bool isCoin, uint256 part) public {
        amount = bound(amount, 1, 9 * AMOUNT);
        part = bound(part, 1, amount);
        (terms.amount, terms.token) = (amount, isCoin ? address(0) : address(token));
        openSwap();
        swap.claim(terms, PREIMAGE);
        vm.startPrank(BOB);
        swap.withdraw(terms.token, part);
        if (part < amount) swap.withdraw(terms.token, amount - part);
        assertEq(isCoin ? BOB.balance : token.balanceOf(BOB), amount);
    }

    function _tryClaim(bytes32 preimage) private returns (bool) {
        try swap.claim(terms, preimage) {
            return true;
        } catch {
            return false;
        }
    }

    function _tryRefund() private returns (bool) {
        try swap.refund(terms) {
            return true;
        } catch {
            return false;
        }
    }
}

contract SwapHostileTest is SwapFixture {
    function test_aTokenThatKeepsAFeeIsRefused() public {
        FeeToken fee = new FeeToken();
        fee.mint(ALICE, AMOUNT);
        _use(address(fee));
        uint256 arrives = AMOUNT - AMOUNT / 100;
        vm.expectRevert(
            abi.encodeWithSelector(IOrrangeSwap.WrongAmountReceived.selector, address(fee), AMOUNT, arrives)
        );
        openSwap();
        assertState(SwapState.None);
    }

    function test_aTokenThatReportsMoreThanItMovedIsRefused() public {
        LyingToken lying = new LyingToken();
        lying.setReports(1, AMOUNT + 2);
        terms.token = address(lying);
        vm.expectRevert(
            abi.encodeWithSelector(IOrrangeSwap.WrongAmountReceived.selector, address(lying), AMOUNT, AMOUNT + 1)
        );
        openSwap();
    }

    function test_falseIsAFailure() public {
        FalseToken lame = new FalseToken();
        lame.mint(ALICE, 2 * AMOUNT);
        _use(address(lame));
        lame.setFailing(true);
        bytes memory failed = abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(lame));
        vm.expectRevert(failed);
        openSwap();
        lame.setFailing(false);
        openSwap();
        swap.claim(terms, PREIMAGE);
        lame.setFailing(true);
        vm.expectRevert(failed);
        vm.prank(BOB);
        swap.withdraw(address(lame), AMOUNT);
        assertEq(swap.creditOf(BOB, address(lame)), AMOUNT);
    }

    function test_aTokenThatReturnsNothingWorks() public {
        SilentToken silent = new SilentToken();
        silent.mint(ALICE, AMOUNT);
        terms.token = address(silent);
        openSwap();
        swap.claim(terms, PREIMAGE);
        vm.prank(BOB);
        swap.withdraw(address(silent), AMOUNT);
        assertEq(silent.balanceOf(BOB), AMOUNT);
    }

    /// @dev From inside its own transfer, at the opening and at the withdrawal, a token gets into no function.
    function test_aTokenCannotComeInAgain() public {
        ReentrantToken hook = new ReentrantToken();
        hook.mint(ALICE, 2 * AMOUNT);
        _use(address(hook));
        SwapTerms memory other = terms;
        other.nonce = 1;
        bytes[4] memory calls = [
            abi.encodeCall(IOrrangeSwap.open, (other)),
            abi.encodeCall(IOrrangeSwap.claim, (terms, PREIMAGE)),
            abi.encodeCall(IOrrangeSwap.refund, (terms)),
            abi.encodeCall(IOrrangeSwap.withdraw, (address(hook), 1))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            hook.arm(address(swap), calls[i]);
            vm.expectRevert(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
            openSwap();
        }
        hook.arm(address(0), "");
        openSwap();
        swap.claim(terms, PREIMAGE);
        hook.arm(address(swap), calls[3]);
        vm.expectRevert(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        vm.prank(BOB);
        swap.withdraw(address(hook), AMOUNT);
    }

    /// @dev Pull credits: the blocked recipient waits alone; the claim itself always works.
    function test_aBlockedRecipientKeepsItsCredit() public {
        BlockingToken blocking = new BlockingToken();
        blocking.mint(ALICE, AMOUNT);
        _use(address(blocking));
        openSwap();
        blocking.setBlocked(BOB, true);
        swap.claim(terms, PREIMAGE);
        vm.startPrank(BOB);
        vm.expectRevert(abi.encodeWithSelector(BlockingToken.Blocked.selector, BOB));
        swap.withdraw(address(blocking), AMOUNT);
        blocking.setBlocked(BOB, false);
        swap.withdraw(address(blocking), AMOUNT);
        assertEq(blocking.balanceOf(BOB), AMOUNT);
    }

    /// @dev A balance that shrinks by itself harms the swaps of that token alone.
    function test_aShrinkingTokenHarmsItselfAlone() public {
        ShrinkingToken shrinking = new ShrinkingToken();
        shrinking.mint(ALICE, AMOUNT);
        openSwap();
        swap.claim(terms, PREIMAGE);
        _use(address(shrinking));
        openSwap();
        shrinking.halve();
        swap.claim(terms, PREIMAGE);
        vm.startPrank(BOB);
        vm.expectPartialRevert(IERC20Errors.ERC20InsufficientBalance.selector);
        swap.withdraw(address(shrinking), AMOUNT);
        swap.withdraw(address(shrinking), AMOUNT / 2);
        swap.withdraw(address(token), AMOUNT);
        assertEq(token.balanceOf(BOB), AMOUNT);
    }

    function test_aWalletCannotWithdrawTwice() public {
        GreedyWallet wallet = new GreedyWallet(swap);
        (terms.token, terms.recipient) = (address(0), address(wallet));
        openSwap();
        terms.nonce = 1;
        openSwap();
        swap.claim(terms, PREIMAGE);
        wallet.withdraw(AMOUNT);
        assertTrue(wallet.isAnswered());
        assertEq(bytes4(wallet.answer()), ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        assertEq(address(wallet).balance, AMOUNT);
    }

    function test_whoTakesNoCoinKeepsItsCredit() public {
        ClosedWallet wallet = new ClosedWallet();
        (terms.token, terms.recipient) = (address(0), address(wallet));
        openSwap();
        swap.claim(terms, PREIMAGE);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSwap.CoinRefused.selector, address(wallet), AMOUNT));
        wallet.withdraw(swap, AMOUNT);
        assertEq(swap.creditOf(address(wallet), address(0)), AMOUNT);
    }

    function _use(address hostile) private {
        terms.token = hostile;
        vm.prank(ALICE);
        TestToken(hostile).approve(address(swap), type(uint256).max);
    }
}

/// @notice What the four calls cost as transactions of their own; written to snapshots/swap.json.
/// forge-config: default.isolate = true
contract SwapGasTest is SwapFixture {
    function test_gasOfATokenSwap() public {
        openSwap();
        vm.snapshotGasLastCall("swap", "open_token");
        swap.claim(terms, PREIMAGE);
        vm.snapshotGasLastCall("swap", "claim_token");
        vm.prank(BOB);
        swap.withdraw(address(token), AMOUNT);
        vm.snapshotGasLastCall("swap", "withdraw_token");
        assertEq(token.balanceOf(BOB), AMOUNT);
    }

    function test_gasOfACoinSwap() public {
        terms.token = address(0);
        openSwap();
        vm.snapshotGasLastCall("swap", "open_coin");
        vm.warp(DEADLINE_S);
        swap.refund(terms);
        vm.snapshotGasLastCall("swap", "refund_coin");
        vm.prank(ALICE);
        swap.withdraw(address(0), AMOUNT);
        vm.snapshotGasLastCall("swap", "withdraw_coin");
        assertEq(address(swap).balance, 0);
    }
}
