// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Order, Trade} from "../types/OrrangeTypes.sol";

/// @title Who gives what in a trade
/// @dev In uint256 no product or sum of the fields can overflow (64 + 96 + 64 bits at most, 5 more in percent, for 16 legs 4 more). Lots
/// are taken as given: reversed ranges underflow, so that ranges are checked first.
library Trades {
    uint8 internal constant SIDE_BUY = 0;
    uint8 internal constant SIDE_SELL = 1;
    uint8 internal constant TIF_GTC = 0;
    uint8 internal constant TIF_IOC = 1;
    uint8 internal constant TIF_FOK = 2;
    uint8 internal constant TIF_GTD = 4;

    /// @notice Lots that change hands.
    function lots(Trade calldata trade) internal pure returns (uint256) {
        return trade.ticket.makerTo - trade.ticket.makerFrom;
    }

    /// @notice Base from the seller and quote from the buyer; exact, nothing is rounded.
    function amounts(Trade calldata trade) internal pure returns (uint256 baseAmount, uint256 quoteAmount) {
        uint256 count = lots(trade);
        baseAmount = count * trade.market.lotSize;
        quoteAmount = uint256(trade.ticket.priceTicks) * trade.market.tickSize * count;
    }

    /// @notice What each side gives: the seller base, the buyer quote, or by escrow the bond alone.
    function spends(Trade calldata trade) internal pure returns (uint256 makerAmount, uint256 takerAmount) {
        (uint256 baseAmount, uint256 quoteAmount) = amounts(trade);
        if (isEscrow(trade)) quoteAmount = bond(trade);
        return makerSells(trade) ? (baseAmount, quoteAmount) : (quoteAmount, baseAmount);
    }

    /// @notice What each side of an escrow puts up in quote, rounded up for whoever it protects. Of lanes 1 to 3 only.
    function bond(Trade calldata trade) internal pure returns (uint256) {
        (, uint256 quoteAmount) = amounts(trade);
        return Math.ceilDiv(quoteAmount * bondPercent(trade.ticket.security), 100);
    }

    /// @notice Percent of the quote amount by lane. Spec: protocol/spec/01-types.md, "Lanes".
    function bondPercent(uint8 security) internal pure returns (uint256) {
        return security == 1 ? 5 : security == 2 ? 15 : 30;
    }

    /// @notice Whether the quote is paid outside the chain.
    function isEscrow(Trade calldata trade) internal pure returns (bool) {
        return trade.ticket.kind != 0;
    }

    /// @notice The two orders by side.
    function sellAndBuy(Trade calldata trade) internal pure returns (Order calldata sell, Order calldata buy) {
        return makerSells(trade) ? (trade.maker, trade.taker) : (trade.taker, trade.maker);
    }

    /// @notice Whether the maker is the seller.
    function makerSells(Trade calldata trade) internal pure returns (bool) {
        return trade.maker.side == SIDE_SELL;
    }

    /// @notice Whether an order trades at once or never, so that it is never a maker's.
    function isImmediate(Order calldata order) internal pure returns (bool) {
        return order.tif == TIF_IOC || order.tif == TIF_FOK;
    }

    /// @notice Whether an order trades all of its lots or none.
    function isFillOrKill(Order calldata order) internal pure returns (bool) {
        return order.tif == TIF_FOK;
    }
}
