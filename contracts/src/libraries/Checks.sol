// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {MarketId, Market, Order, Ticket, Trade} from "../types/OrrangeTypes.sol";
import {Trades} from "./Trades.sol";

/// @title What two orders and a ticket must be to go together, whatever the chain knows
library Checks {
    using Trades for Order;
    using Trades for Trade;

    uint8 private constant ORDER_KIND_LIMIT = 0;
    uint8 private constant ORDER_KIND_PROTECTED_MARKET = 1;
    uint8 internal constant TICKET_KIND_ATOMIC = 0;
    uint8 private constant TICKET_KIND_ESCROW = 1;
    uint8 private constant MOST_SECURITY = 3;

    /// @notice Reason 2: both orders name this market and its units make sense.
    function isMarket(Trade calldata trade, MarketId id) internal pure returns (bool) {
        Market calldata market = trade.market;
        return trade.maker.market == id && trade.taker.market == id && market.base != market.quote
            && market.lotSize != 0 && market.tickSize != 0;
    }

    /// @notice Reason 3: an order lived at `matched`. Only a GTC order may have no expiry: of any other the chain could not
    /// refuse a late ticket.
    function isUnexpired(Order calldata order, uint256 matched) internal pure returns (bool) {
        return order.expiry == 0 ? order.tif == Trades.TIF_GTC : order.expiry > matched;
    }

    /// @notice Reason 6: opposite sides, each limit kept, no order below the market's minimum.
    function isWithinLimits(Trade calldata trade) internal pure returns (bool) {
        (Order calldata maker, Order calldata taker) = (trade.maker, trade.taker);
        if (maker.side > Trades.SIDE_SELL || taker.side > Trades.SIDE_SELL || maker.side == taker.side) return false;
        if (maker.quantityLots < trade.market.minFillLots || taker.quantityLots < trade.market.minFillLots) {
            return false;
        }
        (Order calldata buy, Order calldata sell) = trade.makerSells() ? (taker, maker) : (maker, taker);
        uint64 price = trade.ticket.priceTicks;
        return sell.priceTicks >= 1 && sell.priceTicks <= price && price <= buy.priceTicks;
    }

    /// @notice Reason 7, of which nobody is guilty: two ranges of one length inside the orders.
    function isRanged(Trade calldata trade) internal pure returns (bool) {
        Ticket calldata ticket = trade.ticket;
        return ticket.makerTo > ticket.makerFrom && ticket.takerTo > ticket.takerFrom
            && ticket.takerTo - ticket.takerFrom == ticket.makerTo - ticket.makerFrom
            && ticket.makerTo <= trade.maker.quantityLots && ticket.takerTo <= trade.taker.quantityLots;
    }

    /// @notice Reason 9: what settles together with others only.
    function isGrouped(Trade calldata trade) internal pure returns (bool) {
        return trade.ticket.group != bytes32(0) || trade.maker.isFillOrKill() || trade.taker.isFillOrKill();
    }

    /// @notice Reason 10: known kinds, the maker's order one that can rest, and both orders of the ticket's lane. Post-only
    /// and tiers say who matches whom, which the two signatures have settled.
    function isKind(Trade calldata trade) internal pure returns (bool) {
        if (!_isPlain(trade.maker) || !_isPlain(trade.taker) || trade.maker.isImmediate()) return false;
        if (trade.ticket.kind == TICKET_KIND_ATOMIC) return _isAtomic(trade.maker) && _isAtomic(trade.taker);
        return trade.ticket.kind == TICKET_KIND_ESCROW && _isEscrow(trade);
    }

    function _isPlain(Order calldata order) private pure returns (bool) {
        bool isKnown =
            order.kind == ORDER_KIND_LIMIT || order.kind == ORDER_KIND_PROTECTED_MARKET && order.isImmediate();
        return isKnown && order.tif <= Trades.TIF_GTD;
    }

    function _isAtomic(Order calldata order) private pure returns (bool) {
        return order.paymentMethods.length == 0 && order.arbitrators.length == 0 && order.security == 0;
    }

    /// @dev The ticket's lane, payment method and arbitrator are in both orders; nobody judges its own trade.
    function _isEscrow(Trade calldata trade) private pure returns (bool) {
        Ticket calldata ticket = trade.ticket;
        uint8 security = ticket.security;
        if (security == 0 || security > MOST_SECURITY) return false;
        if (trade.maker.security != security || trade.taker.security != security) return false;
        address arbitrator = ticket.arbitrator;
        if (arbitrator == address(0) || arbitrator == trade.maker.owner || arbitrator == trade.taker.owner) {
            return false;
        }
        return
            _takes(trade.maker, ticket.paymentMethod, arbitrator)
                && _takes(trade.taker, ticket.paymentMethod, arbitrator);
    }

    function _takes(Order calldata order, uint32 method, address arbitrator) private pure returns (bool) {
        bool isPaid;
        for (uint256 i = 0; i < order.paymentMethods.length && !isPaid; ++i) {
            isPaid = order.paymentMethods[i] == method;
        }
        bool isJudged;
        for (uint256 i = 0; i < order.arbitrators.length && !isJudged; ++i) {
            isJudged = order.arbitrators[i] == arbitrator;
        }
        return isPaid && isJudged;
    }
}
