// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {SignedTicket} from "../../src/interfaces/IOrrangeSlasher.sol";
import {Order} from "../../src/types/OrrangeTypes.sol";

/// @dev What [TICK-10] forbids, by counting lots and seconds one by one, so that it shares nothing with the contract.
/// For small ranges only.
library SlasherRules {
    function forbids(SignedTicket memory a, SignedTicket memory b, address session, uint256 genesisMs, uint256 epochMs)
        internal
        pure
        returns (bool)
    {
        bool isOneNumber = a.ticket.ticketNonce == b.ticket.ticketNonce && a.taker.session == b.taker.session;
        if (isOneNumber) return true;
        if (!shareASecond(a, b, genesisMs, epochMs)) return false;
        for (uint256 sides = 0; sides < 4; ++sides) {
            Order memory order = sides & 1 == 0 ? a.maker : a.taker;
            Order memory other = sides & 2 == 0 ? b.maker : b.taker;
            bool isOwn = order.session == session && keccak256(abi.encode(order)) == keccak256(abi.encode(other));
            if (isOwn && _lots(a, sides & 1) & _lots(b, sides & 2) != 0) return true;
        }
        return false;
    }

    function shareASecond(SignedTicket memory a, SignedTicket memory b, uint256 genesisMs, uint256 epochMs)
        internal
        pure
        returns (bool)
    {
        uint256 start = (genesisMs + a.ticket.epoch * epochMs) / 1000;
        uint256 otherStart = (genesisMs + b.ticket.epoch * epochMs) / 1000;
        for (uint256 second = start; second <= a.ticket.deadline; ++second) {
            if (otherStart <= second && second <= b.ticket.deadline) return true;
        }
        return false;
    }

    function _lots(SignedTicket memory signed, uint256 side) private pure returns (uint256 bits) {
        (uint256 from, uint256 to) = side == 0
            ? (signed.ticket.makerFrom, signed.ticket.makerTo)
            : (signed.ticket.takerFrom, signed.ticket.takerTo);
        for (uint256 lot = from; lot < to; ++lot) {
            bits |= 1 << lot;
        }
    }
}
