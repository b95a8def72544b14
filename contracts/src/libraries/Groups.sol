// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Arrays} from "@openzeppelin/contracts/utils/Arrays.sol";

import {Order, Ticket, Trade, TradeDigests} from "../types/OrrangeTypes.sol";
import {Trades} from "./Trades.sol";

/// @title The legs of a fill-or-kill order
/// @dev Spec: protocol/spec/05-tickets.md [TICK-14].
library Groups {
    using Trades for Order;
    using Trades for Trade;

    uint256 internal constant MAX_LEGS = 16;

    /// @notice What legs before this one draw from the same sources; all zero for a trade on its own.
    /// @dev In a group all makers give one token and get the other, so that no leg lives from an earlier leg's proceeds.
    struct Drawn {
        uint256 makerLots; // of this leg's maker order
        uint256 takerLots;
        uint256 makerAmount; // of this leg's maker owner
        uint256 takerAmount;
        bool isNumberUsed; // this leg's ticket number
    }

    /// @notice The group of tickets with these digests, taken with a zero group. Sorts them in place.
    function digestOf(bytes32[] memory legDigests) internal pure returns (bytes32) {
        Arrays.sort(legDigests);
        return keccak256(abi.encodePacked(legDigests));
    }

    /// @notice The first leg of another group, time or taker order than the first one's; the number of legs if none is.
    function firstStranger(Trade[] calldata legs, TradeDigests[] memory digests) internal pure returns (uint256 index) {
        Ticket calldata first = legs[0].ticket;
        for (; index < legs.length; ++index) {
            Ticket calldata ticket = legs[index].ticket;
            bool isOfGroup =
                ticket.group == first.group && ticket.epoch == first.epoch && ticket.deadline == first.deadline;
            bool isOfOrder = digests[index].taker == digests[0].taker && legs[index].taker.isFillOrKill();
            if (!isOfGroup || !isOfOrder) break;
        }
    }

    /// @notice Whether the legs' ranges of the taker order are all of it, without gap or overlap.
    function isWhole(Trade[] calldata legs) internal pure returns (bool) {
        uint256[] memory ranges = new uint256[](legs.length);
        for (uint256 i = 0; i < legs.length; ++i) {
            ranges[i] = (uint256(legs[i].ticket.takerFrom) << 64) | legs[i].ticket.takerTo;
        }
        Arrays.sort(ranges);
        uint256 reached = 0;
        for (uint256 i = 0; i < ranges.length; ++i) {
            uint256 to = uint64(ranges[i]);
            if (ranges[i] >> 64 != reached || to <= reached) return false;
            reached = to;
        }
        return reached == legs[0].taker.quantityLots;
    }

    /// @notice What the legs before `index` draw; they have passed their checks.
    function drawnBefore(Trade[] calldata legs, TradeDigests[] memory digests, uint256 index)
        internal
        pure
        returns (Drawn memory drawn)
    {
        Trade calldata leg = legs[index];
        for (uint256 i = 0; i < index; ++i) {
            Trade calldata earlier = legs[i];
            (uint256 makerAmount, uint256 takerAmount) = earlier.spends();
            drawn.takerLots += earlier.lots();
            drawn.takerAmount += takerAmount;
            if (digests[i].maker == digests[index].maker) drawn.makerLots += earlier.lots();
            if (earlier.maker.owner == leg.maker.owner) drawn.makerAmount += makerAmount;
            if (earlier.ticket.ticketNonce == leg.ticket.ticketNonce) drawn.isNumberUsed = true;
        }
    }
}
