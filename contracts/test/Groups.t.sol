// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IOrrangeSettlement} from "../src/interfaces/IOrrangeSettlement.sol";
import {MarketId, Order, SkipReason, Ticket, Trade} from "../src/types/OrrangeTypes.sol";
import {Fixture} from "./support/Fixture.sol";

/// @notice All legs of a fill-or-kill order settle, or none does: protocol/spec/05-tickets [TICK-14], invariant S10.
/// `assertGroupSkips` also asserts that nothing is written.
contract GroupsTest is Fixture {
    Side private other; // sells too
    Side[] private makers; // of a group of three: the maker, the other, the maker again

    function setUp() public override {
        super.setUp();
        other = newSide("other");
        fund(other.owner.addr, base, BASE_FUNDS);
        _setMakers(other);
    }

    function _setMakers(Side memory second) private {
        delete makers;
        makers.push(maker);
        makers.push(second);
        makers.push(maker);
    }

    function newThree() private returns (Trade[] memory) {
        return newGroup(makers);
    }

    function signThree(Trade[] memory legs) private view {
        signGroup(legs, makers, taker);
    }

    function newSignedThree() private returns (Trade[] memory legs) {
        legs = newThree();
        signThree(legs);
    }

    // malformed calls

    function test_noLeg() public {
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSettlement.GroupSize.selector, 0, 16));
        settlement.settleGroup(new Trade[](0));
    }

    function test_seventeenLegs() public {
        Trade[] memory legs = newSignedGroup(17);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeSettlement.GroupSize.selector, 17, 16));
        settlement.settleGroup(legs);
    }

    // the form of a group

    function test_form_aLegIsMissing() public {
        Trade[] memory legs = newSignedThree();
        for (uint256 left = 0; left < 3; ++left) {
            Trade[] memory two = new Trade[](2);
            (two[0], two[1]) = (legs[left == 0 ? 1 : 0], legs[left == 2 ? 1 : 2]);
            assertGroupSkips(two, 0, SkipReason.Grouped);
        }
    }

    function test_form_aLegTwice() public {
        Trade[] memory legs = newSignedThree();
        legs[2] = legs[1];
        assertGroupSkips(legs, 0, SkipReason.Grouped);
    }

    function test_form_anotherLegThanTheGroupNames() public {
        Trade[] memory legs = newSignedThree();
        legs[1].ticket.ticketNonce += 1000;
        signTicket(legs[1], other, taker);
        assertGroupSkips(legs, 0, SkipReason.Grouped);
    }

    function test_form_noGroupInTheTickets() public {
        Trade[] memory legs = newThree();
        for (uint256 i = 0; i < 3; ++i) {
            signAs(legs[i], makers[i], taker);
        }
        assertGroupSkips(legs, 0, SkipReason.Grouped);
    }

    function test_form_legsOfTwoGroups() public {
        Trade[] memory legs = newSignedThree();
        legs[2].ticket.group = bytes32(uint256(1));
        signTicket(legs[2], maker, taker);
        assertGroupSkips(legs, 2, SkipReason.Grouped);
    }

    function test_form_twoTakerOrders() public {
        Trade[] memory legs = newThree();
        legs[1].taker = newOrder(taker, BUY);
        (legs[1].taker.tif, legs[1].taker.quantityLots) = (FOK, 3 * LOTS);
        signThree(legs);
        assertGroupSkips(legs, 1, SkipReason.Grouped);
    }

    function test_form_twoEpochs() public {
        Trade[] memory legs = newThree();
        legs[2].ticket.epoch -= 1;
        signThree(legs);
        assertGroupSkips(legs, 2, SkipReason.Grouped);
    }

    function test_form_twoDeadlines() public {
        Trade[] memory legs = newThree();
        legs[1].ticket.deadline -= 1;
        signThree(legs);
        assertGroupSkips(legs, 1, SkipReason.Grouped);
    }

    function test_form_takerOrderIsNotFillOrKill() public {
        for (uint8 tif = 0; tif < 6; ++tif) {
            if (tif == FOK) continue;
            Trade[] memory legs = newThree();
            legs[0].taker.tif = legs[1].taker.tif = legs[2].taker.tif = tif;
            signThree(legs);
            assertGroupSkips(legs, 0, SkipReason.Grouped);
        }
    }

    function test_form_notAllOfTheTakerOrder() public {
        Trade[] memory legs = newThree();
        for (uint256 i = 0; i < 3; ++i) {
            legs[i].taker.quantityLots += 1;
        }
        signThree(legs);
        assertGroupSkips(legs, 0, SkipReason.Grouped);
    }

    function test_form_moreThanTheTakerOrder() public {
        Trade[] memory legs = newThree();
        for (uint256 i = 0; i < 3; ++i) {
            legs[i].taker.quantityLots -= 1;
        }
        signThree(legs);
        assertGroupSkips(legs, 0, SkipReason.Grouped);
    }

    function test_form_gap() public {
        _assertRangeSkips(1, LOTS + 1, 2 * LOTS);
    }

    function test_form_overlap() public {
        _assertRangeSkips(1, LOTS - 1, 2 * LOTS);
    }

    function test_form_notFromTheFirstLot() public {
        _assertRangeSkips(0, 1, LOTS);
    }

    function test_form_emptyRange() public {
        _assertRangesSkip(LOTS, LOTS);
    }

    function test_form_reversedRange() public {
        _assertRangesSkip(2 * LOTS, LOTS);
    }

    /// @dev The third leg goes on where the second one's range ends.
    function _assertRangesSkip(uint64 from, uint64 to) private {
        Trade[] memory legs = newThree();
        (legs[1].ticket.takerFrom, legs[1].ticket.takerTo) = (from, to);
        legs[2].ticket.takerFrom = to;
        signThree(legs);
        assertGroupSkips(legs, 0, SkipReason.Grouped);
    }

    function test_form_largestRangeDoesNotOverflow() public {
        _assertRangeSkips(2, 2 * LOTS, type(uint64).max);
    }

    function _assertRangeSkips(uint256 index, uint64 from, uint64 to) private {
        Trade[] memory legs = newThree();
        (legs[index].ticket.takerFrom, legs[index].ticket.takerTo) = (from, to);
        signThree(legs);
        assertGroupSkips(legs, 0, SkipReason.Grouped);
    }

    // the checks of each leg

    /// @dev S10: whatever is wrong with whichever leg, that leg and reason are named and nothing is written.
    function testFuzz_oneBadLegStopsAll(uint256 index, uint256 fault) public {
        index %= 3;
        Trade[] memory legs = newThree();
        SkipReason expected = _spoil(legs, index, fault % 13);
        signThree(legs);
        if (expected == SkipReason.Signature) legs[index].makerTicketSignature[7] ^= 0x01;
        assertGroupSkips(legs, index, expected);
    }

    function _spoil(Trade[] memory legs, uint256 index, uint256 fault) private returns (SkipReason) {
        Trade memory leg = legs[index];
        if (fault == 0) return SkipReason.Signature;
        if (fault == 1) leg.market.lotSize += 1;
        if (fault == 2) leg.maker.market = MarketId.wrap(bytes32(uint256(1)));
        if (fault < 3) return SkipReason.Market;
        if (fault == 3) leg.maker.expiry = MATCHED_S;
        if (fault == 4) (leg.maker.tif, leg.maker.expiry) = (4, 0);
        if (fault < 5) return SkipReason.Validity;
        if (fault == 5) leg.ticket.ticketNonce = _usedNumber();
        if (fault < 6) return SkipReason.Replay;
        if (fault == 6) leg.ticket.priceTicks += 1;
        if (fault == 7) leg.maker.side = BUY;
        if (fault < 8) return SkipReason.Limits;
        if (fault == 8) leg.ticket.makerTo -= 1;
        if (fault == 9) leg.maker.quantityLots -= 1;
        if (fault < 10) return SkipReason.Overfill;
        if (fault == 10) leg.maker.tif = IOC;
        if (fault == 11) leg.maker.arbitrators = new address[](1);
        if (fault == 12) leg.ticket.kind = 1;
        return SkipReason.Kind;
    }

    function _usedNumber() private returns (uint64) {
        Trade memory used = newSignedTrade();
        assertSettles(used);
        return used.ticket.ticketNonce;
    }

    function test_faultOfAllLegsIsNamedAtTheFirst() public {
        Trade[] memory legs = newSignedThree();
        vm.warp(legs[0].ticket.deadline + 1);
        assertGroupSkips(legs, 0, SkipReason.Deadline);
    }

    function test_fillOrKillIsNeverAMaker() public {
        Trade[] memory legs = newThree();
        legs[1].maker.tif = FOK;
        signThree(legs);
        assertGroupSkips(legs, 1, SkipReason.Kind);
    }

    function test_takerOrderWithoutExpiry() public {
        Trade[] memory legs = newThree();
        for (uint256 i = 0; i < 3; ++i) {
            legs[i].taker.expiry = 0;
        }
        signThree(legs);
        assertGroupSkips(legs, 0, SkipReason.Validity);
    }

    function test_aGroupSettlesOnce() public {
        Trade[] memory legs = newSignedThree();
        assertGroupSettles(legs);
        assertGroupSkips(legs, 0, SkipReason.Replay);
    }

    function test_anotherGroupOfAFilledOrder() public {
        Trade[] memory legs = newSignedThree();
        assertGroupSettles(legs);
        Trade[] memory again = newThree();
        for (uint256 i = 0; i < 3; ++i) {
            again[i].taker = legs[i].taker;
        }
        signThree(again);
        assertGroupDefaults(again, 0, SkipReason.Overfill, taker);
    }

    // what legs draw on together

    function test_twoLegsOfOneNumber() public {
        Trade[] memory legs = newThree();
        legs[2].ticket.ticketNonce = legs[0].ticket.ticketNonce;
        signThree(legs);
        assertGroupSkips(legs, 2, SkipReason.Replay);
    }

    function test_twoLegsOverfillOneMakerOrder() public {
        Trade[] memory legs = newThree();
        legs[2].maker = legs[0].maker;
        signThree(legs);
        assertGroupDefaults(legs, 2, SkipReason.Overfill, maker);
        legs[0].maker.quantityLots = legs[2].maker.quantityLots = 2 * LOTS - 1;
        signThree(legs);
        assertGroupDefaults(legs, 2, SkipReason.Overfill, maker);
        legs[0].maker.quantityLots = legs[2].maker.quantityLots = 2 * LOTS;
        signThree(legs);
        assertGroupSettles(legs);
        assertEq(settlement.filledLots(legs[0].ticket.makerOrder), 2 * LOTS);
    }

    function test_twoLegsOverdrawOneMaker() public {
        uint256 spent = BASE_FUNDS - 2 * LOTS * uint256(LOT_SIZE) + LOT_SIZE; // leaves one lot too little for two legs
        _sell(maker, uint64(spent / LOT_SIZE));
        Trade[] memory legs = newSignedThree();
        assertGroupDefaults(legs, 2, SkipReason.Funds, maker);
        fund(maker.owner.addr, base, LOT_SIZE - 1);
        assertGroupDefaults(legs, 2, SkipReason.Funds, maker);
        fund(maker.owner.addr, base, 1);
        assertGroupSettles(legs);
        assertEq(allocated(maker, base), 0);
    }

    function test_legsOverdrawTheTaker() public {
        Side memory poor = newSide("poor");
        uint256 price = quoteAmount(PRICE_TICKS, 3 * LOTS);
        fund(poor.owner.addr, quote, price - 1);
        taker = poor;
        Trade[] memory legs = newSignedThree();
        assertGroupDefaults(legs, 2, SkipReason.Funds, poor);
        fund(poor.owner.addr, quote, 1);
        assertGroupSettles(legs);
        assertEq(allocated(poor, quote), 0);
    }

    function test_makersOfOtherLegsLendNothing() public {
        Side memory poor = newSide("poor");
        _setMakers(poor);
        Trade[] memory legs = newSignedThree();
        assertGroupDefaults(legs, 1, SkipReason.Funds, poor);
        fund(poor.owner.addr, base, LOTS * uint256(LOT_SIZE));
        assertGroupSettles(legs);
    }

    /// @dev The side sells lots to the taker, alone.
    function _sell(Side memory side, uint64 lots) private {
        Trade memory trade = newTrade();
        trade.maker = newOrder(side, SELL);
        trade.maker.quantityLots = trade.taker.quantityLots = trade.ticket.makerTo = trade.ticket.takerTo = lots;
        trade.maker.priceTicks = trade.ticket.priceTicks = 1;
        signAs(trade, side, taker);
        assertSettles(trade);
    }

    // what settles

    function test_threeLegsSettle() public {
        Trade[] memory legs = newSignedThree();
        assertGroupSettles(legs);
        assertEq(allocated(maker, base), BASE_FUNDS - 2 * LOTS * uint256(LOT_SIZE));
        assertEq(allocated(other, base), BASE_FUNDS - LOTS * uint256(LOT_SIZE));
        assertEq(allocated(taker, base), 3 * LOTS * uint256(LOT_SIZE));
        assertEq(allocated(maker, quote), quoteAmount(PRICE_TICKS, 2 * LOTS));
        assertEq(allocated(other, quote), quoteAmount(PRICE_TICKS, LOTS));
        assertEq(allocated(taker, quote), QUOTE_FUNDS - quoteAmount(PRICE_TICKS, 3 * LOTS));
        assertEq(settlement.filledLots(legs[0].ticket.takerOrder), 3 * LOTS);
        for (uint256 i = 0; i < 3; ++i) {
            assertEq(settlement.filledLots(legs[i].ticket.makerOrder), LOTS);
            assertTrue(settlement.isUsed(taker.session.addr, legs[i].ticket.ticketNonce));
        }
    }

    function test_oneLegSettles() public {
        assertGroupSettles(newSignedGroup(1));
    }

    function test_sixteenLegsSettle() public {
        assertGroupSettles(newSignedGroup(16));
    }

    function test_anyoneMaySubmit() public {
        Trade[] memory legs = newSignedThree();
        vm.prank(makeAddr("stranger"));
        assertGroupSettles(legs);
    }

    function test_protectedMarketOrderSettles() public {
        Trade[] memory legs = newThree();
        legs[0].taker.kind = legs[1].taker.kind = legs[2].taker.kind = 1;
        signThree(legs);
        assertGroupSettles(legs);
    }

    /// @dev The digest by hand: ticket digests with a zero group, ascending.
    function test_groupDigest() public {
        Trade[] memory legs = newThree();
        bytes32[] memory digests = new bytes32[](3);
        Ticket[] memory tickets = new Ticket[](3);
        for (uint256 i = 0; i < 3; ++i) {
            digests[i] = ticketDigest(legs[i]);
            tickets[i] = legs[i].ticket;
            tickets[i].group = bytes32(i); // says nothing
        }
        if (digests[0] > digests[1]) (digests[0], digests[1]) = (digests[1], digests[0]);
        if (digests[1] > digests[2]) (digests[1], digests[2]) = (digests[2], digests[1]);
        if (digests[0] > digests[1]) (digests[0], digests[1]) = (digests[1], digests[0]);
        assertEq(settlement.groupDigest(tickets), keccak256(bytes.concat(digests[0], digests[1], digests[2])));
    }

    /// forge-config: default.fuzz.runs = 64
    /// @dev The legs come in any order, and all end as if each had settled alone, for an order that is not all or nothing.
    function testFuzz_orderOfLegsAndGroupingChangeNoBalance(uint256 seed, uint8 count, bool takerSells) public {
        Trade[] memory legs = _newMixedGroup(bound(count, 1, 16), seed, takerSells);
        uint256 start = vm.snapshotState();
        _shuffle(legs, seed);
        assertGroupSettles(legs);
        bytes32 together = _balances();
        vm.revertToState(start);

        for (uint256 i = 0; i < legs.length; ++i) {
            (legs[i].taker.tif, legs[i].ticket.group) = (IOC, bytes32(0));
            signAs(legs[i], _makerOf(legs[i]), taker);
        }
        settlement.settle(legs);
        assertEq(_balances(), together);
        assertEq(settlement.filledLots(legs[0].ticket.takerOrder), legs[0].taker.quantityLots);
    }

    /// forge-config: default.fuzz.runs = 64
    /// @dev S9: no leg creates or loses a unit.
    function testFuzz_valueIsConserved(uint256 seed, uint8 count, bool takerSells) public {
        Trade[] memory legs = _newMixedGroup(bound(count, 1, 16), seed, takerSells);
        (uint256 baseTotal, uint256 quoteTotal) = (_total(address(base)), _total(address(quote)));
        assertGroupSettles(legs);
        assertEq(_total(address(base)), baseTotal);
        assertEq(_total(address(quote)), quoteTotal);
        assertEq(vault.custody(address(base)), baseTotal);
        assertEq(vault.custody(address(quote)), quoteTotal);
    }

    /// @dev No field of a leg, however wild, reverts the call or lets the other legs settle without it.
    function testFuzz_wildLegNeitherRevertsNorSettles(Trade memory wild, uint256 index) public {
        Trade[] memory legs = newSignedThree();
        legs[index % 3] = wild;
        vm.startStateDiffRecording();
        (SkipReason reason,) = groupOutcome(legs);
        assertNothingWritten(vm.stopAndReturnStateDiff());
        assertEq(uint8(reason), uint8(SkipReason.Grouped));
    }

    /// @dev Legs of different sizes and prices against both makers; the maker's two orders serve several legs each.
    function _newMixedGroup(uint256 count, uint256 seed, bool takerSells) private returns (Trade[] memory legs) {
        fund(taker.owner.addr, base, BASE_FUNDS);
        fund(maker.owner.addr, quote, QUOTE_FUNDS);
        fund(other.owner.addr, quote, QUOTE_FUNDS);
        Side[] memory sides = new Side[](count);
        legs = new Trade[](count);
        Order memory order = newOrder(taker, takerSells ? SELL : BUY);
        Order[2] memory resting = [newOrder(maker, takerSells ? BUY : SELL), newOrder(other, takerSells ? BUY : SELL)];
        (order.tif, order.quantityLots) = (FOK, 0);
        uint64[2] memory reached;
        for (uint256 i = 0; i < count; ++i) {
            uint256 pick = uint256(keccak256(abi.encode(seed, i)));
            uint64 lots = uint64(5 + pick % 20);
            legs[i] = newTrade();
            sides[i] = pick & 256 == 0 ? maker : other;
            uint256 which = pick & 256 == 0 ? 0 : 1;
            Ticket memory ticket = legs[i].ticket;
            (ticket.makerFrom, ticket.makerTo) = (reached[which], reached[which] + lots);
            (ticket.takerFrom, ticket.takerTo) = (order.quantityLots, order.quantityLots + lots);
            reached[which] += lots;
            order.quantityLots += lots;
        }
        for (uint256 i = 0; i < count; ++i) {
            uint256 which = sides[i].owner.addr == maker.owner.addr ? 0 : 1;
            (legs[i].maker, legs[i].taker) = (resting[which], order);
            legs[i].maker.quantityLots = reached[which];
        }
        signGroup(legs, sides, taker);
    }

    function _shuffle(Trade[] memory legs, uint256 seed) private pure {
        for (uint256 i = legs.length - 1; i > 0; --i) {
            uint256 j = uint256(keccak256(abi.encode(seed, "shuffle", i))) % (i + 1);
            (legs[i], legs[j]) = (legs[j], legs[i]);
        }
    }

    function _makerOf(Trade memory leg) private view returns (Side memory) {
        return leg.maker.owner == maker.owner.addr ? maker : other;
    }

    function _balances() private view returns (bytes32) {
        return keccak256(
            abi.encode(
                allocated(maker, base),
                allocated(maker, quote),
                allocated(other, base),
                allocated(other, quote),
                allocated(taker, base),
                allocated(taker, quote)
            )
        );
    }

    function _total(address token) private view returns (uint256) {
        return vault.allocation(maker.owner.addr, marketId, token) + vault.allocation(other.owner.addr, marketId, token)
            + vault.allocation(taker.owner.addr, marketId, token);
    }
}
