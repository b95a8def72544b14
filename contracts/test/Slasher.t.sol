// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {OrrangeSlasher} from "../src/OrrangeSlasher.sol";
import {IOrrangeSettlement} from "../src/interfaces/IOrrangeSettlement.sol";
import {FeedEntry, IOrrangeSlasher, SignedEntry, SignedTicket} from "../src/interfaces/IOrrangeSlasher.sol";
import {Evidence} from "../src/libraries/Evidence.sol";
import {MarketId, Order} from "../src/types/OrrangeTypes.sol";
import {SlasherFixture} from "./support/SlasherFixture.sol";

/// @notice What convicts, what does not, who pays and who is paid. Spec: 08-peers [EVID-1], [EVID-2].
contract SlasherTest is SlasherFixture {
    // ---- forks

    function test_forkConvicts() public {
        (SignedEntry memory first, SignedEntry memory second) = newFork();
        vm.expectEmit(address(slasher));
        emit IOrrangeSlasher.Slashed(owner, session.addr, MARKET, false, FORK_DUE, FORK_DUE, reporter);
        slasher.proveFork(first, second, reporter);
        assertEq(bondOf(owner), BOND - FORK_DUE);
        assertEq(vault.freeBalance(reporter, address(fee)), 10_000 * BOND_UNIT); // a quarter of 40,001, rounded down
        assertTrue(slasher.isSlashed(session.addr, MARKET, false));
        assertFalse(slasher.isSlashed(session.addr, MARKET, true));
        assertFalse(slasher.isSlashed(session.addr, OTHER_MARKET, false));
    }

    /// @dev Every field but the three of the place makes another entry of it.
    function test_forksByEachField() public {
        uint256 snapshot = vm.snapshotState();
        for (uint256 field = 0; field < 4; ++field) {
            FeedEntry memory entry = newEntry(3, "one");
            SignedEntry memory first = signEntry(entry);
            FeedEntry memory changed = newEntry(3, "one");
            if (field == 0) changed.owner = otherOwner;
            else if (field == 1) changed.prevHash = "another";
            else if (field == 2) changed.epoch += 1;
            else changed.itemsRoot = "two";
            slasher.proveFork(first, signEntry(changed), reporter);
            assertEq(bondOf(owner), BOND - FORK_DUE); // of the owner in the vault, whatever an entry says
            assertEq(bondOf(otherOwner), BOND);
            vm.revertToState(snapshot);
        }
    }

    function test_oneEntryTwiceIsNoFork() public {
        (SignedEntry memory first,) = newFork();
        bytes32 digest = slasher.entryHash(first.entry);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSlasher.SameDigest.selector, digest));
        slasher.proveFork(first, first, reporter);
    }

    function test_entriesOfOtherPlacesAreNoFork() public {
        (SignedEntry memory first,) = newFork();
        FeedEntry memory entry = newEntry(4, "two");
        _assertOtherPlace(first, signEntry(entry));
        entry = newEntry(3, "two");
        entry.market = OTHER_MARKET;
        _assertOtherPlace(first, signEntry(entry));
        entry = newEntry(3, "two");
        entry.session = other.addr;
        _assertOtherPlace(first, SignedEntry(entry, sign(other, slasher.entryHash(entry))));
    }

    function test_forkWantsBothSignatures() public {
        (SignedEntry memory first, SignedEntry memory second) = newFork();
        bytes[] memory signatures = _wrongSignatures(slasher.entryHash(second.entry));
        for (uint256 i = 0; i < signatures.length; ++i) {
            second.signature = signatures[i];
            bytes memory reason = abi.encodeWithSelector(
                IOrrangeSlasher.NotSigned.selector, session.addr, slasher.entryHash(second.entry)
            );
            vm.expectRevert(reason);
            slasher.proveFork(first, second, reporter);
            vm.expectRevert(reason);
            slasher.proveFork(second, first, reporter);
        }
    }

    /// @dev What recovers to nobody is not signed by a session of zero.
    function test_theZeroSessionSignsNothing() public {
        (SignedEntry memory first, SignedEntry memory second) = newFork();
        (first.entry.session, second.entry.session) = (address(0), address(0));
        (first.signature, second.signature) = (new bytes(65), new bytes(65));
        vm.expectPartialRevert(IOrrangeSlasher.NotSigned.selector);
        slasher.proveFork(first, second, reporter);
    }

    function test_signaturesOfOtherDomainsProveNothing() public {
        (SignedEntry memory first, SignedEntry memory second) = newFork();
        (SignedTicket memory one, SignedTicket memory two) = _signedLotsTwice();
        vm.chainId(block.chainid + 1);
        vm.expectPartialRevert(IOrrangeSlasher.NotSigned.selector);
        slasher.proveFork(first, second, reporter);
        vm.expectPartialRevert(IOrrangeSlasher.WrongOrders.selector);
        slasher.proveOverSigning(session.addr, one, two, reporter);
        // Ids of this domain, a signature of the other one.
        bytes memory signature = one.signature;
        signTicket(one, session);
        one.signature = signature;
        vm.expectPartialRevert(IOrrangeSlasher.NotSigned.selector);
        slasher.proveOverSigning(session.addr, one, two, reporter);
    }

    // ---- over-signing

    function test_lotsTwiceConvict() public {
        (SignedTicket memory first, SignedTicket memory second) = _signedLotsTwice();
        vm.expectEmit(address(slasher));
        emit IOrrangeSlasher.Slashed(owner, session.addr, MARKET, true, OVER_SIGNING_DUE, OVER_SIGNING_DUE, reporter);
        slasher.proveOverSigning(session.addr, first, second, reporter);
        assertEq(bondOf(owner), BOND - OVER_SIGNING_DUE);
        assertEq(bondOf(otherOwner), BOND);
        assertTrue(slasher.isSlashed(session.addr, MARKET, true));
        assertFalse(slasher.isSlashed(session.addr, MARKET, false));
    }

    /// @dev Its own order may stand on either side of either ticket.
    function test_lotsTwiceOnWhicheverSides() public {
        uint256 snapshot = vm.snapshotState();
        for (uint256 sides = 0; sides < 4; ++sides) {
            (SignedTicket memory first, SignedTicket memory second) = newLotsTwice();
            if (sides & 1 != 0) (first.maker, first.taker) = (first.taker, first.maker);
            if (sides & 2 != 0) (second.maker, second.taker) = (second.taker, second.maker);
            signTicket(first, session);
            signTicket(second, session);
            slasher.proveOverSigning(session.addr, first, second, reporter);
            vm.revertToState(snapshot);
        }
    }

    /// @dev Of a ticket between two orders of its own, either may be what it signed twice.
    function test_lotsTwiceOfATradeWithItself() public {
        uint256 snapshot = vm.snapshotState();
        for (uint256 side = 0; side < 2; ++side) {
            Order memory own = newOrder(session.addr, 1);
            SignedTicket memory first = newTicket(newOrder(session.addr, 2), own, 1);
            if (side == 1) (first.maker, first.taker) = (first.taker, first.maker);
            SignedTicket memory second = newTicket(own, newOrder(other.addr, 2), 2);
            signTicket(first, session);
            signTicket(second, session);
            slasher.proveOverSigning(session.addr, first, second, reporter);
            vm.revertToState(snapshot);
        }
    }

    /// @dev Half open: [0, 10) and [10, 20) touch, [0, 10) and [9, 20) overlap; the sizes of sides need not be equal.
    function test_touchingLotsProveNothing() public {
        (SignedTicket memory first, SignedTicket memory second) = newLotsTwice();
        (second.ticket.makerFrom, second.ticket.makerTo) = (10, 20);
        _assertNothingTwice(first, second);
        (second.ticket.makerFrom, second.ticket.makerTo) = (0, 0);
        _assertNothingTwice(first, second);
        (second.ticket.makerFrom, second.ticket.makerTo) = (8, 2);
        _assertNothingTwice(first, second);
        (second.ticket.makerFrom, second.ticket.makerTo) = (9, 20);
        _assertProves(first, second);
    }

    /// @dev Ends included: a window that starts at the other's deadline overlaps it, one that starts a second later does not.
    function test_touchingTimesDoOverlap() public {
        (SignedTicket memory first, SignedTicket memory second) = newLotsTwice();
        first.ticket.deadline = EPOCH_START_S + 5;
        second.ticket.epoch = EPOCH + 11; // starts 6.123 s after the whole second, which is 6, rounded down
        second.ticket.deadline = EPOCH_START_S + 20;
        _assertNothingTwice(first, second);
        second.ticket.epoch = EPOCH + 10; // 5.623 s, which is 5
        _assertProves(first, second);
    }

    /// @dev What the other side signs twice is not the session's to answer for, but where it signed a number twice.
    function test_lotsOfTheOtherSideProveNothing() public {
        Order memory theirs = newOrder(other.addr, 1);
        SignedTicket memory first = newTicket(theirs, newOrder(session.addr, 1), 1);
        SignedTicket memory second = newTicket(theirs, newOrder(session.addr, 2), 2);
        _assertNothingTwice(first, second);
    }

    /// @dev Equal ranges of two own orders are no lots twice, on one side or on both.
    function test_lotsOfTwoOrdersProveNothing() public {
        SignedTicket memory first = newTicket(newOrder(session.addr, 1), newOrder(other.addr, 1), 1);
        SignedTicket memory second = newTicket(newOrder(session.addr, 2), newOrder(other.addr, 1), 2);
        _assertNothingTwice(first, second);
        second = newTicket(newOrder(other.addr, 1), newOrder(session.addr, 2), 2);
        _assertNothingTwice(first, second);
    }

    function test_oneNumberOfOneTakerTwiceConvicts() public {
        uint256 snapshot = vm.snapshotState();
        for (uint256 side = 0; side < 2; ++side) {
            address maker = side == 0 ? session.addr : other.addr;
            address taker = side == 0 ? other.addr : session.addr;
            SignedTicket memory first = newTicket(newOrder(maker, 1), newOrder(taker, 2), 7);
            SignedTicket memory second = newTicket(newOrder(maker, 3), newOrder(taker, 4), 7);
            second.ticket.epoch += 100_000; // whatever the times
            _assertProves(first, second);
            vm.revertToState(snapshot);
            second.ticket.ticketNonce = 8;
            _assertNothingTwice(first, second);
        }
    }

    function test_oneNumberOfTwoTakersProvesNothing() public {
        SignedTicket memory first = newTicket(newOrder(session.addr, 1), newOrder(other.addr, 2), 7);
        SignedTicket memory second = newTicket(newOrder(session.addr, 3), newOrder(makeAddr("third"), 4), 7);
        _assertNothingTwice(first, second);
    }

    function test_oneTicketTwiceProvesNothing() public {
        (SignedTicket memory first,) = _signedLotsTwice();
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSlasher.SameDigest.selector, ticketDigest(first)));
        slasher.proveOverSigning(session.addr, first, first, reporter);
    }

    function test_ordersThatTheTicketDoesNotNameProveNothing() public {
        (SignedTicket memory first, SignedTicket memory second) = _signedLotsTwice();
        bytes memory reason = abi.encodeWithSelector(IOrrangeSlasher.WrongOrders.selector, ticketDigest(second));
        second.maker.nonce += 1;
        vm.expectRevert(reason);
        slasher.proveOverSigning(session.addr, first, second, reporter);
        second.maker.nonce -= 1;
        second.taker.quantityLots += 1;
        vm.expectRevert(reason);
        slasher.proveOverSigning(session.addr, first, second, reporter);
    }

    function test_sessionsWithoutPartProveNothing() public {
        (SignedTicket memory first, SignedTicket memory second) = newLotsTwice();
        Account memory third = makeAccount("third");
        signTicket(first, third);
        signTicket(second, third);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSlasher.NotAParty.selector, third.addr, ticketDigest(first)));
        slasher.proveOverSigning(third.addr, first, second, reporter);
    }

    function test_overSigningWantsBothSignatures() public {
        (SignedTicket memory first, SignedTicket memory second) = _signedLotsTwice();
        bytes32 digest = ticketDigest(second);
        bytes[] memory signatures = _wrongSignatures(digest);
        for (uint256 i = 0; i < signatures.length; ++i) {
            second.signature = signatures[i];
            vm.expectRevert(abi.encodeWithSelector(IOrrangeSlasher.NotSigned.selector, session.addr, digest));
            slasher.proveOverSigning(session.addr, first, second, reporter);
            vm.expectRevert(abi.encodeWithSelector(IOrrangeSlasher.NotSigned.selector, session.addr, digest));
            slasher.proveOverSigning(session.addr, second, first, reporter);
        }
    }

    function test_ordersOfTwoMarketsProveNothing() public {
        for (uint256 i = 0; i < 3; ++i) {
            (SignedTicket memory first, SignedTicket memory second) = newLotsTwice();
            (first.ticket.ticketNonce, second.ticket.ticketNonce) = (7, 7); // a number twice, if it were one market
            if (i == 0) first.taker.market = OTHER_MARKET;
            else if (i == 1) second.maker.market = OTHER_MARKET;
            else second.taker.market = OTHER_MARKET;
            signTicket(first, session);
            signTicket(second, session);
            vm.expectRevert(IOrrangeSlasher.DifferentMarkets.selector);
            slasher.proveOverSigning(session.addr, first, second, reporter);
        }
    }

    // ---- who pays, and once

    function test_aKindInAMarketConvictsOnce() public {
        (SignedEntry memory first, SignedEntry memory second) = newFork();
        slasher.proveFork(first, second, reporter);
        first = signEntry(newEntry(9, "other"));
        second = signEntry(newEntry(9, "fork"));
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSlasher.AlreadySlashed.selector, session.addr, MARKET, false));
        slasher.proveFork(first, second, reporter);
        (SignedTicket memory one, SignedTicket memory two) = _signedLotsTwice();
        slasher.proveOverSigning(session.addr, one, two, reporter);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSlasher.AlreadySlashed.selector, session.addr, MARKET, true));
        slasher.proveOverSigning(session.addr, two, one, reporter);
        assertEq(bondOf(owner), 0); // 100,000, less 40,001, less what there was of 90,001
    }

    function test_eachMarketConvictsAnew() public {
        (SignedEntry memory first, SignedEntry memory second) = newFork();
        slasher.proveFork(first, second, reporter);
        (first.entry.market, second.entry.market) = (OTHER_MARKET, OTHER_MARKET);
        slasher.proveFork(signEntry(first.entry), signEntry(second.entry), reporter);
        assertEq(bondOf(owner), BOND - 2 * FORK_DUE);
    }

    /// @dev The amount due is told whole, however little there is to take.
    function test_withoutABondTheDueStillCounts() public {
        Account memory poor = makeAccount("poor session");
        vm.prank(makeAddr("poor owner"));
        vault.authoriseSession(poor.addr, 1, EXPIRY_S);
        FeedEntry memory entry = newEntry(3, "one");
        entry.session = poor.addr;
        SignedEntry memory first = SignedEntry(entry, sign(poor, slasher.entryHash(entry)));
        FeedEntry memory changed = newEntry(3, "two");
        changed.session = poor.addr;
        SignedEntry memory second = SignedEntry(changed, sign(poor, slasher.entryHash(changed)));
        vm.expectEmit(address(slasher));
        emit IOrrangeSlasher.Slashed(makeAddr("poor owner"), poor.addr, MARKET, false, FORK_DUE, 0, reporter);
        slasher.proveFork(first, second, reporter);
        assertEq(vault.freeBalance(reporter, address(fee)), 0);
    }

    function test_nobodyAnswersForUnknownSessions() public {
        Account memory unknown = makeAccount("unknown");
        FeedEntry memory entry = newEntry(3, "one");
        FeedEntry memory changed = newEntry(3, "two");
        (entry.session, changed.session) = (unknown.addr, unknown.addr);
        SignedEntry memory first = SignedEntry(entry, sign(unknown, slasher.entryHash(entry)));
        SignedEntry memory second = SignedEntry(changed, sign(unknown, slasher.entryHash(changed)));
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSlasher.UnknownSession.selector, unknown.addr));
        slasher.proveFork(first, second, reporter);
    }

    function test_theWindowEndsAfterTheExpiry() public {
        _assertWindowEndsAt(EXPIRY_S + WINDOW_S);
    }

    function test_theWindowEndsAfterTheRevocation() public {
        vm.warp(START_S + 100);
        vm.prank(owner);
        vault.revokeSession(session.addr);
        _assertWindowEndsAt(START_S + 100 + WINDOW_S);
    }

    function test_aRevocationAfterTheExpiryProlongsNothing() public {
        vm.warp(EXPIRY_S + 100);
        vm.prank(owner);
        vault.revokeSession(session.addr);
        _assertWindowEndsAt(EXPIRY_S + WINDOW_S);
    }

    function test_somebodyIsRewarded() public {
        (SignedEntry memory first, SignedEntry memory second) = newFork();
        vm.expectRevert(IOrrangeSlasher.ZeroReporter.selector);
        slasher.proveFork(first, second, address(0));
    }

    /// @dev Whoever copies a proof from the mempool gets its reward; the owner pays no less and no more for it.
    function test_whoeverBringsItNamesTheReporter() public {
        (SignedEntry memory first, SignedEntry memory second) = newFork();
        vm.prank(owner);
        slasher.proveFork(first, second, owner);
        assertEq(vault.freeBalance(owner, address(fee)), 10_000 * BOND_UNIT);
        assertEq(bondOf(owner), BOND - FORK_DUE);
    }

    function test_whatUnbondsIsTakenToo() public {
        vm.prank(owner);
        vault.requestUnbonding(BOND);
        vm.warp(START_S + UNBONDING_S - 1);
        (SignedEntry memory first, SignedEntry memory second) = newFork();
        slasher.proveFork(first, second, reporter);
        (, uint96 unbonding,) = vault.bondOf(owner);
        assertEq(unbonding, BOND - FORK_DUE);
    }

    // ---- settings

    function test_settings() public view {
        assertEq(address(slasher.vault()), address(vault));
        assertEq(address(slasher.settlement()), address(settlement));
        assertEq(slasher.forkDue(), FORK_DUE);
        assertEq(slasher.overSigningDue(), OVER_SIGNING_DUE);
        assertEq(slasher.reporterShareBps(), SHARE_BPS);
        assertEq(slasher.evidenceWindowS(), WINDOW_S);
    }

    function test_constructorRefusesNotSlasherOfs() public {
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSlasher.NotSlasherOf.selector, address(vault)));
        newSlasher(SHARE_BPS);
        deployNeighbours(UNBONDING_S);
        settlement = IOrrangeSettlement(makeAddr("another settlement"));
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSlasher.NotSlasherOf.selector, address(vault)));
        newSlasher(SHARE_BPS);
    }

    function test_constructorRefusesMoreThanHalf() public {
        deployNeighbours(UNBONDING_S);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSlasher.ShareTooLarge.selector, 5_001, 5_000));
        newSlasher(5_001);
        deployNeighbours(UNBONDING_S);
        assertEq(newSlasher(5_000).reporterShareBps(), 5_000);
    }

    /// @dev More than lag, life of a ticket and window: the default is the least.
    function test_constructorRefusesBondsThatAreGoneTooSoon() public {
        deployNeighbours(UNBONDING_S - 1);
        vm.expectRevert(
            abi.encodeWithSelector(IOrrangeSlasher.UnbondingDelayTooShort.selector, UNBONDING_S - 1, UNBONDING_S)
        );
        newSlasher(SHARE_BPS);
    }

    // ---- how

    function _signedLotsTwice() private view returns (SignedTicket memory first, SignedTicket memory second) {
        (first, second) = newLotsTwice();
        signTicket(first, session);
        signTicket(second, session);
    }

    /// @dev In either order.
    function _assertProves(SignedTicket memory first, SignedTicket memory second) private {
        signTicket(first, session);
        signTicket(second, session);
        uint256 snapshot = vm.snapshotState();
        slasher.proveOverSigning(session.addr, second, first, reporter);
        vm.revertToState(snapshot);
        slasher.proveOverSigning(session.addr, first, second, reporter);
        assertTrue(slasher.isSlashed(session.addr, MARKET, true));
    }

    /// @dev In either order.
    function _assertNothingTwice(SignedTicket memory first, SignedTicket memory second) private {
        signTicket(first, session);
        signTicket(second, session);
        vm.expectRevert(IOrrangeSlasher.NothingTwice.selector);
        slasher.proveOverSigning(session.addr, first, second, reporter);
        vm.expectRevert(IOrrangeSlasher.NothingTwice.selector);
        slasher.proveOverSigning(session.addr, second, first, reporter);
    }

    function _assertOtherPlace(SignedEntry memory first, SignedEntry memory second) private {
        vm.expectRevert(IOrrangeSlasher.DifferentPlaces.selector);
        slasher.proveFork(first, second, reporter);
    }

    function _assertWindowEndsAt(uint64 end) private {
        (SignedEntry memory first, SignedEntry memory second) = newFork();
        vm.warp(end + 1);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSlasher.EvidenceTooLate.selector, session.addr, end, end + 1));
        slasher.proveFork(first, second, reporter);
        vm.warp(end);
        slasher.proveFork(first, second, reporter);
    }

    /// @dev Another signer's, with a high s, with other values of v, short, long, empty, and zeros. Spec: [SIGN-3].
    function _wrongSignatures(bytes32 digest) private view returns (bytes[] memory wrong) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(session.key, digest);
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        wrong = new bytes[](8);
        wrong[0] = sign(other, digest);
        wrong[1] = abi.encodePacked(r, bytes32(order - uint256(s)), v == 27 ? 28 : 27);
        wrong[2] = abi.encodePacked(r, s, v - 27);
        wrong[3] = abi.encodePacked(r, s, v == 27 ? 28 : 27);
        wrong[4] = abi.encodePacked(r, s);
        wrong[5] = abi.encodePacked(r, s, v, v);
        wrong[6] = "";
        wrong[7] = new bytes(65);
    }
}
