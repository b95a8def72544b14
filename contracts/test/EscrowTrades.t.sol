// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IOrrangeSettlement} from "../src/interfaces/IOrrangeSettlement.sol";
import {IOrrangeVault} from "../src/interfaces/IOrrangeVault.sol";
import {OpenedTrade} from "../src/interfaces/IOrrangeEscrow.sol";
import {MarketId, SkipReason, TicketDigest, TokenCap, Trade} from "../src/types/OrrangeTypes.sol";
import {Fixture} from "./support/Fixture.sol";

/// @notice Tickets of kind 1, until the escrow takes over: what must agree, what is locked, who answers for what is missing.
contract EscrowTradesTest is Fixture {
    uint256 private constant TOTAL = uint256(PRICE_TICKS) * TICK_SIZE * LOTS;

    function setUp() public override {
        super.setUp();
        fund(maker.owner.addr, quote, TOTAL);
    }

    function _newEscrowTrade(uint8 security) private returns (Trade memory trade) {
        trade = newTrade();
        toEscrow(trade, security);
        sign(trade);
    }

    // what must agree

    function test_lanesThatDiffer() public {
        for (uint256 i = 0; i < 3; ++i) {
            Trade memory trade = _newEscrowTrade(2);
            if (i == 0) trade.maker.security = 1;
            else if (i == 1) trade.taker.security = 3;
            else trade.ticket.security = 1;
            sign(trade);
            assertSkips(trade, SkipReason.Kind);
        }
    }

    function test_lanesThatDoNotExist() public {
        for (uint256 security = 0; security < 256; security += 4) {
            Trade memory trade = _newEscrowTrade(1);
            trade.maker.security = trade.taker.security = trade.ticket.security = uint8(security);
            sign(trade);
            assertSkips(trade, SkipReason.Kind);
        }
    }

    function test_kindsThatDoNotExist() public {
        Trade memory trade = _newEscrowTrade(1);
        trade.ticket.kind = 2;
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
    }

    function test_paymentMethodThatOneDoesNotTake() public {
        Trade memory trade = _newEscrowTrade(1);
        trade.ticket.paymentMethod = 8;
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
        trade.ticket.paymentMethod = 7;
        trade.taker.paymentMethods = new uint32[](1);
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
    }

    function test_arbitratorThatOneDoesNotTake() public {
        Trade memory trade = _newEscrowTrade(1);
        trade.maker.arbitrators = new address[](0);
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
        trade = _newEscrowTrade(1);
        trade.ticket.arbitrator = makeAddr("another");
        sign(trade);
        assertSkips(trade, SkipReason.Kind);
    }

    function test_nobodyJudgesItsOwnTrade() public {
        address[3] memory judges = [maker.owner.addr, taker.owner.addr, address(0)];
        for (uint256 i = 0; i < 3; ++i) {
            Trade memory trade = _newEscrowTrade(1);
            trade.ticket.arbitrator = judges[i];
            trade.maker.arbitrators[0] = trade.taker.arbitrators[0] = judges[i];
            sign(trade);
            assertSkips(trade, SkipReason.Kind);
        }
    }

    function test_legsOfAGroupAreNeverPaidOutsideTheChain() public {
        Trade[] memory legs = newSignedGroup(1);
        toEscrow(legs[0], 1);
        signGroup(legs, sameMaker(1), taker);
        assertGroupSkips(legs, 0, SkipReason.Kind);
    }

    // what is missing

    function test_sellerWithoutTheBase() public {
        Trade memory trade = _newEscrowTrade(1);
        trade.maker.quantityLots = trade.taker.quantityLots = 1001;
        trade.maker.priceTicks = trade.ticket.priceTicks = 1;
        trade.ticket.makerTo = trade.ticket.takerTo = 1001;
        sign(trade);
        assertDefaults(trade, SkipReason.Funds, maker);
    }

    function test_sellerWithoutItsBond() public {
        _leaveQuote(maker, bondOf(TOTAL, 3) - 1);
        Trade memory trade = _newLaterTrade();
        assertDefaults(trade, SkipReason.Funds, maker);
        fund(maker.owner.addr, quote, 1);
        assertSettles(trade);
    }

    function test_buyerWithoutItsBond() public {
        _leaveQuote(taker, bondOf(TOTAL, 3) - 1);
        Trade memory trade = _newLaterTrade();
        assertDefaults(trade, SkipReason.Funds, taker);
        fund(taker.owner.addr, quote, 1);
        assertSettles(trade);
    }

    function test_takerThatSellsWithoutItsBond() public {
        Trade memory trade = newTrade();
        (Side memory buyer, Side memory seller) = (taker, maker);
        _leaveQuote(seller, 0);
        trade = _newLaterTrade();
        trade.maker = newOrder(buyer, BUY);
        trade.taker = newOrder(seller, SELL);
        trade.maker.expiry = trade.taker.expiry = 0;
        toEscrow(trade, 3);
        signAs(trade, buyer, seller);
        assertDefaults(trade, SkipReason.Funds, seller);
    }

    function _leaveQuote(Side memory side, uint256 left) private {
        vm.startPrank(side.owner.addr);
        vault.requestDeallocation(marketId, address(quote), allocated(side, quote) - left);
        vm.warp(MATCHED_S + DELAY_S + 3);
        vault.executeDeallocation(marketId, address(quote));
        vm.stopPrank();
    }

    function _newLaterTrade() private returns (Trade memory trade) {
        trade = newTrade();
        toEscrow(trade, 3);
        trade.maker.expiry = trade.taker.expiry = 0;
        trade.ticket.epoch += 2 * DELAY_S;
        trade.ticket.deadline += DELAY_S;
        sign(trade);
    }

    function test_sellersSessionWithoutTheCapForItsBond() public {
        TokenCap[] memory caps = new TokenCap[](1);
        caps[0] = TokenCap(address(quote), uint128(bondOf(TOTAL, 1) - 1));
        maker.session = makeAccount("capped");
        vm.prank(maker.owner.addr);
        vault.authoriseCappedSession(maker.session.addr, TICKET, MATCHED_S + 1000, caps);
        Trade memory trade = _newEscrowTrade(1);
        assertDefaults(trade, SkipReason.Cap, maker);
        trade.maker.priceTicks = trade.ticket.priceTicks = PRICE_TICKS / 2;
        sign(trade);
        assertSettles(trade);
    }

    // what is locked

    function testFuzz_baseAndBondsAreLocked(uint64 price, uint64 lots, uint8 security, bool makerSells) public {
        security = uint8(bound(security, 1, 3));
        (price, lots) = (uint64(bound(price, 1, 1e15)), uint64(bound(lots, MIN_FILL_LOTS, 1e15)));
        uint256 bond = bondOf(quoteAmount(price, lots), security);
        uint256 baseAmount = lots * uint256(LOT_SIZE);
        (Side memory first, Side memory second) = makerSells ? (maker, taker) : (taker, maker);
        Trade memory trade = newTrade();
        trade.maker = newOrder(first, makerSells ? SELL : BUY);
        trade.taker = newOrder(second, makerSells ? BUY : SELL);
        trade.maker.quantityLots = trade.taker.quantityLots = trade.ticket.makerTo = trade.ticket.takerTo = lots;
        trade.maker.priceTicks = trade.taker.priceTicks = trade.ticket.priceTicks = price;
        toEscrow(trade, security);
        signAs(trade, first, second);
        fund(maker.owner.addr, base, baseAmount);
        fund(maker.owner.addr, quote, bond);
        fund(taker.owner.addr, quote, bond);
        (uint256 sellerBase, uint256 sellerQuote) = (allocated(maker, base), allocated(maker, quote));
        uint256 buyerQuote = allocated(taker, quote);
        assertSettles(trade);
        assertEq(allocated(maker, base), sellerBase - baseAmount);
        assertEq(allocated(maker, quote), sellerQuote - bond);
        assertEq(allocated(taker, quote), buyerQuote - bond);
        assertEq(allocated(taker, base), 0);
        assertEq(vault.lockedBalance(address(base)), baseAmount);
        assertEq(vault.lockedBalance(address(quote)), 2 * bond);
        assertEq(settlement.filledLots(trade.ticket.makerOrder), lots);
        _assertOpened(trade, security, baseAmount, bond);
    }

    function _assertOpened(Trade memory trade, uint8 security, uint256 baseAmount, uint256 bond) private view {
        OpenedTrade memory opened = escrow.opened();
        assertEq(escrow.caller(), address(settlement));
        assertEq(TicketDigest.unwrap(opened.ticket), ticketDigest(trade));
        assertEq(MarketId.unwrap(opened.market), MarketId.unwrap(marketId));
        assertEq(opened.seller, maker.owner.addr);
        assertEq(opened.buyer, taker.owner.addr);
        assertEq(opened.base, address(base));
        assertEq(opened.quote, address(quote));
        assertEq(opened.baseAmount, baseAmount);
        assertEq(opened.bondAmount, bond);
        assertEq(opened.paymentMethod, 7);
        assertEq(opened.arbitrator, trade.ticket.arbitrator);
        assertEq(opened.security, security);
        assertEq(opened.matchedAt, MATCHED_S);
    }

    function test_eventsOfAnOpenedTrade() public {
        Trade memory trade = _newEscrowTrade(2);
        uint256 bond = bondOf(TOTAL, 2);
        vm.expectEmit(address(settlement));
        emit IOrrangeSettlement.TradeCreated(
            TicketDigest.wrap(ticketDigest(trade)),
            maker.owner.addr,
            taker.owner.addr,
            marketId,
            trade.ticket.makerOrder,
            trade.ticket.takerOrder,
            false,
            PRICE_TICKS,
            0,
            LOTS,
            0,
            LOTS,
            2
        );
        vm.expectEmit(address(vault));
        emit IOrrangeVault.Locked(
            marketId, maker.owner.addr, taker.owner.addr, address(base), address(quote), LOTS * uint256(LOT_SIZE), bond
        );
        settleOne(trade);
        assertSkips(trade, SkipReason.Replay);
    }
}
