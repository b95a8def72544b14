// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IOrrangeVault} from "../src/interfaces/IOrrangeVault.sol";
import {Payment, Session, TokenCap} from "../src/types/OrrangeTypes.sol";
import {Sessions} from "../src/libraries/Sessions.sol";
import {Fixture} from "./support/Fixture.sol";

/// @notice The register of session keys.
contract SessionsTest is Fixture {
    address private alice;
    address private key;
    uint64 private expiry;

    function setUp() public override {
        super.setUp();
        alice = makeAddr("alice");
        key = makeAddr("session");
        expiry = uint64(block.timestamp) + 100;
        vm.startPrank(alice);
    }

    function test_zeroKey() public {
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.InvalidSession.selector, address(0)));
        vault.authoriseSession(address(0), TICKET, expiry);
    }

    function test_ownerAsItsOwnSession() public {
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.InvalidSession.selector, alice));
        vault.authoriseSession(alice, TICKET, expiry);
    }

    function testFuzz_scope(uint8 scope) public {
        if (scope == 0 || scope > 3) {
            vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.InvalidScope.selector, scope));
        }
        vault.authoriseSession(key, scope, expiry);
    }

    function test_expiryNotInTheFuture() public {
        uint64 time = uint64(block.timestamp);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.ExpiryPassed.selector, time, time));
        vault.authoriseSession(key, TICKET, time);
        vault.authoriseSession(key, TICKET, time + 1);
    }

    function test_keyRegisteredBefore() public {
        vault.authoriseSession(key, TICKET, expiry);
        bytes memory error = abi.encodeWithSelector(IOrrangeVault.SessionTaken.selector, key, alice);
        vm.expectRevert(error);
        vault.authoriseSession(key, TICKET, expiry);

        vm.stopPrank();
        address bob = makeAddr("bob");
        vm.expectRevert(error);
        vm.prank(bob);
        vault.authoriseSession(key, TICKET, expiry);

        // Neither revocation nor expiry gives the key back.
        vm.prank(alice);
        vault.revokeSession(key);
        vm.warp(expiry + 1);
        vm.expectRevert(error);
        vm.prank(bob);
        vault.authoriseSession(key, TICKET, expiry + 100);
    }

    function test_revokeAnUnknownKey() public {
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.NotSessionOwner.selector, key, alice));
        vault.revokeSession(key);
    }

    function test_revokeByAnybodyElse() public {
        vault.authoriseSession(key, TICKET, expiry);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.NotSessionOwner.selector, key, key));
        vm.prank(key);
        vault.revokeSession(key);
    }

    function test_revokeTwice() public {
        vault.authoriseSession(key, TICKET, expiry);
        vault.revokeSession(key);
        uint64 revokedAt = uint64(block.timestamp);
        skip(5);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.SessionAlreadyRevoked.selector, key, revokedAt));
        vault.revokeSession(key);
    }

    function test_recordOfASession() public {
        vm.expectEmit(address(vault));
        emit IOrrangeVault.SessionAuthorised(alice, key, TICKET | TRADE, expiry);
        vault.authoriseSession(key, TICKET | TRADE, expiry);
        _assertRecord(Session(alice, TICKET | TRADE, expiry, 0, false));
        skip(7);
        vm.expectEmit(address(vault));
        emit IOrrangeVault.SessionRevoked(alice, key);
        vault.revokeSession(key);
        _assertRecord(Session(alice, TICKET | TRADE, expiry, uint64(block.timestamp), false));
    }

    function _assertRecord(Session memory expected) private view {
        assertEq(abi.encode(vault.session(key)), abi.encode(expected));
    }

    /// @dev The rule in the words of the protocol: a revoke at time t voids only tickets with matched time > t + L_fund or
    /// deadline > t + L_fund + D.
    function testFuzz_isAlive(Session memory session, uint64 matched, uint64 deadline, uint64 lag, uint64 life)
        public
        pure
    {
        bool expected = matched < session.expiry;
        if (session.revokedAt != 0) {
            uint256 seen = uint256(session.revokedAt) + lag;
            expected = expected && !(matched > seen || deadline > seen + life);
        }
        assertEq(Sessions.isAlive(session, matched, deadline, lag, life), expected);
    }

    /// @dev The part about the deadline stands on its own: with fields that are near each other both sides are met.
    function test_isAliveAtTheEdges() public pure {
        Session memory session = Session(address(1), 1, 1000, 500, false);
        assertTrue(Sessions.isAlive(session, 502, 562, 2, 60));
        assertFalse(Sessions.isAlive(session, 503, 562, 2, 60), "matched after it was seen");
        assertFalse(Sessions.isAlive(session, 502, 563, 2, 60), "deadline after the last honest ticket");
        session.revokedAt = 0;
        assertTrue(Sessions.isAlive(session, 999, 5000, 2, 60));
        assertFalse(Sessions.isAlive(session, 1000, 5000, 2, 60), "expired");
    }

    // caps

    function test_cappedWithoutCaps() public {
        vm.expectRevert(IOrrangeVault.ZeroAmount.selector);
        vault.authoriseCappedSession(key, TICKET, expiry, new TokenCap[](0));
    }

    function test_capOfNothing() public {
        vm.expectRevert(IOrrangeVault.ZeroAmount.selector);
        vault.authoriseCappedSession(key, TICKET, expiry, new TokenCap[](1));
    }

    function test_capOfATokenTwice() public {
        TokenCap[] memory caps = new TokenCap[](2);
        caps[0] = caps[1] = TokenCap(address(base), 5);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.CapRepeated.selector, key, address(base)));
        vault.authoriseCappedSession(key, TICKET, expiry, caps);
    }

    function test_cappedSessionSaysSo() public {
        TokenCap[] memory caps = new TokenCap[](1);
        caps[0] = TokenCap(address(base), 5);
        vm.expectEmit(address(vault));
        emit IOrrangeVault.SessionAuthorised(alice, key, TICKET, expiry);
        vm.expectEmit(address(vault));
        emit IOrrangeVault.SessionCapped(alice, key, address(base), 5);
        vault.authoriseCappedSession(key, TICKET, expiry, caps);
        assertTrue(vault.session(key).isCapped);
        (uint128 limit, uint128 spent) = vault.cap(key, address(base));
        assertEq(limit, 5);
        assertEq(spent, 0);
        (limit, spent) = vault.cap(key, address(quote));
        assertEq(limit, 0, "no cap");
    }

    /// @dev The settlement asks before; if it did not, the vault would refuse.
    function test_vaultRefusesBeyondTheCap() public {
        TokenCap[] memory caps = new TokenCap[](1);
        caps[0] = TokenCap(address(base), 5);
        vault.authoriseCappedSession(key, TICKET, expiry, caps);
        vm.stopPrank();
        Payment memory payment;
        (payment.market, payment.base, payment.quote) = (marketId, address(base), address(quote));
        (payment.seller, payment.buyer) = (maker.owner.addr, taker.owner.addr);
        (payment.sellerSession, payment.baseAmount) = (key, 6);
        vm.startPrank(address(settlement));
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.CapExceeded.selector, key, address(base), 5, 6));
        vault.move(payment);
        payment.baseAmount = 5;
        vault.move(payment);
    }

    // all at once

    function test_revokeAllEndsThoseThatThereAre() public {
        address second = makeAddr("second");
        vault.authoriseSession(key, TICKET, expiry);
        skip(1);
        vault.authoriseSession(second, TICKET, expiry);
        skip(1);
        vault.revokeSession(second);
        uint64 first = uint64(block.timestamp);
        skip(5);
        vm.expectEmit(address(vault));
        emit IOrrangeVault.AllSessionsRevoked(alice);
        vault.revokeAllSessions();
        uint64 all = uint64(block.timestamp);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.SessionsJustRevoked.selector, alice, all));
        vault.authoriseSession(makeAddr("third"), TICKET, expiry);
        skip(1);
        vault.authoriseSession(makeAddr("third"), TICKET, expiry);
        assertEq(vault.session(key).revokedAt, all);
        assertEq(vault.session(second).revokedAt, first, "keeps its own time");
        assertEq(vault.session(makeAddr("third")).revokedAt, 0);
        skip(5);
        vault.revokeAllSessions();
        assertEq(vault.session(key).revokedAt, all, "nothing is prolonged");
        assertEq(vault.session(makeAddr("third")).revokedAt, block.timestamp);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeVault.SessionAlreadyRevoked.selector, key, all));
        vault.revokeSession(key);
    }

    function test_revokeAllOfNobodyAndTwiceInASecond() public {
        vault.revokeAllSessions();
        vault.revokeAllSessions();
        assertEq(vault.session(maker.session.addr).revokedAt, 0, "another's session");
    }
}
