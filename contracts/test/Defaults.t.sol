// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IOrrangeSettlement} from "../src/interfaces/IOrrangeSettlement.sol";
import {IOrrangeVault} from "../src/interfaces/IOrrangeVault.sol";
import {SkipReason, TicketDigest, TokenCap, Trade} from "../src/types/OrrangeTypes.sol";
import {Fixture} from "./support/Fixture.sol";

/// @notice Who answers for a ticket that fails, for how much, and who does not.
contract DefaultsTest is Fixture {
    uint96 private constant BOND = 10_000;

    function setUp() public override {
        super.setUp();
        _bond(maker);
        _bond(taker);
    }

    function _bond(Side memory side) private {
        uint256 amount = uint256(BOND) * BOND_UNIT;
        quote.mint(side.owner.addr, amount);
        vm.startPrank(side.owner.addr);
        quote.approve(address(vault), amount);
        vault.deposit(address(quote), amount);
        vault.bond(BOND);
        vm.stopPrank();
    }

    function _bonded(Side memory side) private view returns (uint256 bonded) {
        (bonded,,) = vault.bondOf(side.owner.addr);
    }

    /// @dev The maker's order, filled before, again in a ticket with another number.
    function _overfilled(uint64 priceTicks) private returns (Trade memory trade) {
        trade = newTrade();
        trade.taker.quantityLots = 2 * LOTS;
        trade.maker.priceTicks = trade.taker.priceTicks = trade.ticket.priceTicks = priceTicks;
        fund(taker.owner.addr, quote, 2 * quoteAmount(priceTicks, LOTS));
        sign(trade);
        assertSettles(trade);
        trade.ticket.ticketNonce += 100;
        (trade.ticket.takerFrom, trade.ticket.takerTo) = (LOTS, 2 * LOTS);
        sign(trade);
    }

    function test_aHundredthOfTheNotionalInTheFeeToken() public {
        uint64 price = 10_000;
        Trade memory trade = _overfilled(price);
        uint256 due = quoteAmount(price, LOTS) / BOND_UNIT / 100;
        assertGt(due, PENALTY);
        vm.expectEmit(address(settlement));
        emit IOrrangeSettlement.TradeSkipped(TicketDigest.wrap(ticketDigest(trade)), SkipReason.Overfill);
        vm.expectEmit(address(settlement));
        emit IOrrangeSettlement.Defaulted(
            TicketDigest.wrap(ticketDigest(trade)), maker.owner.addr, taker.owner.addr, due
        );
        vm.expectEmit(address(vault));
        emit IOrrangeVault.BondChanged(maker.owner.addr, BOND - due);
        vm.expectEmit(address(vault));
        emit IOrrangeVault.BondSlashed(maker.owner.addr, taker.owner.addr, due, due / 2);
        settleOne(trade);
        assertEq(_bonded(maker), BOND - due);
        assertEq(_bonded(taker), BOND);
        assertEq(vault.freeBalance(taker.owner.addr, address(quote)), due / 2 * BOND_UNIT);
    }

    function test_neverLessThanThePenalty() public {
        Trade memory trade = _overfilled(10);
        settleOne(trade);
        assertEq(_bonded(maker), BOND - PENALTY);
    }

    function test_penaltyWhereTheQuoteIsNotTheFeeToken() public {
        market.quote = address(base);
        market.base = address(quote);
        marketId = settlement.marketId(market);
        Trade memory trade = newTrade();
        trade.maker.priceTicks = trade.taker.priceTicks = trade.ticket.priceTicks = type(uint64).max;
        fund(maker.owner.addr, quote, LOTS * uint256(LOT_SIZE));
        sign(trade);
        assertEq(uint8(outcome(trade)), uint8(SkipReason.Funds));
        assertEq(guilty.length, 1);
        assertEq(_bonded(taker), BOND - PENALTY);
        assertEq(_bonded(maker), BOND);
    }

    function test_noMoreThanTheBondUnbondingIncluded() public {
        vm.prank(maker.owner.addr);
        vault.requestUnbonding(BOND - 10);
        Trade memory trade = _overfilled(50_000_000);
        settleOne(trade);
        (uint96 bonded, uint96 unbonding, uint64 availableAt) = vault.bondOf(maker.owner.addr);
        assertEq(bonded, 0);
        assertEq(unbonding, 0);
        assertEq(availableAt, 0);
        assertEq(vault.freeBalance(taker.owner.addr, address(quote)), uint256(BOND) / 2 * BOND_UNIT);
    }

    function test_withoutABondTheDefaultIsStillRecordedOnce() public {
        Trade memory trade = _overfilled(PRICE_TICKS);
        vm.prank(slasher);
        vault.slash(maker.owner.addr, BOND, address(0), 0);
        assertDefaults(trade, SkipReason.Overfill, maker);
    }

    /// @dev Each would be the other's victim: half of what one pays would go to a culprit.
    function test_twoCulpritsHaveNoVictim() public {
        Trade memory trade = newTrade();
        trade.maker.quantityLots = trade.taker.quantityLots = 1e9;
        trade.ticket.makerTo = trade.ticket.takerTo = 1e9;
        sign(trade);
        assertEq(uint8(outcome(trade)), uint8(SkipReason.Funds));
        assertEq(guilty.length, 2);
        assertEq(_bonded(maker), 0);
        assertEq(_bonded(taker), 0);
        assertEq(vault.freeBalance(maker.owner.addr, address(quote)), 0);
        assertEq(vault.freeBalance(taker.owner.addr, address(quote)), 0);
        assertSkips(trade, SkipReason.Replay);
    }

    /// @dev A session that spent its cap, to the unit, on either side.
    function test_capOfASession() public {
        _assertCap(true);
        _assertCap(false);
    }

    function _assertCap(bool isMakers) private {
        (address token, uint256 amount) =
            isMakers ? (address(base), LOTS * uint256(LOT_SIZE)) : (address(quote), quoteAmount(PRICE_TICKS, LOTS));
        Side memory capped = isMakers ? maker : taker;
        capped.session = makeAccount(isMakers ? "capped maker" : "capped taker");
        vm.prank(capped.owner.addr);
        vault.authoriseCappedSession(capped.session.addr, TICKET, MATCHED_S + 1000, _cap(token, 2 * amount - 1));
        Side memory other = isMakers ? taker : maker;
        (Side memory first, Side memory second) = isMakers ? (capped, other) : (other, capped);
        Trade memory trade = newTrade();
        trade.maker = newOrder(first, SELL);
        trade.taker = newOrder(second, BUY);
        trade.maker.quantityLots = trade.taker.quantityLots = 2 * LOTS;
        signAs(trade, first, second);
        assertSettles(trade);
        (uint128 limit, uint128 spent) = vault.cap(capped.session.addr, token);
        assertEq(spent, amount);
        assertEq(limit, 2 * amount - 1);
        trade.ticket.ticketNonce += 100;
        (trade.ticket.makerFrom, trade.ticket.makerTo) = (LOTS, 2 * LOTS);
        (trade.ticket.takerFrom, trade.ticket.takerTo) = (LOTS, 2 * LOTS);
        signAs(trade, first, second);
        assertDefaults(trade, SkipReason.Cap, capped);
        (trade.ticket.makerTo, trade.ticket.takerTo) = (2 * LOTS - 1, 2 * LOTS - 1);
        signAs(trade, first, second);
        assertSettles(trade);
    }

    function _cap(address token, uint256 amount) private pure returns (TokenCap[] memory caps) {
        caps = new TokenCap[](1);
        caps[0] = TokenCap(token, uint128(amount));
    }

    /// @dev The reason is the first one, lots; but whoever fails any of the three is named.
    function test_allCulpritsAreNamed() public {
        Trade memory trade = newTrade();
        trade.maker.expiry = trade.taker.expiry = 0;
        trade.taker.quantityLots = 2 * LOTS;
        sign(trade);
        assertSettles(trade);
        uint256 left = allocated(taker, quote);
        vm.prank(taker.owner.addr);
        vault.requestDeallocation(marketId, address(quote), left - quoteAmount(PRICE_TICKS, LOTS) + 1);
        vm.warp(MATCHED_S + DELAY_S + 10);
        vm.prank(taker.owner.addr);
        vault.executeDeallocation(marketId, address(quote));
        trade.ticket.ticketNonce += 100;
        trade.ticket.epoch += 2 * DELAY_S;
        trade.ticket.deadline += DELAY_S;
        (trade.ticket.takerFrom, trade.ticket.takerTo) = (LOTS, 2 * LOTS);
        sign(trade);
        uint256 before = vm.snapshotState();
        assertEq(uint8(outcome(trade)), uint8(SkipReason.Overfill));
        assertEq(guilty.length, 2);
        assertTrue(vm.revertToStateAndDelete(before));
        fund(taker.owner.addr, quote, 1);
        assertDefaults(trade, SkipReason.Overfill, maker);
        trade.maker = newOrder(maker, SELL);
        trade.maker.expiry = 0;
        sign(trade);
        assertSettles(trade);
    }

    /// @dev Both signed ranges outside their orders: nobody lacks anything.
    function test_aRangeOutsideTheOrderAccusesNobody() public {
        Trade memory trade = newTrade();
        (trade.ticket.makerFrom, trade.ticket.makerTo) = (1, LOTS + 1);
        sign(trade);
        assertSkips(trade, SkipReason.Overfill);
    }

    /// @dev A leg handed in alone, or a group that is none, accuses nobody.
    function test_aLegAloneAccusesNobody() public {
        Trade[] memory legs = newSignedGroup(1);
        vm.prank(taker.owner.addr);
        vault.requestDeallocation(marketId, address(quote), QUOTE_FUNDS);
        assertSkips(legs[0], SkipReason.Grouped);
        legs[0].taker.quantityLots = 2 * LOTS;
        signGroup(legs, sameMaker(1), taker);
        assertGroupSkips(legs, 0, SkipReason.Grouped);
    }
}
