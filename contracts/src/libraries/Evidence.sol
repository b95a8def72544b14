// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {FeedEntry, SignedTicket} from "../interfaces/IOrrangeSlasher.sol";
import {MarketId, Order, OrderId, Ticket} from "../types/OrrangeTypes.sol";

/// @title What two signed things prove
/// @dev Signatures and digests are the slasher's business. Spec: 08-peers [EVID-1], [EVID-2].
library Evidence {
    bytes internal constant FEED_ENTRY_TYPE =
        "FeedEntry(address session,address owner,bytes32 market,uint64 seq,bytes32 prevHash,uint64 epoch,bytes32 itemsRoot)";
    bytes32 internal constant FEED_ENTRY_TYPEHASH = keccak256(FEED_ENTRY_TYPE);

    /// @notice hashStruct of an entry's head.
    function hash(FeedEntry calldata entry) internal pure returns (bytes32) {
        return keccak256(abi.encode(FEED_ENTRY_TYPEHASH, entry));
    }

    /// @notice Whether two entries take one place in one feed.
    function areOfOnePlace(FeedEntry calldata first, FeedEntry calldata second) internal pure returns (bool) {
        return first.session == second.session && first.market == second.market && first.seq == second.seq;
    }

    /// @notice Whether one of the ticket's orders is the session's.
    function isParty(SignedTicket calldata signed, address session) internal pure returns (bool) {
        return signed.maker.session == session || signed.taker.session == session;
    }

    /// @notice Whether the four orders are of one market.
    function areOfOneMarket(SignedTicket calldata first, SignedTicket calldata second) internal pure returns (bool) {
        MarketId market = first.maker.market;
        return first.taker.market == market && second.maker.market == market && second.taker.market == market;
    }

    /// @notice Whether the tickets bear one number of one taker's session.
    function useANumberTwice(SignedTicket calldata first, SignedTicket calldata second) internal pure returns (bool) {
        return first.taker.session == second.taker.session && first.ticket.ticketNonce == second.ticket.ticketNonce;
    }

    /// @notice Whether the tickets take the same lots of one order of the session's own, on whichever side. Ranges are half
    /// open: those that touch do not overlap, and an empty or reversed one overlaps nothing.
    function takeLotsTwice(SignedTicket calldata first, SignedTicket calldata second, address session)
        internal
        pure
        returns (bool)
    {
        Ticket calldata a = first.ticket;
        Ticket calldata b = second.ticket;
        if (first.maker.session == session) {
            if (_overlap(a.makerOrder, a.makerFrom, a.makerTo, b)) return true;
        }
        if (first.taker.session == session) return _overlap(a.takerOrder, a.takerFrom, a.takerTo, b);
        return false;
    }

    /// @notice Whether two times overlap, ends included. A reversed one still may: nothing here asks for more than the spec.
    function timesOverlap(uint256 firstStart, uint256 firstEnd, uint256 secondStart, uint256 secondEnd)
        internal
        pure
        returns (bool)
    {
        return firstStart <= secondEnd && secondStart <= firstEnd;
    }

    /// @dev An order that is the session's own in one ticket is its own in the other: the id names its session.
    function _overlap(OrderId order, uint64 from, uint64 to, Ticket calldata other) private pure returns (bool) {
        if (order == other.makerOrder && _rangesOverlap(from, to, other.makerFrom, other.makerTo)) return true;
        return order == other.takerOrder && _rangesOverlap(from, to, other.takerFrom, other.takerTo);
    }

    function _rangesOverlap(uint64 from, uint64 to, uint64 otherFrom, uint64 otherTo) private pure returns (bool) {
        return (from > otherFrom ? from : otherFrom) < (to < otherTo ? to : otherTo);
    }
}
