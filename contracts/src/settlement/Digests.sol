// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IOrrangeSettlement} from "../interfaces/IOrrangeSettlement.sol";
import {Groups} from "../libraries/Groups.sol";
import {TypedData} from "../libraries/TypedData.sol";
import {Market, MarketId, Order, OrderId, Ticket, TicketDigest, Trade, TradeDigests} from "../types/OrrangeTypes.sol";

/// @title What is signed, under the domain of the network
abstract contract Digests is IOrrangeSettlement, EIP712("Orrange", "1") {
    /// @inheritdoc IOrrangeSettlement
    function marketId(Market calldata market) public view returns (MarketId) {
        return MarketId.wrap(_hashTypedDataV4(TypedData.hash(market)));
    }

    /// @inheritdoc IOrrangeSettlement
    function orderId(Order calldata order) public view returns (OrderId) {
        return OrderId.wrap(_hashTypedDataV4(TypedData.hash(order)));
    }

    /// @inheritdoc IOrrangeSettlement
    function ticketDigest(Ticket calldata ticket) public view returns (TicketDigest) {
        return TicketDigest.wrap(_hashTypedDataV4(TypedData.hash(ticket)));
    }

    /// @inheritdoc IOrrangeSettlement
    function groupDigest(Ticket[] calldata tickets) external view returns (bytes32) {
        bytes32[] memory legDigests = new bytes32[](tickets.length);
        for (uint256 i = 0; i < tickets.length; ++i) {
            legDigests[i] = _ungroupedDigest(tickets[i]);
        }
        return Groups.digestOf(legDigests);
    }

    /// @inheritdoc IOrrangeSettlement
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function _digests(Trade calldata trade) internal view returns (TradeDigests memory) {
        return TradeDigests({
            market: marketId(trade.market),
            maker: orderId(trade.maker),
            taker: orderId(trade.taker),
            ticket: ticketDigest(trade.ticket)
        });
    }

    function _ungroupedDigest(Ticket calldata ticket) internal view returns (bytes32) {
        return _hashTypedDataV4(TypedData.hashUngrouped(ticket));
    }
}
