// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IOrrangeSettlement} from "../src/interfaces/IOrrangeSettlement.sol";
import {SettlementSettings, TicketDigest, Trade} from "../src/types/OrrangeTypes.sol";
import {Fixture} from "./support/Fixture.sol";

/// @notice The fee comes off what the seller gets, rounded down, and is split between submitter and sink.
contract FeesTest is Fixture {
    uint32 private constant FEE_PPM = 3_333;
    uint32 private constant SINK_SHARE_PPM = 333_333;
    uint256 private constant FEE = uint256(PRICE_TICKS) * TICK_SIZE * LOTS * FEE_PPM / 1e6;
    uint256 private constant SINK_FEE = FEE * SINK_SHARE_PPM / 1e6;

    function settlementSettings(address vault_) internal view override returns (SettlementSettings memory settings) {
        settings = super.settlementSettings(vault_);
        (settings.feePpm, settings.sinkSharePpm) = (FEE_PPM, SINK_SHARE_PPM);
    }

    function testFuzz_feeIsSplitToTheUnit(uint64 price, uint64 lots, bool makerSells) public {
        price = uint64(bound(price, 1, 1e15));
        lots = uint64(bound(lots, MIN_FILL_LOTS, 1e15));
        uint256 total = quoteAmount(price, lots);
        (Side memory first, Side memory second) = makerSells ? (maker, taker) : (taker, maker);
        Trade memory trade = newTrade();
        trade.maker = newOrder(first, makerSells ? SELL : BUY);
        trade.taker = newOrder(second, makerSells ? BUY : SELL);
        trade.maker.quantityLots = trade.taker.quantityLots = trade.ticket.makerTo = trade.ticket.takerTo = lots;
        trade.maker.priceTicks = trade.taker.priceTicks = trade.ticket.priceTicks = price;
        signAs(trade, first, second);
        fund(maker.owner.addr, base, lots * uint256(LOT_SIZE));
        fund(taker.owner.addr, quote, total);
        uint256 seller = allocated(maker, quote);
        uint256 buyer = allocated(taker, quote);
        address submitter = makeAddr("submitter");
        Trade[] memory trades = new Trade[](1);
        trades[0] = trade;
        vm.prank(submitter);
        settlement.settle(trades);

        uint256 fee = total * FEE_PPM / 1e6;
        uint256 sinkFee = fee * SINK_SHARE_PPM / 1e6;
        assertEq(allocated(taker, quote), buyer - total);
        assertEq(allocated(maker, quote), seller + total - fee);
        assertEq(vault.freeBalance(sink, address(quote)), sinkFee);
        assertEq(vault.freeBalance(submitter, address(quote)), fee - sinkFee);
    }

    function test_eventSaysWhatTheSellerDidNotGet() public {
        Trade memory trade = newSignedTrade();
        vm.expectEmit(address(settlement));
        emit IOrrangeSettlement.TradeCompleted(
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
            FEE,
            SINK_FEE / BOND_UNIT
        );
        settleOne(trade);
    }
}
