// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {MarketId, TicketDigest} from "../types/OrrangeTypes.sol";

/// @notice A fully checked ticket of kind 1 whose funds the vault has locked: the seller's base and both bonds.
struct OpenedTrade {
    TicketDigest ticket;
    MarketId market;
    address seller;
    address buyer;
    address base;
    address quote;
    uint256 baseAmount; // base units, the seller's
    uint256 bondAmount; // quote units of each side
    uint32 paymentMethod;
    address arbitrator; // neither zero nor a party
    uint8 security; // 1 to 3
    uint64 matchedAt; // unix seconds
}

/// @title Trades whose quote is paid outside the chain
interface IOrrangeEscrow {
    /// @notice Takes over a trade. Only for the settlement contract, once a ticket, after the vault has locked the funds.
    /// @dev Must not revert for a trade that the settlement passes on, or one trade would stop a batch.
    function open(OpenedTrade calldata trade) external;
}
