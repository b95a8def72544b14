// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Market, Order, Ticket} from "../types/OrrangeTypes.sol";

/// @title EIP-712 strings and struct hashes
/// @notice The strings are those of protocol/eip712.json; a test derives them from that file and compares.
/// @dev Long structs are encoded in two halves: every field is one word, so the halves concatenate to the whole.
library TypedData {
    bytes internal constant MARKET_TYPE =
        "Market(address base,address quote,uint96 lotSize,uint96 tickSize,uint64 minFillLots)";
    bytes internal constant ORDER_TYPE =
        "Order(bytes32 market,address owner,address session,uint64 nonce,uint8 side,uint8 kind,uint64 priceTicks,uint64 quantityLots,uint8 tif,uint64 expiry,bool postOnly,uint8 minTier,uint32[] paymentMethods,address[] arbitrators,uint8 security)";
    bytes internal constant TICKET_TYPE =
        "Ticket(bytes32 makerOrder,bytes32 takerOrder,uint64 priceTicks,uint64 makerFrom,uint64 makerTo,uint64 takerFrom,uint64 takerTo,uint64 epoch,uint64 deadline,uint64 ticketNonce,uint8 kind,uint32 paymentMethod,address arbitrator,uint8 security,bytes32 group)";

    bytes32 internal constant MARKET_TYPEHASH = keccak256(MARKET_TYPE);
    bytes32 internal constant ORDER_TYPEHASH = keccak256(ORDER_TYPE);
    bytes32 internal constant TICKET_TYPEHASH = keccak256(TICKET_TYPE);

    /// @notice hashStruct of a market.
    function hash(Market calldata market) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(MARKET_TYPEHASH, market.base, market.quote, market.lotSize, market.tickSize, market.minFillLots)
        );
    }

    /// @notice hashStruct of an order. Lists hash as the concatenation of their elements, a word each.
    function hash(Order calldata order) internal pure returns (bytes32) {
        bytes memory head = abi.encode(
            ORDER_TYPEHASH,
            order.market,
            order.owner,
            order.session,
            order.nonce,
            order.side,
            order.kind,
            order.priceTicks
        );
        bytes memory tail = abi.encode(
            order.quantityLots,
            order.tif,
            order.expiry,
            order.postOnly,
            order.minTier,
            keccak256(abi.encodePacked(order.paymentMethods)),
            keccak256(abi.encodePacked(order.arbitrators)),
            order.security
        );
        return keccak256(bytes.concat(head, tail));
    }

    /// @notice hashStruct of a ticket.
    function hash(Ticket calldata ticket) internal pure returns (bytes32) {
        return _hash(ticket, ticket.group);
    }

    /// @notice hashStruct of a ticket as if it had no group: what a group is made of.
    function hashUngrouped(Ticket calldata ticket) internal pure returns (bytes32) {
        return _hash(ticket, bytes32(0));
    }

    function _hash(Ticket calldata ticket, bytes32 group) private pure returns (bytes32) {
        bytes memory head = abi.encode(
            TICKET_TYPEHASH,
            ticket.makerOrder,
            ticket.takerOrder,
            ticket.priceTicks,
            ticket.makerFrom,
            ticket.makerTo,
            ticket.takerFrom,
            ticket.takerTo
        );
        bytes memory tail = abi.encode(
            ticket.epoch,
            ticket.deadline,
            ticket.ticketNonce,
            ticket.kind,
            ticket.paymentMethod,
            ticket.arbitrator,
            ticket.security,
            group
        );
        return keccak256(bytes.concat(head, tail));
    }
}
